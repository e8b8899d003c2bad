//! What many rings in one folder cost the process that flushes them.
//!
//! For each number of processes, with 256 loggers each (a ring of 3 lanes of 64 slots for each), on the disk: how long it takes
//! until a line of every ring is in its file; what the flusher uses while nobody logs, of one core; how many descriptors it has
//! open; how long after its start the first line of one more process is in its file; and how long the flusher takes after all
//! processes were killed until no ring is left. Every line is counted in the files.
//!
//! `cargo bench --bench rings -- [--processes N]`

use lastwords::{Flusher, Log};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Loggers of a process, the most that there may be.
const LOGGERS: usize = 256;
const PROCESSES: [usize; 3] = [1, 4, 40];
/// For so long nobody logs while the flusher's processor time is measured.
const IDLE: Duration = Duration::from_secs(10);
/// Longest wait for anything.
const WAIT: Duration = Duration::from_secs(120);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let processes = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--flusher", folder] => return flusher(Path::new(folder)),
        ["--loggers", folder, count] => return loggers(Path::new(folder), count.parse().expect("a number")),
        ["--processes", count] => vec![count.parse().expect("--processes: a number")],
        [] => PROCESSES.to_vec(),
        other => panic!("{other:?} found, expected [--processes N]"),
    };
    println!(
        "| rings | to the first lines, s | idle, % of a core | descriptors | first line of a new process, ms | drained after all died, s |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    processes.into_iter().for_each(row);
}

fn row(processes: usize) {
    let folder = std::env::temp_dir().join(format!("lastwords-bench-rings-{}", std::process::id()));
    let flusher = Member::start(["--flusher"], &folder, None);
    let start = Instant::now();
    let members: Vec<Member> = (0..processes).map(|_| Member::start(["--loggers"], &folder, Some(LOGGERS))).collect();
    wait(|| lines(&folder, "begins") >= processes * LOGGERS).expect("the first lines");
    let first = start.elapsed();
    // What the first lines made it do is over.
    std::thread::sleep(Duration::from_secs(2));
    let before = cpu_seconds(flusher.process.id());
    std::thread::sleep(IDLE);
    let idle = (cpu_seconds(flusher.process.id()) - before) / IDLE.as_secs_f64() * 100.0;
    let descriptors = descriptors(flusher.process.id());
    let start = Instant::now();
    let new = Member::start(["--loggers"], &folder, Some(1));
    wait(|| lines(&folder, "begins") > processes * LOGGERS).expect("a new process's line");
    let one_more = start.elapsed();
    drop((members, new));
    let drained = wait(|| rings(&folder) == 1)
        .map_or(format!("more than {}", WAIT.as_secs()), |time| format!("{:.2}", time.as_secs_f64()));
    assert_eq!(lines(&folder, "begins"), processes * LOGGERS + 1, "each line once");
    println!(
        "| {} | {:.2} | {idle:.2} | {descriptors} | {:.0} | {drained} |",
        processes * LOGGERS,
        first.as_secs_f64(),
        one_more.as_secs_f64() * 1e3,
    );
    drop(flusher);
    std::fs::remove_dir_all(&folder).expect("removed");
}

/// A process of the measurement, which is killed when this is dropped.
struct Member {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Member {
    /// Starts it, and returns when it is ready.
    fn start<const N: usize>(words: [&str; N], folder: &Path, count: Option<usize>) -> Member {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(words).arg(folder).args(count.map(|count| count.to_string()));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut member = Member { process, output };
        let mut line = String::new();
        member.output.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "a process of the measurement ended early; its own message is above");
        member
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn flusher(folder: &Path) {
    lastwords::builder("flusher").dir(folder).init().expect("a logger");
    lastwords::info!("flushes");
    lastwords::flush().expect("elected");
    stay();
}

fn loggers(folder: &Path, count: usize) {
    let open = |n: usize| {
        let role = format!("role{n}");
        lastwords::builder(&role)
            .dir(folder)
            .lanes(3)
            .slots_per_lane(64)
            .flusher(Flusher::Never)
            .open()
            .expect("a logger")
    };
    let logs: Vec<Log> = (0..count).map(open).collect();
    logs.into_iter().for_each(|log| lastwords::info!(logger: log, "begins"));
    stay();
}

/// Says that this process is ready, and lives until it is killed.
fn stay() {
    println!("ready");
    std::io::stdout().flush().expect("said");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// How long it takes until something is so; None if that is too long.
fn wait(is_so: impl Fn() -> bool) -> Option<Duration> {
    let start = Instant::now();
    while !is_so() {
        std::thread::sleep(Duration::from_millis(5));
        if start.elapsed() > WAIT {
            return None;
        }
    }
    Some(start.elapsed())
}

fn in_folder(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).expect("listed").filter_map(Result::ok).map(|entry| entry.path()).collect()
}

fn rings(folder: &Path) -> usize {
    let is_ring = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "ring");
    in_folder(&folder.join("rings")).into_iter().filter(is_ring).count()
}

/// Lines of the roles' log files that end with this.
fn lines(folder: &Path, end: &str) -> usize {
    let is_log = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ending == "log") && !path.to_string_lossy().ends_with(".crash.log")
    };
    let count = |path: PathBuf| {
        std::fs::read_to_string(path).expect("a log file").lines().filter(|line| line.ends_with(end)).count()
    };
    in_folder(folder).into_iter().filter(is_log).map(count).sum()
}

fn descriptors(pid: u32) -> usize {
    // The flusher's thread has a table of its own.
    let threads = in_folder(Path::new(&format!("/proc/{pid}/task")));
    let count = |thread: PathBuf| std::fs::read_dir(thread.join("fd")).map_or(0, Iterator::count);
    threads.into_iter().map(count).max().unwrap_or(0)
}

/// Processor time that a process has used, in seconds.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process");
    let (_, rest) = stat.rsplit_once(") ").expect("a name");
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    // Fixed on Linux for what /proc shows: 100 a second.
    ticks as f64 / 100.0
}
