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
use lastwords_tests::actor::{Actor, flush_rest, run, wait_until};
use lastwords_tests::drains::{drain, drain_until};
use lastwords_tests::files::{copy_rings, make_fifo, name_of};
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs::{
    Line, alarms, count, missing, missing_of_threads, numbers, read, read_so_far, reported_lost,
};
use lastwords_tests::oracle::Random;
use lastwords_tests::scratch::Scratch;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::process::Signal;
use std::fs::{self, File};
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The system calls of a drain between which the first of two rings is in the journal.
const CALLS: (u64, u64) = (100, 400);

fn ring_of(folder: &Path, pid: u32) -> PathBuf {
    let of_it = |path: &PathBuf| name_of(path).contains(&format!("-{pid}-"));
    ring_files(folder).into_iter().find(of_it).expect("its ring")
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
        let host = Actor::start("host", &folder, "line:up wait log:20").until("up");
        let script = format!("guard=false flusher=never {setting} log:50 flush line:up wait log:3000 line:done wait");
        let victim = Actor::start("victim", &folder, &script).until("up");
        let script = "flusher=never log:10 flush line:up wait slowly:500:500 flush line:done";
        let other = Actor::start("other", &folder, script).until("up");
        Scene { folder, host, victim, other }
    }

    fn ring(&self) -> PathBuf {
        ring_of(&self.folder, self.victim.pid())
    }

    /// The others log and end in an ordinary way, and all their lines are there.
    fn others_are_well(&mut self) -> Vec<Line> {
        self.other.go();
        assert_eq!(self.other.line(), "done", "its lines are in its file");
        assert!(self.other.end().success());
        self.host.go();
        assert!(self.host.end().success(), "the flusher lives");
        let lines = read(&self.folder, "other");
        assert_eq!(missing(&lines, "line ", 510), 0);
        assert_eq!(read(&self.folder, "host").iter().filter(|line| line.level == "INFO").count(), 20);
        ["host", "victim", "other"].iter().flat_map(|role| read(&self.folder, role)).collect()
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
        let victims = read(&scene.folder, "victim");
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
            let mut host = Actor::start("host", &folder, "line:up wait").until("up");
            let script = format!("flusher=never lanes=4 policy={policy} log:50 flush line:up wait log:3000");
            let script = script + " threads:6:2000 fork:3 line:done wait";
            let mut victim = Actor::heard("victim", &folder, script).until("up");
            let ring = ring_of(&folder, victim.pid());
            // A write that the flusher has begun makes the file longer whatever it checked before.
            wait_until("a flusher that sleeps", || is_armed(&ring));
            open(&ring).set_len(size).expect("cut");
            victim.go();
            assert_eq!(victim.line(), "done", "it goes on: {policy}, cut to {size}");
            let size_now = ring_of(&folder, victim.pid()).metadata().expect("there").len();
            assert_eq!(size_now, size, "the flusher does not make it longer again");
            victim.go();
            let printed = victim.errors();
            assert!(victim.end().success());
            assert_eq!(printed.matches("a part of this process's ring is gone").count(), 1, "{printed}");
            host.finish();
            let lines = read(&folder, "victim");
            assert!(count(&lines, "line ") >= 50);
            // Its children have rings of their own.
            assert_eq!(count(&lines, "child "), 60, "{policy} {size}");
            // How it ended is in the control page, and so does not reach the flusher if that is gone.
            assert!(alarms(&lines) <= usize::from(size < 8192), "an ordinary end: {:?}", own(&lines));
        }
    }
}

#[test]
fn a_guard_leaves_every_other_sigbus_to_who_handled_it_before() {
    let folder = Scratch::new("chained");
    let (_, alone) = run("host", &folder, "log:3 bus");
    assert_eq!(alone.signal(), Some(libc::SIGBUS), "the process ends as it would without the guard");
    let (_, handled) = run("host", &folder, "before:bus log:3 bus");
    assert_eq!(handled.code(), Some(77), "its own handler ends it");
    let mut sent = Actor::start("host", &folder, "line:up wait").until("up");
    // The standard library's handler, which was there before, takes the first one as a reason to restore the default.
    for _ in 0..2 {
        sent.signal(Signal::BUS);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(sent.end().signal(), Some(libc::SIGBUS), "one that was sent ends it too");
}

#[test]
fn every_ring_is_guarded_however_many_loggers_a_process_has_and_whoever_handles_sigbus_later() {
    for (what, later) in [("nobody", ""), ("one that takes it for the end", "later:bus")] {
        let folder = Scratch::new("many-rings");
        let script =
            format!("flusher=never lanes=3 slots=64 loggers:40 {later} line:up wait loggers-log:200 line:done wait");
        let mut victim = Actor::start("victim", &folder, script);
        assert_eq!(victim.line(), "up", "{what}");
        let rings = ring_files(&folder);
        assert!(rings.len() > 16, "{} rings", rings.len());
        rings.iter().for_each(|ring| open(ring).set_len(8192).expect("cut"));
        victim.go();
        assert_eq!(victim.line(), "done", "{what}: it goes on");
        victim.go();
        assert!(victim.end().success(), "{what}");
    }
    let folder = Scratch::new("later");
    let (_, chained) = run("victim", &folder, "later:bus log:3 bus");
    assert_eq!(chained.signal(), Some(libc::SIGBUS), "what is not the guard's is handed on, and ends");
}

#[test]
fn a_ring_with_a_hole_goes_on_and_what_was_in_the_hole_is_counted() {
    for lane_blocks_too in [false, true] {
        let folder = Scratch::new("hole");
        let mut host = Actor::start("host", &folder, "line:up wait").until("up");
        let script =
            "flusher=never lanes=3 log:100 flush line:1 wait log:500 line:2 wait threads:2:100 log:500 flush exit";
        let mut victim = Actor::start("victim", &folder, script).until("1");
        // Nothing is drained while the hole is made.
        host.signal(Signal::STOP);
        victim.go_until("2");
        let path = ring_of(&folder, victim.pid());
        let size = path.metadata().expect("there").len();
        let start = if lane_blocks_too { 4096 } else { size - 3 * 4096 * 128 };
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(open(&path), punch, start, size - start).expect("punched");
        host.signal(Signal::CONT);
        victim.go();
        assert!(victim.end().success(), "it goes on");
        host.finish();
        let lines = read(&folder, "victim");
        let numbers = numbers(&lines);
        assert!(numbers.is_sorted_by(|a, b| a < b), "in order and once");
        assert!(numbers.contains(&99) && numbers.contains(&1099), "before and after: {numbers:?}");
        assert_eq!(1100 - numbers.len(), reported_lost(&lines), "{lines:?}");
        assert_eq!(missing_of_threads(&lines, 2, 100), 0);
    }
}

/// Puts something in the place of a ring.
type Way<'a> = &'a dyn Fn(&Path);

#[test]
fn a_ring_that_is_removed_or_replaced_is_read_to_its_end_by_the_flusher_that_has_it() {
    let outside = Scratch::new("outside");
    let target = outside.join("target");
    let ways: [(&str, Way<'_>); 5] = [
        ("removed", &|_| ()),
        ("a symbolic link", &|path| std::os::unix::fs::symlink(&target, path).expect("linked")),
        ("a FIFO", &|path| make_fifo(path)),
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
        wait_until("its lines", || missing(&read_so_far(&scene.folder, "victim"), "line ", 3050) == 0);
        scene.victim.kill();
        wait_until("its death line", || alarms(&read_so_far(&scene.folder, "victim")) > 0);
        let lines = scene.others_are_well();
        assert_eq!(alarms(&lines), 1, "{what}: once");
        assert!(tells(&lines, "was removed or replaced by somebody else"), "{what}: {:?}", own(&lines));
        assert_eq!(fs::read_to_string(&target).expect("there"), "untouched", "{what}");
        assert_eq!(path.symlink_metadata().is_ok(), what != "removed", "what took its name is left alone: {what}");
        flush_rest(&scene.folder);
    }
}

#[test]
fn a_ring_that_looks_open_at_another_place_each_time_holds_nobody_up() {
    let folder = Scratch::new("restless");
    let _host = Actor::start("host", &folder, "line:up wait").until("up");
    let geometry = Geometry::new(128, 64, 3, 1, 4096).expect("sizes within the limits");
    let spec = RingSpec { full: FullPolicy::Overwrite, ..RingSpec::new("restless", geometry) };
    let ring = Ring::create(&Folder::open(&folder).expect("the folder"), &spec).expect("a ring");
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
        let script = "flusher=never log:10 line:up wait slowly:300:500 flush line:flushed";
        let mut other = Actor::start("other", &folder, script).until("up");
        other.go();
        // Here and not after the scope, which a failure would never leave.
        let flushed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| other.line()));
        done.store(true, Ordering::Release);
        assert_eq!(flushed.ok().as_deref(), Some("flushed"), "its lines are in their file");
    });
    assert_eq!(missing(&read(&folder, "other"), "line ", 310), 0);
}

#[test]
fn a_ring_that_is_replaced_between_two_flushers_does_not_keep_the_second_from_its_work() {
    let wreck = Scratch::new("between");
    for role in ["worker", "other"] {
        let _ = run(role, &wreck, "flusher=never rotate=4096 keep=50 log:300 kill");
    }
    let mut random = Random::from_env("LASTWORDS_BETWEEN_SEED");
    for round in 0..48 {
        let folder = Scratch::new("between-copy");
        copy_rings(&wreck, &folder);
        // Both processes' lines are in the batches from here on.
        let call = CALLS.0 + random.below(CALLS.1 - CALLS.0);
        drain_until(&folder, call);
        let victim = |path: &PathBuf| path.to_string_lossy().contains("worker-");
        if let Some(ring) = ring_files(&folder).into_iter().find(victim) {
            if round % 4 == 3 {
                // With its header, but without a place for its positions.
                open(&ring).set_len(8192).expect("cut");
            } else {
                fs::remove_file(&ring).expect("removed");
            }
            match round % 4 {
                0 => std::os::unix::fs::symlink(folder.join("nowhere"), &ring).expect("linked"),
                1 => fs::create_dir(&ring).expect("made"),
                2 => make_fifo(ring),
                _ => {}
            }
        }
        drain(&folder, "all");
        let lines = read(&folder, "other");
        assert_eq!(missing(&lines, "line ", 300), 0, "replaced in round {round}, killed before call {call}");
    }
}
