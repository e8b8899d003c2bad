//! The file beside a ring in which a fatal signal leaves what it interrupted.
//!
//! It is made, and has its size, when the ring is made: the handler of a signal opens nothing, so neither a full disk nor an
//! exhausted table of descriptors stands in its way. It holds zeros until then. The flusher removes it with the ring, its
//! process when it closes the logger. Its name derives from the ring's own name, never from bytes in a ring.

use crate::format::capture_record::{OTHER_OUTERMOST, OTHER_STACK, OTHERS_MAX};
use crate::mutant::{self, Mutant};
use crate::place::descriptor::{Identity, Kept, Opened};
use crate::place::folder::stem;
use crate::place::open::{self, PRIVATE};
use crate::place::reserve::{never_copy_on_write, reserve};
use crate::sys::{fsize, secure};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags};
use rustix::process::DumpableBehavior;
use std::ffi::{CStr, CString};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Ending of captures.
const CAPTURE_ENDING: &str = ".capture";
/// Bytes of a capture's file, for the crashed thread and what concerns the whole process.
pub const SIZE: u64 = 256 << 10;
/// The same with room for other threads, 1.8 MiB: their stacks, and 1 KiB for all else of each.
pub const SIZE_WITH_OTHERS: u64 = SIZE + (OTHERS_MAX * (OTHER_STACK + OTHER_OUTERMOST + (1 << 10))) as u64;
/// Bytes of the crashed thread's stack that are captured unless another number is set.
pub const STACK_DEFAULT: u32 = 64 << 10;
/// The least and the most of them, besides none: what is mapped must still find room.
pub const STACK_RANGE: RangeInclusive<u32> = 4 << 10..=128 << 10;
/// The file takes at most this share of the free space: what is left is for rings and log files.
const ROOM_SHARE: u64 = 64;
/// What the kernel has mapped for this process.
const MAPS: &CStr = c"/proc/self/maps";

/// The capture of the ring whose entry in its folder is `entry`.
#[must_use]
pub fn path(entry: &Path) -> PathBuf {
    entry.with_file_name(format!("{}{CAPTURE_ENDING}", stem(entry)))
}

/// Removes the capture, if there is one.
///
/// # Errors
/// As unlink(2).
pub fn remove(entry: &Path) -> io::Result<()> {
    if mutant::is(Mutant::CaptureLeft) {
        return Ok(());
    }
    open::remove(&path(entry))
}

/// A capture's file in the process that may have to write it, and the list of that process's mappings.
#[derive(Debug)]
pub struct CaptureFile {
    file: Kept,
    name: CString,
    entry: PathBuf,
    size: u64,
    stack: u32,
    /// None without `/proc`.
    maps: Option<Kept>,
}

impl CaptureFile {
    /// Makes the file for the ring with this entry, of [`SIZE`] or [`SIZE_WITH_OTHERS`], for so many bytes of a stack, 0 for no
    /// memory of the program's at all.
    ///
    /// # Errors
    /// As open(2) and fallocate(2), ENOSPC too if there is less than 64 times the room for it, and EFBIG if the file size limit
    /// does not allow it.
    pub fn create(entry: &Path, size: u64, stack: u32) -> io::Result<CaptureFile> {
        if fsize::limit() < size {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let path = path(entry);
        let room = path.parent().map(open::file_system).transpose()?;
        if room.is_some_and(|room| room.f_bfree.saturating_mul(room.f_frsize as u64) / ROOM_SHARE < size) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = Kept::new(open::file(&path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, PRIVATE)?)?;
        let owner = file.file().and_then(|file| Ok(rustix::fs::fstat(file)?.st_uid));
        if let Some(why) = privilege(owner?) {
            drop(open::remove(&path));
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        let reserved = file.file().and_then(|file| {
            never_copy_on_write(file);
            fsize::without_signal(|| reserve(file, size))
        });
        reserved.inspect_err(|_| drop(open::remove(&path)))?;
        let name = CString::new(path.as_os_str().as_bytes())?;
        let maps = open::to_read(Path::new("/proc/self/maps")).and_then(Kept::new).ok();
        Ok(CaptureFile { file, name, entry: entry.to_owned(), size, stack, maps })
    }

    /// Its size.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Most bytes of a stack.
    pub fn stack(&self) -> usize {
        self.stack as usize
    }

    /// Whether there is room for other threads.
    pub fn takes_others(&self) -> bool {
        self.size == SIZE_WITH_OTHERS
    }

    /// Runs `work` with the file. Safe in a signal handler, also where other code has closed our descriptor, or the thread has
    /// a table of its own.
    pub fn with<T>(&self, work: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        if !may_dump() {
            return None;
        }
        let identity = self.file.identity();
        with_kept(&self.file, (&self.name, OFlags::RDWR), |found| *found == identity, work)
    }

    /// Runs `work` with the list of mappings, as [`CaptureFile::with`].
    pub fn with_maps<T>(&self, work: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        with_kept(self.maps.as_ref()?, (MAPS, OFlags::RDONLY), |_| true, work)
    }

    /// Closes the list of mappings, which makes room for another descriptor. Safe in a signal handler.
    pub fn close_maps(&self) {
        self.maps.as_ref().inspect(|maps| maps.give_back());
    }

    /// Removes the file and closes the descriptors, although this stays in memory.
    pub fn close(&self) {
        let _ = remove(&self.entry);
        self.file.give_back();
        self.close_maps();
    }
}

/// Why the process may do more than others who could read in the file what it has in memory: its owner, or whoever started the
/// program.
fn privilege(owner: u32) -> Option<&'static str> {
    if owner != rustix::process::geteuid().as_raw() {
        return Some("the folder is another user's, who may not see this process's memory");
    }
    secure::is_secure().then_some("the program has more rights than the user who started it, as with set-user-id")
}

/// Whether the kernel would let the process leave a core dump with its user: not after a change of user or capabilities, nor
/// of a program that its user may not read.
fn may_dump() -> bool {
    rustix::process::dumpable_behavior().is_ok_and(|found| found == DumpableBehavior::Dumpable)
}

/// Runs `work` with the file that is kept, or else with the one that has its name, if that `is_it`.
fn with_kept<T>(
    kept: &Kept,
    (name, flags): (&CStr, OFlags),
    is_it: impl FnOnce(&Identity) -> bool,
    work: impl FnOnce(BorrowedFd<'_>) -> T,
) -> Option<T> {
    if let Ok(file) = kept.file() {
        return Some(work(file.as_fd()));
    }
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let again = Opened::new(rustix::fs::open(name, flags, Mode::empty()).ok()?).ok()?;
    is_it(&again.identity()).then(|| work(again.as_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_file_is_private_has_its_space_and_goes() {
        let scratch = Scratch::new("capture");
        let entry = scratch.path().join("host-1-ab.ring");
        let file = CaptureFile::create(&entry, SIZE, STACK_DEFAULT).expect("made");
        let found = path(&entry).metadata().expect("there");
        assert_eq!((found.mode() & 0o777, found.len()), (0o600, SIZE));
        assert!(found.blocks() * 512 >= SIZE, "reserved");
        assert!(CaptureFile::create(&entry, SIZE, STACK_DEFAULT).is_err(), "one for each ring");
        let size = file.with(|file| rustix::fs::fstat(file).expect("open").st_size as u64);
        assert_eq!(size, Some(SIZE));
        file.close();
        assert!(!path(&entry).exists());
        assert_eq!(file.with(|_| ()), None, "closed, and no name leads to it");
    }
}
