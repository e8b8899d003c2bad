//! A role's log file: where the next bytes go, and its rotation.
//!
//! `host.log` is written until the next record would exceed the size limit; then `host.log.4` becomes `host.log.5`,
//! and so on down to `host.log`, which becomes `host.log.1`. Each rename names the inode that it means, so that doing
//! it again does nothing.

use crate::error::{Error, Result};
use crate::flush::journal::Change;
use crate::folder::{Folder, JSON_ENDING};
use crate::mutant::{self, Mutant};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Size of the pieces in which bytes are compared with those in the file.
const COMPARE: usize = 64 << 10;

/// A batch of so many bytes shows that more will follow: then space is reserved, because a file system that is asked for it
/// page by page takes twice as long to write.
const BUSY: usize = 64 << 10;
/// What is put to the end of a line of text that has none.
const CUT_OFF: &[u8] = b" [lastwords: cut off here]\n";
/// The same for JSON: half an object shows by itself, and to a whole one nothing may be added.
const CUT_OFF_JSON: &[u8] = b"\n";
/// How far back a file is searched for zeros after the machine stopped: more than is written between two writebacks.
const ZEROS_LOOK: u64 = 64 << 20;
/// Space that is reserved at a time.
const RESERVE: u64 = 2 << 20;

/// What ends a line without an end in the log file of this name.
pub(crate) fn cut_off(name: &str) -> &'static [u8] {
    if name.ends_with(JSON_ENDING) { CUT_OFF_JSON } else { CUT_OFF }
}

/// The current log file of a role.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    cut_off: &'static [u8],
    file: File,
    identity: (u64, u64),
    size: u64,
    /// Up to where space has been reserved.
    reserved: u64,
    /// The file ends in the middle of a line, which somebody else left.
    needs_newline: bool,
    moved_to: Option<PathBuf>,
    /// Its name is new and not yet synced.
    is_new: bool,
    /// Something was written since the last sync.
    unsynced: bool,
}

impl LogFile {
    /// Opens the role's current file, made where it is missing. What has its name and is no plain file of its own, a
    /// symbolic link, a FIFO, a further name of some other file, is renamed and never written to.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be looked at, renamed, opened or made.
    pub fn open(folder: &Folder, role: &str) -> Result<LogFile> {
        LogFile::open_at(folder.log_file(role), cut_off(role))
    }

    /// Opens the file that the journal means, see [`path_of`].
    ///
    /// # Errors
    /// As [`LogFile::open`], or if the folder cannot be listed.
    pub fn open_meant(folder: &Folder, role: &str, identity: (u64, u64)) -> Result<LogFile> {
        LogFile::open_at(path_of(folder, role, identity)?, cut_off(role))
    }

    fn open_at(path: PathBuf, cut_off: &'static [u8]) -> Result<LogFile> {
        let (moved_to, is_new) = move_aside(&path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|error| Error::io("open the log file", &path)(error.into()))?;
        let metadata = file.metadata().map_err(Error::io("look at the log file", &path))?;
        let size = metadata.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.read_exact_at(&mut last, size - 1).map_err(Error::io("read the log file", &path))?;
        }
        let identity = (metadata.dev(), metadata.ino());
        let needs_newline = last != [b'\n'];
        // Another flusher may have written to it and died before its sync.
        let unsynced = size > 0;
        Ok(LogFile { path, cut_off, file, identity, size, reserved: 0, needs_newline, moved_to, is_new, unsynced })
    }

    /// Where something that was no log file has been moved to, told once.
    pub fn take_moved(&mut self) -> Option<PathBuf> {
        self.moved_to.take()
    }

    /// Device and inode.
    #[must_use]
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Where the next bytes go.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether a newline must come first, because somebody else's last line has none.
    #[must_use]
    pub fn needs_newline(&self) -> bool {
        self.needs_newline
    }

    /// Whether the path still leads to this file, and nobody else changed its size.
    #[must_use]
    pub fn is_current(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| {
            (found.dev(), found.ino()) == self.identity && found.len() == self.size
        })
    }

    /// Writes `bytes` at the file's end.
    ///
    /// # Errors
    /// [`Error::Io`]. Part of the bytes may stand in the file; the same call again overwrites them.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.reserve(bytes.len());
        self.file.write_all_at(bytes, self.size).map_err(Error::io("write", &self.path))?;
        self.size += bytes.len() as u64;
        self.needs_newline = false;
        self.unsynced = true;
        Ok(())
    }

    /// Writes what was appended since the last sync to the disk. Returns whether its name has to be synced too.
    ///
    /// # Errors
    /// [`Error::Io`] as fdatasync(2).
    pub fn sync(&mut self) -> Result<bool> {
        if self.unsynced {
            self.file.sync_data().map_err(Error::io("sync the log file", &self.path))?;
            self.unsynced = false;
        }
        Ok(std::mem::take(&mut self.is_new))
    }

    /// Reserves space for a busy file. The size stays as it is, and so does everything if the disk is too full for it.
    fn reserve(&mut self, length: usize) {
        let end = self.size + length as u64;
        if length >= BUSY && end > self.reserved {
            self.reserved = end + RESERVE;
            let _ = rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.size, self.reserved - self.size);
        }
    }

    /// Applies an append of the journal again. Where the file is the one that was meant, what is missing is written;
    /// where somebody replaced or changed it, all bytes go to its end.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn redo(&mut self, identity: (u64, u64), offset: u64, bytes: &[u8]) -> Result<()> {
        let same = self.identity == identity || mutant::is(Mutant::RedoAnyFile);
        let comparable = same && self.size >= offset && !mutant::is(Mutant::RedoBlind);
        let there = if comparable { self.common(offset, bytes)? } else { None };
        match there {
            Some(length) if length == bytes.len() => Ok(()),
            Some(length) => self.write_again(&bytes[length..], offset + length as u64),
            None => {
                self.end_line()?;
                self.append(bytes)
            }
        }
    }

    /// Ends a line that somebody, or a power loss, left without its end, so that it is not taken for a whole one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn end_line(&mut self) -> Result<()> {
        if self.needs_newline { self.append(self.cut_off) } else { Ok(()) }
    }

    /// How many bytes below `offset` are missing at the end of the file, if it is the one that was meant.
    #[must_use]
    pub fn missing(&self, identity: (u64, u64), offset: u64) -> u64 {
        if self.identity == identity { offset.saturating_sub(self.size) } else { 0 }
    }

    fn write_again(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(Error::io("write", &self.path))?;
        self.size = self.size.max(offset + bytes.len() as u64);
        self.unsynced = true;
        self.needs_newline = false;
        Ok(())
    }

    /// How many of `bytes` stand at `offset`, or None if something else does. A zero is in no line: it stands where the
    /// machine stopped before the bytes were on the disk, and is no more than a missing byte.
    fn common(&self, offset: u64, bytes: &[u8]) -> Result<Option<usize>> {
        let there = bytes.len().min((self.size - offset) as usize);
        let mut found = vec![0u8; COMPARE.min(there)];
        let mut common = None;
        for start in (0..there).step_by(COMPARE) {
            let part = &bytes[start..there.min(start + COMPARE)];
            let found = &mut found[..part.len()];
            self.file.read_exact_at(found, offset + start as u64).map_err(Error::io("read", &self.path))?;
            if found == part || mutant::is(Mutant::RedoTrusting) {
                continue;
            }
            for n in (0..part.len()).filter(|n| found[*n] != part[*n]) {
                if found[n] != 0 {
                    return Ok(None);
                }
                common.get_or_insert(start + n);
            }
        }
        Ok(Some(common.unwrap_or(there)))
    }
}

/// Moves aside what is no log file. Returns where to, and whether nothing has the name now.
fn move_aside(path: &Path) -> Result<(Option<PathBuf>, bool)> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, true)),
        Err(error) => return Err(Error::io("look at the log file", path)(error)),
    };
    if found.is_file() && found.nlink() == 1 {
        return Ok((None, false));
    }
    let seconds = crate::clock::realtime_ns() / 1_000_000_000;
    let mut to = path.as_os_str().to_owned();
    to.push(format!(".aside-{seconds}-{}", found.ino()));
    let to = PathBuf::from(to);
    fs::rename(path, &to).map_err(Error::io("move aside", path))?;
    Ok((Some(to), true))
}

/// The file of `role` with number `number`; 0 is the current one.
#[must_use]
pub fn numbered(folder: &Folder, role: &str, number: u32) -> PathBuf {
    let mut path = folder.log_file(role).into_os_string();
    if number > 0 {
        path.push(format!(".{number}"));
    }
    path.into()
}

/// Where the file that the journal means stands. After a stop of the machine a rotation may be on the disk and its
/// journal entry not: then the file has a number, and lines that are sought in the current one would be written twice.
/// Where no file of the role is the one that was meant, it is the current one.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be listed.
pub fn path_of(folder: &Folder, role: &str, identity: (u64, u64)) -> Result<PathBuf> {
    let current = folder.log_file(role);
    if identity_of(&current)? == Some(identity) {
        return Ok(current);
    }
    let list = || Error::io("list the log folder", folder.path());
    for entry in fs::read_dir(folder.path()).map_err(list())? {
        let entry = entry.map_err(list())?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.rsplit_once('.')?.1.parse::<u32>().ok());
        if number.is_some_and(|number| numbered(folder, role, number).file_name() == Some(&name))
            && identity_of(&entry.path())? == Some(identity)
        {
            return Ok(entry.path());
        }
    }
    Ok(current)
}

/// The renames of one rotation, the oldest file first. With `keep` files kept, the oldest is replaced.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be looked at.
pub fn plan_rotation(folder: &Folder, role: &str, keep: u32) -> Result<Vec<Change>> {
    let mut renames = Vec::new();
    for from in (0..keep).rev() {
        if let Some(file) = identity_of(&numbered(folder, role, from))? {
            renames.push(Change::Rename { role: role.to_owned(), file, from, to: from + 1 });
        }
    }
    Ok(renames)
}

/// Does one rename, unless it has been done.
///
/// # Errors
/// [`Error::Io`].
pub fn apply_rename(folder: &Folder, role: &str, file: (u64, u64), from: u32, to: u32) -> Result<()> {
    let (from, to) = (numbered(folder, role, from), numbered(folder, role, to));
    let found = identity_of(&from)?;
    if found == Some(file) || (found.is_some() && mutant::is(Mutant::RenameAnyFile)) {
        fs::rename(&from, &to).map_err(Error::io("rotate", from))?;
    }
    Ok(())
}

fn identity_of(path: &Path) -> Result<Option<(u64, u64)>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}

/// Zeros in a role's current file and the one before it: bytes that the machine did not get to the disk, for no line
/// has any. At most the last `ZEROS_LOOK` bytes of each are looked at.
///
/// # Errors
/// [`Error::Io`] if a file is there and cannot be read.
pub fn zeros(folder: &Folder, role: &str) -> Result<u64> {
    let mut zeros = 0;
    for number in [1, 0] {
        let path = numbered(folder, role, number);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => continue,
            Err(error) => return Err(Error::io("open the log file", path)(error.into())),
        };
        let size = file.metadata().map_err(Error::io("look at the log file", &path))?.len();
        let mut part = vec![0; COMPARE];
        for start in (size.saturating_sub(ZEROS_LOOK)..size).step_by(COMPARE) {
            let length = COMPARE.min((size - start) as usize);
            file.read_exact_at(&mut part[..length], start).map_err(Error::io("read the log file", &path))?;
            zeros += part[..length].iter().filter(|byte| **byte == 0).count() as u64;
        }
    }
    Ok(zeros)
}

/// Whether the file that the journal means is there and ends before `offset`.
///
/// # Errors
/// [`Error::Io`] if it is there and cannot be looked at.
pub fn is_shorter(folder: &Folder, role: &str, identity: (u64, u64), offset: u64) -> Result<bool> {
    let path = path_of(folder, role, identity)?;
    match fs::symlink_metadata(&path) {
        Ok(found) => Ok((found.dev(), found.ino()) == identity && found.len() < offset),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}

/// Ends the last lines of rotated files where the machine stopped before their ends were on the disk.
///
/// # Errors
/// [`Error::Io`] if a file is there and cannot be read or written.
pub fn end_rotated_lines(folder: &Folder, role: &str, keep: u32) -> Result<()> {
    for path in (1..=keep).map(|number| numbered(folder, role, number)) {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let Ok(file) = rustix::fs::open(&path, flags, Mode::empty()).map(File::from) else { continue };
        let size = file.metadata().map_err(Error::io("look at the log file", &path))?.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.read_exact_at(&mut last, size - 1).map_err(Error::io("read the log file", &path))?;
        }
        if last != [b'\n'] {
            file.write_all_at(cut_off(role), size).map_err(Error::io("write", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `host.log` holds after the bytes "one\ntwo\n" at offset 4 were applied again to `there`; `same` says whether it
    /// is the file that the journal meant.
    fn redone(name: &str, there: &str, same: bool) -> String {
        let path = std::env::temp_dir().join(format!("lastwords-redo-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let folder = Folder::create(&path).expect("made");
        fs::write(folder.log_file("host"), there).expect("written");
        let mut file = LogFile::open(&folder, "host").expect("opened");
        let (device, inode) = file.identity();
        file.redo((device, if same { inode } else { inode + 1 }), 4, b"one\ntwo\n").expect("applied");
        let found = fs::read_to_string(folder.log_file("host")).expect("read");
        fs::remove_dir_all(&path).expect("removed");
        found
    }

    #[test]
    fn an_append_is_completed_wherever_it_was_cut() {
        let whole = "old\none\ntwo\n";
        for length in 4..=whole.len() {
            assert_eq!(redone("cut", &whole[..length], true), whole, "cut to {length}");
        }
    }

    #[test]
    fn an_append_goes_to_the_end_of_a_file_that_somebody_changed_or_put_there() {
        assert_eq!(redone("changed", "old\nedited by hand\n", true), "old\nedited by hand\none\ntwo\n");
        assert_eq!(redone("truncated", "x\n", true), "x\none\ntwo\n");
        // A copy may be cut or sorted anywhere; nobody knows that what follows in it is what the journal meant.
        assert_eq!(redone("copied", "old\none\n", false), "old\none\none\ntwo\n");
    }

    #[test]
    fn an_append_goes_to_the_file_that_was_meant_where_that_has_been_rotated() {
        let path = std::env::temp_dir().join(format!("lastwords-rotated-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let folder = Folder::create(&path).expect("made");
        fs::write(numbered(&folder, "host", 0), "old\none\n").expect("written");
        let meant = identity_of(&numbered(&folder, "host", 0)).expect("looked at").expect("there");
        fs::rename(numbered(&folder, "host", 0), numbered(&folder, "host", 3)).expect("rotated");
        fs::write(numbered(&folder, "host", 0), "new\n").expect("written");
        let mut file = LogFile::open_meant(&folder, "host", meant).expect("opened");
        file.redo(meant, 4, b"one\ntwo\n").expect("applied");
        let read = |number| fs::read_to_string(numbered(&folder, "host", number)).expect("read");
        assert_eq!((read(3).as_str(), read(0).as_str()), ("old\none\ntwo\n", "new\n"));
        fs::remove_dir_all(&path).expect("removed");
    }
}
