//! Archives of files that a test has written, with frames as small as it likes.

use lastwords_flusher::files::archive::Times;
use lastwords_flusher::files::frames::ArchiveWriter;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The archive of this text.
///
/// # Panics
/// If there is no memory.
#[must_use]
pub fn packed(text: &[u8], times: Times, was: (u64, u64), frame: u64) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(times, was, frame);
    writer.add(text).expect("added");
    writer.finish().expect("finished");
    writer.take_output()
}

/// Puts an archive in the place of a rotated file, with frames of about so many bytes of text. Returns its path.
///
/// # Panics
/// If the file cannot be read, or its folder not be written.
pub fn pack(path: &Path, frame: u64) -> PathBuf {
    let (text, found) = (fs::read(path).expect("read"), path.metadata().expect("there"));
    let is_json = path.to_string_lossy().contains(".jsonl");
    let times = if is_json { Times::Utc } else { Times::AsShown };
    let to = PathBuf::from(format!("{}.zst", path.display()));
    fs::write(&to, packed(&text, times, (found.dev(), found.ino()), frame)).expect("written");
    fs::remove_file(path).expect("removed");
    to
}
