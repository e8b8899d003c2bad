//! What a ring has lost before its flusher came to it: records that neither the ring nor its backlog holds any more.
//!
//! Messages are numbered without gaps. So what is lost shows between the last message before a gap and the first behind it, and
//! nothing else has to be read.

use lastwords_ring::error::Result;
use lastwords_ring::format::layout::lane_kind;
use lastwords_ring::place::segment::Segment;
use lastwords_ring::read::lane_cursor::LaneCursor;
use lastwords_ring::read::reader::{LaneSnapshot, RingReader};
use std::ops::RangeInclusive;

/// Slots in which a message is sought first.
const READ_FIRST: u64 = 256;

/// How many records are overwritten already; `segments` are those of the ring, in their order.
pub(super) fn overwritten(reader: &RingReader, lanes: &[LaneSnapshot], segments: &[Segment]) -> Result<u64> {
    let slots = reader.geometry().slots();
    let has_wrapped = |lane: &LaneSnapshot| {
        lane.kind != lane_kind::RING_ONLY && lane.reserved.saturating_sub(lane.position.released) > slots
    };
    let wrapped = lanes.iter().enumerate().filter(|(_, lane)| has_wrapped(lane));
    let lost = wrapped.map(|(number, lane)| {
        let own = segments.iter().filter(|segment| segment.lane == number && segment.slots > 0);
        Lane { reader, number, lane }.lost(&held(lane, slots, own))
    });
    lost.sum()
}

/// The sequences that segments and ring may hold of what is not drained, without gaps in each.
fn held<'a>(lane: &LaneSnapshot, slots: u64, segments: impl Iterator<Item = &'a Segment>) -> Vec<RangeInclusive<u64>> {
    let undrained = lane.position.released.saturating_add(1);
    let ring = lane.reserved.saturating_sub(slots) + 1..=lane.reserved;
    let mut held: Vec<RangeInclusive<u64>> = Vec::new();
    for range in segments.map(|segment| segment.first..=segment.last()).chain([ring]) {
        let range = (*range.start()).max(undrained)..=(*range.end()).min(lane.reserved);
        match held.last_mut() {
            Some(last) if *range.start() <= (*last.end()).saturating_add(1) => {
                *last = *last.start()..=(*last.end()).max(*range.end())
            }
            _ if range.is_empty() => {}
            _ => held.push(range),
        }
    }
    held
}

/// A lane that has been overwritten, or would have been without its segments.
struct Lane<'a> {
    reader: &'a RingReader,
    number: usize,
    lane: &'a LaneSnapshot,
}

impl Lane<'_> {
    fn lost(&self, held: &[RangeInclusive<u64>]) -> Result<u64> {
        let (mut lost, mut expected) = (0, self.lane.position.next_message.max(1));
        for (index, range) in held.iter().enumerate() {
            // Impossible numbers are ignored.
            let may_be = expected..=self.lane.messages.saturating_add(1);
            let plausible = |message: &u64| may_be.contains(message);
            let Some(first) = self.first_message(range)?.filter(plausible) else { continue };
            lost += first - expected;
            expected = first + 1;
            if index + 1 < held.len() {
                expected = self.last_message(range)?.filter(plausible).map_or(expected, |last| last + 1);
            }
        }
        Ok(lost)
    }

    fn first_message(&self, range: &RangeInclusive<u64>) -> Result<Option<u64>> {
        // The first of the records that are just being overwritten may be gone when they are read.
        for slots in [READ_FIRST, self.reader.geometry().slots()] {
            let cursor = self.read(*range.start(), slots)?;
            let first = cursor.batch().peek().filter(|record| record.last <= *range.end()).map(|record| record.message);
            if first.is_some() {
                return Ok(first);
            }
        }
        Ok(None)
    }

    fn last_message(&self, range: &RangeInclusive<u64>) -> Result<Option<u64>> {
        let longest = self.reader.geometry().message_slots_max().max(1);
        let from = (*range.start()).max(range.end().saturating_sub(2 * longest));
        let cursor = self.read(from, range.end() - from + 1)?;
        Ok(cursor.batch().iter().take_while(|record| record.last <= *range.end()).last().map(|record| record.message))
    }

    fn read(&self, from: u64, slots: u64) -> Result<LaneCursor> {
        let mut cursor = LaneCursor::behind(from - 1);
        cursor.read(self.reader, self.number, self.lane.extent(None), slots)?;
        Ok(cursor)
    }
}
