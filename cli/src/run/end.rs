//! How a program ended, in words.

use lastwords::Level;
use lastwords_flusher::render::signal::signal_name;
use std::fmt;
use std::time::Duration;

/// Signals that ask a program to end.
pub(crate) const ENDING: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

/// What the program used, it and the children that it has waited for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// Bytes of memory that it had at most; the kernel counts what its process had before it became the program.
    pub(crate) memory_max: u64,
    /// Bytes of memory that this process had at most.
    pub(crate) own_memory_max: u64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(f, "CPU {:.3} s user, {:.3} s system; ", self.user.as_secs_f64(), self.system.as_secs_f64())?;
        if self.memory_max > self.own_memory_max {
            write!(f, "memory {:.1} MiB at most", mib(self.memory_max))
        } else {
            write!(f, "memory less than {:.1} MiB", mib(self.own_memory_max))
        }
    }
}

/// The kernel's report of an end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    /// As wait(2) gives it.
    pub(crate) status: i32,
    pub(crate) usage: Usage,
}

impl Ended {
    /// The signal that ended it.
    pub(crate) fn signal(&self) -> Option<i32> {
        libc::WIFSIGNALED(self.status).then(|| libc::WTERMSIG(self.status))
    }

    /// The status that it exited with, or 128 and the number of the signal.
    pub(crate) fn status(&self) -> u8 {
        self.signal().map_or_else(|| libc::WEXITSTATUS(self.status), |signal| 128 + signal) as u8
    }

    /// Whether it is a crash: not status 0, and not what was asked for.
    pub(crate) fn is_crash(&self, was_asked: bool) -> bool {
        match self.signal() {
            Some(signal) => !(was_asked && ENDING.contains(&signal)),
            None => self.status() != 0 && !was_asked,
        }
    }

    /// The level of its line in the log.
    pub(crate) fn level(&self, was_asked: bool) -> Level {
        match self.signal() {
            _ if !self.is_crash(was_asked) => Level::INFO,
            Some(_) => Level::CRITICAL,
            None => Level::ERROR,
        }
    }
}

impl fmt::Display for Ended {
    /// As the predicate of a sentence about the program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signal() {
            None => write!(f, "exited with status {}", self.status()),
            Some(signal) if libc::WCOREDUMP(self.status) => {
                write!(f, "was killed by {}, core dumped", signal_name(signal.unsigned_abs()))
            }
            Some(signal) => write!(f, "was killed by {}", signal_name(signal.unsigned_abs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_words_status_and_level() {
        let rows = [
            (0, false, "exited with status 0", 0, Level::INFO),
            (3 << 8, false, "exited with status 3", 3, Level::ERROR),
            (3 << 8, true, "exited with status 3", 3, Level::INFO),
            (libc::SIGTERM, true, "was killed by SIGTERM", 143, Level::INFO),
            (libc::SIGTERM, false, "was killed by SIGTERM", 143, Level::CRITICAL),
            (libc::SIGKILL, true, "was killed by SIGKILL", 137, Level::CRITICAL),
            (libc::SIGSEGV | 0x80, false, "was killed by SIGSEGV, core dumped", 139, Level::CRITICAL),
        ];
        for (status, was_asked, words, shell, level) in rows {
            let ended = Ended { status, usage: Usage::default() };
            assert_eq!(ended.to_string(), words);
            assert_eq!((ended.status(), ended.level(was_asked)), (shell, level), "{words}");
        }
    }
}
