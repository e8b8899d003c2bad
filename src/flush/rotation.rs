//! A log file's predecessors by their numbers: the renames of a rotation, and what a stop of the machine left in them.
//!
//! `host.log` is written until the next record would exceed the size limit; then `host.log.4` becomes `host.log.5`,
//! and so on down to `host.log`, which becomes `host.log.1`. Each rename names the inode that it means, so that doing
//! it again does nothing.

use crate::error::{Error, Result};
use crate::flush::journal::Change;
use crate::flush::logfile::{COMPARE, cut_off};
use crate::folder::Folder;
use crate::mutant::{self, Mutant};
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// How far back a file is searched for zeros after the machine stopped: more than is written between two writebacks.
const ZEROS_LOOK: u64 = 64 << 20;

/// The log file of this name with number `number`; 0 is the current one.
#[must_use]
pub fn numbered(folder: &Folder, log: &str, number: u32) -> PathBuf {
    let mut path = folder.log_file(log).into_os_string();
    if number > 0 {
        path.push(format!(".{number}"));
    }
    path.into()
}

/// Where the file that the journal means stands. After a stop of the machine a rotation may be on the disk and its
/// journal entry not: then the file has a number, and lines that are sought in the current one would be written twice.
/// Where none of them is the one that was meant, it is the current one.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be listed.
pub fn path_of(folder: &Folder, log: &str, identity: (u64, u64)) -> Result<PathBuf> {
    let current = folder.log_file(log);
    if identity_of(&current)? == Some(identity) {
        return Ok(current);
    }
    let list = || Error::io("list the log folder", folder.path());
    for entry in fs::read_dir(folder.path()).map_err(list())? {
        let entry = entry.map_err(list())?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.rsplit_once('.')?.1.parse::<u32>().ok());
        if number.is_some_and(|number| numbered(folder, log, number).file_name() == Some(&name))
            && identity_of(&entry.path())? == Some(identity)
        {
            return Ok(entry.path());
        }
    }
    Ok(current)
}

/// The renames of one rotation, the oldest file first. With `keep` files kept, the oldest is replaced. Files move only as far
/// as the first free number: a rotation that is tried again and again, because the current file cannot be renamed, must not
/// push the older ones out.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be looked at.
pub fn plan_rotation(folder: &Folder, log: &str, keep: u32) -> Result<Vec<Change>> {
    let mut renames = Vec::new();
    for from in 0..keep {
        let Some(file) = identity_of(&numbered(folder, log, from))? else { break };
        renames.push(Change::Rename { log: log.to_owned(), file, from, to: from + 1 });
    }
    renames.reverse();
    Ok(renames)
}

/// Does one rename, unless it has been done.
///
/// # Errors
/// [`Error::Io`].
pub fn apply_rename(folder: &Folder, log: &str, file: (u64, u64), from: u32, to: u32) -> Result<()> {
    let (from, to) = (numbered(folder, log, from), numbered(folder, log, to));
    let found = identity_of(&from)?;
    if found == Some(file) || (found.is_some() && mutant::is(Mutant::RenameAnyFile)) {
        fs::rename(&from, &to).map_err(Error::io("rotate", from))?;
    }
    Ok(())
}

/// Device and inode of what has this name; None if nothing has.
pub(super) fn identity_of(path: &Path) -> Result<Option<(u64, u64)>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}

/// Zeros in the current file and the one before it: bytes that the machine did not get to the disk, for no line
/// has any. At most the last `ZEROS_LOOK` bytes of each are looked at.
///
/// # Errors
/// [`Error::Io`] if a file is there and cannot be read.
pub fn zeros(folder: &Folder, log: &str) -> Result<u64> {
    let mut zeros = 0;
    for number in [1, 0] {
        let path = numbered(folder, log, number);
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
pub fn is_shorter(folder: &Folder, log: &str, identity: (u64, u64), offset: u64) -> Result<bool> {
    let path = path_of(folder, log, identity)?;
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
pub fn end_rotated_lines(folder: &Folder, log: &str, keep: u32) -> Result<()> {
    for path in (1..=keep).map(|number| numbered(folder, log, number)) {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let Ok(file) = rustix::fs::open(&path, flags, Mode::empty()).map(File::from) else { continue };
        let size = file.metadata().map_err(Error::io("look at the log file", &path))?.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.read_exact_at(&mut last, size - 1).map_err(Error::io("read the log file", &path))?;
        }
        if last != [b'\n'] {
            file.write_all_at(cut_off(log), size).map_err(Error::io("write", &path))?;
        }
    }
    Ok(())
}
