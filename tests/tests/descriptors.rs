//! Descriptors are numbers: code that closes everything, and then opens files of its own, harms nothing.
//!
//! Daemonisers, sandboxes and `closerange` close descriptors that they do not know. The numbers go to the files that the
//! program opens next. A logger that goes on with its numbers writes its journal and its wake-up bytes into those files, closes
//! them in forked children, and overwrites its own ring where standard error was closed.

use lastwords_tests::about::About;
use lastwords_tests::actor::{Actor, flush_rest, kill, succeed, wait_until};
use lastwords_tests::descriptors::{UNTOUCHED, of_process_within, of_threads_within};
use lastwords_tests::logs::{count, crash_files, missing, read, read_so_far};
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

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
    for (name, fds, fd) in [("out", "1-1", 1), ("both", "1-2", 2), ("all", "0-2", 0), ("all", "0-2", 2)] {
        let folder = Scratch::new(&format!("streams-{name}"));
        let table = TABLES[usize::from(fd == 2)];
        let script = format!("{table} before:close:{fds} log:10 write-to:{fd}:xxxx log:10 sleep:300");
        succeed("worker", &folder, script);
        flush_rest(&folder);
        let lines = read(&folder, "worker");
        assert_eq!((missing(&lines, "line ", 20), lines.len()), (0, 20), "{name}: {lines:?}");
    }
}

#[test]
fn a_child_that_closes_everything_before_its_first_line_logs_all_of_them() {
    for (way, table) in WAYS.into_iter().zip(TABLES) {
        let folder = Scratch::new("child-closes");
        let _about = About((way, table));
        succeed("worker", &folder, format!("{table} log:1 in-child {way} log:20100 flush"));
        flush_rest(&folder);
        assert_eq!(count(&read(&folder, "worker"), "line "), 1 + 20_100, "{way}");
    }
}

#[test]
fn a_process_that_closes_everything_and_takes_the_numbers_keeps_its_files_and_its_lines() {
    for (way, table) in [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(way, table)| (WAYS[way], TABLES[table])) {
        let (folder, own) = (Scratch::new("taken"), Scratch::new("taken-own"));
        // As many numbers as ours could have had, at either end of the range.
        let open = format!("open-own:600:{}", own.display());
        let script = format!("{table} descriptors:1024 log:1 flush line:up wait {way} {open} log:1000 flush");
        let script = script + " fork-log:2 flush check-own wait";
        let mut actor = Actor::start("worker", &folder, script).until("up");
        actor.go();
        assert_eq!(actor.line(), UNTOUCHED, "{way}");
        let lines = read_so_far(&folder, "worker");
        let logged = count(&lines, "line ");
        assert_eq!(logged, 1001 + 10, "{way}: {:?}", lines.iter().rev().take(3).collect::<Vec<_>>());
        actor.finish();
        assert_eq!(crash_files(&folder), Vec::<PathBuf>::new());
    }
}

#[test]
fn files_put_over_our_numbers_are_neither_written_nor_closed() {
    for table in TABLES {
        let (folder, own) = (Scratch::new("dup-over"), Scratch::new("dup-over-own"));
        let open = format!("open-own:1:{}", own.display());
        let script = format!("{table} log:1 flush {open} dup-over:40-1023 log:1000 flush fork-log:1 check-own");
        let mut actor = Actor::start("worker", &folder, &script);
        assert_eq!(actor.line(), UNTOUCHED, "{table}");
        assert!(actor.end().success());
        assert_eq!(count(&read(&folder, "worker"), "line "), 1001 + 5, "{table}");
    }
}

#[test]
fn threads_whose_descriptors_were_closed_sleep() {
    for (flusher_elsewhere, table) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let folder = Scratch::new("asleep");
        let mut host = Actor::start("host", &folder, "log:1 flush line:up wait").until("up");
        if !flusher_elsewhere {
            host.finish();
        }
        let script = [TABLES[table], "log:1", "flush", WAYS[1], "line:closed", "wait"];
        let actor = Actor::start("worker", &folder, script).until("closed");
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
    let script = format!("{table} log:1 flush line:up wait sleeper:20000 line:forked wait");
    let mut host = Actor::start("host", &folder, &script).until("up");
    let script = "flusher=never slots=64 lanes=3 log:1 flush line:up wait";
    let _workers = Actor::several(30, "worker", &folder, script, "up");
    let is_ring = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "ring");
    assert_eq!(of_threads_within(host.pid(), &folder).into_iter().filter(is_ring).count(), 31, "{table}");
    host.go();
    // The child and its parent may say so in either order.
    let printed = [host.line(), host.line()];
    assert!(printed.contains(&"asleep".to_owned()), "{printed:?}");
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", host.pid())).expect("it lives");
    let child: u32 = children.split_whitespace().next().expect("a child").parse().expect("a pid");
    let within = of_process_within(child, &folder);
    let files: Vec<_> = within.iter().filter(|path| !path.is_dir()).collect();
    assert_eq!(files, Vec::<&PathBuf>::new(), "folders alone are for the child's own ring");
    let maps = fs::read_to_string(format!("/proc/{child}/maps")).expect("it lives");
    assert!(!maps.contains(".ring"), "{maps}");
    kill(child);
}

#[test]
fn an_exec_that_inherits_everything_keeps_nobody_from_flushing() {
    TABLES.into_iter().for_each(assert_exec_keeps_nobody);
}

fn assert_exec_keeps_nobody(table: &str) {
    let (folder, other) = (Scratch::new("no-cloexec"), Scratch::new("no-cloexec-other"));
    let exec = format!("exec:worker {} line:executed wait", other.display());
    let mut first = Actor::start("host", &folder, [table, "log:10", "flush", "no-cloexec", &exec]).until("executed");
    let mut second = Actor::start("host", &folder, "log:10 flush line:flushed wait").until("flushed");
    wait_until("both", || count(&read_so_far(&folder, "host"), "line ") == 20);
    first.go();
    second.go();
    assert!(first.end().success() && second.end().success());
}
