//! Changing the filter of a ring, with `pwrite`, so that any process can.
//!
//! Text, levels and generation are three writes. Concurrent changes, by the process and by `lastwords level` for instance, are
//! serialised by a lock of these bytes: the level of one beside the text of another would persist until the next change, and of
//! two changes with one generation the producers would see only the first.

use crate::error::{Error, Result};
use crate::format::filter::{Filter, TEXT_MAX, end_of};
use crate::format::geometry::Geometry;
use crate::format::layout::{Control, FILTER_WORDS};
use crate::sys::range_lock::RangeLock;
use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// Longest wait for another change, which takes microseconds. A holder that keeps the lock longer is stopped, and level changes
/// do not wait for it; nor if such locks are unavailable.
const LOCK_MAX: Duration = Duration::from_millis(500);

/// A change of a ring's filter. Others wait until it is dropped, so what it reads is what it replaces.
#[derive(Debug)]
pub struct FilterChange<'a> {
    ring: &'a File,
    geometry: Geometry,
    _lock: Option<RangeLock<'a>>,
}

impl FilterChange<'_> {
    /// Begins a change of this ring's filter, once no other one is in progress.
    #[must_use]
    pub fn begin(ring: &File, geometry: Geometry) -> FilterChange<'_> {
        let start = geometry.control_offset();
        let lock = RangeLock::take(ring, start..start + size_of::<Control>() as u64, LOCK_MAX);
        FilterChange { ring, geometry, _lock: lock }
    }

    /// The present filter; and until when it applies, in `CLOCK_BOOTTIME`, with the filter that follows, unless it is permanent.
    ///
    /// # Errors
    /// As pread(2), and [`io::ErrorKind::UnexpectedEof`] if the ring was truncated.
    pub fn present(&self) -> io::Result<(Filter, Option<(u64, Filter)>)> {
        let (mut level, mut text) = ([0u8; 4], [0u8; FILTER_WORDS * 8]);
        self.ring.read_exact_at(&mut level, self.at(offset_of!(Control, level)))?;
        self.ring.read_exact_at(&mut text, self.at(offset_of!(Control, filter)))?;
        Ok((Filter::parse(u32::from_le_bytes(level), &text), end_of(&text)))
    }

    /// Writes `filter`.
    ///
    /// # Errors
    /// As pwrite(2), [`io::ErrorKind::InvalidInput`] for directives longer than [`TEXT_MAX`], and
    /// [`io::ErrorKind::UnexpectedEof`] if the ring was truncated.
    pub fn write(&self, filter: &Filter) -> io::Result<()> {
        self.write_text(filter, &filter.directives.to_string())
    }

    /// Writes `filter` temporarily: the flusher writes `then` when `CLOCK_BOOTTIME` has reached `until_ns`.
    ///
    /// # Errors
    /// As [`FilterChange::write`].
    pub fn write_until(&self, filter: &Filter, until_ns: u64, then: &Filter) -> io::Result<()> {
        self.write_text(filter, &filter.text_until(until_ns, then))
    }

    fn write_text(&self, filter: &Filter, text: &str) -> io::Result<()> {
        if text.len() > TEXT_MAX {
            let message = format!("directives of {} bytes found, expected at most {TEXT_MAX}", text.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        if self.ring.metadata()?.len() < self.geometry.file_size() {
            // A write would extend it again, and its process would find neither its ring nor an error there.
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the ring was truncated"));
        }
        let generation_at = self.at(offset_of!(Control, filter_generation));
        self.ring.write_all_at(&filter.text_bytes(text), self.at(offset_of!(Control, filter)))?;
        self.ring.write_all_at(bytemuck::cast_slice(&filter.level_words()), self.at(offset_of!(Control, level)))?;
        let mut generation = [0u8; 4];
        self.ring.read_exact_at(&mut generation, generation_at)?;
        let next = u32::from_le_bytes(generation).wrapping_add(1);
        self.ring.write_all_at(&next.to_le_bytes(), generation_at)
    }

    fn at(&self, field: usize) -> u64 {
        self.geometry.control_offset() + field as u64
    }
}

/// Replaces the filter by `filter()`, atomically with respect to other changes.
pub(crate) fn change(filter: impl FnOnce() -> Filter, ring: &File, geometry: Geometry, path: &Path) -> Result<()> {
    let change = FilterChange::begin(ring, geometry);
    change.write(&filter()).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => Error::setting("log", error),
        _ => Error::io("write the filter to", path)(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::level::Level;
    use crate::scratch::Scratch;

    #[test]
    fn changes_at_once_come_one_after_the_other() {
        let geometry = Geometry::new(128, 64, 3, 2, 1 << 14).expect("sizes");
        let scratch = Scratch::new("filter-change");
        let path = scratch.path().join("ring");
        File::create(&path).expect("made").set_len(geometry.file_size()).expect("long enough");
        let opened = || File::options().read(true).write(true).open(&path).expect("opened");
        let filters = [Filter::from(Level::OFF), Filter::from(Level::TRACE)];
        std::thread::scope(|scope| {
            for filter in &filters {
                scope.spawn(|| {
                    (0..2000).for_each(|_| FilterChange::begin(&opened(), geometry).write(filter).expect("written"))
                });
            }
        });
        let (file, at) = (opened(), |field: usize| geometry.control_offset() + field as u64);
        let (mut words, mut text) = ([0u8; 12], [0u8; FILTER_WORDS * 8]);
        file.read_exact_at(&mut words, at(offset_of!(Control, level))).expect("read");
        file.read_exact_at(&mut text, at(offset_of!(Control, filter))).expect("read");
        let [level, write_level, generation]: [u32; 3] = bytemuck::cast(words);
        assert_eq!(generation, 4000, "each change has its own generation");
        assert_eq!([level, write_level], Filter::parse(0, &text).level_words(), "text and levels are of one change");
    }
}
