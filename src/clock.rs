//! Raw clock values, and how they become calendar time.
//!
//! A record carries the raw clock: the time-stamp counter where the kernel itself keeps time by it, else nanoseconds
//! of `CLOCK_BOOTTIME`. The ring holds [`Anchor`]s, which pair the raw clock with calendar time about once a second of
//! activity. `LASTWORDS_CLOCK=boottime` chooses the second where the first is not to be trusted. A reader converts between two anchors, so nothing drifts and nothing is calibrated on the hot path.

use crate::layout::{ANCHOR_SALT, ANCHORS, AnchorCell, clock_kind};
use crate::sys::tsc;
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Raw ticks after which an append writes a new anchor: between a fifth of a second and a second.
pub const ANCHOR_TICKS: u64 = 1_000_000_000;

static KIND: AtomicU32 = AtomicU32::new(0);

/// The clock that this machine's processes use, one of [`clock_kind`].
#[inline]
#[must_use]
pub fn kind() -> u32 {
    match KIND.load(Ordering::Relaxed) {
        0 => choose(),
        kind => kind,
    }
}

#[cold]
fn choose() -> u32 {
    let source = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let wanted = crate::settings::variable("LASTWORDS_CLOCK").is_none_or(|name| name != "boottime");
    let tsc = cfg!(target_arch = "x86_64") && wanted && source.is_ok_and(|name| name.trim() == "tsc");
    let kind = if tsc { clock_kind::TSC } else { clock_kind::BOOTTIME };
    KIND.store(kind, Ordering::Relaxed);
    kind
}

/// The raw clock now.
#[inline]
#[must_use]
pub fn now() -> u64 {
    if kind() == clock_kind::TSC { tsc::read() } else { boottime_ns() }
}

/// `CLOCK_BOOTTIME` in nanoseconds: goes on through suspend, is never stepped.
#[must_use]
pub fn boottime_ns() -> u64 {
    nanoseconds(ClockId::Boottime)
}

/// `CLOCK_REALTIME` in nanoseconds since 1970.
#[must_use]
pub fn realtime_ns() -> u64 {
    nanoseconds(ClockId::Realtime)
}

/// When this boot began, nanoseconds since 1970, as far as the wall clock is right now.
#[must_use]
pub fn boot_ns() -> u64 {
    realtime_ns().saturating_sub(boottime_ns())
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Raw ticks a second, from two anchors at least 0.2 ms apart; good to about 100 ppm.
#[must_use]
pub fn measure_hz() -> u64 {
    let first = Anchor::now();
    let last = loop {
        let next = Anchor::now();
        if next.boottime_ns.saturating_sub(first.boottime_ns) > 200_000 {
            break next;
        }
    };
    let ticks = last.ticks.saturating_sub(first.ticks) as f64;
    let nanoseconds = (last.boottime_ns - first.boottime_ns) as f64;
    (ticks * 1e9 / nanoseconds) as u64
}

/// The same moment on three clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Raw clock.
    pub ticks: u64,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub boottime_ns: u64,
    /// `CLOCK_REALTIME`, nanoseconds since 1970.
    pub realtime_ns: u64,
}

impl Anchor {
    /// Reads the three clocks, the best of three tries, so that an interruption in between does not count.
    #[must_use]
    pub fn now() -> Anchor {
        let mut best = (u64::MAX, Anchor { ticks: 0, boottime_ns: 0, realtime_ns: 0 });
        for _ in 0..3 {
            let before = now();
            let boottime_ns = boottime_ns();
            let realtime_ns = realtime_ns();
            let after = now();
            let width = after.wrapping_sub(before);
            if width < best.0 {
                best = (width, Anchor { ticks: before + width / 2, boottime_ns, realtime_ns });
            }
        }
        best.1
    }

    /// The four words of an anchor in the control page.
    #[must_use]
    pub fn words(&self) -> [u64; 4] {
        let guard = self.ticks ^ self.boottime_ns ^ self.realtime_ns ^ ANCHOR_SALT;
        [self.ticks, self.boottime_ns, self.realtime_ns, guard]
    }

    /// The anchor of four words, if their guard agrees.
    #[must_use]
    pub fn from_words(words: [u64; 4]) -> Option<Anchor> {
        let anchor = Anchor { ticks: words[0], boottime_ns: words[1], realtime_ns: words[2] };
        (anchor.words()[3] == words[3]).then_some(anchor)
    }

    fn load(cell: &AnchorCell) -> Option<Anchor> {
        let words = [&cell.ticks, &cell.boottime_ns, &cell.realtime_ns, &cell.guard];
        Anchor::from_words(words.map(|word| word.load(Ordering::Relaxed)))
    }

    fn store(self, cell: &AnchorCell) {
        // An anchor torn by a reader fails its guard; the guard is broken first so that no mixture passes.
        cell.guard.store(0, Ordering::Relaxed);
        let [ticks, boottime_ns, realtime_ns, guard] = self.words();
        cell.ticks.store(ticks, Ordering::Release);
        cell.boottime_ns.store(boottime_ns, Ordering::Release);
        cell.realtime_ns.store(realtime_ns, Ordering::Release);
        cell.guard.store(guard, Ordering::Release);
    }
}

/// The writing side of a ring's anchors, one per process.
#[derive(Debug, Default)]
pub struct AnchorWriter {
    busy: AtomicBool,
}

impl AnchorWriter {
    /// Adds an anchor for now. Whoever finds another thread at it leaves it to that one.
    #[cold]
    pub fn write(&self, cells: &[AnchorCell; ANCHORS], newest: &crate::sync::AtomicU64) {
        if self.busy.swap(true, Ordering::Acquire) {
            return;
        }
        let anchor = Anchor::now();
        let used = cells.iter().position(|cell| Anchor::load(cell).is_none()).unwrap_or(ANCHORS);
        let place = if used < ANCHORS { used } else { thin(cells) };
        anchor.store(&cells[place]);
        newest.store(anchor.ticks, Ordering::Relaxed);
        self.busy.store(false, Ordering::Release);
    }
}

/// Keeps every second anchor of the older half and returns the place that became free first. The raw clock runs evenly
/// between far anchors too, so a long quiet stretch needs few of them; the first one always stays, which covers the
/// oldest slot.
fn thin(cells: &[AnchorCell; ANCHORS]) -> usize {
    let kept = (0..ANCHORS).filter(|index| *index >= ANCHORS / 2 || index % 2 == 0);
    let anchors: Vec<Anchor> = kept.filter_map(|index| Anchor::load(&cells[index])).collect();
    for (cell, anchor) in cells.iter().zip(&anchors) {
        anchor.store(cell);
    }
    for cell in &cells[anchors.len().min(ANCHORS)..] {
        cell.guard.store(0, Ordering::Release);
        cell.ticks.store(0, Ordering::Relaxed);
    }
    anchors.len().min(ANCHORS - 1)
}

/// Converts raw ticks of one ring to calendar time.
#[derive(Debug, Clone)]
pub struct Timeline {
    anchors: Vec<Anchor>,
    nanoseconds_per_tick: f64,
}

/// Slopes outside of this range are no clock: ticks from 0.1 GHz to 100 GHz.
const SLOPES: std::ops::Range<f64> = 0.01..10.0;

impl Timeline {
    /// A timeline on these anchors, in any order; `tick_hz` serves where fewer than two are usable.
    #[must_use]
    pub fn new(mut anchors: Vec<Anchor>, tick_hz: u64) -> Timeline {
        anchors.sort_by_key(|anchor| anchor.ticks);
        anchors.dedup_by_key(|anchor| anchor.ticks);
        let nominal = 1e9 / tick_hz.max(1) as f64;
        let nominal = if SLOPES.contains(&nominal) { nominal } else { 1.0 };
        let whole = anchors.first().zip(anchors.last()).and_then(|(first, last)| slope(first, last));
        Timeline { anchors, nanoseconds_per_tick: whole.unwrap_or(nominal) }
    }

    /// Calendar time of `ticks`, nanoseconds since 1970. A step of the wall clock shows as a step here; it never
    /// changes the order, because the order is that of the ticks.
    #[must_use]
    pub fn realtime_ns(&self, ticks: u64) -> u64 {
        let Some((boottime, anchor)) = self.locate(ticks) else { return 0 };
        (boottime + (i128::from(anchor.realtime_ns) - i128::from(anchor.boottime_ns))).clamp(0, i128::from(i64::MAX))
            as u64
    }

    /// `CLOCK_BOOTTIME` of `ticks` in nanoseconds, for comparing clocks of different kinds on one boot.
    #[must_use]
    pub fn boottime_ns(&self, ticks: u64) -> u64 {
        self.locate(ticks).map_or(0, |(boottime, _)| boottime.clamp(0, i128::from(i64::MAX)) as u64)
    }

    /// The even scale that begins at the first anchor, with `tick_hz` ticks a second.
    #[must_use]
    pub fn scale(&self, tick_hz: u64) -> Scale {
        let (ticks, realtime_ns) = self.anchors.first().map_or((0, 0), |anchor| (anchor.ticks, anchor.realtime_ns));
        Scale { ticks, realtime_ns, tick_hz: tick_hz.max(1) }
    }

    /// The inverse of [`Timeline::boottime_ns`]: raw ticks of this clock at a boottime.
    #[must_use]
    pub fn ticks_at(&self, boottime_ns: u64) -> u64 {
        let next = self.anchors.partition_point(|anchor| anchor.boottime_ns <= boottime_ns);
        let Some(anchor) = self.anchors.get(next.saturating_sub(1)) else { return 0 };
        let distance = i128::from(boottime_ns) - i128::from(anchor.boottime_ns);
        let ticks = (distance as f64 / self.nanoseconds_per_tick) as i128;
        (i128::from(anchor.ticks) + ticks).clamp(0, i128::from(u64::MAX)) as u64
    }

    /// The stretch between two anchors in which `ticks` lies, for converting many values of it. None before the first
    /// anchor, and where anchors are nonsense.
    #[must_use]
    pub fn stretch(&self, ticks: u64) -> Option<Stretch> {
        let next = self.anchors.partition_point(|anchor| anchor.ticks <= ticks);
        let anchor = *self.anchors.get(next.checked_sub(1)?)?;
        let end = self.anchors.get(next).map_or(u64::MAX, |following| following.ticks);
        let end = end.min(anchor.ticks.saturating_add(STRETCH_MAX));
        let sane = ticks < end && anchor.realtime_ns < 1 << 62;
        sane.then_some(Stretch { anchor, end, nanoseconds_per_tick: self.slope_after(next, &anchor) })
    }

    /// Nanoseconds a tick between an anchor and the one with number `next`.
    fn slope_after(&self, next: usize, anchor: &Anchor) -> f64 {
        let following = if next == 0 { None } else { self.anchors.get(next) };
        following.and_then(|following| slope(anchor, following)).unwrap_or(self.nanoseconds_per_tick)
    }

    fn locate(&self, ticks: u64) -> Option<(i128, Anchor)> {
        let next = self.anchors.partition_point(|anchor| anchor.ticks <= ticks);
        let anchor = *self.anchors.get(next.saturating_sub(1))?;
        let slope = self.slope_after(next, &anchor);
        let distance = i128::from(ticks) - i128::from(anchor.ticks);
        let nanoseconds = (distance as f64 * slope) as i128;
        Some((i128::from(anchor.boottime_ns) + nanoseconds, anchor))
    }
}

/// Nanoseconds since 1970 as a clock would show them that nobody sets and that runs evenly: for the order of records of
/// several boots. Within one boot its order is that of the ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    ticks: u64,
    realtime_ns: u64,
    tick_hz: u64,
}

impl Scale {
    /// The place of `ticks` on the scale.
    #[must_use]
    pub fn at(&self, ticks: u64) -> u64 {
        let distance = (i128::from(ticks) - i128::from(self.ticks)) * 1_000_000_000 / i128::from(self.tick_hz);
        (i128::from(self.realtime_ns) + distance).clamp(0, i128::from(u64::MAX)) as u64
    }
}

/// Ticks that a [`Stretch`] covers at most, so that its arithmetic is exact enough in 64 bits: over a day.
const STRETCH_MAX: u64 = 1 << 48;

/// The time between two anchors, see [`Timeline::stretch`].
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    anchor: Anchor,
    end: u64,
    nanoseconds_per_tick: f64,
}

impl Stretch {
    /// The same as [`Timeline::realtime_ns`], if `ticks` lies in this stretch.
    #[inline]
    #[must_use]
    pub fn realtime_ns(&self, ticks: u64) -> Option<u64> {
        let inside = self.anchor.ticks <= ticks && ticks < self.end;
        let nanoseconds = (ticks.wrapping_sub(self.anchor.ticks) as i64 as f64 * self.nanoseconds_per_tick) as i64;
        inside.then(|| self.anchor.realtime_ns.wrapping_add(nanoseconds as u64))
    }
}

fn slope(from: &Anchor, to: &Anchor) -> Option<f64> {
    let ticks = to.ticks.checked_sub(from.ticks).filter(|ticks| *ticks > 0)? as f64;
    let nanoseconds = to.boottime_ns.checked_sub(from.boottime_ns)? as f64;
    let slope = nanoseconds / ticks;
    SLOPES.contains(&slope).then_some(slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(ticks: u64, boottime_ns: u64, realtime_ns: u64) -> Anchor {
        Anchor { ticks, boottime_ns, realtime_ns }
    }

    #[test]
    fn between_two_anchors_time_is_interpolated() {
        let timeline = Timeline::new(vec![anchor(1000, 500, 10_500), anchor(3000, 1500, 11_500)], 1);
        assert_eq!(timeline.realtime_ns(1000), 10_500);
        assert_eq!(timeline.realtime_ns(2000), 11_000);
        assert_eq!(timeline.realtime_ns(5000), 12_500);
        assert_eq!(timeline.realtime_ns(0), 10_000);
    }

    #[test]
    fn a_step_of_the_wall_clock_does_not_smear() {
        let timeline = Timeline::new(vec![anchor(0, 0, 1_000_000), anchor(1000, 1000, 5_001_000)], 1_000_000_000);
        assert_eq!(timeline.realtime_ns(999), 1_000_999);
        assert_eq!(timeline.realtime_ns(1000), 5_001_000);
    }

    #[test]
    fn nonsense_anchors_give_some_time_and_no_panic() {
        let nonsense = vec![anchor(u64::MAX, 0, u64::MAX), anchor(0, u64::MAX, 0), anchor(7, 7, 7)];
        let timeline = Timeline::new(nonsense, 0);
        for ticks in [0, 1, 7, u64::MAX / 2, u64::MAX] {
            let _ = (timeline.realtime_ns(ticks), timeline.boottime_ns(ticks));
        }
        assert_eq!(Timeline::new(Vec::new(), 0).realtime_ns(5), 0);
    }

    #[test]
    fn a_stretch_says_the_same_as_its_timeline() {
        let anchors = vec![anchor(1_000, 500, 10_500), anchor(3_000, 1_500, 11_500), anchor(9_000, 9_000, 50_000)];
        let timeline = Timeline::new(anchors, 1);
        let stretch = timeline.stretch(3_500).expect("after an anchor");
        for ticks in [3_000, 3_001, 4_567, 8_999] {
            assert_eq!(stretch.realtime_ns(ticks), Some(timeline.realtime_ns(ticks)), "{ticks}");
        }
        assert_eq!((stretch.realtime_ns(2_999), stretch.realtime_ns(9_000)), (None, None));
        assert!(timeline.stretch(999).is_none());
        assert_eq!(timeline.stretch(20_000).and_then(|s| s.realtime_ns(20_000)), Some(timeline.realtime_ns(20_000)));
    }

    #[test]
    fn ticks_and_boottime_convert_both_ways() {
        let timeline = Timeline::new(vec![anchor(1_000, 500, 0), anchor(3_000, 1_500, 0)], 1);
        for ticks in [0, 1_000, 2_000, 3_000, 9_000] {
            assert_eq!(timeline.ticks_at(timeline.boottime_ns(ticks)), ticks);
        }
        assert_eq!(Timeline::new(Vec::new(), 0).ticks_at(5), 0);
    }

    #[test]
    fn the_raw_clock_converts_to_the_time_of_day() {
        let hz = measure_hz();
        let timeline = Timeline::new(vec![Anchor::now()], hz);
        let (ticks, real) = (now(), realtime_ns());
        assert!(timeline.realtime_ns(ticks).abs_diff(real) < 5_000_000, "within 5 ms of the calendar clock");
    }

    #[test]
    fn a_full_anchor_array_keeps_its_first_and_its_newest() {
        let words = || std::array::from_fn::<AnchorCell, ANCHORS, _>(|_| AnchorCell {
            ticks: 0.into(),
            boottime_ns: 0.into(),
            realtime_ns: 0.into(),
            guard: 0.into(),
        });
        let (cells, newest, writer) = (words(), 0.into(), AnchorWriter::default());
        writer.write(&cells, &newest);
        let first = Anchor::load(&cells[0]).expect("written");
        for _ in 0..1000 {
            writer.write(&cells, &newest);
        }
        let anchors: Vec<Anchor> = cells.iter().filter_map(Anchor::load).collect();
        assert_eq!(anchors[0], first);
        assert!(anchors.iter().any(|anchor| anchor.ticks == newest.load(Ordering::Relaxed)));
        assert!(anchors.len() > ANCHORS / 4);
    }
}
