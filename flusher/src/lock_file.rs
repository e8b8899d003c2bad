//! The flusher's lock file, and those that are to take its place or have lost it; see `election.rs`.

use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::text::hex;
use lastwords_ring::place::descriptor::{Identity, Kept, Opened, is_lost};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::{Holder, NOBODY};
use lastwords_ring::place::open::{self, PRIVATE};
use lastwords_ring::place::unnamed_file::Temporary;
use lastwords_ring::sys::map::KeptFile;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Prefix of the names of files that are to replace the lock file, or were displaced.
const PREFIX: &str = "flusher.lock.";
/// Random bytes of such a name.
const RANDOM: usize = 8;
/// Precedes the name of the displaced file in a lock file.
const DISPLACED: &str = "displaced=";
/// Bytes of a lock file that are read.
const TEXT_MAX: usize = 512;
/// How many files may have been displaced, one after the other, without a check.
const DISPLACED_MAX: u32 = 16;

/// A lock file that is open.
#[derive(Debug)]
pub(super) struct LockFile {
    /// For its text alone: a separate open file description, so that a child that inherits it does not keep the lock.
    text: Kept,
    path: PathBuf,
    /// What is locked, and what keeps the lock then. The mapping keeps it when descriptors are closed or inherited; other
    /// processes recognise the holder by it, whatever its start time seems to be. If a file system cannot map it, the
    /// descriptor has to.
    lock: Option<Kept>,
    map: Option<KeptFile>,
}

impl LockFile {
    /// The file at `path`; None if there is none.
    pub(super) fn open(path: &Path) -> Result<Option<LockFile>> {
        match open::file(path, OFlags::RDWR, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // A link, a FIFO or a folder is in its place.
            Err(error) if open::is_another_kind(path, FileType::RegularFile, &error) => {
                open::set_aside(path).map_err(Error::io("rename what has the name of the flusher's lock", path))?;
                Ok(None)
            }
            file => LockFile::new(file.map_err(opening(path))?, path),
        }
    }

    /// None if the file has lost its name since it was opened.
    fn new(file: Opened, path: &Path) -> Result<Option<LockFile>> {
        let map = KeptFile::new(&file).ok();
        let lock = Kept::new(file).map_err(opening(path))?;
        let text = open::file(path, OFlags::RDWR, Mode::empty()).and_then(Kept::new);
        let Some(text) = open::if_there(text).map_err(opening(path))? else { return Ok(None) };
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

    /// Whether the path leads to this file. What cannot be inspected is taken as unchanged.
    pub(super) fn is_at_its_path(&self) -> bool {
        open::identity(&self.path).map_or(true, |found| found == Some(self.identity()))
    }

    /// Locks the file, if it is not locked.
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

    /// Runs an operation on the file; if the descriptor was closed, on a reopened one.
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

    /// Its contents: the holder, if named, and the text.
    pub(super) fn holder(&self) -> (Option<Holder>, String) {
        let text = self.text();
        (Holder::parse(&text, Some(self.identity().inode)), text)
    }

    fn text(&self) -> String {
        let mut bytes = vec![0; TEXT_MAX];
        let length = self.with(|file| file.read_at(&mut bytes, 0)).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// Overwrites the text in place, which needs no room on a full disk.
    pub(super) fn write(&self, text: &str) -> Result<()> {
        let write = |file: &File| file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64));
        self.with(write).map_err(Error::io("write", &self.path))
    }

    /// Writes that no process works under the lock any more. What the file has displaced, if unchecked, is still to be checked.
    pub(super) fn release(&self) {
        let text = self.text();
        let displaced = displaced(&text).map_or_else(String::new, |name| format!(" {DISPLACED}{name}"));
        let _ = self.write(&format!("{NOBODY}{displaced}\n"));
    }

    /// Whether the holder of the lock may live, according to its text.
    pub(super) fn may_be_at_work(&self) -> bool {
        let (holder, text) = self.holder();
        text.split_ascii_whitespace().next() != Some(NOBODY) && holder.is_none_or(|holder| holder.may_live())
    }

    /// Writes a text of the same length, if that is possible.
    pub(super) fn overwrite(&self, text: &str) {
        let _ = self.with(|file| file.write_all_at(text.as_bytes(), 0));
    }

    /// LOCK:B, SWAP:D. The process that may be at work under the file that this one has displaced, or one before it.
    #[expect(clippy::option_option, reason = "an unknown process is a process")]
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
        // A missing file was found to be unused; one that cannot be opened may be in use.
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
    /// Another process has one there.
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
    /// SWAP:B. None if the file was removed or locked meanwhile.
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
            Ok(()) => Ok(Swapped::Displaced(Displaced { file: file.now_at(&lock), name: name.keep() })),
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

    /// SWAP:E. No process works under the displaced file: it is removed once nothing names it.
    pub(super) fn forget(self) -> Result<LockFile> {
        self.file.write(&Holder::current().to_string())?;
        let _ = open::remove(&self.name);
        Ok(self.file)
    }
}

/// Removes the files of processes that were killed while they replaced the lock file. The caller is the flusher, with `own`. A
/// file stays while its lock is held, and while a process may be at work under one that it has displaced.
pub(super) fn sweep(folder: &Folder, own: &LockFile) {
    for name in open::list(&folder.rings()).unwrap_or_default() {
        let path = folder.rings().join(&name);
        let named = name.to_str().is_some_and(is_name);
        let Some(mut file) = named.then(|| LockFile::open(&path).ok().flatten()).flatten() else { continue };
        // Its lock is held until it is removed, so that no process goes on to use it.
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
