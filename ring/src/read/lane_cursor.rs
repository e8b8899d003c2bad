//! How far a reader has come in one lane.
//!
//! Everybody who reads lanes does it with this: the drain, `recover`, crash files, the console, `lastwords status`. Records are
//! read in batches and taken one by one; messages are numbered without gaps, so what is lost before one shows when it is taken.

use crate::error::Result;
use crate::format::geometry::Geometry;
use crate::place::clock;
use crate::read::decoder::{Extent, LaneBatch};
use crate::read::reader::{RingReader, Source};
use crate::read::snapshot::Position;

/// A reader's place in a lane.
#[derive(Debug, Default)]
pub struct LaneCursor {
    /// Behind the last record that was taken.
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

    /// A cursor that begins behind the slot of this sequence, whatever messages are before it.
    #[must_use]
    pub fn behind(sequence: u64) -> LaneCursor {
        LaneCursor::at(Position { released: sequence, written: sequence, ..Position::default() })
    }

    /// Reads on behind what was read before, of which all records have been taken: at most about `slots_max` slots of `lane`,
    /// but always one whole message.
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
            // Nothing but aborted or damaged slots: they are done with.
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

    /// This process's raw clock when they were read: none of them was logged later.
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

    /// Whether the lane ends with a message that was begun and is not whole. `reserved` is what the lane block says.
    #[must_use]
    pub fn has_in_flight(&self, extent: Extent, reserved: u64, geometry: Geometry) -> bool {
        match extent {
            Extent::Live(_) => self.batch.open.is_some(),
            Extent::Final(last) => geometry.in_flight(reserved, last).is_some_and(|slots| slots > 0),
        }
    }
}
