//! A snapshot of a ring from outside, without changing anything.

use crate::evidence::witness;
use crate::files::shared_memory::UnseenRing;
use crate::recover::losses;
use crate::recover::recovery::ending;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::directives::Directives;
use lastwords_ring::format::filter::Filter;
use lastwords_ring::format::layout::{lane_kind, ring_flag};
use lastwords_ring::format::level::Level;
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::{Folder, SHM_ENDING};
use lastwords_ring::place::process::ProcessId;
use lastwords_ring::place::segment::{self, Segment};
use lastwords_ring::read::lane_cursor::LaneCursor;
use lastwords_ring::read::liveness::{Evidence, Verdict};
use lastwords_ring::read::reader::{LaneSnapshot, RingReader};
use lastwords_ring::read::snapshot::ControlSnapshot;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// A ring and its process.
#[derive(Debug, Clone, PartialEq)]
pub struct RingStatus {
    /// Role.
    pub role: String,
    /// Pid of the process.
    pub pid: u32,
    /// The process.
    pub process: ProcessId,
    /// Inode of what it has mapped as its ring, 0 where that cannot be seen from here.
    pub inode: u64,
    /// Whether the process may still write.
    pub alive: bool,
    /// How the process ended, or that it lives, in words.
    pub state: String,
    /// What is recorded.
    pub filter: Filter,
    /// Directives whose target no call site and no logger has had so far, as `target=level`.
    pub unmatched: Vec<String>,
    /// When the process made its ring, nanoseconds since 1970.
    pub started_ns: u64,
    /// Its command line, cut.
    pub command: Vec<String>,
    /// Records for the log file that are not in it yet.
    pub unread: u64,
    /// How full the fullest lane is of records that wait for the flusher, from 0 to 1.
    pub fill: f64,
    /// Records that are meant for the log file.
    pub records: u64,
    /// Ring-only records.
    pub ring_only: u64,
    /// Records lost: dropped, or overwritten before they were read, whether the flusher has found that yet or not.
    pub lost: u64,
    /// Records that came into the log file below younger ones.
    pub late: u64,
    /// Age of the oldest record that is not in the log file.
    pub lag: Duration,
    /// The ring is smaller than its process requested, because there was no room: its size in bytes.
    pub smaller: Option<u64>,
    /// Bytes that are kept beside the ring because the flusher has not come to them.
    pub kept: u64,
    /// How many the process may keep.
    pub backlog_max: u64,
}

impl RingStatus {
    /// Inspects a ring.
    ///
    /// # Errors
    /// As pread(2) and flock(2).
    pub fn read(reader: &RingReader) -> Result<RingStatus> {
        let inode = reader.source().metadata().map_err(Error::io("inspect the ring", reader.path()))?.ino();
        let evidence = Evidence::collect(reader.source(), inode, reader.process())
            .map_err(Error::io("inspect the lock of", reader.path()))?;
        let verdict = evidence.verdict();
        let control = reader.control()?;
        let status = if verdict == Verdict::Dead { witness::status(reader.process(), None) } else { None };
        let (mut buffer, mut lanes) = (Vec::new(), Vec::new());
        reader.lanes(&mut buffer, &mut lanes)?;
        let written = |lane: &&LaneSnapshot| lane.kind != lane_kind::RING_ONLY;
        let messages = |of_file: bool| {
            lanes.iter().filter(move |lane| written(lane) == of_file).map(|lane| lane.messages).sum::<u64>()
        };
        let slots = reader.geometry().slots();
        let waiting = |lane: &LaneSnapshot| lane.reserved.saturating_sub(lane.position.released).min(slots);
        let unread = |lane: &LaneSnapshot| (lane.messages + 1).saturating_sub(lane.position.next_message.max(1));
        let segments = segment::list(reader.path(), reader.geometry(), None);
        let segments = segments.map_err(Error::io("list the backlog of", reader.path()))?;
        let overwritten = losses::overwritten(reader, &lanes, &segments)?;
        let fullest = lanes.iter().filter(written).map(waiting).max().unwrap_or(0);
        Ok(RingStatus {
            inode,
            filter: control.filter(),
            unmatched: unmatched(reader, &control)?,
            unread: lanes.iter().filter(written).map(unread).sum::<u64>().saturating_sub(overwritten),
            fill: fullest as f64 / slots as f64,
            records: messages(true),
            ring_only: messages(false),
            lost: lanes.iter().map(|lane| lane.dropped).sum::<u64>() + control.overwritten() + overwritten,
            late: control.late(),
            lag: lag(reader, &lanes)?,
            smaller: (reader.header().flags & ring_flag::SMALLER != 0).then(|| reader.geometry().file_size()),
            kept: kept(reader, &lanes, &segments),
            ..RingStatus::of_process(reader, verdict, ending(verdict, &control, status))?
        })
    }

    /// What is known of the process, and of its ring nothing.
    fn of_process(reader: &RingReader, verdict: Verdict, state: String) -> Result<RingStatus> {
        Ok(RingStatus {
            role: reader.role().to_owned(),
            pid: reader.header().pid,
            process: reader.process(),
            inode: 0,
            alive: verdict.may_live(),
            state,
            filter: Level::OFF.into(),
            unmatched: Vec::new(),
            started_ns: reader.header().created_ns,
            command: reader.command()?,
            unread: 0,
            fill: 0.0,
            records: 0,
            ring_only: 0,
            lost: 0,
            late: 0,
            lag: Duration::ZERO,
            smaller: None,
            kept: 0,
            backlog_max: u64::from(reader.header().backlog_kib) * 1024,
        })
    }

    /// Inspects the ring of this name, wherever its memory is. None if it is gone.
    ///
    /// # Errors
    /// As open(2), pread(2) and flock(2).
    pub fn of(folder: &Folder, name: &str) -> Result<Option<RingStatus>> {
        match RingReader::open_in(folder, name) {
            Err(error) if error.is_not_found() => RingStatus::unseen(folder, name),
            opened => RingStatus::read(&opened?).map(Some),
        }
    }

    /// The contents of the file that represents shared memory that cannot be seen from here.
    fn unseen(folder: &Folder, name: &str) -> Result<Option<RingStatus>> {
        let found = if name.ends_with(SHM_ENDING) { UnseenRing::look(folder, name)? } else { None };
        let Some(UnseenRing { reader: Some(reader), verdict }) = found else { return Ok(None) };
        let state =
            if verdict.may_live() { "its memory cannot be seen from here" } else { "ended, its memory is not here" };
        RingStatus::of_process(&reader, verdict, state.to_owned()).map(Some)
    }
}

fn unmatched(reader: &RingReader, control: &ControlSnapshot) -> Result<Vec<String>> {
    let directives = control.filter().directives;
    let mut left: BTreeSet<usize> =
        (0..directives.targets().count()).filter(|index| !control.has_matched(*index)).collect();
    if !left.is_empty() {
        for target in reader.targets()? {
            directives.decide(&target).1.map(|index| left.remove(&index));
        }
    }
    let named = directives.targets().enumerate().filter(|(index, _)| left.contains(index));
    let mut named: Vec<String> =
        named.map(|(_, (target, level))| format!("{target}={}", Directives::from(level))).collect();
    named.sort();
    Ok(named)
}

fn kept(reader: &RingReader, lanes: &[LaneSnapshot], segments: &[Segment]) -> u64 {
    let undrained = |segment: &Segment| {
        let released = lanes.get(segment.lane).map_or(u64::MAX, |lane| lane.position.released);
        segment.last().saturating_sub(released.max(segment.first - 1))
    };
    segments.iter().filter(|segment| segment.slots > 0).map(undrained).sum::<u64>()
        * reader.geometry().record_size() as u64
}

fn lag(reader: &RingReader, lanes: &[LaneSnapshot]) -> Result<Duration> {
    let mut oldest = None::<u64>;
    for (number, lane) in lanes.iter().enumerate().filter(|(_, lane)| lane.kind != lane_kind::RING_ONLY) {
        if lane.reserved > lane.position.written {
            let mut cursor = LaneCursor::behind(lane.position.written);
            cursor.read(reader, number, lane.extent(None), 1)?;
            oldest = oldest.into_iter().chain(cursor.batch().next_clock()).min();
        }
    }
    let Some(oldest) = oldest else { return Ok(Duration::ZERO) };
    let since = reader.timeline()?.realtime_ns(oldest);
    Ok(Duration::from_nanos(clock::realtime_ns().saturating_sub(since)))
}
