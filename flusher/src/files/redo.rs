//! JOURNAL:B. Applies an entry's changes again, after a flusher died or a write failed; each of them is idempotent.
//!
//! Where the machine stopped, log files may lack bytes from before the entry. That is logged in them, and then the rings know
//! better than the entry what is missing: their own positions apply, and none of them is removed.

use crate::files::journal::{Change, Entry};
use crate::files::log_file::LogFile;
use crate::files::notices;
use crate::files::output::Output;
use crate::files::rotation;
use lastwords_ring::error::{Error, Result, may_pass};
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock::realtime_ns;
use lastwords_ring::place::folder::{Folder, SHM_ENDING};
use lastwords_ring::place::open;
use lastwords_ring::place::{capture_file, crash_notes};
use lastwords_ring::place::{segment, spill};
use lastwords_ring::read::progress::{log_death, publish_position};
use lastwords_ring::read::reader::{LaneSnapshot, Position, RingReader};
use rustix::fs::FileType;
use std::io;
use std::path::Path;

/// Applies the entry of an earlier boot, or a part of one; `settled` says whether the whole of it had nothing to apply.
///
/// # Errors
/// As [`apply`].
fn apply_after_stop(folder: &Folder, entry: &Entry, settled: bool) -> Result<()> {
    let mut whole = true;
    for (log, file, offset) in ends(entry) {
        let mut opened = LogFile::open_meant(folder, log, file)?;
        let missing = opened.missing(file, offset);
        if missing > 0 {
            whole = false;
            tell(folder, &mut opened, log, &notices::stopped_before(missing))?;
        } else if opened.identity() != file && opened.size() > 0 && !settled {
            // The meant file has no name any more, and the one here may end within a record.
            tell(folder, &mut opened, log, notices::stopped())?;
        }
    }
    for change in &entry.changes {
        if let Change::Archived { log, file, archive, number } = change {
            rotation::remove_doubtful(folder, log, *file, *archive, *number)?;
        }
    }
    let (in_files, in_rings): (Vec<Change>, Vec<Change>) = entry
        .changes
        .iter()
        .cloned()
        .partition(|change| matches!(change, Change::Append { .. } | Change::Rename { .. }));
    apply_changes(folder, &Entry { changes: in_files, bytes: entry.bytes.clone(), ..*entry })?;
    for (log, ..) in ends(entry) {
        let zeros = rotation::zeros(folder, log)?;
        if zeros > 0 {
            whole = false;
            tell(folder, &mut LogFile::open(folder, log)?, log, &notices::stopped_within(zeros))?;
        }
    }
    let changes = if whole { in_rings } else { Vec::new() };
    apply_changes(folder, &Entry { changes, bytes: Vec::new(), ..*entry })
}

/// Whether log files lack bytes from before `entry`, because the machine stopped.
///
/// # Errors
/// [`Error::Io`] if a log file exists and cannot be inspected.
pub(crate) fn lacks_bytes(folder: &Folder, entry: &Entry) -> Result<bool> {
    if !entry.is_of_another_boot() {
        return Ok(false);
    }
    for (log, file, offset) in ends(entry) {
        if rotation::is_shorter(folder, log, file, offset)? || rotation::zeros(folder, log)? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The files that `entry` appends to, and where.
fn ends(entry: &Entry) -> impl Iterator<Item = (&str, (u64, u64), u64)> {
    entry.changes.iter().filter_map(|change| match change {
        Change::Append { log, file, offset, .. } => Some((log.as_str(), *file, *offset)),
        _ => None,
    })
}

/// Writes a line of the flusher's own to the log file of this name.
fn tell(folder: &Folder, file: &mut LogFile, log: &str, text: &str) -> Result<()> {
    let mut output = Output::new(log, &folder.zone(), None);
    output.say(realtime_ns(), std::process::id(), Level::WARNING, text);
    file.end_line()?;
    file.append(&output.lines)
}

/// Applies a part of an entry to the folder; `settled` says whether the whole of it had nothing to apply.
///
/// # Errors
/// The first change that fails; the part is to be applied again then.
pub(crate) fn apply(folder: &Folder, part: &Entry, settled: bool) -> Result<()> {
    if part.is_of_another_boot() { apply_after_stop(folder, part, settled) } else { apply_changes(folder, part) }
}

fn apply_changes(folder: &Folder, entry: &Entry) -> Result<()> {
    let mut unrotated = None;
    for (change, bytes) in entry.changes_with_bytes() {
        match change {
            Change::Of { .. } => {}
            Change::Append { log, file, offset, .. } => {
                if !bytes.is_empty() {
                    LogFile::open_meant(folder, log, *file)?.redo(*file, *offset, bytes)?;
                }
            }
            Change::Position { ring, uuid, lane, words } => {
                if let Some(reader) = find(folder, ring, uuid)? {
                    let position = Position::from_words(words);
                    if is_due(&reader, *lane as usize, position, entry)? {
                        publish_position(reader.source(), reader.geometry(), *lane as usize, position)
                            .or_else(|error| if is_cut(&error) { Ok(()) } else { Err(error) })
                            .map_err(Error::io("write to the ring", reader.path()))?;
                    }
                }
            }
            Change::Remove { ring, uuid } => {
                if find(folder, ring, uuid)?.is_some() || is_half_removed(folder, ring)? {
                    remove(folder, ring)?;
                }
            }
            Change::DeathLogged { ring, uuid } => {
                if let Some(reader) = find(folder, ring, uuid)? {
                    log_death(reader.source(), reader.geometry())
                        .or_else(|error| if is_cut(&error) { Ok(()) } else { Err(error) })
                        .map_err(Error::io("write to the ring", reader.path()))?;
                }
            }
            Change::Archived { log, file, archive, number } => {
                rotation::remove_archived(folder, log, *file, *archive, *number)?;
            }
            Change::Rename { log, file, from, to, archive } if unrotated != Some(log) => {
                match rotation::apply_rename(folder, log, *file, (*from, *to), *archive) {
                    // The current file goes on. What was to be renamed after this would take the place of what stayed.
                    Err(error) if !error.may_pass() => unrotated = Some(log),
                    done => done?,
                }
            }
            Change::Rename { .. } => {}
        }
    }
    Ok(())
}

/// Whether a position is to be published: the lane exists, and is not further already. It is further if the newest file of the
/// journal was removed, and this entry is the one before. Another boot's rings may have lost their positions.
fn is_due(reader: &RingReader, lane: usize, position: Position, entry: &Entry) -> Result<bool> {
    let (mut buffer, mut lanes) = (Vec::new(), Vec::new());
    reader.lanes(&mut buffer, &mut lanes)?;
    let is_behind = |found: &LaneSnapshot| found.position.written <= position.written;
    Ok(lanes.get(lane).is_some_and(|found| is_behind(found) || entry.is_of_another_boot()))
}

/// The ring of this name, if it is the one that was meant. What cannot be read as a ring is not.
fn find(folder: &Folder, name: &str, uuid: &[u8; 16]) -> Result<Option<RingReader>> {
    match RingReader::open_in(folder, name) {
        Ok(reader) if reader.header().uuid == *uuid => Ok(Some(reader)),
        Ok(_) | Err(Error::NotARing { .. }) => Ok(None),
        Err(Error::Io { source, .. }) if is_another(&folder.ring_path(name), &source) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a removal of shared memory was interrupted: the memory is gone, and only the file that represents it is left. Its
/// name holds the UUID, so it represents no other ring.
fn is_half_removed(folder: &Folder, name: &str) -> Result<bool> {
    let path = folder.ring_path(name);
    let found = open::look_for(&path).map_err(Error::io("inspect the ring", path))?;
    Ok(found.is_none() && name.ends_with(SHM_ENDING) && !mutant::is(Mutant::HalfRemoved))
}

/// Whether the ring has no room for its position any more, because it was truncated.
fn is_cut(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// Whether the error of opening the ring at `path` is permanent: the name leads to something else, or nowhere.
fn is_another(path: &Path, error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
        || open::is_another_kind(path, FileType::RegularFile, error)
}

/// Removes a ring's files, those beside it first: the remains of an interrupted removal are then found by the ring.
pub(crate) fn remove(folder: &Folder, name: &str) -> Result<()> {
    let entry = folder.rings().join(name);
    spill::remove_all(&entry).map_err(Error::io("remove the spilled messages of", &entry))?;
    let ring = folder.ring_path(name);
    segment::remove_all(&ring).map_err(Error::io("remove the backlog of", &ring))?;
    for removed in [crash_notes::remove(&entry), capture_file::remove(&entry)] {
        match removed {
            Err(error) if may_pass(&error) => return Err(Error::io("remove what is beside", &entry)(error)),
            // What can never be removed, such as a folder in its place, must not keep the entry from being applied.
            _ => {}
        }
    }
    // Shared memory goes before the file that represents it, so that it is never left without one.
    for path in [ring, entry] {
        open::remove(&path).map_err(Error::io("remove the ring", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use lastwords_ring::place::process::boot_id;
    use std::fs;

    #[test]
    fn a_removal_that_was_cut_off_between_the_memory_and_its_file_is_completed() {
        let scratch = Scratch::new("apply-half");
        let folder = Folder::create(scratch.path()).expect("made");
        let name = format!("worker-1-half-removed-{}.shm", std::process::id());
        fs::write(folder.rings().join(&name), "").expect("written");
        let changes = vec![Change::Remove { ring: name, uuid: [7; 16] }];
        apply(&folder, &Entry { epoch: 1, boot_id: boot_id(), changes, bytes: Vec::new() }, false).expect("applied");
        assert_eq!(folder.ring_names().expect("listed"), Vec::<String>::new());
    }

    #[test]
    fn a_ring_is_taken_for_another_file_only_if_one_is_there() {
        let scratch = Scratch::new("apply-another");
        let path = scratch.path().join("host-1-ab.ring");
        let is_another = |errno: i32| is_another(&path, &io::Error::from_raw_os_error(errno));
        fs::write(&path, "a ring").expect("written");
        assert!(!is_another(libc::ELOOP) && !is_another(libc::ENXIO), "some file systems return these spuriously");
        fs::remove_file(&path).and_then(|()| std::os::unix::fs::symlink("elsewhere", &path)).expect("linked");
        assert!(is_another(libc::ELOOP) && is_another(libc::ENOENT) && is_another(libc::EACCES));
    }
}
