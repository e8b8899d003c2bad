//! Lanes' slots are faulted in before records are written to them, so that log calls meet no page fault. That takes 0.1 to
//! 0.3 ms a lane, so the process's flusher thread does it ahead: for the first lane when it starts, and after each claim for
//! the lane that the next thread will claim. Where there is no such thread, and in a burst of claims that it is not ahead of,
//! the claiming thread does. Of many loggers most may log nothing, so only of the first few it is the flusher thread that
//! faults in the first lane.

use lastwords_ring::write::ring::Ring;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Which of the threads' lanes are faulted in. They are claimed for the first time in the order of their numbers.
#[derive(Debug)]
pub(super) struct Prefault {
    /// For each lane, whether somebody has begun with it.
    begun: Box<[AtomicBool]>,
    /// The lanes below it have been claimed.
    claimed: AtomicUsize,
    /// The first lane is left to the process's flusher thread.
    first_is_left: AtomicBool,
}

impl Prefault {
    pub(super) fn new(lanes: usize) -> Prefault {
        let begun = (0..lanes).map(|_| AtomicBool::new(false)).collect();
        Prefault { begun, claimed: AtomicUsize::new(0), first_is_left: AtomicBool::new(false) }
    }

    /// Leaves the first lane to the flusher thread, which is about to start.
    #[cfg(feature = "flusher")]
    pub(super) fn leave_first(&self) {
        self.first_is_left.store(true, Ordering::Relaxed);
    }

    /// For a thread that claims this lane for the first time.
    pub(super) fn at_claim(&self, ring: &Ring, lane: usize) {
        self.claimed.fetch_max(lane + 1, Ordering::Relaxed);
        if lane > 0 || !self.first_is_left.load(Ordering::Relaxed) {
            self.do_once(ring, lane);
        }
    }

    /// For the flusher thread, again and again: what is left to it, and the lane that will be claimed next.
    #[cfg(feature = "flusher")]
    pub(super) fn ahead(&self, ring: &Ring) {
        let claimed = self.claimed.load(Ordering::Relaxed);
        let ahead = usize::from(claimed > 0 || self.first_is_left.load(Ordering::Relaxed));
        (0..(claimed + ahead).min(self.begun.len())).for_each(|lane| self.do_once(ring, lane));
    }

    fn do_once(&self, ring: &Ring, lane: usize) {
        if !self.begun[lane].load(Ordering::Relaxed) && !self.begun[lane].swap(true, Ordering::Relaxed) {
            ring.prefault(lane);
        }
    }
}
