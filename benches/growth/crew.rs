//! All processes of one measurement, from their start to the count of their lines.

use super::case::{Case, Work};
use super::logs::{self, Count};
use super::scratch::Scratch;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// What one measurement found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Nanoseconds a call of each burst: CPU clock, wall clock.
    pub(crate) bursts: Vec<(f64, f64)>,
    /// From the first call to the last line in its file.
    pub(crate) seconds: f64,
    /// Most resident memory of a process before it had a ring, and at its end, in bytes.
    pub(crate) memory: (u64, u64),
    /// Bytes of the ring's file, and lines that found room in it.
    pub(crate) ring: (u64, u64),
    /// Records that the log says were lost.
    pub(crate) lost: u64,
}

/// Runs one case and checks its log files.
pub(crate) fn measure(case: &Case) -> Found {
    // What a call costs is not to depend on a disk; what the files cost is.
    let scratch = if case.work == Work::Append { Scratch::in_memory() } else { Scratch::on_disk() };
    let mut crew = Crew::start(case, scratch.path());
    let mut found = crew.run();
    crew.end();
    if case.is_drained() {
        let Count { lines, lost } = logs::count(scratch.path());
        let wanted = case.lines();
        assert!(
            lines + lost == wanted,
            "{case:?}: {lines} lines found and {lost} reported as lost, expected {wanted} together"
        );
        if lost > 0 {
            eprintln!("{case:?}: {lost} of {wanted} lost, as the log says");
        }
        found.lost = lost;
    }
    found
}

struct Member {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Member {
    fn start(case: &Case, folder: &Path) -> Member {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command.arg("--row").args(case.words()).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Settings of the user's own logs are none of the benchmark.
        command.env_remove("LASTWORDS_LOG").env_remove("LASTWORDS_RINGS");
        let mut process = command.spawn().expect("this program starts");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        Member { process, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "a process of the measurement ended early; its own message is above");
        line
    }
}

/// The processes of one measurement. Those that are left when it fails are killed.
struct Crew {
    members: Vec<Member>,
}

impl Crew {
    fn start(case: &Case, folder: &Path) -> Crew {
        let mut crew = Crew { members: Vec::new() };
        for _ in 0..case.processes {
            crew.members.push(Member::start(case, folder));
        }
        for member in &mut crew.members {
            assert_eq!(member.line(), "ready\n");
        }
        crew
    }

    /// Lets all of them work at once.
    fn run(&mut self) -> Found {
        for member in &mut self.members {
            let input = member.process.stdin.as_mut().expect("a pipe");
            input.write_all(b"go\n").expect("a process that listens");
        }
        let (mut found, mut span) = (Found::default(), (u64::MAX, 0));
        for member in &mut self.members {
            loop {
                let line = member.line();
                let words: Vec<&str> = line.split_whitespace().collect();
                let whole = |index: usize| words[index].parse::<u64>().expect("a whole number");
                let real = |index: usize| words[index].parse::<f64>().expect("a number");
                match words[0] {
                    "burst" => found.bursts.push((real(1), real(2))),
                    "span" => span = (span.0.min(whole(1)), span.1.max(whole(2))),
                    "memory" => found.memory = (found.memory.0.max(whole(1)), found.memory.1.max(whole(2))),
                    "ring" => found.ring = (whole(1), whole(2)),
                    "done" => break,
                    other => panic!("\"{other}\" found in a row's output"),
                }
            }
        }
        found.seconds = (span.1 - span.0) as f64 / 1e9;
        found
    }

    fn end(mut self) {
        for member in &mut self.members {
            drop(member.process.stdin.take());
        }
        for member in &mut self.members {
            let status = member.process.wait().expect("a process that ends");
            assert!(status.success(), "a process of the measurement ended with {status}");
        }
        self.members.clear();
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.process.kill();
            let _ = member.process.wait();
        }
    }
}
