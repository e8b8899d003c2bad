//! Raw clock values, and how they become calendar time.
//!
//! A record carries the raw clock: the time-stamp counter where the kernel itself keeps time by it, else nanoseconds
//! of `CLOCK_BOOTTIME`. The ring holds [`Anchor`]s, which pair the raw clock with calendar time about once a second of
//! activity. `LASTWORDS_CLOCK=boottime` chooses the second where the first is not to be trusted. A reader converts between two anchors, so nothing drifts and nothing is calibrated on the hot path.

pub use crate::place::timeline::{Scale, Stretch, Timeline};

use crate::cpu::counter;
use crate::format::layout::{ANCHOR_SALT, ANCHORS, AnchorCell, clock_kind};
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
    let wanted = crate::place::environment::variable("LASTWORDS_CLOCK").is_none_or(|name| name != "boottime");
    let tsc = cfg!(target_arch = "x86_64") && wanted && source().as_deref() == Some("tsc");
    let kind = if tsc { clock_kind::TSC } else { clock_kind::BOOTTIME };
    KIND.store(kind, Ordering::Relaxed);
    kind
}

/// What the kernel keeps time by; None where it does not say.
fn source() -> Option<String> {
    let name = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource").ok()?;
    Some(name.trim().to_owned())
}

/// What the kernel keeps time by, if it has left the time-stamp counter since this process chose it: the counters of the
/// processors differ, or stand still at times.
pub fn left_for() -> Option<String> {
    left(kind(), source())
}

fn left(kind: u32, source: Option<String>) -> Option<String> {
    source.filter(|name| kind == clock_kind::TSC && name != "tsc")
}

/// The raw clock now.
#[inline]
#[must_use]
pub fn now() -> u64 {
    if kind() == clock_kind::TSC { counter::read() } else { boottime_ns() }
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
    /// Adds an anchor, because a record that read its clock at `now` found the newest one too far away: too old, or, where
    /// the clock went back, ahead of it. Whoever finds another thread at it leaves it to that one.
    #[cold]
    pub fn write(&self, now: u64, cells: &[AnchorCell; ANCHORS], newest: &crate::atomics::AtomicU64) {
        // A thread that was interrupted since it read its clock finds a later anchor, and that is all.
        let ahead = newest.load(Ordering::Relaxed).wrapping_sub(now);
        if ahead < ANCHOR_TICKS || self.busy.swap(true, Ordering::Acquire) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_raw_clock_converts_to_the_time_of_day() {
        let hz = measure_hz();
        let timeline = Timeline::new(vec![Anchor::now()], hz);
        let (ticks, real) = (now(), realtime_ns());
        assert!(timeline.realtime_ns(ticks).abs_diff(real) < 5_000_000, "within 5 ms of the calendar clock");
    }

    fn cells() -> [AnchorCell; ANCHORS] {
        std::array::from_fn(|_| AnchorCell {
            ticks: 0.into(),
            boottime_ns: 0.into(),
            realtime_ns: 0.into(),
            guard: 0.into(),
        })
    }

    #[test]
    fn an_anchor_is_written_where_the_newest_is_old_or_ahead_by_more_than_an_interruption() {
        let (now, day) = (now(), 1 << 47);
        for (newest, written) in [
            (now - 2 * ANCHOR_TICKS, true),
            (now + 10, false),
            (now + ANCHOR_TICKS - 1, false),
            (now + 2 * ANCHOR_TICKS, true),
            (now + day, true),
            (u64::MAX, true),
            (0, true),
        ] {
            let (cells, cell, writer) = (cells(), newest.into(), AnchorWriter::default());
            writer.write(now, &cells, &cell);
            let after = cell.load(Ordering::Relaxed);
            assert_eq!(after != newest, written, "{newest} at {now}");
            assert_eq!(Anchor::load(&cells[0]).is_some(), written, "{newest} at {now}");
        }
    }

    #[test]
    fn a_kernel_that_leaves_the_counter_is_noticed_and_what_never_used_it_is_not() {
        let source = |name: &str| Some(name.to_owned());
        assert_eq!(left(clock_kind::TSC, source("hpet")), source("hpet"));
        assert_eq!(left(clock_kind::TSC, source("acpi_pm")), source("acpi_pm"));
        assert_eq!(left(clock_kind::TSC, source("tsc")), None);
        assert_eq!(left(clock_kind::TSC, None), None, "it does not say");
        assert_eq!(left(clock_kind::BOOTTIME, source("hpet")), None);
    }

    #[test]
    fn a_full_anchor_array_keeps_its_first_and_its_newest() {
        let (cells, newest, writer) = (cells(), 0.into(), AnchorWriter::default());
        writer.write(now(), &cells, &newest);
        let first = Anchor::load(&cells[0]).expect("written");
        for _ in 0..1000 {
            // As if each came an hour after the one before.
            newest.store(newest.load(Ordering::Relaxed).wrapping_sub(1 << 42), Ordering::Relaxed);
            writer.write(now(), &cells, &newest);
        }
        let anchors: Vec<Anchor> = cells.iter().filter_map(Anchor::load).collect();
        assert_eq!(anchors[0], first);
        assert!(anchors.iter().any(|anchor| anchor.ticks == newest.load(Ordering::Relaxed)));
        assert!(anchors.len() > ANCHORS / 4);
    }
}
