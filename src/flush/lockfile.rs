//! The flusher's lock file, and those that are to take its place or have lost it; see `election.rs`.

use crate::descriptor::above_standard;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::holder::Holder;
use crate::ring::hex;
use crate::sys::hooks;
use crate::sys::map::KeptFile;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What the names of files begin with that are to take the lock file's place, or were displaced.
const PREFIX: &str = "flusher.lock.";
/// Random bytes of such a name.
const RANDOM: usize = 8;
/// The text of a lock that was released in order: its holder may live on, and is at work no more.
const NOBODY: &str = "nobody";
/// What stands in a lock file before the name of the one that it has displaced.
const DISPLACED: &str = "displaced=";
/// Bytes of a lock file that are read.
const TEXT_MAX: usize = 512;
/// How many files may have been displaced, one after the other, without anybody having looked.
const DISPLACED_MAX: u32 = 16;

/// A lock file that is open.
#[derive(Debug)]
pub(super) struct LockFile {
    file: File,
    path: PathBuf,
    identity: (u64, u64),
    /// Others see by it that a process is the holder whatever its start time seems to be. Some file systems cannot.
    #[expect(dead_code, reason = "it is only there")]
    kept: Option<KeptFile>,
}

impl LockFile {
    /// The file at `path`; None if there is none.
    pub(super) fn open(path: &Path) -> Result<Option<LockFile>> {
        match open(path, OFlags::empty()) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            file => LockFile::new(file?, path).map(Some),
        }
    }

    fn new(file: File, path: &Path) -> Result<LockFile> {
        let found = file.metadata().map_err(Error::io("look at the flusher's lock", path))?;
        hooks::close_in_child(file.as_raw_fd());
        let kept = KeptFile::new(&file).ok();
        Ok(LockFile { file, path: path.to_owned(), identity: (found.dev(), found.ino()), kept })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode.
    pub(super) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Whether the path leads to this file.
    pub(super) fn is_at_its_path(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
    }

    pub(super) fn try_lock(&self) -> Result<bool> {
        match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(Error::io("lock", &self.path)(error.into())),
        }
    }

    /// What stands in it: the holder, if it says who, and the text.
    pub(super) fn holder(&self) -> (Option<Holder>, String) {
        let text = self.text();
        (Holder::parse(&text, Some(self.identity.1)), text)
    }

    fn text(&self) -> String {
        let mut bytes = vec![0; TEXT_MAX];
        let length = self.file.read_at(&mut bytes, 0).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// Writes the text, over the old one: that needs no room where the disk is full.
    pub(super) fn write(&self, text: &str) -> Result<()> {
        let written = self.file.write_all_at(text.as_bytes(), 0).and_then(|()| self.file.set_len(text.len() as u64));
        written.map_err(Error::io("write", &self.path))
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
        let _ = self.file.write_all_at(text.as_bytes(), 0);
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
        let displaced = match LockFile::open(&folder.rings().join(name)) {
            Ok(found) => found?,
            Err(_) => return Some(None),
        };
        if displaced.identity == self.identity {
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
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        hooks::forget_in_child(self.file.as_raw_fd());
    }
}

/// A file that is complete, locked and named for its maker, but not at the path.
#[derive(Debug)]
pub(super) struct Fresh {
    file: LockFile,
    name: Name,
    lock: PathBuf,
}

/// A name that goes when it is dropped.
#[derive(Debug)]
struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Name {
    fn keep(self) {
        std::mem::forget(self);
    }
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
        let file = open(&path, OFlags::CREATE | OFlags::EXCL)?;
        let temporary = Name(path.clone());
        let file = LockFile::new(file, &path)?;
        if !file.try_lock()? {
            return Ok(None);
        }
        file.write(&format!("{}{DISPLACED}{name}\n", Holder::current()))?;
        Ok(Some(Fresh { file, name: temporary, lock: folder.lock_file() }))
    }

    /// Puts it at the path, where nothing is.
    pub(super) fn place(self) -> Result<Placed> {
        let Fresh { file, name, lock } = self;
        match renameat_with(CWD, &name.0, CWD, &lock, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST | Errno::NOENT) => return Ok(Placed::Taken),
            Err(error) if is_unknown(error) => match fs::hard_link(&name.0, &lock) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Placed::Taken),
                Err(error) => return Err(Error::io("make the flusher's lock", lock)(error)),
            },
            Err(error) => return Err(Error::io("make the flusher's lock", lock)(error.into())),
        }
        drop(name);
        let file = file.now_at(&lock);
        file.write(&Holder::current().to_string())?;
        Ok(if file.is_at_its_path() { Placed::There(file) } else { Placed::Taken })
    }

    /// SWAP:C.
    pub(super) fn swap(self) -> Result<Swapped> {
        let Fresh { file, name, lock } = self;
        match renameat_with(CWD, &name.0, CWD, &lock, RenameFlags::EXCHANGE) {
            Ok(()) => {
                let path = name.0.clone();
                name.keep();
                Ok(Swapped::Displaced(Displaced { file: file.now_at(&lock), name: path }))
            }
            Err(Errno::NOENT) => Ok(Swapped::Gone),
            Err(error) if is_unknown(error) => Ok(Swapped::Impossible),
            Err(error) => Err(Error::io("replace", lock)(error.into())),
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
        let _ = fs::remove_file(&self.name);
        Ok(self.file)
    }
}

/// Removes what others left that were killed while they replaced the file. The caller is the flusher, with `own`. A file
/// stays while its lock is held, and while somebody may be at work under one that it has displaced.
pub(super) fn sweep(folder: &Folder, own: &LockFile) {
    for entry in fs::read_dir(folder.rings()).into_iter().flatten().filter_map(io::Result::ok) {
        let path = entry.path();
        let named = entry.file_name().to_str().is_some_and(is_name);
        let Some(file) = named.then(|| LockFile::open(&path).ok().flatten()).flatten() else { continue };
        // Its lock is held until it is removed, so that nobody goes on to use it.
        let unused = file.try_lock().unwrap_or(false) && file.at_work_before(folder).is_none();
        if unused || file.identity == own.identity {
            let _ = fs::remove_file(&path);
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

/// Whether the file system does not know such a rename.
fn is_unknown(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOTTY)
}

fn open(path: &Path, more: OFlags) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | more;
    above_standard(|| rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR))
        .map(File::from)
        .map_err(|error| Error::io("open the flusher's lock", path)(error.into()))
}
