//! A process that could not start a flusher thread: calls that do more than usual anyway try again.

use lastwords_ring::mutant::{self, Mutant};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The process, 0 for none.
static LACKING: AtomicU32 = AtomicU32::new(0);
/// Starts the threads.
static START: OnceLock<fn()> = OnceLock::new();

/// Notes that this process lacks a thread, and how to start it.
pub(crate) fn note(pid: u32, start: fn()) {
    let _ = START.set(start);
    LACKING.store(pid, Ordering::Release);
}

/// Tries again, if a thread is lacking. Called about once a second of activity.
#[inline]
pub(crate) fn try_again() {
    if LACKING.load(Ordering::Relaxed) != 0 {
        start();
    }
}

#[cold]
fn start() {
    if LACKING.swap(0, Ordering::AcqRel) == std::process::id()
        && !mutant::is(Mutant::ThreadNotTriedAgain)
        && let Some(start) = START.get()
    {
        start();
    }
}
