//! What the handler of a fatal signal writes about its process: registers, stack, code, and what was mapped where.
//!
//! All of it is safe in a signal handler, whatever the thread was doing: there is no allocation, no lock that the thread could
//! hold, and no access to memory of the program's but by the kernel, which answers with an error where there is none. The
//! crashed thread comes first, so that what interrupts the rest costs least.
//!
//! A program may survive its faults: a virtual machine makes something of them. So where there is an earlier handler a capture
//! is taken at most once a second, and void if that handler made the signal good. Once a program has survived a fault, only the
//! thread is taken before that handler is called, and the rest if the process ends after all. An earlier handler that leaves
//! by siglongjmp is not noticed; what it left is replaced by the next capture.
//!
//! Other threads are captured last, where that is asked for, and only if nothing can keep the process alive any more: they do not
//! go on afterwards.

mod build_id;
mod guard;
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
use lastwords_ring::format::capture_record::kind;
use lastwords_ring::place::capture_file::{CaptureFile, SIZE};
use lastwords_ring::sys::fsize;
use modules::Buffers;
use registers::Registers;
use rustix::time::{ClockId, clock_gettime};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use thread_record::{CRASHED, Known};
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
pub(crate) enum Taken {
    /// Nothing: there was a capture a moment ago.
    Nothing,
    /// The thread.
    Thread,
    /// All.
    All,
    /// As much as there will be, and not to be taken back: it is another signal's capture as well.
    Another,
}

/// The capture that the file holds: when it was begun, by which thread and at which instruction, and where it ends, 0 if it is
/// void.
#[derive(Debug)]
struct Held {
    milliseconds: AtomicU64,
    thread: AtomicI32,
    program_counter: AtomicU64,
    end: AtomicU64,
}

static HELD: Held = Held {
    milliseconds: AtomicU64::new(0),
    thread: AtomicI32::new(0),
    program_counter: AtomicU64::new(0),
    end: AtomicU64::new(0),
};
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
    match held(me) {
        Found::Mine { .. } if signal.is_nested => return Taken::Another,
        Found::Mine { is_recent: true } if signal.has_earlier => {
            // The earlier handler has left by siglongjmp.
            survived(file, signal, Taken::All);
            return Taken::Nothing;
        }
        // It recurs, after an earlier handler has left it to the default action.
        Found::Mine { is_recent: true } if is_at(signal) => return Taken::Another,
        // A filter that sends SIGSYS may refuse our own system calls, and end the process for that.
        _ if signal.has_earlier && signal.info.si_signo == libc::SIGSYS => return Taken::Nothing,
        // Where another thread is at it, the outcome is waited for: both may have crashed.
        Found::Recent if signal.has_earlier && (survives || !Guard::is_taken()) => return Taken::Nothing,
        _ => {}
    }
    let Some(guard) = Guard::take(me) else { return Taken::Another };
    let taken = match held(me) {
        Found::OfAnother => and_this(file, signal, me),
        Found::Recent if signal.has_earlier => Taken::Nothing,
        _ => first(file, signal, me, !survives, &guard),
    };
    guard.give_to_others();
    taken
}

/// What this thread finds of earlier captures.
enum Found {
    /// Nothing, or what an earlier handler left by siglongjmp.
    Nothing,
    /// The process has survived one within the interval.
    Recent,
    /// This thread's own.
    Mine { is_recent: bool },
    /// That of another thread, which crashed a moment ago.
    OfAnother,
}

fn held(me: i32) -> Found {
    let is_recent = milliseconds().saturating_sub(HELD.milliseconds.load(Ordering::Relaxed)) < INTERVAL;
    let is_void = HELD.end.load(Ordering::Acquire) == 0;
    match HELD.thread.load(Ordering::Relaxed) == me {
        true if !is_void => Found::Mine { is_recent },
        false if !is_void && is_recent => Found::OfAnother,
        _ if is_recent => Found::Recent,
        _ => Found::Nothing,
    }
}

/// Whether it arrived where the signal that was captured did.
fn is_at(signal: &Signal<'_>) -> bool {
    program_counter(signal) == HELD.program_counter.load(Ordering::Relaxed)
}

fn program_counter(signal: &Signal<'_>) -> u64 {
    Registers::of(signal.context).map_or(0, |registers| registers.program_counter())
}

/// Captures what is missing, since the process is about to end.
pub(crate) fn complete(file: &CaptureFile, signal: &Signal<'_>, taken: Taken) {
    let me = thread_id();
    // The capture of which this one was a part is void where the program has survived that signal.
    let is_gone = taken == Taken::Another && HELD.end.load(Ordering::Acquire) == 0;
    if matches!(taken, Taken::All | Taken::Another) && !is_gone {
        return;
    }
    let Some(guard) = Guard::take(me) else { return };
    if let (Taken::Nothing, Found::OfAnother) = (taken, held(me)) {
        and_this(file, signal, me);
    } else if taken == Taken::Nothing || is_gone {
        first(file, signal, me, true, &guard);
    } else {
        file.with(|fd| {
            let mut writer = Writer::at(fd, HELD.end.load(Ordering::Relaxed), limit(SIZE));
            let (_, address) = signal::encode(signal.info, Registers::access(signal.context));
            rest(&mut writer, file, address, microseconds(), &guard);
        });
    }
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
        others::write(&mut writer, signal.context, buffers);
        HELD.end.store(writer.end(), Ordering::Release);
    });
}

/// Takes back the capture of a signal that the process survived.
pub(crate) fn survived(file: &CaptureFile, signal: &Signal<'_>, taken: Taken) {
    if signal.info.si_code > 0 {
        SURVIVED.store(true, Ordering::Relaxed);
    }
    if matches!(taken, Taken::Thread | Taken::All) {
        HELD.end.store(0, Ordering::Release);
        file.with(Writer::void);
    }
}

/// A capture of a signal, in place of what was in the file.
fn first(file: &CaptureFile, signal: &Signal<'_>, me: i32, with_rest: bool, guard: &Guard) -> Taken {
    let begun = microseconds();
    HELD.end.store(0, Ordering::Relaxed);
    HELD.milliseconds.store(milliseconds(), Ordering::Relaxed);
    HELD.thread.store(me, Ordering::Relaxed);
    HELD.program_counter.store(program_counter(signal), Ordering::Relaxed);
    let written = file.with(|fd| {
        let mut writer = Writer::begin(fd, limit(SIZE))?;
        let (payload, address) = signal::encode(signal.info, Registers::access(signal.context));
        writer.record(kind::SIGNAL, &payload);
        this_thread(&mut writer, signal, me, true);
        if with_rest {
            rest(&mut writer, file, address, begun, guard);
        }
        HELD.end.store(writer.end(), Ordering::Release);
        Some(if with_rest { Taken::All } else { Taken::Thread })
    });
    written.flatten().unwrap_or(Taken::Another)
}

/// Adds this thread to the capture that another one has just written: both crashed at once.
fn and_this(file: &CaptureFile, signal: &Signal<'_>, me: i32) -> Taken {
    file.with(|fd| {
        let mut writer = Writer::at(fd, HELD.end.load(Ordering::Acquire), limit(SIZE));
        this_thread(&mut writer, signal, me, false);
        HELD.end.store(writer.end(), Ordering::Release);
    });
    Taken::Another
}

/// Writes the calling thread: id, name, registers, stack, and of the first one its code.
fn this_thread(writer: &mut Writer<'_>, signal: &Signal<'_>, me: i32, is_first: bool) {
    let registers = Registers::of(signal.context);
    thread_record::write(writer, (me, &thread::name()), Known::all(registers), thread::end_of_stack(me), CRASHED);
    if let Some(registers) = registers.filter(|_| is_first) {
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
