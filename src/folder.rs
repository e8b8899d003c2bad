//! The log folder: where it is, what stands in it, and whether it can be trusted.
//!
//! ```text
//! <folder>/host.log, host.log.1 …     what people read
//! <folder>/rings/*.ring               one per process
//! <folder>/rings/journal.a, .b        the flusher's journal
//! <folder>/rings/flusher.lock         which process is the flusher
//! <folder>/rings/doorbell             a FIFO that wakes the flusher
//! ```

use crate::error::{Error, Result};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Name ending of ring files.
pub const RING_ENDING: &str = ".ring";

/// A log folder, checked: a real folder that belongs to this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

/// The folder used where none is named: `<temp dir>/<app>/logs`.
#[must_use]
pub fn default_path(app: &str) -> PathBuf {
    std::env::temp_dir().join(app).join("logs")
}

impl Folder {
    /// Makes the folder where it is missing, with mode 0700, and checks it.
    ///
    /// # Errors
    /// [`Error::Folder`] if it is a symbolic link, no folder, or somebody else's; [`Error::Io`] if it cannot be made.
    pub fn create(path: &Path) -> Result<Folder> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            make(parent)?;
        }
        make(path)?;
        let folder = Folder::open(path)?;
        make(&folder.rings())?;
        check(&folder.rings())?;
        Ok(folder)
    }

    /// Takes an existing folder.
    ///
    /// # Errors
    /// As [`Folder::create`].
    pub fn open(path: &Path) -> Result<Folder> {
        check(path)?;
        let path = std::path::absolute(path).map_err(Error::io("find the folder", path))?;
        Ok(Folder { path })
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the rings are.
    #[must_use]
    pub fn rings(&self) -> PathBuf {
        self.path.join("rings")
    }

    /// The log file of `role`.
    #[must_use]
    pub fn log_file(&self, role: &str) -> PathBuf {
        self.path.join(format!("{role}.log"))
    }

    /// The flusher's lock file.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.rings().join("flusher.lock")
    }

    /// Opens the doorbell, made where it is missing: a FIFO that is read and written without waiting.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be made, [`Error::Folder`] if something else has its name.
    pub fn doorbell(&self) -> Result<File> {
        let path = self.rings().join("doorbell");
        match rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(Error::io("make the doorbell", path)(error.into())),
        }
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|error| Error::io("open the doorbell", &path)(error.into()))?;
        let file = File::from(fd);
        let metadata = file.metadata().map_err(Error::io("look at the doorbell", &path))?;
        if metadata.mode() & libc::S_IFMT != libc::S_IFIFO {
            return Err(Error::folder(&self.path, format!("{} is not a FIFO; remove it", path.display())));
        }
        Ok(file)
    }

    /// Paths of all ring files, sorted by name. A folder without rings gives none.
    ///
    /// # Errors
    /// As readdir(3).
    pub fn ring_files(&self) -> Result<Vec<PathBuf>> {
        let rings = self.rings();
        let entries = match fs::read_dir(&rings) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("list the rings in", rings)(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::io("list the rings in", &rings))?.path();
            if path.extension().is_some_and(|ending| ending == &RING_ENDING[1..]) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Rings the doorbell behind `file`. A full FIFO is loud enough.
pub(crate) fn ring_doorbell(mut file: &File) {
    let _ = file.write(&[1]);
}

fn make(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().mode(0o700).recursive(true).create(path).map_err(Error::io("make the folder", path))
        }
        other => other.map_err(Error::io("make the folder", path)),
    }
}

fn check(path: &Path) -> Result<()> {
    let found = fs::symlink_metadata(path).map_err(Error::io("look at the folder", path))?;
    if found.file_type().is_symlink() {
        return Err(Error::folder(path, "it is a symbolic link; name the folder that it leads to"));
    }
    if !found.is_dir() {
        return Err(Error::folder(path, "it is not a folder"));
    }
    let me = rustix::process::geteuid().as_raw();
    if found.uid() != me && me != 0 {
        let why = format!("it belongs to user {}, this process runs as user {me}; name a folder of your own", found.uid());
        return Err(Error::folder(path, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lastwords-folder-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_made_folder_is_private() {
        let path = scratch("private");
        let folder = Folder::create(&path.join("a/b")).expect("made");
        assert_eq!(fs::metadata(folder.rings()).expect("made").mode() & 0o777, 0o700);
        assert_eq!(folder.ring_files().expect("listed"), Vec::<PathBuf>::new());
        fs::remove_dir_all(path).expect("removed");
    }

    #[test]
    fn a_link_and_a_file_are_refused_with_the_reason() {
        let path = scratch("refused");
        fs::create_dir_all(&path).expect("made");
        std::os::unix::fs::symlink("/tmp", path.join("link")).expect("linked");
        fs::write(path.join("file"), "x").expect("written");
        let link = Folder::create(&path.join("link")).expect_err("a link").to_string();
        assert!(link.contains("symbolic link"), "{link}");
        let file = Folder::create(&path.join("file")).expect_err("a file").to_string();
        assert!(file.contains("not a folder"), "{file}");
        fs::remove_dir_all(path).expect("removed");
    }

    #[test]
    fn something_else_in_the_doorbells_place_is_refused() {
        let path = scratch("doorbell");
        let folder = Folder::create(&path).expect("made");
        fs::write(folder.rings().join("doorbell"), "x").expect("written");
        assert!(folder.doorbell().expect_err("a file").to_string().contains("not a FIFO"));
        fs::remove_dir_all(path).expect("removed");
    }
}
