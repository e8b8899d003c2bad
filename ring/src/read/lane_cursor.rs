//! A reader's progress in one lane.
//!
//! Used by all readers of lanes: the drain, `recover`, crash files, the console, `lastwords status`. Records are read in
//! batches and taken one by one; messages are numbered without gaps, so a loss before one shows when it is taken.

use crate::error::Result;
use crate::format::geometry::Geometry;
use crate::place::clock;
use crate::read::decoder_v3::{Extent, LaneBatch};
use crate::read::reader::{RingReader, Source};
use crate::read::snapshot::Position;

/// A reader's progress in a lane.
#[derive(Debug, Default)]
pub struct LaneCursor {
    /// After the last record that was taken.
    pub position: Position,
    batch: LaneBatch,
    read_at: u64,
}

impl LaneCursor {
    /// A cursor that begins at `position`.
    #[must_use]
    pub fn at(position: Position) -> LaneCursor {
        LaneCursor { position, ..LaneCursor::default() }
    }

    /// A cursor that begins after the slot of this sequence, whatever messages are before it.
    #[must_use]
    pub fn behind(sequence: u64) -> LaneCursor {
        LaneCursor::at(Position { released: sequence, written: sequence, ..Position::default() })
    }

    /// Reads on after the previous batch, whose records have all been taken: at most about `slots_max` slots of `lane`, but
    /// always one whole message.
    ///
    /// # Errors
    /// As pread(2).
    pub fn read<S: Source>(
        &mut self,
        reader: &RingReader<S>,
        lane: usize,
        extent: Extent,
        slots_max: u64,
    ) -> Result<()> {
        let position = self.position.released.max(self.batch.end);
        reader.read_lane(lane, position, extent, slots_max, &mut self.batch)?;
        self.read_at = clock::now();
        if self.batch.is_empty() {
            // Only aborted or damaged slots, which need no further reads.
            self.position.released = self.position.released.max(self.batch.end);
            self.position.written = self.position.released;
        }
        Ok(())
    }

    /// The records that were read and not yet taken.
    #[inline]
    #[must_use]
    pub fn batch(&self) -> &LaneBatch {
        &self.batch
    }

    /// This process's raw clock when they were read: they were all logged before.
    #[inline]
    #[must_use]
    pub fn read_at(&self) -> u64 {
        self.read_at
    }

    /// How many messages are missing before the next record.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.batch.peek().map_or(0, |record| self.missing_before(record.message))
    }

    fn missing_before(&self, message: u64) -> u64 {
        message.saturating_sub(self.position.next_message.max(1))
    }

    /// Takes the next record, and returns how many messages are missing before it.
    pub fn take(&mut self) -> u64 {
        let Some(record) = self.batch.peek() else { return 0 };
        let (last, message) = (record.last, record.message);
        let missing = self.missing_before(message);
        self.batch.advance();
        (self.position.released, self.position.written) = (last, last);
        self.position.next_message = message.saturating_add(1);
        missing
    }

    /// Whether the lane ends with an incomplete message. `reserved` is from the lane block.
    #[must_use]
    pub fn has_in_flight(&self, extent: Extent, reserved: u64, geometry: Geometry) -> bool {
        match extent {
            Extent::Live(_) => self.batch.open.is_some(),
            Extent::Final(last) => geometry.in_flight(reserved, last).is_some_and(|slots| slots > 0),
        }
    }
}
