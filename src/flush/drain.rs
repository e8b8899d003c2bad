//! The drain: one pass reads all rings of a folder, merges their records by time, and writes them to the log files.
//!
//! A pass notes the raw clock T, looks for new rings, and reads every lane. Records from before T less a margin are
//! final, unless a lane shows an open slot: its record may carry an earlier clock, so lines after the last one before
//! it wait, at most 50 ms. Ties are broken by ring UUID, lane and sequence. Rings of dead processes are read to the
//! end, get their death line where they were not closed, and are removed in the same journal entry.

use crate::clock;
use crate::error::{Error, Result};
use crate::flush::apply;
use crate::flush::durable::Durable;
use crate::flush::follow::{Follow, Scales};
use crate::flush::journal::{Entry, Journal, Left};
use crate::flush::lines;
use crate::flush::output::Output;
use crate::flush::role::Role;
use crate::flush::trouble::Trouble;
use crate::folder::{Folder, SHM_ENDING};
use crate::logger::{ARMED_ANY, ARMED_URGENT};
use crate::mutant::{self, Mutant};
use crate::open;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

mod commit;
mod disk;
mod filters;
mod merge;
mod pull;

use disk::JournalLeft;

/// Rendered bytes after which a batch is written. Positions move with a batch, so it also says how long a producer with
/// a full lane waits.
const BATCH: usize = 256 << 10;
/// Rings whose files stay open, with a descriptor each for the file and for the end of its process: an embedded flusher
/// must leave its program enough of them.
const RINGS_OPEN: usize = 20;
/// Further rings whose files are open because records of theirs were taken not long ago.
const RINGS_RECENT: usize = 12;
/// Nanoseconds before T that count as not yet final. A record whose slot was not seen open reads its clock after T
/// (LANE:B), give or take how far processors reorder the reading of the clock and how well their counters agree.
const MARGIN_NS: u64 = 10_000;
/// Nanoseconds before T from which on no lane holds lines back any more, whatever it shows: twice what one open slot may. A
/// damaged ring may look open for ever, and a hostile one at another place each time.
const HOLD_LIMIT_NS: u64 = 100_000_000;
/// Time between two looks into the folder without being rung.
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

/// The flusher's state over a folder.
#[derive(Debug)]
pub struct Drain {
    folder: Folder,
    journal: Journal,
    rings: Vec<Follow>,
    roles: Vec<Role>,
    outputs: Vec<Output>,
    /// Files in the rings folder that are no readable rings, each reported once.
    refused: Vec<String>,
    /// Rings that could not be opened, once, for a reason that may pass.
    doubted: Vec<String>,
    /// Lines about the folder that wait for a file to stand in.
    notes: Vec<String>,
    /// An entry that is in the journal but could not be applied.
    stuck: Option<Entry>,
    /// What makes passes fail.
    trouble: Trouble,
    since_ns: u64,
    listed: Option<(Instant, (i64, i64))>,
    counter: u32,
    /// For rings of an earlier run, see [`Follow::set_earlier`].
    scales: Scales,
    /// Ticks of [`MARGIN_NS`] and [`HOLD_LIMIT_NS`].
    margin: u64,
    hold_limit: u64,
    /// No lane holds lines from before back any longer.
    floor: u64,
    /// Highest order key that may be written in this pass.
    limit: u64,
    /// Spill files whose messages are in the batch.
    spills: Vec<PathBuf>,
    /// UUIDs of rings that are not kept open but are open now, the oldest use first.
    recent: VecDeque<[u8; 16]>,
    durable: Durable,
    /// By ring: until when its filter counts, where it has an end.
    filter_ends: HashMap<[u8; 16], Option<u64>>,
    /// The last pass failed: records wait in the rings.
    waiting: bool,
    journal_left: JournalLeft,
}

impl Drain {
    /// Opens the folder and completes what an earlier flusher left half done; if that fails, the passes try it again
    /// before anything else. The caller holds the flusher's lock. Rings whose last record is older than `since_ns`
    /// count as an earlier run.
    ///
    /// # Errors
    /// [`Error::Io`] if the journal cannot be opened or read.
    pub fn open(folder: &Folder, since_ns: u64) -> Result<Drain> {
        let (mut journal, left) = Journal::open(folder)?;
        let mut trouble = Trouble::default();
        let journal_left = JournalLeft::of(&left);
        let pending = if let Left::Entry(entry) = left { Some(entry) } else { None };
        let stuck = pending.filter(|entry| {
            let done = apply::apply(folder, entry).and_then(|()| journal.settle(&[]).map(|_| ()));
            done.inspect_err(|error| trouble.note(error)).is_err()
        });
        Ok(Drain {
            folder: folder.clone(),
            journal,
            rings: Vec::new(),
            roles: Vec::new(),
            outputs: Vec::new(),
            refused: Vec::new(),
            doubted: Vec::new(),
            notes: Vec::new(),
            stuck,
            trouble,
            filter_ends: HashMap::new(),
            scales: Scales::new(),
            floor: 0,
            since_ns,
            listed: None,
            // Another number than the last flusher's, which producers may still be waiting on.
            counter: clock::now() as u32,
            limit: 0,
            spills: Vec::new(),
            recent: VecDeque::new(),
            durable: Durable::new(),
            waiting: false,
            journal_left,
            margin: ticks(MARGIN_NS),
            hold_limit: ticks(HOLD_LIMIT_NS),
        })
    }

    /// The folder that is drained.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Rings that are followed.
    pub(crate) fn rings(&self) -> usize {
        self.rings.len()
    }

    /// Whether another look a second later will tell more about a ring or its process.
    pub(crate) fn has_undecided_rings(&self) -> bool {
        self.listed.is_none() || self.rings.iter().any(|ring| ring.is_undecided() || ring.failures > 0)
    }

    /// One pass over all rings.
    ///
    /// # Errors
    /// What went wrong with the journal or a log file. Nothing is lost: the next pass tries again.
    pub fn pass(&mut self) -> Result<Pass> {
        let pass = self.try_pass().and_then(|pass| self.tell_trouble().map(|()| pass));
        self.note_waiting(pass.is_err());
        pass.inspect_err(|error| self.trouble.note(error))
    }

    /// After a pass that worked: a line about those before it that did not.
    fn tell_trouble(&mut self) -> Result<()> {
        let Some(text) = self.trouble.line() else { return Ok(()) };
        self.note(text);
        self.commit(Vec::new())?;
        self.trouble.is_told();
        Ok(())
    }

    fn try_pass(&mut self) -> Result<Pass> {
        self.retry_stuck()?;
        for found in self.journal.take_found() {
            self.note(lines::found_by_journal(&found));
        }
        // What an earlier pass rendered but could not commit.
        self.write_notes();
        self.commit(Vec::new())?;
        let (start, now) = (clock::now(), Instant::now());
        self.floor = if mutant::is(Mutant::HeldForEver) { 0 } else { start.saturating_sub(self.hold_limit) };
        self.rescan(now)?;
        self.end_filters()?;
        let limit = self.read_all(start, now)?;
        let mut pass = Pass::default();
        self.merge_earlier(&mut pass)?;
        self.limit = limit.min(start.saturating_sub(self.margin));
        self.merge(false, &mut pass)?;
        self.report_drops(false)?;
        self.commit(Vec::new())?;
        self.finish_dead(false, &mut pass)?;
        self.tell_events()?;
        pass.waiting = self.rings.iter().any(|ring| ring.lanes.iter().any(|lane| !lane.batch.is_empty()));
        Ok(pass)
    }

    /// Asks every ring to ring the doorbell: at the next record, or only when one is urgent or a lane fills. Whether
    /// that was possible; a ring that cannot be written to, or read, must be looked at by time.
    pub(crate) fn arm(&mut self, any: bool) -> bool {
        let how = if any { ARMED_ANY } else { ARMED_URGENT };
        let failed = self.rings.iter_mut().filter_map(|ring| ring.arm(how).err()).count();
        self.rest_files();
        failed == 0 && self.rings.iter().all(|ring| ring.failures == 0)
    }

    /// Closes the files of rings that are not in use.
    fn rest_files(&self) {
        let resting = self.rings.iter().filter(|ring| !self.recent.contains(&ring.reader.header().uuid));
        resting.for_each(|ring| ring.reader.source().rest());
    }

    /// Records of this ring are taken now: its file stays open for a while.
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
        let died = |ring: &mut Follow| ring.look(now).is_err() || ring.dead.is_some();
        let changed = open::look(&self.folder.rings())
            .map_or(true, |found| self.listed.is_none_or(|(_, seen)| seen != (found.st_mtime, found.st_mtime_nsec)));
        let news = self.rings.iter_mut().filter(|ring| ring.dead.is_none()).any(died) || changed || self.is_filter_over();
        self.rest_files();
        news
    }

    /// Takes note that the doorbell rang: some ring is no longer armed, and the folder may have a new one.
    pub(crate) fn rang(&mut self) {
        self.listed = None;
        self.filter_ends.clear();
        for ring in &mut self.rings {
            ring.disarm();
        }
    }

    /// Looks for new rings, when the folder changed or the doorbell rang.
    fn rescan(&mut self, now: Instant) -> Result<()> {
        let path = self.folder.rings();
        let found = open::look(&path).map_err(Error::io("look at", path))?;
        let changed = (found.st_mtime, found.st_mtime_nsec);
        let fresh = self.listed.is_some_and(|(at, seen)| seen == changed && now.duration_since(at) < RESCAN_EVERY);
        if fresh {
            return Ok(());
        }
        let mut first_failure = None;
        for name in self.folder.ring_names()? {
            if self.rings.iter().any(|ring| ring.name == name) {
                continue;
            }
            if let Some(twin) = self.folder.twin(&name) {
                let why = format!("it has the name of {}, but for its ending", twin.display());
                self.refuse(name.clone(), &Error::not_a_ring(&self.folder.rings().join(&name), why));
                continue;
            }
            match Follow::open(&self.folder, &name, self.rings.len() < RINGS_OPEN) {
                Ok(ring) => {
                    self.doubted.retain(|doubted| *doubted != name);
                    self.follow(ring);
                }
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    self.forget_lost_memory(&name)?;
                }
                Err(error) if error.may_pass() && !self.doubted.contains(&name) => {
                    self.doubted.push(name);
                    first_failure = Some(error);
                }
                Err(error) => self.refuse(name, &error),
            }
        }
        // A ring that fails for the first time is looked at again before others are drained, to keep the order.
        self.listed = if first_failure.is_none() { Some((now, changed)) } else { None };
        first_failure.map_or(Ok(()), Err)
    }

    /// Says once why a ring is left aside. It is tried again whenever the folder is looked at: the reason may have been
    /// a lack of descriptors.
    fn refuse(&mut self, name: String, error: &Error) {
        if !self.refused.contains(&name) {
            self.note(lines::refused(error));
            self.refused.push(name);
        }
    }

    /// A ring's name without the ring: shared memory that a reboot, or somebody, has removed. A file that is gone has
    /// no name either.
    fn forget_lost_memory(&mut self, name: &str) -> Result<()> {
        if name.ends_with(SHM_ENDING) {
            self.note(lines::memory_gone(name));
            apply::remove(&self.folder, name)?;
        }
        Ok(())
    }

    fn follow(&mut self, mut ring: Follow) {
        let name = ring.reader.role();
        ring.role = self.roles.iter().position(|role| role.name == name).unwrap_or_else(|| {
            self.roles.push(Role::new(name, ring.reader.header(), &mut self.outputs));
            self.roles.len() - 1
        });
        self.roles[ring.role].adopt(ring.reader.header(), &mut self.outputs);
        self.durable.adopt(&ring);
        self.rings.push(ring);
        for output in &mut self.outputs {
            output.durable = self.durable.is_on();
        }
        self.tell_of_stop();
        self.write_notes();
    }
}

/// Raw ticks of a time.
fn ticks(ns: u64) -> u64 {
    (u128::from(clock::measure_hz()) * u128::from(ns) / 1_000_000_000) as u64
}
