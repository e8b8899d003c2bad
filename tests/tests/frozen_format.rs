//! Version 3 of the ring format is readable for ever.
//!
//! `data/v3` holds the ring and the spill file of a process that logged one record of each kind twice, with tags and without,
//! and was killed; beside them what `recover` made of it when the format was frozen. A decoder that reads these bytes
//! differently has changed the format, and needs a version of its own.

use lastwords_tests::logs::read;
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/v3").join(name)
}

/// A log folder that holds the ring.
fn folder() -> Scratch {
    let folder = Scratch::new("frozen");
    fs::create_dir_all(folder.join("rings")).expect("made");
    for name in ["worker-1-00.ring", "worker-1-00.1.spill"] {
        fs::copy(data(name), folder.join("rings").join(name)).expect("copied");
    }
    folder
}

fn in_utc(arguments: &[&str]) -> Output {
    TOOL.command().args(arguments).env("TZ", "UTC").output().expect("the tool starts")
}

#[test]
fn a_ring_of_version_3_is_recovered_to_the_byte() {
    let folder = folder();
    let path = folder.to_string_lossy();
    for (arguments, expected) in
        [(&["recover", &*path][..], "recovered.txt"), (&["recover", "--json", &path], "recovered.jsonl")]
    {
        let output = in_utc(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let expected = fs::read_to_string(data(expected)).expect("there");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{arguments:?}");
    }
}

#[test]
fn a_ring_of_version_3_is_drained_once_to_the_same_lines() {
    let folder = folder();
    let output = in_utc(&["flush", "--once", &folder.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = fs::read_to_string(folder.join("worker.log")).expect("written");
    let expected = fs::read_to_string(data("recovered.txt")).expect("there");
    assert_eq!(text.matches(&expected).count(), 1, "{text}");
    assert!(read(&folder, "worker").iter().any(|line| line.level == "CRITICAL" && line.message.contains("died")));
    assert!(!folder.join("rings/worker-1-00.ring").exists());
}
