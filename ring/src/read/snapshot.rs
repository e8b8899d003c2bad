//! A reader's snapshot of a ring's control page and lane blocks.

use crate::format::anchor::Anchor;
use crate::format::checksum::checksum;
use crate::format::filter::{self, Filter};
use crate::format::layout::{Consumer, Control, FILTER_WORDS, LaneBlock, OWNERS};
use crate::format::matched;
use crate::format::record::Record;
use crate::format::slot::read_word;
use crate::mutant::{self, Mutant};
use crate::read::decoder_v3::Extent;
use std::mem::offset_of;

/// How a process left its ring, according to the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Not closed: the process runs, or died.
    Open,
    /// Ordinary exit.
    Exit,
    /// Ended by this signal, normally.
    Signal(u32),
    /// Ended because its main thread panicked.
    Panic,
}

impl Closed {
    /// Whether this deserves an alarm and a crash file, if the process is dead.
    #[must_use]
    pub fn is_crash(self) -> bool {
        matches!(self, Closed::Open | Closed::Panic)
    }
}

/// The control page as read.
#[derive(Debug, Clone)]
pub struct ControlSnapshot {
    /// How the process left.
    pub closed: Closed,
    /// The fatal signal that arrived while the ring was open, if one did.
    pub fatal_signal: Option<u32>,
    /// Anchors whose guard agrees.
    pub anchors: Vec<Anchor>,
    pub(crate) page: Vec<u8>,
}

impl ControlSnapshot {
    /// What is recorded.
    #[must_use]
    pub fn filter(&self) -> Filter {
        let level = read_word(&self.page, offset_of!(Control, level)) as u32;
        let start = offset_of!(Control, filter);
        Filter::parse(level, &self.page[start..start + FILTER_WORDS * 8])
    }

    /// Whether the directive of this number, see [`crate::format::directives::Directives::targets`], has decided about any
    /// record under the present filter.
    #[must_use]
    pub fn has_matched(&self, index: usize) -> bool {
        let generation = read_word(&self.page, offset_of!(Control, filter_generation)) as u32;
        let words = std::array::from_fn(|n| read_word(&self.page, offset_of!(Control, matched) + n * 8));
        matched::is_noted(&words, generation, index)
    }

    /// Until when the filter applies, in `CLOCK_BOOTTIME`, and the filter that follows; None if it is permanent.
    #[must_use]
    pub fn filter_end(&self) -> Option<(u64, Filter)> {
        let start = offset_of!(Control, filter);
        filter::end_of(&self.page[start..start + FILTER_WORDS * 8])
    }

    /// Messages lost because no lane was available.
    #[must_use]
    pub fn unplaced(&self) -> u64 {
        read_word(&self.page, offset_of!(Control, unplaced))
    }

    /// Messages truncated to the longest that the ring holds.
    #[must_use]
    pub fn cut(&self) -> u64 {
        read_word(&self.page, offset_of!(Control, cut))
    }

    /// Records that the flusher wrote below younger ones.
    #[must_use]
    pub fn late(&self) -> u64 {
        read_word(&self.page, offset_of!(Control, late))
    }

    /// Records that the flusher found overwritten.
    #[must_use]
    pub fn overwritten(&self) -> u64 {
        read_word(&self.page, offset_of!(Control, overwritten))
    }

    /// Whether a flusher has logged how the process died.
    #[must_use]
    pub fn death_logged(&self) -> bool {
        read_word(&self.page, offset_of!(Control, death_logged)) != 0
    }

    /// Call sites that found the table full.
    #[must_use]
    pub fn table_refused(&self) -> u64 {
        read_word(&self.page, offset_of!(Control, table_refused))
    }
}

/// The flusher's words of a lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Slots up to this sequence may be reused.
    pub released: u64,
    /// Records up to this sequence are in the log file.
    pub written: u64,
    /// Message number expected next, or 0 at the start.
    pub next_message: u64,
    /// Dropped messages that were reported.
    pub dropped_reported: u64,
    /// Records drained after the process died.
    pub recovered: u64,
}

impl Position {
    /// The eight words of the lane block.
    #[must_use]
    pub fn words(&self) -> [u64; 8] {
        let mut words = [
            self.released,
            !self.released,
            self.written,
            !self.written,
            self.next_message,
            if mutant::is(Mutant::DropsForgotten) { 0 } else { self.dropped_reported },
            self.recovered,
            0,
        ];
        words[7] = checksum(bytemuck::cast_slice(&words[..7]));
        words
    }

    /// The position in eight words, or the start if they are inconsistent.
    #[must_use]
    pub fn from_words(words: &[u64; 8]) -> Position {
        let position = Position {
            released: words[0],
            written: words[2],
            next_message: words[4],
            dropped_reported: words[5],
            recovered: words[6],
        };
        if position.words() == *words { position } else { Position::default() }
    }
}

/// A lane block as read.
#[derive(Debug, Clone, Copy)]
pub struct LaneSnapshot {
    /// Highest sequence begun.
    pub reserved: u64,
    /// Messages committed.
    pub messages: u64,
    /// Messages dropped by the producer.
    pub dropped: u64,
    /// Raw clocks of the first and the last of them.
    pub dropped_between: (u64, u64),
    /// One of [`crate::format::layout::lane_kind`].
    pub kind: u64,
    /// Highest sequence that the producer copied to a backlog segment; a hint.
    pub kept: u64,
    /// In the first lane's block: the process has closed the logger and releases the ring.
    pub left: bool,
    /// The flusher's words.
    pub position: Position,
    owners: [[u64; 4]; OWNERS],
}

impl LaneSnapshot {
    pub(crate) fn parse(bytes: &[u8]) -> LaneSnapshot {
        let word = |offset: usize| read_word(bytes, offset);
        let consumer = offset_of!(LaneBlock, consumer);
        let owners = offset_of!(LaneBlock, owners);
        LaneSnapshot {
            reserved: word(offset_of!(LaneBlock, reserved)),
            messages: word(offset_of!(LaneBlock, messages)),
            dropped: word(offset_of!(LaneBlock, dropped)),
            dropped_between: (word(offset_of!(LaneBlock, dropped_first)), word(offset_of!(LaneBlock, dropped_last))),
            kind: word(offset_of!(LaneBlock, kind)),
            kept: word(offset_of!(LaneBlock, kept)),
            left: word(offset_of!(LaneBlock, left)) != 0,
            position: Position::from_words(&std::array::from_fn(|n| word(consumer + n * 8))),
            owners: std::array::from_fn(|n| std::array::from_fn(|m| word(owners + n * 32 + m * 8))),
        }
    }

    /// How far its records may reach: up to `last` if the process is gone.
    #[must_use]
    pub fn extent(&self, last: Option<u64>) -> Extent {
        last.map_or(Extent::Live(self.reserved), Extent::Final)
    }

    /// Name of the thread that wrote `record`, if the lane still knows it.
    #[must_use]
    pub fn thread_name(&self, record: &Record<'_>) -> Option<&[u8]> {
        let owner = self.owners.iter().filter(|owner| owner[0] != 0 && owner[0] <= record.first);
        let owner = owner.max_by_key(|owner| owner[0])?;
        if owner[1] != u64::from(record.thread) {
            return None;
        }
        let bytes: &[u8] = bytemuck::cast_slice(&owner[2..]);
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        (length > 0).then(|| &bytes[..length])
    }
}

const _: () = assert!(size_of::<Consumer>() == size_of::<[u64; 8]>());
