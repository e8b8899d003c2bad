//! What a call costs its caller.
//!
//! Bursts of 1,000 calls are timed as a whole, and as many calls singly, by the raw clock less the cost of reading it.
//! After each burst the logger's flush, where there is one, and a pause until its files are quiet, so that no call meets
//! a full queue.

use crate::cores::Cores;
use crate::peer::{Job, Peer};
use crate::quiet;
use lastwords_ring::place::clock;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

const BURST: u64 = 1_000;
/// Bursts that are not counted: they find cold caches and lazily made buffers.
const WARM_UP: u64 = 3;

/// Nanoseconds of one message's calls in one process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Latency {
    /// The median burst's mean.
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// How many numbers it has.
    pub(crate) const NUMBERS: usize = 5;

    pub(crate) fn numbers(self) -> [f64; Latency::NUMBERS] {
        [self.mean, self.p50, self.p99, self.p999, self.max]
    }

    pub(crate) fn from_numbers(numbers: [f64; Latency::NUMBERS]) -> Latency {
        let [mean, p50, p99, p999, max] = numbers;
        Latency { mean, p50, p99, p999, max }
    }
}

/// Calls of one message that are being timed.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    bursts: Vec<f64>,
    singles: Vec<u64>,
}

impl Timing {
    /// One burst as a whole and one of single calls, with `settle` after each.
    pub(crate) fn burst(&mut self, mut call: impl FnMut(u64), settle: impl Fn()) {
        let start = Instant::now();
        for n in 0..BURST {
            call(black_box(n));
        }
        self.bursts.push(start.elapsed().as_nanos() as f64 / BURST as f64);
        settle();
        for n in 0..BURST {
            let before = clock::now();
            call(black_box(n));
            self.singles.push(clock::now() - before);
        }
        settle();
    }

    pub(crate) fn result(mut self) -> Latency {
        let warm_up = WARM_UP as usize;
        let (mut bursts, mut singles) =
            (self.bursts.split_off(warm_up), self.singles.split_off(warm_up * BURST as usize));
        bursts.sort_by(f64::total_cmp);
        singles.sort_unstable();
        let (overhead, nanoseconds) = (clock_ticks(), 1e9 / clock::measure_hz() as f64);
        let at = |part: f64| {
            let index = ((singles.len() - 1) as f64 * part) as usize;
            singles[index].saturating_sub(overhead) as f64 * nanoseconds
        };
        Latency { mean: bursts[bursts.len() / 2], p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }
}

/// Ticks between two readings of the clock with nothing in between.
fn clock_ticks() -> u64 {
    let empty = || {
        let before = clock::now();
        clock::now() - before
    };
    let mut ticks: Vec<u64> = (0..10_000).map(|_| empty()).collect();
    ticks.sort_unstable();
    ticks[ticks.len() / 2]
}

/// The number of bursts to make for `counted` of them.
pub(crate) fn with_warm_up(counted: u64) -> u64 {
    WARM_UP + counted
}

/// The measurement of a peer: latencies of the static text and of the text with arguments.
pub(crate) struct Measure<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) bursts: u64,
}

impl Job for Measure<'_> {
    type Output = [Latency; 2];

    fn run<P: Peer>(self) -> [Latency; 2] {
        let cores = Cores::find();
        cores.take_second();
        let peer = P::start(self.folder);
        cores.take_first();
        peer.warm_up();
        let settle = || {
            peer.settle();
            quiet::wait(self.folder);
        };
        let (mut text, mut frame) = (Timing::default(), Timing::default());
        for _ in 0..with_warm_up(self.bursts) {
            text.burst(|_| peer.text(), settle);
            frame.burst(|n| peer.frame(n), settle);
        }
        peer.finish();
        [text.result(), frame.result()]
    }
}
