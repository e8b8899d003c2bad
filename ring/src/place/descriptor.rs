//! Descriptors that are kept: each with the identity of what it was opened for.
//!
//! A descriptor is a number. Code that closes everything (daemonisers, sandboxes, `closerange`) closes ours too, and files that
//! the program opens afterwards get our numbers; what we then wrote would go into the program's files, and what we closed
//! would be the program's. So a [`Kept`] asks the kernel before each use, and before it closes, whether its number still
//! leads to what it was opened for. One that does not is lost: its owner opens the file again, by its name.
//!
//! Between the question and the use lies one system call. Another thread that closes our number and gets it for a file of its
//! own within this moment is not noticed; numbers that the program's own files do not reach for make that unlikely.
//!
//! The thread that flushes has a table of descriptors of its own where that can be had (`own_table.rs`); there nobody else closes
//! anything.
//!
//! A forked child closes what its parent kept in the table that it inherits, unless it is meant for children too, after the same question.

use crate::sys::hooks;
use crate::sys::numbers;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Stat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;

/// Lowest number that is asked for, where the limit allows so many.
const NUMBER_MIN: u64 = 512;

/// How often the kernel is asked before a descriptor of which it says nothing is left open.
const ASKED_MAX: u32 = 8;

/// What a descriptor leads to. On overlayfs, btrfs and local disks no two files that exist at a time have the same; a FUSE file
/// system may number its files as it likes, and a file that loses its number there counts as replaced.
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
    /// Of what stat(2) and its relatives found.
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

/// A descriptor for a moment, which is closed only if it still leads to what it was opened for.
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
                // Whose number it is by now cannot be told.
                std::mem::forget(file);
                Err(error)
            }
        }
    }

    /// What it was opened for.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// The file, for the very next system call.
    ///
    /// # Errors
    /// EBADF where the descriptor is lost, see [`is_lost`]; everything else as fstat(2), which says nothing of that.
    pub fn file(&self) -> io::Result<&File> {
        if Identity::behind(&**self)? == self.identity { Ok(self) } else { Err(Errno::BADF.into()) }
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
        // A lock that is not closed is held for ever, so an error is no answer yet.
        let mut answers = (0..ASKED_MAX).map(|_| Identity::behind(&file));
        let known = |answer: &io::Result<Identity>| answer.as_ref().map_or_else(is_lost, |_| true);
        if answers.find(known).is_some_and(|answer| answer.is_ok_and(|found| found == self.identity)) {
            hooks::close(file.into());
        } else {
            // The number is somebody else's by now, or nobody's.
            std::mem::forget(file);
        }
    }
}

/// A descriptor of ours.
#[derive(Debug)]
pub struct Kept {
    /// None only while it is dropped.
    file: Option<Opened>,
    /// Its place in the list of what forked children close.
    listed: Option<usize>,
}

impl Kept {
    /// Keeps `file`, under a number that the program's own files do not reach for. Forked children close it.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn new(file: Opened) -> io::Result<Kept> {
        Ok(Kept::listed(raise(file)?))
    }

    /// The same under the number that it has.
    pub fn at_its_number(file: Opened) -> Kept {
        Kept::listed(file)
    }

    fn listed(file: Opened) -> Kept {
        // What is in a table of its own no child inherits.
        let shared = !numbers::is_own_table();
        let listed = shared
            .then(|| hooks::close_in_child(file.as_raw_fd(), (file.identity.device, file.identity.inode)))
            .flatten();
        Kept { file: Some(file), listed }
    }

    /// The same as [`Kept::new`] for one that forked children go on to use.
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

    /// The file, for the very next system call.
    ///
    /// # Errors
    /// As [`Opened::file`].
    pub fn file(&self) -> io::Result<&File> {
        self.opened().file()
    }

    /// Closes it where it stays in memory for good: from now on it is lost. Nobody may be using it.
    pub(crate) fn give_back(&self) {
        if self.file().is_ok() {
            hooks::close_kept(self.opened().as_raw_fd());
        }
    }

    /// The same where [`Kept::file`] has just been asked.
    pub(crate) fn as_known(&self) -> BorrowedFd<'_> {
        self.opened().as_fd()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.file.take());
        // Not before: a child that is forked in between would keep it.
        self.listed.inspect(|place| hooks::forget_in_child(*place));
    }
}

/// Whether an error says that a descriptor of ours was closed by somebody else.
pub fn is_lost(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}

/// Does what opens a file and uses it, and does it again where somebody closed it in between.
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

/// Moves a descriptor to a higher number, as long as the limit allows it. The lower one is closed only if it still leads to the
/// same.
///
/// # Errors
/// As fstat(2), and EBADF where somebody has closed it meanwhile.
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
            // Else the number was a file of the program's by then.
            if high.identity == low.identity { Ok(high) } else { Err(Errno::BADF.into()) }
        }
    }
}
