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

mod build_id;
mod guard;
mod list;
mod maps;
mod memory;
mod modules;
pub(crate) mod panic;
mod registers;
mod signal;
mod thread;
mod writer;

use guard::Guard;
use lastwords_ring::format::capture_record::{THREAD_SIZE, bit, kind};
use lastwords_ring::place::capture_file::CaptureFile;
use lastwords_ring::sys::fsize;
use modules::Buffers;
use registers::{RED_ZONE, Registers};
use rustix::time::{ClockId, clock_gettime};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use writer::Writer;

/// Bytes of a thread's stack.
const STACK: usize = 64 << 10;
/// Bytes from the other end of a longer stack: the outermost frames, below what the C library keeps there.
const OUTERMOST: u64 = 8 << 10;
/// Largest distance between the two ends of a stack.
const STACK_MAX: u64 = 1 << 30;
/// Pages above a stack pointer in which the stack is looked for: it may have run into its guard.
const GUARD_PAGES: u32 = 16;
const PAGE: u64 = 4096;
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

/// The capture that the file holds: when it was begun, by which thread, and where it ends, 0 if it is void.
#[derive(Debug)]
struct Held {
    milliseconds: AtomicU64,
    thread: AtomicI32,
    end: AtomicU64,
}

static HELD: Held = Held { milliseconds: AtomicU64::new(0), thread: AtomicI32::new(0), end: AtomicU64::new(0) };
/// The program has survived a fault.
static SURVIVED: AtomicBool = AtomicBool::new(false);

/// The buffers, for the one thread that captures.
struct Shared(UnsafeCell<Buffers>);

// SAFETY: a thread uses them only while it has the guard, which one thread has at a time.
unsafe impl Sync for Shared {}

static BUFFERS: Shared = Shared(UnsafeCell::new(Buffers::NEW));

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

/// Captures what is missing, since the process is about to end.
pub(crate) fn complete(file: &CaptureFile, signal: &Signal<'_>, taken: Taken) {
    let me = thread_id();
    if matches!(taken, Taken::All | Taken::Another) {
        return;
    }
    let Some(guard) = Guard::take(me) else { return };
    if let (Taken::Nothing, Found::OfAnother) = (taken, held(me)) {
        and_this(file, signal, me);
    } else if taken == Taken::Nothing {
        first(file, signal, me, true, &guard);
    } else {
        file.with(|fd| {
            let mut writer = Writer::at(fd, HELD.end.load(Ordering::Relaxed), fsize::limit());
            let (_, address) = signal::encode(signal.info, Registers::access(signal.context));
            rest(&mut writer, file, address, microseconds(), &guard);
        });
    }
}

/// Takes back the capture of a signal that the process survived.
pub(crate) fn survived(file: &CaptureFile, signal: &Signal<'_>, taken: Taken) {
    if signal.info.si_code > 0 {
        SURVIVED.store(true, Ordering::Relaxed);
    }
    if matches!(taken, Taken::Thread | Taken::All) {
        HELD.end.store(0, Ordering::Release);
        file.with(|fd| Writer::void(fd));
    }
}

/// A capture of a signal, in place of what was in the file.
fn first(file: &CaptureFile, signal: &Signal<'_>, me: i32, with_rest: bool, guard: &Guard) -> Taken {
    let begun = microseconds();
    HELD.end.store(0, Ordering::Relaxed);
    HELD.milliseconds.store(milliseconds(), Ordering::Relaxed);
    HELD.thread.store(me, Ordering::Relaxed);
    let written = file.with(|fd| {
        let mut writer = Writer::begin(fd, fsize::limit())?;
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
        let mut writer = Writer::at(fd, HELD.end.load(Ordering::Acquire), fsize::limit());
        this_thread(&mut writer, signal, me, false);
        HELD.end.store(writer.end(), Ordering::Release);
    });
    Taken::Another
}

/// Writes the calling thread: id, name, registers, stack, and of the first one its code.
fn this_thread(writer: &mut Writer<'_>, signal: &Signal<'_>, me: i32, is_first: bool) {
    let registers = Registers::of(signal.context);
    let mut payload = [0; THREAD_SIZE];
    payload[..4].copy_from_slice(&me.to_le_bytes());
    payload[4..8].copy_from_slice(&registers.map_or(0, |_| bit::HAS_REGISTERS).to_le_bytes());
    payload[8..24].copy_from_slice(&thread::name());
    if let Some(registers) = registers {
        let words = registers.general.iter().chain([&registers.flags]);
        for (place, word) in payload[24..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
    writer.record(kind::THREAD, &payload);
    let Some(registers) = registers else { return };
    stack(writer, registers.stack_pointer().wrapping_sub(RED_ZONE), me);
    if is_first {
        writer.memory(kind::CODE, registers.program_counter(), CODE);
    }
}

/// Writes the stack from `start` up, and where it is longer its outermost bytes.
fn stack(writer: &mut Writer<'_>, mut start: u64, me: i32) {
    let mut copied = writer.memory(kind::STACK, start, STACK);
    for _ in 0..GUARD_PAGES {
        if copied > 0 {
            break;
        }
        start = (start | (PAGE - 1)).wrapping_add(1);
        copied = writer.memory(kind::STACK, start, STACK);
    }
    let (end, outer_end) = (start.wrapping_add(copied as u64), thread::end_of_stack(me));
    if copied == STACK && outer_end > end && outer_end - end < STACK_MAX {
        let outer = end.max(outer_end - OUTERMOST);
        writer.memory(kind::OUTERMOST, outer, (outer_end - outer) as usize);
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
