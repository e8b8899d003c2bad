//! What a process may be short of for a while: descriptors, room, threads, inodes, the length of a file.
//!
//! A limit that is hit says nothing about the log. A flusher that takes it for the end of a ring forgets how far that is
//! drained and prints lines twice; one that needs a descriptor to go on with what it has open lets the rings fill; a forked
//! child that gives up at its first record is silent for good. So everything that failed for such a reason is tried again,
//! and what was lost meanwhile is counted.

use lastwords_tests::actor::Actor;
use lastwords_tests::logs::{Line, read};
use lastwords_tests::scratch::Scratch;
use std::path::Path;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// Numbers of the lines `line N` of one process, in the order of the file.
fn numbers(lines: &[Line], pid: u32) -> Vec<usize> {
    let own = lines.iter().filter(|line| line.pid == pid);
    own.filter_map(|line| line.message.strip_prefix("line ")?.parse().ok()).collect()
}

fn assert_once(folder: &Path, role: &str, pid: u32, count: usize) {
    let found = numbers(&read(folder, role), pid);
    assert!(found.iter().copied().eq(0..count), "{role} {pid}: {} lines, expected {count}, each once", found.len());
}

#[test]
fn a_flusher_without_a_descriptor_to_be_had_drains_what_it_has_open() {
    let scratch = Scratch::new("exhausted");
    let folder = scratch.path().join("logs");
    // The lines take longer than the lack lasts, and are far more than a lane holds.
    let script = ["rotate=400000", "keep=20", "log:10", "flush", "hold-files:1:2000", "slowly:20000:100", "flush"];
    let mut host = Actor::start(ACTOR, "host", &folder, &script);
    let pid = host.pid();
    assert_eq!(host.line(), "held");
    assert!(host.end().success());
    assert_once(&folder, "host", pid, 20_010);
    let told = read(&folder, "host").into_iter().filter(|line| line.level != "INFO").map(|line| line.message);
    assert_eq!(told.filter(|text| text.contains(" lost, ")).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_flusher_that_has_no_descriptor_now_and_then_doubles_and_loses_nothing_of_sixty_rings() {
    let scratch = Scratch::new("storm");
    let folder = scratch.path().join("logs");
    let mut host = Actor::start(ACTOR, "host", &folder, &["flush", "line:up", "wait", "hold-files:12:120", "wait", "flush"]);
    host.line();
    let script = ["flusher=never", "slots=1024", "lanes=3", "log:1", "line:up", "wait", "slowly:600:3000", "line:logged", "wait", "flush"];
    let mut workers: Vec<Actor> = (0..60).map(|_| Actor::start(ACTOR, "worker", &folder, &script)).collect();
    workers.iter_mut().for_each(|worker| assert_eq!(worker.line(), "up"));
    host.go();
    workers.iter_mut().for_each(Actor::go);
    assert_eq!(host.line(), "held");
    for worker in &mut workers {
        worker.line();
        worker.go();
    }
    let pids: Vec<u32> = workers.iter().map(Actor::pid).collect();
    workers.iter_mut().for_each(|worker| assert!(worker.end().success()));
    host.go();
    assert!(host.end().success());
    pids.into_iter().for_each(|pid| assert_once(&folder, "worker", pid, 601));
}
