//! The journal: what makes every batch redoable, so that a flusher may die at any instruction.
//!
//! Two files take turns. An entry holds everything that a batch changes: the rendered bytes with the file and offset
//! that they go to, the positions of every lane that it drained, rotations, removals of dead rings. The order is
//!
//! 1. JOURNAL:A the entry is written, its checksum last to become right;
//! 2. JOURNAL:B its changes are applied: bytes to the log files, then positions to the rings, then removals.
//!
//! The next entry goes to the other file, and only after step 2. So a start that finds a torn entry finds a whole one before it
//! that was applied, and a start that finds a whole one applies it again: every change is idempotent. Producers may have
//! overwritten what was read; the entry holds the rendered bytes themselves.
//!
//! ```text
//! 0    magic "LWJ2\r\n\x1a\n"
//! 8    epoch              u64, its parity names the file
//! 16   length of the changes, u64
//! 24   length of the bytes, u64
//! 32   boot id of the flusher that wrote it, 16 bytes
//! 48   checksum of everything else but the magic, u64
//! 56   changes, see journal/entry.rs
//! …    bytes of all appends, in their order
//! ```

mod entry;

pub use entry::{Change, Entry};

use entry::{decode, encode};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::descriptor::{Kept, is_lost};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::open::{self, PRIVATE};
use lastwords_ring::place::process::boot_id;
use rustix::fs::{FallocateFlags, FileType, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// First bytes of both files.
pub const MAGIC: [u8; 8] = *b"LWJ2\r\n\x1a\n";
/// Where the magic has the version, a digit.
const VERSION_AT: usize = 3;
/// Bytes before the changes: magic, epoch, lengths of changes and bytes, boot id, checksum.
pub const HEAD: usize = 56;
/// Space reserved in each file, so that a full disk does not stop the journal before the log files, in bytes.
const RESERVED: u64 = 2 << 20;
/// Largest entry that is believed, in bytes.
const ENTRY_MAX: u64 = 256 << 20;

/// What an earlier flusher left in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundEntry {
    /// Nothing: there was no flusher before.
    Nothing,
    /// The newest whole entry, which must be applied again.
    Entry(Entry),
    /// Two torn entries. The death of a flusher tears one at most, so the machine stopped before they were on the disk.
    Torn,
}

/// The two files.
#[derive(Debug)]
pub struct Journal {
    files: [Kept; 2],
    paths: [PathBuf; 2],
    epoch: u64,
    settled: bool,
    /// Which of them were written to since the last sync.
    unsynced: [bool; 2],
    /// What was found in place of a file, to be logged.
    found: Vec<String>,
}

impl Journal {
    /// Opens the journal of `folder`, created if missing, and returns its contents.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be opened, made or read.
    pub fn open(folder: &Folder) -> Result<(Journal, FoundEntry)> {
        let paths = paths(folder);
        let mut found = Vec::new();
        let mut open = |path| {
            found.extend(set_aside(path)?);
            open_file(path)
        };
        let files = [open(&paths[0])?, open(&paths[1])?];
        let left = match newest(&files, &paths)? {
            Some(entry) => FoundEntry::Entry(entry),
            None if has_been_written(&files, &paths)? => FoundEntry::Torn,
            None => FoundEntry::Nothing,
        };
        let (epoch, settled) = match &left {
            FoundEntry::Entry(entry) => (entry.epoch, entry.is_settled()),
            FoundEntry::Nothing | FoundEntry::Torn => (0, true),
        };
        // An earlier flusher may have died before its sync.
        Ok((Journal { files, paths, epoch, settled, unsynced: [true; 2], found }, left))
    }

    /// Reads the newest whole entry without changing anything.
    ///
    /// # Errors
    /// [`Error::Io`] if a file is there and cannot be read.
    pub fn peek(folder: &Folder) -> Result<Option<Entry>> {
        let paths = paths(folder);
        let mut files = Vec::new();
        for path in &paths {
            let opened = open::if_there(open::to_read(path).and_then(Kept::new));
            let Some(file) = opened.map_err(Error::io("open the journal", path))? else { return Ok(None) };
            files.push(file);
        }
        <[Kept; 2]>::try_from(files).map_or(Ok(None), |files| newest(&files, &paths))
    }

    /// JOURNAL:A. Writes the next entry; `bytes` are those of the appends, in their order.
    ///
    /// # Errors
    /// [`Error::Io`]; nothing has happened then, and the same entry can be written again.
    pub fn write(&mut self, changes: &[Change], bytes: &[&[u8]]) -> Result<()> {
        let epoch = self.epoch + 1;
        let encoded = encode(changes);
        let length: usize = bytes.iter().map(|part| part.len()).sum();
        let mut entry = Vec::with_capacity(HEAD + encoded.len());
        entry.extend_from_slice(&MAGIC);
        entry.extend_from_slice(&epoch.to_le_bytes());
        entry.extend_from_slice(&(encoded.len() as u64).to_le_bytes());
        entry.extend_from_slice(&(length as u64).to_le_bytes());
        entry.extend_from_slice(&boot_id());
        let mut sum = Xxh3::new();
        sum.update(&entry[8..]);
        sum.update(&encoded);
        bytes.iter().for_each(|part| sum.update(part));
        entry.extend_from_slice(&sum.digest().to_le_bytes());
        entry.extend_from_slice(&encoded);
        let index = (epoch % 2) as usize;
        self.unsynced[index] = true;
        self.make_again(index)?;
        self.write_parts(index, &entry, bytes).map_err(Error::io("write the journal", &self.paths[index]))?;
        self.epoch = epoch;
        self.settled = false;
        Ok(())
    }

    /// Writes what was written since the last sync to the disk.
    ///
    /// # Errors
    /// [`Error::Io`] as fdatasync(2).
    pub fn sync(&mut self) -> Result<()> {
        for index in (0..self.files.len()).filter(|index| self.unsynced[*index]).collect::<Vec<_>>() {
            self.files[index]
                .file()
                .and_then(File::sync_data)
                .map_err(Error::io("sync the journal", &self.paths[index]))?;
            self.unsynced[index] = false;
        }
        Ok(())
    }

    /// Reopens a file that was closed, and recreates one that was removed or replaced: its entry has been applied, or is in
    /// memory.
    fn make_again(&mut self, index: usize) -> Result<()> {
        let (path, known) = (&self.paths[index], &self.files[index]);
        let look = || Error::io("inspect the journal", path);
        let found = open::identity(path).map_err(look())?;
        let is_lost = match known.file() {
            Err(error) if is_lost(&error) => true,
            file => file.map(|_| false).map_err(look())?,
        };
        if found == Some(known.identity()) && !is_lost || mutant::is(Mutant::JournalUnseen) {
            return Ok(());
        }
        let was = known.identity();
        self.found.extend(set_aside(path)?);
        let file = open_file(path)?;
        if file.identity() != was {
            self.found.push(format!("{} was removed or replaced by somebody else; it was made again", path.display()));
            file.file().and_then(|file| file.set_len(0)).map_err(Error::io("make the journal", path))?;
        }
        self.files[index] = file;
        Ok(())
    }

    /// External modifications of the files, each once.
    pub(crate) fn take_found(&mut self) -> Vec<String> {
        std::mem::take(&mut self.found)
    }

    fn write_parts(&self, index: usize, entry: &[u8], bytes: &[&[u8]]) -> io::Result<()> {
        let mut offset = 0;
        for part in std::iter::once(&entry).chain(bytes) {
            self.files[index].file()?.write_all_at(part, offset)?;
            offset += part.len() as u64;
        }
        Ok(())
    }

    /// Notes that the last entry has been applied, so that no later start compares it with files that may have been modified
    /// meanwhile. `sizes` are empty appends at the files' ends, which show, at a start after a power loss, what the files lack.
    /// Returns whether there was something to note.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub fn settle(&mut self, sizes: &[Change]) -> Result<bool> {
        let open = !self.settled && !mutant::is(Mutant::NeverSettled);
        if open {
            self.write(sizes, &[])?;
            self.settled = true;
        }
        Ok(open)
    }
}

/// Opens one of the two files, created if missing.
fn open_file(path: &Path) -> Result<Kept> {
    let file = open::file(path, OFlags::RDWR | OFlags::CREATE, PRIVATE).map_err(Error::io("open the journal", path))?;
    // Without reserved space the journal still works, as long as the disk has room.
    let _ = rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, RESERVED);
    Kept::new(file).map_err(Error::io("inspect the journal", path))
}

/// Renames what has the journal's name and is not a journal of this version: a link, a FIFO, a folder, or a journal of another
/// version. Returns what to log about it.
fn set_aside(path: &Path) -> Result<Option<String>> {
    let look = || Error::io("inspect the journal", path);
    let Some(found) = open::look_for(path).map_err(look())? else { return Ok(None) };
    if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
        let mut magic = [0; MAGIC.len()];
        let read = open::to_read(path).and_then(|file| file.read_at(&mut magic, 0)).map_err(look())?;
        if read < MAGIC.len() || magic == MAGIC || magic[..VERSION_AT] != MAGIC[..VERSION_AT] {
            return Ok(None);
        }
    }
    let to = open::set_aside(path).map_err(Error::io("move aside", path))?;
    Ok(Some(format!("what was at {} is not a journal of this version; it is now {}", path.display(), to.display())))
}

fn paths(folder: &Folder) -> [PathBuf; 2] {
    ["journal.a", "journal.b"].map(|name| folder.rings().join(name))
}

/// The newest whole entry. A file without one has either never been written or was torn by its writer's death.
fn newest(files: &[Kept; 2], paths: &[PathBuf; 2]) -> Result<Option<Entry>> {
    let mut newest: Option<Entry> = None;
    for (file, path) in files.iter().zip(paths) {
        let entry = file.file().and_then(read).map_err(Error::io("read the journal", path))?;
        if let Some(entry) = entry
            && newest.as_ref().is_none_or(|newest| newest.epoch < entry.epoch)
        {
            newest = Some(entry);
        }
    }
    Ok(newest)
}

/// Whether both files have been written to: the first entry of all may be torn by its writer's death.
fn has_been_written(files: &[Kept; 2], paths: &[PathBuf; 2]) -> Result<bool> {
    let size = |n: usize| {
        let found = files[n].file().and_then(File::metadata);
        found.map(|found| found.len()).map_err(Error::io("inspect", &paths[n]))
    };
    Ok(size(0)? > 0 && size(1)? > 0)
}

fn read(file: &File) -> io::Result<Option<Entry>> {
    let mut head = [0u8; HEAD];
    match file.read_exact_at(&mut head, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let Some(size) = body_size(&head, file.metadata()?.len()) else { return Ok(None) };
    let mut body = vec![0u8; size];
    match file.read_exact_at(&mut body, HEAD as u64) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    Ok(entry(&head, body))
}

/// The entry that a journal file of these bytes holds, for tests; [`Journal::open`] reads files.
#[doc(hidden)]
#[must_use]
pub fn entry_in(file: &[u8]) -> Option<Entry> {
    let (head, rest) = file.split_first_chunk::<HEAD>()?;
    let size = body_size(head, file.len() as u64)?;
    entry(head, rest.get(..size)?.to_vec())
}

fn number(head: &[u8; HEAD], offset: usize) -> u64 {
    head[offset..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Bytes of changes and appends together, if the head of a file of `file_size` bytes can be believed so far.
fn body_size(head: &[u8; HEAD], file_size: u64) -> Option<usize> {
    let size = number(head, 16).saturating_add(number(head, 24));
    let plausible = head[..8] == MAGIC && size <= ENTRY_MAX && size <= file_size;
    plausible.then_some(size as usize)
}

fn entry(head: &[u8; HEAD], mut body: Vec<u8>) -> Option<Entry> {
    let mut computed = Xxh3::new();
    computed.update(&head[8..48]);
    computed.update(&body);
    if computed.digest() != number(head, 48) && !mutant::is(Mutant::JournalUnchecked) {
        return None;
    }
    let bytes = body.split_off(number(head, 16) as usize);
    let boot_id = head[32..].first_chunk::<16>().copied().unwrap_or_default();
    decode(&body).map(|changes| Entry { epoch: number(head, 8), boot_id, changes, bytes })
}

#[cfg(test)]
mod tests {
    use super::entry::tests::changes;
    use super::*;
    use crate::scratch::Scratch;

    fn entry(folder: &Folder) -> Option<Entry> {
        match Journal::open(folder).expect("opened").1 {
            FoundEntry::Entry(entry) => Some(entry),
            FoundEntry::Nothing | FoundEntry::Torn => None,
        }
    }

    #[test]
    fn the_newest_whole_entry_is_found_and_a_torn_one_is_not() {
        let scratch = Scratch::new("torn");
        let folder = Folder::create(scratch.path()).expect("made");
        let (mut journal, left) = Journal::open(&folder).expect("opened");
        assert_eq!(left, FoundEntry::Nothing);
        journal.write(&changes(), &[b"one", b"23"]).expect("written");
        let found = entry(&folder).expect("an entry");
        assert!(!found.is_of_another_boot());
        assert_eq!((found.epoch, found.bytes.as_slice(), found.changes), (1, &b"one23"[..], changes()));
        journal.write(&changes()[1..2], &[b"other"]).expect("written");
        let torn = folder.rings().join("journal.a");
        let whole = std::fs::read(&torn).expect("there");
        assert_eq!(entry(&folder).map(|entry| entry.epoch), Some(2));
        for cut in [0, 7, HEAD - 1, HEAD, whole.len() - 1] {
            std::fs::write(&torn, &whole[..cut]).expect("cut");
            assert_eq!(entry(&folder).map(|entry| entry.epoch), Some(1), "cut to {cut}");
        }
        for flip in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[flip] ^= 0x40;
            std::fs::write(&torn, flipped).expect("flipped");
            assert_eq!(Journal::peek(&folder).expect("read").map(|entry| entry.epoch), Some(1), "byte {flip}");
        }
    }

    #[test]
    fn two_torn_entries_are_told_apart_from_none() {
        let scratch = Scratch::new("both-torn");
        let folder = Folder::create(scratch.path()).expect("made");
        let (mut journal, _) = Journal::open(&folder).expect("opened");
        journal.write(&changes(), &[b"one", b"23"]).expect("written");
        std::fs::write(folder.rings().join("journal.b"), "torn").expect("torn");
        assert_eq!(Journal::open(&folder).expect("opened").1, FoundEntry::Nothing, "the first entry of all");
        journal.write(&changes(), &[b"one", b"23"]).expect("written");
        std::fs::write(folder.rings().join("journal.a"), "torn").expect("torn");
        assert_eq!(Journal::open(&folder).expect("opened").1, FoundEntry::Torn);
    }

    #[test]
    fn a_settled_journal_has_nothing_to_apply() {
        let scratch = Scratch::new("settled");
        let folder = Folder::create(scratch.path()).expect("made");
        let (mut journal, _) = Journal::open(&folder).expect("opened");
        journal.write(&changes(), &[b"12345"]).expect("written");
        let sizes = [Change::Append { log: "host".into(), file: (1, 2), offset: 3, length: 0 }];
        assert!(journal.settle(&sizes).expect("settled"));
        assert!(!journal.settle(&sizes).expect("settled"), "it is already");
        assert_eq!(entry(&folder).map(|entry| (entry.changes, entry.bytes)), Some((sizes.to_vec(), Vec::new())));
        let (mut later, _) = Journal::open(&folder).expect("opened");
        assert!(!later.settle(&[]).expect("settled"), "a later start finds it so");
    }
}
