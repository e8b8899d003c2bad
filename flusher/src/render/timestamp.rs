//! Calendar time as text, cached for the second it is in: most lines share it with the line before.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use lastwords_ring::format::text_layout::{TextLayout, TimeDigits};
use lastwords_ring::place::zone::{Zone, offset_text};

const DATE: usize = "2025-10-19".len();
const LENGTH: usize = "2025-10-19 05:55:47".len();
/// Bytes of a time.
pub const TIME: usize = "2025-10-19 05:55:47.606".len();
const OFFSET: usize = "+02:00".len();
const NINE: usize = TimeDigits::Nine.count();

/// Writes times as `2025-10-19 05:55:47.606`, or as RFC 3339 has them.
#[derive(Debug)]
pub struct Stamp {
    zone: Zone,
    second: Option<i64>,
    text: [u8; LENGTH],
    offset: [u8; OFFSET],
}

impl Stamp {
    /// With times of this zone.
    #[must_use]
    pub fn new(zone: Zone) -> Stamp {
        Stamp { zone, second: None, text: *b"1970-01-01 00:00:00", offset: *b"+00:00" }
    }

    /// Appends the time `ns` nanoseconds after 1970, with milliseconds.
    #[inline]
    pub fn date_time(&mut self, ns: u64, out: &mut Vec<u8>) {
        self.set_second(ns);
        out.extend_from_slice(&self.text);
        out.push(b'.');
        out.extend_from_slice(&milliseconds(ns));
    }

    /// As [`Stamp::date_time`], as a line of this layout has it.
    pub(crate) fn date_time_in(&mut self, ns: u64, layout: TextLayout, out: &mut Vec<u8>) {
        self.set_second(ns);
        out.extend_from_slice(&self.text);
        out.push(b'.');
        out.extend_from_slice(&fraction(ns)[..layout.digits.count()]);
        if layout.offset {
            out.extend_from_slice(&self.offset);
        }
    }

    /// As [`Stamp::date_time`], as text of its own.
    #[must_use]
    pub fn shown(&mut self, ns: u64) -> String {
        let mut text = Vec::with_capacity(TIME);
        self.date_time(ns, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Appends the time of day alone, `05:55:47`.
    pub fn time(&mut self, ns: u64, out: &mut Vec<u8>) {
        self.set_second(ns);
        out.extend_from_slice(&self.text[DATE + 1..]);
    }

    /// Appends `2025-10-19T05:55:47.606123456+02:00`.
    pub fn rfc3339(&mut self, ns: u64, out: &mut Vec<u8>) {
        self.set_second(ns);
        let mut text = *b"2025-10-19T05:55:47.606123456+02:00";
        let (time, rest) = text.split_at_mut(LENGTH);
        time.copy_from_slice(&self.text);
        time[DATE] = b'T';
        let (digits, offset) = rest[1..].split_at_mut(NINE);
        digits.copy_from_slice(&fraction(ns));
        offset.copy_from_slice(&self.offset);
        out.extend_from_slice(&text);
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
        let offset = self.zone.offset(second);
        let text = civil(second, offset).map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
        if let Some(time) = text.as_deref().and_then(|text| text.as_bytes().first_chunk::<LENGTH>())
            && let Ok(offset) = offset_text(offset).as_bytes().try_into()
        {
            (self.text, self.offset) = (*time, offset);
        }
        self.second = Some(second);
    }
}

/// The second since 1970 that a time of a text line would be in UTC.
pub(crate) fn second_of(time: &[u8; TIME]) -> Option<i64> {
    let time = std::str::from_utf8(&time[..LENGTH]).ok()?;
    let time = DateTime::strptime("%Y-%m-%d %H:%M:%S", time).ok()?;
    Some(Offset::UTC.to_timestamp(time).ok()?.as_second())
}

/// Calendar time at this offset, in seconds east of Greenwich.
pub(crate) fn civil(second: i64, offset: i32) -> Option<DateTime> {
    Some(Offset::from_seconds(offset).ok()?.to_datetime(Timestamp::from_second(second).ok()?))
}

/// The nine digits after the second.
pub(crate) fn fraction(ns: u64) -> [u8; NINE] {
    let (mut digits, mut rest) = ([0; NINE], ns % 1_000_000_000);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
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

    #[test]
    fn milliseconds_are_cut_and_seconds_cached() {
        let mut stamp = Stamp::new(Zone::utc());
        assert_eq!(stamp.shown(1_760_853_347_606_999_999), "2025-10-19 05:55:47.606");
        assert_eq!(stamp.shown(1_760_853_347_007_000_000), "2025-10-19 05:55:47.007");
        assert_eq!(stamp.shown(1_760_853_348_000_000_000), "2025-10-19 05:55:48.000");
        assert_eq!(stamp.shown(0), "1970-01-01 00:00:00.000");
    }

    #[test]
    fn the_last_time_that_fits_has_four_digits_of_year() {
        assert!(Stamp::new(Zone::utc()).shown(u64::MAX).starts_with("2554-07-21"));
    }

    fn rfc3339(stamp: &mut Stamp, ns: u64) -> String {
        let mut out = Vec::new();
        stamp.rfc3339(ns, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn all_nanoseconds_stand_there_and_seconds_are_cached() {
        let mut times = Stamp::new(Zone::utc());
        assert_eq!(rfc3339(&mut times, 1_760_853_347_606_123_456), "2025-10-19T05:55:47.606123456+00:00");
        assert_eq!(rfc3339(&mut times, 1_760_853_347_000_000_007), "2025-10-19T05:55:47.000000007+00:00");
        assert_eq!(rfc3339(&mut times, 1_760_853_348_000_000_000), "2025-10-19T05:55:48.000000000+00:00");
        assert_eq!(rfc3339(&mut times, 0), "1970-01-01T00:00:00.000000000+00:00");
        assert_eq!(rfc3339(&mut times, u64::MAX), "2554-07-21T23:34:33.709551615+00:00");
    }

    #[test]
    fn a_local_time_names_the_same_moment() {
        for zone in ["CET-1CEST,M3.5.0,M10.5.0/3", "<+0545>-5:45", "NST3:30NDT,M3.2.0,M11.1.0"] {
            let mut times = Stamp::new(Zone::kept(zone, 0));
            for ns in [0, 1_760_853_347_606_123_456, 1_752_904_547_000_000_001] {
                let read: jiff::Timestamp = rfc3339(&mut times, ns).parse().expect("RFC 3339");
                assert_eq!(read.as_nanosecond(), i128::from(ns), "{zone}");
            }
        }
    }
}
