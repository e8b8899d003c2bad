//! Log files that are rotated lose no line, split no record, and keep their order.

use lastwords_tests::actor::run;
use lastwords_tests::logs::{files, read};
use lastwords_tests::scratch::Scratch;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

#[test]
fn all_lines_stand_in_order_over_the_files_and_no_file_exceeds_its_size() {
    let folder = Scratch::new("rotation");
    let (_, status) = run(ACTOR, "host", folder.path(), &["rotate=8192", "keep=100", "log:5000"]);
    assert!(status.success());
    let messages: Vec<String> = read(folder.path(), "host").into_iter().map(|line| line.message).collect();
    assert_eq!(messages, (0..5000).map(|n| format!("line {n}")).collect::<Vec<_>>());
    let sizes: Vec<u64> =
        files(folder.path(), "host").iter().map(|path| path.metadata().expect("there").len()).collect();
    assert!(sizes.len() > 20 && sizes.iter().all(|size| *size <= 8192), "{sizes:?}");
    let full = &sizes[..sizes.len() - 1];
    assert!(full.iter().all(|size| *size > 8192 - 100), "files are filled before they are rotated: {sizes:?}");
}

#[test]
fn only_the_wanted_number_of_files_is_kept_and_they_hold_the_newest_lines() {
    let folder = Scratch::new("keep");
    let (_, status) = run(ACTOR, "host", folder.path(), &["rotate=4096", "keep=3", "log:3000"]);
    assert!(status.success());
    let names: Vec<String> = files(folder.path(), "host")
        .iter()
        .map(|path| path.file_name().expect("a name").to_string_lossy().into())
        .collect();
    assert_eq!(names, ["host.log.3", "host.log.2", "host.log.1", "host.log"]);
    let messages: Vec<String> = read(folder.path(), "host").into_iter().map(|line| line.message).collect();
    let first = 3000 - messages.len();
    assert_eq!(messages, (first..3000).map(|n| format!("line {n}")).collect::<Vec<_>>());
}

#[test]
fn a_record_larger_than_the_limit_stands_alone_in_a_file() {
    let folder = Scratch::new("large");
    let large = format!("say:{}", "x".repeat(9000));
    let (_, status) = run(ACTOR, "host", folder.path(), &["rotate=4096", "keep=9", "log:2", &large, "log:2"]);
    assert!(status.success());
    let counts: Vec<usize> = files(folder.path(), "host")
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("readable").lines().count())
        .collect();
    assert_eq!(counts, [2, 1, 2]);
}

#[test]
fn rotated_files_beyond_a_lowered_number_are_removed() {
    let folder = Scratch::new("lowered");
    let _ = run(ACTOR, "host", folder.path(), &["rotate=4096", "keep=10", "log:3000"]);
    assert!(folder.path().join("host.log.10").exists());
    std::fs::write(folder.path().join("host.log.101"), "somebody else's").expect("written");
    std::fs::create_dir(folder.path().join("host.log.20")).expect("made");
    let _ = run(ACTOR, "host", folder.path(), &["rotate=4096", "keep=3", "log:3000"]);
    let there = |n: u32| folder.path().join(format!("host.log.{n}")).exists();
    assert!((1..=3).all(there) && !(4..=19).any(there), "no more than three");
    assert!(there(20) && there(101), "what is no rotated file of ours stays");
}

#[test]
fn a_rotated_file_holds_no_reserved_space() {
    use std::os::unix::fs::MetadataExt;
    let folder = Scratch::new("reserved");
    let _ = run(ACTOR, "host", folder.path(), &["rotate=1500000", "keep=5", "policy=block", "log:200000", "flush"]);
    let rotated: Vec<_> = files(folder.path(), "host").into_iter().filter(|path| !path.ends_with("host.log")).collect();
    assert!(!rotated.is_empty());
    for path in rotated {
        let found = path.metadata().expect("there");
        let spare = (found.blocks() * 512).saturating_sub(found.len());
        assert!(spare < 64 << 10, "{}: {spare} bytes beyond its {}", path.display(), found.len());
    }
}
