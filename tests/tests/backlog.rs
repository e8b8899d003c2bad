//! A stalled flusher, and processes that go on.
//!
//! A flusher holds its lock whatever keeps it from working: SIGSTOP, a debugger, a frozen container, a disk that hangs. No
//! other process may flush then, because it may go on in the middle of a write. So all that others log beyond what their rings
//! hold was lost, for as long as that took; and in bursts of many processes the same happened although the flusher worked at
//! its limit. Here it is stopped for as long as others need to log more than that, and every line must come out once, in order,
//! when it goes on or another takes its place.

use lastwords_ring::place::folder::Folder;
use lastwords_tests::actor::{Actor, flush_once, flush_rest, printed, run, succeed, tool_at, wait_until};
use lastwords_tests::files::{beside_rings, name_of, names_in, paths_in};
use lastwords_tests::forge::ring_files;
use lastwords_tests::jsonl;
use lastwords_tests::logs::{Line, long_text, missing_of_threads, numbers, read, reported_lost};
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::Traced;
use lastwords_tests::watchdog::Watchdog;
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn segments(folder: &Path) -> Vec<PathBuf> {
    beside_rings(folder, "backlog")
}

fn losses(lines: &[Line]) -> Vec<&Line> {
    lines.iter().filter(|line| line.message.contains(" lost, ")).collect()
}

/// Every line is there once, in order, and no word of a loss.
fn assert_all(folder: &Path, role: &str, count: usize) {
    let lines = read(folder, role);
    assert_eq!(losses(&lines), Vec::<&Line>::new());
    let found = numbers(&lines);
    assert!(found.iter().copied().eq(0..count), "{} of {count} lines, or out of order", found.len());
}

/// A stalled flusher, in a folder of its own.
struct Stopped {
    folder: Scratch,
    host: Actor,
}

impl Stopped {
    fn new(name: &str) -> Stopped {
        let folder = Scratch::new(name);
        let host = Actor::start("host", &folder, "say:up flush line:up wait").until("up");
        host.stop();
        Stopped { folder, host }
    }

    /// It goes on, or is killed and another takes its place.
    fn end(mut self, killed: bool) -> Scratch {
        if killed {
            self.host.kill();
        } else {
            self.host.signal(Signal::CONT);
            self.host.finish();
        }
        self.folder
    }
}

#[test]
fn a_flusher_that_is_stopped_costs_no_line_of_others_whether_it_goes_on_or_is_killed() {
    let _watchdog = Watchdog::new("a stopped flusher", Duration::from_secs(300));
    for killed in [false, true] {
        let stopped = Stopped::new("backlog-stopped");
        let path = stopped.folder.path().to_owned();
        let mut worker = Actor::start("worker", &path, "slots=256 log:100000 line:said wait flush").until("said");
        assert!(!segments(&path).is_empty(), "what did not fit the ring is kept");
        let _folder = stopped.end(killed);
        wait_until("the backlog to be drained", || segments(&path).is_empty());
        worker.finish();
        assert_all(&path, "worker", 100_000);
        flush_rest(&path);
        assert_eq!((segments(&path), ring_files(&path)), (Vec::new(), Vec::new()), "nothing is left");
    }
}

#[test]
fn threads_that_share_lanes_and_every_form_of_log_lose_nothing_while_the_flusher_is_stopped() {
    let _watchdog = Watchdog::new("threads beside a stopped flusher", Duration::from_secs(300));
    for (policy, format) in [("block", "both"), ("drop_newest", "text")] {
        let stopped = Stopped::new("backlog-threads");
        let path = stopped.folder.path().to_owned();
        let script = format!("lanes=6 slots=256 rotate=262144 keep=100 policy={policy} format={format}");
        let mut worker = Actor::start("worker", &path, script + " threads:8:4000 line:said wait").until("said");
        let _folder = stopped.end(false);
        worker.finish();
        flush_rest(&path);
        let lines = read(&path, "worker");
        assert_eq!(losses(&lines), Vec::<&Line>::new(), "{policy}");
        assert_eq!(missing_of_threads(&lines, 8, 4000), 0, "{policy}");
        if format == "both" {
            assert_eq!(jsonl::lines(&path, "worker"), lines, "the JSON and the text");
        }
        assert_eq!(segments(&path), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_process_that_dies_with_a_backlog_and_its_long_messages_is_drained_to_the_end() {
    let _watchdog = Watchdog::new("dead with a backlog", Duration::from_secs(300));
    for memory in ["memory=shared", "flusher=never"] {
        let folder = Scratch::new("backlog-dead");
        // Records that name long messages are kept as well, and then overwritten some laps later.
        let script = format!("flusher=never {memory} slots=64 lanes=3 backlog=8388608 log:100 long:100000");
        let (pid, _) = run("worker", &folder, script + " log:2000 long:50000 kill");
        let rings = Folder::open(&folder).and_then(|folder| folder.ring_files()).expect("listed");
        let text = tool_at("recover", &folder).out;
        assert_eq!(text.lines().filter(|line| line.contains("] line ")).count(), 2100, "recover shows what is kept");
        assert!(text.contains(&long_text(100_000)));
        flush_once(&folder);
        let lines = read(&folder, "worker");
        assert_eq!(losses(&lines), Vec::<&Line>::new());
        assert!(numbers(&lines).into_iter().eq(0..2100));
        assert!(lines.iter().any(|line| line.message == long_text(100_000)), "the long message");
        let death = lines.last().expect("lines");
        assert!(death.level == "CRITICAL" && death.pid == pid, "{death:?}");
        let left = names_in(rings[0].parent().expect("a folder"));
        assert!(!left.iter().any(|name| name.contains(&format!("worker-{pid}-"))), "all is removed: {left:?}");
    }
}

#[test]
fn the_backlog_of_a_process_takes_no_more_than_it_may_and_nothing_once_it_is_drained() {
    let _watchdog = Watchdog::new("the budget", Duration::from_secs(300));
    let folder = Scratch::new("backlog-budget");
    const BUDGET: u64 = 4 << 20;
    let script = format!("flusher=never backlog={BUDGET} slots=256 lanes=6 threads:4:20000 line:said wait");
    let mut worker = Actor::start("worker", &folder, script).until("said");
    let size = |path: &PathBuf| path.metadata().expect("there").len();
    let used: u64 = segments(&folder).iter().map(size).sum();
    assert!((BUDGET - (BUDGET >> 3)..=BUDGET).contains(&used), "{used} bytes of {BUDGET}");
    flush_once(&folder);
    assert_eq!(segments(&folder), Vec::<PathBuf>::new(), "the process lives, its backlog is drained");
    worker.finish();
    flush_rest(&folder);
    let lines = read(&folder, "worker");
    let lost = missing_of_threads(&lines, 4, 20_000);
    assert!(lost > 0, "more was logged than may be kept");
    assert_eq!(lost, reported_lost(&lines));
}

/// What `lastwords status` shows, as a table and as JSON.
fn status(folder: &Path) -> (String, Value) {
    let json = tool_at("status --json", folder).out;
    (tool_at("status", folder).out, serde_json::from_str(&json).expect("JSON"))
}

#[test]
fn status_says_that_the_flusher_is_stopped_or_traced_what_to_do_and_what_is_kept() {
    let _watchdog = Watchdog::new("status beside a stopped flusher", Duration::from_secs(300));
    let stopped = Stopped::new("backlog-status");
    let path = stopped.folder.path().to_owned();
    let mut worker = Actor::start("worker", &path, "slots=1024 lanes=3 log:9000 line:said wait").until("said");
    let (text, json) = status(&path);
    let head = text.lines().next().expect("a line");
    let expected = format!("flusher: pid {}, stopped (T), no pass for ", stopped.host.pid());
    assert!(head.starts_with(&expected) && head.contains("kill -CONT"), "{text}");
    assert!(text.contains(" of 64 MiB "), "{text}");
    assert_eq!(json["flusher"]["state"], "stopped");
    let worker_ring = |json: &Value| {
        let rings = json["rings"].as_array().expect("rings").clone();
        rings.into_iter().find(|ring| ring["role"] == "worker").expect("the worker's")
    };
    let ring = worker_ring(&json);
    let kept = ring["kept_bytes"].as_u64().expect("a number");
    assert!((7000 * 128..=9000 * 128).contains(&kept), "{ring}");
    assert_eq!((&ring["lost"], &ring["backlog_max_bytes"]), (&0.into(), &(64 << 20).into()));
    assert!(ring["lag_ms"].as_f64().expect("a number") > 0.0, "{ring}");
    let text = tool_at("recover", &path).out;
    assert_eq!(text.lines().filter(|line| line.contains("] line ")).count(), 9000, "recover shows what is kept");

    stopped.host.signal(Signal::CONT);
    wait_until("the backlog to be drained", || segments(&path).is_empty());
    let threads = paths_in(Path::new(&format!("/proc/{}/task", stopped.host.pid())));
    let flushes = |path: &PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "lastwords");
    let thread = threads.into_iter().find(flushes).expect("the one that flushes");
    let attached = Traced::attach(name_of(&thread).parse().expect("its id")).expect("attached");
    let (text, json) = status(&path);
    assert_eq!(json["flusher"]["state"], "traced");
    assert!(text.contains("traced (t), no pass for "), "{text}");
    drop(attached);
    wait_until("the flusher to go on", || {
        let (_, json) = status(&path);
        json["flusher"]["state"] == "running" && worker_ring(&json)["kept_bytes"] == 0
    });
    worker.finish();
    let _ = stopped.end(false);
}

#[test]
fn whoever_stands_by_says_once_which_process_stands_still() {
    let _watchdog = Watchdog::new("a word about a stopped flusher", Duration::from_secs(120));
    let stopped = Stopped::new("backlog-said");
    let printed = printed(ACTOR.acting("worker", &stopped.folder, "durable=50 say:up sleep:6000 leave")).err;
    let pid = stopped.host.pid();
    let reported: Vec<&str> = printed.lines().filter(|line| line.contains("the flusher of ")).collect();
    assert_eq!(reported.len(), 1, "{printed}");
    assert!(reported[0].contains(&format!("(pid {pid}) is stopped (T), no pass for ")), "{printed}");
    let _ = stopped.end(false);
}

#[test]
fn a_pipe_loses_nothing_while_the_flusher_is_stopped() {
    let _watchdog = Watchdog::new("a pipe beside a stopped flusher", Duration::from_secs(300));
    for policy in ["wait", "block"] {
        let stopped = Stopped::new("backlog-pipe");
        let path = stopped.folder.path().to_owned();
        let mut pipe = TOOL.command();
        pipe.args(["pipe", "--role", "worker", "--full-policy", policy, "--dir"]).arg(&path);
        let mut pipe = pipe.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool starts");
        let mut input = pipe.stdin.take().expect("piped");
        let writer = thread::spawn(move || (0..150_000).for_each(|n| writeln!(input, "line {n}").expect("it reads")));
        if policy == "wait" {
            let mut printed = String::new();
            BufReader::new(pipe.stderr.take().expect("piped")).read_line(&mut printed).expect("it says that it waits");
            assert!(printed.contains("does not keep up; waiting"), "{printed}");
            assert_eq!(segments(&path).len(), 0, "what it does not read needs no room");
        } else {
            wait_until("what is kept", || segments(&path).len() > 4);
        }
        let _folder = stopped.end(false);
        writer.join().expect("all written");
        pipe.wait().expect("ended");
        flush_rest(&path);
        assert_all(&path, "worker", 150_000);
    }
}

#[test]
fn an_exit_beside_a_stopped_flusher_waits_once_for_all_roles() {
    let _watchdog = Watchdog::new("an exit beside a stopped flusher", Duration::from_secs(120));
    for script in ["say:up roles:4 exit", "say:up roles:4 flush-roles:4 exit"] {
        let stopped = Stopped::new("backlog-exit");
        let start = Instant::now();
        succeed("worker", &stopped.folder, script);
        // Once for each role would be ten seconds.
        assert!(start.elapsed() < Duration::from_secs(5), "{script}: {:?}", start.elapsed());
        let folder = stopped.end(false);
        flush_rest(&folder);
        for role in 0..4 {
            assert_eq!(read(&folder, &format!("role{role}")).len(), 1);
        }
    }
}

/// So many processes log at the same time, and one flusher does what it can.
fn burst(name: &str, script: &str) -> (Scratch, f64) {
    const PROCESSES: usize = 100;
    let folder = Scratch::new(name);
    let mut host = Actor::start("host", &folder, "say:up flush line:up wait").until("up");
    let start = Instant::now();
    let spawn = |_| ACTOR.acting("worker", &folder, script).spawn().expect("spawned");
    let children: Vec<Child> = (0..PROCESSES).map(spawn).collect();
    children.into_iter().for_each(|mut child| assert!(child.wait().expect("ended").success()));
    let taken = start.elapsed().as_secs_f64();
    host.finish();
    flush_rest(&folder);
    (folder, taken)
}

#[test]
fn a_hundred_processes_with_long_messages_at_once_lose_none() {
    let _watchdog = Watchdog::new("a burst of long messages", Duration::from_secs(300));
    let (folder, taken) = burst("backlog-burst-long", "flusher=never rotate=1000000000 longs:100:10000");
    let lines = read(&folder, "worker");
    assert_eq!(losses(&lines), Vec::<&Line>::new());
    assert_eq!(lines.iter().filter(|line| line.message.len() == 10_000).count(), 100 * 100);
    println!("100 processes, 100 messages of 10,000 bytes each: {taken:.1} s");
}

#[test]
fn a_hundred_processes_with_many_lines_at_once_lose_none() {
    let _watchdog = Watchdog::new("a burst of lines", Duration::from_secs(300));
    let (folder, taken) = burst("backlog-burst-short", "flusher=never rotate=1000000000 log:10000");
    let lines = read(&folder, "worker");
    assert_eq!(losses(&lines), Vec::<&Line>::new());
    assert_eq!(numbers(&lines).len(), 100 * 10_000);
    println!("100 processes, 10,000 lines each: {taken:.1} s");
}
