//! What is kept beside a ring meets a disk that refuses, and files that another program has put there.
//!
//! The files of a backlog are made in a log call, of a program that has no descriptor or no space left at that very moment.
//! Then the policy decides as it would without them: what is lost is counted, the program goes on, and the next records are
//! kept again. And they are read by a flusher that knows nothing but their names, so anybody who may write to the folder may
//! have it read anything: that must never become a record that was not logged, nor a flusher that hangs.

use lastwords_tests::about::About;
use lastwords_tests::actor::{flush_once, run, tool_at};
use lastwords_tests::files::{beside_rings, make_fifo, names_in};
use lastwords_tests::logs::{Line, missing, read, reported_lost};
use lastwords_tests::programs::ACTOR;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use lastwords_tests::watchdog::Watchdog;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Lines that are logged, into a lane of 64.
const LINES: usize = 4000;

/// What the actor's `leave` ends with.
const LEFT: i32 = 3;

/// What goes wrong with a system call of the keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// This call, and so many of its number in all, fail with this error.
    Fail(i32, usize),
    /// It writes half of what it should.
    Half,
    /// It writes 13 bytes.
    Odd,
}

/// Logs with this fault at the system call of this number, counted from the first that a log call does because its lane is
/// full. Returns how many there were, what was said, and whether the fault happened.
fn log_with(folder: &Path, policy: &str, at: usize, fault: Fault) -> (usize, String, bool) {
    let printed = folder.with_extension("said");
    let script = format!("flusher=never policy={policy} slots=64 lanes=3 say:first mark log:{LINES} mark leave");
    let mut command = ACTOR.acting("worker", folder, script);
    command.stdout(Stdio::null()).stderr(File::create(&printed).expect("made"));
    let mut traced = Traced::start(&mut command).expect("started");
    let (mut marks, mut calls, mut left, mut number, mut reached) = (0, 0, 0, None, false);
    loop {
        match traced.to_system_call().expect("traced") {
            Stop::Entry(call) if call == libc::SYS_getppid as u64 => marks += 1,
            Stop::Entry(call) if marks == 1 => {
                let here = calls == at || (left > 0 && number == Some(call));
                calls += 1;
                match fault {
                    // Time is not what is tried here: without a flusher each wait is 10 ms.
                    _ if call == libc::SYS_futex as u64 => {}
                    Fault::Fail(error, times) if here => {
                        left = if number.is_none() { times } else { left } - 1;
                        (number, reached) = (Some(call), true);
                        traced.answer_instead(-i64::from(error)).expect("traced");
                    }
                    Fault::Half if here => reached = traced.shorten_write(|length| length / 2).expect("traced"),
                    Fault::Odd if here => reached = traced.shorten_write(|_| 13).expect("traced"),
                    _ => {}
                }
            }
            Stop::Ended(status) => {
                assert_eq!(status, LEFT, "at call {at} with {fault:?}");
                return (calls, fs::read_to_string(printed).expect("text"), reached);
            }
            Stop::Entry(_) | Stop::Exit => {}
            other => panic!("{other:?} at call {at} with {fault:?}"),
        }
    }
}

fn lines_of(folder: &Path) -> Vec<Line> {
    flush_once(folder);
    read(folder, "worker")
}

#[test]
fn whatever_call_of_the_keeping_fails_the_policy_decides_and_the_loss_is_counted() {
    let _watchdog = Watchdog::new("faults of keeping", Duration::from_secs(600));
    let scratch = Scratch::new("backlog-faults");
    let mut run = 0;
    let mut folder = || {
        run += 1;
        let path = scratch.join(format!("logs-{run}"));
        fs::create_dir_all(&path).expect("made");
        path
    };
    for policy in ["drop_newest", "block"] {
        let whole = folder();
        let (calls, printed, _) = log_with(&whole, policy, usize::MAX, Fault::None);
        assert_eq!((missing(&lines_of(&whole), "line ", LINES), printed.as_str()), (0, ""), "{policy}");
        let errors = [libc::ENOSPC, libc::EMFILE, libc::EIO, libc::EFAULT, libc::EINTR, libc::ENOMEM];
        let faults = errors.into_iter().flat_map(|error| [Fault::Fail(error, 1), Fault::Fail(error, 3)]);
        let faults: Vec<Fault> = faults.chain([Fault::Half, Fault::Odd]).collect();
        let (mut tried, mut lossy) = (0, 0);
        // The first two keepings have all there is: a new segment, and one that adds to it.
        for at in 0..calls.min(30) {
            for fault in faults.iter().skip(at % 3).step_by(3) {
                let path = folder();
                let (_, printed, reached) = log_with(&path, policy, at, *fault);
                let lines = lines_of(&path);
                let first = lines.iter().any(|line| line.message == "first");
                let lost = missing(&lines, "line ", LINES) + usize::from(!first);
                assert_eq!(lost, reported_lost(&lines), "{policy}, call {at}, {fault:?}");
                let why = printed.lines().filter(|line| line.contains("cannot be kept beside")).count();
                assert!(why <= 1 && (lost == 0 || why == 1), "{policy}, call {at}, {fault:?}: {lost} lost, {printed}");
                assert!(lost < LINES / 2, "{policy}, call {at}, {fault:?}: it did not keep again, {lost} lost");
                (tried, lossy) = (tried + usize::from(reached), lossy + usize::from(lost > 0));
                let _ = fs::remove_dir_all(path);
            }
        }
        println!("{policy}: {calls} calls, {tried} faults, of which {lossy} cost records");
        assert!(tried > 30 && lossy > 0);
    }
}

/// A ring with a backlog, of a process that was killed, and the backlog's files.
fn dead(name: &str) -> (Scratch, PathBuf, Vec<PathBuf>) {
    let folder = Scratch::new(name);
    let _ = run("worker", &folder, "flusher=never slots=64 lanes=3 log:5000 kill");
    let (ring, segments) = (beside_rings(&folder, "ring").remove(0), beside_rings(&folder, "backlog"));
    (folder, ring, segments)
}

/// What is done to the first segment, or put beside it.
type Mischief = fn(&Path, &Path);

const MISCHIEF: [(&str, Mischief); 11] = [
    ("removed", |segment, _| fs::remove_file(segment).expect("removed")),
    ("cut", |segment, _| File::options().write(true).open(segment).expect("opened").set_len(1000).expect("cut")),
    ("flipped", |segment, _| change(segment, |bytes| bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 1))),
    ("zeros", |segment, _| change(segment, |bytes| bytes.fill(0))),
    ("shifted", |segment, _| change(segment, |bytes| bytes.rotate_right(128))),
    ("a link", |segment, _| {
        fs::remove_file(segment).expect("removed");
        symlink("/etc/passwd", segment).expect("linked");
    }),
    ("a FIFO", |segment, _| {
        fs::remove_file(segment).expect("removed");
        make_fifo(segment);
    }),
    ("a folder", |segment, _| {
        fs::remove_file(segment).expect("removed");
        fs::create_dir(segment).expect("made");
    }),
    ("a TiB", |segment, ring| {
        let stem = ring.file_stem().expect("a name").to_string_lossy();
        let file = File::create(segment.with_file_name(format!("{stem}.0-77.backlog"))).expect("made");
        file.set_len(1 << 40).expect("sparse");
    }),
    ("of another lane", |segment, ring| {
        let stem = ring.file_stem().expect("a name").to_string_lossy();
        fs::rename(segment, segment.with_file_name(format!("{stem}.1-1.backlog"))).expect("renamed");
    }),
    ("thousands", |segment, ring| {
        let stem = ring.file_stem().expect("a name").to_string_lossy();
        for n in 0..3000u64 {
            let lane = n % 5;
            let path = segment.with_file_name(format!("{stem}.{lane}-{}.backlog", n * n * n * 1000 + 2));
            fs::write(path, [n as u8; 4000]).expect("written");
        }
    }),
];

fn change(path: &Path, how: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(path).expect("read");
    how(&mut bytes);
    fs::write(path, bytes).expect("written");
}

#[test]
fn what_others_do_to_a_backlog_costs_what_was_in_it_and_is_told_and_is_never_a_false_record() {
    let _watchdog = Watchdog::new("hostile backlogs", Duration::from_secs(600));
    for (name, mischief) in MISCHIEF {
        let _about = About(name);
        let (folder, ring, segments) = dead("backlog-hostile");
        assert!(!segments.is_empty());
        mischief(&segments[0], &ring);
        for command in ["recover", "status"] {
            let output = tool_at(command, &folder);
            assert!(output.code.is_some_and(|code| code != 2), "{output:?}");
        }
        let lines = lines_of(&folder);
        let lost = missing(&lines, "line ", 5000);
        assert_eq!(lost, reported_lost(&lines), "{name}");
        assert!(!["a TiB", "thousands"].contains(&name) || lost == 0, "{name}: {lost} lost");
        let own = |line: &&Line| !line.message.starts_with("line ") && !line.message.starts_with("lastwords: ");
        let others: Vec<_> = lines.iter().filter(own).filter(|line| line.level != "CRITICAL").collect();
        assert!(others.is_empty(), "{name}: {others:?}");
        let mut left = names_in(&folder.join("rings"));
        left.retain(|name| name.contains("worker-"));
        assert!(left.is_empty() || name == "a folder", "{name}: {left:?}");
    }
}

#[test]
fn the_backlog_of_another_ring_never_passes_for_ones_own() {
    let (one, ring, segments) = dead("backlog-one");
    let (_two, _, others) = dead("backlog-two");
    fs::copy(&others[0], &segments[0]).expect("copied");
    let lines = lines_of(one.path());
    let lost = missing(&lines, "line ", 5000);
    assert!(lost > 0, "{} held records", ring.display());
    assert_eq!(lost, reported_lost(&lines));
}
