//! What a process notes about itself in the handler of a fatal signal: what was parsed from its capture.

/// Number of general registers: those of x86-64 in the numbering of DWARF, the return address column last.
pub const REGISTERS: usize = 17;

/// A process at the moment of a fatal signal. Any process may have written it, in any state: nothing in it is to be believed
/// without a check but that its parts are bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// The signal.
    pub signal: SignalInfo,
    /// The threads, the crashed one first. Of several that crashed that is the one by which the process ended, if it is known.
    pub threads: Vec<CapturedThread>,
    /// The executable mappings, and the one that the address of the fault is in.
    pub mappings: Vec<Mapping>,
    /// The files that had a build id in memory.
    pub modules: Vec<ModuleNote>,
    /// Where the bytes at the program counter begin, and those bytes.
    pub code: (u64, Vec<u8>),
    /// Where the kernel's vDSO begins, and its bytes.
    pub vdso: (u64, Vec<u8>),
    /// The handler has written all that it had: not cut off by a second fault, a kill or a full disk.
    pub is_complete: bool,
    /// More than one thread was in the handler of its signal, and which of these signals ended the process is not known.
    pub is_unsure: bool,
    /// How long the handler took, in microseconds.
    pub time_us: u32,
    /// What became of the other threads; None if they were not asked.
    pub others: Option<Others>,
}

/// How far the other threads were captured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Others {
    /// How many there were.
    pub there: u32,
    /// How many of them are in the capture.
    pub captured: u32,
    /// The handler has written all that it had of them.
    pub is_complete: bool,
    /// How long that took, in microseconds.
    pub time_us: u32,
}

impl Capture {
    /// It is that of a panic, which may have been caught.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.signal.number == 0
    }
}

/// What the kernel says about a signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignalInfo {
    /// Its number. 0 for a panic, which is no signal.
    pub number: i32,
    /// `si_code`.
    pub code: i32,
    /// `si_errno`.
    pub errno: i32,
    /// The address of a fault. None for a signal that has none, and where the kernel does not know it: an access to an address
    /// that is not canonical has 0 there.
    pub address: Option<u64>,
    /// The process that sent it, or 0.
    pub pid: u32,
    /// The user who sent it, or 0.
    pub uid: u32,
    /// It was raised by an instruction of the thread, not sent.
    pub is_fault: bool,
    /// What was done with the address, where the processor said it.
    pub access: Option<Access>,
}

/// What an instruction does with memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It reads.
    Read,
    /// It writes.
    Write,
    /// It is there itself.
    Execute,
}

/// A thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapturedThread {
    /// Its id.
    pub tid: u32,
    /// Its name, as the kernel has it.
    pub name: Vec<u8>,
    /// Its own signal; None if it had none.
    pub signal: Option<SignalInfo>,
    /// The general registers in the numbering of DWARF: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15, rip.
    pub registers: [u64; REGISTERS],
    /// The flags.
    pub eflags: u64,
    /// The address of the first byte of `stack`.
    pub stack_start: u64,
    /// The stack from below the stack pointer upwards.
    pub stack: Vec<u8>,
    /// Where the outermost bytes of the stack begin, and those bytes; none if `stack` reaches them.
    pub outermost: (u64, Vec<u8>),
    /// The registers are known. Of a thread that did not answer they are not.
    pub has_registers: bool,
    /// Of the registers, the stack pointer and the program counter are known: the thread was waiting in the kernel.
    pub has_position: bool,
}

/// A mapping of `/proc/self/maps`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Its first address.
    pub start: u64,
    /// The address behind its last byte.
    pub end: u64,
    /// Where it begins in its file.
    pub offset: u64,
    /// May be read.
    pub readable: bool,
    /// May be written.
    pub writable: bool,
    /// May be executed.
    pub executable: bool,
    /// Its file's device, as `st_dev`; 0 without a file.
    pub device: u64,
    /// Its file's inode; 0 without a file.
    pub inode: u64,
    /// The path, with ` (deleted)` behind it as the kernel shows it, or a name in brackets, or nothing.
    pub path: Vec<u8>,
}

/// A file that is mapped, and the build id that it had in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleNote {
    /// Start of the file's first mapping.
    pub base: u64,
    /// The build id.
    pub build_id: Vec<u8>,
}
