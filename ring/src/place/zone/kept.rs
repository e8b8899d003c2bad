//! The zone of a log folder: in its file `time_zone`, a name and the offset at that time, `Asia/Tokyo +09:00`.
//!
//! It is written when a log is set up: by the first process its own zone, and by a process with the setting `time_zone` that
//! one. So the lines of a folder are in one zone, whichever process flushes it, on whatever machine. If the name is unknown
//! there, the offset applies.

use super::{Zone, offset_of, offset_text};
use crate::mutant::{self, Mutant};
use crate::place::clock::realtime_ns;
use crate::place::folder::Folder;
use crate::place::open;
use crate::place::stderr::complain;
use rustix::fs::RenameFlags;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The file.
const NOTE: &str = "time_zone";
/// A longer one is not ours.
const NOTE_MAX: u64 = 256;

impl Folder {
    /// The zone of its times: the one in its file, else that of this process.
    #[must_use]
    pub fn zone(&self) -> Zone {
        if mutant::is(Mutant::ZoneOfFlusher) {
            return Zone::local();
        }
        self.kept_zone().map_or_else(Zone::local, |(name, offset)| Zone::kept(&name, offset))
    }

    /// Where its zone is stored.
    pub fn zone_note(&self) -> PathBuf {
        self.path().join(NOTE)
    }

    /// Name and offset of its stored zone.
    fn kept_zone(&self) -> Option<(String, i32)> {
        let mut text = String::new();
        open::to_read(&self.zone_note()).ok()?.take(NOTE_MAX).read_to_string(&mut text).ok()?;
        parse(text.strip_suffix('\n')?)
    }

    /// Stores the zone of this name for the folder; without a name its stored zone remains, else it gets that of this process.
    /// Returns its name. From here on its rules are in memory, as far as known.
    ///
    /// # Errors
    /// Why the zone is unknown.
    pub fn keep_zone(&self, asked: Option<&str>) -> Result<String, String> {
        let kept = self.kept_zone().map(|(name, _)| name);
        let zone = match (asked, kept) {
            (None, Some(_)) => return Ok(self.zone().name),
            (Some(asked), Some(kept)) if kept == asked => return Ok(self.zone().name),
            (Some(asked), _) => Zone::named(asked)?,
            (None, None) => Zone::local(),
        };
        if let Err(error) = self.note_zone(&zone, asked.is_some()) {
            complain(format_args!(
                "the time zone cannot be kept in {} ({error}); times may be in that of the process that flushes",
                self.path().display()
            ));
        }
        Ok(zone.name)
    }

    fn note_zone(&self, zone: &Zone, replace: bool) -> io::Result<()> {
        let note = self.zone_note();
        let temporary = self.path().join(format!(".{NOTE}.{}.new", std::process::id()));
        let now = (realtime_ns() / 1_000_000_000) as i64;
        let text = format!("{} {}\n", zone.name, offset_text(zone.offset(now)));
        let named = |_: &File, from: &Path, to: &Path| match replace {
            true => open::rename(from, to, RenameFlags::empty()),
            false => open::rename_new(from, to),
        };
        match open::write_whole(&temporary, &note, text.as_bytes(), named) {
            // Another process was first.
            Err(error) if !replace && error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }
}

impl Zone {
    /// A folder's stored zone; if its name is unknown here, the offset applies.
    pub fn kept(name: &str, offset: i32) -> Zone {
        let fixed = || Zone { name: name.to_owned(), is_known: false, ..Zone::fixed(offset) };
        Zone::named(name).ok().or_else(|| super::find::by_name_or_rules(name)).unwrap_or_else(fixed)
    }
}

/// A stored name and offset.
pub fn parse(line: &str) -> Option<(String, i32)> {
    let (name, offset) = line.split_once(' ')?;
    let is_name = !name.is_empty() && name.len() <= super::NAME_MAX && name.bytes().all(|byte| byte.is_ascii_graphic());
    Some((name.to_owned(), offset_of(offset).filter(|_| is_name)?))
}
