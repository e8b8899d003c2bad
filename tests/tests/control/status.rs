//! What `lastwords status` shows of each ring: its process, its losses, what its filter has matched.

use super::{level, said, status_of};
use lastwords_tests::actor::{Actor, run, tool_at, wait_for, wait_until};
use lastwords_tests::namespaces::unshare;
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

#[test]
fn status_shows_every_ring_and_who_flushes() {
    let folder = Scratch::new("status");
    let _ = run("dead", &folder, "flusher=never slots=64 policy=drop_newest backlog=0 log:100 kill");
    let found = status_of(&folder);
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
    let script = "log:10 flush line:ready wait";
    let actor = Actor::start_with("worker", &folder, script, &[("LASTWORDS_RING_LEVEL", "debug")]).until("ready");
    let found = wait_for("the dead ring's removal", || {
        Some(status_of(&folder)).filter(|found| found["rings"].as_array().is_some_and(|rings| rings.len() == 1))
    });
    assert_eq!(found["flusher"]["pid"], actor.pid());
    let ring = &found["rings"][0];
    assert_eq!((&ring["pid"], &ring["state"], &ring["records"]), (&actor.pid().into(), &"alive".into(), &10.into()));
    assert_eq!((&ring["fill"], &ring["lag_ms"], &ring["ring_level"]), (&0.0.into(), &0.0.into(), &"debug".into()));
    let table = said(tool_at("status", &folder));
    assert!(table.contains(&format!("flusher: pid {}", actor.pid())) && table.contains("ROLE    PID"), "{table}");
    let empty = Scratch::new("status-empty");
    tool_at("status", &empty).ended(1);
    std::fs::create_dir_all(empty.join("rings")).expect("a folder");
    std::fs::write(empty.join("rings/worker-1-00.ring"), "no ring").expect("written");
    tool_at("status", &empty).ended(3);
}

#[test]
fn losses_are_shown_while_they_happen() {
    for (script, lost, unread) in [
        ("policy=overwrite backlog=0", 4936, 64),
        ("policy=drop_newest backlog=0", 4936, 64),
        ("policy=block backlog=0", 4936, 64),
        // 64 slots more are kept on disk, and then the oldest are overwritten.
        ("policy=block backlog=8192", 4872, 128),
        ("policy=block backlog=67108864", 0, 5000),
    ] {
        let folder = Scratch::new("losses");
        let script = format!("flusher=never slots=64 {script} log:5000 line:on wait kill");
        let mut actor = Actor::start("worker", &folder, &script).until("on");
        let shown = |what: &str| {
            let ring = &status_of(&folder)["rings"][0];
            let shown = (ring["lost"].as_u64(), ring["unread"].as_u64());
            assert_eq!(shown, (Some(lost), Some(unread)), "{what}: {script}");
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
    let mut actor = Actor::start("worker", &folder, "log:3 line:up wait log:4 line:on wait").until("up");
    let mut watch = TOOL.command();
    watch.args(["status", "--watch", "--json"]).arg(&folder).stdout(Stdio::piped());
    let mut watch = watch.spawn().expect("it starts");
    let mut looks = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let mut records = || -> u64 {
        let look: Value = serde_json::from_str(&looks.next().expect("a look").expect("text")).expect("JSON");
        look["rings"][0]["records"].as_u64().expect("a number")
    };
    assert_eq!(records(), 3);
    actor.go_until("on");
    wait_until("the next look", || records() == 7);
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
    let mut actor = Actor::start("worker", &folder, "line:up wait kill").until("up");
    let longest = |text: &str| {
        text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).max_by_key(|path| path.len()).map(str::to_owned)
    };
    let path = std::fs::read_to_string(format!("/proc/{}/cgroup", actor.pid())).ok().and_then(|text| longest(&text));
    let of = |role: &str| {
        let found = status_of(&folder);
        let ring = found["rings"].as_array().expect("a list").iter().find(|ring| ring["role"] == role).cloned();
        ring.expect("its ring")
    };
    let shown = || of("worker")["cgroup"].clone();
    assert_eq!(shown(), path.clone().map_or(Value::Null, Value::String));
    // Of a process in another pid namespace, whose pid here is another one.
    let actor_there = format!("exec {ACTOR} there {} line:up wait", folder.display());
    if let Some(mut command) = unshare(&["-pf"], "true", &actor_there) {
        let mut there = Actor::of(&mut command).until("up");
        let ring = of("there");
        assert_eq!((&ring["pid"], &ring["cgroup"]), (&1.into(), &path.clone().map_or(Value::Null, Value::String)));
        there.finish();
    }
    // One with a name that would drive a terminal, where cgroups can be made.
    let joined = |()| std::fs::write(group.0.join("cgroup.procs"), actor.pid().to_string());
    match std::fs::create_dir(&group.0).and_then(joined) {
        Err(error) => println!("skipped in part: no cgroup can be made here: {error}"),
        Ok(()) => {
            let (table, whole) = (tool_at("status", &folder).out, shown());
            assert!(table.contains("  lastwords-test-\\u{9b}2J-…  "), "{table}");
            assert!(!table.contains('\u{9b}') && whole.as_str().is_some_and(|path| path.ends_with(name)), "{whole}");
            assert!(!tool_at("status --json", &folder).out.contains('\u{9b}'));
        }
    }
    actor.go();
    let _ = actor.end();
    assert_eq!(shown(), Value::Null, "of a process that has ended nobody knows");
}

fn unmatched(folder: &Path) -> Vec<String> {
    let found = status_of(folder);
    let list = found["rings"][0]["unmatched"].as_array().expect("a list").iter();
    list.map(|directive| directive.as_str().expect("text").to_owned()).collect()
}

#[test]
fn directives_that_have_matched_nothing_yet_are_marked() {
    let folder = Scratch::new("unmatched");
    let env = [("LASTWORDS_LOG", "info,actor=debug,hypre=debug,noisy=off,\u{202e}x=debug")];
    let script = "line:up wait each:a line:on wait each:b line:on wait kill";
    let mut actor = Actor::start_with("worker", &folder, script, &env).until("up");
    assert_eq!(unmatched(&folder), ["actor=debug", "hypre=debug", "noisy=off", "\u{202e}x=debug"]);
    actor.go_until("on");
    // One that turns everything off has matched as well.
    assert_eq!(unmatched(&folder), ["hypre=debug", "\u{202e}x=debug"]);
    let table = said(tool_at("status", &folder));
    let line = format!(
        "nothing of pid {} has matched hypre=debug,\\u{{202e}}x=debug so far: no call had such a target\n",
        actor.pid()
    );
    assert!(table.contains(&line), "{table}");
    // Of another filter nothing is known but the targets of what was recorded.
    said(level(&folder, ["worker", "info,actor=trace,noisy=error,noisy::inner::x=off,bytes=error,zzz=1"]));
    assert_eq!(unmatched(&folder), ["bytes=error", "noisy::inner::x=off", "noisy=error", "zzz=1"]);
    actor.go_until("on");
    assert_eq!(unmatched(&folder), ["noisy::inner::x=off", "zzz=1"]);
    actor.go();
    let _ = actor.end();
    assert_eq!(unmatched(&folder), ["noisy::inner::x=off", "zzz=1"]);
}

#[test]
fn what_a_front_end_of_another_language_records_is_matched_by_its_target() {
    let folder = Scratch::new("unmatched-event");
    let env = [("LASTWORDS_LOG", "info,actor=debug,other=debug")];
    let _actor = Actor::start_with("worker", &folder, "event:one flush line:up wait", &env).until("up");
    assert_eq!(unmatched(&folder), ["other=debug"]);
}
