//! Descriptors by number, whatever owns them.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::fd::{BorrowedFd, RawFd};

thread_local! {
    static OWN_TABLE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread has a table of its own, see `own_table.rs`.
pub(crate) fn is_own_table() -> bool {
    OWN_TABLE.get()
}

/// Notes that it has one from here on.
pub(crate) fn own_table_begins() {
    OWN_TABLE.set(true);
}

/// Stat of the descriptor of this number.
///
/// # Errors
/// EBADF if it is not open.
pub(crate) fn look(number: RawFd) -> io::Result<rustix::fs::Stat> {
    // SAFETY: only queried; a closed number yields an error.
    Ok(rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(number) })?)
}

/// Whether a descriptor of this number is open.
pub(crate) fn is_open(number: RawFd) -> bool {
    look(number).is_ok()
}

/// Takes over a descriptor of the calling thread's own table; no object may own this number yet.
pub(crate) fn adopt(number: RawFd) -> OwnedFd {
    // SAFETY: the caller guarantees that no other object owns the number in this table.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// `CLOSE_RANGE_UNSHARE`.
const UNSHARE: libc::c_uint = 1 << 1;

/// Gives the calling thread a private copy of its descriptor table, without the numbers from `first` to `last`.
///
/// # Errors
/// As `close_range(2)`: the kernel is older than 5.9, or a filter refuses the call.
pub(crate) fn leave_table(first: RawFd, last: RawFd) -> io::Result<()> {
    close_range(first, last, UNSHARE)
}

/// Closes the numbers from `first` to `last` in the calling thread's own table; no object may own one of them.
///
/// # Errors
/// As `close_range(2)`.
pub(crate) fn close_all(first: RawFd, last: RawFd) -> io::Result<()> {
    close_range(first, last, 0)
}

fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: closes descriptors of a table that the calling thread does not share, before or because of this very call, and in
    // which no object owns these numbers, as both callers guarantee.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes `number`, a standard stream's in the calling thread's own table, refer to `file`.
///
/// # Errors
/// As dup3(2).
pub(crate) fn lead_to(number: RawFd, file: &impl AsFd) -> io::Result<()> {
    // SAFETY: nothing uses what the number referred to before.
    match unsafe { libc::dup3(file.as_fd().as_raw_fd(), number, libc::O_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
