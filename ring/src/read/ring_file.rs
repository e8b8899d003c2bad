//! A ring's file as the flusher holds it: open for good, or, where there are many rings, while it is in use.

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

/// What has become of a ring's file since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has its size, its header and its name.
    Whole,
    /// Somebody cut it to this size.
    Cut(u64),
    /// Its header is another one.
    Overwritten,
    /// Its name leads to something else, or nowhere.
    Gone,
}

/// A ring's file. Opening it again gives the same file or an error, never another one that took its name.
#[derive(Debug)]
pub struct RingFile {
    path: PathBuf,
    identity: Identity,
    keep: bool,
    file: RefCell<Option<Kept>>,
    cost: Cell<u64>,
}

impl RingFile {
    /// Opens the file at `path`; with `keep` it stays open for good.
    pub fn open(path: &Path, keep: bool) -> Result<RingFile> {
        let file = Kept::new(open_file(path)?).map_err(Error::io("look at the ring", path))?;
        let (identity, file) = (file.identity(), RefCell::new(Some(file)));
        Ok(RingFile { path: path.to_owned(), identity, keep, file, cost: Cell::new(0) })
    }

    /// Inode number.
    pub fn inode(&self) -> u64 {
        self.identity.inode
    }

    /// Whether the file stays open for good.
    pub fn is_kept(&self) -> bool {
        self.keep
    }

    /// Whether the file is open now.
    pub fn is_open(&self) -> bool {
        self.file.borrow().is_some()
    }

    /// What the ring has cost since that was last forgotten: bytes that were read, and those that were charged to it.
    pub fn cost(&self) -> u64 {
        self.cost.get()
    }

    /// Adds bytes to what the ring has cost.
    #[inline]
    pub fn charge(&self, bytes: u64) {
        self.cost.set(self.cost.get().saturating_add(bytes));
    }

    /// Begins to count anew.
    pub fn forget_cost(&self) {
        self.cost.set(0);
    }

    /// Closes the file until its next use, unless it is kept.
    pub fn rest(&self) {
        if !self.keep {
            *self.file.borrow_mut() = None;
        }
    }

    /// What has become of the file, which had `header` at its beginning and `size` bytes.
    pub fn fate(&self, header: &[u8], size: u64) -> io::Result<Fate> {
        let found = self.with(|file| Ok(rustix::fs::fstat(file)?))?;
        if (found.st_size as u64) < size {
            return Ok(Fate::Cut(found.st_size as u64));
        }
        let mut bytes = vec![0; header.len()];
        self.with(|file| file.read_exact_at(&mut bytes, 0))?;
        if bytes != header {
            return Ok(Fate::Overwritten);
        }
        Ok(if self.is_at_its_path()? { Fate::Whole } else { Fate::Gone })
    }

    /// Whether the path still leads to this file. An error of the look itself says neither.
    pub fn is_at_its_path(&self) -> io::Result<bool> {
        match open::identity(&self.path) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOTDIR) => Ok(false),
            found => Ok(found? == Some(self.identity)),
        }
    }

    /// Writes `bytes` at `offset`, unless the file has been cut before their end: a write would make it longer again, and
    /// what its process finds there would be neither the ring nor an error. A cut between the look and the write is not
    /// noticed; but all that is written stands before the slots, so those never come back, and a process that logs there
    /// meets the end of the file as it would have.
    pub fn write_within(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|file| write_within(file, bytes, offset))
    }

    /// Does something with the open file, again where somebody closed it meanwhile.
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
    /// As [`RingReader::open`], for a reader whose file is opened again where somebody closes it.
    pub fn reopening(path: &Path) -> Result<RingReader<RingFile>> {
        Ok(RingReader::new(RingFile::open(path, true)?, path)?.with_backlog_beside(path))
    }

    /// As [`RingReader::open_in`], likewise.
    pub fn reopening_in(folder: &Folder, name: &str) -> Result<RingReader<RingFile>> {
        Ok(RingReader::reopening(&folder.ring_path(name))?.with_entry(folder.rings().join(name)))
    }
}

/// As [`RingFile::write_within`].
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
