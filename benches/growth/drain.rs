//! Question 3: how fast lines get from the calls to the last one in its file, against threads, processes and length.

use super::case::{Case, Work};
use super::options::Options;
use super::report::{Axis, Curve, Figure, Panel, Report, Scale, Table, grouped, mebibytes};
use super::sample::Samples;

/// Threads that have a lane each in a ring of the default size.
const THREADS: [u32; 5] = [1, 2, 4, 8, 13];
const PROCESSES: [u32; 4] = [1, 4, 16, 64];
const LENGTHS: [u32; 7] = [16, 40, 80, 160, 400, 1_000, 4_000];
/// Lines of a run.
const LINES: u32 = 1_000_000;
/// Bytes of all messages of a run at most, so that long ones do not fill the disk.
const BYTES: u32 = 160_000_000;
/// The lines of the messages of a given length, time and level included, are about this much longer.
const LINE_HEAD: u32 = 40;

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

fn lengths(options: &Options) -> impl Iterator<Item = Case> {
    let base = base(options);
    let bytes = options.scaled(BYTES);
    LENGTHS.into_iter().map(move |message| Case { message, count: base.count.min(bytes / (message + LINE_HEAD)), ..base })
}

pub(crate) fn cases(options: &Options) -> Vec<Case> {
    threads(options).chain(processes(options)).chain(lengths(options)).collect()
}

pub(crate) fn report(options: &Options, samples: &Samples) -> Report {
    let table = |first, cases: Vec<Case>, x: fn(&Case) -> u32| Table {
        columns: vec![first, "lines", "M lines/s", "message MB/s", "resident MiB, largest process", "lost"],
        rows: cases.iter().map(|case| row(case, x(case), samples)).collect(),
    };
    let panel = |title, label, cases: Vec<Case>, x: fn(&Case) -> u32| {
        let points = cases.iter().map(|case| (f64::from(x(case)), samples.of(case).rate()));
        let curves = vec![Curve::new("lastwords", points)];
        Panel { title, x: Axis::new(label, Scale::Doubling), y: RATE, curves }
    };
    let [by_threads, by_processes, by_length]: [fn(&Case) -> u32; 3] =
        [|case| case.threads, |case| case.processes, |case| case.message];
    Report {
        title: "3. To the last line in the file",
        note: "Lines logged flat out, until `flush()` has returned in every process; one flusher, ring and files on the \
            disk, every line counted in the rotated files. A lane each for all threads. `lost` are records that the \
            log itself reports: a call waits 100 ms at most for a flusher that gets no core."
            .to_owned(),
        tables: vec![
            table("threads of one process", threads(options).collect(), by_threads),
            table("processes, a ring each", processes(options).collect(), by_processes),
            table("bytes of a message", lengths(options).collect(), by_length),
        ],
        figure: Figure {
            name: "drain",
            panels: vec![
                panel("Drain, against active lanes", "threads", threads(options).collect(), by_threads),
                panel("Drain, against rings", "processes", processes(options).collect(), by_processes),
                panel("Drain, against message length", "bytes of a message", lengths(options).collect(), by_length),
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
