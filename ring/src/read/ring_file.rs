//! A ring's file as the flusher holds it: open permanently, or, with many rings, while it is in use.

use crate::error::{Error, Result};
use crate::mutant::{self, Mutant};
use crate::place::descriptor::{Identity, Kept, again_if_lost, is_lost};
use crate::place::folder::Folder;
use crate::place::open;
use crate::read::reader::{RingReader, Source, open_file};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// State of a ring's file, compared with when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingFileState {
    /// It has its size, its header and its name.
    Whole,
    /// Truncated to this size.
    Truncated(u64),
    /// Its header has changed.
    Overwritten,
    /// Its name leads to another file, or nowhere.
    Gone,
}

/// A ring's file. Opening it again yields the same file or an error, never another one that took its name.
#[derive(Debug)]
pub struct RingFile {
    path: PathBuf,
    identity: Identity,
    keep: bool,
    file: RefCell<Option<Kept>>,
    cost: Cell<u64>,
}

impl RingFile {
    /// Opens the file at `path`; with `keep` it stays open permanently.
    pub fn open(path: &Path, keep: bool) -> Result<RingFile> {
        let file = Kept::new(open_file(path)?).map_err(Error::io("inspect the ring", path))?;
        let (identity, file) = (file.identity(), RefCell::new(Some(file)));
        Ok(RingFile { path: path.to_owned(), identity, keep, file, cost: Cell::new(0) })
    }

    /// Inode number.
    pub fn inode(&self) -> u64 {
        self.identity.inode
    }

    /// Whether the file stays open permanently.
    pub fn is_kept(&self) -> bool {
        self.keep
    }

    /// Whether the file is open now.
    pub fn is_open(&self) -> bool {
        self.file.borrow().is_some()
    }

    /// What the ring has cost since the counter was last reset: bytes read, and bytes charged to it.
    pub fn cost(&self) -> u64 {
        self.cost.get()
    }

    /// Adds bytes to what the ring has cost.
    #[inline]
    pub fn charge(&self, bytes: u64) {
        self.cost.set(self.cost.get().saturating_add(bytes));
    }

    /// Resets the counter.
    pub fn forget_cost(&self) {
        self.cost.set(0);
    }

    /// Closes the file until its next use, unless it stays open permanently.
    pub fn rest(&self) {
        if !self.keep {
            *self.file.borrow_mut() = None;
        }
    }

    /// The state of the file, which had `header` at its beginning and `size` bytes.
    pub fn state(&self, header: &[u8], size: u64) -> io::Result<RingFileState> {
        let found = self.with(|file| Ok(rustix::fs::fstat(file)?))?;
        if (found.st_size as u64) < size {
            return Ok(RingFileState::Truncated(found.st_size as u64));
        }
        let mut bytes = vec![0; header.len()];
        self.with(|file| file.read_exact_at(&mut bytes, 0))?;
        if bytes != header {
            return Ok(RingFileState::Overwritten);
        }
        Ok(if self.is_at_its_path()? { RingFileState::Whole } else { RingFileState::Gone })
    }

    /// Whether the path still leads to this file. An error of the check itself proves neither.
    pub fn is_at_its_path(&self) -> io::Result<bool> {
        match open::identity(&self.path) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOTDIR) => Ok(false),
            found => Ok(found? == Some(self.identity)),
        }
    }

    /// Runs `work` with the open file, and repeats it if other code closed the file meanwhile.
    pub fn with<T>(&self, mut work: impl FnMut(&File) -> io::Result<T>) -> io::Result<T> {
        again_if_lost(|| self.with_once(&mut work))
    }

    fn with_once<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        if let Some(kept) = &*self.file.borrow() {
            match kept.file() {
                Err(error) if is_lost(&error) => {}
                file => return work(file?),
            }
        }
        let kept = Kept::new(open::file(&self.path, OFlags::RDWR, Mode::empty())?)?;
        if kept.identity() != self.identity {
            return Err(io::Error::other("another file has taken its name"));
        }
        work(self.file.borrow_mut().insert(kept).file()?)
    }
}

impl RingReader<RingFile> {
    /// Like [`RingReader::open`], for a reader that reopens its file if other code closes it.
    pub fn reopening(path: &Path) -> Result<RingReader<RingFile>> {
        Ok(RingReader::new(RingFile::open(path, true)?, path)?.with_backlog_beside(path))
    }

    /// Like [`RingReader::open_in`], with a file that is reopened.
    pub fn reopening_in(folder: &Folder, name: &str) -> Result<RingReader<RingFile>> {
        Ok(RingReader::reopening(&folder.ring_path(name))?.with_entry(folder.rings().join(name)))
    }
}

/// Writes `bytes` at `offset`, unless the file was truncated before their end: a write would extend it again, and its
/// process would find neither the ring nor an error there. A truncation between the check and the write is not noticed; but
/// all that is written is before the slots, so those never come back, and a process that logs there meets the end of the
/// file as it would have.
///
/// # Errors
/// As pwrite(2), and [`io::ErrorKind::UnexpectedEof`] if the file is too short.
pub fn write_within(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let size = rustix::fs::fstat(file)?.st_size as u64;
    if size < offset + bytes.len() as u64 && !mutant::is(Mutant::CutRingGrown) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.write_all_at(bytes, offset)
}

impl Source for RingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.charge(buffer.len() as u64);
        self.with(|file| FileExt::read_at(file, buffer, offset))
    }
}
