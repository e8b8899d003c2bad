//! What cannot be said in a log file: a line on standard error.

use crate::sys::fsize;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt;

/// Says it, if that is possible without waiting. Standard error may be a file on the full disk that the line is about, or a
/// pipe that nobody reads. Not by `std`, whose lock another thread may have held when this process was forked.
pub(crate) fn complain(text: fmt::Arguments<'_>) {
    let (line, stderr) = (format!("lastwords: {text}\n"), std::io::stderr());
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut fds, Some(&now)).is_ok_and(|_| fds[0].revents().contains(PollFlags::OUT)) {
        let _ = fsize::without_signal(|| rustix::io::write(&stderr, line.as_bytes()));
    }
}
