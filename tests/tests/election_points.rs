//! A process may be killed or stopped before any system call of its try to become the flusher.
//!
//! The lock of `flusher.lock` dies with its holder, unless a child that was forked in that moment has it too; and a process
//! that is stopped keeps whatever it holds. If the election had a step in which that keeps others out for good, nobody would
//! flush any more; if it had one in which two believe that they have won, lines would be doubled. So processes are killed or
//! stopped before each system call of an attempt, alone and two at a time, with and without a child that keeps their
//! descriptors, and others must become the flusher all the same, one at a time.

use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::Holder;
use lastwords_ring::place::process::ProcessId;
use lastwords_tests::actor::wait_until;
use lastwords_tests::files::names_in;
use lastwords_tests::logs::{alarms, count, read};
use lastwords_tests::oracle::Random;
use lastwords_tests::programs::{DRAINER, ELECTOR};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use lastwords_tests::watchdog::Watchdog;
use rustix::fs::FlockOperation;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time for the points of one test, unless all are asked for.
const TIME: Duration = Duration::from_secs(20);

/// What an election finds.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// No lock file.
    Nothing,
    /// A holder that is gone.
    Gone,
    /// Gone, but a child of it keeps the lock.
    Kept,
    /// A holder that has released the lock, and lives.
    Released,
}

const ALL: [Before; 4] = [Before::Nothing, Before::Gone, Before::Kept, Before::Released];

/// A log folder in which an election is to be.
struct Arena {
    scratch: Scratch,
    kept: Option<File>,
}

impl Arena {
    fn new(before: Before) -> Arena {
        let scratch = Scratch::new("election");
        let folder = Folder::create(&scratch.join("logs")).expect("made");
        let mut gone = Command::new("true").spawn().expect("started");
        gone.wait().expect("reaped");
        let process = ProcessId { pid: gone.id(), ..ProcessId::current() };
        let text = Holder { process, ..Holder::current() }.to_string();
        match before {
            Before::Nothing => {}
            Before::Gone | Before::Kept => fs::write(folder.lock_file(), text).expect("written"),
            Before::Released => {
                let (mut other, path) = (ELECTOR.command(), scratch.join("logs"));
                assert!(other.arg(&path).status().expect("ran").success());
                fs::remove_file(path.join("done")).expect("there");
            }
        }
        let kept = matches!(before, Before::Kept).then(|| File::open(folder.lock_file()).expect("opened"));
        if let Some(kept) = &kept {
            rustix::fs::flock(kept, FlockOperation::NonBlockingLockExclusive).expect("free");
        }
        Arena { scratch, kept }
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join("logs")
    }

    fn command(&self) -> Command {
        let mut command = ELECTOR.command();
        command.arg(self.path());
        command
    }

    /// Starts one and lets it come to its system call number `point`. None if it has won before.
    fn stopped_at(&self, point: usize) -> Option<Traced> {
        Traced::start_to(&mut self.command(), |before, _| before == point).ok()
    }

    /// System calls of an undisturbed attempt.
    fn points(before: Before) -> usize {
        let arena = Arena::new(before);
        let mut traced = Traced::start(&mut arena.command()).expect("started");
        let (mut marks, mut calls) = (0, 0);
        while marks < 2 {
            match traced.to_system_call().expect("traced") {
                Stop::Entry(number) if number == libc::SYS_getppid as u64 => marks += 1,
                Stop::Entry(_) => calls += marks,
                Stop::Exit => {}
                other => panic!("{other:?}"),
            }
        }
        calls
    }

    fn start(&self) -> Child {
        self.command().spawn().expect("started")
    }

    fn done(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.path().join("done")).unwrap_or_default();
        text.lines().map(|line| line.parse().expect("a pid")).collect()
    }

    /// Waits until all of these have been the flusher, one at a time.
    fn wait_for_all(&self, pids: &[u32], what: &str) {
        wait_until(what, || pids.iter().all(|pid| self.done().contains(pid)));
        assert!(!self.path().join("clash").exists(), "two at work: {what}");
    }

    /// The pid in the lock file.
    fn named(&self) -> Option<u32> {
        let text = fs::read_to_string(self.path().join("rings/flusher.lock")).ok()?;
        text.strip_prefix("pid=")?.split(' ').next()?.parse().ok()
    }
}

/// What a process has open of lock files, as a child of it would have.
fn keep_descriptors(pid: u32) -> Vec<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(pid.cast_signed()).expect("a pid"), PidfdFlags::empty()).expect("opened");
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("listed").filter_map(Result::ok);
    let locks = entries
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|path| path.to_string_lossy().contains("/flusher.lock")));
    let numbers = locks.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(|number| pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok()).collect()
}

/// Tries all points, or as many as there is time for, in random order.
fn try_points(name: &str, points: Vec<(Before, usize, usize)>, attempt: impl Fn(Before, usize, usize) -> bool) {
    let _watchdog = Watchdog::new("election points", Duration::from_secs(1800));
    let mut points = points;
    Random::from_env("LASTWORDS_POINTS_SEED").shuffle(&mut points);
    let (start, all, mut tried) = (Instant::now(), std::env::var("LASTWORDS_ALL_POINTS").is_ok(), 0);
    for (before, first, second) in &points {
        if !all && start.elapsed() > TIME {
            break;
        }
        tried += usize::from(attempt(*before, *first, *second));
    }
    println!("{name}: {tried} of {} points tried", points.len());
    assert!(tried > 0);
}

fn single_points() -> Vec<(Before, usize, usize)> {
    let all = ALL.map(|before| (0..Arena::points(before)).map(move |point| (before, point, 0)));
    all.into_iter().flatten().collect()
}

#[test]
fn a_process_killed_before_any_system_call_of_an_election_keeps_nobody_from_flushing() {
    for kept in [false, true] {
        try_points("killed", single_points(), |before, point, _| {
            let arena = Arena::new(before);
            let Some(mut traced) = arena.stopped_at(point) else { return false };
            let descriptors = if kept { keep_descriptors(traced.pid()) } else { Vec::new() };
            traced.kill().expect("killed");
            let mut others = [arena.start(), arena.start()];
            arena.wait_for_all(&others.each_ref().map(Child::id), &format!("{before:?}, killed at {point}, {kept}"));
            others.iter_mut().for_each(|other| assert!(other.wait().expect("ended").success()));
            drop(descriptors);
            assert_clean(&arena, kept);
            true
        });
    }
}

/// Nothing is left of killed attempts but what is still kept.
fn assert_clean(arena: &Arena, kept: bool) {
    let left =
        |path: &Path| names_in(&path.join("rings")).iter().filter(|name| name.starts_with("flusher.lock.")).count();
    let mut last = arena.start();
    arena.wait_for_all(&[last.id()], "the last one");
    assert!(last.wait().expect("ended").success());
    let allowed = usize::from(kept || arena.kept.is_some());
    assert!(left(&arena.path()) <= allowed, "{}", left(&arena.path()));
}

#[test]
fn a_process_stopped_before_any_system_call_of_an_election_keeps_nobody_from_flushing_and_goes_on() {
    try_points("stopped", single_points(), |before, point, _| {
        let arena = Arena::new(before);
        let Some(mut traced) = arena.stopped_at(point) else { return false };
        let what = format!("{before:?}, stopped at {point}");
        let mut others = [arena.start(), arena.start()];
        let pids = others.each_ref().map(Child::id);
        // Once its name is in the file it is the flusher, and that one may be stopped.
        if arena.named() != Some(traced.pid()) {
            arena.wait_for_all(&pids, &what);
        }
        traced.let_go().expect("detached");
        arena.wait_for_all(&[pids[0], pids[1], traced.pid()], &what);
        others.iter_mut().for_each(|other| assert!(other.wait().expect("ended").success()));
        true
    });
}

/// Before each system call of a drain up to the last check of the lock. What remains is the time from there to the end of the
/// batch.
#[test]
fn a_flusher_that_is_stopped_while_somebody_removes_its_lock_doubles_nothing() {
    let written = |call: u64| [libc::SYS_pwrite64 as u64, libc::SYS_write as u64].contains(&call);
    let run = |point: Option<usize>| -> Option<usize> {
        let scratch = Scratch::new("lock-removed");
        let folder = scratch.join("logs");
        let _ = lastwords_tests::actor::run("worker", &folder, "flusher=never log:500 kill");
        let drainer = || {
            let mut command = DRAINER.command();
            command.arg(&folder).arg("all").stderr(Stdio::null());
            command
        };
        let mut traced = Traced::start(&mut drainer()).expect("started");
        let (mut calls, mut looks, mut won) = (0, None, false);
        loop {
            match traced.to_system_call().expect("traced") {
                Stop::Entry(_) if point == Some(calls) => break,
                Stop::Entry(call) => {
                    let path = || {
                        fs::read_link(format!("/proc/{}/fd/{}", traced.pid(), traced.arguments().expect("traced")[0]))
                    };
                    let to = |name| path().is_ok_and(|path| path.to_string_lossy().contains(name));
                    won |= written(call) && to("/flusher.lock");
                    if point.is_none() && written(call) && to("/journal.") {
                        return looks;
                    }
                    // The last call that names the lock, by its path, is the look.
                    let named = || -> std::io::Result<bool> {
                        use std::os::unix::fs::FileExt;
                        let memory = fs::File::open(format!("/proc/{}/mem", traced.pid()))?;
                        let mut bytes = [0; 256];
                        let count = memory.read_at(&mut bytes, traced.arguments()?[1])?;
                        let name = bytes[..count].split(|byte| *byte == 0).next().unwrap_or_default();
                        Ok(name.ends_with(b"flusher.lock"))
                    };
                    if point.is_none() && named().unwrap_or(false) {
                        looks = Some(calls);
                    }
                    calls += 1;
                }
                Stop::Exit => {}
                Stop::Ended(_) => return None,
                other => panic!("{other:?}"),
            }
        }
        if !won || fs::remove_file(folder.join("rings/flusher.lock")).is_err() {
            return None;
        }
        assert!(drainer().status().expect("ran").success());
        while !matches!(traced.run().expect("ran"), Stop::Ended(_) | Stop::Killed(_)) {}
        let lines = read(&folder, "worker");
        assert_eq!((count(&lines, "line "), alarms(&lines)), (500, 1), "stopped at {point:?}");
        Some(calls)
    };
    let last = run(None).expect("an undisturbed drain");
    let tried = (0..=last).rev().step_by(if std::env::var("LASTWORDS_ALL_POINTS").is_ok() { 1 } else { 7 });
    let tried = tried.filter(|point| run(Some(*point)).is_some()).count();
    println!("{tried} points, the last one {last}");
    assert!(tried > 3);
}

/// It got the lock while another one, which had seen that the holder before was gone, stood still before it replaced the file.
#[test]
fn a_holder_that_is_displaced_although_it_lives_stands_down_before_the_next_is_at_work() {
    let arena = Arena::new(Before::Kept);
    let mut late = Traced::start(&mut arena.command()).expect("started");
    while late.to_system_call().expect("traced") != Stop::Entry(libc::SYS_renameat2 as u64) {}
    let mut holder = arena.command().arg("2000").spawn().expect("started");
    wait_until("the holder", || arena.path().join("at-work").exists());
    late.let_go().expect("detached");
    arena.wait_for_all(&[holder.id(), late.pid()], "both");
    assert!(holder.wait().expect("ended").success());
    assert_eq!(arena.done().len(), 2);
}

#[test]
fn two_processes_stopped_in_an_election_go_on_in_any_order_and_one_is_at_work_at_a_time() {
    let counts = ALL.map(Arena::points);
    let mut random = Random::from_env("LASTWORDS_POINTS_SEED");
    let mut points = Vec::new();
    for (before, count) in ALL.into_iter().zip(counts) {
        points.extend((0..count).flat_map(|first| (0..count).map(move |second| (before, first, second))));
    }
    random.shuffle(&mut points);
    points.truncate(2000);
    try_points("two stopped", points, |before, first, second| {
        let arena = Arena::new(before);
        let Some(mut one) = arena.stopped_at(first) else { return false };
        if arena.named() == Some(one.pid()) {
            return false;
        }
        let Some(mut two) = arena.stopped_at(second) else { return false };
        let mut other = arena.start();
        let what = format!("{before:?}, stopped at {first} and {second}");
        let order = if (first + second) % 2 == 0 { [&mut one, &mut two] } else { [&mut two, &mut one] };
        for traced in order {
            std::thread::sleep(Duration::from_millis(((first * 7 + second) % 30) as u64));
            traced.let_go().expect("detached");
        }
        arena.wait_for_all(&[one.pid(), two.pid(), other.id()], &what);
        assert!(other.wait().expect("ended").success());
        true
    });
}
