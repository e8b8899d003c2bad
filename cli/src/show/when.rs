//! Points in time as people name them, and the times of log lines as points in time.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use lastwords_flusher::files::notices::FROM_HERE;
use lastwords_flusher::render::timestamp::TIME;
use lastwords_ring::place::zone::Zone;
use std::str::FromStr;

const SECOND: i64 = 1_000_000_000;

/// A point in time, before it is known what day it is and in which zone.
#[derive(Debug, Clone)]
pub(crate) enum When {
    /// So far from now.
    FromNow(Span),
    /// A day, so far from today, and a time in it.
    OnDay(i64, Time),
    /// A day and a time.
    Civil(DateTime),
    /// Nanoseconds since 1970.
    At(i64),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<When, String> {
        let text = text.trim();
        let day = |days| Ok(When::OnDay(days, Time::midnight()));
        match text {
            "now" => return Ok(When::FromNow(Span::new())),
            "today" => return day(0),
            "yesterday" => return day(-1),
            "tomorrow" => return day(1),
            _ => {}
        }
        if let Some(seconds) = text.strip_prefix('@').and_then(|text| text.parse::<f64>().ok()) {
            return Ok(When::At((seconds * SECOND as f64) as i64));
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return i64::try_from(at.as_nanosecond()).map(When::At).map_err(|_| "a time out of range".to_owned());
        }
        // A time alone is one of today; as a date and time it would be refused.
        if let Ok(time) = text.parse::<Time>()
            && text.contains(':')
            && !text.contains('-')
        {
            return Ok(When::OnDay(0, time));
        }
        if let Ok(civil) = text.parse::<DateTime>() {
            return Ok(When::Civil(civil));
        }
        if let Ok(date) = text.parse::<Date>() {
            return Ok(When::Civil(date.to_datetime(Time::midnight())));
        }
        // Without a sign or "ago" it is not said in which direction.
        let relative = text.ends_with("ago") || text.starts_with(['-', '+']);
        if let Some(span) = text.parse::<Span>().ok().filter(|_| relative) {
            return Ok(When::FromNow(span));
        }
        Err(format!(
            "\"{}\" found, expected a time as in \"2025-10-19 05:55:47\", 14:30, yesterday, \"10 min ago\" or RFC 3339",
            text.escape_default()
        ))
    }
}

impl When {
    /// Nanoseconds since 1970, in this zone, if it is `now` so many.
    pub(crate) fn ns(&self, zone: &Zone, now: u64) -> i64 {
        let now = now as i64;
        let local_now = now.div_euclid(SECOND) + i64::from(zone.offset(now.div_euclid(SECOND)));
        let civil = match self {
            When::At(ns) => return *ns,
            When::FromNow(span) => {
                let zoned = Timestamp::from_nanosecond(i128::from(now)).map(|now| now.to_zoned(TimeZone::UTC));
                let moved = zoned.and_then(|zoned| zoned.checked_add(*span));
                return moved.map_or(now, |zoned| zoned.timestamp().as_nanosecond() as i64);
            }
            When::Civil(civil) => Ok(*civil),
            When::OnDay(days, time) => Timestamp::from_second(local_now).and_then(|today| {
                Ok(today.to_zoned(TimeZone::UTC).date().checked_add(days.days())?.to_datetime(*time))
            }),
        };
        let Some(civil) = civil.ok().and_then(|civil| civil.to_zoned(TimeZone::UTC).ok()) else { return now };
        let ns = civil.timestamp().as_nanosecond() as i64;
        to_utc(zone, ns.div_euclid(SECOND)) * SECOND + ns.rem_euclid(SECOND)
    }
}

/// The second since 1970 at which clocks of this zone show this local second; of two the first.
fn to_utc(zone: &Zone, local: i64) -> i64 {
    const DAY: i64 = 86_400;
    let [before, after] = [-DAY, DAY].map(|by| i64::from(zone.offset(local + by)));
    let first = local - before;
    if before == after || i64::from(zone.offset(first)) == before { first } else { local - after }
}

/// The times of a log file's lines, which have no offset of their own, as points in time.
#[derive(Debug, Clone)]
pub(crate) struct LineClock {
    zone: Zone,
    /// The offset that a line of the flusher's has named, since then.
    offset: Option<i64>,
    /// Lines come the newest first.
    is_back: bool,
    /// The offset that the line before has named for those that come from now on.
    then: Option<i64>,
    /// The minute that was asked about last, and what it is.
    minute: [u8; MINUTE],
    /// The offset that its line had, if it had one.
    of_line: [u8; OFFSET],
    ns: i64,
}

const MINUTE: usize = "2025-10-19 05:55".len();
const OFFSET: usize = "+02:00".len();
/// What a line without an offset has in its place.
const NO_OFFSET: [u8; OFFSET] = [0; OFFSET];

impl LineClock {
    pub(crate) fn new(zone: Zone) -> LineClock {
        LineClock { zone, offset: None, is_back: false, then: None, minute: [0; MINUTE], of_line: NO_OFFSET, ns: 0 }
    }

    /// Of lines that come the newest first.
    pub(crate) fn backward(zone: Zone) -> LineClock {
        LineClock { is_back: true, ..LineClock::new(zone) }
    }

    /// Takes note of a message that says how the times from its own line on are to be read.
    #[inline]
    pub(crate) fn note(&mut self, message: &[u8]) -> bool {
        if let Some(then) = self.then.take() {
            (self.offset, self.minute) = (Some(then), [0; MINUTE]);
        }
        let Some(rest) = message.strip_prefix(FROM_HERE.as_bytes()) else { return false };
        (self.offset, self.minute) = (offset_of(rest), [0; MINUTE]);
        if self.is_back {
            const BEFORE: &[u8] = b", before UTC";
            let before = rest.windows(BEFORE.len()).position(|part| part == BEFORE);
            self.then = before.and_then(|at| offset_of(&rest[at + BEFORE.len()..]));
        }
        true
    }

    /// Nanoseconds since 1970 of a time like `2025-10-19 05:55:47.606`, with three digits of the second or more, and perhaps an
    /// offset, which counts then.
    #[inline]
    pub(crate) fn ns(&mut self, time: &[u8]) -> u64 {
        let Some(minute) = time.first_chunk::<MINUTE>() else { return 0 };
        let of_line = if time.len() == TIME { NO_OFFSET } else { offset_in(time) };
        if *minute != self.minute || of_line != self.of_line {
            self.ns = self.minute_ns(minute, &of_line);
            (self.minute, self.of_line) = (*minute, of_line);
        }
        let digit = |at: usize| i64::from(time[at].wrapping_sub(b'0'));
        let mut ns = (digit(MINUTE + 1) * 10 + digit(MINUTE + 2)) * SECOND;
        let mut unit = SECOND / 10;
        for byte in time[MINUTE + 4..].iter().take_while(|byte| byte.is_ascii_digit()) {
            ns += i64::from(byte - b'0') * unit;
            unit /= 10;
        }
        u64::try_from(self.ns + ns).unwrap_or(0)
    }

    /// Nanoseconds since 1970 at which clocks of the zone show this time, given as if they were in UTC.
    pub(crate) fn of_shown(&self, ns: u64) -> u64 {
        let (second, below) = (ns as i64 / SECOND, ns as i64 % SECOND);
        u64::try_from(to_utc(&self.zone, second) * SECOND + below).unwrap_or(0)
    }

    #[cold]
    fn minute_ns(&self, minute: &[u8; MINUTE], of_line: &[u8; OFFSET]) -> i64 {
        let parsed = std::str::from_utf8(minute).ok().and_then(|text| DateTime::strptime("%Y-%m-%d %H:%M", text).ok());
        let Some(local) = parsed.and_then(|civil| civil.to_zoned(TimeZone::UTC).ok()) else { return 0 };
        let local = local.timestamp().as_second();
        let named = std::str::from_utf8(of_line).ok().and_then(|text| Zone::named(text).ok());
        let offset = named.map(|zone| i64::from(zone.offset(0))).or(self.offset);
        offset.map_or_else(|| to_utc(&self.zone, local), |offset| local - offset) * SECOND
    }
}

/// The offset in seconds that a text begins with.
fn offset_of(text: &[u8]) -> Option<i64> {
    let zone = Zone::named(std::str::from_utf8(text.get(..OFFSET)?).ok()?).ok()?;
    Some(i64::from(zone.offset(0)))
}

/// The offset behind the digits of a time, as in `+02:00`.
#[cold]
fn offset_in(time: &[u8]) -> [u8; OFFSET] {
    let at = time.iter().skip(TIME).position(|byte| matches!(byte, b'+' | b'-' | b'Z')).map(|at| &time[TIME + at..]);
    match at {
        Some(b"Z") => *b"+00:00",
        Some(text) => text.first_chunk().copied().unwrap_or(NO_OFFSET),
        None => NO_OFFSET,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(text: &str, zone: &Zone) -> i64 {
        // 2025-10-19 05:55:47 UTC.
        text.parse::<When>().expect(text).ns(zone, 1_760_853_347_000_000_000) / SECOND
    }

    #[test]
    fn times_are_what_people_mean_by_them() {
        let zone = Zone::fixed(7200);
        for (text, expected) in [
            ("now", 1_760_853_347),
            ("10 min ago", 1_760_853_347 - 600),
            ("-2h", 1_760_853_347 - 7200),
            ("1 day ago", 1_760_853_347 - 86_400),
            ("@1000.5", 1000),
            ("2025-10-19T05:55:47Z", 1_760_853_347),
            ("2025-10-19T07:55:47+02:00", 1_760_853_347),
            ("2025-10-19 07:55:47", 1_760_853_347),
            ("2025-10-19 07:55", 1_760_853_300),
            ("07:55", 1_760_853_300),
            ("07:55:47", 1_760_853_347),
            ("today", 1_760_853_347 - 7 * 3600 - 55 * 60 - 47),
            ("yesterday", 1_760_853_347 - 7 * 3600 - 55 * 60 - 47 - 86_400),
            ("2025-10-19", 1_760_853_347 - 7 * 3600 - 55 * 60 - 47),
        ] {
            assert_eq!(ns(text, &zone), expected, "{text}");
        }
        for text in ["", "10 min", "soon", "25:00", "2025-13-01", "5"] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_newest_first_a_line_is_read_with_the_offset_that_the_next_notice_names_for_before() {
        let mut clock = LineClock::backward(Zone::utc());
        let notice = b"lastwords: from here on times are UTC+05:00 (Asia/Karachi), before UTC-03:00";
        let [time, hour] = [b"2025-10-26 02:30:00.250", b"2025-10-26 10:30:00.250"];
        assert!(!clock.note(b"after it, before another"));
        assert!(clock.note(notice));
        let of_notice = clock.ns(hour);
        assert!(!clock.note(b"before it"));
        assert_eq!(clock.ns(time), of_notice, "eight hours less, of eight hours more");
        assert!(!clock.note(b"before that"));
        assert_eq!(clock.ns(time), of_notice);
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "it says why it is skipped")]
    fn a_line_is_read_with_the_offset_that_the_file_names_before_it() {
        let Ok(berlin) = Zone::named("Europe/Berlin") else {
            println!("skipped: this system has no time zones");
            return;
        };
        let mut clock = LineClock::new(berlin);
        let summer = clock.ns(b"2025-10-26 02:30:00.250");
        assert_eq!(summer, 1_761_438_600_250_000_000, "the first of two");
        assert!(clock.note(b"lastwords: from here on times are UTC+01:00 (Europe/Berlin), before UTC+02:00"));
        assert_eq!(clock.ns(b"2025-10-26 02:30:00.250123"), summer + 3600 * SECOND as u64 + 123_000);
        assert_eq!(clock.ns(b"2025-10-26 02:30:00.000000001") % SECOND as u64, 1);
        for (time, expected) in [
            ("2025-10-26 02:30:00.250+02:00", summer),
            ("2025-10-26 02:30:00.250+01:00", summer + 3600 * SECOND as u64),
            ("2025-10-26 02:30:00.250", summer + 3600 * SECOND as u64),
            ("2025-10-26 00:30:00.250Z", summer),
            ("2025-10-26 00:30:00.250000 +00:00", summer),
        ] {
            assert_eq!(clock.ns(time.as_bytes()), expected, "{time}");
        }
    }
}
