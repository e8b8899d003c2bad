//! What a log call costs its caller, beside a limit that no logger of this kind can beat and beside plain file writes.
//!
//! Bursts of 1,000 calls are timed as a whole; between bursts the flusher catches up, so that no call meets a full ring. The
//! table shows the median burst's mean, and percentiles of single calls, timed with the raw clock and corrected by the cost of
//! reading it. Everything runs in one process, interleaved in rounds, so ratios hold even where the machine is noisy. At the
//! end the log files are counted: a benchmark that lost lines is invalid.
//!
//! Rings and files are on tmpfs, or with `--dir` in that folder; with `--busy` a thread writes to that folder all the time, a
//! MiB and an fdatasync after the other.
//!
//! `cargo bench --bench append -- [--dir FOLDER [--busy]]`
#![allow(unsafe_code)]

#[path = "shared/probe.rs"]
mod probe;

use lastwords::{Flusher, FullPolicy, Level};
use lastwords_ring::place::clock;
use probe::Probe;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const BURST: u64 = 1_000;
const ROUNDS: usize = 300;
/// Pause after the flusher has written a burst.
const SETTLE: Duration = Duration::from_millis(1);
/// fdatasync takes hundreds of microseconds; a few calls are enough.
const SYNCED_CALLS: u64 = 20;
const SYNCED_ROUNDS: usize = 10;

struct Row {
    name: &'static str,
    bursts: Vec<f64>,
    calls: Vec<u64>,
}

impl Row {
    fn new(name: &'static str) -> Row {
        Row { name, bursts: Vec::new(), calls: Vec::new() }
    }

    fn burst(&mut self, count: u64, mut call: impl FnMut(u64)) {
        let start = Instant::now();
        for n in 0..count {
            call(black_box(n));
        }
        self.bursts.push(start.elapsed().as_nanos() as f64 / count as f64);
        for n in 0..count {
            let before = clock::now();
            call(black_box(n));
            self.calls.push(clock::now() - before);
        }
    }

    fn median(&self) -> f64 {
        let mut sorted = self.bursts.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

fn print(rows: &mut [Row], lines: u64) {
    let nanoseconds = 1e9 / clock::measure_hz() as f64;
    let mut empty: Vec<u64> = (0..10_000)
        .map(|_| {
            let before = clock::now();
            clock::now() - before
        })
        .collect();
    empty.sort_unstable();
    let overhead = empty[empty.len() / 2];
    let probe = rows[0].median();
    println!("| call | ns, burst mean | x probe | p50 | p99 | p99.9 | max |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for row in &mut *rows {
        row.calls.sort_unstable();
        let at = |part: f64| {
            let index = ((row.calls.len() - 1) as f64 * part) as usize;
            row.calls[index].saturating_sub(overhead) as f64 * nanoseconds
        };
        println!(
            "| {} | {:.1} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} |",
            row.name,
            row.median(),
            row.median() / probe,
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
    println!("\n{lines} lines counted in the log files, none missing.");
    if !(8.0..=14.0).contains(&probe) {
        println!("The probe is outside of 8 to 14 ns: this machine is not fit for absolute figures now.");
    }
}

const STATIC: &str = "Host process starting up, all is in line";
const NAME: &str = "NVIDIA RTX 4090x";
/// Takes three slots of 128 bytes.
const LONG: &str = match str::from_utf8(&[b'x'; 200]) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let memory = || if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
    let (base, busy) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => (memory(), false),
        ["--dir", folder] => (PathBuf::from(folder), false),
        ["--dir", folder, "--busy"] => (PathBuf::from(folder), true),
        other => panic!("{other:?} found, expected [--dir FOLDER [--busy]]"),
    };
    let folder = base.join(format!("lastwords-bench-append-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    if busy {
        let file = folder.join("busy");
        std::thread::spawn(move || write_all_the_time(&file));
    }
    let lines = measure(&folder);
    let logged = count_lines(&folder);
    std::fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(logged, lines, "every call's line is in the log files");
}

fn measure(folder: &Path) -> u64 {
    lastwords::builder("bench")
        .dir(folder)
        .level(Level::INFO)
        .full_policy(FullPolicy::Block)
        .flusher(Flusher::Embedded)
        .rotate_size(64 << 20)
        .rotate_keep(100)
        .init()
        .expect("a ring");
    let create = |name: &str| File::create(folder.join(name)).expect("a file");
    let (mut probe, record) = (Probe::new(&folder.join("probe")), [7u8; 128]);
    let mut direct = create("direct");
    let mut flushed = BufWriter::new(create("flushed"));
    let mut buffered = BufWriter::new(create("buffered"));
    let names = [
        "limit probe: 128 B into tmpfs, clock, release store",
        "lastwords::info!, 40-byte static text",
        "lastwords::info!, frame {} took {} ms on {}",
        "log::info!, 40-byte static text",
        "log::info!, frame {} took {} ms on {}",
        "lastwords::debug!, disabled",
        "the same text formatted into a stack buffer alone",
        "write(2) per line",
        "BufWriter, flush per line",
        "BufWriter",
        "write(2) and fdatasync per line",
        "lastwords::info!, a string of 200 bytes",
    ];
    let mut rows: Vec<Row> = names.into_iter().map(Row::new).collect();
    let settle = || {
        lastwords::flush().expect("the flusher keeps up");
        // It has some looks left before it sleeps, which are the drain's cost and not the next call's.
        std::thread::sleep(SETTLE);
    };
    let ms = |n: u64| n as f64 * 0.25;
    let mut lines = 0;
    for _ in 0..ROUNDS {
        rows[0].burst(BURST, |_| probe.call(black_box(&record)));
        rows[1].burst(BURST, |_| lastwords::info!("Host process starting up, all is in line"));
        settle();
        rows[2].burst(BURST, |n| lastwords::info!("frame {} took {} ms on {}", n, ms(n), NAME));
        settle();
        rows[3].burst(BURST, |_| log::info!("Host process starting up, all is in line"));
        settle();
        rows[4].burst(BURST, |n| log::info!("frame {} took {} ms on {}", n, ms(n), NAME));
        settle();
        rows[5].burst(BURST, |n| lastwords::debug!("frame {} took {} ms on {}", n, ms(n), NAME));
        rows[6].burst(BURST, |n| {
            let mut buffer = [0u8; 128];
            let mut rest = &mut buffer[..];
            write!(rest, "frame {} took {} ms on {}", n, ms(n), NAME).expect("it fits");
            black_box(&buffer);
        });
        rows[7].burst(BURST, |_| direct.write_all(line().as_bytes()).expect("written"));
        rows[8].burst(BURST, |_| {
            flushed.write_all(line().as_bytes()).expect("written");
            flushed.flush().expect("flushed");
        });
        rows[9].burst(BURST, |_| buffered.write_all(line().as_bytes()).expect("written"));
        rows[11].burst(BURST / 2, |_| lastwords::info!("{}", LONG));
        settle();
        lines += 9 * BURST;
    }
    let disk = std::env::temp_dir().join(format!("lastwords-bench-synced-{}", std::process::id()));
    let mut synced = File::create(&disk).expect("a file");
    for _ in 0..SYNCED_ROUNDS {
        rows[10].burst(SYNCED_CALLS, |_| {
            synced.write_all(line().as_bytes()).expect("written");
            synced.sync_data().expect("synced");
        });
    }
    std::fs::remove_file(disk).expect("removed");
    print(&mut rows, lines);
    lines
}

fn write_all_the_time(path: &Path) {
    let (file, block) = (File::create(path).expect("a file"), vec![1; 1 << 20]);
    for n in 0_u64.. {
        file.write_all_at(&block, (n % 256) << 20).expect("written");
        file.sync_data().expect("synced");
    }
}

/// The line as the other rows write it, with a time stamp that costs them nothing.
fn line() -> String {
    let mut line = String::with_capacity(128);
    line.push_str("2025-10-19 05:55:47.606 [4157] [INFO] ");
    line.push_str(STATIC);
    line.push('\n');
    line
}

fn count_lines(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("listed").filter_map(Result::ok);
    let logs = files.filter(|file| file.file_name().to_string_lossy().starts_with("bench.log"));
    logs.map(|file| std::fs::read(file.path()).expect("read").iter().filter(|byte| **byte == b'\n').count() as u64)
        .sum()
}
