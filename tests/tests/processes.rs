//! Forks, execs, threads, handlers, signals: everything that a process does besides logging.
//!
//! A forked child that goes on writing into its parent's ring destroys it; one that keeps the parent's lock makes a dead
//! parent look alive; a log call that waits for a lock inside a signal handler never returns. And an ordinary end that
//! looks like a crash teaches people to ignore crashes.

use lastwords_tests::actor::{Actor, flush_once, flush_rest, run, succeed, wait_until};
use lastwords_tests::files::{beside_rings, name_of};
use lastwords_tests::logs::{Line, alarms, deaths, messages, missing_of_threads, numbers_after, read, reported_lost};
use lastwords_tests::scratch::Scratch;
use rustix::fs::FlockOperation;
use rustix::process::Signal;
use std::collections::BTreeMap;

#[test]
fn sixty_four_forks_at_once_each_have_a_ring_of_their_own() {
    let folder = Scratch::new("forks");
    let parent = succeed("host", &folder, "log:10 fork:64 log:10");
    flush_rest(&folder);
    let lines = read(&folder, "host");
    assert_eq!(alarms(&lines), 0, "ordinary ends");
    let own: Vec<&Line> = lines.iter().filter(|line| line.pid == parent && line.level == "INFO").collect();
    assert_eq!(own.len(), 20);
    let mut pids = BTreeMap::new();
    for child in 0..64 {
        let prefix = format!("child {child} line ");
        assert!(numbers_after(&prefix, &lines).into_iter().eq(0..20), "child {child}");
        let line = lines.iter().find(|line| line.message.starts_with(&prefix)).expect("found");
        assert_ne!(line.pid, parent, "the child's lines carry the child's pid");
        assert_eq!(pids.insert(line.pid, child), None, "each child has a pid of its own");
    }
}

#[test]
fn a_forked_child_that_logs_from_a_place_where_its_parent_has_logged_says_the_same() {
    let folder = Scratch::new("fork-sites");
    let parent = succeed("host", &folder, "log:3 fork-log:4");
    flush_rest(&folder);
    let lines = read(&folder, "host");
    let mut logged: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    lines.iter().for_each(|line| logged.entry(line.pid).or_default().push(&line.message));
    assert_eq!(logged.remove(&parent), Some(vec!["line 0", "line 1", "line 2"]));
    assert_eq!(logged.len(), 4);
    assert!(logged.values().all(|logged| *logged == ["line 3", "line 4", "line 5", "line 6", "line 7"]), "{logged:?}");
}

#[test]
fn a_forked_child_does_not_keep_the_lock_of_its_dead_parents_ring() {
    let folder = Scratch::new("fork-lock");
    let mut parent = Actor::start("worker", &folder, "flusher=never log:3 sleeper:3000 kill").until("asleep");
    parent.end();
    let ring = std::fs::File::open(&beside_rings(&folder, "ring")[0]).expect("opened");
    // A mapping or a descriptor that the child had inherited would hold it. A flusher that cannot see the parent, from another
    // pid namespace for instance, has only the lock as evidence that it is dead.
    rustix::fs::flock(&ring, FlockOperation::NonBlockingLockExclusive).expect("nobody holds the lock");
}

#[test]
fn a_killed_parent_is_dead_although_its_forked_child_lives() {
    let folder = Scratch::new("fork-kill");
    // The child outlives the parent by far more than the drain takes, and ends by itself.
    let (parent, _) = run("worker", &folder, "flusher=never log:3 sleeper:3000 kill");
    flush_once(&folder);
    assert_eq!(deaths(&read(&folder, "worker")), [parent]);
}

#[test]
fn exec_ends_a_ring_without_an_alarm_and_the_new_program_has_its_own() {
    let folder = Scratch::new("exec");
    let exec = format!("exec:host {} log:4", folder.display());
    let pid = succeed("host", &folder, ["say:before", &exec]);
    let lines = read(&folder, "host");
    assert!(lines.iter().all(|line| line.pid == pid && line.level != "CRITICAL"), "{lines:?}");
    assert!(numbers_after("line ", &lines).into_iter().eq(0..4));
    assert_eq!(lines.iter().filter(|line| line.message == "before").count(), 1);
}

#[test]
fn two_hundred_and_fifty_six_threads_share_fifteen_lanes_and_every_line_is_there_or_counted() {
    let folder = Scratch::new("256");
    succeed("host", &folder, "threads:256:100");
    let lines = read(&folder, "host");
    assert_eq!(missing_of_threads(&lines, 256, 100), reported_lost(&lines));
}

#[test]
fn a_display_that_logs_while_it_is_logged_gives_both_records() {
    let folder = Scratch::new("nested");
    succeed("host", &folder, "nested");
    assert_eq!(messages(&folder, "host"), ["inner 1", "outer done"]);
}

#[test]
fn destructors_of_thread_locals_and_of_a_panic_can_log() {
    let folder = Scratch::new("destructors");
    succeed("host", &folder, "panics=off tls panic");
    assert_eq!(messages(&folder, "host"), ["early", "late", "dropped by a panic"]);
}

#[test]
fn a_signal_handler_that_logs_in_the_middle_of_a_log_call_loses_nothing() {
    let folder = Scratch::new("handler");
    succeed("host", &folder, "handler:20000");
    let lines = read(&folder, "host");
    assert!(numbers_after("interrupted ", &lines).into_iter().eq(0..20_000));
    let handled = numbers_after("handled ", &lines)[0];
    assert!(handled > 10, "the handler ran {handled} times");
    let mut numbers = numbers_after("handler ", &lines);
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..handled));
}

#[test]
fn threads_that_log_during_the_exit_neither_crash_nor_hang_it() {
    let folder = Scratch::new("exiting");
    succeed("host", &folder, "say:main exiting");
    flush_rest(&folder);
    let lines = read(&folder, "host");
    assert_eq!(lines[0].message, "main");
    // A flusher without optimisation may fall behind four threads by more than the 100 ms that a call waits; then what
    // is missing is what the log says.
    let mut missing = 0;
    for thread in 0..4 {
        let numbers = numbers_after(&format!("exiting {thread} line "), &lines);
        assert!(numbers.is_sorted_by(|a, b| a < b), "thread {thread}, in order and once");
        missing += numbers.last().map_or(0, |last| last + 1 - numbers.len());
    }
    assert_eq!(missing, reported_lost(&lines));
    assert_eq!(alarms(&lines), 0);
}

#[test]
fn two_roles_in_one_process_have_a_ring_and_a_file_each() {
    let folder = Scratch::new("roles");
    succeed("host", &folder, "role:audit");
    let (host, audit) = (read(&folder, "host"), read(&folder, "audit"));
    assert_eq!((host.len(), audit.len()), (100, 200));
    assert!(numbers_after("main ", &host).into_iter().eq(0..100));
    for prefix in ["second ", "again "] {
        assert!(numbers_after(prefix, &audit).into_iter().eq(0..100), "{prefix}");
    }
}

#[test]
fn an_ordinary_signal_ends_a_process_as_always_and_raises_no_alarm() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let folder = Scratch::new("signal");
        let _host = Actor::start("host", &folder, "line:up wait").until("up");
        let mut worker = Actor::start("worker", &folder, "log:500 line:up wait").until("up");
        worker.signal(signal);
        let status = worker.end();
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(status.signal(), Some(signal.as_raw()), "the parent sees the signal");
        wait_until("the dead ring's removal", || {
            !beside_rings(&folder, "ring").iter().any(|path| name_of(path).starts_with("worker-"))
        });
        let lines = read(&folder, "worker");
        assert!(numbers_after("line ", &lines).into_iter().eq(0..500));
        assert!(lines.iter().all(|line| line.level == "INFO"), "no alarm");
    }
}
