//! Writing mapped words to a file.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicU64;

/// Writes the bytes of `words` to `file` at `offset`, without a copy, and returns their number. If they are in a mapped file
/// that was truncated, the kernel answers EFAULT, or writes less.
///
/// # Errors
/// As pwrite(2).
pub(crate) fn write_words_at(file: &File, words: &[AtomicU64], offset: u64) -> io::Result<usize> {
    let (fd, start, length) = (file.as_raw_fd(), words.as_ptr(), size_of_val(words));
    // SAFETY: start and length are of a slice that outlives the call, and the kernel only reads there; no reference to bytes is
    // created, so other processes may store to them meanwhile. Not by the C library's function, which is a cancellation point.
    let written = unsafe { libc::syscall(libc::SYS_pwrite64, fd, start, length, offset) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}
