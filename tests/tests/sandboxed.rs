//! Log calls in a sandbox, in which an unlisted system call ends the process.
//!
//! A program that has opened all it needs locks itself in. A logger that opens a file now and then, when its ring is full for
//! instance, gets it killed at its busiest moment.

use lastwords_tests::actor::{Actor, tool};
use lastwords_tests::logs::{read, reported_lost};
use lastwords_tests::scratch::Scratch;
use rustix::process::Signal;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");
/// Small, so that it is full soon.
const RING: [&str; 4] = ["flusher=never", "backlog=0", "slots=64", "lanes=3"];

#[test]
fn a_log_call_makes_the_listed_system_calls_alone_also_where_its_lane_is_full() {
    for policy in ["policy=block", "policy=drop_newest", "policy=overwrite"] {
        for flusher_lives in [false, true] {
            let folder = Scratch::new("sandboxed");
            let mut host = flusher_lives.then(|| {
                Actor::start(ACTOR, "host", folder.path(), &["log:1", "flush", "line:up", "wait"]).until("up")
            });
            let script =
                [policy, "sandbox", "log:1", "sleep:600", "error:urgent", "log:2000", "sleep:700", "log:2000", "flush"];
            // Without a flusher, `flush` reports that; the exit flushes too, silently.
            let script = if flusher_lives { &script[..] } else { &script[..script.len() - 1] };
            let mut actor = Actor::start(ACTOR, "worker", folder.path(), &[&RING, script].concat());
            let status = actor.end();
            assert!(status.success(), "{policy}, a flusher lives: {flusher_lives}: {status:?}");
            if let Some(host) = &mut host {
                host.finish();
            }
            let output = tool(TOOL, &["flush", "--once", &folder.path().to_string_lossy()]);
            assert_ne!(output.status.code(), Some(2), "{output:?}");
            let lines = read(folder.path(), "worker");
            let there = lines.iter().filter(|line| line.message.starts_with("line ")).count();
            let urgent = lines.iter().filter(|line| line.message == "urgent").count();
            assert_eq!(there + urgent + reported_lost(&lines), 4002, "{policy}, a flusher lives: {flusher_lives}");
            if flusher_lives && policy == "policy=block" {
                println!("{} lost", reported_lost(&lines));
            }
        }
    }
}

#[test]
fn keeping_what_is_not_drained_takes_the_listed_calls_more() {
    let folder = Scratch::new("sandboxed-keeping");
    let script = ["flusher=never", "slots=64", "lanes=3", "sandbox:keeping", "log:5000", "leave"];
    let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script);
    assert_eq!(actor.end().code(), Some(3), "it leaves by itself");
    let output = tool(TOOL, &["flush", "--once", &folder.path().to_string_lossy()]);
    assert_ne!(output.status.code(), Some(2), "{output:?}");
    let lines = read(folder.path(), "worker");
    assert_eq!(lines.iter().filter(|line| line.message.starts_with("line ")).count(), 5000);
}

#[test]
fn where_the_process_may_flush_a_full_lane_takes_the_listed_calls_more() {
    let folder = Scratch::new("sandboxed-embedded");
    let mut host = Actor::start(ACTOR, "host", folder.path(), &["log:1", "flush", "line:up", "wait"]).until("up");
    let script = [
        "backlog=0",
        "slots=64",
        "lanes=3",
        "log:1",
        "flush",
        "sandbox:embedded",
        "log:1",
        "line:in",
        "wait",
        "error:urgent",
        "log:1000",
    ];
    let mut actor = Actor::start(
        ACTOR,
        "worker",
        folder.path(),
        &[&script[..], &["line:done", "wait", "log:1000", "leave"]].concat(),
    )
    .until("in");
    host.signal(Signal::STOP);
    actor.go_until("done");
    host.signal(Signal::CONT);
    actor.go();
    assert_eq!(actor.end().code(), Some(3), "it leaves by itself");
    host.finish();
    let lines = read(folder.path(), "worker");
    let there = lines.iter().filter(|line| line.message.starts_with("line ") || line.message == "urgent").count();
    assert_eq!(there + reported_lost(&lines), 2003);
}

#[test]
fn a_sandbox_that_answers_with_errors_costs_nobody_anything_but_what_the_call_was_for() {
    for flusher in ["flusher=never", "lanes=3"] {
        let folder = Scratch::new("sandboxed-errors");
        let script = ["slots=64", "log:10", "flush", "sandbox:errors", "log:1000", "long:300000", "log:10", "leave"];
        // What never flushes is not waited for.
        let script = if flusher == "lanes=3" {
            &script[..]
        } else {
            &["slots=64", "log:10", "sandbox:errors", "log:1000", "long:300000", "log:10", "leave"]
        };
        let mut actor = Actor::start(ACTOR, "worker", folder.path(), &[&[flusher], script].concat());
        assert_eq!(actor.end().code(), Some(3), "it leaves by itself");
        let output = tool(TOOL, &["flush", "--once", &folder.path().to_string_lossy()]);
        assert_ne!(output.status.code(), Some(2), "{output:?}");
        let lines = read(folder.path(), "worker");
        let there = lines.iter().filter(|line| line.message.starts_with("line ")).count();
        let long = lines.iter().filter(|line| line.message.starts_with("0 1 2 3 ")).count();
        assert_eq!(there + long + reported_lost(&lines), 1021, "{flusher}");
        assert_eq!(long, 1, "{flusher}: cut, and there");
    }
}
