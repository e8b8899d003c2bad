//! A log file's predecessors by their numbers: the renames of a rotation, and the repair after a stop of the machine.
//!
//! `host.log` is written until the next record would exceed the size limit; then `host.log.4` becomes `host.log.5`,
//! and so on down to `host.log`, which becomes `host.log.1`. Each rename names the inode that it means, so that doing
//! it again does nothing.

use crate::files::journal::Change;
use crate::files::torn::{COMPARE, cut_off};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::folder::{Folder, ROTATE_KEEP_MAX};
use lastwords_ring::place::open;
use rustix::fs::{FileType, Mode, OFlags, RenameFlags};
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::FileExt;
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

/// The path of the file that the journal means. After a stop of the machine a rotation may be on the disk and its journal entry
/// not: then the file has a number, and lines searched for in the current one would be written twice. If none of them is the
/// meant one, it is the current one.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be listed.
pub fn path_of(folder: &Folder, log: &str, identity: (u64, u64)) -> Result<PathBuf> {
    let current = folder.log_file(log);
    if identity_of(&current)? == Some(identity) {
        return Ok(current);
    }
    let list = || Error::io("list the log folder", folder.path());
    for name in open::list(folder.path()).map_err(list())? {
        let number = name.to_str().and_then(|name| name.rsplit_once('.')?.1.parse::<u32>().ok());
        let path = folder.path().join(&name);
        if number.is_some_and(|number| numbered(folder, log, number) == path) && identity_of(&path)? == Some(identity) {
            return Ok(path);
        }
    }
    Ok(current)
}

/// The renames of one rotation, the oldest file first. With `keep` files kept, the oldest is replaced. Files move only as far
/// as the first free number: a rotation that is tried again and again, because the current file cannot be renamed, must not
/// push the older ones out.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be inspected.
pub fn plan_rotation(folder: &Folder, log: &str, keep: u32) -> Result<Vec<Change>> {
    let mut renames = Vec::new();
    for from in 0..keep {
        let Some(file) = identity_of(&numbered(folder, log, from))? else { break };
        renames.push(Change::Rename { log: log.to_owned(), file, from, to: from + 1 });
    }
    renames.reverse();
    Ok(renames)
}

/// A file of a log by its number; 0 is the current one.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) number: u32,
    pub(crate) path: PathBuf,
    /// Bytes.
    pub(crate) size: u64,
    /// When its last line was written, in seconds since 1970: a rename leaves that as it is.
    pub(crate) last_s: u64,
}

/// The regular files among `names`, those of the folder, that are the log file of this name or one that was rotated.
pub(crate) fn numbered_files(folder: &Folder, log: &str, names: &[OsString]) -> Vec<Numbered> {
    let current = folder.log_file(log);
    let of_name = |name: &OsString| {
        let path = folder.path().join(name);
        let number = if path == current { 0 } else { name.to_str()?.rsplit_once('.')?.1.parse().ok()? };
        if number > ROTATE_KEEP_MAX || numbered(folder, log, number) != path {
            return None;
        }
        let found = open::look(&path).ok()?;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        let (size, last_s) = (found.st_size as u64, u64::try_from(found.st_mtime).unwrap_or(0));
        is_file.then_some(Numbered { number, path, size, last_s })
    };
    names.iter().filter_map(of_name).collect()
}

/// Does one rename, unless it has been done.
///
/// # Errors
/// [`Error::Io`].
pub fn apply_rename(folder: &Folder, log: &str, file: (u64, u64), from: u32, to: u32) -> Result<()> {
    let (from, to) = (numbered(folder, log, from), numbered(folder, log, to));
    let found = identity_of(&from)?;
    if found == Some(file) || (found.is_some() && mutant::is(Mutant::RenameAnyFile)) {
        open::rename(&from, &to, RenameFlags::empty()).map_err(Error::io("rotate", from))?;
    }
    Ok(())
}

/// Device and inode of what has this name; None if nothing has.
pub(super) fn identity_of(path: &Path) -> Result<Option<(u64, u64)>> {
    let found = open::look_for(path).map_err(Error::io("inspect", path))?;
    Ok(found.map(|found| (found.st_dev, found.st_ino)))
}

/// Whether nothing, or no file of ours, has the name.
fn is_no_file(path: &Path, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || open::is_another_kind(path, FileType::RegularFile, error)
}

/// Zeros in the current file and the one before it: bytes that did not reach the disk, for no line contains any. At most the
/// last `ZEROS_LOOK` bytes of each are read.
///
/// # Errors
/// [`Error::Io`] if a file exists and cannot be read.
pub fn zeros(folder: &Folder, log: &str) -> Result<u64> {
    let mut zeros = 0;
    for number in [1, 0] {
        let path = numbered(folder, log, number);
        let file = match open::to_read(&path) {
            Ok(file) => file,
            Err(error) if is_no_file(&path, &error) => continue,
            Err(error) => return Err(Error::io("open the log file", path)(error)),
        };
        let size = file.metadata().map_err(Error::io("inspect the log file", &path))?.len();
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
/// [`Error::Io`] if it exists and cannot be inspected.
pub fn is_shorter(folder: &Folder, log: &str, identity: (u64, u64), offset: u64) -> Result<bool> {
    let path = path_of(folder, log, identity)?;
    let found = open::look_for(&path).map_err(Error::io("inspect", path))?;
    Ok(found.is_some_and(|found| (found.st_dev, found.st_ino) == identity && (found.st_size as u64) < offset))
}

/// Ends the last lines of rotated files where the machine stopped before their ends were on the disk.
///
/// # Errors
/// [`Error::Io`] if a file exists and cannot be read or written.
pub fn end_rotated_lines(folder: &Folder, log: &str, keep: u32) -> Result<()> {
    for path in (1..=keep).map(|number| numbered(folder, log, number)) {
        let Ok(file) = open::file(&path, OFlags::RDWR, Mode::empty()) else { continue };
        let size = file.metadata().map_err(Error::io("inspect the log file", &path))?.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.read_exact_at(&mut last, size - 1).map_err(Error::io("read the log file", &path))?;
        }
        if last != [b'\n'] {
            file.file().and_then(|file| file.write_all_at(cut_off(log), size)).map_err(Error::io("write", &path))?;
        }
    }
    Ok(())
}
