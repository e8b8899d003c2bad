//! Question 5: what record size and slots per lane change for the caller and for the drain. The table from which the
//! defaults are chosen.

use super::case::{Case, Work};
use super::memory::{RECORDS, SLOTS};
use super::options::Options;
use super::report::{Axis, Curve, Figure, Panel, Report, Scale, Table, grouped, mebibytes};
use super::sample::Samples;

/// Calls of a burst that fits the smallest lane.
const FITTING: u32 = 500;
/// Calls of such a burst with messages of [`LONG`] bytes, of which each takes three of the smallest slots.
const FITTING_LONG: u32 = 150;
/// Calls of a burst that only the larger lanes take without waiting.
const LARGE: u32 = 4_000;
/// Bytes of a message that does not fit the smallest slot.
const LONG: u32 = 200;
const BURSTS: u32 = 200;
const LARGE_BURSTS: u32 = 50;
const LINES: u32 = 1_000_000;

/// What is measured for each pair of sizes.
struct Cases {
    short: Case,
    long: Case,
    large: Case,
    drain: Case,
    fits: Case,
    fits_long: Case,
}

impl Cases {
    fn new(options: &Options, record: u32, slots: u32) -> Cases {
        let case = |work, burst, count| Case { record, slots, ..Case::new(work, burst, count) };
        // One more line than any lane has slots shows where the lane ends.
        let fits = case(Work::Fits, 0, slots + 1);
        Cases {
            short: case(Work::Append, FITTING, options.scaled(BURSTS)),
            long: Case { message: LONG, ..case(Work::Append, FITTING_LONG, options.scaled(BURSTS)) },
            large: case(Work::Append, LARGE, options.scaled(LARGE_BURSTS)),
            drain: case(Work::Drain, 0, options.scaled(LINES)),
            fits,
            fits_long: Case { message: LONG, ..fits },
        }
    }
}

fn pairs() -> impl Iterator<Item = (u32, u32)> {
    RECORDS.into_iter().flat_map(|record| SLOTS.map(|slots| (record, slots)))
}

pub(crate) fn cases(options: &Options) -> Vec<Case> {
    let all = pairs().map(|(record, slots)| Cases::new(options, record, slots));
    all.flat_map(|it| [it.short, it.long, it.large, it.drain, it.fits, it.fits_long]).collect()
}

pub(crate) fn report(options: &Options, samples: &Samples) -> Report {
    let columns = vec![
        "record bytes",
        "slots per lane",
        "ring MiB",
        "CPU ns a call, burst of 500",
        "CPU ns a call, 200-byte messages, burst of 150",
        "wall ns a call, burst of 4,000",
        "drain, M lines/s",
        "longest burst without a wait, lines",
        "the same, 200-byte messages",
        "lost, all rounds",
    ];
    let rows = pairs().map(|(record, slots)| row(&Cases::new(options, record, slots), samples)).collect();
    Report {
        title: "5. Sizes of the ring",
        note: "One thread, 15 lanes. Bursts of the formatted line, or of messages of 200 bytes, which take three slots \
            of 128 bytes and one of 256; means of a burst, the flusher catches up in between. The bursts on the CPU \
            clock fit every lane; the one on the wall clock meets a full lane where that is shorter, and then waits for \
            the flusher. The longest burst is what a lane takes while no flusher runs."
            .to_owned(),
        tables: vec![Table { columns, rows }],
        figure: figure(options, samples),
    }
}

fn row(cases: &Cases, samples: &Samples) -> Vec<String> {
    let Cases { short, long, large, drain, fits, fits_long } = cases;
    let lost = [short, long, large, drain].map(|case| samples.of(case).lost).iter().sum::<u64>();
    vec![
        short.record.to_string(),
        grouped(short.slots),
        format!("{:.1}", mebibytes(samples.of(fits).ring_size as f64)),
        format!("{:.1}", samples.of(short).cpu_median()),
        format!("{:.1}", samples.of(long).cpu_median()),
        format!("{:.1}", samples.of(large).wall_median()),
        format!("{:.2}", samples.of(drain).rate()),
        grouped(samples.of(fits).fits),
        grouped(samples.of(fits_long).fits),
        grouped(lost),
    ]
}

fn figure(options: &Options, samples: &Samples) -> Figure {
    let panel = |title, label, scale, value: &dyn Fn(&Cases) -> f64| {
        let curve = |record: u32| {
            let points = SLOTS.into_iter().map(|slots| (f64::from(slots), value(&Cases::new(options, record, slots))));
            Curve::new(format!("{record}-byte records"), points)
        };
        let (x, y) = (Axis::new("slots per lane", Scale::Doubling), Axis::new(label, scale));
        Panel { title, x, y, curves: RECORDS.map(curve).into() }
    };
    let short = |cases: &Cases| samples.of(&cases.short).cpu_median();
    let large = |cases: &Cases| samples.of(&cases.large).wall_median();
    let drain = |cases: &Cases| samples.of(&cases.drain).rate();
    Figure {
        name: "sizes",
        panels: vec![
            panel("A log call, burst of 500", "CPU ns a call", Scale::Linear, &short),
            panel("A log call, burst of 4,000", "wall ns a call", Scale::Linear, &large),
            panel("Drain", "million lines a second", Scale::Linear, &drain),
        ],
    }
}
