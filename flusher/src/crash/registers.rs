//! The registers of a frame, as far as they are known.

use lastwords_ring::format::capture::REGISTERS;

/// Numbers of registers, as DWARF has them.
pub(crate) const RBX: usize = 3;
pub(crate) const RBP: usize = 6;
pub(crate) const RSP: usize = 7;
pub(crate) const RIP: usize = 16;

/// Names in the order of their numbers.
pub(crate) const NAMES: [&str; REGISTERS] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
];

/// Those that a function has to give back to its caller as they were.
const KEPT: [usize; 6] = [RBX, RBP, 12, 13, 14, 15];

/// The registers of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registers {
    values: [u64; REGISTERS],
    /// A bit for each that is known.
    known: u32,
}

impl Registers {
    /// All of them, as they were captured.
    pub(crate) fn captured(registers: &[u64; REGISTERS]) -> Registers {
        Registers { values: *registers, known: (1 << REGISTERS) - 1 }
    }

    /// Nothing is known but where the thread runs, and where its stack begins.
    pub(crate) fn at(pc: u64, sp: u64) -> Registers {
        let mut registers = Registers { values: [0; REGISTERS], known: 0 };
        registers.set(RIP, Some(pc));
        registers.set(RSP, Some(sp));
        registers
    }

    /// What the caller has in them, if the function has changed none that it must keep.
    pub(crate) fn kept(&self) -> Registers {
        let kept = KEPT.into_iter().fold(0, |known, number| known | 1 << number);
        Registers { values: self.values, known: self.known & kept }
    }

    pub(crate) fn get(&self, number: usize) -> Option<u64> {
        let value = self.values.get(number)?;
        (self.known >> number & 1 == 1).then_some(*value)
    }

    pub(crate) fn set(&mut self, number: usize, value: Option<u64>) {
        let Some(register) = self.values.get_mut(number) else { return };
        match value {
            Some(value) => (*register, self.known) = (value, self.known | 1 << number),
            None => self.known &= !(1 << number),
        }
    }

    /// The program counter; 0 if it is unknown, which no program counter is.
    pub(crate) fn pc(&self) -> u64 {
        self.get(RIP).unwrap_or(0)
    }

    /// The stack pointer; 0 if it is unknown.
    pub(crate) fn sp(&self) -> u64 {
        self.get(RSP).unwrap_or(0)
    }
}
