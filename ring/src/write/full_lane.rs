//! What a producer does when its lane is full.

use crate::place::lock_holder::HolderView;
use crate::write::lane::Lane;
use crate::format::layout::Control;
use crate::atomics::{AtomicU64, Ordering};
use crate::sys::futex;
use crate::sys::held::without_handlers;
use std::time::{Duration, Instant};

/// Longest wait of one call under [`FullPolicy::Block`].
pub(crate) const BLOCK_MAX: Duration = Duration::from_millis(100);
/// Longest sleep before a waiting producer checks for itself, should a wake-up be lost.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Records that are overwritten before a producer with a stalled flusher checks whether the flusher has made progress
/// elsewhere.
const OVERWRITTEN_BETWEEN: u32 = 64;

/// The heartbeat at which a wait of any thread of this process ended without progress by the flusher: as long as it is
/// unchanged, no other thread waits as long. 0 for none.
static STALLED_AT: AtomicU64 = AtomicU64::new(0);

/// The flusher made no progress during a whole wait: the lane's producer does not wait again until it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalled {
    /// How far it had released the lane.
    released: u64,
    /// Its heartbeat then. If that advances, the flusher is busy on other lanes, and will come to this one.
    heartbeat: Option<u64>,
    /// Records that may still be overwritten before the heartbeat is checked again.
    unseen: u32,
}

impl Stalled {
    fn now(released: u64, heartbeat: Option<u64>) -> Stalled {
        Stalled { released, heartbeat, unseen: 0 }
    }

    /// Whether it still applies.
    fn holds(&mut self, released: u64, holder: &HolderView) -> bool {
        let due = self.unseen == 0;
        self.unseen = self.unseen.saturating_sub(1);
        self.released == released && !(due && without_handlers(|| holder.heartbeat()) != self.heartbeat)
    }

    /// Notes that a record is overwritten: this happens for each one from now on, so the checks must be cheap.
    pub fn note_overwritten(&mut self) {
        if self.unseen == 0 {
            self.unseen = OVERWRITTEN_BETWEEN;
        }
    }
}

/// KEEP:1. Waits until `slots` slots are free, or, if some were kept before, until the flusher has released the lane up to
/// `enough`, which is as much as was last kept; or until the flusher is known to be stalled. The caller keeps slots then, if
/// there is still no room: under lasting overload the backlog gains as much as the flusher takes out of it.
#[cold]
pub fn wait_for_room(
    lane: &mut Lane<'_>,
    slots: u64,
    enough: u64,
    stalled: &mut Option<Stalled>,
    control: &Control,
    holder: &HolderView,
    ring_doorbell: impl Fn(),
) {
    let released = lane.refresh_released();
    if stalled.as_mut().is_some_and(|stalled| stalled.holds(released, holder)) {
        return;
    }
    *stalled = None;
    let stalled_at = STALLED_AT.load(Ordering::Relaxed);
    if stalled_at != 0 && without_handlers(|| holder.heartbeat()) == Some(stalled_at) {
        *stalled = Some(Stalled::now(released, Some(stalled_at)));
        return;
    }
    let start = Instant::now();
    // The heartbeat after 10 ms; most waits are over by then.
    let mut first_beat = None;
    control.waiters.fetch_add(1, Ordering::SeqCst);
    ring_doorbell();
    loop {
        let seen = control.progress.load(Ordering::SeqCst);
        if lane.has_room(slots) || (lane.reusable() > lane.released() && lane.released() >= enough) {
            break;
        }
        let waited = start.elapsed();
        if waited >= BLOCK_MAX || (waited >= LOOK_AGAIN && first_beat.is_none()) {
            let beat = without_handlers(|| holder.heartbeat());
            if waited >= BLOCK_MAX || beat.is_none() {
                *stalled = Some(Stalled::now(lane.refresh_released(), beat));
                STALLED_AT.store(beat.filter(|_| beat == first_beat).unwrap_or(0), Ordering::Relaxed);
                break;
            }
            first_beat = beat;
        }
        futex::wait(&control.progress, seen, LOOK_AGAIN.min(BLOCK_MAX - waited));
    }
    control.waiters.fetch_sub(1, Ordering::SeqCst);
}
