//! Many threads of one process log, flush, begin and end at the same time.
//!
//! What two threads do to the same memory shows as a torn or missing line once in a million times, and never while a debugger
//! looks. This test is small, but all of it happens in the test's own process, so that a sanitizer sees every access: lanes
//! that are claimed, given back and shared, call sites that are registered by several threads at once, rings that fill, the
//! flusher, and the threads that wait for it.

use lastwords_tests::actor::wait_for;
use lastwords_tests::logs::{missing, read, reported_lost};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::time::Duration;

/// Threads at a time; the ring has fewer lanes.
const THREADS: usize = 12;
const LANES: u32 = 6;
/// Generations of threads: each takes the lanes that the one before gave back.
const GENERATIONS: usize = 4;
const LINES: usize = 300;

/// Logs a text when it is shown in a log call.
struct Nested(usize);

impl std::fmt::Display for Nested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        lastwords::info!("nested {}", self.0);
        f.write_str("shown")
    }
}

fn work(thread: usize) {
    for n in 0..LINES {
        match n % 100 {
            50 => lastwords::info!("thread {thread} line {n}"; text = "x".repeat(5000)),
            _ => lastwords::info!("thread {thread} line {n}"),
        }
        if n % 150 == 0 {
            // Under a sanitizer the flusher may need longer than a flush waits.
            let _ = lastwords::flush();
        }
    }
    lastwords::info!("outer {}", Nested(thread));
}

#[test]
fn more_threads_than_lanes_that_come_and_go_lose_no_line_that_is_not_counted() {
    let _watchdog = Watchdog::new("threads", Duration::from_secs(240));
    let scratch = Scratch::new("threads-in-process");
    lastwords::builder("host").dir(&scratch).lanes(LANES).slots_per_lane(512).init().expect("a logger");
    for generation in 0..GENERATIONS {
        let first = generation * THREADS;
        let running: Vec<_> = (first..first + THREADS).map(|n| std::thread::spawn(move || work(n))).collect();
        running.into_iter().for_each(|thread| thread.join().expect("ended"));
    }
    wait_for("the last line", || lastwords::flush().ok());
    let mut lines = read(&scratch, "host");
    for line in &mut lines {
        if let Some((printed, field)) = line.message.split_once(" text=") {
            assert_eq!(field, "x".repeat(5000), "whole");
            line.message = printed.to_owned();
        }
    }
    let threads = GENERATIONS * THREADS;
    let mut lost: usize = (0..threads).map(|thread| missing(&lines, &format!("thread {thread} line "), LINES)).sum();
    let count = |text: &str| lines.iter().filter(|line| line.message.starts_with(text)).count();
    lost += 2 * threads - count("outer shown") - count("nested ");
    assert_eq!(lost, reported_lost(&lines));
}
