//! Questions 1 and 2: what a call costs its caller when many threads, or many processes, log at once.

use super::case::{Case, LANES, OVERFLOW_LANES, Work};
use super::options::Options;
use super::report::{Axis, Curve, Figure, Panel, Report, Scale, Table, grouped};
use super::sample::{Sample, Samples};

const MANY: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];
const BURST: u32 = 1_000;
/// Bursts of all threads and processes of a case together, a round.
const BURSTS: u32 = 400;
/// Bursts of each thread at least.
const BURSTS_MIN: u32 = 8;

const NOTE: &str = "Nanoseconds a call of `lastwords::info!(\"frame {} took {} ms on {}\", …)`: means of bursts of \
    1,000 calls, after each of which the flusher catches up; rings and files on a tmpfs. More threads than cores \
    cannot run at once, so the bursts are timed with the thread's CPU clock, which stands still while a thread waits \
    for a core; the wall clock counts that wait too.";

/// The measurement of these bursts with as many threads and processes.
fn case(options: &Options, processes: u32, threads: u32, lanes: u32) -> Case {
    let bursts = (options.scaled(BURSTS) / (processes * threads)).max(if options.quick { 2 } else { BURSTS_MIN });
    Case { processes, threads, lanes, ..Case::new(Work::Append, BURST, bursts) }
}

/// Each thread has a lane of its own.
fn own_lanes(options: &Options, threads: u32) -> Case {
    case(options, 1, threads, LANES.max(threads + OVERFLOW_LANES))
}

/// Thread numbers for which the default ring has too few lanes.
fn crowds() -> impl Iterator<Item = u32> {
    MANY.into_iter().filter(|threads| threads + OVERFLOW_LANES > LANES)
}

pub(crate) fn threads_cases(options: &Options) -> Vec<Case> {
    let own = MANY.into_iter().map(|threads| own_lanes(options, threads));
    own.chain(crowds().map(|threads| case(options, 1, threads, LANES))).collect()
}

pub(crate) fn threads_report(options: &Options, samples: &Samples) -> Report {
    let row = |case: Case| [vec![case.threads.to_string(), case.lanes.to_string()], costs(samples.of(&case))].concat();
    let rows = threads_cases(options).into_iter().map(row).collect();
    let columns = vec!["threads", "lanes", "CPU ns, median", "CPU ns, p99", "wall ns, median", "lost, all rounds"];
    let mut curves = curves(MANY.map(|threads| (threads, samples.of(&own_lanes(options, threads)))).as_slice());
    let crowded = crowds().map(|threads| {
        let sample = samples.of(&case(options, 1, threads, LANES));
        (f64::from(threads), sample.cpu_median())
    });
    curves.push(Curve::new("CPU clock, median, 15 lanes for all", crowded));
    Report {
        title: "1. A call, against threads of one process",
        note: format!(
            "{NOTE} In the last rows all but 13 threads share two \
            lanes; the figures are of all threads. All threads start each burst together."
        ),
        tables: vec![Table { columns, rows }],
        figure: figure("append-threads", "A log call, against threads of one process", "threads", curves),
    }
}

pub(crate) fn processes_cases(options: &Options) -> Vec<Case> {
    MANY.into_iter().map(|processes| case(options, processes, 1, LANES)).collect()
}

pub(crate) fn processes_report(options: &Options, samples: &Samples) -> Report {
    let row = |case: Case| [vec![case.processes.to_string()], costs(samples.of(&case))].concat();
    let rows = processes_cases(options).into_iter().map(row).collect();
    let columns = vec!["processes", "CPU ns, median", "CPU ns, p99", "wall ns, median", "lost, all rounds"];
    let curves = curves(MANY.map(|processes| (processes, samples.of(&case(options, processes, 1, LANES)))).as_slice());
    Report {
        title: "2. A call, against processes of one folder",
        note: format!("{NOTE} One thread a process; one of the processes is the flusher."),
        tables: vec![Table { columns, rows }],
        figure: figure("append-processes", "A log call, against processes of one folder", "processes", curves),
    }
}

fn costs(sample: &Sample) -> Vec<String> {
    let times = [sample.cpu_median(), sample.cpu_p99(), sample.wall_median()];
    let mut cells = times.map(|ns| format!("{ns:.1}")).to_vec();
    cells.push(grouped(sample.lost));
    cells
}

fn curves(samples: &[(u32, &Sample)]) -> Vec<Curve> {
    let curve = |name: &str, value: fn(&Sample) -> f64| {
        Curve::new(name, samples.iter().map(|(many, sample)| (f64::from(*many), value(sample))))
    };
    vec![
        curve("wall clock, median", Sample::wall_median),
        curve("CPU clock, p99", Sample::cpu_p99),
        curve("CPU clock, median", Sample::cpu_median),
    ]
}

fn figure(name: &'static str, title: &'static str, many: &'static str, curves: Vec<Curve>) -> Figure {
    let (x, y) = (Axis::new(many, Scale::Doubling), Axis::new("ns a call", Scale::Decades));
    Figure { name, panels: vec![Panel { title, x, y, curves }] }
}
