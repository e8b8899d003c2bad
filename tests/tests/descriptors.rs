//! Descriptors are numbers: code that closes everything, and then opens files of its own, harms nothing.
//!
//! Daemonisers, sandboxes and `closerange` close descriptors that they do not know. The numbers go to the files that the
//! program opens next. A logger that goes on with its numbers writes its journal and its wake-up bytes into those files, closes
//! them in forked children, and overwrites its own ring where standard error was closed.

use lastwords_tests::actor::{Actor, tool, wait_for};
use lastwords_tests::descriptors::{UNTOUCHED, of_process_within, of_threads_within};
use lastwords_tests::logs::{crash_files, missing, read, read_so_far};
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::Path;
use std::time::Duration;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

fn flush_once(folder: &Path) {
    let output = tool(TOOL, &["flush", "--once", &folder.to_string_lossy()]);
    assert_ne!(output.status.code(), Some(2), "{output:?}");
}

/// Processor time of a process so far.
fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
    Duration::from_millis(ticks * 10)
}

/// The flusher's thread has a table of descriptors of its own, or shares the program's, as on an older kernel.
const TABLES: [&str; 2] = ["before:sleep:0", "before:one-table"];

/// Every way to close what one does not know.
const WAYS: [&str; 2] = ["close-all:3-1023", "close-range:3-4294967295"];

#[test]
fn closed_standard_streams_do_not_become_rings() {
    for (name, fds, order) in [
        ("out", "1-1", ["write-to:1:xxxx"; 1]),
        ("both", "1-2", ["write-to:2:xxxx"]),
        ("all", "0-2", ["write-to:0:xxxx"]),
    ]
    .into_iter()
    .chain([("all", "0-2", ["write-to:2:xxxx"])])
    {
        let folder = Scratch::new(&format!("streams-{name}"));
        let close = format!("before:close:{fds}");
        let table = TABLES[usize::from(order[0].contains(":2:"))];
        let script = [table, &close, "log:10", order[0], "log:10", "sleep:300"];
        let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script);
        assert!(actor.end().success());
        flush_once(folder.path());
        let lines = read(folder.path(), "worker");
        assert_eq!(missing(&lines, "line ", 20), 0, "{name}: {lines:?}");
        assert_eq!(lines.len(), 20, "{name}: {lines:?}");
    }
}

#[test]
fn a_child_that_closes_everything_before_its_first_line_logs_all_of_them() {
    for (way, table) in WAYS.into_iter().zip(TABLES) {
        let folder = Scratch::new("child-closes");
        let script = [table, "log:1", "in-child", way, "log:20100", "flush"];
        let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script);
        assert!(actor.end().success(), "{way}");
        flush_once(folder.path());
        let lines: Vec<_> =
            read(folder.path(), "worker").into_iter().filter(|line| line.message.starts_with("line ")).collect();
        assert_eq!(lines.len(), 1 + 20_100, "{way}");
    }
}

#[test]
fn a_process_that_closes_everything_and_takes_the_numbers_keeps_its_files_and_its_lines() {
    for (way, table) in [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(way, table)| (WAYS[way], TABLES[table])) {
        let folder = Scratch::new("taken");
        let own = Scratch::new("taken-own");
        // As many numbers as ours could have had, at either end of the range.
        let open = format!("open-own:600:{}", own.path().display());
        let script = [
            table,
            "descriptors:1024",
            "log:1",
            "flush",
            "line:up",
            "wait",
            way,
            &open,
            "log:1000",
            "flush",
            "fork-log:2",
            "flush",
        ];
        let script = [&script[..], &["check-own", "wait"]].concat();
        let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script).until("up");
        actor.go();
        assert_eq!(actor.line(), UNTOUCHED, "{way}");
        let lines = read_so_far(folder.path(), "worker");
        let logged = lines.iter().filter(|line| line.message.starts_with("line ")).count();
        assert_eq!(logged, 1001 + 10, "{way}: {:?}", lines.iter().rev().take(3).collect::<Vec<_>>());
        actor.finish();
        assert_eq!(crash_files(folder.path()), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn files_put_over_our_numbers_are_neither_written_nor_closed() {
    for table in TABLES {
        let folder = Scratch::new("dup-over");
        let own = Scratch::new("dup-over-own");
        let open = format!("open-own:1:{}", own.path().display());
        let script =
            [table, "log:1", "flush", &open, "dup-over:40-1023", "log:1000", "flush", "fork-log:1", "check-own"];
        let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script);
        assert_eq!(actor.line(), UNTOUCHED, "{table}");
        assert!(actor.end().success());
        let lines = read(folder.path(), "worker");
        assert_eq!(lines.iter().filter(|line| line.message.starts_with("line ")).count(), 1001 + 5, "{table}");
    }
}

#[test]
fn threads_whose_descriptors_were_closed_sleep() {
    for (flusher_elsewhere, table) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let folder = Scratch::new("asleep");
        let mut host = Actor::start(ACTOR, "host", folder.path(), &["log:1", "flush", "line:up", "wait"]).until("up");
        if !flusher_elsewhere {
            host.finish();
        }
        let script = [TABLES[table], "log:1", "flush", WAYS[1], "line:closed", "wait"];
        let actor = Actor::start(ACTOR, "worker", folder.path(), &script).until("closed");
        std::thread::sleep(Duration::from_millis(300));
        let before = cpu_time(actor.pid());
        std::thread::sleep(Duration::from_secs(3));
        let used = cpu_time(actor.pid()) - before;
        assert!(used < Duration::from_millis(600), "{used:?} of 3 s, flusher elsewhere: {flusher_elsewhere}");
        println!("{used:?} of 3 s, {}", TABLES[table]);
    }
}

#[test]
fn a_forked_child_of_a_flusher_keeps_none_of_its_files() {
    TABLES.into_iter().for_each(assert_child_keeps_nothing);
}

fn assert_child_keeps_nothing(table: &str) {
    let folder = Scratch::new("child-keeps");
    let script = [table, "log:1", "flush", "line:up", "wait", "sleeper:20000", "line:forked", "wait"];
    let mut host = Actor::start(ACTOR, "host", folder.path(), &script).until("up");
    let script = ["flusher=never", "slots=64", "lanes=3", "log:1", "flush", "line:up", "wait"];
    let mut workers: Vec<Actor> = (0..30).map(|_| Actor::start(ACTOR, "worker", folder.path(), &script)).collect();
    workers.iter_mut().for_each(|worker| assert_eq!(worker.line(), "up"));
    let is_ring = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "ring");
    assert_eq!(of_threads_within(host.pid(), folder.path()).into_iter().filter(is_ring).count(), 31, "{table}");
    host.go();
    // The child and its parent may say so in either order.
    let printed = [host.line(), host.line()];
    assert!(printed.contains(&"asleep".to_owned()), "{printed:?}");
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", host.pid())).expect("it lives");
    let child: u32 = children.split_whitespace().next().expect("a child").parse().expect("a pid");
    let within = of_process_within(child, folder.path());
    let files: Vec<_> = within.iter().filter(|path| !path.is_dir()).collect();
    assert_eq!(files, Vec::<&std::path::PathBuf>::new(), "folders alone are for the child's own ring");
    let maps = fs::read_to_string(format!("/proc/{child}/maps")).expect("it lives");
    assert!(!maps.contains(".ring"), "{maps}");
    let child = rustix::process::Pid::from_raw(child as i32).expect("a pid");
    rustix::process::kill_process(child, rustix::process::Signal::KILL).expect("the actor's child");
}

#[test]
fn an_exec_that_inherits_everything_keeps_nobody_from_flushing() {
    TABLES.into_iter().for_each(assert_exec_keeps_nobody);
}

fn assert_exec_keeps_nobody(table: &str) {
    let folder = Scratch::new("no-cloexec");
    let other = Scratch::new("no-cloexec-other");
    let exec = format!("exec:worker {} line:executed wait", other.path().display());
    let mut first =
        Actor::start(ACTOR, "host", folder.path(), &[table, "log:10", "flush", "no-cloexec", &exec]).until("executed");
    let mut second = Actor::start(ACTOR, "host", folder.path(), &["log:10", "flush", "line:flushed", "wait"]);
    assert_eq!(second.line(), "flushed", "while the executed program keeps what it inherited");
    let lines = || read_so_far(folder.path(), "host").iter().filter(|line| line.message.starts_with("line ")).count();
    wait_for("both", || (lines() == 20).then_some(()));
    first.go();
    second.go();
    assert!(first.end().success() && second.end().success());
}
