//! One lane of a tracked ring: what was read and not yet taken, and how long it holds other lines back.

use lastwords_ring::error::may_last;
use lastwords_ring::read::lane_cursor::LaneCursor;
use lastwords_ring::read::reader::{LaneBatch, Position};
use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

/// Longest time for which an open slot holds other lines back.
const HOLD_MAX: Duration = Duration::from_millis(50);
/// Longest time for which an unreadable spilled message holds up its ring before it counts as lost.
const SPILL_WAIT: Duration = Duration::from_secs(2);
/// The limit where descriptors or memory are lacking, which proves nothing about the message.
const SPILL_WAIT_LACKING: Duration = Duration::from_secs(60);

/// A lane of a tracked ring.
#[derive(Debug, Default)]
pub(crate) struct TrackedLane {
    /// How far it is read, and taken into the batch that is being made.
    pub(crate) cursor: LaneCursor,
    /// Position as published.
    pub(crate) published: Position,
    /// Raw clock of the last record read.
    pub(super) last_clock: u64,
    /// Raw clock of the last record taken.
    pub(crate) taken_clock: u64,
    /// The pass before which no record of this lane was open.
    pub(super) quiet_at: u64,
    /// The pass in which it was read last.
    pub(super) read_in: u64,
    pub(super) open: Option<(u64, Instant)>,
    /// The first sequence of a spilled message that cannot be read, and since when.
    pub(super) unreadable: Cell<Option<(u64, Instant)>>,
    /// The last sequence, once the process is dead.
    pub(crate) final_last: Option<u64>,
    /// A read after the death found nothing more.
    pub(super) exhausted: bool,
    /// The lane's `kept` when no segment of it was left.
    pub(super) swept: u64,
    /// Where the first of its segments ends, as far as they have been read.
    pub(super) segment_end: u64,
}

impl TrackedLane {
    /// Records read and not yet taken.
    #[inline]
    pub(crate) fn batch(&self) -> &LaneBatch {
        self.cursor.batch()
    }

    /// Whether a spilled message that cannot be read now may still be worth waiting for.
    pub(crate) fn may_wait_for(&self, sequence: u64, error: &io::Error) -> bool {
        let since = match self.unreadable.get() {
            Some((unreadable, since)) if unreadable == sequence => since,
            _ => Instant::now(),
        };
        self.unreadable.set(Some((sequence, since)));
        since.elapsed() < if may_last(error) { SPILL_WAIT_LACKING } else { SPILL_WAIT }
    }

    /// Up to which order key lines may be written as far as this lane is concerned, which was read in this pass;
    /// `last_key` is that of the last record read.
    pub(super) fn hold(&mut self, pass: u64, now: Instant, last_key: u64) -> u64 {
        // A lane whose slots were overwritten faster than they could be read has older records than any it shows.
        let overrun = (self.batch().is_empty() && self.batch().more).then_some(u64::MAX);
        let Some(sequence) = self.batch().open.or(overrun).filter(|_| self.final_last.is_none()) else {
            (self.quiet_at, self.open) = (pass, None);
            return u64::MAX;
        };
        let since = match self.open {
            Some((open, since)) if open == sequence => since,
            _ => now,
        };
        self.open = Some((sequence, since));
        if now.duration_since(since) > HOLD_MAX { u64::MAX } else { self.quiet_at.max(last_key) }
    }
}
