//! What a folder's rings hold, with everything that a line does not show: types of fields, targets, places.

use lastwords_flusher::recover::recovery::{Recovered, Recovery};
use lastwords_flusher::render::value::Value;
use lastwords_ring::format::record::{Field, extra_kind};
use lastwords_ring::place::folder::Folder;
use std::path::Path;

/// A record taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Name of its level.
    pub level: String,
    /// Text without fields.
    pub text: String,
    /// Target.
    pub target: String,
    /// Module, where the record has a call site.
    pub module: String,
    /// Source file.
    pub file: String,
    /// Line in it.
    pub line: u32,
    /// Whether target and place are those of a call site.
    pub has_site: bool,
    /// Fields as `name: Type(value)`.
    pub fields: Vec<String>,
    /// Spans, the outermost first, as name and fields.
    pub spans: Vec<(String, Vec<String>)>,
}

/// All records that are in no log file yet, in time order.
///
/// # Panics
/// If the folder cannot be read.
#[must_use]
pub fn records(folder: &Path) -> Vec<Recorded> {
    let (mut recovery, mut found) = (Recovery::default(), Vec::new());
    recovery.add_folder(&Folder::open(folder).expect("a folder")).expect("its rings");
    let take = |recovered: &Recovered<'_>| {
        found.push(recorded(recovered));
        Ok::<u64, lastwords::Error>(0)
    };
    recovery.for_each(take).expect("readable");
    found
}

fn recorded(recovered: &Recovered<'_>) -> Recorded {
    let (record, site) = (&recovered.record, recovered.site.map(|template| template.site()));
    let extra = |kind| record.extra(kind).map(text).unwrap_or_default();
    let line = record.extra(extra_kind::LINE).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    Recorded {
        level: record.level.to_string(),
        text: text(record.text()),
        target: site.map_or_else(|| extra(extra_kind::TARGET), |site| site.target.to_string()),
        module: site.map_or_else(String::new, |site| site.module.to_string()),
        file: site.map_or_else(|| extra(extra_kind::FILE), |site| site.file.to_string()),
        line: site.map_or(line, |site| site.line),
        has_site: site.is_some(),
        fields: record.fields().map(|found| field(&found)).collect(),
        spans: record
            .spans()
            .map(|span| (text(span.name), span.fields().map(|found| field(&found)).collect()))
            .collect(),
    }
}

fn field(found: &Field<'_>) -> String {
    let name = text(found.name);
    match Value::of(found).expect("a value") {
        Value::Formatted(value) => format!("{name}: Formatted({})", text(value)),
        Value::Str(value) => format!("{name}: Str({})", text(value)),
        value => format!("{name}: {value:?}"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}
