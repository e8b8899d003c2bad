//! A process's custom level names, for its present ring and for later ones.
//!
//! A forked child finds every name, and writes it to its own ring.

use lastwords_ring::format::call_site::cut_name;
use lastwords_ring::format::level::Level;
use lastwords_ring::sys::leaked_list::LeakedList;
use lastwords_ring::write::ring::Ring;
use std::ptr;

/// A name.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) level: Level,
    pub(crate) name: Box<str>,
}

/// Custom level names.
#[derive(Debug)]
pub(crate) struct NamedLevels {
    names: LeakedList<Named>,
}

impl NamedLevels {
    pub(crate) const fn new() -> NamedLevels {
        NamedLevels { names: LeakedList::new() }
    }

    /// Adds a name, truncated to the maximum length. None if the level already has it.
    pub(crate) fn add(&'static self, level: Level, name: &str) -> Option<&'static Named> {
        let name = cut_name(name);
        let known = self.names.newest_first().find(|named| named.level == level).map_or("", |named| &*named.name);
        if known == name {
            return None;
        }
        Some(self.names.add(Named { level, name: name.into() }))
    }

    /// Writes to a ring the names that levels were given after `known`. Returns the newest name.
    pub(crate) fn write(&'static self, ring: &Ring, known: Option<&'static Named>) -> Option<&'static Named> {
        let mut last: Vec<&Named> = Vec::new();
        let is_known = |named: &&Named| known.is_some_and(|known| ptr::eq(*named, known));
        for named in self.names.newest_first().take_while(|named| !is_known(named)) {
            if last.iter().all(|later| later.level != named.level) {
                last.push(named);
            }
        }
        let newest = last.first().copied();
        last.iter().for_each(|named| ring.name_level(named.level, &named.name));
        newest.or(known)
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
        let names: Vec<&str> = NAMES.names.newest_first().map(|named| &*named.name).collect();
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
        assert_eq!(NAMES.names.newest_first().count(), 4 * EACH);
    }
}
