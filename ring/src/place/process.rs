//! Process identity: survives the reuse of pids, and tells whether the process still lives.
//!
//! What seems dead from here may only be invisible: a container binds a boot id of its own over the real one, a time namespace
//! shifts start times, a process that is restored from a checkpoint has a new one, `/proc` may belong to another pid namespace.
//! So a process is gone only if that is proved from where it can be seen:
//!
//! | boot, pid namespace | pid | `/proc` is ours | start time | has the file mapped | state |
//! |---|---|---|---|---|---|
//! | another, or unknown | - | - | - | - | cannot be decided |
//! | ours | free | - | - | - | gone |
//! | ours | taken | no | - | - | cannot be decided |
//! | ours | taken by a zombie without other threads | yes | - | - | gone |
//! | ours | taken | yes | equal | - | alive |
//! | ours | taken | yes | another | yes | alive: restored from a checkpoint, or emulated |
//! | ours | taken | yes | another | no | gone: another process has its pid |
//! | ours | taken | yes | another | cannot be seen | cannot be decided |
//! | ours | taken | yes | cannot be compared | yes | alive |
//! | ours | taken | yes | cannot be compared | no, or cannot be seen | cannot be decided |
//!
//! The file is one that the process keeps mapped as long as it lives: its ring, or the flusher's lock. Start times can be
//! compared within one time namespace. `/proc` is ours if it shows us under the pid that we have, and under no other. A pid
//! namespace's inode may be reused by a later one; but then all of its processes are gone.

use crate::error::{Error, Result};
use crate::mutant::{self, Mutant};
use crate::place::descriptor::{Kept, Opened};
use crate::place::open;
use rustix::process::{Pid, test_kill_process};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

/// [`ProcessId::time_namespace`] if the kernel has none: start times are the same everywhere.
const NO_TIME_NAMESPACES: u64 = 1;

/// A process, distinguished from every other that ever had its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId {
    /// Boot during which it ran, zeros if unknown. A container may show another one than its host.
    pub boot_id: [u8; 16],
    /// Inode of its pid namespace, 0 if unknown.
    pub pid_namespace: u64,
    /// Process id in that namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot, 0 if unknown, as its time namespace shows it.
    pub start_time: u64,
    /// Inode of that time namespace, 0 if unknown, 1 if the kernel has none.
    pub time_namespace: u64,
}

/// What is known of a process from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs.
    Alive,
    /// It is provably gone: its pid is free, or another process has it.
    Gone,
    /// Undecidable from here, for instance from another pid namespace.
    Unknown,
}

/// What a pid shows, if boot and pid namespace are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sight {
    /// Whether a process has the pid.
    exists: bool,
    /// `/proc`'s data on the process that has it, if `/proc` is ours.
    stat: Option<Stat>,
    /// Whether that is a zombie without other threads.
    ended: bool,
}

impl ProcessId {
    /// The calling process.
    #[must_use]
    pub fn current() -> ProcessId {
        let own = own_stat();
        ProcessId {
            boot_id: boot_id(),
            pid_namespace: namespace("pid").unwrap_or(0),
            pid: std::process::id(),
            start_time: own.map_or(0, |stat| stat.start_time),
            time_namespace: time_namespace(),
        }
    }

    /// Whether no process of this pid exists any more: a cheap check of one that was seen alive from here. It misses a zombie,
    /// or another process that took the pid.
    #[must_use]
    pub fn has_vanished(&self) -> bool {
        self.raw_pid().is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
    }

    /// Whether the process exists, even as a zombie.
    pub fn is_there(&self) -> bool {
        self.is_of_our_namespace() && self.seen_stat().is_some()
    }

    /// How a zombie ended, as wait(2) will report it to its parent; None otherwise, and if access is denied.
    pub fn zombie_status(&self) -> Option<i32> {
        let found = self.seen_stat().filter(|found| found.ended && is_alone(self.pid))?;
        // Without permission the kernel shows 0, and denies the link to the program as well, which a zombie lacks anyway.
        let program = fs::read_link(format!("/proc/{}/exe", self.pid));
        let may_look = program.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        // Both are of the same process only if it is still there.
        found.exit_code.filter(|_| may_look && self.is_there())
    }

    /// What `/proc` shows of the process, if it is of this namespace and the start time matches.
    fn seen_stat(&self) -> Option<Stat> {
        own_stat()?;
        stat(&self.pid.to_string()).ok().filter(|found| self.start_time != 0 && found.start_time == self.start_time)
    }

    /// Checks whether the process lives, which keeps the file with the inode `mapped` mapped until it ends; None if no such
    /// file is known.
    #[must_use]
    pub fn state(&self, mapped: Option<u64>) -> ProcessState {
        if !self.is_of_our_namespace() {
            return ProcessState::Unknown;
        }
        let sight = self.look();
        self.judge(sight, namespace_of_time(self), || mapped.and_then(|inode| has_mapped(self.pid, inode)))
    }

    /// The table, from its second row on.
    fn judge(&self, sight: Sight, same_clock: bool, mapped: impl FnOnce() -> Option<bool>) -> ProcessState {
        let Some(stat) = sight.stat.filter(|_| sight.exists) else {
            return if sight.exists { ProcessState::Unknown } else { ProcessState::Gone };
        };
        if sight.ended {
            return ProcessState::Gone;
        }
        let comparable = same_clock && self.start_time != 0;
        if comparable && (stat.start_time == self.start_time || mutant::is(Mutant::PidTrusted)) {
            return ProcessState::Alive;
        }
        match (comparable, mapped()) {
            (_, Some(true)) => ProcessState::Alive,
            (true, Some(false)) => ProcessState::Gone,
            _ => ProcessState::Unknown,
        }
    }

    /// Whether its clocks that start at boot are known to differ from ours.
    pub fn is_of_another_time_namespace(&self) -> bool {
        self.time_namespace != 0 && self.time_namespace != time_namespace()
    }

    /// Whether the process's pid is of our namespace.
    fn is_of_our_namespace(&self) -> bool {
        let known = self.pid_namespace != 0 && self.boot_id != UNKNOWN_BOOT;
        known && self.boot_id == boot_id() && Some(self.pid_namespace) == namespace("pid")
    }

    fn look(&self) -> Sight {
        let exists = self.raw_pid().is_some() && !self.has_vanished();
        let ours = exists && own_stat().is_some();
        let stat = if ours { stat(&self.pid.to_string()).ok() } else { None };
        Sight { exists, stat, ended: stat.is_some_and(|stat| stat.ended) && is_alone(self.pid) }
    }

    fn raw_pid(&self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }
}

/// Whether start times of the process can be compared with those that are seen here.
fn namespace_of_time(process: &ProcessId) -> bool {
    process.time_namespace != 0 && process.time_namespace == time_namespace()
}

/// Whether the process with this pid, in our namespace, has a file with this inode mapped; None if that is not visible.
pub fn has_mapped(pid: u32, inode: u64) -> Option<bool> {
    let maps = read(format!("/proc/{pid}/maps")).ok()?;
    let inode = inode.to_string();
    Some(maps.lines().any(|line| line.split_ascii_whitespace().nth(4) == Some(&inode)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    pid: u32,
    start_time: u64,
    /// A zombie, or dead: it does not run any more.
    ended: bool,
    /// How it ended, as reported by wait(2).
    exit_code: Option<i32>,
}

/// `/proc`'s data on this process; None unless that is the `/proc` of its own pid namespace.
fn own_stat() -> Option<Stat> {
    let stat = stat("self").ok().filter(|stat| stat.pid == std::process::id())?;
    // One pid for each namespace from that of /proc down to ours. Kernels without pid namespaces have no such line.
    let status = read("/proc/self/status").ok()?;
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    pids.is_none_or(|pids| pids.split_ascii_whitespace().count() == 1).then_some(stat)
}

/// Reads a file of `/proc` or `/sys`. Code that closes every descriptor may close this one meanwhile, and the number may be
/// reused by a file of the program's, so it is checked like long-lived ones.
pub fn read(path: impl AsRef<Path>) -> io::Result<String> {
    read_start(path, u64::MAX)
}

/// Like [`read`], at most so many bytes.
pub fn read_start(path: impl AsRef<Path>, bytes_max: u64) -> io::Result<String> {
    let kept = Opened::new(File::open(path)?.into()).and_then(Kept::for_children_too)?;
    let mut bytes = Vec::new();
    kept.file()?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Lists a folder of `/proc`, as [`read`] reads a file there.
pub fn list(path: impl AsRef<Path>) -> io::Result<Vec<OsString>> {
    open::names(Opened::new(File::open(path)?.into()).and_then(Kept::for_children_too)?.file()?)
}

/// Reads pid, state and start time. The command name may contain anything, so fields are counted from its last
/// parenthesis.
fn stat(pid: &str) -> io::Result<Stat> {
    let text = read(format!("/proc/{pid}/stat"))?;
    let fields = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next().unwrap_or_default();
    let start_time = fields.nth(18).and_then(|field| field.parse().ok());
    let pid = text.split(' ').next().and_then(|field| field.parse().ok());
    let (Some(pid), Some(start_time)) = (pid, start_time) else { return Err(io::ErrorKind::InvalidData.into()) };
    Ok(Stat {
        pid,
        start_time,
        ended: matches!(state, "Z" | "X" | "x"),
        exit_code: fields.nth(29).and_then(|field| field.parse().ok()),
    })
}

/// A leader that left with pthread_exit is a zombie while its other threads run on. What cannot be read proves nothing.
fn is_alone(pid: u32) -> bool {
    list(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.len() <= 1)
}

/// A boot id that could not be read.
const UNKNOWN_BOOT: [u8; 16] = [0; 16];
/// Where the kernel shows its boot's id.
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// This boot's id, zeros if unknown.
#[must_use]
pub fn boot_id() -> [u8; 16] {
    read_boot_id().unwrap_or_default()
}

/// Makes sure that this boot's id is known if the kernel provides it. Data written with zeros instead looks as if the machine
/// had rebooted since, so the writer waits until the error has passed.
///
/// # Errors
/// [`Error::Io`] as read(2). A missing or unreadable file is not an error.
pub fn ensure_boot_id() -> Result<()> {
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
    // A failure is not cached: with a wrong id this process would look as if it were of another boot.
    let text = read(BOOT_ID_FILE)?;
    let digits: Vec<u8> = text.bytes().filter_map(|b| (b as char).to_digit(16).map(|d| d as u8)).collect();
    let mut id = UNKNOWN_BOOT;
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Ok(*BOOT_ID.get_or_init(|| id))
}

/// Whether both boots are known and differ.
#[must_use]
pub fn is_another_boot(boot: &[u8; 16]) -> bool {
    let here = boot_id();
    *boot != UNKNOWN_BOOT && here != UNKNOWN_BOOT && *boot != here
}

/// Inode of this process's namespace of a kind. Not cached: unshare and setns do not change the pid namespace of this process,
/// but a forked child may have another.
fn namespace(kind: &str) -> Option<u64> {
    fs::metadata(format!("/proc/self/ns/{kind}")).ok().map(|found| found.ino())
}

fn time_namespace() -> u64 {
    let without = || if namespace("pid").is_some() { NO_TIME_NAMESPACES } else { 0 };
    match fs::metadata("/proc/self/ns/time") {
        Ok(found) => found.ino(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => without(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn this_process_is_alive_and_what_cannot_be_compared_is_not_decided() {
        let me = ProcessId::current();
        assert_eq!(me.state(None), ProcessState::Alive);
        assert_eq!(ProcessId { start_time: me.start_time + 1, ..me }.state(None), ProcessState::Unknown);
        assert_eq!(ProcessId { start_time: me.start_time + 1, ..me }.state(Some(u64::MAX)), ProcessState::Gone);
        assert_eq!(ProcessId { boot_id: [7; 16], ..me }.state(None), ProcessState::Unknown);
        assert_eq!(ProcessId { boot_id: [0; 16], ..me }.state(None), ProcessState::Unknown);
        assert_eq!(ProcessId { pid_namespace: 1, ..me }.state(None), ProcessState::Unknown);
        assert_eq!(ProcessId { time_namespace: 7, ..me }.state(Some(u64::MAX)), ProcessState::Unknown);
        assert_eq!(ProcessId { pid: u32::MAX, ..me }.state(None), ProcessState::Gone);
        assert_eq!(ProcessId { pid: u32::MAX, pid_namespace: 1, ..me }.state(None), ProcessState::Unknown);
        let own = fs::metadata("/proc/self/exe").expect("this program").ino();
        assert_eq!(ProcessId { start_time: me.start_time + 1, ..me }.state(Some(own)), ProcessState::Alive, "restored");
    }

    #[test]
    fn every_row_of_the_table() {
        use ProcessState::{Alive, Gone, Unknown};
        let me = ProcessId { start_time: 50, ..ProcessId::current() };
        let seen = |start_time, ended| Sight {
            exists: true,
            stat: Some(Stat { pid: me.pid, start_time, ended, exit_code: None }),
            ended,
        };
        let blind = Sight { exists: true, stat: None, ended: false };
        let nobody = Sight { exists: false, ..blind };
        let rows = [
            (nobody, true, None, Gone),
            (nobody, false, None, Gone),
            (blind, true, Some(true), Unknown),
            (seen(50, true), true, None, Gone),
            (seen(51, true), false, None, Gone),
            (seen(50, false), true, None, Alive),
            (seen(50, false), true, Some(false), Alive),
            (seen(51, false), true, Some(true), Alive),
            (seen(51, false), true, Some(false), Gone),
            (seen(51, false), true, None, Unknown),
            (seen(50, false), false, Some(true), Alive),
            (seen(51, false), false, Some(true), Alive),
            (seen(50, false), false, Some(false), Unknown),
            (seen(51, false), false, Some(false), Unknown),
            (seen(51, false), false, None, Unknown),
        ];
        for (sight, same_clock, mapped, expected) in rows {
            assert_eq!(me.judge(sight, same_clock, || mapped), expected, "{sight:?}, {same_clock}, {mapped:?}");
        }
        let unknown = ProcessId { start_time: 0, ..me };
        assert_eq!(unknown.judge(seen(51, false), true, || Some(false)), Unknown);
    }

    #[test]
    fn a_killed_child_is_gone_as_a_zombie_and_after() {
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().expect("sleep starts");
        let start_time = stat(&child.id().to_string()).expect("its stat").start_time;
        let id = ProcessId { pid: child.id(), start_time, ..ProcessId::current() };
        assert_eq!(id.state(None), ProcessState::Alive);
        child.kill().expect("killed");
        while stat(&child.id().to_string()).is_ok_and(|stat| !stat.ended) {
            std::thread::yield_now();
        }
        assert_eq!(id.state(None), ProcessState::Gone, "as a zombie");
        child.wait().expect("reaped");
        assert_eq!(id.state(None), ProcessState::Gone, "after it was reaped");
    }
}
