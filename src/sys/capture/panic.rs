//! The capture of a panic of the main thread: it ends the process unless somebody catches it.
//!
//! The thread notes its stack as at a fatal signal, which takes less than finding the names of a backtrace; whoever drains the
//! dead ring finds them. A program that catches its panics pays for that once a second at most: a panic within a second of the
//! one before it has no capture, nor has that one any more.

use crate::sys::capture::guard::Guard;
use crate::sys::capture::{HELD, INTERVAL, Signal, first, milliseconds, thread_id};
use lastwords_ring::place::capture_file::{CaptureFile, SIZE};
use std::sync::atomic::{AtomicU64, Ordering};

/// When the last one was captured.
static CAPTURED: AtomicU64 = AtomicU64::new(0);

/// Captures the calling thread, which is about to panic. To be called by the main thread only.
pub(crate) fn of_main_thread(file: &CaptureFile) {
    let Some(guard) = Guard::take(thread_id()) else { return };
    if HELD.end.load(Ordering::Acquire) != 0 {
        // Another thread's fatal signal, of which an earlier handler may not have decided yet, counts for more.
        return;
    }
    let now = milliseconds();
    if CAPTURED.load(Ordering::Relaxed).wrapping_add(INTERVAL) > now {
        file.with(|fd| HELD.make_void(SIZE, fd));
        return;
    }
    let Some(context) = own_context() else { return };
    // SAFETY: a siginfo is numbers; without a signal all of them are 0.
    let info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let context = std::ptr::from_ref(&context).cast();
    let panic = Signal { info: &info, context, has_earlier: true, is_nested: false };
    first(file, &panic, thread_id(), true, &guard);
    // A fatal signal takes its place, also one that arrives within the second, on any thread.
    HELD.end.store(0, Ordering::Release);
    HELD.milliseconds.store(0, Ordering::Relaxed);
    CAPTURED.store(now, Ordering::Relaxed);
}

/// The registers of the caller; None where the C library does not tell them.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
#[inline(always)]
fn own_context() -> Option<libc::ucontext_t> {
    // SAFETY: a context is numbers and pointers that may be null.
    let mut context: libc::ucontext_t = unsafe { std::mem::zeroed() };
    // SAFETY: getcontext(3) fills it, and is left only once: nothing goes back to it.
    (unsafe { libc::getcontext(&mut context) } == 0).then_some(context)
}

#[cfg(not(all(target_arch = "x86_64", target_env = "gnu")))]
fn own_context() -> Option<libc::ucontext_t> {
    None
}
