//! A ring of format version 1 is readable for ever.
//!
//! People keep rings of crashed processes, and a newer flusher meets the rings of processes that were started before it
//! was installed. `data/v1.ring` was written when the format was frozen, by `actor worker FOLDER level=trace lanes=3
//! slots=64 flusher=never samples kill`; a change of the format that no longer reads it must have another version.

use lastwords::flush::recover::Recovery;
use lastwords::flush::render;
use lastwords::layout::FORMAT_VERSION;
use lastwords_tests::actor::tool;
use lastwords_tests::scratch::Scratch;
use std::path::{Path, PathBuf};

const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

#[test]
fn every_record_of_the_ring_from_version_1_is_shown_as_it_was_then() {
    let mut recovery = Recovery::default();
    recovery.add_file(&data("v1.ring"));
    let mut shown = String::new();
    let read = recovery.for_each(|found| {
        let mut line = Vec::new();
        render::record(&mut line, &found.record, found.site);
        let target = found.site.map_or("", |site| &site.site().target);
        let line = String::from_utf8_lossy(&line);
        shown += &format!("{} {} {target} {line}", found.realtime_ns, found.record.level);
        Ok::<u64, lastwords::Error>(0)
    });
    read.expect("readable");
    assert!(recovery.refused.is_empty(), "{:?}", recovery.refused);
    let expected = std::fs::read_to_string(data("v1.txt")).expect("there");
    assert_eq!(shown, expected);
}

#[test]
fn the_flusher_of_today_drains_the_ring_of_version_1() {
    let folder = Scratch::new("v1");
    let name = "worker-1-00.ring";
    let rings = folder.path().join("rings");
    std::fs::create_dir_all(&rings).expect("made");
    std::fs::copy(data("v1.ring"), rings.join(name)).expect("copied");
    let output = tool(TOOL, &["flush", "--once", &folder.path().to_string_lossy()]);
    assert!(output.status.success(), "{output:?}");
    let log = std::fs::read_to_string(folder.path().join("worker.log")).expect("written");
    let expected = std::fs::read_to_string(data("v1.txt")).expect("there");
    let messages: Vec<&str> =
        expected.lines().filter_map(|line| line.split_once("::samples ")).map(|split| split.1).collect();
    assert_eq!(messages.len(), 13);
    for line in messages {
        assert!(log.contains(line), "{line:?} is not in {log}");
    }
    assert!(!rings.join(name).exists(), "drained to the end and removed");
}

#[test]
fn the_format_is_frozen() {
    assert_eq!(FORMAT_VERSION, 1, "a new version needs a ring of its own beside data/v1.ring");
}
