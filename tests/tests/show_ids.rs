//! The `id` of JSON lines: which record a line is of, whoever made it.
//!
//! A record is printed from a ring by `recover` or `show`, and from a file once it is drained; a script that was killed reads some
//! of it again. Lines of two such prints differ in the last digits of their times, and equal messages are no sign of a repetition:
//! without an identity a consumer counts a record twice, or throws one away that was logged twice.

use lastwords_tests::actor::{Actor, die, flush_once, printed, succeed, tool_at, wait_until};
use lastwords_tests::flushers::{Drainer, KillAt};
use lastwords_tests::jsonl;
use lastwords_tests::oracle::Random;
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn show(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = TOOL.command();
    command.args(["show", "-o", "json"]).args(arguments).arg(folder);
    command
}

/// The objects of records, without what a flusher itself says.
fn records(text: &str) -> Vec<Value> {
    let objects = jsonl::parse(text.as_bytes());
    objects.into_iter().filter(|object| object["target"] != "lastwords").collect()
}

/// Identities with messages, in their order.
fn identities(objects: &[Value]) -> Vec<(String, String)> {
    let text = |object: &Value, name: &str| object[name].as_str().unwrap_or_else(|| panic!("{object}")).to_owned();
    objects.iter().map(|object| (text(object, "id"), text(object, "message"))).collect()
}

#[test]
fn a_record_has_one_identity_whoever_prints_it() {
    for format in ["json", "both"] {
        let scratch = Scratch::new("ids-same");
        let _ = die(
            "host",
            &scratch,
            format!("flusher=never format={format} level=0 samples threads:3:5 long:300000 kill"),
        );
        let ring = fs::read_dir(scratch.join("rings")).expect("rings").find_map(|entry| {
            entry.expect("listed").file_name().to_str()?.strip_suffix(".ring")?.rsplit('-').next().map(str::to_owned)
        });
        let of_ring = identities(&records(&printed(show(&scratch, &[])).out));
        let recovered = identities(&records(&tool_at("recover --json", &scratch).out));
        flush_once(&scratch);
        let of_file = identities(&records(&printed(show(&scratch, &[])).out));
        let written = identities(
            &jsonl::read(&scratch, "host").into_iter().filter(|o| o["target"] != "lastwords").collect::<Vec<_>>(),
        );
        assert!(of_ring.len() > 25, "{of_ring:?}");
        assert_eq!((&of_ring, &recovered), (&of_file, &written));
        assert_eq!(of_ring, recovered);
        let ring = ring.expect("a ring file");
        assert!(of_ring.iter().all(|(id, _)| id.starts_with(&format!("{ring}-"))), "{ring}: {of_ring:?}");
        let distinct: BTreeMap<_, _> = of_ring.iter().cloned().collect();
        assert_eq!(distinct.len(), of_ring.len(), "one each");
        for own in jsonl::read(&scratch, "host").iter().filter(|object| object["target"] == "lastwords") {
            assert_eq!(own["id"], Value::Null, "{own}");
        }
    }
}

#[test]
fn a_cursor_shows_a_json_record_once_though_it_came_from_a_ring_first() {
    for format in ["json", "both"] {
        let scratch = Scratch::new("ids-cursor");
        let (folder, cursor) = (scratch.join("logs"), scratch.join("cursor"));
        let look = || {
            let out = printed(show(&folder, &["--cursor-file", cursor.to_str().expect("UTF-8")])).out;
            records(&out).iter().map(|record| record["message"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
        };
        let mut actor = Actor::start(
            "host",
            &folder,
            format!("format={format} flusher=never log:3 line:up wait log:2 line:more wait"),
        )
        .until("up");
        assert_eq!(look(), ["line 0", "line 1", "line 2"]);
        actor.go_until("more");
        // Some that were shown are drained with some that were not, into a file of which nothing was shown.
        flush_once(&folder);
        assert_eq!(look(), ["line 3", "line 4"]);
        assert_eq!(look(), Vec::<String>::new());
        actor.kill();
        let _ = actor.end();
        let _ = die("host", &folder, format!("format={format} flusher=never log:2 kill"));
        assert_eq!(look(), ["line 0", "line 1"]);
        // The ring goes with its drain.
        flush_once(&folder);
        succeed("host", &folder, format!("format={format} log:1"));
        assert_eq!(look(), ["line 0"]);
        assert_eq!(look(), Vec::<String>::new());
    }
}

#[test]
fn a_cursor_shows_what_the_journal_holds_once() {
    for (format, log) in [("json", "host.jsonl"), ("both", "host.jsonl"), ("both", "host.log")] {
        let scratch = Scratch::new("ids-journal");
        let (folder, cursor) = (scratch.join("logs"), scratch.join("cursor"));
        let _ = die("host", &folder, format!("format={format} flusher=never log:50 kill"));
        let drainer = Drainer { since: "all", elsewhere: scratch.path().to_owned() };
        drainer.drain_until(&folder, KillAt::WithinWriteTo(log)).expect("a write");
        let look = || {
            let out = printed(show(&folder, &["--cursor-file", cursor.to_str().expect("UTF-8")])).out;
            identities(&records(&out)).len()
        };
        assert_eq!((look(), look()), (50, 0), "{format} {log}");
        flush_once(&folder);
        assert_eq!(look(), 0, "{format} {log}");
    }
}

#[test]
fn a_follower_shows_what_the_journal_holds_before_what_came_after_it_and_each_once() {
    let scratch = Scratch::new("ids-follow");
    let (folder, out) = (scratch.join("logs"), scratch.join("out"));
    let script = "format=json flusher=never log:50 line:up wait log:10 line:more wait";
    let mut actor = Actor::start("host", &folder, script).until("up");
    let drainer = Drainer { since: "all", elsewhere: scratch.path().to_owned() };
    drainer.drain_until(&folder, KillAt::WithinWriteTo("host.jsonl")).expect("a write");
    actor.go_until("more");
    // Old enough to be shown from the ring, before the follower has seen the journal's entry for long enough.
    std::thread::sleep(Duration::from_millis(1200));
    let mut command = show(&folder, &["-f"]);
    let mut child = command.stdout(File::create(&out).expect("made")).spawn().expect("started");
    let lines = || fs::read_to_string(&out).expect("UTF-8");
    let numbers =
        || -> Vec<String> { identities(&records(&lines())).into_iter().map(|(_, message)| message).collect() };
    wait_until("all records", || lines().ends_with('\n') && numbers().len() >= 60);
    flush_once(&folder);
    std::thread::sleep(Duration::from_millis(400));
    child.kill().expect("killed");
    let _ = child.wait();
    assert_eq!(numbers(), (0..60).map(|n| format!("line {n}")).collect::<Vec<_>>());
    actor.kill();
    let _ = actor.end();
}

#[test]
fn kills_at_any_moment_leave_each_identity_at_least_once_and_none_stands_for_two_records() {
    ["json", "both"].into_iter().for_each(kills);
}

fn kills(format: &str) {
    let scratch = Scratch::new("ids-kills");
    let (folder, cursor) = (scratch.join("logs"), scratch.join("cursor"));
    let mut random = Random::from_env("LASTWORDS_SHOW_SEED");
    let (mut logged, mut seen, mut printed_in_all) = (0, BTreeMap::<String, (u64, String)>::new(), 0);
    let mut take = |out: &[u8]| {
        let text = String::from_utf8_lossy(out);
        // The last line may be half.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        for record in records(whole) {
            let (id, said) = identities(std::slice::from_ref(&record)).remove(0);
            let record = (record["pid"].as_u64().expect("a pid"), said);
            let known = seen.entry(id).or_insert_with(|| record.clone());
            assert_eq!(*known, record, "one identity, two records");
            printed_in_all += 1;
        }
    };
    let with_cursor = || show(&folder, &["--cursor-file", cursor.to_str().expect("UTF-8")]);
    let drainer = Drainer { since: "all", elsewhere: scratch.path().to_owned() };
    for _ in 0..40 {
        let count = random.below(30);
        let _ = die("host", &folder, format!("format={format} flusher=never rotate=65536 keep=100 log:{count} kill"));
        logged += count;
        match random.below(4) {
            0 => flush_once(&folder),
            1 => drop(drainer.drain_until(&folder, KillAt::Before(random.below(150) as usize))),
            2 => drop(drainer.drain_until(&folder, KillAt::WithinWriteTo("host.jsonl"))),
            _ => {}
        }
        let mut child = with_cursor().stdout(Stdio::piped()).spawn().expect("started");
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        child.kill().expect("killed");
        take(&child.wait_with_output().expect("ended").stdout);
    }
    take(&with_cursor().output().expect("ended").stdout);
    let mut records = BTreeMap::<(u64, String), u32>::new();
    seen.values().for_each(|record| *records.entry(record.clone()).or_default() += 1);
    assert_eq!(seen.len() as u64, logged, "every record, and after removing repetitions once");
    assert!(records.values().all(|count| *count == 1), "pids are not used again so soon: {records:?}");
    println!("{logged} records, printed {printed_in_all} times");
}
