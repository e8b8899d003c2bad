//! Writing mapped words to a file.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicU64;

/// Writes the bytes of `words` to `file` at `offset`, from where they stand, and returns how many it were. Where they are
/// in a mapped file that was cut, the kernel answers EFAULT, or writes less.
///
/// # Errors
/// As pwrite(2).
pub(crate) fn write_words_at(file: &File, words: &[AtomicU64], offset: u64) -> io::Result<usize> {
    let (fd, start, length) = (file.as_raw_fd(), words.as_ptr(), size_of_val(words));
    // SAFETY: start and length are of a slice that outlives the call, and the kernel only reads there; no reference to
    // bytes is made, so other processes may store to them meanwhile. Not by the C library's function, in which a thread
    // may be cancelled.
    let written = unsafe { libc::syscall(libc::SYS_pwrite64, fd, start, length, offset) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}
