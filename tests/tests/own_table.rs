//! The flusher's thread has a table of descriptors of its own: what the program closes, opens and uses up is the program's alone.

use lastwords_tests::actor::{Actor, kill, wait_until};
use lastwords_tests::descriptors::{count_of_process, of_process_within, of_threads_within};
use lastwords_tests::logs::{count, missing, read, read_so_far};
use lastwords_tests::programs::ACTOR;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Files of these that are neither folders nor the doorbell nor the capture, which every process has that logs.
fn of_the_flusher(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let is_programs = |path: &PathBuf| {
        path.is_dir() || path.ends_with("rings/doorbell") || path.extension().is_some_and(|ending| ending == "capture")
    };
    paths.into_iter().filter(|path| !is_programs(path)).collect()
}

#[test]
fn a_program_that_closes_everything_all_the_time_keeps_its_files_and_its_flusher_goes_on() {
    const LINES: usize = 60_000;
    let (folder, own) = (Scratch::new("close-every"), Scratch::new("close-every-own"));
    let close = format!("close-every:5:{}", own.display());
    let log = format!("log:{LINES}");
    let mut actor =
        Actor::start("worker", &folder, format!("rotate=300000 keep=99 {close} {log} flush line:done wait"))
            .until("done");
    let spoiled = fs::read_to_string(own.join("spoiled")).unwrap_or_default();
    assert_eq!(spoiled, "", "a file of the program's was touched");
    let lines = read_so_far(&folder, "worker");
    assert_eq!(missing(&lines, "line ", LINES), 0);
    assert_eq!(count(&lines, "line "), LINES, "each once");
    assert!(folder.join("worker.log.5").exists(), "it was rotated meanwhile");
    actor.kill();
}

#[test]
fn a_program_without_a_descriptor_left_holds_up_no_rotation_and_no_new_ring() {
    let folder = Scratch::new("none-left");
    let start = "before:descriptors:300 rotate=100000 keep=99 log:1 flush take-all line:taken wait";
    // A producer that finds its lane full has no descriptor for what it would keep of it.
    let script = format!("{start} slowly:20000:50 flush line:done wait");
    let mut host = Actor::start("host", &folder, &script).until("taken");
    let script = "flusher=never log:500 flush line:done wait";
    let _workers = Actor::several(20, "worker", &folder, script, "done");
    host.go_until("done");
    assert_eq!(count_of_process(host.pid()), 300, "the program has all that it may have");
    assert_eq!(missing(&read_so_far(&folder, "host"), "line ", 20_001), 0);
    assert_eq!(read_so_far(&folder, "worker").len(), 20 * 500);
    assert!(folder.join("host.log.5").exists(), "it was rotated meanwhile");
}

/// A daemon's parent waits for the end of what the daemon prints, and so does the reader of a pipe of any other number.
#[test]
fn what_a_program_closes_is_closed_although_its_flusher_lives() {
    let script = "log:1 flush line:up wait close-all:0-2 close-all:7-7 close-all:900-900 log:1 sleep:20000";
    for flusher_elsewhere in [false, true] {
        let folder = Scratch::new("closes");
        let mut other = Actor::start("host", &folder, "log:1 flush line:up wait").until("up");
        if !flusher_elsewhere {
            other.finish();
        }
        let mut command = Command::new("bash");
        command
            .args(["-c", "exec \"$0\" \"$@\" 7>&1 900>&1"])
            .arg(&*ACTOR)
            .arg("worker")
            .arg(&folder)
            .args(script.words());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let (mut output, mut errors) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let mut printed = [0; 3];
        output.read_exact(&mut printed).expect("it is up");
        assert_eq!(&printed, b"up\n");
        drop(child.stdin.take());
        let (mut rest, mut wrong) = (Vec::new(), Vec::new());
        output.read_to_end(&mut rest).expect("its end");
        errors.read_to_end(&mut wrong).expect("its end");
        assert_eq!((rest, wrong), (Vec::new(), Vec::new()));
        assert!(child.try_wait().expect("asked").is_none(), "it lives");
        // The flusher has its line from after that.
        wait_until("its line", || missing(&read_so_far(&folder, "worker"), "line ", 2) == 0);
        child.kill().expect("its own child");
        child.wait().expect("ended");
    }
}

#[test]
fn the_rings_that_a_flusher_drains_take_no_descriptor_of_its_program() {
    let folder = Scratch::new("program-table");
    let host = Actor::start("host", &folder, "log:1 flush line:up wait").until("up");
    let before = count_of_process(host.pid());
    let script = "flusher=never slots=64 lanes=3 log:10 flush line:up wait";
    let _workers = Actor::several(40, "worker", &folder, script, "up");
    assert_eq!(count_of_process(host.pid()), before);
    assert_eq!(of_the_flusher(of_process_within(host.pid(), &folder)), Vec::<PathBuf>::new());
    let open = of_the_flusher(of_threads_within(host.pid(), &folder));
    assert!(open.len() > 32, "lock, journal, log files and rings: {open:?}");
}

/// A child of a raw clone(2), which no hook of ours sees, in every state of its parent's flusher.
#[test]
fn a_child_inherits_nothing_of_the_flusher_in_whatever_state_that_is() {
    for state in ["elected", "standing by", "just started", "paused", "started again"] {
        let folder = Scratch::new("inherits");
        let script = match state {
            "just started" => "",
            "paused" => "log:1 flush pause",
            "started again" => "log:1 flush pause resume event:again flush",
            _ => "log:1 flush",
        };
        let mut other = Actor::start("host", &folder, "log:1 flush line:up wait").until("up");
        if state != "standing by" {
            other.finish();
        }
        let mut actor = Actor::start("worker", &folder, format!("{script} keeper:20000 wait"));
        let child = actor.keeper();
        let kept = of_the_flusher(of_process_within(child, &folder));
        actor.kill();
        kill(child);
        assert_eq!(kept, Vec::<PathBuf>::new(), "{state}");
    }
}

/// The flusher's process is stopped, so the standby thread elsewhere has something to report.
#[test]
fn what_the_thread_has_to_say_is_said_on_the_programs_standard_error() {
    let folder = Scratch::new("complaint");
    let host = Actor::start("host", &folder, "log:1 flush line:up wait").until("up");
    let free = Actor::heard("worker", &folder, "log:1 line:up sleep:6000");
    let filtered = Actor::heard("worker", &folder, "before:no-getfd log:1 line:up sleep:6000");
    let shared = Actor::heard("worker", &folder, "before:one-table log:1 line:up sleep:6000");
    // A socket cannot be opened again, so the program's own thread says it when it logs, or ends.
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    let mut command = ACTOR.acting("worker", &folder, "before:no-getfd log:1 line:up sleep:6000");
    let socket = Actor::of(command.stderr(OwnedFd::from(theirs)));
    drop(command);
    let mut actors = [free, filtered, shared, socket];
    actors.iter_mut().for_each(|actor| actor.says("up"));
    host.signal(rustix::process::Signal::STOP);
    let mut printed: Vec<String> = actors[..3].iter_mut().map(Actor::errors).collect();
    printed.push(String::new());
    ours.read_to_string(&mut printed[3]).expect("text");
    host.signal(rustix::process::Signal::CONT);
    for (printed, actor) in printed.iter().zip(&mut actors) {
        assert_eq!(printed.matches("is stopped (T), no pass for").count(), 1, "{printed}");
        assert!(actor.end().success());
    }
}

#[test]
fn a_thread_that_shares_the_table_flushes_all_the_same() {
    let folder = Scratch::new("one-table");
    let script = "before:one-table log:1000 flush line:up wait";
    let mut actor = Actor::start("worker", &folder, script).until("up");
    assert!(!of_the_flusher(of_process_within(actor.pid(), &folder)).is_empty(), "the filter refuses the table");
    actor.finish();
    assert_eq!(missing(&read(&folder, "worker"), "line ", 1000), 0);
}
