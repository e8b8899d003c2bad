//! Every byte of a ring file, in one place. `docs/design.md` holds the same tables.
//!
//! ```text
//! 0                header page       RingHeader, immutable once the file is visible
//! 4096             control page      Control, what changes: filter, wake words, anchors, how it was closed
//! 8192             call-site table   append-only entries, TableEntry head + payload
//! 8192 + table     lane blocks       LaneBlock × lanes
//! page-aligned     slots             record_size × slots_per_lane × lanes
//! ```
//!
//! All integers are little-endian. Nothing here depends on the width of a pointer, and padding is explicit.

use crate::atomics::AtomicU64;
use bytemuck::{Pod, Zeroable};

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!(
    "lastwords runs on 64-bit little-endian Linux: its ring format and its wake-up are defined for that alone"
);

/// First bytes of a ring file. The high bit and the line ends show a transfer that changed bytes, as in PNG.
pub const MAGIC: [u8; 8] = *b"\x89LWR\r\n\x1a\n";
/// A ring of another version is kept, never decoded.
pub const FORMAT_VERSION: u32 = 3;
/// Unit of the file's parts. A constant of the format, not the machine's page size.
pub const PAGE: u64 = 4096;
/// Longest role in bytes.
pub const ROLE_MAX: usize = 32;
/// Longest application name in bytes.
pub const APP_MAX: usize = 64;
/// Anchors in the control page.
pub const ANCHORS: usize = 64;
/// 64-bit words of the filter in the control page.
pub const FILTER_WORDS: usize = 224;
/// Words of the control page that say which directives have decided about anything.
pub const MATCHED_WORDS: usize = 4;
/// Owners recorded in a lane block.
pub const OWNERS: usize = 4;
/// Bytes of a slot before its payload.
pub const SLOT_HEAD: usize = size_of::<SlotHead>();
/// Smallest record size, and so the smallest slot; loom's model has smaller ones.
pub const RECORD_SIZE_MIN: usize = if cfg!(loom) { 64 } else { 128 };
/// Largest record size, and so the largest slot.
pub const RECORD_SIZE_MAX: usize = 512;
/// 64-bit words of the smallest slot.
pub const SLOT_WORDS_MIN: usize = RECORD_SIZE_MIN / 8;
/// 64-bit words of the largest slot.
pub const SLOT_WORDS_MAX: usize = RECORD_SIZE_MAX / 8;

/// How time is read, and the unit of a raw clock value.
pub mod clock_kind {
    /// `rdtsc` ticks; chosen only where the kernel itself keeps time by the TSC.
    pub const TSC: u32 = 1;
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    pub const BOOTTIME: u32 = 2;
}

/// Bits of [`RingHeader::flags`].
pub mod ring_flag {
    /// The records go to the role's JSON file too. Programs that do not know the bit write text.
    pub const JSON: u32 = 2;
    /// With [`JSON`]: they go to that file only.
    pub const NO_TEXT: u32 = 4;
    /// The ring is smaller than its process requested, because there was no room.
    pub const SMALLER: u32 = 8;
}

/// Bits of [`RingHeader::file_flags`].
pub mod file_flag {
    /// Log and crash files get the group of [`super::RingHeader::file_group`].
    pub const GROUP: u16 = 1;
}

/// The header page's content. The ring's creator writes it before the file gets its name; it never changes after that.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct RingHeader {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// Bytes of this header, checksum included.
    pub header_size: u32,
    /// Bytes of a slot: 128, 256 or 512.
    pub record_size: u32,
    /// Slots of a lane, a power of two.
    pub slots_per_lane: u32,
    /// Lanes, overflow lanes included.
    pub lanes: u32,
    /// How many of the lanes, the last ones, are overflow lanes.
    pub overflow_lanes: u32,
    /// Bytes of the call-site table, a multiple of [`PAGE`].
    pub table_size: u32,
    /// One of [`clock_kind`].
    pub clock_kind: u32,
    /// Random; identifies this ring permanently.
    pub uuid: [u8; 16],
    /// `/proc/sys/kernel/random/boot_id` as bytes.
    pub boot_id: [u8; 16],
    /// Process id as its own namespace shows it.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Inode of the process's pid namespace.
    pub pid_namespace: u64,
    /// Start time of the process, field 22 of `/proc/PID/stat`, in clock ticks since boot.
    pub start_time: u64,
    /// When the ring was made, nanoseconds since 1970.
    pub created_ns: u64,
    /// Raw clock ticks a second, measured at creation; used only if no two anchors give a better value.
    pub tick_hz: u64,
    /// Size at which a log file is rotated, in bytes.
    pub rotate_size: u64,
    /// Rotated files kept.
    pub rotate_keep: u32,
    /// Bits of [`ring_flag`].
    pub flags: u32,
    /// What a producer does when the ring is full: 0 block, 1 drop newest, 2 overwrite.
    pub full_policy: u32,
    /// Length of `role`.
    pub role_length: u16,
    /// Length of `app`.
    pub app_length: u16,
    /// Role, the stem of the log file's name.
    pub role: [u8; ROLE_MAX],
    /// Application name.
    pub app: [u8; APP_MAX],
    /// Milliseconds between two syncs that the process requests from the flusher, see `Builder::durable`; 0, the value in rings
    /// older than this field, for none.
    pub sync_ms: u32,
    /// Crash files that are kept of the role, plus one; 0, the value in older rings, for the usual number.
    pub crash_keep: u32,
    /// How many ring-only records an ERROR brings into the log file; 0 for none.
    pub context_on_error: u32,
    /// Inode of the process's time namespace, little-endian, as [`crate::place::process::ProcessId::time_namespace`] says.
    pub time_namespace: [u8; 8],
    /// KiB of backlog segments that the process may have at a time, see `backlog.rs`; 0 for none. Informational: a reader takes
    /// what it finds.
    pub backlog_kib: u32,
    /// Inode of the ring's own file, 0 if unknown: a copy of the ring has another one.
    pub inode: u64,
    /// Mode of log and crash files; 0 for the usual one. See `access.rs`.
    pub file_mode: u16,
    /// Bits of [`file_flag`].
    pub file_flags: u16,
    /// Group of log and crash files, if the flags say so.
    pub file_group: u32,
    /// Checksum of all bytes before this field.
    pub checksum: u64,
}

/// How the process left its ring, in [`Control::closed`].
pub mod closed {
    /// Still open, or the process died. Then `closed_signal` is the fatal signal that arrived last and was not survived, or 0
    /// for none, which is also the value in rings older than this mark.
    pub const OPEN: u32 = 0;
    /// Normal exit.
    pub const EXIT: u32 = 1;
    /// Ended by a signal that it did not handle and that means an ordinary end; its number is in `closed_signal`.
    pub const SIGNAL: u32 = 2;
    /// Ended because its main thread panicked.
    pub const PANIC: u32 = 3;
}

/// The control page: what changes while the ring lives.
#[cfg(not(loom))]
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Control {
    /// In the low half: records below this level are not recorded. In the high half: 0, or 1 if `filter` decides about the
    /// others. Read by every call; written by the process and by `lastwords level`, see `filter.rs`.
    pub level: std::sync::atomic::AtomicU32,
    /// Records at this level and above go to the files, of targets that no directive names. Never below `level`.
    pub write_level: std::sync::atomic::AtomicU32,
    /// Counts the changes of the filter.
    pub filter_generation: std::sync::atomic::AtomicU32,
    /// Nonzero while the flusher sleeps and wants the next record to ring the doorbell. The flusher sets it, the
    /// producer that rings clears it.
    pub armed: std::sync::atomic::AtomicU32,
    /// Raw clock of the newest anchor.
    pub newest_anchor: AtomicU64,
    /// Reserved, zero.
    pub reserved0: [AtomicU64; 13],
    /// Futex word: the flusher increments it after it has moved `released` or `written` while a thread waits.
    pub progress: std::sync::atomic::AtomicU32,
    /// How many threads wait for `progress`.
    pub waiters: std::sync::atomic::AtomicU32,
    /// One of [`closed`].
    pub closed: std::sync::atomic::AtomicU32,
    /// Signal number if `closed` is `SIGNAL`, and if it is `OPEN` the fatal one, see [`closed::OPEN`].
    pub closed_signal: std::sync::atomic::AtomicU32,
    /// Words of the call-site table that are taken.
    pub table_used: AtomicU64,
    /// Messages lost because no lane was available.
    pub unplaced: AtomicU64,
    /// Messages truncated to the longest that the ring holds.
    pub cut: AtomicU64,
    /// Call sites that found the table full; their records carry target and place themselves.
    pub table_refused: AtomicU64,
    /// Records that the flusher wrote below younger ones; it writes this by pwrite.
    pub late: AtomicU64,
    /// Records that the flusher found overwritten; also written by pwrite.
    pub overwritten: AtomicU64,
    /// Id of the newest custom level name in the call-site table, 0 for none, which is also the value in older rings.
    pub level_names: AtomicU64,
    /// 1 once the flusher has logged how the process died, even if the ring's lock is still held; written by pwrite.
    pub death_logged: AtomicU64,
    /// Which directives of the filter have decided about any record, see `matched.rs`.
    pub matched: [AtomicU64; MATCHED_WORDS],
    /// Reserved, zero.
    pub reserved1: [AtomicU64; 2],
    /// Filter directives and record level, see `filter.rs`.
    pub filter: [AtomicU64; FILTER_WORDS],
    /// Pairs of raw clock and calendar time; unused ones are zero.
    pub anchors: [AnchorCell; ANCHORS],
}

/// One anchor as producers write it: four words, of which the fourth guards the others.
#[cfg(not(loom))]
#[repr(C)]
#[derive(Debug)]
pub struct AnchorCell {
    /// Raw clock.
    pub ticks: AtomicU64,
    /// `CLOCK_BOOTTIME` at that moment, nanoseconds.
    pub boottime_ns: AtomicU64,
    /// `CLOCK_REALTIME` at that moment, nanoseconds since 1970.
    pub realtime_ns: AtomicU64,
    /// Exclusive or of the three words and [`ANCHOR_SALT`]; an anchor that does not satisfy this is ignored.
    pub guard: AtomicU64,
}

/// Keeps a zeroed anchor from being valid.
pub const ANCHOR_SALT: u64 = 0x616e_6368_6f72_2121;

/// What a lane belongs to, in [`LaneBlock::kind`].
pub mod lane_kind {
    /// Never claimed.
    pub const UNUSED: u64 = 0;
    /// Records at write level and above of one thread at a time.
    pub const WRITE: u64 = 1;
    /// Ring-only records of one thread at a time: always overwritten, never drained.
    pub const RING_ONLY: u64 = 2;
    /// Shared under a process-private lock.
    pub const OVERFLOW: u64 = 3;
}

/// A lane's words, zero in a new ring. The producer's, the owners' and the consumer's part each start on a cache line of their
/// own.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct LaneBlock {
    /// Highest sequence that is or was being written. Stored before the first byte of its slot changes.
    pub reserved: AtomicU64,
    /// Highest sequence committed; a hint.
    pub head: AtomicU64,
    /// Messages committed; a hint.
    pub messages: AtomicU64,
    /// Messages the producer dropped because the lane was full.
    pub dropped: AtomicU64,
    /// Raw clock of the first of them.
    pub dropped_first: AtomicU64,
    /// Raw clock of the last of them.
    pub dropped_last: AtomicU64,
    /// One of [`lane_kind`].
    pub kind: AtomicU64,
    /// How many threads have owned the lane.
    pub claims: AtomicU64,
    /// Highest sequence that the producer copied to a backlog segment; a hint, see `backlog.rs`.
    pub kept: AtomicU64,
    /// 1 in the first lane's block once the process has closed the logger and is about to release the ring.
    pub left: AtomicU64,
    /// Zero; keeps the parts on separate cache lines.
    pub producer_padding: [AtomicU64; 6],
    /// The last owners, the n-th at n modulo [`OWNERS`].
    pub owners: [Owner; OWNERS],
    /// What the flusher writes, with pwrite only.
    pub consumer: Consumer,
    /// Zero.
    pub consumer_padding: [AtomicU64; 8],
}

/// A thread that owned a lane.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Owner {
    /// First sequence that may be this thread's.
    pub first: AtomicU64,
    /// Thread id.
    pub thread: AtomicU64,
    /// Name, up to 16 bytes, filled up with zeros.
    pub name: [AtomicU64; 2],
}

/// The consumer's words of a lane.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Consumer {
    /// Slots up to this sequence are in the journal and may be reused.
    pub released: AtomicU64,
    /// Complement of `released`; a producer believes the pair only if both agree.
    pub released_inverted: AtomicU64,
    /// Records up to this sequence are in the log file.
    pub written: AtomicU64,
    /// Complement of `written`.
    pub written_inverted: AtomicU64,
    /// Message number expected next; what is missing below it has been reported.
    pub next_message: AtomicU64,
    /// Of `dropped`, how many have been reported.
    pub dropped_reported: AtomicU64,
    /// Records drained after the process died, for its death line.
    pub recovered: AtomicU64,
    /// Checksum of the seven words before.
    pub checksum: AtomicU64,
}

/// State of a slot, in the low two bits of its commit word.
pub mod slot_state {
    /// Being written.
    pub const BUSY: u64 = 1;
    /// Whole.
    pub const VALID: u64 = 2;
    /// Given up by its owner.
    pub const ABORTED: u64 = 3;
}

/// The commit word of `sequence` in `state`.
#[inline]
#[must_use]
pub const fn commit_word(sequence: u64, state: u64) -> u64 {
    sequence << 2 | state
}

/// What part of a message a slot holds, in [`SlotHead::kind`].
pub mod slot_kind {
    /// The first slot of a message; `slots` says how many it has.
    pub const FIRST: u8 = 1;
    /// A further slot; `slots` is its index in the message, from 1.
    pub const CONTINUATION: u8 = 2;
}

/// What a message's bytes mean, in [`SlotHead::encoding`].
pub mod encoding {
    /// Text.
    pub const TEXT: u8 = 0;
    /// Values for the format string of the call site, after their tags, see `arguments.rs`.
    pub const VALUES: u8 = 1;
    /// The same without tags: the call site's entry says what types its records' values have.
    pub const UNTAGGED: u8 = 2;
    /// Bit: the body is a reference to a spill file, see `spill.rs`.
    pub const SPILLED: u8 = 0x40;
    /// Bit: extras follow the text, with their length in the last four bytes.
    pub const EXTRAS: u8 = 0x80;
}

/// The first 48 bytes of a slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct SlotHead {
    /// [`commit_word`] of this slot.
    pub commit: u64,
    /// Checksum of the slot, see `checksum.rs`.
    pub checksum: u64,
    /// Raw clock.
    pub clock: u64,
    /// Number of the message in its lane, from 1, without gaps.
    pub message: u64,
    /// Call site: word offset of its entry in the table, or 0.
    pub call_site: u32,
    /// Thread id.
    pub thread: u32,
    /// Payload bytes in this slot.
    pub length: u16,
    /// Level.
    pub level: u16,
    /// See [`slot_kind`].
    pub slots: u16,
    /// One of [`slot_kind`].
    pub kind: u8,
    /// One of [`encoding`].
    pub encoding: u8,
}

/// Kinds of entries in the call-site table.
pub mod entry_kind {
    /// A call site.
    pub const CALL_SITE: u8 = 1;
    /// The process's command line, each argument followed by a zero byte; the first entry of the table.
    pub const COMMAND: u8 = 2;
    /// A custom level name.
    pub const LEVEL_NAME: u8 = 3;
    /// The filter that the process began with: record level (2 bytes), then the directives; the second entry of the table.
    pub const FIRST_FILTER: u8 = 4;
    /// The process's working directory when it made the ring; the third entry.
    pub const FOLDER: u8 = 5;
    /// What the process requests for the files of its role, see `file_settings.rs`; the fourth entry.
    pub const FILES: u8 = 6;
}

/// The commit word of a table entry: kind in the low byte, payload bytes in the next three, checksum in the high four.
#[inline]
#[must_use]
pub const fn entry_word(kind: u8, length: u32, checksum: u64) -> u64 {
    kind as u64 | ((length as u64 & 0xff_ffff) << 8) | (checksum << 32)
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<RingHeader>() == 280 && offset_of!(RingHeader, checksum) == 272);
    assert!(offset_of!(RingHeader, uuid) == 40 && offset_of!(RingHeader, boot_id) == 56);
    assert!(offset_of!(RingHeader, pid) == 72 && offset_of!(RingHeader, pid_namespace) == 80);
    assert!(offset_of!(RingHeader, rotate_size) == 112 && offset_of!(RingHeader, role) == 136);
    assert!(offset_of!(RingHeader, sync_ms) == 232 && offset_of!(RingHeader, time_namespace) == 244);
    assert!(offset_of!(RingHeader, backlog_kib) == 252 && offset_of!(RingHeader, inode) == 256);
    assert!(offset_of!(RingHeader, file_mode) == 264 && offset_of!(RingHeader, file_group) == 268);
    assert!(size_of::<SlotHead>() == 48 && offset_of!(SlotHead, call_site) == 32);
    assert!(offset_of!(SlotHead, length) == 40 && offset_of!(SlotHead, encoding) == 47);
};

#[cfg(not(loom))]
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Control>() == PAGE as usize);
    assert!(offset_of!(Control, progress) == 128 && offset_of!(Control, table_used) == 144);
    assert!(offset_of!(Control, level_names) == 192 && offset_of!(Control, death_logged) == 200);
    assert!(offset_of!(Control, matched) == 208);
    assert!(offset_of!(Control, filter) == 256 && offset_of!(Control, anchors) == 2048);
    assert!(size_of::<AnchorCell>() == 32);
    assert!(size_of::<LaneBlock>() == 384 && offset_of!(LaneBlock, owners) == 128);
    assert!(offset_of!(LaneBlock, kept) == 64);
    assert!(offset_of!(LaneBlock, consumer) == 256 && size_of::<Owner>() == 32);
    assert!(size_of::<Consumer>() == 64);
};

/// The flusher sleeps and requests a wake-up for urgent records and filling lanes only.
pub const ARMED_URGENT: u32 = 1;

/// The flusher sleeps and requests a wake-up for the next record.
pub const ARMED_ANY: u32 = 2;

/// Crash files that are kept of a role.
pub const CRASH_FILES_DEFAULT: u32 = 20;
