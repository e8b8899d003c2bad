//! Drains a folder from a single thread: `drainer FOLDER now|all [on|steps] [PROGRAM ARGUMENT…]`. What follows is the program that
//! makes reports of crashes, with `on`. With `now`, rings that were left before count as
//! an earlier run. It drains once; with `on` as a daemon does, until its tracer ends it; with `steps` it does a step for each
//! line of standard input, `pass`, `compress`, `settle` or `sync`.
//!
//! It asks for its parent's id before and after, after each step, and with `on` between two passes, and nowhere else, so that
//! its tracer knows which system calls are the drain's. `on` ends when the answer is that it has no parent, and asks for its
//! user's id then.

use lastwords_flusher::crash::teller::Teller;
use lastwords_flusher::drain::Drain;
use lastwords_flusher::flusher::{Election, Flusher};
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::Folder;
use rustix::process::{getppid, getuid};
use std::path::PathBuf;
use std::time::Duration;

/// Time between two tries to become the flusher.
const TRY_AGAIN: Duration = Duration::from_millis(100);

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let path = PathBuf::from(arguments.next().expect("a folder"));
    let since = if arguments.next().is_some_and(|since| since == "now") { clock::realtime_ns() } else { 0 };
    let folder = Folder::open(&path).expect("the folder");
    match arguments.next() {
        Some(how) if how == "steps" => return steps(&folder, since),
        Some(_) => return drain_on(&folder, since, &Teller::with(arguments.collect())),
        None => {}
    }
    let _ = getppid();
    let Election::Won(mut flusher) = Flusher::elect(&folder, since).expect("the election") else {
        panic!("another flusher runs");
    };
    flusher.drain_once().expect("the drain");
    let _ = getppid();
}

/// As the thread that every process carries.
fn drain_on(folder: &Folder, since: u64, teller: &Teller) {
    while getppid().is_some() {
        match Flusher::elect(folder, since) {
            Ok(Election::Won(mut flusher)) => {
                flusher.set_teller(teller.clone());
                flusher.run(|| getppid().is_none());
            }
            Ok(Election::Lost(_)) | Err(_) => std::thread::sleep(TRY_AGAIN),
        }
    }
    let _ = getuid();
}

fn steps(folder: &Folder, since: u64) {
    let _ = getppid();
    let mut drain = Drain::open(folder, since).expect("opened");
    let _ = getppid();
    for step in std::io::stdin().lines() {
        match step.expect("a line").as_str() {
            "pass" => while drain.pass().expect("a pass").waiting {},
            "compress" => {
                while let Some(pause) = drain.compresses_in() {
                    std::thread::sleep(pause);
                    drain.compress();
                }
            }
            "settle" => drain.settle().expect("settled"),
            "sync" => {
                // What fails is said in the log.
                let _ = drain.sync();
            }
            other => panic!("no step {other}"),
        }
        let _ = getppid();
    }
}
