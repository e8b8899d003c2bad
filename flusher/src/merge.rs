//! The merge: picks the first of the next records of many lanes.

use crate::ring_clock::RingClock;
use lastwords_ring::read::lane_cursor::LaneCursor;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A lane's next record, in the order of the merge: by its key, then by ring, lane and sequence, so that every reader of the
/// same records gets the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Next {
    /// As returned by [`RingClock::order_key`].
    pub key: u64,
    /// UUID of its ring.
    pub uuid: [u8; 16],
    /// Its lane.
    pub lane: usize,
    /// Its first sequence.
    pub first: u64,
    /// Place of its ring among those that are merged.
    pub ring: usize,
}

impl Next {
    /// The next record that `cursor` has read of this lane of a ring; None if there is none.
    #[inline]
    #[must_use]
    pub fn of((ring, uuid): (usize, [u8; 16]), lane: usize, cursor: &LaneCursor, clock: &RingClock) -> Option<Next> {
        let record = cursor.batch().peek()?;
        Some(Next { key: clock.order_key(cursor, record.clock), uuid, lane, first: record.first, ring })
    }
}

/// The lanes that have a next record.
#[derive(Debug, Default)]
pub struct Merge {
    heap: BinaryHeap<Reverse<Next>>,
}

impl Merge {
    /// Takes the lane whose next record comes first.
    pub fn pop(&mut self) -> Option<Next> {
        self.heap.pop().map(|Reverse(next)| next)
    }

    /// The lane that [`Merge::pop`] would take.
    #[must_use]
    pub fn peek(&self) -> Option<Next> {
        self.heap.peek().map(|Reverse(next)| *next)
    }
}

impl Extend<Next> for Merge {
    fn extend<I: IntoIterator<Item = Next>>(&mut self, lanes: I) {
        self.heap.extend(lanes.into_iter().map(Reverse));
    }
}
