//! Writes that the file size limit may refuse, without the signal that comes with the refusal.
//!
//! A write(2) or fallocate(2) beyond RLIMIT_FSIZE fails by EFBIG and sends the thread SIGXFSZ, which ends the process by
//! default. A log call must not do that, whatever the limit has become since the ring was made.

use std::mem::MaybeUninit;
use std::ptr;

/// Does something that writes to a file; a SIGXFSZ that it causes is taken back. One that was pending before, or is for
/// another thread, stays.
pub(crate) fn without_signal<T>(work: impl FnOnce() -> T) -> T {
    let (mut set, mut before) = (MaybeUninit::<libc::sigset_t>::uninit(), MaybeUninit::<libc::sigset_t>::uninit());
    // SAFETY: sigemptyset initialises the set before the others read it, and pthread_sigmask, which cannot fail with a valid
    // set, fills the mask of before.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
    }
    let was_pending = is_pending();
    let done = work();
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set is initialised, sigtimedwait may be given no place for the details, and the mask is the one of before.
    unsafe {
        if !was_pending {
            libc::sigtimedwait(set.as_ptr(), ptr::null_mut(), &now);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
    }
    done
}

/// Whether the signal waits for the calling thread already.
fn is_pending() -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigpending fills the set before sigismember reads it.
    unsafe {
        libc::sigemptyset(pending.as_mut_ptr());
        libc::sigpending(pending.as_mut_ptr());
        libc::sigismember(pending.as_ptr(), libc::SIGXFSZ) == 1
    }
}

/// Keeps the signal from the calling thread for good: a flusher's writes may fail, and it goes on.
pub fn block_signal() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: as above.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
    }
}

/// Largest file that this process may write, in bytes (ulimit -f); no limit where it may not know, because a sandbox refuses
/// the question, at which a log call must not fail.
#[must_use]
pub fn limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills the local that it is given.
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
