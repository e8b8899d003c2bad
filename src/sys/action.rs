//! What is done about a signal: looked at and changed from within handlers too.

use std::mem::MaybeUninit;

/// What is done about `signal` at present.
pub(crate) fn action_of(signal: libc::c_int) -> libc::sigaction {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction is safe in a signal handler and fills the structure that it is given, for which zeros, the default
    // action, are a value too.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    }
}

/// Has this done about `signal`. A handler in `action` must be a function of this library of the signature that the flags
/// ask for, the default, or what [`action_of`] has told.
pub(crate) fn set_action(signal: libc::c_int, action: &libc::sigaction) {
    // SAFETY: sigaction is safe in a signal handler, and what stands in `action` is as the caller was told.
    unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) };
}

/// Restores the default action and returns what was there.
pub(crate) fn set_default(signal: libc::c_int) -> libc::sigaction {
    let found = action_of(signal);
    set_action(signal, &libc::sigaction { sa_sigaction: libc::SIG_DFL, sa_flags: 0, ..found });
    found
}

/// Does something and leaves the calling thread's errno as it was: the interrupted code may be about to read it.
pub(crate) fn keeping_errno<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the calling thread's own errno.
    let errno = unsafe { *libc::__errno_location() };
    let done = work();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    done
}
