//! Backlog segments, the reader's end: files to which a lane's producer has copied slots before it reused them.
//!
//! A segment is named `<ring>.<lane>-<first>.backlog` and is beside the ring's bytes: in the rings folder, or in `/dev/shm`. It
//! holds the slots of consecutive sequences from `first` on, exactly as in the lane, so slot `s` is at `(s - first) * record
//! size`. There is no header, and neither name nor length is trusted: each slot proves itself by its checksum, whose key is the
//! ring's UUID and the lane's number. `backlog.rs` writes what is read here.

use crate::format::geometry::Geometry;
use crate::format::slot::{SlotState, classify};
use crate::place::descriptor::{Opened, again_if_lost};
use crate::place::folder::stem;
use crate::place::open;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Ending of segments.
const ENDING: &str = ".backlog";
/// Ending of one that is being written.
const UNNAMED: &str = ".keeping";
/// Size up to which a segment grows, unless its lane is larger.
const SIZE: u64 = 1 << 20;
/// Segments that are searched for a slot. If two overlap, they hold the same slots.
const CANDIDATES: usize = 2;
/// Slots that are read at once when searching for the last whole one.
const AT_ONCE: u64 = 1024;

/// A segment, as found in one listing of its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Lane number.
    pub lane: usize,
    /// Sequence of its first slot.
    pub first: u64,
    /// Whole slots.
    pub slots: u64,
    /// Bytes.
    pub size: u64,
    /// The file.
    pub path: PathBuf,
}

impl Segment {
    /// The last sequence that it may hold.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.first.saturating_add(self.slots).saturating_sub(1)
    }

    fn may_hold(&self, sequence: u64) -> bool {
        (self.first..self.first.saturating_add(self.slots)).contains(&sequence)
    }
}

/// Most slots of a segment: a lane's, or a MiB of them.
#[must_use]
pub fn slots_max(geometry: Geometry) -> u64 {
    geometry.slots().max(SIZE / geometry.record_size() as u64)
}

/// The segment of `lane` that begins with `first`; `ring` is where the ring's bytes are.
#[must_use]
pub fn path(ring: &Path, lane: usize, first: u64) -> PathBuf {
    ring.with_file_name(format!("{}.{lane}-{first}{ENDING}", stem(ring)))
}

/// Where a lane's next segment is written before it has its name.
#[must_use]
pub fn unnamed(ring: &Path, lane: usize) -> PathBuf {
    ring.with_file_name(format!("{}.{lane}{UNNAMED}", stem(ring)))
}

/// The segments of a ring, or of one of its lanes, in the order of lane and first sequence.
///
/// # Errors
/// As readdir(3) and lstat(2); a file that is already gone is skipped.
pub fn list(ring: &Path, geometry: Geometry, of: Option<usize>) -> io::Result<Vec<Segment>> {
    let prefix = format!("{}.", stem(ring));
    let mut segments = Vec::new();
    for name in names(ring)? {
        let Some((lane, first)) = name.to_str().and_then(|name| numbers(name.strip_prefix(&prefix)?)) else { continue };
        if of.is_some_and(|of| of != lane) {
            continue;
        }
        let path = ring.with_file_name(name);
        let Some(found) = open::look_for(&path)? else { continue };
        let (size, is_file) = (found.st_size as u64, FileType::from_raw_mode(found.st_mode) == FileType::RegularFile);
        let slots = if is_file { size / geometry.record_size() as u64 } else { 0 };
        segments.push(Segment { lane, first, slots: slots.min(slots_max(geometry)), size, path });
    }
    segments.sort_by_key(|segment| (segment.lane, segment.first));
    Ok(segments)
}

/// Lane and first sequence in a segment's name, after the name of its ring. Only in the form that is written here, so that no
/// two names mean the same.
fn numbers(rest: &str) -> Option<(usize, u64)> {
    let (lane, first) = rest.strip_suffix(ENDING)?.split_once('-')?;
    let found = (lane.parse().ok()?, first.parse().ok()?);
    (format!("{}-{}", found.0, found.1) == format!("{lane}-{first}") && (1..=u64::MAX >> 2).contains(&found.1))
        .then_some(found)
}

/// The names in the folder of a ring's bytes; none if it is gone.
fn names(ring: &Path) -> io::Result<Vec<OsString>> {
    Ok(open::if_there(open::list_beside(ring))?.unwrap_or_default())
}

/// Bytes of all segments of a ring.
///
/// # Errors
/// As [`list`].
pub fn size_all(ring: &Path, geometry: Geometry) -> io::Result<u64> {
    let most = slots_max(geometry) * geometry.record_size() as u64;
    Ok(list(ring, geometry, None)?.iter().map(|segment| segment.size.min(most)).sum())
}

/// Removes all segments of a ring, whatever they hold; `ring` is where its bytes are, or were.
///
/// # Errors
/// As readdir(3) and unlink(2); a file that is already gone is not an error, and what can never be removed stays.
pub fn remove_all(ring: &Path) -> io::Result<()> {
    let prefix = format!("{}.", stem(ring));
    for name in names(ring)? {
        let rest = name.to_str().and_then(|name| name.strip_prefix(&prefix)).unwrap_or_default();
        let being_made = rest.strip_suffix(UNNAMED).is_some_and(|lane| lane.parse::<usize>().is_ok());
        if being_made || numbers(rest).is_some() {
            remove(&ring.with_file_name(name))?;
        }
    }
    Ok(())
}

/// Removes a segment, unless it is already gone, or is a folder.
///
/// # Errors
/// As unlink(2).
pub fn remove(path: &Path) -> io::Result<()> {
    match open::remove(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(()),
        other => other,
    }
}

/// Opens a segment for reading; None if its name leads to nothing that can be one.
fn open_segment(path: &Path) -> io::Result<Option<Opened>> {
    use Errno as E;
    // None if it is not a regular file. Other failures, a lack of descriptors for instance, say nothing about the segment.
    let is_none = |error: Option<Errno>| {
        matches!(error, None | Some(E::NOENT | E::NOTDIR | E::LOOP | E::NXIO | E::ACCESS | E::PERM))
    };
    match open::to_read(path) {
        Err(error) if is_none(Errno::from_io_error(&error)) => Ok(None),
        opened => opened.map(Some),
    }
}

/// One lane's segments, as a source of slots.
#[derive(Debug)]
pub(crate) struct LaneSegments {
    segments: Vec<Segment>,
    /// The one that was read last.
    open: Option<(usize, Opened)>,
    size: usize,
    key: u64,
}

impl LaneSegments {
    pub(crate) fn list(ring: &Path, geometry: Geometry, lane: usize, key: u64) -> io::Result<LaneSegments> {
        Ok(LaneSegments { segments: list(ring, geometry, Some(lane))?, open: None, size: geometry.record_size(), key })
    }

    /// The first sequence from `from` up to `last` that may be in a segment.
    pub(crate) fn first(&self, from: u64, last: u64) -> Option<u64> {
        let here = self.segments.iter().filter(|segment| segment.slots > 0 && segment.last() >= from);
        here.map(|segment| segment.first.max(from)).filter(|first| *first <= last).min()
    }

    /// The highest sequence that a whole slot holds; 0 if none does.
    pub(crate) fn last(&mut self) -> io::Result<u64> {
        let mut slots = vec![0; AT_ONCE as usize * self.size];
        for index in (0..self.segments.len()).rev() {
            let (first, mut end) = (self.segments[index].first, self.segments[index].last());
            while end >= first {
                let low = first.max(end.saturating_sub(AT_ONCE - 1));
                let got = self.read(index, low, &mut slots[..(end - low + 1) as usize * self.size])?;
                let read = slots[..got * self.size].chunks_exact_mut(self.size).zip(low..);
                let whole = read.filter_map(|(slot, n)| is_done(classify(slot, n, self.key)).then_some(n));
                if let Some(last) = whole.last() {
                    return Ok(last);
                }
                end = low - 1;
            }
        }
        Ok(0)
    }

    /// Reads those of the slots from `low` on that `missing` names, in ascending order, into `buffer`, as far as segments have
    /// them.
    pub(crate) fn fill(&mut self, low: u64, missing: &[u64], buffer: &mut [u8]) -> io::Result<()> {
        let (mut remaining, mut slots) = (missing.to_vec(), Vec::new());
        for rank in 0..CANDIDATES {
            let (mut still, mut rest) = (Vec::new(), remaining.as_slice());
            while let Some(first) = rest.first().copied() {
                let found = self.candidate(first, rank);
                let same = |(next, expected): &(&u64, u64)| *next == expected && self.candidate(**next, rank) == found;
                let run = rest.iter().zip(first..).take_while(same).count();
                let (here, later) = rest.split_at(run);
                rest = later;
                let mut got = 0;
                if let Some(index) = found {
                    slots.resize(run * self.size, 0);
                    got = self.read(index, first, &mut slots)?;
                }
                let mut read = slots[..got * self.size].chunks_exact_mut(self.size);
                for sequence in here {
                    let start = (sequence - low) as usize * self.size;
                    if let Some(slot) = read.next()
                        && is_done(classify(slot, *sequence, self.key))
                    {
                        buffer[start..start + self.size].copy_from_slice(slot);
                    } else {
                        still.push(*sequence);
                    }
                }
            }
            remaining = still;
        }
        Ok(())
    }

    /// Of the segments that may hold `sequence`, the one that begins last, or an earlier one by `rank`.
    fn candidate(&self, sequence: u64, rank: usize) -> Option<usize> {
        let after = self.segments.partition_point(|segment| segment.first <= sequence);
        let index = after.checked_sub(rank + 1)?;
        self.segments[index].may_hold(sequence).then_some(index)
    }

    /// Reads slots from `sequence` on, and returns the number of whole ones.
    fn read(&mut self, index: usize, sequence: u64, buffer: &mut [u8]) -> io::Result<usize> {
        again_if_lost(|| self.read_once(index, sequence, buffer))
    }

    fn read_once(&mut self, index: usize, sequence: u64, buffer: &mut [u8]) -> io::Result<usize> {
        // A file that fails is not kept open.
        let file = match self.open.take().filter(|(open, _)| *open == index) {
            Some((_, file)) => Some(file),
            None => open_segment(&self.segments[index].path)?,
        };
        let Some(file) = file else { return Ok(0) };
        let start = (sequence - self.segments[index].first) * self.size as u64;
        let mut done = 0;
        while done < buffer.len() {
            match file.file()?.read_at(&mut buffer[done..], start + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.open = Some((index, file));
        Ok(done / self.size)
    }
}

/// Whether the producer has finished with a slot in this state.
pub(crate) fn is_done(state: SlotState) -> bool {
    matches!(state, SlotState::Committed | SlotState::Aborted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_made_here_are_segments() {
        assert_eq!(numbers("3-4097.backlog"), Some((3, 4097)));
        for name in
            ["3-0.backlog", "03-1.backlog", "3-+1.backlog", "3.backlog", "3-1.spill", "x-1.backlog", "3-1-2.backlog"]
        {
            assert_eq!(numbers(name), None, "{name}");
        }
        let ring = Path::new("/a/rings/host-1-ab.ring");
        assert_eq!(path(ring, 3, 4097), Path::new("/a/rings/host-1-ab.3-4097.backlog"));
        let shared = Path::new("/dev/shm/lastwords.host-1-ab");
        assert_eq!(path(shared, 0, 1), Path::new("/dev/shm/lastwords.host-1-ab.0-1.backlog"));
    }
}
