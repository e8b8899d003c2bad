//! Where the demo's files are, and how many bytes they may take.

use crate::cli::{Demo, DemoMemory};
use lastwords::{Error, Result};
use lastwords_ring::place::folder::Folder;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Most bytes that all files of the demo take together.
const BYTES_MAX: u64 = 2 << 30;
/// Bytes kept free of log lines: for journals, last spurts, and the lines of the flusher.
const RESERVE: u64 = 64 << 20;
/// With less than this for the lines of all processes there is nothing to show.
const LINES_MIN: u64 = 64 << 20;

/// The demo's folder.
#[derive(Debug)]
pub(crate) struct Place {
    /// The log folder, which also holds the pages of acknowledgements.
    pub(crate) folder: Folder,
    /// Bytes that the lines of all processes may take together.
    pub(crate) lines_max: u64,
}

impl Place {
    /// The folder that the user named, or a fresh one. `rings` is what all rings together will take.
    pub(crate) fn choose(arguments: &Demo, rings: u64) -> Result<Place> {
        let folder = match &arguments.dir {
            Some(path) => empty(path)?,
            None => fresh()?,
        };
        let folder = match arguments.memory {
            DemoMemory::File | DemoMemory::Shm => folder,
            DemoMemory::Tmpfs => {
                let memory = Path::new("/dev/shm").join(format!("lastwords-demo-{}", std::process::id()));
                folder.with_rings(&memory)?
            }
        };
        let free = rustix::fs::statvfs(folder.path())
            .map(|found| found.f_bavail.saturating_mul(found.f_frsize))
            .map_err(|error| Error::Io { doing: "inspect", path: folder.path().to_owned(), source: error.into() })?;
        // Half of a nearly full disk is left to its other users.
        let lines_max = BYTES_MAX.min(free / 2).saturating_sub(rings + RESERVE);
        if lines_max < LINES_MIN {
            let need = (LINES_MIN + RESERVE + rings) * 2;
            let why = format!("{} MiB free found, expected at least {} MiB for the demo", free >> 20, need >> 20);
            return Err(Error::Folder { path: folder.path().to_owned(), why });
        }
        Ok(Place { folder, lines_max })
    }

    /// Removes the folder of the rings where it is in memory: it is empty after the drain.
    pub(crate) fn leave_memory(&self) {
        if !self.folder.rings().starts_with(self.folder.path()) {
            let _ = fs::remove_dir_all(self.folder.rings());
        }
    }

    /// The page on which process `index` acknowledges its lines.
    pub(crate) fn page(&self, index: u32) -> PathBuf {
        self.folder.path().join(format!("process-{index}.acknowledged"))
    }
}

/// The named folder, which must hold nothing: lines of an earlier run would look doubled.
fn empty(path: &Path) -> Result<Folder> {
    match fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            let why = "it is not empty; the demo counts every line of its folder, so name a new one".to_owned();
            return Err(Error::Folder { path: path.to_owned(), why });
        }
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(Error::Io { doing: "list the folder", path: path.to_owned(), source });
        }
        _ => {}
    }
    Folder::create(path)
}

/// A folder of its own under the temporary folder.
fn fresh() -> Result<Folder> {
    let parent = std::env::temp_dir();
    let name = |n: u32| parent.join(format!("lastwords-demo-{}-{n}", std::process::id()));
    let path = (0..u32::MAX).map(name).find(|path| path.symlink_metadata().is_err());
    Folder::create(&path.unwrap_or_else(|| name(0)))
}
