//! A thread in a capture: what is known of it, and its stack.

use crate::sys::capture::registers::{RED_ZONE, Registers};
use crate::sys::capture::writer::Writer;
use lastwords_ring::format::capture::REGISTERS;
use lastwords_ring::format::capture_record::{NAME, OTHER_OUTERMOST, OTHER_STACK, THREAD_SIZE, bit, kind};

/// Largest distance between the two ends of a stack.
const STACK_MAX: u64 = 1 << 30;
/// Pages above a stack pointer in which the stack is looked for: it may have run into its guard.
const GUARD_PAGES: u32 = 16;
const PAGE: u64 = 4096;

/// How much is kept of a stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depth {
    /// Bytes from the stack pointer on.
    stack: usize,
    /// Bytes from the other end of a longer one: the outermost frames, below what the C library keeps there.
    outermost: u64,
}

impl Depth {
    /// Of a thread that crashed, with at most so many bytes of each part.
    pub(super) fn crashed(most: usize) -> Depth {
        Depth { stack: most, outermost: most.min(8 << 10) as u64 }
    }

    /// Of another one.
    pub(super) fn other(most: usize) -> Depth {
        Depth { stack: most.min(OTHER_STACK), outermost: most.min(OTHER_OUTERMOST) as u64 }
    }
}

/// What is known of the registers of a thread.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known<'a> {
    All(&'a Registers),
    /// Stack pointer and program counter.
    Position(&'a Registers),
    Nothing,
}

// Registers are borrowed everywhere: without optimisation each copy takes room on an alternate stack that may have little.
impl<'a> Known<'a> {
    pub(super) fn all(registers: Option<&'a Registers>) -> Known<'a> {
        registers.map_or(Known::Nothing, Known::All)
    }

    fn bits(self) -> u32 {
        match self {
            Known::All(_) => bit::HAS_REGISTERS,
            Known::Position(_) => bit::HAS_POSITION,
            Known::Nothing => 0,
        }
    }

    fn registers(self) -> Option<&'a Registers> {
        match self {
            Known::All(registers) | Known::Position(registers) => Some(registers),
            Known::Nothing => None,
        }
    }
}

/// Writes a thread, and its stack, of which the other end is a little below `stack_end`.
pub(super) fn write(
    writer: &mut Writer<'_>,
    (id, name): (i32, &[u8; NAME]),
    known: Known<'_>,
    stack_end: u64,
    depth: Depth,
) {
    let mut payload = [0; THREAD_SIZE];
    payload[..4].copy_from_slice(&id.to_le_bytes());
    payload[4..8].copy_from_slice(&known.bits().to_le_bytes());
    payload[8..][..NAME].copy_from_slice(name);
    let registers = known.registers();
    if let Some(registers) = registers {
        let (general, flags) = payload[8 + NAME..].split_at_mut(8 * REGISTERS);
        for (place, word) in general.chunks_exact_mut(8).zip(&registers.general) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        flags[..8].copy_from_slice(&registers.flags.to_le_bytes());
    }
    writer.record(kind::THREAD, &payload);
    if let Some(registers) = registers.filter(|_| depth.stack > 0) {
        stack(writer, registers.stack_pointer().wrapping_sub(RED_ZONE), stack_end, depth);
    }
}

/// Writes the stack from `start` up, and where it is longer its outermost bytes.
fn stack(writer: &mut Writer<'_>, mut start: u64, stack_end: u64, depth: Depth) {
    let mut copied = writer.memory(kind::STACK, start, depth.stack);
    for _ in 0..GUARD_PAGES {
        if copied > 0 {
            break;
        }
        start = (start | (PAGE - 1)).wrapping_add(1);
        copied = writer.memory(kind::STACK, start, depth.stack);
    }
    let end = start.wrapping_add(copied as u64);
    if copied == depth.stack && stack_end > end && stack_end - end < STACK_MAX {
        let outer = end.max(stack_end - depth.outermost);
        writer.memory(kind::OUTERMOST, outer, (stack_end - outer) as usize);
    }
}
