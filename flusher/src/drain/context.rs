//! What led up to an error: the last ring-only records of its process, written to the log above it.

use super::Drain;
use crate::drain::tracked_ring::BUDGET;
use crate::files::notices;
use crate::files::output::RecordSource;
use crate::merge::Next;
use lastwords_ring::error::Result;
use lastwords_ring::format::layout::lane_kind;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::record::Record;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::read::lane_cursor::LaneCursor;
use lastwords_ring::read::reader::LaneSnapshot;

/// Most records that one error brings, whatever a ring says.
const CONTEXT_MAX: u32 = 10_000;

impl Drain {
    /// If the lane's next record is an error and its process requests it, renders the process's last ring-only records from
    /// before it. Their lanes have positions like all others, so each is written once.
    pub(super) fn bring_context(&mut self, ring: usize, lane: usize) -> Result<()> {
        let tracked = &mut self.rings[ring];
        let wanted = tracked.reader.header().context_on_error.min(CONTEXT_MAX) as usize;
        let error = tracked.lanes[lane].batch().peek().filter(|record| wanted > 0 && record.level >= Level::ERROR);
        let Some(until) = error.map(|record| record.clock) else { return Ok(()) };
        let lanes = match tracked.read_fine() {
            Err(error) => return Err(self.put_aside(ring, error)),
            Ok(lanes) => lanes,
        };
        let tracked = &mut self.rings[ring];
        let (uuid, clock) = (tracked.reader.header().uuid, &tracked.clock);
        let next = |lane: usize, cursor: &LaneCursor, record: &Record<'_>| {
            let key = clock.order_key(cursor, record.clock);
            Next { key, uuid, lane, first: record.first, ring }
        };
        let mut found: Vec<(Next, Record<'_>)> = lanes
            .iter()
            .flat_map(|(lane, cursor)| cursor.batch().iter().map(move |record| (next(*lane, cursor, &record), record)))
            .filter(|(_, record)| record.clock <= until)
            .collect();
        found.sort_by_key(|(next, _)| *next);
        let found = &found[found.len().saturating_sub(wanted)..];
        if found.is_empty() {
            return Ok(());
        }
        let (role, pid, ns) = (tracked.role, tracked.reader.header().pid, tracked.clock.realtime_ns(until));
        self.line(role, ns, pid, Level::INFO, &notices::pulled(found.len()))?;
        found.iter().try_for_each(|(next, record)| self.bring(ring, next.lane, record))
    }

    fn bring(&mut self, ring: usize, lane: usize, record: &Record<'_>) -> Result<()> {
        let tracked = &mut self.rings[ring];
        let ns = tracked.clock.realtime_ns(record.clock);
        let (number, pid) = (tracked.role, tracked.reader.header().pid);
        let site = match tracked.sites.get(&tracked.reader, record.call_site) {
            Err(error) => return Err(self.put_aside(ring, error)),
            Ok(site) => site,
        };
        let unspilled = tracked.reader.unspill(record);
        let (role, outputs) = (&self.roles[number], &mut self.outputs);
        let of = (&tracked.reader.header().uuid, lane);
        let from = RecordSource { ns, pid, of, lane: &tracked.snapshots[lane], names: &tracked.names };
        role.begin(outputs);
        role.record_unspilled(outputs, record, &unspilled, site, &from);
        self.rotate_before(number)?;
        if mutant::is(Mutant::PulledAgain) {
            return Ok(());
        }
        let taken = &mut self.rings[ring].lanes[lane].cursor.position;
        (taken.released, taken.written) = (record.last, record.last);
        Ok(())
    }
}

impl super::TrackedRing {
    /// READ:1 to READ:3 of the ring-only lanes, from their positions on.
    fn read_fine(&self) -> Result<Vec<(usize, LaneCursor)>> {
        let (mut scratch, mut snapshots) = (Vec::new(), Vec::new());
        self.reader.lanes(&mut scratch, &mut snapshots)?;
        let mut read = Vec::new();
        let is_fine = |seen: &&LaneSnapshot| seen.kind == lane_kind::RING_ONLY;
        let lanes = snapshots.iter().filter(is_fine).count().max(1);
        let slots =
            (BUDGET / lanes as u64 / self.reader.geometry().record_size() as u64).min(self.reader.geometry().slots());
        let fine = self.lanes.iter().zip(&snapshots).enumerate().filter(|(_, (_, seen))| is_fine(seen));
        for (number, (lane, snapshot)) in fine {
            let extent = snapshot.extent(lane.final_last);
            // What such a lane has overwritten is gone.
            let behind = lane.cursor.position.released.max(extent.end().saturating_sub(slots));
            let mut cursor = LaneCursor::behind(behind);
            cursor.read(&self.reader, number, extent, slots)?;
            read.push((number, cursor));
        }
        Ok(read)
    }
}
