//! The other threads of a process that is about to end.
//!
//! Each is asked to stand still, see [`crate::sys::capture::park`], and written when it does. One that would not answer, since it
//! blocks the signal or waits so that no signal ends that, is not asked, and costs no time: it is written without registers, or
//! with those that the kernel shows of a thread that waits.

use crate::sys::capture::guard::LOOK;
use crate::sys::capture::park::{self, Summons};
use crate::sys::capture::registers::Registers;
use crate::sys::capture::task;
use crate::sys::capture::thread_record::{self, Depth, Known};
use crate::sys::capture::writer::Writer;
use crate::sys::capture::{microseconds, thread_id};
use lastwords_ring::format::capture_record::{NAME, OTHERS_MAX, kind};
use rustix::thread::nanosleep;
use std::mem::MaybeUninit;

/// How long all that may take, in microseconds.
const TIME_MAX: u64 = 200_000;

/// Memory for it, which a handler's stack need not have.
#[derive(Debug)]
pub(super) struct Buffers {
    entries: [MaybeUninit<u8>; task::ENTRIES],
    text: [u8; task::TEXT],
    threads: [Thread; OTHERS_MAX],
}

impl Buffers {
    pub(super) const NEW: Buffers = Buffers {
        entries: [MaybeUninit::uninit(); task::ENTRIES],
        text: [0; task::TEXT],
        threads: [Thread { id: 0, name: [0; NAME], state: State::Done }; OTHERS_MAX],
    };
}

#[derive(Debug, Clone, Copy)]
struct Thread {
    id: i32,
    name: [u8; NAME],
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It will not answer.
    Silent,
    /// It was asked.
    Asked,
    /// It is written, or has ended.
    Done,
}

/// Writes the other threads, which stand still from then on. `crashed` is the context of the calling one.
pub(super) fn write(writer: &mut Writer<'_>, crashed: *const libc::c_void, depth: Depth, buffers: &mut Buffers) {
    let (begun, me) = (microseconds(), thread_id());
    let Buffers { entries, text, threads } = buffers;
    let mut there = 0;
    task::for_each(entries, |id| {
        if id != me {
            if let Some(thread) = threads.get_mut(there) {
                *thread = Thread { id, name: [0; NAME], state: State::Silent };
            }
            there += 1;
        }
    });
    writer.record(kind::OTHERS, &(there as u32).to_le_bytes());
    let threads = &mut threads[..there.min(OTHERS_MAX)];
    if let Some(summons) = Summons::take(crashed) {
        ask(summons, threads, text);
    }
    while microseconds().saturating_sub(begun) < TIME_MAX && hear(writer, depth, threads) {
        let _ = nanosleep(&LOOK);
    }
    for thread in threads.iter().filter(|thread| thread.state != State::Done && park::is_there(thread.id)) {
        let position = task::position(thread.id, text).and_then(|(sp, pc)| Registers::at(sp, pc));
        let known = position.as_ref().map_or(Known::Nothing, Known::Position);
        thread_record::write(writer, (thread.id, &thread.name), known, 0, depth);
    }
    let time = microseconds().saturating_sub(begun) as u32;
    writer.last(kind::OTHERS_END, &time.to_le_bytes());
}

/// Asks those that will answer.
fn ask(summons: Summons, threads: &mut [Thread], text: &mut [u8; task::TEXT]) {
    for (seat, thread) in threads.iter_mut().enumerate() {
        let Some(status) = task::status(thread.id, text) else { continue };
        thread.name = status.name;
        if status.is_responsive && !summons.is_blocked_in(status.blocked) && summons.send(seat, thread.id) {
            thread.state = State::Asked;
        }
    }
}

/// Writes those that have answered since; says whether there are more.
fn hear(writer: &mut Writer<'_>, depth: Depth, threads: &mut [Thread]) -> bool {
    let mut is_waiting = false;
    for (seat, thread) in threads.iter_mut().enumerate().filter(|(_, thread)| thread.state == State::Asked) {
        if let Some((registers, stack_end)) = park::answer(seat) {
            thread_record::write(writer, (thread.id, &thread.name), Known::all(registers.as_ref()), stack_end, depth);
            thread.state = State::Done;
        } else if park::is_there(thread.id) {
            is_waiting = true;
        } else {
            thread.state = State::Done;
        }
    }
    is_waiting
}
