//! What `lastwords show` shows while the rings are drained, and after whatever death of the flusher.
//!
//! A record is in a ring, then in the journal, then in a file, and a reader that looks at the three one after the other sees it
//! twice or not at all. So a folder is shown at every moment at which its flusher can be stopped, and as often as it takes while
//! processes log flat out, are killed, and rotate their files; each message carries its number.

use lastwords_tests::about::About;
use lastwords_tests::actor::{die, printed, succeed, wait_until};
use lastwords_tests::files::{copy_rings, paths_in};
use lastwords_tests::flushers::{Drainer, KillAt};
use lastwords_tests::logs::numbered;
use lastwords_tests::oracle::{Random, Victim, is_ready, parse, read_marks};
use lastwords_tests::programs::{TOOL, VICTIM};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use lastwords_tests::watchdog::Watchdog;
use lastwords_tests::wreck::{Size, Wreck};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// Time for the points or the runs of one test, unless all are asked for.
const TIME: Duration = Duration::from_secs(20);
/// On a slow machine one of so many is tried all the same.
const SHARE: usize = 10;

/// The messages that are shown of a folder.
fn shown(folder: &Path) -> Vec<String> {
    let found = printed(TOOL.command().args(["show", "-o", "cat"]).arg(folder));
    assert!(found.err.is_empty(), "{found:?}");
    found.out.lines().map(str::to_owned).collect()
}

/// The numbers of the messages of each thread, in their order.
fn numbers(messages: &[String]) -> BTreeMap<(u32, u32), Vec<u64>> {
    let mut numbers = BTreeMap::<(u32, u32), Vec<u64>>::new();
    for (run, thread, n) in messages.iter().filter_map(|message| parse(message)) {
        numbers.entry((run, thread)).or_default().push(n);
    }
    numbers
}

fn at_every_point(name: &'static str, size: Size) {
    let _watchdog = Watchdog::new(name, Duration::from_secs(900));
    let wreck = Wreck::new(name, size);
    let drainer = Drainer { since: "all", elsewhere: wreck.elsewhere() };
    let folder = wreck.copy();
    let before = numbers(&shown(&folder));
    assert_eq!(before.len(), 8, "two threads of four processes");
    let calls = drainer.drain_until(&folder, KillAt::Never).expect("an unkilled drain");
    let after = numbers(&shown(&folder));
    assert_eq!(after, before, "what is in rings is what is in files later");
    let mut points: Vec<KillAt> = (0..calls.len()).map(KillAt::Before).collect();
    points.extend((0..calls.len()).filter(|k| calls[*k].write.is_some()).map(KillAt::Within));
    let (counted, all) = (points.len(), std::env::var("LASTWORDS_ALL_POINTS").is_ok());
    let mut random = Random::from_env("LASTWORDS_POINTS_SEED");
    random.shuffle(&mut points);
    let (start, mut tried) = (Instant::now(), 0);
    for point in points {
        if !all && start.elapsed() > TIME && tried * SHARE >= counted {
            break;
        }
        let folder = wreck.copy();
        let _about = About(point);
        if drainer.drain_until(&folder, point).is_some() {
            assert_eq!(numbers(&shown(&folder)), before);
            tried += 1;
        }
    }
    println!("{name}: {tried} of {counted} points tried");
}

const SIZE: Size =
    Size { messages: 200, spiller_messages: 48, rotate_size: 16 << 10, rotate_keep: 100, format: "text" };

#[test]
fn each_record_is_shown_once_wherever_the_flusher_died() {
    at_every_point("show-points", SIZE);
}

#[test]
fn each_record_is_shown_once_wherever_the_flusher_died_that_writes_both_forms() {
    at_every_point("show-points-both", Size { messages: 100, rotate_size: 32 << 10, format: "both", ..SIZE });
}

/// A process that logs until it is killed, and how far it has come.
struct Logging {
    child: Child,
    victim: Victim,
}

impl Logging {
    fn start(scratch: &Scratch, role: &str, run: u32, flusher: bool) -> Logging {
        let victim = Victim {
            marks: scratch.join(format!("marks-{run}")),
            flusher,
            rotate_size: 256 << 10,
            rotate_keep: 8,
            longest: 100,
            burst: 50,
            ..Victim::new(&scratch.join("logs"), role, run)
        };
        let child = VICTIM.command().args(victim.arguments()).spawn().expect("spawned");
        wait_until("the process", || is_ready(&victim.marks));
        Logging { child, victim }
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was acknowledged before is there, without a gap from the first that is kept on, and nothing twice.
fn assert_complete(messages: &[String], marks: &BTreeMap<u32, Vec<u64>>) {
    let found = numbers(messages);
    for (run, marks) in marks {
        for (thread, acknowledged) in (0..).zip(marks) {
            let numbers = found.get(&(*run, thread)).map(Vec::as_slice).unwrap_or_default();
            let wrong = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
            assert_eq!(wrong, None, "run {run}, thread {thread}, up to {acknowledged}");
            let last = numbers.last().copied().unwrap_or(0);
            assert!(last >= *acknowledged, "run {run}, thread {thread}: {last} shown, {acknowledged} acknowledged");
        }
    }
}

#[test]
fn each_record_is_shown_once_while_processes_log_die_and_rotate() {
    let _watchdog = Watchdog::new("show-flat-out", Duration::from_secs(600));
    let runs: usize = std::env::var("LASTWORDS_SHOW_RUNS").map_or(200, |runs| runs.parse().expect("a number"));
    let scratch = Scratch::new("show-flat-out");
    let folder = scratch.join("logs");
    let mut random = Random::from_env("LASTWORDS_SHOW_SEED");
    let mut next = 1;
    let mut start = |role: &str, flusher| {
        next += 1;
        Logging::start(&scratch, role, next, flusher)
    };
    let mut processes = vec![start("host", true), start("worker", true), start("worker", false)];
    let (began, mut done) = (Instant::now(), 0);
    while done < runs && (began.elapsed() < 2 * TIME || done * SHARE < runs) {
        if random.below(8) == 0 {
            // The flusher may be one of those.
            let place = random.below(processes.len() as u64) as usize;
            let role = if place == 0 { "host" } else { "worker" };
            processes[place] = start(role, place != 2);
        }
        let marks = |processes: &[Logging]| -> BTreeMap<u32, Vec<u64>> {
            processes.iter().map(|process| (process.victim.run, read_marks(&process.victim.marks))).collect()
        };
        let before = marks(&processes);
        assert_complete(&shown(&folder), &before);
        done += 1;
    }
    println!("{done} of {runs} runs");
}

/// Shows a folder, and lets a flusher drain all of it, rotations and removals of rings included, before the system call of this
/// number. None if there are not so many.
fn shown_with_a_drain_at(folder: &Path, drainer: &Drainer, call: usize, out: &Path) -> Option<Vec<String>> {
    let mut command = TOOL.command();
    command.args(["show", "-o", "cat"]).arg(folder).stdout(File::create(out).expect("made"));
    let mut traced = Traced::start(&mut command).expect("started");
    let mut calls = 0;
    loop {
        match traced.to_system_call().expect("traced") {
            Stop::Entry(_) if calls == call => break,
            Stop::Entry(_) => calls += 1,
            Stop::Ended(_) => return None,
            _ => {}
        }
    }
    drainer.drain(folder);
    while !matches!(traced.run().expect("ran"), Stop::Ended(0)) {}
    Some(std::fs::read_to_string(out).expect("UTF-8").lines().map(str::to_owned).collect())
}

#[test]
fn each_record_is_shown_once_whenever_a_flusher_drains_meanwhile() {
    let _watchdog = Watchdog::new("show-meanwhile", Duration::from_secs(600));
    let wreck = Wreck::new("show-meanwhile", Size { messages: 60, spiller_messages: 20, ..SIZE });
    let drainer = Drainer { since: "all", elsewhere: wreck.elsewhere() };
    let scratch = Scratch::new("show-meanwhile-out");
    let out = scratch.join("out");
    let before = numbers(&shown(&wreck.copy()));
    let mut random = Random::from_env("LASTWORDS_POINTS_SEED");
    let (start, mut tried) = (Instant::now(), 0);
    // As many calls as there are at least; which of them are tried is random.
    while start.elapsed() < TIME || tried < 20 {
        let call = random.below(600) as usize;
        let folder = wreck.copy();
        let _about = About(call);
        if let Some(messages) = shown_with_a_drain_at(&folder, &drainer, call, &out) {
            assert_eq!(numbers(&messages), before);
            tried += 1;
        }
    }
    println!("{tried} points tried");
}

#[test]
fn each_record_is_shown_once_whenever_a_flusher_compresses_meanwhile() {
    let _watchdog = Watchdog::new("show-compressed", Duration::from_secs(600));
    let scratch = Scratch::new("show-compressed");
    let (from, to, out) = (scratch.join("logs"), scratch.join("copy"), scratch.join("out"));
    let elsewhere = scratch.join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    let settings = "crash-files=0 rotate=4096 keep=100 format=both";
    succeed("host", &from, format!("{settings} log:300"));
    die("host", &from, format!("{settings} compress=zstd flusher=never log:20 kill"));
    let drainer = Drainer { since: "all", elsewhere };
    let expected = [numbered(300), numbered(20)].concat();
    let mut random = Random::from_env("LASTWORDS_POINTS_SEED");
    let (start, mut tried) = (Instant::now(), 0);
    while start.elapsed() < TIME || tried < 20 {
        let call = random.below(300) as usize;
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir(&to).expect("made");
        copy_rings(&from, &to);
        for path in paths_in(&from).into_iter().filter(|path| path.is_file()) {
            std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
        }
        let _about = About(call);
        if let Some(messages) = shown_with_a_drain_at(&to, &drainer, call, &out) {
            let messages: Vec<String> = messages.into_iter().filter(|line| line.starts_with("line ")).collect();
            assert_eq!(messages, expected);
            assert!(to.join("host.log.1.zst").exists());
            tried += 1;
        }
    }
    println!("{tried} points tried");
}
