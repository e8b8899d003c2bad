//! A flusher may be killed before any of its system calls.
//!
//! Between the journal, the log files, the positions in the rings, the renames of a rotation and the removal of a
//! drained ring lie dozens of moments at which a flusher can die. If one of these steps were taken in the wrong order,
//! or could not be taken twice, the next flusher would print lines again, leave some out, or lose a whole rotated
//! file. So an unkilled drain is counted through, and then a fresh copy of the same folder is drained for every system
//! call, by a flusher that is killed before that call, and by one that follows it. Where the call is a write, another
//! try lets it write half of its bytes first.

use lastwords_ring::read::reader::RingReader;
use lastwords_tests::about::About;
use lastwords_tests::actor::{wait_for, wait_until};
use lastwords_tests::flushers::{Drainer, KillAt};
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs;
use lastwords_tests::oracle::{Ended, Random, Victim, is_ready, read_marks};
use lastwords_tests::programs::{DRAINER, VICTIM};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::CALLS_CAN_BE_CHANGED;
use lastwords_tests::watchdog::Watchdog;
use lastwords_tests::wreck::{Outcome, ROLES, Size, Wreck};
use std::path::Path;
use std::time::{Duration, Instant};

/// Some rotations' worth.
const SIZE: Size =
    Size { messages: 200, spiller_messages: 48, rotate_size: 16 << 10, rotate_keep: 100, format: "text" };
/// In both forms. Objects are longer, so that their files are rotated at other records than those of the text.
const BOTH: Size = Size { messages: 100, rotate_size: 32 << 10, format: "both", ..SIZE };
/// Time for the points of one test, unless all are asked for.
const TIME: Duration = Duration::from_secs(22);

/// On a slow machine one point of so many is tried all the same.
const POINTS_SHARE: usize = 10;

/// What the rings say is in the log files is there: a process that asked for it has been notified.
fn assert_written_is_in_the_files(folder: &Path, processes: &[Ended]) {
    for process in processes {
        let Victim { role, .. } = &process.victim;
        let files = logs::files(folder, role).into_iter().map(|path| std::fs::read(path).expect("read"));
        let text = String::from_utf8_lossy(&files.collect::<Vec<_>>().concat()).into_owned();
        let head = format!(" [{}] [INFO] run ", process.pid);
        let there = text.lines().filter(|line| line.contains(&head)).count() as u64;
        let reported: u64 = rings_of(folder, process.pid).iter().map(written_in).sum();
        assert!(
            there >= reported,
            "{reported} records of {process:?} are reported as in the files, which hold {there}"
        );
    }
}

fn rings_of(folder: &Path, pid: u32) -> Vec<RingReader> {
    let rings = ring_files(folder).into_iter().map(|path| RingReader::open(&path).expect("a ring"));
    rings.filter(|ring| ring.header().pid == pid).collect()
}

/// Records of a ring that are in the log files, as far as its positions say so by message numbers.
fn written_in(ring: &RingReader) -> u64 {
    let mut lanes = Vec::new();
    ring.lanes(&mut Vec::new(), &mut lanes).expect("read");
    let positions = lanes.iter().map(|lane| lane.position).filter(|position| position.written == position.released);
    positions.map(|position| position.next_message.saturating_sub(1)).sum()
}

/// Tries every point, or as many as there is time for, and hands each outcome to `judge`.
fn try_points(name: &'static str, since: &'static str, size: Size, judge: impl Fn(&Outcome, &Outcome)) {
    try_points_blocked(name, since, size, "", judge);
}

/// Like `try_points`, where the role `blocked` cannot be written until the flusher is killed.
fn try_points_blocked(
    name: &'static str,
    since: &'static str,
    size: Size,
    blocked: &str,
    judge: impl Fn(&Outcome, &Outcome),
) {
    let _watchdog = Watchdog::new(name, Duration::from_secs(900));
    let wreck = Wreck::new(name, size);
    assert!(wreck.spilled() >= 2, "messages are spilled");
    assert!(wreck.segments() >= 1, "slots are kept beside a ring");
    let drainer = Drainer { since, elsewhere: wreck.elsewhere() };
    let folder = wreck.copy();
    let mut calls = drainer.drain_until(&folder, KillAt::Never).expect("an unkilled drain");
    let reference = Outcome::of(&wreck, &folder);
    assert_eq!(reference.deaths().len(), 3, "{:?}", reference.deaths());
    assert!(
        reference.files.len() > ROLES.len() * (1 + 2),
        "at least two rotations of each role: {:?}",
        reference.files
    );
    let renames = calls
        .iter()
        .filter(|call| [libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2].contains(&call.number))
        .count();
    assert!(renames >= 4, "rotations rename");
    if !blocked.is_empty() {
        calls = drainer.drain_blocked_until(&wreck.copy(), blocked, KillAt::Never).expect("a drain that gives up");
    }
    let mut points: Vec<KillAt> = (0..calls.len()).map(KillAt::Before).collect();
    points.extend((0..calls.len()).filter(|k| calls[*k].write.is_some()).map(KillAt::Within));
    let (counted, all) = (points.len(), std::env::var("LASTWORDS_ALL_POINTS").is_ok());
    // In random order, so that what the time allows is a fair sample; what follows one call in one run may follow
    // another in the next.
    let mut random = Random::from_env("LASTWORDS_POINTS_SEED");
    random.shuffle(&mut points);
    let (start, mut tried) = (Instant::now(), 0);
    for point in points {
        if !all && start.elapsed() > TIME && tried * POINTS_SHARE >= counted {
            break;
        }
        let folder = wreck.copy();
        let _about = About(point);
        if drainer.drain_blocked_until(&folder, blocked, point).is_none() {
            // Drains differ by a call or two in how often they read the clock or sleep.
            continue;
        }
        assert_written_is_in_the_files(&folder, wreck.processes());
        drainer.drain(&folder);
        judge(&Outcome::of(&wreck, &folder), &reference);
        tried += 1;
    }
    println!("{name}: {tried} of {counted} points tried, {} system calls", calls.len());
}

#[test]
fn a_flusher_killed_before_any_system_call_loses_and_doubles_nothing() {
    try_points("flusher-points", "all", SIZE, |outcome, reference| assert_eq!(outcome, reference));
}

#[test]
fn a_flusher_killed_while_it_takes_over_an_earlier_run_loses_and_doubles_nothing() {
    // A second flusher prints the heading again above what is left, so a file more may be needed, and two records of
    // the same nanosecond may change places; `compare` has seen that each thread's order is right.
    try_points("flusher-points-earlier", "now", SIZE, |outcome, reference| {
        outcome.assert_same_lines(reference);
    });
}

#[test]
fn a_flusher_killed_while_it_writes_text_and_json_leaves_every_line_once_in_each() {
    try_points("flusher-points-both", "all", BOTH, |outcome, reference| assert_eq!(outcome, reference));
}

/// A part of an entry that cannot be applied is in all further ones, and nothing else of its role is written before it.
#[test]
fn a_flusher_killed_while_a_role_cannot_be_written_leaves_every_line_once() {
    if !CALLS_CAN_BE_CHANGED {
        println!("skipped: the registers of this processor are not known to the test");
        return;
    }
    try_points_blocked("flusher-points-blocked", "all", SIZE, "worker", |outcome, reference| {
        outcome.assert_same_lines(reference);
    });
}

/// A death between two system calls is a death at the first of them only if nothing else changes what others see. The flusher
/// maps a ring for one reason, to wake threads that wait for room in it, and so that the kernel would end it if it wrote. Its
/// lock file is mapped only to be seen there, and as little to be written to.
#[test]
fn a_flusher_can_change_what_others_see_by_system_calls_alone() {
    let _watchdog = Watchdog::new("flusher's mappings", Duration::from_secs(60));
    let scratch = Scratch::new("flusher-mappings");
    let folder = scratch.join("logs");
    // Flat out into a small ring, so that it waits for the flusher all the time.
    let victim = Victim { slots: 64, ..Victim::new(&folder, "host", 1) };
    let victim = Victim { marks: scratch.join("marks"), ..victim };
    let mut producer = VICTIM.command().args(victim.arguments()).spawn().expect("spawned");
    wait_until("the producer", || is_ready(&victim.marks));
    let mut flusher = DRAINER.command().arg(&folder).args(["all", "on"]).spawn().expect("ran");
    let mapped = wait_for("the flusher to wake the producer", || {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", flusher.id())).expect("its maps");
        let shared = |line: &&str| line.split_ascii_whitespace().nth(1).is_some_and(|flags| flags.ends_with('s'));
        let shared: Vec<String> = maps.lines().filter(shared).map(str::to_owned).collect();
        shared.iter().any(|line| line.ends_with(".ring")).then_some(shared)
    });
    let before = read_marks(&victim.marks);
    wait_until("the producer to go on", || {
        read_marks(&victim.marks).iter().zip(&before).all(|(now, before)| *now > before + 1000)
    });
    for child in [&mut producer, &mut flusher] {
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    let control_page = |line: &String| line.contains(" r--s 00001000 ") && line.ends_with(".ring");
    let lock = |line: &String| line.contains(" r--s 00000000 ") && line.contains("/flusher.lock");
    assert!(mapped.len() == 2 && mapped.iter().all(|line| control_page(line) || lock(line)), "{mapped:?}");
}
