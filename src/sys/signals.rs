//! Signals that mean an ordinary end: the ring is marked, and the signal has its default effect.
//!
//! A handler cannot know that its signal ends the process: another handler may have called it, and the kernel ignores the
//! signal if it is sent to process 1 of a pid namespace. So it checks the present action, raises the signal from within, and
//! withdraws the mark if it survives. The mark of a process that lives on is never trusted.
//!
//! | handler of the signal | what our handler does | the mark |
//! |---|---|---|
//! | none: ours is the present action | marks, restores the default, raises; the process ends there | ended by this signal |
//! | none, and the kernel or a debugger drops it | marks, restores the default, raises; then continues, and reinstalls itself | is withdrawn |
//! | a handler from before `init` | is not installed | none |
//! | a handler from later that calls the one that it found (signal-hook, tokio) | nothing: without us that was the default action, which they do not call | none |
//! | a handler from later that calls no other, signalfd, sigwait | is not called | none |
//! | none, in a child that shares its parent's memory (vfork) | restores the default, raises; marks no ring, because none is the child's | none |
//! | none any more: the program has restored the default action | is not called | none; see [`watch`] for front ends that can tell |
//!
//! An end without a mark is inferred from the kernel's records, see `flusher/src/evidence/ending.rs`.

use crate::sys::action::{action_of, keeping_errno, set_action};
use lastwords_ring::mutant::{self, Mutant};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicPtr, Ordering};

/// SIGTERM, SIGINT and SIGHUP.
const ORDINARY: [libc::c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Called with the signal's number; must be safe in a signal handler.
type Mark = fn(u32);

static MARK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static UNMARK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Registers `mark` for when one of the ordinary signals is about to end the process, and `unmark` for when it did not. A
/// signal that the program already handles or ignores is left alone, and so is every handler that it installs later.
pub(crate) fn on_ordinary_end(mark: Mark, unmark: Mark) {
    MARK.store(mark as *mut (), Ordering::Release);
    UNMARK.store(unmark as *mut (), Ordering::Release);
    watch();
}

/// Installs our handler wherever the default action is set, if [`on_ordinary_end`] has been called.
pub(crate) fn watch() {
    if !MARK.load(Ordering::Acquire).is_null() {
        ORDINARY.into_iter().for_each(install);
    }
}

fn install(signal: libc::c_int) {
    let found = action_of(signal);
    if found.sa_sigaction == libc::SIG_DFL {
        // When the kernel ignores the signal, it interrupts no system call, and neither do we.
        let flags = libc::SA_RESTART | libc::SA_ONSTACK;
        set_action(signal, &libc::sigaction { sa_sigaction: our_handler(), sa_flags: flags, ..found });
    }
}

/// Defers these signals in the calling thread until `work` has finished: a ring that exists, but is unknown to the handlers,
/// would look like a crash. Another thread of the process may still get one then.
pub(crate) fn deferred<T>(work: impl FnOnce() -> T) -> T {
    let mut before = MaybeUninit::uninit();
    change_mask(libc::SIG_BLOCK, &ORDINARY, before.as_mut_ptr());
    let done = work();
    // SAFETY: pthread_sigmask has filled the mask, which cannot fail with a valid set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    done
}

fn change_mask(how: libc::c_int, signals: &[libc::c_int], before: *mut libc::sigset_t) {
    let mut set = MaybeUninit::uninit();
    // SAFETY: these are safe in a signal handler; sigemptyset initialises the set before the others read it, and `before` is
    // null or a place for a mask.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        libc::pthread_sigmask(how, set.as_ptr(), before);
    }
}

fn our_handler() -> usize {
    end as extern "C" fn(libc::c_int) as libc::sighandler_t
}

extern "C" fn end(signal: libc::c_int) {
    keeping_errno(|| {
        let found = action_of(signal);
        if found.sa_sigaction != our_handler() && !mutant::is(Mutant::ChainBlind) {
            return;
        }
        call(&MARK, signal);
        set_action(signal, &libc::sigaction { sa_sigaction: libc::SIG_DFL, sa_flags: 0, ..found });
        // SAFETY: raise is safe in a signal handler.
        unsafe { libc::raise(signal) };
        // Here it arrives.
        change_mask(libc::SIG_UNBLOCK, &[signal], std::ptr::null_mut());
        if !mutant::is(Mutant::MarkBelieved) {
            call(&UNMARK, signal);
        }
        install(signal);
    });
}

fn call(place: &AtomicPtr<()>, signal: libc::c_int) {
    let mark = place.load(Ordering::Acquire);
    if !mark.is_null() {
        // SAFETY: the pointer was stored from a function of this type, which is as large as a data pointer on every Linux
        // target.
        let mark = unsafe { std::mem::transmute::<*mut (), Mark>(mark) };
        mark(signal as u32);
    }
}
