//! The call sites in a logger's ring, for all threads.

use lastwords_ring::atomics::Ordering;
use lastwords_ring::format::call_site::CallSiteRef;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::write::ring::Ring;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Most targets of one place that are written to the table of call sites.
const TARGETS_MAX: u32 = 64;
/// Longest target and file, in bytes together, that are written there if they are chosen at each call.
const CHOSEN_MAX: usize = 1024;

/// Call sites by address or hash.
#[derive(Debug, Default)]
pub(crate) struct CallSites {
    known: Mutex<KnownSites>,
}

/// Call sites that are in the ring's table, or were refused; their number is bounded by the program's.
#[derive(Debug, Default)]
struct KnownSites {
    ids: BTreeMap<u64, u32>,
    /// Number of targets of the places whose target is chosen at each call.
    targets: BTreeMap<u64, u32>,
}

/// Writes a call site into the table; 0 if the table is full.
fn write(ring: &Ring, site: &CallSiteRef<'_>) -> u32 {
    ring.register(site).unwrap_or_else(|| {
        ring.control().table_refused.fetch_add(1, Ordering::Relaxed);
        0
    })
}

impl CallSites {
    /// The id of a call site, which is written into the table once for all threads; 0 if the table is full. None if another
    /// thread is registering one: this record then carries its place itself.
    pub(crate) fn register(&self, ring: &Ring, hash: u64, site: &CallSiteRef<'_>) -> Option<u32> {
        let mut known = self.known.try_lock().ok()?;
        Some(*known.ids.entry(hash).or_insert_with(|| write(ring, site)))
    }

    /// The id of a call site whose target, or file, is chosen at each call. `place` is the rest. If a place has more than
    /// [`TARGETS_MAX`] targets, or the table is full, each record carries its place itself: a program that names a target after
    /// each request would fill the table, and memory.
    pub(crate) fn register_chosen(&self, ring: &Ring, hash: u64, place: u64, site: &CallSiteRef<'_>) -> Option<u32> {
        if mutant::is(Mutant::EveryTarget) {
            return self.register(ring, hash, site);
        }
        let mut known = self.known.try_lock().ok()?;
        if let Some(id) = known.ids.get(&hash) {
            return Some(*id);
        }
        let targets = known.targets.get(&place).copied().unwrap_or(0);
        let is_long = site.target.len() + site.file.len() > CHOSEN_MAX;
        if targets == TARGETS_MAX || is_long || ring.control().table_refused.load(Ordering::Relaxed) > 0 {
            return Some(0);
        }
        let id = write(ring, site);
        if id != 0 {
            known.ids.insert(hash, id);
            known.targets.insert(place, targets + 1);
        }
        Some(id)
    }
}
