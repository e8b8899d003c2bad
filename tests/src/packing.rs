//! Archives of files that a test has written, with frames as small as it likes.

use lastwords_flusher::files::archive::{Archive, Times};
use lastwords_flusher::files::frames::ArchiveWriter;
use std::fs;
use std::io;
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

/// The text of each file of a log, archive or not, the oldest first.
///
/// # Errors
/// If a file cannot be read, or a number has both.
pub fn texts(newest: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut texts = Vec::new();
    for number in (1..=100).rev() {
        let path = PathBuf::from(format!("{}.{number}", newest.display()));
        let archive = PathBuf::from(format!("{}.zst", path.display()));
        match (path.exists(), archive.exists()) {
            (true, true) => return Err(io::Error::other(format!("{} is there twice", path.display()))),
            (true, false) => texts.push(fs::read(path)?),
            (false, true) => {
                let archive = Archive::open(&archive).map_err(io::Error::other)?;
                let mut text = vec![0; archive.length() as usize];
                archive.read_exact_at(&mut text, 0)?;
                texts.push(text);
            }
            (false, false) => {}
        }
    }
    if newest.exists() {
        texts.push(fs::read(newest)?);
    }
    Ok(texts)
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
