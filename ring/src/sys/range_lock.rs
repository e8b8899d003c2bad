//! A lock of some bytes of a file, which excludes other threads and other processes, and is independent of flock(2).

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Time between two attempts to get the lock.
const TRY_AGAIN: Duration = Duration::from_millis(1);

/// The lock while it is held. It belongs to the open file description, so holders of the same description do not exclude each
/// other.
#[derive(Debug)]
pub(crate) struct RangeLock<'a> {
    file: &'a File,
    range: Range<u64>,
}

impl RangeLock<'_> {
    /// Takes the lock. None if it is not free within `limit`, or such locks are unavailable: a sandbox or the file system may
    /// refuse them.
    pub(crate) fn take(file: &File, range: Range<u64>, limit: Duration) -> Option<RangeLock<'_>> {
        let start = Instant::now();
        while !set(file, &range, libc::F_WRLCK) {
            let is_taken = matches!(errno(), Some(libc::EAGAIN | libc::EACCES | libc::EINTR));
            if !is_taken || start.elapsed() >= limit {
                return None;
            }
            std::thread::sleep(TRY_AGAIN);
        }
        Some(RangeLock { file, range })
    }
}

impl Drop for RangeLock<'_> {
    fn drop(&mut self) {
        // Closing alone is not enough: a process that was forked meanwhile has the file open too.
        set(self.file, &self.range, libc::F_UNLCK);
    }
}

fn errno() -> Option<i32> {
    std::io::Error::last_os_error().raw_os_error()
}

fn set(file: &File, range: &Range<u64>, kind: libc::c_int) -> bool {
    // SAFETY: a flock is plain numbers, for which zeros are valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = range.start as libc::off_t;
    lock.l_len = (range.end - range.start) as libc::off_t;
    // SAFETY: fcntl reads the lock passed to it, and the descriptor is open as long as `file` is borrowed.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) == 0 }
}
