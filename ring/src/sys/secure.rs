//! Whether the kernel takes the program for one that has more rights than its user.

/// Whether it was started set-user-id, set-group-id, or with capabilities of its file: `AT_SECURE` in getauxval(3).
pub(crate) fn is_secure() -> bool {
    // SAFETY: reads a number that the kernel has left to each program.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
