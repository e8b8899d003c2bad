//! What running processes record can be seen and changed from outside, without a restart.

use lastwords_tests::actor::{Actor, tool, wait_for};
use lastwords_tests::logs::{Line, read, read_so_far};
use lastwords_tests::scratch::Scratch;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

fn level(folder: &Path, arguments: &[&str]) -> Output {
    let folder = folder.to_string_lossy();
    tool(TOOL, &[&["level", "--dir", &folder], arguments].concat())
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn status(folder: &Path) -> Value {
    let output = tool(TOOL, &["status", "--json", &folder.to_string_lossy()]);
    serde_json::from_str(&said(&output)).expect("JSON")
}

fn messages(folder: &Path, role: &str) -> Vec<String> {
    let own = |line: &Line| !line.message.starts_with("lastwords: level of pid");
    read(folder, role).into_iter().filter(own).map(|line| line.message).collect()
}

#[test]
fn a_level_from_outside_counts_for_the_next_record() {
    let folder = Scratch::new("level-outside");
    let script =
        ["debug:one", "line:1", "wait", "debug:two", "line:2", "wait", "debug:three", "flush", "line:3", "wait"];
    let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script);
    assert_eq!(actor.line(), "1");
    assert!(said(&level(folder.path(), &["worker", "warn,actor=debug"])).contains("warning,actor=debug"));
    actor.go();
    assert_eq!(actor.line(), "2");
    assert!(said(&level(folder.path(), &[&actor.pid().to_string(), "info"])).ends_with("info  off\n"));
    actor.go();
    assert_eq!(actor.line(), "3");
    assert_eq!(messages(folder.path(), "worker"), ["two"]);
    actor.go();
    assert!(actor.end().success());
}

#[test]
fn tracing_follows_through_the_embedded_thread() {
    let folder = Scratch::new("tracing-follows");
    let mut tracer = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .arg(folder.path())
        .arg("outside")
        .env_remove("LASTWORDS_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(tracer.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    said(&level(folder.path(), &["debug"]));
    // The thread looks at least once a second.
    std::thread::sleep(Duration::from_millis(1500));
    tracer.stdin.take().expect("piped").write_all(b"\n").expect("it listens");
    tracer.wait().expect("its end");
    said(&tool(TOOL, &["recover", "--drain", &folder.path().to_string_lossy()]));
    let found = messages(folder.path(), "worker");
    assert_eq!(found.iter().filter(|line| line.starts_with("debug ")).collect::<Vec<_>>(), ["debug round=2"]);
}

#[test]
fn the_facade_follows_through_the_embedded_thread() {
    let folder = Scratch::new("level-follows");
    let script = ["max-level", "wait", "max-level", "each:x", "flush", "line:done", "wait"];
    let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script);
    assert_eq!(actor.line(), "INFO");
    said(&level(folder.path(), &["debug"]));
    // The thread looks at least once a second.
    std::thread::sleep(Duration::from_millis(1500));
    actor.go();
    assert_eq!(actor.line(), "DEBUG");
    assert_eq!(actor.line(), "done");
    let found = messages(folder.path(), "worker");
    assert!(found.contains(&"facade x DEBUG".to_owned()), "{found:?}");
    assert!(!found.contains(&"facade x TRACE".to_owned()), "{found:?}");
}

#[test]
fn one_process_a_role_or_all_are_shown_and_changed() {
    let folder = Scratch::new("level-whom");
    let roles = ["host", "worker", "worker"];
    let mut actors: Vec<Actor> =
        roles.iter().map(|role| Actor::start(ACTOR, role, folder.path(), &["line:ready", "wait"])).collect();
    actors.iter_mut().for_each(|actor| assert_eq!(actor.line(), "ready"));
    let shown = || -> Vec<(u64, String, String)> {
        let text = said(&level(folder.path(), &["--json"]));
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let text = |row: &Value, name: &str| row[name].as_str().expect("text").to_owned();
        rows.map(|row| (row["pid"].as_u64().expect("a pid"), text(&row, "log"), text(&row, "record"))).collect()
    };
    let of = |n: usize| {
        let pid = u64::from(actors[n].pid());
        shown().into_iter().find(|row| row.0 == pid).map(|row| (row.1, row.2)).expect("a row")
    };
    let pair = |log: &str, record: &str| (log.to_owned(), record.to_owned());
    said(&level(folder.path(), &["worker", "error", "--record", "trace"]));
    assert_eq!([of(0), of(1), of(2)], [pair("info", "off"), pair("error", "trace"), pair("error", "trace")]);
    said(&level(folder.path(), &[&actors[1].pid().to_string(), "hyper=warn"]));
    assert_eq!([of(1), of(2)], [pair("critical,hyper=warning", "trace"), pair("error", "trace")]);
    said(&level(folder.path(), &["critical", "--record", "off"]));
    assert_eq!([of(0), of(1), of(2)], [(); 3].map(|()| pair("critical", "off")));
    for (arguments, code, part) in [
        (&["nobody", "info"][..], 1, "no running process with role or pid nobody"),
        (&["4194305"], 1, "no running process"),
        (&["nobody"], 1, "expected a role, a pid, a level, or directives"),
        (&["host", "hyper=loud"], 2, "\"loud\" is no level"),
        (&["host", "inof"], 2, "did you mean \"info\"?"),
        (&["dbug"], 2, "did you mean \"debug\"?"),
        (&["wran", "--record", "trace"], 2, "did you mean \"warn\"?"),
        (&["host", "info,inof"], 2, "did you mean \"info\"?"),
        (&["host", "--record", "trcae"], 2, "did you mean \"trace\"?"),
        (&["host", "info", "--record", "loud"], 2, "\"loud\" is no level"),
    ] {
        let output = level(folder.path(), arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && error.contains(part), "{arguments:?}: {error}");
        assert_eq!([of(0), of(1), of(2)], [(); 3].map(|()| pair("critical", "off")), "{arguments:?}: unchanged");
    }
    let warned = level(folder.path(), &["host=debug"]);
    assert!(String::from_utf8_lossy(&warned.stderr).contains("\"host=debug\""), "{warned:?}");
    // The word that is a target after all.
    said(&level(folder.path(), &["host", "info,inof=trace"]));
    assert_eq!(of(0), pair("info,inof=trace", "off"));
}

#[test]
fn a_record_level_from_outside_fills_the_black_box() {
    let folder = Scratch::new("record-outside");
    let mut actor = Actor::start(ACTOR, "worker", folder.path(), &["log:1", "line:ready", "wait", "fine:3", "kill"]);
    assert_eq!(actor.line(), "ready");
    said(&level(folder.path(), &["--record", "trace"]));
    actor.go();
    let _ = actor.end();
    let output = tool(TOOL, &["recover", "--black-box", &folder.path().to_string_lossy()]);
    let text = said(&output);
    assert!(["line 0", "fine 0", "fine 2"].iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn status_shows_every_ring_and_who_flushes() {
    let folder = Scratch::new("status");
    let dead = ["flusher=never", "slots=64", "policy=drop_newest", "backlog=0", "log:100", "kill"];
    let _ = Actor::start(ACTOR, "dead", folder.path(), &dead).end();
    let found = status(folder.path());
    assert_eq!(found["flusher"], Value::Null);
    let ring = &found["rings"][0];
    assert_eq!(
        (&ring["role"], &ring["alive"], &ring["records"], &ring["lost"]),
        (&"dead".into(), &false.into(), &64.into(), &36.into())
    );
    assert_eq!((&ring["unread"], &ring["command"][1]), (&64.into(), &"dead".into()), "{ring}");
    let started = ring["started"].as_str().expect("text");
    assert!(started.starts_with("20") && started.ends_with('Z') && started.contains('T'), "{started}");
    assert_eq!((&ring["state"], &ring["fill"]), (&"died without closing".into(), &1.0.into()));
    assert!(ring["lag_ms"].as_f64().expect("a number") > 0.0, "{ring}");
    let script = ["log:10", "flush", "line:ready", "wait"];
    let mut actor = Actor::start_with(ACTOR, "worker", folder.path(), &script, &[("LASTWORDS_RECORD", "debug")]);
    assert_eq!(actor.line(), "ready");
    let found = wait_for("the dead ring's removal", || {
        Some(status(folder.path())).filter(|found| found["rings"].as_array().is_some_and(|rings| rings.len() == 1))
    });
    assert_eq!(found["flusher"]["pid"], actor.pid());
    let ring = &found["rings"][0];
    assert_eq!((&ring["pid"], &ring["state"], &ring["records"]), (&actor.pid().into(), &"alive".into(), &10.into()));
    assert_eq!((&ring["fill"], &ring["lag_ms"], &ring["record"]), (&0.0.into(), &0.0.into(), &"debug".into()));
    let table = said(&tool(TOOL, &["status", &folder.path().to_string_lossy()]));
    assert!(table.contains(&format!("flusher: pid {}", actor.pid())) && table.contains("ROLE    PID"), "{table}");
    let empty = Scratch::new("status-empty");
    std::fs::create_dir_all(empty.path()).expect("a folder");
    assert_eq!(tool(TOOL, &["status", &empty.path().to_string_lossy()]).status.code(), Some(1));
    std::fs::create_dir_all(empty.path().join("rings")).expect("a folder");
    std::fs::write(empty.path().join("rings/worker-1-00.ring"), "no ring").expect("written");
    let output = tool(TOOL, &["status", &empty.path().to_string_lossy()]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_change_is_a_line_in_the_log_and_can_be_taken_back() {
    let folder = Scratch::new("level-told");
    let env = [("LASTWORDS_LOG", "warn,actor=info"), ("LASTWORDS_TIME_ZONE", "UTC"), ("LASTWORDS_FORMAT", "both")];
    let mut actor = Actor::start_with(ACTOR, "worker", folder.path(), &["log:1", "flush", "line:ready", "wait"], &env);
    assert_eq!(actor.line(), "ready");
    let pid = actor.pid();
    said(&level(folder.path(), &["worker", "debug", "--record", "trace"]));
    let table = said(&level(folder.path(), &["worker", "--reset"]));
    assert!(table.contains("warning,actor=info  off"), "{table}");
    // What changes nothing is no line.
    said(&level(folder.path(), &["worker", "--reset"]));
    let told: Vec<String> = wait_for("both lines", || {
        let lines = lastwords_tests::logs::read_so_far(folder.path(), "worker").into_iter();
        let told: Vec<String> = lines.map(|line| line.message).filter(|message| message.contains("level of")).collect();
        (told.len() == 2).then_some(told)
    });
    let user = rustix::process::getuid().as_raw();
    let begin = format!("lastwords: level of pid {pid} changed by user {user} (lastwords level): ");
    assert_eq!(told[0], format!("{begin}log warning,actor=info -> debug, record off -> trace"));
    assert_eq!(told[1], format!("{begin}log debug -> warning,actor=info, record trace -> off"));
    // The role's files are kept as its process keeps them.
    assert!(folder.path().join("worker.jsonl").exists());
    actor.go();
    assert!(actor.end().success());
    let conflict = level(folder.path(), &["worker", "debug", "--reset"]);
    assert_eq!(conflict.status.code(), Some(2));
}

#[test]
fn a_level_for_a_time_is_ended_by_whoever_flushes() {
    let folder = Scratch::new("level-for");
    let script =
        ["flusher=never", "debug:before", "line:ready", "wait", "debug:within", "line:on", "wait", "debug:after"];
    let mut flusher = Actor::start(ACTOR, "host", folder.path(), &["log:1", "flush", "line:ready", "wait"]);
    assert_eq!(flusher.line(), "ready");
    let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script);
    assert_eq!(actor.line(), "ready");
    for text in ["10", "0s", "25h", "m", "1.5h"] {
        assert_eq!(level(folder.path(), &["worker", "debug", "--for", text]).status.code(), Some(2), "{text}");
    }
    said(&level(folder.path(), &["worker", "debug", "--for", "2s"]));
    // A second one does not make the first one last.
    said(&level(folder.path(), &["worker", "trace", "--for", "2s"]));
    actor.go();
    assert_eq!(actor.line(), "on");
    wait_for("the end of its time", || said(&level(folder.path(), &["worker"])).contains("info  off").then_some(()));
    let line = format!("lastwords: level of pid {} is what it was, its time is over: log trace -> info", actor.pid());
    wait_for("the line", || {
        let lines = lastwords_tests::logs::read_so_far(folder.path(), "worker");
        lines.iter().any(|found| found.message == line).then_some(())
    });
    actor.go();
    assert!(actor.end().success());
    said(&tool(TOOL, &["level", "--dir", &folder.path().to_string_lossy(), "host"]));
    wait_for("its lines", || {
        let lines = lastwords_tests::logs::read_so_far(folder.path(), "worker");
        lines.iter().any(|found| found.message == "within").then_some(())
    });
    assert_eq!(messages(folder.path(), "worker"), ["within"]);
}

#[test]
fn a_level_from_outside_leaves_the_files_the_mode_that_their_process_asked_for() {
    let folder = Scratch::new("level-mode");
    let mut actor =
        Actor::start(ACTOR, "worker", folder.path(), &["file-mode=0640", "log:1", "flush", "line:up", "wait"]);
    assert_eq!(actor.line(), "up");
    let output = tool(TOOL, &["level", "--dir", &folder.path().to_string_lossy(), "worker", "debug"]);
    assert!(output.status.success(), "{output:?}");
    wait_for("the change in the log", || {
        read_so_far(folder.path(), "worker").iter().any(|line| line.message.contains("changed by user")).then_some(())
    });
    let mode = std::fs::metadata(folder.path().join("worker.log")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    actor.go();
    assert!(actor.end().success());
}
