//! Waiting on a word of a ring's control page across processes, and waking its waiters.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

unsafe extern "C-unwind" {
    /// As in libc, except that it may unwind: a signal handler may leave it by `pthread_exit`.
    fn syscall(number: libc::c_long, ...) -> libc::c_long;
}

/// Sleeps until `word` is woken, or no longer holds `seen`, or the timeout. The caller has to check which.
pub fn wait(word: &AtomicU32, seen: u32, timeout: Duration) {
    let time = libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
    };
    // SAFETY: the word outlives the call, and the kernel only reads it and the timeout.
    unsafe { syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, seen, &time) };
}

/// Wakes one thread that waits on `word`.
pub(crate) fn wake_one(word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE does not access the word.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

/// Wakes all waiters on the word at `address`, which may be in a file that was truncated meanwhile.
pub fn wake_all(address: usize) -> std::io::Result<()> {
    // SAFETY: FUTEX_WAKE does not access the word, and an unmapped address yields EFAULT.
    let woken = unsafe { libc::syscall(libc::SYS_futex, address, libc::FUTEX_WAKE, i32::MAX) };
    if woken < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
