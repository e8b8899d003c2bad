//! What a process pays before and at its first records.
//!
//! Each round is a process of its own, so that nothing is warm: `init` with the defaults, the first record, the first 4,096
//! records of the thread that called `init` and of a thread that begins later, and how much memory is resident afterwards, less
//! what was resident at the beginning of `main`. Rings and files are on the disk, or with `--dir FOLDER` there.
//!
//! `cargo bench --bench start -- [--rounds N] [--dir FOLDER]`

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;
/// Records of a thread that are timed one by one, after its first; with that they fit its lane.
const CALLS: usize = 4095;
const COLUMNS: [&str; 7] = [
    "init, ms",
    "first record, us",
    "first record of a second thread, us",
    "first 4,096 calls, p99.9, ns",
    "the same of a second thread, ns",
    "slowest of them, us",
    "resident, MiB",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (mut rounds, mut place) = (ROUNDS, std::env::temp_dir());
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--row", folder] => return row(Path::new(folder)),
        [] => {}
        ["--rounds", count] => rounds = count.parse().expect("--rounds: a number"),
        ["--dir", folder] => place = PathBuf::from(folder),
        ["--rounds", count, "--dir", folder] => {
            (rounds, place) = (count.parse().expect("--rounds: a number"), PathBuf::from(folder));
        }
        other => panic!("{other:?} found, expected [--rounds N] [--dir FOLDER]"),
    }
    let mut columns = vec![Vec::new(); COLUMNS.len()];
    for round in 0..rounds {
        let folder = place.join(format!("lastwords-bench-start-{}-{round}", std::process::id()));
        for (column, value) in columns.iter_mut().zip(run(&folder)) {
            column.push(value);
        }
        std::fs::remove_dir_all(&folder).expect("removed");
    }
    println!("| {rounds} processes | median | p90 | least |\n|---|---:|---:|---:|");
    for (name, mut values) in COLUMNS.iter().zip(columns) {
        values.sort_by(f64::total_cmp);
        let [median, p90] = [2, 10].map(|part| values[values.len() - 1 - (values.len() - 1) / part]);
        println!("| {name} | {median:.2} | {p90:.2} | {:.2} |", values[0]);
    }
}

fn run(folder: &Path) -> Vec<f64> {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).arg("--row").arg(folder).output().expect("started");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.split_whitespace().map(|value| value.parse().expect("a number")).collect()
}

fn row(folder: &Path) {
    let before = resident_mib();
    let start = Instant::now();
    lastwords::builder("host").dir(folder).init().expect("the logger");
    let init = start.elapsed();
    let here = calls();
    let there = std::thread::spawn(calls).join().expect("calls");
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let [slowest, other] = [here[CALLS - 1], there[CALLS - 1]].map(micros);
    let resident = resident_mib() - before;
    println!(
        "{} {} {} {} {} {} {resident}",
        init.as_secs_f64() * 1e3,
        micros(here[CALLS]),
        micros(there[CALLS]),
        here[CALLS * 999 / 1000].as_nanos(),
        there[CALLS * 999 / 1000].as_nanos(),
        slowest.max(other),
    );
}

/// Times of this thread's records after the first, in ascending order, and the first one's at the end.
fn calls() -> Vec<Duration> {
    let timed = |n: usize| {
        let start = Instant::now();
        lastwords::info!("frame {} took {} ms on {}", n, 0.25, "NVIDIA RTX 4090x");
        start.elapsed()
    };
    let first = timed(0);
    let mut times: Vec<Duration> = (1..=CALLS).map(timed).collect();
    times.sort();
    times.push(first);
    times
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the line");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}
