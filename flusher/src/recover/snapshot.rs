//! A log folder at one moment: what its files hold, and what of its rings is in them.
//!
//! Both belong together. The newest entry of the journal is the moment: with it go the bytes that it holds and the lengths of
//! the files before them, and the positions of the rings, its own or those that were published before it. So all is read
//! between two looks at the journal that find the same entry, and read again where they do not.
//!
//! Whoever wants to show a folder while it is drained reads the rings first and takes this afterwards: what was released
//! meanwhile, and may be overwritten, is in the files then.

#[cfg(feature = "zstd")]
use crate::files::archive::Archive;
use crate::files::journal::{Change, Entry, Journal};
use crate::files::redo;
use crate::files::rotation::{ARCHIVE_ENDING, archived, numbered};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::place::descriptor::Opened;
use lastwords_ring::place::folder::{Folder, JSON_ENDING, ROTATE_KEEP_MAX, is_log_name};
use lastwords_ring::place::open;
use lastwords_ring::read::reader::{LaneSnapshot, Position, RingReader};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

/// Looks at the journal after which a folder counts as one that cannot be read: a flusher writes an entry in some milliseconds.
const LOOKS_MAX: usize = 2000;

/// The log files of one name.
#[derive(Debug)]
pub struct LogFiles {
    /// Name, see [`is_log_name`].
    pub log: String,
    /// The oldest first.
    pub files: Vec<FoundFile>,
    /// Lines that the journal has and no file has yet, or not all of them.
    pub tail: Vec<u8>,
}

/// What a log file is on the disk.
#[derive(Debug)]
pub enum Content {
    /// Its lines.
    Plain(Opened),
    /// Its archive.
    #[cfg(feature = "zstd")]
    Archive(Archive),
}

impl Content {
    /// Reads the bytes at `offset` of the text.
    ///
    /// # Errors
    /// As pread(2), at the end too; for a damaged archive.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Content::Plain(file) => file.file()?.read_exact_at(buffer, offset),
            #[cfg(feature = "zstd")]
            Content::Archive(archive) => archive.read_exact_at(buffer, offset),
        }
    }
}

/// One log file, open.
#[derive(Debug)]
pub struct FoundFile {
    /// What it holds.
    pub content: Content,
    /// Device and inode; of an archive those of the file that it was.
    pub identity: (u64, u64),
    /// Bytes of its text that belong to this moment.
    pub size: u64,
    /// 0 for the current one, else as in its name.
    pub number: u32,
}

/// A folder's log files at one moment, and what of its rings is in them.
#[derive(Debug, Default)]
pub struct FolderSnapshot {
    /// By name.
    pub logs: Vec<LogFiles>,
    /// Archives that cannot be read, because they are damaged or none of ours.
    pub refused: Vec<Error>,
    /// Epoch of the journal's entry.
    pub epoch: u64,
    rings: HashMap<[u8; 16], Vec<u64>>,
}

/// Epoch of the journal's newest entry, 0 where there is none.
///
/// # Errors
/// As [`Journal::peek`].
pub fn epoch(folder: &Folder) -> Result<u64> {
    Ok(Journal::peek(folder)?.map_or(0, |entry| entry.epoch))
}

impl FolderSnapshot {
    /// Takes one.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be listed, or its journal, a ring or a log file not be read.
    pub fn take(folder: &Folder) -> Result<FolderSnapshot> {
        for _ in 0..LOOKS_MAX {
            let entry = Journal::peek(folder)?;
            let of = entry.as_ref().map_or(0, |entry| entry.epoch);
            let (found, names) = FolderSnapshot::look(folder, entry)?;
            if names == listed(folder)? && epoch(folder)? == of {
                return Ok(found);
            }
        }
        Err(changes(folder))
    }

    /// Only the files, as they are, for whoever may not read the rest.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be listed, or a log file not be opened.
    pub fn files_alone(folder: &Folder) -> Result<FolderSnapshot> {
        for _ in 0..LOOKS_MAX {
            let names = listed(folder)?;
            let (logs, refused) = open_all(folder, &names)?;
            if names == listed(folder)? {
                return Ok(FolderSnapshot { logs, refused, ..FolderSnapshot::default() });
            }
        }
        Err(changes(folder))
    }

    fn look(folder: &Folder, entry: Option<Entry>) -> Result<(FolderSnapshot, Names)> {
        let names = listed(folder)?;
        let (mut logs, refused) = open_all(folder, &names)?;
        let epoch = entry.as_ref().map_or(0, |entry| entry.epoch);
        if let Some(entry) = &entry {
            for log in &mut logs {
                add_tail(log, entry)?;
            }
        }
        let believed = match &entry {
            // After a stop of the machine the rings know better than the journal what the files lack.
            Some(entry) if redo::lacks_bytes(folder, entry)? => None,
            _ => entry.as_ref(),
        };
        Ok((FolderSnapshot { logs, refused, epoch, rings: positions(folder, believed)? }, names))
    }

    /// Up to which sequence the records of a lane are in the files; None for a ring that is not there any more.
    #[must_use]
    pub fn written(&self, ring: &[u8; 16], lane: usize) -> Option<u64> {
        self.rings.get(ring).map(|lanes| lanes.get(lane).copied().unwrap_or(u64::MAX))
    }
}

fn changes(folder: &Folder) -> Error {
    Error::Folder { path: folder.path().to_owned(), why: "its files change while they are read".to_owned() }
}

/// Names of log files: by log, number and whether it is an archive, with device and inode.
type Names = BTreeMap<(String, u32, bool), (u64, u64)>;

fn listed(folder: &Folder) -> Result<Names> {
    let mut found = Names::new();
    for name in open::list(folder.path()).map_err(Error::io("list the log folder", folder.path()))? {
        let Some(key) = name.to_str().and_then(log_of) else { continue };
        let path = folder.path().join(&name);
        let Some(stat) = open::look_for(&path).map_err(Error::io("inspect", &path))? else { continue };
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile {
            found.insert(key, (stat.st_dev, stat.st_ino));
        }
    }
    Ok(found)
}

/// Log and number of a file of this name, if it is a log file, and whether it is an archive.
fn log_of(name: &str) -> Option<(String, u32, bool)> {
    let plain = name.strip_suffix(ARCHIVE_ENDING);
    let (stem, number) = match plain.unwrap_or(name).rsplit_once('.') {
        Some((stem, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0') => {
            (stem, digits.parse().ok().filter(|number| *number <= ROTATE_KEEP_MAX)?)
        }
        _ if plain.is_some() => return None,
        _ => (name, 0),
    };
    let log = stem.strip_suffix(".log").or_else(|| stem.ends_with(JSON_ENDING).then_some(stem))?;
    is_log_name(log).then(|| (log.to_owned(), number, plain.is_some()))
}

/// Opens all of them. One that cannot be opened is an error: what is shown would not be all. But who names something else like
/// an archive hides nothing of ours.
fn open_all(folder: &Folder, names: &Names) -> Result<(Vec<LogFiles>, Vec<Error>)> {
    let (mut logs, mut refused) = (Vec::<LogFiles>::new(), Vec::new());
    for (log, number, is_archive) in names.keys() {
        let opened = if !is_archive {
            plain(folder, log, *number)?
        } else if names.contains_key(&(log.clone(), *number, false)) {
            // It is about to take the place of its file, or is another's.
            continue;
        } else {
            match archive(folder, log, *number) {
                Err(Error::Io { doing, path, source }) if source.kind() == io::ErrorKind::InvalidData => {
                    refused.push(Error::Io { doing, path, source });
                    continue;
                }
                opened => opened?,
            }
        };
        let Some(file) = opened else { continue };
        match logs.last_mut() {
            Some(last) if last.log == *log => last.files.insert(0, file),
            _ => logs.push(LogFiles { log: log.clone(), files: vec![file], tail: Vec::new() }),
        }
    }
    Ok((logs, refused))
}

fn plain(folder: &Folder, log: &str, number: u32) -> Result<Option<FoundFile>> {
    let path = numbered(folder, log, number);
    let opened = open::if_there(open::to_read(&path)).map_err(Error::io("open the log file", &path))?;
    let Some(file) = opened else { return Ok(None) };
    let found = file.metadata().map_err(Error::io("inspect the log file", &path))?;
    let (identity, size) = ((found.dev(), found.ino()), found.len());
    Ok(Some(FoundFile { identity, size, number, content: Content::Plain(file) }))
}

#[cfg(feature = "zstd")]
fn archive(folder: &Folder, log: &str, number: u32) -> Result<Option<FoundFile>> {
    let archive = match Archive::open(&archived(folder, log, number)) {
        Err(error) if error.is_not_found() => return Ok(None),
        opened => opened?,
    };
    let (identity, size) = (archive.was(), archive.length());
    Ok(Some(FoundFile { identity, size, number, content: Content::Archive(archive) }))
}

/// Without the feature nothing can read them.
#[cfg(not(feature = "zstd"))]
fn archive(folder: &Folder, log: &str, number: u32) -> Result<Option<FoundFile>> {
    let why = io::Error::new(io::ErrorKind::InvalidData, "this program is built without the feature \"zstd\"");
    Err(Error::io("read the archive", archived(folder, log, number))(why))
}

/// Whether it is the file that the journal means. That is none that has an archive by now: its inode may be another's.
fn is_it(found: &FoundFile, identity: (u64, u64)) -> bool {
    found.identity == identity && matches!(found.content, Content::Plain(_))
}

/// Adds what the entry holds for a log and its file does not hold yet.
fn add_tail(log: &mut LogFiles, entry: &Entry) -> Result<()> {
    for (change, bytes) in entry.changes_with_bytes() {
        let Change::Append { log: name, file, offset, .. } = change else { continue };
        let Some(found) = log.files.iter_mut().find(|found| *name == log.log && is_it(found, *file)) else {
            continue;
        };
        if bytes.is_empty() || found.size < *offset {
            continue;
        }
        let mut there = vec![0; bytes.len().min((found.size - offset) as usize)];
        let read = found.content.read_exact_at(&mut there, *offset);
        read.map_err(Error::io("read the log file", name))?;
        if there == bytes {
            continue;
        }
        // Half of the batch is there, or something else: then the batch will be written behind it.
        if there == bytes[..there.len()] {
            found.size = *offset;
        }
        log.tail.extend_from_slice(bytes);
    }
    Ok(())
}

/// The positions of all rings that are there.
fn positions(folder: &Folder, entry: Option<&Entry>) -> Result<HashMap<[u8; 16], Vec<u64>>> {
    let mut rings = HashMap::new();
    let (mut buffer, mut lanes) = (Vec::new(), Vec::<LaneSnapshot>::new());
    for name in folder.ring_names()? {
        let reader = match RingReader::open_in(folder, &name) {
            // Gone since it was listed, or nothing that can be read: then no records of it are shown either.
            Err(error) if error.is_not_found() || matches!(error, Error::NotARing { .. }) => continue,
            opened => opened?,
        };
        reader.lanes(&mut buffer, &mut lanes)?;
        rings.insert(reader.header().uuid, lanes.iter().map(|lane| lane.position.written).collect::<Vec<u64>>());
    }
    for change in entry.iter().flat_map(|entry| &entry.changes) {
        match change {
            Change::Position { uuid, lane, words, .. } => {
                if let Some(written) = rings.get_mut(uuid).and_then(|lanes| lanes.get_mut(*lane as usize)) {
                    *written = (*written).max(Position::from_words(words).written);
                }
            }
            // Drained to its end.
            Change::Remove { uuid, .. } => drop(rings.insert(*uuid, Vec::new())),
            _ => {}
        }
    }
    Ok(rings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_files_are_told_from_everything_else_by_their_names() {
        for (name, found) in [
            ("host.log", Some(("host", 0, false))),
            ("host.log.3", Some(("host", 3, false))),
            ("host.log.3.zst", Some(("host", 3, true))),
            ("host.jsonl", Some(("host.jsonl", 0, false))),
            ("host.jsonl.100", Some(("host.jsonl", 100, false))),
            ("host.jsonl.100.zst", Some(("host.jsonl", 100, true))),
            ("host.log.zst", None),
            ("host.log.3.zst.zst", None),
            ("host.log.101.zst", None),
            ("host.log.03", None),
            ("host.log.101", None),
            ("host.log.bak", None),
            ("host.3", None),
            ("host-1-20261124T133702Z.crash.log", None),
            ("time_zone", None),
            (".log", None),
        ] {
            assert_eq!(log_of(name), found.map(|(log, number, archive)| (log.to_owned(), number, archive)), "{name}");
        }
    }
}
