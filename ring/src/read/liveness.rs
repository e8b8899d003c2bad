//! Dead or alive: whether a ring may still be written to.
//!
//! | lock | process | ring in its maps | verdict |
//! |---|---|---|---|
//! | free | provably gone | - | dead |
//! | free | runs | yes | alive |
//! | free | runs | no | dead: it ended by exec, or closed the logger |
//! | free | cannot be decided | - | dead, once two checks a second apart agree |
//! | free | runs | cannot be seen | dead, once two checks a second apart agree |
//! | held | provably gone | - | dead: a forked child keeps the lock |
//! | held | runs | - | alive |
//! | held | cannot be decided | - | unseen: it may live, and its ring is kept and drained |
//!
//! `process.rs` describes the proof of a death: a held lock outranks everything that only looks like one. A ring is never
//! removed while its lock is held, not even a dead process's. How the ring was closed changes only the wording of its messages.

use crate::place::process::{self, ProcessId, ProcessState};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The ring may still be written to.
    Alive,
    /// The ring will never be written to again.
    Dead,
    /// The process runs, but has replaced its program and left the ring.
    Exec,
    /// Dead, if another check a second later agrees.
    Perhaps,
    /// The process is not visible from here, but the ring's lock is held.
    Unseen,
}

impl Verdict {
    /// Whether the ring may still be written to, as far as known.
    #[must_use]
    pub fn may_live(self) -> bool {
        matches!(self, Verdict::Alive | Verdict::Unseen)
    }
}

/// The inputs of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Whether the ring's lock is held.
    pub held: bool,
    /// What is known of the process.
    pub process: ProcessState,
    /// Whether the process has the ring mapped, if that is visible.
    pub mapped: Option<bool>,
}

impl Evidence {
    /// The table.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match (self.held, self.process, self.mapped) {
            (_, ProcessState::Gone, _) => Verdict::Dead,
            (true, ProcessState::Unknown, _) => Verdict::Unseen,
            (true, ProcessState::Alive, _) | (false, ProcessState::Alive, Some(true)) => Verdict::Alive,
            (false, ProcessState::Alive, Some(false)) => Verdict::Exec,
            (false, ProcessState::Alive, None) | (false, ProcessState::Unknown, _) => Verdict::Perhaps,
        }
    }

    /// Collects the evidence about the ring in `file`, whose inode is `inode`.
    ///
    /// # Errors
    /// As flock(2).
    pub fn collect(file: &File, inode: u64, process: ProcessId) -> io::Result<Evidence> {
        Evidence::collect_of(file, inode, process, false)
    }

    /// Like [`Evidence::collect`]. A process that has not ended, as is `known`, and holds the lock is alive; one that does not
    /// hold it may be about to end.
    ///
    /// # Errors
    /// As flock(2).
    pub fn collect_of(file: &File, inode: u64, process: ProcessId, known: bool) -> io::Result<Evidence> {
        let held = is_locked(file)?;
        let state = if held && known { ProcessState::Alive } else { process.state(Some(inode)) };
        let look = !held && state == ProcessState::Alive;
        let mapped = if look { process::has_mapped(process.pid, inode) } else { None };
        Ok(Evidence { held, process: state, mapped })
    }
}

/// Whether the lock of `file` is held.
///
/// # Errors
/// As flock(2).
pub fn is_locked(file: &File) -> io::Result<bool> {
    // A shared lock, so that two concurrent checks do not take each other for the owner.
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => rustix::fs::flock(file, FlockOperation::Unlock).map(|()| false).map_err(io::Error::from),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Remembers the first of two checks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watch {
    perhaps_since: Option<Instant>,
}

/// Time between the two checks.
const SECOND_LOOK: Duration = Duration::from_secs(1);

impl Watch {
    /// Whether the first of two checks was made.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.perhaps_since.is_some()
    }

    /// Decides `Perhaps` by time; returns any other verdict as it is.
    pub fn settle(&mut self, verdict: Verdict, now: Instant) -> Verdict {
        if verdict != Verdict::Perhaps {
            self.perhaps_since = None;
            return verdict;
        }
        let since = *self.perhaps_since.get_or_insert(now);
        if now.duration_since(since) >= SECOND_LOOK { Verdict::Dead } else { Verdict::Perhaps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn every_row_of_the_table() {
        use ProcessState::{Alive, Gone, Unknown};
        let rows = [
            (false, Gone, None, Verdict::Dead),
            (false, Alive, Some(true), Verdict::Alive),
            (false, Alive, Some(false), Verdict::Exec),
            (false, Unknown, None, Verdict::Perhaps),
            (false, Alive, None, Verdict::Perhaps),
            (true, Gone, None, Verdict::Dead),
            (true, Alive, None, Verdict::Alive),
            (true, Unknown, None, Verdict::Unseen),
            (true, Unknown, Some(true), Verdict::Unseen),
        ];
        for (held, process, mapped, expected) in rows {
            let evidence = Evidence { held, process, mapped };
            assert_eq!(evidence.verdict(), expected, "{evidence:?}");
        }
    }

    #[test]
    fn that_its_process_has_not_ended_counts_only_while_the_lock_is_held() {
        let scratch = Scratch::new("evidence");
        let path = scratch.path().join("ring");
        let (file, owner) = (File::create(&path).expect("made"), File::open(&path).expect("open"));
        let mut child = std::process::Command::new("true").spawn().expect("started");
        child.wait().expect("ended");
        let gone = ProcessId { pid: child.id(), start_time: 1, ..ProcessId::current() };
        let state = |known: bool| Evidence::collect_of(&file, 0, gone, known).expect("flock").process;
        assert_eq!((state(false), state(true)), (ProcessState::Gone, ProcessState::Gone), "the lock is free");
        rustix::fs::flock(&owner, FlockOperation::LockExclusive).expect("locked");
        assert_eq!((state(false), state(true)), (ProcessState::Gone, ProcessState::Alive), "the lock is held");
    }

    #[test]
    fn perhaps_becomes_dead_after_a_second_and_starts_anew_when_contradicted() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(watch.settle(Verdict::Perhaps, start), Verdict::Perhaps);
        assert_eq!(watch.settle(Verdict::Perhaps, after(999)), Verdict::Perhaps);
        assert_eq!(watch.settle(Verdict::Alive, after(1000)), Verdict::Alive);
        assert_eq!(watch.settle(Verdict::Perhaps, after(1001)), Verdict::Perhaps);
        assert_eq!(watch.settle(Verdict::Perhaps, after(2001)), Verdict::Dead);
    }
}
