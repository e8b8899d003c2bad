//! Which zone a log folder has: in its file `time_zone`, a name and the offset that it had then, `Asia/Tokyo +09:00`.
//!
//! Whoever sets up a log writes it: the first one its own zone, and one that has the setting `time_zone` that. So the lines
//! of a folder are in one zone, whoever flushes it, on whatever machine. Where a name is not known, the offset counts.

use super::{Zone, offset_of, offset_text};
use crate::mutant::{self, Mutant};
use crate::place::clock::realtime_ns;
use crate::place::folder::Folder;
use crate::place::open::{self, PRIVATE};
use crate::place::stderr::complain;
use rustix::fs::{OFlags, RenameFlags};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// The file.
const NOTE: &str = "time_zone";
/// A longer one is none of ours.
const NOTE_MAX: u64 = 256;

impl Folder {
    /// The zone of its times: the one that it keeps, else that of this process.
    #[must_use]
    pub fn zone(&self) -> Zone {
        if mutant::is(Mutant::ZoneOfFlusher) {
            return Zone::local();
        }
        self.kept_zone().map_or_else(Zone::local, |(name, offset)| Zone::kept(&name, offset))
    }

    /// Where it keeps its zone.
    pub fn zone_note(&self) -> PathBuf {
        self.path().join(NOTE)
    }

    /// Name and offset of the zone that it keeps.
    fn kept_zone(&self) -> Option<(String, i32)> {
        let mut text = String::new();
        open::to_read(&self.zone_note()).ok()?.take(NOTE_MAX).read_to_string(&mut text).ok()?;
        parse(text.strip_suffix('\n')?)
    }

    /// Has the folder keep the zone of this name; without one it keeps what it has, else that of this process. Returns its
    /// name. From here on its rules are in memory, as far as they are known.
    ///
    /// # Errors
    /// Why there is no such zone.
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
                "the time zone cannot be kept in {} ({error}); times may be in that of whoever flushes",
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
        let file = open::file(&temporary, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, PRIVATE);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        let named = written.and_then(|()| match replace {
            true => open::rename(&temporary, &note, RenameFlags::empty()),
            false => open::rename_new(&temporary, &note),
        });
        match named {
            Ok(()) => Ok(()),
            Err(error) => {
                let _ = open::remove(&temporary);
                // Somebody else was the first one.
                if replace || error.kind() != io::ErrorKind::AlreadyExists { Err(error) } else { Ok(()) }
            }
        }
    }
}

impl Zone {
    /// The zone of this name, which a folder keeps; where it is not known here, the offset counts.
    pub fn kept(name: &str, offset: i32) -> Zone {
        let fixed = || Zone { name: name.to_owned(), is_known: false, ..Zone::fixed(offset) };
        Zone::named(name).ok().or_else(|| super::find::by_name_or_rules(name)).unwrap_or_else(fixed)
    }
}

/// A name and an offset, as they are kept.
pub fn parse(line: &str) -> Option<(String, i32)> {
    let (name, offset) = line.split_once(' ')?;
    let is_name = !name.is_empty() && name.len() <= super::NAME_MAX && name.bytes().all(|byte| byte.is_ascii_graphic());
    Some((name.to_owned(), offset_of(offset).filter(|_| is_name)?))
}
