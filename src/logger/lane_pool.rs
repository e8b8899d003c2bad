//! Lanes of one kind: those whose records are written to files, or those of ring-only records.

use crossbeam_utils::CachePadded;
use lastwords_ring::atomics::Ordering;
use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::layout::lane_kind;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::sys::thread_lock::ThreadLock;
use lastwords_ring::write::full_lane::Stalled;
use lastwords_ring::write::lane::Lane;
use lastwords_ring::write::ring::Ring;
use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

/// Longest wait for an overflow lane, before a message is counted as lost. Its owner waits for room at most 100 ms; longer
/// waits occur only if very many threads share the lanes and the processors.
const OVERFLOW_MAX: Duration = Duration::from_secs(1);

/// A lane that one thread writes to.
#[derive(Debug)]
pub(crate) struct OwnedLane {
    pub(crate) number: usize,
    pub(crate) lane: Lane<'static>,
    /// Set when its producer has waited for room in vain.
    pub(crate) stalled: Option<Stalled>,
    destination: Destination,
}

impl OwnedLane {
    fn new(ring: &Ring, number: usize, destination: Destination) -> OwnedLane {
        OwnedLane { number, lane: ring.lane(number), stalled: None, destination }
    }

    /// Whether its oldest records may be overwritten at any time: ring-only records are never drained, so waiting for room is
    /// pointless.
    #[inline(always)]
    pub(crate) fn is_ring_only(&self) -> bool {
        self.destination == Destination::RingOnly
    }

    #[inline(always)]
    pub(crate) fn destination(&self) -> Destination {
        self.destination
    }
}

/// A lane of threads, as the pools share it.
#[derive(Debug, Default)]
pub(super) struct LaneSlot {
    /// Free for the next thread, with its last owner's state.
    free: Option<OwnedLane>,
    /// A thread has had the lane. The ring's own record of that may have been modified externally, and a lane that is created
    /// twice has two producers.
    made: bool,
}

impl LaneSlot {
    pub(super) fn put_back(&mut self, owned: OwnedLane) {
        self.free = Some(owned);
    }
}

/// The lanes of a ring for one destination. A lane keeps its kind permanently: otherwise records that the flusher must not see
/// would be followed by ones that it must.
#[derive(Debug)]
pub(crate) struct LanePool {
    destination: Destination,
    /// Kind of its threads' lanes, in the ring.
    kind: u64,
    /// Number of its threads' lanes: created so far, and the limit.
    made: AtomicUsize,
    made_max: usize,
    /// Lanes given back and not claimed again, a hint.
    given_back: AtomicUsize,
    /// Lanes shared by the threads that have none of their own, one at a time.
    overflow: Box<[CachePadded<ThreadLock<OwnedLane>>]>,
    /// Number of the first of them.
    overflow_start: usize,
}

impl LanePool {
    /// A pool of up to `made_max` lanes of threads, and these overflow lanes.
    pub(super) fn new(destination: Destination, made_max: usize, overflow: Range<usize>) -> LanePool {
        LanePool {
            destination,
            kind: match destination {
                Destination::Write => lane_kind::WRITE,
                Destination::RingOnly => lane_kind::RING_ONLY,
            },
            made: AtomicUsize::new(0),
            made_max,
            given_back: AtomicUsize::new(0),
            overflow_start: overflow.start,
            overflow: overflow.map(|_| CachePadded::default()).collect(),
        }
    }

    /// Takes the lane of this slot for a thread, if it is free for this pool or was never created; `prefault` is called in the
    /// latter case.
    pub(super) fn claim(
        &self,
        ring: &Ring,
        number: usize,
        slot: &mut LaneSlot,
        (thread, name): (u32, &[u8]),
        prefault: impl FnOnce(),
    ) -> Option<OwnedLane> {
        let mut owned = self.reuse(slot).or_else(|| self.make(ring, number, slot).inspect(|_| prefault()))?;
        owned.lane.claim(self.kind, thread, name);
        Some(owned)
    }

    fn reuse(&self, slot: &mut LaneSlot) -> Option<OwnedLane> {
        let is_ours = |owned: &OwnedLane| owned.destination == self.destination || mutant::is(Mutant::LaneKindMixed);
        let owned = slot.free.take_if(|owned| is_ours(owned))?;
        let one_less = |lanes: usize| lanes.checked_sub(1);
        let _ = self.given_back.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        Some(owned)
    }

    fn make(&self, ring: &Ring, number: usize, slot: &mut LaneSlot) -> Option<OwnedLane> {
        if slot.made {
            return None;
        }
        let one_more = |lanes| (lanes < self.made_max).then_some(lanes + 1);
        self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        slot.made = true;
        Some(OwnedLane::new(ring, number, self.destination))
    }

    pub(super) fn note_given_back(&self) {
        self.given_back.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a thread without a lane may find one now.
    #[inline]
    pub(super) fn has_free(&self) -> bool {
        self.given_back.load(Ordering::Relaxed) > 0
    }

    /// Runs `work` with an overflow lane. False if none was available. Never waits for ring-only records.
    pub(super) fn with_overflow(&self, ring: &Ring, thread: u32, work: impl Fn(&mut OwnedLane)) -> bool {
        let wait = if self.destination == Destination::Write { OVERFLOW_MAX } else { Duration::ZERO };
        let (lanes, limit) = (self.overflow.len(), Instant::now() + wait);
        // Each thread begins at another lane; a further one is for a handler that interrupted the first one's owner.
        (0..lanes).map(|index| (thread as usize + index) % lanes).any(|index| {
            let fresh = || {
                ring.prefault(self.overflow_start + index);
                OwnedLane::new(ring, self.overflow_start + index, self.destination)
            };
            let write = |owned: &mut OwnedLane, is_abandoned: bool| {
                // Its last owner ended in the middle of an append.
                if is_abandoned {
                    owned.lane.catch_up();
                }
                work(owned);
            };
            self.overflow[index].with(thread, limit, fresh, write).is_some()
        })
    }
}
