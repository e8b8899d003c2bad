//! `durable`: when and in which order writes are synced to the disk.
//!
//! The kernel writes pages back when it likes and in any order, so after a power loss a position may be on the disk and
//! its line not. A sync is therefore a whole round, after which nothing that was drained before it depends on a page
//! that the kernel still holds:
//!
//! | label | what | why not later |
//! |---|---|---|
//! | SYNC:1 | the journal | a torn log file is completed from it |
//! | SYNC:2 | the log files | a position must not be forced to the disk before its line |
//! | SYNC:3 | the folders, where names changed | a file's data without its name is lost |
//! | SYNC:4 | the rings | positions, so that no line is read again; and what was logged but not drained yet |
//!
//! SYNC:1 to SYNC:3 also come before anything is removed, and a log file is synced before a rotation renames it. In
//! between nothing waits for a disk. Where nothing was written since the last round there is no next one.

use crate::drain::tracked_ring::TrackedRing;
use crate::files::journal::Journal;
use crate::files::output::Output;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::place::folder::{Folder, sync_names};
use std::time::{Duration, Instant};

/// Shortest time before a sync that failed is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// When to sync next.
#[derive(Debug)]
pub(crate) struct Durable {
    /// The flusher's own setting, which overrides the rings.
    own: Option<Duration>,
    /// Time between two syncs; zero where there are none.
    every: Duration,
    last: Instant,
    /// Something was written since the last sync.
    unsynced: bool,
    /// Files were made or renamed.
    names: bool,
    /// An earlier flusher may have died before its sync.
    inherited: bool,
    failing: Option<(Instant, String)>,
}

/// What a round of syncs found worth a line in the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The first failure in a row, with its reason.
    Fails(String),
    /// Syncs work again: after how long, and why they failed.
    Works(Duration, String),
}

impl Durable {
    pub(crate) fn new() -> Durable {
        Durable {
            own: None,
            every: Duration::ZERO,
            last: Instant::now(),
            unsynced: false,
            names: false,
            inherited: true,
            failing: None,
        }
    }

    /// Sets the interval, overriding the rings; zero for never.
    pub(crate) fn tell(&mut self, every: Duration) {
        self.own = Some(every);
        self.set(every);
    }

    /// Takes the setting of a newly tracked ring.
    pub(crate) fn adopt(&mut self, ring: &TrackedRing) {
        let requested = Duration::from_millis(ring.reader.header().sync_ms.into());
        let shortest = if self.is_on() { self.every.min(requested) } else { requested };
        if self.own.is_none() && requested > Duration::ZERO {
            self.set(shortest);
        }
        self.unsynced |= self.is_on();
        self.inherited = true;
    }

    /// A ring is no longer tracked: the settings of the others apply.
    pub(crate) fn leave(&mut self, rings: &[TrackedRing]) {
        if self.own.is_none() {
            let wishes = rings.iter().map(|ring| ring.reader.header().sync_ms).filter(|ms| *ms > 0);
            self.every = Duration::from_millis(wishes.min().unwrap_or(0).into());
        }
    }

    fn set(&mut self, every: Duration) {
        if !self.is_on() && every > Duration::ZERO {
            // What was written before, and the journal's own name, may be on no disk yet.
            (self.unsynced, self.names) = (true, true);
        }
        self.every = every;
    }

    pub(crate) fn is_on(&self) -> bool {
        self.every > Duration::ZERO
    }

    /// Notes that something was written.
    pub(crate) fn wrote(&mut self) {
        self.unsynced = true;
    }

    /// Notes that files were created or renamed.
    pub(crate) fn named(&mut self) {
        (self.unsynced, self.names) = (true, true);
    }

    /// Time until the next sync; None where there is nothing to sync.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        let every = if self.failing.is_some() { self.every.max(AGAIN) } else { self.every };
        (self.is_on() && self.unsynced).then(|| every.saturating_sub(self.last.elapsed()))
    }

    /// SYNC:1 to SYNC:3: everything in the files.
    pub(crate) fn sync_files(&mut self, folder: &Folder, journal: &mut Journal, outputs: &mut [Output]) -> Result<()> {
        journal.sync()?;
        if self.inherited {
            outputs.iter_mut().filter(|output| output.file.is_none()).try_for_each(|output| output.look(folder))?;
            self.inherited = false;
        }
        for file in outputs.iter_mut().filter_map(|output| output.file.as_mut()) {
            self.names |= file.sync()?;
        }
        if self.names {
            sync_names(&folder.rings())?;
            sync_names(folder.path())?;
            self.names = false;
        }
        Ok(())
    }

    /// SYNC:1 to SYNC:4. With `waiting` the log cannot be written, and records wait in the rings.
    pub(crate) fn sync(
        &mut self,
        folder: &Folder,
        journal: &mut Journal,
        outputs: &mut [Output],
        rings: &mut [TrackedRing],
        waiting: bool,
    ) -> Result<()> {
        self.last = Instant::now();
        self.sync_files(folder, journal, outputs)?;
        rings.iter_mut().try_for_each(|ring| ring.sync(waiting))?;
        self.unsynced = false;
        Ok(())
    }

    /// What to log about the outcome of a sync.
    pub(crate) fn judge(&mut self, outcome: &Result<()>) -> Option<News> {
        match outcome {
            Ok(()) => self.failing.take().map(|(since, why)| News::Works(since.elapsed(), why)),
            Err(error) => self.fails(error),
        }
    }

    fn fails(&mut self, error: &Error) -> Option<News> {
        let first = self.failing.is_none();
        self.failing.get_or_insert_with(|| (Instant::now(), error.to_string()));
        first.then(|| News::Fails(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn nothing_is_due_without_a_wish_and_without_something_written() {
        let mut durable = Durable::new();
        durable.wrote();
        assert_eq!(durable.due_in(), None, "not requested");
        durable.tell(Duration::from_secs(60));
        assert!(durable.due_in().is_some_and(|left| left > Duration::from_secs(50)));
        durable.unsynced = false;
        assert_eq!(durable.due_in(), None, "nothing was written");
        durable.wrote();
        assert!(durable.due_in().is_some());
        durable.tell(Duration::ZERO);
        assert_eq!(durable.due_in(), None, "switched off");
    }

    #[test]
    fn a_failure_is_told_once_and_so_is_its_end() {
        let mut durable = Durable::new();
        let fails = || Err(Error::io("sync", "x")(io::ErrorKind::Other.into()));
        assert_eq!(durable.judge(&Ok(())), None);
        assert!(matches!(durable.judge(&fails()), Some(News::Fails(_))));
        assert_eq!(durable.judge(&fails()), None);
        assert!(matches!(durable.judge(&Ok(())), Some(News::Works(..))));
        assert_eq!(durable.judge(&Ok(())), None);
    }
}
