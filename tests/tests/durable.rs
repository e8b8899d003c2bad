//! Syncs where requested, in the right order, and none anywhere else.
//!
//! A flusher that syncs unasked makes every user pay for a promise that few want; one that syncs a position before its line,
//! removes a ring before its lines are on the disk, or forgets a folder, loses lines just when the promise matters; and one
//! that syncs an idle system keeps disks from sleeping. None of that shows in the files, so the system calls are checked.

use lastwords_tests::actor::{Actor, run, tool_at};
use lastwords_tests::files::names_in;
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs::read;
use lastwords_tests::programs::{ACTOR, DRAINER, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use lastwords_tests::watchdog::Watchdog;
use std::fs;
use std::io::{PipeWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a process did to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    Write,
    Sync,
    Rename,
    Remove,
}

/// A process whose changes and syncs are noted.
struct Watched {
    traced: Traced,
    done: Vec<(Did, String)>,
    /// Syncs of files whose name ends so fail.
    refused: Option<&'static str>,
}

impl Watched {
    fn start(command: &mut Command) -> Watched {
        Watched { traced: Traced::start(command).expect("started"), done: Vec::new(), refused: None }
    }

    /// Goes on until the next call of `stop_at`, until the time is over, or to the end. True if it ended.
    fn go(&mut self, stop_at: Option<i64>, until: Option<Instant>) -> bool {
        loop {
            match self.traced.to_system_call().expect("traced") {
                Stop::Entry(number) if Some(number as i64) == stop_at => {
                    let _ = self.traced.to_system_call().expect("traced");
                    return false;
                }
                Stop::Entry(number) => self.note(number as i64),
                Stop::Ended(_) | Stop::Killed(_) => return true,
                Stop::Exit | Stop::Signal(_) => {}
            }
            if until.is_some_and(|until| Instant::now() > until) {
                return false;
            }
        }
    }

    fn note(&mut self, number: i64) {
        let did = match number {
            libc::SYS_pwrite64 => Did::Write,
            libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_sync_file_range => Did::Sync,
            libc::SYS_msync | libc::SYS_syncfs | libc::SYS_sync => {
                return self.done.push((Did::Sync, "all".to_owned()));
            }
            libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => {
                return self.done.push((Did::Rename, String::new()));
            }
            libc::SYS_unlink | libc::SYS_unlinkat => return self.done.push((Did::Remove, String::new())),
            _ => return,
        };
        let descriptor = self.traced.arguments().expect("a descriptor")[0];
        let path = fs::read_link(format!("/proc/{}/fd/{descriptor}", self.traced.pid())).expect("open");
        let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        // Before it has a name, a ring is one of the folder's nameless files.
        let name = if name.starts_with('#') { "new.ring".to_owned() } else { name };
        if did == Did::Sync && self.refused.is_some_and(|refused| name.ends_with(refused)) {
            self.traced.answer_instead(-i64::from(libc::EIO)).expect("refused");
        }
        self.done.push((did, name));
    }

    /// Names of what was synced since the last time, in order.
    fn synced(&mut self) -> Vec<String> {
        let done = std::mem::take(&mut self.done);
        done.into_iter().filter(|(did, _)| *did == Did::Sync).map(|(_, name)| kind(&name)).collect()
    }
}

/// What a file is: names of rings and folders differ from run to run.
fn kind(name: &str) -> String {
    match name {
        name if name.ends_with(".ring") => "ring".to_owned(),
        name if name.starts_with("lastwords-test") => "logs".to_owned(),
        name => name.to_owned(),
    }
}

/// The flusher, step by step.
struct Stepwise {
    watched: Watched,
    steps: PipeWriter,
}

impl Stepwise {
    fn start(folder: &Path) -> Stepwise {
        let (reader, steps) = std::io::pipe().expect("a pipe");
        let mut watched = Watched::start(DRAINER.command().arg(folder).args(["all", "steps"]).stdin(reader));
        for _ in 0..2 {
            watched.go(Some(libc::SYS_getppid), None);
        }
        Stepwise { watched, steps }
    }

    fn step(&mut self, step: &str) -> &mut Watched {
        self.steps.write_all(format!("{step}\n").as_bytes()).expect("it listens");
        assert!(!self.watched.go(Some(libc::SYS_getppid), None), "it goes on");
        &mut self.watched
    }
}

/// A process that logs on request, and has not been drained.
fn waiting_actor(folder: &Path, durable: &str) -> Actor {
    Actor::start("host", folder, format!("flusher=never {durable} log:5 line:up wait log:5 line:more wait")).until("up")
}

#[test]
fn without_durable_nobody_syncs() {
    let _watchdog = Watchdog::new("no syncs", Duration::from_secs(120));
    let folder = Scratch::new("no-syncs");
    let script = "flusher=never rotate=4096 log:300 long:200000 kill";
    let mut actor = Watched::start(ACTOR.acting("host", &folder, script).stdin(Stdio::null()));
    assert!(actor.go(None, None));
    assert_eq!(actor.synced(), Vec::<String>::new());
    let mut drainer = Watched::start(DRAINER.command().arg(&folder).arg("all"));
    assert!(drainer.go(None, None));
    assert!(drainer.done.iter().any(|(did, _)| *did == Did::Rename), "it rotates");
    assert!(drainer.done.iter().any(|(did, _)| *did == Did::Remove), "it removes the ring");
    assert_eq!(drainer.synced(), Vec::<String>::new());
    assert!(read(&folder, "host").len() > 300);
}

#[test]
fn a_durable_ring_is_on_the_disk_with_its_name_before_anything_is_logged() {
    let folder = Scratch::new("durable-ring");
    let script = "flusher=never durable=60000 kill";
    let mut actor = Watched::start(ACTOR.acting("host", &folder, script).stdin(Stdio::null()));
    assert!(actor.go(None, None));
    let synced = actor.synced();
    assert_eq!(synced[..3], ["ring", "rings", "logs"], "then the folders above: {synced:?}");
}

#[test]
fn a_sync_is_of_journal_log_names_and_ring_in_this_order_and_only_after_something_was_written() {
    let _watchdog = Watchdog::new("order", Duration::from_secs(120));
    let folder = Scratch::new("order");
    let mut actor = waiting_actor(&folder, "durable=1");
    let mut flusher = Stepwise::start(&folder);
    flusher.step("pass");
    let first = flusher.step("sync").synced();
    assert_eq!(first, ["journal.a", "journal.b", "host.log", "rings", "logs", "ring"]);
    assert_eq!(flusher.step("sync").synced(), Vec::<String>::new(), "nothing was written since");
    flusher.step("pass");
    assert_eq!(flusher.step("sync").synced(), Vec::<String>::new(), "nothing was logged since");
    actor.go_until("more");
    flusher.step("pass");
    assert_eq!(flusher.step("sync").synced(), ["journal.a", "host.log", "ring"], "no name is new");
}

#[test]
fn a_rotated_file_is_on_the_disk_before_it_is_renamed_and_the_new_names_with_the_next_sync() {
    let _watchdog = Watchdog::new("rotation", Duration::from_secs(120));
    let folder = Scratch::new("durable-rotation");
    let script = "flusher=never durable=1 rotate=4096 log:100 line:up wait";
    let _actor = Actor::start("host", &folder, script).until("up");
    let mut flusher = Stepwise::start(&folder);
    let done = std::mem::take(&mut flusher.step("pass").done);
    let renames = done.iter().enumerate().filter(|(_, (did, _))| *did == Did::Rename);
    let mut count = 0;
    for (at, _) in renames {
        let log = done[..at].iter().rev().find(|(_, name)| name == "host.log").expect("it was written");
        assert_eq!(log.0, Did::Sync, "what happened last to the file before it is renamed");
        count += 1;
    }
    assert!(count >= 1, "it rotates");
    let synced = flusher.step("sync").synced();
    assert!(synced.ends_with(&["host.log", "rings", "logs", "ring"].map(str::to_owned)), "{synced:?}");
}

#[test]
fn a_drained_ring_is_removed_only_when_its_lines_are_on_the_disk() {
    let _watchdog = Watchdog::new("removal", Duration::from_secs(120));
    let folder = Scratch::new("durable-removal");
    let _ = run("host", &folder, "flusher=never durable=60000 log:5 long:200000 kill");
    let mut flusher = Stepwise::start(&folder);
    // The first pass drains it, the second finds nothing more.
    flusher.step("pass");
    let done = std::mem::take(&mut flusher.step("pass").done);
    let removal = done.iter().position(|(did, _)| *did == Did::Remove).expect("the ring is removed");
    for file in ["host.log", "journal.a", "journal.b", "logs"] {
        let last = done[..removal].iter().rev().find(|(_, name)| kind(name) == file);
        assert_eq!(last.map(|(did, _)| *did), Some(Did::Sync), "what happened last to {file}: {done:?}");
    }
    let left = names_in(&folder.join("rings"));
    assert!(!left.iter().any(|name| name.ends_with(".ring") || name.ends_with(".spill")), "{left:?}");
}

#[test]
fn a_sync_that_fails_is_told_in_the_log_and_tried_again() {
    let _watchdog = Watchdog::new("failing", Duration::from_secs(120));
    if cfg!(not(target_arch = "x86_64")) {
        return println!("skipped: this processor's registers are not known");
    }
    let folder = Scratch::new("failing-sync");
    let mut actor = waiting_actor(&folder, "durable=1");
    let mut flusher = Stepwise::start(&folder);
    flusher.step("pass").refused = Some("host.log");
    for _ in 0..2 {
        assert_eq!(flusher.step("sync").synced().last().map(String::as_str), Some("host.log"), "no further");
    }
    flusher.step("pass").refused = None;
    let logged = |what: &str| read(&folder, "host").iter().filter(|line| line.message.contains(what)).count();
    assert_eq!((logged("cannot be brought to the disk"), logged("from here on it is again")), (1, 0));
    assert!(flusher.step("sync").synced().contains(&"host.log".to_owned()));
    flusher.step("pass");
    assert_eq!((logged("cannot be brought to the disk"), logged("from here on it is again")), (1, 1));
    actor.go();
}

#[test]
fn an_idle_flusher_does_not_sync_and_a_busy_one_does_so_now_and_then() {
    let _watchdog = Watchdog::new("idle", Duration::from_secs(120));
    let folder = Scratch::new("durable-idle");
    let mut actor = waiting_actor(&folder, "durable=0");
    let mut daemon = TOOL.command();
    daemon.args(["flush", "--durable", "20"]).arg(&folder).stderr(Stdio::null());
    let mut daemon = Watched::start(&mut daemon);
    let go_on = |daemon: &mut Watched, ms| daemon.go(None, Some(Instant::now() + Duration::from_millis(ms)));
    go_on(&mut daemon, 2000);
    let first = daemon.synced();
    assert!(first.contains(&"host.log".to_owned()) && first.contains(&"ring".to_owned()), "{first:?}");
    go_on(&mut daemon, 1500);
    assert_eq!(daemon.synced(), Vec::<String>::new(), "idle");
    actor.go_until("more");
    go_on(&mut daemon, 1500);
    assert!(daemon.synced().contains(&"host.log".to_owned()), "it heard of the next line");
}

#[test]
fn the_environment_wishes_for_a_process_and_nonsense_is_refused() {
    let folder = Scratch::new("durable-env");
    let script = "flusher=never log:1 kill";
    let _ = Actor::start_with("host", &folder, script, &[("LASTWORDS_DURABLE", "250")]).end();
    let reader = lastwords_ring::read::reader::RingReader::open(&ring_files(&folder)[0]).expect("readable");
    assert_eq!(reader.header().sync_ms, 250);
    let mut wrong = Actor::start_with("host", &folder, script, &[("LASTWORDS_DURABLE", "often")]);
    assert!(wrong.line().contains("\"often\" found, expected milliseconds"));
    for value in ["often", "-1", "3600001"] {
        assert_eq!(tool_at(format!("flush --once --durable {value}"), &folder).code, Some(2), "{value}");
    }
}
