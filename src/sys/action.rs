//! Signal actions: read and changed from within handlers too.

use std::mem::MaybeUninit;

/// The present action of `signal`.
pub(crate) fn action_of(signal: libc::c_int) -> libc::sigaction {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction is safe in a signal handler and fills the structure passed to it, for which zeros, the default action,
    // are valid too.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    }
}

/// Sets the action of `signal`. A handler in `action` must be a function of this library of the signature that the flags
/// require, the default, or a result of [`action_of`].
pub(crate) fn set_action(signal: libc::c_int, action: &libc::sigaction) {
    swap_action(signal, action);
}

/// Like [`set_action`]; returns the previous action.
pub(crate) fn swap_action(signal: libc::c_int, action: &libc::sigaction) -> libc::sigaction {
    let mut found = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction is safe in a signal handler and fills the structure passed to it, for which zeros are valid too;
    // `action` is as required of the caller.
    unsafe {
        libc::sigaction(signal, action, found.as_mut_ptr());
        found.assume_init()
    }
}

/// Restores the default action and returns the previous one.
pub(crate) fn set_default(signal: libc::c_int) -> libc::sigaction {
    let found = action_of(signal);
    set_action(signal, &libc::sigaction { sa_sigaction: libc::SIG_DFL, sa_flags: 0, ..found });
    found
}

/// Runs `work` and preserves the calling thread's errno: the interrupted code may be about to read it.
pub(crate) fn keeping_errno<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the calling thread's own errno.
    let errno = unsafe { *libc::__errno_location() };
    let done = work();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    done
}
