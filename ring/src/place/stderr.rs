//! Lines on standard error, for what cannot be in a log file.
//!
//! A thread with a descriptor table of its own (`own_table.rs`) has no standard error there. It borrows the process's for each
//! line, so that nothing keeps it open:
//!
//! | where | how |
//! |---|---|
//! | no system call is filtered | `pidfd_getfd`, which every thread may use on its own process |
//! | a filter, which may kill the process for that | it is opened again, where it is a pipe or a terminal |
//! | neither | the line is left to the next thread of the program's that prints here, logs (about once a second), or exits |

use crate::sys::fsize;
use crate::sys::numbers;
use crate::sys::ready::is_ready;
use rustix::event::PollFlags;
use rustix::fd::AsFd;
use std::fmt;
use std::time::Duration;

/// Prints the line, if that is possible without waiting. Standard error may be a file on the full disk that the line is about,
/// or a pipe that nobody reads. Not by `std`, whose lock another thread may have held when this process was forked.
pub fn complain(text: fmt::Arguments<'_>) {
    let line = format!("lastwords: {text}\n");
    {
        if numbers::is_own_table() {
            return reaching::print(line);
        }
        print_pending();
    }
    print(&std::io::stderr(), &line);
}

fn print(stderr: &impl AsFd, line: &str) {
    if is_ready(stderr, PollFlags::OUT, Duration::ZERO) {
        let _ = fsize::without_signal(|| rustix::io::write(stderr, line.as_bytes()));
    }
}

pub use reaching::{lend, print_pending};

mod reaching {
    use crate::mutant::{self, Mutant};
    use crate::place::open::STANDARD_ERROR;
    use crate::place::own_table;
    use crate::sys::numbers;
    use rustix::fs::{FileType, Mode, OFlags};
    use rustix::io::Errno;
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    use rustix::thread::{SecureComputingMode, secure_computing_mode};
    use std::os::fd::OwnedFd;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// The process's standard error, for a table that has none.
    #[derive(Debug)]
    enum Reached {
        Here(OwnedFd),
        /// The process has closed it.
        Closed,
        /// Only threads of the program's have it.
        Elsewhere,
    }

    /// Lines left for another thread of the same process. The lock is never waited for.
    static PENDING: Mutex<Vec<(u32, String)>> = Mutex::new(Vec::new());
    /// A line is left.
    static IS_PENDING: AtomicBool = AtomicBool::new(false);
    /// Most lines that are left at a time.
    const PENDING_MAX: usize = 16;

    /// Prints a line from a thread that has no standard error.
    pub(super) fn print(line: String) {
        match standard_error() {
            Reached::Here(stderr) => super::print(&stderr, &line),
            Reached::Closed => {}
            Reached::Elsewhere => leave(line),
        }
    }

    fn leave(line: String) {
        if let Ok(mut pending) = PENDING.try_lock()
            && pending.len() < PENDING_MAX
        {
            pending.push((std::process::id(), line));
            IS_PENDING.store(true, Ordering::Release);
        }
    }

    /// Prints the lines left for a thread that shares the program's descriptors.
    pub fn print_pending() {
        if !IS_PENDING.load(Ordering::Acquire) || numbers::is_own_table() {
            return;
        }
        let Ok(mut pending) = PENDING.try_lock() else { return };
        IS_PENDING.store(false, Ordering::Relaxed);
        // A forked child finds its parent's.
        let me = std::process::id();
        pending.drain(..).filter(|(pid, _)| *pid == me).for_each(|(_, line)| super::print(&std::io::stderr(), &line));
    }

    fn standard_error() -> Reached {
        if mutant::is(Mutant::ComplaintUnheard) {
            return Reached::Closed;
        }
        let got = match secure_computing_mode() {
            Ok(SecureComputingMode::Disabled) | Err(Errno::INVAL) => pidfd_open(getpid(), PidfdFlags::empty())
                .and_then(|process| pidfd_getfd(process, STANDARD_ERROR, PidfdGetfdFlags::empty())),
            _ => Err(Errno::PERM),
        };
        match got {
            Ok(stderr) => Reached::Here(stderr),
            Err(Errno::BADF) => Reached::Closed,
            Err(_) => open_again(),
        }
    }

    /// A file would be written at another offset than the program's, and the two would overwrite each other.
    fn open_again() -> Reached {
        const STDERR: &str = "/proc/self/fd/2";
        let kind = rustix::fs::stat(STDERR).map(|found| FileType::from_raw_mode(found.st_mode));
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match kind {
            Ok(FileType::Fifo | FileType::CharacterDevice) => {}
            _ => return Reached::Elsewhere,
        }
        rustix::fs::open(STDERR, flags, Mode::empty()).map_or(Reached::Elsewhere, Reached::Here)
    }

    /// Runs code that prints on standard error, by number. Safe in a signal handler.
    pub fn lend<T>(work: impl FnOnce() -> T) -> T {
        let lent = numbers::is_own_table()
            && matches!(standard_error(), Reached::Here(stderr) if numbers::lead_to(STANDARD_ERROR, &stderr).is_ok());
        let done = work();
        if lent {
            let _ = numbers::close_all(STANDARD_ERROR, STANDARD_ERROR);
            own_table::lead_nowhere();
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::descriptor::Identity;
    use crate::place::open::STANDARD_ERROR;
    use crate::place::own_table;
    use crate::sys::numbers;

    #[test]
    fn what_prints_by_the_number_reaches_standard_error_and_nothing_keeps_it_open() {
        let behind = || numbers::look(STANDARD_ERROR).map(|found| Identity::of(&found)).expect("open");
        let stderr = behind();
        let thread = std::thread::spawn(move || {
            own_table::take(Vec::new());
            if !numbers::is_own_table() {
                println!("skipped: no table of its own to be had, which takes Linux 5.9");
                return;
            }
            assert_ne!(behind(), stderr);
            lend(|| assert_eq!(behind(), stderr));
            assert_ne!(behind(), stderr);
            let nowhere = rustix::io::write(std::io::stderr(), b"of nobody's\n");
            assert_eq!(nowhere, Err(rustix::io::Errno::INVAL));
        });
        thread.join().expect("as said");
    }
}
