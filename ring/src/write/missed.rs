//! Records that a forked child logs before it has a ring.
//!
//! A child creates its ring at its first record, and may be out of descriptors, memory or disk space just then. It tries again
//! with later records, after a pause that grows, so that a child that never succeeds costs next to nothing. The records in
//! between are counted here and reported as a loss of the ring as soon as there is one.

use crate::place::clock;
use crate::write::lane::count_drop;
use crate::format::layout::LaneBlock;
use crate::mutant::{self, Mutant};
use crate::atomics::Ordering as RingOrdering;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// First pause between two attempts, in nanoseconds. It doubles each time.
const PAUSE_MIN: u64 = 10_000_000;
/// Longest pause.
const PAUSE_MAX: u64 = 1_000_000_000;

/// Failed attempts of one process, and the records lost because of them.
#[derive(Debug)]
pub struct Missed {
    /// The process that the other fields belong to. A forked child finds its parent's.
    pid: AtomicU32,
    /// Boottime of the next attempt.
    again_ns: AtomicU64,
    pause_ns: AtomicU64,
    count: AtomicU64,
    /// Raw clocks of the first and the last lost record.
    first: AtomicU64,
    last: AtomicU64,
}

impl Default for Missed {
    fn default() -> Missed {
        Missed::new()
    }
}

impl Missed {
    /// Nothing was missed.
    pub const fn new() -> Missed {
        Missed {
            pid: AtomicU32::new(0),
            again_ns: AtomicU64::new(0),
            pause_ns: AtomicU64::new(0),
            count: AtomicU64::new(0),
            first: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// Whether this process has failed before.
    pub fn has_failed(&self, me: u32) -> bool {
        self.pid.load(Ordering::Acquire) == me && self.pause_ns.load(Ordering::Relaxed) > 0
    }

    /// Whether it may try now.
    pub fn may_try(&self, me: u32) -> bool {
        !self.has_failed(me)
            || (clock::boottime_ns() >= self.again_ns.load(Ordering::Relaxed) && !mutant::is(Mutant::TriedOnce))
    }

    /// Notes a failure. Returns whether it was the first one.
    pub fn failed(&self, me: u32) -> bool {
        self.be(me);
        let before = self.pause_ns.load(Ordering::Relaxed);
        let pause = (before * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.pause_ns.store(pause, Ordering::Relaxed);
        self.again_ns.store(clock::boottime_ns() + pause, Ordering::Relaxed);
        before == 0
    }

    /// Counts a record that is lost.
    pub fn count(&self, me: u32) {
        self.be(me);
        let now = clock::now();
        let _ = self.first.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Records that are lost and not reported yet.
    pub fn lost(&self, me: u32) -> u64 {
        if self.pid.load(Ordering::Acquire) == me { self.count.load(Ordering::Acquire) } else { 0 }
    }

    /// Reports them in the ring, as a loss of the lane of this block, which no thread has used yet.
    pub fn report(&self, me: u32, block: &LaneBlock) {
        if self.lost(me) == 0 || mutant::is(Mutant::MissedUncounted) {
            return;
        }
        count_drop(block, self.last.load(Ordering::Relaxed));
        block.dropped_first.store(self.first.swap(0, Ordering::Relaxed), RingOrdering::Relaxed);
        let count = self.count.swap(0, Ordering::AcqRel);
        block.dropped.fetch_add(count - 1, RingOrdering::Release);
    }

    /// Resets the state in a forked child.
    fn be(&self, me: u32) {
        let found = self.pid.load(Ordering::Acquire);
        if found != me && self.pid.compare_exchange(found, me, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            for word in [&self.pause_ns, &self.count, &self.first, &self.last, &self.again_ns] {
                word.store(0, Ordering::Relaxed);
            }
        }
    }
}
