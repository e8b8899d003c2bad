//! The calling thread: its name, and where its stack ends.

use lastwords_ring::format::capture_record::NAME;

const WORD: u64 = 8;

/// The calling thread's name, filled up with zeros.
pub(super) fn name() -> [u8; NAME] {
    let mut name = [0; NAME];
    // SAFETY: the kernel writes up to 16 bytes there.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

/// An address above the outermost frame of the calling thread's stack, and near: of the main thread that of what the kernel put
/// there for the program, of others that of what the C library keeps there about the thread. A multiple of a word.
pub(super) fn end_of_stack(thread: i32) -> u64 {
    // SAFETY: these have no preconditions; they read a pointer that was set before the thread began.
    let near =
        unsafe { if thread == libc::getpid() { libc::getauxval(libc::AT_RANDOM) } else { libc::pthread_self() } };
    near / WORD * WORD
}
