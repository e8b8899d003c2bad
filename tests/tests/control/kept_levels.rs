//! Levels that are kept for the processes of a role that start later.

use super::{level, said};
use lastwords_tests::actor::{Actor, tool_at};
use lastwords_tests::logs::messages;
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;

fn told(folder: &Path, role: &str) -> Vec<String> {
    messages(folder, role).into_iter().filter(|message| message.starts_with("lastwords: ")).collect()
}

/// Lines of a process of this role that logs one at each of two levels, and flushes.
fn started(folder: &Path, role: &str, env: &[(&str, &str)]) -> u32 {
    let mut actor = Actor::start_with(role, folder, "debug:fine error:coarse flush", env);
    assert!(actor.end().success());
    actor.pid()
}

#[test]
fn a_kept_level_is_above_builder_and_environment_for_processes_that_start_later_until_it_is_reset() {
    let folder = Scratch::new("keep");
    let user = rustix::process::getuid().as_raw();
    let env = [("LASTWORDS_LOG", "error"), ("LASTWORDS_UTC", "true")];
    // Nothing has logged there, and no process of the role runs.
    let shown = said(level(&folder, "worker debug --keep"));
    assert_eq!(
        shown,
        format!(
            "worker: processes that start later begin with log debug (kept by user {user}, until `lastwords level worker --reset`)\n"
        )
    );
    assert_eq!(status_of_kept(&folder), [("worker".to_owned(), "debug".into(), Value::Null)]);
    let pid = started(&folder, "worker", &env);
    assert_eq!(messages_but_ours(&folder, "worker"), ["fine", "coarse"]);
    let line = format!(
        "lastwords: level of pid {pid} is what user {user} chose (lastwords level worker --keep): log error -> debug"
    );
    assert_eq!(told(&folder, "worker"), [line]);
    // Another role's processes begin as ever.
    let _ = started(&folder, "host", &env);
    assert_eq!(messages_but_ours(&folder, "host"), ["coarse"]);
    // What is not named stays as it is kept, and a level of the builder's own is overridden as well.
    said(level(&folder, "worker --ring-level trace --keep"));
    let mut actor = Actor::start("worker", &folder, "level=critical debug:built flush line:up wait").until("up");
    let table = said(level(&folder, "worker"));
    assert!(table.contains("debug  trace\n") && table.contains("log debug, ring_level trace"), "{table}");
    // A process that runs is changed with those that start later.
    said(level(&folder, "worker warn --keep"));
    assert!(said(level(&folder, "worker")).contains("warning  trace\n"));
    let table = said(level(&folder, "worker --reset"));
    assert!(table.contains("critical  off\n") && !table.contains("later"), "{table}");
    actor.finish();
    let _ = started(&folder, "worker", &env);
    let found = messages_but_ours(&folder, "worker");
    assert_eq!(found, ["fine", "coarse", "built", "coarse"]);
    let line = format!(
        "lastwords: processes of this role that start later begin as they are set up: user {user} took back log warning, ring_level trace (lastwords level --reset)"
    );
    assert!(told(&folder, "worker").contains(&line), "{:?}", told(&folder, "worker"));
    assert_eq!(status_of_kept(&folder), []);
    // There is nothing to take back any more, and no process to change.
    level(&folder, "worker --reset").ended(1);
}

fn messages_but_ours(folder: &Path, role: &str) -> Vec<String> {
    messages(folder, role).into_iter().filter(|message| !message.starts_with("lastwords: ")).collect()
}

fn status_of_kept(folder: &Path) -> Vec<(String, Value, Value)> {
    // Where no process is alive it ends with 1.
    let found: Value = serde_json::from_str(&tool_at("status --json", folder).out).expect("JSON");
    let rows = found["kept_levels"].as_array().expect("a list").iter();
    rows.map(|row| (row["role"].as_str().expect("text").to_owned(), row["log"].clone(), row["ring_level"].clone()))
        .collect()
}

#[test]
fn what_is_kept_for_a_role_that_runs_nowhere_is_told_in_the_files_that_it_has() {
    let folder = Scratch::new("keep-ended");
    let env = [("LASTWORDS_FORMAT", "json")];
    let _ = started(&folder, "worker", &env);
    said(level(&folder, "worker off --keep"));
    said(level(&folder, "worker --reset"));
    said(tool_at("flush --once", &folder));
    let text = std::fs::read_to_string(folder.join("worker.jsonl")).expect("there");
    assert!(!folder.join("worker.log").exists(), "a role without such a file gets none");
    for part in ["kept by user", "took back log off"] {
        assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
    }
}

#[test]
fn a_forked_child_begins_with_what_is_kept_and_says_so_even_where_all_is_off() {
    let folder = Scratch::new("keep-fork");
    let mut actor =
        Actor::start("worker", &folder, "error:parent flush line:up wait fork-log:1 error:after").until("up");
    said(level(&folder, "worker off --keep"));
    actor.finish();
    assert_eq!(messages_but_ours(&folder, "worker"), ["parent"]);
    let told = told(&folder, "worker");
    let is_chosen = |line: &&String| line.contains("is what user") && line.contains("log info -> off");
    assert_eq!(told.iter().filter(is_chosen).count(), 1, "{told:?}");
}

#[test]
fn what_cannot_be_kept_is_refused_with_the_reason() {
    let folder = Scratch::new("keep-refused");
    for (arguments, part) in [
        ("worker debug --keep --for 10m", "--for ends by itself"),
        ("worker --keep --reset", "--reset takes back"),
        ("worker --keep", "no level; expected a role and a level"),
        ("--ring-level trace --keep", "no role"),
        ("4157 debug --keep", "\"4157\" is not a role"),
        ("../x debug --keep", "is not a role"),
        ("worker inof --keep", "did you mean \"info\"?"),
        (&format!("worker {}=trace --keep", "a".repeat(1800)), "expected at most"),
    ] {
        let output = level(&folder, arguments);
        assert!(output.code == Some(2) && output.err.contains(part), "{arguments}: {output:?}");
    }
    assert_eq!(status_of_kept(&folder), []);
    let warned = level(&folder, ["worker", "info,worker=debug", "--keep"]);
    assert!(warned.err.contains("\"worker=debug\""), "{warned:?}");
}

#[test]
fn a_kept_level_that_cannot_be_read_is_an_error_and_nothing_is_lost() {
    let folder = Scratch::new("keep-hostile");
    said(level(&folder, "worker debug --keep"));
    let path = folder.join("rings/worker.level");
    let whole = std::fs::read_to_string(&path).expect("there");
    let hostile: [&[u8]; 6] = [
        b"",
        b"\x1b[2J\xff",
        whole.replace("level 1", "level 2").as_bytes().to_vec().leak(),
        whole.replace("debug", "trace").as_bytes().to_vec().leak(),
        &whole.as_bytes()[..whole.len() - 1],
        &[b'x'; 100_000],
    ];
    for bytes in hostile {
        std::fs::write(&path, bytes).expect("written");
        let name = String::from_utf8_lossy(&bytes[..bytes.len().min(30)]).into_owned();
        for (arguments, code) in [("worker info --keep", 2), ("worker", 3)] {
            let output = level(&folder, arguments);
            assert!(output.err.contains("worker.level") && !output.err.contains('\x1b'), "{name}: {output:?}");
            assert_eq!(output.code, Some(code), "{name}: {output:?}");
        }
        let output = tool_at("status", &folder);
        assert!(output.code == Some(3) && output.err.contains("worker.level"), "{name}: {output:?}");
        assert_eq!(std::fs::read(&path).expect("there"), bytes, "{name}: it stays as it is");
        let mut actor = Actor::heard("worker", &folder, "debug:no error:yes flush");
        let complaint = actor.errors();
        assert!(
            actor.end().success() && complaint.contains("does not apply") && !complaint.contains('\x1b'),
            "{name}: {complaint}"
        );
        assert_eq!(messages_but_ours(&folder, "worker").last().map(String::as_str), Some("yes"), "{name}");
        assert!(told(&folder, "worker").last().is_some_and(|line| line.contains("does not apply")), "{name}");
    }
    std::fs::remove_file(&path).expect("there");
    std::fs::create_dir(&path).expect("made");
    level(&folder, "worker info --keep").ended(2);
    // What cannot be read is kept for a look.
    let output = level(&folder, "worker --reset");
    assert!(output.status.success() && output.err.contains("worker.level.aside-"), "{output:?}");
    said(level(&folder, "worker debug --keep"));
}

#[test]
fn kept_levels_that_are_set_at_once_are_one_of_them_in_file_and_rings() {
    let folder = Scratch::new("keep-race");
    let script = "line:up wait";
    let _first = Actor::start("worker", &folder, script).until("up");
    for round in 0..12 {
        let changing = ["debug --ring-level trace", "warn --ring-level debug"].map(|change| {
            let mut command = TOOL.command();
            command.args(["level", "worker", "--keep", "--dir"]).arg(&folder).args(change.words());
            command.stdout(Stdio::null()).spawn().expect("it starts")
        });
        // Processes that start meanwhile.
        let mut starting: Vec<Actor> = (0..2).map(|_| Actor::start("worker", &folder, script)).collect();
        for mut child in changing {
            assert!(child.wait().expect("its end").success());
        }
        starting.iter_mut().for_each(|actor| actor.says("up"));
        let text = said(level(&folder, "worker --json"));
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let kept = rows.iter().find_map(|row| row.get("kept")).expect("it is kept");
        let of = |row: &Value| (row["log"].clone(), row["ring_level"].clone());
        let one_of = [("debug", "trace"), ("warning", "debug")].map(|(log, record)| (log.into(), record.into()));
        assert!(one_of.contains(&of(kept)), "{text}");
        let running: Vec<&Value> = rows.iter().filter(|row| row.get("kept").is_none()).collect();
        assert_eq!(running.len(), 3, "round {round}: {text}");
        assert!(running.iter().all(|row| of(row) == of(kept)), "round {round}: {text}");
    }
    // As many that start while it is taken back: all are as they were set up.
    let mut taking = TOOL.command();
    taking.args(["level", "worker", "--reset", "--dir"]).arg(&folder).stdout(Stdio::null());
    let mut taking = taking.spawn().expect("it starts");
    let mut starting: Vec<Actor> = (0..4).map(|_| Actor::start("worker", &folder, script)).collect();
    assert!(taking.wait().expect("its end").success());
    starting.iter_mut().for_each(|actor| actor.says("up"));
    let text = said(level(&folder, "worker --json"));
    assert!(text.lines().count() == 5 && text.lines().all(|line| line.contains("\"log\":\"info\"")), "{text}");
}
