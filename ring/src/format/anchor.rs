//! Anchors: pairs of the raw clock and calendar time.

use crate::format::layout::{ANCHOR_SALT, AnchorCell};
use std::sync::atomic::Ordering;

/// Raw ticks after which an append writes a new anchor: between a fifth of a second and a second.
pub const ANCHOR_TICKS: u64 = 1_000_000_000;

/// The same moment on three clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Raw clock.
    pub ticks: u64,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub boottime_ns: u64,
    /// `CLOCK_REALTIME`, nanoseconds since 1970.
    pub realtime_ns: u64,
}

impl Anchor {
    /// The four words of an anchor in the control page.
    #[must_use]
    pub fn words(&self) -> [u64; 4] {
        let guard = self.ticks ^ self.boottime_ns ^ self.realtime_ns ^ ANCHOR_SALT;
        [self.ticks, self.boottime_ns, self.realtime_ns, guard]
    }

    /// The anchor of four words, if their guard agrees.
    #[must_use]
    pub fn from_words(words: [u64; 4]) -> Option<Anchor> {
        let anchor = Anchor { ticks: words[0], boottime_ns: words[1], realtime_ns: words[2] };
        (anchor.words()[3] == words[3]).then_some(anchor)
    }

    /// The anchor in a cell of the control page, if it is whole.
    #[must_use]
    pub fn load(cell: &AnchorCell) -> Option<Anchor> {
        let words = [&cell.ticks, &cell.boottime_ns, &cell.realtime_ns, &cell.guard];
        Anchor::from_words(words.map(|word| word.load(Ordering::Relaxed)))
    }

    /// Stores it into a cell.
    pub fn store(self, cell: &AnchorCell) {
        // A torn anchor fails its guard; the guard is broken first so that no mixture passes.
        cell.guard.store(0, Ordering::Relaxed);
        let [ticks, boottime_ns, realtime_ns, guard] = self.words();
        cell.ticks.store(ticks, Ordering::Release);
        cell.boottime_ns.store(boottime_ns, Ordering::Release);
        cell.realtime_ns.store(realtime_ns, Ordering::Release);
        cell.guard.store(guard, Ordering::Release);
    }
}
