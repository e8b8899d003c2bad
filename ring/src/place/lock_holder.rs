//! The process that `flusher.lock` names as its holder. The lock itself is flock(2)'s; the text identifies the flusher to
//! waiting processes, and proves a holder gone although the lock is held. The holder keeps the file mapped, to distinguish it
//! from a later process with its pid.

use crate::format::layout::FORMAT_VERSION;
use crate::format::text::hex;
use crate::place::descriptor::Kept;
use crate::place::folder::Folder;
use crate::place::open::{self, PRIVATE};
use crate::place::process::{ProcessId, ProcessState};
use rustix::fs::{FlockOperation, OFlags};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{PoisonError, RwLock};

/// The lock file's text after an orderly release: its holder may live on, but does not flush any more.
pub const NOBODY: &str = "nobody";
/// Bytes of the lock file that are read, several times its usual size.
const TEXT_MAX: u64 = 1024;

/// The flusher's process, as its lock file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub process: ProcessId,
    /// The ring format that it reads.
    pub version: u32,
    /// `CLOCK_BOOTTIME` of its last pass, or one some milliseconds before, in nanoseconds.
    pub heartbeat_ns: u64,
    /// Inode of the lock file, if the text was read from one.
    pub file: Option<u64>,
}

impl Holder {
    /// The calling process as holder.
    #[must_use]
    pub fn current() -> Holder {
        Holder {
            process: ProcessId::current(),
            version: FORMAT_VERSION,
            heartbeat_ns: crate::place::clock::boottime_ns(),
            file: None,
        }
    }

    /// Reads the folder's lock file; None if it is missing or names no process.
    #[must_use]
    pub fn read(folder: &Folder) -> Option<Holder> {
        let file = open::to_read(&folder.lock_file()).ok()?;
        let (mut text, inode) = (String::new(), file.metadata().ok()?.ino());
        file.take(TEXT_MAX).read_to_string(&mut text).ok()?;
        Holder::parse(&text, Some(inode))
    }

    /// Whether the process is not provably gone.
    #[must_use]
    pub fn may_live(&self) -> bool {
        self.process.state(self.file) != ProcessState::Gone
    }

    /// The holder that `text` names, read from the lock file with the inode `file`.
    pub fn parse(text: &str, file: Option<u64>) -> Option<Holder> {
        let value = |name: &str| {
            let mut words = text.split_ascii_whitespace();
            words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let mut boot_id = [0u8; 16];
        let digits = value("boot").filter(|digits| digits.len() == 32)?;
        for (n, byte) in boot_id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(n * 2..n * 2 + 2)?, 16).ok()?;
        }
        Some(Holder {
            process: ProcessId {
                boot_id,
                pid_namespace: value("pidns")?.parse().ok()?,
                pid: value("pid")?.parse().ok()?,
                start_time: value("start")?.parse().ok()?,
                time_namespace: value("timens")?.parse().ok()?,
            },
            version: value("version")?.parse().ok()?,
            heartbeat_ns: value("heartbeat")?.parse().ok()?,
            file,
        })
    }
}

/// The flusher as seen by a log call that waits for it because a lane is full.
///
/// A process that never flushes may run in a sandbox in which opening a file kills it, or fails. So it keeps the lock file
/// open, and tests the lock itself.
#[derive(Debug)]
pub struct HolderView {
    folder: Folder,
    kept: RwLock<Option<Kept>>,
}

impl HolderView {
    /// For a process that opens the lock file when needed.
    pub fn opened_each_time(folder: &Folder) -> HolderView {
        HolderView { folder: folder.clone(), kept: RwLock::new(None) }
    }

    /// For a process that keeps it open, created if missing.
    pub fn kept(folder: &Folder) -> HolderView {
        let opened = open::file(&folder.lock_file(), OFlags::RDWR | OFlags::CREATE, PRIVATE);
        HolderView { folder: folder.clone(), kept: RwLock::new(opened.and_then(Kept::new).ok()) }
    }

    /// Closes the lock file.
    pub fn close(&self) {
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Time of the flusher's last pass; None if unknown.
    pub fn heartbeat(&self) -> Option<u64> {
        self.named().map(|holder| holder.heartbeat_ns)
    }

    /// The process that is named as the flusher; None if unknown.
    pub fn named(&self) -> Option<Holder> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = kept.as_ref() else { return Holder::read(&self.folder).filter(Holder::may_live) };
        Holder::parse(&text_of(self.current(kept)?)?, Some(kept.identity().inode))
    }

    /// Whether there may be a flusher.
    pub fn may_live(&self) -> bool {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = kept.as_ref() else {
            return Holder::read(&self.folder).is_some_and(|holder| holder.may_live());
        };
        // Another file has the name by now: the process that replaced it may be a flusher.
        let Some(file) = self.current(kept) else { return true };
        if text_of(file).is_some_and(|text| text.starts_with(NOBODY)) {
            // A process that acquired the lock since then writes its name at once.
            return false;
        }
        let is_free = rustix::fs::flock(file, FlockOperation::NonBlockingLockShared).is_ok();
        // An error, as in a sandbox, says nothing; a lock that was free is released at once.
        let _ = is_free && rustix::fs::flock(file, FlockOperation::Unlock).is_ok();
        !is_free
    }

    /// The kept file, as long as it has the name.
    fn current<'a>(&self, kept: &'a Kept) -> Option<&'a File> {
        let has_name = open::identity(&self.folder.lock_file()).is_ok_and(|found| found == Some(kept.identity()));
        kept.file().ok().filter(|_| has_name)
    }
}

/// The text of a lock file; None if it cannot be read.
fn text_of(file: &File) -> Option<String> {
    let mut bytes = [0; TEXT_MAX as usize];
    let length = file.read_at(&mut bytes, 0).ok()?;
    Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

impl fmt::Display for Holder {
    /// The lock file's text, of constant length for one process, so that a newer heartbeat replaces the older one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProcessId { boot_id, pid_namespace, pid, start_time, time_namespace } = self.process;
        let (boot, version, heartbeat) = (hex(&boot_id), self.version, self.heartbeat_ns);
        write!(f, "pid={pid} start={start_time} pidns={pid_namespace} timens={time_namespace} boot={boot} ")?;
        writeln!(f, "version={version} heartbeat={heartbeat:020}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_anything_else_is_nobody() {
        let holder = Holder::current();
        assert_eq!(Holder::parse(&holder.to_string(), None), Some(holder));
        for text in ["", "pid=1", "pid=x start=1 pidns=1 boot=00 version=0 heartbeat=1", "\u{fe0f}boot=é"] {
            assert_eq!(Holder::parse(text, Some(1)), None);
        }
    }
}
