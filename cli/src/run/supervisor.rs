//! Passes signals on to the program, and reaps what has ended.
//!
//! In a thread of its own, so that a signal arrives while the main thread waits for the log. A pid is signalled under the lock
//! under which it is reaped: it never is that of another process.

use crate::run::end::{ENDING, Ended};
use crate::run::signals::{self, Arrived, Change};
use rustix::process::{Pid, Signal, getpid, kill_process};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The thread's stack: it reads two bytes at a time.
const STACK: usize = 128 << 10;

#[derive(Debug, Default)]
struct State {
    /// The program, while it is not reaped.
    pid: Option<Pid>,
    ended: Option<(Ended, Instant)>,
    /// Somebody has asked for the end.
    was_asked: bool,
    /// Somebody has asked for a stop. A program may handle that, and one in a process group without a shell ignores it, so this
    /// process stops when the program has.
    is_to_stop: bool,
    /// Gets a byte when the program ends.
    wakes: Option<UnixStream>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches over one program after the other.
#[derive(Debug)]
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
}

impl Supervisor {
    /// Handles all signals from now on.
    ///
    /// # Errors
    /// If a handler, a socket or the thread cannot be made.
    pub(crate) fn start() -> io::Result<Supervisor> {
        let (arrived, shared) = (signals::watch()?, Arc::new(Shared::default()));
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("signals".to_owned()).stack_size(STACK).spawn(move || watch(arrived, &theirs))?;
        Ok(Supervisor { shared })
    }

    /// Starts a program. What is returned beside it becomes readable when it ends.
    ///
    /// # Errors
    /// As `spawn`.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<(Child, UnixStream)> {
        let (ends, wakes) = UnixStream::pair()?;
        // Under the lock: it may end before its pid is known here.
        let mut state = self.shared.lock();
        let child = command.spawn()?;
        state.pid = Some(Pid::from_child(&child));
        (state.ended, state.wakes) = (None, Some(wakes));
        Ok((child, ends))
    }

    /// How the program ended and when, once it has.
    pub(crate) fn ended(&self) -> Option<(Ended, Instant)> {
        self.shared.lock().ended
    }

    /// Whether somebody has asked for the end.
    pub(crate) fn was_asked_to_end(&self) -> bool {
        self.shared.lock().was_asked
    }

    /// Waits so long; true at once if the end is asked for.
    pub(crate) fn is_asked_to_end_within(&self, time: Duration) -> bool {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, time, |state| !state.was_asked);
        waited.unwrap_or_else(PoisonError::into_inner).0.was_asked
    }
}

fn watch(mut arrived: UnixStream, shared: &Shared) {
    let mut bytes = [0; 2];
    while arrived.read_exact(&mut bytes).is_ok() {
        let arrived = Arrived::from_bytes(bytes);
        let stops = if arrived.signal == libc::SIGCHLD {
            take_news(&mut shared.lock())
        } else {
            pass_on(&mut shared.lock(), arrived);
            shared.changed.notify_all();
            false
        };
        if stops {
            let _ = kill_process(getpid(), Signal::STOP);
        }
    }
}

/// The program is in the process group of this one: what the terminal sends has reached it already.
fn pass_on(state: &mut State, arrived: Arrived) {
    state.was_asked |= ENDING.contains(&arrived.signal);
    match arrived.signal {
        libc::SIGTSTP => state.is_to_stop = true,
        libc::SIGCONT => state.is_to_stop = false,
        _ => {}
    }
    if let (Some(pid), false) = (state.pid, arrived.is_of_kernel) {
        signals::send(pid, arrived.signal);
    }
}

/// Of all children: as the first process of a container this one has more than the program. Returns whether it is to stop, as the
/// program has.
fn take_news(state: &mut State) -> bool {
    let mut stops = false;
    while let Some((pid, change)) = signals::news() {
        if state.pid.is_none_or(|program| program.as_raw_nonzero().get() != pid) {
            continue;
        }
        match change {
            Change::Stopped => stops |= std::mem::take(&mut state.is_to_stop),
            Change::Ended(ended) => {
                (state.pid, state.ended) = (None, Some((ended, Instant::now())));
                if let Some(mut wakes) = state.wakes.take() {
                    let _ = wakes.write_all(&[1]);
                }
            }
        }
    }
    stops
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn what_the_terminal_has_sent_to_the_program_is_not_sent_again() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("it starts");
        let mut state = State { pid: Some(Pid::from_child(&child)), ..State::default() };
        pass_on(&mut state, Arrived { signal: libc::SIGINT, is_of_kernel: true });
        assert!(state.was_asked);
        pass_on(&mut state, Arrived { signal: libc::SIGTERM, is_of_kernel: false });
        assert_eq!(child.wait().expect("its own child").signal(), Some(libc::SIGTERM));
    }
}
