//! Reading what no log file has yet, without changing anything.

use crate::clock::Timeline;
use crate::error::{Error, Result};
use crate::flush::apply;
use crate::flush::journal::{Change, Entry, Journal};
use crate::flush::liveness::{Evidence, Verdict};
use crate::flush::sites::Sites;
use crate::flush::template::Template;
use crate::folder::Folder;
use crate::reader::{Closed, Extent, LaneBatch, LaneSnapshot, Position, RingReader, Source};
use crate::record::Record;
use crate::spill;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Records that a lane holds in memory at once, in slots.
const SLOTS: u64 = 1024;

/// What a ring's records may be rendered to, in multiples of the bytes of the ring and its spill files. Ours stay far below:
/// a record takes 128 bytes, and its line rarely more. A hostile ring may name one long message, or a call site with a
/// long text, in each of its records.
pub const RENDERED_TIMES: u64 = 64;

/// Bytes that the records of a ring may be rendered to, the last of them not counted.
///
/// # Errors
/// [`Error::Io`] if its spill files cannot be looked at: with too low a limit, messages would be left out.
pub(crate) fn rendered_max<S: Source>(reader: &RingReader<S>) -> Result<u64> {
    let spilled = spill::size_all(reader.entry()).map_err(Error::io("look at the spilled messages of", reader.entry()))?;
    Ok((reader.geometry().file_size() + spilled).saturating_mul(RENDERED_TIMES))
}

/// A ring whose unwritten records can be read.
#[derive(Debug)]
pub struct RecoveredRing {
    reader: RingReader,
    timeline: Timeline,
    lanes: Vec<LaneRead>,
    report: RingReport,
    sites: Sites,
    /// Bytes that its records may still be rendered to.
    left: u64,
}

#[derive(Debug)]
struct LaneRead {
    batch: LaneBatch,
    extent: Extent,
    position: u64,
    next_message: u64,
    snapshot: LaneSnapshot,
}

/// What is known of a ring, and after reading, what was found in it.
#[derive(Debug, Clone)]
pub struct RingReport {
    /// Its file.
    pub path: PathBuf,
    /// Role of its process.
    pub role: String,
    /// Pid of its process.
    pub pid: u32,
    /// Whether its process may still write.
    pub verdict: Verdict,
    /// How the process left it.
    pub closed: Closed,
    /// Records read.
    pub records: u64,
    /// Records lost before them, overwritten or dropped.
    pub lost: u64,
    /// Damaged slots.
    pub damaged: u64,
    /// Log calls that were cut off in the middle.
    pub in_flight: u64,
    /// Records that were left out, because what came before them was more than [`RENDERED_TIMES`] allows.
    pub withheld: u64,
}

/// A record with what its ring says about it.
#[derive(Debug)]
pub struct Recovered<'a> {
    /// The record.
    pub record: Record<'a>,
    /// Calendar time, nanoseconds since 1970.
    pub realtime_ns: u64,
    /// Pid of its process.
    pub pid: u32,
    /// Role of its process.
    pub role: &'a str,
    /// Its call site, if it has one.
    pub site: Option<&'a Template>,
    /// Name of its thread, if the ring still knows it.
    pub thread_name: Option<String>,
}

/// Everything that is not in the log files.
#[derive(Debug, Default)]
pub struct Recovery {
    rings: Vec<RecoveredRing>,
    /// Lines that the journal holds and the log files do not, by role: a flusher died while it wrote them.
    pub journaled: Vec<(String, Vec<u8>)>,
    /// Files that cannot be read as rings.
    pub refused: Vec<Error>,
}

impl Recovery {
    /// Adds all rings of a log folder, and what its journal holds.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be listed, or its journal or a log file not be read.
    pub fn add_folder(&mut self, folder: &Folder) -> Result<()> {
        let mut entry = Journal::peek(folder)?;
        if let Some(found) = &entry {
            self.journaled.extend(unwritten(folder, found)?);
            if apply::lacks_bytes(folder, found)? {
                // The rings know better what is missing.
                entry = None;
            }
        }
        for name in folder.ring_names()? {
            if let Some(twin) = folder.twin(&name) {
                let why = format!("it has the name of {}, but for its ending", twin.display());
                self.refused.push(Error::not_a_ring(&folder.rings().join(&name), why));
                continue;
            }
            match RingReader::open_in(folder, &name) {
                // The flusher may have removed it since it was listed.
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                opened => self.add(opened, entry.as_ref()),
            }
        }
        Ok(())
    }

    /// Adds one ring file. What cannot be read is listed in `refused`.
    pub fn add_file(&mut self, path: &Path) {
        self.add(RingReader::open(path), None);
    }

    fn add(&mut self, opened: Result<RingReader>, journal: Option<&Entry>) {
        match opened.and_then(|reader| RecoveredRing::new(reader, journal)) {
            Ok(ring) => self.rings.push(ring),
            Err(error) => self.refused.push(error),
        }
    }

    /// Hands every record to `take`, in time order, which returns how many bytes it made of it. A ring of which more is
    /// made than [`RENDERED_TIMES`] allows is left there.
    ///
    /// # Errors
    /// What `take` returns, and [`Error::Io`] if a ring cannot be read.
    pub fn for_each<E: From<Error>>(&mut self, mut take: impl FnMut(&Recovered<'_>) -> Result<u64, E>) -> Result<(), E> {
        for ring in &mut self.rings {
            ring.fill_all()?;
        }
        loop {
            let next = self.rings.iter().enumerate().filter_map(|(n, ring)| ring.next().map(|(ns, lane)| (ns, n, lane)));
            let Some((ns, ring, lane)) = next.min() else { return Ok(()) };
            self.rings[ring].take(lane, ns, &mut take)?;
        }
    }

    /// What is known of each ring.
    pub fn reports(&self) -> impl Iterator<Item = &RingReport> {
        self.rings.iter().map(|ring| &ring.report)
    }
}

impl RecoveredRing {
    fn new(reader: RingReader, journal: Option<&Entry>) -> Result<RecoveredRing> {
        let inode = reader.source().metadata().map_err(Error::io("look at the ring", reader.path()))?.ino();
        let evidence = Evidence::collect(reader.source(), inode, reader.process())
            .map_err(Error::io("look at the lock of", reader.path()))?;
        let verdict = evidence.verdict();
        let closed = reader.control()?.closed;
        let (mut scratch, mut snapshots, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
        reader.lanes(&mut scratch, &mut snapshots)?;
        for (number, snapshot) in snapshots.iter().enumerate() {
            let position = journaled_position(journal, &reader, number).unwrap_or(snapshot.position);
            let last = reader.last_sequence(number, &mut scratch)?;
            let extent = if verdict == Verdict::Alive { Extent::Live(snapshot.reserved) } else { Extent::Final(last) };
            lanes.push(LaneRead {
                batch: LaneBatch::default(),
                extent,
                position: position.released,
                next_message: position.next_message.max(1),
                snapshot: *snapshot,
            });
        }
        let report = RingReport {
            path: reader.path().to_owned(),
            role: reader.role().to_owned(),
            pid: reader.header().pid,
            verdict,
            closed,
            records: 0,
            lost: snapshots.iter().map(|lane| lane.dropped.saturating_sub(lane.position.dropped_reported)).sum(),
            damaged: 0,
            in_flight: 0,
            withheld: 0,
        };
        let timeline = reader.timeline()?;
        let left = rendered_max(&reader)?;
        Ok(RecoveredRing { reader, timeline, lanes, report, sites: Sites::default(), left })
    }

    fn fill_all(&mut self) -> Result<()> {
        (0..self.lanes.len()).try_for_each(|lane| self.fill(lane))
    }

    fn fill(&mut self, number: usize) -> Result<()> {
        let lane = &mut self.lanes[number];
        self.reader.read_lane(number, lane.position, lane.extent, SLOTS, &mut lane.batch)?;
        lane.position = lane.position.max(lane.batch.end);
        self.report.damaged += lane.batch.damaged;
        let begun = match lane.extent {
            Extent::Live(_) => lane.batch.open.is_some(),
            Extent::Final(last) => lane.snapshot.reserved > last && lane.snapshot.reserved - last <= 1 << 16,
        };
        self.report.in_flight += u64::from(begun && !lane.batch.more);
        Ok(())
    }

    /// Time and lane of the ring's next record.
    fn next(&self) -> Option<(u64, usize)> {
        let times = self.lanes.iter().enumerate().filter_map(|(number, lane)| {
            lane.batch.next_clock().map(|clock| (self.timeline.realtime_ns(clock), number))
        });
        times.min()
    }

    fn take<E: From<Error>>(
        &mut self,
        number: usize,
        realtime_ns: u64,
        take: &mut impl FnMut(&Recovered<'_>) -> Result<u64, E>,
    ) -> Result<(), E> {
        let lane = &mut self.lanes[number];
        if self.left == 0 {
            self.report.withheld += 1;
        } else if let Some(record) = lane.batch.peek() {
            self.report.records += 1;
            self.report.lost += record.message.saturating_sub(lane.next_message);
            lane.next_message = record.message.saturating_add(1);
            let site = self.sites.get(&self.reader, record.call_site)?;
            let thread_name = lane.snapshot.thread_name(&record);
            let spilled = self.reader.unspill(&record);
            self.report.damaged += u64::from(spilled.is_err());
            let lost = spilled.as_ref().map_or_else(ToString::to_string, |_| String::new());
            let record = match &spilled {
                Ok(None) => record,
                Ok(Some((body, encoding))) => Record { body, encoding: *encoding, ..record },
                Err(_) => Record { body: lost.as_bytes(), encoding: 0, ..record },
            };
            let (pid, role) = (self.report.pid, self.report.role.as_str());
            let made = take(&Recovered { record, realtime_ns, pid, role, site, thread_name })?;
            self.left = self.left.saturating_sub(made);
        }
        lane.batch.advance();
        if lane.batch.is_empty() && lane.batch.more {
            self.fill(number)?;
        }
        Ok(())
    }
}

fn journaled_position(journal: Option<&Entry>, reader: &RingReader, number: usize) -> Option<Position> {
    journal?.changes.iter().find_map(|change| match change {
        Change::Position { uuid, lane, words, .. } if *uuid == reader.header().uuid && *lane as usize == number => {
            Some(Position::from_words(words))
        }
        _ => None,
    })
}

/// Bytes of the entry that its log files do not hold yet.
fn unwritten(folder: &Folder, entry: &Entry) -> Result<Vec<(String, Vec<u8>)>> {
    let mut bytes = entry.bytes.as_slice();
    let mut missing = Vec::new();
    for change in &entry.changes {
        let Change::Append { role, file, offset, length } = change else { continue };
        let (part, rest) = bytes.split_at_checked(*length as usize).unwrap_or((bytes, &[]));
        bytes = rest;
        let there = bytes_there(&folder.log_file(role), *file, *offset, part)?;
        if there < part.len() {
            missing.push((role.clone(), part[there..].to_vec()));
        }
    }
    Ok(missing)
}

fn bytes_there(path: &Path, identity: (u64, u64), offset: u64, bytes: &[u8]) -> Result<usize> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(Error::io("open the log file", path)(error)),
    };
    let metadata = file.metadata().map_err(Error::io("look at the log file", path))?;
    if (metadata.dev(), metadata.ino()) != identity || metadata.len() < offset {
        return Ok(0);
    }
    let there = bytes.len().min((metadata.len() - offset) as usize);
    let mut found = vec![0u8; there];
    file.read_exact_at(&mut found, offset).map_err(Error::io("read the log file", path))?;
    Ok(if found == bytes[..there] { there } else { 0 })
}
