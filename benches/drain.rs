//! How fast lines get from the calls to the last line in rotated files, of text or JSON, with nothing lost.
//!
//! Each row logs the same number of lines flat out and ends when the last one is in its file; the files are counted
//! afterwards. Beside it: one `write(2)` per line and a `BufWriter`, which do the same work without surviving a kill in
//! the second case. Each row runs in a process of its own, so that nothing is warm for the next; the median of the
//! rounds is shown.
//!
//! `cargo bench --bench drain`
//!
//! What the journal costs: `RUSTFLAGS="--cfg lastwords_mutants" cargo bench --bench drain -- --journal-off` measures the same
//! drain with and without it, in turns.

use lastwords::Format;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

const LINES: u64 = 4_000_000;
const ROUNDS: usize = 5;
const NAME: &str = "NVIDIA RTX 4090x";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, work, threads, folder] = arguments.as_slice()
        && flag == "--row"
    {
        return row(work, threads.parse().expect("a number"), Path::new(folder));
    }
    if arguments.iter().any(|argument| argument == "--journal-off") {
        return journal_cost();
    }
    let works = [
        ("lastwords", 1),
        ("lastwords", 4),
        ("write", 1),
        ("write", 4),
        ("BufWriter", 1),
        ("BufWriter", 4),
        ("lastwords, JSON", 1),
    ];
    let mut seconds = vec![Vec::new(); works.len()];
    for round in 0..ROUNDS {
        for (index, (work, threads)) in works.iter().enumerate() {
            seconds[index].push(run(work, *threads, ""));
        }
        eprintln!("round {} of {ROUNDS} done", round + 1);
    }
    println!("| to the last line in the file, {LINES} lines | threads | M lines/s | x write(2) |");
    println!("|---|---:|---:|---:|");
    let rate = |index: usize| {
        let mut sorted: Vec<f64> = seconds[index].clone();
        sorted.sort_by(f64::total_cmp);
        LINES as f64 / sorted[sorted.len() / 2] / 1e6
    };
    for (index, (work, threads)) in works.iter().enumerate() {
        let write = if *threads == 1 { rate(2) } else { rate(3) };
        println!("| {work} | {threads} | {:.2} | {:.1} |", rate(index), rate(index) / write);
    }
}

/// The drain with and without its journal, which a build with seeded defects can leave out.
fn journal_cost() {
    if cfg!(not(lastwords_mutants)) {
        eprintln!("only a build with RUSTFLAGS=\"--cfg lastwords_mutants\" can leave the journal out");
        std::process::exit(2);
    }
    println!(
        "| to the last line in the file, {LINES} lines | threads | with journal, M lines/s | without | with / without |"
    );
    println!("|---|---:|---:|---:|---:|");
    for threads in [1, 4] {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            with.push(run("lastwords", threads, ""));
            without.push(run("lastwords", threads, "journal-off"));
        }
        let [with, without] = [with, without].map(|mut seconds| {
            seconds.sort_by(f64::total_cmp);
            LINES as f64 / seconds[seconds.len() / 2] / 1e6
        });
        println!("| lastwords | {threads} | {with:.2} | {without:.2} | {:.2} |", with / without);
    }
}

fn run(work: &str, threads: u64, mutant: &str) -> f64 {
    let folder = std::env::temp_dir().join(format!("lastwords-bench-drain-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["--row", work, &threads.to_string()])
        .arg(&folder)
        .env("LASTWORDS_MUTANT", mutant)
        .output()
        .expect("the row runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(count_lines(&folder), LINES, "{work}: every line is in the files");
    std::fs::remove_dir_all(&folder).expect("removed");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("seconds")
}

/// One row, in a process of its own: prints the seconds that it took.
fn row(work: &str, threads: u64, folder: &Path) {
    let file = || File::create(folder.join("bench.log")).expect("a file");
    let seconds = match work {
        "lastwords" | "lastwords, JSON" => {
            let format = if work == "lastwords" { Format::Text } else { Format::Json };
            lastwords::builder("bench").dir(folder).format(format).rotate_keep(100).init().expect("a ring");
            let each = |n: u64| lastwords::info!("frame {} took {} ms on {}", n, n as f64 * 0.25, NAME);
            time(threads, each, || lastwords::flush().expect("flushed"))
        }
        "write" => {
            let file = file();
            let each = |n: u64| (&file).write_all(line(n).as_bytes()).expect("written");
            time(threads, each, || ())
        }
        "BufWriter" => {
            let file = Mutex::new(BufWriter::with_capacity(1 << 20, file()));
            let each = |n: u64| file.lock().expect("sound").write_all(line(n).as_bytes()).expect("written");
            time(threads, each, || file.lock().expect("sound").flush().expect("written"))
        }
        other => panic!("no row {other}"),
    };
    println!("{seconds}");
}

fn line(n: u64) -> String {
    format!("2025-10-19 05:55:47.606 [4157] [INFO] frame {} took {} ms on {}\n", n, n as f64 * 0.25, NAME)
}

fn time(threads: u64, each: impl Fn(u64) + Sync, finish: impl Fn()) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..LINES / threads).for_each(&each));
        }
    });
    finish();
    start.elapsed().as_secs_f64()
}

fn count_lines(folder: &PathBuf) -> u64 {
    let files = std::fs::read_dir(folder).expect("listed").filter_map(Result::ok);
    let logs = files.filter(|file| file.file_name().to_string_lossy().starts_with("bench."));
    logs.map(|file| std::fs::read(file.path()).expect("read").iter().filter(|byte| **byte == b'\n').count() as u64)
        .sum()
}
