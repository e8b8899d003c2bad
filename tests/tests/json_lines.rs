//! Guards against JSON that a program cannot read: a line that is not an object, a key that no schema knows, a number as a
//! string, a message that ends its line or the object early. Log shippers drop such lines, or stop at them, and nobody notices
//! before the lines are needed.
//!
//! So processes log what is hardest to show, are killed, lose records, and have their files rotated, and every line that
//! the flusher made of it, its own included, is held against `docs/log-line.schema.json`, and counted.

mod schema;

use lastwords::Format;
use lastwords_flusher::flusher::{Election, Flusher};
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::format::layout::lane_kind;
use lastwords_ring::format::placeholder::value_tag;
use lastwords_ring::format::record::extra_kind;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::write::body::BodyWriter;
use lastwords_ring::write::lane::{Message, Origin};
use lastwords_ring::write::ring::{Ring, RingSpec};
use lastwords_tests::actor::{Actor, run, succeed, tool_at};
use lastwords_tests::flushers::{Drainer, KillAt};
use lastwords_tests::programs::TRACER;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use lastwords_tests::{jsonl, logs};
use schema::{assert_valid, validator};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Messages that would end a line, an object or a string early, drive a terminal, or look like what they are not.
const HOSTILE: [&str; 7] = [
    "say:a\nb\r\nc\u{1b}[31m\u{7f}\u{9b}\u{1}\t",
    "say:\u{202e}\u{2066}\u{2028}\u{85}\u{61c}",
    "say:\"}\n{\"time\":\"2025-10-19T05:55:47.606123456+02:00\",\"level\":\"CRITICAL\",\"message\":\"forged\"}",
    "say:\\u0022 \\\\ \\xff {\"fields\":{}}",
    "say:größer 日本 🦀 \u{feff}\u{10ffff}",
    "say:2025-10-19 05:55:47.606 [1] [CRITICAL] forged",
    "say:",
];

fn drain(folder: &Path) {
    let folder = Folder::open(folder).expect("the folder");
    let Election::Won(mut flusher) = Flusher::elect(&folder, 0).expect("the election") else {
        panic!("another flusher runs");
    };
    flusher.drain_once().expect("the drain");
}

/// Messages of a front end in a ring of this process: every type of field, spans, and what no front end of ours writes.
fn log_fields(folder: &Path) {
    let geometry = Geometry::new(128, 512, 2, 1, 4096).expect("a geometry");
    let spec = RingSpec { format: Format::Json, ..RingSpec::new("front", geometry) };
    let ring = Ring::create(&Folder::create(folder).expect("the folder"), &spec).expect("a ring");
    let mut lane = ring.lane(0);
    lane.claim(lane_kind::WRITE, 7, "größer als 16 B".as_bytes());
    let mut span = b"\x07\0request".to_vec();
    span.extend_from_slice(b"\x05\0\0\0\x02\x02\0id");
    for tag in 0..20u8 {
        for value in [&[0xffu8; 16][..], &1.5f64.to_bits().to_le_bytes(), &[b'x'; 5], &[]] {
            let mut body = b"fields\xff".to_vec();
            let encoding = BodyWriter::after_text(&mut body)
                .extra(extra_kind::TARGET, b"front\xfeend")
                .extra(extra_kind::SPAN, &span)
                .extra(extra_kind::SPAN, b"\x01\0\"")
                .field("value", tag, value)
                .field("value", value_tag::STR, b"\"\n\xff")
                .field("", value_tag::BOOL, &1u64.to_le_bytes())
                .extra(extra_kind::CUT, &u64::MAX.to_le_bytes())
                .extra(77, b"of a later version")
                .finish();
            let origin = Origin { level: u16::from(tag) * 5, call_site: 0, thread: 7, encoding };
            lane.append(|| 1, &Message { origin, body: &body });
        }
    }
}

/// Numbers of the messages `line N` of this process.
fn numbers(objects: &[Value], pid: u32) -> Vec<usize> {
    let own = objects.iter().filter(|object| object["pid"] == pid);
    own.filter_map(|object| object["message"].as_str()?.strip_prefix("line ")?.parse().ok()).collect()
}

fn lost(objects: &[Value], pid: u32) -> usize {
    let own = objects.iter().filter(|object| object["pid"] == pid && object["target"] == "lastwords");
    let message = |object: &Value| object["message"].as_str().map(str::to_owned);
    let counted = own.filter_map(message).filter(|text| text.contains(" lost, "));
    counted.map(|text| text.split(' ').nth(1).expect("a count").parse::<usize>().expect("a number")).sum()
}

#[test]
fn every_line_of_a_run_with_kills_losses_and_rotations_is_as_the_schema_says_and_there_once() {
    let folder = &Scratch::new("json-lines");
    let script = |more: &str| format!("format=json level=0 rotate=16384 keep=100 {more}");
    log_fields(folder);
    let mut host = Actor::start("host", folder, script("samples log:500 flush line:up log:500 wait")).until("up");
    let hostile = script("threads:4:50 samples long:300000 log:300").words();
    let (worker, _) = run("worker", folder, [hostile, HOSTILE.map(str::to_owned).into(), "kill".words()].concat());
    host.kill();
    let overwriting = script("flusher=never policy=overwrite slots=64 log:1000 kill");
    let dropping = script("flusher=never policy=drop_newest backlog=0 slots=64 log:1000 exit");
    let [overwriting, dropping] = [overwriting, dropping].map(|script| run("worker", folder, script).0);
    drain(folder);

    let roles = ["host", "worker", "front"].map(|role| (role, jsonl::read(folder, role)));
    for (role, objects) in &roles {
        assert_valid(objects);
        assert!(objects.iter().all(|object| object["role"] == *role));
        assert!(!folder.join(format!("{role}.log")).exists(), "no text was asked for");
    }
    let [(_, host_lines), (_, worker_lines), (_, front)] = &roles;
    assert_eq!(numbers(host_lines, host.pid()), (0..1000).collect::<Vec<_>>());
    assert_eq!(numbers(worker_lines, worker), (0..300).collect::<Vec<_>>());
    for pid in [overwriting, dropping] {
        let found = numbers(worker_lines, pid);
        assert!(found.is_sorted_by(|a, b| a < b), "in order and once");
        assert!(found.len() < 1000 && found.len() + lost(worker_lines, pid) == 1000, "what is missing is logged");
    }
    let deaths = |objects: &[Value]| -> Vec<u64> {
        let own = objects.iter().filter(|object| object["level"] == "CRITICAL" && object["target"] == "lastwords");
        own.map(|object| object["pid"].as_u64().expect("a pid")).collect()
    };
    assert_eq!(deaths(host_lines), [u64::from(host.pid())]);
    assert_eq!(deaths(worker_lines), [worker, overwriting].map(u64::from));
    assert!(jsonl::files(folder, "worker").len() > 5, "files are rotated");
    assert_eq!(front.len(), 80);
    for (_, objects) in &roles {
        let ids: Vec<&Value> = objects.iter().map(|object| &object["id"]).filter(|id| !id.is_null()).collect();
        let of_records = objects.iter().filter(|object| object["thread"].is_u64()).count();
        assert_eq!(
            (ids.len(), ids.iter().map(|id| id.as_str()).collect::<BTreeSet<_>>().len()),
            (of_records, of_records)
        );
    }
    for text in HOSTILE {
        let text = text.strip_prefix("say:").expect("said");
        assert!(worker_lines.iter().any(|object| object["message"] == text), "{text:?}");
    }
    let raw: Vec<u8> = jsonl::files(folder, "worker").iter().flat_map(|path| fs::read(path).expect("read")).collect();
    let controls =
        |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{2066}' | '\u{2028}' | '\u{61c}');
    assert_eq!(String::from_utf8(raw).expect("UTF-8").find(controls), None, "a character that drives a terminal");
}

#[test]
fn the_fields_of_a_call_keep_their_types() {
    let scratch = Scratch::new("json-types");
    let (pid, _) = run("host", &scratch, "format=json level=0 samples");
    let objects = jsonl::read(&scratch, "host");
    let find = |message: &str| objects.iter().find(|object| object["message"] == message).expect(message);
    let expected = json!({"camera": 3, "name": "two words", "ratio": 0.5, "ok": true, "point": "Point { x: 1, y: -2 }", "http.method": "GET"});
    let object = find("fields");
    assert_eq!((&object["fields"], &object["pid"], &object["thread_name"]), (&expected, &json!(pid), &json!("main")));
    assert_eq!((&object["level"], &object["level_number"]), (&json!("INFO"), &json!(20)));
    assert!(object["file"].as_str().is_some_and(|file| file.ends_with("samples.rs")) && object["line"].is_u64());
    assert_eq!(object["target"], "lastwords_tests::samples");
    let custom = objects.iter().find(|object| object["level_number"] == 35).expect("a level of its own");
    assert_eq!(custom["level"], "Level 35");
    assert_eq!(find("not utf-8: \\xff")["target"], "bytes");
    assert_eq!(find("by the facade 1")["module"], "lastwords_tests::samples");
}

#[test]
fn what_comes_through_tracing_keeps_its_types_and_its_spans() {
    let scratch = Scratch::new("json-tracing");
    for scenario in ["fields", "spans", "within", "forwarded", "long", "places"] {
        let mut command = TRACER.command();
        command.arg(&scratch).arg(scenario).env("LASTWORDS_FORMAT", "json").env_remove("LASTWORDS_LOG");
        assert!(!command.status().expect("it starts").success(), "it kills itself");
        drain(&scratch);
    }
    let objects = jsonl::read(&scratch, "worker");
    assert_valid(&objects);
    let find = |message: &str| objects.iter().find(|object| object["message"] == message).expect(message);
    let (wide, deep) = (u128::MAX.to_string(), i128::MIN.to_string());
    let numbers = json!({"user": "ada", "n": 7, "below": -7, "wide": wide, "deep": deep});
    assert_eq!(find("numbers of ada")["fields"], numbers);
    let others = json!({"ratio": 0.5, "ok": true, "list": "[1, 2]", "shown": "1.5", "bytes": "\u{1}\u{2}"});
    assert_eq!(find("others")["fields"], others);
    let spans = objects.iter().filter_map(|object| object["spans"].as_array());
    let fields = spans.clone().flatten().filter(|span| span["fields"].is_object()).count();
    assert!(spans.clone().any(|spans| spans.len() > 1) && fields > 0, "spans within spans, and with fields");
}

#[test]
fn the_finer_records_before_an_error_are_in_both_forms() {
    let scratch = Scratch::new("json-pull");
    let script = "format=both rotate=4096 keep=100 context=40 fine:60 error:boom log:3";
    assert!(Actor::start_with("host", &scratch, script, &[("LASTWORDS_RING_LEVEL", "trace")]).end().success());
    let found = logs::read(&scratch, "host");
    assert_eq!(logs::count(&found, "fine "), 40);
    assert_eq!(jsonl::lines(&scratch, "host"), found);
    assert!(jsonl::files(&scratch, "host").len() > logs::files(&scratch, "host").len());
}

#[test]
fn text_and_json_of_one_role_say_the_same_and_are_rotated_each_at_its_size() {
    let scratch = Scratch::new("json-both");
    succeed("host", &scratch, "format=both rotate=8192 keep=100 log:2500");
    assert_eq!(logs::messages(&scratch, "host"), logs::numbered(2500));
    assert_eq!(jsonl::lines(&scratch, "host"), logs::read(&scratch, "host"));
    for files in [logs::files(&scratch, "host"), jsonl::files(&scratch, "host")] {
        let sizes: Vec<u64> = files.iter().map(|path| path.metadata().expect("there").len()).collect();
        assert!(sizes.len() > 10 && sizes.iter().all(|size| *size <= 8192), "{sizes:?}");
        let filled = sizes[..sizes.len() - 1].iter().all(|size| *size > 8192 - 400);
        assert!(filled, "before they are rotated: {sizes:?}");
    }
}

#[test]
fn the_format_of_the_newest_ring_counts_for_a_role() {
    let folder = &Scratch::new("json-switch");
    let mut first =
        Actor::start("host", folder, "log:2 flush line:text wait log:2 flush line:json wait log:2").until("text");
    let mut second = Actor::start("host", folder, "format=json say:second flush line:up wait").until("up");
    first.go_until("json");
    let mut third = Actor::start("host", folder, "format=both say:third flush line:up wait").until("up");
    first.go();
    assert!(first.end().success() && second.end().success() && third.end().success());
    let json: Vec<String> = jsonl::lines(folder, "host").into_iter().map(|line| line.message).collect();
    assert_eq!(logs::messages(folder, "host"), ["line 0", "line 1", "third", "line 4", "line 5"]);
    assert_eq!(json, ["second", "line 2", "line 3", "third", "line 4", "line 5"]);
}

#[test]
fn the_environment_names_the_format_and_a_wrong_one_is_refused() {
    let scratch = Scratch::new("json-env");
    let with = |format| Actor::start_with("host", &scratch, "log:1", &[("LASTWORDS_FORMAT", format)]);
    assert!(with("json").end().success());
    assert_eq!(jsonl::read(&scratch, "host").len(), 1);
    let mut refused = with("xml");
    assert!(refused.line().contains("\"xml\" found, expected text, json or both"));
    assert_eq!(refused.end().code(), Some(7));
}

#[test]
fn recover_prints_the_lines_that_the_file_gets() {
    let scratch = Scratch::new("json-recover");
    let _ = run("worker", &scratch, "flusher=never format=json level=0 samples log:3 kill");
    let printed = tool_at("recover --json", &scratch).out;
    assert_valid(&jsonl::parse(printed.as_bytes()));
    tool_at("recover --drain", &scratch).ended(0);
    let file = fs::read_to_string(scratch.join("worker.jsonl")).expect("written");
    // The flusher converts clocks between its own anchors, so the last digit of a time may differ.
    let after_time = |text: &str| -> Vec<String> {
        let records = text.lines().filter(|line| !line.contains("\"target\":\"lastwords\""));
        records.map(|line| line.split_once("\",\"level\":").expect("a time and a level").1.to_owned()).collect()
    };
    let lines = after_time(&file);
    assert_eq!(lines, after_time(&printed));
    assert!(lines.len() > 15, "{file}");
}

/// A folder whose flusher was killed in the middle of the first write to the log file of this name.
fn half_written(scratch: &Scratch, log: &'static str, setting: &str) -> PathBuf {
    let folder = scratch.join("logs");
    let _ = run("host", &folder, format!("{setting} flusher=never log:50 kill"));
    let drainer = Drainer { since: "all", elsewhere: scratch.path().to_owned() };
    drainer.drain_until(&folder, KillAt::WithinWriteTo(log)).expect("a write");
    folder
}

#[test]
fn recover_completes_what_a_killed_flusher_left_half_written() {
    let scratch = Scratch::new("json-journaled");
    let folder = half_written(&scratch, "host.jsonl", "format=both");
    let half = fs::read(folder.join("host.jsonl")).expect("half of it");
    let whole = half.iter().filter(|byte| **byte == b'\n').count();
    assert!(whole > 0 && whole < 50 && !half.ends_with(b"\n"), "killed within a line");
    let rest = jsonl::parse(tool_at("recover --json", &folder).out.as_bytes());
    assert_valid(&rest);
    let pid = rest[0]["pid"].as_u64().expect("a pid") as u32;
    assert_eq!(numbers(&rest, pid), (whole..50).collect::<Vec<_>>(), "from the first line on that is not whole");
    assert_eq!(tool_at("recover", &folder).out, "", "the text is in its file");
    drain(&folder);
    assert_eq!(jsonl::lines(&folder, "host"), logs::read(&folder, "host"));
}

#[test]
fn recover_shows_journaled_text_as_an_object_of_its_own() {
    let scratch = Scratch::new("json-journaled-text");
    let folder = half_written(&scratch, "host.log", "");
    let objects = jsonl::parse(tool_at("recover --json", &folder).out.as_bytes());
    assert_valid(&objects);
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert!(objects[0]["journaled"].as_str().is_some_and(|lines| lines.ends_with("line 49\n")), "{objects:?}");
    assert_eq!(objects[0]["role"], "host");
}

#[test]
fn a_line_that_somebody_left_half_and_a_file_that_is_none_spoil_no_object() {
    let folder = &Scratch::new("json-spoiled");
    fs::write(folder.join("host.jsonl"), "{\"half\":").expect("written");
    std::os::unix::fs::symlink("/dev/null", folder.join("worker.jsonl")).expect("linked");
    let _ = run("host", folder, "format=json log:2");
    let _ = run("worker", folder, "format=json log:2");
    let text = fs::read_to_string(folder.join("host.jsonl")).expect("written");
    let (half, rest) = text.split_once('\n').expect("lines");
    assert_eq!((half, jsonl::parse(rest.as_bytes()).len()), ("{\"half\":", 2));
    let objects = jsonl::read(folder, "worker");
    assert_valid(&objects);
    assert_eq!(objects.len(), 3);
    assert!(objects[0]["message"].as_str().is_some_and(|text| text.contains("worker.jsonl.aside-")), "{}", objects[0]);
}

#[test]
fn what_somebody_else_does_to_the_json_is_told_there_and_in_no_other_file() {
    let folder = &Scratch::new("json-removed");
    let mut actor = Actor::start("host", folder, "format=both log:3 flush line:up wait log:3").until("up");
    fs::remove_file(folder.join("host.jsonl")).expect("removed");
    actor.finish();
    let objects = jsonl::read(folder, "host");
    assert_valid(&objects);
    assert_eq!(objects[0]["target"], "lastwords");
    assert!(objects[0]["message"].as_str().is_some_and(|text| text.contains("was removed by somebody else")));
    assert_eq!(numbers(&objects, actor.pid()), [3, 4, 5]);
    assert_eq!(logs::messages(folder, "host"), logs::numbered(6));
}

/// The schema itself must refuse what a line must not be.
#[test]
fn the_schema_refuses_what_is_missing_unknown_or_of_another_type() {
    let validator = validator();
    let good = json!({"time": "2025-10-19T05:55:47.606123456+02:00", "level": "INFO", "level_number": 20, "role": "host", "pid": 1, "message": ""});
    assert!(validator.is_valid(&good));
    let wrong: BTreeMap<&str, Value> = BTreeMap::from([
        ("time", json!("2025-10-19 05:55:47.606")),
        ("level", json!("")),
        ("pid", json!("1")),
        ("message", Value::Null),
        ("fields", json!({})),
        ("spans", json!([{"fields": {"a": 1}}])),
        ("line", json!(0)),
        ("thread", json!(1)),
        ("id", json!("00010203040506070809aaabacadaeff-3-1")),
        ("unknown", json!(1)),
        ("journaled", json!("")),
    ]);
    for (key, value) in wrong {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(!validator.is_valid(&bad), "{bad}");
    }
    for key in ["time", "level", "level_number", "role", "pid", "message"] {
        let mut bad = good.clone();
        bad.as_object_mut().expect("an object").remove(key);
        assert!(!validator.is_valid(&bad), "{bad}");
    }
}
