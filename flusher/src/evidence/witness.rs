//! Witnesses of a process's end: descriptors that were opened while it lived.

use crate::evidence::ending::WaitStatus;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::ancestors;
use lastwords_ring::place::descriptor::{Kept, Opened};
use lastwords_ring::place::process::ProcessId;
use lastwords_ring::sys::ready::is_ready;
use lastwords_ring::sys::{hooks, pidfd};
use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Processes without a ring so far that are remembered.
const EXPECTED_MAX: usize = 4;
/// Limit for a process that cannot read its own.
const DESCRIPTORS_USUAL: u64 = 1024;
/// Most witnesses in one process, whatever its limit of descriptors.
const WITNESSES_MAX: u64 = 2048;

/// A descriptor that becomes readable when its process ends, and reports how if the kernel does.
#[derive(Debug)]
pub struct Witness {
    process: ProcessId,
    pidfd: Kept,
    /// When the process was last seen alive.
    lived: Mutex<Option<Instant>>,
}

impl Witness {
    /// Opens one for a process that can be seen from here, if only as a zombie, or from which this process was forked.
    fn of(process: ProcessId) -> Option<Witness> {
        Witness::open(process).or_else(|| Witness::new(process, ancestors::find(process.pid, process.start_time)?))
    }

    fn open(process: ProcessId) -> Option<Witness> {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw)?;
        let witness = Witness::new(process, Opened::new(pidfd_open(pid, PidfdFlags::empty()).ok()?).ok()?);
        // Only now is it certain that the descriptor does not belong to a later process with the same pid.
        witness.filter(|_| process.is_there())
    }

    fn new(process: ProcessId, pidfd: Opened) -> Option<Witness> {
        Some(Witness { process, pidfd: Kept::new(pidfd).ok()?, lived: Mutex::default() })
    }

    /// What becomes readable at the end.
    ///
    /// # Errors
    /// As [`Kept::file`].
    pub fn descriptor(&self) -> io::Result<&File> {
        self.pidfd.file()
    }

    /// Whether the process had ended at `now`. The kernel is asked once for all rings of the process in a pass, which has one
    /// `now`.
    pub(crate) fn has_seen_the_end(&self, now: Instant) -> bool {
        let mut lived = self.lived.lock().unwrap_or_else(PoisonError::into_inner);
        if lived.is_some_and(|lived| lived >= now) {
            return false;
        }
        let has_ended = match self.descriptor() {
            Ok(pidfd) => is_ready(pidfd, PollFlags::IN, Duration::ZERO),
            Err(_) => self.process.has_vanished(),
        };
        *lived = (!has_ended).then_some(now);
        has_ended
    }

    /// Whether it proves that the process lives at `now`.
    pub(crate) fn sees_it_live(&self, now: Instant) -> bool {
        self.descriptor().is_ok() && !self.has_seen_the_end(now)
    }

    /// How the process ended, once it has.
    fn status(&self) -> Option<WaitStatus> {
        pidfd::wait_status(self.descriptor().ok()?).map(WaitStatus::from_raw)
    }
}

/// The witnesses of one flusher. Rings of one process share one.
#[derive(Debug)]
pub struct Witnesses {
    all: Vec<Weak<Witness>>,
    /// Witnesses of processes whose rings may still be found.
    expected: Vec<Arc<Witness>>,
    most: usize,
}

impl Default for Witnesses {
    fn default() -> Witnesses {
        Witnesses::new()
    }
}

impl Witnesses {
    /// An empty set. A process may hold as many as a quarter of its descriptor limit.
    pub fn new() -> Witnesses {
        let limit = hooks::descriptors_max().unwrap_or(DESCRIPTORS_USUAL);
        Witnesses { all: Vec::new(), expected: Vec::new(), most: (limit / 4).min(WITNESSES_MAX) as usize }
    }

    /// A witness of the process; None if it cannot be watched from here, or too many are.
    pub(crate) fn of(&mut self, process: ProcessId) -> Option<Arc<Witness>> {
        self.all.retain(|witness| witness.strong_count() > 0);
        let known = self.all.iter().filter_map(Weak::upgrade).find(|witness| witness.process == process);
        if known.is_some() || self.all.len() >= self.most {
            return known;
        }
        let witness = Arc::new(Witness::of(process)?);
        self.all.push(Arc::downgrade(&witness));
        Some(witness)
    }

    /// Whether one more may be opened.
    pub(crate) fn has_room(&self) -> bool {
        self.all.iter().filter(|witness| witness.strong_count() > 0).count() < self.most
    }

    /// Like `of`, but keeps the witness for later callers, if it is among the last few.
    pub fn expect(&mut self, process: ProcessId) -> Option<Arc<Witness>> {
        let witness = self.of(process)?;
        if !self.expected.iter().any(|known| known.process == process) {
            self.expected.drain(..self.expected.len().saturating_sub(EXPECTED_MAX - 1));
            self.expected.push(Arc::clone(&witness));
        }
        Some(witness)
    }
}

/// How a dead process ended, according to the kernel: from the witness once its parent has reaped it, and before that, with the
/// right to read it, from the process table.
pub(crate) fn status(process: ProcessId, witness: Option<&Witness>) -> Option<WaitStatus> {
    if mutant::is(Mutant::StatusUnasked) {
        return None;
    }
    let seen = || witness.and_then(Witness::status);
    // It may be reaped between the two.
    seen().or_else(|| process.zombie_status().map(WaitStatus::from_raw)).or_else(seen)
}
