//! A folder for one run, which goes with it.

use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder with an empty log folder in it, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    logs: PathBuf,
}

impl Scratch {
    pub(crate) fn new(base: &Path) -> Result<Scratch> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("lastwords-peers-{}-{number}", std::process::id()));
        let logs = path.join("logs");
        std::fs::create_dir_all(&logs)?;
        Ok(Scratch { path, logs })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that a logger gets.
    pub(crate) fn log_folder(&self) -> &Path {
        &self.logs
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that cannot be removed is left behind, which harms no measurement.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
