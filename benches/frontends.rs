//! What a call costs through each front end, with more and more fields; and beside the `tracing` layer, what
//! `tracing_subscriber::fmt` takes for the same events into a writer that throws them away.
//!
//! Bursts of 1,000 calls are timed as a whole; between bursts the flusher catches up, so that no call meets a full ring. A
//! process has one subscriber, so each of the two runs in processes of its own, in turns; the table shows medians over all of
//! them. The log files are counted: a benchmark that lost lines is invalid.
//!
//! A third kind of process records DEBUG in its ring while its log file shows INFO, and has directives for targets.
//!
//! `cargo bench --bench frontends --features tracing`; without the feature, the macros and the `log` facade alone.

#[cfg(feature = "tracing")]
#[path = "frontends/events.rs"]
mod events;

use lastwords::Level;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const BURST: u64 = 1_000;
/// Bursts of each row in one process.
const BURSTS: usize = 40;
/// Processes of each kind.
const ROUNDS: usize = 5;
/// Pause after the flusher has written a burst.
const SETTLE: Duration = Duration::from_millis(1);
/// The role of a process, as its first argument.
const LASTWORDS: &str = "--lastwords";
const BLACK_BOX: &str = "--black-box";
#[cfg(feature = "tracing")]
const FMT: &str = "--fmt";

/// Rows of one process, in the order in which they are printed.
struct Table {
    rows: Vec<(&'static str, f64)>,
    settle: fn(),
    /// Calls that leave a line.
    lines: u64,
}

impl Table {
    fn new(settle: fn()) -> Table {
        Table { rows: Vec::new(), settle, lines: 0 }
    }

    /// Times a call that leaves a line.
    fn logs(&mut self, name: &'static str, call: impl FnMut(u64)) {
        self.lines += BURST * BURSTS as u64;
        self.row(name, self.settle, call);
    }

    /// Times a call that leaves none.
    fn disabled(&mut self, name: &'static str, call: impl FnMut(u64)) {
        self.row(name, || (), call);
    }

    fn row(&mut self, name: &'static str, settle: fn(), mut call: impl FnMut(u64)) {
        let bursts = (0..BURSTS).map(|_| {
            let start = Instant::now();
            for n in 0..BURST {
                call(black_box(n));
            }
            let took = start.elapsed().as_nanos() as f64 / BURST as f64;
            settle();
            took
        });
        let bursts = bursts.collect();
        self.rows.push((name, median(bursts)));
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some(LASTWORDS) => in_lastwords("info", None, measure_all),
        Some(BLACK_BOX) => in_lastwords("info,noisy=error", Some(Level::DEBUG), measure_black_box),
        #[cfg(feature = "tracing")]
        Some(FMT) => {
            let mut table = Table::new(|| ());
            events::subscribe_fmt();
            events::measure(&mut table);
            report(&table);
        }
        _ => compare(),
    }
}

/// Starts the processes in turns and prints the medians of what they report.
fn compare() {
    let (mut order, mut found) = (Vec::new(), [const { BTreeMap::new() }; 3]);
    let kinds = [
        LASTWORDS,
        BLACK_BOX,
        #[cfg(feature = "tracing")]
        FMT,
    ];
    for _ in 0..ROUNDS {
        for (kind, found) in kinds.iter().zip(&mut found) {
            for (name, ns) in run(kind) {
                if !order.contains(&name) {
                    order.push(name.clone());
                }
                found.entry(name).or_insert_with(Vec::new).push(ns);
            }
        }
    }
    println!("| call | lastwords, ns | recording DEBUG, writing INFO, ns | tracing_subscriber::fmt into a sink, ns |");
    println!("|---|---:|---:|---:|");
    for name in order {
        let [lastwords, black_box, fmt] = found.each_ref().map(|found| {
            found.get(&name).map_or_else(String::new, |numbers| format!("{:.1}", median(numbers.clone())))
        });
        println!("| {name} | {lastwords} | {black_box} | {fmt} |");
    }
}

/// Runs one process of this kind and reads its report.
fn run(kind: &str) -> Vec<(String, f64)> {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).arg(kind).output().expect("it starts");
    assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let row = |line: &str| {
        let (name, ns) = line.rsplit_once('\t').expect("a name and a number");
        (name.to_owned(), ns.parse().expect("a number"))
    };
    text.lines().map(row).collect()
}

fn report(table: &Table) {
    table.rows.iter().for_each(|(name, ns)| println!("{name}\t{ns}"));
}

fn in_lastwords(log: &str, record: Option<Level>, measure: fn(&mut Table)) {
    let base = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
    let folder = base.join(format!("lastwords-bench-frontends-{}", std::process::id()));
    let builder = lastwords::builder("bench").dir(&folder).log(log).ring_level(record.unwrap_or(Level::OFF));
    builder.slots_per_lane(16384).rotate_size(64 << 20).rotate_keep(100).init().expect("a ring");
    let mut table = Table::new(|| {
        lastwords::flush().expect("the flusher keeps up");
        // It has some looks left before it sleeps, which are the drain's cost and not the next call's.
        std::thread::sleep(SETTLE);
    });
    measure(&mut table);
    let logged = count_lines(&folder);
    std::fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(logged, table.lines, "every call's line is in the log files");
    report(&table);
}

fn measure_all(table: &mut Table) {
    measure_macros(table);
    measure_facade(table);
    #[cfg(feature = "tracing")]
    {
        events::subscribe_lastwords();
        events::measure(table);
    }
}

/// Where directives and record level decide, a call asks its place what was decided.
fn measure_black_box(table: &mut Table) {
    measure_macros(table);
    measure_facade(table);
    table.disabled("lastwords::trace!, disabled", |n| lastwords::trace!("frame done"; n));
    table.disabled("log::trace!, disabled", |n| log::trace!(n; "frame done"));
}

/// A float that is another one each time.
fn ms(n: u64) -> f64 {
    n as f64 * 0.25
}

fn measure_macros(table: &mut Table) {
    table.logs("lastwords::info!, no field", |_| lastwords::info!("frame done"));
    table.logs("lastwords::info!, 1 field", |n| lastwords::info!("frame done"; n));
    table.logs("lastwords::info!, 2 fields", |n| lastwords::info!("frame done"; n, camera = "left"));
    table.logs(
        "lastwords::info!, 4 fields",
        |n| lastwords::info!("frame done"; n, camera = "left", ms = ms(n), ok = true),
    );
    table.logs("lastwords::info!, 8 fields", |n| {
        let size = black_box(640);
        lastwords::info!("frame done"; n, camera = "left", ms = ms(n), ok = true, width = size, height = size, retries = 0, mode = 'a');
    });
    table.disabled(
        "lastwords::debug!, disabled, or in the ring alone",
        |n| lastwords::debug!("frame done"; n, camera = "left", ms = ms(n)),
    );
}

fn measure_facade(table: &mut Table) {
    table.logs("log::info!, no key-value", |_| log::info!("frame done"));
    table.logs("log::info!, 1 key-value", |n| log::info!(n; "frame done"));
    table.logs("log::info!, 4 key-values", |n| log::info!(n, camera = "left", ms = ms(n), ok = true; "frame done"));
    table.disabled(
        "log::debug!, disabled, or in the ring alone",
        |n| log::debug!(n, camera = "left", ms = ms(n); "frame done"),
    );
}

fn count_lines(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("listed").filter_map(Result::ok);
    let logs = files.filter(|file| file.file_name().to_string_lossy().starts_with("bench.log"));
    logs.map(|file| std::fs::read(file.path()).expect("read").iter().filter(|byte| **byte == b'\n').count() as u64)
        .sum()
}
