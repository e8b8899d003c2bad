//! Signals that mean an ordinary end: the ring is marked, and the signal does what it does by default.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicPtr, Ordering};

/// SIGTERM, SIGINT and SIGHUP.
const ORDINARY: [libc::c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// What is called with the signal's number; must be safe in a signal handler.
static MARK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Has `mark` called when one of the ordinary signals ends the process. A signal that the program handles or ignores
/// already is left alone, and so is every handler that it installs later.
pub(crate) fn on_ordinary_end(mark: fn(u32)) {
    MARK.store(mark as *mut (), Ordering::Release);
    for signal in ORDINARY {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: sigaction fills the structure that it is given, an all-zero one is valid, and the handler only does
        // what is safe in a signal handler: atomic stores, sigaction and raise.
        unsafe {
            if libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) != 0 {
                continue;
            }
            let mut action = action.assume_init();
            if action.sa_sigaction != libc::SIG_DFL {
                continue;
            }
            action.sa_sigaction = end as extern "C" fn(libc::c_int) as libc::sighandler_t;
            // The default action stands when the handler runs; raising the signal again within it ends the process
            // as soon as the handler returns.
            action.sa_flags = libc::SA_RESETHAND;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// Keeps these signals from the calling thread until `work` is done: a ring that is there, and that no handler knows yet,
/// would look like a crash. Another thread of the process may still get one then.
pub(crate) fn deferred<T>(work: impl FnOnce() -> T) -> T {
    let (mut set, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: sigemptyset initialises the set before the others read it, and pthread_sigmask fills the mask of before, which
    // cannot fail with a valid set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in ORDINARY {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
    }
    let done = work();
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    done
}

extern "C" fn end(signal: libc::c_int) {
    let mark = MARK.load(Ordering::Acquire);
    if !mark.is_null() {
        // SAFETY: the pointer was stored from a fn(u32), which is as large as a data pointer on every Linux target.
        let mark = unsafe { std::mem::transmute::<*mut (), fn(u32)>(mark) };
        mark(signal as u32);
    }
    // SAFETY: raise is safe in a signal handler.
    unsafe { libc::raise(signal) };
}
