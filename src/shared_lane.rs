//! An overflow lane: shared by the threads that have none of their own, one at a time.
//!
//! Whoever finds the lane taken sleeps on a futex word, so that the flusher and the owner get the processor, and gives
//! up after a limit. The word holds the owner's thread id: a signal handler that interrupted the owner finds its own id
//! there and does not wait for itself.

use crate::logger::LaneSeat;
use crate::sys::futex;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Bit of the owner's word: somebody sleeps. Thread ids are far smaller.
const WAITED_FOR: u32 = 1 << 31;
/// Longest sleep before looking again, should a wake-up be lost to a thread that gave up.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A lane that threads share.
#[derive(Debug, Default)]
pub(crate) struct SharedLane {
    /// Thread id of the owner, 0 if there is none, with [`WAITED_FOR`].
    owner: AtomicU32,
    /// Only the owner locks it, so it never waits.
    seat: Mutex<Option<LaneSeat>>,
}

impl SharedLane {
    /// Does something with the lane, made by `fresh` at its first use. None if it is another thread's until `limit`, or
    /// the calling thread has it already.
    pub(crate) fn with<T>(
        &self,
        thread: u32,
        limit: Instant,
        fresh: impl FnOnce() -> LaneSeat,
        work: impl FnOnce(&mut LaneSeat) -> T,
    ) -> Option<T> {
        if !self.take(thread, limit) {
            return None;
        }
        // Poisoned is no matter: an owner that left an append open has it sealed by the next.
        let mut seat = self.seat.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let done = work(seat.get_or_insert_with(fresh));
        drop(seat);
        self.give_back();
        Some(done)
    }

    fn take(&self, thread: u32, limit: Instant) -> bool {
        // Who has slept does not know whether others still do, so it leaves the bit set.
        let mut mine = thread;
        loop {
            let found = self.owner.load(Ordering::Relaxed);
            let owner = found & !WAITED_FOR;
            if owner == 0 {
                if self.swap(found, mine) {
                    return true;
                }
                continue;
            }
            let now = Instant::now();
            if owner == thread || now >= limit {
                return false;
            }
            if found & WAITED_FOR == 0 && !self.swap(found, found | WAITED_FOR) {
                continue;
            }
            futex::wait(&self.owner, owner | WAITED_FOR, LOOK_AGAIN.min(limit - now));
            mine = thread | WAITED_FOR;
        }
    }

    fn swap(&self, from: u32, to: u32) -> bool {
        self.owner.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn give_back(&self) {
        if self.owner.swap(0, Ordering::Release) & WAITED_FOR != 0 {
            futex::wake_one(&self.owner);
        }
    }
}
