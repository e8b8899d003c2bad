//! Ids of call sites whose statics are not ours, as a thread remembers them.
//!
//! The place of a macro's call holds its id itself. A facade's call only says where it comes from, so its id is looked up
//! at every record, under a key that tells call sites apart: without a lock where the thread has met the place before.

use crate::logger::Logger;
use crate::table::CallSiteRef;
use std::cell::Cell;

/// Call sites that a thread remembers, in pairs of which the one that was met last comes first.
const REMEMBERED: usize = 128;

thread_local! {
    static SITES: [Cell<RememberedSite>; REMEMBERED] =
        const { [const { Cell::new(RememberedSite { key: 0, generation: 0, id: 0 }) }; REMEMBERED] };
}

#[derive(Debug, Clone, Copy)]
struct RememberedSite {
    key: u64,
    generation: u32,
    id: u32,
}

/// The id of a call site in this logger's ring; registered where no thread has met it. 0 where that cannot be now: then the
/// record must carry its place itself.
pub(crate) fn id_of<'a>(logger: &Logger, key: u64, site: impl FnOnce() -> CallSiteRef<'a>) -> u32 {
    let generation = logger.generation();
    let is_it = |known: RememberedSite| known.key == key && known.generation == generation;
    SITES.with(|sites| {
        // The best bits of a product are its highest.
        let index = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - REMEMBERED.ilog2())) as usize;
        let known = sites[index].get();
        if is_it(known) {
            return known.id;
        }
        let other = sites[index ^ 1].get();
        let found = if is_it(other) { Some(other.id) } else { logger.register_shared(key, &site()) };
        if let Some(id) = found {
            sites[index ^ 1].set(known);
            sites[index].set(RememberedSite { key, generation, id });
        }
        found.unwrap_or(0)
    })
}
