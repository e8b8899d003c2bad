//! The registers of the interrupted thread.

use lastwords_ring::format::capture::REGISTERS;
use lastwords_ring::format::capture_record::bit;

/// Bytes below the stack pointer that belong to a function that calls nothing.
pub(super) const RED_ZONE: u64 = if cfg!(target_arch = "x86_64") { 128 } else { 0 };

/// Where stack pointer and program counter are.
const SP: usize = 7;
const PC: usize = REGISTERS - 1;

/// The registers that a capture has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registers {
    /// In the numbering of DWARF.
    pub(super) general: [u64; REGISTERS],
    pub(super) flags: u64,
}

impl Registers {
    /// From the context that the kernel passed to a handler; None on a processor that captures do not know.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn of(context: *const libc::c_void) -> Option<Registers> {
        use libc::{
            REG_EFL, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RAX, REG_RBP, REG_RBX,
            REG_RCX, REG_RDI, REG_RDX, REG_RIP, REG_RSI, REG_RSP,
        };
        if context.is_null() {
            return None;
        }
        const DWARF: [i32; REGISTERS] = [
            REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11,
            REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
        ];
        // SAFETY: the kernel passes a handler with SA_SIGINFO a filled ucontext, of which only the registers are read; whoever
        // calls our handler passes on what it got.
        let found = unsafe { &*std::ptr::addr_of!((*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs) };
        let word = |register: i32| found[register as usize] as u64;
        Some(Registers { general: DWARF.map(word), flags: word(REG_EFL) })
    }

    /// From the context that the kernel passed to a handler; None on a processor that captures do not know.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn of(_: *const libc::c_void) -> Option<Registers> {
        None
    }

    /// Those of a thread of which nothing else is known; None on a processor that captures do not know.
    pub(super) fn at(stack_pointer: u64, program_counter: u64) -> Option<Registers> {
        let mut registers = Registers { general: [0; REGISTERS], flags: 0 };
        (registers.general[SP], registers.general[PC]) = (stack_pointer, program_counter);
        cfg!(target_arch = "x86_64").then_some(registers)
    }

    /// The bit of a signal's record that says what was done with the address of a page fault; 0 where the context is not that of
    /// one.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn access(context: *const libc::c_void) -> u32 {
        if context.is_null() {
            return 0;
        }
        const PAGE_FAULT: i64 = 14;
        const WRITE: i64 = 1 << 1;
        const FETCH: i64 = 1 << 4;
        // SAFETY: as in `of`.
        let found = unsafe { &*std::ptr::addr_of!((*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs) };
        match found[libc::REG_ERR as usize] {
            _ if found[libc::REG_TRAPNO as usize] != PAGE_FAULT => 0,
            error if error & FETCH != 0 => bit::EXECUTES,
            error if error & WRITE != 0 => bit::WRITES,
            _ => bit::READS,
        }
    }

    /// As there is no address with a capture on other processors.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn access(_: *const libc::c_void) -> u32 {
        0
    }

    pub(super) fn stack_pointer(&self) -> u64 {
        self.general[SP]
    }

    pub(super) fn program_counter(&self) -> u64 {
        self.general[PC]
    }
}

/// Whether the thread with this context had the signal blocked.
#[cfg(target_arch = "x86_64")]
pub(super) fn blocks(context: *const libc::c_void, signal: libc::c_int) -> bool {
    if context.is_null() {
        return true;
    }
    // SAFETY: as for the registers; of the mask the kernel fills the part that its signals have, which is all that is read.
    unsafe { libc::sigismember(std::ptr::addr_of!((*context.cast::<libc::ucontext_t>()).uc_sigmask), signal) == 1 }
}

/// Nothing is asked of threads whose registers cannot be read.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn blocks(_: *const libc::c_void, _: libc::c_int) -> bool {
    true
}
