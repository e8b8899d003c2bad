//! A flusher is stopped before or after any of its system calls, while others go on.
//!
//! The flusher may hold anything in memory when it is stopped: the positions of an hour ago, half a batch, a list of files
//! that it is about to remove. When it goes on it does what it was about to do, and when it is killed its successor finds
//! what it left. In the meantime its producers have filled their lanes, kept them, and used them again, by nothing, a record,
//! as much as is kept at once, a lap, three laps, or more than they may keep. So all of that is done at each system call of a
//! drain, and then every line must be there once and in order; beyond what may be kept, what is missing must be logged.

use lastwords_tests::about::About;
use lastwords_tests::actor::{Actor, flush_rest};
use lastwords_tests::files::names_in;
use lastwords_tests::flushers::{Drainer, KillAt};
use lastwords_tests::logs::{Line, numbers, read, reported_lost};
use lastwords_tests::oracle::Random;
use lastwords_tests::programs::ACTOR;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use lastwords_tests::watchdog::Watchdog;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Slots of the lane, and how many of them are kept at once.
const SLOTS: usize = 1024;
const CHUNK: usize = 512;
/// Slots that may be kept.
const BUDGET: usize = 4096;
/// Lines that are there before the drain begins: more than the lane holds.
const BEFORE: usize = SLOTS + CHUNK;
/// Time for the points, unless all are asked for.
const TIME: Duration = Duration::from_secs(30);

/// Where a flusher is stopped, and what happens meanwhile and afterwards.
#[derive(Debug, Clone, Copy)]
struct Point {
    call: usize,
    after: bool,
    /// Lines that are logged meanwhile.
    lines: usize,
    killed: bool,
    /// The producer dies before the flusher goes on.
    producer_dies: bool,
    policy: &'static str,
}

fn producer(folder: &Path, policy: &str, lines: usize) -> Actor {
    let script = format!("flusher=never policy={policy} backlog={} slots={SLOTS} lanes=3", BUDGET * 128);
    let script = format!("{script} log:{BEFORE} line:before wait log:{lines} line:said wait");
    Actor::start("worker", folder, script).until("before")
}

/// One point. False if the flusher was done before it got there.
fn try_point(drainer: &Drainer, folder: &Path, point: Point) -> bool {
    let Point { call, after, lines, killed, producer_dies, policy } = point;
    let mut worker = producer(folder, policy, lines);
    let Some(mut flusher) = drainer.stand_at(folder, call, after) else { return false };
    worker.go_until("said");
    if producer_dies {
        worker.kill();
    }
    if killed {
        flusher.kill().expect("killed");
    } else {
        while !matches!(flusher.run().expect("ran"), Stop::Ended(0)) {}
    }
    if !producer_dies {
        worker.finish();
    }
    flush_rest(folder);
    assert_lines(folder, BEFORE + lines, lines <= 3 * SLOTS);
    true
}

/// A producer that is stopped at its call of this number while it keeps slots, the second time: those are added to the segment
/// that it made the first time. None if it made fewer calls.
fn producer_at(folder: &Path, call: usize) -> Option<Traced> {
    let script = "flusher=never policy=drop_newest slots=64 lanes=3 log:128 mark log:1 mark log:271 kill";
    let mut command = ACTOR.acting("worker", folder, script);
    Traced::start_to(&mut command, |before, _| before == call).ok()
}

#[test]
fn what_is_added_to_a_segment_that_is_about_to_be_removed_is_there_all_the_same() {
    let _watchdog = Watchdog::new("a segment about to be removed", Duration::from_secs(300));
    let scratch = Scratch::new("backlog-removal");
    let elsewhere = scratch.join("elsewhere");
    std::fs::create_dir_all(&elsewhere).expect("made");
    let drainer = Drainer { since: "all", elsewhere };
    let mut tried = 0;
    for call in 0.. {
        let folder = scratch.join(format!("logs-{call}"));
        let Some(mut producer) = producer_at(&folder, call) else { break };
        let removes = |_, number| [libc::SYS_unlink, libc::SYS_unlinkat].contains(&number);
        let mut flusher = drainer.stand_where(&folder, false, removes).expect("it removes the drained segment");
        while !matches!(producer.run().expect("ran"), Stop::Killed(libc::SIGKILL)) {}
        while !matches!(flusher.run().expect("ran"), Stop::Ended(0)) {}
        flush_rest(&folder);
        assert_lines(&folder, 400, true);
        tried += 1;
    }
    assert!(tried >= 5, "{tried} calls");
}

fn assert_lines(folder: &Path, count: usize, all: bool) {
    let lines = read(folder, "worker");
    let numbers = numbers(&lines);
    assert!(numbers.is_sorted_by(|a, b| a < b), "doubled, or out of order");
    let lost = count - numbers.len();
    let reported: Vec<&Line> = lines.iter().filter(|line| line.message.contains(" lost, ")).collect();
    assert_eq!(lost, reported_lost(&lines), "{reported:?}");
    assert!(!all || lost == 0, "{reported:?}");
    let beside = |name: &String| name.contains("worker-");
    let left: Vec<String> = names_in(&folder.join("rings")).into_iter().filter(beside).collect();
    assert_eq!(left, Vec::<String>::new(), "left behind");
}

#[test]
fn a_flusher_that_stands_still_at_any_system_call_costs_no_line_whatever_is_logged_meanwhile() {
    let _watchdog = Watchdog::new("backlog points", Duration::from_secs(900));
    let scratch = Scratch::new("backlog-points");
    let elsewhere = scratch.join("elsewhere");
    std::fs::create_dir_all(&elsewhere).expect("made");
    let drainer = Drainer { since: "all", elsewhere };
    let next_folder = |n: usize| -> PathBuf { scratch.join(format!("logs-{n}")) };
    let mut worker = producer(&next_folder(0), "block", 1);
    let calls = drainer.drain_until(&next_folder(0), KillAt::Never).expect("a drain").len();
    worker.kill();
    let mut points = Vec::new();
    for call in 0..calls {
        for after in [false, true] {
            for lines in [0, 1, CHUNK, SLOTS, 3 * SLOTS, 2 * BUDGET] {
                for (killed, producer_dies) in [(false, false), (true, false), (false, true), (true, true)] {
                    let policy = if (call + lines) % 3 == 0 { "block" } else { "drop_newest" };
                    points.push(Point { call, after, lines, killed, producer_dies, policy });
                }
            }
        }
    }
    let mut random = Random::from_env("LASTWORDS_POINTS_SEED");
    random.shuffle(&mut points);
    let (counted, all) = (points.len(), std::env::var("LASTWORDS_ALL_POINTS").is_ok());
    let (start, mut tried) = (Instant::now(), 0);
    for (n, point) in (1..).zip(points) {
        if !all && start.elapsed() > TIME {
            break;
        }
        let folder = next_folder(n);
        let _about = About(point);
        tried += usize::from(try_point(&drainer, &folder, point));
        let _ = std::fs::remove_dir_all(folder);
    }
    println!("{tried} of {counted} points tried, {calls} system calls");
    assert!(tried > 0);
}
