//! Whether a descriptor is ready, for those who wait for one.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::time::Duration;

/// Waits until `file` is ready, for as long as `limit`; false then, and if that cannot be known.
pub fn is_ready(file: &impl AsFd, what: PollFlags, limit: Duration) -> bool {
    let mut fds = [PollFd::new(file, what)];
    poll(&mut fds, Some(&timespec(limit))).is_ok_and(|_| fds[0].revents().contains(what))
}

/// A time as the kernel takes it.
#[must_use]
pub fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) }
}
