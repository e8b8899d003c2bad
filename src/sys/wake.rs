//! A word to this process's sleeping threads: an eventfd, which each of them watches while it sleeps.
//!
//! A forked child closes the one that it inherits and makes its own.

use crate::sys::hooks;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{read, write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The process's pid in the high half, its descriptor in the low half; 0 before the first use.
static WAKE: AtomicU64 = AtomicU64::new(0);

/// Makes this process's descriptor, where it has none. Without one, threads sleep to the end.
pub(crate) fn prepare() {
    let me = std::process::id();
    let found = WAKE.load(Ordering::Acquire);
    if found >> 32 == u64::from(me) {
        return;
    }
    let Ok(fd) = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK) else { return };
    let made = u64::from(me) << 32 | u64::from(fd.as_raw_fd().cast_unsigned());
    if WAKE.compare_exchange(found, made, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        hooks::close_in_child(fd.into_raw_fd());
    }
}

fn descriptor() -> Option<BorrowedFd<'static>> {
    let word = WAKE.load(Ordering::Acquire);
    let is_ours = word != 0 && word >> 32 == u64::from(std::process::id());
    // SAFETY: `prepare` has opened the descriptor in this very process, and nobody closes it.
    is_ours.then(|| unsafe { BorrowedFd::borrow_raw((word as u32).cast_signed()) })
}

/// Has all threads that sleep here wake up, and further sleeps end at once, until [`rest`].
pub(crate) fn wake() {
    let _ = descriptor().map(|fd| write(fd, &1u64.to_ne_bytes()));
}

/// Lets threads sleep again.
pub(crate) fn rest() {
    let _ = descriptor().map(|fd| read(fd, &mut [0; 8]));
}

/// Sleeps.
pub(crate) fn sleep(timeout: Duration) {
    match descriptor() {
        Some(fd) => wait(&mut [PollFd::new(&fd, PollFlags::IN)], timeout),
        None => std::thread::sleep(timeout),
    }
}

/// Sleeps until there is something to read from `other`.
pub(crate) fn sleep_beside(timeout: Duration, other: &impl AsFd) {
    match descriptor() {
        Some(fd) => wait(&mut [PollFd::new(other, PollFlags::IN), PollFd::new(&fd, PollFlags::IN)], timeout),
        None => wait(&mut [PollFd::new(other, PollFlags::IN)], timeout),
    }
}

fn wait(fds: &mut [PollFd<'_>], timeout: Duration) {
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
    let _ = poll(fds, Some(&timeout));
}
