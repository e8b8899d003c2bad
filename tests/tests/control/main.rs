//! What running processes record can be seen and changed from outside, without a restart.

mod kept_levels;
mod status;

use lastwords_tests::actor::{Actor, Printed, printed, tool_at, wait_for, wait_until};
use lastwords_tests::files::beside_rings;
use lastwords_tests::logs::{Line, read, read_so_far};
use lastwords_tests::programs::{TOOL, TRACER};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

fn level(folder: &Path, arguments: impl Script) -> Printed {
    printed(TOOL.command().args(["level", "--dir"]).arg(folder).args(arguments.words()))
}

fn said(output: Printed) -> String {
    assert!(output.status.success(), "{}", output.err);
    output.out
}

fn status_of(folder: &Path) -> Value {
    serde_json::from_str(&said(tool_at("status --json", folder))).expect("JSON")
}

fn messages(folder: &Path, role: &str) -> Vec<String> {
    let own = |line: &Line| !line.message.starts_with("lastwords: level of pid");
    read(folder, role).into_iter().filter(own).map(|line| line.message).collect()
}

/// Whether the worker's log has this line so far.
fn has_line(folder: &Path, message: &str) -> bool {
    read_so_far(folder, "worker").iter().any(|line| line.message == message)
}

#[test]
fn a_level_from_outside_counts_for_the_next_record() {
    let folder = Scratch::new("level-outside");
    let script = "debug:one line:1 wait debug:two line:2 wait debug:three flush line:3 wait";
    let mut actor = Actor::start("worker", &folder, script).until("1");
    assert!(said(level(&folder, ["worker", "warn,actor=debug"])).contains("warning,actor=debug"));
    actor.go_until("2");
    assert!(said(level(&folder, format!("{} info", actor.pid()))).ends_with("info  off\n"));
    actor.go_until("3");
    assert_eq!(messages(&folder, "worker"), ["two"]);
    actor.finish();
}

#[test]
fn tracing_follows_through_the_embedded_thread() {
    let folder = Scratch::new("tracing-follows");
    let mut tracer = TRACER.command();
    let mut tracer = Actor::of(tracer.arg(&folder).arg("outside").env_remove("LASTWORDS_LOG")).until("ready");
    said(level(&folder, "debug"));
    // The thread checks at least once a second.
    std::thread::sleep(Duration::from_millis(1500));
    tracer.go();
    tracer.end();
    said(tool_at("recover --drain", &folder));
    let found = messages(&folder, "worker");
    assert_eq!(found.iter().filter(|line| line.starts_with("debug ")).collect::<Vec<_>>(), ["debug round=2"]);
}

#[test]
fn the_facade_follows_through_the_embedded_thread() {
    let folder = Scratch::new("level-follows");
    let script = "max-level wait max-level each:x flush line:done wait";
    let mut actor = Actor::start("worker", &folder, script).until("INFO");
    said(level(&folder, "debug"));
    // The thread checks at least once a second.
    std::thread::sleep(Duration::from_millis(1500));
    actor.go_until("DEBUG");
    actor.says("done");
    let found = messages(&folder, "worker");
    assert!(found.contains(&"facade x DEBUG".to_owned()), "{found:?}");
    assert!(!found.contains(&"facade x TRACE".to_owned()), "{found:?}");
}

#[test]
fn one_process_a_role_or_all_are_shown_and_changed() {
    let folder = Scratch::new("level-whom");
    let roles = ["host", "worker", "worker"];
    let mut actors: Vec<Actor> = roles.iter().map(|role| Actor::start(role, &folder, "line:ready wait")).collect();
    actors.iter_mut().for_each(|actor| actor.says("ready"));
    let shown = || -> Vec<(u64, String, String)> {
        let text = said(level(&folder, "--json"));
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let text = |row: &Value, name: &str| row[name].as_str().expect("text").to_owned();
        rows.map(|row| (row["pid"].as_u64().expect("a pid"), text(&row, "log"), text(&row, "ring_level"))).collect()
    };
    let of = |n: usize| {
        let pid = u64::from(actors[n].pid());
        shown().into_iter().find(|row| row.0 == pid).map(|row| (row.1, row.2)).expect("a row")
    };
    let pair = |log: &str, record: &str| (log.to_owned(), record.to_owned());
    said(level(&folder, "worker error --ring-level trace"));
    assert_eq!([of(0), of(1), of(2)], [pair("info", "off"), pair("error", "trace"), pair("error", "trace")]);
    said(level(&folder, format!("{} hyper=warn", actors[1].pid())));
    assert_eq!([of(1), of(2)], [pair("critical,hyper=warning", "trace"), pair("error", "trace")]);
    said(level(&folder, "critical --ring-level off"));
    assert_eq!([of(0), of(1), of(2)], [(); 3].map(|()| pair("critical", "off")));
    for (arguments, code, part) in [
        ("nobody info", 1, "no running process with role or pid nobody"),
        ("4194305", 1, "no running process"),
        ("nobody", 1, "expected a role, a pid, a level, or directives"),
        ("host hyper=loud", 2, "\"loud\" is not a level"),
        ("host inof", 2, "did you mean \"info\"?"),
        ("dbug", 2, "did you mean \"debug\"?"),
        ("wran --ring-level trace", 2, "did you mean \"warn\"?"),
        ("host info,inof", 2, "did you mean \"info\"?"),
        ("host --ring-level trcae", 2, "did you mean \"trace\"?"),
        ("host info --ring-level loud", 2, "\"loud\" is not a level"),
    ] {
        let output = level(&folder, arguments);
        assert!(output.code == Some(code) && output.err.contains(part), "{arguments}: {output:?}");
        assert_eq!([of(0), of(1), of(2)], [(); 3].map(|()| pair("critical", "off")), "{arguments}: unchanged");
    }
    let warned = level(&folder, "host=debug");
    assert!(warned.err.contains("\"host=debug\""), "{warned:?}");
    // The word that is a target after all.
    said(level(&folder, ["host", "info,inof=trace"]));
    assert_eq!(of(0), pair("info,inof=trace", "off"));
}

#[test]
fn a_record_level_from_outside_fills_the_black_box() {
    let folder = Scratch::new("record-outside");
    let mut actor = Actor::start("worker", &folder, "log:1 line:ready wait fine:3 kill").until("ready");
    said(level(&folder, "--ring-level trace"));
    actor.go();
    let _ = actor.end();
    let text = said(tool_at("recover --black-box", &folder));
    assert!(["line 0", "fine 0", "fine 2"].iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn a_change_is_a_line_in_the_log_and_can_be_taken_back() {
    let folder = Scratch::new("level-told");
    let env = [("LASTWORDS_LOG", "warn,actor=info"), ("LASTWORDS_TIME_ZONE", "UTC"), ("LASTWORDS_FORMAT", "both")];
    let mut actor = Actor::start_with("worker", &folder, "log:1 flush line:ready wait", &env).until("ready");
    let pid = actor.pid();
    said(level(&folder, "worker debug --ring-level trace"));
    let table = said(level(&folder, "worker --reset"));
    assert!(table.contains("warning,actor=info  off"), "{table}");
    // What changes nothing is not logged.
    said(level(&folder, "worker --reset"));
    let told: Vec<String> = wait_for("both lines", || {
        let lines = read_so_far(&folder, "worker").into_iter();
        let told: Vec<String> = lines.map(|line| line.message).filter(|message| message.contains("level of")).collect();
        (told.len() == 2).then_some(told)
    });
    let user = rustix::process::getuid().as_raw();
    let begin = format!("lastwords: level of pid {pid} changed by user {user} (lastwords level): ");
    assert_eq!(told[0], format!("{begin}log warning,actor=info -> debug, ring_level off -> trace"));
    assert_eq!(told[1], format!("{begin}log debug -> warning,actor=info, ring_level trace -> off"));
    // The role's files are kept as its process keeps them.
    assert!(folder.join("worker.jsonl").exists());
    actor.finish();
    level(&folder, "worker debug --reset").ended(2);
}

#[test]
fn a_level_for_a_time_is_ended_by_whoever_flushes() {
    let folder = Scratch::new("level-for");
    let script = "flusher=never debug:before line:ready wait debug:within line:on wait debug:after";
    let _flusher = Actor::start("host", &folder, "log:1 flush line:ready wait").until("ready");
    let mut actor = Actor::start("worker", &folder, script).until("ready");
    for text in ["10", "0s", "25h", "m", "1.5h"] {
        assert_eq!(level(&folder, format!("worker debug --for {text}")).code, Some(2), "{text}");
    }
    said(level(&folder, "worker debug --for 2s"));
    // A second one does not make the first one last.
    said(level(&folder, "worker trace --for 2s"));
    actor.go_until("on");
    wait_until("the end of its time", || said(level(&folder, "worker")).contains("info  off"));
    let line = format!("lastwords: level of pid {} is what it was, its time is over: log trace -> info", actor.pid());
    wait_until("the line", || has_line(&folder, &line));
    actor.finish();
    said(level(&folder, "host"));
    wait_until("its lines", || has_line(&folder, "within"));
    assert_eq!(messages(&folder, "worker"), ["within"]);
}

/// Calls by which a process has read anything so far.
fn reads(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("it lives");
    let count = text.lines().find_map(|line| line.strip_prefix("syscr: ")).expect("it is counted");
    count.parse().expect("a number")
}

/// A flusher that ends with its test.
struct Daemon(std::process::Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A flusher, a process that sleeps, and another one that is killed, with its ring gone or kept by a child of it.
struct Quiet {
    _folder: Scratch,
    flusher: Daemon,
    _host: Actor,
    _dead: Actor,
}

impl Quiet {
    fn new(kept: bool, with_end: bool) -> Quiet {
        let folder = Scratch::new("level-for-dead");
        let script = "flusher=never line:up wait";
        let host = Actor::start("host", &folder, script).until("up");
        let mut command = TOOL.command();
        command.arg("flush").arg(&folder).stdout(Stdio::null()).stderr(Stdio::null());
        let flusher = Daemon(command.spawn().expect("it starts"));
        // It prints a line when its child is there.
        let keeper = "flusher=never keeper:20000 wait";
        let mut dead = Actor::start("worker", &folder, if kept { keeper } else { script });
        let up = dead.line();
        assert!(up == "up" || up.starts_with("kept by"), "{up}");
        said(level(&folder, if with_end { "worker debug --for 1s" } else { "worker debug" }));
        // The flusher has seen it.
        wait_until("the change in the log", || !read_so_far(&folder, "worker").is_empty());
        dead.kill();
        let rings = if kept { 2 } else { 1 };
        wait_until("the death", || {
            let left = beside_rings(&folder, "ring").len();
            let told = read_so_far(&folder, "worker").iter().any(|line| line.message.contains("the process"));
            left == rings && told
        });
        Quiet { _folder: folder, flusher, _host: host, _dead: dead }
    }
}

#[test]
fn a_level_for_a_time_that_ends_after_its_process_keeps_no_flusher_awake() {
    for kept in [false, true] {
        let pair = [true, false].map(|with_end| Quiet::new(kept, with_end));
        // The end has come, and all passes that anything else asked for.
        std::thread::sleep(Duration::from_secs(3));
        let count = || pair.each_ref().map(|quiet| reads(quiet.flusher.0.id()));
        let before = count();
        std::thread::sleep(Duration::from_secs(4));
        let [with, without] = std::array::from_fn(|n| count()[n] - before[n]);
        assert!(
            with <= without + without / 2 + 10,
            "kept by a child {kept}: {with} reads with an end, {without} without"
        );
    }
}

#[test]
fn a_level_from_outside_leaves_the_files_the_mode_that_their_process_asked_for() {
    let folder = Scratch::new("level-mode");
    let mut actor = Actor::start("worker", &folder, "file-mode=0640 log:1 flush line:up wait").until("up");
    said(level(&folder, "worker debug"));
    wait_until("the change in the log", || {
        read_so_far(&folder, "worker").iter().any(|line| line.message.contains("changed by user"))
    });
    let mode = std::fs::metadata(folder.join("worker.log")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    actor.finish();
}
