//! The drain: one pass reads all rings of a folder, merges their records by time, and writes them to the log files.
//!
//! A pass notes the raw clock T, scans for new rings, and reads every lane. Records from before T less a margin are final,
//! unless a lane shows an open slot: its record may carry an earlier clock, so lines after the last one before it wait, at most
//! 50 ms. Ties are broken by ring UUID, lane and sequence. Rings of dead processes are read to the end, get their death line
//! where they were not closed, and are removed in the same journal entry.

use crate::crash::teller::Teller;
use crate::drain::durable::Durable;
use crate::drain::failures::Failures;
use crate::drain::tracked_ring::{TrackedLane, TrackedRing};
use crate::election::Lease;
use crate::evidence::last_seen::Sight;
use crate::evidence::witness::Witnesses;
use crate::files::journal::{Entry, FoundEntry, Journal};
use crate::files::notices;
use crate::files::offsets::FolderZone;
use crate::files::output::{BATCH, Output};
use crate::files::redo;
use crate::files::role::{Requested, Role};
use crate::files::shared_memory::Remembered;
use crate::files::spare::Spare;
use crate::ring_clock::Scales;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::layout::{ARMED_ANY, ARMED_URGENT};
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::access::Access;
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::{Folder, SHM_FOLDER};
use lastwords_ring::place::open;
use lastwords_ring::sys::fsize;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod ahead;
mod commit;
#[cfg_attr(not(feature = "zstd"), path = "drain/no_compression.rs")]
mod compression;
mod deaths;
mod durable;
mod failures;
mod stop;
pub mod tracked_ring;

mod context;
mod filters;
mod held;
mod merge;
mod refused;
mod retention;
mod unseen;
mod zone;

use filters::EndedFilter;
use held::{Held, Suspended};
use refused::Refused;
use stop::JournalFound;

/// Rings whose files stay open: an embedded flusher must leave its program enough descriptors.
const RINGS_OPEN: usize = 20;
/// Further rings whose files are open because records of theirs were taken not long ago.
const RINGS_RECENT: usize = 12;
/// Nanoseconds before T that count as not yet final. A record whose slot was not seen open reads its clock after T
/// (LANE:B), give or take how far processors reorder the reading of the clock and how well their counters agree.
const MARGIN_NS: u64 = 10_000;
/// Nanoseconds before T from which on no lane holds lines back any more, whatever it shows: twice what one open slot may. A
/// damaged ring may look open for ever, and a hostile one at another place each time.
const HOLD_LIMIT_NS: u64 = 100_000_000;
/// Bytes by which a log file stays below the file size limit.
const FILE_MARGIN: u64 = 4096;
/// Time between two checks of the kernel's clock source.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(60);
/// Time between two scans of the folder when the doorbell does not ring.
const RESCAN_EVERY: Duration = Duration::from_secs(1);

/// What a pass did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Records written.
    pub records: u64,
    /// Records were read that may not be written yet.
    pub waiting: bool,
    /// Rings that were drained to the end and removed.
    pub removed: u64,
}

/// The flusher's state for a folder.
#[derive(Debug)]
pub struct Drain {
    folder: Folder,
    journal: Journal,
    /// The lock under which this drain works, if it is one of a flusher.
    lease: Option<Lease>,
    rings: Vec<TrackedRing>,
    roles: Vec<Role>,
    outputs: Vec<Output>,
    /// The time zone of the log lines.
    zone: FolderZone,
    /// Files in the rings folder that could not be opened as rings, each reported once.
    refused: Vec<Refused>,
    /// Rings in shared memory that cannot be seen from here.
    unseen: Vec<Remembered>,
    /// Lines about the folder that wait for an open log file.
    notes: Vec<String>,
    /// Roles whose files cannot be written.
    suspended: Vec<Suspended>,
    /// Parts of entries that are in the journal but could not be applied.
    held: Vec<Held>,
    /// What makes passes fail.
    failures: Failures,
    since_ns: u64,
    listed: Option<(Instant, (i64, i64))>,
    counter: u32,
    /// For rings of an earlier run, see [`TrackedRing::set_earlier`].
    scales: Scales,
    /// Ticks of [`MARGIN_NS`] and [`HOLD_LIMIT_NS`].
    margin: u64,
    hold_limit: u64,
    /// No lane holds lines from before back any longer.
    floor: u64,
    /// Highest order key that may be written in this pass.
    limit: u64,
    /// Spill files whose messages are in the batch, with their roles.
    spills: Vec<(usize, PathBuf)>,
    /// Those whose lines are in their files, and backlog segments that are drained: they wait for a sync.
    written_spills: Vec<PathBuf>,
    /// UUIDs of rings that are not kept open but are open now, the oldest use first.
    recent: VecDeque<[u8; 16]>,
    /// Largest file that this process may write, and the limits derived from it.
    limits: Limits,
    /// For operations that need a descriptor when there are none left.
    spare: Spare,
    durable: Durable,
    /// Mode and group of log and crash files, overriding the rings.
    access: Option<Access>,
    teller: Teller,
    /// By ring: until when its filter applies, if it expires.
    filter_ends: BTreeMap<[u8; 16], Option<u64>>,
    /// Expired filters whose end is not logged yet.
    ended_filters: Vec<EndedFilter>,
    /// The last pass failed, so records wait in the rings.
    waiting: bool,
    journal_left: JournalFound,
    witnesses: Witnesses,
    sight: Sight,
    compressor: compression::Compressor,
    looked_at_clock: Instant,
    /// It is logged that the kernel left the clock of the rings.
    clock_logged: bool,
}

impl Drain {
    /// Opens the folder and completes what an earlier flusher left half done; what cannot be completed now is retried in the
    /// passes and holds up only its own role. The caller holds the flusher's lock. Rings whose last record is older than
    /// `since_ns` are treated as an earlier run.
    ///
    /// # Errors
    /// [`Error::Io`] if the journal cannot be opened or read.
    pub fn open(folder: &Folder, since_ns: u64) -> Result<Drain> {
        let (journal, left) = Journal::open(folder)?;
        // If this process changes its root, rings in shared memory must not appear to be gone.
        let _ = open::hold(Path::new(SHM_FOLDER));
        let journal_left = JournalFound::of(&left);
        let mut drain = Drain::new(folder, since_ns, journal, journal_left);
        drain.tell_unknown_zone();
        if let FoundEntry::Entry(entry) = left {
            drain.complete(&entry);
        }
        Ok(drain)
    }

    /// Applies what an earlier flusher left in the journal.
    fn complete(&mut self, entry: &Entry) {
        for part in entry.parts() {
            if let Err(error) = redo::apply(&self.folder, &part, entry.is_settled()) {
                self.hold(part, Vec::new(), error);
            }
        }
        if self.held.is_empty()
            && let Err(error) = self.journal.settle(&[])
        {
            // Applying it again at the next start changes nothing.
            self.failures.note(&error);
        }
    }

    fn new(folder: &Folder, since_ns: u64, journal: Journal, journal_left: JournalFound) -> Drain {
        Drain {
            folder: folder.clone(),
            journal,
            lease: None,
            rings: Vec::new(),
            roles: Vec::new(),
            outputs: Vec::new(),
            zone: FolderZone::open(folder),
            refused: Vec::new(),
            unseen: Vec::new(),
            notes: Vec::new(),
            suspended: Vec::new(),
            held: Vec::new(),
            failures: Failures::default(),
            filter_ends: BTreeMap::new(),
            ended_filters: Vec::new(),
            scales: Scales::default(),
            floor: 0,
            since_ns,
            listed: None,
            // Another number than the last flusher's, which producers may still be waiting on.
            counter: clock::now() as u32,
            limit: 0,
            spills: Vec::new(),
            written_spills: Vec::new(),
            recent: VecDeque::new(),
            limits: Limits::now(),
            spare: Spare::new(),
            access: None,
            teller: Teller::default(),
            durable: Durable::new(),
            waiting: false,
            journal_left,
            witnesses: Witnesses::new(),
            sight: Sight::default(),
            compressor: compression::Compressor::default(),
            looked_at_clock: Instant::now(),
            clock_logged: false,
            margin: ticks(MARGIN_NS),
            hold_limit: ticks(HOLD_LIMIT_NS),
        }
    }

    /// Takes the witnesses of processes that flushed before.
    pub(crate) fn hear(&mut self, witnesses: Witnesses) {
        self.witnesses = witnesses;
    }

    /// Has every entry of the journal wait for a check whether the lock is still held.
    pub(crate) fn work_under(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    /// Whether this drain still may write to the journal.
    fn check_lease(&self) -> Result<()> {
        self.lease.as_ref().map_or(Ok(()), Lease::check)
    }

    /// The folder that is drained.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Tracked rings.
    pub(crate) fn rings(&self) -> usize {
        self.rings.len()
    }

    /// Whether another check a second later will reveal more about a ring or its process.
    pub(crate) fn has_undecided_rings(&self) -> bool {
        self.listed.is_none()
            || self.is_unseen_undecided()
            || self.rings.iter().any(|ring| ring.is_undecided() || ring.failures > 0)
    }

    /// Whether there are lanes that no pass reached, because their ring had spent its budget.
    pub(crate) fn has_lanes_left(&self) -> bool {
        let is_read = |ring: &&TrackedRing| ring.failures == 0 && !self.is_suspended(ring.role);
        self.rings.iter().filter(is_read).any(TrackedRing::has_lanes_left)
    }

    /// Ends the pause of expensive rings without records: the other rings have none either.
    pub(crate) fn end_rests(&mut self) {
        self.rings.iter_mut().for_each(TrackedRing::end_rest);
    }

    /// One pass over all rings.
    ///
    /// # Errors
    /// A failure of the journal or a log file. Nothing is lost: the next pass retries.
    pub fn pass(&mut self) -> Result<Pass> {
        let pass = self.try_pass().and_then(|pass| self.tell_trouble().map(|()| pass));
        self.note_waiting(pass.is_err());
        pass.inspect_err(|error| self.failures.note(error))
    }

    /// After a successful pass: logs the failed ones before it.
    fn tell_trouble(&mut self) -> Result<()> {
        let Some(text) = self.failures.line() else { return Ok(()) };
        self.note(text);
        self.commit(None)?;
        self.failures.set_logged();
        Ok(())
    }

    fn try_pass(&mut self) -> Result<Pass> {
        for found in self.journal.take_found() {
            self.note(notices::found_by_journal(&found));
        }
        self.limits = Limits::now();
        self.limit_outputs();
        self.begin_trials(Instant::now());
        // What an earlier pass rendered but could not commit.
        self.write_notes();
        self.commit(None)?;
        let (start, now) = (clock::now(), Instant::now());
        for role in &mut self.roles {
            // The clock itself may have gone back.
            role.youngest = role.youngest.min(start);
        }
        self.floor = if mutant::is(Mutant::HeldForEver) { 0 } else { start.saturating_sub(self.hold_limit) };
        self.rescan(now)?;
        self.look_at_clock(now);
        self.end_filters()?;
        let limit = self.read_all(start, now)?;
        let mut pass = Pass::default();
        self.merge_earlier(&mut pass)?;
        self.limit = limit.min(start.saturating_sub(self.margin));
        self.merge(false, &mut pass)?;
        self.report_drops(false)?;
        self.report_ahead()?;
        self.commit(None)?;
        self.finish_dead(false, &mut pass)?;
        self.tell_events()?;
        self.end_trials()?;
        self.end_of_failures(now);
        self.keep_limits();
        // Left by an earlier flusher that died before removing it.
        self.sweep();
        let goes_on = |ring: &&TrackedRing| !self.is_aside(ring, now);
        // If a read of a lane yields only lost slots, there is more behind them.
        let lane_waits = |lane: &TrackedLane| !lane.batch().is_empty() || lane.batch().more;
        let waits =
            |ring: &TrackedRing| ring.is_scanning() || ring.is_unfinished(now) || ring.lanes.iter().any(lane_waits);
        pass.waiting |= self.rings.iter().filter(goes_on).any(waits);
        Ok(pass)
    }

    /// Whether every ring was asked to ring the doorbell at its next record, and has not rung it since.
    pub(crate) fn is_armed(&self) -> bool {
        !self.is_held_up() && self.rings.iter().all(|ring| ring.failures == 0 && ring.is_armed())
    }

    /// Asks every ring to ring the doorbell: at the next record, or only when one is urgent or a lane fills. Returns whether
    /// that was possible; a ring that cannot be written to or read must be polled.
    pub(crate) fn arm(&mut self, any: bool) -> bool {
        let how = if any { ARMED_ANY } else { ARMED_URGENT };
        let mut failed = false;
        for ring in 0..self.rings.len() {
            // A full lane of a role that cannot be written would ring all the time.
            if !self.is_suspended(self.rings[ring].role) {
                failed |= self.rings[ring].arm(how).is_err();
            }
        }
        self.rest_files();
        !failed && !self.is_held_up() && self.rings.iter().all(|ring| ring.failures == 0)
    }

    /// Closes the files of rings that are not in use.
    fn rest_files(&self) {
        let resting = self.rings.iter().filter(|ring| !self.recent.contains(&ring.reader.header().uuid));
        resting.for_each(|ring| ring.reader.source().rest());
    }

    /// Records of this ring are being taken, so its file stays open for a while.
    fn use_file(&mut self, ring: usize) {
        let (uuid, kept) = (self.rings[ring].reader.header().uuid, self.rings[ring].reader.source().is_kept());
        if kept || self.recent.contains(&uuid) {
            return;
        }
        self.recent.push_back(uuid);
        if self.recent.len() > RINGS_RECENT {
            self.recent.pop_front();
            self.rest_files();
        }
    }

    /// Whether a pass is due although no doorbell rang: a process has died, or the folder has changed.
    pub(crate) fn has_news(&mut self) -> bool {
        let now = Instant::now();
        let suspended: Vec<bool> = (0..self.roles.len()).map(|role| self.is_suspended(role)).collect();
        // A child of a dead process has released the lock of its ring.
        let is_due = |ring: &&mut TrackedRing| ring.dead.is_none() || ring.is_kept();
        let has_news = |ring: &mut TrackedRing| {
            ring.reader.source().forget_cost();
            let died = ring.look(now).is_err() || ring.dead.is_some() && !ring.is_kept();
            died || !suspended[ring.role] && (ring.is_scanning() || ring.is_unfinished(now))
        };
        let changed = open::look(&self.folder.rings())
            .map_or(true, |found| self.listed.is_none_or(|(_, seen)| seen != (found.st_mtime, found.st_mtime_nsec)));
        let news = self.rings.iter_mut().filter(is_due).any(has_news)
            || changed
            || self.is_unseen_undecided()
            || self.is_filter_over()
            || self.has_answer();
        self.rest_files();
        news
    }

    /// Notes that the doorbell rang: some ring is no longer armed, and the folder may have a new one.
    pub(crate) fn rang(&mut self) {
        self.listed = None;
        self.filter_ends.clear();
        for ring in &mut self.rings {
            ring.disarm();
        }
    }

    /// Logs once that the kernel no longer trusts the clock that orders the records.
    fn look_at_clock(&mut self, now: Instant) {
        if self.clock_logged || now.duration_since(self.looked_at_clock) < LOOK_AT_CLOCK {
            return;
        }
        self.looked_at_clock = now;
        if let Some(source) = clock::left_for() {
            self.clock_logged = true;
            self.note(notices::clock_left(&source));
        }
    }

    /// Scans for new rings, when the folder changed or the doorbell rang.
    fn rescan(&mut self, now: Instant) -> Result<()> {
        let path = self.folder.rings();
        let found = open::look(&path).map_err(Error::io("inspect", path))?;
        let changed = (found.st_mtime, found.st_mtime_nsec);
        let fresh = self.listed.is_some_and(|(at, seen)| seen == changed && now.duration_since(at) < RESCAN_EVERY);
        if fresh {
            return Ok(());
        }
        self.refresh_zone();
        // An earlier try may have failed for lack of descriptors.
        if self.witnesses.has_room() {
            self.rings.iter_mut().filter(|ring| ring.is_seen()).for_each(|ring| ring.seek_witness(&mut self.witnesses));
        }
        // If the folder cannot be listed, the tracked rings are drained all the same.
        let names = match self.spare.use_for(|| self.folder.ring_names()) {
            Err(error) if error.may_pass() && !self.rings.is_empty() => return Ok(()),
            names => names?,
        };
        self.unseen.retain(|unseen| names.contains(&unseen.name));
        let known: BTreeSet<&str> = self.rings.iter().map(|ring| ring.name.as_str()).collect();
        let new: Vec<String> = names.into_iter().filter(|name| !known.contains(name.as_str())).collect();
        let mut all = true;
        for name in new {
            if self.is_spoken_for(&name) {
                continue;
            }
            if let Some(twin) = self.folder.twin(&name) {
                let why = format!("it has the name of {}, but for its ending", twin.display());
                let error = Error::not_a_ring(&self.folder.rings().join(&name), why);
                self.refuse(name, &error);
                continue;
            }
            all &= self.find(name, now)?;
        }
        self.listed = all.then_some((now, changed));
        Ok(())
    }

    /// Tracks the ring of this name. A transient failure is retried at once, to keep the order of the lines, then in the next
    /// passes; false then.
    fn find(&mut self, name: String, now: Instant) -> Result<bool> {
        let Drain { folder, rings, spare, witnesses, .. } = self;
        let keep = rings.len() < RINGS_OPEN;
        let mut open = || TrackedRing::open(folder, &name, keep, witnesses);
        let mut opened = spare.use_for(&mut open);
        if opened.as_ref().is_err_and(Error::may_pass) {
            opened = spare.use_for(&mut open);
        }
        match opened {
            Ok(ring) => {
                self.unseen.retain(|unseen| unseen.name != name);
                self.accept(&name);
                self.track(ring);
            }
            Err(error) if error.is_not_found() => self.look_at_unseen(&name, now)?,
            Err(error) => {
                let passes = error.may_pass();
                self.refuse(name, &error);
                return Ok(!passes);
            }
        }
        Ok(true)
    }

    fn limit_outputs(&mut self) {
        for output in &mut self.outputs {
            output.file_size_max = self.limits.file;
        }
    }

    fn track(&mut self, mut ring: TrackedRing) {
        let (name, header) = (ring.reader.role(), ring.reader.header());
        let requested = Requested { header, files: &ring.files };
        ring.role = self.roles.iter().position(|role| role.name == name).unwrap_or_else(|| {
            self.roles.push(Role::new(name, &requested, &mut self.outputs, &self.zone));
            self.roles.len() - 1
        });
        self.roles[ring.role].adopt(&requested, &mut self.outputs, &self.zone);
        self.durable.adopt(&ring);
        self.rings.push(ring);
        for output in &mut self.outputs {
            output.durable = self.durable.is_on();
            if let Some(access) = self.access.filter(|access| *access != output.access) {
                output.access = access;
                output.share();
            }
        }
        self.limit_outputs();
        self.seek_to_compress();
        self.tell_of_stop();
        self.write_notes();
    }
}

/// What the file size limit (ulimit -f) allows, in bytes.
#[derive(Debug)]
struct Limits {
    /// Largest log file.
    file: u64,
    /// Most rendered bytes of a record in one file: the journal must take a batch and a record of both forms.
    record: usize,
    /// Rendered bytes after which a batch is written.
    batch: usize,
}

impl Limits {
    fn now() -> Limits {
        let file = fsize::limit();
        let share = usize::try_from(file / 4).unwrap_or(usize::MAX);
        // The mark that ends a line truncated by another program may come on top of a full file.
        let margin = if file == u64::MAX { 0 } else { FILE_MARGIN };
        let record = if margin == 0 { usize::MAX } else { share };
        Limits { file: file.saturating_sub(margin), record, batch: share.min(BATCH) }
    }
}

/// Raw ticks of a time.
fn ticks(ns: u64) -> u64 {
    (u128::from(clock::measure_hz()) * u128::from(ns) / 1_000_000_000) as u64
}
