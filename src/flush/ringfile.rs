//! A ring's file as the flusher holds it: open, or, where there are many rings, opened for each use.

use crate::error::{Error, Result};
use crate::reader::{Source, open_file};
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A ring's file. Opening it again gives the same file or an error, never another one that took its name.
#[derive(Debug)]
pub(crate) struct RingFile {
    path: PathBuf,
    identity: (u64, u64),
    kept: RefCell<Option<File>>,
}

impl RingFile {
    /// Opens the file at `path`; with `keep` it stays open.
    pub(crate) fn open(path: &Path, keep: bool) -> Result<RingFile> {
        let file = open_file(path)?;
        let identity = identity(&file).map_err(Error::io("look at the ring", path))?;
        Ok(RingFile { path: path.to_owned(), identity, kept: RefCell::new(keep.then_some(file)) })
    }

    /// Inode number.
    pub(crate) fn inode(&self) -> u64 {
        self.identity.1
    }

    /// Does something with the open file.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        if let Some(file) = &*self.kept.borrow() {
            return work(file);
        }
        let file = open_file(&self.path).map_err(io::Error::other)?;
        if identity(&file)? != self.identity {
            return Err(io::Error::other("another file has taken its name"));
        }
        work(&file)
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|found| (found.dev(), found.ino()))
}

impl Source for RingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|file| FileExt::read_at(file, buffer, offset))
    }
}
