//! A console that nobody reads.
//!
//! A GUI starts its backend with a pipe as standard error and never reads it. After 64 KiB every write blocks, and with
//! it, in most loggers, the whole program. Here the console loses lines, and nothing else happens.

use lastwords_tests::actor::wait_for;
use lastwords_tests::logs::read;
use lastwords_tests::scratch::Scratch;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

#[test]
fn a_pipe_that_nobody_reads_costs_lines_of_the_console_and_nothing_else() {
    let folder = Scratch::new("unread");
    let mut child = Command::new(ACTOR)
        .arg("host")
        .arg(folder.path())
        .args(["console=yes", "log:20000", "flush", "line:logged", "wait", "say:seen", "sleep:500"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the actor starts");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("readable");
    assert_eq!(line, "logged\n", "20,000 calls returned although nobody read their 800 kB");
    assert_eq!(read(folder.path(), "host").len(), 20_000, "the file has them all");
    let mut console = child.stderr.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        console.read_to_string(&mut text).map(|_| text)
    });
    drop(child.stdin.take());
    assert!(wait_for("its end", || child.try_wait().expect("its own child")).success());
    let text = reader.join().expect("ended").expect("UTF-8");
    let told = text.lines().filter_map(|line| line.strip_prefix("lastwords: ")?.split_once(" lines are missing"));
    let lost: usize = told.map(|(count, _)| count.parse::<usize>().expect("a number")).sum();
    assert!(lost > 1000, "the loss is told: {lost}");
    let printed = text.lines().filter(|line| line.contains("] [INFO] ")).count();
    assert_eq!(printed + lost, 20_001);
    assert!(text.ends_with("] [INFO] seen\n"), "and once it is read, it goes on");
}

#[test]
fn a_process_ends_although_its_console_is_not_read() {
    let folder = Scratch::new("unread-end");
    let mut child = Command::new(ACTOR)
        .arg("host")
        .arg(folder.path())
        // All lines fit the ring, so that none depends on how soon the flusher gets a processor.
        .args(["console=yes", "slots=32768", "lanes=3", "log:20000"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the actor starts");
    assert!(wait_for("its end", || child.try_wait().expect("its own child")).success());
    assert_eq!(read(folder.path(), "host").len(), 20_000);
}

#[test]
fn the_last_lines_wait_for_who_reads_and_what_is_missing_is_told_at_the_end() {
    let folder = Scratch::new("read-late");
    let mut child = Command::new(ACTOR)
        .arg("host")
        .arg(folder.path())
        .args(["console=yes", "slots=32768", "lanes=3", "log:3000"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the actor starts");
    // The lines are twice what a pipe holds, and logged long before that.
    std::thread::sleep(std::time::Duration::from_millis(120));
    let mut text = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut text).expect("UTF-8");
    assert!(wait_for("its end", || child.try_wait().expect("its own child")).success());
    let told = text.lines().filter_map(|line| line.strip_prefix("lastwords: ")?.split_once(" lines are missing"));
    let lost: usize = told.map(|(count, _)| count.parse::<usize>().expect("a number")).sum();
    let printed = text.lines().filter(|line| line.contains("] [INFO] ")).count();
    assert_eq!(printed + lost, 3000);
}
