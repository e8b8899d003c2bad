//! Log calls in a sandbox, in which an unlisted system call ends the process.
//!
//! A program that has opened all it needs locks itself in. A logger that opens a file now and then, when its ring is full for
//! instance, gets it killed at its busiest moment.

use lastwords_tests::actor::{Actor, flush_rest, run};
use lastwords_tests::logs::{count, read, reported_lost};
use lastwords_tests::scratch::Scratch;
use rustix::process::Signal;

/// Small, so that it is full soon.
const RING: &str = "flusher=never backlog=0 slots=64 lanes=3";

#[test]
fn a_log_call_makes_the_listed_system_calls_alone_also_where_its_lane_is_full() {
    for policy in ["policy=block", "policy=drop_newest", "policy=overwrite"] {
        for flusher_lives in [false, true] {
            let folder = Scratch::new("sandboxed");
            let mut host = flusher_lives.then(|| Actor::start("host", &folder, "log:1 flush line:up wait").until("up"));
            // Without a flusher, `flush` reports that; the exit flushes too, silently.
            let flush = if flusher_lives { "flush" } else { "" };
            let script =
                format!("{RING} {policy} sandbox log:1 sleep:600 error:urgent log:2000 sleep:700 log:2000 {flush}");
            let (_, status) = run("worker", &folder, script);
            assert!(status.success(), "{policy}, a flusher lives: {flusher_lives}: {status:?}");
            if let Some(host) = &mut host {
                host.finish();
            }
            flush_rest(&folder);
            let lines = read(&folder, "worker");
            assert_eq!(
                count(&lines, "line ") + count(&lines, "urgent") + reported_lost(&lines),
                4002,
                "{policy}, a flusher lives: {flusher_lives}"
            );
            if flusher_lives && policy == "policy=block" {
                println!("{} lost", reported_lost(&lines));
            }
        }
    }
}

#[test]
fn keeping_what_is_not_drained_takes_the_listed_calls_more() {
    let folder = Scratch::new("sandboxed-keeping");
    let (_, status) = run("worker", &folder, "flusher=never slots=64 lanes=3 sandbox:keeping log:5000 leave");
    assert_eq!(status.code(), Some(3), "it leaves by itself");
    flush_rest(&folder);
    assert_eq!(count(&read(&folder, "worker"), "line "), 5000);
}

#[test]
fn where_the_process_may_flush_a_full_lane_takes_the_listed_calls_more() {
    let folder = Scratch::new("sandboxed-embedded");
    let mut host = Actor::start("host", &folder, "log:1 flush line:up wait").until("up");
    let script = "backlog=0 slots=64 lanes=3 log:1 flush sandbox:embedded log:1 line:in wait";
    let script = format!("{script} error:urgent log:1000 line:done wait log:1000 leave");
    let mut actor = Actor::start("worker", &folder, script).until("in");
    host.signal(Signal::STOP);
    actor.go_until("done");
    host.signal(Signal::CONT);
    actor.go();
    assert_eq!(actor.end().code(), Some(3), "it leaves by itself");
    host.finish();
    let lines = read(&folder, "worker");
    assert_eq!(count(&lines, "line ") + count(&lines, "urgent") + reported_lost(&lines), 2003);
}

#[test]
fn a_sandbox_that_answers_with_errors_costs_nobody_anything_but_what_the_call_was_for() {
    for flusher in ["flusher=never", "lanes=3"] {
        let folder = Scratch::new("sandboxed-errors");
        // What never flushes is not waited for.
        let flush = if flusher == "lanes=3" { "flush" } else { "" };
        let script = format!("{flusher} slots=64 log:10 {flush} sandbox:errors log:1000 long:300000 log:10 leave");
        let (_, status) = run("worker", &folder, script);
        assert_eq!(status.code(), Some(3), "it leaves by itself");
        flush_rest(&folder);
        let lines = read(&folder, "worker");
        let there = count(&lines, "line ");
        let long = count(&lines, "0 1 2 3 ");
        assert_eq!(there + long + reported_lost(&lines), 1021, "{flusher}");
        assert_eq!(long, 1, "{flusher}: cut, and there");
    }
}
