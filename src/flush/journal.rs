//! The journal: what makes every batch redoable, so that a flusher may die at any instruction.
//!
//! Two files take turns. An entry holds everything that a batch changes: the rendered bytes with the file and offset
//! that they go to, the positions of every lane that it drained, rotations, removals of dead rings. The order is
//!
//! 1. JOURNAL:A the entry is written, its checksum last to become right;
//! 2. JOURNAL:B what it says is applied: bytes to the log files, then positions to the rings, then removals.
//!
//! The next entry goes to the other file, and only after step 2. So whoever finds a torn entry finds a whole one
//! before it that was applied, and whoever finds a whole one applies it again: every change is idempotent. Producers
//! may have overwritten what was read; the entry holds the rendered bytes themselves.
//!
//! ```text
//! 0    magic "LWJ0\r\n\x1a\n"
//! 8    epoch              u64, its parity names the file
//! 16   length of the changes, u64
//! 24   length of the bytes, u64
//! 32   checksum of the changes, the bytes and the three numbers before, u64
//! 40   changes, see Change::encode
//! …    bytes of all appends, in their order
//! ```

use crate::error::{Error, Result};
use crate::folder::{Folder, is_ring_name};
use crate::reader::is_role;
use rustix::fs::{FallocateFlags, Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use xxhash_rust::xxh3::Xxh3;

const MAGIC: [u8; 8] = *b"LWJ0\r\n\x1a\n";
const HEAD: usize = 40;
/// Space reserved in each file, so that a full disk does not stop the journal before the log files, in bytes.
const RESERVED: u64 = 2 << 20;
/// Largest entry that is believed, in bytes.
const ENTRY_MAX: u64 = 256 << 20;

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Bytes for a role's log file.
    Append {
        /// Role.
        role: String,
        /// Device and inode of the file.
        file: (u64, u64),
        /// Where they go.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// A lane's new position.
    Position {
        /// Name of the ring's file.
        ring: String,
        /// The ring's UUID.
        uuid: [u8; 16],
        /// Lane number.
        lane: u32,
        /// The consumer's words.
        words: [u64; 8],
    },
    /// A dead ring that has been drained to the end.
    Remove {
        /// Name of the ring's file.
        ring: String,
        /// The ring's UUID.
        uuid: [u8; 16],
    },
    /// One rename of a rotation: `<role>.log.<from>` to `<role>.log.<to>`, where 0 is `<role>.log`.
    Rename {
        /// Role.
        role: String,
        /// Device and inode of the file.
        file: (u64, u64),
        /// Its number now.
        from: u32,
        /// Its number after.
        to: u32,
    },
}

/// A whole entry, as found at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Epoch.
    pub epoch: u64,
    /// Changes, in the order in which they are applied.
    pub changes: Vec<Change>,
    /// Bytes of all appends.
    pub bytes: Vec<u8>,
}

/// The two files.
#[derive(Debug)]
pub struct Journal {
    files: [File; 2],
    paths: [PathBuf; 2],
    epoch: u64,
    settled: bool,
}

impl Journal {
    /// Opens the journal of `folder`, made where it is missing, and returns the entry that must be applied again.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be opened, made or read.
    pub fn open(folder: &Folder) -> Result<(Journal, Option<Entry>)> {
        let paths = paths(folder);
        let open = |path: &PathBuf| {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map(File::from);
            let file = file.map_err(|error| Error::io("open the journal", path)(error.into()))?;
            // Without reserved space the journal still works, as long as the disk has room.
            let _ = rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, RESERVED);
            Ok(file)
        };
        let files = [open(&paths[0])?, open(&paths[1])?];
        let newest = newest(&files, &paths)?;
        let epoch = newest.as_ref().map_or(0, |entry| entry.epoch);
        let settled = newest.as_ref().is_none_or(|entry| entry.changes.is_empty());
        Ok((Journal { files, paths, epoch, settled }, newest.filter(|_| !settled)))
    }

    /// Reads the newest whole entry without changing anything.
    ///
    /// # Errors
    /// [`Error::Io`] if a file is there and cannot be read.
    pub fn peek(folder: &Folder) -> Result<Option<Entry>> {
        let paths = paths(folder);
        let mut files = Vec::new();
        for path in &paths {
            match File::open(path) {
                Ok(file) => files.push(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::io("open the journal", path)(error)),
            }
        }
        let entry = match <[File; 2]>::try_from(files) {
            Ok(files) => newest(&files, &paths)?,
            Err(_) => None,
        };
        Ok(entry.filter(|entry| !entry.changes.is_empty()))
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
        let mut sum = Xxh3::new();
        sum.update(&entry[8..]);
        sum.update(&encoded);
        bytes.iter().for_each(|part| sum.update(part));
        entry.extend_from_slice(&sum.digest().to_le_bytes());
        entry.extend_from_slice(&encoded);
        let index = (epoch % 2) as usize;
        self.write_parts(index, &entry, bytes).map_err(Error::io("write the journal", &self.paths[index]))?;
        self.epoch = epoch;
        self.settled = changes.is_empty();
        Ok(())
    }

    fn write_parts(&self, index: usize, entry: &[u8], bytes: &[&[u8]]) -> io::Result<()> {
        let mut offset = 0;
        for part in std::iter::once(&entry).chain(bytes) {
            self.files[index].write_all_at(part, offset)?;
            offset += part.len() as u64;
        }
        Ok(())
    }

    /// Notes that the last entry has been applied, so that no later start compares it with files that people may have
    /// changed meanwhile.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub fn settle(&mut self) -> Result<()> {
        if self.settled { Ok(()) } else { self.write(&[], &[]) }
    }
}

fn paths(folder: &Folder) -> [PathBuf; 2] {
    ["journal.a", "journal.b"].map(|name| folder.rings().join(name))
}

/// The newest whole entry. A file without one has either never been written or was torn by its writer's death.
fn newest(files: &[File; 2], paths: &[PathBuf; 2]) -> Result<Option<Entry>> {
    let mut newest: Option<Entry> = None;
    for (file, path) in files.iter().zip(paths) {
        let entry = read(file).map_err(Error::io("read the journal", path))?;
        if let Some(entry) = entry
            && newest.as_ref().is_none_or(|newest| newest.epoch < entry.epoch)
        {
            newest = Some(entry);
        }
    }
    Ok(newest)
}

fn read(file: &File) -> io::Result<Option<Entry>> {
    let mut head = [0u8; HEAD];
    match file.read_exact_at(&mut head, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let number = |offset: usize| head[offset..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (epoch, changes, bytes, sum) = (number(8), number(16), number(24), number(32));
    let size = changes.saturating_add(bytes);
    if head[..8] != MAGIC || size > ENTRY_MAX || size > file.metadata()?.len() {
        return Ok(None);
    }
    let mut body = vec![0u8; size as usize];
    match file.read_exact_at(&mut body, HEAD as u64) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut computed = Xxh3::new();
    computed.update(&head[8..32]);
    computed.update(&body);
    if computed.digest() != sum {
        return Ok(None);
    }
    let bytes = body.split_off(changes as usize);
    Ok(decode(&body).map(|changes| Entry { epoch, changes, bytes }))
}

mod change_kind {
    pub(super) const APPEND: u8 = 1;
    pub(super) const POSITION: u8 = 2;
    pub(super) const REMOVE: u8 = 3;
    pub(super) const RENAME: u8 = 4;
}

/// Each change: kind, payload length, payload, so that unknown kinds are noticed and refused as a whole.
fn encode(changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::new();
    for change in changes {
        let (kind, payload) = match change {
            Change::Append { role, file, offset, length } => {
                (change_kind::APPEND, join(role, &[file.0, file.1, *offset, *length], &[]))
            }
            Change::Position { ring, uuid, lane, words } => {
                let mut numbers = vec![u64::from(*lane)];
                numbers.extend_from_slice(words);
                (change_kind::POSITION, join(ring, &numbers, uuid))
            }
            Change::Remove { ring, uuid } => (change_kind::REMOVE, join(ring, &[], uuid)),
            Change::Rename { role, file, from, to } => {
                let numbers = [file.0, file.1, u64::from(*from), u64::from(*to)];
                (change_kind::RENAME, join(role, &numbers, &[]))
            }
        };
        out.push(kind);
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&payload);
    }
    out
}

fn join(name: &str, numbers: &[u64], uuid: &[u8]) -> Vec<u8> {
    let mut payload = vec![name.len() as u8];
    payload.extend_from_slice(name.as_bytes());
    payload.extend_from_slice(uuid);
    payload.extend_from_slice(bytemuck::cast_slice(numbers));
    payload
}

fn decode(mut bytes: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    while let Some((kind, rest)) = bytes.split_first() {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (payload, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        bytes = rest;
        changes.push(decode_change(*kind, payload)?);
    }
    Some(changes)
}

fn decode_change(kind: u8, payload: &[u8]) -> Option<Change> {
    let (length, rest) = payload.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    match kind {
        change_kind::APPEND => {
            let [device, inode, offset, length] = numbers::<4>(rest)?;
            is_role(&name).then_some(Change::Append { role: name, file: (device, inode), offset, length })
        }
        change_kind::RENAME => {
            let [device, inode, from, to] = numbers::<4>(rest)?;
            let (from, to) = (from.try_into().ok()?, to.try_into().ok()?);
            is_role(&name).then_some(Change::Rename { role: name, file: (device, inode), from, to })
        }
        change_kind::POSITION => {
            let (uuid, rest) = rest.split_first_chunk::<16>()?;
            let [lane, words @ ..] = numbers::<9>(rest)?;
            let lane = lane.try_into().ok()?;
            is_ring_name(&name).then_some(Change::Position { ring: name, uuid: *uuid, lane, words })
        }
        change_kind::REMOVE => {
            let uuid = rest.try_into().ok()?;
            is_ring_name(&name).then_some(Change::Remove { ring: name, uuid })
        }
        _ => None,
    }
}

fn numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    if bytes.len() != N * 8 {
        return None;
    }
    let mut numbers = [0; N];
    for (number, chunk) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = u64::from_le_bytes(*chunk.first_chunk()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<Change> {
        vec![
            Change::Append { role: "host".into(), file: (1, 2), offset: 3, length: 5 },
            Change::Position { ring: "host-1-ab.ring".into(), uuid: [7; 16], lane: 3, words: [9; 8] },
            Change::Rename { role: "host".into(), file: (1, 2), from: 0, to: 1 },
            Change::Remove { ring: "host-1-ab.ring".into(), uuid: [7; 16] },
        ]
    }

    fn scratch(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("lastwords-journal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Folder::create(&path).expect("made")
    }

    #[test]
    fn changes_decode_to_what_they_were() {
        assert_eq!(decode(&encode(&changes())), Some(changes()));
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for ring in ["../x.ring", "/etc/x.ring", "passwd", ".x.ring"] {
            let change = Change::Remove { ring: ring.into(), uuid: [0; 16] };
            assert_eq!(decode(&encode(&[change])), None, "{ring}");
        }
        let change = Change::Append { role: "../x".into(), file: (0, 0), offset: 0, length: 0 };
        assert_eq!(decode(&encode(&[change])), None);
    }

    #[test]
    fn the_newest_whole_entry_is_found_and_a_torn_one_is_not() {
        let folder = scratch("torn");
        let (mut journal, pending) = Journal::open(&folder).expect("opened");
        assert_eq!(pending, None);
        journal.write(&changes(), &[b"one", b"23"]).expect("written");
        let found = Journal::open(&folder).expect("opened").1.expect("an entry");
        assert_eq!((found.epoch, found.bytes.as_slice(), found.changes), (1, &b"one23"[..], changes()));
        journal.write(&changes()[..1], &[b"other"]).expect("written");
        let torn = folder.rings().join("journal.a");
        let whole = std::fs::read(&torn).expect("there");
        assert_eq!(Journal::open(&folder).expect("opened").1.map(|entry| entry.epoch), Some(2));
        for cut in [0, 7, HEAD - 1, HEAD, whole.len() - 1] {
            std::fs::write(&torn, &whole[..cut]).expect("cut");
            assert_eq!(Journal::open(&folder).expect("opened").1.map(|entry| entry.epoch), Some(1), "cut to {cut}");
        }
        for flip in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[flip] ^= 0x40;
            std::fs::write(&torn, flipped).expect("flipped");
            assert_eq!(Journal::peek(&folder).expect("read").map(|entry| entry.epoch), Some(1), "byte {flip}");
        }
        std::fs::remove_dir_all(folder.path()).expect("removed");
    }

    #[test]
    fn a_settled_journal_has_nothing_to_apply() {
        let folder = scratch("settled");
        let (mut journal, _) = Journal::open(&folder).expect("opened");
        journal.write(&changes(), &[b"12345"]).expect("written");
        journal.settle().expect("settled");
        assert_eq!(Journal::open(&folder).expect("opened").1, None);
        assert_eq!(Journal::peek(&folder).expect("read"), None);
        std::fs::remove_dir_all(folder.path()).expect("removed");
    }
}
