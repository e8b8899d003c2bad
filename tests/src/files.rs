//! What is in a folder, and what may be put there.

use crate::users::all_in;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Path, inode, mode, length, time of the last change in seconds and nanoseconds, and content of a file or folder.
pub type Found = (PathBuf, u64, u32, u64, (i64, i64), Vec<u8>);

/// A folder and everything in it, with all that a look may not change.
///
/// # Panics
/// If something cannot be read.
#[must_use]
pub fn snapshot(folder: &Path) -> Vec<Found> {
    let of = |path: PathBuf| {
        let found = path.symlink_metadata().expect("there");
        let bytes = if found.is_file() { fs::read(&path).expect("read") } else { Vec::new() };
        (path, found.ino(), found.mode(), found.len(), (found.mtime(), found.mtime_nsec()), bytes)
    };
    all_in(folder).into_iter().chain([folder.to_owned()]).map(of).collect()
}

/// Everything in a folder, sorted.
///
/// # Panics
/// If it cannot be listed.
#[must_use]
pub fn paths_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("listed");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("listed").path()).collect();
    paths.sort();
    paths
}

/// The names of everything in a folder, sorted.
///
/// # Panics
/// If it cannot be listed, or has names that are no UTF-8.
#[must_use]
pub fn names_in(folder: &Path) -> Vec<String> {
    paths_in(folder).iter().map(|path| name_of(path).to_owned()).collect()
}

/// The name of a file.
///
/// # Panics
/// If it has none, or that is no UTF-8.
#[must_use]
pub fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a plain name")
}

/// What has this extension in the rings folder of a log folder, sorted.
///
/// # Panics
/// If that cannot be listed.
#[must_use]
pub fn beside_rings(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let is_a = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    paths_in(&folder.join("rings")).into_iter().filter(is_a).collect()
}

/// Copies the rings of a log folder to another one, which is made.
///
/// # Panics
/// If they cannot be copied.
pub fn copy_rings(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("rings")).expect("made");
    for ring in beside_rings(from, "ring") {
        std::fs::copy(&ring, to.join("rings").join(name_of(&ring))).expect("copied");
    }
}

/// Makes a FIFO.
///
/// # Panics
/// If it cannot be made.
pub fn make_fifo(path: impl AsRef<Path>) {
    mknodat(CWD, path.as_ref(), FileType::Fifo, Mode::RWXU, 0).expect("a FIFO");
}
