//! Custom level names.
//!
//! `logging.addLevelName(25, "NOTICE")` in Python, and a search of the log for NOTICE must find it: in every form, from every
//! flusher. The one that makes the lines is often another process, and sometimes one that starts when the process that set the
//! name is dead. So the name must be where the records are.

mod schema;

use lastwords::Level;
use lastwords_ring::format::call_site::LevelName;
use lastwords_tests::actor::{Actor, printed, run, succeed, tool_at};
use lastwords_tests::forge::{self, Forged};
use lastwords_tests::programs::ACTOR;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::{jsonl, logs};
use schema::assert_valid;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Level and message of each line of the role's text.
fn text(folder: &Path, role: &str) -> Vec<String> {
    logs::read(folder, role).into_iter().map(|line| format!("{} {}", line.level, line.message)).collect()
}

/// Like `lines`, for objects.
fn shown(objects: &[Value]) -> Vec<String> {
    let text = |object: &Value, key: &str| object[key].as_str().expect(key).to_owned();
    objects.iter().map(|object| format!("{} {}", text(object, "level"), text(object, "message"))).collect()
}

fn recover(options: &str, path: &Path) -> String {
    let output = tool_at(format!("recover {options}"), path);
    assert!(output.status.success(), "{}", output.err);
    output.out
}

#[test]
fn a_named_level_has_its_name_in_both_forms_and_every_other_its_own() {
    let folder = Scratch::new("level-names");
    let script = ["format=both", "at:25:before", "flush", "name:25:NOTICE", "at:25:named", "at:26:not", "say:as ever"];
    let renamed =
        "name:warning:WARN at:30:renamed flush name:30: at:30:again flush name:25:SUCCESS at:25:second".split(' ');
    succeed("host", &folder, script.into_iter().chain(renamed).collect::<Vec<_>>());
    let expected = [
        "Level 25 before",
        "NOTICE named",
        "Level 26 not",
        "INFO as ever",
        "WARN renamed",
        "WARNING again",
        "SUCCESS second",
    ];
    assert_eq!(text(&folder, "host"), expected);
    let objects = jsonl::read(&folder, "host");
    assert_eq!(shown(&objects), expected);
    assert_valid(&objects);
}

#[test]
fn a_process_that_was_killed_leaves_its_names_to_whoever_reads_its_ring() {
    let folder = Scratch::new("level-names-killed");
    let script = "flusher=never name:25:NOTICE name:20:I name:50:FATAL name:30:WARN at:25:seen log:1 at:25:last kill";
    let _ = run("worker", &folder, script);
    let expected = ["NOTICE seen", "I line 0", "NOTICE last"];
    let lines = recover("", &folder);
    let levels: Vec<String> =
        lines.lines().map(|line| line[line.find("] [").expect("a pid") + 3..].replacen("] ", " ", 1)).collect();
    assert_eq!(levels, expected);
    assert_eq!(shown(&jsonl::parse(recover("--json", &folder).as_bytes())), expected);
    let black_box = recover("--black-box", &folder);
    let last = black_box.lines().find(|line| line.ends_with(" last"));
    assert!(last.is_some_and(|line| line.contains("] [NOTICE] [main ")), "{black_box}");

    let _ = recover("--drain", &folder);
    let drained = text(&folder, "worker");
    assert_eq!(&drained[..3], expected);
    assert!(drained[3].starts_with("CRITICAL lastwords: "), "the flusher's levels keep their names: {drained:?}");
    let crash = fs::read_to_string(&logs::crash_files(&folder)[0]).expect("UTF-8");
    let says = |level: &str, text: &str| {
        crash.lines().any(|line| line.ends_with(text) && line.contains(&format!("] [{level}] [main ")))
    };
    assert!(says("NOTICE", "] last") && says("I", "] line 0"), "{crash}");
}

#[test]
fn a_flusher_that_lives_hears_of_every_change() {
    let folder = Scratch::new("level-names-live");
    let mut host = Actor::start("host", &folder, "log:1 flush line:up wait").until("up");
    let script: String = (0..50).map(|n| format!("name:25:N{n} at:25:{n} flush ")).collect();
    succeed("worker", &folder, script);
    assert_eq!(text(&folder, "worker"), (0..50).map(|n| format!("N{n} {n}")).collect::<Vec<_>>());
    host.finish();
}

#[test]
fn forked_children_have_the_names_in_their_own_rings() {
    let folder = Scratch::new("level-names-fork");
    let script = "name:25:NOTICE name:20:FIRST name:20:BRIEF fork:3 log:1";
    succeed("host", &folder, script);
    let lines = logs::read(&folder, "host");
    let mut children = lines.iter().filter(|line| line.message.starts_with("child "));
    assert_eq!(children.clone().count(), 60);
    assert!(children.all(|line| line.level == "BRIEF"), "{lines:?}");
}

#[test]
fn the_console_shows_the_names_too() {
    let folder = Scratch::new("level-names-console");
    let shown = printed(ACTOR.acting("host", &folder, "console=yes name:25:NOTICE at:25:shown")).err;
    assert!(shown.contains("] [NOTICE] shown\n"), "{shown}");
}

#[test]
fn a_ring_whose_names_mean_harm_forges_no_line_and_drives_no_terminal() {
    let evil = "x] [y\n2025-10-19 05:55:47.606 [1] [INFO] forged\r\x1b[31m\u{202e}";
    let folder = Scratch::new("level-names-hostile");
    fs::create_dir_all(folder.join("rings")).expect("made");
    for (number, name) in [evil, &"é".repeat(4000), "", "]"].into_iter().enumerate() {
        let bytes = forge::ring("worker", 2, |ring| {
            // Its previous one is itself.
            let name = LevelName { previous: u32::MAX, level: Level::INFO, name: name.to_owned() };
            let id = ring.table().name_level(&name);
            ring.control().level_names.store(id.unwrap_or(0).into(), Ordering::Relaxed);
            let ticks = lastwords_ring::place::clock::now();
            (0..3).map(|n| Forged::text(0, ticks + n, &format!("record {n}"))).collect()
        });
        fs::write(folder.join("rings").join(format!("worker-1-0{number}.ring")), bytes).expect("written");
    }
    let objects = jsonl::parse(recover("--json", &folder).as_bytes());
    assert_eq!(objects.len(), 12);
    assert_valid(&objects);
    let _ = recover("--drain", &folder);
    let raw = fs::read_to_string(folder.join("worker.log")).expect("UTF-8");
    assert_eq!(raw.find(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), None, "{raw:?}");
    let lines = logs::read(&folder, "worker");
    let records: Vec<_> = lines.iter().filter(|line| line.message.starts_with("record ")).collect();
    assert_eq!(records.len(), 12, "each on a line of its own, and none more: {lines:?}");
    let named = |name: &str| records.iter().filter(|line| line.level == name).count();
    assert_eq!([named(&"é".repeat(32)), named("INFO"), named("\\x5d")], [3; 3], "{lines:?}");
    assert!(!lines.iter().any(|line| line.message.starts_with("forged")), "{lines:?}");
}
