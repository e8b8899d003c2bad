//! Messages whose bytes are recorded as they are, and the place of a record without a call site.

use crate::logger::record::{RecordBody, RecordHead};
use crate::logger::ring_logger::Logger;
use crate::logger::thread;
use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::record::extra_kind;
use lastwords_ring::write::body::BodyWriter;

/// Ends a record without call site: its text, then target and place.
pub(crate) fn write_place(body: &mut Vec<u8>, target: &str, file: Option<&str>, line: Option<u32>) -> u8 {
    let mut writer = BodyWriter::after_text(body);
    add_place(&mut writer, target, file, line);
    writer.finish()
}

/// Adds target and place to a record without call site.
pub(crate) fn add_place(writer: &mut BodyWriter<'_>, target: &str, file: Option<&str>, line: Option<u32>) {
    writer.extra(extra_kind::TARGET, target.as_bytes());
    if let Some(file) = file {
        writer.extra(extra_kind::FILE, file.as_bytes());
    }
    if let Some(line) = line {
        writer.extra(extra_kind::LINE, &line.to_le_bytes());
    }
}

/// Bytes without a place.
struct BytesFrom<'a> {
    target: &'a str,
    text: &'a [u8],
}

impl RecordBody for BytesFrom<'_> {
    fn constant(&self) -> Option<&[u8]> {
        Some(self.text)
    }

    fn write(&self, body: &mut Vec<u8>, _: u32, _: usize) -> u8 {
        body.extend_from_slice(self.text);
        write_place(body, self.target, None, None)
    }
}

pub(crate) fn record_bytes_to(logger: &'static Logger, level: Level, target: &str, text: &[u8]) {
    let Some(destination) = logger.filter.admit_target(level, target) else { return };
    record_bytes_at(logger, level, target, text, destination);
}

/// Like [`record_bytes_to`], regardless of the filter.
pub(crate) fn record_bytes_at(
    logger: &'static Logger,
    level: Level,
    target: &str,
    text: &[u8],
    destination: Destination,
) {
    thread::record(
        logger,
        RecordHead { level: level.number(), call_site: 0, destination },
        &BytesFrom { target, text },
    );
}
