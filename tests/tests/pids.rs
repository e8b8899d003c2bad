//! Processes that are not what their pid says, or stop in unexpected places.
//!
//! A pid is a number that the next process may have; in another namespace it belongs to another process. A debugger, a freezer
//! or SIGSTOP holds a process in the middle of a log call for hours. A flusher that trusts the number never drains a dead
//! process's ring or announces the death of a living one; one that waits for the open slot keeps back the lines of all others;
//! and a producer that waits for a stopped flusher stops with it.

use lastwords_tests::actor::{Actor, flush_once, flush_rest, printed, run, succeed, wait_until};
use lastwords_tests::files::name_of;
use lastwords_tests::forge;
use lastwords_tests::logs::{
    assert_numbered, deaths, missing, missing_of_threads, numbers, read, read_so_far, reported_lost,
};
use lastwords_tests::namespaces::unshare;
use lastwords_tests::programs::{ACTOR, STEPPER, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use lastwords_tests::watchdog::Watchdog;
use rustix::process::Signal;
use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// How unshare(1) makes a pid namespace.
const NAMESPACE: [&str; 2] = ["-pf", "--mount-proc"];

#[test]
fn a_ring_whose_pid_is_another_process_by_now_is_a_dead_ones() {
    let folder = Scratch::new("reused");
    // The kernel reports start times in hundredths of a second, and this process may have begun in this one.
    std::thread::sleep(Duration::from_millis(50));
    let _ = run("worker", &folder, "flusher=never log:30 kill");
    let ring = forge::ring_files(&folder).remove(0);
    let mut bytes = fs::read(&ring).expect("read");
    // This test's process lives, and began at another time.
    let me = std::process::id();
    forge::set_header(&mut bytes, offset_of!(lastwords_ring::format::layout::RingHeader, pid), &me.to_le_bytes());
    fs::write(&ring, bytes).expect("written");
    flush_once(&folder);
    let lines = read(&folder, "worker");
    assert_numbered(&lines, 30, "");
    assert_eq!(deaths(&lines), [me]);
}

#[test]
fn a_process_with_the_pid_of_a_dead_one_is_told_apart_from_it() {
    let folder = Scratch::new("same-pid");
    let path = folder.display();
    let script = format!(
        "{ACTOR} worker {path} flusher=never log:30 kill & first=$!; wait $first; sleep 0.1
         echo $((first - 1)) > /proc/sys/kernel/ns_last_pid
         {ACTOR} worker {path} flusher=never say:second sleep:3000 & second=$!
         sleep 0.5; {TOOL} flush --once {path}; echo pids $first $second; kill -9 $second; exit 0"
    );
    let Some(command) = unshare(&NAMESPACE, "true", &script) else { return };
    let printed = printed(command).out;
    let pids: Vec<u32> =
        printed.split("pids ").nth(1).expect("the pids").split_whitespace().filter_map(|n| n.parse().ok()).collect();
    assert_eq!(pids[0], pids[1], "the pid was taken again: {printed}");
    let lines = read(&folder, "worker");
    assert_numbered(&lines, 30, "");
    assert_eq!(lines.iter().filter(|line| line.message == "second").count(), 1);
    assert_eq!(deaths(&lines), [pids[0]], "only the first is dead");
}

#[test]
fn a_process_of_another_pid_namespace_logs_to_the_same_folder_and_its_death_is_seen() {
    let folder = Scratch::new("namespace");
    let path = folder.display();
    let script = format!("{ACTOR} worker {path} flusher=never log:100 flush line:up wait log:50 kill; exit 0");
    let Some(mut command) = unshare(&NAMESPACE, "true", &script) else { return };
    let mut host = Actor::start("host", &folder, "line:up wait").until("up");
    let mut worker = Actor::of(&mut command).until("up");
    assert_numbered(&read(&folder, "worker"), 100, "");
    // Longer than a process that cannot be seen needs to be taken for dead.
    std::thread::sleep(Duration::from_millis(2500));
    assert!(deaths(&read(&folder, "worker")).is_empty(), "it lives");
    worker.go();
    let _ = worker.end();
    wait_until("its death line", || deaths(&read_so_far(&folder, "worker")).len() == 1);
    assert_numbered(&read(&folder, "worker"), 150, "");
    host.finish();
}

/// Whether a slot of the ring's first lane is open.
fn has_open_slot(ring: &fs::File, offset: u64) -> bool {
    (0..8).any(|slot| {
        let mut word = [0; 8];
        ring.read_exact_at(&mut word, offset + slot * 128).is_ok_and(|()| u64::from_le_bytes(word) & 3 == 1)
    })
}

#[test]
fn a_process_that_is_stopped_in_the_middle_of_a_log_call_holds_nobody_up() {
    let _watchdog = Watchdog::new("stopped in a log call", Duration::from_secs(300));
    let scratch = Scratch::new("mid-call");
    let folder = scratch.join("logs");
    let mut host = Actor::start("host", &folder, "line:up wait").until("up");
    const ROUNDS: usize = 40;
    let script = "wait log:10 flush line:flushed ".repeat(ROUNDS);
    let mut other = Actor::start("other", &folder, format!("flusher=never {script}"));
    let mut command = STEPPER.command();
    command.arg(&folder).arg(scratch.join("marks")).args(["26", "block"]);
    let mut traced = Traced::start(&mut command).expect("started");
    assert_eq!(traced.run().expect("ran"), Stop::Signal(libc::SIGSTOP), "before the first step");
    let path = forge::ring_files(&folder).into_iter().find(|path| name_of(path).starts_with("stepper-"));
    let path = path.expect("its ring");
    let geometry = lastwords_ring::read::reader::RingReader::open(&path).expect("a ring").geometry();
    let ring = fs::File::open(&path).expect("opened");
    let mut open = 0;
    for round in 0..ROUNDS {
        for step in 0.. {
            assert_eq!(traced.step().expect("stepped"), Stop::Signal(libc::SIGTRAP));
            // Every second time in the middle of a slot, else anywhere.
            let here = has_open_slot(&ring, geometry.lane_offset(0));
            if step > 20 && (here || round % 2 == 1) {
                open += usize::from(here);
                break;
            }
        }
        other.go();
        assert_eq!(other.line(), "flushed", "the other's lines are in their file");
    }
    assert!(open >= ROUNDS / 2, "{open} times in the middle of a slot");
    assert_numbered(&read(&folder, "other"), 10 * ROUNDS, "");
    while traced.run().expect("ran") != Stop::Signal(libc::SIGSTOP) {}
    traced.kill().expect("killed");
    wait_until("its death line", || deaths(&read_so_far(&folder, "stepper")).len() == 1);
    let lines = read(&folder, "stepper");
    let own = lines.iter().filter(|line| line.level == "INFO").count();
    assert_eq!(own + reported_lost(&lines), 26, "{lines:?}");
    assert!(other.end().success());
    host.finish();
}

#[test]
fn while_the_flusher_is_stopped_every_policy_goes_on_and_every_line_is_there_or_counted() {
    let _watchdog = Watchdog::new("a stopped flusher", Duration::from_secs(300));
    for policy in ["block", "drop_newest", "overwrite"] {
        let folder = Scratch::new("stopped-policies");
        let mut host = Actor::start("host", &folder, "line:up wait").until("up");
        let script = format!(
            "flusher=never policy={policy} backlog=0 slots=64 lanes=6 line:up wait threads:8:500 line:done wait"
        );
        // Until there is room again, drop_newest drops this thread's line as well.
        let script = format!("{script} flush log:1 flush");
        let mut worker = Actor::start("worker", &folder, script).until("up");
        host.signal(Signal::STOP);
        worker.go();
        assert_eq!(worker.line(), "done", "{policy}: nobody hangs");
        host.signal(Signal::CONT);
        worker.finish();
        host.finish();
        let lines = read(&folder, "worker");
        let lost = missing_of_threads(&lines, 8, 500);
        assert_eq!(lost, reported_lost(&lines), "{policy}");
        assert!(lost > 0, "{policy}: the rings were full");
        assert_eq!(numbers(&lines), [0], "{policy}: after that all is as before");
    }
}

#[test]
fn a_storm_of_forks_while_threads_log_loses_nothing_of_parent_and_children() {
    let _watchdog = Watchdog::new("a storm of forks", Duration::from_secs(300));
    let folder = Scratch::new("storm");
    let parent = succeed("host", &folder, "storm:64");
    flush_rest(&folder);
    let lines = read(&folder, "host");
    assert!(deaths(&lines).is_empty(), "ordinary ends");
    let mut lost = 0;
    for thread in 0..4 {
        let own = lines.iter().filter(|line| line.pid == parent);
        let wrote =
            own.clone().find_map(|line| line.message.strip_prefix(&format!("thread {thread} wrote "))?.parse().ok());
        lost += missing(&lines, &format!("thread {thread} line "), wrote.expect("its last line"));
    }
    for child in 0..64 {
        lost += missing(&lines, &format!("child {child} line "), 20);
    }
    assert_eq!(lost, reported_lost(&lines));
}
