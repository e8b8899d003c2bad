//! When the records of a ring were logged: on the calendar, and among those of all other rings.

use lastwords_ring::error::Result;
use lastwords_ring::format::anchor::Anchor;
use lastwords_ring::format::layout::{RingHeader, clock_kind};
use lastwords_ring::format::timeline::{BootTimeline, Stretch, Timeline};
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use lastwords_ring::place::process::boot_id;
use lastwords_ring::read::lane_cursor::LaneCursor;
use lastwords_ring::read::reader::{RingReader, Source};

/// The clock of one ring.
#[derive(Debug)]
pub struct RingClock {
    timeline: Timeline,
    /// The part of the timeline that the last record was in.
    stretch: Option<Stretch>,
    /// Its raw clock is this process's.
    is_ours: bool,
    order: Order,
}

/// How raw clocks become order keys.
#[derive(Debug)]
enum Order {
    /// As they are.
    Same,
    /// By boottime to the raw ticks that this process's own clock had then.
    Converted {
        here: Timeline,
        /// How far `CLOCK_BOOTTIME` of the ring's time namespace is ahead of ours, nanoseconds.
        shift_ns: i64,
    },
    /// On an even scale.
    Even(BootTimeline),
}

/// One even scale for each clock of a boot, so that neither a step of the wall clock nor a sleep of the machine changes the order
/// of rings of one boot.
#[derive(Debug, Default)]
pub struct Scales {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    boot: [u8; 16],
    kind: u32,
    time_namespace: [u8; 8],
    scale: BootTimeline,
    /// By how much the wall clock is ahead of boottime on it.
    ahead_ns: i64,
}

impl Scales {
    fn of(&mut self, header: &RingHeader, timeline: &Timeline) -> BootTimeline {
        let (boot, kind, time_namespace) = (header.boot_id, header.clock_kind, header.time_namespace);
        let of_boot = || self.known.iter().filter(|known| known.boot == boot);
        let shares_boottime = |known: &&Known| known.time_namespace == time_namespace;
        // Of the processor's counter there is one, whatever the namespace.
        let is_clock = |known: &&Known| known.kind == kind && (kind == clock_kind::TSC || shares_boottime(known));
        if let Some(known) = of_boot().find(is_clock) {
            return known.scale;
        }
        // Two clocks of one boot are related through boottime.
        let ahead_ns = of_boot().find(shares_boottime).map_or_else(|| timeline.ahead_ns(), |known| known.ahead_ns);
        let scale = timeline.scale(header.tick_hz, ahead_ns);
        self.known.push(Known { boot, kind, time_namespace, scale, ahead_ns });
        scale
    }
}

impl RingClock {
    /// The clock of a ring whose records are ordered among those that are logged now: by this process's raw ticks.
    ///
    /// # Errors
    /// As pread(2).
    pub fn new<S: Source>(reader: &RingReader<S>) -> Result<RingClock> {
        let (header, anchors) = (reader.header(), reader.control()?.anchors);
        let same_kind = header.boot_id == boot_id() && header.clock_kind == clock::kind();
        // Of the processor's counter there is one, whatever the namespace.
        let elsewhere = reader.process().is_of_another_time_namespace();
        let is_ours = same_kind && (clock::kind() == clock_kind::TSC || !elsewhere);
        let shift_ns = if elsewhere { shift(&anchors) } else { 0 };
        let order = if is_ours { Order::Same } else { Order::Converted { here: here(), shift_ns } };
        Ok(RingClock { timeline: Timeline::new(anchors, header.tick_hz), stretch: None, is_ours, order })
    }

    /// Orders by the scale of the ring's boot, for records that are merged with those of other boots.
    pub fn order_evenly(&mut self, header: &RingHeader, scales: &mut Scales) {
        self.order = Order::Even(scales.of(header, &self.timeline));
    }

    /// Takes the ring's newest anchors, and where its process lives, this moment.
    ///
    /// # Errors
    /// As pread(2).
    pub fn refresh<S: Source>(&mut self, reader: &RingReader<S>, is_dead: bool) -> Result<()> {
        let mut anchors = reader.control()?.anchors;
        if self.is_ours {
            anchors.push(clock::anchor());
        } else if let Order::Converted { here: moment, .. } = &mut self.order
            && !is_dead
        {
            // Drift between the two clocks starts here.
            *moment = here();
        }
        self.timeline = Timeline::new(anchors, reader.header().tick_hz);
        self.stretch = None;
        Ok(())
    }

    /// The ring's own anchors.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Calendar time of a raw clock, nanoseconds since 1970.
    #[inline]
    pub fn realtime_ns(&mut self, clock: u64) -> u64 {
        self.stretch.and_then(|stretch| stretch.realtime_ns(clock)).unwrap_or_else(|| {
            self.stretch = self.timeline.stretch(clock);
            self.timeline.realtime_ns(clock)
        })
    }

    /// What a lane's record is ordered by: its clock, but no later than the moment at which it was read. So a clock that
    /// is ahead, or that went back since, does not stop its lane, and the lane's later records follow in their order.
    #[inline]
    #[must_use]
    pub fn order_key(&self, lane: &LaneCursor, clock: u64) -> u64 {
        let latest = if mutant::is(Mutant::ClockBelieved) { u64::MAX } else { lane.read_at() };
        match &self.order {
            Order::Same => clock.min(latest),
            Order::Converted { .. } => self.key(clock).min(latest),
            // How far another boot's clock went is not known.
            Order::Even(_) => self.key(if self.is_ours { clock.min(latest) } else { clock }),
        }
    }

    /// By how much a lane's record is ahead of the moment at which it was read, as an order key; 0 for none.
    #[inline]
    #[must_use]
    pub fn ahead_by(&self, lane: &LaneCursor, clock: u64) -> u64 {
        match &self.order {
            Order::Even(_) if !self.is_ours || clock <= lane.read_at() => 0,
            Order::Even(_) => self.key(clock).saturating_sub(self.key(lane.read_at())),
            Order::Same | Order::Converted { .. } => self.key(clock).saturating_sub(lane.read_at()),
        }
    }

    /// A raw clock of the ring as an order key.
    #[inline]
    fn key(&self, clock: u64) -> u64 {
        match &self.order {
            Order::Same => clock,
            Order::Converted { here, shift_ns } => {
                here.ticks_at(self.timeline.boottime_ns(clock).saturating_add_signed(shift_ns.saturating_neg()))
            }
            Order::Even(_) if mutant::is(Mutant::WallClockOrder) => self.timeline.realtime_ns(clock),
            Order::Even(scale) => scale.at(clock),
        }
    }

    /// Order keys in a second.
    #[must_use]
    pub fn keys_a_second(&self) -> u64 {
        if matches!(self.order, Order::Even(_)) { 1_000_000_000 } else { clock::measure_hz() }
    }
}

/// This moment on this process's own clock.
fn here() -> Timeline {
    Timeline::new(vec![clock::anchor()], clock::measure_hz())
}

/// How far the boottime of these anchors is ahead of ours, by their distances to the wall clock.
fn shift(anchors: &[Anchor]) -> i64 {
    let ahead = |anchor: &Anchor| anchor.boottime_ns.wrapping_sub(anchor.realtime_ns).cast_signed();
    let newest = anchors.iter().max_by_key(|anchor| anchor.ticks);
    newest.map_or(0, |newest| ahead(newest).saturating_sub(ahead(&clock::anchor())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn header(boot: u8, kind: u32, namespace: u8) -> RingHeader {
        let zeros = bytemuck::Zeroable::zeroed();
        RingHeader { boot_id: [boot; 16], clock_kind: kind, time_namespace: [namespace; 8], tick_hz: SECOND, ..zeros }
    }

    fn timeline(ticks: u64, boottime_s: u64, realtime_s: u64) -> Timeline {
        let anchor = Anchor { ticks, boottime_ns: boottime_s * SECOND, realtime_ns: realtime_s * SECOND };
        Timeline::new(vec![anchor], SECOND)
    }

    #[test]
    fn the_clocks_of_a_boot_stand_to_each_other_as_to_boottime_and_boots_as_on_the_calendar() {
        let mut scales = Scales::default();
        let counter = scales.of(&header(1, clock_kind::TSC, 1), &timeline(7, 5, 1000));
        assert_eq!(counter.at(7), 1000 * SECOND);
        // The wall clock was set back by 900 s before these rings were made.
        let later = scales.of(&header(1, clock_kind::TSC, 1), &timeline(7 + SECOND, 6, 101));
        assert_eq!(later.at(7 + SECOND), 1001 * SECOND, "the same clock");
        let boottime = scales.of(&header(1, clock_kind::BOOTTIME, 1), &timeline(6 * SECOND, 6, 101));
        assert_eq!(boottime.at(6 * SECOND), 1001 * SECOND, "another clock of the boot");
        let elsewhere = scales.of(&header(1, clock_kind::BOOTTIME, 2), &timeline(60 * SECOND, 60, 101));
        assert_eq!(elsewhere.at(60 * SECOND), 101 * SECOND, "whose boottime is another");
        let next = scales.of(&header(2, clock_kind::TSC, 1), &timeline(9, 5, 2000));
        assert_eq!(next.at(9), 2000 * SECOND, "another boot");
    }
}
