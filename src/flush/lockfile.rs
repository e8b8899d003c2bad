//! The flusher's lock file, and those that are to take its place or have lost it; see `election.rs`.

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::holder::{Holder, NOBODY};
use crate::kept::{Identity, Kept, Opened, is_lost};
use crate::nameless::Temporary;
use crate::open::{self, PRIVATE};
use crate::ring::hex;
use crate::sys::map::KeptFile;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What the names of files begin with that are to take the lock file's place, or were displaced.
const PREFIX: &str = "flusher.lock.";
/// Random bytes of such a name.
const RANDOM: usize = 8;
/// What stands in a lock file before the name of the one that it has displaced.
const DISPLACED: &str = "displaced=";
/// Bytes of a lock file that are read.
const TEXT_MAX: usize = 512;
/// How many files may have been displaced, one after the other, without anybody having looked.
const DISPLACED_MAX: u32 = 16;

/// A lock file that is open.
#[derive(Debug)]
pub(super) struct LockFile {
    /// For its text alone: another description than the one that is locked, so that whoever inherits it keeps no lock.
    text: Kept,
    path: PathBuf,
    /// What is to be locked, and what keeps the lock then. The mapping keeps it whoever closes or inherits descriptors; others see
    /// by it that a process is the holder, whatever its start time seems to be. Where a file system cannot map it, the descriptor
    /// has to.
    lock: Option<Kept>,
    map: Option<KeptFile>,
}

impl LockFile {
    /// The file at `path`; None if there is none.
    pub(super) fn open(path: &Path) -> Result<Option<LockFile>> {
        match open::file(path, OFlags::RDWR, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // A link, a FIFO or a folder in its place.
            Err(error) if open::is_another_kind(path, FileType::RegularFile, &error) => {
                open::set_aside(path).map_err(Error::io("set aside what has the name of the flusher's lock", path))?;
                Ok(None)
            }
            file => LockFile::new(file.map_err(opening(path))?, path),
        }
    }

    /// None if the file has lost its name since it was opened.
    fn new(file: Opened, path: &Path) -> Result<Option<LockFile>> {
        let map = KeptFile::new(&file).ok();
        let lock = Kept::new(file).map_err(opening(path))?;
        let text = match open::file(path, OFlags::RDWR, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.and_then(Kept::new).map_err(opening(path))?,
        };
        let is_it = text.identity() == lock.identity();
        Ok(is_it.then(|| LockFile { text, path: path.to_owned(), lock: Some(lock), map }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Which file it is.
    pub(super) fn identity(&self) -> Identity {
        self.text.identity()
    }

    /// Whether the path leads to this file. What cannot be looked at is as it was.
    pub(super) fn is_at_its_path(&self) -> bool {
        open::identity(&self.path).map_or(true, |found| found == Some(self.identity()))
    }

    /// Locks the file, if nobody else has.
    pub(super) fn try_lock(&mut self) -> Result<bool> {
        let Some(lock) = &self.lock else { return Ok(true) };
        let failed = || Error::io("lock", &self.path);
        match rustix::fs::flock(lock.file().map_err(failed())?, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.lock.take_if(|_| self.map.is_some());
                Ok(true)
            }
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(failed()(error.into())),
        }
    }

    /// Does something with the file; where somebody has closed the descriptor, with one that is opened anew.
    fn with<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        match self.text.file() {
            Err(error) if is_lost(&error) => {
                let file = open::file(&self.path, OFlags::RDWR, Mode::empty())?;
                if Identity::behind(&file)? != self.identity() {
                    return Err(io::Error::other("another file has taken its name"));
                }
                work(&file)
            }
            file => work(file?),
        }
    }

    /// What stands in it: the holder, if it says who, and the text.
    pub(super) fn holder(&self) -> (Option<Holder>, String) {
        let text = self.text();
        (Holder::parse(&text, Some(self.identity().inode)), text)
    }

    fn text(&self) -> String {
        let mut bytes = vec![0; TEXT_MAX];
        let length = self.with(|file| file.read_at(&mut bytes, 0)).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// Writes the text, over the old one: that needs no room where the disk is full.
    pub(super) fn write(&self, text: &str) -> Result<()> {
        let write = |file: &File| file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64));
        self.with(write).map_err(Error::io("write", &self.path))
    }

    /// Says that nobody is at work under the lock any more. What the file has displaced, if nobody has made sure of that, is
    /// still to be looked at.
    pub(super) fn release(&self) {
        let text = self.text();
        let displaced = displaced(&text).map_or_else(String::new, |name| format!(" {DISPLACED}{name}"));
        let _ = self.write(&format!("{NOBODY}{displaced}\n"));
    }

    /// Whether the lock, which is held, may be held by somebody who lives, as far as its text says.
    pub(super) fn may_be_at_work(&self) -> bool {
        let (holder, text) = self.holder();
        text.split_ascii_whitespace().next() != Some(NOBODY) && holder.is_none_or(|holder| holder.may_live())
    }

    /// Writes a text of the same length, if that is possible.
    pub(super) fn overwrite(&self, text: &str) {
        let _ = self.with(|file| file.write_all_at(text.as_bytes(), 0));
    }

    /// LOCK:B, SWAP:D. Who may be at work under the file that this one has displaced, or one before it: None if nobody.
    #[expect(clippy::option_option, reason = "somebody who is not known is somebody")]
    pub(super) fn at_work_before(&self, folder: &Folder) -> Option<Option<Holder>> {
        self.at_work(folder, DISPLACED_MAX)
    }

    #[expect(clippy::option_option, reason = "as above")]
    fn at_work(&self, folder: &Folder, left: u32) -> Option<Option<Holder>> {
        let text = self.text();
        let name = displaced(&text)?;
        if !is_name(name) || left == 0 {
            return Some(None);
        }
        // What is not there was found to be of no use; what cannot be opened may be of some.
        let mut displaced = match LockFile::open(&folder.rings().join(name)) {
            Ok(found) => found?,
            Err(_) => return Some(None),
        };
        if displaced.identity() == self.identity() {
            // It has not displaced anything.
            return None;
        }
        let free = displaced.try_lock().unwrap_or(false);
        if !free && displaced.may_be_at_work() {
            return Some(displaced.holder().0);
        }
        displaced.at_work(folder, left - 1)
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Not left to the closing: a child that is being forked shares the lock.
        let unlock = |lock: &File| rustix::fs::flock(lock, FlockOperation::Unlock);
        let _ = self.lock.as_ref().map(|lock| lock.file().map(unlock));
    }
}

fn opening(path: &Path) -> impl FnOnce(io::Error) -> Error {
    Error::io("open the flusher's lock", path)
}

/// A file that is complete, locked and named for its maker, but not at the path.
#[derive(Debug)]
pub(super) struct Fresh {
    file: LockFile,
    name: Temporary,
    lock: PathBuf,
}

/// What became of a file that was to be the first one at the path.
#[derive(Debug)]
pub(super) enum Placed {
    There(LockFile),
    /// Somebody else has one there.
    Taken,
}

/// What became of a file that was to be exchanged with the one at the path.
#[derive(Debug)]
pub(super) enum Swapped {
    Displaced(Displaced),
    /// Nothing is at the path any more.
    Gone,
    /// The file system cannot do it.
    Impossible,
}

/// The file that is at the path now; what was there before has the name that it had.
#[derive(Debug)]
pub(super) struct Displaced {
    file: LockFile,
    name: PathBuf,
}

impl Fresh {
    /// SWAP:B. None if somebody removed or locked the file meanwhile.
    pub(super) fn make(folder: &Folder) -> Result<Option<Fresh>> {
        let mut random = [0; RANDOM];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| Error::io("get random bytes from", "getrandom")(error.into()))?;
        let name = format!("{PREFIX}{}", hex(&random));
        let path = folder.rings().join(&name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = open::file(&path, flags, PRIVATE).map_err(opening(&path))?;
        let temporary = Temporary(path.clone());
        let Some(mut file) = LockFile::new(file, &path)? else { return Ok(None) };
        if !file.try_lock()? {
            return Ok(None);
        }
        file.write(&format!("{}{DISPLACED}{name}\n", Holder::current()))?;
        Ok(Some(Fresh { file, name: temporary, lock: folder.lock_file() }))
    }

    /// Puts it at the path, where nothing is.
    pub(super) fn place(self) -> Result<Placed> {
        let Fresh { file, name, lock } = self;
        match open::rename_new(&name.0, &lock) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                return Ok(Placed::Taken);
            }
            Err(error) => return Err(Error::io("make the flusher's lock", lock)(error)),
        }
        drop(name);
        let file = file.now_at(&lock);
        file.write(&Holder::current().to_string())?;
        Ok(if file.is_at_its_path() { Placed::There(file) } else { Placed::Taken })
    }

    /// SWAP:C.
    pub(super) fn swap(self) -> Result<Swapped> {
        let Fresh { file, name, lock } = self;
        match open::rename(&name.0, &lock, RenameFlags::EXCHANGE) {
            Ok(()) => {
                Ok(Swapped::Displaced(Displaced { file: file.now_at(&lock), name: name.keep() }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Swapped::Gone),
            Err(error) if open::is_unsupported(&error) => Ok(Swapped::Impossible),
            Err(error) => Err(Error::io("replace", lock)(error)),
        }
    }
}

impl LockFile {
    fn now_at(mut self, path: &Path) -> LockFile {
        path.clone_into(&mut self.path);
        self
    }
}

impl Displaced {
    /// The file at the path.
    pub(super) fn file(&self) -> &LockFile {
        &self.file
    }

    /// SWAP:E. Nobody is at work under the displaced file: it is not needed any more, once nothing names it.
    pub(super) fn forget(self) -> Result<LockFile> {
        self.file.write(&Holder::current().to_string())?;
        let _ = open::remove(&self.name);
        Ok(self.file)
    }
}

/// Removes what others left that were killed while they replaced the file. The caller is the flusher, with `own`. A file
/// stays while its lock is held, and while somebody may be at work under one that it has displaced.
pub(super) fn sweep(folder: &Folder, own: &LockFile) {
    for name in open::list(&folder.rings()).unwrap_or_default() {
        let path = folder.rings().join(&name);
        let named = name.to_str().is_some_and(is_name);
        let Some(mut file) = named.then(|| LockFile::open(&path).ok().flatten()).flatten() else { continue };
        // Its lock is held until it is removed, so that nobody goes on to use it.
        let unused = file.try_lock().unwrap_or(false) && file.at_work_before(folder).is_none();
        if unused || file.identity() == own.identity() {
            let _ = open::remove(&path);
        }
    }
}

fn displaced(text: &str) -> Option<&str> {
    text.split_ascii_whitespace().find_map(|word| word.strip_prefix(DISPLACED))
}

fn is_name(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX);
    digits.is_some_and(|digits| digits.len() == 2 * RANDOM && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
