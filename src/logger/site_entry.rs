//! What a call site remembers of its entry in the ring's table.

use crate::logger::ring_logger::Logger;
use lastwords_ring::format::layout::clock_kind;
use lastwords_ring::format::level::Level;
use lastwords_ring::place::clock;
use lastwords_ring::write::arguments::encoding_of;
use lastwords_ring::write::open_slot::SmallHead;
use std::sync::atomic::{AtomicU64, Ordering};

/// Id of an entry that its first call is writing. No table has so many words.
const REGISTERING: u64 = 0x7fff_ffff;
/// Marks an id whose records do not take the short way, which reads the processor's counter and nothing else.
const SLOW: u64 = 0x8000_0000;

/// A call site's id in the present ring's table.
#[derive(Debug)]
pub(crate) struct SiteEntry {
    /// Generation of the logger in the high half, id in the low half, with [`SLOW`] where that applies.
    word: AtomicU64,
    head: SmallHead,
}

impl SiteEntry {
    /// Not registered yet, of a call site of this level and with so many values.
    pub(crate) const fn new(level: Level, values: usize) -> SiteEntry {
        SiteEntry { word: AtomicU64::new(0), head: SmallHead::new(level.number(), encoding_of(values)) }
    }

    /// What the head of its records of one slot states.
    #[inline(always)]
    pub(crate) fn head(&self) -> SmallHead {
        self.head
    }

    /// The id for a record that takes the short way; None if it was not registered in this logger's ring, or had no room there.
    #[inline(always)]
    pub(crate) fn short_id(&self, logger: &Logger) -> Option<u64> {
        let after_first = self.word.load(Ordering::Acquire).wrapping_sub(logger.first_site_word());
        (after_first < REGISTERING - 1).then_some(after_first + 1)
    }

    /// The id, or 0 if the table had no room; None if it was not registered in this logger's ring.
    pub(crate) fn id(&self, logger: &Logger) -> Option<u32> {
        let id = self.word.load(Ordering::Acquire).wrapping_sub(generation_word(logger)) & !SLOW;
        (id < REGISTERING).then_some(id as u32)
    }

    /// Registers it by `write`, which returns the id, None if that is impossible now. Never waits: 0 if another thread is
    /// registering it, and the record must carry its place itself.
    pub(crate) fn register(&self, logger: &Logger, write: impl FnOnce() -> Option<u32>) -> u32 {
        let seen = self.word.load(Ordering::Relaxed);
        let claim = generation_word(logger) + REGISTERING;
        if seen == claim || self.word.compare_exchange(seen, claim, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return 0;
        }
        let Some(id) = write() else {
            // Another logger's thread may be registering it meanwhile.
            let _ = self.word.compare_exchange(claim, 0, Ordering::Relaxed, Ordering::Relaxed);
            return 0;
        };
        let slow = if clock::kind() == clock_kind::TSC { 0 } else { SLOW };
        // A record that names the entry implies a visible entry, TABLE:A, whichever thread makes it.
        self.word.store(generation_word(logger) + (u64::from(id) | slow), Ordering::Release);
        id
    }
}

/// The word of an entry with id 0.
fn generation_word(logger: &Logger) -> u64 {
    logger.first_site_word() - 1
}
