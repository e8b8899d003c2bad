//! Whether a descriptor is ready, for those who wait for one.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Waits until `file` is ready, for as long as `limit`; false then, and if that cannot be known.
pub fn is_ready(file: &impl AsFd, what: PollFlags, limit: Duration) -> bool {
    let mut fds = [PollFd::new(file, what)];
    poll(&mut fds, Some(&timespec(limit))).is_ok_and(|_| fds[0].revents().contains(what))
}

/// Waits until one of these can be read or has been closed at its other end, for as long as `limit`.
pub fn wait_for_any(files: &[BorrowedFd<'_>], limit: Duration) {
    let mut fds: Vec<PollFd<'_>> = files.iter().map(|file| PollFd::new(file, PollFlags::IN)).collect();
    // An interrupted wait is a short one.
    let _ = poll(&mut fds, Some(&timespec(limit)));
}

/// A time as the kernel takes it.
#[must_use]
pub fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) }
}
