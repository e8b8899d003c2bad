//! Call sites whose statics are not ours, as a thread remembers them.
//!
//! The place of a macro's call holds its id itself, and where its records go. A facade's call only says where it comes
//! from, so both are looked up at every record, under a key that tells call sites apart: without a lock where the thread
//! has met the place before.

use crate::logger::live_filter::CachedDecision;
use crate::logger::ring_logger::Logger;
use lastwords_ring::format::call_site::CallSiteRef;
use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::level::Level;
use std::cell::Cell;

/// Call sites that a thread remembers, in pairs of which the one that was met last comes first.
const CACHED: usize = 128;

thread_local! {
    static SITES: [Cell<CachedCallSite>; CACHED] = const { [const { Cell::new(CachedCallSite::NONE) }; CACHED] };
}

/// What is known of a call site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CachedCallSite {
    /// None for one that cannot be told from others, and is not remembered.
    key: Option<u64>,
    generation: u32,
    /// Its id in the ring's table, 0 where that had no room; None if it was not asked for yet.
    id: Option<u32>,
    decision: CachedDecision,
}

impl CachedCallSite {
    const NONE: CachedCallSite = CachedCallSite { key: None, generation: 0, id: None, decision: CachedDecision::NONE };

    /// What the thread knows of the call site with this key in this logger's ring; nothing, where it has not met it.
    #[inline]
    pub(crate) fn find(logger: &Logger, key: Option<u64>) -> CachedCallSite {
        let fresh = CachedCallSite { key, generation: logger.generation(), ..CachedCallSite::NONE };
        let Some(index) = key.map(index_of) else { return fresh };
        let is_it = |known: &CachedCallSite| known.key == key && known.generation == fresh.generation;
        SITES.with(|sites| {
            let known = sites[index].get();
            if is_it(&known) {
                return known;
            }
            let other = sites[index ^ 1].get();
            if is_it(&other) {
                sites[index ^ 1].set(known);
                sites[index].set(other);
                return other;
            }
            fresh
        })
    }

    fn keep(&self) {
        let Some(index) = self.key.map(index_of) else { return };
        SITES.with(|sites| {
            let first = sites[index].replace(*self);
            if first.key != self.key {
                sites[index ^ 1].set(first);
            }
        });
    }

    /// What the filter says of the place, remembered until the filter changes.
    pub(crate) fn destination(&mut self, logger: &Logger, level: Level, target: &str) -> Option<Destination> {
        if self.decision.key != logger.filter.key() {
            self.decision = logger.filter.decide(level, target);
            self.keep();
        }
        self.decision.destination
    }

    /// Its id in the ring's table; registered where no thread has met it. 0 where that cannot be now: then the record must
    /// carry its place itself.
    #[cfg(feature = "tracing")]
    #[inline]
    pub(crate) fn id<'a>(self, logger: &Logger, site: impl FnOnce() -> CallSiteRef<'a>) -> u32 {
        self.id_by(|key| logger.call_sites.register(logger.ring(), key, &site()))
    }

    /// The same for a target that is chosen at each call; `place` is what tells the place from others without it.
    #[inline]
    pub(crate) fn id_of_chosen<'a>(self, logger: &Logger, place: u64, site: impl FnOnce() -> CallSiteRef<'a>) -> u32 {
        self.id_by(|key| logger.call_sites.register_chosen(logger.ring(), key, place, &site()))
    }

    #[inline]
    fn id_by(mut self, register: impl FnOnce(u64) -> Option<u32>) -> u32 {
        if self.id.is_none()
            && let Some(key) = self.key
        {
            self.id = register(key);
            self.keep();
        }
        self.id.unwrap_or(0)
    }
}

/// The best bits of a product are its highest.
fn index_of(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - CACHED.ilog2())) as usize
}
