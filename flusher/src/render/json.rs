//! A record for programs: one JSON object a line, as described in `docs/log-line.schema.json`.
//!
//! ```text
//! {"time":"2025-10-19T05:55:47.606123456+02:00","level":"INFO","level_number":20,"role":"host","pid":4157,
//!  "id":"0b1c2d3e4f5061728394a5b6c7d8e9fa-0-128","thread":4157,"thread_name":"main","target":"app::core","module":"app::core","file":"src/x.rs","line":7,"message":"slow frame",
//!  "fields":{"camera":3},"spans":[{"name":"request","fields":{"id":7}}]}
//! ```
//!
//! What a record does not have is left out. The message is what was logged, without fields and spans; further lines of it
//! are `\n` in its string, so no message can forge a record.

mod fields;
mod id;
mod string;
#[cfg(test)]
mod tests;

use crate::render::digits::append_integer;
use crate::render::line::{self, RENDERED_MAX};
use crate::render::message::Template;
use crate::render::source_place::SourcePlace;
use crate::render::timestamp::Stamp;
use fields::{fields, named};
pub use id::RecordId;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::record::Record;
use lastwords_ring::format::text::escaped_json;
use lastwords_ring::place::zone::Zone;
pub use string::readable;
use string::string;

/// Target of the flusher's own lines.
const OWN_TARGET: &[u8] = b"lastwords";

/// When a record was made, and in which process.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Calendar time, nanoseconds since 1970.
    pub realtime_ns: u64,
    /// Role of the process.
    pub role: &'a str,
    /// Its pid.
    pub pid: u32,
    /// UUID of its ring and number of its lane there; None for what the flusher itself says.
    pub lane: Option<(&'a [u8; 16], usize)>,
}

/// Makes lines.
#[derive(Debug)]
pub struct JsonLines {
    stamp: Stamp,
    /// The message of the record at hand.
    text: Vec<u8>,
}

impl JsonLines {
    /// With times of this zone.
    #[must_use]
    pub fn new(zone: Zone) -> JsonLines {
        JsonLines { stamp: Stamp::new(zone), text: Vec::new() }
    }

    /// Appends a record. `thread_name` is that of its thread, `site` its call site, and `given` its process's custom name for
    /// its level, if it has one.
    pub fn record(
        &mut self,
        out: &mut Vec<u8>,
        origin: &Origin<'_>,
        record: &Record<'_>,
        thread_name: Option<&[u8]>,
        site: Option<&Template>,
        given: Option<&str>,
    ) {
        let relayed = record.relayed();
        match &relayed {
            None => self.head(out, origin, record.level, given),
            Some(from) => {
                let made = Origin { realtime_ns: from.realtime_ns, pid: from.pid, ..*origin };
                self.head(out, &made, record.level, from.level_name.or(given));
            }
        }
        if let Some((ring, lane)) = origin.lane {
            out.extend_from_slice(b",\"id\":\"");
            RecordId { ring: *ring, lane, sequence: record.last }.append(out);
            out.push(b'"');
        }
        if relayed.is_some() {
            out.extend_from_slice(b",\"received\":\"");
            self.stamp.rfc3339(origin.realtime_ns, out);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"thread\":");
        append_integer(out, record.thread);
        text_member(out, "thread_name", thread_name.unwrap_or_default());
        place(out, record, site);
        if record.has_values() {
            self.values(out, record, site);
        } else {
            let (text, exception) = record.message_and_exception();
            message(out, text, record.cut_from());
            text_member(out, "exception", exception);
            fields(out, record.fields().map(named));
        }
        spans(out, record);
        out.extend_from_slice(b"}\n");
    }

    /// Appends a line of the flusher's own.
    pub fn say(&mut self, out: &mut Vec<u8>, origin: &Origin<'_>, level: Level, text: &str) {
        self.say_with(out, origin, level, text, "");
    }

    /// Like [`JsonLines::say`], with further members, each behind a comma.
    pub fn say_with(&mut self, out: &mut Vec<u8>, origin: &Origin<'_>, level: Level, text: &str, members: &str) {
        self.head(out, origin, level, None);
        text_member(out, "target", OWN_TARGET);
        message(out, text.as_bytes(), None);
        // They have names of functions and files, which are anybody's.
        out.extend_from_slice(escaped_json(members).as_bytes());
        out.extend_from_slice(b"}\n");
    }

    fn head(&mut self, out: &mut Vec<u8>, origin: &Origin<'_>, level: Level, given: Option<&str>) {
        out.extend_from_slice(b"{\"time\":\"");
        self.stamp.rfc3339(origin.realtime_ns, out);
        out.extend_from_slice(b"\",\"level\":");
        level_name(out, level, given);
        out.extend_from_slice(b",\"level_number\":");
        append_integer(out, level.number());
        text_member(out, "role", origin.role.as_bytes());
        out.extend_from_slice(b",\"pid\":");
        append_integer(out, origin.pid);
    }

    /// Message and fields of a record that holds the values for its call site's format string.
    fn values(&mut self, out: &mut Vec<u8>, record: &Record<'_>, site: Option<&Template>) {
        self.text.clear();
        match site.and_then(|site| site.show_apart(record, &mut self.text)) {
            Some(found) => {
                message(out, &self.text, None);
                fields(out, found.chain(record.fields().map(named)));
            }
            None => message(out, line::without_site(record).as_bytes(), None),
        }
        self.text.shrink_to(TEXT_KEPT);
    }
}

/// A buffer that grew beyond this is given back, in bytes.
const TEXT_KEPT: usize = 64 << 10;

/// Appends the level's name: the process's custom one, else the one that the text has.
fn level_name(out: &mut Vec<u8>, level: Level, given: Option<&str>) {
    match given {
        Some(name) => string(out, name.as_bytes()),
        None => {
            out.push(b'"');
            line::level_name(out, level, None);
            out.push(b'"');
        }
    }
}

/// Appends a member that is a string, unless that is empty.
fn text_member(out: &mut Vec<u8>, name: &str, text: &[u8]) {
    if !text.is_empty() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        string(out, text);
    }
}

/// Where in the program the record comes from.
fn place(out: &mut Vec<u8>, record: &Record<'_>, site: Option<&Template>) {
    let SourcePlace { target, module, file, line } = SourcePlace::of(record, site);
    text_member(out, "target", target);
    text_member(out, "module", module);
    text_member(out, "file", file);
    if line > 0 {
        out.extend_from_slice(b",\"line\":");
        append_integer(out, line);
    }
}

/// Appends the message, and the length that it had before it was truncated.
fn message(out: &mut Vec<u8>, bytes: &[u8], cut_from: Option<u64>) {
    let text = readable(bytes);
    let limit = text.len().min(RENDERED_MAX);
    // At most three bytes back a character ends.
    let end = (limit.saturating_sub(3)..=limit).rfind(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let kept = &text[..end];
    out.extend_from_slice(b",\"message\":");
    string(out, kept.as_bytes());
    let cut_here = (kept.len() < text.len()).then_some(bytes.len() as u64);
    if let Some(length) = cut_from.or(cut_here) {
        out.extend_from_slice(b",\"cut_from\":");
        append_integer(out, length);
    }
}

/// Appends the spans that the record is in, the outermost first.
fn spans(out: &mut Vec<u8>, record: &Record<'_>) {
    let mut any = false;
    for span in record.spans() {
        out.extend_from_slice(if any { b",{\"name\":" } else { b",\"spans\":[{\"name\":" });
        string(out, span.name);
        fields(out, span.fields().map(named));
        out.push(b'}');
        any = true;
    }
    if any {
        out.push(b']');
    }
}
