//! Calendar time as text, cached for the second it is in: most lines share it with the line before.

use crate::flush::zone;
use chrono::{DateTime, Utc};

const LENGTH: usize = "2025-10-19 05:55:47".len();

/// Writes times as `2025-10-19 05:55:47.606`.
#[derive(Debug)]
pub struct Stamp {
    utc: bool,
    second: Option<i64>,
    text: [u8; LENGTH],
}

impl Stamp {
    /// Local time, or UTC.
    #[must_use]
    pub fn new(utc: bool) -> Stamp {
        Stamp { utc, second: None, text: [b'0'; LENGTH] }
    }

    /// Appends the time `ns` nanoseconds after 1970, with milliseconds.
    #[inline]
    pub fn date_time(&mut self, ns: u64, out: &mut Vec<u8>) {
        self.set_second(ns);
        out.extend_from_slice(&self.text);
        out.push(b'.');
        out.extend_from_slice(&milliseconds(ns));
    }

    /// Appends the time of day alone, `05:55:47`.
    pub fn time(&mut self, ns: u64, out: &mut Vec<u8>) {
        self.set_second(ns);
        out.extend_from_slice(&self.text[11..]);
    }

    #[inline]
    fn set_second(&mut self, ns: u64) {
        let second = (ns / 1_000_000_000) as i64;
        if self.second != Some(second) {
            self.format(second);
        }
    }

    #[cold]
    fn format(&mut self, second: i64) {
        let utc = DateTime::<Utc>::from_timestamp(second, 0).unwrap_or_default();
        let form = "%Y-%m-%d %H:%M:%S";
        let text = if self.utc { utc.format(form) } else { utc.with_timezone(&zone::offset(second)).naive_local().and_utc().format(form) };
        let text = text.to_string();
        if let Some(text) = text.as_bytes().first_chunk::<LENGTH>() {
            self.text = *text;
        }
        self.second = Some(second);
    }
}

/// The three digits after the second.
#[inline]
pub(crate) fn milliseconds(ns: u64) -> [u8; 3] {
    let milliseconds = (ns / 1_000_000 % 1000) as u16;
    [milliseconds / 100, milliseconds / 10, milliseconds].map(|digits| b'0' + (digits % 10) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(stamp: &mut Stamp, ns: u64) -> String {
        let mut out = Vec::new();
        stamp.date_time(ns, &mut out);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn milliseconds_are_cut_and_seconds_cached() {
        let mut stamp = Stamp::new(true);
        assert_eq!(text(&mut stamp, 1_760_853_347_606_999_999), "2025-10-19 05:55:47.606");
        assert_eq!(text(&mut stamp, 1_760_853_347_007_000_000), "2025-10-19 05:55:47.007");
        assert_eq!(text(&mut stamp, 1_760_853_348_000_000_000), "2025-10-19 05:55:48.000");
        assert_eq!(text(&mut stamp, 0), "1970-01-01 00:00:00.000");
    }

    #[test]
    fn the_last_time_that_fits_has_four_digits_of_year() {
        assert!(text(&mut Stamp::new(true), u64::MAX).starts_with("2554-07-21"));
    }
}
