//! A role's log file: where the next bytes go, and its rotation.
//!
//! `host.log` is written until the next record would exceed the size limit; then `host.log.4` becomes `host.log.5`,
//! and so on down to `host.log`, which becomes `host.log.1`. Each rename names the inode that it means, so that doing
//! it again does nothing.

use crate::error::{Error, Result};
use crate::flush::journal::Change;
use crate::folder::Folder;
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
/// Space that is reserved at a time.
const RESERVE: u64 = 2 << 20;

/// The current log file of a role.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    size: u64,
    /// Up to where space has been reserved.
    reserved: u64,
    /// The file ends in the middle of a line, which somebody else left.
    needs_newline: bool,
    moved_to: Option<PathBuf>,
}

impl LogFile {
    /// Opens the role's current file, made where it is missing. What has its name and is no plain file of its own, a
    /// symbolic link, a FIFO, a further name of some other file, is renamed and never written to.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be looked at, renamed, opened or made.
    pub fn open(folder: &Folder, role: &str) -> Result<LogFile> {
        let path = folder.log_file(role);
        let moved_to = move_aside(&path)?;
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
        Ok(LogFile { path, file, identity, size, reserved: 0, needs_newline: last != [b'\n'], moved_to })
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
        Ok(())
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
        let there = if self.identity == identity && self.size >= offset { self.common(offset, bytes)? } else { None };
        match there {
            Some(length) if length == bytes.len() => Ok(()),
            Some(length) => {
                self.size = offset + length as u64;
                self.append(&bytes[length..])
            }
            None => self.append(bytes),
        }
    }

    /// How many of `bytes` stand at `offset`, or None if something else does.
    fn common(&self, offset: u64, bytes: &[u8]) -> Result<Option<usize>> {
        let there = bytes.len().min((self.size - offset) as usize);
        let mut found = vec![0u8; COMPARE.min(there)];
        for start in (0..there).step_by(COMPARE) {
            let part = &bytes[start..there.min(start + COMPARE)];
            let found = &mut found[..part.len()];
            self.file.read_exact_at(found, offset + start as u64).map_err(Error::io("read", &self.path))?;
            if found != part {
                return Ok(None);
            }
        }
        Ok(Some(there))
    }
}

fn move_aside(path: &Path) -> Result<Option<PathBuf>> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("look at the log file", path)(error)),
    };
    if found.is_file() && found.nlink() == 1 {
        return Ok(None);
    }
    let seconds = crate::clock::realtime_ns() / 1_000_000_000;
    let to = path.with_extension(format!("log.aside-{seconds}-{}", found.ino()));
    fs::rename(path, &to).map_err(Error::io("move aside", path))?;
    Ok(Some(to))
}

/// The file of `role` with number `number`; 0 is the current one.
#[must_use]
pub fn numbered(folder: &Folder, role: &str, number: u32) -> PathBuf {
    let current = folder.log_file(role);
    if number == 0 { current } else { folder.path().join(format!("{role}.log.{number}")) }
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
    if identity_of(&from)? == Some(file) {
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
