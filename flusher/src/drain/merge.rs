//! Reading the lanes, and rendering their records in the order of time.

use super::{Drain, Pass};
use crate::drain::tracked_ring::{TrackedLane, TrackedRing};
use crate::files::notices;
use crate::files::output::RecordSource;
use crate::files::spare::Spare;
use crate::merge::{Merge, Next};
use lastwords_ring::error::{self, Error, Result};
use lastwords_ring::format::level::Level;
use lastwords_ring::format::record::Record;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use lastwords_ring::place::spill::{self, SpillLost, SpillReference};
use lastwords_ring::read::decoder_v3::ENTRY;
use lastwords_ring::read::reader::RingReader;
use lastwords_ring::read::ring_file::RingFile;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes that the records of all lanes together may take in memory.
const READ_BUDGET: usize = 12 << 20;
/// Slots that are read at once where few lanes are in use: what fits the processor's cache beside the rendered lines.
const READ_MAX: usize = 2048;
/// Slots that are read at once however many lanes are in use.
const READ_MIN: usize = 64;

/// A spilled message and its encoding, if the record has one.
type Unspilled = Result<Option<(Vec<u8>, u8)>, SpillLost>;

impl Drain {
    /// Reads all lanes and returns up to which raw clock the lines are final.
    pub(super) fn read_all(&mut self, pass: u64, now: Instant) -> Result<u64> {
        let lanes = self.rings.iter().map(TrackedRing::lanes_in_use).sum();
        let mut limit = u64::MAX;
        let (mut failed, mut news) = (Vec::new(), Vec::new());
        for number in 0..self.rings.len() {
            if self.is_aside(&self.rings[number], now) {
                continue;
            }
            let Drain { rings, spare, scales, since_ns, floor, recent, sight, .. } = self;
            let ring = &mut rings[number];
            let slots_max = slots_max(ring, lanes);
            ring.reader.source().forget_cost();
            // A check that fails proves nothing, and no record waits for it.
            let looked = ring.look(now).or_else(|error| if error.may_pass() { Ok(()) } else { Err(error) });
            match looked.and_then(|()| read_twice(ring, spare, (pass, now), slots_max)) {
                Ok(_) if ring.is_scanning() => {}
                Ok(hold) => {
                    limit = limit.min(hold.max(*floor));
                    let first_look = ring.looked_at.replace(now).is_none();
                    let older = ring.is_of_another_boot() || ring.newest_ns() < *since_ns;
                    if first_look && ring.dead.is_some() && older {
                        ring.set_earlier(scales);
                    }
                }
                Err(error) => failed.push((number, error)),
            }
            ring.look_at_process(sight, now);
            news.extend(ring.look_at_file(now));
            if !recent.contains(&ring.reader.header().uuid) {
                ring.reader.source().rest();
                spare.renew();
            }
        }
        news.into_iter().for_each(|text| self.note(text));
        self.leave_aside(failed);
        Ok(limit)
    }

    /// Handles rings that could not be read twice in a row. The others go on without them. They stay tracked, because only this
    /// process may know how far they are drained; all but those whose name provably leads elsewhere.
    fn leave_aside(&mut self, failed: Vec<(usize, Error)>) {
        for (number, error) in failed.into_iter().rev() {
            let gone = !error.may_pass() && self.rings[number].is_at_its_path().is_ok_and(|is_there| !is_there);
            if gone {
                let ring = self.rings.remove(number);
                self.refuse(ring.name, &error);
            } else {
                self.set_aside(number, &error);
            }
        }
    }

    /// Rings of an earlier run come first, each role's under one line that marks them.
    pub(super) fn merge_earlier(&mut self, pass: &mut Pass) -> Result<()> {
        if !self.rings.iter().any(|ring| ring.earlier) {
            return Ok(());
        }
        for role in 0..self.roles.len() {
            let now = Instant::now();
            let of_earlier =
                |ring: &TrackedRing| ring.earlier && ring.role == role && !ring.headed && !self.is_aside(ring, now);
            let has_records = |ring: &TrackedRing| ring.lanes.iter().any(|lane| !lane.batch().is_empty());
            let rings: Vec<usize> = (0..self.rings.len())
                .filter(|ring| of_earlier(&self.rings[*ring]) && has_records(&self.rings[*ring]))
                .collect();
            if let Some(first) = rings.first() {
                let pid = self.rings[*first].reader.header().pid;
                let goes_back = self.goes_back(role, &rings).map_err(|error| self.suspend_role(role, error));
                let Some(goes_back) = self.unless_suspended(role, goes_back)? else { continue };
                if !goes_back && !mutant::is(Mutant::AlwaysEarlier) {
                    rings.into_iter().for_each(|ring| self.rings[ring].headed = true);
                    continue;
                }
                let written =
                    self.line(role, clock::realtime_ns(), pid, Level::WARNING, &notices::earlier_run(rings.len()));
                if self.unless_suspended(role, written)?.is_some() {
                    // Set last: a pass that fails after this does not log it again.
                    rings.into_iter().for_each(|ring| self.rings[ring].headed = true);
                }
            }
        }
        let live = std::mem::replace(&mut self.limit, u64::MAX);
        self.merge(true, pass)?;
        self.limit = live;
        // The rest of them comes under a line of its own, because others have their turn in between.
        self.rings.iter_mut().filter(|ring| ring.is_spent()).for_each(|ring| ring.headed = false);
        self.report_drops(true)?;
        self.commit(None)?;
        self.finish_dead(true, pass)
    }

    /// Whether the oldest record of these rings is older than what their role's files end with.
    fn goes_back(&mut self, role: usize, rings: &[usize]) -> Result<bool> {
        let mut oldest = u64::MAX;
        for ring in rings {
            let ring = &mut self.rings[*ring];
            let clocks: Vec<u64> = ring.lanes.iter().filter_map(|lane| lane.batch().next_clock()).collect();
            oldest = clocks.into_iter().map(|clock| ring.clock.realtime_ns(clock)).fold(oldest, u64::min);
        }
        let outputs: Vec<usize> = self.roles[role].outputs().collect();
        for output in outputs {
            let Drain { folder, outputs, spare, .. } = self;
            spare.use_for(|| outputs[output].look(folder))?;
            if self.outputs[output].goes_back_at(oldest)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Renders records up to the limit in their order.
    pub(super) fn merge(&mut self, earlier: bool, pass: &mut Pass) -> Result<()> {
        let (mut merge, now) = (Merge::default(), Instant::now());
        for ring in 0..self.rings.len() {
            if self.rings[ring].earlier == earlier && !self.is_aside(&self.rings[ring], now) {
                let tracked = &self.rings[ring];
                merge.extend((0..tracked.lanes.len()).filter_map(|lane| tracked.next(ring, lane)));
            }
        }
        while let Some(Next { key, lane, ring, .. }) = merge.pop() {
            if key > self.limit {
                break;
            }
            // Since the others were read, something may have failed. The other records of a ring that has cost as much as one
            // may come in the next pass, below what others have now.
            if self.is_aside(&self.rings[ring], now) || self.rings[ring].is_spent() {
                continue;
            }
            match self.run(ring, lane, merge.peek(), pass) {
                Err(_) if self.is_aside(&self.rings[ring], now) => {}
                next => merge.extend(next?),
            }
        }
        Ok(())
    }

    /// Renders records of one lane while they precede the `rival`, the next record of all other lanes.
    fn run(&mut self, ring: usize, lane: usize, rival: Option<Next>, pass: &mut Pass) -> Result<Option<Next>> {
        self.use_file(ring);
        let lanes = self.rings.iter().map(TrackedRing::lanes_in_use).sum();
        // Up to here no tie has to be broken.
        let clear = rival.map_or(u64::MAX, |rival| rival.key);
        loop {
            self.bring_context(ring, lane)?;
            self.emit(ring, lane)?;
            pass.records += 1;
            let tracked = &mut self.rings[ring];
            if tracked.is_spent() {
                return Ok(None);
            }
            if tracked.is_behind(lane) {
                let slots = slots_max(tracked, lanes);
                let hold = match tracked.refill_in_merge(lane, slots) {
                    Err(error) => return Err(self.put_aside(ring, error)),
                    Ok(hold) => hold,
                };
                self.limit = self.limit.min(hold.max(self.floor));
            }
            let tracked = &self.rings[ring];
            let Some(clock) = tracked.lanes[lane].batch().next_clock() else { return Ok(None) };
            let key = tracked.clock.order_key(&tracked.lanes[lane].cursor, clock);
            if key < clear && key <= self.limit {
                continue;
            }
            let Some(next) = tracked.next(ring, lane) else { return Ok(None) };
            if key > self.limit || rival.is_some_and(|rival| rival < next) {
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
        let Some(clock) = ring.lanes[lane_number].batch().next_clock() else { return Ok(()) };
        let by = ring.clock.ahead_by(&ring.lanes[lane_number].cursor, clock);
        let ahead = by > self.hold_limit;
        // It was logged by now, whatever its clock claims.
        let latest = if ahead { clock::realtime_ns() } else { u64::MAX };
        let ns = ring.clock.realtime_ns(clock).min(latest);
        let lane = &ring.lanes[lane_number];
        let Some(record) = lane.batch().peek() else { return Ok(()) };
        let missing = lane.cursor.missing();
        let gap = (missing > 0 && !mutant::is(Mutant::GapSilent)).then(|| {
            let before = (lane.taken_clock != 0).then(|| ring.clock.timeline().realtime_ns(lane.taken_clock));
            notices::overwritten(missing, before, ns, &mut role.stamp)
        });
        if ring.rendered > ring.rendered_max && !mutant::is(Mutant::RenderedUnbounded) {
            return self.leave_out(ring_number, lane_number, gap);
        }
        // Whatever may fail comes before the first byte of a line: a pass that fails here begins this record anew.
        let unspilled = match unspill(ring, lane, &record, &self.spare) {
            Err(error) => return Err(self.put_aside(ring_number, error)),
            Ok(unspilled) => unspilled,
        };
        let site = match ring.sites.get(&ring.reader, record.call_site) {
            Err(error) => return Err(self.put_aside(ring_number, error)),
            Ok(site) => site,
        };
        if let Some(text) = gap {
            for output in role.outputs() {
                self.outputs[output].say(ns, pid, Level::WARNING, &text);
            }
        }
        let outputs = &mut self.outputs;
        let of = (&ring.reader.header().uuid, lane_number);
        let from = RecordSource { ns, pid, of, lane: &ring.snapshots[lane_number], names: &ring.names };
        role.record_unspilled(outputs, &record, &unspilled, site, &from);
        ring.damaged += u64::from(unspilled.is_err());
        let spilled = unspilled.ok().flatten().and_then(|_| spill_of(&ring.reader, &record));
        let made = role.made(outputs);
        ring.reader.source().charge(made as u64 + spilled.as_ref().map_or(0, |(_, length)| *length));
        if dead {
            ring.rendered += made as u64;
        }
        if made > self.limits.record {
            self.shorten(role_number, ns, pid);
        }
        self.rotate_before(role_number)?;
        // Not before: a rotation commits what is above this line, and removes the spills of that alone.
        self.spills.extend(spilled.map(|(path, _)| (role_number, path)));
        let ring = &mut self.rings[ring_number];
        if ahead {
            ring.ahead.note(by);
        }
        if !ring.earlier {
            let key = ring.clock.order_key(&ring.lanes[lane_number].cursor, clock);
            let youngest = &mut self.roles[role_number].youngest;
            ring.late += u64::from(key < *youngest);
            *youngest = key.max(*youngest);
        }
        self.take(ring_number, lane_number);
        if self.outputs.iter().map(|output| output.lines.len()).sum::<usize>() >= self.limits.batch {
            self.commit(None)?;
        }
        Ok(())
    }

    /// Writes a line in place of a record that exceeds the file size limit.
    #[cold]
    fn shorten(&mut self, role: usize, ns: u64, pid: u32) {
        for output in self.roles[role].outputs() {
            let output = &mut self.outputs[output];
            if output.made() > self.limits.record {
                let text = notices::too_long(output.split_off().lines.len(), self.limits.record);
                output.say(ns, pid, Level::WARNING, &text);
            }
        }
    }

    /// Takes a lane's next record without writing it, because its ring has been rendered to too much already. Losses before it
    /// are logged all the same.
    fn leave_out(&mut self, ring: usize, lane: usize, gap: Option<String>) -> Result<()> {
        if let Some(text) = gap {
            let tracked = &self.rings[ring];
            let (role, pid) = (tracked.role, tracked.reader.header().pid);
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
        lane.taken_clock = lane.batch().next_clock().unwrap_or(lane.taken_clock);
        ring.overwritten = ring.overwritten.saturating_add(lane.cursor.take());
        lane.cursor.position.recovered += u64::from(dead);
    }

    pub(super) fn report_drops(&mut self, earlier: bool) -> Result<()> {
        let now = Instant::now();
        let of_it = |ring: &usize| self.rings[*ring].earlier == earlier && !self.is_aside(&self.rings[*ring], now);
        for ring in (0..self.rings.len()).filter(of_it).collect::<Vec<_>>() {
            for lane in 0..self.rings[ring].lanes.len() {
                let tracked = &self.rings[ring];
                let Some((count, first, last)) = tracked.unreported_drops(lane) else { continue };
                let timeline = tracked.clock.timeline();
                let (first, last) = (timeline.realtime_ns(first), timeline.realtime_ns(last));
                let (role, pid) = (tracked.role, tracked.reader.header().pid);
                let text = notices::dropped(count, first, last, &mut self.roles[role].stamp);
                let written = self.line(role, last, pid, Level::WARNING, &text);
                if self.unless_suspended(role, written)?.is_none() {
                    break;
                }
                self.rings[ring].report_drops(lane);
            }
        }
        Ok(())
    }

    /// Logs a line for each ring with times ahead of the clock, see [`Ahead`](crate::drain::ahead::Ahead).
    pub(super) fn report_ahead(&mut self) -> Result<()> {
        let now = Instant::now();
        for ring in 0..self.rings.len() {
            if !self.is_aside(&self.rings[ring], now) {
                let (role, written) = (self.rings[ring].role, self.log_ahead(ring, false));
                self.unless_suspended(role, written)?;
            }
        }
        Ok(())
    }

    pub(super) fn log_ahead(&mut self, ring: usize, last: bool) -> Result<()> {
        let tracked = &mut self.rings[ring];
        let Some((count, most)) = tracked.ahead.due(last) else { return Ok(()) };
        let by = Duration::from_secs_f64(most as f64 / tracked.clock.keys_a_second() as f64);
        let (role, pid, text) = (tracked.role, tracked.reader.header().pid, notices::ahead(&tracked.name, count, by));
        self.line(role, clock::realtime_ns(), pid, Level::WARNING, &text)?;
        // Set last: a pass that fails after this does not log it again.
        self.rings[ring].ahead.set_logged();
        Ok(())
    }

    /// Skips a ring for a moment, and passes its error on.
    pub(super) fn put_aside(&mut self, ring: usize, error: Error) -> Error {
        self.set_aside(ring, &error);
        error
    }
}

/// Reads a ring; a transient failure is retried at once, which keeps the order of the lines.
fn read_twice(ring: &mut TrackedRing, spare: &Spare, (pass, now): (u64, Instant), slots_max: u64) -> Result<u64> {
    let mut read = || spare.use_for(|| ring.read(pass, now, slots_max));
    match read() {
        Err(error) if error.may_pass() => read(),
        done => done,
    }
}

/// See [`RingReader::unspill`], with a spare descriptor. An error if it may be readable later.
fn unspill(ring: &TrackedRing, lane: &TrackedLane, record: &Record<'_>, spare: &Spare) -> Result<Unspilled> {
    let mut unspilled = ring.reader.unspill(record);
    let lacking = unspilled.as_ref().is_err_and(|lost| error::lacks_descriptors(&lost.error));
    if lacking && spare.give() {
        unspilled = ring.reader.unspill(record);
    }
    match unspilled {
        Err(lost) if error::may_pass(&lost.error) && lane.may_wait_for(record.first, &lost.error) => {
            Err(Error::io("read a spilled message of", ring.reader.path())(lost.error))
        }
        unspilled => Ok(unspilled),
    }
}

/// The file and the length of a record's spilled message.
fn spill_of(reader: &RingReader<RingFile>, record: &Record<'_>) -> Option<(PathBuf, u64)> {
    let found = SpillReference::from_bytes(record.body)?;
    Some((spill::path(reader.entry(), found.number), found.length))
}

/// Slots that each of `lanes` lanes may read at once.
fn slots_max(ring: &TrackedRing, lanes: usize) -> u64 {
    let slot = ring.reader.geometry().record_size() + ENTRY;
    (READ_BUDGET / lanes.max(1) / slot).clamp(READ_MIN, READ_MAX) as u64
}
