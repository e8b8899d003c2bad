//! Has other threads stand still in a handler, by a real-time signal that the program does not use at that moment.
//!
//! A thread that gets the signal leaves word where its registers are, and stays until the process has ended: whoever asked it reads
//! them, so there is one writer, and nothing moves meanwhile.

use crate::sys::action::{action_of, set_action, swap_action};
use crate::sys::capture::registers::{Registers, blocks};
use crate::sys::capture::{thread, thread_id};
use lastwords_ring::format::capture_record::OTHERS_MAX;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::sys::guard::Handler;
use rustix::thread::{Timespec, nanosleep};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

/// Any time; each wait is followed by another one.
const LONG: Timespec = Timespec { tv_sec: 3600, tv_nsec: 0 };

/// A thread that was asked, and what it answered.
struct Seat {
    thread: AtomicI32,
    /// What the kernel passed to its handler; null until it has answered.
    context: AtomicPtr<libc::c_void>,
    stack_end: AtomicU64,
}

static SEATS: [Seat; OTHERS_MAX] = [const {
    Seat { thread: AtomicI32::new(0), context: AtomicPtr::new(std::ptr::null_mut()), stack_end: AtomicU64::new(0) }
}; OTHERS_MAX];

/// The signal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summons(libc::c_int);

impl Summons {
    /// Takes a signal of which nobody has changed the action, and which the crashed thread did not block: that one could be
    /// waited for. The C library keeps some for itself below the first one. None if all are in use.
    pub(super) fn take(crashed: *const libc::c_void) -> Option<Summons> {
        let unused = |signal: &libc::c_int| !blocks(crashed, *signal) && is_default(&action_of(*signal));
        (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().filter(unused).find_map(|signal| {
            let found = swap_action(signal, &parking(action_of(signal)));
            if is_default(&found) {
                return Some(Summons(signal));
            }
            // It has been put to use between the two looks.
            set_action(signal, &found);
            None
        })
    }

    /// Whether a thread with this mask would not answer.
    pub(super) fn is_blocked_in(self, mask: u64) -> bool {
        mask >> (self.0 - 1) & 1 == 1 && !mutant::is(Mutant::DeafAsked)
    }

    /// Asks this thread to take this seat. False if it has ended, or no signal can be queued.
    pub(super) fn send(self, seat: usize, thread: i32) -> bool {
        SEATS[seat].thread.store(thread, Ordering::Release);
        signal_to(thread, self.0)
    }
}

/// Whether a thread of this process has this id.
pub(super) fn is_there(thread: i32) -> bool {
    signal_to(thread, 0)
}

/// The registers of the thread in this seat, and where its stack ends, once it has answered.
pub(super) fn answer(seat: usize) -> Option<(Option<Registers>, u64)> {
    let Seat { context, stack_end, .. } = &SEATS[seat];
    let context = context.load(Ordering::Acquire);
    (!context.is_null()).then(|| (Registers::of(context), stack_end.load(Ordering::Relaxed)))
}

fn is_default(action: &libc::sigaction) -> bool {
    action.sa_sigaction == libc::SIG_DFL || mutant::is(Mutant::SignalInUse)
}

/// The default action as one that has a thread stand still, and handle nothing else.
fn parking(mut action: libc::sigaction) -> libc::sigaction {
    action.sa_sigaction = park as Handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: fills the set that is passed to it.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    action
}

fn signal_to(thread: i32, signal: libc::c_int) -> bool {
    // SAFETY: no address is passed; the kernel checks that the thread is one of this process.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) == 0 }
}

extern "C" fn park(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let me = thread_id();
    let Some(seat) = SEATS.iter().find(|seat| seat.thread.load(Ordering::Acquire) == me) else {
        // Somebody else's signal: nobody has asked this thread.
        return;
    };
    seat.stack_end.store(thread::end_of_stack(me), Ordering::Relaxed);
    seat.context.store(context, Ordering::Release);
    loop {
        let _ = nanosleep(&LONG);
    }
}
