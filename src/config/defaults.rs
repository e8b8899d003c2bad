//! Default settings of a logger.

/// Bytes of a slot, unless the builder says otherwise.
pub(crate) const RECORD_SIZE_DEFAULT: u32 = 128;
/// Slots of a lane.
pub(crate) const SLOTS_DEFAULT: u32 = 4096;
/// Lanes, overflow lanes included.
pub(crate) const LANES_DEFAULT: u32 = 15;
/// Lanes shared by threads that find no lane of their own.
pub(crate) const OVERFLOW_LANES: u32 = 2;
/// Bytes of the call-site table.
pub(crate) const TABLE_DEFAULT: u32 = 256 << 10;
/// Size at which a log file is rotated: 10 MiB.
pub(crate) const ROTATE_SIZE_DEFAULT: u64 = 10 << 20;
/// Rotated files kept.
pub(crate) const ROTATE_KEEP_DEFAULT: u32 = 5;
