//! A burst of calls, timed as a whole with two clocks.

use super::case::Case;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Bursts before the timed ones: they claim the lane, register the call site and grow the buffers.
pub(crate) const WARM_UP: u32 = 2;
/// Longest time for which the flusher is waited for. With 64 processes on few cores it may get its turn late.
const FLUSH_MAX: Duration = Duration::from_secs(60);

/// What a burst took, in nanoseconds a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Burst {
    /// On the thread's CPU clock, which stops while the thread does not run.
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
}

/// The bursts of one thread, each of which starts together with those of `all` threads of the process. The flusher
/// catches up after each, so that no call meets a full lane unless the burst itself is longer than the lane.
pub(crate) fn bursts(case: &Case, all: &Barrier, call: &impl Fn(u64)) -> Vec<Burst> {
    let mut timed = Vec::with_capacity(case.count as usize);
    for number in 0..case.count + WARM_UP {
        all.wait();
        let burst = time(case.burst, call);
        catch_up();
        if number >= WARM_UP {
            timed.push(burst);
        }
    }
    timed
}

fn time(calls: u32, call: &impl Fn(u64)) -> Burst {
    let (wall, cpu) = (Instant::now(), cpu_ns());
    for n in 0..u64::from(calls) {
        call(black_box(n));
    }
    let (cpu, wall) = (cpu_ns() - cpu, wall.elapsed().as_nanos());
    Burst { cpu: cpu as f64 / f64::from(calls), wall: wall as f64 / f64::from(calls) }
}

fn cpu_ns() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Waits until everything that this process has logged is in its file.
pub(crate) fn catch_up() {
    let start = Instant::now();
    while let Err(error) = lastwords::flush() {
        assert!(start.elapsed() < FLUSH_MAX, "the flusher does not catch up: {error}");
    }
}
