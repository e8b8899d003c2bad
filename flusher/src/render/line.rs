//! A record for people.
//!
//! ```text
//! 2025-10-19 05:55:47.606 [4157] [INFO] Host process starting up
//! ```
//!
//! No message can drive a terminal or forge a record: control characters are escaped, and a further line of a message that
//! could be taken for a record's first line is indented by a tab. No custom level name can end its line or its bracket.
//!
//! A role may request another [`TextLayout`]: columns (`render/columns.rs`), more digits of the second, the offset of its time.

use crate::render::columns::ColumnValues;
use crate::render::digits::append_integer;
use crate::render::escape::{escape, push};
use crate::render::fields;
use crate::render::level_names::LevelNames;
use crate::render::message::Template;
use crate::render::timestamp::{Stamp, fraction, milliseconds};
use lastwords_ring::format::level::Level;
use lastwords_ring::format::record::Record;
use lastwords_ring::format::text_layout::{TextLayout, TimeDigits};

/// Appends one text of the flusher's own as lines of a log file; its levels have their standard names.
#[inline]
pub fn line(out: &mut Vec<u8>, stamp: &mut Stamp, ns: u64, pid: u32, level: Level, text: &[u8], cut_from: Option<u64>) {
    head(out, stamp, ns, pid, level, None);
    message(out, text, cut_from);
}

/// Appends the head of a record, which precedes its message. `given` is the process's custom name for the level, if it has one.
#[inline]
pub fn head(out: &mut Vec<u8>, stamp: &mut Stamp, ns: u64, pid: u32, level: Level, given: Option<&str>) {
    stamp.date_time(ns, out);
    out.extend_from_slice(b" [");
    append_integer(out, pid);
    out.extend_from_slice(b"] [");
    level_name(out, level, given);
    out.extend_from_slice(b"] ");
}

/// Like [`head`], in a layout, with the time and the pid, and the level and its custom name.
pub fn head_in(
    out: &mut Vec<u8>,
    stamp: &mut Stamp,
    layout: TextLayout,
    values: &ColumnValues<'_>,
    (ns, pid): (u64, u32),
    (level, given): (Level, Option<&str>),
) {
    stamp.date_time_in(ns, layout, out);
    out.extend_from_slice(b" [");
    append_integer(out, pid);
    out.extend_from_slice(b"] ");
    values.append(out, layout.columns);
    out.push(b'[');
    level_name(out, level, given);
    out.extend_from_slice(b"] ");
}

/// Like [`head`], for a record, which may have been made elsewhere. `ns` and `pid` say when and by whom it was recorded.
#[inline]
pub fn head_of(out: &mut Vec<u8>, stamp: &mut Stamp, record: &Record<'_>, ns: u64, pid: u32, given: Option<&str>) {
    match record.relayed() {
        None => head(out, stamp, ns, pid, record.level, given),
        Some(from) => head(out, stamp, from.realtime_ns, from.pid, record.level, from.level_name.or(given)),
    }
}

/// The last head that was made: within a second, records of one process and level differ in the milliseconds alone.
#[derive(Debug)]
pub(crate) struct HeadCache {
    /// Second, pid, level, and [`LevelNames::reading`].
    of: (u64, u32, Level, u64),
    /// Without columns: those are another's with each record.
    layout: TextLayout,
    text: [u8; HEAD_MAX],
    length: usize,
}

/// Longest head that is kept, in bytes. Only one with a long custom level name is longer.
const HEAD_MAX: usize = 64;
/// Where the milliseconds are in a head.
const MILLISECONDS: usize = "2025-10-19 05:55:47.".len();

impl HeadCache {
    pub(crate) const fn new(layout: TextLayout) -> HeadCache {
        HeadCache { of: (u64::MAX, 0, Level::TRACE, 0), layout, text: [0; HEAD_MAX], length: 0 }
    }

    /// Like [`head_in`] without columns, but cached.
    #[inline]
    pub(crate) fn append(
        &mut self,
        out: &mut Vec<u8>,
        stamp: &mut Stamp,
        ns: u64,
        pid: u32,
        level: Level,
        names: &LevelNames,
    ) {
        if self.of != (ns / 1_000_000_000, pid, level, names.reading()) && !self.make(stamp, ns, pid, level, names) {
            return self.made(out, stamp, ns, pid, level, names);
        }
        let start = out.len();
        out.extend_from_slice(&self.text);
        out.truncate(start + self.length);
        let digits = self.layout.digits;
        if let Some(place) = out.get_mut(start + MILLISECONDS..start + MILLISECONDS + digits.count()) {
            match digits {
                TimeDigits::Three => place.copy_from_slice(&milliseconds(ns)),
                _ => place.copy_from_slice(&fraction(ns)[..digits.count()]),
            }
        }
    }

    fn made(&self, out: &mut Vec<u8>, stamp: &mut Stamp, ns: u64, pid: u32, level: Level, names: &LevelNames) {
        head_in(out, stamp, self.layout, &ColumnValues::default(), (ns, pid), (level, names.get(level)));
    }

    /// False if the head is too long to be kept.
    #[cold]
    fn make(&mut self, stamp: &mut Stamp, ns: u64, pid: u32, level: Level, names: &LevelNames) -> bool {
        let mut text = Vec::with_capacity(HEAD_MAX);
        self.made(&mut text, stamp, ns, pid, level, names);
        let Some(place) = self.text.get_mut(..text.len()) else { return false };
        place.copy_from_slice(&text);
        self.of = (ns / 1_000_000_000, pid, level, names.reading());
        self.length = text.len();
        true
    }
}

/// What a ring's records may be rendered to, in multiples of the bytes of the ring, its spill files and its backlog. Ours stay far below:
/// a record takes 128 bytes, and its line rarely more. A hostile ring may name one long message, or a call site with a
/// long text, in each of its records.
pub const RENDERED_TIMES: u64 = 64;
/// Most bytes of one record's text in a log file; escaping may make a message longer than it was.
pub const RENDERED_MAX: usize = 16 << 20;

/// Appends a record's message and the line's end. `site` is its call site, where it has one.
#[inline]
pub fn record(out: &mut Vec<u8>, record: &Record<'_>, site: Option<&Template>) {
    if !record.has_values() {
        if fields::has_any(record) {
            return message(out, &fields::compose(record), record.cut_from());
        }
        return message(out, record.text(), record.cut_from());
    }
    let start = out.len();
    match site.and_then(|site| site.show(record, out)) {
        Some(true) if out.len() - start <= RENDERED_MAX => out.push(b'\n'),
        Some(_) => {
            let text = out.split_off(start);
            message(out, &text, None);
        }
        None => {
            out.truncate(start);
            message(out, without_site(record).as_bytes(), None);
        }
    }
}

/// Shown for unreadable values.
pub(crate) fn without_site(record: &Record<'_>) -> String {
    format!("[{} bytes of values without a call site that they fit]", record.text().len())
}

/// Appends a message that is text, and the line's end.
pub fn message(out: &mut Vec<u8>, text: &[u8], cut_from: Option<u64>) {
    let start = out.len();
    escape(out, text);
    let cut_from = if out.len() - start > RENDERED_MAX {
        let end = (0..4).map(|n| start + RENDERED_MAX - n).find(|end| out[*end] & 0xc0 != 0x80);
        out.truncate(end.unwrap_or(start + RENDERED_MAX));
        cut_from.or(Some(text.len() as u64))
    } else {
        cut_from
    };
    if let Some(length) = cut_from {
        out.extend_from_slice(format!(" [cut; the message had {length} bytes]").as_bytes());
    }
    out.push(b'\n');
}

/// Appends the level's name: the process's custom one, else the standard one, else its number.
pub fn level_name(out: &mut Vec<u8>, level: Level, given: Option<&str>) {
    match (given, level.name()) {
        (Some(name), _) => name.chars().for_each(|character| push_in_brackets(out, character)),
        (None, Some(name)) => out.extend_from_slice(name.as_bytes()),
        (None, None) => out.extend_from_slice(level.to_string().as_bytes()),
    }
}

fn push_in_brackets(out: &mut Vec<u8>, character: char) {
    match character {
        '\n' => out.extend_from_slice(b"\\n"),
        '\t' => out.extend_from_slice(b"\\t"),
        ']' => out.extend_from_slice(b"\\x5d"),
        _ => push(out, character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastwords_ring::place::zone::Zone;

    fn escaped(text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, text);
        String::from_utf8(out).expect("escaping yields UTF-8")
    }

    #[test]
    fn the_line_is_exactly_the_documented_one() {
        let mut out = Vec::new();
        let (mut stamp, ns) = (Stamp::new(Zone::utc()), 1_760_853_347_606_000_000);
        line(&mut out, &mut stamp, ns, 4157, Level::INFO, b"Host process starting up", None);
        assert_eq!(out, b"2025-10-19 05:55:47.606 [4157] [INFO] Host process starting up\n");
        out.clear();
        line(&mut out, &mut stamp, ns, 1, Level::new(35), b"half", Some(9));
        assert_eq!(out, b"2025-10-19 05:55:47.606 [1] [Level 35] half [cut; the message had 9 bytes]\n");
    }

    fn bracket(level: Level, given: Option<&str>) -> String {
        let mut out = Vec::new();
        level_name(&mut out, level, given);
        String::from_utf8(out).expect("escaping yields UTF-8")
    }

    #[test]
    fn a_level_has_the_name_that_was_given_else_the_standard_one_else_its_number() {
        assert_eq!(bracket(Level::new(25), Some("NOTICE")), "NOTICE");
        assert_eq!(bracket(Level::WARNING, Some("WARN")), "WARN");
        assert_eq!(bracket(Level::WARNING, None), "WARNING");
        assert_eq!(bracket(Level::new(25), None), "Level 25");
    }

    #[test]
    fn no_name_of_a_level_ends_its_line_or_its_bracket_or_drives_a_terminal() {
        let hostile = "a] [b\n2025-10-19 05:55:47.606 [\t\r\x1b[31m\u{202e}é";
        let expected = "a\\x5d [b\\n2025-10-19 05:55:47.606 [\\t\\r\\x1b[31m\\u{202e}é";
        assert_eq!(bracket(Level::new(25), Some(hostile)), expected);
    }

    #[test]
    fn a_kept_head_is_the_one_that_would_be_made_whatever_came_before() {
        let (none, one, other) = (LevelNames::default(), LevelNames::of(25, "NOTICE"), LevelNames::of(25, "SUCCESS"));
        let long = LevelNames::of(25, &"x".repeat(lastwords_ring::format::level::LEVEL_NAME_MAX));
        let (mut stamp, level) = (Stamp::new(Zone::utc()), Level::new(25));
        for layout in TextLayout::all().into_iter().filter(|layout| layout.columns.is_empty()) {
            let mut cache = HeadCache::new(layout);
            for names in [&none, &one, &other, &one, &long, &long, &one, &none] {
                for ns in [1_760_853_347_606_123_456, 1_760_853_347_607_000_001] {
                    let (mut kept, mut made) = (Vec::new(), Vec::new());
                    cache.append(&mut kept, &mut stamp, ns, 4157, level, names);
                    let values = ColumnValues::default();
                    head_in(&mut made, &mut stamp, layout, &values, (ns, 4157), (level, names.get(level)));
                    assert_eq!(String::from_utf8_lossy(&kept), String::from_utf8_lossy(&made));
                }
            }
        }
    }

    #[test]
    fn nothing_that_drives_a_terminal_gets_through() {
        assert_eq!(escaped(b"\x1b[31mred\x07\x7f\0"), "\\x1b[31mred\\x07\\x7f\\x00");
        assert_eq!(
            escaped("a\u{9b}b\u{202e}c\u{2066}d\u{2028}e".as_bytes()),
            "a\\u{9b}b\\u{202e}c\\u{2066}d\\u{2028}e"
        );
        assert_eq!(escaped(b"over\rwritten"), "over\\rwritten");
        assert_eq!(escaped(b"tab\tstays, \xff\xfe not"), "tab\tstays, \\xff\\xfe not");
        assert_eq!(escaped("א\u{200f} ב\u{200e}".as_bytes()), "א\u{200f} ב\u{200e}");
        assert_eq!(escaped("\u{61c}\u{202a}\u{2069}".as_bytes()), "\\u{61c}\\u{202a}\\u{2069}");
        assert_eq!(escaped("größer 日本 🦀".as_bytes()), "größer 日本 🦀");
    }

    #[test]
    fn a_traceback_stays_and_a_forged_record_is_indented() {
        let traceback = "Traceback:\n  File \"x\", line 1\nValueError: 2025-10-19";
        assert_eq!(escaped(traceback.as_bytes()), traceback);
        let forged = b"first\n2025-10-19 05:55:47.606 [1] [INFO] forged\nlast";
        assert_eq!(escaped(forged), "first\n\t2025-10-19 05:55:47.606 [1] [INFO] forged\nlast");
        assert!(escaped(b"x\n\n2025-10-19 05:55:47.606 [").ends_with("\n\t2025-10-19 05:55:47.606 ["));
    }
}
