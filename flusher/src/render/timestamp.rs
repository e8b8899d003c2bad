//! Calendar time as text, cached for the second it is in: most lines share it with the line before.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use lastwords_ring::place::zone::Zone;

const LENGTH: usize = "2025-10-19 05:55:47".len();

/// Writes times as `2025-10-19 05:55:47.606`.
#[derive(Debug)]
pub struct Stamp {
    zone: Zone,
    second: Option<i64>,
    text: [u8; LENGTH],
}

impl Stamp {
    /// With times of this zone.
    #[must_use]
    pub fn new(zone: Zone) -> Stamp {
        Stamp { zone, second: None, text: [b'0'; LENGTH] }
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
        let text = civil(second, self.zone.offset(second)).map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
        if let Some(text) = text.as_deref().and_then(|text| text.as_bytes().first_chunk::<LENGTH>()) {
            self.text = *text;
        }
        self.second = Some(second);
    }
}

/// Calendar time at this offset, in seconds east of Greenwich.
pub(crate) fn civil(second: i64, offset: i32) -> Option<DateTime> {
    Some(Offset::from_seconds(offset).ok()?.to_datetime(Timestamp::from_second(second).ok()?))
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
        let mut stamp = Stamp::new(Zone::utc());
        assert_eq!(text(&mut stamp, 1_760_853_347_606_999_999), "2025-10-19 05:55:47.606");
        assert_eq!(text(&mut stamp, 1_760_853_347_007_000_000), "2025-10-19 05:55:47.007");
        assert_eq!(text(&mut stamp, 1_760_853_348_000_000_000), "2025-10-19 05:55:48.000");
        assert_eq!(text(&mut stamp, 0), "1970-01-01 00:00:00.000");
    }

    #[test]
    fn the_last_time_that_fits_has_four_digits_of_year() {
        assert!(text(&mut Stamp::new(Zone::utc()), u64::MAX).starts_with("2554-07-21"));
    }
}
