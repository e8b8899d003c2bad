//! A program's output goes through `lastwords pipe`, which is killed in the middle.
//!
//! A pipe into `tee` or a log rotator loses what sits in its buffers when it is killed. Here every line that was read is
//! in the log.

use lastwords_tests::actor::{tool, wait_for};
use lastwords_tests::logs::{Line, read};
use lastwords_tests::scratch::Scratch;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

fn pipe(folder: &Path, more: &[&str]) -> Child {
    Command::new(TOOL)
        .args(["pipe", "--role", "worker", "--dir"])
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
    let mut child = pipe(folder.path(), &["--tee"]);
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
    let _ = tool(TOOL, &["flush", "--once", &folder.path().to_string_lossy()]);
    let lines = read(folder.path(), "worker");
    let logged = messages(&lines);
    assert!((copied - 1..=fed + 1).contains(&logged.len()), "{copied} copied, {} logged, {fed} fed", logged.len());
    assert!(logged.iter().enumerate().all(|(n, text)| *text == format!("output line {n}")), "once and in order");
    assert_eq!(lines.iter().filter(|line| line.level == "CRITICAL").count(), 1);
}

#[test]
fn text_stays_unchanged_and_levels_are_recognised() {
    let folder = Scratch::new("pipe-levels");
    let mut child = pipe(folder.path(), &["--level", "debug"]);
    let mut input = child.stdin.take().expect("piped");
    input.write_all(b"   Compiling x v1\nwarning: unused\n\nERROR last\xff without newline").expect("it listens");
    drop(input);
    assert!(wait_for("its end", || child.try_wait().expect("its own child")).success());
    let lines = read(folder.path(), "worker");
    let found: Vec<(&str, &str)> = lines.iter().map(|line| (line.level.as_str(), line.message.as_str())).collect();
    let expected = [
        ("DEBUG", "   Compiling x v1"),
        ("WARNING", "warning: unused"),
        ("DEBUG", ""),
        ("ERROR", "ERROR last\\xff without newline"),
    ];
    assert_eq!(found, expected);
}
