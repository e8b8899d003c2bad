//! Time zones: by name from the system's data, UTC, a fixed offset, or the rules of a `TZ` variable.
//!
//! | what | whose rules |
//! |---|---|
//! | `UTC` | none |
//! | `+09:00` | none |
//! | `Asia/Tokyo` | a file below `/usr/share/zoneinfo` |
//! | `CET-1CEST,M3.5.0,M10.5.0/3` | its own, in POSIX syntax; only from `TZ` or `/etc/localtime`, because users name a zone |
//!
//! A name is a path below the folders of the system's data, so only well-formed ones are accepted. `zone/kept.rs` has the zone
//! of a log folder.

mod find;
pub mod kept;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// The zone without rules.
const UTC: &str = "UTC";
/// Longest name or rules, in bytes. The longest name in use has 32, rules rarely more than 50.
const NAME_MAX: usize = 100;

/// A time zone, with its rules in memory: nothing is read when a time is shown.
#[derive(Debug, Clone)]
pub struct Zone {
    name: String,
    rules: TimeZone,
    is_known: bool,
}

impl Zone {
    /// UTC.
    #[must_use]
    pub fn utc() -> Zone {
        Zone { name: UTC.to_owned(), rules: TimeZone::UTC, is_known: true }
    }

    /// A zone with a fixed offset, in seconds east of Greenwich.
    #[must_use]
    pub fn fixed(offset: i32) -> Zone {
        let rules = Offset::from_seconds(offset).map_or(TimeZone::UTC, TimeZone::fixed);
        Zone { name: offset_text(offset), rules, is_known: true }
    }

    /// The zone that a setting means.
    ///
    /// # Errors
    /// What was found and what was expected, with the probable intended name.
    pub fn named(text: &str) -> Result<Zone, String> {
        refuse_form(text)?;
        match offset_of(text) {
            Some(offset) => Ok(Zone::fixed(offset)),
            None => find::by_name(text).ok_or_else(|| find::unknown(text)),
        }
    }

    /// Seconds east of Greenwich at this time, in seconds since 1970; whole minutes, as in RFC 3339.
    #[must_use]
    pub fn offset(&self, second: i64) -> i32 {
        let offset = Timestamp::from_second(second).map_or(0, |time| self.rules.to_offset(time).seconds());
        offset - offset % 60
    }

    /// Its name, or its rules or offset as text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its rules are known here; otherwise it has its last known offset.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_known
    }
}

/// Whether text can be the name of a zone: nothing else is looked up in the system.
fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    text.len() <= NAME_MAX && text.split('/').all(is_part)
}

/// Refuses what can be neither a name nor an offset, on any system.
///
/// # Errors
/// What was found and what was expected.
pub fn refuse_form(text: &str) -> Result<(), String> {
    if offset_of(text).is_some() || is_name(text) {
        return Ok(());
    }
    let shown: String = text.chars().take(NAME_MAX).collect();
    Err(format!("\"{}\" found, expected a time zone as in Europe/Berlin, UTC or +02:00", shown.escape_default()))
}

/// The offset in text like `+09:00`, in seconds.
fn offset_of(text: &str) -> Option<i32> {
    let [sign @ (b'+' | b'-'), h, i, b':', m, n] = *text.as_bytes() else { return None };
    let number = |tens: u8, ones: u8| {
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
    };
    let (hours, minutes) = (number(h, i).filter(|hours| *hours < 24)?, number(m, n).filter(|minutes| *minutes < 60)?);
    let seconds = hours * 3600 + minutes * 60;
    Some(if sign == b'-' { -seconds } else { seconds })
}

/// An offset in RFC 3339 form.
#[must_use]
pub fn offset_text(offset: i32) -> String {
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_as_they_are_written() {
        for (text, offset) in [("+09:00", 32_400), ("-03:30", -12_600), ("+00:00", 0), ("-23:59", -86_340)] {
            assert_eq!((offset_of(text), offset_text(offset).as_str()), (Some(offset), text));
            assert_eq!(
                Zone::named(text).map(|zone| (zone.offset(0), zone.name().to_owned())),
                Ok((offset, text.to_owned()))
            );
        }
        for text in ["+9", "+0900", "+24:00", "+09:60", "09:00", "+09:0", "+09:000", "+0a:00", ""] {
            assert_eq!(offset_of(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_looked_for_nowhere() {
        let long = "A".repeat(NAME_MAX + 1);
        let hostile = [
            "../../etc/passwd",
            "/etc/passwd",
            "Asia/../UTC",
            "Asia/",
            "/",
            "",
            ".",
            "..",
            "Asia//Tokyo",
            "a\0b",
            "a\nb",
            "-x",
            &long,
            "é",
            "zone.tab",
        ];
        for text in hostile {
            let why = Zone::named(text).expect_err(text);
            assert!(why.contains("expected a time zone as in") && why.len() < 300, "{why}");
            assert!(!why.contains(['\0', '\n']), "{why:?}");
        }
        assert!(is_name("America/Argentina/ComodRivadavia") && is_name("Etc/GMT+9") && is_name("EST5EDT"));
    }
}
