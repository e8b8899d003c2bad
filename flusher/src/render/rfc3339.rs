//! Times as RFC 3339 has them, with nanoseconds and offset, cached for the second as in `timestamp.rs`.

use crate::render::timestamp::civil;
use lastwords_ring::place::zone::{Zone, offset_text};

const SECOND: usize = "2025-10-19T05:55:47".len();
const OFFSET: usize = "+02:00".len();

/// Writes times as `2025-10-19T05:55:47.606123456+02:00`.
#[derive(Debug)]
pub struct Rfc3339 {
    zone: Zone,
    second: Option<u64>,
    text: [u8; SECOND],
    offset: [u8; OFFSET],
}

impl Rfc3339 {
    /// With times of this zone.
    #[must_use]
    pub fn new(zone: Zone) -> Rfc3339 {
        Rfc3339 { zone, second: None, text: *b"1970-01-01T00:00:00", offset: *b"+00:00" }
    }

    /// Appends the time `ns` nanoseconds after 1970.
    pub fn append(&mut self, ns: u64, out: &mut Vec<u8>) {
        let (second, mut rest) = (ns / 1_000_000_000, ns % 1_000_000_000);
        if self.second != Some(second) {
            self.format(second);
        }
        out.extend_from_slice(&self.text);
        let mut fraction = *b".000000000";
        for digit in fraction[1..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&fraction);
        out.extend_from_slice(&self.offset);
    }

    #[cold]
    fn format(&mut self, second: u64) {
        let offset = self.zone.offset(second as i64);
        let text = civil(second as i64, offset).map(|time| time.strftime("%Y-%m-%dT%H:%M:%S").to_string());
        if let Some(time) = text.as_deref().and_then(|text| text.as_bytes().first_chunk::<SECOND>())
            && let Ok(offset) = offset_text(offset).as_bytes().try_into()
        {
            (self.text, self.offset) = (*time, offset);
        }
        self.second = Some(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(times: &mut Rfc3339, ns: u64) -> String {
        let mut out = Vec::new();
        times.append(ns, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn all_nanoseconds_stand_there_and_seconds_are_cached() {
        let mut times = Rfc3339::new(Zone::utc());
        assert_eq!(text(&mut times, 1_760_853_347_606_123_456), "2025-10-19T05:55:47.606123456+00:00");
        assert_eq!(text(&mut times, 1_760_853_347_000_000_007), "2025-10-19T05:55:47.000000007+00:00");
        assert_eq!(text(&mut times, 1_760_853_348_000_000_000), "2025-10-19T05:55:48.000000000+00:00");
        assert_eq!(text(&mut times, 0), "1970-01-01T00:00:00.000000000+00:00");
        assert_eq!(text(&mut times, u64::MAX), "2554-07-21T23:34:33.709551615+00:00");
    }

    #[test]
    fn a_local_time_names_the_same_moment() {
        for zone in ["CET-1CEST,M3.5.0,M10.5.0/3", "<+0545>-5:45", "NST3:30NDT,M3.2.0,M11.1.0"] {
            let mut times = Rfc3339::new(Zone::kept(zone, 0));
            for ns in [0, 1_760_853_347_606_123_456, 1_752_904_547_000_000_001] {
                let read: jiff::Timestamp = text(&mut times, ns).parse().expect("RFC 3339");
                assert_eq!(read.as_nanosecond(), i128::from(ns), "{zone}");
            }
        }
    }
}
