//! What running processes record can be seen and changed from outside, without a restart.

use lastwords_tests::actor::{Actor, tool, wait_for};
use lastwords_tests::logs::{Line, read, read_so_far};
use lastwords_tests::namespaces::unshare;
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
    let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script).until("1");
    assert!(said(&level(folder.path(), &["worker", "warn,actor=debug"])).contains("warning,actor=debug"));
    actor.go_until("2");
    assert!(said(&level(folder.path(), &[&actor.pid().to_string(), "info"])).ends_with("info  off\n"));
    actor.go_until("3");
    assert_eq!(messages(folder.path(), "worker"), ["two"]);
    actor.finish();
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
    let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script).until("INFO");
    said(&level(folder.path(), &["debug"]));
    // The thread looks at least once a second.
    std::thread::sleep(Duration::from_millis(1500));
    actor.go_until("DEBUG");
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
    let mut actor =
        Actor::start(ACTOR, "worker", folder.path(), &["log:1", "line:ready", "wait", "fine:3", "kill"]).until("ready");
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
    let mut actor =
        Actor::start_with(ACTOR, "worker", folder.path(), &script, &[("LASTWORDS_RECORD", "debug")]).until("ready");
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
fn losses_are_shown_while_they_happen() {
    for (script, lost, unread) in [
        (&["policy=overwrite", "backlog=0"][..], 4936, 64),
        (&["policy=drop_newest", "backlog=0"], 4936, 64),
        (&["policy=block", "backlog=0"], 4936, 64),
        // 64 slots more are kept on disk, and then the oldest give way.
        (&["policy=block", "backlog=8192"], 4872, 128),
        (&["policy=block", "backlog=67108864"], 0, 5000),
    ] {
        let folder = Scratch::new("losses");
        let script = [&["flusher=never", "slots=64"], script, &["log:5000", "line:on", "wait", "kill"]].concat();
        let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script).until("on");
        let shown = |what: &str| {
            let ring = &status(folder.path())["rings"][0];
            assert_eq!(
                (ring["lost"].as_u64(), ring["unread"].as_u64()),
                (Some(lost), Some(unread)),
                "{what}: {script:?}"
            );
        };
        shown("while it runs");
        actor.go();
        let _ = actor.end();
        shown("after its end");
    }
}

#[test]
fn a_watch_looks_every_second_until_nobody_reads_it() {
    let folder = Scratch::new("watch");
    let mut actor =
        Actor::start(ACTOR, "worker", folder.path(), &["log:3", "line:up", "wait", "log:4", "line:on", "wait"]);
    assert_eq!(actor.line(), "up");
    let mut watch = Command::new(TOOL)
        .args(["status", "--watch", "--json"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut looks = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let mut records = || -> u64 {
        let look: Value = serde_json::from_str(&looks.next().expect("a look").expect("text")).expect("JSON");
        look["rings"][0]["records"].as_u64().expect("a number")
    };
    assert_eq!(records(), 3);
    actor.go_until("on");
    wait_for("the next look", || (records() == 7).then_some(()));
    drop(looks);
    assert!(wait_for("its end", || watch.try_wait().expect("its own child")).success());
}

/// A cgroup that is removed when its processes have ended.
struct Group(std::path::PathBuf);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn status_shows_the_service_or_container_of_each_process() {
    let folder = Scratch::new("cgroup");
    let (own, all) = (Path::new("/sys/fs/cgroup/unified"), Path::new("/sys/fs/cgroup"));
    let name = "lastwords-test-\u{9b}2J-and-a-name-that-is-longer-than-the-rest-of-what-anybody-would-call-a-service-of-theirs.service";
    let group = Group(if own.exists() { own } else { all }.join(name));
    let mut actor = Actor::start(ACTOR, "worker", folder.path(), &["line:up", "wait", "kill"]).until("up");
    let longest = |text: &str| {
        text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).max_by_key(|path| path.len()).map(str::to_owned)
    };
    let path = std::fs::read_to_string(format!("/proc/{}/cgroup", actor.pid())).ok().and_then(|text| longest(&text));
    let of = |role: &str| {
        let found = status(folder.path());
        let ring = found["rings"].as_array().expect("a list").iter().find(|ring| ring["role"] == role).cloned();
        ring.expect("its ring")
    };
    let shown = || of("worker")["cgroup"].clone();
    assert_eq!(shown(), path.clone().map_or(Value::Null, Value::String));
    // Of a process in another pid namespace, whose pid here is another one.
    let actor_there = format!("exec {ACTOR} there {} line:up wait", folder.path().display());
    if let Some(mut command) = unshare(&["-pf"], "true", &actor_there) {
        let mut there = Actor::of(&mut command).until("up");
        let ring = of("there");
        assert_eq!((&ring["pid"], &ring["cgroup"]), (&1.into(), &path.clone().map_or(Value::Null, Value::String)));
        there.finish();
    }
    // One with a name that would drive a terminal, where cgroups can be made.
    match std::fs::create_dir(&group.0)
        .and_then(|()| std::fs::write(group.0.join("cgroup.procs"), actor.pid().to_string()))
    {
        Err(error) => println!("skipped in part: no cgroup can be made here: {error}"),
        Ok(()) => {
            let table = tool(TOOL, &["status", &folder.path().to_string_lossy()]).stdout;
            let (table, whole) = (String::from_utf8_lossy(&table).into_owned(), shown());
            assert!(table.contains("  lastwords-test-\\u{9b}2J-…  "), "{table}");
            assert!(!table.contains('\u{9b}') && whole.as_str().is_some_and(|path| path.ends_with(name)), "{whole}");
            assert!(
                !String::from_utf8_lossy(&tool(TOOL, &["status", "--json", &folder.path().to_string_lossy()]).stdout)
                    .contains('\u{9b}')
            );
        }
    }
    actor.go();
    let _ = actor.end();
    assert_eq!(shown(), Value::Null, "of a process that has ended nobody knows");
}

#[test]
fn a_change_is_a_line_in_the_log_and_can_be_taken_back() {
    let folder = Scratch::new("level-told");
    let env = [("LASTWORDS_LOG", "warn,actor=info"), ("LASTWORDS_TIME_ZONE", "UTC"), ("LASTWORDS_FORMAT", "both")];
    let mut actor = Actor::start_with(ACTOR, "worker", folder.path(), &["log:1", "flush", "line:ready", "wait"], &env)
        .until("ready");
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
    actor.finish();
    let conflict = level(folder.path(), &["worker", "debug", "--reset"]);
    assert_eq!(conflict.status.code(), Some(2));
}

#[test]
fn a_level_for_a_time_is_ended_by_whoever_flushes() {
    let folder = Scratch::new("level-for");
    let script =
        ["flusher=never", "debug:before", "line:ready", "wait", "debug:within", "line:on", "wait", "debug:after"];
    let mut flusher =
        Actor::start(ACTOR, "host", folder.path(), &["log:1", "flush", "line:ready", "wait"]).until("ready");
    let mut actor = Actor::start(ACTOR, "worker", folder.path(), &script).until("ready");
    for text in ["10", "0s", "25h", "m", "1.5h"] {
        assert_eq!(level(folder.path(), &["worker", "debug", "--for", text]).status.code(), Some(2), "{text}");
    }
    said(&level(folder.path(), &["worker", "debug", "--for", "2s"]));
    // A second one does not make the first one last.
    said(&level(folder.path(), &["worker", "trace", "--for", "2s"]));
    actor.go_until("on");
    wait_for("the end of its time", || said(&level(folder.path(), &["worker"])).contains("info  off").then_some(()));
    let line = format!("lastwords: level of pid {} is what it was, its time is over: log trace -> info", actor.pid());
    wait_for("the line", || {
        let lines = lastwords_tests::logs::read_so_far(folder.path(), "worker");
        lines.iter().any(|found| found.message == line).then_some(())
    });
    actor.finish();
    said(&tool(TOOL, &["level", "--dir", &folder.path().to_string_lossy(), "host"]));
    wait_for("its lines", || {
        let lines = lastwords_tests::logs::read_so_far(folder.path(), "worker");
        lines.iter().any(|found| found.message == "within").then_some(())
    });
    assert_eq!(messages(folder.path(), "worker"), ["within"]);
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
        let script = ["flusher=never", "line:up", "wait"];
        let mut host = Actor::start(ACTOR, "host", folder.path(), &script).until("up");
        let mut command = Command::new(TOOL);
        command.arg("flush").arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let flusher = Daemon(command.spawn().expect("it starts"));
        // It prints a line when its child is there.
        let keeper = ["flusher=never", "keeper:20000", "wait"];
        let mut dead = Actor::start(ACTOR, "worker", folder.path(), if kept { &keeper } else { &script });
        let up = dead.line();
        assert!(up == "up" || up.starts_with("kept by"), "{up}");
        let time: &[&str] = if with_end { &["--for", "1s"] } else { &[] };
        said(&level(folder.path(), &[&["worker", "debug"], time].concat()));
        // The flusher has seen it.
        wait_for("the change in the log", || (!read_so_far(folder.path(), "worker").is_empty()).then_some(()));
        dead.kill();
        let rings = if kept { 2 } else { 1 };
        wait_for("the death", || {
            let left = std::fs::read_dir(folder.path().join("rings")).expect("there").flatten();
            let left = left.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "ring")).count();
            let told = read_so_far(folder.path(), "worker").iter().any(|line| line.message.contains("the process"));
            (left == rings && told).then_some(())
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
    actor.finish();
}

fn unmatched(folder: &Path) -> Vec<String> {
    let found = status(folder);
    let list = found["rings"][0]["unmatched"].as_array().expect("a list").iter();
    list.map(|directive| directive.as_str().expect("text").to_owned()).collect()
}

#[test]
fn directives_that_have_matched_nothing_yet_are_marked() {
    let folder = Scratch::new("unmatched");
    let env = [("LASTWORDS_LOG", "info,actor=debug,hypre=debug,noisy=off,\u{202e}x=debug")];
    let script = ["line:up", "wait", "each:a", "line:on", "wait", "each:b", "line:on", "wait", "kill"];
    let mut actor = Actor::start_with(ACTOR, "worker", folder.path(), &script, &env).until("up");
    assert_eq!(unmatched(folder.path()), ["actor=debug", "hypre=debug", "noisy=off", "\u{202e}x=debug"]);
    actor.go_until("on");
    // One that turns everything off has matched as well.
    assert_eq!(unmatched(folder.path()), ["hypre=debug", "\u{202e}x=debug"]);
    let table = said(&tool(TOOL, &["status", &folder.path().to_string_lossy()]));
    let line = format!(
        "nothing of pid {} has matched hypre=debug,\\u{{202e}}x=debug so far: no call had such a target\n",
        actor.pid()
    );
    assert!(table.contains(&line), "{table}");
    // Of another filter nothing is known but the targets of what was recorded.
    said(&level(folder.path(), &["worker", "info,actor=trace,noisy=error,noisy::inner::x=off,bytes=error,zzz=1"]));
    assert_eq!(unmatched(folder.path()), ["bytes=error", "noisy::inner::x=off", "noisy=error", "zzz=1"]);
    actor.go_until("on");
    assert_eq!(unmatched(folder.path()), ["noisy::inner::x=off", "zzz=1"]);
    actor.go();
    let _ = actor.end();
    assert_eq!(unmatched(folder.path()), ["noisy::inner::x=off", "zzz=1"]);
}

#[test]
fn what_a_front_end_of_another_language_records_is_matched_by_its_target() {
    let folder = Scratch::new("unmatched-event");
    let mut actor = Actor::start_with(
        ACTOR,
        "worker",
        folder.path(),
        &["event:one", "flush", "line:up", "wait"],
        &[("LASTWORDS_LOG", "info,actor=debug,other=debug")],
    )
    .until("up");
    assert_eq!(unmatched(folder.path()), ["other=debug"]);
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn told(folder: &Path, role: &str) -> Vec<String> {
    let lines = read(folder, role).into_iter().map(|line| line.message);
    lines.filter(|message| message.starts_with("lastwords: ")).collect()
}

/// Lines of a process of this role that logs one at each of two levels, and flushes.
fn started(folder: &Path, role: &str, env: &[(&str, &str)]) -> u32 {
    let mut actor = Actor::start_with(ACTOR, role, folder, &["debug:fine", "error:coarse", "flush"], env);
    assert!(actor.end().success());
    actor.pid()
}

#[test]
fn a_kept_level_is_above_builder_and_environment_for_processes_that_start_later_until_it_is_reset() {
    let folder = Scratch::new("keep");
    let user = rustix::process::getuid().as_raw();
    let env = [("LASTWORDS_LOG", "error"), ("LASTWORDS_UTC", "true")];
    // Nothing has logged there, and no process of the role runs.
    let shown = said(&level(folder.path(), &["worker", "debug", "--keep"]));
    assert_eq!(
        shown,
        format!(
            "worker: processes that start later begin with log debug (kept by user {user}, until `lastwords level worker --reset`)\n"
        )
    );
    assert_eq!(status_of_kept(folder.path()), [("worker".to_owned(), "debug".into(), Value::Null)]);
    let pid = started(folder.path(), "worker", &env);
    assert_eq!(messages_but_ours(folder.path(), "worker"), ["fine", "coarse"]);
    let line = format!(
        "lastwords: level of pid {pid} is what user {user} chose (lastwords level worker --keep): log error -> debug"
    );
    assert_eq!(told(folder.path(), "worker"), [line]);
    // Another role's processes begin as ever.
    let _ = started(folder.path(), "host", &env);
    assert_eq!(messages_but_ours(folder.path(), "host"), ["coarse"]);
    // What is not named stays as it is kept, and a level of the builder's own gives way as well.
    said(&level(folder.path(), &["worker", "--record", "trace", "--keep"]));
    let mut actor =
        Actor::start(ACTOR, "worker", folder.path(), &["level=critical", "debug:built", "flush", "line:up", "wait"]);
    assert_eq!(actor.line(), "up");
    let table = said(&level(folder.path(), &["worker"]));
    assert!(table.contains("debug  trace\n") && table.contains("log debug, record trace"), "{table}");
    // A process that runs is changed with those that start later.
    said(&level(folder.path(), &["worker", "warn", "--keep"]));
    assert!(said(&level(folder.path(), &["worker"])).contains("warning  trace\n"));
    let table = said(&level(folder.path(), &["worker", "--reset"]));
    assert!(table.contains("critical  off\n") && !table.contains("later"), "{table}");
    actor.finish();
    let _ = started(folder.path(), "worker", &env);
    let found = messages_but_ours(folder.path(), "worker");
    assert_eq!(found, ["fine", "coarse", "built", "coarse"]);
    let line = format!(
        "lastwords: processes of this role that start later begin as they are set up: user {user} took back log warning, record trace (lastwords level --reset)"
    );
    assert!(told(folder.path(), "worker").contains(&line), "{:?}", told(folder.path(), "worker"));
    assert_eq!(status_of_kept(folder.path()), []);
    // There is nothing to take back any more, and nobody to change.
    assert_eq!(level(folder.path(), &["worker", "--reset"]).status.code(), Some(1));
}

fn messages_but_ours(folder: &Path, role: &str) -> Vec<String> {
    let own = |line: &Line| !line.message.starts_with("lastwords: ");
    read(folder, role).into_iter().filter(own).map(|line| line.message).collect()
}

fn status_of_kept(folder: &Path) -> Vec<(String, Value, Value)> {
    let output = tool(TOOL, &["status", "--json", &folder.to_string_lossy()]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = found["kept_levels"].as_array().expect("a list").iter();
    rows.map(|row| (row["role"].as_str().expect("text").to_owned(), row["log"].clone(), row["record"].clone()))
        .collect()
}

#[test]
fn what_is_kept_for_a_role_that_runs_nowhere_is_told_in_the_files_that_it_has() {
    let folder = Scratch::new("keep-ended");
    let env = [("LASTWORDS_FORMAT", "json")];
    let _ = started(folder.path(), "worker", &env);
    said(&level(folder.path(), &["worker", "off", "--keep"]));
    said(&level(folder.path(), &["worker", "--reset"]));
    said(&tool(TOOL, &["flush", "--once", &folder.path().to_string_lossy()]));
    let text = std::fs::read_to_string(folder.path().join("worker.jsonl")).expect("there");
    assert!(!folder.path().join("worker.log").exists(), "a role without such a file gets none");
    for part in ["kept by user", "took back log off"] {
        assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
    }
}

#[test]
fn a_forked_child_begins_with_what_is_kept_and_says_so_even_where_all_is_off() {
    let folder = Scratch::new("keep-fork");
    let mut actor = Actor::start(
        ACTOR,
        "worker",
        folder.path(),
        &["error:parent", "flush", "line:up", "wait", "fork-log:1", "error:after"],
    )
    .until("up");
    said(&level(folder.path(), &["worker", "off", "--keep"]));
    actor.finish();
    assert_eq!(messages_but_ours(folder.path(), "worker"), ["parent"]);
    let chosen = told(folder.path(), "worker")
        .iter()
        .filter(|line| line.contains("is what user") && line.contains("log info -> off"))
        .count();
    assert_eq!(chosen, 1, "{:?}", told(folder.path(), "worker"));
}

#[test]
fn what_cannot_be_kept_is_refused_with_the_reason() {
    let folder = Scratch::new("keep-refused");
    for (arguments, part) in [
        (&["worker", "debug", "--keep", "--for", "10m"][..], "--for ends by itself"),
        (&["worker", "--keep", "--reset"], "--reset takes back"),
        (&["worker", "--keep"], "no level; expected a role and a level"),
        (&["--record", "trace", "--keep"], "no role"),
        (&["4157", "debug", "--keep"], "\"4157\" is no role"),
        (&["../x", "debug", "--keep"], "is no role"),
        (&["worker", "inof", "--keep"], "did you mean \"info\"?"),
        (&["worker", &("a".repeat(1800) + "=trace"), "--keep"], "expected at most"),
    ] {
        let output = level(folder.path(), arguments);
        let error = error_of(&output);
        assert!(output.status.code() == Some(2) && error.contains(part), "{arguments:?}: {error}");
    }
    assert_eq!(status_of_kept(folder.path()), []);
    let warned = level(folder.path(), &["worker", "info,worker=debug", "--keep"]);
    assert!(error_of(&warned).contains("\"worker=debug\""), "{warned:?}");
}

#[test]
fn a_kept_level_that_cannot_be_read_is_an_error_and_nothing_is_lost() {
    let folder = Scratch::new("keep-hostile");
    said(&level(folder.path(), &["worker", "debug", "--keep"]));
    let path = folder.path().join("rings/worker.level");
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
        for arguments in [&["worker", "info", "--keep"][..], &["worker"]] {
            let output = level(folder.path(), arguments);
            let error = error_of(&output);
            assert!(error.contains("worker.level") && !error.contains('\x1b'), "{name}: {error}");
            assert_eq!(output.status.code(), Some(if arguments.len() > 1 { 2 } else { 3 }), "{name}: {error}");
        }
        let output = tool(TOOL, &["status", &folder.path().to_string_lossy()]);
        assert!(output.status.code() == Some(3) && error_of(&output).contains("worker.level"), "{name}: {output:?}");
        assert_eq!(std::fs::read(&path).expect("there"), bytes, "{name}: it stays as it is");
        let mut command = Command::new(ACTOR);
        command.arg("worker").arg(folder.path()).args(["debug:no", "error:yes", "flush"]).stderr(Stdio::piped());
        let mut actor = Actor::of(&mut command);
        let complaint = actor.errors();
        assert!(
            actor.end().success() && complaint.contains("does not count") && !complaint.contains('\x1b'),
            "{name}: {complaint}"
        );
        assert_eq!(messages_but_ours(folder.path(), "worker").last().map(String::as_str), Some("yes"), "{name}");
        assert!(told(folder.path(), "worker").last().is_some_and(|line| line.contains("does not count")), "{name}");
    }
    std::fs::remove_file(&path).expect("there");
    std::fs::create_dir(&path).expect("made");
    assert_eq!(level(folder.path(), &["worker", "info", "--keep"]).status.code(), Some(2));
    // What cannot be read is kept for a look.
    let output = level(folder.path(), &["worker", "--reset"]);
    assert!(output.status.success() && error_of(&output).contains("worker.level.aside-"), "{output:?}");
    said(&level(folder.path(), &["worker", "debug", "--keep"]));
}

#[test]
fn kept_levels_that_are_set_at_once_are_one_of_them_in_file_and_rings() {
    let folder = Scratch::new("keep-race");
    let script = ["line:up", "wait"];
    let mut first = Actor::start(ACTOR, "worker", folder.path(), &script).until("up");
    for round in 0..12 {
        let levels = [["debug", "--record", "trace"], ["warn", "--record", "debug"]];
        let changing: Vec<_> = levels
            .iter()
            .map(|change| {
                let mut command = Command::new(TOOL);
                command.args(["level", "worker", "--keep", "--dir"]).arg(folder.path()).args(change);
                command.stdout(Stdio::null()).spawn().expect("it starts")
            })
            .collect();
        // Processes that start meanwhile.
        let mut starting: Vec<Actor> = (0..2).map(|_| Actor::start(ACTOR, "worker", folder.path(), &script)).collect();
        for mut child in changing {
            assert!(child.wait().expect("its end").success());
        }
        starting.iter_mut().for_each(|actor| assert_eq!(actor.line(), "up"));
        let text = said(&level(folder.path(), &["worker", "--json"]));
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let kept = rows.iter().find_map(|row| row.get("kept")).expect("it is kept");
        let of = |row: &Value| (row["log"].clone(), row["record"].clone());
        assert!(
            [("debug", "trace"), ("warning", "debug")]
                .map(|(log, record)| (log.into(), record.into()))
                .contains(&of(kept)),
            "{text}"
        );
        let running: Vec<&Value> = rows.iter().filter(|row| row.get("kept").is_none()).collect();
        assert_eq!(running.len(), 3, "round {round}: {text}");
        assert!(running.iter().all(|row| of(row) == of(kept)), "round {round}: {text}");
    }
    // As many that start while it is taken back: all are as they were set up.
    let mut taking = Command::new(TOOL)
        .args(["level", "worker", "--reset", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut starting: Vec<Actor> = (0..4).map(|_| Actor::start(ACTOR, "worker", folder.path(), &script)).collect();
    assert!(taking.wait().expect("its end").success());
    starting.iter_mut().for_each(|actor| assert_eq!(actor.line(), "up"));
    let text = said(&level(folder.path(), &["worker", "--json"]));
    assert!(text.lines().count() == 5 && text.lines().all(|line| line.contains("\"log\":\"info\"")), "{text}");
}
