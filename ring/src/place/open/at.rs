//! Opening below a descriptor: the result has a safe number, and is verified to be what has the name.

use crate::mutant::{self, Mutant};
use crate::place::descriptor::{Identity, Opened, raise};
use crate::sys::numbers;
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// The highest number of a standard stream.
pub(crate) const STANDARD_ERROR: i32 = 2;
/// Attempts to open a file that keeps being replaced.
const TRIES: u32 = 8;
/// Where the calling thread's descriptors appear as links.
pub(super) const OWN_LINKS: &str = "/proc/thread-self/fd";
/// Flags of every file that is opened.
const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// Flags of a folder.
pub(super) const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Opens the root folder under the lowest number above the standard streams', so that giving it back frees that number for its
/// next user, even if the limit was lowered since.
///
/// # Errors
/// As open(2).
pub fn low() -> io::Result<Opened> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = Opened::new(rustix::fs::open("/", flags, Mode::empty())?)?;
    if opened.as_raw_fd() > STANDARD_ERROR {
        return Ok(opened);
    }
    Opened::new(rustix::io::fcntl_dupfd_cloexec(opened, STANDARD_ERROR + 1)?)
}

/// Opens something while occupying the free numbers of the standard streams, and moves it to a number above those that programs
/// normally use. Another thread that closes unknown descriptors may have closed the number meanwhile and reused it for a file
/// of its own: the result is compared with what has the name.
pub(super) fn open_at(folder: BorrowedFd<'_>, path: &Path, mut flags: OFlags, mode: Mode) -> io::Result<Opened> {
    let _held = hold_standard_streams();
    for _ in 0..TRIES {
        let opened = openat(folder, path, flags | ALWAYS, mode)?;
        match is_what_was_opened(&opened, folder, path, flags) {
            // Not earlier: what is moved to a higher number is closed under the lower one.
            Ok(true) => return raise(opened),
            // Nothing is closed here: the number may belong to other code.
            Ok(false) => std::mem::forget(opened),
            Err(error) => {
                std::mem::forget(opened);
                return Err(error);
            }
        }
        if flags.contains(OFlags::EXCL) {
            // It was created, and has the name.
            flags.remove(OFlags::CREATE | OFlags::EXCL);
        }
    }
    Err(io::Error::other("something else takes its name, or its descriptor, all the time"))
}

/// Opens something. A new file gets the requested owner rights whatever the umask: a file that its owner may not open again
/// would be of no use to the next process.
fn openat(folder: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<Opened> {
    if !flags.intersects(OFlags::CREATE | OFlags::TMPFILE.difference(OFlags::DIRECTORY)) {
        return Opened::new(rustix::fs::openat(folder, path, flags, mode)?);
    }
    for _ in 0..TRIES {
        if flags.contains(OFlags::CREATE) && !flags.contains(OFlags::EXCL) {
            match rustix::fs::openat(folder, path, flags.difference(OFlags::CREATE), mode) {
                Err(Errno::NOENT) => {}
                found => return Opened::new(found?),
            }
        }
        let only_new = if flags.contains(OFlags::CREATE) { OFlags::EXCL } else { OFlags::empty() };
        match rustix::fs::openat(folder, path, flags | only_new, mode) {
            // Another process or thread was faster.
            Err(Errno::EXIST) if !flags.contains(OFlags::EXCL) => {}
            made => {
                let made = Opened::new(made?)?;
                let is = Mode::from_raw_mode(rustix::fs::fstat(&made)?.st_mode);
                if !is.contains(mode & Mode::RWXU)
                    && !mutant::is(Mutant::UmaskObeyed)
                    && is_what_was_opened(&made, folder, path, flags)?
                {
                    rustix::fs::fchmod(made.file()?, is | mode & Mode::RWXU)?;
                }
                return Ok(made);
            }
        }
    }
    Err(Errno::EXIST.into())
}

/// Gives the owner rights to a folder or a FIFO that was just created, which its owner may not be able to open yet. Without
/// `/proc` it stays as it is.
pub(super) fn give_to_owner(folder: BorrowedFd<'_>, name: &Path, mode: Mode) {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(made) = rustix::fs::openat(folder, name, flags, Mode::empty()) else { return };
    let Ok(made) = Opened::new(made) else { return };
    let Ok(found) = rustix::fs::fstat(&made) else { return };
    let is = Mode::from_raw_mode(found.st_mode);
    if FileType::from_raw_mode(found.st_mode) != FileType::Symlink
        && !is.contains(mode)
        && !mutant::is(Mutant::UmaskObeyed)
    {
        let _ = rustix::fs::chmod(format!("{OWN_LINKS}/{}", made.as_raw_fd()), is | mode);
    }
}

/// Whether a descriptor refers to what has the name. A file without a name was removed since, which every caller has to handle.
fn is_what_was_opened(opened: &Opened, folder: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<bool> {
    let is_made_nameless = flags.contains(OFlags::TMPFILE);
    let named =
        if is_made_nameless { Err(Errno::NOENT) } else { rustix::fs::statat(folder, path, AtFlags::SYMLINK_NOFOLLOW) };
    // After the name, which may be removed between the two.
    let found = rustix::fs::fstat(opened)?;
    match named {
        Ok(named) => Ok(Identity::of(&named) == opened.identity()),
        Err(Errno::NOENT) => {
            let is_nameless = found.st_nlink == 0 && Identity::of(&found) == opened.identity();
            Ok(is_nameless && !(is_made_nameless && found.st_size > 0))
        }
        // The folder's descriptor is lost, for instance.
        Err(error) => Err(error.into()),
    }
}

/// Occupies the numbers of standard streams that are closed.
pub(super) fn hold_standard_streams() -> Vec<Opened> {
    let mut held = Vec::new();
    while !(0..=STANDARD_ERROR).all(numbers::is_open)
        && let Ok(root) = rustix::fs::stat("/")
        && let Ok(lowest) = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        && let Ok(lowest) = Opened::new(lowest)
    {
        if lowest.identity() == Identity::of(&root) {
            held.push(lowest);
        } else {
            // The number belongs to other code by now.
            std::mem::forget(lowest);
        }
    }
    held
}
