//! A program's output goes through `lastwords pipe`, which is killed in the middle.
//!
//! A pipe into `tee` or a log rotator loses what is in its buffers when it is killed. Here every line that was read is in the
//! log.

use lastwords_tests::actor::{Actor, flush_rest, tool_at, wait_for, wait_until};
use lastwords_tests::logs::{Line, alarms, read};
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

fn pipe(folder: &Path, more: &[&str]) -> Child {
    pipe_by(&mut TOOL.command(), folder, more)
}

fn pipe_by(tool: &mut Command, folder: &Path, more: &[&str]) -> Child {
    tool.args(["pipe", "--role", "worker", "--dir"])
        .arg(folder)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tool starts")
}

fn messages(lines: &[Line]) -> Vec<&str> {
    let own = |line: &&Line| !line.message.starts_with("lastwords:");
    lines.iter().filter(own).map(|line| line.message.as_str()).collect()
}

#[test]
fn every_line_that_was_read_is_in_the_log_once_and_in_order_after_a_kill() {
    let folder = Scratch::new("pipe-kill");
    let mut child = pipe(&folder, &["--tee"]);
    let mut input = child.stdin.take().expect("piped");
    let feeder = std::thread::spawn(move || {
        // Ends when the pipe is killed.
        (0..u64::MAX).take_while(|n| writeln!(input, "output line {n}").is_ok()).count()
    });
    // The tool copies a line only after it has logged it.
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut copied = 0;
    let mut line = String::new();
    while copied < 50_000 {
        line.clear();
        assert!(output.read_line(&mut line).expect("readable") > 0);
        copied += 1;
    }
    child.kill().expect("its own child");
    child.wait().expect("reaped");
    let fed = feeder.join().expect("ended");
    copied += output.lines().map_while(Result::ok).count();
    flush_rest(&folder);
    let lines = read(&folder, "worker");
    let logged = messages(&lines);
    assert!((copied - 1..=fed + 1).contains(&logged.len()), "{copied} copied, {} logged, {fed} fed", logged.len());
    assert!(logged.iter().enumerate().all(|(n, text)| *text == format!("output line {n}")), "once and in order");
    assert_eq!(alarms(&lines), 1);
}

#[test]
fn text_stays_unchanged_and_levels_are_recognised() {
    let folder = Scratch::new("pipe-levels");
    let mut child = pipe(&folder, &["--level", "debug"]);
    let mut input = child.stdin.take().expect("piped");
    input.write_all(b"   Compiling x v1\nwarning: unused\n\nERROR last\xff without newline").expect("it listens");
    drop(input);
    assert!(wait_for("its end", || child.try_wait().expect("its own child")).success());
    let lines = read(&folder, "worker");
    let found: Vec<(&str, &str)> = lines.iter().map(|line| (line.level.as_str(), line.message.as_str())).collect();
    let expected = [
        ("DEBUG", "   Compiling x v1"),
        ("WARNING", "warning: unused"),
        ("DEBUG", ""),
        ("ERROR", "ERROR last\\xff without newline"),
    ];
    assert_eq!(found, expected);
}

fn end(mut child: Child) -> ExitStatus {
    wait_for("its end", || child.try_wait().expect("its own child"))
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("its own child");
}

/// Waits until the log has this many lines.
fn logged(folder: &Path, count: usize) {
    wait_until("the lines", || lastwords_tests::logs::read_so_far(folder, "worker").len() >= count);
}

#[test]
fn forms_of_levels_are_recognised_and_colours_left_out_where_that_is_asked_for() {
    let input = "\x1b[31mERROR\x1b[0m x\n<3>y\n{\"level\":\"error\",\"msg\":\"z\"}\nlevel=error m=1\nE0425 12:00:00 1 a.cc:1] q\n";
    for (options, first) in [(&[][..], "\\x1b[31mERROR\\x1b[0m x"), (&["--strip-colour"], "ERROR x")] {
        let folder = Scratch::new("pipe-forms");
        let mut child = pipe(&folder, options);
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it listens");
        assert!(end(child).success());
        let lines = read(&folder, "worker");
        assert_eq!(lines.iter().map(|line| line.level.as_str()).collect::<Vec<_>>(), ["ERROR"; 5]);
        assert_eq!(lines[0].message, first);
    }
}

/// A process that flushes the folder, stopped.
fn stopped_flusher(folder: &Path) -> Actor {
    let flusher = Actor::start("host", folder, "log:1 flush line:ready wait").until("ready");
    flusher.signal(Signal::STOP);
    flusher
}

#[test]
fn a_pipe_waits_for_a_flusher_that_is_stopped_and_loses_nothing() {
    const LINES: usize = 300_000;
    let folder = Scratch::new("pipe-patient");
    let flusher = stopped_flusher(&folder);
    let mut child = pipe(&folder, &[]);
    let mut input = child.stdin.take().expect("piped");
    let feeder = std::thread::spawn(move || (0..LINES).for_each(|n| writeln!(input, "{n}").expect("it listens")));
    std::thread::sleep(Duration::from_secs(4));
    assert!(!feeder.is_finished(), "it does not read what it cannot keep");
    flusher.signal(Signal::CONT);
    feeder.join().expect("it has written all");
    assert!(end(child).success());
    let lines = read(&folder, "worker");
    assert!(lines.iter().enumerate().all(|(n, line)| line.message == n.to_string()), "in order, and no loss");
    assert_eq!(lines.len(), LINES);
}

#[test]
fn a_pipe_with_a_policy_of_a_ring_does_not_wait() {
    let folder = Scratch::new("pipe-policy");
    let flusher = stopped_flusher(&folder);
    // Nothing is kept beside the ring, so that something is lost.
    let mut command = TOOL.command();
    let mut child = pipe_by(command.env("LASTWORDS_BACKLOG_MAX", "0"), &folder, &["--full-policy", "drop_newest"]);
    let mut input = child.stdin.take().expect("piped");
    // Ends although no room is made.
    (0..200_000).for_each(|n| writeln!(input, "{n}").expect("it listens"));
    drop(input);
    flusher.signal(Signal::CONT);
    let _ = end(child);
    // Whoever flushes by now, the rest comes.
    let _ = tool_at("flush --once", &folder);
    let lines = wait_for("the loss", || {
        let lines = lastwords_tests::logs::read_so_far(&folder, "worker");
        (lastwords_tests::logs::reported_lost(&lines) > 0).then_some(lines)
    });
    assert_eq!(messages(&lines).len() + lastwords_tests::logs::reported_lost(&lines), 200_000);
}

fn write(input: &mut ChildStdin, text: &str) {
    input.write_all(text.as_bytes()).expect("it listens");
}

#[test]
fn after_an_interrupt_all_that_the_program_still_says_is_logged_and_a_second_one_ends() {
    let folder = Scratch::new("pipe-interrupt");
    let mut child = pipe(&folder, &[]);
    let mut input = child.stdin.take().expect("piped");
    write(&mut input, "before\n");
    logged(&folder, 1);
    signal(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    write(&mut input, "last words\n");
    logged(&folder, 2);
    drop(input);
    assert!(end(child).success());

    let mut child = pipe(&folder, &[]);
    let mut input = child.stdin.take().expect("piped");
    write(&mut input, "again\n");
    logged(&folder, 3);
    signal(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::INT);
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(end(child).signal(), Some(Signal::INT.as_raw()));
    let found = read(&folder, "worker");
    assert_eq!(messages(&found), ["before", "last words", "again"], "and no alarm");
}

#[test]
fn at_a_request_to_end_what_is_in_the_pipe_is_taken() {
    for (name, request) in [("term", Signal::TERM), ("hup", Signal::HUP)] {
        let folder = Scratch::new(&format!("pipe-{name}"));
        let mut child = pipe(&folder, &[]);
        let mut input = child.stdin.take().expect("piped");
        write(&mut input, "first\n");
        logged(&folder, 1);
        signal(&child, Signal::STOP);
        (0..500).for_each(|n| write(&mut input, &format!("line {n}\n")));
        write(&mut input, "without an end");
        signal(&child, request);
        signal(&child, Signal::CONT);
        // The pipe stays open, so only the request ends it.
        assert!(end(child).success());
        drop(input);
        let found = read(&folder, "worker");
        assert_eq!((found.len(), found.last().map(|line| line.message.as_str())), (502, Some("without an end")));
    }
}
