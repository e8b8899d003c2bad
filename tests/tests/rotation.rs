//! Log files that are rotated lose no line, split no record, and keep their order.

use lastwords_tests::actor::{Actor, run, succeed};
use lastwords_tests::files::name_of;
use lastwords_tests::logs::{files, messages, numbered};
use lastwords_tests::programs::DRAINER;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[test]
fn all_lines_stand_in_order_over_the_files_and_no_file_exceeds_its_size() {
    let folder = Scratch::new("rotation");
    succeed("host", &folder, "rotate=8192 keep=100 log:5000");
    assert_eq!(messages(&folder, "host"), numbered(5000));
    let sizes: Vec<u64> = files(&folder, "host").iter().map(|path| path.metadata().expect("there").len()).collect();
    assert!(sizes.len() > 20 && sizes.iter().all(|size| *size <= 8192), "{sizes:?}");
    let full = &sizes[..sizes.len() - 1];
    assert!(full.iter().all(|size| *size > 8192 - 100), "files are filled before they are rotated: {sizes:?}");
}

#[test]
fn only_the_wanted_number_of_files_is_kept_and_they_hold_the_newest_lines() {
    let folder = Scratch::new("keep");
    succeed("host", &folder, "rotate=4096 keep=3 log:3000");
    let files = files(&folder, "host");
    assert_eq!(
        files.iter().map(|path| name_of(path)).collect::<Vec<_>>(),
        ["host.log.3", "host.log.2", "host.log.1", "host.log"]
    );
    let messages = messages(&folder, "host");
    assert_eq!(messages, numbered(3000)[3000 - messages.len()..]);
}

#[test]
fn a_record_larger_than_the_limit_stands_alone_in_a_file() {
    let folder = Scratch::new("large");
    let large = format!("say:{}", "x".repeat(9000));
    succeed("host", &folder, format!("rotate=4096 keep=9 log:2 {large} log:2"));
    let text = |path: &PathBuf| std::fs::read_to_string(path).expect("readable");
    let counts = files(&folder, "host").iter().map(|path| text(path).lines().count()).collect::<Vec<_>>();
    assert_eq!(counts, [2, 1, 2]);
}

#[test]
fn rotated_files_beyond_a_lowered_number_are_removed() {
    let folder = Scratch::new("lowered");
    let _ = run("host", &folder, "rotate=4096 keep=10 log:3000");
    assert!(folder.join("host.log.10").exists());
    std::fs::write(folder.join("host.log.101"), "somebody else's").expect("written");
    std::fs::create_dir(folder.join("host.log.20")).expect("made");
    let _ = run("host", &folder, "rotate=4096 keep=3 log:3000");
    let there = |n: u32| folder.join(format!("host.log.{n}")).exists();
    assert!((1..=3).all(there) && !(4..=19).any(there), "no more than three");
    assert!(there(20) && there(101), "what is no rotated file of ours stays");
}

/// How many calls of fstatat(2), and of getdents64(2), a drain takes.
fn looks_of_a_drain(folder: &Path) -> (u64, u64) {
    let mut traced = Traced::start(DRAINER.command().arg(folder).arg("all")).expect("started");
    let (mut looks, mut lists) = (0, 0);
    loop {
        match traced.to_system_call().expect("traced") {
            Stop::Entry(number) if number == libc::SYS_newfstatat as u64 => looks += 1,
            Stop::Entry(number) if number == libc::SYS_getdents64 as u64 => lists += 1,
            Stop::Ended(0) => return (looks, lists),
            Stop::Ended(code) => panic!("the drain ended with {code}"),
            _ => {}
        }
    }
}

#[test]
fn files_beyond_a_lowered_number_are_looked_for_once_and_not_at_each_rotation() {
    let mut counts = Vec::new();
    // About 5 and 45 rotations.
    for lines in [400, 3600] {
        let folder = Scratch::new("looks");
        let _ = run("host", &folder, format!("rotate=4096 keep=2 flusher=never log:{lines}"));
        counts.push(looks_of_a_drain(&folder));
    }
    let (looks, lists) = (counts[1].0 - counts[0].0, counts[1].1 - counts[0].1);
    // About 50, most of them of what is open; 95 names more would be asked for at each.
    assert!(looks / 40 < 80, "{looks} calls for 40 rotations more");
    assert!(lists < 40, "{lists} calls for 40 rotations more");
}

fn assert_none_is_reserved(folder: &Path) {
    let rotated: Vec<_> = files(folder, "host").into_iter().filter(|path| !path.ends_with("host.log")).collect();
    assert!(!rotated.is_empty());
    for path in rotated {
        assert!(reserved(&path) < 64 << 10, "{}: {} bytes", path.display(), reserved(&path));
    }
}

/// Bytes that are allocated behind a file's end.
fn reserved(path: &Path) -> u64 {
    let found = path.metadata().expect("there");
    (found.blocks() * 512).saturating_sub(found.len())
}

#[test]
fn a_rotated_file_holds_no_reserved_space() {
    let folder = Scratch::new("reserved");
    let _ = run("host", &folder, "rotate=1500000 keep=5 policy=block log:200000 flush");
    assert_none_is_reserved(&folder);
}

#[test]
fn a_rotated_file_holds_no_space_that_a_flusher_has_reserved_which_was_killed() {
    let folder = Scratch::new("reserved-by-another");
    let _ = run("host", &folder, "rotate=1100000 policy=block log:20000 flush kill");
    assert_eq!(files(&folder, "host").len(), 1, "not rotated yet");
    if reserved(&folder.join("host.log")) < 64 << 10 {
        println!("skipped: this file system reserves nothing");
        return;
    }
    // In batches for which nothing is reserved.
    let _ = run("host", &folder, format!("rotate=1100000 {}", "log:100 flush ".repeat(40)));
    assert_none_is_reserved(&folder);
}

#[test]
fn a_file_that_somebody_else_renames_holds_no_reserved_space() {
    let folder = Scratch::new("reserved-renamed");
    let script = "policy=block log:20000 flush line:up wait log:1 flush";
    let mut actor = Actor::start("host", &folder, script).until("up");
    std::fs::rename(folder.join("host.log"), folder.join("host.log.1")).expect("renamed");
    actor.finish();
    assert_none_is_reserved(&folder);
}
