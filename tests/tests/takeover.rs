//! One process flushes for all, and another goes on when it dies.
//!
//! Two flushers at once would double lines; none would lose them when the rings are full. Both come from the same
//! place, the election.

use lastwords_tests::actor::{Actor, Printed, tool_at, wait_for, wait_until};
use lastwords_tests::logs::{numbered, read, read_so_far, reported_lost, texts};
use lastwords_tests::scratch::Scratch;
use std::path::Path;

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
    let script = "say:before line:up wait say:after line:said wait exit";
    let mut host = Actor::start("host", &folder, script).until("up");
    wait_for("the election", || holder(&folder).filter(|pid| *pid == host.pid()));
    let mut worker = Actor::start("worker", &folder, script).until("up");
    wait_for("the worker's line by the host", || has_line(&folder, "worker", "before"));
    assert_eq!(holder(&folder), Some(host.pid()), "the worker stands by");
    host.kill();
    wait_for("the takeover", || holder(&folder).filter(|pid| *pid == worker.pid()));
    worker.go_until("said");
    wait_for("the worker's line by itself", || has_line(&folder, "worker", "after"));
    wait_until("the host's death line", || {
        read_so_far(&folder, "host").iter().any(|line| line.level == "CRITICAL" && line.pid == host.pid())
    });
    worker.finish();
    let count = |role, text| read(&folder, role).iter().filter(|line| line.message == text).count();
    assert_eq!((count("host", "before"), count("worker", "before"), count("worker", "after")), (1, 1, 1));
}

#[test]
fn a_second_flusher_is_refused_and_told_who_flushes() {
    let folder = Scratch::new("refused");
    let host = Actor::start("host", &folder, "line:up wait").until("up");
    wait_for("the election", || holder(&folder));
    let Printed { code, err, .. } = tool_at("flush --once", &folder);
    assert!(code == Some(2) && err.contains(&format!("pid {}", host.pid())), "{err}");
}

#[test]
fn many_processes_of_one_role_share_its_file_in_time_order() {
    let folder = Scratch::new("share");
    let mut actors = Actor::several(6, "worker", &folder, "line:up wait log:2000", "up");
    actors.iter_mut().for_each(Actor::go);
    actors.iter_mut().for_each(|actor| assert!(actor.end().success()));
    let lines = read(&folder, "worker");
    assert!(lines.iter().all(|line| line.level == "INFO"), "ordinary ends, no losses");
    assert_eq!(lines.len(), 12_000);
    assert!(lines.is_sorted_by_key(|line| &line.time), "in time order over all processes");
    for actor in &actors {
        assert_eq!(texts(lines.iter().filter(|line| line.pid == actor.pid())), numbered(2000));
    }
}

#[test]
fn processes_with_different_clocks_share_a_file_in_time_order() {
    for (first, second) in [("", "boottime"), ("boottime", "")] {
        let folder = Scratch::new("clocks");
        let script = "line:up wait log:1 sleep:5 log:1 sleep:5 log:1 line:done wait";
        let start = |clock| Actor::start_with("worker", &folder, script, &[("LASTWORDS_CLOCK", clock)]);
        let mut actors = [start(first), start(second)];
        actors.iter_mut().for_each(|actor| actor.says("up"));
        actors.iter_mut().for_each(Actor::go);
        actors.iter_mut().for_each(|actor| actor.says("done"));
        wait_until("all lines", || read_so_far(&folder, "worker").len() == 6);
        let lines = read(&folder, "worker");
        assert!(lines.is_sorted_by_key(|line| &line.time), "{lines:?}");
        actors.iter_mut().for_each(Actor::finish);
    }
}

#[test]
fn a_stopped_flusher_holds_nobody_up_for_good() {
    let folder = Scratch::new("stopped");
    let host = Actor::start("host", &folder, "line:up wait").until("up");
    wait_for("the election", || holder(&folder));
    host.signal(rustix::process::Signal::STOP);
    let script = "slots=64 lanes=3 log:1000 line:done wait log:1 flush exit";
    let mut worker = Actor::start("worker", &folder, script).until("done");
    host.signal(rustix::process::Signal::CONT);
    worker.finish();
    let lines = read(&folder, "worker");
    let losses = texts(lines.iter().filter(|line| line.level == "WARNING"));
    assert_eq!(texts(&lines).last(), Some(&"line 1000"), "{losses:?}");
    let kept = lines.iter().filter(|line| line.level == "INFO").count();
    assert_eq!(kept + reported_lost(&lines), 1001, "every line is in the file or counted as lost: {losses:?}");
}
