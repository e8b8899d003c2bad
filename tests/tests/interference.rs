//! External modification of the log folder: a log rotation of the system, a cleaner of temporary files, an administrator with
//! an editor, a full disk.
//!
//! A flusher that writes where its file ended before it was truncated leaves a hole of zeros, and every tool takes the log for
//! binary from then on. One that writes on into a file that was deleted loses all lines until its next start, in silence. One
//! that gives up because a file cannot be opened loses the log of all processes. So what others do to the current file may cost
//! the lines that were in it, and duplicate one batch at most; everything else arrives, and what happened is logged.

use lastwords_tests::actor::{Actor, printed, run, succeed, tool_at, wait_until};
use lastwords_tests::drains::drain;
use lastwords_tests::files::{copy_rings, name_of, paths_in};
use lastwords_tests::logs::{Line, assert_numbered, count, numbers, read};
use lastwords_tests::mounts::Tmpfs;
use lastwords_tests::oracle::Random;
use lastwords_tests::programs::{ACTOR, DRAINER, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::skip_unless;
use lastwords_tests::sys::{Stop, Traced};
use lastwords_tests::users::{USER, acting_as, as_user};
use lastwords_tests::watchdog::Watchdog;
use rustix::process::{Signal, geteuid};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Lines of each role in the folder that is drained again and again.
const LINES: usize = 300;
/// Time for the system calls that are tried with one way of meddling.
const TIME: Duration = Duration::from_secs(3);
/// How many of them are tried on a slow machine all the same.
const TRIED_MIN: u32 = 6;

/// What is done to `worker.log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meddling {
    Delete,
    CutToNothing,
    CutToAPart,
    RenameAndCreate,
    Folder,
    Link,
}

const ALL: [Meddling; 6] = [
    Meddling::Delete,
    Meddling::CutToNothing,
    Meddling::CutToAPart,
    Meddling::RenameAndCreate,
    Meddling::Folder,
    Meddling::Link,
];

impl Meddling {
    /// Does it, and returns what was in the file: the lines that another program keeps. False if there is no file yet.
    fn apply(self, folder: &Path, saved: &mut Vec<String>) -> bool {
        let path = folder.join("worker.log");
        let Ok(text) = fs::read_to_string(&path) else { return false };
        let size = text.len() as u64;
        saved.push(text);
        let cut = |size| fs::File::options().write(true).open(&path).and_then(|file| file.set_len(size));
        match self {
            Meddling::Delete => fs::remove_file(&path),
            Meddling::CutToNothing => cut(0),
            Meddling::CutToAPart => cut(size / 2),
            Meddling::RenameAndCreate => {
                let old = folder.join(format!("worker.old-{}", saved.len()));
                fs::rename(&path, old).and_then(|()| fs::write(&path, ""))
            }
            Meddling::Folder => fs::remove_file(&path).and_then(|()| fs::create_dir(&path)),
            Meddling::Link => fs::remove_file(&path)
                .and_then(|()| std::os::unix::fs::symlink(folder.with_extension("outside"), &path)),
        }
        .expect("done");
        true
    }
}

/// How often each of the lines `line 0` … is in these texts, and no torn or false line. A truncated line is not a line, and is
/// marked.
fn count_lines(texts: &[String], meddling: Meddling) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        assert!(!text.contains('\0'), "a hole in a log file");
        for line in text.lines() {
            let Some((head, rest)) = line.split_once("] [INFO] line ") else { continue };
            // What is on one line with a truncated one is not counted.
            let pid = head.split_at_checked(23).and_then(|(_, pid)| pid.strip_prefix(" ["));
            if pid.is_none_or(|pid| pid.parse::<u32>().is_err()) {
                continue;
            }
            if meddling == Meddling::CutToAPart && rest.ends_with(" [lastwords: cut off here]") {
                continue;
            }
            let number = rest.parse().unwrap_or_else(|_| panic!("torn: {line:?}"));
            *counts.entry(number).or_default() += 1;
        }
    }
    counts
}

/// All files of the worker that are in the folder, whatever put them there.
fn worker_files(folder: &Path) -> Vec<String> {
    let files = paths_in(folder).into_iter().filter(|path| name_of(path).starts_with("worker.") && path.is_file());
    files.map(|path| fs::read_to_string(path).expect("UTF-8")).collect()
}

/// Rings of two processes that died, to be drained again and again.
fn wreck() -> Scratch {
    let wreck = Scratch::new("meddled");
    for role in ["worker", "other"] {
        let _ = run(role, &wreck, format!("flusher=never slots=1024 log:{LINES} kill"));
    }
    wreck
}

fn copy_of(wreck: &Scratch, to: &Path) {
    let _ = fs::remove_dir_all(to);
    copy_rings(wreck, to);
}

/// Drains `folder` and does `meddling` before the system call with number `at`. Returns whether that came and the number of
/// calls. The file is there from before.
fn drain_with(folder: &Path, meddling: Meddling, at: usize, saved: &mut Vec<String>) -> (bool, usize) {
    let mut command = DRAINER.command();
    let mut traced = Traced::start(command.arg(folder).arg("all")).expect("started");
    let (mut inside, mut calls, mut done) = (false, 0, false);
    loop {
        match traced.to_system_call().expect("traced") {
            Stop::Entry(number) if number == libc::SYS_getppid as u64 => inside = !inside,
            Stop::Entry(_) if inside => {
                if calls == at {
                    done = meddling.apply(folder, saved);
                }
                calls += 1;
            }
            Stop::Entry(_) | Stop::Exit => {}
            Stop::Ended(status) => {
                assert_eq!(status, 0, "the flusher lives: {meddling:?} before call {at}");
                return (done, calls);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_log_file_that_changes_between_any_two_system_calls_of_a_drain_loses_no_line() {
    let _watchdog = Watchdog::new("a changing log file", Duration::from_secs(600));
    let (wreck, scratch) = (wreck(), Scratch::new("meddling"));
    let folder = scratch.join("logs");
    let outside = folder.with_extension("outside");
    let mut random = Random::from_env("LASTWORDS_MEDDLING_SEED");
    for meddling in ALL {
        fs::write(&outside, "untouched").expect("written");
        copy_of(&wreck, &folder);
        let (_, calls) = drain_with(&folder, meddling, usize::MAX, &mut Vec::new());
        let (start, mut tried) = (Instant::now(), 0);
        while start.elapsed() < TIME || tried < TRIED_MIN {
            copy_of(&wreck, &folder);
            // There was a run before this one, so that every call can be meddled with.
            fs::write(folder.join("worker.log"), "2025-01-01 00:00:00.000 [1] [INFO] before\n").expect("written");
            let (at, mut saved) = (random.below(calls as u64) as usize, Vec::new());
            if !drain_with(&folder, meddling, at, &mut saved).0 {
                continue;
            }
            tried += 1;
            saved.extend(worker_files(&folder));
            let counts = count_lines(&saved, meddling);
            assert_eq!(counts.len(), LINES, "{meddling:?} before call {at} of {calls}: lines are lost");
            // What stood in the file is counted as saved and, unless it was removed, once more.
            assert!(counts.values().all(|count| *count <= 3), "{meddling:?} before call {at}: {counts:?}");
            assert_eq!(read(&folder, "other").iter().filter(|line| line.level == "INFO").count(), LINES);
            assert_eq!(fs::read_to_string(&outside).expect("there"), "untouched", "{meddling:?} before call {at}");
        }
        println!("{meddling:?}: before {tried} of {calls} system calls");
    }
}

fn warnings(lines: &[Line]) -> Vec<&str> {
    let own = |line: &&Line| line.message.starts_with("lastwords: ");
    lines.iter().filter(own).map(|line| line.message.as_str()).collect()
}

#[test]
fn what_others_do_to_the_current_file_of_a_living_flusher_is_a_line_and_costs_nobody_a_line() {
    for (meddling, expected) in [
        (Meddling::Delete, "removed by somebody else"),
        (Meddling::CutToNothing, "was truncated to 0 by somebody else"),
        (Meddling::CutToAPart, "was truncated to"),
        (Meddling::RenameAndCreate, "renamed by somebody else"),
        (Meddling::Folder, "it is now"),
        (Meddling::Link, "it is now"),
    ] {
        let scratch = Scratch::new("living");
        let folder = scratch.join("logs");
        let outside = folder.with_extension("outside");
        fs::write(&outside, "untouched").expect("written");
        let mut host = Actor::start("host", &folder, "line:up wait log:50").until("up");
        let script = "flusher=never log:1 flush line:up slowly:400:500 line:logged wait exit";
        let mut worker = Actor::start("worker", &folder, script).until("up");
        let mut saved = Vec::new();
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(30));
            // While it is stopped nothing is written, so that what was saved is all that stood there.
            host.stop();
            meddling.apply(&folder, &mut saved);
            host.signal(Signal::CONT);
        }
        worker.says("logged");
        worker.finish();
        host.go();
        assert!(host.end().success(), "{meddling:?}");
        saved.extend(worker_files(&folder));
        let counts = count_lines(&saved, meddling);
        assert_eq!(counts.len(), 401, "{meddling:?}: lines are lost");
        assert!(saved.iter().any(|text| text.contains(expected)), "{meddling:?}: {saved:?}");
        assert_eq!(read(&folder, "host").len(), 50);
        assert_eq!(fs::read_to_string(&outside).expect("there"), "untouched");
    }
}

#[test]
fn a_log_file_that_may_not_be_written_to_is_put_aside() {
    // Root may write to everything, so that another user is needed.
    let scratch = Scratch::new("read-only");
    let folder = scratch.join("logs");
    let is_root = geteuid().is_root();
    if is_root {
        fs::set_permissions(&scratch, fs::Permissions::from_mode(0o777)).expect("opened");
        if !as_user(USER, "test").args(["-x", &ACTOR]).status().is_ok_and(|status| status.success()) {
            return println!("skipped: another user cannot be had here, or may not run the helper program");
        }
    }
    let act = |script: &str| {
        let mut command =
            if is_root { acting_as(USER, "host", &folder, script) } else { ACTOR.acting("host", &folder, script) };
        printed(command.current_dir("/")).ended(0);
    };
    act("log:5");
    fs::set_permissions(folder.join("host.log"), fs::Permissions::from_mode(0o444)).expect("done");
    act("log:7");
    let lines = read(&folder, "host");
    assert_eq!(count(&lines, "line "), 7);
    assert!(warnings(&lines)[0].contains("may not be written to; it is now"), "{lines:?}");
    let aside = paths_in(&folder).into_iter().find(|path| name_of(path).starts_with("host.log.aside-"));
    let held = fs::read_to_string(aside.expect("there")).expect("there");
    assert_eq!(held.lines().count(), 5, "what it held is still there");
}

#[test]
fn a_log_folder_that_is_removed_and_made_again_gets_all_lines_when_the_rings_are_elsewhere() {
    let (scratch, memory) = (Scratch::new("again"), Scratch::within(Path::new("/dev/shm"), "again"));
    let folder = scratch.join("logs");
    let rings = format!("rings={}", memory.display());
    let mut host = Actor::start("host", &folder, format!("{rings} line:up wait")).until("up");
    let script = format!("{rings} flusher=never log:100 flush line:1 wait log:100 line:2 wait log:100 flush");
    let mut worker = Actor::start("worker", &folder, &script).until("1");
    // This one has no log file yet.
    let script = format!("{rings} flusher=never line:up wait log:50 line:logged wait flush");
    let mut late = Actor::start("late", &folder, &script).until("up");
    fs::remove_dir_all(&folder).expect("removed while live");
    for actor in [&mut late, &mut worker] {
        actor.go();
        actor.line();
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(!folder.exists(), "the flusher does not make it again");
    fs::create_dir(&folder).expect("made again");
    for actor in [&mut worker, &mut late, &mut host] {
        actor.finish();
    }
    let lines = read(&folder, "worker");
    let late = read(&folder, "late");
    assert_eq!(count(&late, "line "), 50, "each once: {late:?}");
    assert_eq!(numbers(&lines), (100..300).collect::<Vec<_>>(), "all that was not in the removed file");
    assert!(warnings(&lines).iter().any(|line| line.contains("removed by somebody else")), "{lines:?}");
    assert!(warnings(&read(&folder, "host")).len() + warnings(&lines).len() >= 2, "and that it could not be written");
}

#[test]
fn a_log_folder_that_is_removed_with_its_rings_serves_whoever_comes_next() {
    let scratch = Scratch::new("removed");
    let folder = scratch.join("logs");
    let mut host = Actor::start("host", &folder, "log:10 flush line:1 wait log:5 line:2 wait").until("1");
    fs::remove_dir_all(&folder).expect("removed while live");
    host.go_until("2");
    // Another process makes the folder again and is the flusher of it, or the host is, whose lock went with the folder.
    succeed("worker", &folder, "log:200");
    let lines = read(&folder, "worker");
    assert_eq!(lines.len(), 200, "{lines:?}");
    // What it logs is lost, but it ends as always.
    host.finish();
}

/// What keeps `worker.log` from being written or rotated while a test holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocked {
    /// `worker.log` can be neither written nor renamed.
    Immutable,
    /// It can be appended to and not be renamed.
    AppendOnly,
    /// A folder that is not empty has the last number of a rotation.
    FolderInTheWay,
}

impl Blocked {
    fn set(self, folder: &Path, on: bool) {
        match self {
            Blocked::Immutable => attribute(folder, if on { "+i" } else { "-i" }),
            Blocked::AppendOnly => attribute(folder, if on { "+a" } else { "-a" }),
            Blocked::FolderInTheWay => {
                let path = folder.join("worker.log.2");
                if on {
                    fs::create_dir(&path).and_then(|()| fs::write(path.join("x"), "")).expect("made");
                } else {
                    fs::remove_dir_all(path).expect("removed");
                }
            }
        }
    }
}

fn attribute(folder: &Path, change: &str) {
    // A rotation leaves a moment without the file.
    wait_until(&format!("chattr {change}"), || {
        Command::new("chattr").arg(change).arg(folder.join("worker.log")).status().expect("chattr").success()
    });
}

/// Whether attributes of files can be changed here.
fn has_attributes(folder: &Path) -> bool {
    let file = folder.join("probe");
    fs::write(&file, "").expect("written");
    let change = |how| Command::new("chattr").arg(how).arg(&file).stderr(Stdio::null()).status();
    let able = change("+i").is_ok_and(|status| status.success());
    let _ = change("-i");
    if !able {
        println!("skipped in part: attributes of files cannot be changed here, by this user or on this file system");
    }
    able
}

#[test]
fn a_file_that_cannot_be_written_or_renamed_holds_up_no_other_role() {
    for blocked in [Blocked::Immutable, Blocked::AppendOnly, Blocked::FolderInTheWay] {
        let scratch = Scratch::new("blocked");
        if blocked != Blocked::FolderInTheWay && !has_attributes(&scratch) {
            continue;
        }
        let folder = scratch.join("logs");
        let mut host = Actor::start("host", &folder, "line:up wait").until("up");
        let script = "flusher=never rotate=8192 keep=2 log:10 flush line:up wait slowly:800:50 line:logged wait exit";
        let mut worker = Actor::start("worker", &folder, script).until("up");
        blocked.set(&folder, true);
        worker.go_until("logged");
        // The others' lines are in their file while that lasts.
        let (_, status) = run("other", &folder, "flusher=never log:200 flush");
        assert!(status.success(), "{blocked:?}: the other role is flushed");
        assert_eq!(read(&folder, "other").len(), 200);
        let size = || fs::metadata(folder.join("worker.log")).expect("there").len();
        match blocked {
            Blocked::Immutable => assert!(size() < 1024, "nothing was written: {}", size()),
            _ => wait_until("the file to grow", || size() > 20_000),
        }
        blocked.set(&folder, false);
        worker.go();
        assert!(worker.end().success(), "{blocked:?}");
        host.finish();
        let lines = read(&folder, "worker");
        let numbers = numbers(&lines);
        assert_eq!(numbers, (numbers[0]..810).collect::<Vec<_>>(), "{blocked:?}: each once, in order");
        let expected = if blocked == Blocked::Immutable { "could not be written" } else { "cannot be rotated" };
        let logged = lines.iter().filter(|line| line.message.contains(expected)).count();
        assert_eq!(logged, 1, "{blocked:?}: once: {:?}", warnings(&lines));
    }
}

#[test]
fn the_end_of_a_level_for_a_time_in_a_suspended_role_holds_up_no_other() {
    let scratch = Scratch::new("blocked-level");
    skip_unless!(has_attributes(&scratch));
    let folder = scratch.join("logs");
    let level = |arguments: &str| {
        let output = tool_at(format!("level {arguments} --dir"), &folder);
        assert!(output.status.success(), "{output:?}");
        output.out
    };
    let mut host = Actor::start("host", &folder, "line:up wait").until("up");
    let script = "flusher=never log:10 flush line:up wait log:10 line:on wait";
    // Each of them ends a pass where it is taken for an error of the folder.
    let mut workers = Actor::several(4, "worker", &folder, script, "up");
    let script = "flusher=never line:up wait slowly:2000:1000 flush line:flushed wait";
    let mut other = Actor::start("other", &folder, script).until("up");
    attribute(&folder, "+i");
    workers.iter_mut().for_each(Actor::go);
    workers.iter_mut().for_each(|worker| worker.says("on"));
    other.go();
    for worker in &workers {
        level(&format!("{} trace --for 1s", worker.pid()));
    }
    wait_until("the end of their time", || level("worker").matches("info  off").count() == workers.len());
    other.says("flushed");
    attribute(&folder, "-i");
    workers.iter_mut().for_each(|worker| assert!(worker.end().success()));
    other.finish();
    host.finish();
    let lines = read(&folder, "other");
    assert_eq!((lines.len(), warnings(&lines)), (2000, Vec::new()), "nothing failed for the other role");
    assert_eq!(warnings(&read(&folder, "host")), Vec::<String>::new(), "nor for the folder");
    let lines = read(&folder, "worker");
    let with = |part: &str| lines.iter().filter(|line| line.message.contains(part)).count();
    let ends = with("its time is over: log trace -> info");
    assert_eq!((ends, with("could not be written"), with("line ")), (4, 1, 80));
}

#[test]
fn a_flusher_that_dies_with_a_suspended_role_leaves_every_line_once() {
    for blocked in [Blocked::Immutable, Blocked::AppendOnly] {
        let scratch = Scratch::new("blocked-kill");
        skip_unless!(has_attributes(&scratch));
        let folder = scratch.join("logs");
        let script = "flusher=never rotate=8192 keep=90 log:10 line:up wait slowly:2000:200 line:logged wait";
        let mut workers = ["worker", "other"].map(|role| Actor::start(role, &folder, script).until("up"));
        fs::write(folder.join("worker.log"), "").expect("written");
        workers.iter_mut().for_each(Actor::go);
        let mut random = Random::from_env("LASTWORDS_MEDDLING_SEED");
        for round in 0..8 {
            let mut flusher = DRAINER.command();
            flusher.arg(&folder).args(["all", "on"]).stderr(Stdio::null());
            let mut flusher = flusher.spawn().expect("ran");
            // Every second one finds the file blocked, the others have it open when it is.
            std::thread::sleep(Duration::from_millis(30 + random.below(30)));
            blocked.set(&folder, true);
            std::thread::sleep(Duration::from_millis(30 + random.below(30)));
            flusher.kill().expect("killed");
            flusher.wait().expect("ended");
            if round % 2 == 0 {
                blocked.set(&folder, false);
            }
        }
        blocked.set(&folder, false);
        workers.iter_mut().for_each(|worker| worker.says("logged"));
        workers.iter_mut().for_each(Actor::kill);
        drain(&folder, "all");
        for role in ["worker", "other"] {
            let lines = read(&folder, role);
            assert_numbered(&lines, 2010, &format!("{blocked:?}: {role}, each once"));
        }
    }
}

#[test]
fn a_file_system_that_is_read_only_for_a_while_costs_no_line_and_is_told() {
    let Some(disk) = Tmpfs::mount("size=8m") else { return };
    let memory = Scratch::within(Path::new("/dev/shm"), "read-only");
    let folder = disk.path().join("logs");
    let rings = format!("rings={}", memory.display());
    let script = format!("{rings} flusher=never log:300 line:up wait log:300 flush");
    let mut worker = Actor::start("worker", &folder, script).until("up");
    // Nothing is open for writing there, so that it can be mounted again.
    disk.remount("ro");
    let mut flusher = TOOL.command();
    flusher.args(["flush", "--rings"]).args([memory.path(), &folder]).stderr(Stdio::null());
    let mut flusher = flusher.spawn().expect("the tool starts");
    worker.go();
    std::thread::sleep(Duration::from_millis(400));
    disk.remount("rw");
    assert!(worker.end().success());
    flusher.kill().expect("killed");
    flusher.wait().expect("ended");
    let lines = read(&folder, "worker");
    assert_numbered(&lines, 600, "each once, in order");
    assert!(warnings(&lines).iter().any(|line| line.contains("could not be written")), "{:?}", warnings(&lines));
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_no_line_and_is_told() {
    for rings_there in [false, true] {
        let Some(disk) = Tmpfs::mount("size=16m") else { return };
        let memory = Scratch::within(Path::new("/dev/shm"), "full");
        let folder = disk.path().join("logs");
        let rings = if rings_there { String::new() } else { format!("rings={}", memory.display()) };
        // Room in the lane for all that is logged meanwhile: on a full disk nothing can be kept beside the ring.
        let settings = format!("slots=1024 lanes=3 {rings}");
        let mut host = Actor::start("host", &folder, format!("{settings} line:up wait log:3")).until("up");
        let script = format!("{settings} flusher=never log:100 flush line:up wait log:200 line:logged wait exit");
        let mut worker = Actor::start("worker", &folder, script).until("up");
        let filler = disk.path().join("filler");
        let full = fs::write(&filler, vec![1; 16 << 20]).expect_err("there is not that much room");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        worker.go_until("logged");
        // Longer than the flusher takes to try.
        std::thread::sleep(Duration::from_millis(500));
        fs::remove_file(&filler).expect("removed");
        worker.finish();
        host.finish();
        let lines = read(&folder, "worker");
        assert_numbered(&lines, 300, "each once, in order");
        let all = [lines, read(&folder, "host")].concat();
        assert!(warnings(&all).iter().any(|line| line.contains("could not be written")), "{all:?}");
    }
}
