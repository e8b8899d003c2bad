//! The calling thread: its name, and where its stack ends.

use lastwords_ring::format::capture_record::NAME;

/// The calling thread's name, filled up with zeros.
pub(super) fn name() -> [u8; NAME] {
    let mut name = [0; NAME];
    // SAFETY: the kernel writes up to 16 bytes there.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

/// An address just above the outermost frame of the calling thread's stack: of the main thread what the kernel put there
/// for the program, of others what the C library keeps there about the thread.
pub(super) fn end_of_stack(thread: i32) -> u64 {
    // SAFETY: these have no preconditions; they read a pointer that was set before the thread began.
    unsafe {
        if thread == libc::getpid() { libc::getauxval(libc::AT_RANDOM) as u64 } else { libc::pthread_self() as u64 }
    }
}
