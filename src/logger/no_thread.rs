//! A process that has no thread to flush because none could be had: where its calls do more than usual anyway, it tries again.

use lastwords_ring::mutant::{self, Mutant};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The process, 0 for none.
static LACKING: AtomicU32 = AtomicU32::new(0);
/// What starts the threads.
static START: OnceLock<fn()> = OnceLock::new();

/// Notes that this process lacks a thread, and what starts it.
pub(crate) fn note(pid: u32, start: fn()) {
    let _ = START.set(start);
    LACKING.store(pid, Ordering::Release);
}

/// Tries again, where one lacks. Asked about once a second of activity.
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
