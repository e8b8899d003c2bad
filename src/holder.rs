//! What `flusher.lock` says of the process that holds it. The lock itself is flock(2)'s; the text is for everybody who
//! wants to know whom to wait for, and for the row "held, but the holder is provably gone". The holder keeps the file
//! mapped, so that it is told apart from a process that has got its pid.

use crate::folder::Folder;
use crate::layout::FORMAT_VERSION;
use crate::open;
use crate::process::{ProcessId, ProcessState};
use crate::ring::hex;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

/// Bytes of the lock file that are read, several times what it holds.
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
    /// Inode of the lock file, where the text was read from one.
    pub file: Option<u64>,
}

impl Holder {
    /// The calling process as holder.
    #[must_use]
    pub fn current() -> Holder {
        Holder {
            process: ProcessId::current(),
            version: FORMAT_VERSION,
            heartbeat_ns: crate::clock::boottime_ns(),
            file: None,
        }
    }

    /// Reads the folder's lock file; None if there is none, or it does not say who.
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
    pub(crate) fn parse(text: &str, file: Option<u64>) -> Option<Holder> {
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
