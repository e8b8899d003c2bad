//! One tracked ring: its reader, what is known of its process, and how far each lane is drained.

mod age;
mod lane;
mod publish;

pub(crate) use lane::TrackedLane;

use crate::crash::teller::Telling;
use crate::crash::told::Dead;
use crate::drain::ahead::Ahead;
use crate::evidence::clues::Clues;
use crate::evidence::ending::{Ending, WaitStatus};
use crate::evidence::last_seen::{LastSeen, Sight};
use crate::evidence::witness::{self, Witness, Witnesses};
use crate::files::notices::{self, Death};
use crate::merge::Next;
use crate::recover::recovery::{newest_ns, rendered_max};
use crate::render::call_sites::Sites;
use crate::render::level_names::LevelNames;
use crate::ring_clock::RingClock;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::file_settings::FileSettings;
use lastwords_ring::format::layout::lane_kind;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::process::ProcessState;
use lastwords_ring::read::liveness::{Evidence, Verdict, Watch, is_locked};
use lastwords_ring::read::reader::{Closed, LaneSnapshot, RingReader};
use lastwords_ring::read::ring_file::{RingFile, RingFileState};
use lastwords_ring::sys::map::FutexPage;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between two checks of the evidence where the end of the process is notified: exec is not.
const LOOK_SEEN: Duration = Duration::from_secs(10);
/// Time between two checks whether the lock of a ring whose file is open is free, as an exec leaves it.
const LOOK_AT_LOCK: Duration = Duration::from_millis(500);
/// Time between two checks whether the end of a process shows.
const LOOK_ENDED: Duration = Duration::from_millis(50);
/// Time between two checks of the evidence where the process cannot be seen from here.
const LOOK_UNSEEN: Duration = Duration::from_secs(2);
/// Time between two checks of the evidence while it is in doubt.
const LOOK_DOUBTFUL: Duration = Duration::from_millis(500);
/// Time between two checks for external modification of the ring's file.
const LOOK_AT_FILE: Duration = Duration::from_millis(500);

/// Bytes that one ring may cost in a pass, read, spilled and rendered ones together, before the pass goes on to others. A
/// ring of the usual size that is full takes less than this; the last lane or record may take the sum beyond it.
pub(crate) const BUDGET: u64 = 32 << 20;
/// The budget while the ring shows no record: a full one of the usual size is scanned for the end of its lanes.
const BUDGET_IDLE: u64 = 12 << 20;
/// A ring that has cost as much without showing any record is not read for so many times as long as that took, so that it
/// takes a small part of the flusher's time.
const REST_TIMES: u32 = 10;

/// What is known of a dead process while its lanes are scanned, as many in a pass as the budget allows.
#[derive(Debug)]
struct Scan {
    verdict: Verdict,
    /// The ring is still locked.
    held: bool,
    /// The last sequences of the lanes that are scanned.
    last: Vec<u64>,
}

/// A ring that the flusher drains.
#[derive(Debug)]
pub(crate) struct TrackedRing {
    pub(crate) reader: RingReader<RingFile>,
    pub(crate) name: String,
    /// What it requests for the files of its role.
    pub(crate) files: FileSettings,
    pub(crate) lanes: Vec<TrackedLane>,
    /// Place of its role among those of the drain.
    pub(crate) role: usize,
    pub(crate) clock: RingClock,
    pub(crate) sites: Sites,
    pub(crate) names: LevelNames,
    /// Set once no process can write to the ring any more.
    pub(crate) dead: Option<Verdict>,
    /// The process is dead, but a child of it holds the lock.
    held: bool,
    /// The death of its process is logged.
    pub(crate) death_logged: bool,
    /// What the capture of its process tells, as far as that is known.
    pub(crate) telling: Telling,
    /// Dead before this flusher began: its lines are older than those in the file.
    pub(crate) earlier: bool,
    pub(crate) closed: Closed,
    /// The fatal signal that arrived while the ring was open, if one did.
    pub(crate) fatal_signal: Option<u32>,
    /// What the kernel said of how its process ended.
    pub(crate) status: Option<WaitStatus>,
    pub(crate) damaged: u64,
    /// The line above its records is written.
    pub(crate) headed: bool,
    /// Counts of records written below younger ones, and of records found overwritten.
    pub(crate) late: u64,
    pub(crate) overwritten: u64,
    /// The lane at which the next pass goes on, and how many lanes of this round are left, after a pass that spent the
    /// budget before it came to them.
    next_lane: usize,
    left: usize,
    /// Until then it is not read, see [`REST_TIMES`].
    rests_until: Option<Instant>,
    /// The scan of a dead process's ring for its last records.
    scan: Option<Scan>,
    /// Records whose clock was ahead when they were read.
    pub(crate) ahead: Ahead,
    /// The two numbers that the ring shows.
    published_counts: (u64, u64),
    /// Since when its crash file cannot be written, and why.
    pub(crate) crash_failed: Option<(Instant, Error)>,
    /// How often in a row it could not be read.
    pub(crate) failures: u32,
    /// Before that it is skipped, because it could not be read.
    pub(crate) again: Option<Instant>,
    pub(crate) looked_at: Option<Instant>,
    pub(crate) snapshots: Vec<LaneSnapshot>,
    /// The pass to which the snapshots belong.
    pass: u64,
    scratch: Vec<u8>,
    watch: Watch,
    looked: Option<Instant>,
    looked_for_end: Option<Instant>,
    /// The process has marked the ring as released, which has triggered its one immediate check.
    leaves: bool,
    looked_at_file: Option<Instant>,
    looked_at_lock: Option<Instant>,
    /// The state of the file that was logged last.
    logged_state: RingFileState,
    /// Bytes that its records were rendered to since no process can write to the ring any more.
    pub(crate) rendered: u64,
    /// How many may be, see [`rendered_max`].
    pub(crate) rendered_max: u64,
    /// Records that were left out because that was too much.
    pub(crate) withheld: u64,
    /// The process was seen from here when its ring was found.
    seen: bool,
    /// Reports the end of the process, if it can be watched.
    witness: Option<Arc<Witness>>,
    last_seen: LastSeen,
    armed: u32,
    waker: Option<FutexPage>,
    /// Something was written since the last sync.
    unsynced: bool,
}

impl TrackedRing {
    /// Follows the ring of this name, from the positions that it holds. With `keep` its file stays open.
    pub(crate) fn open(folder: &Folder, name: &str, keep: bool, witnesses: &mut Witnesses) -> Result<TrackedRing> {
        let path = folder.ring_path(name);
        let reader = RingReader::new(RingFile::open(&path, keep)?, &path)?;
        let reader = reader.with_backlog_beside(&path).with_entry(folder.rings().join(name));
        let control = reader.control()?;
        let mut tracked = TrackedRing {
            lanes: (0..reader.geometry().lanes()).map(|_| TrackedLane::default()).collect(),
            role: 0,
            clock: RingClock::new(&reader)?,
            sites: Sites::default(),
            names: LevelNames::default(),
            dead: None,
            held: false,
            death_logged: control.death_logged(),
            telling: Telling::default(),
            earlier: false,
            headed: false,
            failures: 0,
            crash_failed: None,
            again: None,
            late: control.late(),
            overwritten: control.overwritten(),
            next_lane: 0,
            left: 0,
            rests_until: None,
            scan: None,
            ahead: Ahead::default(),
            published_counts: (control.late(), control.overwritten()),
            closed: control.closed,
            fatal_signal: control.fatal_signal,
            status: None,
            damaged: 0,
            looked_at: None,
            snapshots: Vec::new(),
            pass: 0,
            scratch: Vec::new(),
            watch: Watch::default(),
            looked: None,
            looked_for_end: None,
            leaves: false,
            looked_at_file: None,
            looked_at_lock: None,
            logged_state: RingFileState::Whole,
            rendered: 0,
            rendered_max: u64::MAX,
            withheld: 0,
            seen: reader.process().state(Some(reader.source().inode())) == ProcessState::Alive,
            witness: None,
            last_seen: LastSeen::default(),
            armed: 0,
            unsynced: true,
            waker: None,
            name: name.to_owned(),
            files: reader.file_settings()?,
            reader,
        };
        tracked.seek_witness(witnesses);
        tracked.look(Instant::now())?;
        tracked.read_positions()?;
        Ok(tracked)
    }

    fn read_positions(&mut self) -> Result<()> {
        self.reader.lanes(&mut self.scratch, &mut self.snapshots)?;
        for (lane, snapshot) in self.lanes.iter_mut().zip(&self.snapshots) {
            lane.published = snapshot.position;
            lane.cursor.position = snapshot.position;
        }
        Ok(())
    }

    /// Checks whether the process lives: at once when its end shows, else periodically.
    pub(crate) fn look(&mut self, now: Instant) -> Result<()> {
        let every = match (self.watch.is_open(), self.seen) {
            (true, _) => LOOK_DOUBTFUL,
            (false, true) => LOOK_SEEN,
            (false, false) => LOOK_UNSEEN,
        };
        let since = |moment: Option<Instant>| moment.map_or(Duration::MAX, |moment| now.duration_since(moment));
        if let Some(scan) = self.scan.take() {
            return self.scan(scan);
        }
        if self.dead.is_some() {
            return if self.held && since(self.looked) >= LOOK_UNSEEN { self.look_at_lock(now) } else { Ok(()) };
        }
        let leaves = self.snapshots.first().is_some_and(|lane| lane.left) && !mutant::is(Mutant::LeftUnseen);
        if since(self.looked_for_end) < LOOK_ENDED && leaves == self.leaves {
            return Ok(());
        }
        (self.looked_for_end, self.leaves) = (Some(now), leaves);
        if since(self.looked) < every && !leaves && !self.has_ended(now) && !self.has_left(now)? {
            return Ok(());
        }
        if leaves {
            // If that is our own process, its maps would show the waker's mapping.
            self.waker = None;
        }
        let (file, process) = (self.reader.source(), self.reader.process());
        let lives = self.witness.as_ref().is_some_and(|witness| witness.sees_it_live(now));
        let evidence = file
            .with(|open| Evidence::collect_of(open, file.inode(), process, lives))
            .map_err(Error::io("inspect the lock of", self.reader.path()))?;
        let verdict = match self.watch.settle(evidence.verdict(), now) {
            // It runs, and the lock that its mapping would hold is free: it has left the ring, whatever keeps us from seeing
            // its new program's maps.
            Verdict::Dead if evidence.process == ProcessState::Alive => Verdict::Exec,
            verdict => verdict,
        };
        if matches!(verdict, Verdict::Dead | Verdict::Exec) {
            return self.scan(Scan { verdict, held: evidence.held, last: Vec::new() });
        }
        // Only now: a check that failed is repeated.
        self.looked = Some(now);
        Ok(())
    }

    /// Scans for the last records of a dead process, lane after lane until the budget is spent.
    fn scan(&mut self, mut scan: Scan) -> Result<()> {
        while scan.last.len() < self.lanes.len() {
            if self.is_idly_spent() {
                self.scan = Some(scan);
                return Ok(());
            }
            let last = self.reader.last_sequence(scan.last.len(), &mut self.scratch)?;
            scan.last.push(last);
        }
        let control = self.reader.control()?;
        let rendered_max = rendered_max(&self.reader)?;
        let is_gone = scan.verdict == Verdict::Dead;
        self.status = if is_gone { witness::status(self.reader.process(), self.witness.as_deref()) } else { None };
        // All or nothing: of a ring that is dead in part, the rest would never be drained.
        (self.closed, self.fatal_signal, self.dead) = (control.closed, control.fatal_signal, Some(scan.verdict));
        (self.held, self.death_logged) = (scan.held, control.death_logged());
        self.rendered_max = rendered_max;
        // The process may have died of an external modification of the file.
        self.looked_at_file = None;
        self.lanes.iter_mut().zip(scan.last).for_each(|(lane, last)| lane.final_last = Some(last));
        Ok(())
    }

    /// Whether its process is dead and the scan for its last records is not finished.
    pub(crate) fn is_scanning(&self) -> bool {
        self.scan.is_some()
    }

    /// Whether it has cost as much in this pass as a ring may.
    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        self.reader.source().cost() > BUDGET && !mutant::is(Mutant::BudgetUnbounded)
    }

    fn is_idly_spent(&self) -> bool {
        self.reader.source().cost() > BUDGET_IDLE && !mutant::is(Mutant::BudgetUnbounded)
    }

    /// Whether none of its records wait to be written.
    fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.batch().is_empty())
    }

    /// Whether lanes are left that the budget did not reach, and it may be read now.
    pub(crate) fn is_unfinished(&self, now: Instant) -> bool {
        self.left > 0 && self.rests_until.is_none_or(|until| until <= now)
    }

    /// Has it read again at once, because no other ring waits for the flusher.
    pub(crate) fn end_rest(&mut self) {
        self.rests_until = None;
    }

    /// Whether lanes are left that the budget did not reach.
    pub(crate) fn has_lanes_left(&self) -> bool {
        self.left > 0
    }

    /// Whether a child of the dead process still keeps its lock.
    fn look_at_lock(&mut self, now: Instant) -> Result<()> {
        let held = self.reader.source().with(is_locked);
        self.held = held.map_err(Error::io("inspect the lock of", self.reader.path()))?;
        self.looked = Some(now);
        Ok(())
    }

    /// Whether the ring of a dead process must stay, because it is still locked.
    pub(crate) fn is_kept(&self) -> bool {
        self.held && !mutant::is(Mutant::HeldRemoved)
    }

    /// Checks periodically for external modification of the ring's file, and returns each change once.
    pub(crate) fn look_at_file(&mut self, now: Instant) -> Option<String> {
        if self.looked_at_file.is_some_and(|looked| now.duration_since(looked) < LOOK_AT_FILE) {
            return None;
        }
        self.looked_at_file = Some(now);
        let (header, size) = (*self.reader.header(), self.reader.geometry().file_size());
        // A file that cannot be inspected cannot be read either, which is logged there.
        let state = self.reader.source().state(bytemuck::bytes_of(&header), size).ok()?;
        let news = state != RingFileState::Whole && state != self.logged_state;
        self.logged_state = state;
        news.then(|| notices::ring_disturbed(&self.name, state))
    }

    /// Whether the name of the ring still leads to it.
    pub(crate) fn is_at_its_path(&self) -> Result<bool> {
        self.reader.source().is_at_its_path().map_err(Error::io("inspect the ring", self.reader.path()))
    }

    fn has_ended(&self, now: Instant) -> bool {
        match &self.witness {
            Some(witness) => witness.has_seen_the_end(now),
            None => self.seen && self.reader.process().has_vanished(),
        }
    }

    /// Whether its process was seen from here when the ring was found.
    pub(crate) fn is_seen(&self) -> bool {
        self.seen
    }

    /// Asks for a witness where there is none.
    pub(crate) fn seek_witness(&mut self, witnesses: &mut Witnesses) {
        if self.witness.is_none() && self.dead.is_none() {
            self.witness = witnesses.of(self.reader.process());
        }
    }

    /// Whether the process may have left the ring by exec: its lock is free. Checked periodically, while its file is open.
    fn has_left(&mut self, now: Instant) -> Result<bool> {
        let fresh = self.looked_at_lock.is_some_and(|looked| now.duration_since(looked) < LOOK_AT_LOCK);
        if !self.seen || fresh || !self.reader.source().is_open() || mutant::is(Mutant::ExecUnseen) {
            return Ok(false);
        }
        self.looked_at_lock = Some(now);
        let held =
            self.reader.source().with(is_locked).map_err(Error::io("inspect the lock of", self.reader.path()))?;
        Ok(!held)
    }

    /// How its process ended, once it has.
    pub(crate) fn ending(&self) -> Ending {
        Ending::conclude(self.closed, self.fatal_signal, self.status, self.dead == Some(Verdict::Exec))
    }

    /// Its process, if it may have left a capture.
    pub(crate) fn died(&self) -> Option<Dead> {
        let (entry, pid) = (self.reader.entry().to_owned(), self.reader.header().pid);
        self.ending().died_of().map(|of| Dead { entry, pid, of })
    }

    /// Notes what its process uses, if records of it were just read, or nobody has looked so far; and what remains when it has
    /// ended. What this process saw of itself, nobody could tell.
    pub(crate) fn look_at_process(&mut self, sight: &Sight, now: Instant) {
        let is_other = self.seen && self.reader.header().pid != std::process::id();
        let is_due = !self.is_idle() || self.last_seen.is_new() || mutant::is(Mutant::IdleLookedAt);
        if self.dead.is_some() {
            self.last_seen.look_back();
        } else if is_other && is_due && !self.is_scanning() {
            self.last_seen.look(self.reader.process(), sight, now);
        }
    }

    /// What is known of a death that its process could not report.
    pub(crate) fn clues(&self) -> Option<Clues<'_>> {
        Clues::of(self.ending(), self.status, self.last_record_ns(), &self.last_seen)
    }

    /// Time of its last record; None also if it cannot be read, because the rest of the death is told all the same.
    fn last_record_ns(&self) -> Option<u64> {
        let extents = self.lanes.iter().zip(&self.snapshots).map(|(lane, snapshot)| snapshot.extent(lane.final_last));
        newest_ns(&self.reader, extents, self.clock.timeline()).ok().flatten()
    }

    /// READ:1 to READ:3 for every lane whose records have all been taken. Returns up to which raw clock lines may be
    /// written as far as this ring is concerned.
    pub(crate) fn read(&mut self, pass: u64, now: Instant, slots_max: u64) -> Result<u64> {
        if self.rests_until.is_some_and(|until| now < until) {
            return Ok(u64::MAX);
        }
        let began = Instant::now();
        self.rests_until = None;
        self.reader.lanes(&mut self.scratch, &mut self.snapshots)?;
        self.pass = pass;
        let was_read = self.read_lanes(slots_max)?;
        if self.is_idle() && self.is_idly_spent() {
            self.rests_until = Some(Instant::now() + REST_TIMES * began.elapsed());
        }
        if self.lanes.iter().zip(&was_read).any(|(lane, was_read)| *was_read && !lane.batch().is_empty()) {
            // Before any order key of this pass is computed, so that they all agree.
            self.clock.refresh(&self.reader, self.dead.is_some())?;
            self.armed = 0;
        }
        if !self.is_idle() {
            // After READ:1, for all records that are read in this pass, those of the merge too.
            self.names.refresh(&self.reader)?;
        }
        Ok(if self.earlier { u64::MAX } else { self.hold(pass, now, &was_read) })
    }

    /// Reads the lanes from the one on at which the pass before this one had spent the budget, and says which were read.
    fn read_lanes(&mut self, slots_max: u64) -> Result<Vec<bool>> {
        let lanes = self.lanes.len();
        let mut was_read = vec![false; lanes];
        let (first, round) = (self.next_lane, if self.left > 0 { self.left } else { lanes });
        let mut idle = self.is_idle();
        // Those that the pass before this one left come first; the round begins anew behind them.
        for step in 0..lanes {
            let number = (first + step) % lanes;
            if self.snapshots[number].kind == lane_kind::RING_ONLY && !mutant::is(Mutant::FineDrained) {
                self.lanes[number].exhausted = self.dead.is_some();
            } else if self.lanes[number].batch().is_empty() {
                if self.is_spent() || idle && self.is_idly_spent() {
                    (self.next_lane, self.left) = (number, round.saturating_sub(step));
                    return Ok(was_read);
                }
                self.refill(number, slots_max)?;
                was_read[number] = true;
                idle &= self.lanes[number].batch().is_empty();
            }
        }
        self.left = 0;
        Ok(was_read)
    }

    fn hold(&mut self, pass: u64, now: Instant, was_read: &[bool]) -> u64 {
        let keys: Vec<u64> = self.lanes.iter().map(|lane| self.last_key(lane)).collect();
        let lanes = self.lanes.iter_mut().zip(&self.snapshots).zip(keys).zip(was_read);
        // A lane that was not read, because records of it still wait, is read in the merge when it has no more.
        let read = lanes.filter(|(((_, snapshot), _), was_read)| **was_read && snapshot.kind != lane_kind::RING_ONLY);
        read.map(|(((lane, _), key), _)| lane.hold(pass, now, key)).min().unwrap_or(u64::MAX)
    }

    /// The order key of the last record that was read of a lane.
    fn last_key(&self, lane: &TrackedLane) -> u64 {
        self.clock.order_key(&lane.cursor, lane.last_clock)
    }

    /// A lane's next record in the merge; the ring is the drain's of this number.
    #[inline]
    pub(crate) fn next(&self, ring: usize, lane: usize) -> Option<Next> {
        Next::of((ring, self.reader.header().uuid), lane, &self.lanes[lane].cursor, &self.clock)
    }

    /// Whether all records of a lane that were read have been taken, and READ:1 of this pass saw more.
    #[inline]
    pub(crate) fn is_behind(&self, number: usize) -> bool {
        let lane = &self.lanes[number];
        // A slot that was open in an earlier pass may have been committed since.
        let open_still = lane.batch().open.is_some() && lane.read_in == self.pass;
        if !lane.batch().is_empty() || open_still {
            return false;
        }
        lane.batch().more || lane.batch().end < self.snapshots[number].extent(lane.final_last).end()
    }

    /// Reads more of one lane in the middle of a merge, up to what READ:1 of this pass saw. Returns up to which order
    /// key lines may be written now.
    pub(crate) fn refill_in_merge(&mut self, number: usize, slots_max: u64) -> Result<u64> {
        self.refill(number, slots_max)?;
        let lane = &self.lanes[number];
        let overrun = lane.batch().is_empty() && lane.batch().more;
        let open = (lane.batch().open.is_some() || overrun) && lane.final_last.is_none();
        Ok(if open { self.last_key(lane) } else { u64::MAX })
    }

    /// Reads more of one lane.
    fn refill(&mut self, number: usize, slots_max: u64) -> Result<()> {
        let lane = &mut self.lanes[number];
        lane.read_in = self.pass;
        let extent = self.snapshots[number].extent(lane.final_last);
        lane.cursor.read(&self.reader, number, extent, slots_max)?;
        self.damaged += lane.batch().damaged;
        if lane.batch().is_empty() {
            lane.exhausted = lane.final_last.is_some() && !lane.batch().more;
            return Ok(());
        }
        lane.last_clock = lane.batch().iter().map(|record| record.clock).last().unwrap_or(lane.last_clock);
        Ok(())
    }

    /// Lanes that have had records to be drained, at least one.
    pub(crate) fn lanes_in_use(&self) -> usize {
        self.snapshots.iter().filter(|lane| lane.reserved > 0 && lane.kind != lane_kind::RING_ONLY).count().max(1)
    }

    /// Whether the process may be dead, and a second check is due.
    pub(crate) fn is_undecided(&self) -> bool {
        self.dead.is_none() && self.watch.is_open()
    }

    /// Whether a dead ring has been drained to the end.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.dead.is_some() && self.lanes.iter().all(|lane| lane.exhausted)
    }

    /// The alarm about its process's end.
    pub(crate) fn death(&self) -> Death<'_> {
        Death {
            ending: self.ending(),
            pid: self.reader.header().pid,
            role: self.reader.role(),
            recovered: self.lanes.iter().map(|lane| lane.cursor.position.recovered).sum(),
            in_flight: self.count_in_flight(),
            damaged: self.damaged,
        }
    }

    /// Records in flight when the process died, at most one a lane.
    pub(crate) fn count_in_flight(&self) -> usize {
        let geometry = self.reader.geometry();
        let has_one = |(lane, snapshot): &(&TrackedLane, &LaneSnapshot)| {
            let extent = snapshot.extent(lane.final_last);
            self.dead.is_some() && lane.cursor.has_in_flight(extent, snapshot.reserved, geometry)
        };
        self.lanes.iter().zip(&self.snapshots).filter(has_one).count()
    }

    /// Dropped messages of a lane that have not been reported: how many, and the raw clocks of first and last.
    pub(crate) fn unreported_drops(&self, lane: usize) -> Option<(u64, u64, u64)> {
        let snapshot = self.snapshots.get(lane)?;
        let reported = self.lanes[lane].cursor.position.dropped_reported;
        let count = snapshot.dropped.checked_sub(reported).filter(|count| *count > 0)?;
        Some((count, snapshot.dropped_between.0, snapshot.dropped_between.1))
    }

    /// Marks a lane's dropped messages as reported.
    pub(crate) fn report_drops(&mut self, lane: usize) {
        self.lanes[lane].cursor.position.dropped_reported = self.snapshots[lane].dropped;
    }
}
