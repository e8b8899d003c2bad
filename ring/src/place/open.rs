//! The only place that opens files in our folders, and that inspects, renames and removes them by name.
//!
//! Everything that is opened here is close-on-exec, follows no symbolic link in its last component, never blocks (a FIFO in the
//! place of a file is an error, not a hang), is a regular file if one is requested, and has none of the numbers of the standard
//! streams: in a process whose standard error is closed, the next file opened would get its number, and the program's messages
//! would go into that file.
//!
//! A path whose parent is a held folder is resolved from that folder, see `open/held.rs`.
//!
//! Only system-wide data that is read at once, for instance in `/proc`, is read by `std`.

mod at;
mod held;

pub(crate) use at::STANDARD_ERROR;
pub use at::low;
pub(crate) use held::{acting_in, held_now, hold_here, is_held, owner_of, refresh, release, walk};
pub use held::{held_folders, hold, release_others};

use crate::place::descriptor::{Identity, Opened, again_if_lost};
use crate::sys::fsize;
use at::{FOLDER, OWN_LINKS, give_to_owner, hold_standard_streams, open_at};
use held::{descriptor_of, resolve};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RawDir, RenameFlags, Stat, StatFs};
use rustix::fs::{Timespec, Timestamps};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Bytes of a folder's list that are read at once.
const LIST_BUFFER: usize = 32 << 10;
/// For this user only.
pub const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Opens a folder.
///
/// # Errors
/// As open(2).
pub(crate) fn folder(path: &Path) -> io::Result<Opened> {
    let _acting = acting_in(Some(path));
    again_if_lost(|| match descriptor_of(Some(path))? {
        Some(held) => open_at(held.as_fd(), Path::new("."), FOLDER, Mode::empty()),
        None => open_at(CWD, path, FOLDER, Mode::empty()),
    })
}

/// Opens a regular file; a new one gets `mode`.
///
/// # Errors
/// As open(2), and if it is not a regular file.
pub fn file(path: &Path, flags: OFlags, mode: Mode) -> io::Result<Opened> {
    let file = resolve_open(path, flags, mode)?;
    match file.identity().kind {
        FileType::RegularFile => Ok(file),
        kind => Err(io::Error::other(format!("it is {}, not a regular file", in_words(kind)))),
    }
}

/// Opens a regular file for reading.
///
/// # Errors
/// As [`file()`].
pub fn to_read(path: &Path) -> io::Result<Opened> {
    file(path, OFlags::RDONLY, Mode::empty())
}

/// Opens a FIFO for reading and writing, so that neither end is waited for.
///
/// # Errors
/// As open(2), and if it is not a FIFO.
pub(crate) fn fifo(path: &Path) -> io::Result<Opened> {
    let file = resolve_open(path, OFlags::RDWR, Mode::empty())?;
    match file.identity().kind {
        FileType::Fifo => Ok(file),
        kind => Err(io::Error::other(format!("it is {}, not a FIFO", in_words(kind)))),
    }
}

fn resolve_open(path: &Path, flags: OFlags, mode: Mode) -> io::Result<Opened> {
    let _acting = acting_in(path.parent());
    again_if_lost(|| match (descriptor_of(path.parent())?, path.file_name()) {
        (Some(folder), Some(name)) => open_at(folder.as_fd(), Path::new(name), flags, mode),
        _ => open_at(CWD, path, flags, mode),
    })
}

fn in_words(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown kind",
    }
}

/// An empty file without a name in this folder, to be named by [`link`].
///
/// # Errors
/// As open(2); not every file system supports it.
pub(crate) fn nameless(path: &Path) -> io::Result<Opened> {
    let _acting = acting_in(Some(path));
    let (flags, here) = (OFlags::RDWR | OFlags::TMPFILE, Path::new("."));
    again_if_lost(|| match descriptor_of(Some(path))? {
        Some(held) => open_at(held.as_fd(), here, flags, PRIVATE),
        None => open_at(CWD, path, flags, PRIVATE),
    })
}

/// Names a nameless file; the name must be free.
///
/// # Errors
/// As linkat(2); needs `/proc`.
pub(crate) fn link(file: &File, path: &Path) -> io::Result<()> {
    let from = own_link(file);
    resolve(path, |folder, name| rustix::fs::linkat(CWD, from.as_str(), folder, name, AtFlags::SYMLINK_FOLLOW))
}

/// The link to an open file in `/proc`, in the table of the calling thread.
pub(crate) fn own_link(file: &File) -> String {
    format!("{OWN_LINKS}/{}", file.as_raw_fd())
}

/// Whether there are such links, which needs `/proc`.
pub(crate) fn has_own_links() -> bool {
    Path::new(OWN_LINKS).exists()
}

/// Stat of this name, without following links.
///
/// # Errors
/// As fstatat(2).
pub fn look(path: &Path) -> io::Result<Stat> {
    match descriptor_of(Some(path))? {
        Some(held) => Ok(rustix::fs::fstat(held)?),
        None => resolve(path, |folder, name| rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)),
    }
}

/// A symbolic link, and the folder that contains it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) link: Stat,
    pub(crate) folder: Stat,
    pub(crate) target: PathBuf,
}

/// The symbolic link that has this name. Stat and target are of the same link, even if it is replaced meanwhile.
///
/// # Errors
/// As open(2) and readlink(2); EINVAL if it is not a link.
pub(crate) fn link_at(path: &Path) -> io::Result<Link> {
    let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().ok_or(Errno::INVAL)?);
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let _held = hold_standard_streams();
    let folder = rustix::fs::open(parent, flags | OFlags::DIRECTORY, Mode::empty())?;
    let link = rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    let target = rustix::fs::readlinkat(&link, "", Vec::new())?;
    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
    Ok(Link { link: rustix::fs::fstat(&link)?, folder: rustix::fs::fstat(&folder)?, target })
}

/// Like [`look`]; None if nothing has the name.
///
/// # Errors
/// As fstatat(2).
pub fn look_for(path: &Path) -> io::Result<Option<Stat>> {
    if_there(look(path))
}

/// What was found under a name; None if nothing has it.
///
/// # Errors
/// All but [`io::ErrorKind::NotFound`].
pub fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Whether opening failed because the file is not of the kind `wanted`: a link, a folder, a FIFO in the place of a file, a file
/// in that of a FIFO. The error alone does not prove it: some file systems return it spuriously.
pub fn is_another_kind(path: &Path, wanted: FileType, error: &io::Error) -> bool {
    let may_be = error.kind() == io::ErrorKind::Other
        || matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::AGAIN));
    may_be && look(path).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) != wanted)
}

/// Renames what has this name, to free the name. Returns the new path.
///
/// # Errors
/// As renameat(2).
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let seconds = crate::place::clock::realtime_ns() / 1_000_000_000;
    let mut to = path.as_os_str().to_owned();
    to.push(format!(".aside-{seconds}-{}", look(path)?.st_ino));
    let to = PathBuf::from(to);
    rename(path, &to, RenameFlags::empty()).map(|()| to)
}

/// Device and inode of what has this name; None if nothing has.
///
/// # Errors
/// As fstatat(2).
pub fn identity(path: &Path) -> io::Result<Option<Identity>> {
    Ok(look_for(path)?.as_ref().map(Identity::of))
}

/// Removes a file's name, if it exists.
///
/// # Errors
/// As unlinkat(2).
pub fn remove(path: &Path) -> io::Result<()> {
    if_there(resolve(path, |folder, name| rustix::fs::unlinkat(folder, name, AtFlags::empty()))).map(|_| ())
}

/// Renames a file.
///
/// # Errors
/// As renameat2(2); with [`RenameFlags::NOREPLACE`] if the name is taken, and not every file system supports it.
pub fn rename(from: &Path, to: &Path, flags: RenameFlags) -> io::Result<()> {
    resolve(from, |from_folder, from| {
        let renamed = resolve(to, |to_folder, to| match flags.is_empty() {
            true => rustix::fs::renameat(from_folder, from, to_folder, to),
            false => rustix::fs::renameat_with(from_folder, from, to_folder, to, flags),
        });
        renamed.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    })
}

/// Renames a file to a name that must be free, even on file systems without such a rename: there it briefly has both names.
///
/// # Errors
/// As renameat2(2) and linkat(2).
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename(from, to, RenameFlags::NOREPLACE) {
        Err(error) if is_unsupported(&error) => {
            let linked = resolve(from, |from_folder, from| {
                let linked =
                    resolve(to, |to_folder, to| rustix::fs::linkat(from_folder, from, to_folder, to, AtFlags::empty()));
                linked.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            });
            linked.and_then(|()| remove(from))
        }
        done => done,
    }
}

/// Writes a private file under the name `temporary`, and gives it the name `to` when it is complete, so that nobody reads a part
/// of it.
///
/// # Errors
/// As open(2), write(2), fdatasync(2) and what `name` does: [`rename`] or [`rename_new`]. Nothing is left then.
pub(crate) fn write_whole(
    temporary: &Path,
    to: &Path,
    text: &[u8],
    name: impl FnOnce(&File, &Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let written = file(temporary, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, PRIVATE).and_then(|mut file| {
        fsize::without_signal(|| file.write_all(text))?;
        name(&file, temporary, to)
    });
    written.inspect_err(|_| drop(remove(temporary)))
}

/// Whether an error says that a file system does not support the request.
pub fn is_unsupported(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOTTY))
}

/// Sets a file's times to now.
///
/// # Errors
/// As utimensat(2).
pub(crate) fn make_young(path: &Path) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    resolve(path, |folder, name| rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW))
}

/// Creates a folder with this mode and group, unless the name is taken.
///
/// # Errors
/// As mkdirat(2).
pub(crate) fn make_folder(path: &Path, mode: Mode, group: Option<u32>) -> io::Result<()> {
    let make = |folder: BorrowedFd<'_>, name: &Path| {
        rustix::fs::mkdirat(folder, name, Mode::RWXU).map(|()| give_to_owner(folder, name, Mode::RWXU))
    };
    match resolve(path, make) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        done => done?,
    }
    if mode != Mode::RWXU {
        // Overrides the umask: the mode was requested.
        let made = resolve_open(path, FOLDER, Mode::empty())?;
        // A missing right to the group is reported when files are given to the group.
        let given = group.is_none_or(|group| rustix::fs::fchown(&made, None, Some(Gid::from_raw(group))).is_ok());
        if given {
            let setgid = Mode::from_raw_mode(rustix::fs::fstat(&made)?.st_mode) & Mode::SGID;
            rustix::fs::fchmod(&made, mode | setgid)?;
        }
    }
    Ok(())
}

/// What file system a folder is on.
///
/// # Errors
/// As fstatfs(2).
pub(crate) fn file_system(path: &Path) -> io::Result<StatFs> {
    Ok(rustix::fs::fstatfs(folder(path)?)?)
}

/// Creates a FIFO, unless the name is taken.
///
/// # Errors
/// As mknodat(2).
pub(crate) fn make_fifo(path: &Path) -> io::Result<()> {
    let make = |folder: BorrowedFd<'_>, name: &Path| {
        rustix::fs::mknodat(folder, name, FileType::Fifo, PRIVATE, 0).map(|()| give_to_owner(folder, name, PRIVATE))
    };
    match resolve(path, make) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Names of all entries of a folder.
///
/// # Errors
/// As open(2) and readdir(3).
pub fn list(path: &Path) -> io::Result<Vec<OsString>> {
    names(&*folder(path)?)
}

/// Names of all entries of an open folder.
///
/// # Errors
/// As readdir(3).
pub(crate) fn names(folder: &File) -> io::Result<Vec<OsString>> {
    let mut buffer = Vec::with_capacity(LIST_BUFFER);
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_owned().into_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}

/// Names of all entries of the folder that contains this file, whatever links lead to that folder.
///
/// # Errors
/// As [`list`].
pub(crate) fn list_beside(path: &Path) -> io::Result<Vec<OsString>> {
    list(&path.parent().unwrap_or(Path::new("")).join("."))
}

/// Syncs a folder: creations, renames and removals in it.
///
/// # Errors
/// As fsync(2).
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::fsync(folder(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn an_error_alone_is_no_sign_of_another_kind() {
        let folder = Scratch::new("another-kind");
        let path = folder.path().join("flusher.lock");
        let is_another = |errno: Errno| is_another_kind(&path, FileType::RegularFile, &errno.into());
        let errors = [Errno::AGAIN, Errno::LOOP, Errno::ISDIR, Errno::NXIO];
        assert!(!errors.into_iter().any(is_another), "nothing is there");
        std::fs::write(&path, "pid=1").expect("written");
        assert!(!errors.into_iter().any(is_another), "the file that is wanted is there");
        std::fs::remove_file(&path).and_then(|()| std::os::unix::fs::symlink("elsewhere", &path)).expect("a link");
        assert!(errors.into_iter().all(is_another));
        assert!(!is_another(Errno::IO), "no kind's error");
    }
}
