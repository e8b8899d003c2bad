//! External modification of the flusher's own files while it lives.
//!
//! A clean-up job, a careless `rm`, a restored backup: lock, journal and doorbell have names that anybody who may write to the
//! folder can take away. A flusher that goes on with files that cannot be found wakes up late, cannot be replaced without
//! doubled lines, or flushes beside another one; one that opens what was put in their place hangs on a FIFO.

use lastwords_tests::actor::{Actor, flush_once, flush_rest, tool_at, wait_for, wait_until};
use lastwords_tests::files::{make_fifo, name_of};
use lastwords_tests::logs::{Line, crash_files, read, read_so_far};
use lastwords_tests::scratch::Scratch;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const FILES: [&str; 4] = ["doorbell", "flusher.lock", "journal.a", "journal.b"];

/// What is done to a file of the flusher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Remove,
    /// By a plain file that holds something else.
    Replace,
    Fifo,
    Folder,
    Link,
}

const DEEDS: [Deed; 5] = [Deed::Remove, Deed::Replace, Deed::Fifo, Deed::Folder, Deed::Link];

fn act(deed: Deed, path: &Path) {
    fs::remove_file(path).expect("it was there");
    match deed {
        Deed::Remove => {}
        Deed::Replace => fs::write(path, "something else\n").expect("written"),
        Deed::Fifo => make_fifo(path),
        Deed::Folder => fs::create_dir(path).expect("made"),
        Deed::Link => symlink("/etc/passwd", path).expect("linked"),
    }
}

/// How often each of the numbered lines is in the log.
fn counted(lines: &[Line]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for number in lines.iter().filter_map(|line| line.message.strip_prefix("line ")?.parse().ok()) {
        *counts.entry(number).or_default() += 1;
    }
    counts
}

/// Asserts that the lines from 0 to below `count` are there once each.
fn assert_each_once(folder: &Path, count: u64, what: &str) {
    let lines = read(folder, "host");
    let found = counted(&lines);
    let missing: Vec<u64> = (0..count).filter(|n| !found.contains_key(n)).collect();
    let doubled: Vec<u64> = found.iter().filter(|(_, times)| **times > 1).map(|(n, _)| *n).collect();
    assert!(missing.is_empty(), "{what}: {} missing, from {:?}", missing.len(), missing.first());
    assert!(doubled.is_empty(), "{what}: {} doubled, from {:?}", doubled.len(), doubled.first());
    let logged = |text: &str| lines.iter().any(|line| line.message.contains(text));
    assert!(!logged("the machine stopped"), "{what}: the machine did not stop");
    assert!(!logged("records lost"), "{what}");
}

#[test]
fn a_living_flusher_makes_its_files_again_and_loses_and_doubles_nothing() {
    for file in FILES {
        for deed in DEEDS {
            let what = format!("{deed:?} {file}");
            let folder = Scratch::new("made-again");
            let script = "log:1000 flush line:up wait log:30000 flush line:done wait";
            let mut host = Actor::start("host", &folder, script);
            assert_eq!(host.line(), "up", "{what}");
            let path = folder.join("rings").join(file);
            act(deed, &path);
            host.go();
            assert_eq!(host.line(), "done", "{what}");
            let again = || fs::symlink_metadata(&path).ok().filter(|found| found.is_file() || file == "doorbell");
            wait_for(&format!("{file} after {what}"), again);
            host.go();
            assert!(host.end().success(), "{what}");
            assert_each_once(&folder, 31_000, &what);
        }
    }
}

#[test]
fn a_doorbell_that_was_removed_is_heard_by_producers_from_before_and_after() {
    let folder = Scratch::new("heard");
    let _host = Actor::start("host", &folder, "line:up wait").until("up");
    let script = "flusher=never log:1 flush line:up wait log:100000 line:done wait";
    let mut before = Actor::start("before", &folder, script).until("up");
    // So long that the flusher sleeps until it is rung.
    std::thread::sleep(std::time::Duration::from_millis(500));
    fs::remove_file(folder.join("rings/doorbell")).expect("there");
    let mut after = Actor::start("after", &folder, script);
    before.go();
    assert_eq!(after.line(), "up");
    after.go();
    for (actor, role) in [(&mut before, "before"), (&mut after, "after")] {
        assert_eq!(actor.line(), "done");
        let all = || (counted(&read_so_far(&folder, role)).len() == 100_001).then_some(());
        wait_for(&format!("all lines of {role}"), all);
        actor.finish();
    }
    assert!(!read(&folder, "before").iter().any(|line| line.message.contains("lost")));
}

#[test]
fn a_flusher_that_dies_after_its_journal_was_removed_is_followed_without_doubling() {
    for files in [&["journal.a"][..], &["journal.b"], &["journal.a", "journal.b"]] {
        let folder = Scratch::new("journal-gone");
        let script = "log:20000 flush line:up wait";
        let mut host = Actor::start("host", &folder, script).until("up");
        for file in files {
            fs::remove_file(folder.join("rings").join(file)).expect("there");
        }
        host.kill();
        flush_once(&folder);
        assert_each_once(&folder, 20_000, &format!("{files:?}"));
        if files.len() == 2 {
            let logged = read(&folder, "host").iter().any(|line| line.message.contains("the journal was removed"));
            assert!(logged, "that the journal was removed is logged");
        }
    }
}

#[test]
fn a_lock_file_that_is_removed_beside_a_stopped_flusher_doubles_nothing() {
    for deed in DEEDS {
        let folder = Scratch::new("lock-gone");
        let mut host =
            Actor::start("host", &folder, "log:5000 flush line:up slowly:300:1000 flush line:done wait").until("up");
        host.signal(Signal::STOP);
        let stopped = || fs::read_to_string(format!("/proc/{}/stat", host.pid())).expect("it lives").contains(") T ");
        wait_until("the stop", stopped);
        act(deed, &folder.join("rings/flusher.lock"));
        let mut other = Actor::start("other", &folder, "log:5000 flush line:up wait");
        assert_eq!(other.line(), "up", "{deed:?}: another process flushes");
        host.signal(Signal::CONT);
        assert_eq!(host.line(), "done");
        host.go();
        other.go();
        assert!(host.end().success() && other.end().success());
        assert_each_once(&folder, 5300, &format!("{deed:?} of the lock"));
        assert_eq!(counted(&read(&folder, "other")).len(), 5000);
    }
}

#[test]
fn a_fifo_in_the_place_of_any_file_hangs_nobody() {
    let names = [
        "flusher.lock",
        "journal.a",
        "journal.b",
        "doorbell",
        "offsets",
        "x.ring",
        "host-1-00.attached",
        "host-1-00.capture",
        "host-1-00.1.spill",
    ];
    for name in names {
        let folder = Scratch::new("fifo");
        fs::create_dir_all(folder.join("rings")).expect("made");
        make_fifo(folder.join("rings").join(name));
        for command in ["status", "recover", "flush --once"] {
            assert!(tool_at(command, &folder).code.is_some(), "{name}: {command}");
        }
        let mut host = Actor::start("host", &folder, "slots=64 log:1000 flush kill");
        host.end();
        flush_rest(&folder);
        assert_each_once(&folder, 1000, name);
    }
}

#[test]
fn a_fifo_with_a_crash_files_next_name_is_passed_by() {
    let folder = Scratch::new("fifo-crash");
    let mut host = Actor::start("host", &folder, "flusher=never log:10 line:up wait").until("up");
    let pid = host.pid();
    let now = seconds_now();
    for second in now - 2..now + 3 {
        let name = format!("host-{pid}-{}.crash.log", utc(second));
        make_fifo(folder.join(name));
    }
    host.kill();
    flush_once(&folder);
    let lines = read(&folder, "host");
    let death = lines.iter().find(|line| line.level == "CRITICAL").expect("a death line");
    assert!(death.message.contains("crash.log"), "{}", death.message);
    let written = crash_files(&folder).into_iter().filter(|path| name_of(path).ends_with("-2.crash.log"));
    assert_eq!(written.filter(|path| path.metadata().is_ok_and(|found| found.is_file() && found.len() > 0)).count(), 1);
}

fn seconds_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// The time as crash files have it in their names.
fn utc(seconds: u64) -> String {
    let output =
        std::process::Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%Y%m%dT%H%M%SZ"]).output();
    String::from_utf8(output.expect("date runs").stdout).expect("ASCII").trim().to_owned()
}
