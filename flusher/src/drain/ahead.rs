//! Records with a time later than the moment at which they were read.
//!
//! The clock of such a record is wrong: it was set back since, like a time-stamp counter that restarts while the machine
//! sleeps, or the ring is damaged or hostile. The records are written in lane order; one line per tracked ring logs their
//! number.

use std::time::{Duration, Instant};

/// Longest time for which the line about such records waits for more of them.
const LOG_AFTER: Duration = Duration::from_secs(1);

/// The records of one ring whose clock was ahead.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    count: u64,
    /// By how much at most, as an order key.
    most: u64,
    /// Their number at the end of the last pass.
    before: u64,
    since: Option<Instant>,
    logged: bool,
}

impl Ahead {
    /// Takes note of a record.
    #[cold]
    pub(crate) fn note(&mut self, by: u64) {
        self.count += 1;
        self.most = self.most.max(by);
        self.since.get_or_insert_with(Instant::now);
    }

    /// At the end of a pass: how many records there were and by how much at most, if that is to be logged now: when a pass
    /// found no more of them, after a second, or with `last`, because nothing more is read.
    pub(crate) fn due(&mut self, last: bool) -> Option<(u64, u64)> {
        let stopped = self.count == std::mem::replace(&mut self.before, self.count);
        let long = self.since.is_some_and(|since| since.elapsed() > LOG_AFTER);
        (self.count > 0 && !self.logged && (stopped || long || last)).then_some((self.count, self.most))
    }

    /// Notes that they are logged.
    pub(crate) fn set_logged(&mut self) {
        self.logged = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ahead_is_told_once_and_after_the_last_of_it() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.due(true), None);
        ahead.note(5);
        ahead.note(9);
        assert_eq!(ahead.due(false), None, "more may come");
        ahead.note(1);
        assert_eq!(ahead.due(false), None);
        assert_eq!(ahead.due(false), Some((3, 9)));
        ahead.set_logged();
        ahead.note(1);
        assert_eq!((ahead.due(true), ahead.due(false)), (None, None));
        let mut ahead = Ahead::default();
        ahead.note(5);
        assert_eq!(ahead.due(true), Some((1, 5)));
    }
}
