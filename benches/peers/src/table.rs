//! The Markdown table.

use crate::crates;
use crate::latency::Latency;
use crate::median;
use crate::peer::{Job, Peer};
use crate::probe;
use crate::quill;
use crate::rounds::{Amount, Results};
use crate::row::Rows;
use crate::version;
use std::fmt::Write as _;

const HEAD: &str = "\
| logger | mode | S: ns a call | x probe | p50 | p99 | p99.9 | max | F: ns a call | x probe | p50 | p99 | p99.9 | max \
| 1 thread, M lines/s | 4 threads, M lines/s | lost at SIGKILL, median | max | torn | doubled |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

/// What a cell shows where nothing was measured.
const NOTHING: &str = "–";

struct Described;

impl Job for Described {
    type Output = (&'static str, &'static str);

    fn run<P: Peer>(self) -> Self::Output {
        (P::PACKAGE, P::MODE)
    }
}

/// Table and notes.
pub(crate) fn render(rows: &Rows, table: &[(&'static str, Results)], amount: Amount) -> String {
    let probe = table.iter().find(|(name, _)| *name == probe::NAME);
    let probe = probe.and_then(|(_, results)| latency(results, 0)).map(|latency| latency.mean);
    let mut text = format!("{HEAD}\n");
    for (name, results) in table {
        text.push_str(&line(rows, name, results, probe));
    }
    text.push_str(&notes(rows, table, amount));
    text
}

fn line(rows: &Rows, name: &str, results: &Results, probe: Option<f64>) -> String {
    let (version, mode) = match name {
        probe::NAME => (None, "128 B into tmpfs, clock, release store"),
        _ if rows.left_out(name).is_some() => (None, "left out, see below"),
        quill::NAME => (rows.quill_version(), quill::MODE),
        _ => {
            let (package, mode) = crates::with(name, Described).expect("a known name");
            (version::of(package), mode)
        }
    };
    let version = version.map_or(String::new(), |version| format!(" {version}"));
    let mut cells = vec![format!("{name}{version}"), mode.to_owned()];
    for message in 0..2 {
        let shown = latency(results, message).filter(|_| name != probe::NAME || message == 0);
        cells.extend(latency_cells(shown, probe));
    }
    for rates in [&results.one, &results.four] {
        cells.push(cell(median::of(rates.iter().copied()), |rate| format!("{:.2}", rate / 1e6)));
    }
    let kills = &results.kills;
    cells.push(cell(median::of_lost(kills), |lost| lost.to_string()));
    cells.push(cell(kills.iter().map(|kill| kill.lost).max(), |lost| lost.to_string()));
    let some = (!kills.is_empty()).then_some(());
    cells.push(cell(some, |()| kills.iter().map(|kill| kill.torn).sum::<u64>().to_string()));
    cells.push(cell(some, |()| kills.iter().map(|kill| kill.doubled).sum::<u64>().to_string()));
    format!("| {} |\n", cells.join(" | "))
}

fn latency(results: &Results, message: usize) -> Option<Latency> {
    let latencies: Vec<Latency> = results.latencies.iter().map(|both| both[message]).collect();
    median::of_latencies(&latencies)
}

fn latency_cells(latency: Option<Latency>, probe: Option<f64>) -> Vec<String> {
    let Some(latency) = latency else { return vec![NOTHING.to_owned(); Latency::NUMBERS + 1] };
    let [mean, rest @ ..] = latency.numbers();
    let mut cells = vec![format!("{mean:.1}"), cell(probe, |probe| format!("{:.1}", mean / probe))];
    cells.extend(rest.iter().map(|number| format!("{number:.0}")));
    cells
}

fn cell<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or(NOTHING.to_owned(), show)
}

fn notes(rows: &Rows, table: &[(&'static str, Results)], amount: Amount) -> String {
    let Amount { rounds, bursts, lines, kills } = amount;
    let mut text = format!(
        "
- S: a static text of 40 bytes. F: `frame {{}} took {{}} ms on {{}}` with u64, f64 and a string of 16 bytes.
- Every measurement in a process of its own; medians of {rounds} interleaved rounds, but the greatest of the maxima.
- Calls: {bursts} bursts of 1,000 a round, the median burst's mean; percentiles of as many single calls less the cost \
of reading the clock. After each burst the logger's flush, if it has one, and a pause until its files are quiet. The \
caller on one core, the logger's own threads on another.
- Lines a second: F, {lines} lines until the last one is in its file, on two cores; each line found exactly once in \
the files, or it would be said below.
- SIGKILL: after 50 to 150 ms of F flat out from one thread, on two cores; {kills} kills. Lost: calls that had \
returned and whose line is nowhere, for lastwords after one drain. Torn and doubled lines of all kills together.
"
    );
    for (name, results) in table {
        if let Some(reason) = rows.left_out(name) {
            let _ = writeln!(text, "- {name}: left out, {reason}.");
        }
        for (workload, reason) in &results.failures {
            let _ = writeln!(text, "- {name}, {workload}: left out, {reason}.");
        }
    }
    text
}
