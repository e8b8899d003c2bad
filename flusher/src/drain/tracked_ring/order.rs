//! When the records of a ring were logged: on the calendar, and among those of all other rings.

use super::{Follow, LaneFollow};
use lastwords_ring::error::Result;
use lastwords_ring::format::anchor::Anchor;
use lastwords_ring::format::layout::clock_kind;
use lastwords_ring::format::timeline::{Scale, Timeline};
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock::{self};
use lastwords_ring::place::process::{boot_id, is_another_boot};

/// The scales of an earlier run's clocks, by boot and kind.
pub(crate) type Scales = Vec<(([u8; 16], u32), Scale)>;

impl Follow {
    /// Whether its clock is ours, and if not, by how much the boottime of its time namespace is ahead.
    pub(super) fn compare_clocks(&mut self, anchors: &[Anchor]) {
        let header = self.reader.header();
        let same_kind = header.boot_id == boot_id() && header.clock_kind == clock::kind();
        // Of the processor's counter there is one, whatever the namespace.
        let elsewhere = self.reader.process().is_of_another_time_namespace();
        self.same_clock = same_kind && (clock::kind() == clock_kind::TSC || !elsewhere);
        self.shift_ns = if elsewhere { shift(anchors) } else { 0 };
    }

    pub(super) fn refresh_timeline(&mut self) -> Result<()> {
        let mut anchors = self.reader.control()?.anchors;
        if self.same_clock {
            anchors.push(clock::anchor());
        } else if self.dead.is_none() {
            // Drift between the two clocks counts from here.
            self.here = Timeline::new(vec![clock::anchor()], clock::measure_hz());
        }
        self.timeline = Timeline::new(anchors, self.reader.header().tick_hz);
        self.stretch = None;
        Ok(())
    }

    /// Calendar time of a raw clock, nanoseconds since 1970.
    #[inline]
    pub(crate) fn realtime_ns(&mut self, clock: u64) -> u64 {
        self.stretch.and_then(|stretch| stretch.realtime_ns(clock)).unwrap_or_else(|| {
            self.stretch = self.timeline.stretch(clock);
            self.timeline.realtime_ns(clock)
        })
    }

    /// Says that the ring is of an earlier run. `scales` holds one scale for each boot and clock, so that neither a step of
    /// the wall clock nor a sleep of the machine changes the order of rings of one boot.
    pub(crate) fn set_earlier(&mut self, scales: &mut Scales) {
        self.earlier = true;
        let header = self.reader.header();
        let clock = (header.boot_id, header.clock_kind);
        let known = scales.iter().find(|(known, _)| *known == clock).map(|(_, scale)| *scale);
        self.scale = Some(known.unwrap_or_else(|| {
            let scale = self.timeline.scale(header.tick_hz);
            scales.push((clock, scale));
            scale
        }));
        let now = self.now_key();
        self.lanes.iter_mut().for_each(|lane| lane.read_at = now);
    }

    /// What a lane's record is ordered by: its clock, but no later than the moment at which it was read. So a clock that
    /// is ahead, or that went back since, does not stop its lane, and the lane's later records follow in their order.
    #[inline]
    pub(crate) fn order_key(&self, lane: &LaneFollow, clock: u64) -> u64 {
        let key = self.key_of(clock);
        if mutant::is(Mutant::ClockBelieved) { key } else { key.min(lane.read_at) }
    }

    /// By how much a lane's record is ahead of the moment at which it was read; 0 for none.
    #[inline]
    pub(crate) fn ahead_by(&self, lane: &LaneFollow, clock: u64) -> u64 {
        self.key_of(clock).saturating_sub(lane.read_at)
    }

    /// A raw clock on the scale of the order: this process's raw ticks; for an earlier run, which is drained by itself, the
    /// raw ticks on a scale that is the same for all rings of a boot.
    #[inline]
    fn key_of(&self, clock: u64) -> u64 {
        if let Some(scale) = self.scale {
            if mutant::is(Mutant::WallClockOrder) { self.timeline.realtime_ns(clock) } else { scale.at(clock) }
        } else if self.same_clock {
            clock
        } else {
            self.here.ticks_at(self.timeline.boottime_ns(clock).saturating_add_signed(self.shift_ns.saturating_neg()))
        }
    }

    /// This moment on the same scale. Of another boot's nobody knows how far it went.
    pub(super) fn now_key(&self) -> u64 {
        match self.scale {
            None => clock::now(),
            Some(scale) if self.same_clock && !mutant::is(Mutant::WallClockOrder) => scale.at(clock::now()),
            Some(_) => u64::MAX,
        }
    }

    /// Units of an order key in a second.
    pub(crate) fn keys_a_second(&self) -> u64 {
        if self.scale.is_some() { 1_000_000_000 } else { clock::measure_hz() }
    }

    /// Whether the machine was started anew since the ring was made. Another boot id alone does not say so: a container may
    /// have one of its own, and a folder may be copied to another machine.
    pub(crate) fn is_of_another_boot(&self) -> bool {
        let header = self.reader.header();
        let is_copy = header.inode != 0 && header.inode != self.reader.source().inode();
        is_another_boot(&header.boot_id) && header.created_ns < clock::boot_ns() && !is_copy
    }

    /// The newest record's calendar time, for telling an earlier run from this one.
    pub(crate) fn newest_ns(&self) -> u64 {
        let newest = self.lanes.iter().map(|lane| lane.last_clock).max().unwrap_or(0);
        if newest == 0 { self.reader.header().created_ns } else { self.timeline.realtime_ns(newest) }
    }
}

/// How far the boottime of these anchors is ahead of ours, as both stand to the wall clock.
fn shift(anchors: &[Anchor]) -> i64 {
    let ahead = |anchor: &Anchor| anchor.boottime_ns.wrapping_sub(anchor.realtime_ns).cast_signed();
    let newest = anchors.iter().max_by_key(|anchor| anchor.ticks);
    newest.map_or(0, |newest| ahead(newest).saturating_sub(ahead(&clock::anchor())))
}
