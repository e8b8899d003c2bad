//! Question 4: what a ring takes of the disk and of memory.

use super::case::{Case, OVERFLOW_LANES, Work};
use super::options::Options;
use super::report::{Axis, Curve, Figure, Panel, Report, Scale, Table, grouped, mebibytes};
use super::sample::Samples;

const LANES: [u32; 5] = [3, 8, 15, 32, 64];
pub(crate) const RECORDS: [u32; 3] = [128, 256, 512];
pub(crate) const SLOTS: [u32; 5] = [512, 1024, 2048, 4096, 8192];
/// Lines of each thread: enough to claim a lane, which brings all of it into memory.
const LINES: u32 = 10;

/// One thread logs.
fn one(lanes: u32, record: u32) -> Case {
    Case { lanes, record, ..Case::new(Work::Memory, 0, LINES) }
}

/// As many threads log as there are lanes of their own.
fn all(lanes: u32, record: u32) -> Case {
    Case { threads: lanes - OVERFLOW_LANES, ..one(lanes, record) }
}

fn with_slots(slots: u32) -> Case {
    Case { slots, ..Case::new(Work::Memory, 0, LINES) }
}

pub(crate) fn cases(_: &Options) -> Vec<Case> {
    let pairs = LANES.into_iter().flat_map(|lanes| RECORDS.map(|record| (lanes, record)));
    let by_lanes = pairs.flat_map(|(lanes, record)| [one(lanes, record), all(lanes, record)]);
    by_lanes.chain(SLOTS.map(with_slots)).collect()
}

pub(crate) fn report(_: &Options, samples: &Samples) -> Report {
    let size = |case: &Case| mebibytes(samples.of(case).ring_size as f64);
    let peak = |case: &Case| mebibytes(samples.of(case).peak());
    let mut by_lanes = Vec::new();
    for record in RECORDS {
        for lanes in LANES {
            let (one, all) = (one(lanes, record), all(lanes, record));
            let bytes = samples.of(&one).ring_size;
            let sizes = [size(&one), peak(&one), peak(&all)].map(|value| format!("{value:.1}"));
            by_lanes.push([vec![record.to_string(), lanes.to_string(), grouped(bytes)], sizes.to_vec()].concat());
        }
    }
    let by_slots = SLOTS.map(|slots| {
        let case = with_slots(slots);
        let sizes = [size(&case), peak(&case)].map(|value| format!("{value:.1}"));
        [vec![grouped(slots), grouped(samples.of(&case).ring_size)], sizes.to_vec()].concat()
    });
    let before = mebibytes(samples.of(&one(LANES[0], RECORDS[0])).memory_before as f64);
    let resident = "resident MiB, one thread";
    Report {
        title: "4. Memory",
        note: format!(
            "The ring's file, and the most resident memory (VmHWM) of a process that writes and leaves flushing to \
             another; a lane comes into memory when a thread claims it. {before:.1} MiB of it are the program itself. \
             The upper table with the default slots per lane, the lower one with the default lanes and record size."
        ),
        tables: vec![
            Table {
                columns: vec![
                    "record bytes",
                    "lanes",
                    "ring bytes",
                    "ring MiB",
                    resident,
                    "resident MiB, all lanes in use",
                ],
                rows: by_lanes,
            },
            Table { columns: vec!["slots per lane", "ring bytes", "ring MiB", resident], rows: by_slots.to_vec() },
        ],
        figure: figure(size, peak),
    }
}

fn figure(size: impl Fn(&Case) -> f64, peak: impl Fn(&Case) -> f64) -> Figure {
    let curve = |name: String, case: &dyn Fn(u32) -> Case, value: &dyn Fn(&Case) -> f64| {
        Curve::new(name, LANES.into_iter().map(|lanes| (f64::from(lanes), value(&case(lanes)))))
    };
    let of_ring = |record: u32| curve(format!("{record}-byte records"), &|lanes| one(lanes, record), &size);
    let of_process = |record: u32| curve(format!("{record}-byte records"), &|lanes| all(lanes, record), &peak);
    let by_slots = SLOTS.into_iter().map(|slots| (f64::from(slots), size(&with_slots(slots))));
    let (lanes, ring) = (Axis::new("lanes", Scale::Linear), Axis::new("MiB", Scale::Linear));
    let panel = |title, x, curves| Panel { title, x, y: ring, curves };
    Figure {
        name: "memory",
        panels: vec![
            panel("Ring file, against lanes", lanes, RECORDS.map(of_ring).into()),
            panel("Resident, all lanes in use", lanes, RECORDS.map(of_process).into()),
            panel(
                "Ring file, against slots per lane",
                Axis::new("slots per lane", Scale::Doubling),
                vec![Curve::new("15 lanes, 128-byte records", by_slots)],
            ),
        ],
    }
}
