//! The custom level names of a process, as its ring has them.

use lastwords_ring::error::Result;
use lastwords_ring::format::level::Level;
use lastwords_ring::read::reader::{RingReader, Source};
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names of one ring that are read, the newest first. A program gives fewer; a hostile ring may claim more.
const NAMES_MAX: usize = 1024;

/// Counts the readings of names, so that two different ones never share a number.
static READINGS: AtomicU64 = AtomicU64::new(0);

/// The custom level names of a ring.
#[derive(Debug, Default)]
pub struct LevelNames {
    /// Id of the entry that was the newest when they were read.
    newest: u32,
    /// Number of the reading, 0 as long as there are no names.
    reading: u64,
    /// An empty name is none.
    names: FxHashMap<Level, Box<str>>,
}

impl LevelNames {
    /// Reads the names if there are new ones. Call it after reading records, to find the names that were set before these were
    /// logged.
    ///
    /// # Errors
    /// As pread(2).
    pub fn refresh<S: Source>(&mut self, reader: &RingReader<S>) -> Result<()> {
        let newest = reader.newest_level_name()?;
        if newest == self.newest { Ok(()) } else { self.read(reader, newest) }
    }

    /// Follows the entries from the newest on. A cycle in a hostile ring only makes this take its longest.
    #[cold]
    fn read<S: Source>(&mut self, reader: &RingReader<S>, newest: u32) -> Result<()> {
        let (mut names, mut id) = (FxHashMap::default(), newest);
        for _ in 0..NAMES_MAX {
            let Some(found) = reader.level_name(id)? else { break };
            names.entry(found.level).or_insert_with(|| found.name.into_boxed_str());
            id = found.previous;
        }
        let reading = if names.is_empty() { 0 } else { READINGS.fetch_add(1, Ordering::Relaxed) + 1 };
        *self = LevelNames { newest, reading, names };
        Ok(())
    }

    /// The process's custom name for this level.
    #[inline]
    #[must_use]
    pub fn get(&self, level: Level) -> Option<&str> {
        self.names.get(&level).map(|name| &**name).filter(|name| !name.is_empty())
    }

    /// A number that two of them share only if they have the same names.
    #[inline]
    pub(crate) fn reading(&self) -> u64 {
        self.reading
    }
}

#[cfg(test)]
impl LevelNames {
    /// One name, as if it had been read.
    pub(crate) fn of(number: u16, name: &str) -> LevelNames {
        let names = FxHashMap::from_iter([(Level::new(number), name.into())]);
        LevelNames { newest: 1, reading: READINGS.fetch_add(1, Ordering::Relaxed) + 1, names }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use lastwords_ring::format::call_site::LevelName;
    use lastwords_ring::format::geometry::Geometry;
    use lastwords_ring::place::folder::Folder;
    use lastwords_ring::write::ring::{Ring, RingSpec};
    use std::sync::Barrier;

    const NOTICE: Level = Level::new(25);

    /// A ring whose names are gone: both ends have it open.
    fn ring(name: &str, table_size: u32) -> (Ring, RingReader) {
        let scratch = Scratch::new(name);
        let geometry = Geometry::new(128, 8, 2, 1, table_size).expect("sizes within the limits");
        let folder = Folder::create(scratch.path()).expect("a log folder");
        let ring = Ring::create(&folder, &RingSpec::new("host", geometry)).expect("a ring");
        let reader = RingReader::open(ring.path()).expect("a ring");
        (ring, reader)
    }

    fn read(reader: &RingReader) -> LevelNames {
        let mut names = LevelNames::default();
        names.refresh(reader).expect("readable");
        names
    }

    #[test]
    fn the_newest_name_of_each_level_counts_and_an_empty_one_is_none() {
        let (ring, reader) = ring("newest", 4096);
        let mut names = read(&reader);
        assert_eq!((names.get(NOTICE), names.reading()), (None, 0));
        for (level, name) in [(NOTICE, "NOTE"), (Level::WARNING, "WARN"), (Level::ERROR, "ERR"), (NOTICE, "NOTICE")] {
            ring.name_level(level, name);
        }
        names.refresh(&reader).expect("readable");
        let first = names.reading();
        assert_eq!(
            (names.get(NOTICE), names.get(Level::WARNING), names.get(Level::INFO)),
            (Some("NOTICE"), Some("WARN"), None)
        );
        names.refresh(&reader).expect("readable");
        assert_eq!(names.reading(), first, "nothing new");
        ring.name_level(NOTICE, "");
        names.refresh(&reader).expect("readable");
        assert_eq!((names.get(NOTICE), names.get(Level::ERROR)), (None, Some("ERR")));
        assert_ne!(names.reading(), first);
    }

    #[test]
    fn no_thread_takes_the_name_of_another_off_the_list() {
        const EACH: usize = 10_000;
        let (ring, reader) = ring("threads", 8 << 20);
        let together = Barrier::new(4);
        let work = || {
            together.wait();
            (0..EACH).for_each(|_| ring.name_level(NOTICE, "x"));
        };
        std::thread::scope(|scope| (0..4).for_each(|_| _ = scope.spawn(work)));
        let (mut found, mut id) = (0, reader.newest_level_name().expect("readable"));
        while let Some(name) = reader.level_name(id).expect("readable") {
            (found, id) = (found + 1, name.previous);
        }
        assert_eq!(found, 4 * EACH);
    }

    #[test]
    fn a_full_table_keeps_the_names_that_it_has() {
        let (ring, reader) = ring("full", 4096);
        let long = "x".repeat(60);
        (0..100).for_each(|n| ring.name_level(Level::new(100 + n), &long));
        let names = read(&reader);
        assert_eq!((names.get(Level::new(100)), names.get(Level::new(199))), (Some(&*long), None));
    }

    #[test]
    fn entries_of_any_kind_and_order_end_the_search() {
        let (ring, reader) = ring("kinds", 1 << 17);
        let add = |previous, level, name: &str| {
            ring.table().name_level(&LevelName { previous, level, name: name.to_owned() }).expect("room")
        };
        let first = add(0, NOTICE, "first");
        let later = add(u32::MAX, Level::ERROR, "outside");
        let own = add(later, Level::DEBUG, "own");
        let newest = |word: u64| {
            ring.control().level_names.store(word, lastwords_ring::atomics::Ordering::Relaxed);
            read(&reader)
        };
        assert_eq!(newest(first.into()).get(NOTICE), Some("first"));
        assert_eq!(newest(own.into()).get(Level::ERROR), Some("outside"));
        // The command line, the middle of an entry, and an invalid offset.
        for word in [1, u64::from(first) + 1, 1 << 40, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(newest(word).reading(), 0, "{word}");
        }
        let round = own + 3;
        assert_eq!(add(round, Level::DEBUG, "round"), round, "its previous one is itself");
        assert_eq!(newest(round.into()).get(Level::DEBUG), Some("round"));
        let mut last = own;
        (0..2 * NAMES_MAX as u16).for_each(|n| last = add(last, Level::new(1000 + n), "n"));
        assert_eq!(newest(last.into()).names.len(), NAMES_MAX, "and so does a long list");
    }
}
