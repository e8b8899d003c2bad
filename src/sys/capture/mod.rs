//! What the handler of a fatal signal writes about its process: registers, stack, code, and what was mapped where.
//!
//! All of it is safe in a signal handler, whatever the thread was doing: there is no allocation, no lock that the thread could
//! hold, and no access to memory of the program's but by the kernel, which answers with an error where there is none. The
//! crashed thread comes first, so that what interrupts the rest costs least.
//!
//! A program may survive its faults: a virtual machine makes something of them. So where there is an earlier handler a capture
//! is taken at most once a second, and void if that handler made the signal good; see `held.rs` for several threads at once. Once a program has survived a fault, only the
//! thread is taken before that handler is called, and the rest if the process ends after all. An earlier handler that leaves
//! by siglongjmp is not noticed; what it left is replaced by the next capture.
//!
//! Other threads are captured last, where that is asked for, and only if nothing can keep the process alive any more: they do not
//! go on afterwards.

mod build_id;
mod guard;
mod held;
mod lines;
mod list;
mod maps;
mod memory;
mod modules;
mod others;
pub(crate) mod panic;
mod park;
mod registers;
mod signal;
mod task;
mod thread;
mod thread_record;
mod writer;

use guard::Guard;
use held::{Found, HELD};
use lastwords_ring::format::capture_record::kind;
use lastwords_ring::place::capture_file::{CaptureFile, SIZE};
use lastwords_ring::sys::fsize;
use modules::Buffers;
use registers::Registers;
use rustix::time::{ClockId, clock_gettime};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};
use thread_record::{Depth, Known};
use writer::Writer;

/// Bytes at the program counter.
const CODE: usize = 64;
/// Milliseconds between two captures of a process that may survive.
const INTERVAL: u64 = 1000;

/// A signal in its handler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signal<'a> {
    pub(crate) info: &'a libc::siginfo_t,
    /// The registers that it interrupted, as the kernel passes them.
    pub(crate) context: *const libc::c_void,
    /// There is an earlier handler, which may make it good.
    pub(crate) has_earlier: bool,
    /// It arrived within the handler of another one, on the same thread.
    pub(crate) is_nested: bool,
}

/// What was written about a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The number of the capture that it is in, 0 for none.
    capture: u32,
    /// It has its own part there, which is taken back if the process survives it.
    is_own: bool,
}

impl Taken {
    /// There was a capture a moment ago.
    const NOTHING: Taken = Taken { capture: 0, is_own: false };

    /// A part of the present capture.
    fn part() -> Taken {
        Taken { is_own: true, ..Taken::as_another() }
    }

    /// It is told by another signal in the present capture.
    fn as_another() -> Taken {
        Taken { capture: HELD.number.load(Ordering::Relaxed), is_own: false }
    }
}

/// The program has survived a fault.
static SURVIVED: AtomicBool = AtomicBool::new(false);

/// The other threads were asked to stand still.
static OTHERS_ASKED: AtomicBool = AtomicBool::new(false);

/// The buffers, for the one thread that captures.
struct Shared<T>(UnsafeCell<T>);

// SAFETY: a thread uses them only while it has the guard, which one thread has at a time.
unsafe impl<T> Sync for Shared<T> {}

static BUFFERS: Shared<Buffers> = Shared(UnsafeCell::new(Buffers::NEW));
static BUFFERS_OF_OTHERS: Shared<others::Buffers> = Shared(UnsafeCell::new(others::Buffers::NEW));

/// Captures before the earlier handler is called, unless that was done a moment ago.
pub(crate) fn before(file: &CaptureFile, signal: &Signal<'_>) -> Taken {
    let (me, survives) = (thread_id(), signal.has_earlier && SURVIVED.load(Ordering::Relaxed));
    match HELD.found(me) {
        Found::Mine { .. } | Found::OfAnother { has_added_mine: true } if signal.is_nested => {
            return Taken::as_another();
        }
        Found::Mine { is_recent: true } if signal.has_earlier => {
            // The earlier handler has left by siglongjmp.
            survived(file, signal, Taken::part());
            return Taken::NOTHING;
        }
        // It recurs, after an earlier handler has left it to the default action.
        Found::Mine { is_recent: true } if is_at(signal) => return Taken::as_another(),
        // A filter that sends SIGSYS may refuse our own system calls, and end the process for that.
        _ if signal.has_earlier && signal.info.si_signo == libc::SIGSYS => return Taken::NOTHING,
        // Where another thread is at it, the outcome is waited for: both may have crashed.
        Found::Recent if signal.has_earlier && (survives || !Guard::is_taken()) => return Taken::NOTHING,
        Found::OfAnother { has_added_mine: true } if signal.has_earlier => return Taken::NOTHING,
        _ => {}
    }
    let Some(guard) = Guard::take(me) else { return Taken::as_another() };
    let taken = match HELD.found(me) {
        Found::OfAnother { .. } => and_this(file, signal, me),
        Found::Recent if signal.has_earlier => Taken::NOTHING,
        _ => first(file, signal, me, !survives, &guard),
    };
    guard.give_to_others();
    taken
}

/// Whether it arrived where the signal that was captured did.
fn is_at(signal: &Signal<'_>) -> bool {
    program_counter(signal) == HELD.program_counter.load(Ordering::Relaxed)
}

fn program_counter(signal: &Signal<'_>) -> u64 {
    Registers::of(signal.context).map_or(0, |registers| registers.program_counter())
}

/// Captures what is missing, since the process is about to end by this signal, and writes that down.
pub(crate) fn complete(file: &CaptureFile, signal: &Signal<'_>, taken: Taken) {
    let me = thread_id();
    let Some(guard) = Guard::take(me) else { return };
    if !HELD.is_number(taken.capture) {
        // There is none, or the thread whose capture it was a part of has survived, or another one has taken its place.
        match HELD.found(me) {
            Found::OfAnother { .. } => and_this(file, signal, me),
            _ => first(file, signal, me, true, &guard),
        };
    }
    let end = HELD.end.load(Ordering::Relaxed);
    if end == 0 {
        return;
    }
    file.with(|fd| {
        let mut writer = Writer::at(fd, end, limit(file.size()));
        if !HELD.is_whole.load(Ordering::Relaxed) {
            let (_, address) = signal::encode(signal.info, Registers::access(signal.context));
            rest(&mut writer, file, address, microseconds(), &guard);
        }
        if HELD.ending.load(Ordering::Relaxed) == 0 {
            HELD.ending.store(me, Ordering::Relaxed);
            writer.last(kind::ENDING, &me.to_le_bytes());
        }
        HELD.end.store(writer.end(), Ordering::Release);
    });
}

/// Captures the other threads, if that is asked for. They do not go on: the process must be about to end.
pub(crate) fn others(file: &CaptureFile, signal: &Signal<'_>) {
    if !file.takes_others() {
        return;
    }
    let Some(_guard) = Guard::take(thread_id()) else { return };
    let end = HELD.end.load(Ordering::Acquire);
    if end == 0 || OTHERS_ASKED.swap(true, Ordering::Relaxed) {
        return;
    }
    // A full table of descriptors has room again.
    file.close_maps();
    // SAFETY: this thread has the guard, so no other one uses the buffers, and this function does not call itself.
    let buffers = unsafe { &mut *BUFFERS_OF_OTHERS.0.get() };
    file.with(|fd| {
        let mut writer = Writer::at(fd, end, limit(file.size()));
        others::write(&mut writer, signal.context, Depth::other(file.stack()), buffers);
        HELD.end.store(writer.end(), Ordering::Release);
    });
}

/// Takes back what was captured of a signal that the process survived.
pub(crate) fn survived(file: &CaptureFile, signal: &Signal<'_>, taken: Taken) {
    if signal.info.si_code > 0 {
        SURVIVED.store(true, Ordering::Relaxed);
    }
    if !taken.is_own {
        return;
    }
    let me = thread_id();
    let guard = Guard::take(me);
    if !HELD.is_number(taken.capture) {
        return;
    }
    file.with(|fd| {
        // Where another thread never comes to an end with its capture, none is better than a wrong one.
        if guard.is_some() && HELD.signals.fetch_sub(1, Ordering::Relaxed) > 1 {
            let mut writer = Writer::at(fd, HELD.end.load(Ordering::Relaxed), limit(file.size()));
            writer.record(kind::SURVIVED, &me.to_le_bytes());
            HELD.end.store(writer.end(), Ordering::Release);
        } else {
            HELD.make_void(HELD.end.load(Ordering::Relaxed), fd);
        }
    });
}

/// Overwrites what a void capture has left in the file: it shows memory of the process, and nobody will read it. Not for a
/// handler of a signal, which the program survives and waits for.
#[cfg(feature = "flusher")]
pub(crate) fn wipe(file: &CaptureFile) {
    if HELD.leftover.load(Ordering::Relaxed) == 0 {
        return;
    }
    let Some(_guard) = Guard::take(thread_id()) else { return };
    // Another capture may have been begun.
    let end = HELD.leftover.swap(0, Ordering::Acquire);
    file.with(|fd| Writer::zero(fd, end));
}

/// A capture of a signal, in place of what was in the file.
fn first(file: &CaptureFile, signal: &Signal<'_>, me: i32, with_rest: bool, guard: &Guard) -> Taken {
    let begun = microseconds();
    HELD.begin(program_counter(signal));
    let written = file.with(|fd| {
        let mut writer = Writer::begin(fd, limit(SIZE))?;
        let address = this_signal(&mut writer, signal);
        this_thread(&mut writer, signal, me, (file.stack(), true));
        if with_rest {
            rest(&mut writer, file, address, begun, guard);
        }
        HELD.end.store(writer.end(), Ordering::Release);
        Some(Taken::part())
    });
    written.flatten().unwrap_or(Taken::as_another())
}

/// Adds this thread to the capture of another one, whose fate is not known yet, or which has crashed at the same time.
fn and_this(file: &CaptureFile, signal: &Signal<'_>, me: i32) -> Taken {
    HELD.add();
    file.with(|fd| {
        let mut writer = Writer::at(fd, HELD.end.load(Ordering::Acquire), limit(SIZE));
        this_signal(&mut writer, signal);
        this_thread(&mut writer, signal, me, (file.stack(), false));
        HELD.end.store(writer.end(), Ordering::Release);
    });
    Taken::part()
}

/// Writes what the kernel says of the signal; returns the address of its fault.
fn this_signal(writer: &mut Writer<'_>, signal: &Signal<'_>) -> Option<u64> {
    let (payload, address) = signal::encode(signal.info, Registers::access(signal.context));
    writer.record(kind::SIGNAL, &payload);
    address
}

/// Writes the calling thread: id, name, registers, stack, and of the first one its code.
fn this_thread(writer: &mut Writer<'_>, signal: &Signal<'_>, me: i32, (most, is_first): (usize, bool)) {
    let registers = Registers::of(signal.context);
    let (known, depth) = (Known::all(registers.as_ref()), Depth::crashed(most));
    thread_record::write(writer, (me, &thread::name()), known, thread::end_of_stack(me), depth);
    if let Some(registers) = registers.as_ref().filter(|_| is_first && most > 0) {
        writer.memory(kind::CODE, registers.program_counter(), CODE);
    }
}

/// Writes what concerns the whole process, and the end.
fn rest(writer: &mut Writer<'_>, file: &CaptureFile, address: Option<u64>, begun: u64, _: &Guard) {
    // SAFETY: the caller has the guard, so no other thread uses the buffers, and this function does not call itself.
    let buffers = unsafe { &mut *BUFFERS.0.get() };
    file.with_maps(|maps| modules::write(writer, maps, address, buffers));
    let time = microseconds().saturating_sub(begun) as u32;
    writer.last(kind::END, &time.to_le_bytes());
    HELD.is_whole.store(true, Ordering::Relaxed);
    HELD.end.store(writer.end(), Ordering::Release);
}

/// Bytes of the file that may be written, of which the file size limit may have made less.
fn limit(size: u64) -> u64 {
    fsize::limit().min(size)
}

fn thread_id() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Asked at each fault that a program survives, so by the cheaper clock.
fn milliseconds() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}

fn microseconds() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}
