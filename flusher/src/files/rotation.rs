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
use std::ffi::{OsStr, OsString};
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

/// Behind the name of a rotated file: its archive.
pub(crate) const ARCHIVE_ENDING: &str = ".zst";

/// The archive of the log file of this name with number `number`.
#[must_use]
pub fn archived(folder: &Folder, log: &str, number: u32) -> PathBuf {
    let mut path = numbered(folder, log, number).into_os_string();
    path.push(ARCHIVE_ENDING);
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
        let plain = identity_of(&numbered(folder, log, from))?;
        let archive = if from > 0 { identity_of(&archived(folder, log, from))? } else { None };
        if plain.is_none() && archive.is_none() {
            break;
        }
        let rename = |archive, file| Change::Rename { log: log.to_owned(), file, from, to: from + 1, archive };
        renames.extend(plain.map(|file| rename(false, file)));
        renames.extend(archive.map(|file| rename(true, file)));
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
    /// It is an archive.
    #[cfg_attr(not(feature = "zstd"), expect(dead_code, reason = "only the compression looks at it"))]
    pub(crate) archive: bool,
    /// Device and inode.
    #[cfg_attr(not(feature = "zstd"), expect(dead_code, reason = "only the compression looks at it"))]
    pub(crate) identity: (u64, u64),
}

/// The regular files among `names`, those of the folder, that are the log file of this name or one that was rotated, or its
/// archive.
///
/// # Errors
/// [`Error::Io`] if one of them cannot be inspected: it does not count as missing.
pub(crate) fn numbered_files(folder: &Folder, log: &str, names: &[OsString]) -> Result<Vec<Numbered>> {
    let mut files = Vec::new();
    for name in names {
        let Some((number, archive)) = number_of(folder, log, name) else { continue };
        let path = folder.path().join(name);
        let Some(found) = open::look_for(&path).map_err(Error::io("inspect", &path))? else { continue };
        if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
            let (size, last_s) = (found.st_size as u64, u64::try_from(found.st_mtime).unwrap_or(0));
            let identity = (found.st_dev, found.st_ino);
            files.push(Numbered { number, path, size, last_s, archive, identity });
        }
    }
    Ok(files)
}

/// The number that this name gives a file of the log, and whether an archive is called so; None for every other name.
fn number_of(folder: &Folder, log: &str, name: &OsStr) -> Option<(u32, bool)> {
    let (path, name) = (folder.path().join(name), name.to_str()?);
    if path == folder.log_file(log) {
        return Some((0, false));
    }
    let plain = name.strip_suffix(ARCHIVE_ENDING);
    let number = plain.unwrap_or(name).rsplit_once('.')?.1.parse().ok().filter(|number| *number <= ROTATE_KEEP_MAX)?;
    let expected = if plain.is_some() { archived(folder, log, number) } else { numbered(folder, log, number) };
    (expected == path && number > 0).then_some((number, plain.is_some()))
}

/// Does one rename, unless it has been done.
///
/// # Errors
/// [`Error::Io`].
pub fn apply_rename(folder: &Folder, log: &str, file: (u64, u64), (from, to): (u32, u32), archive: bool) -> Result<()> {
    let path = |number| if archive { archived(folder, log, number) } else { numbered(folder, log, number) };
    let (from, to) = (path(from), path(to));
    let found = identity_of(&from)?;
    if found == Some(file) || (found.is_some() && mutant::is(Mutant::RenameAnyFile)) {
        open::rename(&from, &to, RenameFlags::empty()).map_err(Error::io("rotate", from))?;
    }
    Ok(())
}

/// Makes room for a rotation: where the oldest kept file would come beside one of its number that is an archive, or would be one
/// beside a file that is none, that one goes. A rename replaces only what has the same ending.
///
/// # Errors
/// [`Error::Io`].
pub fn make_room(folder: &Folder, log: &str, renames: &[Change], keep: u32) -> Result<()> {
    let comes = |as_archive: bool| {
        let is = |change: &Change| matches!(change, Change::Rename { to, archive, .. } if *to == keep && *archive == as_archive);
        renames.iter().any(is)
    };
    let (plain, archive) = (numbered(folder, log, keep), archived(folder, log, keep));
    for path in [comes(true).then_some(plain), comes(false).then_some(archive)].into_iter().flatten() {
        let found = open::look_for(&path).map_err(Error::io("inspect", &path))?;
        if found.is_some_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile) {
            open::remove(&path).map_err(Error::io("remove", path))?;
        }
    }
    Ok(())
}

/// Removes a rotated file whose archive has its name, as the journal says. Where the archive has not, nothing happens: then it
/// was lost before it was named, and the file is compressed again.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_archived(folder: &Folder, log: &str, file: (u64, u64), archive: (u64, u64), number: u32) -> Result<()> {
    let plain = numbered(folder, log, number);
    if identity_of(&archived(folder, log, number))? == Some(archive) && identity_of(&plain)? == Some(file) {
        open::remove(&plain).map_err(Error::io("remove the compressed file", plain))?;
    }
    Ok(())
}

/// Removes the archive of a file that is still there, after a stop of the machine: it may not be on the disk as a whole.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_doubtful(folder: &Folder, log: &str, file: (u64, u64), archive: (u64, u64), number: u32) -> Result<()> {
    let path = archived(folder, log, number);
    if identity_of(&path)? == Some(archive) && identity_of(&numbered(folder, log, number))? == Some(file) {
        open::remove(&path).map_err(Error::io("remove the archive", path))?;
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
