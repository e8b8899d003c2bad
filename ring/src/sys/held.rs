//! Signals that are deferred briefly.

use std::mem::MaybeUninit;

/// Signals caused by an instruction instead of an outside event: they cannot be deferred.
const FAULTS: [libc::c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS, libc::SIGTRAP];

/// Runs `work`, which allocates or opens files, in the middle of a log call. The program's handlers do not run on this thread
/// meanwhile: one that logs would find the allocator in use by the thread that it interrupted.
pub fn without_handlers<T>(work: impl FnOnce() -> T) -> T {
    let (mut set, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: sigfillset initialises the set before the others read it.
    let held = unsafe {
        libc::sigfillset(set.as_mut_ptr());
        FAULTS.iter().for_each(|signal| _ = libc::sigdelset(set.as_mut_ptr(), *signal));
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr()) == 0
    };
    let done = work();
    if held {
        // SAFETY: the call above succeeded, so it filled the previous mask.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    done
}
