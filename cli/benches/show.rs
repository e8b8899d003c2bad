//! How fast `lastwords show` reads log files, beside `grep` on the same file in the same run.
//!
//! Six roles with 600,000 lines each, of which 1 % have the word that is searched for; they were written just before, so they are
//! in the page cache. Each command runs seven times, its output is read to the end, and the lines in it are counted.
//!
//! `cargo bench -p lastwords-cli --bench show`

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const ROLES: usize = 6;
const LINES: usize = 600_000;
const NEEDLE: &str = "needle-in-it";
const NEEDLES: usize = LINES / 100;
const RUNS: usize = 7;

fn main() {
    let folder = std::env::temp_dir().join(format!("lastwords-bench-show-{}", std::process::id()));
    fs::create_dir(&folder).expect("a new folder");
    for role in 0..ROLES {
        let text: String = (0..LINES).map(|n| line(role, n)).collect();
        fs::write(folder.join(format!("r{role}.log")), text).expect("written");
    }
    println!("| command | ms, median of {RUNS} | MB/s |");
    println!("|---|---:|---:|");
    let tool = env!("CARGO_BIN_EXE_lastwords");
    let (first, all) = (folder.join("r0.log"), folder.display());
    row("grep, one file", &folder, 1, NEEDLES, &["grep", NEEDLE, &first.display().to_string()]);
    row("show -g, one role", &folder, 1, NEEDLES, &[tool, "show", "-u", "r0", "-g", NEEDLE, &all.to_string()]);
    row("show, six roles merged", &folder, ROLES, ROLES * LINES, &[tool, "show", &all.to_string()]);
    row("show -r, six roles merged", &folder, ROLES, ROLES * LINES, &[tool, "show", "-r", &all.to_string()]);
    row("show -n 20, six roles", &folder, 0, 20, &[tool, "show", "-n", "20", &all.to_string()]);
    fs::remove_dir_all(&folder).expect("its own folder");
}

fn line(role: usize, n: usize) -> String {
    let (ms, word) = (n / 4, if n.is_multiple_of(100) { NEEDLE } else { "and some more text" });
    let (minute, second, milli) = (ms / 60_000, ms / 1000 % 60, ms % 1000);
    format!("2025-10-19 05:{minute:02}:{second:02}.{milli:03} [{role}] [INFO] frame {n} took {}.3 ms, {word}\n", n % 17)
}

/// Times a command that reads so many of the files and prints so many lines.
fn row(what: &str, folder: &Path, files: usize, lines: usize, command: &[&str]) {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let output =
                Command::new(command[0]).args(&command[1..]).stderr(Stdio::inherit()).output().expect("it runs");
            let time = start.elapsed().as_secs_f64();
            assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), lines, "{what}");
            time
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times[RUNS / 2];
    let bytes = files as f64 * folder.join("r0.log").metadata().expect("there").len() as f64;
    let speed = if files == 0 { "-".to_owned() } else { format!("{:.0}", bytes / median / 1e6) };
    println!("| {what} | {:.0} | {speed} |", median * 1e3);
}
