//! Question 3: how fast lines get from the calls to the last one in its file, against threads, processes and length.

use super::case::{Case, Work};
use super::options::Options;
use super::report::{Axis, Curve, Figure, Panel, Report, Scale, Table, grouped, mebibytes};
use super::sample::Samples;

/// Threads that have a lane each in a ring of the default size.
const THREADS: [u32; 5] = [1, 2, 4, 8, 13];
const PROCESSES: [u32; 4] = [1, 4, 16, 64];
const LENGTHS: [u32; 7] = [16, 40, 80, 160, 400, 1_000, 4_000];
/// Lines after which a process waits for the last of them: about half a lane, so that no thread waits for room. Many processes
/// that log flat out overrun the flusher, and then the rate is that of the lines which were not lost.
const PACE: u32 = 2_000;
/// Lines of a run.
const LINES: u32 = 2_000_000;
/// Bytes of all messages of a run at most, so that long ones do not fill the disk.
const BYTES: u32 = 200_000_000;
/// The lines of the messages of a given length, time and level included, are about this much longer.
const LINE_HEAD: u32 = 40;

const NOTE: &str = "From the first call until `flush()` has returned in every process: flat out, or in bursts of 2,000 \
    lines, each of which waits for its last line. One flusher, a lane for each thread, rings and files on the disk, \
    every line counted in the rotated files. `lost` are records that the log itself reports and that make the count \
    complete: a call waits for the flusher 100 ms at most, and where many processes have full rings, or the flusher \
    gets no core, that is not enough. The rate is that of the lines in the files.";

const RATE: Axis = Axis::new("million lines a second", Scale::Linear);

fn base(options: &Options) -> Case {
    Case::new(Work::Drain, 0, options.scaled(LINES))
}

fn threads(options: &Options) -> impl Iterator<Item = Case> {
    let base = base(options);
    THREADS.into_iter().map(move |threads| Case { threads, ..base })
}

fn processes(options: &Options) -> impl Iterator<Item = Case> {
    let base = base(options);
    PROCESSES.into_iter().map(move |processes| Case { processes, ..base })
}

fn paced(options: &Options) -> impl Iterator<Item = Case> {
    processes(options).map(|case| Case { burst: PACE, ..case })
}

fn lengths(options: &Options) -> impl Iterator<Item = Case> {
    let base = base(options);
    let bytes = options.scaled(BYTES);
    LENGTHS.into_iter().map(move |message| Case {
        message,
        count: base.count.min(bytes / (message + LINE_HEAD)),
        ..base
    })
}

pub(crate) fn cases(options: &Options) -> Vec<Case> {
    threads(options).chain(processes(options)).chain(paced(options)).chain(lengths(options)).collect()
}

pub(crate) fn report(options: &Options, samples: &Samples) -> Report {
    let [threads, processes, paced, lengths] = [
        threads(options).collect::<Vec<Case>>(),
        processes(options).collect(),
        paced(options).collect(),
        lengths(options).collect(),
    ];
    let [by_threads, by_processes, by_length]: [fn(&Case) -> u32; 3] =
        [|case| case.threads, |case| case.processes, |case| case.message];
    let table = |first, cases: &[Case], x: fn(&Case) -> u32| Table {
        columns: vec![first, "lines", "M lines/s", "message MB/s", "resident MiB, largest process", "lost, all rounds"],
        rows: cases.iter().map(|case| row(case, x(case), samples)).collect(),
    };
    let curve = |name, cases: &[Case], x: fn(&Case) -> u32| {
        Curve::new(name, cases.iter().map(|case| (f64::from(x(case)), samples.of(case).rate())))
    };
    let panel = |title, x, curves| Panel { title, x: Axis::new(x, Scale::Doubling), y: RATE, curves };
    let by_rings = vec![curve("flat out", &processes, by_processes), curve("in bursts of 2,000", &paced, by_processes)];
    Report {
        title: "3. To the last line in the file",
        note: NOTE.to_owned(),
        tables: vec![
            table("threads of one process", &threads, by_threads),
            table("processes, a ring each, flat out", &processes, by_processes),
            table("processes, a ring each, in bursts of 2,000", &paced, by_processes),
            table("bytes of a message", &lengths, by_length),
        ],
        figure: Figure {
            name: "drain",
            panels: vec![
                panel("Drain, against active lanes", "threads", vec![curve("flat out", &threads, by_threads)]),
                panel("Drain, against rings", "processes, a ring each", by_rings),
                panel("Drain, against message length", "message bytes", vec![curve("flat out", &lengths, by_length)]),
            ],
        },
    }
}

fn row(case: &Case, x: u32, samples: &Samples) -> Vec<String> {
    let sample = samples.of(case);
    // The formatted line has no fixed length.
    let volume = match case.message {
        0 => "–".to_owned(),
        bytes => format!("{:.0}", sample.rate() * f64::from(bytes)),
    };
    vec![
        grouped(x),
        grouped(case.lines()),
        format!("{:.2}", sample.rate()),
        volume,
        format!("{:.1}", mebibytes(sample.peak())),
        grouped(sample.lost),
    ]
}
