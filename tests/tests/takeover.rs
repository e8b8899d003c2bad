//! One process flushes for all, and another goes on when it dies.
//!
//! Two flushers at once would double lines; none would lose them when the rings are full. Both come from the same
//! place, the election.

use lastwords_tests::actor::{Actor, tool, wait_for};
use lastwords_tests::logs::{read, read_so_far, reported_lost};
use lastwords_tests::scratch::Scratch;
use std::path::Path;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

fn holder(folder: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(folder.join("rings/flusher.lock")).ok()?;
    text.strip_prefix("pid=")?.split(' ').next()?.parse().ok()
}

fn has_line(folder: &Path, role: &str, text: &str) -> Option<()> {
    read(folder, role).iter().any(|line| line.message == text).then_some(())
}

#[test]
fn one_process_flushes_for_all_and_another_takes_over() {
    let folder = Scratch::new("takeover");
    let script = ["say:before", "line:up", "wait", "say:after", "line:said", "wait", "exit"];
    let mut host = Actor::start(ACTOR, "host", folder.path(), &script);
    host.line();
    wait_for("the election", || holder(folder.path()).filter(|pid| *pid == host.pid()));
    let mut worker = Actor::start(ACTOR, "worker", folder.path(), &script);
    worker.line();
    wait_for("the worker's line by the host", || has_line(folder.path(), "worker", "before"));
    assert_eq!(holder(folder.path()), Some(host.pid()), "the worker stands by");
    host.kill();
    wait_for("the takeover", || holder(folder.path()).filter(|pid| *pid == worker.pid()));
    worker.go();
    worker.line();
    wait_for("the worker's line by itself", || has_line(folder.path(), "worker", "after"));
    wait_for("the host's death line", || {
        read_so_far(folder.path(), "host")
            .iter()
            .any(|line| line.level == "CRITICAL" && line.pid == host.pid())
            .then_some(())
    });
    worker.finish();
    let count = |role, text| read(folder.path(), role).iter().filter(|line| line.message == text).count();
    assert_eq!((count("host", "before"), count("worker", "before"), count("worker", "after")), (1, 1, 1));
}

#[test]
fn a_second_flusher_is_refused_and_told_who_flushes() {
    let folder = Scratch::new("refused");
    let mut host = Actor::start(ACTOR, "host", folder.path(), &["line:up", "wait"]);
    host.line();
    wait_for("the election", || holder(folder.path()));
    let output = tool(TOOL, &["flush", "--once", &folder.path().to_string_lossy()]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains(&format!("pid {}", host.pid())), "{error}");
}

#[test]
fn many_processes_of_one_role_share_its_file_in_time_order() {
    let folder = Scratch::new("share");
    let mut actors: Vec<Actor> =
        (0..6).map(|_| Actor::start(ACTOR, "worker", folder.path(), &["line:up", "wait", "log:2000"])).collect();
    actors.iter_mut().for_each(|actor| assert_eq!(actor.line(), "up"));
    actors.iter_mut().for_each(Actor::go);
    actors.iter_mut().for_each(|actor| assert!(actor.end().success()));
    let lines = read(folder.path(), "worker");
    assert!(lines.iter().all(|line| line.level == "INFO"), "ordinary ends, no losses");
    assert_eq!(lines.len(), 12_000);
    assert!(lines.is_sorted_by_key(|line| &line.time), "in time order over all processes");
    for actor in &actors {
        let own: Vec<&str> =
            lines.iter().filter(|line| line.pid == actor.pid()).map(|line| line.message.as_str()).collect();
        assert_eq!(own, (0..2000).map(|n| format!("line {n}")).collect::<Vec<_>>());
    }
}

#[test]
fn processes_with_different_clocks_share_a_file_in_time_order() {
    for (first, second) in [("", "boottime"), ("boottime", "")] {
        let folder = Scratch::new("clocks");
        let script = ["line:up", "wait", "log:1", "sleep:5", "log:1", "sleep:5", "log:1", "line:done", "wait"];
        let start = |clock| Actor::start_with(ACTOR, "worker", folder.path(), &script, &[("LASTWORDS_CLOCK", clock)]);
        let mut actors = [start(first), start(second)];
        actors.iter_mut().for_each(|actor| assert_eq!(actor.line(), "up"));
        actors.iter_mut().for_each(Actor::go);
        actors.iter_mut().for_each(|actor| assert_eq!(actor.line(), "done"));
        wait_for("all lines", || (read_so_far(folder.path(), "worker").len() == 6).then_some(()));
        let lines = read(folder.path(), "worker");
        assert!(lines.is_sorted_by_key(|line| &line.time), "{lines:?}");
        actors.iter_mut().for_each(|actor| {
            actor.finish();
        });
    }
}

#[test]
fn a_stopped_flusher_holds_nobody_up_for_good() {
    let folder = Scratch::new("stopped");
    let mut host = Actor::start(ACTOR, "host", folder.path(), &["line:up", "wait"]);
    host.line();
    wait_for("the election", || holder(folder.path()));
    host.signal(rustix::process::Signal::STOP);
    let script = ["slots=64", "lanes=3", "log:1000", "line:done", "wait", "log:1", "flush", "exit"];
    let mut worker = Actor::start(ACTOR, "worker", folder.path(), &script);
    assert_eq!(worker.line(), "done", "the worker went on although its ring was full");
    host.signal(rustix::process::Signal::CONT);
    worker.finish();
    let lines = read(folder.path(), "worker");
    let newest: Vec<&str> = lines[lines.len() - 64..].iter().map(|line| line.message.as_str()).collect();
    let losses: Vec<&str> =
        lines.iter().filter(|line| line.level == "WARNING").map(|line| line.message.as_str()).collect();
    assert_eq!(newest.last(), Some(&"line 1000"), "{losses:?}");
    let lost = reported_lost(&lines);
    let kept = lines.iter().filter(|line| line.level == "INFO").count();
    assert_eq!(kept + lost, 1001, "every line is in the file or counted as lost: {losses:?}");
}
