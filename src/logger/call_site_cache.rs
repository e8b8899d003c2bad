//! Call sites without statics of ours, as cached by a thread.
//!
//! A macro's call site caches its own id and destination. A facade's call only names its place, so both are looked up at every
//! record, under a key that identifies the call site: without a lock if the thread has met the place before.

use crate::logger::live_filter::CachedDecision;
use crate::logger::ring_logger::Logger;
use lastwords_ring::format::call_site::CallSiteRef;
use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::level::Level;
use std::cell::Cell;

/// Call sites that a thread caches, in pairs with the more recent one first.
const CACHED: usize = 128;

thread_local! {
    static SITES: [Cell<CachedCallSite>; CACHED] = const { [const { Cell::new(CachedCallSite::NONE) }; CACHED] };
}

/// A cached call site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CachedCallSite {
    /// None for one that cannot be identified, and is not cached.
    key: Option<u64>,
    generation: u32,
    /// Its id in the ring's table, 0 if that had no room; None if not requested yet.
    id: Option<u32>,
    decision: CachedDecision,
}

impl CachedCallSite {
    const NONE: CachedCallSite = CachedCallSite { key: None, generation: 0, id: None, decision: CachedDecision::NONE };

    /// The thread's entry for the call site with this key in this logger's ring; an empty one, if it has not met it.
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

    /// The filter's decision for the place, cached until the filter changes.
    pub(crate) fn destination(&mut self, logger: &Logger, level: Level, target: &str) -> Option<Destination> {
        if self.decision.key != logger.filter.key() {
            self.decision = logger.filter.decide(level, target);
            self.keep();
        }
        self.decision.destination
    }

    /// Its id in the ring's table; registered if no thread has met it. 0 if that is impossible now: then the record must carry
    /// its place itself.
    #[cfg(feature = "tracing")]
    #[inline]
    pub(crate) fn id<'a>(self, logger: &Logger, site: impl FnOnce() -> CallSiteRef<'a>) -> u32 {
        self.id_by(|key| logger.call_sites.register(logger.ring(), key, &site()))
    }

    /// Like [`Self::id`], for a target that is chosen at each call; `place` identifies the place without it.
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
