//! What a producer does when its lane is full.

use crate::holder::Holder;
use crate::folder::Folder;
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
    /// the flusher has moved. Where no flusher lives it gives up after 10 ms.
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

/// Where a lane's producer has stopped waiting: the position at which it gave the flusher up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GaveUp(u64);

/// Waits until `slots` slots are free, or it is settled that they will not be.
#[cold]
pub(crate) fn wait_for_room(
    lane: &mut Lane<'_>,
    slots: u64,
    gave_up: &mut Option<GaveUp>,
    control: &Control,
    folder: &Folder,
    ring_doorbell: impl Fn(),
) {
    let released = lane.refresh_released();
    if *gave_up == Some(GaveUp(released)) {
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
            if !Holder::read(folder).is_some_and(|holder| holder.may_live()) {
                *gave_up = Some(GaveUp(lane.refresh_released()));
                break;
            }
        }
        if waited >= BLOCK_MAX {
            *gave_up = Some(GaveUp(lane.refresh_released()));
            break;
        }
        futex::wait(&control.progress, seen, LOOK_AGAIN.min(BLOCK_MAX - waited));
    }
    control.waiters.fetch_sub(1, Ordering::SeqCst);
}
