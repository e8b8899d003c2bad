//! Who captures: one thread at a time.

use rustix::thread::{Timespec, nanosleep};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// Nobody captures; nobody will any more, because whoever did takes too long.
const FREE: i32 = 0;
const STUCK: i32 = -1;
/// Time between two looks at what another thread does, and how many there are: 200 ms for it to be done, 10 ms for those who
/// wait for that.
pub(super) const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000 };
const LOOKS_MAX: u32 = 2000;
const LOOKS_FOR_OTHERS: u32 = 100;

/// The thread that captures.
static OWNER: AtomicI32 = AtomicI32::new(FREE);
/// Threads that have waited for the right and are not done.
static WAITING: AtomicU32 = AtomicU32::new(0);

/// The right to capture.
#[derive(Debug)]
pub(super) struct Guard {
    thread: i32,
    has_waited: bool,
}

impl Guard {
    /// Whether a thread captures.
    pub(super) fn is_taken() -> bool {
        OWNER.load(Ordering::Acquire) != FREE
    }

    /// Takes the right for this thread, after a short wait where another one captures. None within the thread's own capture:
    /// that has caused a fault, and what it has written stays. Safe in a signal handler.
    pub(super) fn take(thread: i32) -> Option<Guard> {
        match Guard::attempt(thread) {
            Ok(()) => return Some(Guard { thread, has_waited: false }),
            Err(owner) if owner == thread || owner == STUCK => return None,
            Err(_) => {}
        }
        WAITING.fetch_add(1, Ordering::Relaxed);
        for _ in 0..LOOKS_MAX {
            let _ = nanosleep(&LOOK);
            match Guard::attempt(thread) {
                Ok(()) => return Some(Guard { thread, has_waited: true }),
                Err(STUCK) => break,
                Err(_) => {}
            }
        }
        // Later signals, which the program may survive, do not wait again.
        OWNER.store(STUCK, Ordering::Relaxed);
        WAITING.fetch_sub(1, Ordering::Relaxed);
        None
    }

    fn attempt(thread: i32) -> Result<(), i32> {
        OWNER.compare_exchange(FREE, thread, Ordering::Acquire, Ordering::Relaxed).map(|_| ())
    }

    /// Gives the right to the threads that wait for it, and them the time to use it: the caller may be about to end the process.
    pub(super) fn give_to_others(self) {
        drop(self);
        for _ in 0..LOOKS_FOR_OTHERS {
            if WAITING.load(Ordering::Relaxed) == 0 {
                return;
            }
            let _ = nanosleep(&LOOK);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = OWNER.compare_exchange(self.thread, FREE, Ordering::Release, Ordering::Relaxed);
        if self.has_waited {
            WAITING.fetch_sub(1, Ordering::Release);
        }
    }
}
