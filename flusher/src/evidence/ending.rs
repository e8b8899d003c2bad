//! How a process ended: concluded after its death, from its own marks in the ring and from the kernel's report.
//!
//! | the process said | the kernel says | it was |
//! |---|---|---|
//! | exit, `close` | – | an ordinary end |
//! | a panic of the main thread | – | a panic |
//! | SIGTERM, SIGINT or SIGHUP arrived | nothing, status 0, or one of these | an ordinary end |
//! | SIGTERM, SIGINT or SIGHUP arrived | another status or signal | what the kernel says: the program had survived it |
//! | nothing | SIGTERM, SIGINT, SIGHUP | an ordinary end |
//! | nothing, or SIGABRT arrived | status 0 | an ordinary end |
//! | nothing, or SIGABRT arrived | another status | that status |
//! | nothing | another signal | that signal |
//! | a fatal signal but SIGABRT arrived | any status | that fatal signal: its handler ended the process |
//! | a fatal signal arrived | SIGABRT | that fatal signal: its handler ended the process by `abort` |
//! | a fatal signal arrived | another signal | what the kernel says |
//! | a fatal signal arrived | nothing | that fatal signal |
//! | nothing | nothing, but the process runs without the ring | an exec |
//! | nothing | nothing | unknown: it died without closing its log |
//!
//! Everything but an ordinary end and an exec is worth an alarm.

use crate::crash::told::DiedOf;
use crate::render::signal::signal_name;
use lastwords_ring::read::reader::Closed;
use std::fmt;

/// Signals that end a process in an ordinary way.
const ORDINARY: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// How a process ended, according to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitStatus {
    /// By exit with this status.
    Exited(u8),
    /// By this signal.
    Killed(u32),
}

impl WaitStatus {
    /// As wait(2) gives it.
    pub(crate) fn from_raw(status: i32) -> WaitStatus {
        if libc::WIFEXITED(status) {
            WaitStatus::Exited(libc::WEXITSTATUS(status) as u8)
        } else {
            WaitStatus::Killed(libc::WTERMSIG(status).unsigned_abs())
        }
    }

    fn is_ordinary(self) -> bool {
        match self {
            WaitStatus::Exited(status) => status == 0,
            WaitStatus::Killed(signal) => ORDINARY.contains(&signal.cast_signed()),
        }
    }
}

impl fmt::Display for WaitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitStatus::Exited(status) => write!(f, "exited with status {status}"),
            WaitStatus::Killed(signal) => write!(f, "killed by {}", signal_name(*signal)),
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By exit, or an equivalent.
    Exit,
    /// By a signal that means an ordinary end.
    Signal(u32),
    /// It replaced its program.
    Exec,
    /// Because its main thread panicked.
    Panic,
    /// By a fatal signal.
    Fatal(u32),
    /// By another signal.
    Killed(u32),
    /// By an exit with this status that no hook of ours saw.
    Status(u8),
    /// Without a trace.
    Unknown,
}

impl Ending {
    /// The table. `fatal` is the fatal signal that arrived while the ring was open, and `exec` says that the process runs
    /// without the ring.
    pub(crate) fn conclude(closed: Closed, fatal: Option<u32>, status: Option<WaitStatus>, exec: bool) -> Ending {
        match (closed, status) {
            (Closed::Exit, _) => Ending::Exit,
            (Closed::Panic, _) => Ending::Panic,
            (Closed::Signal(signal), None) => Ending::Signal(signal),
            (Closed::Signal(signal), Some(status)) if status.is_ordinary() => Ending::Signal(signal),
            (Closed::Signal(_), Some(status)) => Ending::by(status, None),
            (Closed::Open, Some(status)) => Ending::by(status, fatal),
            (Closed::Open, None) if exec => Ending::Exec,
            (Closed::Open, None) => fatal.map_or(Ending::Unknown, Ending::Fatal),
        }
    }

    fn by(status: WaitStatus, fatal: Option<u32>) -> Ending {
        const ABORT: u32 = libc::SIGABRT.unsigned_abs();
        match (status, fatal) {
            (WaitStatus::Exited(_), Some(fatal)) if fatal != ABORT => Ending::Fatal(fatal),
            (WaitStatus::Killed(ABORT), Some(fatal)) => Ending::Fatal(fatal),
            (WaitStatus::Exited(0), _) => Ending::Exit,
            (WaitStatus::Exited(status), _) => Ending::Status(status),
            (WaitStatus::Killed(signal), _) if status.is_ordinary() => Ending::Signal(signal),
            (WaitStatus::Killed(signal), _) if is_fatal(signal) => Ending::Fatal(signal),
            (WaitStatus::Killed(signal), _) => Ending::Killed(signal),
        }
    }

    /// What a capture of the process may be about; None where nobody asks for it.
    pub(crate) fn died_of(self) -> Option<DiedOf> {
        self.is_crash().then_some(match self {
            Ending::Fatal(_) => DiedOf::Signal,
            Ending::Panic => DiedOf::Panic,
            _ => DiedOf::Another,
        })
    }

    /// The signal that ended it.
    pub(crate) fn signal(self) -> Option<u32> {
        match self {
            Ending::Signal(signal) | Ending::Fatal(signal) | Ending::Killed(signal) => Some(signal),
            _ => None,
        }
    }

    /// Whether it is worth an alarm and a crash file.
    #[must_use]
    pub fn is_crash(self) -> bool {
        !matches!(self, Ending::Exit | Ending::Signal(_) | Ending::Exec)
    }
}

/// Whether it dumps core because of the process's own fault.
fn is_fatal(signal: u32) -> bool {
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS, libc::SIGTRAP]
        .contains(&signal.cast_signed())
}

impl fmt::Display for Ending {
    /// As the predicate of a sentence about the process.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Exit => f.write_str("ended normally"),
            Ending::Signal(signal) => write!(f, "ended by {}", signal_name(*signal)),
            Ending::Exec => f.write_str("replaced its program (exec)"),
            Ending::Panic => f.write_str("ended by a panic"),
            Ending::Fatal(signal) => write!(f, "died of {} without closing", signal_name(*signal)),
            Ending::Killed(signal) => write!(f, "was killed by {} without closing", signal_name(*signal)),
            Ending::Status(status) => write!(f, "exited with status {status} without closing"),
            Ending::Unknown => f.write_str("died without closing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table() {
        use Closed::{Exit, Open, Panic, Signal};
        use WaitStatus::{Exited, Killed};
        const ABRT: u32 = 6;
        const SEGV: u32 = 11;
        let all = [None, Some(Exited(0)), Some(Exited(3)), Some(Killed(9)), Some(Killed(15)), Some(Killed(SEGV))];
        for status in all {
            assert_eq!(Ending::conclude(Exit, None, status, false), Ending::Exit);
            assert_eq!(Ending::conclude(Panic, None, status, false), Ending::Panic);
        }
        let rows = [
            (Signal(15), None, None, false, Ending::Signal(15)),
            (Signal(15), None, Some(Exited(0)), false, Ending::Signal(15)),
            (Signal(15), None, Some(Killed(2)), false, Ending::Signal(15)),
            (Signal(15), None, Some(Killed(9)), false, Ending::Killed(9)),
            (Signal(15), None, Some(Killed(SEGV)), false, Ending::Fatal(SEGV)),
            (Signal(15), None, Some(Exited(3)), false, Ending::Status(3)),
            (Open, None, Some(Killed(15)), false, Ending::Signal(15)),
            (Open, None, Some(Killed(1)), false, Ending::Signal(1)),
            (Open, None, Some(Exited(0)), false, Ending::Exit),
            (Open, Some(ABRT), Some(Exited(0)), false, Ending::Exit),
            (Open, None, Some(Exited(3)), false, Ending::Status(3)),
            (Open, Some(ABRT), Some(Exited(3)), false, Ending::Status(3)),
            (Open, None, Some(Killed(9)), false, Ending::Killed(9)),
            (Open, None, Some(Killed(14)), false, Ending::Killed(14)),
            (Open, None, Some(Killed(SEGV)), false, Ending::Fatal(SEGV)),
            (Open, Some(SEGV), Some(Exited(0)), false, Ending::Fatal(SEGV)),
            (Open, Some(SEGV), Some(Exited(1)), false, Ending::Fatal(SEGV)),
            (Open, Some(SEGV), Some(Killed(ABRT)), false, Ending::Fatal(SEGV)),
            (Open, Some(ABRT), Some(Killed(ABRT)), false, Ending::Fatal(ABRT)),
            (Open, Some(SEGV), Some(Killed(9)), false, Ending::Killed(9)),
            (Open, Some(ABRT), Some(Killed(9)), false, Ending::Killed(9)),
            (Open, Some(SEGV), None, false, Ending::Fatal(SEGV)),
            (Open, None, None, true, Ending::Exec),
            (Open, None, None, false, Ending::Unknown),
        ];
        for (closed, fatal, status, exec, expected) in rows {
            let found = Ending::conclude(closed, fatal, status, exec);
            assert_eq!(found, expected, "{closed:?} {fatal:?} {status:?} {exec}");
            let ordinary = matches!(expected, Ending::Exit | Ending::Signal(_) | Ending::Exec);
            assert_eq!(found.is_crash(), !ordinary);
        }
    }

    #[test]
    fn a_wait_status_is_taken_apart_as_wait_does() {
        let rows = [
            (0, WaitStatus::Exited(0)),
            (3 << 8, WaitStatus::Exited(3)),
            (9, WaitStatus::Killed(9)),
            (11 | 0x80, WaitStatus::Killed(11)),
            (34, WaitStatus::Killed(34)),
        ];
        for (raw, expected) in rows {
            assert_eq!(WaitStatus::from_raw(raw), expected, "{raw:#x}");
        }
    }
}
