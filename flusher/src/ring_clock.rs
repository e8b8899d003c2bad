//! When the records of a ring were logged: on the calendar, and among those of all other rings.

use lastwords_ring::error::Result;
use lastwords_ring::format::anchor::Anchor;
use lastwords_ring::format::layout::{RingHeader, clock_kind};
use lastwords_ring::format::timeline::{Scale, Stretch, Timeline};
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
    Even(Scale),
}

/// One even scale for each boot and kind of clock, so that neither a step of the wall clock nor a sleep of the machine changes
/// the order of rings of one boot.
#[derive(Debug, Default)]
pub struct Scales {
    known: Vec<(([u8; 16], u32), Scale)>,
}

impl Scales {
    fn of(&mut self, header: &RingHeader, timeline: &Timeline) -> Scale {
        let clock = (header.boot_id, header.clock_kind);
        let known = self.known.iter().find(|(known, _)| *known == clock).map(|(_, scale)| *scale);
        known.unwrap_or_else(|| {
            let scale = timeline.scale(header.tick_hz);
            self.known.push((clock, scale));
            scale
        })
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

    /// Orders by the scale of the ring's boot, for records that stand beside those of other boots.
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
            // Drift between the two clocks counts from here.
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
            // Of another boot nobody knows how far its clock went.
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

/// How far the boottime of these anchors is ahead of ours, as both stand to the wall clock.
fn shift(anchors: &[Anchor]) -> i64 {
    let ahead = |anchor: &Anchor| anchor.boottime_ns.wrapping_sub(anchor.realtime_ns).cast_signed();
    let newest = anchors.iter().max_by_key(|anchor| anchor.ticks);
    newest.map_or(0, |newest| ahead(newest).saturating_sub(ahead(&clock::anchor())))
}
