//! A ring's file as the flusher holds it: open for good, or, where there are many rings, while it is in use.

use crate::error::{Error, Result};
use crate::reader::{Source, open_file};
use rustix::fs::{Mode, OFlags};
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A ring's file. Opening it again gives the same file or an error, never another one that took its name.
#[derive(Debug)]
pub(crate) struct RingFile {
    path: PathBuf,
    identity: (u64, u64),
    keep: bool,
    file: RefCell<Option<File>>,
}

impl RingFile {
    /// Opens the file at `path`; with `keep` it stays open for good.
    pub(crate) fn open(path: &Path, keep: bool) -> Result<RingFile> {
        let file = open_file(path)?;
        let identity = identity(&file).map_err(Error::io("look at the ring", path))?;
        Ok(RingFile { path: path.to_owned(), identity, keep, file: RefCell::new(Some(file)) })
    }

    /// Inode number.
    pub(crate) fn inode(&self) -> u64 {
        self.identity.1
    }

    /// Whether the file stays open for good.
    pub(crate) fn is_kept(&self) -> bool {
        self.keep
    }

    /// Closes the file until its next use, unless it is kept.
    pub(crate) fn rest(&self) {
        if !self.keep {
            *self.file.borrow_mut() = None;
        }
    }

    /// Does something with the open file.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        if let Some(file) = &*self.file.borrow() {
            return work(file);
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&self.path, flags, Mode::empty())?);
        // No other file has its inode, so it is still a regular one.
        if identity(&file)? != self.identity {
            return Err(io::Error::other("another file has taken its name"));
        }
        work(self.file.borrow_mut().insert(file))
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    Ok(rustix::fs::fstat(file).map(|found| (found.st_dev, found.st_ino))?)
}

impl Source for RingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|file| FileExt::read_at(file, buffer, offset))
    }
}
