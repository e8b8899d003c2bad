//! What is known of a death that left no report: what was seen of the process before, called evidence, and nothing that costs an
//! idle system anything.
//!
//! After a SIGKILL people ask whether it was the OOM killer, and how large the process was. Whoever tells them more than is known sends
//! them the wrong way, and whoever looks at every process all the time keeps processors from sleeping.

mod schema;

use lastwords_tests::actor::{Actor, die, flush_once, tool};
use lastwords_tests::ends::{Scene, Seen};
use lastwords_tests::jsonl;
use lastwords_tests::logs::{crash_files, read};
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use lastwords_tests::watchdog::Watchdog;
use schema::assert_valid;
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
const GROWN: u64 = 64 * MIB;

/// Starts a worker that is flushed by another process, has it do this, and kills it. Returns what its death line says in JSON, and the
/// message in text.
fn kill_after(scene: &Scene, script: &str) -> (Value, String) {
    let script = format!("flusher=never format=both log:1 flush {script} line:up wait");
    let mut worker = Actor::of(ACTOR.acting("worker", scene.path(), script)).until("up");
    worker.kill();
    let (lines, _) = scene.told_of("worker");
    let objects = jsonl::read(scene.path(), "worker");
    assert_valid(&objects);
    let object = objects.into_iter().next_back().expect("a death line");
    (object, lines.into_iter().next_back().expect("a death line").message)
}

fn number(evidence: &Value, name: &str) -> f64 {
    evidence[name].as_f64().unwrap_or_else(|| panic!("no {name} in {evidence}"))
}

/// The lines of this name in the head of the only crash file.
fn head(folder: &Path, name: &str) -> Vec<String> {
    let files = crash_files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    let text = fs::read_to_string(&files[0]).expect("readable");
    let lines = text.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| Some(line.strip_prefix(name)?.trim_start().to_owned())).collect()
}

#[test]
fn a_killed_process_is_told_with_what_was_seen_of_it_last() {
    let scene = Scene::new("seen", Seen::ByAFlusher);
    // More than a second lies between the two looks.
    let (object, message) = kill_after(&scene, "grow:64 burn:300 sleep:1000 log:1 flush");
    let evidence = &object["evidence"];
    let (resident, threads) = (number(evidence, "resident_bytes"), number(evidence, "threads"));
    assert!(resident >= GROWN as f64 && resident < (GROWN + 64 * MIB) as f64, "{evidence}");
    assert!((6.0..12.0).contains(&threads), "{evidence}");
    assert!((0.25..10.0).contains(&number(evidence, "cpu_seconds")), "{evidence}");
    let last_line = jsonl::read(scene.path(), "worker").into_iter().find(|line| line["message"] == "line 1");
    assert_eq!(evidence["last_record"], last_line.expect("the last line")["time"]);
    assert!(
        evidence["seen"].as_str() > evidence["last_record"].as_str(),
        "it was seen when that was drained: {evidence}"
    );
    let first = message.find("; evidence: last record at ").expect("evidence");
    assert!(first < message.find("; its black box is ").expect("a crash file"), "{message}");
    assert!(!object["message"].as_str().expect("text").contains('\n') && message.lines().count() == 1, "{message}");
    let words = format!(" MiB resident, {threads} threads, ");
    let lines = head(scene.path(), "evidence");
    assert!(
        message.contains(&words) && lines[0].starts_with("last seen at ") && lines[0].contains(&words),
        "{lines:?}"
    );
    let status = head(scene.path(), "wait status");
    let known = ["killed by SIGKILL", "unknown"];
    assert!(status.len() == 1 && known.contains(&status[0].as_str()), "{status:?}");
    assert_eq!(evidence["wait_status"].as_str().unwrap_or("unknown"), status[0]);
    let shown = tool(format!("crashes --json {} 1", scene.path().display())).out;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["evidence"], Value::from(lines));
    assert_eq!(shown["wait_status"].as_str(), Some(status[0].as_str()));
}

/// This machine's own cgroup: whatever it counts, it is named, and no OOM kill is claimed.
#[test]
fn the_cgroup_of_a_killed_process_is_named_where_it_can_be_seen() {
    let scene = Scene::new("group", Seen::ByAFlusher);
    let (object, message) = kill_after(&scene, "");
    let group = &object["evidence"]["cgroup"];
    if !group.is_object() {
        return println!("skipped: no hierarchy of cgroups that accounts for memory is mounted here");
    }
    let own = fs::read_to_string("/proc/self/cgroup").expect("readable");
    let path = group["path"].as_str().expect("a path");
    assert!(own.lines().any(|line| line.ends_with(&format!(":{path}"))), "{group}");
    if let Some(kills) = group["oom_kills"].as_u64() {
        assert_eq!(message.contains("; no OOM kill counted in its cgroup since "), kills == 0, "{message}");
    }
    assert!(!message.contains("killed by the OOM"), "{message}");
}

#[test]
fn an_idle_process_is_told_as_it_was_when_it_logged_last() {
    let scene = Scene::new("unseen", Seen::ByAFlusher);
    let (object, _) = kill_after(&scene, "grow:64 sleep:2500");
    let evidence = &object["evidence"];
    assert!(number(evidence, "resident_bytes") < GROWN as f64, "somebody looked meanwhile: {evidence}");
}

#[test]
fn where_nobody_looked_only_the_last_record_is_known() {
    let folder = Scratch::new("nobody");
    die("worker", &folder, "flusher=never format=both log:1 kill");
    flush_once(&folder);
    let objects = jsonl::read(&folder, "worker");
    assert_valid(&objects);
    let (record, death) = (&objects[objects.len() - 2], &objects[objects.len() - 1]);
    assert_eq!(death["evidence"], serde_json::json!({ "wait_status": null, "last_record": record["time"] }));
    let lines = read(&folder, "worker");
    assert!(!lines.last().expect("a death line").message.contains("evidence"), "{lines:?}");
    assert_eq!((head(&folder, "wait status"), head(&folder, "evidence").len()), (vec!["unknown".to_owned()], 0));
}

#[test]
fn a_death_that_says_why_needs_no_evidence() {
    for end in ["fault:null", "die-of-panic:why"] {
        let scene = Scene::new("says-why", Seen::ByAFlusher);
        let script = format!("flusher=never format=both log:1 flush {end}");
        let _ = Actor::of(ACTOR.acting("worker", scene.path(), script).stderr(Stdio::null())).end();
        let (lines, _) = scene.told_of("worker");
        assert!(!lines.last().expect("a death line").message.contains("evidence"), "{end}: {lines:?}");
        assert!(head(scene.path(), "evidence").is_empty(), "{end}");
    }
}

/// A flusher whose looks at a process are counted.
struct Watched {
    traced: Traced,
    /// A file that is opened in each look, and for nothing else.
    file: String,
}

impl Watched {
    /// How often it looks in this time.
    fn looks(&mut self, time: Duration) -> usize {
        let (until, mut looks) = (Instant::now() + time, 0);
        while Instant::now() < until {
            if let Stop::Entry(number) = self.traced.to_system_call().expect("traced")
                && number as i64 == libc::SYS_openat
            {
                looks += usize::from(self.opened() == self.file);
            }
        }
        looks
    }

    fn opened(&self) -> String {
        let address = self.traced.arguments().expect("registers")[1];
        let memory = File::open(format!("/proc/{}/mem", self.traced.pid())).expect("traced");
        let mut path = [0; 256];
        let read = memory.read_at(&mut path, address).expect("readable");
        let path = path[..read].split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(path).into_owned()
    }
}

#[test]
fn a_process_is_looked_at_once_a_second_while_it_logs_and_never_while_it_is_idle() {
    let _watchdog = Watchdog::new("looks", Duration::from_secs(120));
    if cfg!(not(target_arch = "x86_64")) {
        return println!("skipped: this processor's registers are not known");
    }
    let folder = Scratch::new("looks");
    let script = "flusher=never log:5 line:up wait slowly:250:10000 line:idle wait";
    let mut worker = Actor::start("worker", &folder, script).until("up");
    let busy = "flusher=never line:up wait slowly:250:10000 line:done wait";
    let mut other = Actor::start("other", &folder, busy).until("up");
    let mut daemon = TOOL.command();
    daemon.arg("flush").arg(&folder).stderr(Stdio::null());
    let traced = Traced::start(&mut daemon).expect("started");
    let mut flusher = Watched { traced, file: format!("/proc/{}/cgroup", worker.pid()) };
    assert_eq!(flusher.looks(Duration::from_secs(2)), 1, "when it found the ring");
    assert_eq!(flusher.looks(Duration::from_secs(3)), 0, "idle");
    other.go();
    assert_eq!(flusher.looks(Duration::from_secs(3)), 0, "idle beside one that logs");
    other.says("done");
    worker.go();
    let looks = flusher.looks(Duration::from_secs(3));
    assert!((2..=4).contains(&looks), "{looks} looks in 2.5 s of logging");
    worker.says("idle");
    assert_eq!(flusher.looks(Duration::from_secs(2)), 0, "idle again");
}
