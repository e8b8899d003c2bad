//! Files that get their name when they are complete.

use crate::error::{Error, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// A file without a name where the file system can, else one under a temporary name.
#[derive(Debug)]
pub(crate) struct Nameless {
    file: File,
    temporary: Option<Temporary>,
    to: PathBuf,
}

/// A name that goes when it is dropped.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Nameless {
    /// An empty private file that is to be `name` in `folder`. Nobody else may be making one of the same name.
    ///
    /// # Errors
    /// [`Error::Io`] as open(2).
    pub(crate) fn create(folder: &Path, name: &str) -> Result<Nameless> {
        let (flags, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
        let to = folder.join(name);
        let linkable = Path::new("/proc/self/fd").exists();
        if linkable && let Ok(fd) = rustix::fs::open(folder, flags | OFlags::TMPFILE, mode) {
            return Ok(Nameless { file: File::from(fd), temporary: None, to });
        }
        let path = folder.join(format!(".{name}.new"));
        // One that was begun by a process that died is in the way.
        let _ = fs::remove_file(&path);
        let fd = rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW, mode)
            .map_err(|error| Error::io("create", &path)(error.into()))?;
        Ok(Nameless { file: File::from(fd), temporary: Some(Temporary(path)), to })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name, which nothing may have.
    ///
    /// # Errors
    /// [`Error::Io`] as link(2).
    pub(crate) fn publish(self) -> Result<File> {
        let Nameless { file, temporary, to } = self;
        let done = match &temporary {
            None => {
                let from = format!("/proc/self/fd/{}", file.as_raw_fd());
                rustix::fs::linkat(CWD, from.as_str(), CWD, &to, AtFlags::SYMLINK_FOLLOW)
            }
            Some(Temporary(path)) => name(path, &to),
        };
        done.map_err(|error| Error::io("give its name to", to)(error.into()))?;
        Ok(file)
    }
}

/// Gives the file at `from` the name `to`, which nothing may have, in the first of three ways that the file system knows.
fn name(from: &Path, to: &Path) -> rustix::io::Result<()> {
    let rename = || rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE);
    // The temporary name goes when it is dropped.
    let link = || rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty());
    first_known(&[&rename, &link, &|| replace(from, to)])
}

/// A way to give a file its name.
type Way<'a> = &'a dyn Fn() -> rustix::io::Result<()>;

/// What the first of these ways says that the file system knows, or the last one.
fn first_known(ways: &[Way<'_>]) -> rustix::io::Result<()> {
    let mut done = Err(Errno::OPNOTSUPP);
    for way in ways {
        done = way();
        if !done.is_err_and(is_unknown) {
            break;
        }
    }
    done
}

fn replace(from: &Path, to: &Path) -> rustix::io::Result<()> {
    // A file of our own in the place of the name, so that what is replaced is nobody else's. For a moment it is empty.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    drop(rustix::fs::open(to, flags, Mode::RUSR | Mode::WUSR)?);
    rustix::fs::renameat(CWD, from, CWD, to).inspect_err(|_| drop(fs::remove_file(to)))
}

/// Whether the file system does not know a call, and another one may do. link(2) is not permitted where there are no hard links.
fn is_unknown(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::MLINK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_gives_the_name_and_none_takes_it_from_another_file() {
        let folder = std::env::temp_dir().join(format!("lastwords-nameless-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("made");
        let (from, to) = (folder.join(".new"), folder.join("name"));
        let unknown = || Err(Errno::INVAL);
        let link = || rustix::fs::linkat(CWD, &from, CWD, &to, AtFlags::empty());
        let last = || replace(&from, &to);
        let ways: [&[Way<'_>]; 3] = [&[&|| name(&from, &to)], &[&unknown, &link, &last], &[&unknown, &|| Err(Errno::PERM), &last]];
        for (number, ways) in ways.into_iter().enumerate() {
            fs::write(&from, "whole").expect("written");
            first_known(ways).expect("named");
            assert_eq!(fs::read(&to).expect("there"), b"whole", "way {number}");
            let _ = fs::remove_file(&from);
            fs::write(&to, "of another").expect("written");
            fs::write(&from, "whole").expect("written");
            assert_eq!(first_known(ways), Err(Errno::EXIST), "way {number}");
            assert_eq!(fs::read(&to).expect("there"), b"of another", "way {number}");
            fs::remove_file(&to).expect("removed");
        }
        assert_eq!(first_known(&[&|| Err(Errno::NOSPC), &last]), Err(Errno::NOSPC), "an error of another kind stays");
        fs::remove_dir_all(folder).expect("removed");
    }
}
