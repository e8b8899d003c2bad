//! Reading the lanes, and rendering their records in the order of time.

use super::{BATCH, Drain, Pass};
use crate::clock;
use crate::decode::ENTRY;
use crate::error::{self, Error, Result};
use crate::config::CRASH_FILES_DEFAULT;
use crate::flush::blackbox;
use crate::flush::follow::Follow;
use crate::flush::journal::Change;
use crate::flush::lines;
use crate::flush::output::Provenance;
use crate::level::Level;
use crate::mutant::{self, Mutant};
use crate::reader::Position;
use crate::spill::{self, SpillReference};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Bytes that the records of all lanes together may take in memory.
const READ_BUDGET: usize = 12 << 20;
/// Slots that are read at once where few lanes are in use: what fits the processor's cache beside the rendered lines.
const READ_MAX: usize = 2048;
/// Slots that are read at once however many lanes are in use.
const READ_MIN: usize = 64;

/// Passes that a crash file that cannot be written fails, before it is given up.
const CRASH_TRIES: u32 = 3;

/// A lane's next record in the merge.
type Next = Reverse<(u64, [u8; 16], usize, u64, usize)>;

impl Drain {
    /// Reads all lanes and returns up to which raw clock the lines are final.
    pub(super) fn read_all(&mut self, pass: u64, now: Instant) -> Result<u64> {
        let lanes = self.rings.iter().map(Follow::lanes_in_use).sum();
        let mut limit = u64::MAX;
        let (mut failed, mut news) = (Vec::new(), Vec::new());
        for (number, ring) in self.rings.iter_mut().enumerate() {
            let slots_max = slots_max(ring, lanes);
            match ring.look(now).and_then(|()| ring.read(pass, now, slots_max)) {
                Ok(hold) => {
                    limit = limit.min(hold.max(self.floor));
                    ring.failures = 0;
                    let first_look = ring.looked_at.replace(now).is_none();
                    let older = ring.is_of_another_boot() || ring.newest_ns() < self.since_ns;
                    if first_look && ring.dead.is_some() && older {
                        ring.set_earlier(&mut self.scales);
                    }
                }
                Err(error) => failed.push((number, error)),
            }
            news.extend(ring.look_at_file(now));
            if !self.recent.contains(&ring.reader.header().uuid) {
                ring.reader.source().rest();
            }
        }
        news.into_iter().for_each(|text| self.note(text));
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
    pub(super) fn merge_earlier(&mut self, pass: &mut Pass) -> Result<()> {
        if !self.rings.iter().any(|ring| ring.earlier) {
            return Ok(());
        }
        for role in 0..self.roles.len() {
            let of_earlier = |ring: &Follow| ring.earlier && ring.role == role && !ring.headed;
            let has_records = |ring: &Follow| ring.lanes.iter().any(|lane| !lane.batch.is_empty());
            let rings: Vec<usize> = (0..self.rings.len())
                .filter(|ring| of_earlier(&self.rings[*ring]) && has_records(&self.rings[*ring]))
                .collect();
            if let Some(first) = rings.first() {
                let pid = self.rings[*first].reader.header().pid;
                if !self.goes_back(role, &rings)? && !mutant::is(Mutant::AlwaysEarlier) {
                    rings.into_iter().for_each(|ring| self.rings[ring].headed = true);
                    continue;
                }
                self.line(role, clock::realtime_ns(), pid, Level::WARNING, &lines::earlier_run(rings.len()))?;
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

    /// Whether the oldest record of these rings is older than what their role's files end with.
    fn goes_back(&mut self, role: usize, rings: &[usize]) -> Result<bool> {
        let mut oldest = u64::MAX;
        for ring in rings {
            let ring = &mut self.rings[*ring];
            let clocks: Vec<u64> = ring.lanes.iter().filter_map(|lane| lane.batch.next_clock()).collect();
            oldest = clocks.into_iter().map(|clock| ring.realtime_ns(clock)).fold(oldest, u64::min);
        }
        let outputs: Vec<usize> = self.roles[role].outputs().collect();
        for output in outputs {
            self.outputs[output].look(&self.folder)?;
            if self.outputs[output].goes_back_at(oldest)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Renders records up to the limit in their order.
    pub(super) fn merge(&mut self, earlier: bool, pass: &mut Pass) -> Result<()> {
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
            self.pull(ring, lane)?;
            self.emit(ring, lane)?;
            pass.records += 1;
            let follow = &mut self.rings[ring];
            if follow.is_behind(lane) {
                let slots = slots_max(follow, lanes);
                let hold = follow.refill_in_merge(lane, slots)?;
                self.limit = self.limit.min(hold.max(self.floor));
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
        let (role_number, pid, dead) = (ring.role, ring.reader.header().pid, ring.dead.is_some());
        let role = &mut self.roles[role_number];
        role.begin(&mut self.outputs);
        let Some(clock) = ring.lanes[lane_number].batch.next_clock() else { return Ok(()) };
        let ns = ring.realtime_ns(clock);
        let lane = &ring.lanes[lane_number];
        let Some(record) = lane.batch.peek() else { return Ok(()) };
        let expected = lane.taken.next_message.max(1);
        let gap = (record.message > expected && !mutant::is(Mutant::GapSilent)).then(|| {
            let before = (lane.taken_clock != 0).then(|| ring.timeline.realtime_ns(lane.taken_clock));
            lines::overwritten(record.message - expected, before, ns, &mut role.stamp)
        });
        if ring.rendered > ring.rendered_max && !mutant::is(Mutant::RenderedUnbounded) {
            return self.leave_out(ring_number, lane_number, gap);
        }
        // Whatever may fail comes before the first byte of a line: a pass that fails here begins this record anew.
        let site = ring.sites.get(&ring.reader, record.call_site)?;
        let unspilled = match ring.reader.unspill(&record) {
            Err(lost) if error::may_pass(&lost.error) && lane.may_wait_for(record.first) => {
                return Err(Error::io("read a spilled message of", ring.reader.path())(lost.error));
            }
            unspilled => unspilled,
        };
        if let Some(text) = gap {
            for output in role.outputs() {
                self.outputs[output].say(ns, pid, Level::WARNING, &text);
            }
        }
        let outputs = &mut self.outputs;
        let from = Provenance { ns, pid, lane: &ring.snapshots[lane_number], names: &ring.names };
        role.record_unspilled(outputs, &record, &unspilled, site, &from);
        let spilled = match unspilled {
            Ok(None) => None,
            Ok(Some(_)) => SpillReference::from_bytes(record.body).map(|found| spill::path(ring.reader.entry(), found.number)),
            Err(_) => {
                ring.damaged += 1;
                None
            }
        };
        if dead {
            ring.rendered += role.made(outputs) as u64;
        }
        self.rotate_before(role_number)?;
        // Not before: a rotation commits what stands above this line, and removes the spills of that alone.
        self.spills.extend(spilled);
        let ring = &mut self.rings[ring_number];
        if !ring.earlier {
            let (key, youngest) = (ring.order_key(clock), &mut self.roles[role_number].youngest);
            ring.late += u64::from(key < *youngest);
            *youngest = key.max(*youngest);
        }
        self.take(ring_number, lane_number);
        if self.outputs.iter().map(|output| output.lines.len()).sum::<usize>() >= BATCH {
            self.commit(Vec::new())?;
        }
        Ok(())
    }

    /// Takes a lane's next record without showing it, because its ring has been rendered to too much already. What is
    /// missing before it is told all the same.
    fn leave_out(&mut self, ring: usize, lane: usize, gap: Option<String>) -> Result<()> {
        if let Some(text) = gap {
            let follow = &self.rings[ring];
            let (role, pid) = (follow.role, follow.reader.header().pid);
            self.line(role, clock::realtime_ns(), pid, Level::WARNING, &text)?;
        }
        self.rings[ring].withheld += 1;
        self.take(ring, lane);
        Ok(())
    }

    /// Takes a lane's next record.
    fn take(&mut self, ring: usize, lane: usize) {
        let ring = &mut self.rings[ring];
        let (lane, dead) = (&mut ring.lanes[lane], ring.dead.is_some());
        let Some(record) = lane.batch.peek() else { return };
        let (last, message, clock) = (record.last, record.message, record.clock);
        ring.overwritten += message.saturating_sub(lane.taken.next_message.max(1));
        lane.batch.advance();
        lane.taken = Position {
            released: last,
            written: last,
            next_message: message.saturating_add(1),
            recovered: lane.taken.recovered + u64::from(dead),
            ..lane.taken
        };
        lane.taken_clock = clock;
    }

    pub(super) fn report_drops(&mut self, earlier: bool) -> Result<()> {
        for ring in (0..self.rings.len()).filter(|ring| self.rings[*ring].earlier == earlier).collect::<Vec<_>>() {
            for lane in 0..self.rings[ring].lanes.len() {
                let follow = &self.rings[ring];
                let Some((count, first, last)) = follow.unreported_drops(lane) else { continue };
                let (first, last) = (follow.timeline.realtime_ns(first), follow.timeline.realtime_ns(last));
                let (role, pid) = (follow.role, follow.reader.header().pid);
                let text = lines::dropped(count, first, last, &mut self.roles[role].stamp);
                self.line(role, last, pid, Level::WARNING, &text)?;
                self.rings[ring].report_drops(lane);
            }
        }
        Ok(())
    }

    /// Death lines and removal of rings that have been drained to the end. Each ring's line and its removal are one
    /// entry of the journal, so that a line is never printed for a ring that is still there afterwards.
    pub(super) fn finish_dead(&mut self, earlier: bool, pass: &mut Pass) -> Result<()> {
        let done = |ring: &Follow| ring.earlier == earlier && ring.is_exhausted();
        while let Some(ring) = self.rings.iter().position(done) {
            let follow = &self.rings[ring];
            let (role, header) = (follow.role, follow.reader.header());
            let (pid, uuid) = (header.pid, header.uuid);
            let removal = Change::Remove { ring: follow.name.clone(), uuid };
            let withheld = (follow.withheld > 0).then(|| lines::withheld(follow.withheld, follow.rendered_max));
            let death = lines::death(follow);
            if let Some(text) = withheld {
                self.line(role, clock::realtime_ns(), pid, Level::WARNING, &text)?;
                // A pass that fails from here on does not say it again.
                self.rings[ring].withheld = 0;
                self.commit(Vec::new())?;
            }
            if let Some(mut text) = death {
                text += &self.write_crash_file(ring)?;
                // What is in the journal without the removal must not hold the line.
                self.commit(Vec::new())?;
                self.line(role, clock::realtime_ns(), pid, Level::CRITICAL, &text)?;
            }
            let committed = self.commit(vec![removal]);
            if committed.is_ok() || self.stuck.as_ref().is_some_and(|entry| entry.removes(&uuid)) {
                // A stuck entry holds the death line and the removal, and is applied before anything else happens.
                pass.removed += 1;
                self.rings.remove(ring);
                self.durable.leave(&self.rings);
            } else {
                // Nothing has been written; the next pass says it again.
                self.roles[role].outputs().for_each(|output| self.outputs[output].lines.clear());
            }
            committed?;
        }
        Ok(())
    }
}

impl Drain {
    /// Writes the crash file of a ring whose process died without closing it. Returns what the death line says of it. A
    /// file that cannot be written fails the pass, so that it is tried again, but not for ever.
    fn write_crash_file(&mut self, ring: usize) -> Result<String> {
        let follow = &mut self.rings[ring];
        let keep = match follow.reader.header().crash_keep {
            0 => CRASH_FILES_DEFAULT,
            stated => stated - 1,
        };
        if keep == 0 || !follow.closed.is_crash() {
            return Ok(String::new());
        }
        let written = blackbox::write_crash_file(&self.folder, &follow.name, keep as usize, self.durable.is_on());
        match written {
            Ok(name) => Ok(format!("; its black box is {name}")),
            Err(error) if follow.crash_failures >= CRASH_TRIES => Ok(format!("; its black box could not be kept ({error})")),
            Err(error) => {
                follow.crash_failures += 1;
                Err(error)
            }
        }
    }
}

/// Slots that each of `lanes` lanes may read at once.
fn slots_max(ring: &Follow, lanes: usize) -> u64 {
    let slot = ring.reader.geometry().record_size() + ENTRY;
    (READ_BUDGET / lanes.max(1) / slot).clamp(READ_MIN, READ_MAX) as u64
}
