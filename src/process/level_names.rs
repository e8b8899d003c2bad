//! A process's custom level names, for its present ring and for later ones.
//!
//! A list that only grows, of boxes that are never freed: readers take no lock, which at a fork a thread of the parent might
//! have held. So a forked child finds every name, and writes it to its own ring.

use lastwords_ring::format::call_site::cut_name;
use lastwords_ring::format::level::Level;
use lastwords_ring::sys::hooks::leaked;
use lastwords_ring::write::ring::Ring;
use std::iter;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A name, and the earlier ones.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) level: Level,
    pub(crate) name: Box<str>,
    before: AtomicPtr<Named>,
}

/// Custom level names.
#[derive(Debug)]
pub(crate) struct NamedLevels {
    newest: AtomicPtr<Named>,
}

impl NamedLevels {
    pub(crate) const fn new() -> NamedLevels {
        NamedLevels { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Adds a name, truncated to the maximum length. None if the level already has it.
    pub(crate) fn add(&'static self, level: Level, name: &str) -> Option<&'static Named> {
        let name = cut_name(name);
        let known = self.newest_first().find(|named| named.level == level).map_or("", |named| &*named.name);
        if known == name {
            return None;
        }
        let named = Named { level, name: name.into(), before: AtomicPtr::new(ptr::null_mut()) };
        let named: &'static Named = Box::leak(Box::new(named));
        let link = |before| {
            named.before.store(before, Ordering::Relaxed);
            Some(ptr::from_ref(named).cast_mut())
        };
        // Always succeeds in the end, because `link` never declines.
        let _ = self.newest.fetch_update(Ordering::AcqRel, Ordering::Acquire, link);
        Some(named)
    }

    /// Writes to a ring the names that levels were given after `known`. Returns the newest name.
    pub(crate) fn write(&'static self, ring: &Ring, known: Option<&'static Named>) -> Option<&'static Named> {
        let mut last: Vec<&Named> = Vec::new();
        let is_known = |named: &&Named| known.is_some_and(|known| ptr::eq(*named, known));
        for named in self.newest_first().take_while(|named| !is_known(named)) {
            if last.iter().all(|later| later.level != named.level) {
                last.push(named);
            }
        }
        let newest = last.first().copied();
        last.iter().for_each(|named| ring.name_level(named.level, &named.name));
        newest.or(known)
    }

    fn newest_first(&'static self) -> impl Iterator<Item = &'static Named> {
        iter::successors(leaked(&self.newest), |named| leaked(&named.before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn a_name_that_a_level_has_already_is_not_added_again() {
        static NAMES: NamedLevels = NamedLevels::new();
        let level = Level::new(25);
        assert!(NAMES.add(level, "").is_none(), "it has no name");
        assert!(NAMES.add(level, "NOTICE").is_some() && NAMES.add(level, "NOTICE").is_none());
        assert!(NAMES.add(Level::WARNING, "WARN").is_some() && NAMES.add(level, "SUCCESS").is_some());
        assert!(NAMES.add(level, "NOTICE").is_some() && NAMES.add(Level::WARNING, "WARN").is_none());
        let names: Vec<&str> = NAMES.newest_first().map(|named| &*named.name).collect();
        assert_eq!(names, ["NOTICE", "SUCCESS", "WARN", "NOTICE"]);
    }

    #[test]
    fn no_thread_takes_the_name_of_another_off_the_list() {
        const EACH: usize = 10_000;
        static NAMES: NamedLevels = NamedLevels::new();
        let together = Barrier::new(4);
        let work = |thread: u16| {
            together.wait();
            (0..EACH).for_each(|n| assert!(NAMES.add(Level::new(thread), &n.to_string()).is_some()));
        };
        std::thread::scope(|scope| {
            let work = &work;
            (0..4).for_each(|thread| _ = scope.spawn(move || work(thread)));
        });
        assert_eq!(NAMES.newest_first().count(), 4 * EACH);
    }
}
