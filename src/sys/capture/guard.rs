//! Who captures: one thread at a time.

use rustix::thread::{Timespec, nanosleep};
use std::sync::atomic::{AtomicI32, Ordering};

/// Nobody captures; nobody will any more, because whoever did takes too long.
const FREE: i32 = 0;
const STUCK: i32 = -1;
/// How often a thread looks whether another one is done, and the time between.
const LOOKS_MAX: u32 = 200;
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// The thread that captures.
static OWNER: AtomicI32 = AtomicI32::new(FREE);

/// The right to capture.
#[derive(Debug)]
pub(super) struct Guard(i32);

impl Guard {
    /// Takes the right for this thread, after a short wait where another one captures. None within the thread's own capture:
    /// that has caused a fault, and what it has written stays. Safe in a signal handler.
    pub(super) fn take(thread: i32) -> Option<Guard> {
        for _ in 0..LOOKS_MAX {
            match OWNER.compare_exchange(FREE, thread, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(Guard(thread)),
                Err(owner) if owner == thread || owner == STUCK => return None,
                Err(_) => _ = nanosleep(&LOOK),
            }
        }
        // Later signals, which the program may survive, do not wait again.
        OWNER.store(STUCK, Ordering::Relaxed);
        None
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = OWNER.compare_exchange(self.0, FREE, Ordering::Release, Ordering::Relaxed);
    }
}
