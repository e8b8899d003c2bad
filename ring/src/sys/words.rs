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

/// Bytes that a file of this process may have; a write beyond would end the process by SIGXFSZ. None where there is no limit,
/// or it cannot be known: a sandbox may refuse the call, and a log call must not fail because of that.
pub(crate) fn file_size_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: getrlimit writes to the structure that it is given, a local that outlives the call.
    let done = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
    (done == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}
