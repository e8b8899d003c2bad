//! What the file holds: which signals of which threads, and what became of them.
//!
//! A capture is begun by one thread. Others whose signals arrive while its handler decides are added to it, each with its own
//! signal. A thread whose signal was made good takes back its own part alone: the whole capture is void when nothing is left of
//! it. The first one whose signal is about to end the process is written down as that.

use crate::sys::capture::writer::Writer;
use crate::sys::capture::{INTERVAL, milliseconds, thread_id};
use rustix::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

/// Milliseconds that an earlier handler may take to decide. A thread that has not come back by then has left it by siglongjmp.
const HANDLER_MAX: u64 = 10_000;

/// Changed by the thread that has the guard, but for `end`, which a panic clears too.
#[derive(Debug)]
pub(super) struct Held {
    /// Counts the captures.
    pub(super) number: AtomicU32,
    /// When it was begun, by which thread and at which instruction.
    pub(super) milliseconds: AtomicU64,
    pub(super) thread: AtomicI32,
    pub(super) program_counter: AtomicU64,
    /// Where it ends, 0 if it is void.
    pub(super) end: AtomicU64,
    /// It has what concerns the whole process.
    pub(super) is_whole: AtomicBool,
    /// How many signals in it may still end the process.
    pub(super) signals: AtomicU32,
    /// When a thread was added last, and which one.
    pub(super) added_milliseconds: AtomicU64,
    pub(super) added: AtomicI32,
    /// The thread whose signal ends the process, or 0.
    pub(super) ending: AtomicI32,
    /// Where a void one ended whose bytes are still there, or 0.
    pub(super) leftover: AtomicU64,
}

pub(super) static HELD: Held = Held {
    number: AtomicU32::new(0),
    milliseconds: AtomicU64::new(0),
    thread: AtomicI32::new(0),
    program_counter: AtomicU64::new(0),
    end: AtomicU64::new(0),
    is_whole: AtomicBool::new(false),
    signals: AtomicU32::new(0),
    added_milliseconds: AtomicU64::new(0),
    added: AtomicI32::new(0),
    ending: AtomicI32::new(0),
    leftover: AtomicU64::new(0),
};

/// What a thread finds.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing, or what an earlier handler left by siglongjmp.
    Nothing,
    /// The process has survived one within the interval.
    Recent,
    /// This thread's own.
    Mine { is_recent: bool },
    /// That of another thread, whose handler may still decide; this one was added to it within the interval, or not.
    OfAnother { has_added_mine: bool },
}

impl Held {
    /// Begins another capture, of the calling thread.
    pub(super) fn begin(&self, program_counter: u64) {
        self.end.store(0, Ordering::Relaxed);
        self.number.fetch_add(1, Ordering::Relaxed);
        self.milliseconds.store(milliseconds(), Ordering::Relaxed);
        self.thread.store(thread_id(), Ordering::Relaxed);
        self.program_counter.store(program_counter, Ordering::Relaxed);
        self.is_whole.store(false, Ordering::Relaxed);
        self.signals.store(1, Ordering::Relaxed);
        self.added.store(0, Ordering::Relaxed);
        self.ending.store(0, Ordering::Relaxed);
        self.leftover.store(0, Ordering::Relaxed);
    }

    /// Makes it void, with its bytes left over.
    pub(super) fn make_void(&self, end: u64, file: BorrowedFd<'_>) {
        self.end.store(0, Ordering::Release);
        Writer::void(file);
        self.leftover.store(end, Ordering::Release);
    }

    /// Adds the calling thread.
    pub(super) fn add(&self) {
        self.signals.fetch_add(1, Ordering::Relaxed);
        self.added_milliseconds.store(milliseconds(), Ordering::Relaxed);
        self.added.store(thread_id(), Ordering::Relaxed);
    }

    /// What is there for this thread.
    pub(super) fn found(&self, me: i32) -> Found {
        let now = milliseconds();
        let age = |since: &AtomicU64| now.saturating_sub(since.load(Ordering::Relaxed));
        let (age, added) = (age(&self.milliseconds), age(&self.added_milliseconds));
        let is_recent = age < INTERVAL;
        let is_void = self.end.load(Ordering::Acquire) == 0;
        match self.thread.load(Ordering::Relaxed) == me {
            true if !is_void => Found::Mine { is_recent },
            false if !is_void && age < HANDLER_MAX => {
                Found::OfAnother { has_added_mine: self.added.load(Ordering::Relaxed) == me && added < INTERVAL }
            }
            _ if is_recent => Found::Recent,
            _ => Found::Nothing,
        }
    }

    /// Whether the file still holds the capture with this number.
    pub(super) fn is_number(&self, number: u32) -> bool {
        self.end.load(Ordering::Acquire) != 0 && self.number.load(Ordering::Relaxed) == number
    }
}
