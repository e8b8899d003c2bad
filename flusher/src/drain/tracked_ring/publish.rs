//! What the flusher writes into a ring: positions, counts, and the request to ring the doorbell.

use super::{TrackedLane, TrackedRing};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::layout::{ARMED_ANY, Control};
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::segment::{self, Segment};
use lastwords_ring::read::progress::{log_death, publish_position};
use lastwords_ring::read::reader::{LaneSnapshot, Position, Source};
use lastwords_ring::read::ring_file::write_within;
use lastwords_ring::sys::map::FutexPage;
use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::path::PathBuf;
use std::sync::atomic::{Ordering, fence};

impl TrackedRing {
    /// Marks in the ring that its process's death is logged.
    pub(crate) fn write_death_logged(&self) -> Result<()> {
        self.write(|file| log_death(file, self.reader.geometry()))
    }

    fn write(&self, work: impl FnMut(&File) -> io::Result<()>) -> Result<()> {
        self.reader.source().with(work).map_err(Error::io("write to the ring", self.reader.path()))
    }

    /// Lanes whose position moved since it was published.
    pub(crate) fn moved(&self) -> impl Iterator<Item = (usize, Position)> {
        let moved = |(_, lane): &(usize, &TrackedLane)| lane.cursor.position != lane.published;
        self.lanes.iter().enumerate().filter(moved).map(|(number, lane)| (number, lane.cursor.position))
    }

    /// Publishes positions in the ring and wakes the threads that wait for them. With `written` false the lines are in the
    /// journal but not yet in the file.
    pub(crate) fn publish(&mut self, written: bool, counter: u32) -> Result<()> {
        let mut any = false;
        for number in 0..self.lanes.len() {
            let (taken, published) = (self.lanes[number].cursor.position, self.lanes[number].published);
            if taken == published {
                continue;
            }
            let written_now = if written { taken.written } else { published.written };
            let position = Position { written: written_now, ..taken };
            self.write(|file| publish_position(file, self.reader.geometry(), number, position))?;
            // Only now: what could not be published is published with the next batch.
            self.lanes[number].published = position;
            any = true;
        }
        self.unsynced |= any;
        if any && self.published_counts != (self.late, self.overwritten) {
            self.show_counts()?;
        }
        if any && self.dead.is_none() { self.wake(counter) } else { Ok(()) }
    }

    /// The backlog segments that are drained, where the position says that there may be some. Call it after that is published:
    /// the producer does not rely on what it adds to a segment from then on, see `backlog.rs`.
    pub(crate) fn drained_segments(&mut self) -> Result<Vec<PathBuf>> {
        let may_have = |(lane, snapshot): (&TrackedLane, &LaneSnapshot)| {
            snapshot.kept > lane.swept && lane.published.written >= lane.segment_end
        };
        // Those of a dead process go with its ring, and its crash file may still need them.
        let go_with_ring = self.dead.is_some() && !(self.is_kept() && self.death_logged);
        if go_with_ring || !self.lanes.iter().zip(&self.snapshots).any(may_have) {
            return Ok(Vec::new());
        }
        // Pairs with the fence in `Backlog::write`.
        fence(Ordering::SeqCst);
        let segments = segment::list(self.reader.path(), self.reader.geometry(), None);
        let mut segments = segments.map_err(Error::io("list the backlog of", self.reader.path()))?;
        let is_drained = |segment: &mut Segment| {
            let end = if mutant::is(Mutant::KeptUnlinkedEarly) { segment.first } else { segment.last() };
            self.lanes.get(segment.lane).is_some_and(|lane| end <= lane.published.written)
        };
        let drained: Vec<Segment> = segments.extract_if(.., is_drained).collect();
        for (number, (lane, snapshot)) in self.lanes.iter_mut().zip(&self.snapshots).enumerate() {
            let end = segments.iter().filter(|segment| segment.lane == number).map(Segment::last).min();
            lane.segment_end = end.unwrap_or(0);
            if end.is_none() {
                lane.swept = snapshot.kept;
            }
        }
        Ok(drained.into_iter().map(|segment| segment.path).collect())
    }

    /// SYNC:4. Brings the ring's file to the disk, records that its process stores meanwhile included, where records of
    /// it were drained since the last time. With `waiting` also where none were, because the log cannot be written.
    pub(crate) fn sync(&mut self, waiting: bool) -> Result<()> {
        if self.unsynced || waiting {
            let synced = self.reader.source().with(File::sync_data);
            synced.map_err(Error::io("sync the ring", self.reader.path()))?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Notes that a journal entry published this position.
    pub(crate) fn published_by_journal(&mut self, lane: u32, position: Position) {
        self.unsynced = true;
        if let Some(lane) = self.lanes.get_mut(lane as usize) {
            lane.published = position;
        }
    }

    /// Wakes the threads that wait for positions of this ring.
    pub(crate) fn wake(&mut self, counter: u32) -> Result<()> {
        let offset = self.reader.geometry().control_offset();
        let mut waiters = [0u8; 4];
        let found = self.reader.source().read_at(&mut waiters, offset + offset_of!(Control, waiters) as u64);
        if !found.is_ok_and(|count| count == 4) || waiters == [0; 4] {
            return Ok(());
        }
        self.write_control(offset_of!(Control, progress), counter)?;
        if self.waker.is_none() {
            self.waker = self.reader.source().with(|file| FutexPage::new(file, offset)).ok();
        }
        if let Some(page) = &self.waker {
            // A truncated ring yields EFAULT; its process has other worries then.
            let _ = page.wake_all(offset_of!(Control, progress));
        }
        Ok(())
    }

    /// Asks the ring's process to ring the doorbell; see the constants in `layout.rs`.
    pub(crate) fn arm(&mut self, how: u32) -> Result<()> {
        if self.armed == how || self.dead.is_some() {
            return Ok(());
        }
        self.write_control(offset_of!(Control, armed), how)?;
        self.armed = how;
        Ok(())
    }

    /// Whether it was armed to ring at its next record, or will have none.
    pub(crate) fn is_armed(&self) -> bool {
        self.armed == ARMED_ANY || self.dead.is_some()
    }

    /// Forgets that the ring was armed, because a producer may have disarmed it.
    pub(crate) fn disarm(&mut self) {
        self.armed = 0;
    }

    /// For `lastwords status` alone: after the flusher's death they may be a little behind.
    fn show_counts(&mut self) -> Result<()> {
        let offset = self.reader.geometry().control_offset() + offset_of!(Control, late) as u64;
        let words = [self.late, self.overwritten];
        self.write(|file| write_within(file, bytemuck::cast_slice(&words), offset))?;
        self.published_counts = (self.late, self.overwritten);
        Ok(())
    }

    fn write_control(&self, field: usize, value: u32) -> Result<()> {
        let offset = self.reader.geometry().control_offset() + field as u64;
        self.write(|file| write_within(file, &value.to_le_bytes(), offset))
    }
}
