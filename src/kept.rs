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
//! A forked child closes what its parent kept, unless it is meant for children too, after the same question.

use crate::sys::hooks;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Stat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Lowest number that is asked for, where the limit allows so many.
const NUMBER_MIN: u64 = 512;

/// How often the kernel is asked before a descriptor of which it says nothing is left open.
const ASKED_MAX: u32 = 8;

/// What a descriptor leads to. On overlayfs, btrfs and local disks no two files that exist at a time have the same; a FUSE file
/// system may number its files as it likes, and a file that loses its number there counts as replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) kind: FileType,
}

impl Identity {
    pub(crate) fn of(found: &Stat) -> Identity {
        Identity { device: found.st_dev, inode: found.st_ino, kind: FileType::from_raw_mode(found.st_mode) }
    }

    /// What the file behind a descriptor is.
    ///
    /// # Errors
    /// As fstat(2).
    pub(crate) fn behind(file: impl AsFd) -> io::Result<Identity> {
        Ok(Identity::of(&rustix::fs::fstat(file)?))
    }
}

/// A descriptor of ours.
#[derive(Debug)]
pub(crate) struct Kept {
    /// None only while it is dropped.
    file: Option<File>,
    identity: Identity,
    /// Its place in the list of what forked children close.
    listed: Option<usize>,
}

impl Kept {
    /// Keeps `file`, under a number that the program's own files do not reach for. Forked children close it.
    ///
    /// # Errors
    /// As fstat(2).
    pub(crate) fn new(file: impl Into<OwnedFd>) -> io::Result<Kept> {
        Kept::at_its_number(raise(file.into())?)
    }

    /// The same under the number that it has.
    ///
    /// # Errors
    /// As fstat(2).
    pub(crate) fn at_its_number(file: impl Into<OwnedFd>) -> io::Result<Kept> {
        let mut kept = Kept::identified(file.into())?;
        kept.listed = kept.file.as_ref().and_then(|file| hooks::close_in_child(file.as_raw_fd(), kept.identity));
        Ok(kept)
    }

    /// The same as [`Kept::new`] for one that forked children go on to use.
    ///
    /// # Errors
    /// As fstat(2).
    pub(crate) fn for_children_too(file: impl Into<OwnedFd>) -> io::Result<Kept> {
        Kept::identified(raise(file.into())?)
    }

    fn identified(file: OwnedFd) -> io::Result<Kept> {
        let file = File::from(file);
        Ok(Kept { identity: Identity::behind(&file)?, file: Some(file), listed: None })
    }

    /// What it was opened for.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// The file, for the very next system call.
    ///
    /// # Errors
    /// EBADF where the descriptor is lost, see [`is_lost`]; everything else as fstat(2), which says nothing of that.
    pub(crate) fn file(&self) -> io::Result<&File> {
        let file = self.file.as_ref().ok_or(Errno::BADF)?;
        if Identity::behind(file)? == self.identity { Ok(file) } else { Err(Errno::BADF.into()) }
    }
}

impl Drop for Kept {
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
        // Not before: a child that is forked in between would keep it.
        self.listed.inspect(|place| hooks::forget_in_child(*place));
    }
}

/// Whether an error says that a descriptor of ours was closed by somebody else.
pub(crate) fn is_lost(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}

/// Moves a descriptor to a higher number, as long as the limit allows it. The lower one is closed only if it still leads to the
/// same.
///
/// # Errors
/// As fstat(2).
pub(crate) fn raise(fd: OwnedFd) -> io::Result<OwnedFd> {
    let number = NUMBER_MIN.min(hooks::descriptors_max().unwrap_or(NUMBER_MIN) / 2) as i32;
    if fd.as_raw_fd() >= number {
        return Ok(fd);
    }
    let high = match fcntl_dupfd_cloexec(&fd, number) {
        Ok(high) => high,
        Err(Errno::BADF) => {
            // Somebody closed it, and the number may be a file of the program's by the time we would.
            std::mem::forget(fd);
            return Err(Errno::BADF.into());
        }
        Err(_) => return Ok(fd),
    };
    let identity = Identity::behind(&high)?;
    if Identity::behind(&fd).is_ok_and(|found| found == identity) {
        hooks::close(fd);
    } else {
        std::mem::forget(fd);
    }
    Ok(high)
}
