//! A flusher that stands still, and others that go on.
//!
//! A flusher holds its lock whatever keeps it from working: SIGSTOP, a debugger, a frozen container, a disk that hangs.
//! Nobody else may flush then, because nobody can know that it will not go on in the middle of a write. So all that others
//! log beyond what their rings hold was lost, for as long as that took; and in bursts of many processes the same happened
//! although the flusher did what it could. Here it is stopped for as long as others need to log more than that, and every
//! line must come out once, in order, when it goes on or another takes its place.

use lastwords_tests::actor::{Actor, run, tool, wait_for};
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs::{Line, read, read_so_far};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("rings")).expect("listed").map(|entry| entry.expect("listed").path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "backlog")).collect()
}

fn numbers(lines: &[Line]) -> Vec<usize> {
    lines.iter().filter_map(|line| line.message.strip_prefix("line ")?.parse().ok()).collect()
}

fn losses(lines: &[Line]) -> Vec<&Line> {
    lines.iter().filter(|line| line.message.contains(" lost, ")).collect()
}

/// Every line is there once, in order, and no word of a loss.
fn assert_all(folder: &Path, role: &str, count: usize) {
    let lines = read(folder, role);
    assert_eq!(losses(&lines), Vec::<&Line>::new());
    let found = numbers(&lines);
    assert!(found.iter().copied().eq(0..count), "{} of {count} lines, or out of order", found.len());
}

/// A flusher that stands still, in a folder of its own.
struct Stopped {
    folder: Scratch,
    host: Actor,
}

impl Stopped {
    fn new(name: &str) -> Stopped {
        let folder = Scratch::new(name);
        let mut host = Actor::start(ACTOR, "host", folder.path(), &["say:up", "flush", "line:up", "wait"]);
        host.line();
        host.signal(Signal::STOP);
        wait_for("the flusher to stand still", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", host.pid())).expect("its state");
            stat.contains(") T ").then_some(())
        });
        Stopped { folder, host }
    }

    /// It goes on, or is killed and another takes its place.
    fn end(mut self, killed: bool) -> Scratch {
        if killed {
            self.host.kill();
        } else {
            self.host.signal(Signal::CONT);
            self.host.go();
            assert!(self.host.end().success());
        }
        self.folder
    }
}

#[test]
fn a_flusher_that_is_stopped_costs_no_line_of_others_whether_it_goes_on_or_is_killed() {
    let _watchdog = Watchdog::new("a stopped flusher", Duration::from_secs(300));
    for killed in [false, true] {
        let stopped = Stopped::new("backlog-stopped");
        let path = stopped.folder.path().to_owned();
        let mut worker = Actor::start(ACTOR, "worker", &path, &["slots=256", "log:100000", "line:said", "wait", "flush"]);
        assert_eq!(worker.line(), "said");
        assert!(!segments(&path).is_empty(), "what did not fit the ring is kept");
        let _folder = stopped.end(killed);
        wait_for("the backlog to be drained", || segments(&path).is_empty().then_some(()));
        worker.go();
        assert!(worker.end().success());
        assert_all(&path, "worker", 100_000);
        let _ = tool(TOOL, &["flush", "--once", &path.to_string_lossy()]);
        assert_eq!((segments(&path), ring_files(&path)), (Vec::new(), Vec::new()), "nothing is left");
    }
}
