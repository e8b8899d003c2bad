//! The lanes of a ring, shared by two pools: which thread has which.

use crate::logger::lane_pool::{LanePool, LaneSlot, OwnedLane};
use crate::logger::prefault::Prefault;
use crossbeam_utils::CachePadded;
use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::write::ring::Ring;
use std::sync::Mutex;

/// All lanes of a ring: those of threads, followed by the overflow lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    slots: Box<[CachePadded<Mutex<LaneSlot>>]>,
    written: LanePool,
    ring_only: LanePool,
    prefault: Prefault,
    /// Number of the overflow lane in which losses without a lane are counted.
    last_written: usize,
}

impl Lanes {
    /// The lanes of a new ring. If it holds ring-only records from the start, the last overflow lane is for them; of the
    /// threads' lanes they take half at most, so that the others are left for records that are written to files.
    pub(crate) fn new(geometry: Geometry, records_ring_only: bool) -> Lanes {
        let lanes = geometry.lanes();
        let of_threads = lanes - geometry.overflow_lanes();
        let overflow_end = lanes - usize::from(records_ring_only);
        Lanes {
            slots: (0..of_threads).map(|_| CachePadded::default()).collect(),
            written: LanePool::new(Destination::Write, of_threads, of_threads..overflow_end),
            ring_only: LanePool::new(Destination::RingOnly, of_threads / 2, overflow_end..lanes),
            prefault: Prefault::new(of_threads),
            last_written: overflow_end - 1,
        }
    }

    #[inline]
    fn pool(&self, destination: Destination) -> &LanePool {
        match destination {
            Destination::Write => &self.written,
            Destination::RingOnly => &self.ring_only,
        }
    }

    /// Takes a free lane for a thread. Never waits: a slot that another thread is checking is skipped.
    pub(crate) fn claim(&self, ring: &Ring, destination: Destination, thread: u32, name: &[u8]) -> Option<OwnedLane> {
        let pool = self.pool(destination);
        self.slots.iter().enumerate().find_map(|(number, slot)| {
            let mut slot = slot.try_lock().ok()?;
            pool.claim(ring, number, &mut slot, (thread, name), || self.prefault.at_claim(ring, number))
        })
    }

    /// Leaves the first lane to [`Lanes::prefault_ahead`].
    #[cfg(feature = "flusher")]
    pub(crate) fn leave_first(&self) {
        self.prefault.leave_first();
    }

    /// Faults in the lane that will be claimed next, if that is still to be done.
    #[cfg(feature = "flusher")]
    pub(crate) fn prefault_ahead(&self, ring: &Ring) {
        self.prefault.ahead(ring);
    }

    /// Gives a thread's lane back for the next thread.
    pub(crate) fn give_back(&self, owned: OwnedLane) {
        let pool = self.pool(owned.destination());
        if let Ok(mut slot) = self.slots[owned.number].lock() {
            slot.put_back(owned);
            pool.note_given_back();
        }
    }

    /// Whether a thread without a lane may find one now.
    #[inline]
    pub(crate) fn has_free(&self, destination: Destination) -> bool {
        self.pool(destination).has_free()
    }

    /// Runs `work` with an overflow lane, for a thread that has no lane, or is already inside a log call. False if none was
    /// available.
    pub(crate) fn with_overflow(
        &self,
        ring: &Ring,
        destination: Destination,
        thread: u32,
        work: impl Fn(&mut OwnedLane),
    ) -> bool {
        self.pool(destination).with_overflow(ring, thread, work)
    }

    /// Number of the overflow lane in which losses without a lane are counted.
    pub(crate) fn last_written(&self) -> usize {
        self.last_written
    }
}
