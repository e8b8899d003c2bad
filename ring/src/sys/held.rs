//! Signals that wait for a moment.

use std::mem::MaybeUninit;

/// Signals that are no news from outside but the consequence of an instruction: they cannot wait.
const FAULTS: [libc::c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS, libc::SIGTRAP];

/// Does something that allocates, or opens files, in the middle of a log call. No handler of the program runs on this thread
/// meanwhile: one that logs would find the allocator in use by the very thread that it has interrupted.
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
        // SAFETY: the call above succeeded, so it filled the mask of before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    done
}
