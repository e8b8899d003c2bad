//! Hooks of the C library: at exit, around fork, and the signal mask of our own threads.

use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

/// A hook that gets the exit status, where that can be known, and a pointer that means nothing.
pub(crate) type ExitHook = extern "C" fn(c_int, *mut c_void);

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    fn on_exit(hook: ExitHook, argument: *mut c_void) -> c_int;
}

/// Has `hook` run at an ordinary exit: return from main, or exit(3).
#[cfg(target_env = "gnu")]
pub(crate) fn at_exit(hook: ExitHook) {
    // SAFETY: on_exit, of glibc, only stores the pointer; the hook is a plain function that lives as long as the program.
    unsafe { on_exit(hook, std::ptr::null_mut()) };
}

/// The same with a C library that does not tell the exit status.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn at_exit(hook: ExitHook) {
    static HOOK: std::sync::OnceLock<ExitHook> = std::sync::OnceLock::new();
    extern "C" fn run() {
        HOOK.get().inspect(|hook| hook(0, std::ptr::null_mut()));
    }
    let _ = HOOK.set(hook);
    // SAFETY: atexit only stores the pointer; the hook is a plain function that lives as long as the program.
    unsafe { libc::atexit(run) };
}

unsafe extern "C" {
    fn at_quick_exit(hook: extern "C" fn()) -> c_int;
}

/// Has `hook` run at quick_exit(3).
pub(crate) fn at_quick_exit_do(hook: extern "C" fn()) {
    // SAFETY: at_quick_exit only stores the pointer; the hook is a plain function that lives as long as the program.
    unsafe { at_quick_exit(hook) };
}

/// Most descriptors that a forked child closes: those of rings, and of the processes that a flusher watches.
const INHERITED_MAX: usize = 4096;
/// Descriptors that a forked child closes at once, so that it does not keep the parent's locks. -1 is a free place.
static INHERITED: [AtomicI32; INHERITED_MAX] = [const { AtomicI32::new(-1) }; INHERITED_MAX];

extern "C" fn close_inherited() {
    for place in &INHERITED {
        let fd = place.swap(-1, Ordering::Relaxed);
        if fd >= 0 {
            // SAFETY: the descriptor belongs to this library, whose objects in the child are never used or dropped.
            unsafe { libc::close(fd) };
        }
    }
}

/// Has `before` called before each fork, and forked children close inherited descriptors, see [`close_in_child`].
pub(crate) fn at_fork(before: extern "C" fn()) {
    // SAFETY: pthread_atfork only stores the pointers; the hook of the child calls close(2), which is allowed after fork.
    unsafe { libc::pthread_atfork(Some(before), None, Some(close_inherited)) };
}

/// What a place points to, which is null or a leaked box.
pub(crate) fn leaked<T>(place: &'static AtomicPtr<T>) -> Option<&'static T> {
    // SAFETY: the places of the registry and of its lists are null or hold pointers made from `&'static` references.
    unsafe { place.load(Ordering::Acquire).as_ref() }
}

/// Lists a descriptor for closing in forked children.
pub(crate) fn close_in_child(fd: RawFd) {
    for place in &INHERITED {
        if place.compare_exchange(-1, fd, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

/// Takes a descriptor off that list before it is closed.
#[cfg(feature = "flusher")]
pub(crate) fn forget_in_child(fd: RawFd) {
    for place in &INHERITED {
        let _ = place.compare_exchange(fd, -1, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Blocks all signals for the calling thread, so that no handler of the program ever runs on a thread of ours.
#[cfg(feature = "flusher")]
pub(crate) fn block_signals() {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: sigfillset initialises the set before pthread_sigmask reads it.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}
