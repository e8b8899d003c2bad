//! A process's own notes for its crash file, in a file beside its ring.
//!
//! A program writes there with plain `write(2)`, for instance in the handler of a fatal signal, where it must not log: the
//! traceback of an interpreter, the state of a device. What is written belongs to the kernel, like the ring, and survives the
//! process. The flusher appends it to the crash file, and removes it with the ring, whether there was a crash or not. Only the
//! process writes to it, and nothing reads it before the crash file is written. Its name derives from the ring's own name,
//! never from bytes in a ring.

use crate::mutant::{self, Mutant};
use crate::place::folder::stem;
use crate::place::open::{self, PRIVATE};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Ending of attachments.
const ATTACHED_ENDING: &str = ".attached";
/// Bytes of an attachment that a crash file includes: more than 100 frames of 100 threads, the most that Python's faulthandler
/// writes. A larger one must not fill the disk a second time.
pub const ATTACHED_MAX: u64 = 1 << 20;

/// The notes of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The first bytes, [`ATTACHED_MAX`] at most.
    pub text: Vec<u8>,
    /// Bytes after them.
    pub left_out: u64,
}

/// The attachment of the ring whose entry in its folder is `entry`.
#[must_use]
pub fn path(entry: &Path) -> PathBuf {
    entry.with_file_name(format!("{}{ATTACHED_ENDING}", stem(entry)))
}

/// Opens the attachment for appending, created if missing.
///
/// # Errors
/// As open(2), and if something else has its name: a link, a folder, a FIFO.
pub fn create(entry: &Path) -> io::Result<File> {
    open::file(&path(entry), OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE, PRIVATE).map(File::from)
}

/// Reads the attachment; None if it is missing or empty.
///
/// # Errors
/// As open(2) and read(2), and if something else has its name.
pub fn read(entry: &Path) -> io::Result<Option<Attachment>> {
    let Some(file) = open::if_there(open::to_read(&path(entry)))? else { return Ok(None) };
    let length = file.metadata()?.len();
    let mut text = Vec::new();
    file.take(ATTACHED_MAX).read_to_end(&mut text)?;
    let left_out = length.saturating_sub(text.len() as u64);
    Ok((!text.is_empty()).then_some(Attachment { text, left_out }))
}

/// Removes the attachment, if there is one.
///
/// # Errors
/// As unlink(2).
pub fn remove(entry: &Path) -> io::Result<()> {
    if mutant::is(Mutant::AttachedLeft) {
        return Ok(());
    }
    open::remove(&path(entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use rustix::fs::{CWD, FileType, Mode};
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn what_is_attached_twice_is_one_private_text_that_goes_when_it_is_removed() {
        let scratch = Scratch::new("twice");
        let folder = scratch.path();
        let entry = folder.join("host-1-ab.ring");
        assert_eq!(read(&entry).expect("none"), None);
        create(&entry).expect("made").write_all(b"first ").expect("written");
        create(&entry).expect("the same").write_all(b"second").expect("written");
        assert_eq!(path(&entry), path(&folder.join("host-1-ab.shm")), "named for the stem");
        assert_eq!(path(&entry).metadata().expect("there").mode() & 0o777, 0o600);
        let found = read(&entry).expect("readable").expect("there");
        assert_eq!(found, Attachment { text: b"first second".to_vec(), left_out: 0 });
        remove(&entry).expect("removed");
        remove(&entry).expect("gone already");
        assert_eq!(fs::read_dir(folder).expect("listed").count(), 0);
    }

    #[test]
    fn an_empty_one_is_none_and_a_long_one_is_cut() {
        let scratch = Scratch::new("long");
        let folder = scratch.path();
        let entry = folder.join("host-1-ab.ring");
        let file = create(&entry).expect("made");
        assert_eq!(read(&entry).expect("readable"), None);
        file.set_len(ATTACHED_MAX + 7).expect("longer");
        let found = read(&entry).expect("readable").expect("there");
        assert_eq!((found.text.len() as u64, found.left_out), (ATTACHED_MAX, 7));
    }

    #[test]
    fn something_else_in_its_place_is_neither_written_nor_read() {
        let scratch = Scratch::new("else");
        let folder = scratch.path();
        let entry = folder.join("host-1-ab.ring");
        let secret = folder.join("secret");
        fs::write(&secret, "a secret").expect("written");
        symlink(&secret, path(&entry)).expect("planted");
        assert!(create(&entry).is_err() && read(&entry).is_err(), "a link");
        remove(&entry).expect("the link alone");
        symlink(folder.join("nowhere"), path(&entry)).expect("planted");
        assert!(create(&entry).is_err() && !folder.join("nowhere").exists(), "a link to nothing");
        remove(&entry).expect("removed");
        rustix::fs::mknodat(CWD, path(&entry), FileType::Fifo, Mode::RWXU, 0).expect("planted");
        assert!(create(&entry).is_err() && read(&entry).is_err(), "a FIFO");
        remove(&entry).expect("removed");
        fs::create_dir(path(&entry)).expect("planted");
        assert!(create(&entry).is_err() && read(&entry).is_err(), "a folder");
        assert!(remove(&entry).is_err(), "a folder stays");
        assert_eq!(fs::read_to_string(secret).expect("there"), "a secret");
    }
}
