//! Messages too long for the ring: their bytes go to a file beside it, and the record says which.
//!
//! The file is written by `write(2)` and complete before the record that names it is begun, so a whole record never names half
//! a message; like the ring, it survives the process. The flusher removes it when the line is in the log file; a producer that
//! overwrites a record removes that record's file; whatever remains is removed with the ring. The name derives from the ring's
//! own name and a number, never from bytes in a record.

use crate::format::checksum::checksum;
use crate::format::layout::encoding;
use crate::mutant::{self, Mutant};
use crate::place::descriptor::again_if_lost;
use crate::place::folder::stem;
use crate::place::open::{self, PRIVATE};
use crate::sys::fsize;
use crossbeam_utils::Backoff;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Longest message in bytes; a longer one is truncated and marked.
pub const MESSAGE_MAX: usize = 16 << 20;
/// Bytes that the spilled messages of one ring may take on disk before further ones are truncated.
pub const OUTSTANDING_MAX: u64 = 64 << 20;
/// Longest wait for another thread that is about to spill.
const LOCK_MAX: Duration = Duration::from_millis(100);
/// Ending of spill files.
const SPILL_ENDING: &str = ".spill";
/// Bytes of a reference: number, length, checksum, encoding of the message.
pub const REFERENCE: usize = 25;

/// What a record says about its spilled message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpillReference {
    /// Number of the file.
    pub number: u64,
    /// Length of the message's bytes.
    pub length: u64,
    /// XXH3-64 of the message's bytes.
    pub checksum: u64,
    /// Encoding of the message's bytes.
    pub encoding: u8,
}

/// A spilled message that is lost.
#[derive(Debug)]
pub struct SpillLost {
    /// Its length as far as known.
    pub length: u64,
    /// Why.
    pub error: io::Error,
}

impl fmt::Display for SpillLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SpillLost { length, error } = self;
        write!(f, "lastwords: a message of {length} bytes is lost, its spill file cannot be read: {error}")
    }
}

impl SpillReference {
    /// The reference as a record's body.
    #[must_use]
    pub fn to_bytes(self) -> [u8; REFERENCE] {
        let mut bytes = [0; REFERENCE];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[24] = self.encoding;
        bytes
    }

    /// The reference in a record's body; None if it is invalid.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<SpillReference> {
        let bytes: &[u8; REFERENCE] = bytes.try_into().ok()?;
        let word = |start: usize| bytes[start..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        let reference = SpillReference { number: word(0), length: word(8), checksum: word(16), encoding: bytes[24] };
        let plausible = reference.length <= MESSAGE_MAX as u64 && reference.encoding & encoding::SPILLED == 0;
        plausible.then_some(reference)
    }

    /// Reads the message's bytes from the file beside `ring`.
    ///
    /// # Errors
    /// If the file is missing, not a regular file, or does not match the record.
    pub fn read(&self, ring: &Path) -> io::Result<Vec<u8>> {
        again_if_lost(|| self.read_once(ring))
    }

    fn read_once(&self, ring: &Path) -> io::Result<Vec<u8>> {
        let mut file = open::to_read(&path(ring, self.number))?;
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        // Bytes behind the message went astray into the file, see `descriptor.rs`.
        if file.size()? < self.length {
            return Err(damaged());
        }
        let mut bytes = vec![0; self.length as usize];
        file.read_exact(&mut bytes)?;
        if checksum(&bytes) == self.checksum { Ok(bytes) } else { Err(damaged()) }
    }
}

/// The spill file with this number of the ring whose entry in its folder is `ring`.
#[must_use]
pub fn path(ring: &Path, number: u64) -> PathBuf {
    ring.with_file_name(format!("{}.{number}{SPILL_ENDING}", stem(ring)))
}

/// Removes all spill files of a ring.
///
/// # Errors
/// As readdir(3) and unlink(2); a file that is already gone is not an error.
pub fn remove_all(ring: &Path) -> io::Result<()> {
    files(ring)?.iter().try_for_each(|path| open::remove(path))
}

/// Bytes of all spill files of a ring.
///
/// # Errors
/// As readdir(3) and lstat(2); a file that is already gone has none.
pub fn size_all(ring: &Path) -> io::Result<u64> {
    let size = |path: PathBuf| open::look_for(&path).map(|found| found.map_or(0, |found| found.st_size as u64));
    files(ring)?.into_iter().map(size).sum()
}

fn files(ring: &Path) -> io::Result<Vec<PathBuf>> {
    let prefix = format!("{}.", stem(ring));
    // Only a number: another ring's name may begin with this one's.
    let is_spill = |name: &OsString| {
        let name = name.to_string_lossy();
        let number = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(SPILL_ENDING));
        number.is_some_and(|number| number.parse::<u64>().is_ok())
    };
    Ok(open::list_beside(ring)?.into_iter().filter(is_spill).map(|name| ring.with_file_name(name)).collect())
}

/// A spilled message whose slot has not been released.
#[derive(Debug)]
struct Outstanding {
    lane: usize,
    sequence: u64,
    number: u64,
    length: u64,
}

/// The writing side of a ring's spill files.
#[derive(Debug)]
pub struct SpillWriter {
    ring: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    outstanding: VecDeque<Outstanding>,
}

/// State of a lane's slots: those up to `released` are drained, those up to `overwritten` gone from the ring, but those up to
/// `kept` are in backlog segments.
#[derive(Debug, Clone, Copy)]
pub struct LaneProgress {
    /// Drained up to here.
    pub released: u64,
    /// In backlog segments up to here.
    pub kept: u64,
    /// Gone from the ring up to here.
    pub overwritten: u64,
}

impl SpillWriter {
    /// Writes beside this ring.
    pub fn new(ring: &Path) -> SpillWriter {
        SpillWriter { ring: ring.to_owned(), state: Mutex::default() }
    }

    /// Writes a message that will be named by the record at `sequence` of `lane`. None if there is no room for it, the file
    /// size limit does not allow it, or the lock is not free within `LOCK_MAX`.
    pub fn write(
        &self,
        body: &[u8],
        encoding: u8,
        (lane, sequence): (usize, u64),
        progress: impl Fn(usize) -> LaneProgress,
    ) -> Option<SpillReference> {
        if body.len() as u64 > fsize::limit() {
            return None;
        }
        let number = {
            let mut state = self.lock()?;
            self.forget_finished(&mut state, progress);
            let length = body.len() as u64;
            let used: u64 = state.outstanding.iter().map(|message| message.length).sum();
            if used + length > OUTSTANDING_MAX {
                return None;
            }
            state.next += 1;
            let number = state.next;
            state.outstanding.push_back(Outstanding { lane, sequence, number, length });
            number
        };
        let path = path(&self.ring, number);
        if !mutant::is(Mutant::SpillLate) && again_if_lost(|| write_file(&path, body)).is_err() {
            return None;
        }
        Some(SpillReference { number, length: body.len() as u64, checksum: checksum(body), encoding })
    }

    /// What [`Mutant::SpillLate`] does after the record.
    #[cfg(lastwords_mutants)]
    pub fn write_late(&self, number: u64, body: &[u8]) {
        let _ = write_file(&path(&self.ring, number), body);
    }

    /// The lock is held for microseconds, but a signal handler may find its own thread holding it.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        let (start, backoff) = (Instant::now(), Backoff::new());
        loop {
            match self.state.try_lock() {
                Ok(state) => return Some(state),
                Err(_) if start.elapsed() > LOCK_MAX => return None,
                Err(_) => backoff.snooze(),
            }
        }
    }

    /// Removes the files of messages whose records a lane has overwritten without keeping them. Without the lock, they are
    /// removed with the ring.
    pub fn forget_overwritten(&self, lane: usize, sequences: Range<u64>) {
        let Some(mut state) = self.lock() else { return };
        state.outstanding.retain(|message| {
            let gone = message.lane == lane && sequences.contains(&message.sequence);
            if gone {
                let _ = open::remove(&path(&self.ring, message.number));
            }
            !gone
        });
    }

    /// Forgets messages whose records were drained, and removes the files of those that were overwritten.
    fn forget_finished(&self, state: &mut State, progress: impl Fn(usize) -> LaneProgress) {
        state.outstanding.retain(|message| {
            let LaneProgress { released, kept, overwritten } = progress(message.lane);
            if message.sequence <= released {
                return false;
            }
            if message.sequence <= overwritten && message.sequence > kept {
                let _ = open::remove(&path(&self.ring, message.number));
                return false;
            }
            true
        });
    }
}

fn write_file(path: &Path, body: &[u8]) -> io::Result<()> {
    let mut file = open::file(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL, PRIVATE)?;
    // The limit may have been lowered since it was checked.
    let written = fsize::without_signal(|| file.write_all(body)).and_then(|()| match file.size()? {
        size if size == body.len() as u64 => Ok(()),
        // Somebody else's write went astray into it, see `descriptor.rs`.
        _ => Err(Errno::BADF.into()),
    });
    written.inspect_err(|_| drop(open::remove(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    const FREE: LaneProgress = LaneProgress { released: 0, kept: 0, overwritten: 0 };

    #[test]
    fn a_spilled_message_comes_back_whole_and_a_changed_one_does_not() {
        let scratch = Scratch::new("whole");
        let folder = scratch.path();
        let ring = folder.join("host-1-ab.ring");
        let writer = SpillWriter::new(&ring);
        let body = vec![b'x'; 3 << 20];
        let reference = writer.write(&body, 0, (0, 1), |_| FREE).expect("room");
        assert_eq!(SpillReference::from_bytes(&reference.to_bytes()), Some(reference));
        assert_eq!(reference.read(&ring).expect("there"), body);
        let mut longer = body.clone();
        longer.extend(b"went astray");
        std::fs::write(path(&ring, reference.number), longer).expect("written");
        assert_eq!(reference.read(&ring).expect("there"), body);
        std::fs::write(path(&ring, reference.number), vec![b'y'; 3 << 20]).expect("written");
        assert!(reference.read(&ring).is_err());
        remove_all(&ring).expect("removed");
        assert!(reference.read(&ring).is_err());
    }

    #[test]
    fn the_disk_space_of_one_ring_is_bounded_and_comes_back() {
        let scratch = Scratch::new("bounded");
        let folder = scratch.path();
        let ring = folder.join("host-1-ab.ring");
        let writer = SpillWriter::new(&ring);
        let body = vec![b'x'; MESSAGE_MAX];
        let write = |sequence, progress| writer.write(&body, 0, (0, sequence), move |_| progress).map(|r| r.number);
        assert_eq!((1..=5).map(|n| write(n, FREE)).collect::<Vec<_>>(), [Some(1), Some(2), Some(3), Some(4), None]);
        assert_eq!(write(6, LaneProgress { released: 0, kept: 0, overwritten: 1 }), Some(5));
        assert!(!path(&ring, 1).exists(), "the overwritten record's file is removed");
        assert_eq!(write(7, LaneProgress { released: 2, kept: 0, overwritten: 1 }), Some(6));
        assert!(path(&ring, 2).exists(), "the released one's file is the flusher's to remove");
    }

    #[test]
    fn a_reference_that_cannot_be_is_refused() {
        let good = SpillReference { number: 1, length: 5, checksum: 0, encoding: 0 };
        let long = SpillReference { length: MESSAGE_MAX as u64 + 1, ..good };
        let nested = SpillReference { encoding: encoding::SPILLED, ..good };
        assert!(SpillReference::from_bytes(&good.to_bytes()).is_some());
        assert!(SpillReference::from_bytes(&long.to_bytes()).is_none());
        assert!(SpillReference::from_bytes(&nested.to_bytes()).is_none());
        assert!(SpillReference::from_bytes(b"short").is_none());
    }
}
