//! Which process is it: an identity that survives the reuse of pids, and whether that process still lives.

use crate::error::{Error, Result};
use crate::mutant::{self, Mutant};
use rustix::process::{Pid, test_kill_process};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

/// A process, told apart from every other that ever had its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId {
    /// Boot during which it ran.
    pub boot_id: [u8; 16],
    /// Inode of its pid namespace, 0 if unknown.
    pub pid_namespace: u64,
    /// Process id in that namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot, 0 if unknown.
    pub start_time: u64,
}

/// What can be known of a process from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs.
    Alive,
    /// It is provably gone: another boot, no such process, or another start time.
    Gone,
    /// It cannot be seen from here, for instance from another pid namespace.
    Unknown,
}

impl ProcessId {
    /// The calling process.
    #[must_use]
    pub fn current() -> ProcessId {
        let pid = std::process::id();
        ProcessId {
            boot_id: boot_id(),
            pid_namespace: pid_namespace(),
            pid,
            start_time: stat("self").map_or(0, |stat| stat.start_time),
        }
    }

    /// Whether no process of this pid exists any more: a cheap look at one that was seen alive from here. A zombie, or
    /// another process that took the pid, does not show.
    #[must_use]
    pub fn has_vanished(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
    }

    /// Looks whether the process lives.
    #[must_use]
    pub fn state(&self) -> ProcessState {
        let (here, unknown) = (boot_id(), [0; 16]);
        if self.boot_id != here && here != unknown {
            // A process that could not read its boot's id may well be of this one.
            return if self.boot_id == unknown { ProcessState::Unknown } else { ProcessState::Gone };
        }
        if self.pid_namespace == 0 || self.pid_namespace != pid_namespace() {
            return ProcessState::Unknown;
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return ProcessState::Gone };
        if let Err(rustix::io::Errno::SRCH) = test_kill_process(pid) {
            return ProcessState::Gone;
        }
        match stat(&self.pid.to_string()) {
            Ok(found) if self.started_at_another_time(&found) => ProcessState::Gone,
            Ok(found) if found.ended && is_alone(self.pid) => ProcessState::Gone,
            Ok(_) if self.start_time != 0 => ProcessState::Alive,
            _ => ProcessState::Unknown,
        }
    }

    /// Whether the process that has the pid now is another one.
    fn started_at_another_time(&self, found: &Stat) -> bool {
        self.start_time != 0 && found.start_time != self.start_time && !mutant::is(Mutant::PidTrusted)
    }
}

/// Blocks all signals for the calling thread, so that no handler of the program ever runs on a thread that a library made.
#[cfg(feature = "flusher")]
pub fn block_signals() {
    crate::sys::hooks::block_signals();
}

/// Whether the process with this pid, in our namespace, has `inode` of `device` mapped; None if that cannot be seen.
#[cfg(feature = "flusher")]
pub(crate) fn has_mapped(pid: u32, inode: u64) -> Option<bool> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let inode = inode.to_string();
    Some(maps.lines().any(|line| line.split_ascii_whitespace().nth(4) == Some(&inode)))
}

struct Stat {
    start_time: u64,
    /// A zombie, or dead: it executes nothing any more.
    ended: bool,
}

/// Reads state and start time. The command name may contain anything, so fields are counted from its last parenthesis.
fn stat(pid: &str) -> io::Result<Stat> {
    let bytes = fs::read(format!("/proc/{pid}/stat"))?;
    let text = String::from_utf8_lossy(&bytes);
    let fields = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next().unwrap_or_default();
    let start_time = fields.nth(18).and_then(|field| field.parse().ok());
    let start_time = start_time.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Stat { start_time, ended: matches!(state, "Z" | "X" | "x") })
}

/// A leader that left with pthread_exit is a zombie while its other threads run on. What cannot be read proves nothing.
fn is_alone(pid: u32) -> bool {
    let threads: io::Result<Vec<_>> = fs::read_dir(format!("/proc/{pid}/task")).and_then(Iterator::collect);
    threads.is_ok_and(|threads| threads.len() <= 1)
}

/// Where the kernel tells its boot's id.
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// This boot's id, zeros if the kernel does not tell.
#[must_use]
pub fn boot_id() -> [u8; 16] {
    read_boot_id().unwrap_or_default()
}

/// Whether this boot's id, `here`, is known and another than `there`.
#[cfg(feature = "flusher")]
pub(crate) fn is_another_boot(there: [u8; 16]) -> bool {
    let here = boot_id();
    here != [0; 16] && here != there
}

/// Makes sure that this boot's id is known where the kernel tells it. What is written with zeros in its place looks as if the
/// machine had stopped since, so that whoever writes waits until the error has passed.
///
/// # Errors
/// [`Error::Io`] as read(2). That there is no such file, or that it may not be read, is none.
pub(crate) fn ensure_boot_id() -> Result<()> {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    match read_boot_id() {
        Err(error) if !matches!(error.kind(), NotFound | PermissionDenied) => {
            Err(Error::io("read", BOOT_ID_FILE)(error))
        }
        _ => Ok(()),
    }
}

fn read_boot_id() -> std::io::Result<[u8; 16]> {
    static BOOT_ID: OnceLock<[u8; 16]> = OnceLock::new();
    if let Some(id) = BOOT_ID.get() {
        return Ok(*id);
    }
    // A failure is not remembered: with a wrong id this process would look as if it were of another boot.
    let text = fs::read_to_string(BOOT_ID_FILE)?;
    let digits: Vec<u8> = text.bytes().filter_map(|b| (b as char).to_digit(16).map(|d| d as u8)).collect();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Ok(*BOOT_ID.get_or_init(|| id))
}

fn pid_namespace() -> u64 {
    // Not cached: unshare and setns do not change it for this process, but a child of fork may have another.
    fs::metadata("/proc/self/ns/pid").map_or(0, |found| found.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn this_process_is_alive_and_with_another_start_time_it_is_gone() {
        let me = ProcessId::current();
        assert_eq!(me.state(), ProcessState::Alive);
        assert_eq!(ProcessId { start_time: me.start_time + 1, ..me }.state(), ProcessState::Gone);
        assert_eq!(ProcessId { boot_id: [7; 16], ..me }.state(), ProcessState::Gone);
        assert_eq!(ProcessId { boot_id: [0; 16], ..me }.state(), ProcessState::Unknown);
        assert_eq!(ProcessId { pid_namespace: 1, ..me }.state(), ProcessState::Unknown);
        assert_eq!(ProcessId { pid: u32::MAX, ..me }.state(), ProcessState::Gone);
    }

    #[test]
    fn a_killed_child_is_gone_as_a_zombie_and_after() {
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().expect("sleep starts");
        let start_time = stat(&child.id().to_string()).expect("its stat").start_time;
        let id = ProcessId { pid: child.id(), start_time, ..ProcessId::current() };
        assert_eq!(id.state(), ProcessState::Alive);
        child.kill().expect("killed");
        while stat(&child.id().to_string()).is_ok_and(|stat| !stat.ended) {
            std::thread::yield_now();
        }
        assert_eq!(id.state(), ProcessState::Gone, "as a zombie");
        child.wait().expect("reaped");
        assert_eq!(id.state(), ProcessState::Gone, "after it was reaped");
    }
}
