//! Files that get their name when they are complete.

use crate::error::{Error, Result};
use crate::open::{self, PRIVATE};
use rustix::fs::{OFlags, RenameFlags};
use std::fs::File;
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
        let _ = open::remove(&self.0);
    }
}

impl Nameless {
    /// An empty private file that is to be `name` in `folder`. Nobody else may be making one of the same name.
    ///
    /// # Errors
    /// [`Error::Io`] as open(2).
    pub(crate) fn create(folder: &Path, name: &str) -> Result<Nameless> {
        let to = folder.join(name);
        let linkable = Path::new("/proc/self/fd").exists();
        if linkable && let Ok(file) = open::nameless(folder) {
            return Ok(Nameless { file, temporary: None, to });
        }
        let path = folder.join(format!(".{name}.new"));
        // One that was begun by a process that died is in the way.
        let _ = open::remove(&path);
        let file = open::file(&path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, PRIVATE)
            .map_err(Error::io("create", &path))?;
        Ok(Nameless { file, temporary: Some(Temporary(path)), to })
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
            None => open::link(&file, &to),
            Some(Temporary(path)) => open::rename(path, &to, RenameFlags::NOREPLACE),
        };
        done.map_err(Error::io("give its name to", to))?;
        Ok(file)
    }
}
