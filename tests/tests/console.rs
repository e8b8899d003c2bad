//! A console that is not read.
//!
//! A GUI starts its backend with a pipe as standard error and never reads it. After 64 KiB every write blocks, and with
//! it, in most loggers, the whole program. Here the console loses lines, and nothing else happens.

use lastwords_tests::actor::Actor;
use lastwords_tests::logs::read;
use lastwords_tests::scratch::Scratch;
use std::path::Path;
use std::time::Duration;

/// An actor whose console is not read so far.
fn unread(folder: &Path, script: &str) -> Actor {
    Actor::heard("host", folder, format!("console=yes {script}"))
}

/// How many lines are on a console, and how many it reports missing.
fn printed_and_lost(text: &str) -> (usize, usize) {
    let reported = text.lines().filter_map(|line| line.strip_prefix("lastwords: ")?.split_once(" lines are missing"));
    let lost = reported.map(|(count, _)| count.parse::<usize>().expect("a number")).sum();
    (text.lines().filter(|line| line.contains("] [INFO] ")).count(), lost)
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_of_the_console_and_nothing_else() {
    let folder = Scratch::new("unread");
    let script = "log:20000 flush line:logged wait say:seen sleep:500";
    let mut actor = unread(&folder, script);
    assert_eq!(actor.line(), "logged", "20,000 calls returned although nobody read their 800 kB");
    assert_eq!(read(&folder, "host").len(), 20_000, "the file has them all");
    actor.go();
    let text = actor.errors();
    assert!(actor.end().success());
    let (printed, lost) = printed_and_lost(&text);
    assert!(lost > 1000, "the loss is reported: {lost}");
    assert_eq!(printed + lost, 20_001);
    assert!(text.ends_with("] [INFO] seen\n"), "and once it is read, it goes on");
}

#[test]
fn a_process_ends_although_its_console_is_not_read() {
    let folder = Scratch::new("unread-end");
    // All lines fit the ring, so that none depends on how soon the flusher gets a processor.
    assert!(unread(&folder, "slots=32768 lanes=3 log:20000").end().success());
    assert_eq!(read(&folder, "host").len(), 20_000);
}

#[test]
fn the_last_lines_wait_for_who_reads_and_what_is_missing_is_told_at_the_end() {
    let folder = Scratch::new("read-late");
    let mut actor = unread(&folder, "slots=32768 lanes=3 log:3000");
    // The lines are twice what a pipe holds, and logged long before that.
    std::thread::sleep(Duration::from_millis(120));
    let text = actor.errors();
    assert!(actor.end().success());
    let (printed, lost) = printed_and_lost(&text);
    assert_eq!(printed + lost, 3000);
}
