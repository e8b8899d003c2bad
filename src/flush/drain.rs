//! The drain: one pass reads all rings of a folder, merges their records by time, and writes them to the log files.
//!
//! A pass notes the raw clock T, looks for new rings, and reads every lane. Records from before T less a margin are
//! final, unless a lane shows an open slot: its record may carry an earlier clock, so lines after the last one before
//! it wait, at most 50 ms. Ties are broken by ring UUID, lane and sequence. Rings of dead processes are read to the
//! end, get their death line where they were not closed, and are removed in the same journal entry.

use crate::clock;
use crate::complain::complain;
use crate::decode::ENTRY;
use crate::error::{self, Error, Result};
use crate::flush::apply;
use crate::flush::durable::Durable;
use crate::flush::follow::Follow;
use crate::flush::journal::{Change, Entry, Journal, Left};
use crate::flush::lines;
use crate::flush::logfile::plan_rotation;
use crate::flush::output::Output;
use crate::flush::render;
use crate::flush::trouble::Trouble;
use crate::folder::{Folder, SHM_ENDING};
use crate::level::Level;
use crate::logger::{ARMED_ANY, ARMED_URGENT};
use crate::mutant::{self, Mutant};
use crate::process::boot_id;
use crate::reader::Position;
use crate::record::Record;
use crate::spill::{self, SpillReference};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

mod disk;

use disk::JournalLeft;

/// Rendered bytes after which a batch is written. Positions move with a batch, so it also says how long a producer with
/// a full lane waits.
const BATCH: usize = 256 << 10;
/// Bytes that the records of all lanes together may take in memory.
const READ_BUDGET: usize = 12 << 20;
/// Slots that are read at once where few lanes are in use: what fits the processor's cache beside the rendered lines.
const READ_MAX: usize = 2048;
/// Slots that are read at once however many lanes are in use.
const READ_MIN: usize = 64;
/// Rings whose files stay open, with a descriptor each for the file and for the end of its process: an embedded flusher
/// must leave its program enough of them.
const RINGS_OPEN: usize = 20;
/// Further rings whose files are open because records of theirs were taken not long ago.
const RINGS_RECENT: usize = 12;
/// Nanoseconds before T that count as not yet final. A record whose slot was not seen open reads its clock after T
/// (LANE:B), give or take how far processors reorder the reading of the clock and how well their counters agree.
const MARGIN_NS: u64 = 10_000;
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
    margin: u64,
    /// Highest order key that may be written in this pass.
    limit: u64,
    /// Spill files whose messages are in the batch.
    spills: Vec<PathBuf>,
    /// UUIDs of rings that are not kept open but are open now, the oldest use first.
    recent: VecDeque<[u8; 16]>,
    durable: Durable,
    /// The last pass failed: records wait in the rings.
    waiting: bool,
    journal_left: JournalLeft,
}

/// A lane's next record in the merge.
type Next = Reverse<(u64, [u8; 16], usize, u64, usize)>;

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
            outputs: Vec::new(),
            refused: Vec::new(),
            doubted: Vec::new(),
            notes: Vec::new(),
            stuck,
            trouble,
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
            margin: (u128::from(clock::measure_hz()) * u128::from(MARGIN_NS) / 1_000_000_000) as u64,
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
        // What an earlier pass rendered but could not commit.
        self.write_notes();
        self.commit(Vec::new())?;
        let (start, now) = (clock::now(), Instant::now());
        self.rescan(now)?;
        let limit = self.read_all(start, now)?;
        let mut pass = Pass::default();
        self.merge_earlier(&mut pass)?;
        self.limit = limit.min(start.saturating_sub(self.margin));
        self.merge(false, &mut pass)?;
        self.report_drops(false)?;
        self.commit(Vec::new())?;
        self.finish_dead(false, &mut pass)?;
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
        let changed = fs::metadata(self.folder.rings())
            .map_or(true, |found| self.listed.is_none_or(|(_, seen)| seen != (found.mtime(), found.mtime_nsec())));
        let news = self.rings.iter_mut().filter(|ring| ring.dead.is_none()).any(died) || changed;
        self.rest_files();
        news
    }

    /// Takes note that the doorbell rang: some ring is no longer armed, and the folder may have a new one.
    pub(crate) fn rang(&mut self) {
        self.listed = None;
        for ring in &mut self.rings {
            ring.disarm();
        }
    }

    /// Notes in the journal that everything has been applied.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn settle(&mut self) -> Result<()> {
        // Without any role there is no file to tell it in.
        for text in self.notes.drain(..) {
            complain(format_args!("{}", text.trim_start_matches("lastwords: ")));
        }
        // Positions that could not be written to their ring are nowhere but in the journal.
        let done = self.stuck.is_none() && self.rings.iter().all(|ring| ring.moved().next().is_none());
        if done && self.journal.settle(&self.ends(|_| true))? {
            self.durable.wrote();
        }
        Ok(())
    }

    /// Applies the journal's last entry, if that has failed so far.
    fn retry_stuck(&mut self) -> Result<()> {
        let Some(entry) = self.stuck.take() else { return Ok(()) };
        if let Err(error) = self.apply_stuck(&entry) {
            self.stuck = Some(entry);
            return Err(error);
        }
        self.durable.named();
        for output in &mut self.outputs {
            output.file = None;
        }
        self.applied(&entry);
        self.drop_spills();
        Ok(())
    }

    /// Takes note that an entry's positions are in their rings.
    fn applied(&mut self, entry: &Entry) {
        self.counter = self.counter.wrapping_add(1);
        for change in &entry.changes {
            let Change::Position { uuid, lane, words, .. } = change else { continue };
            let ring = self.rings.iter_mut().find(|ring| ring.reader.header().uuid == *uuid);
            if let Some(ring) = ring {
                ring.published_by_journal(*lane, Position::from_words(words));
                let _ = ring.wake(self.counter);
            }
        }
    }

    /// Looks for new rings, when the folder changed or the doorbell rang.
    fn rescan(&mut self, now: Instant) -> Result<()> {
        let path = self.folder.rings();
        let found = fs::metadata(&path).map_err(Error::io("look at", path))?;
        let changed = (found.mtime(), found.mtime_nsec());
        let fresh = self.listed.is_some_and(|(at, seen)| seen == changed && now.duration_since(at) < RESCAN_EVERY);
        if fresh {
            return Ok(());
        }
        let mut first_failure = None;
        for name in self.folder.ring_names()? {
            if self.rings.iter().any(|ring| ring.name == name) {
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
        let role = ring.reader.role();
        ring.output = self.outputs.iter().position(|output| output.role == role).unwrap_or_else(|| {
            self.outputs.push(Output::new(role));
            self.outputs.len() - 1
        });
        self.outputs[ring.output].adopt(ring.reader.header(), ring.utc());
        self.durable.adopt(&ring);
        self.rings.push(ring);
        for output in &mut self.outputs {
            output.durable = self.durable.is_on();
        }
        self.tell_of_stop();
        self.write_notes();
    }

    /// Reads all lanes and returns up to which raw clock the lines are final.
    fn read_all(&mut self, pass: u64, now: Instant) -> Result<u64> {
        let lanes = self.rings.iter().map(Follow::lanes_in_use).sum();
        let mut limit = u64::MAX;
        let mut failed = Vec::new();
        for (number, ring) in self.rings.iter_mut().enumerate() {
            let slots_max = slots_max(ring, lanes);
            match ring.look(now).and_then(|()| ring.read(pass, now, slots_max)) {
                Ok(hold) => {
                    limit = limit.min(hold);
                    ring.failures = 0;
                    let first_look = ring.looked_at.replace(now).is_none();
                    let older = ring.is_of_another_boot() || ring.newest_ns() < self.since_ns;
                    ring.earlier |= first_look && ring.dead.is_some() && older;
                }
                Err(error) => failed.push((number, error)),
            }
            if !self.recent.contains(&ring.reader.header().uuid) {
                ring.reader.source().rest();
            }
        }
        self.leave_aside(failed).map(|()| limit)
    }

    /// What becomes of rings that could not be read. A reason that may pass fails the pass, once, to keep the order of
    /// the lines; after that the others go on without such a ring, which is followed all the same: only this process
    /// may know how far it is drained.
    fn leave_aside(&mut self, failed: Vec<(usize, Error)>) -> Result<()> {
        let mut first_failure = None;
        for (number, error) in failed.into_iter().rev() {
            let ring = &mut self.rings[number];
            ring.failures += 1;
            match (error.may_pass(), ring.failures) {
                (true, 1) => first_failure = Some(error),
                (true, _) => {
                    let name = ring.name.clone();
                    self.refuse(name, &error);
                }
                (false, _) => {
                    let ring = self.rings.remove(number);
                    self.refuse(ring.name, &error);
                }
            }
        }
        first_failure.map_or(Ok(()), Err)
    }

    /// Rings of an earlier run come first, each role's under one line that says so.
    fn merge_earlier(&mut self, pass: &mut Pass) -> Result<()> {
        if !self.rings.iter().any(|ring| ring.earlier) {
            return Ok(());
        }
        for output in 0..self.outputs.len() {
            let of_earlier = |ring: &Follow| ring.earlier && ring.output == output && !ring.headed;
            let has_records = |ring: &Follow| ring.lanes.iter().any(|lane| !lane.batch.is_empty());
            let rings: Vec<usize> = (0..self.rings.len())
                .filter(|ring| of_earlier(&self.rings[*ring]) && has_records(&self.rings[*ring]))
                .collect();
            if let Some(first) = rings.first() {
                let pid = self.rings[*first].reader.header().pid;
                self.line(output, clock::realtime_ns(), pid, Level::WARNING, &lines::earlier_run(rings.len()))?;
                // A pass that fails from here on does not say it again.
                rings.into_iter().for_each(|ring| self.rings[ring].headed = true);
            }
        }
        let live = std::mem::replace(&mut self.limit, u64::MAX);
        self.merge(true, pass)?;
        self.limit = live;
        self.report_drops(true)?;
        self.commit(Vec::new())?;
        self.finish_dead(true, pass)
    }

    /// Renders records up to the limit in their order.
    fn merge(&mut self, earlier: bool, pass: &mut Pass) -> Result<()> {
        let mut heap: BinaryHeap<Next> = BinaryHeap::new();
        for ring in 0..self.rings.len() {
            if self.rings[ring].earlier == earlier {
                heap.extend((0..self.rings[ring].lanes.len()).filter_map(|lane| self.next_of(ring, lane)));
            }
        }
        while let Some(Reverse((key, _, lane, _, ring))) = heap.pop() {
            if key > self.limit {
                break;
            }
            let rival = heap.peek().copied();
            let next = self.run(ring, lane, rival, pass)?;
            heap.extend(next);
        }
        Ok(())
    }

    fn next_of(&self, ring: usize, lane: usize) -> Option<Next> {
        let follow = &self.rings[ring];
        let record = follow.lanes[lane].batch.peek()?;
        Some(Reverse((follow.order_key(record.clock), follow.reader.header().uuid, lane, record.first, ring)))
    }

    /// Renders records of one lane as long as they come before the `rival` of all other lanes.
    fn run(&mut self, ring: usize, lane: usize, rival: Option<Next>, pass: &mut Pass) -> Result<Option<Next>> {
        self.use_file(ring);
        let lanes = self.rings.iter().map(Follow::lanes_in_use).sum();
        // Up to here no tie has to be broken.
        let clear = rival.map_or(u64::MAX, |Reverse((key, ..))| key);
        loop {
            self.emit(ring, lane)?;
            pass.records += 1;
            let follow = &mut self.rings[ring];
            if follow.is_behind(lane) {
                let slots = slots_max(follow, lanes);
                let hold = follow.refill_in_merge(lane, slots)?;
                self.limit = self.limit.min(hold);
            }
            let Some(clock) = follow.lanes[lane].batch.next_clock() else { return Ok(None) };
            let key = follow.order_key(clock);
            if key < clear && key <= self.limit {
                continue;
            }
            let Some(next) = self.next_of(ring, lane) else { return Ok(None) };
            // Reverse turns the order round: the smaller key is the greater entry.
            if key > self.limit || rival.is_some_and(|rival| next < rival) {
                return Ok(Some(next));
            }
        }
    }

    /// Renders a lane's next record and takes it.
    fn emit(&mut self, ring_number: usize, lane_number: usize) -> Result<()> {
        let ring = &mut self.rings[ring_number];
        let (output_number, pid, dead) = (ring.output, ring.reader.header().pid, ring.dead.is_some());
        let output = &mut self.outputs[output_number];
        let start = output.lines.len();
        let Some(clock) = ring.lanes[lane_number].batch.next_clock() else { return Ok(()) };
        let ns = ring.realtime_ns(clock);
        let lane = &ring.lanes[lane_number];
        let Some(record) = lane.batch.peek() else { return Ok(()) };
        let expected = lane.taken.next_message.max(1);
        // Whatever may fail comes before the first byte of a line: a pass that fails here begins this record anew.
        let site = ring.sites.get(&ring.reader, record.call_site)?;
        let unspilled = match ring.reader.unspill(&record) {
            Err(lost) if error::may_pass(&lost.error) && lane.may_wait_for(record.first) => {
                return Err(Error::io("read a spilled message of", ring.reader.path())(lost.error));
            }
            unspilled => unspilled,
        };
        if record.message > expected && !mutant::is(Mutant::GapSilent) {
            let before = (lane.taken_clock != 0).then(|| ring.timeline.realtime_ns(lane.taken_clock));
            let text = lines::overwritten(record.message - expected, before, ns, &mut output.stamp);
            render::line(&mut output.lines, &mut output.stamp, ns, pid, Level::WARNING, text.as_bytes(), None);
        }
        let mut spilled = None;
        match unspilled {
            Ok(None) => output.record(&record, site, ns, pid),
            Ok(Some((body, encoding))) => {
                output.record(&Record { body: &body, encoding, ..record }, site, ns, pid);
                let reference = SpillReference::from_bytes(record.body);
                spilled = reference.map(|found| spill::path(ring.reader.entry(), found.number));
            }
            Err(lost) => {
                ring.damaged += 1;
                let text = lost.to_string();
                output.record(&Record { body: text.as_bytes(), encoding: 0, ..record }, None, ns, pid);
            }
        }
        let (last, message) = (record.last, record.message);
        self.rotate_before(output_number, start)?;
        // Not before: a rotation commits what stands above this line, and removes the spills of that alone.
        self.spills.extend(spilled);
        let lane = &mut self.rings[ring_number].lanes[lane_number];
        lane.batch.advance();
        lane.taken = Position {
            released: last,
            written: last,
            next_message: message.saturating_add(1),
            recovered: lane.taken.recovered + u64::from(dead),
            ..lane.taken
        };
        lane.taken_clock = clock;
        if self.outputs.iter().map(|output| output.lines.len()).sum::<usize>() >= BATCH {
            self.commit(Vec::new())?;
        }
        Ok(())
    }

    /// Where the lines from `start` on do not fit the file any more: commits what is before them and rotates. After an
    /// error they are gone, and whoever rendered them does so again.
    fn rotate_before(&mut self, output: usize, start: usize) -> Result<()> {
        if self.outputs[output].file.is_none()
            && let Err(error) = self.outputs[output].refresh(&self.folder)
        {
            self.outputs[output].lines.truncate(start);
            return Err(error);
        }
        if !self.outputs[output].must_rotate(start) {
            return Ok(());
        }
        let carried = self.outputs[output].lines.split_off(start);
        let done = self.commit(Vec::new()).and_then(|()| self.rotate(output));
        self.outputs[output].lines.extend_from_slice(if done.is_ok() { &carried } else { &[] });
        done
    }

    fn rotate(&mut self, output: usize) -> Result<()> {
        let Output { role, rotate_keep, .. } = &self.outputs[output];
        let changes = plan_rotation(&self.folder, role, *rotate_keep)?;
        if let Some(file) = self.outputs[output].file.as_mut().filter(|_| self.durable.is_on()) {
            file.sync()?;
        }
        // Positions that could not be written to their ring stay in the journal's newest entry, but such a ring does not
        // keep the others from being drained.
        self.journal.write(&[changes.as_slice(), &self.positions()].concat(), &[])?;
        let entry = Entry { epoch: 0, boot_id: boot_id(), changes, bytes: Vec::new() };
        self.outputs[output].file = None;
        self.durable.named();
        if let Err(error) = apply::apply(&self.folder, &entry) {
            self.stuck = Some(entry);
            return Err(error);
        }
        self.outputs[output].refresh(&self.folder).map(|_| ())
    }

    /// The positions that are not in their rings yet.
    fn positions(&self) -> Vec<Change> {
        let mut positions = Vec::new();
        for ring in &self.rings {
            let (name, uuid) = (&ring.name, ring.reader.header().uuid);
            positions.extend(ring.moved().map(|(lane, position)| Change::Position {
                ring: name.clone(),
                uuid,
                lane: lane as u32,
                words: position.words(),
            }));
        }
        positions
    }

    /// One line of the flusher's own. It counts towards the file's size as every other.
    fn line(&mut self, output: usize, ns: u64, pid: u32, level: Level, text: &str) -> Result<()> {
        let Output { lines, stamp, .. } = &mut self.outputs[output];
        let start = lines.len();
        render::line(lines, stamp, ns, pid, level, text.as_bytes(), None);
        self.rotate_before(output, start)
    }

    /// A line about the folder itself, for the first role's file, as soon as a role is known.
    fn note(&mut self, text: String) {
        self.notes.push(text);
        self.write_notes();
    }

    fn write_notes(&mut self) {
        while !self.outputs.is_empty()
            && let Some(text) = self.notes.first().cloned()
        {
            if self.line(0, clock::realtime_ns(), std::process::id(), Level::WARNING, &text).is_err() {
                // The file cannot be rotated now; the next look says it.
                return;
            }
            self.notes.remove(0);
        }
    }

    fn report_drops(&mut self, earlier: bool) -> Result<()> {
        for ring in (0..self.rings.len()).filter(|ring| self.rings[*ring].earlier == earlier).collect::<Vec<_>>() {
            for lane in 0..self.rings[ring].lanes.len() {
                let follow = &self.rings[ring];
                let Some((count, first, last)) = follow.unreported_drops(lane) else { continue };
                let (first, last) = (follow.timeline.realtime_ns(first), follow.timeline.realtime_ns(last));
                let (output, pid) = (follow.output, follow.reader.header().pid);
                let text = lines::dropped(count, first, last, &mut self.outputs[output].stamp);
                self.line(output, last, pid, Level::WARNING, &text)?;
                self.rings[ring].report_drops(lane);
            }
        }
        Ok(())
    }

    /// Death lines and removal of rings that have been drained to the end. Each ring's line and its removal are one
    /// entry of the journal, so that a line is never printed for a ring that is still there afterwards.
    fn finish_dead(&mut self, earlier: bool, pass: &mut Pass) -> Result<()> {
        let done = |ring: &Follow| ring.earlier == earlier && ring.is_exhausted();
        while let Some(ring) = self.rings.iter().position(done) {
            let follow = &self.rings[ring];
            let (output, header) = (follow.output, follow.reader.header());
            let (pid, uuid) = (header.pid, header.uuid);
            let removal = Change::Remove { ring: follow.name.clone(), uuid };
            if let Some(text) = lines::death(follow) {
                // What is in the journal without the removal must not hold the line.
                self.commit(Vec::new())?;
                self.line(output, clock::realtime_ns(), pid, Level::CRITICAL, &text)?;
            }
            let committed = self.commit(vec![removal]);
            if committed.is_ok() || self.stuck.is_some() {
                // A stuck entry holds the death line and the removal, and is applied before anything else happens.
                pass.removed += 1;
                self.rings.remove(ring);
                self.durable.leave(&self.rings);
            } else {
                // Nothing has been written; the next pass says it again.
                self.outputs[output].lines.clear();
            }
            committed?;
        }
        Ok(())
    }

    /// Writes the batch: journal, files, positions, removals.
    fn commit(&mut self, removals: Vec<Change>) -> Result<()> {
        // Of two entries the older one is overwritten, so it must have been applied.
        self.retry_stuck()?;
        let mut changes = Vec::new();
        for output in self.outputs.iter_mut().filter(|output| !output.lines.is_empty()) {
            let file = output.refresh(&self.folder)?;
            let (identity, offset) = (file.identity(), file.size());
            let (role, length) = (output.role.clone(), output.lines.len() as u64);
            changes.push(Change::Append { role, file: identity, offset, length });
        }
        let written = changes.len();
        changes.extend(self.positions());
        changes.extend(removals.iter().cloned());
        if changes.is_empty() {
            return Ok(());
        }
        changes.splice(written..written, self.ends(|output| output.lines.is_empty()));
        self.durable.wrote();
        self.mistake_steps(&changes)?;
        let bytes: Vec<&[u8]> =
            self.outputs.iter().map(|output| output.lines.as_slice()).filter(|lines| !lines.is_empty()).collect();
        if !mutant::is(Mutant::JournalOff) {
            self.journal.write(&changes, &bytes)?;
        }
        if mutant::is(Mutant::WrittenEarly) {
            self.publish(true);
        }
        let written = self.write_lines();
        self.counter = self.counter.wrapping_add(1);
        if let Err(error) = written {
            let bytes = bytes_of(&self.outputs);
            self.stuck = Some(Entry { epoch: 0, boot_id: boot_id(), changes, bytes });
            self.forget_lines();
            self.publish(false);
            return Err(error);
        }
        self.forget_lines();
        self.publish(true);
        self.drop_spills();
        self.remove_rings(removals)
    }

    /// Defects in the order of steps, see `mutant.rs`.
    fn mistake_steps(&mut self, changes: &[Change]) -> Result<()> {
        if mutant::is(Mutant::PositionsEarly) {
            self.publish(false);
        }
        for change in changes.iter().filter(|_| mutant::is(Mutant::RemovedEarly)) {
            if let Change::Remove { ring, .. } = change {
                apply::remove(&self.folder, ring)?;
            }
        }
        Ok(())
    }

    /// Spilled messages whose lines are in their files are not needed any more. One that stays because of an
    /// error, or because this process dies now, goes with its ring.
    fn remove_spills(&mut self) {
        for path in self.spills.drain(..) {
            let _ = spill::remove(&path);
        }
    }

    fn write_lines(&mut self) -> Result<()> {
        for output in self.outputs.iter_mut().filter(|output| !output.lines.is_empty()) {
            if let Some(file) = &mut output.file {
                file.append(&output.lines)?;
            }
        }
        Ok(())
    }

    fn forget_lines(&mut self) {
        for output in &mut self.outputs {
            output.lines.clear();
            output.lines.shrink_to(2 * BATCH);
        }
    }

    fn publish(&mut self, written: bool) {
        for ring in &mut self.rings {
            // A ring that cannot be written to does not keep the others from being drained; the journal has its
            // position.
            let _ = ring.publish(written, self.counter);
        }
    }
}

fn bytes_of(outputs: &[Output]) -> Vec<u8> {
    outputs.iter().flat_map(|output| output.lines.iter().copied()).collect()
}

/// Slots that each of `lanes` lanes may read at once.
fn slots_max(ring: &Follow, lanes: usize) -> u64 {
    let slot = ring.reader.geometry().record_size() + ENTRY;
    (READ_BUDGET / lanes.max(1) / slot).clamp(READ_MIN, READ_MAX) as u64
}
