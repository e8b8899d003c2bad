//! Rotated files go when a role has too many, too large or too old ones, and nothing else goes.
//!
//! A log that fills a disk takes its machine along; one that removes the wrong file, or a line of the file that is being written,
//! is worse than none. Limits are looked at after rotations, batches and passes, and a flusher may die between any two removals.

use lastwords_tests::about::About;
use lastwords_tests::actor::{Actor, die, run, succeed, wait_until};
use lastwords_tests::files::{copy_rings, names_in};
use lastwords_tests::flushers::{Drainer, Fault, FaultKind, KillAt};
use lastwords_tests::logs::{files, messages, numbered};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys;
use lastwords_tests::watchdog::Watchdog;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Files of a role, in both formats.
fn all_files(folder: &Path, role: &str) -> Vec<PathBuf> {
    let is_of = |name: &String| name.starts_with(&format!("{role}.log")) || name.starts_with(&format!("{role}.jsonl"));
    names_in(folder).into_iter().filter(is_of).map(|name| folder.join(name)).collect()
}

fn total(folder: &Path, role: &str) -> u64 {
    all_files(folder, role).iter().map(|path| path.metadata().expect("there").len()).sum()
}

/// The newest of `count` lines are there, without a gap.
#[track_caller]
fn assert_newest(folder: &Path, count: usize) {
    let found = messages(folder, "host");
    assert!(!found.is_empty() && found.len() <= count, "{} lines", found.len());
    assert_eq!(found, numbered(count)[count - found.len()..]);
}

#[test]
fn the_files_of_a_role_have_no_more_bytes_than_they_may_in_either_format() {
    for format in ["text", "json", "both"] {
        let folder = Scratch::new("keep-total");
        succeed("host", &folder, format!("rotate=4096 keep=100 format={format} keep-total=20000 log:3000"));
        let bytes = total(&folder, "host");
        assert!((12_000..=20_000).contains(&bytes), "{format}: {bytes} bytes in {:?}", all_files(&folder, "host"));
        if format != "json" {
            assert_newest(&folder, 3000);
        }
    }
}

#[test]
fn a_lowered_limit_removes_the_surplus_with_the_next_line() {
    for (limit, expected) in
        [("keep=100 keep-total=13000", 3..=4), ("keep=4", 5..=5), ("keep=100 keep-for=3600", 3..=3)]
    {
        let folder = Scratch::new("lowered-limit");
        let _ = run("host", &folder, "rotate=4096 keep=100 log:1000");
        let count = files(&folder, "host").len();
        assert!(count > 8, "{count} files");
        let old = SystemTime::now() - Duration::from_secs(3700);
        for number in 3..count {
            let file = File::options().write(true).open(folder.join(format!("host.log.{number}"))).expect("there");
            file.set_modified(old).expect("touched");
        }
        let _ = run("host", &folder, format!("rotate=8192 {limit} say:x"));
        assert!(expected.contains(&files(&folder, "host").len()), "{limit}: {:?}", files(&folder, "host"));
        let left = messages(&folder, "host");
        assert_eq!(left.last().map(String::as_str), Some("x"), "{limit}");
    }
}

#[test]
fn a_file_goes_when_it_becomes_too_old_while_nothing_is_logged_and_the_current_one_stays() {
    let _watchdog = Watchdog::new("keep-for", Duration::from_secs(120));
    let folder = Scratch::new("keep-for");
    let script = "rotate=4096 keep=100 keep-for=2 log:300 flush line:up wait";
    let mut actor = Actor::start("host", &folder, script).until("up");
    wait_until("the rotated files to go", || files(&folder, "host").len() == 1);
    assert_newest(&folder, 300);
    actor.finish();
}

#[test]
fn a_limit_below_the_rotation_size_is_refused() {
    let refused = |settings: &[(&str, &str)]| {
        let folder = Scratch::new("keep-total-refused");
        let mut builder = lastwords::builder("host").dir(&folder);
        for (name, value) in settings {
            builder = builder.set(name, value).expect("a setting");
        }
        builder.open().map(drop).map_err(|error| error.to_string())
    };
    let expected = "keep_total: 4096 found, expected 0 for no limit, or at least 10485760: what current files may have (rotate_size)";
    assert_eq!(refused(&[("keep_total", "4K")]), Err(expected.to_owned()));
    let both = [("keep_total", "12288"), ("rotate_size", "8K"), ("format", "both")];
    assert!(refused(&both).is_err_and(|why| why.contains("at least 16384")));
    assert_eq!(refused(&both[..2]), Ok(()));
    let soon = lastwords::builder("host").set("keep_for", "soon").expect_err("no age").to_string();
    assert!(soon.starts_with("keep_for: \"soon\" found, expected a time as in 30d, 12h or 90m"), "{soon}");
}

/// A folder whose rings hold 700 lines, more than its limit allows. Returns a maker of copies.
fn wreck(scratch: &Scratch) -> impl Fn() -> PathBuf {
    let from = scratch.join("logs");
    let script = "flusher=never crash-files=0 rotate=4096 keep=100 keep-total=12288 slots=4096 log:700 kill";
    die("host", &from, script);
    let to = scratch.join("copy");
    move || {
        let _ = fs::remove_dir_all(&to);
        fs::create_dir_all(&to).expect("made");
        copy_rings(&from, &to);
        to.clone()
    }
}

#[track_caller]
fn judge(folder: &Path) {
    let mut found = messages(folder, "host");
    found.retain(|message| message.starts_with("line "));
    assert_eq!(found, numbered(700)[700 - found.len()..]);
    let bytes = total(folder, "host");
    assert!((8192..=12_288).contains(&bytes), "{bytes} bytes");
    let numbers: Vec<String> = files(folder, "host").iter().map(|path| path.display().to_string()).collect();
    for number in 1..numbers.len() {
        assert!(folder.join(format!("host.log.{number}")).exists(), "no gap: {numbers:?}");
    }
}

#[test]
fn a_flusher_killed_before_any_system_call_of_a_removal_leaves_the_newest_lines_and_no_more() {
    let _watchdog = Watchdog::new("retention points", Duration::from_secs(600));
    let scratch = Scratch::new("retention-points");
    let elsewhere = scratch.join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    let drainer = Drainer { since: "all", elsewhere };
    let copy = wreck(&scratch);
    let folder = copy();
    let calls = drainer.drain_until(&folder, KillAt::Never).expect("an unkilled drain");
    judge(&folder);
    let removals: Vec<usize> = (0..calls.len()).filter(|call| calls[*call].number == libc::SYS_unlinkat).collect();
    assert!(removals.len() > 5, "{removals:?}");
    // Each removal, and what comes before and after it.
    let mut points: Vec<usize> = removals.iter().flat_map(|call| call - 2..=call + 2).collect();
    points.sort_unstable();
    points.dedup();
    for point in points.into_iter().step_by(2) {
        let folder = copy();
        let _about = About(point);
        if drainer.drain_until(&folder, KillAt::Before(point)).is_some() {
            drainer.drain(&folder);
            judge(&folder);
        }
    }
    if !sys::CALLS_CAN_BE_CHANGED {
        println!("no faults: the registers of this processor are not known to the test");
        return;
    }
    for (call, times) in removals.into_iter().flat_map(|call| [(call, 1), (call, 10)]) {
        let folder = copy();
        let fault = Fault { call, kind: FaultKind::Fail(libc::EIO, times) };
        let _about = About(fault);
        if drainer.drain_with(&folder, Some(fault)).reached {
            drainer.drain(&folder);
            // The next process that logs finds what could not be removed.
            let _ = run("host", &folder, "rotate=4096 keep=100 keep-total=12288 say:next");
            assert!(total(&folder, "host") <= 12_288, "{:?}", all_files(&folder, "host"));
        }
    }
}
