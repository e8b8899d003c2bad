//! Rotation by time: whether a line belongs to a later hour or day than those in its file.
//!
//! The periods are those of the folder's time zone. A day is what the calendar calls one, whatever hours daylight saving takes
//! from it or gives it; an hour is a real one, also where the clock shows it twice. What counts is the time of the lines, not of
//! the drain: a file is rotated before the first line of a later period, so that of a quiet program is rotated when it logs
//! again. A line that is late by a period goes where it comes. One that is earlier than that follows a clock that was set back,
//! and begins the count anew without a rotation.

use lastwords_ring::format::rotate_every::RotateEvery;
use lastwords_ring::place::zone::Zone;

const MINUTE_NS: u64 = 60_000_000_000;
const HOUR_S: i64 = 3600;
const DAY_S: i64 = 86_400;

/// The periods of the lines of a log file.
#[derive(Debug)]
pub(crate) struct Period {
    every: RotateEvery,
    zone: Zone,
    /// That of the youngest line before those that are being made; None if there is none.
    file: Option<i64>,
    /// That of the youngest line that is being made.
    made: Option<i64>,
    /// The minute that was asked about last, and its period: offsets are whole minutes.
    minute: u64,
    of_minute: i64,
}

impl Period {
    /// Of a file that is never rotated by time.
    pub(crate) fn new(zone: Zone) -> Period {
        Period { every: RotateEvery::Never, zone, file: None, made: None, minute: u64::MAX, of_minute: 0 }
    }

    /// From here on a file is rotated so often. Returns whether that is a change to periods which are not known of its lines.
    pub(crate) fn set_every(&mut self, every: RotateEvery) -> bool {
        let changed = self.every != every;
        if changed {
            (self.every, self.file, self.made, self.minute) = (every, None, None, u64::MAX);
        }
        changed && self.is_on()
    }

    pub(crate) fn is_on(&self) -> bool {
        self.every != RotateEvery::Never
    }

    /// From here on in this zone. The numbers of its periods differ from another's by one at most.
    pub(crate) fn change_zone(&mut self, zone: &Zone) {
        (self.zone, self.minute) = (zone.clone(), u64::MAX);
    }

    /// Begins lines that belong together. The ones before them are in the file, unless they were to be in the next one.
    #[inline]
    pub(crate) fn begin(&mut self) {
        if !self.is_due() {
            self.accept();
        }
        self.made = None;
    }

    /// A line of this time, in nanoseconds since 1970, is made.
    #[inline]
    pub(crate) fn add(&mut self, ns: u64) {
        if self.is_on() {
            if ns / MINUTE_NS != self.minute {
                self.look(ns);
            }
            self.made = self.made.max(Some(self.of_minute));
        }
    }

    #[cold]
    fn look(&mut self, ns: u64) {
        (self.minute, self.of_minute) = (ns / MINUTE_NS, self.of((ns / 1_000_000_000) as i64));
    }

    /// The number of the period of a second since 1970.
    fn of(&self, second: i64) -> i64 {
        let offset = i64::from(self.zone.offset(second));
        match self.every {
            RotateEvery::Day => (second + offset).div_euclid(DAY_S),
            // Of the offset no more than its part of an hour: the next hour is another one, even if the clock shows it again.
            _ => (second + offset.rem_euclid(HOUR_S)).div_euclid(HOUR_S),
        }
    }

    /// Whether the lines that are being made belong to the next file.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        matches!((self.file, self.made), (Some(file), Some(made)) if made > file)
    }

    /// The lines that are being made are in the file.
    pub(crate) fn accept(&mut self) {
        let Some(made) = self.made else { return };
        if self.file.is_none_or(|file| made > file || made < file - 1) {
            self.file = Some(made);
        }
    }

    /// The file is another one: its last line is of this second since 1970; None if it has none.
    pub(crate) fn open(&mut self, last: Option<i64>) {
        self.file = last.map(|second| self.of(second));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2025-10-26 01:00 UTC, when Berlin's clocks go back from 03:00 to 02:00.
    const WINTER_S: i64 = 1_761_440_400;

    fn berlin(every: RotateEvery) -> Period {
        let mut period = Period::new(Zone::kept("CET-1CEST,M3.5.0,M10.5.0/3", 0));
        period.set_every(every);
        period
    }

    /// Seconds before which a file is rotated, of lines at these seconds.
    fn rotations(period: &mut Period, seconds: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut found = Vec::new();
        for second in seconds {
            period.begin();
            period.add(second as u64 * 1_000_000_000);
            if period.is_due() {
                found.push(second);
                period.open(None);
            }
        }
        found
    }

    #[test]
    fn a_day_is_the_calendars_whatever_daylight_saving_makes_of_it() {
        // Midnight of 26 October is 22:00 UTC, that of the 27th 23:00 UTC: 25 hours.
        let midnight = WINTER_S - 3 * HOUR_S;
        let seconds = (midnight - DAY_S..midnight + 2 * DAY_S).step_by(60);
        assert_eq!(rotations(&mut berlin(RotateEvery::Day), seconds), [midnight, midnight + 25 * HOUR_S]);
        // That of 30 March 2025, of 23 hours.
        let midnight = 1_743_296_400 - 2 * HOUR_S;
        let seconds = (midnight - 60..midnight + DAY_S).step_by(60);
        assert_eq!(rotations(&mut berlin(RotateEvery::Day), seconds), [midnight, midnight + 23 * HOUR_S]);
    }

    #[test]
    fn an_hour_is_a_real_one_also_where_the_clock_shows_it_twice() {
        let seconds = (WINTER_S - HOUR_S + 1..WINTER_S + 2 * HOUR_S).step_by(1);
        assert_eq!(rotations(&mut berlin(RotateEvery::Hour), seconds), [WINTER_S, WINTER_S + HOUR_S]);
        let mut kolkata = Period::new(Zone::fixed(5 * 3600 + 1800));
        kolkata.set_every(RotateEvery::Hour);
        let half_past = 1_761_438_600;
        assert_eq!(rotations(&mut kolkata, half_past - 1700..half_past + 1700), [half_past]);
    }

    #[test]
    fn late_lines_and_a_clock_that_is_set_back_rotate_nothing_and_the_next_boundary_does() {
        let midnight = 1_761_436_800 - 1_761_436_800 % DAY_S;
        let mut utc = Period::new(Zone::utc());
        utc.set_every(RotateEvery::Day);
        let seconds = [midnight - 2, midnight, midnight - 1, midnight + 1, midnight + 9 * DAY_S];
        assert_eq!(rotations(&mut utc, seconds), [midnight, midnight + 9 * DAY_S]);
        let seconds = [midnight + 5, midnight + 6, midnight + DAY_S];
        assert_eq!(rotations(&mut utc, seconds), [midnight + DAY_S], "nine days back");
    }

    #[test]
    fn other_periods_and_another_zone_count_from_the_next_line() {
        let mut berlin = berlin(RotateEvery::Hour);
        assert!(rotations(&mut berlin, [WINTER_S, WINTER_S]).is_empty());
        berlin.set_every(RotateEvery::Day);
        // In the same minute.
        assert_eq!(rotations(&mut berlin, [WINTER_S + 1, WINTER_S + DAY_S]), [WINTER_S + DAY_S]);
        // From Berlin's midnight on, and with it there.
        let midnight = WINTER_S + 22 * HOUR_S;
        let mut period = Period::new(Zone::utc());
        period.set_every(RotateEvery::Day);
        assert!(rotations(&mut period, [midnight - 1, midnight]).is_empty());
        period.change_zone(&Zone::fixed(3600));
        assert_eq!(rotations(&mut period, [midnight, midnight + 3600]), [midnight]);
    }

    #[test]
    fn lines_that_were_to_be_in_the_next_file_and_are_gone_are_asked_about_again() {
        let mut utc = Period::new(Zone::utc());
        utc.set_every(RotateEvery::Day);
        utc.open(Some(DAY_S - 1));
        for _ in 0..2 {
            utc.begin();
            utc.add(DAY_S as u64 * 1_000_000_000);
            assert!(utc.is_due());
        }
        utc.accept();
        assert!(!utc.is_due());
        utc.set_every(RotateEvery::Never);
        utc.add(99 * DAY_S as u64 * 1_000_000_000);
        assert!(!utc.is_due());
    }
}
