//! From the registers and the stack of a thread to its frames, without the process.
//!
//! A step to the caller is made by the first of these that knows how:
//!
//! 1. where the program counter is no code, a call led there: its return address is where the stack pointer is;
//! 2. the unwind tables of the file, see `cfi.rs`;
//! 3. where the code is that which returns from a signal, the kernel's frame is above it;
//! 4. the chain of frame pointers;
//! 5. a word not far above that is an address behind a call: a guess, and marked as one.
//!
//! Each step must lead up the stack, but for one out of a signal's handler, which may have a stack of its own. So the walk ends,
//! whatever the stack holds.

use crate::crash::budget::Budget;
use crate::crash::cfi::{Of, Unwound};
use crate::crash::frame::{End, Frame, Trust};
use crate::crash::modules::Modules;
use crate::crash::registers::{RBP, RBX, RIP, RSP, Registers};
use lastwords_ring::format::capture::{Capture, CapturedThread};

/// Most frames of a thread.
pub const FRAMES_MAX: usize = 256;
/// Words that are looked at for a return address.
const SCAN_MAX: u64 = 256;
/// So often a return address that is none is passed by.
const BAD_MAX: usize = 3;
/// Bytes behind the entry of a program that belong to it: it sets up a stack frame and calls the C library.
const ENTRY_LENGTH: u64 = 64;
/// What returns from a signal: `mov $15, %rax; syscall`.
const RETURN_FROM_SIGNAL: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05];
/// Where the general registers are in what the kernel puts on the stack for a signal, in `struct ucontext`.
const SIGNAL_REGISTERS: u64 = 40;
/// Their order there, by the numbers of DWARF.
const SIGNAL_ORDER: [usize; 17] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, RBP, RBX, 1, 0, 2, RSP, RIP];

/// The frames of a thread, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) frames: Vec<Frame>,
    pub(crate) end: End,
}

/// Walks up the stack of a thread.
pub(crate) fn walk(capture: &Capture, modules: &Modules, thread: &CapturedThread, budget: &Budget) -> Walk {
    let walker = Walker { capture, modules, thread, budget };
    let registers = match thread.has_registers {
        true => Registers::captured(&thread.registers),
        false => Registers::at(thread.registers[RIP], thread.registers[RSP]),
    };
    walker.from(registers, Trust::Context)
}

/// Walks up the outermost bytes of a stack that is too large to be captured as a whole: from the word there from which the
/// longest way leads to its end, since shorter ones may be left over from calls that have returned. No frames if there is none.
pub(crate) fn walk_outermost(
    capture: &Capture,
    modules: &Modules,
    thread: &CapturedThread,
    budget: &Budget,
) -> Vec<Frame> {
    let walker = Walker { capture, modules, thread, budget };
    let (start, bytes) = &thread.outermost;
    let mut longest = Vec::new();
    for at in (0..bytes.len() as u64 / 8).map(|word| start.saturating_add(word * 8)) {
        if budget.is_over() {
            break;
        }
        let found = walker.read(at).filter(|word| walker.is_behind_call(*word) == Some(true));
        let Some(word) = found else { continue };
        let walk = walker.from(Registers::at(word, at.wrapping_add(8)), Trust::Scan);
        match walk.end {
            End::Outermost if walk.frames.len() > longest.len() => longest = walk.frames,
            End::OutOfTime => break,
            _ => {}
        }
    }
    longest
}

struct Walker<'a> {
    capture: &'a Capture,
    modules: &'a Modules,
    thread: &'a CapturedThread,
    budget: &'a Budget,
}

/// A frame on the way up.
#[derive(Debug, Clone, Copy)]
struct At {
    registers: Registers,
    trust: Trust,
    /// The program counter is that of the next instruction, not of one after a call.
    is_exact: bool,
}

impl Walker<'_> {
    fn from(&self, registers: Registers, trust: Trust) -> Walk {
        let mut frames = Vec::new();
        let mut at = At { registers, trust, is_exact: trust == Trust::Context };
        let mut bad = 0;
        loop {
            frames.push(self.frame(&at));
            if frames.len() == FRAMES_MAX {
                return Walk { frames, end: End::Limit };
            }
            if self.budget.is_over() {
                return Walk { frames, end: End::OutOfTime };
            }
            match self.caller(&at, &mut bad) {
                // What a guess leads to is one.
                Ok(caller) if at.trust == Trust::Scan => at = At { trust: Trust::Scan, ..caller },
                Ok(caller) => at = caller,
                Err(end) => return Walk { frames, end },
            }
        }
    }

    fn frame(&self, at: &At) -> Frame {
        let (pc, is_exact) = (at.registers.pc(), at.is_exact);
        let mut frame = Frame { pc, is_exact, trust: at.trust, module: None, symbol: None };
        frame.module = self.modules.loaded.code_at(frame.inside()).and_then(|code| code.module);
        frame
    }

    fn caller(&self, at: &At, bad: &mut usize) -> Result<At, End> {
        let (registers, sp) = (&at.registers, at.registers.sp());
        let inside = if at.is_exact { registers.pc() } else { registers.pc().wrapping_sub(1) };
        if !self.modules.is_code(inside) {
            return self.behind_jump(at);
        }
        let mut scan_from = sp;
        match self.by_tables(inside, registers) {
            Some(Unwound::Outermost) => return Err(End::Outermost),
            Some(Unwound::Unreadable) => return Err(End::NotCaptured),
            Some(Unwound::Caller { registers: found, is_signal }) => {
                let is_up = found.sp() > sp || is_signal;
                if found.pc() == 0 && is_up && !is_signal {
                    return Err(End::Outermost);
                }
                // What a signal interrupted may have jumped to where there is no code. Not all that returns was called: the
                // kernel itself puts the return address of a handler on the stack.
                let is_code = self.modules.is_code(found.pc()) || self.modules.is_code(found.pc().wrapping_sub(1));
                if is_up && (is_signal || is_code) {
                    return Ok(At { registers: found, trust: Trust::Cfi, is_exact: is_signal });
                }
                *bad += 1;
                if *bad > BAD_MAX {
                    return Err(End::Lost);
                }
                scan_from = if is_up { found.sp() } else { sp };
            }
            None => {
                if let Some(interrupted) = self.by_signal(registers) {
                    return Ok(interrupted);
                }
                if self.is_entry(registers.pc()) {
                    return Err(End::Outermost);
                }
                if let Some(caller) = self.by_frame_pointer(registers) {
                    return Ok(caller);
                }
            }
        }
        self.by_scan(registers, scan_from)
    }

    /// The caller of what is no code: a call through a wild pointer has pushed its return address and done nothing more.
    fn behind_jump(&self, at: &At) -> Result<At, End> {
        let sp = at.registers.sp();
        let pc = self.read(sp).ok_or(End::NotCaptured)?;
        if self.is_behind_call(pc) == Some(false) {
            return self.by_scan(&at.registers, sp);
        }
        let mut registers = at.registers.kept();
        registers.set(RIP, Some(pc));
        registers.set(RSP, Some(sp.wrapping_add(8)));
        Ok(At { registers, trust: Trust::Cfi, is_exact: false })
    }

    fn by_tables(&self, inside: u64, registers: &Registers) -> Option<Unwound> {
        let (opened, bias) = self.modules.at(inside)?;
        let memory = |address| self.read(address);
        opened.tables().step(inside.wrapping_sub(bias), &Of { registers, memory: &memory, bias, budget: self.budget })
    }

    fn by_signal(&self, registers: &Registers) -> Option<At> {
        let code = self.code(registers.pc(), RETURN_FROM_SIGNAL.len() as u64)?;
        if code != RETURN_FROM_SIGNAL {
            return None;
        }
        let mut found = registers.kept();
        let base = registers.sp().checked_add(SIGNAL_REGISTERS)?;
        for (word, number) in SIGNAL_ORDER.into_iter().enumerate() {
            found.set(number, Some(self.read(base.checked_add(8 * word as u64)?)?));
        }
        Some(At { registers: found, trust: Trust::Cfi, is_exact: true })
    }

    /// Whether it is where its program begins: nothing has called that, whatever is on the stack.
    fn is_entry(&self, pc: u64) -> bool {
        self.modules.at(pc).is_some_and(|(opened, bias)| {
            let entry = opened.elf.entry();
            entry != 0 && pc.wrapping_sub(bias).wrapping_sub(entry) < ENTRY_LENGTH
        })
    }

    fn by_frame_pointer(&self, registers: &Registers) -> Option<At> {
        let rbp = registers.get(RBP).filter(|rbp| *rbp >= registers.sp() && rbp.is_multiple_of(8))?;
        let (above, pc) = (self.read(rbp)?, self.read(rbp.checked_add(8)?)?);
        if self.is_behind_call(pc) == Some(false) {
            return None;
        }
        let mut found = Registers::at(pc, rbp.checked_add(16)?);
        found.set(RBP, Some(above));
        Some(At { registers: found, trust: Trust::FramePointer, is_exact: false })
    }

    fn by_scan(&self, registers: &Registers, from: u64) -> Result<At, End> {
        let mut at = from.checked_next_multiple_of(8).ok_or(End::Lost)?;
        for _ in 0..SCAN_MAX {
            let word = self.read(at).ok_or(End::NotCaptured)?;
            if self.is_behind_call(word) == Some(true) {
                let sp = at.wrapping_add(8);
                let mut found = Registers::at(word, sp);
                // It is still that of a caller, if those in between use it for something else.
                found.set(RBP, registers.get(RBP).filter(|rbp| *rbp >= sp));
                return Ok(At { registers: found, trust: Trust::Scan, is_exact: false });
            }
            at = at.checked_add(8).ok_or(End::Lost)?;
        }
        Err(End::Lost)
    }

    /// Whether a call is just before this address; None if it is code that cannot be read.
    fn is_behind_call(&self, address: u64) -> Option<bool> {
        if !self.modules.is_code(address.wrapping_sub(1)) {
            return Some(false);
        }
        let code = self.code(address.wrapping_sub(CALL_MAX), CALL_MAX)?;
        Some(ends_with_call(&code))
    }

    /// A word of the thread's stack, or of code.
    fn read(&self, address: u64) -> Option<u64> {
        let CapturedThread { stack_start, stack, outermost, .. } = self.thread;
        let parts = [(*stack_start, stack), (outermost.0, &outermost.1), (self.capture.code.0, &self.capture.code.1)];
        let found = parts.into_iter().find_map(|(start, bytes)| part(start, bytes, address, 8).map(<[u8]>::to_vec));
        let bytes = found.or_else(|| self.modules.code(address, 8))?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Code as it was in memory, where that was captured, else as the file has it.
    fn code(&self, address: u64, length: u64) -> Option<Vec<u8>> {
        let (start, bytes) = &self.capture.code;
        let captured = part(*start, bytes, address, length).map(<[u8]>::to_vec);
        captured.or_else(|| self.modules.code(address, length))
    }
}

fn part(start: u64, bytes: &[u8], address: u64, length: u64) -> Option<&[u8]> {
    let from = usize::try_from(address.checked_sub(start)?).ok()?;
    bytes.get(from..from.checked_add(usize::try_from(length).ok()?)?)
}

/// Bytes of the longest call.
const CALL_MAX: u64 = 7;

/// Whether the last instruction is a call: to a distance (E8), or through a register or memory (FF /2).
fn ends_with_call(code: &[u8]) -> bool {
    let from_end = |n: usize| code.len().checked_sub(n).and_then(|at| code.get(at..));
    let is_near = from_end(5).is_some_and(|code| code[0] == 0xe8);
    let is_through = (2..=CALL_MAX as usize).any(|length| {
        from_end(length).is_some_and(|code| code[0] == 0xff && code[1] >> 3 & 7 == 2 && through_length(code) == length)
    });
    is_near || is_through
}

/// Length of an instruction with one byte of opcode and an operand in memory or a register.
fn through_length(code: &[u8]) -> usize {
    let (mode, operand) = (code[1] >> 6, code[1] & 7);
    let has_index = mode != 3 && operand == 4;
    let is_bare = mode == 0 && (operand == 5 || has_index && code.get(2).is_some_and(|index| index & 7 == 5));
    let distance = match mode {
        1 => 1,
        2 => 4,
        _ if is_bare => 4,
        _ => 0,
    };
    2 + usize::from(has_index) + distance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_from_what_is_none() {
        let calls: [&[u8]; 10] = [
            &[0xe8, 1, 2, 3, 4],
            &[0x90, 0xff, 0xd0],
            &[0x41, 0xff, 0xd7],
            &[0xff, 0x10],
            &[0xff, 0x14, 0xc8],
            &[0xff, 0x50, 0x18],
            &[0xff, 0x54, 0x24, 0x08],
            &[0xff, 0x15, 1, 2, 3, 4],
            &[0xff, 0x90, 1, 2, 3, 4],
            &[0xff, 0x94, 0x24, 1, 2, 3, 4],
        ];
        for code in calls {
            assert!(ends_with_call(code), "{code:02x?}");
        }
        let others: [&[u8]; 7] = [
            &[],
            &[0xe8],
            &[0xe9, 1, 2, 3, 4],
            &[0xff, 0xe0],
            &[0xff, 0x25, 1, 2, 3, 4],
            &[0xff, 0x90, 1, 2],
            &[0xc3; 7],
        ];
        for code in others {
            assert!(!ends_with_call(code), "{code:02x?}");
        }
    }
}
