//! Descriptors of files that are ours alone.
//!
//! In a process whose standard streams somebody has closed, the next file that is opened gets the number of one, and what
//! the program then prints goes into that file.

use std::fs::File;
use std::os::fd::AsRawFd;

/// The highest number of a standard stream.
const STANDARD_ERROR: i32 = 2;

/// Opens something whose descriptor is to be none of the standard streams'.
pub(crate) fn above_standard<T>(open: impl FnOnce() -> T) -> T {
    let mut held = Vec::new();
    while let Ok(lowest) = File::open("/dev/null")
        && lowest.as_raw_fd() <= STANDARD_ERROR
    {
        held.push(lowest);
    }
    open()
}
