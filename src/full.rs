//! What a producer does when its lane is full.

use crate::holder::HolderView;
use crate::lane::Lane;
use crate::layout::Control;
use crate::sync::Ordering;
use crate::sys::futex;
use std::time::{Duration, Instant};

/// Longest wait of one call under [`FullPolicy::Block`].
pub(crate) const BLOCK_MAX: Duration = Duration::from_millis(100);
/// Longest sleep before a waiting producer looks for itself, should a wake-up be lost.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What a producer does when its lane is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum FullPolicy {
    /// Waits for the flusher, at most 100 ms; then overwrites the oldest records, and does not wait again until
    /// the flusher has moved, here or on other lanes. Where no flusher lives it gives up after 10 ms.
    #[default]
    Block = 0,
    /// Drops the new record and counts it.
    DropNewest = 1,
    /// Overwrites the oldest record at once: a flight recorder.
    Overwrite = 2,
}

impl std::str::FromStr for FullPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<FullPolicy, String> {
        match text {
            "block" => Ok(FullPolicy::Block),
            "drop_newest" => Ok(FullPolicy::DropNewest),
            "overwrite" => Ok(FullPolicy::Overwrite),
            other => Err(format!("\"{}\" found, expected block, drop_newest or overwrite", other.escape_default())),
        }
    }
}

/// Records that are overwritten before a producer that gave up looks whether the flusher has moved elsewhere.
const OVERWRITTEN_BETWEEN: u32 = 64;

/// Why a lane's producer does not wait any more: the flusher had not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GaveUp {
    /// How far it had released the lane.
    released: u64,
    /// Its heartbeat then. A flusher that beats is at work on other lanes, and will come to this one.
    heartbeat: Option<u64>,
    /// Records that were overwritten since the last look.
    overwritten: u32,
}

impl GaveUp {
    fn now(released: u64, holder: &HolderView) -> GaveUp {
        GaveUp { released, heartbeat: holder.heartbeat(), overwritten: 0 }
    }

    /// Whether it still holds, for one record more.
    fn holds(&mut self, released: u64, holder: &HolderView) -> bool {
        self.overwritten += 1;
        let due = self.overwritten >= OVERWRITTEN_BETWEEN;
        if due {
            self.overwritten = 0;
        }
        self.released == released && !(due && holder.heartbeat() != self.heartbeat)
    }
}

/// Waits until `slots` slots are free, or it is settled that they will not be.
#[cold]
pub(crate) fn wait_for_room(
    lane: &mut Lane<'_>,
    slots: u64,
    gave_up: &mut Option<GaveUp>,
    control: &Control,
    holder: &HolderView,
    ring_doorbell: impl Fn(),
) {
    let released = lane.refresh_released();
    if gave_up.as_mut().is_some_and(|gave_up| gave_up.holds(released, holder)) {
        return;
    }
    *gave_up = None;
    let start = Instant::now();
    let mut looked = false;
    control.waiters.fetch_add(1, Ordering::SeqCst);
    ring_doorbell();
    loop {
        let seen = control.progress.load(Ordering::SeqCst);
        if lane.has_room(slots) {
            break;
        }
        let waited = start.elapsed();
        if waited >= LOOK_AGAIN && !looked {
            looked = true;
            if !holder.may_live() {
                *gave_up = Some(GaveUp::now(lane.refresh_released(), holder));
                break;
            }
        }
        if waited >= BLOCK_MAX {
            *gave_up = Some(GaveUp::now(lane.refresh_released(), holder));
            break;
        }
        futex::wait(&control.progress, seen, LOOK_AGAIN.min(BLOCK_MAX - waited));
    }
    control.waiters.fetch_sub(1, Ordering::SeqCst);
}
