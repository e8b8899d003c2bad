//! Changing the filter of a ring, with `pwrite`, so that any process can.
//!
//! Text, levels and generation are three writes. Concurrent changes, by the process and by `lastwords level` for instance, are
//! serialised by a lock of these bytes: the level of one beside the text of another would persist until the next change, and of
//! two changes with one generation the producers would see only the first.

use crate::error::{Error, Result};
use crate::format::filter::{Filter, TEXT_MAX};
use crate::format::geometry::Geometry;
use crate::format::layout::Control;
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

impl Filter {
    /// Writes the filter to a ring's control page.
    ///
    /// # Errors
    /// As pwrite(2), [`io::ErrorKind::InvalidInput`] for directives longer than [`TEXT_MAX`], and
    /// [`io::ErrorKind::UnexpectedEof`] if the ring was truncated.
    pub fn write(&self, ring: &File, geometry: Geometry) -> io::Result<()> {
        let _lock = lock(ring, geometry);
        self.write_text(&self.directives.to_string(), ring, geometry)
    }

    /// Writes it temporarily: the flusher writes `then` when `CLOCK_BOOTTIME` has reached `until_ns`.
    ///
    /// # Errors
    /// As [`Filter::write`].
    pub fn write_until(&self, until_ns: u64, then: &Filter, ring: &File, geometry: Geometry) -> io::Result<()> {
        let _lock = lock(ring, geometry);
        self.write_text(&self.text_until(until_ns, then), ring, geometry)
    }

    fn write_text(&self, text: &str, ring: &File, geometry: Geometry) -> io::Result<()> {
        let at = |field: usize| geometry.control_offset() + field as u64;
        if text.len() > TEXT_MAX {
            let message = format!("directives of {} bytes found, expected at most {TEXT_MAX}", text.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        if ring.metadata()?.len() < geometry.file_size() {
            // A write would extend it again, and its process would find neither its ring nor an error there.
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the ring was truncated"));
        }
        ring.write_all_at(&self.text_bytes(text), at(offset_of!(Control, filter)))?;
        ring.write_all_at(bytemuck::cast_slice(&self.level_words()), at(offset_of!(Control, level)))?;
        let mut generation = [0u8; 4];
        ring.read_exact_at(&mut generation, at(offset_of!(Control, filter_generation)))?;
        let next = u32::from_le_bytes(generation).wrapping_add(1);
        ring.write_all_at(&next.to_le_bytes(), at(offset_of!(Control, filter_generation)))
    }
}

fn lock(ring: &File, geometry: Geometry) -> Option<RangeLock<'_>> {
    let start = geometry.control_offset();
    RangeLock::take(ring, start..start + size_of::<Control>() as u64, LOCK_MAX)
}

/// Replaces the filter by `filter()`, atomically with respect to other changes.
pub(crate) fn change(filter: impl FnOnce() -> Filter, ring: &File, geometry: Geometry, path: &Path) -> Result<()> {
    let _lock = lock(ring, geometry);
    let filter = filter();
    filter.write_text(&filter.directives.to_string(), ring, geometry).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => Error::setting("log", error),
        _ => Error::io("write the filter to", path)(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::layout::FILTER_WORDS;
    use crate::format::level::Level;

    #[test]
    fn changes_at_once_come_one_after_the_other() {
        let geometry = Geometry::new(128, 64, 3, 2, 1 << 14).expect("sizes");
        let path = std::env::temp_dir().join(format!("lastwords-filter-change-{}", std::process::id()));
        File::create(&path).expect("made").set_len(geometry.file_size()).expect("long enough");
        let opened = || File::options().read(true).write(true).open(&path).expect("opened");
        let filters = [Filter::from(Level::OFF), Filter::from(Level::TRACE)];
        std::thread::scope(|scope| {
            for filter in &filters {
                scope.spawn(|| (0..2000).for_each(|_| filter.write(&opened(), geometry).expect("written")));
            }
        });
        let (file, at) = (opened(), |field: usize| geometry.control_offset() + field as u64);
        let (mut words, mut text) = ([0u8; 12], [0u8; FILTER_WORDS * 8]);
        file.read_exact_at(&mut words, at(offset_of!(Control, level))).expect("read");
        file.read_exact_at(&mut text, at(offset_of!(Control, filter))).expect("read");
        std::fs::remove_file(&path).expect("removed");
        let [level, write_level, generation]: [u32; 3] = bytemuck::cast(words);
        assert_eq!(generation, 4000, "each change has its own generation");
        assert_eq!([level, write_level], Filter::parse(0, &text).level_words(), "text and levels are of one change");
    }
}
