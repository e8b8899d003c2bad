//! Descriptors by their numbers, whoever has them.

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

/// From here on it has.
pub(crate) fn own_table_begins() {
    OWN_TABLE.set(true);
}

/// What the descriptor of this number leads to.
///
/// # Errors
/// EBADF where nobody has it.
pub(crate) fn look(number: RawFd) -> io::Result<rustix::fs::Stat> {
    // SAFETY: only asked for; a number that is nobody's is an answer.
    Ok(rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(number) })?)
}

/// Whether a descriptor of this number is open.
pub(crate) fn is_open(number: RawFd) -> bool {
    look(number).is_ok()
}

/// Takes a descriptor of the calling thread's own table, in which no object has this number yet.
pub(crate) fn adopt(number: RawFd) -> OwnedFd {
    // SAFETY: the caller says that no other object has the number in this table.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// `CLOSE_RANGE_UNSHARE`.
const UNSHARE: libc::c_uint = 1 << 1;

/// Gives the calling thread a copy of its descriptor table to be its own, without the numbers from `first` to `last`.
///
/// # Errors
/// As `close_range(2)`: the kernel is older than 5.9, or a filter refuses the call.
pub(crate) fn leave_table(first: RawFd, last: RawFd) -> io::Result<()> {
    close_range(first, last, UNSHARE)
}

/// Closes the numbers from `first` to `last` in the calling thread's own table, in which no object has one of them.
///
/// # Errors
/// As `close_range(2)`.
pub(crate) fn close_all(first: RawFd, last: RawFd) -> io::Result<()> {
    close_range(first, last, 0)
}

fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: closes descriptors of a table that the calling thread shares with nobody, before or by this very call, and in which
    // no object has these numbers, as both callers say.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has `number`, a standard stream's in the calling thread's own table, lead where `file` leads.
///
/// # Errors
/// As dup3(2).
pub(crate) fn lead_to(number: RawFd, file: &impl AsFd) -> io::Result<()> {
    // SAFETY: what the number led to before is nothing that anybody uses.
    match unsafe { libc::dup3(file.as_fd().as_raw_fd(), number, libc::O_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
