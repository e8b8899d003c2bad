//! Why a process that flushes makes no pass: stopped, traced, frozen, or waiting in the kernel.

use lastwords_ring::place::lock_holder::Holder;
use lastwords_ring::place::process::{self, ProcessState};
use std::path::Path;

/// Names of the threads that flush within a program; a tool does it on its main thread.
const THREAD: &str = "lastwords";

/// Why a process makes no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standstill {
    /// Stopped by a signal, SIGSTOP or that of a terminal.
    Stopped,
    /// Stopped by its debugger.
    Traced,
    /// Its control group is frozen, by `docker pause` for instance.
    Frozen,
    /// In a system call that cannot be interrupted: a disk or a file system that does not answer.
    Kernel,
}

impl Standstill {
    /// Checks the process of a flusher. None if it can run, or cannot be seen from here.
    #[must_use]
    pub fn of_holder(holder: &Holder) -> Option<Standstill> {
        let lives = holder.process.state(holder.file) == ProcessState::Alive;
        lives.then(|| Standstill::of(holder.process.pid)).flatten()
    }

    fn of(pid: u32) -> Option<Standstill> {
        let folder = Path::new("/proc").join(pid.to_string());
        if is_frozen(&process::read(folder.join("cgroup")).unwrap_or_default(), Path::new("/sys/fs/cgroup")) {
            return Some(Standstill::Frozen);
        }
        let mut states = vec![state(&process::read(folder.join("stat")).ok()?)];
        let threads = process::list(folder.join("task")).unwrap_or_default().into_iter();
        let stats = threads.filter_map(|thread| process::read(folder.join("task").join(thread).join("stat")).ok());
        // Of a program's threads, only those that flush are checked; others may wait for a disk for reasons of their own.
        let flushing: Vec<Option<char>> =
            stats.filter(|stat| name(stat) == Some(THREAD)).map(|stat| state(&stat)).collect();
        if !flushing.is_empty() {
            states = flushing;
        }
        let of_state = |state: Option<char>| match state? {
            'T' => Some(Standstill::Stopped),
            't' => Some(Standstill::Traced),
            'D' => Some(Standstill::Kernel),
            _ => None,
        };
        states.into_iter().find_map(of_state)
    }

    /// What it is called, with the letter that `ps` shows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Standstill::Stopped => "stopped (T)",
            Standstill::Traced => "traced (t)",
            Standstill::Frozen => "frozen",
            Standstill::Kernel => "waiting in the kernel (D)",
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Standstill::Stopped => "continue it (kill -CONT) or end it",
            Standstill::Traced => "let its debugger continue it, or end it",
            Standstill::Frozen => "thaw its control group (docker unpause) or end it",
            Standstill::Kernel => "see to the disk or file system of the log folder",
        }
    }
}

/// The state in a `stat` file. The name before it may contain anything, so it begins behind the last parenthesis.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

fn name(stat: &str) -> Option<&str> {
    Some(stat.split_once('(')?.1.rsplit_once(')')?.0)
}

/// Whether a process with these control groups is frozen, by the second version or by the first one's freezer.
fn is_frozen(groups: &str, root: &Path) -> bool {
    groups.lines().any(|line| {
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let path = path.trim_start_matches('/');
        if number == "0" && controllers.is_empty() {
            let unified = |root: &Path| process::read(root.join(path).join("cgroup.events"));
            let events = unified(root).or_else(|_| unified(&root.join("unified"))).unwrap_or_default();
            return events.lines().any(|line| line == "frozen 1");
        }
        let freezer = controllers.split(',').any(|controller| controller == "freezer");
        let state = || process::read(root.join("freezer").join(path).join("freezer.state"));
        freezer && state().is_ok_and(|state| state.trim() != "THAWED")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().expect("sleep starts")
    }

    fn signal(child: &Child, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).expect("our child");
    }

    fn comes_to(child: &Child, expected: Option<Standstill>) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Standstill::of(child.id()) != expected {
            assert!(Instant::now() < deadline, "{:?} instead of {expected:?}", Standstill::of(child.id()));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_stopped_process_is_told_from_one_that_sleeps() {
        let mut child = sleeper();
        // Its program is read from the disk first, which is a wait in the kernel.
        comes_to(&child, None);
        signal(&child, rustix::process::Signal::STOP);
        comes_to(&child, Some(Standstill::Stopped));
        signal(&child, rustix::process::Signal::CONT);
        comes_to(&child, None);
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }

    #[test]
    fn every_state_that_stands_still_is_read_whatever_the_name_of_the_process() {
        for (stat, found) in [("7 (a) T (b) t 1", Some('t')), ("7 (sleep) D 1", Some('D')), ("7 (x", None)] {
            assert_eq!(state(stat), found, "{stat}");
        }
        assert_eq!(name("7 (a) T (b) t 1"), Some("a) T (b"));
    }

    #[test]
    fn a_frozen_control_group_is_seen_in_either_version() {
        let scratch = Scratch::new("frozen");
        let root = scratch.path();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("docker/a/cgroup.events", "populated 1\nfrozen 1\n");
        write("docker/b/cgroup.events", "populated 1\nfrozen 0\n");
        write("freezer/c/freezer.state", "FROZEN\n");
        write("freezer/d/freezer.state", "THAWED\n");
        for (groups, frozen) in [
            ("0::/docker/a\n", true),
            ("0::/docker/b\n", false),
            ("0::/gone\n", false),
            ("7:freezer:/c\n3:cpu:/c\n", true),
            ("7:cpu,freezer:/d\n", false),
            ("3:cpu:/c\n", false),
        ] {
            assert_eq!(is_frozen(groups, root), frozen, "{groups}");
        }
    }
}
