//! Files that get their name when they are complete.

use crate::error::{Error, Result};
use crate::place::descriptor::Kept;
use crate::place::open::{self, PRIVATE};
use rustix::fs::{OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file without a name if the file system supports that, else one under a temporary name.
#[derive(Debug)]
pub struct Nameless {
    file: Kept,
    temporary: Option<Temporary>,
    to: PathBuf,
}

/// A name that is removed on drop.
#[derive(Debug)]
pub struct Temporary(pub PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = open::remove(&self.0);
    }
}

impl Temporary {
    /// Keeps the name.
    pub fn keep(mut self) -> PathBuf {
        let path = std::mem::take(&mut self.0);
        std::mem::forget(self);
        path
    }
}

impl Nameless {
    /// An empty private file that will be `name` in `folder`. Only one of the same name may be created at a time.
    ///
    /// # Errors
    /// [`Error::Io`] as open(2).
    pub fn create(folder: &Path, name: &str) -> Result<Nameless> {
        let to = folder.join(name);
        let linkable = open::has_own_links();
        if linkable && let Ok(file) = open::nameless(folder).and_then(Kept::new) {
            return Ok(Nameless { file, temporary: None, to });
        }
        let path = folder.join(format!(".{name}.new"));
        // A leftover of a process that died is in the way.
        let _ = open::remove(&path);
        let file = open::file(&path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, PRIVATE)
            .and_then(Kept::new)
            .map_err(Error::io("create", &path))?;
        Ok(Nameless { file, temporary: Some(Temporary(path)), to })
    }

    /// The file, for the next system call only.
    ///
    /// # Errors
    /// As [`Kept::file`].
    pub fn file(&self) -> io::Result<&File> {
        self.file.file()
    }

    /// Gives it its name, which must be free.
    ///
    /// # Errors
    /// [`Error::Io`] as link(2).
    pub fn publish(self) -> Result<Kept> {
        let to = self.to.clone();
        self.publish_as(&to)
    }

    /// Like [`Nameless::publish`], under another name in the same folder.
    ///
    /// # Errors
    /// As [`Nameless::publish`].
    pub fn publish_as(self, to: &Path) -> Result<Kept> {
        let Nameless { file, temporary, .. } = self;
        let done = match &temporary {
            None => file.file().and_then(|file| open::link(file, to)),
            Some(Temporary(path)) => name(path, to),
        };
        done.map_err(Error::io("give its name to", to))?;
        Ok(file)
    }
}

impl Write for &Nameless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives the file at `from` the name `to`, which must be free, in the first of the ways that the file system supports.
fn name(from: &Path, to: &Path) -> io::Result<()> {
    match open::rename_new(from, to) {
        Err(error) if is_unknown(&error) => replace(from, to),
        done => done,
    }
}

fn replace(from: &Path, to: &Path) -> io::Result<()> {
    // Reserves the name by a file of our own, so that the rename replaces nothing else. For a moment it is empty.
    drop(Kept::new(open::file(to, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, PRIVATE)?)?);
    open::rename(from, to, RenameFlags::empty()).inspect_err(|_| drop(open::remove(to)))
}

/// Whether the file system supports neither renameat2(2) nor link(2). EPERM means that there are no hard links.
fn is_unknown(error: &io::Error) -> bool {
    open::is_unsupported(error) || matches!(Errno::from_io_error(error), Some(Errno::PERM | Errno::MLINK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    #[test]
    fn each_way_gives_the_name_and_none_takes_it_from_another_file() {
        let scratch = Scratch::new("nameless");
        let (from, to) = (scratch.path().join(".new"), scratch.path().join("name"));
        for (number, way) in [name, replace].into_iter().enumerate() {
            fs::write(&from, "whole").expect("written");
            way(&from, &to).expect("named");
            assert_eq!(fs::read(&to).expect("there"), b"whole", "way {number}");
            assert!(!from.exists(), "way {number}");
            fs::write(&to, "of another").expect("written");
            fs::write(&from, "whole").expect("written");
            let refused = way(&from, &to).expect_err("it has another file's name");
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "way {number}");
            assert_eq!(fs::read(&to).expect("there"), b"of another", "way {number}");
            fs::remove_file(&to).expect("removed");
        }
    }

    #[test]
    fn another_way_is_taken_only_where_the_first_is_not_known() {
        for unknown in [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM, Errno::MLINK] {
            assert!(is_unknown(&unknown.into()), "{unknown}");
        }
        for other in [Errno::NOSPC, Errno::EXIST, Errno::IO, Errno::ROFS] {
            assert!(!is_unknown(&other.into()), "{other}");
        }
    }
}
