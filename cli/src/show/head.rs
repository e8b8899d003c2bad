//! The head of a record: what precedes its message in a text file, and the members that stand first in a JSON line.

use super::when::LineClock;
use lastwords_flusher::render::columns::FoundColumns;
use lastwords_flusher::render::line_head::LineHead;
use lastwords_flusher::render::timestamp::TIME;
use lastwords_ring::format::level::Level;

/// What every record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// Nanoseconds since 1970; in a text file as many digits as its lines have.
    pub(crate) ns: u64,
    /// Pid of its process.
    pub(crate) pid: u32,
    /// Its level, where it is known: a text file has only the name that a process gave it.
    pub(crate) level: Option<Level>,
    /// Where its time ends.
    pub(crate) time_end: u32,
    /// Where a text line's columns are.
    pub(crate) columns_at: (u32, u32),
    /// Where the level's name is.
    pub(crate) level_at: (u32, u32),
    /// Where a text line's message begins.
    pub(crate) message_at: u32,
}

/// Levels by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct LevelsByName {
    known: Vec<(Vec<u8>, Option<Level>)>,
}

impl LevelsByName {
    /// That a process gives this name to a level.
    pub(crate) fn learn(&mut self, name: &[u8], level: Level) {
        self.known.retain(|(known, _)| known != name);
        self.known.push((name.to_vec(), Some(level)));
    }

    #[inline]
    fn level(&mut self, name: &[u8]) -> Option<Level> {
        if let Some((_, level)) = self.known.iter().find(|(known, _)| known == name) {
            return *level;
        }
        self.find(name)
    }

    #[cold]
    fn find(&mut self, name: &[u8]) -> Option<Level> {
        let text = std::str::from_utf8(name).ok()?;
        let level = text.strip_prefix("Level ").unwrap_or(text).parse::<Level>().ok();
        if self.known.len() < 64 {
            self.known.push((name.to_vec(), level));
        }
        level
    }
}

impl Head {
    /// The head of a text record; None for what no flusher has written.
    #[inline]
    pub(crate) fn of_text(record: &[u8], clock: &mut LineClock, levels: &mut LevelsByName) -> Option<Head> {
        let head = LineHead::parse(record)?;
        let message_at = head.message_at();
        clock.note(&record[message_at..]);
        Some(Head {
            ns: clock.ns(&record[..head.time_end]),
            pid: head.pid,
            level: levels.level(&record[head.level.clone()]),
            time_end: head.time_end as u32,
            columns_at: (head.columns.start as u32, head.columns.end as u32),
            level_at: (head.level.start as u32, head.level.end as u32),
            message_at: message_at as u32,
        })
    }

    /// Of a text record: whether its line has the default layout.
    #[inline]
    pub(crate) fn is_default(&self) -> bool {
        self.time_end as usize == TIME && self.columns_at.0 == self.columns_at.1
    }

    /// The columns of a text record; None if its line has none.
    pub(crate) fn columns(&self, text: &[u8]) -> Option<FoundColumns> {
        let (start, end) = (self.columns_at.0 as usize, self.columns_at.1 as usize);
        (start < end).then(|| FoundColumns::parse(&text[start..end]))
    }

    /// The head of a JSON line; None for what is no record.
    pub(crate) fn of_json(line: &[u8]) -> Option<Head> {
        Head::of_own_json(line).or_else(|| Head::of_other_json(line))
    }

    /// As our flusher writes it.
    fn of_own_json(line: &[u8]) -> Option<Head> {
        const FORM: usize = "2025-10-19T05:55:47.606123456+02:00".len();
        let rest = line.strip_prefix(b"{\"time\":\"")?;
        let (time, rest) = rest.split_at_checked(FORM)?;
        let rest = rest.strip_prefix(b"\",\"level\":\"")?;
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let level_start = line.len() - rest.len();
        let (level, rest) = number(rest[end..].strip_prefix(b"\",\"level_number\":")?)?;
        let rest = rest.strip_prefix(b",\"role\":\"")?;
        let rest = &rest[rest.iter().position(|byte| *byte == b'"')?..];
        let (pid, _) = number(rest.strip_prefix(b"\",\"pid\":")?)?;
        Some(Head {
            ns: rfc3339_ns(time)?,
            pid: pid.try_into().ok()?,
            level: Some(Level::new(level.try_into().ok()?)),
            time_end: 9 + FORM as u32,
            columns_at: (0, 0),
            level_at: (level_start as u32, (level_start + end) as u32),
            message_at: 0,
        })
    }

    #[cold]
    fn of_other_json(line: &[u8]) -> Option<Head> {
        let value: serde_json::Value = serde_json::from_slice(line).ok()?;
        let number = |name: &str| value.get(name).and_then(serde_json::Value::as_u64);
        Some(Head {
            ns: rfc3339_ns(value.get("time")?.as_str()?.as_bytes())?,
            pid: number("pid").and_then(|pid| pid.try_into().ok()).unwrap_or(0),
            level: number("level_number").and_then(|number| number.try_into().ok()).map(Level::new),
            ..Head::default()
        })
    }
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    Some((std::str::from_utf8(&text[..end]).ok()?.parse().ok()?, &text[end..]))
}

fn rfc3339_ns(time: &[u8]) -> Option<u64> {
    let time: jiff::Timestamp = std::str::from_utf8(time).ok()?.parse().ok()?;
    time.as_nanosecond().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastwords_ring::place::zone::Zone;

    #[test]
    fn a_head_is_what_a_flusher_writes_and_nothing_else() {
        let (mut clock, mut levels) = (LineClock::new(Zone::utc()), LevelsByName::default());
        let mut head = |line: &str| Head::of_text(line.as_bytes(), &mut clock, &mut levels);
        let found = head("2025-10-19 05:55:47.606 [4157] [Level 35] text\n").expect("a head");
        assert_eq!((found.ns, found.pid, found.level), (1_760_853_347_606_000_000, 4157, Some(Level::new(35))));
        assert_eq!((found.time_end, found.message_at), (23, 42));
        let longer = head("2025-10-19 05:55:47.606123456 +02:00 [1] [INFO] x").expect("a head");
        assert_eq!((longer.ns, longer.time_end), (1_760_846_147_606_123_456, 36));
        let line = "2025-10-19 07:55:47.606123+02:00 [1] (a b) <x::y> {src/x.rs:7} [INFO] (no) <column>\n";
        let columns = head(line).expect("a head");
        assert_eq!((columns.ns, columns.is_default()), (1_760_853_347_606_123_000, false));
        assert_eq!(&line[columns.message_at as usize..], "(no) <column>\n");
        let found = columns.columns(line.as_bytes()).expect("columns");
        assert_eq!(
            (&*found.thread_name, &*found.target, &*found.file, found.line),
            (&b"a b"[..], &b"x::y"[..], &b"src/x.rs"[..], 7)
        );
        assert_eq!(head("2025-10-19 05:55:47.606 [1] [NOTICE] x").expect("a head").level, None);
        for other in [
            "",
            "x",
            "2025-10-19 05:55:47.606",
            "2025-10-19 05:55:47.606 [1]",
            "\t2025-10-19 05:55:47.606 [1] [INFO] x",
        ] {
            assert_eq!(head(other), None, "{other}");
        }
    }

    #[test]
    fn a_json_line_tells_the_same_whoever_wrote_it() {
        let own = br#"{"time":"2025-10-19T05:55:47.606123456+02:00","level":"INFO","level_number":20,"role":"host","pid":4157,"message":"x"}"#;
        let other = br#"{"pid": 4157, "level_number": 20, "time": "2025-10-19T03:55:47.606123456Z"}"#;
        let (own, other) = (Head::of_json(own).expect("a record"), Head::of_json(other).expect("a record"));
        assert_eq!((own.ns, own.pid, own.level), (other.ns, other.pid, other.level));
        assert_eq!(own.ns, 1_760_846_147_606_123_456);
        assert_eq!(Head::of_json(b"[]"), None);
    }
}
