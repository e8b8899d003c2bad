//! JOURNAL:B. Applies an entry's changes again, after a flusher died or a write failed; each of them does nothing
//! where it has been done.

use crate::error::{Error, Result};
use crate::flush::follow::publish_position;
use crate::flush::journal::{Change, Entry};
use crate::flush::logfile::{self, LogFile};
use crate::folder::Folder;
use crate::reader::{Position, RingReader};
use crate::spill;
use std::fs;
use std::io;

/// Applies `entry` to the folder.
///
/// # Errors
/// The first change that fails; the entry is to be applied again then.
pub(crate) fn apply(folder: &Folder, entry: &Entry) -> Result<()> {
    let mut bytes = entry.bytes.as_slice();
    for change in &entry.changes {
        match change {
            Change::Append { role, file, offset, length } => {
                let (part, rest) = bytes.split_at_checked(*length as usize).unwrap_or((bytes, &[]));
                bytes = rest;
                LogFile::open(folder, role)?.redo(*file, *offset, part)?;
            }
            Change::Position { ring, uuid, lane, words } => {
                if let Some(reader) = find(folder, ring, uuid)? {
                    let known = (*lane as usize) < reader.geometry().lanes();
                    if known {
                        let position = Position::from_words(words);
                        publish_position(reader.source(), reader.geometry(), *lane as usize, position)
                            .map_err(Error::io("write to the ring", reader.path()))?;
                    }
                }
            }
            Change::Remove { ring, uuid } => {
                if find(folder, ring, uuid)?.is_some() {
                    remove(folder, ring)?;
                }
            }
            Change::Rename { role, file, from, to } => logfile::apply_rename(folder, role, *file, *from, *to)?,
        }
    }
    Ok(())
}

/// The ring of this name, if it is the one that was meant. What cannot be read as a ring is not.
fn find(folder: &Folder, name: &str, uuid: &[u8; 16]) -> Result<Option<RingReader>> {
    match RingReader::open_in(folder, name) {
        Ok(reader) if reader.header().uuid == *uuid => Ok(Some(reader)),
        Ok(_) | Err(Error::NotARing { .. }) => Ok(None),
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a ring's file.
pub(crate) fn remove(folder: &Folder, name: &str) -> Result<()> {
    let entry = folder.rings().join(name);
    spill::remove_all(&entry).map_err(Error::io("remove the spilled messages of", &entry))?;
    // Shared memory goes before the file that stands for it, so that it is never left without one.
    for path in [folder.ring_path(name), entry] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove the ring", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}
