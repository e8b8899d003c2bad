//! A process that changes its root after it has set up its log.
//!
//! In the new root there is no log folder, no `/proc`, no `/etc/localtime`, and no `/dev/shm`. What a process holds of its
//! folders leads there all the same, and its forked children's rings belong there too.

use lastwords_tests::actor::{Actor, flush_rest, printed};
use lastwords_tests::logs::{Line, alarms, count, crash_files, read, read_so_far};
use lastwords_tests::programs::ACTOR;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use lastwords_tests::skip_unless;
use lastwords_tests::users::{USER, all_in, assert_all_are, is_root, open_folder, owned};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A log folder of this user's, and an empty folder that is to be a root.
fn places(name: &str, uid: u32) -> (Scratch, PathBuf, PathBuf) {
    let (scratch, logs) = open_folder(name);
    let jail = scratch.join("jail");
    owned(&logs, uid, uid, 0o700);
    owned(&jail, uid, uid, 0o755);
    (scratch, logs, jail)
}

fn start(logs: &Path, script: impl Script) -> Actor {
    // A zone whose times cannot be taken for UTC.
    Actor::of(ACTOR.acting("host", logs, script).env("TZ", "Asia/Tokyo").stderr(Stdio::piped()))
}

/// The hours of the times of all lines, without repetitions.
fn hours(lines: &[Line]) -> Vec<u32> {
    let mut hours: Vec<u32> = lines.iter().map(|line| line.time[11..13].parse().expect("an hour")).collect();
    hours.dedup();
    hours
}

#[test]
fn a_process_that_changes_its_root_logs_on_and_so_do_its_children() {
    skip_unless!(is_root());
    for memory in ["", "memory=shared"] {
        let (_scratch, logs, jail) = places("chroot", 0);
        let chroot = format!("chroot:{}", jail.display());
        let script = format!("{memory} rotate=20000 log:10 flush {chroot} log:500 long:200000 flush fork:3 sleep:1200");
        let mut actor = start(&logs, script + " line:up wait log:10 flush in-child log:5 flush kill").until("up");
        // The flusher of the process in its new root.
        let lines = read_so_far(&logs, "host");
        assert_eq!((count(&lines, "line "), count(&lines, "child ")), (510, 60), "{memory}");
        actor.go();
        actor.end();
        assert_eq!(actor.errors(), "", "{memory}");
        flush_rest(&logs);
        let lines = read(&logs, "host");
        assert_eq!(count(&lines, "line "), 525, "{memory}");
        assert_eq!(alarms(&lines), 2, "the child and its parent");
        assert_eq!(all_in(&jail), Vec::<PathBuf>::new(), "nothing is made in the new root");
    }
}

#[test]
fn times_stay_those_of_the_zone_before_the_change() {
    if !is_root() || !Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists() {
        println!("skipped: no zone to be lost");
        return;
    }
    for before in ["log:1 flush", ""] {
        let (_scratch, logs, jail) = places("zone", 0);
        let chroot = format!("chroot:{}", jail.display());
        let script = format!("{before} {chroot} say:in sleep:1500 say:in flush in-child say:child sleep:300");
        let mut actor = start(&logs, script);
        actor.end();
        assert_eq!(actor.errors(), "", "the zone and its rules are still known");
        let lines = read(&logs, "host");
        let hours = hours(&lines);
        assert!(hours.len() == 1 || hours.len() == 2 && hours[1] == (hours[0] + 1) % 24, "{hours:?}");
        let output = printed(Command::new("date").arg("+%H").env("TZ", "Asia/Tokyo"));
        let now: u32 = output.out.trim().parse().expect("an hour");
        assert!([now, (now + 23) % 24].contains(&hours[0]), "{hours:?}, it is {now} in Tokyo");
    }
}

#[test]
fn a_daemon_that_changes_root_and_user_loses_nothing_in_a_folder_of_that_user() {
    skip_unless!(is_root());
    let (_scratch, logs, jail) = places("chroot-user", USER);
    let chroot = format!("chroot:{}", jail.display());
    let script =
        format!("rotate=20000 log:10 flush {chroot} become:{USER} log:2000 flush fork-log:2 flush line:up wait");
    let mut actor = start(&logs, script).until("up");
    assert_eq!(count(&read_so_far(&logs, "host"), "line "), 2020);
    actor.kill();
    flush_rest(&logs);
    assert_eq!(crash_files(&logs).len(), 1);
    assert_all_are(&logs, USER);
}

#[test]
fn a_process_that_is_in_its_new_root_already_logs_there() {
    skip_unless!(is_root());
    let (_scratch, _, jail) = places("chroot-first", USER);
    let chroot = format!("before:chroot:{}", jail.display());
    for become_user in ["", &format!("before:become:{USER}")] {
        // Root acts as the owner of the new root's folder, the user is the owner.
        let script = format!("{chroot} {become_user} log:10 flush fork:2 flush line:up wait");
        let logs = jail.join("logs");
        owned(&logs, USER, USER, 0o700);
        let mut actor = start(Path::new("/logs"), script).until("up");
        actor.kill();
        flush_rest(&logs);
        let lines = read(&logs, "host");
        assert_eq!((count(&lines, "line "), count(&lines, "child ")), (10, 40));
        assert_eq!(alarms(&lines), 1);
        assert_all_are(&logs, USER);
        fs::remove_dir_all(&logs).expect("removed");
    }
}
