//! Sizes of a ring's parts, validated once; every offset is computed from them, never taken from the file.

use crate::format::layout::{LaneBlock, PAGE, RECORD_SIZE_MAX, RingHeader, SLOT_HEAD};
use std::fmt;

/// Most lanes of a ring.
pub const LANES_MAX: u32 = 1024;
/// Fewest slots of a lane.
pub const SLOTS_MIN: u32 = 8;
/// Most slots of a lane.
pub const SLOTS_MAX: u32 = 1 << 16;
/// Slots of a lane down to which a ring is shrunk before it loses lanes.
const SLOTS_FIRST: u32 = 256;
/// Fewest slots of a lane in a ring that was shrunk.
pub const SLOTS_SMALLEST: u32 = 64;
/// Bytes of a call-site table down to which a ring is shrunk.
const TABLE_SMALLEST: u32 = 16 << 10;
/// Largest call-site table in bytes.
pub const TABLE_MAX: u32 = 16 << 20;
/// Largest ring file in bytes.
pub const RING_MAX: u64 = 1 << 30;
/// Bytes of a lane block. Spelled out because loom's atomics, in its own build, are larger.
pub const LANE_BLOCK: u64 = 384;

/// Sizes and offsets of a ring's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    record_size: u32,
    slots_per_lane: u32,
    lanes: u32,
    overflow_lanes: u32,
    table_size: u32,
}

/// Sizes that no ring can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeometryError {
    /// The setting at fault, "ring geometry" for all of them together.
    setting: &'static str,
    why: String,
}

impl GeometryError {
    /// The setting at fault.
    #[cfg(not(loom))]
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for GeometryError {}

fn refuse(what: &str, found: impl fmt::Display, expected: &str) -> GeometryError {
    let setting = match what {
        "record size" => "record_size",
        "slots per lane" => "slots_per_lane",
        "number of lanes" => "lanes",
        _ => "ring geometry",
    };
    GeometryError { setting, why: format!("{what} is {found}, expected {expected}") }
}

impl Geometry {
    /// Checks the sizes against the limits of the format.
    ///
    /// # Errors
    /// Names the size that is out of range and the range.
    pub fn new(
        record_size: u32,
        slots_per_lane: u32,
        lanes: u32,
        overflow_lanes: u32,
        table_size: u32,
    ) -> Result<Geometry, GeometryError> {
        if !matches!(record_size, 128 | 256 | 512) {
            return Err(refuse("record size", record_size, "128, 256 or 512 bytes"));
        }
        if !slots_per_lane.is_power_of_two() || !(SLOTS_MIN..=SLOTS_MAX).contains(&slots_per_lane) {
            return Err(refuse("slots per lane", slots_per_lane, "a power of two from 8 to 65536"));
        }
        if lanes == 0 || lanes > LANES_MAX {
            return Err(refuse("number of lanes", lanes, "1 to 1024"));
        }
        if overflow_lanes > lanes {
            return Err(refuse("number of overflow lanes", overflow_lanes, "at most the number of lanes"));
        }
        if table_size == 0 || !u64::from(table_size).is_multiple_of(PAGE) || table_size > TABLE_MAX {
            return Err(refuse("call-site table", table_size, "a multiple of 4096 bytes up to 16 MiB"));
        }
        let geometry = Geometry { record_size, slots_per_lane, lanes, overflow_lanes, table_size };
        if geometry.file_size() > RING_MAX {
            return Err(refuse("ring size", geometry.file_size(), "at most 1 GiB; take fewer lanes or slots"));
        }
        Ok(geometry)
    }

    /// The geometry that a header states.
    ///
    /// # Errors
    /// As [`Geometry::new`].
    pub fn of(header: &RingHeader) -> Result<Geometry, GeometryError> {
        Geometry::new(header.record_size, header.slots_per_lane, header.lanes, header.overflow_lanes, header.table_size)
    }

    /// The next smaller ring for the same process, used if there is no room for this one: half the slots of each lane and half
    /// the call-site table, down to 256 slots and 16 KiB; then half the lanes, down to one besides the shared ones; then half
    /// the slots, down to [`SLOTS_SMALLEST`]. None below that. The smallest one of the usual record size takes 52 KiB.
    #[must_use]
    pub fn smaller(&self) -> Option<Geometry> {
        let half_slots = |slots: u32, least: u32| (slots > least).then_some(slots / 2);
        let table_size = (self.table_size / 2).next_multiple_of(PAGE as u32).max(TABLE_SMALLEST).min(self.table_size);
        let fewer_lanes = (self.lanes / 2).max(self.overflow_lanes + 1);
        if let Some(slots_per_lane) = half_slots(self.slots_per_lane, SLOTS_FIRST) {
            Some(Geometry { slots_per_lane, table_size, ..*self })
        } else if fewer_lanes < self.lanes {
            Some(Geometry { lanes: fewer_lanes, table_size, ..*self })
        } else {
            let slots_per_lane = half_slots(self.slots_per_lane, SLOTS_SMALLEST)?;
            Some(Geometry { slots_per_lane, table_size, ..*self })
        }
    }

    /// The largest of these that fits into `room` bytes, or else the smallest.
    #[must_use]
    pub fn within(self, room: u64) -> Geometry {
        let mut found = self;
        while found.file_size() > room
            && let Some(smaller) = found.smaller()
        {
            found = smaller;
        }
        found
    }

    /// Bytes of a slot.
    #[must_use]
    pub fn record_size(&self) -> usize {
        self.record_size as usize
    }

    /// Payload bytes of a slot.
    #[must_use]
    pub fn payload_size(&self) -> usize {
        self.record_size() - SLOT_HEAD
    }

    /// Slots of a lane.
    #[must_use]
    pub fn slots(&self) -> u64 {
        u64::from(self.slots_per_lane)
    }

    /// Lanes, overflow lanes included.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes as usize
    }

    /// Lanes that threads share, the last ones.
    #[must_use]
    pub fn overflow_lanes(&self) -> usize {
        self.overflow_lanes as usize
    }

    /// Most slots that one message may take: a quarter of the lane.
    #[must_use]
    pub fn message_slots_max(&self) -> u64 {
        self.slots() / 4
    }

    /// How many slots a message in flight has begun if `last` is the highest whole sequence of a lane and its block has
    /// `reserved`. Capped at the longest message.
    #[must_use]
    pub fn in_flight(&self, reserved: u64, last: u64) -> Option<u64> {
        reserved.checked_sub(last).filter(|slots| *slots <= self.message_slots_max().max(1))
    }

    /// Longest message in bytes that fits the ring itself.
    #[must_use]
    pub fn message_size_max(&self) -> usize {
        self.message_slots_max() as usize * self.payload_size()
    }

    /// Bytes of the call-site table.
    #[must_use]
    pub fn table_size(&self) -> usize {
        self.table_size as usize
    }

    /// Offset of the control page.
    #[must_use]
    pub fn control_offset(&self) -> u64 {
        PAGE
    }

    /// Offset of the call-site table.
    #[must_use]
    pub fn table_offset(&self) -> u64 {
        2 * PAGE
    }

    /// Offset of the first lane block.
    #[must_use]
    pub fn blocks_offset(&self) -> u64 {
        self.table_offset() + u64::from(self.table_size)
    }

    /// Bytes of all lane blocks.
    #[must_use]
    pub fn blocks_size(&self) -> usize {
        self.lanes() * LANE_BLOCK as usize
    }

    /// Offset of the lane block of `lane`.
    #[must_use]
    pub fn block_offset(&self, lane: usize) -> u64 {
        self.blocks_offset() + lane as u64 * LANE_BLOCK
    }

    /// Bytes of a lane's slots.
    #[must_use]
    pub fn lane_size(&self) -> u64 {
        self.slots() * u64::from(self.record_size)
    }

    /// Offset of the first slot of `lane`.
    #[must_use]
    pub fn lane_offset(&self, lane: usize) -> u64 {
        let slots = (self.blocks_offset() + self.blocks_size() as u64).next_multiple_of(PAGE);
        slots + lane as u64 * self.lane_size()
    }

    /// Index in its lane of the slot that holds `sequence`, which is at least 1.
    #[must_use]
    pub fn slot_index(&self, sequence: u64) -> u64 {
        sequence.wrapping_sub(1) & (self.slots() - 1)
    }

    /// Bytes of the whole file.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.lane_offset(self.lanes())
    }
}

const _: () = {
    assert!(RECORD_SIZE_MAX == 512);
    #[cfg(not(loom))]
    assert!(size_of::<LaneBlock>() as u64 == LANE_BLOCK);
    #[cfg(loom)]
    assert!(size_of::<LaneBlock>() as u64 >= LANE_BLOCK);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_without_overlap() {
        let geometry = Geometry::new(128, 4096, 15, 2, 65536).expect("valid");
        assert_eq!(geometry.table_offset(), 8192);
        assert_eq!(geometry.blocks_offset(), 8192 + 65536);
        assert!(geometry.lane_offset(0) >= geometry.blocks_offset() + geometry.blocks_size() as u64);
        assert_eq!(geometry.lane_offset(1) - geometry.lane_offset(0), 4096 * 128);
        assert_eq!(geometry.file_size(), geometry.lane_offset(14) + 4096 * 128);
        assert_eq!(geometry.slot_index(1), 0);
        assert_eq!(geometry.slot_index(4097), 0);
    }

    #[test]
    fn a_ring_gets_smaller_step_by_step_and_each_step_is_a_ring() {
        let mut geometry = Geometry::new(128, 4096, 15, 2, 256 << 10).expect("valid");
        let mut sizes = vec![geometry.file_size()];
        while let Some(smaller) = geometry.smaller() {
            let Geometry { record_size, slots_per_lane, lanes, overflow_lanes, table_size } = smaller;
            assert_eq!(Geometry::new(record_size, slots_per_lane, lanes, overflow_lanes, table_size), Ok(smaller));
            sizes.push(smaller.file_size());
            geometry = smaller;
        }
        assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
        assert_eq!((geometry.slots(), geometry.lanes(), geometry.file_size()), (64, 3, 52 << 10));
        let whole = Geometry::new(128, 4096, 15, 2, 256 << 10).expect("valid");
        assert_eq!(whole.within(u64::MAX), whole);
        assert!(whole.within(1 << 20).file_size() <= 1 << 20);
        assert_eq!(whole.within(0), geometry, "the smallest");
    }

    #[test]
    fn each_size_out_of_range_is_named() {
        for (sizes, word) in [
            ((100, 64, 1, 0, 4096), "record size"),
            ((128, 63, 1, 0, 4096), "slots per lane"),
            ((128, 1 << 17, 1, 0, 4096), "slots per lane"),
            ((128, 64, 0, 0, 4096), "lanes"),
            ((128, 64, 1025, 0, 4096), "lanes"),
            ((128, 64, 1, 2, 4096), "overflow"),
            ((128, 64, 1, 0, 100), "table"),
            ((512, 65536, 1024, 0, 4096), "ring size"),
        ] {
            let (record, slots, lanes, overflow, table) = sizes;
            let error = Geometry::new(record, slots, lanes, overflow, table).expect_err("out of range").to_string();
            assert!(error.contains(word) && error.contains("expected"), "{error}");
        }
    }
}
