//! Raw ticks of one ring as calendar time, by the anchors that the ring holds.
//!
//! A clock is trusted between two anchors only as far as they agree with each other. Ticks that go back (a counter that
//! restarted during suspend) begin a new run of anchors; a stretch in which ticks and boottime advanced at very different rates
//! (suspend, a counter that was set, another machine) contains a jump, and each moment of it is measured from the nearer of its
//! two anchors. So a wrong time ends with the next anchor, whatever the clock did before it.

use crate::format::anchor::{ANCHOR_TICKS, Anchor};

/// Converts raw ticks of one ring to calendar time.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// Ordered by boottime, which never goes back.
    anchors: Vec<Anchor>,
    /// Each of them has anchors with rising ticks.
    runs: Vec<Run>,
    nanoseconds_per_tick: f64,
}

/// Anchors between which the raw clock advanced.
#[derive(Debug, Clone)]
struct Run {
    first: u64,
    last: u64,
    /// Ordered by ticks; the last one has no end, and the first one applies to everything before it as well.
    pieces: Vec<Stretch>,
}

/// Slopes outside of this range are not a clock: ticks from 0.1 GHz to 100 GHz.
const SLOPES: std::ops::Range<f64> = 0.01..10.0;
/// [`SLOPES`] in ticks a second.
const TICK_RATES: std::ops::Range<u64> = 100_000_000..100_000_000_000;
/// How many times faster or slower than the ring's own rate a clock may advance between two anchors before it is a jump.
const RATES: f64 = 3.0;
/// Ticks after the last anchor of a run within which its records lie: an append that finds the newest anchor older than
/// [`ANCHOR_TICKS`] writes another.
const RUN_ON: u64 = 4 * ANCHOR_TICKS;

impl Timeline {
    /// A timeline on these anchors, in any order; `tick_hz` is used if no two of them give a better value.
    #[must_use]
    pub fn new(mut anchors: Vec<Anchor>, tick_hz: u64) -> Timeline {
        anchors.sort_by_key(|anchor| (anchor.boottime_ns, anchor.ticks));
        // Counters of several processors may differ a little; that is not a restart.
        let mut newest = None;
        anchors.retain(|anchor| {
            let goes_on =
                newest.is_none_or(|newest: u64| anchor.ticks > newest || newest - anchor.ticks > ANCHOR_TICKS);
            newest = if goes_on { Some(anchor.ticks) } else { newest };
            goes_on
        });
        let whole = || anchors.first().zip(anchors.last()).and_then(|(first, last)| slope(first, last));
        let stated = Some(1e9 / tick_hz.max(1) as f64).filter(|rate| SLOPES.contains(rate));
        let nominal = stated.or_else(whole).unwrap_or(1.0);
        let mut runs = Vec::new();
        let mut rest = anchors.as_slice();
        while !rest.is_empty() {
            let end = 1 + rest.windows(2).take_while(|pair| pair[0].ticks < pair[1].ticks).count();
            runs.push(Run::new(&rest[..end], nominal));
            rest = &rest[end..];
        }
        Timeline { anchors, runs, nanoseconds_per_tick: nominal }
    }

    /// Calendar time of `ticks`, nanoseconds since 1970. A step of the wall clock shows as a step here; it never changes the
    /// order, which is that of the ticks.
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

    /// The even timeline that begins at the first anchor, with `tick_hz` ticks a second and the wall clock always `ahead_ns`
    /// ahead of boottime.
    #[must_use]
    pub fn scale(&self, tick_hz: u64, ahead_ns: i64) -> BootTimeline {
        let (ticks, boottime_ns) = self.anchors.first().map_or((0, 0), |anchor| (anchor.ticks, anchor.boottime_ns));
        let realtime_ns = boottime_ns.saturating_add_signed(ahead_ns);
        BootTimeline { ticks, realtime_ns, tick_hz: tick_hz.clamp(TICK_RATES.start, TICK_RATES.end) }
    }

    /// By how much the wall clock was ahead of boottime at the first anchor.
    #[must_use]
    pub fn ahead_ns(&self) -> i64 {
        let ahead = |anchor: &Anchor| anchor.realtime_ns.wrapping_sub(anchor.boottime_ns).cast_signed();
        self.anchors.first().map_or(0, ahead)
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

    /// The stretch in which `ticks` lies, for converting many values of it. None before the first anchor, and if the anchors
    /// are invalid.
    #[must_use]
    pub fn stretch(&self, ticks: u64) -> Option<Stretch> {
        let stretch = *self.piece(ticks)?;
        let end = stretch.end.min(stretch.anchor.ticks.saturating_add(STRETCH_MAX));
        let start = stretch.start.max(stretch.anchor.ticks.saturating_sub(STRETCH_MAX));
        let sane = start <= ticks && ticks < end && stretch.anchor.realtime_ns < 1 << 62;
        sane.then_some(Stretch { start, end, ..stretch })
    }

    /// The newest run that `ticks` may belong to, or the nearest one.
    fn piece(&self, ticks: u64) -> Option<&Stretch> {
        let newest_first = || self.runs.iter().rev();
        let run = newest_first()
            .find(|run| (run.first..=run.last.saturating_add(RUN_ON)).contains(&ticks))
            .or_else(|| newest_first().min_by_key(|run| ticks.abs_diff(ticks.clamp(run.first, run.last))))?;
        run.piece(ticks)
    }

    fn locate(&self, ticks: u64) -> Option<(i128, Anchor)> {
        let piece = self.piece(ticks)?;
        let distance = i128::from(ticks) - i128::from(piece.anchor.ticks);
        let nanoseconds = (distance as f64 * piece.nanoseconds_per_tick) as i128;
        Some((i128::from(piece.anchor.boottime_ns) + nanoseconds, piece.anchor))
    }
}

impl Run {
    /// `anchors` are at least one, with rising ticks.
    fn new(anchors: &[Anchor], nominal: f64) -> Run {
        let (mut pieces, mut rate, mut before) = (Vec::with_capacity(anchors.len()), nominal, None);
        for pair in anchors.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let slope = slope(&from, &to);
            // If a machine was moved to a faster processor, the stretches agree with each other and not with the start.
            let steady =
                slope.filter(|slope| is_near(*slope, nominal) || before.is_some_and(|before| is_near(*slope, before)));
            before = slope;
            match steady {
                Some(nanoseconds_per_tick) => {
                    pieces.push(Stretch { anchor: from, start: from.ticks, end: to.ticks, nanoseconds_per_tick });
                    if to.ticks - from.ticks > ANCHOR_TICKS / 2 {
                        rate = nanoseconds_per_tick;
                    }
                }
                None => {
                    let middle = from.ticks + (to.ticks - from.ticks) / 2;
                    let nanoseconds_per_tick = rate;
                    pieces.push(Stretch { anchor: from, start: from.ticks, end: middle, nanoseconds_per_tick });
                    pieces.push(Stretch { anchor: to, start: middle, end: to.ticks, nanoseconds_per_tick });
                }
            }
        }
        let (first, last) = (anchors[0], anchors[anchors.len() - 1]);
        pieces.push(Stretch { anchor: last, start: last.ticks, end: u64::MAX, nanoseconds_per_tick: rate });
        Run { first: first.ticks, last: last.ticks, pieces }
    }

    fn piece(&self, ticks: u64) -> Option<&Stretch> {
        let next = self.pieces.partition_point(|piece| piece.start <= ticks);
        self.pieces.get(next.saturating_sub(1))
    }
}

fn is_near(slope: f64, rate: f64) -> bool {
    (rate / RATES..rate * RATES).contains(&slope)
}

/// Nanoseconds since 1970 on a clock that is never set and runs evenly: orders records of several boots. Within one boot the
/// order is that of the ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootTimeline {
    ticks: u64,
    realtime_ns: u64,
    tick_hz: u64,
}

impl BootTimeline {
    /// The position of `ticks` on the timeline.
    #[must_use]
    pub fn at(&self, ticks: u64) -> u64 {
        let distance = (i128::from(ticks) - i128::from(self.ticks)) * 1_000_000_000 / i128::from(self.tick_hz);
        (i128::from(self.realtime_ns) + distance).clamp(0, i128::from(u64::MAX)) as u64
    }
}

/// Ticks that a [`Stretch`] covers at most, so that its arithmetic is exact enough in 64 bits: over a day.
const STRETCH_MAX: u64 = 1 << 48;

/// A period in which the raw clock advanced evenly, see [`Timeline::stretch`].
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    anchor: Anchor,
    start: u64,
    end: u64,
    nanoseconds_per_tick: f64,
}

impl Stretch {
    /// Like [`Timeline::realtime_ns`], for `ticks` within this stretch.
    #[inline]
    #[must_use]
    pub fn realtime_ns(&self, ticks: u64) -> Option<u64> {
        let inside = self.start <= ticks && ticks < self.end;
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

    const SECOND: u64 = 1_000_000_000;
    /// 2 GHz.
    const HZ: u64 = 2 * SECOND;

    /// Seconds of boottime, ticks of the counter, and the wall clock with it.
    fn at(second: u64, ticks: u64) -> Anchor {
        anchor(ticks, second * SECOND, (1_000_000 + second) * SECOND)
    }

    /// The timeline's time of `ticks`, in seconds of boottime by the wall clock.
    fn shown(timeline: &Timeline, ticks: u64) -> f64 {
        timeline.realtime_ns(ticks) as f64 / 1e9 - 1_000_000.0
    }

    #[test]
    fn after_whatever_the_clock_did_times_are_right_again_from_the_next_anchor_on() {
        // Anchors; then raw clocks, and the second of each.
        let day = 86_400;
        type Case = (&'static str, Vec<Anchor>, Vec<(u64, f64)>);
        let cases: [Case; 6] = [
            (
                "the counter restarted in a sleep of an hour",
                vec![at(100, 100 * HZ), at(101, 101 * HZ), at(3_701, HZ / 10), at(3_702, HZ / 10 + HZ)],
                vec![
                    (100 * HZ + HZ / 2, 100.5),
                    (101 * HZ + HZ / 4, 101.25),
                    (HZ / 10 + HZ / 2, 3_701.5),
                    (HZ / 20, 3_700.95),
                ],
            ),
            (
                "the same, and it has come further than before",
                vec![at(100, 10 * HZ), at(101, 11 * HZ), at(200, HZ), at(201, 2 * HZ), at(299, 100 * HZ)],
                vec![(HZ + HZ / 2, 200.5), (50 * HZ, 249.0)],
            ),
            (
                "the counter stood still for a day",
                vec![at(10, 10 * HZ), at(11, 11 * HZ), at(day, 12 * HZ), at(day + 1, 13 * HZ)],
                vec![(11 * HZ + 10, 11.0), (12 * HZ - 10, day as f64), (12 * HZ + HZ / 2, day as f64 + 0.5)],
            ),
            (
                "the counter was set a day ahead",
                vec![at(10, 10 * HZ), at(11, 11 * HZ), at(12, day * HZ), at(13, (day + 1) * HZ)],
                vec![(11 * HZ + 10, 11.0), (day * HZ - 10, 12.0), (day * HZ + HZ / 2, 12.5)],
            ),
            (
                "another machine, with half the frequency",
                vec![at(10, 10 * HZ), at(11, 11 * HZ), at(12, 12 * HZ - HZ / 2), at(13, 12 * HZ)],
                vec![(10 * HZ + HZ / 2, 10.5), (11 * HZ + 3 * HZ / 4, 12.5), (12 * HZ + HZ / 4, 13.5)],
            ),
            (
                "another machine, with a fifth of the frequency",
                vec![at(10, 10 * HZ), at(11, 11 * HZ), at(12, 11 * HZ + HZ / 5), at(22, 13 * HZ + HZ / 5)],
                vec![(10 * HZ + HZ / 2, 10.5), (12 * HZ + HZ / 5, 17.0)],
            ),
        ];
        for (what, anchors, moments) in cases {
            let timeline = Timeline::new(anchors, HZ);
            for (ticks, second) in moments {
                let found = shown(&timeline, ticks);
                assert!((found - second).abs() < 0.02, "{what}: {ticks} is {found} and should be {second}");
                let quick = timeline.stretch(ticks).and_then(|stretch| stretch.realtime_ns(ticks));
                assert!(quick.is_none_or(|ns| ns.abs_diff(timeline.realtime_ns(ticks)) < 1000), "{what}");
            }
        }
    }
}
