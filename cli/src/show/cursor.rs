//! How far a folder has been shown: a vector, because each file and each lane of a ring has its own place.
//!
//! A file is known by its first bytes, and by device and inode where two begin alike: it keeps both when it is renamed, and a
//! copy of it the first. An archive has both of the file that it was. A file that is shorter than its place was cut, and is new.

use lastwords_flusher::files::archive::BEGINS;
use lastwords_flusher::recover::snapshot::{Content, FolderSnapshot, FoundFile};
use lastwords_flusher::render::json::RecordId;
use lastwords_ring::format::text::hex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// First bytes by which a file is known.
const KNOWN_BY: usize = BEGINS;
/// What a cursor begins with.
const FORM: &str = "lastwords1-";

/// How far one file has been shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileMark {
    pub(crate) log: String,
    identity: (u64, u64),
    pub(crate) offset: u64,
    /// How many first bytes are known, and their sum.
    begins: (usize, u64),
}

/// How far lanes have been shown, by ring and lane: the last sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lanes(pub(crate) BTreeMap<([u8; 16], usize), u64>);

/// How far a folder has been shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) files: Vec<FileMark>,
    /// Of records that were in no file then.
    pub(crate) lanes: Lanes,
}

impl Lanes {
    /// The last sequence of a lane that has been shown; 0 if none has.
    pub(crate) fn last(&self, ring: &[u8; 16], lane: usize) -> u64 {
        self.0.get(&(*ring, lane)).copied().unwrap_or(0)
    }

    /// Whether a record has been shown.
    pub(crate) fn has(&self, id: &RecordId) -> bool {
        self.0.get(&(id.ring, id.lane)).is_some_and(|last| id.sequence <= *last)
    }

    /// A record has been shown, and all before it in its lane.
    pub(crate) fn add(&mut self, id: &RecordId) {
        let last = self.0.entry((id.ring, id.lane)).or_default();
        *last = id.sequence.max(*last);
    }
}

impl FileMark {
    /// The mark behind `offset` bytes of a file.
    pub(crate) fn new(log: &str, found: &FoundFile, offset: u64) -> io::Result<FileMark> {
        let length = KNOWN_BY.min(offset as usize);
        let sum = sum_of(found, length)?.unwrap_or(0);
        Ok(FileMark { log: log.to_owned(), identity: found.identity, offset, begins: (length, sum) })
    }

    fn agrees(&self, found: &FoundFile) -> io::Result<bool> {
        Ok(found.size >= self.offset && sum_of(found, self.begins.0)? == Some(self.begins.1))
    }
}

fn sum_of(found: &FoundFile, length: usize) -> io::Result<Option<u64>> {
    // Not unpacked for that.
    if let Content::Archive(archive) = &found.content {
        return Ok(archive.begins().get(..length).map(xxh3_64));
    }
    let mut bytes = vec![0; length];
    match found.content.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(|()| Some(xxh3_64(&bytes))),
    }
}

impl Mark {
    /// How much of this file has been shown.
    pub(crate) fn of_file(&self, log: &str, found: &FoundFile) -> io::Result<u64> {
        let of_log = || self.files.iter().filter(|mark| mark.log == log);
        for mark in of_log().filter(|mark| mark.identity == found.identity) {
            if mark.agrees(found)? {
                return Ok(mark.offset);
            }
        }
        for mark in of_log().filter(|mark| mark.begins.0 == KNOWN_BY) {
            if mark.agrees(found)? {
                return Ok(mark.offset);
            }
        }
        Ok(0)
    }

    /// Forgets what is in files by now, of rings that are there, and rings that are gone.
    pub(crate) fn forget_written(&mut self, snapshot: &FolderSnapshot) {
        self.lanes.0.retain(|(ring, lane), last| snapshot.written(ring, *lane).is_some_and(|written| written < *last));
    }

    fn value(&self) -> Value {
        let file = |mark: &FileMark| {
            json!([mark.log, mark.identity.0, mark.identity.1, mark.offset, mark.begins.0, mark.begins.1])
        };
        let lanes = self.lanes.0.iter().map(|((ring, lane), last)| json!([hex(ring), lane, last]));
        json!({ "files": self.files.iter().map(file).collect::<Vec<_>>(), "lanes": lanes.collect::<Vec<_>>() })
    }

    fn of(value: &Value) -> Option<Mark> {
        let mut mark = Mark::default();
        for file in value.get("files")?.as_array()? {
            let number = |place: usize| file.get(place)?.as_u64();
            mark.files.push(FileMark {
                log: file.get(0)?.as_str()?.to_owned(),
                identity: (number(1)?, number(2)?),
                offset: number(3)?,
                begins: (number(4)? as usize, number(5)?),
            });
        }
        for lane in value.get("lanes")?.as_array()? {
            let ring = unhex(lane.get(0)?.as_str()?)?.try_into().ok()?;
            let (lane, sequence) = (lane.get(1)?.as_u64()? as usize, lane.get(2)?.as_u64()?);
            mark.lanes.add(&RecordId { ring, lane, sequence });
        }
        Some(mark)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// The cursor of several folders as one opaque word.
pub(crate) fn encode(marks: &BTreeMap<String, Mark>) -> String {
    let value: serde_json::Map<String, Value> = marks.iter().map(|(path, mark)| (path.clone(), mark.value())).collect();
    format!("{FORM}{}", hex(Value::from(value).to_string().as_bytes()))
}

/// The marks that such a word holds; None if it is none.
pub(crate) fn decode(word: &str) -> Option<BTreeMap<String, Mark>> {
    let bytes = unhex(word.trim().strip_prefix(FORM)?)?;
    let Value::Object(folders) = serde_json::from_slice(&bytes).ok()? else { return None };
    folders.iter().map(|(path, mark)| Some((path.clone(), Mark::of(mark)?))).collect()
}

/// Reads a cursor file; without one nothing has been shown.
///
/// # Errors
/// As read(2), and for a file that holds no cursor.
pub(crate) fn read(path: &Path) -> io::Result<BTreeMap<String, Mark>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        read => read?,
    };
    let wrong = || io::Error::other("it holds no cursor; expected a file that --cursor-file has written, or none");
    if text.is_empty() { Ok(BTreeMap::new()) } else { decode(&text).ok_or_else(wrong) }
}

/// Writes it, as a whole or not at all.
///
/// # Errors
/// As write(2) and rename(2).
pub(crate) fn write(path: &Path, marks: &BTreeMap<String, Mark>) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    std::fs::write(&temporary, encode(marks) + "\n")?;
    std::fs::rename(&temporary, path).inspect_err(|_| drop(std::fs::remove_file(&temporary)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_one_word_that_says_the_same_when_it_is_read() {
        let file = FileMark { log: "host.jsonl".into(), identity: (1, u64::MAX), offset: 7, begins: (256, u64::MAX) };
        let mark = Mark { files: vec![file], lanes: Lanes(BTreeMap::from([(([0xab; 16], 3), 9)])) };
        let marks = BTreeMap::from([("/var/log/a b".to_owned(), mark), ("/b".to_owned(), Mark::default())]);
        let word = encode(&marks);
        assert!(!word.contains(char::is_whitespace));
        assert_eq!(decode(&format!("{word}\n")), Some(marks));
        for other in ["", "x", "lastwords1-", "lastwords1-5b5d", "lastwords1-zz", "lastwords1-é"] {
            assert_eq!(decode(other), None, "{other}");
        }
    }
}
