//! Files that get their name when they are complete.

use crate::error::{Error, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
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
            Some(Temporary(path)) => rustix::fs::renameat_with(CWD, path, CWD, &to, RenameFlags::NOREPLACE),
        };
        done.map_err(|error| Error::io("give its name to", to)(error.into()))?;
        Ok(file)
    }
}
