//! Long-lived descriptors: each with the identity of what it was opened for.
//!
//! A descriptor is a number. Code that closes everything (daemonisers, sandboxes, `closerange`) closes ours too, and files that
//! the program opens afterwards get our numbers: our writes would then go into the program's files, and our closes would hit
//! its descriptors. So a [`Kept`] asks the kernel before each use, and before it closes, whether its number still refers to
//! what it was opened for. One that does not is lost: its owner opens the file again, by name.
//!
//! Between the check and the use a thread may close our number and get it for a file of its own, or another thread of ours
//! may, for a file of ours; numbers above those that programs normally use make that unlikely. What is written to a file that
//! only its process writes, a backlog segment or a spilled message, is therefore only ever appended, whatever the offset, so
//! that a write that went astray leaves what is there; and the writer asks afterwards where its bytes went, and how long the
//! file is.
//!
//! The flusher's thread has a descriptor table of its own if possible (`own_table.rs`); no other code closes anything there.
//!
//! A forked child closes what its parent kept in the inherited table, after the same check, unless it is meant for children
//! too.

use crate::sys::hooks;
use crate::sys::numbers;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Stat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;

/// Lowest number that is requested, if the limit permits.
const NUMBER_MIN: u64 = 512;

/// How often the kernel is asked before a descriptor that it does not identify is left open.
const ASKED_MAX: u32 = 8;

/// What a descriptor refers to. Unique among existing files on overlayfs, btrfs and local disks; a FUSE file system may number
/// its files arbitrarily, and a file whose number changes there is treated as replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Number of the file system.
    pub(crate) device: u64,
    /// Number of the file there.
    pub inode: u64,
    /// Regular file, folder, FIFO and so on.
    pub(crate) kind: FileType,
}

impl Identity {
    /// From the result of stat(2) and its relatives.
    pub(crate) fn of(found: &Stat) -> Identity {
        Identity { device: found.st_dev, inode: found.st_ino, kind: FileType::from_raw_mode(found.st_mode) }
    }

    /// What the file behind a descriptor is.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn behind(file: impl AsFd) -> io::Result<Identity> {
        Ok(Identity::of(&rustix::fs::fstat(file)?))
    }
}

/// A short-lived descriptor, which is closed only if it still refers to what it was opened for.
#[derive(Debug)]
pub struct Opened {
    /// None only where it ends.
    file: Option<File>,
    identity: Identity,
}

impl Opened {
    /// # Errors
    /// As fstat(2).
    pub fn new(file: OwnedFd) -> io::Result<Opened> {
        match Identity::behind(&file) {
            Ok(identity) => Ok(Opened { file: Some(file.into()), identity }),
            Err(error) => {
                // What the number refers to now is unknown.
                std::mem::forget(file);
                Err(error)
            }
        }
    }

    /// What it was opened for.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// The file, for the next system call only.
    ///
    /// # Errors
    /// EBADF if the descriptor is lost, see [`is_lost`]; other errors of fstat(2) do not mean that.
    pub fn file(&self) -> io::Result<&File> {
        self.size().map(|_| &**self)
    }

    /// The file's size in bytes. After a write it shows where that went: had another file been behind the descriptor then, the
    /// descriptor would be lost or the size another one.
    ///
    /// # Errors
    /// As [`Opened::file`].
    pub(crate) fn size(&self) -> io::Result<u64> {
        let found = rustix::fs::fstat(&**self)?;
        if Identity::of(&found) == self.identity { Ok(found.st_size as u64) } else { Err(Errno::BADF.into()) }
    }
}

impl Deref for Opened {
    type Target = File;

    fn deref(&self) -> &File {
        self.file.as_ref().expect("taken only where it ends")
    }
}

impl AsFd for Opened {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (**self).as_fd()
    }
}

impl io::Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file()?.read(buffer)
    }
}

impl io::Write for Opened {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

impl From<Opened> for File {
    fn from(mut opened: Opened) -> File {
        opened.file.take().expect("taken only where it ends")
    }
}

impl From<Opened> for OwnedFd {
    fn from(opened: Opened) -> OwnedFd {
        File::from(opened).into()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        // A lock that is not closed is held for ever, so an error is not yet an answer.
        let mut answers = (0..ASKED_MAX).map(|_| Identity::behind(&file));
        let known = |answer: &io::Result<Identity>| answer.as_ref().map_or_else(is_lost, |_| true);
        if answers.find(known).is_some_and(|answer| answer.is_ok_and(|found| found == self.identity)) {
            hooks::close(file.into());
        } else {
            // The number is reused by now, or closed.
            std::mem::forget(file);
        }
    }
}

/// A descriptor of ours.
#[derive(Debug)]
pub struct Kept {
    /// None only while it is dropped.
    file: Option<Opened>,
    /// Its place in the list of descriptors that forked children close.
    listed: Option<usize>,
}

impl Kept {
    /// Keeps `file`, under a number above those that programs normally use. Forked children close it.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn new(file: Opened) -> io::Result<Kept> {
        Ok(Kept::listed(raise(file)?))
    }

    /// Like [`Kept::new`], under its present number.
    pub fn at_its_number(file: Opened) -> Kept {
        Kept::listed(file)
    }

    fn listed(file: Opened) -> Kept {
        // Children do not inherit from a table of its own.
        let shared = !numbers::is_own_table();
        let listed = shared
            .then(|| hooks::close_in_child(file.as_raw_fd(), (file.identity.device, file.identity.inode)))
            .flatten();
        Kept { file: Some(file), listed }
    }

    /// Like [`Kept::new`], for a descriptor that forked children go on to use.
    ///
    /// # Errors
    /// As fstat(2).
    pub(crate) fn for_children_too(file: Opened) -> io::Result<Kept> {
        Ok(Kept { file: Some(raise(file)?), listed: None })
    }

    fn opened(&self) -> &Opened {
        self.file.as_ref().expect("taken only where it ends")
    }

    /// What it was opened for.
    pub fn identity(&self) -> Identity {
        self.opened().identity
    }

    /// The file, for the next system call only.
    ///
    /// # Errors
    /// As [`Opened::file`].
    pub fn file(&self) -> io::Result<&File> {
        self.opened().file()
    }

    /// Closes it although it stays in memory for good: from now on it is lost. It must not be in use.
    pub(crate) fn give_back(&self) {
        if self.file().is_ok() {
            hooks::close_kept(self.opened().as_raw_fd());
        }
    }

    /// The file, without a check, if [`Kept::file`] has just made one.
    pub(crate) fn as_known(&self) -> BorrowedFd<'_> {
        self.opened().as_fd()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.file.take());
        // Not earlier: a child that is forked in between would keep it.
        self.listed.inspect(|place| hooks::forget_in_child(*place));
    }
}

/// Whether an error means that other code closed a descriptor of ours.
pub fn is_lost(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}

/// Runs `work`, which opens a file and uses it, and repeats it if other code closed the file in between.
///
/// # Errors
/// What `work` ends with.
pub(crate) fn again_if_lost<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut done = work();
    for _ in 1..ASKED_MAX {
        if !done.as_ref().is_err_and(is_lost) {
            break;
        }
        done = work();
    }
    done
}

/// Moves a descriptor to a higher number, if the limit permits. The lower one is closed only if it still refers to the same
/// file.
///
/// # Errors
/// As fstat(2), and EBADF if other code has closed it meanwhile.
pub(crate) fn raise(low: Opened) -> io::Result<Opened> {
    let number = NUMBER_MIN.min(hooks::descriptors_max().unwrap_or(NUMBER_MIN) / 2) as i32;
    if low.as_raw_fd() >= number {
        return Ok(low);
    }
    match fcntl_dupfd_cloexec(&low, number) {
        Err(Errno::BADF) => Err(Errno::BADF.into()),
        Err(_) => Ok(low),
        Ok(high) => {
            let high = Opened::new(high)?;
            // Otherwise the number had already become a file of the program's.
            if high.identity == low.identity { Ok(high) } else { Err(Errno::BADF.into()) }
        }
    }
}
