//! The writing side of a ring's anchors.

use crate::format::anchor::{ANCHOR_TICKS, Anchor};
use crate::format::layout::{ANCHORS, AnchorCell};
use crate::place::clock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The writing side of a ring's anchors, one per process.
#[derive(Debug, Default)]
pub struct AnchorWriter {
    busy: AtomicBool,
}

impl AnchorWriter {
    /// Adds an anchor, because a record that read its clock at `now` found the newest one too far away: too old, or, if the
    /// clock went back, ahead of it. If another thread is adding one, that thread's suffices.
    #[cold]
    pub fn write(&self, now: u64, cells: &[AnchorCell; ANCHORS], newest: &crate::atomics::AtomicU64) {
        // A thread that was interrupted since it read its clock may find a later anchor, which is fine.
        let ahead = newest.load(Ordering::Relaxed).wrapping_sub(now);
        if ahead < ANCHOR_TICKS || self.busy.swap(true, Ordering::Acquire) {
            return;
        }
        let anchor = clock::anchor();
        let used = cells.iter().position(|cell| Anchor::load(cell).is_none()).unwrap_or(ANCHORS);
        let place = if used < ANCHORS { used } else { thin(cells) };
        anchor.store(&cells[place]);
        newest.store(anchor.ticks, Ordering::Relaxed);
        self.busy.store(false, Ordering::Release);
    }
}

/// Keeps every second anchor of the older half and returns the first free place. The raw clock runs evenly between far anchors
/// too, so a long quiet stretch needs few of them; the first one always stays, because it covers the oldest slot.
fn thin(cells: &[AnchorCell; ANCHORS]) -> usize {
    let kept = (0..ANCHORS).filter(|index| *index >= ANCHORS / 2 || index % 2 == 0);
    let anchors: Vec<Anchor> = kept.filter_map(|index| Anchor::load(&cells[index])).collect();
    for (cell, anchor) in cells.iter().zip(&anchors) {
        anchor.store(cell);
    }
    for cell in &cells[anchors.len().min(ANCHORS)..] {
        cell.guard.store(0, Ordering::Release);
        cell.ticks.store(0, Ordering::Relaxed);
    }
    anchors.len().min(ANCHORS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::clock::now;

    fn cells() -> [AnchorCell; ANCHORS] {
        std::array::from_fn(|_| AnchorCell {
            ticks: 0.into(),
            boottime_ns: 0.into(),
            realtime_ns: 0.into(),
            guard: 0.into(),
        })
    }

    #[test]
    fn an_anchor_is_written_where_the_newest_is_old_or_ahead_by_more_than_an_interruption() {
        let (now, day) = (now(), 1 << 47);
        for (newest, written) in [
            (now - 2 * ANCHOR_TICKS, true),
            (now + 10, false),
            (now + ANCHOR_TICKS - 1, false),
            (now + 2 * ANCHOR_TICKS, true),
            (now + day, true),
            (u64::MAX, true),
            (0, true),
        ] {
            let (cells, cell, writer) = (cells(), newest.into(), AnchorWriter::default());
            writer.write(now, &cells, &cell);
            let after = cell.load(Ordering::Relaxed);
            assert_eq!(after != newest, written, "{newest} at {now}");
            assert_eq!(Anchor::load(&cells[0]).is_some(), written, "{newest} at {now}");
        }
    }

    #[test]
    fn a_full_anchor_array_keeps_its_first_and_its_newest() {
        let (cells, newest, writer) = (cells(), 0.into(), AnchorWriter::default());
        writer.write(now(), &cells, &newest);
        let first = Anchor::load(&cells[0]).expect("written");
        for _ in 0..1000 {
            // Simulates one anchor an hour.
            newest.store(newest.load(Ordering::Relaxed).wrapping_sub(1 << 42), Ordering::Relaxed);
            writer.write(now(), &cells, &newest);
        }
        let anchors: Vec<Anchor> = cells.iter().filter_map(Anchor::load).collect();
        assert_eq!(anchors[0], first);
        assert!(anchors.iter().any(|anchor| anchor.ticks == newest.load(Ordering::Relaxed)));
        assert!(anchors.len() > ANCHORS / 4);
    }
}
