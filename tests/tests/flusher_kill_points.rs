//! A flusher may be killed before any of its system calls.
//!
//! Between the journal, the log files, the positions in the rings, the renames of a rotation and the removal of a
//! drained ring lie dozens of moments at which a flusher can die. If one of these steps were taken in the wrong order,
//! or could not be taken twice, the next flusher would print lines again, leave some out, or lose a whole rotated
//! file. So an unkilled drain is counted through, and then a fresh copy of the same folder is drained for every system
//! call, by a flusher that is killed before that call, and by one that follows it. Where the call is a write, another
//! try lets it write half of its bytes first.

use lastwords_tests::logs::{self, Line};
use lastwords_tests::oracle::{Ended, Ending, Random, Victim, compare, is_death, is_heading};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use lastwords_tests::watchdog::Watchdog;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Size at which the files are rotated.
const ROTATE_SIZE: u64 = 16 << 10;
/// Messages of each of a victim's two threads: some rotations' worth.
const MESSAGES: u64 = 200;
/// Time for the points of one test, unless all are asked for.
const TIME: Duration = Duration::from_secs(22);

/// On a slow machine one point of so many is tried all the same.
const POINTS_SHARE: usize = 10;

/// A folder as a crash left it: `logs` and the marks of the processes.
#[derive(Debug)]
struct Wreck {
    scratch: Scratch,
    processes: Vec<Ended>,
}

impl Wreck {
    fn new(name: &str) -> Wreck {
        let scratch = Scratch::new(name);
        // The last one's longest messages do not fit its ring and are spilled to files.
        let endings = [
            ("host", Ending::KillItself(MESSAGES), 1024, 600),
            ("worker", Ending::KillItself(MESSAGES), 1024, 600),
            ("worker", Ending::Exit(MESSAGES / 4), 1024, 600),
            ("spiller", Ending::KillItself(48), 256, 12_000),
        ];
        let processes = (1..).zip(endings).map(|(run, (role, ending, slots, longest))| {
            let victim = Victim {
                marks: scratch.path().join(format!("marks-{run}")),
                full: "overwrite".to_owned(),
                slots,
                longest,
                rotate_size: ROTATE_SIZE,
                ending,
                ..Victim::new(&scratch.path().join("logs"), role, run)
            };
            let mut child =
                Command::new(env!("CARGO_BIN_EXE_victim")).args(victim.arguments()).spawn().expect("spawned");
            let pid = child.id();
            let status = child.wait().expect("ended");
            assert_eq!(status.success(), matches!(ending, Ending::Exit(_)), "{status}");
            Ended { pid, victim, killed: matches!(ending, Ending::KillItself(_)) }
        });
        Wreck { processes: processes.collect(), scratch }
    }

    /// A fresh copy. The doorbell is left out; every flusher makes one where there is none.
    fn copy(&self) -> PathBuf {
        let (from, to) = (self.scratch.path().join("logs"), self.scratch.path().join("copy"));
        let _ = fs::remove_dir_all(&to);
        fs::create_dir_all(to.join("rings")).expect("made");
        for entry in fs::read_dir(from.join("rings")).expect("listed") {
            let entry = entry.expect("listed");
            if entry.file_type().expect("known").is_file() {
                fs::copy(entry.path(), to.join("rings").join(entry.file_name())).expect("copied");
            }
        }
        to
    }

    /// The processes of a role.
    fn of(&self, role: &str) -> Vec<Ended> {
        self.processes.iter().filter(|process| process.victim.role == role).cloned().collect()
    }
}

/// What a drained folder shows.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// Names of the log files.
    files: Vec<String>,
    /// What the lines of each role say. The times of the flusher's own lines are those of the flusher.
    lines: BTreeMap<&'static str, Vec<(u32, String, String)>>,
}

impl Outcome {
    /// Looks at what a drain left, and compares it with what the processes logged.
    fn of(wreck: &Wreck, folder: &Path) -> Outcome {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).expect("listed") {
            let entry = entry.expect("listed");
            let size = entry.metadata().expect("there").len();
            let name = entry.file_name().into_string().expect("a plain name");
            assert!(name == "rings" || size <= ROTATE_SIZE, "{name} has {size} bytes");
            files.push(name);
        }
        files.sort();
        for entry in fs::read_dir(folder.join("rings")).expect("listed") {
            let name = entry.expect("listed").file_name().into_string().expect("a plain name");
            let stays = ["journal.a", "journal.b", "flusher.lock", "doorbell"].contains(&name.as_str());
            assert!(stays, "{name} was not removed");
        }
        let mut lines = BTreeMap::new();
        for role in ["host", "worker", "spiller"] {
            let found = logs::read(folder, role);
            assert_eq!(compare(&found, &wreck.of(role)).lost, 0, "the rings are large enough");
            let said = |line: Line| (line.pid, line.level, line.message);
            lines.insert(role, found.into_iter().filter(|line| !is_heading(line)).map(said).collect());
        }
        Outcome { files, lines }
    }

    /// Death lines come with the pid that they are about, so `compare` has counted them; here the words count too.
    fn deaths(&self) -> Vec<&(u32, String, String)> {
        let death = |(pid, level, message): &(u32, String, String)| {
            is_death(&Line { time: String::new(), pid: *pid, level: level.clone(), message: message.clone() })
        };
        self.lines.values().flatten().filter(|line| death(line)).collect()
    }
}

/// Where a drain is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// Before this system call.
    Before(usize),
    /// After this write has written half of its bytes.
    Within(usize),
    /// Nowhere.
    Never,
}

/// Says which point a failure is about.
struct NamedOnPanic(Point);

impl Drop for NamedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("killed {:?}", self.0);
        }
    }
}

fn drainer(folder: &Path, since: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drainer"));
    command.arg(folder).arg(since);
    command
}

/// Drains `folder` up to `point`. Returns the drain's system calls as far as it got, or None if the point was not
/// reached, or is no write.
fn drain_until(folder: &Path, since: &str, point: Point) -> Option<Vec<u64>> {
    let mut traced = Traced::start(&mut drainer(folder, since)).expect("started");
    let mut calls: Option<Vec<u64>> = None;
    loop {
        match traced.to_system_call().expect("traced") {
            Stop::Entry(number) if number == libc::SYS_getppid as u64 => match calls {
                None => calls = Some(Vec::new()),
                Some(calls) if point == Point::Never => {
                    while !matches!(traced.run().expect("ran"), Stop::Ended(0)) {}
                    return Some(calls);
                }
                Some(_) => return None,
            },
            Stop::Entry(number) => {
                let Some(calls) = &mut calls else { continue };
                let here = calls.len();
                calls.push(number);
                match point {
                    Point::Before(k) if k == here => traced.kill().expect("killed"),
                    Point::Within(k) if k == here => {
                        if !traced.halve_write().expect("traced") {
                            return None;
                        }
                        assert_eq!(traced.to_system_call().expect("traced"), Stop::Exit);
                        traced.kill().expect("killed");
                    }
                    _ => continue,
                }
                return Some(std::mem::take(calls));
            }
            Stop::Exit => {}
            other => panic!("{other:?} at {point:?}"),
        }
    }
}

/// Drains what a killed drain left.
fn drain(folder: &Path, since: &str) {
    let output = drainer(folder, since).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Tries every point, or as many as there is time for, and hands each outcome to `judge`.
fn try_points(name: &'static str, since: &str, judge: impl Fn(&Outcome, &Outcome)) {
    let _watchdog = Watchdog::new(name, Duration::from_secs(900));
    let wreck = Wreck::new(name);
    let folder = wreck.copy();
    let is_spill = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".spill");
    let spilled =
        fs::read_dir(folder.join("rings")).expect("listed").filter(|entry| entry.as_ref().is_ok_and(is_spill));
    assert!(spilled.count() >= 2, "messages are spilled");
    let calls = drain_until(&folder, since, Point::Never).expect("an unkilled drain");
    let reference = Outcome::of(&wreck, &folder);
    assert_eq!(reference.deaths().len(), 3, "{:?}", reference.deaths());
    assert!(reference.files.len() > 3 * (1 + 2), "at least two rotations of each role: {:?}", reference.files);
    let renames =
        calls.iter().filter(|call| [libc::SYS_rename, libc::SYS_renameat2].contains(&(**call as i64))).count();
    assert!(renames >= 4, "rotations rename");
    let mut points: Vec<Point> = (0..calls.len()).map(Point::Before).collect();
    let is_write = |call: &u64| [libc::SYS_write, libc::SYS_pwrite64].contains(&(*call as i64));
    points.extend((0..calls.len()).filter(|k| is_write(&calls[*k])).map(Point::Within));
    let (counted, all) = (points.len(), std::env::var("LASTWORDS_ALL_POINTS").is_ok());
    // In random order, so that what the time allows is a fair sample; what follows one call in one run may follow
    // another in the next.
    let mut random = Random::from_env("LASTWORDS_POINTS_SEED");
    for n in (1..points.len()).rev() {
        points.swap(n, random.below(n as u64 + 1) as usize);
    }
    let (start, mut tried) = (Instant::now(), 0);
    for point in points {
        if !all && start.elapsed() > TIME && tried * POINTS_SHARE >= counted {
            break;
        }
        let folder = wreck.copy();
        let _named = NamedOnPanic(point);
        if drain_until(&folder, since, point).is_none() {
            // Drains differ by a call or two in how often they look at the clock or sleep.
            continue;
        }
        drain(&folder, since);
        judge(&Outcome::of(&wreck, &folder), &reference);
        tried += 1;
    }
    println!("{name}: {tried} of {counted} points tried, {} system calls", calls.len());
}

#[test]
fn a_flusher_killed_before_any_system_call_loses_and_doubles_nothing() {
    try_points("flusher-points", "all", |outcome, reference| assert_eq!(outcome, reference));
}

#[test]
fn a_flusher_killed_while_it_takes_over_an_earlier_run_loses_and_doubles_nothing() {
    // A second flusher prints the heading again above what is left, so a file more may be needed, and two records of
    // the same nanosecond may change places; `compare` has seen that each thread's order is right.
    try_points("flusher-points-earlier", "now", |outcome, reference| {
        for (role, expected) in &reference.lines {
            let (mut found, mut expected) = (outcome.lines[role].clone(), expected.clone());
            found.sort();
            expected.sort();
            assert_eq!(found, expected);
        }
    });
}
