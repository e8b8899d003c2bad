//! Reading what no log file has yet, without changing anything.

use crate::crash::told::DiedOf;
use crate::evidence::ending::{Ending, WaitStatus};
use crate::evidence::witness;
use crate::files::journal::{Change, Entry, Journal};
use crate::files::redo;
use crate::files::shared_memory::UnseenRing;
use crate::merge::{Merge, Next};
use crate::render::call_sites::Sites;
use crate::render::level_names::LevelNames;
use crate::render::line::RENDERED_TIMES;
use crate::render::message::Template;
use crate::ring_clock::{RingClock, Scales};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::layout::lane_kind;
use lastwords_ring::format::record::Record;
use lastwords_ring::format::timeline::Timeline;
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::{Folder, role_of};
use lastwords_ring::place::open;
use lastwords_ring::place::{segment, spill};
use lastwords_ring::read::lane_cursor::LaneCursor;
use lastwords_ring::read::liveness::{Evidence, Verdict};
use lastwords_ring::read::reader::{Closed, ControlSnapshot, Extent, LaneSnapshot, Position, RingReader, Source};
use lastwords_ring::read::ring_file::RingFile;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Records that a lane holds in memory at once, in slots.
const SLOTS: u64 = 1024;

/// Bytes that the records of a ring may be rendered to, the last of them not counted.
///
/// # Errors
/// [`Error::Io`] if its spill files cannot be inspected: with too low a limit, messages would be left out.
pub(crate) fn rendered_max<S: Source>(reader: &RingReader<S>) -> Result<u64> {
    let spilled =
        spill::size_all(reader.entry()).map_err(Error::io("inspect the spilled messages of", reader.entry()))?;
    let kept = segment::size_all(reader.path(), reader.geometry())
        .map_err(Error::io("inspect the backlog of", reader.path()))?;
    Ok((reader.geometry().file_size() + spilled + kept).saturating_mul(RENDERED_TIMES))
}

/// Calendar time of the newest record of a ring with lanes of these extents, as far as it is not ahead of the clock.
///
/// # Errors
/// [`Error::Io`] if the ring cannot be read.
pub(crate) fn newest_ns(
    reader: &RingReader<RingFile>,
    extents: impl Iterator<Item = Extent>,
    timeline: &Timeline,
) -> Result<Option<u64>> {
    let (mut newest, now) = (None, clock::realtime_ns());
    for (number, extent) in extents.enumerate() {
        // The last message may have as many slots as a message can have.
        let slots = reader.geometry().message_slots_max() + 1;
        let mut cursor = LaneCursor::behind(extent.end().saturating_sub(slots));
        cursor.read(reader, number, extent, slots)?;
        let times = cursor.batch().iter().map(|record| timeline.realtime_ns(record.clock));
        newest = newest.max(times.filter(|ns| *ns <= now).max());
    }
    Ok(newest)
}

/// A ring whose unwritten records can be read.
#[derive(Debug)]
pub struct RecoveredRing {
    reader: RingReader<RingFile>,
    clock: RingClock,
    lanes: Vec<LaneRead>,
    report: RingReport,
    sites: Sites,
    names: LevelNames,
    everything: bool,
    /// Bytes that its records may still be rendered to.
    left: u64,
}

#[derive(Debug)]
struct LaneRead {
    cursor: LaneCursor,
    extent: Extent,
    wanted: bool,
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
    /// The fatal signal that arrived while the ring was open, if one did.
    pub fatal_signal: Option<u32>,
    /// The kernel's report of how the process ended, if known.
    pub status: Option<WaitStatus>,
    /// Records read.
    pub records: u64,
    /// Records lost before them, overwritten or dropped.
    pub lost: u64,
    /// Damaged slots.
    pub damaged: u64,
    /// Interrupted log calls.
    pub in_flight: u64,
    /// Records that were left out, because what came before them was more than [`crate::render::line::RENDERED_TIMES`] allows.
    pub withheld: u64,
    /// Bytes that are missing at the end of the file: it was truncated, or is an incomplete copy.
    pub truncated: u64,
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
    /// The process's custom name for its level, if it has one.
    pub level_name: Option<&'a str>,
    /// Name of its thread, if the ring still knows it.
    pub thread_name: Option<Vec<u8>>,
    /// UUID of its ring.
    pub ring: [u8; 16],
    /// Its lane there; with the ring and its last sequence it is this record and no other.
    pub lane: usize,
}

/// What of a ring is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// What no log file has yet.
    #[default]
    Unwritten,
    /// All that it still holds, of every level.
    Everything,
}

/// What rings hold, everything that is not in the log files if nothing else is asked for.
#[derive(Debug, Default)]
pub struct Recovery {
    scope: Scope,
    rings: Vec<RecoveredRing>,
    scales: Scales,
    /// Lines that the journal holds and the log files do not: a flusher died while it wrote them.
    pub journaled: Vec<Journaled>,
    /// Files that cannot be read as rings.
    pub refused: Vec<Error>,
}

/// Lines for a log file that a flusher did not finish writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journaled {
    /// Name of the file, see [`lastwords_ring::place::folder::is_log_name`].
    pub log: String,
    /// The lines, from the first on that is not whole in the file.
    pub lines: Vec<u8>,
    /// The same batch has lines for the role's other file, which are there or listed too.
    pub twin: bool,
}

impl Recovery {
    /// Reads so much of each ring.
    #[must_use]
    pub fn new(scope: Scope) -> Recovery {
        Recovery { scope, ..Recovery::default() }
    }

    /// Adds all rings of a log folder, and what its journal holds.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be listed, or its journal or a log file not be read.
    pub fn add_folder(&mut self, folder: &Folder) -> Result<()> {
        let mut entry = if self.scope == Scope::Unwritten { Journal::peek(folder)? } else { None };
        if let Some(found) = &entry {
            self.journaled.extend(unwritten(folder, found)?);
            if redo::lacks_bytes(folder, found)? {
                // The rings know better than the journal what is missing.
                entry = None;
            }
        }
        for name in folder.ring_names()? {
            if let Some(twin) = folder.twin(&name) {
                let why = format!("it has the name of {}, but for its ending", twin.display());
                self.refused.push(Error::not_a_ring(&folder.rings().join(&name), why));
                continue;
            }
            match RingReader::reopening_in(folder, &name) {
                Err(error @ Error::Io { .. }) if error.is_not_found() => {
                    // The flusher may have removed it since it was listed.
                    if UnseenRing::look(folder, &name)?.is_some() {
                        self.refused.push(error);
                    }
                }
                opened => self.add(opened, entry.as_ref()),
            }
        }
        Ok(())
    }

    /// Adds one ring file. What cannot be read is listed in `refused`.
    pub fn add_file(&mut self, path: &Path) {
        self.add(RingReader::reopening(path), None);
    }

    pub(crate) fn add(&mut self, opened: Result<RingReader<RingFile>>, journal: Option<&Entry>) {
        match opened.and_then(|reader| RecoveredRing::new(reader, journal, self.scope, &mut self.scales)) {
            Ok(ring) => self.rings.push(ring),
            Err(error) => self.refused.push(error),
        }
    }

    /// Hands every record to `take`, in the order of the drain, which returns how many bytes it made of it. A ring of which more
    /// is made than [`crate::render::line::RENDERED_TIMES`] allows is left there.
    ///
    /// # Errors
    /// What `take` returns, and [`Error::Io`] if a ring cannot be read.
    pub fn for_each<E: From<Error>>(
        &mut self,
        mut take: impl FnMut(&Recovered<'_>) -> Result<u64, E>,
    ) -> Result<(), E> {
        let mut merge = Merge::default();
        for (number, ring) in self.rings.iter_mut().enumerate() {
            ring.fill_all()?;
            merge.extend((0..ring.lanes.len()).filter_map(|lane| ring.next(number, lane)));
        }
        while let Some(Next { ring: number, lane, .. }) = merge.pop() {
            let ring = &mut self.rings[number];
            ring.take(lane, &mut take)?;
            merge.extend(ring.next(number, lane));
        }
        Ok(())
    }

    /// Like [`Recovery::rings`], but mutable.
    pub(crate) fn rings_mut(&mut self) -> &mut [RecoveredRing] {
        &mut self.rings
    }

    /// The rings that could be read.
    pub(crate) fn rings(&self) -> &[RecoveredRing] {
        &self.rings
    }

    /// What is known of each ring.
    pub fn reports(&self) -> impl Iterator<Item = &RingReport> {
        self.rings.iter().map(|ring| &ring.report)
    }
}

impl RingReport {
    /// What a capture of the process may be about; None if it may be alive, and where nobody asks for it.
    pub(crate) fn died_of(&self) -> Option<DiedOf> {
        let ending = Ending::conclude(self.closed, self.fatal_signal, self.status, self.verdict == Verdict::Exec);
        ending.died_of().filter(|_| !self.verdict.may_live())
    }

    /// How the process ended, as far as it is known.
    #[must_use]
    pub fn ending(&self) -> String {
        if self.truncated > 0 {
            return format!("truncated, {} bytes are missing", self.truncated);
        }
        describe(self.verdict, self.closed, self.fatal_signal, self.status)
    }
}

/// How the process of a ring ended, or that it lives.
pub(crate) fn ending(verdict: Verdict, control: &ControlSnapshot, status: Option<WaitStatus>) -> String {
    describe(verdict, control.closed, control.fatal_signal, status)
}

fn describe(verdict: Verdict, closed: Closed, fatal: Option<u32>, status: Option<WaitStatus>) -> String {
    match (verdict, closed) {
        (Verdict::Alive, _) => "alive".to_owned(),
        (Verdict::Unseen, Closed::Open) => "cannot be seen from here".to_owned(),
        (Verdict::Perhaps, Closed::Open) => "cannot be seen from here, probably dead".to_owned(),
        _ => Ending::conclude(closed, fatal, status, verdict == Verdict::Exec).to_string(),
    }
}

impl RecoveredRing {
    pub(crate) fn reader(&self) -> &RingReader<RingFile> {
        &self.reader
    }

    /// Sets how the process ended, if its death was seen elsewhere.
    pub(crate) fn set_status(&mut self, status: Option<WaitStatus>) {
        self.report.status = status;
    }

    /// Calendar time of its newest record that is not ahead of the clock; None if there is none.
    pub(crate) fn newest_ns(&self) -> Result<Option<u64>> {
        newest_ns(&self.reader, self.lanes.iter().map(|lane| lane.extent), self.clock.timeline())
    }

    fn new(
        reader: RingReader<RingFile>,
        journal: Option<&Entry>,
        scope: Scope,
        scales: &mut Scales,
    ) -> Result<RecoveredRing> {
        let found = reader.source().with(File::metadata).map_err(Error::io("inspect the ring", reader.path()))?;
        let evidence = reader
            .source()
            .with(|file| Evidence::collect(file, found.ino(), reader.process()))
            .map_err(Error::io("inspect the lock of", reader.path()))?;
        let verdict = evidence.verdict();
        let control = reader.control()?;
        let (everything, slots) = (scope == Scope::Everything, reader.geometry().slots());
        let (mut scratch, mut snapshots, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
        reader.lanes(&mut scratch, &mut snapshots)?;
        for (number, snapshot) in snapshots.iter().enumerate() {
            let position = journaled_position(journal, &reader, number).unwrap_or(snapshot.position);
            // Only without a writer it is looked for, in the whole lane.
            let last = if verdict.may_live() { None } else { Some(reader.last_sequence(number, &mut scratch)?) };
            let extent = snapshot.extent(last);
            // All that the ring holds excludes its backlog, which may be drained already, and not removed yet.
            let whole = || LaneCursor::behind(extent.end().saturating_sub(slots));
            lanes.push(LaneRead {
                cursor: if everything { whole() } else { LaneCursor::at(position) },
                extent,
                wanted: everything || snapshot.kind != lane_kind::RING_ONLY,
                snapshot: *snapshot,
            });
        }
        let report = RingReport {
            path: reader.path().to_owned(),
            role: reader.role().to_owned(),
            pid: reader.header().pid,
            verdict,
            closed: control.closed,
            fatal_signal: control.fatal_signal,
            status: if verdict == Verdict::Dead { witness::status(reader.process(), None) } else { None },
            records: 0,
            lost: snapshots
                .iter()
                .map(|lane| lane.dropped.saturating_sub(if everything { 0 } else { lane.position.dropped_reported }))
                .sum(),
            damaged: 0,
            in_flight: 0,
            withheld: 0,
            truncated: reader.geometry().file_size().saturating_sub(found.len()),
        };
        let mut clock = RingClock::new(&reader)?;
        clock.order_evenly(reader.header(), scales);
        let left = rendered_max(&reader)?;
        let mut names = LevelNames::default();
        names.refresh(&reader)?;
        Ok(RecoveredRing { reader, clock, lanes, report, sites: Sites::default(), names, everything, left })
    }

    fn fill_all(&mut self) -> Result<()> {
        (0..self.lanes.len()).try_for_each(|lane| self.fill(lane))
    }

    fn fill(&mut self, number: usize) -> Result<()> {
        let lane = &mut self.lanes[number];
        if !lane.wanted {
            return Ok(());
        }
        loop {
            lane.cursor.read(&self.reader, number, lane.extent, SLOTS)?;
            self.report.damaged += lane.cursor.batch().damaged;
            // What was overwritten while it was read is no end: what follows may be there.
            if !lane.cursor.batch().is_empty() || !lane.cursor.batch().more {
                break;
            }
        }
        let cut_off = lane.cursor.has_in_flight(lane.extent, lane.snapshot.reserved, self.reader.geometry());
        self.report.in_flight += u64::from(cut_off && !lane.cursor.batch().more);
        Ok(())
    }

    /// A lane's next record in the merge, in which the ring has this number.
    fn next(&self, ring: usize, lane: usize) -> Option<Next> {
        Next::of((ring, self.reader.header().uuid), lane, &self.lanes[lane].cursor, &self.clock)
    }

    fn take<E: From<Error>>(
        &mut self,
        number: usize,
        take: &mut impl FnMut(&Recovered<'_>) -> Result<u64, E>,
    ) -> Result<(), E> {
        let lane = &mut self.lanes[number];
        if self.left == 0 {
            self.report.withheld += 1;
        } else if let Some(record) = lane.cursor.batch().peek() {
            self.report.records += 1;
            // If the whole ring is read, overwritten records are not a loss.
            let lost = if self.everything { 0 } else { lane.cursor.missing() };
            self.report.lost = self.report.lost.saturating_add(lost);
            let realtime_ns = self.clock.realtime_ns(record.clock);
            let site = self.sites.get(&self.reader, record.call_site)?;
            let thread_name = lane.snapshot.thread_name(&record).map(<[u8]>::to_vec);
            let spilled = self.reader.unspill(&record);
            // The message of a record that is written already may be gone.
            self.report.damaged += u64::from(spilled.is_err() && !self.everything);
            let lost = spilled.as_ref().map_or_else(ToString::to_string, |_| String::new());
            let record = match &spilled {
                Ok(None) => record,
                Ok(Some((body, encoding))) => Record { body, encoding: *encoding, ..record },
                Err(_) => Record { body: lost.as_bytes(), encoding: 0, ..record },
            };
            let (pid, role) = (self.report.pid, self.report.role.as_str());
            let level_name = self.names.get(record.level);
            let ring = self.reader.header().uuid;
            let made =
                take(&Recovered { record, realtime_ns, pid, role, site, level_name, thread_name, ring, lane: number })?;
            self.left = self.left.saturating_sub(made);
        }
        lane.cursor.take();
        if lane.cursor.batch().is_empty() && lane.cursor.batch().more {
            self.fill(number)?;
        }
        Ok(())
    }
}

fn journaled_position(journal: Option<&Entry>, reader: &RingReader<RingFile>, number: usize) -> Option<Position> {
    journal?.changes.iter().find_map(|change| match change {
        Change::Position { uuid, lane, words, .. } if *uuid == reader.header().uuid && *lane as usize == number => {
            Some(Position::from_words(words))
        }
        _ => None,
    })
}

/// Bytes of the entry that its log files do not hold yet.
fn unwritten(folder: &Folder, entry: &Entry) -> Result<Vec<Journaled>> {
    let mut missing = Vec::new();
    for (change, part) in entry.changes_with_bytes() {
        let Change::Append { log, file, offset, .. } = change else { continue };
        let there = bytes_there(&folder.log_file(log), *file, *offset, part)?;
        if there < part.len() {
            let begun = part[..there].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let twin = entry.changes.iter().any(|change| is_twin(change, log));
            missing.push(Journaled { log: log.clone(), lines: part[begun..].to_vec(), twin });
        }
    }
    Ok(missing)
}

/// Whether the change appends lines to the other file of the role that has this one.
fn is_twin(change: &Change, of: &str) -> bool {
    let Change::Append { log, length, .. } = change else { return false };
    *length > 0 && log != of && role_of(log) == role_of(of)
}

fn bytes_there(path: &Path, identity: (u64, u64), offset: u64, bytes: &[u8]) -> Result<usize> {
    let opened = open::if_there(open::to_read(path)).map_err(Error::io("open the log file", path))?;
    let Some(file) = opened else { return Ok(0) };
    let metadata = file.metadata().map_err(Error::io("inspect the log file", path))?;
    if (metadata.dev(), metadata.ino()) != identity || metadata.len() < offset {
        return Ok(0);
    }
    let there = bytes.len().min((metadata.len() - offset) as usize);
    let mut found = vec![0u8; there];
    file.read_exact_at(&mut found, offset).map_err(Error::io("read the log file", path))?;
    Ok(if found == bytes[..there] { there } else { 0 })
}
