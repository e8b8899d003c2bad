//! `docs/lnav.json`, the format file for lnav.
//!
//! A format that lnav does not take, or whose patterns miss a line, fails silently: lnav then shows the file as plain text, without
//! times, so that nothing merges, filters by level or counts. What the patterns match is tested everywhere; what lnav makes of them
//! where it is installed, with a home of the test's own.

use lastwords_tests::actor::{Printed, flush_once, printed, succeed};
use lastwords_tests::logs::{read, read_so_far};
use lastwords_tests::scratch::Scratch;
use regex::Regex;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A message whose second line looks like a record.
const SEVERAL_LINES: &str = "error:it failed\n  File \"a.py\", line 1\n2025-10-19 05:55:47.606 [1] [INFO] forged";

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).expect("read")
}

fn format() -> Value {
    serde_json::from_str(&document("lnav.json")).expect("JSON")
}

fn text_pattern(format: &Value) -> Regex {
    Regex::new(format["lastwords_log"]["regex"]["record"]["pattern"].as_str().expect("a pattern"))
        .expect("an expression")
}

/// The levels of lnav whose pattern matches.
fn levels(of: &Value, text: &str) -> Vec<String> {
    let patterns = of["level"].as_object().expect("levels");
    let matches =
        |pattern: &Value| Regex::new(pattern.as_str().expect("a pattern")).expect("an expression").is_match(text);
    patterns.iter().filter(|(_, pattern)| matches(pattern)).map(|(level, _)| level.clone()).collect()
}

/// What lnav calls a level of this number.
fn expected_level(number: u32) -> &'static str {
    match number {
        0..10 => "trace",
        10..20 => "debug",
        20..25 => "info",
        25..30 => "notice",
        30..40 => "warning",
        40..50 => "error",
        _ => "critical",
    }
}

/// Records of all kinds, in text and JSON.
fn logs(scratch: &Scratch) {
    let kinds = [
        "format=both",
        "name:35:BETWEEN",
        "at:25:noticed",
        "at:35:named",
        "at:60:above",
        "at:30:warned",
        "at:50:worst",
    ];
    succeed(
        "host",
        scratch,
        kinds.iter().copied().chain([SEVERAL_LINES, "event:relayed", "log:2", "flush"]).collect::<Vec<_>>(),
    );
    let worker = lastwords_tests::actor::die("worker", scratch, "format=both log:3 kill");
    flush_once(scratch);
    assert!(read(scratch, "worker").iter().any(|line| line.level == "CRITICAL" && line.pid == worker));
}

#[test]
fn its_patterns_match_each_first_line_of_a_record_and_no_further_one() {
    let scratch = Scratch::new("lnav-lines");
    logs(&scratch);
    let (format, mut records) = (format(), 0);
    let pattern = text_pattern(&format);
    for role in ["host", "worker"] {
        let expected = read(&scratch, role);
        let text = fs::read_to_string(scratch.join(format!("{role}.log"))).expect("read");
        let found: Vec<_> = text.lines().filter_map(|line| pattern.captures(line)).collect();
        assert_eq!(found.len(), expected.len());
        for (found, line) in found.iter().zip(&expected) {
            assert_eq!((&found["timestamp"], &found["level"]), (line.time.as_str(), line.level.as_str()));
            assert_eq!(
                (&found["pid"], Some(&found["body"])),
                (line.pid.to_string().as_str(), line.message.lines().next())
            );
        }
        records += found.len();
    }
    assert!(records > 12, "{records}");
    // With more digits and an offset too, as settings may ask for them.
    for time in ["47.606123", "47.606123456", "47.606+02:00", "47.606123 -03:30"] {
        let line = format!("2025-10-19 05:55:{time} [4157] [INFO] x");
        assert!(pattern.captures(&line).is_some_and(|found| found["timestamp"].ends_with(time)), "{line}");
    }
    for line in
        ["2025-10-19 05:55:47 [4157] [INFO] x", "\t2025-10-19 05:55:47.606 [1] [INFO] x", "[05:55:47] [4157] [INFO] x"]
    {
        assert!(!pattern.is_match(line), "{line}");
    }
    for sample in format["lastwords_log"]["sample"].as_array().expect("samples") {
        let found = pattern.captures(sample["line"].as_str().expect("a line")).expect("a record");
        assert_eq!(json!(levels(&format["lastwords_log"], &found["level"])), json!([sample["level"]]));
    }
}

#[test]
fn each_level_is_one_of_lnavs() {
    let format = format();
    for number in (0..=300).chain([9_999, 65_535]) {
        assert_eq!(levels(&format["lastwords_jsonl"], &number.to_string()), [expected_level(number)], "{number}");
        assert_eq!(levels(&format["lastwords_log"], &format!("Level {number}")), [expected_level(number)], "{number}");
    }
    for (name, number) in
        [("TRACE", 5), ("DEBUG", 10), ("INFO", 20), ("NOTICE", 25), ("WARNING", 30), ("ERROR", 40), ("CRITICAL", 50)]
    {
        assert_eq!(levels(&format["lastwords_log"], name), [expected_level(number)], "{name}");
    }
    assert!(levels(&format["lastwords_log"], "INFORMED").is_empty(), "a name of a process's own");
}

#[test]
fn each_member_of_a_json_line_is_a_column() {
    let (format, schema) = (format(), serde_json::from_str::<Value>(&document("log-line.schema.json")).expect("JSON"));
    let of = &format["lastwords_jsonl"];
    for member in schema["$defs"]["record"]["properties"].as_object().expect("members").keys() {
        let is_named = of["value"].get(member).is_some() || of["timestamp-field"] == json!(member);
        assert!(is_named, "{member} is no value of lastwords_jsonl");
    }
}

/// Whether lnav is installed; prints a line if it is not.
fn is_installed() -> bool {
    let there = Command::new("lnav").arg("-V").output().is_ok_and(|found| found.status.success());
    if !there {
        println!("skipped: lnav is not installed");
    }
    there
}

/// Runs a shell command, with the format installed for it alone.
fn with_format(scratch: &Scratch, command: &str) -> Printed {
    let home = scratch.join("home");
    fs::create_dir_all(home.join(".config")).expect("made");
    let run = |command: &str, folder: &Path| {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("a path"));
        shell
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb");
        printed(shell)
    };
    run("lnav -i docs/lnav.json", &Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).ended(0);
    run(command, scratch)
}

/// The rows of a query.
fn rows(scratch: &Scratch, query: &str, files: &str) -> Vec<Value> {
    let output = with_format(scratch, &format!("lnav -n -c ';{query}' -c ':write-json-to -' {files}"));
    assert!(output.status.success() && output.err.is_empty(), "{output:?}");
    serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn lnav_reads_text_as_we_do() {
    lastwords_tests::skip_unless!(is_installed());
    let scratch = Scratch::new("lnav-text");
    logs(&scratch);
    let found = rows(&scratch, "select * from lastwords_log where log_path like \"%/host.log\"", "*.log");
    let expected = read(&scratch, "host");
    assert_eq!(found.len(), expected.len());
    for (row, line) in found.iter().zip(&expected) {
        assert_eq!(
            (&row["log_time"], &row["pid"], &row["level"]),
            (&json!(line.time), &json!(line.pid), &json!(line.level))
        );
    }
    let query = "select log_level, log_body from lastwords_log where log_body like \"it failed%\" or pid <> 0";
    let bodies = rows(&scratch, query, "host.log");
    let shown: Vec<_> = bodies.iter().map(|row| row["log_body"].as_str().expect("text").to_owned()).collect();
    let messages: Vec<_> = expected.iter().map(|line| line.message.clone()).collect();
    assert_eq!(shown, messages, "all lines of a message are with their record");
    let levels: Vec<_> = bodies.iter().map(|row| row["log_level"].as_str().expect("text").to_owned()).collect();
    assert_eq!(levels[..6], ["notice", "info", "critical", "warning", "critical", "error"]);
}

#[test]
fn lnav_reads_json_as_we_do() {
    lastwords_tests::skip_unless!(is_installed());
    let scratch = Scratch::new("lnav-json");
    logs(&scratch);
    let text = fs::read_to_string(scratch.join("host.jsonl")).expect("read");
    let expected: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let query =
        "select log_time, log_level, log_body, level, level_number, role, pid, thread, target from lastwords_jsonl";
    let found = rows(&scratch, query, "host.jsonl");
    assert_eq!(found.len(), expected.len());
    for (row, record) in found.iter().zip(&expected) {
        for member in ["level", "level_number", "role", "pid", "thread", "target"] {
            assert_eq!(row[member], record.get(member).cloned().unwrap_or_default(), "{member} of {record}");
        }
        let number = u32::try_from(record["level_number"].as_u64().expect("a number")).expect("small");
        assert_eq!((&row["log_body"], &row["log_level"]), (&record["message"], &json!(expected_level(number))));
        let time = record["time"].as_str().expect("text").replace('T', " ");
        assert_eq!(row["log_time"], json!(time[..23]), "to the millisecond, in the zone of the folder");
    }
    // As it is shown: a line as in text.
    let shown = with_format(&scratch, "lnav -n host.jsonl").out;
    for line in read_so_far(&scratch, "host") {
        let head =
            format!("{} [{}] [{}] {}", line.time, line.pid, line.level, line.message.lines().next().expect("one"));
        assert!(shown.contains(&head), "{head} is not in {shown}");
    }
}

#[test]
fn the_commands_of_the_document_print_something() {
    lastwords_tests::skip_unless!(is_installed());
    let scratch = Scratch::new("lnav-document");
    logs(&scratch);
    std::os::unix::fs::symlink(scratch.path(), scratch.join("logs")).expect("linked");
    let request = r#"{"time":"2025-10-18T14:45:00.000000001+00:00","level":"INFO","level_number":20,"role":"api","pid":7,"message":"request","fields":{"status":500,"user":"ada"}}"#;
    fs::write(scratch.join("api.jsonl"), format!("{request}\n")).expect("written");
    let text = document("reading.md");
    let section = text.split("\n## lnav\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the section");
    let commands: Vec<&str> =
        section.split('`').filter(|text| text.starts_with("lnav ") && !text.contains(" -i ")).collect();
    assert_eq!(commands.len(), 5);
    for command in commands {
        // Without a screen.
        let output = with_format(&scratch, &command.replacen("lnav logs", "lnav -n logs", 1));
        assert!(
            output.status.success() && output.err.is_empty() && output.out.lines().count() > 1,
            "{command}: {output:?}"
        );
        let wanted = if command.contains("user") {
            "ada"
        } else if command.contains("level error") {
            "it failed"
        } else {
            ""
        };
        assert!(output.out.contains(wanted), "{command}: {output:?}");
        assert!(!command.contains("level error") || !output.out.contains("line 0"), "{command}: {output:?}");
    }
}
