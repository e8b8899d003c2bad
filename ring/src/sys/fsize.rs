//! Writes that the file size limit may refuse, without the accompanying signal.
//!
//! A write(2) or fallocate(2) beyond RLIMIT_FSIZE fails with EFBIG and sends the thread SIGXFSZ, which kills the process by
//! default. A log call must not do that, even if the limit was lowered since the ring was created.

use std::mem::MaybeUninit;
use std::ptr;

/// Runs `work`, which writes to a file, and consumes a SIGXFSZ that it causes. One that was pending before, or is for another
/// thread, stays.
pub(crate) fn without_signal<T>(work: impl FnOnce() -> T) -> T {
    let (mut set, mut before) = (MaybeUninit::<libc::sigset_t>::uninit(), MaybeUninit::<libc::sigset_t>::uninit());
    // SAFETY: sigemptyset initialises the set before the others read it, and pthread_sigmask, which cannot fail with a valid
    // set, fills the previous mask.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
    }
    let was_pending = is_pending();
    let done = work();
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set is initialised, sigtimedwait accepts null for the details, and the mask is the previous one.
    unsafe {
        if !was_pending {
            libc::sigtimedwait(set.as_ptr(), ptr::null_mut(), &now);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
    }
    done
}

/// Whether the signal is already pending for the calling thread.
fn is_pending() -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigpending fills the set before sigismember reads it.
    unsafe {
        libc::sigemptyset(pending.as_mut_ptr());
        libc::sigpending(pending.as_mut_ptr());
        libc::sigismember(pending.as_ptr(), libc::SIGXFSZ) == 1
    }
}

/// Blocks the signal in the calling thread permanently: a flusher's writes may fail, and it continues.
pub fn block_signal() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: as above.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
    }
}

/// Largest file that this process may write, in bytes (ulimit -f); no limit if a sandbox refuses the question, on which a log
/// call must not fail.
#[must_use]
pub fn limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills the local passed to it.
    let answer = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
    if answer == 0 { limit.rlim_cur } else { u64::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_a_write_causes_is_taken_back() {
        let raise = || {
            // SAFETY: sends the calling thread a signal, as a write beyond the limit does.
            unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGXFSZ) };
            7
        };
        // The signal's default action would end the test.
        assert_eq!(without_signal(raise), 7);
        assert!(!is_pending());
    }
}
