//! Logs some messages, slowly enough to be looked at between any two instructions: `stepper FOLDER MARKS COUNT POLICY`.
//!
//! It stops itself (SIGSTOP) before the first message that is worth stepping through, and again after the last one.

use lastwords::Flusher;
use lastwords_tests::oracle::{Marks, text};
use rustix::process::{Signal, getpid, kill_process};
use std::path::PathBuf;

/// Longest padding: with its head, a message then fits the two slots of 80 bytes that a lane of eight slots allows.
const LONGEST: u64 = 120;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("four arguments");
    let (folder, marks) = (PathBuf::from(next()), PathBuf::from(next()));
    let (count, policy) = (next().parse::<u64>().expect("a number"), next());
    let marks = Marks::create(&marks, 1).expect("the marks");
    lastwords::builder("stepper")
        .folder(folder)
        .level(lastwords::Level::INFO)
        .record_size(128)
        .slots_per_lane(8)
        .lanes(3)
        .full_policy(policy.parse().expect("a policy"))
        .flusher(Flusher::Never)
        .init()
        .expect("the logger");
    // Rendered before, so that the steps are the logger's and not the test's. The first one claims the lane and
    // registers the call site, which happens once.
    let messages: Vec<String> = (1..=count).map(|n| text(0, 0, n, LONGEST)).collect();
    for (n, message) in (1..).zip(&messages) {
        if n == 2 {
            let _ = kill_process(getpid(), Signal::STOP);
        }
        lastwords::info!("{message}");
        marks.acknowledge(0, n);
    }
    let _ = kill_process(getpid(), Signal::STOP);
}
