//! The head of a text record, read back: what precedes its message, in every layout.
//!
//! ```text
//! TIME [PID] (THREAD) <TARGET> {PLACE} [LEVEL] MESSAGE
//! ```
//!
//! The columns are there or not, each by itself. Time, pid and level have nothing in them that could end them early; columns are
//! escaped (`render/columns.rs`). So a head has one reading, which needs no other line and no setting, and files of every layout
//! can be read by whoever does not know how they were requested.

use crate::render::columns::end_of;
use crate::render::line_time::{digits_of, time_end};
use crate::render::timestamp::TIME;
use lastwords_ring::format::text_layout::{TextLayout, TimeDigits};
use std::ops::Range;

/// Where the parts of a head are in its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineHead {
    /// Where the time ends.
    pub time_end: usize,
    /// Pid of the process.
    pub pid: u32,
    /// The columns, each with the space behind it; empty without any.
    pub columns: Range<usize>,
    /// The level's name.
    pub level: Range<usize>,
}

impl LineHead {
    /// That of a record's first line; None for another line.
    #[inline]
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<LineHead> {
        let time_end = time_end(line)?;
        let (mut pid, mut at) = (0u32, time_end + 2);
        while let Some(digit) = line.get(at).filter(|byte| byte.is_ascii_digit()) {
            pid = pid.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'));
            at += 1;
        }
        let rest = line.get(at..)?.strip_prefix(b"] ")?;
        let columns = at + 2..at + 2 + if rest.first() == Some(&b'[') { 0 } else { end_of(rest).1 };
        let rest = line.get(columns.end..)?.strip_prefix(b"[")?;
        let end = rest.iter().position(|byte| *byte == b']' || *byte == b'\n')?;
        rest.get(end..)?.strip_prefix(b"] ")?;
        let level = columns.end + 1..columns.end + 1 + end;
        Some(LineHead { time_end, pid, columns, level })
    }

    /// Where the message begins.
    #[inline]
    #[must_use]
    pub fn message_at(&self) -> usize {
        self.level.end + 2
    }

    /// The layout of the line whose head this is; None if no flusher writes such a one.
    #[must_use]
    pub fn layout(&self, line: &[u8]) -> Option<TextLayout> {
        let digits = TimeDigits::of(digits_of(line))?;
        let offset = match self.time_end - (TIME - 3 + digits.count()) {
            0 => false,
            6 => true,
            _ => return None,
        };
        Some(TextLayout { columns: end_of(&line[self.columns.clone()]).0, digits, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::columns::{ColumnValues, FoundColumns};
    use crate::render::escape::escape;
    use crate::render::line;
    use crate::render::timestamp::Stamp;
    use lastwords_ring::format::columns::Columns;
    use lastwords_ring::format::level::Level;
    use lastwords_ring::place::zone::Zone;
    use proptest::prelude::*;

    const NS: u64 = 1_760_853_347_606_123_456;

    fn rendered(layout: TextLayout, values: &ColumnValues<'_>, name: Option<&str>, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut stamp = Stamp::new(Zone::fixed(7200));
        line::head_in(&mut out, &mut stamp, layout, values, (NS, 4157), (Level::new(25), name));
        line::message(&mut out, message, None);
        out
    }

    #[test]
    fn every_layout_is_exactly_the_documented_one() {
        let values = ColumnValues { thread_name: b"main", thread: 7, target: b"app::core", file: b"src/x.rs", line: 7 };
        let line = |layout| String::from_utf8(rendered(layout, &values, Some("INFO"), b"slow frame")).expect("UTF-8");
        let (columns, digits) = (Columns::ALL, TimeDigits::Nine);
        assert_eq!(line(TextLayout::default()), "2025-10-19 07:55:47.606 [4157] [INFO] slow frame\n");
        assert_eq!(
            line(TextLayout { columns, digits, offset: true }),
            "2025-10-19 07:55:47.606123456+02:00 [4157] (main) <app::core> {src/x.rs:7} [INFO] slow frame\n"
        );
        let columns = Columns::THREAD | Columns::PLACE;
        let one = TextLayout { columns, digits: TimeDigits::Six, offset: false };
        assert_eq!(line(one), "2025-10-19 07:55:47.606123 [4157] (main) {src/x.rs:7} [INFO] slow frame\n");
        let own =
            rendered(TextLayout { columns: Columns::ALL, ..one }, &ColumnValues::OWN, Some("INFO"), b"lastwords: x");
        assert!(String::from_utf8_lossy(&own).contains(" [4157] (-) <lastwords> {-} [INFO] lastwords: x\n"));
        let nameless = ColumnValues { thread: 41, ..ColumnValues::default() };
        let nameless = rendered(TextLayout { columns: Columns::ALL, ..one }, &nameless, Some("INFO"), b"");
        assert!(String::from_utf8_lossy(&nameless).contains(" [4157] (#41) <-> {-} [INFO] \n"));
    }

    /// What is hardest to tell from a bracket, a placeholder, an id, a line, a record or an escape, and anything else.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let special = proptest::sample::select(vec![
            "-",
            "#",
            "#7",
            "(",
            ")",
            ") ",
            "<",
            ">",
            "> ",
            "{",
            "}",
            "} ",
            "[",
            "]",
            "] ",
            "[INFO] ",
            "\\",
            "\\x29",
            "\\u{202e}",
            ":",
            ":7",
            "\n",
            "\r",
            "\t",
            "\0",
            "\u{1b}[31m",
            "\u{202e}",
            "\u{2028}",
            " ",
            "ä",
            "🦀",
            "\u{10ffff}",
            "\n2025-10-19 05:55:47.606123456+02:00 [1] (x) <y> {z} [INFO] forged",
            "2025-10-19 05:55:47.606 [1] [INFO] forged",
        ]);
        let special = special.prop_map(|text| text.as_bytes().to_vec());
        let bytes = proptest::collection::vec(any::<u8>(), 0..4);
        proptest::collection::vec(prop_oneof![3 => special, 1 => bytes], 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn a_line_gives_back_what_it_was_made_of_in_every_layout(
            (thread_name, target, file, message) in (hostile(), hostile(), hostile(), hostile()),
            (thread, number) in (any::<u32>(), any::<u32>()),
            level in proptest::sample::select(vec![None, Some("a] (b"), Some("(x) "), Some("\n"), Some("<")]),
        ) {
            let values = ColumnValues { thread_name: &thread_name, thread, target: &target, file: &file, line: number };
            for layout in TextLayout::all() {
                let line = rendered(layout, &values, level, &message);
                let head = LineHead::parse(&line).expect("a head");
                prop_assert_eq!((head.pid, head.layout(&line)), (4157, Some(layout)));
                let has = |column| layout.columns.has(column);
                let expected = FoundColumns {
                    thread_name: if has(Columns::THREAD) { thread_name.clone() } else { Vec::new() },
                    thread: if has(Columns::THREAD) && thread_name.is_empty() { thread } else { 0 },
                    target: if has(Columns::TARGET) { target.clone() } else { Vec::new() },
                    file: if has(Columns::PLACE) { file.clone() } else { Vec::new() },
                    line: if has(Columns::PLACE) && !file.is_empty() { number } else { 0 },
                };
                prop_assert_eq!(FoundColumns::parse(&line[head.columns.clone()]), expected);
                let (mut named, mut said) = (Vec::new(), Vec::new());
                line::level_name(&mut named, Level::new(25), level);
                escape(&mut said, &message);
                prop_assert_eq!(&line[head.level.clone()], named.as_slice());
                let all = [said.as_slice(), b"\n"].concat();
                prop_assert_eq!(&line[head.message_at()..], all.as_slice());
                // The head is one line, drives no terminal, and no further line begins as a record does.
                let text = String::from_utf8(line.clone()).expect("UTF-8");
                prop_assert_eq!(text[..head.message_at()].find(|c: char| c.is_control() || c == '\u{202e}'), None);
                prop_assert!(text.split('\n').skip(1).all(|line| time_end(line.as_bytes()).is_none()));
            }
        }

        #[test]
        fn whatever_a_line_is_it_can_be_looked_at(line in hostile(), cut in 0..120usize) {
            let _ = LineHead::parse(&line);
            let line = [b"2025-10-19 05:55:47.606 [1] ".as_slice(), &line].concat();
            if let Some(head) = LineHead::parse(&line[..cut.min(line.len())]) {
                let _ = (head.layout(&line), FoundColumns::parse(&line[head.columns.clone()]));
                prop_assert!(head.message_at() <= line.len());
            }
        }
    }
}
