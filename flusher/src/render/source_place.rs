//! Where in the program a record comes from: its call site, or what its front end said of it.

use crate::render::message::Template;
use lastwords_ring::format::record::{Record, extra_kind};

/// Where a record comes from; what is not known is empty, or 0.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SourcePlace<'a> {
    pub(crate) target: &'a [u8],
    pub(crate) module: &'a [u8],
    pub(crate) file: &'a [u8],
    pub(crate) line: u32,
}

impl<'a> SourcePlace<'a> {
    /// That of a record with this call site, if it has one.
    pub(crate) fn of(record: &Record<'a>, site: Option<&'a Template>) -> SourcePlace<'a> {
        if let Some(site) = site.map(Template::site) {
            let (target, module, file) = (site.target.as_bytes(), site.module.as_bytes(), site.file.as_bytes());
            return SourcePlace { target, module, file, line: site.line };
        }
        let extra = |kind| record.extra(kind).unwrap_or_default();
        let line = record.extra(extra_kind::LINE).and_then(|bytes| bytes.try_into().ok());
        SourcePlace {
            target: extra(extra_kind::TARGET),
            module: b"",
            file: extra(extra_kind::FILE),
            line: line.map_or(0, u32::from_le_bytes),
        }
    }
}
