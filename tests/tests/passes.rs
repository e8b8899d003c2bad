//! What happens between two passes of the drain.
//!
//! A pass may leave records in memory that are not final yet. If the process logs on and dies before they are written,
//! the ring holds more than was read; a flusher that takes what it has in memory for all there is removes the ring
//! with the rest of the records in it.
//!
//! And another flusher may do the next pass. What it is to know must be in the journal and in the rings, not in memory.

use lastwords_flusher::drain::Drain;
use lastwords_ring::place::folder::Folder;
use lastwords_tests::actor::{Actor, succeed, wait_until};
use lastwords_tests::logs::{numbers, read, reported_lost};
use lastwords_tests::scratch::Scratch;

#[test]
fn what_was_logged_after_a_pass_left_records_waiting_is_drained_after_the_death() {
    let scratch = Scratch::new("waiting-then-dead");
    let script = "flusher=never slots=65536 lanes=3 line:up wait log:60000 line:done wait";
    let mut actor = Actor::start("worker", &scratch, script).until("up");
    let folder = Folder::create(&scratch).expect("a folder");
    let mut drain = Drain::open(&folder, 0).expect("opened");
    drain.pass().expect("a pass");
    actor.go();
    // Passes in the middle of the logging: most leave the newest records for the next one.
    let left_waiting = (0..300).filter(|_| drain.pass().expect("a pass").waiting).count();
    actor.line();
    actor.kill();
    wait_until("the ring's removal", || drain.pass().expect("a pass").removed == 1);
    let lines = read(&scratch, "worker");
    let (death, records) = lines.split_last().expect("lines");
    let as_logged = numbers(records).into_iter().eq(0..60_000);
    assert!(as_logged && records.len() == 60_000, "{left_waiting} passes left records waiting; {death:?}");
}

#[test]
fn a_loss_that_one_flusher_told_is_not_told_again_by_the_next() {
    let scratch = Scratch::new("told-once");
    let script = "flusher=never policy=drop_newest backlog=0 slots=64 lanes=3 log:1000 line:up wait log:10";
    let mut actor = Actor::start("worker", &scratch, script).until("up");
    let folder = Folder::create(&scratch).expect("a folder");
    for _ in 0..3 {
        Drain::open(&folder, 0).expect("opened").pass().expect("a pass");
    }
    assert_eq!(reported_lost(&read(&scratch, "worker")), 1000 - 64);
    actor.finish();
    let mut drain = Drain::open(&folder, 0).expect("opened");
    wait_until("the ring's removal", || drain.pass().expect("a pass").removed == 1);
    let lines = read(&scratch, "worker");
    assert_eq!((reported_lost(&lines), lines.len()), (1000 - 64, 64 + 1 + 10));
}

#[test]
fn the_smallest_rings_serve_every_thread() {
    let scratch = Scratch::new("smallest");
    succeed("host", &scratch, "slots=8 lanes=6 threads:8:200");
    let lines = read(&scratch, "host");
    let kept = lines.iter().filter(|line| line.level == "INFO").count();
    // A flusher that did not get a core for 100 ms leaves a loss, which is logged.
    assert_eq!(kept + reported_lost(&lines), 1600);
}
