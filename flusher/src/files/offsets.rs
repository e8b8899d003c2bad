//! The zone of a folder's times, and the offset of each log file's last line.
//!
//! A reader of a file must know what its times mean, so each change of the offset is logged: by daylight saving, by the
//! setting, or by a flusher that does not know the zone. The offset of each file's last line is kept in `rings/offsets`, for
//! the next flusher: first the zone with its newest offset, then a line for each log file.
//!
//! ```text
//! Europe/Berlin +02:00
//! host +02:00
//! worker.jsonl +01:00
//!
//! ```
//!
//! An empty line ends it: it is written in place, over a text that may have been longer, by one call after the batch. After a
//! kill between the two, the next flusher logs one change once more.

use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::folder::{Folder, is_log_name};
use lastwords_ring::place::open::{self, PRIVATE};
use lastwords_ring::place::zone::kept::parse;
use lastwords_ring::place::zone::{Zone, offset_text};
use rustix::fs::{FileType, OFlags};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// The file in the rings folder.
pub(crate) const OFFSETS: &str = "offsets";
/// A longer one is not read.
const OFFSETS_MAX: u64 = 1 << 20;

/// The identity of the folder's zone file: device, inode and time of change; None if it is missing.
type Seen = Option<(u64, u64, i64, i64)>;

/// The zone of a folder, and the offsets of its files.
#[derive(Debug)]
pub(crate) struct FolderZone {
    zone: Zone,
    seen: Seen,
    /// By log file; what was read, and what was written since.
    offsets: BTreeMap<String, i32>,
    /// The newest of all, where it is not written yet.
    unwritten: Option<i32>,
}

impl FolderZone {
    pub(crate) fn open(folder: &Folder) -> FolderZone {
        let (newest, offsets) = read(folder);
        let zone = known(folder, newest.as_ref());
        FolderZone { zone, seen: look(folder), offsets, unwritten: None }
    }

    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Checks whether the folder's zone has changed, and returns that.
    pub(crate) fn refresh(&mut self, folder: &Folder) -> bool {
        let seen = look(folder);
        // While the file is missing the zone stays what it was.
        if seen == self.seen || seen.is_none() {
            return false;
        }
        let zone = known(folder, read(folder).0.as_ref());
        self.seen = seen;
        let is_other = zone.name() != self.zone.name();
        self.zone = zone;
        is_other
    }

    /// The offset of the last line in this log file, if known.
    pub(crate) fn last(&self, log: &str) -> Option<i32> {
        self.offsets.get(log).copied()
    }

    /// Notes the offset of the last line in a log file.
    pub(crate) fn note(&mut self, log: &str, offset: i32) {
        if self.last(log) != Some(offset) {
            self.offsets.insert(log.to_owned(), offset);
            self.unwritten = Some(offset);
        }
    }

    /// Writes the offsets for the next flusher, if they have changed.
    ///
    /// # Errors
    /// As open(2) and pwrite(2); the next batch retries it.
    pub(crate) fn write(&mut self, folder: &Folder) -> io::Result<()> {
        let Some(newest) = self.unwritten else { return Ok(()) };
        self.offsets.retain(|log, _| open::look(&folder.log_file(log)).is_ok());
        let mut text = format!("{} {}\n", self.zone.name(), offset_text(newest));
        self.offsets.iter().for_each(|(log, offset)| text += &format!("{log} {}\n", offset_text(*offset)));
        text.push('\n');
        let path = folder.rings().join(OFFSETS);
        if open::look(&path).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) != FileType::RegularFile) {
            open::set_aside(&path)?;
        }
        let file = open::file(&path, OFlags::WRONLY | OFlags::CREATE, PRIVATE)?;
        file.file()?.write_all_at(text.as_bytes(), 0)?;
        self.unwritten = None;
        Ok(())
    }
}

/// The folder's zone. If its rules are not known here, the newest offset that a flusher has used applies.
fn known(folder: &Folder, newest: Option<&(String, i32)>) -> Zone {
    let zone = folder.zone();
    match newest {
        Some((name, offset)) if !zone.is_known() && name == zone.name() => Zone::kept(name, *offset),
        _ => zone,
    }
}

fn look(folder: &Folder) -> Seen {
    let found = open::look(&folder.zone_note()).ok()?;
    Some((found.st_dev, found.st_ino, found.st_mtime, found.st_mtime_nsec as i64))
}

/// The zone with its newest offset, and those of the log files. What no flusher can have written is skipped.
fn read(folder: &Folder) -> (Option<(String, i32)>, BTreeMap<String, i32>) {
    let mut text = String::new();
    let file = open::to_read(&folder.rings().join(OFFSETS));
    if file.and_then(|file| file.take(OFFSETS_MAX).read_to_string(&mut text)).is_err() {
        return (None, BTreeMap::new());
    }
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    (lines.next().and_then(parse), lines.filter_map(parse).filter(|(log, _)| is_log_name(log)).collect())
}

/// Which offset the lines of one log file have.
#[derive(Debug)]
pub(crate) struct Offset {
    zone: Zone,
    /// That of the last rendered line; None before the first one, if that of the line before is not known.
    made: Option<i32>,
    /// That of the last line before those that are being made.
    begun: Option<i32>,
    /// That of the last line in the file.
    written: Option<i32>,
    /// The second that was asked about last.
    second: u64,
}

impl Offset {
    /// Lines in this zone, of which the last one has had the offset `last`.
    pub(crate) fn new(zone: Zone, last: Option<i32>) -> Offset {
        Offset { zone, made: last, begun: last, written: last, second: u64::MAX }
    }

    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// From here on in this zone.
    pub(crate) fn change(&mut self, zone: Zone) {
        (self.zone, self.second) = (zone, u64::MAX);
    }

    /// Before a line with this time, in nanoseconds since 1970: the two offsets if the change has to be logged.
    #[inline]
    pub(crate) fn at(&mut self, ns: u64) -> Option<(i32, i32)> {
        let second = ns / 1_000_000_000;
        if second == self.second { None } else { self.look(second) }
    }

    #[cold]
    fn look(&mut self, second: u64) -> Option<(i32, i32)> {
        self.second = second;
        let offset = self.zone.offset(second as i64);
        let last = self.made.replace(offset)?;
        (last != offset && !mutant::is(Mutant::OffsetUntold)).then_some((last, offset))
    }

    /// The offset of the last line that was made.
    pub(crate) fn made(&self) -> Option<i32> {
        self.made
    }

    /// That of the last line in the file.
    pub(crate) fn written(&self) -> Option<i32> {
        self.written
    }

    /// Lines are rendered that may be taken away again.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.begun = self.made;
    }

    /// They are taken away. Returns what [`Offset::put_back`] takes with them.
    pub(crate) fn take_away(&mut self) -> Option<i32> {
        self.second = u64::MAX;
        std::mem::replace(&mut self.made, self.begun)
    }

    /// They are there again, as the last ones.
    pub(crate) fn put_back(&mut self, made: Option<i32>) {
        (self.made, self.second) = (made, u64::MAX);
    }

    /// All lines that were made since the last that is in the file are gone.
    pub(crate) fn forget(&mut self) {
        (self.made, self.second) = (self.written, u64::MAX);
    }

    /// All lines that were made are in the file, or will be.
    pub(crate) fn write(&mut self) {
        self.written = self.made;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;
    /// The last Sunday of October 2025, 01:00 UTC.
    const WINTER: u64 = 1_761_440_400_000_000_000;

    fn berlin() -> Zone {
        Zone::kept("CET-1CEST,M3.5.0,M10.5.0/3", 0)
    }

    #[test]
    fn each_change_is_told_once_and_again_where_its_line_was_taken_away() {
        let mut offset = Offset::new(berlin(), None);
        assert_eq!(offset.at(WINTER - HOUR), None, "nobody knows what was before");
        assert_eq!(offset.at(WINTER - 1), None);
        offset.begin();
        assert_eq!(offset.at(WINTER), Some((7200, 3600)));
        assert_eq!(offset.at(WINTER + 5), None);
        let made = offset.take_away();
        assert_eq!(offset.at(WINTER + 5), Some((7200, 3600)), "the line that logged it is gone");
        offset.put_back(made);
        assert_eq!(offset.at(WINTER + HOUR), None);
        assert_eq!(offset.at(WINTER - HOUR), Some((3600, 7200)), "a late record");
        offset.forget();
        assert_eq!(offset.made(), None, "nothing is in the file");
        offset.at(WINTER);
        offset.write();
        assert_eq!(offset.written(), Some(3600));
    }

    #[test]
    fn another_zone_is_told_where_its_offset_differs() {
        let mut offset = Offset::new(Zone::fixed(32_400), Some(32_400));
        assert_eq!(offset.at(WINTER), None);
        offset.change(Zone::utc());
        assert_eq!(offset.at(WINTER), Some((32_400, 0)));
        offset.change(Zone::fixed(0));
        assert_eq!(offset.at(WINTER), None);
    }
}
