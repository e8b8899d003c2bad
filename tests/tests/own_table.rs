//! The flusher's thread has a table of descriptors of its own: what the program closes, opens and uses up is the program's alone.

use lastwords_tests::actor::{Actor, wait_for};
use lastwords_tests::descriptors::{count_of_process, of_process_within, of_threads_within};
use lastwords_tests::logs::{missing, read, read_so_far};
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// An actor whose standard error is a pipe.
fn start_heard(role: &str, folder: &Path, script: &[&str]) -> Actor {
    Actor::of(Command::new(ACTOR).arg(role).arg(folder).args(script).stderr(Stdio::piped()))
}

/// Files of these that are neither folders nor the doorbell, which every process has that logs.
fn of_the_flusher(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.into_iter().filter(|path| !path.is_dir() && !path.ends_with("rings/doorbell")).collect()
}

#[test]
fn a_program_that_closes_everything_all_the_time_keeps_its_files_and_its_flusher_goes_on() {
    const LINES: usize = 60_000;
    let (folder, own) = (Scratch::new("close-every"), Scratch::new("close-every-own"));
    let close = format!("close-every:5:{}", own.path().display());
    let log = format!("log:{LINES}");
    let mut actor = Actor::start(
        ACTOR,
        "worker",
        folder.path(),
        &["rotate=300000", "keep=99", &close, &log, "flush", "line:done", "wait"],
    );
    assert_eq!(actor.line(), "done", "flush() has waited for its lines");
    let spoiled = fs::read_to_string(own.path().join("spoiled")).unwrap_or_default();
    assert_eq!(spoiled, "", "a file of the program's was touched");
    let lines = read_so_far(folder.path(), "worker");
    assert_eq!(missing(&lines, "line ", LINES), 0);
    assert_eq!(lines.iter().filter(|line| line.message.starts_with("line ")).count(), LINES, "each once");
    assert!(folder.path().join("worker.log.5").exists(), "it was rotated meanwhile");
    actor.kill();
}

#[test]
fn a_program_without_a_descriptor_left_holds_up_no_rotation_and_no_new_ring() {
    let folder = Scratch::new("none-left");
    let script = [
        "before:descriptors:300",
        "rotate=100000",
        "keep=99",
        "log:1",
        "flush",
        "take-all",
        "line:taken",
        "wait",
        // A producer that finds its lane full has no descriptor for what it would keep of it.
        "slowly:20000:50",
        "flush",
        "line:done",
        "wait",
    ];
    let mut host = Actor::start(ACTOR, "host", folder.path(), &script).until("taken");
    let script = ["flusher=never", "log:500", "flush", "line:done", "wait"];
    let mut workers: Vec<Actor> = (0..20).map(|_| Actor::start(ACTOR, "worker", folder.path(), &script)).collect();
    workers.iter_mut().for_each(|worker| assert_eq!(worker.line(), "done"));
    host.go_until("done");
    assert_eq!(count_of_process(host.pid()), 300, "the program has all that it may have");
    assert_eq!(missing(&read_so_far(folder.path(), "host"), "line ", 20_001), 0);
    assert_eq!(read_so_far(folder.path(), "worker").len(), 20 * 500);
    assert!(folder.path().join("host.log.5").exists(), "it was rotated meanwhile");
}

/// A daemon's parent waits for the end of what the daemon prints, and so does the reader of a pipe of any other number.
#[test]
fn what_a_program_closes_is_closed_although_its_flusher_lives() {
    let mut script = vec!["log:1", "flush", "line:up", "wait", "close-all:0-2", "close-all:7-7", "close-all:900-900"];
    script.extend(["log:1", "sleep:20000"]);
    for flusher_elsewhere in [false, true] {
        let folder = Scratch::new("closes");
        let mut other = Actor::start(ACTOR, "host", folder.path(), &["log:1", "flush", "line:up", "wait"]).until("up");
        if !flusher_elsewhere {
            other.finish();
        }
        let mut command = Command::new("bash");
        command
            .args(["-c", "exec \"$0\" \"$@\" 7>&1 900>&1"])
            .arg(ACTOR)
            .arg("worker")
            .arg(folder.path())
            .args(&script);
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
        wait_for("its line", || (missing(&read_so_far(folder.path(), "worker"), "line ", 2) == 0).then_some(()));
        child.kill().expect("its own child");
        child.wait().expect("ended");
    }
}

#[test]
fn the_rings_that_a_flusher_drains_take_no_descriptor_of_its_program() {
    let folder = Scratch::new("program-table");
    let host = Actor::start(ACTOR, "host", folder.path(), &["log:1", "flush", "line:up", "wait"]).until("up");
    let before = count_of_process(host.pid());
    let script = ["flusher=never", "slots=64", "lanes=3", "log:10", "flush", "line:up", "wait"];
    let mut workers: Vec<Actor> = (0..40).map(|_| Actor::start(ACTOR, "worker", folder.path(), &script)).collect();
    workers.iter_mut().for_each(|worker| assert_eq!(worker.line(), "up"));
    assert_eq!(count_of_process(host.pid()), before);
    assert_eq!(of_the_flusher(of_process_within(host.pid(), folder.path())), Vec::<PathBuf>::new());
    let open = of_the_flusher(of_threads_within(host.pid(), folder.path()));
    assert!(open.len() > 32, "lock, journal, log files and rings: {open:?}");
}

/// A child of a raw clone(2), which no hook of ours sees, in every state of its parent's flusher.
#[test]
fn a_child_inherits_nothing_of_the_flusher_in_whatever_state_that_is() {
    for state in ["elected", "standing by", "just started", "paused", "started again"] {
        let folder = Scratch::new("inherits");
        let mut script = match state {
            "just started" => vec![],
            "paused" => vec!["log:1", "flush", "pause"],
            "started again" => vec!["log:1", "flush", "pause", "resume", "event:again", "flush"],
            _ => vec!["log:1", "flush"],
        };
        script.extend(["keeper:20000", "wait"]);
        let mut other = Actor::start(ACTOR, "host", folder.path(), &["log:1", "flush", "line:up", "wait"]).until("up");
        if state != "standing by" {
            other.finish();
        }
        let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script);
        let printed = actor.line();
        let child: u32 = printed.strip_prefix("kept by ").expect("its pid").parse().expect("a number");
        let kept = of_the_flusher(of_process_within(child, folder.path()));
        actor.kill();
        let killed = rustix::process::Pid::from_raw(child as i32).expect("a pid");
        rustix::process::kill_process(killed, rustix::process::Signal::KILL).expect("the actor's child");
        assert_eq!(kept, Vec::<PathBuf>::new(), "{state}");
    }
}

/// The flusher's process is stopped, so the standby thread elsewhere has something to report.
#[test]
fn what_the_thread_has_to_say_is_said_on_the_programs_standard_error() {
    let folder = Scratch::new("complaint");
    let host = Actor::start(ACTOR, "host", folder.path(), &["log:1", "flush", "line:up", "wait"]).until("up");
    let free = start_heard("worker", folder.path(), &["log:1", "line:up", "sleep:6000"]);
    let filtered = start_heard("worker", folder.path(), &["before:no-getfd", "log:1", "line:up", "sleep:6000"]);
    let shared = start_heard("worker", folder.path(), &["before:one-table", "log:1", "line:up", "sleep:6000"]);
    // A socket cannot be opened again, so the program's own thread says it when it logs, or ends.
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    let mut command = Command::new(ACTOR);
    command.arg("worker").arg(folder.path()).args(["before:no-getfd", "log:1", "line:up", "sleep:6000"]);
    let socket = Actor::of(command.stderr(OwnedFd::from(theirs)));
    drop(command);
    let mut actors = [free, filtered, shared, socket];
    actors.iter_mut().for_each(|actor| assert_eq!(actor.line(), "up"));
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
    let script = ["before:one-table", "log:1000", "flush", "line:up", "wait"];
    let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script).until("up");
    assert!(!of_the_flusher(of_process_within(actor.pid(), folder.path())).is_empty(), "the filter refuses the table");
    actor.finish();
    assert_eq!(missing(&read(folder.path(), "worker"), "line ", 1000), 0);
}
