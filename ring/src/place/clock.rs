//! Raw clock values, and their conversion to calendar time.
//!
//! A record carries the raw clock: the time-stamp counter if the kernel itself keeps time by it, else nanoseconds of
//! `CLOCK_BOOTTIME`. The ring holds [`Anchor`]s, which pair the raw clock with calendar time about once a second of activity.
//! `LASTWORDS_CLOCK=boottime` selects the latter on machines with an unreliable counter. A reader converts between two anchors,
//! so nothing drifts and nothing is calibrated on the hot path.

use crate::cpu::counter;
use crate::format::anchor::Anchor;
use crate::format::layout::clock_kind;
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicU32, Ordering};

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

/// The kernel's clock source; None if unknown.
fn source() -> Option<String> {
    let name = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource").ok()?;
    Some(name.trim().to_owned())
}

/// The kernel's clock source, if it has abandoned the time-stamp counter since this process chose it: the processors' counters
/// differ, or stop at times.
pub fn left_for() -> Option<String> {
    abandoned_for(kind(), source())
}

fn abandoned_for(kind: u32, source: Option<String>) -> Option<String> {
    source.filter(|name| kind == clock_kind::TSC && name != "tsc")
}

/// The raw clock now.
#[inline(always)]
#[must_use]
pub fn now() -> u64 {
    if KIND.load(Ordering::Relaxed) == clock_kind::TSC { counter::read() } else { now_slowly() }
}

/// The raw clock now, where it is the processor's counter.
#[inline(always)]
#[must_use]
pub fn counter_now() -> u64 {
    counter::read()
}

/// The kind is unknown yet, or is not the counter.
#[cold]
fn now_slowly() -> u64 {
    if kind() == clock_kind::TSC { counter::read() } else { boottime_ns() }
}

/// `CLOCK_BOOTTIME` in nanoseconds: advances through suspend, is never stepped.
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
    hz_since(&anchor())
}

/// Like [`measure_hz`], from an anchor that was read before: waits only for what is missing of 0.2 ms.
#[must_use]
pub fn hz_since(first: &Anchor) -> u64 {
    let last = loop {
        let next = anchor();
        if next.boottime_ns.saturating_sub(first.boottime_ns) > 200_000 {
            break next;
        }
    };
    let ticks = last.ticks.saturating_sub(first.ticks) as f64;
    let nanoseconds = (last.boottime_ns - first.boottime_ns) as f64;
    (ticks * 1e9 / nanoseconds) as u64
}

/// Reads the three clocks, the best of three tries, so that an interruption in between does no harm.
#[must_use]
pub fn anchor() -> Anchor {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::timeline::Timeline;

    #[test]
    fn the_raw_clock_converts_to_the_time_of_day() {
        let hz = measure_hz();
        let timeline = Timeline::new(vec![anchor()], hz);
        let (ticks, real) = (now(), realtime_ns());
        assert!(timeline.realtime_ns(ticks).abs_diff(real) < 5_000_000, "within 5 ms of the calendar clock");
    }

    #[test]
    fn a_kernel_that_leaves_the_counter_is_noticed_and_what_never_used_it_is_not() {
        let source = |name: &str| Some(name.to_owned());
        assert_eq!(abandoned_for(clock_kind::TSC, source("hpet")), source("hpet"));
        assert_eq!(abandoned_for(clock_kind::TSC, source("acpi_pm")), source("acpi_pm"));
        assert_eq!(abandoned_for(clock_kind::TSC, source("tsc")), None);
        assert_eq!(abandoned_for(clock_kind::TSC, None), None, "it does not say");
        assert_eq!(abandoned_for(clock_kind::BOOTTIME, source("hpet")), None);
    }
}
