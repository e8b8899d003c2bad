//! External modification of the rings folder while processes log.
//!
//! The ring of a living process is a file that anybody of the same user can truncate, punch, remove or replace. That costs
//! the records in it, and without the guard the process that maps it; it must not cost the flusher its life, the other
//! processes a record, or a file outside of the folder a byte. And a ring that is not what it was must not become the
//! reason why every other process's lines wait.

use lastwords::FullPolicy;
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::format::layout::Control;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::write::ring::{Ring, RingSpec};
use lastwords_tests::actor::{self, Actor, tool, wait_for};
use lastwords_tests::drains::{drain, drain_until};
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs::{Line, missing, numbers, read, read_so_far, reported_lost};
use lastwords_tests::oracle::Random;
use lastwords_tests::scratch::Scratch;
use rustix::fs::{CWD, FallocateFlags, FileType, Mode, fallocate};
use rustix::process::Signal;
use std::fs::{self, File};
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
/// The system calls of a drain between which the first of two rings is in the journal.
const CALLS: (u64, u64) = (100, 400);
const DRAINER: &str = env!("CARGO_BIN_EXE_drainer");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

fn ring_of(folder: &Path, pid: u32) -> PathBuf {
    let mut entries = fs::read_dir(folder.join("rings")).expect("there").filter_map(Result::ok);
    let named = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains(&format!("-{pid}-"));
    entries.find(named).expect("its ring").path()
}

/// Whether the flusher waits for the ring's next record, the last that it writes before it sleeps.
fn is_armed(ring: &Path) -> bool {
    let offset = 4096 + offset_of!(Control, armed) as u64;
    let mut word = [0; 4];
    File::open(ring).and_then(|file| file.read_exact_at(&mut word, offset)).expect("read");
    u32::from_le_bytes(word) == 2
}

fn open(path: &Path) -> File {
    File::options().write(true).open(path).expect("opened")
}

/// A host that flushes, a process whose ring is meddled with, and a third one that knows nothing of it.
struct Scene {
    folder: Scratch,
    host: Actor,
    victim: Actor,
    other: Actor,
}

impl Scene {
    /// All are up; the victim has logged `first 0` … and its lines are in its file.
    fn new(name: &str, setting: &str) -> Scene {
        let folder = Scratch::new(name);
        let mut host = Actor::start(ACTOR, "host", folder.path(), &["line:up", "wait", "log:20"]);
        host.line();
        let script = [
            "guard=false",
            "flusher=never",
            setting,
            "log:50",
            "flush",
            "line:up",
            "wait",
            "log:3000",
            "line:done",
            "wait",
        ];
        let mut victim = Actor::start(ACTOR, "victim", folder.path(), &script);
        victim.line();
        let script = ["flusher=never", "log:10", "flush", "line:up", "wait", "slowly:500:500", "flush", "line:done"];
        let mut other = Actor::start(ACTOR, "other", folder.path(), &script);
        other.line();
        Scene { folder, host, victim, other }
    }

    fn ring(&self) -> PathBuf {
        ring_of(self.folder.path(), self.victim.pid())
    }

    /// The others log and end in an ordinary way, and all their lines are there.
    fn others_are_well(&mut self) -> Vec<Line> {
        self.other.go();
        assert_eq!(self.other.line(), "done", "its lines are in its file");
        assert!(self.other.end().success());
        self.host.go();
        assert!(self.host.end().success(), "the flusher lives");
        let lines = read(self.folder.path(), "other");
        assert_eq!(missing(&lines, "line ", 510), 0);
        assert_eq!(read(self.folder.path(), "host").iter().filter(|line| line.level == "INFO").count(), 20);
        ["host", "victim", "other"].iter().flat_map(|role| read(self.folder.path(), role)).collect()
    }
}

/// What lastwords itself says.
fn own(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.message.as_str()).filter(|text| text.starts_with("lastwords: ")).collect()
}

fn tells(lines: &[Line], text: &str) -> bool {
    lines.iter().any(|line| line.level == "WARNING" && line.message.contains(text))
}

#[test]
fn a_process_whose_ring_is_cut_dies_alone_and_its_drained_lines_stay() {
    for size in [0, 100, 5000, 300_000] {
        let mut scene = Scene::new("cut", "lanes=3");
        open(&scene.ring()).set_len(size).expect("cut");
        scene.victim.go();
        let status = scene.victim.end();
        assert_eq!(status.signal(), Some(libc::SIGBUS), "cut to {size}");
        let lines = scene.others_are_well();
        let victims = read(scene.folder.path(), "victim");
        let numbers: Vec<&str> = victims.iter().filter_map(|line| line.message.strip_prefix("line ")).collect();
        assert_eq!(numbers[..50], (0..50).map(|n| n.to_string()).collect::<Vec<_>>(), "cut to {size}");
        assert!(victims.iter().any(|line| line.level == "CRITICAL" && line.pid == scene.victim.pid()), "{victims:?}");
        assert!(tells(&lines, &format!("was truncated to {size} bytes")), "cut to {size}: {:?}", own(&lines));
    }
}

#[test]
fn a_guarded_process_survives_the_cut_of_its_ring_and_says_so_once() {
    for size in [0, 100, 5000, 300_000] {
        for policy in ["block", "drop_newest", "overwrite"] {
            let folder = Scratch::new("guarded");
            let mut host = Actor::start(ACTOR, "host", folder.path(), &["line:up", "wait"]);
            host.line();
            let policy = format!("policy={policy}");
            let script = [
                "flusher=never",
                "lanes=4",
                &policy,
                "log:50",
                "flush",
                "line:up",
                "wait",
                "log:3000",
                "threads:6:2000",
                "fork:3",
                "line:done",
                "wait",
            ];
            let mut command = Command::new(ACTOR);
            command.arg("victim").arg(folder.path()).args(script);
            let mut victim = Actor::of(command.stderr(Stdio::piped()));
            victim.line();
            let ring = ring_of(folder.path(), victim.pid());
            // A write that the flusher has begun makes the file longer whatever it checked before.
            wait_for("a flusher that sleeps", || is_armed(&ring).then_some(()));
            open(&ring).set_len(size).expect("cut");
            victim.go();
            assert_eq!(victim.line(), "done", "it goes on: {policy}, cut to {size}");
            let size_now = ring_of(folder.path(), victim.pid()).metadata().expect("there").len();
            assert_eq!(size_now, size, "the flusher does not make it longer again");
            victim.go();
            let printed = victim.errors();
            assert!(victim.end().success());
            assert_eq!(printed.matches("a part of this process's ring is gone").count(), 1, "{printed}");
            host.finish();
            let lines = read(folder.path(), "victim");
            assert!(lines.iter().filter(|line| line.message.starts_with("line ")).count() >= 50);
            // Its children have rings of their own.
            assert_eq!(lines.iter().filter(|line| line.message.starts_with("child ")).count(), 60, "{policy} {size}");
            // How it ended is in the control page, and so does not reach the flusher if that is gone.
            let alarms = lines.iter().filter(|line| line.level == "CRITICAL").count();
            assert!(alarms <= usize::from(size < 8192), "an ordinary end: {:?}", own(&lines));
        }
    }
}

#[test]
fn a_guard_leaves_every_other_sigbus_to_who_handled_it_before() {
    let folder = Scratch::new("chained");
    let mut alone = Actor::start(ACTOR, "host", folder.path(), &["log:3", "bus"]);
    assert_eq!(alone.end().signal(), Some(libc::SIGBUS), "the process ends as it would without the guard");
    let mut handled = Actor::start(ACTOR, "host", folder.path(), &["before:bus", "log:3", "bus"]);
    assert_eq!(handled.end().code(), Some(77), "its own handler ends it");
    let mut sent = Actor::start(ACTOR, "host", folder.path(), &["line:up", "wait"]);
    sent.line();
    // The standard library's handler, which was there before, takes the first one as a reason to restore the default.
    for _ in 0..2 {
        sent.signal(Signal::BUS);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(sent.end().signal(), Some(libc::SIGBUS), "one that was sent ends it too");
}

#[test]
fn every_ring_is_guarded_however_many_loggers_a_process_has_and_whoever_handles_sigbus_later() {
    for (what, later) in [("nobody", None), ("one that takes it for the end", Some("later:bus"))] {
        let folder = Scratch::new("many-rings");
        let actions: Vec<&str> =
            ["loggers:40", "line:up", "wait"].into_iter().chain(["loggers-log:200", "line:done", "wait"]).collect();
        let mut script = vec!["flusher=never", "lanes=3", "slots=64"];
        script.extend(&actions[..1]);
        script.extend(later);
        script.extend(&actions[1..]);
        let mut victim = Actor::start(ACTOR, "victim", folder.path(), &script);
        assert_eq!(victim.line(), "up", "{what}");
        let rings = ring_files(folder.path());
        assert!(rings.len() > 16, "{} rings", rings.len());
        rings.iter().for_each(|ring| open(ring).set_len(8192).expect("cut"));
        victim.go();
        assert_eq!(victim.line(), "done", "{what}: it goes on");
        victim.go();
        assert!(victim.end().success(), "{what}");
    }
    let folder = Scratch::new("later");
    let mut chained = Actor::start(ACTOR, "victim", folder.path(), &["later:bus", "log:3", "bus"]);
    assert_eq!(chained.end().signal(), Some(libc::SIGBUS), "what is not the guard's is handed on, and ends");
}

#[test]
fn a_ring_with_a_hole_goes_on_and_what_was_in_the_hole_is_counted() {
    for lane_blocks_too in [false, true] {
        let folder = Scratch::new("hole");
        let mut host = Actor::start(ACTOR, "host", folder.path(), &["line:up", "wait"]);
        host.line();
        let script = [
            "flusher=never",
            "lanes=3",
            "log:100",
            "flush",
            "line:1",
            "wait",
            "log:500",
            "line:2",
            "wait",
            "threads:2:100",
            "log:500",
            "flush",
            "exit",
        ];
        let mut victim = Actor::start(ACTOR, "victim", folder.path(), &script);
        victim.line();
        // Nothing is drained while the hole is made.
        host.signal(Signal::STOP);
        victim.go();
        victim.line();
        let path = ring_of(folder.path(), victim.pid());
        let size = path.metadata().expect("there").len();
        let start = if lane_blocks_too { 4096 } else { size - 3 * 4096 * 128 };
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(open(&path), punch, start, size - start).expect("punched");
        host.signal(Signal::CONT);
        victim.go();
        assert!(victim.end().success(), "it goes on");
        host.finish();
        let lines = read(folder.path(), "victim");
        let numbers = numbers(&lines);
        assert!(numbers.is_sorted_by(|a, b| a < b), "in order and once");
        assert!(numbers.contains(&99) && numbers.contains(&1099), "before and after: {numbers:?}");
        assert_eq!(1100 - numbers.len(), reported_lost(&lines), "{lines:?}");
        for thread in 0..2 {
            assert_eq!(missing(&lines, &format!("thread {thread} line "), 100), 0);
        }
    }
}

/// Puts something in the place of a ring.
type Way<'a> = &'a dyn Fn(&Path);

#[test]
fn a_ring_that_is_removed_or_replaced_is_read_to_its_end_by_the_flusher_that_has_it() {
    let outside = Scratch::new("outside");
    let target = outside.path().join("target");
    let ways: [(&str, Way<'_>); 5] = [
        ("removed", &|_| ()),
        ("a symbolic link", &|path| std::os::unix::fs::symlink(&target, path).expect("linked")),
        ("a FIFO", &|path| rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).expect("made")),
        ("a folder", &|path| fs::create_dir(path).expect("made")),
        ("another file", &|path| fs::write(path, "no ring").expect("written")),
    ];
    for (what, replace) in ways {
        fs::write(&target, "untouched").expect("written");
        let mut scene = Scene::new("replaced", "lanes=3");
        let path = scene.ring();
        fs::remove_file(&path).expect("removed");
        replace(&path);
        scene.victim.go();
        assert_eq!(scene.victim.line(), "done", "{what}");
        wait_for("its lines", || {
            (missing(&read_so_far(scene.folder.path(), "victim"), "line ", 3050) == 0).then_some(())
        });
        scene.victim.kill();
        wait_for("its death line", || {
            read_so_far(scene.folder.path(), "victim").iter().any(|line| line.level == "CRITICAL").then_some(())
        });
        let lines = scene.others_are_well();
        assert_eq!(lines.iter().filter(|line| line.level == "CRITICAL").count(), 1, "{what}: once");
        assert!(tells(&lines, "was removed or replaced by somebody else"), "{what}: {:?}", own(&lines));
        assert_eq!(fs::read_to_string(&target).expect("there"), "untouched", "{what}");
        assert_eq!(path.symlink_metadata().is_ok(), what != "removed", "what took its name is left alone: {what}");
        let output = tool(TOOL, &["flush", "--once", &scene.folder.path().to_string_lossy()]);
        assert!(output.status.code().is_some_and(|code| code < 2), "{what}: the next flusher starts: {output:?}");
    }
}

#[test]
fn a_ring_that_looks_open_at_another_place_each_time_holds_nobody_up() {
    let folder = Scratch::new("restless");
    let mut host = Actor::start(ACTOR, "host", folder.path(), &["line:up", "wait"]);
    host.line();
    let geometry = Geometry::new(128, 64, 3, 1, 4096).expect("sizes within the limits");
    let spec = RingSpec { full: FullPolicy::Overwrite, ..RingSpec::new("restless", geometry) };
    let ring = Ring::create(&Folder::open(folder.path()).expect("the folder"), &spec).expect("a ring");
    ring.block(0).reserved.store(1 << 20, Ordering::Release);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                // A record is said to be begun, one after the other, lap after lap, and none ever comes.
                ring.block(0).reserved.fetch_add(1, Ordering::Release);
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        let script = ["flusher=never", "log:10", "line:up", "wait", "slowly:300:500", "flush", "line:flushed"];
        let mut other = Actor::start(ACTOR, "other", folder.path(), &script);
        other.line();
        other.go();
        // Here and not after the scope, which a failure would never leave.
        let flushed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| other.line()));
        done.store(true, Ordering::Release);
        assert_eq!(flushed.ok().as_deref(), Some("flushed"), "its lines are in their file");
    });
    assert_eq!(missing(&read(folder.path(), "other"), "line ", 310), 0);
}

#[test]
fn a_ring_that_is_replaced_between_two_flushers_does_not_keep_the_second_from_its_work() {
    let wreck = Scratch::new("between");
    for role in ["worker", "other"] {
        let _ = actor::run(ACTOR, role, wreck.path(), &["flusher=never", "rotate=4096", "keep=50", "log:300", "kill"]);
    }
    let mut random = Random::from_env("LASTWORDS_BETWEEN_SEED");
    for round in 0..48 {
        let folder = Scratch::new("between-copy");
        fs::create_dir_all(folder.path().join("rings")).expect("made");
        for ring in ring_files(wreck.path()) {
            fs::copy(&ring, folder.path().join("rings").join(ring.file_name().expect("a name"))).expect("copied");
        }
        // Both processes' lines are in the batches from here on.
        let call = CALLS.0 + random.below(CALLS.1 - CALLS.0);
        drain_until(DRAINER, folder.path(), call);
        let victim = |path: &PathBuf| path.to_string_lossy().contains("worker-");
        if let Some(ring) = ring_files(folder.path()).into_iter().find(victim) {
            if round % 4 == 3 {
                // With its header, but without a place for its positions.
                open(&ring).set_len(8192).expect("cut");
            } else {
                fs::remove_file(&ring).expect("removed");
            }
            match round % 4 {
                0 => std::os::unix::fs::symlink(folder.path().join("nowhere"), &ring).expect("linked"),
                1 => fs::create_dir(&ring).expect("made"),
                2 => rustix::fs::mknodat(CWD, &ring, FileType::Fifo, Mode::RWXU, 0).expect("made"),
                _ => {}
            }
        }
        drain(DRAINER, folder.path(), "all");
        let lines = read(folder.path(), "other");
        assert_eq!(missing(&lines, "line ", 300), 0, "replaced in round {round}, killed before call {call}");
    }
}
