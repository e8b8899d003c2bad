//! A folder for one measurement, removed with it, also where it fails.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Room that the rings of 64 processes and their lines take, in bytes.
const ROOM: u64 = 1 << 30;
const MEMORY: &str = "/dev/shm";

/// The folder.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// On a tmpfs, where there is one with room.
    pub(crate) fn in_memory() -> Scratch {
        let roomy = rustix::fs::statvfs(MEMORY).is_ok_and(|found| found.f_bavail * found.f_frsize >= ROOM);
        if roomy { Scratch::new(Path::new(MEMORY)) } else { Scratch::on_disk() }
    }

    /// In the folder for temporary files.
    pub(crate) fn on_disk() -> Scratch {
        Scratch::new(&std::env::temp_dir())
    }

    fn new(base: &Path) -> Scratch {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("lastwords-bench-growth-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder of its own");
        Scratch(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {error}", self.0.display());
        }
    }
}
