//! The bytes of a capture: a header, then records, each of a kind, its length and its payload, all little-endian.
//!
//! | kind | payload |
//! |---|---|
//! | 1 signal | of the thread that follows: number, code, errno (4 each, signed), pid, uid (4 each), bits (4): 1 there is an address, 2 a fault, 4 a read, 8 a write, 16 a jump; address (8) |
//! | 2 thread | id (4), bits (4): 1 there are registers, 2 of these the stack pointer and the program counter alone; name, filled up with zeros (16), registers (17 × 8), flags (8) |
//! | 3 stack, 4 outermost bytes of the stack | of the thread before: address (8), bytes |
//! | 5 code, 6 vDSO | address (8), bytes |
//! | 7 mappings | for each: start, end, offset, device, inode (8 each), bits (4): 1 read, 2 write, 4 execute; length of the path (4), path |
//! | 8 modules | for each: base (8), length of the build id (4), build id |
//! | 9 end | time in microseconds (4) |
//! | 10 other threads | how many there are (4); those that were captured follow |
//! | 11 end of the other threads | time in microseconds (4) |
//! | 12 ending | id of the thread whose signal is about to end the process (4) |
//! | 13 survived | id of a thread whose signal was made good (4) |
//!
//! Kind 0 is no record: there the capture ends. A record is written before its head, and the zeros behind it before both, so
//! whatever interrupts the writer leaves whole records, and nothing of an earlier capture that was longer. A capture is complete
//! with its end; other threads, and one that crashed a moment later, come behind that.

/// First bytes of a capture. A file without them holds none: the process has not crashed, or survived.
pub const MAGIC: [u8; 8] = *b"LWCAPTUR";
/// Version of the format, after the magic.
pub const VERSION: u32 = 1;
/// Bytes of the header: magic, version, 4 zeros.
pub const HEADER: usize = 16;
/// Bytes of a record before its payload, and of the zeros behind the last one.
pub const RECORD_HEAD: usize = 8;
/// Bytes of a thread's name.
pub const NAME: usize = 16;
/// Bytes of a signal's payload.
pub const SIGNAL_SIZE: usize = 32;
/// Bytes of a thread's payload.
pub const THREAD_SIZE: usize = 168;
/// Bytes of a mapping before its path.
pub const MAPPING_SIZE: usize = 48;
/// Bytes of a module before its build id.
pub const MODULE_SIZE: usize = 12;

/// Most other threads that are captured.
pub const OTHERS_MAX: usize = 64;
/// Bytes of another thread's stack.
pub const OTHER_STACK: usize = 12 << 10;
/// Bytes of the outermost part of a longer one, in which the thread's variables are too.
pub const OTHER_OUTERMOST: usize = 12 << 10;

/// Kinds of records.
pub mod kind {
    /// The signal.
    pub const SIGNAL: u32 = 1;
    /// A thread; what belongs to it follows.
    pub const THREAD: u32 = 2;
    /// Its stack.
    pub const STACK: u32 = 3;
    /// The outermost bytes of its stack.
    pub const OUTERMOST: u32 = 4;
    /// The code at the program counter of the crashed thread.
    pub const CODE: u32 = 5;
    /// The vDSO.
    pub const VDSO: u32 = 6;
    /// Mappings.
    pub const MAPPINGS: u32 = 7;
    /// Build ids.
    pub const MODULES: u32 = 8;
    /// The end.
    pub const END: u32 = 9;
    /// Here the other threads begin.
    pub const OTHERS: u32 = 10;
    /// All of these were captured.
    pub const OTHERS_END: u32 = 11;
    /// This thread's signal is about to end the process.
    pub const ENDING: u32 = 12;
    /// This thread's signal was made good.
    pub const SURVIVED: u32 = 13;
}

/// Bits of records.
pub mod bit {
    /// Of a signal: there is an address.
    pub const HAS_ADDRESS: u32 = 1;
    /// Of a signal: it was not sent.
    pub const IS_FAULT: u32 = 2;
    /// Of a signal: memory was read.
    pub const READS: u32 = 4;
    /// Of a signal: memory was written.
    pub const WRITES: u32 = 8;
    /// Of a signal: there was to be code.
    pub const EXECUTES: u32 = 16;
    /// Of a thread: the registers are known.
    pub const HAS_REGISTERS: u32 = 1;
    /// Of a thread: of the registers, the stack pointer and the program counter are known.
    pub const HAS_POSITION: u32 = 2;
    /// Of a mapping: may be read.
    pub const READABLE: u32 = 1;
    /// Of a mapping: may be written.
    pub const WRITABLE: u32 = 2;
    /// Of a mapping: may be executed.
    pub const EXECUTABLE: u32 = 4;
}
