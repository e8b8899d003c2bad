//! Standard input, line by line, and when to stop reading it.

use crate::lines::Lines;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::HashSet;
use std::ffi::c_int;
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long it is read after a signal that means an ordinary end.
const LINGER: Duration = Duration::from_secs(2);

/// What comes next.
pub(crate) enum Piece<'a> {
    /// A line with its newline, the last one perhaps without.
    Line(&'a [u8]),
    /// Nothing more, or no more is to be read.
    End,
    /// A signal asks to end at once.
    Interrupted,
}

/// The signals that have arrived.
#[derive(Debug, Clone)]
pub(crate) struct Until {
    /// Holds a byte for each interrupt.
    arrived: Arc<UnixStream>,
    interrupts: Arc<AtomicUsize>,
    ending: Arc<AtomicBool>,
}

impl Until {
    /// Whether to go on only with what is there already.
    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Whether to stop waiting. The first interrupt is for the program that prints the lines.
    pub(crate) fn is_over(&self) -> bool {
        self.is_ending() || self.is_interrupted()
    }

    fn is_interrupted(&self) -> bool {
        let new = rustix::io::read(&self.arrived, &mut [0u8; 64]).unwrap_or(0);
        self.interrupts.fetch_add(new, Ordering::Relaxed) + new > 1
    }
}

/// Standard input.
pub(crate) struct Input {
    until: Until,
    /// Becomes readable with a signal.
    signals: UnixStream,
    deadline: Option<Instant>,
    lines: Lines,
}

impl Input {
    /// Standard input, and from now on the signals. An ignored one, by `nohup` for instance, stays ignored.
    pub(crate) fn open() -> io::Result<Input> {
        let ((arrived, interrupted), (signals, ending)) = (UnixStream::pair()?, UnixStream::pair()?);
        arrived.set_nonblocking(true)?;
        signals.set_nonblocking(true)?;
        let until = Until { arrived: Arc::new(arrived), interrupts: Arc::default(), ending: Arc::default() };
        let ignored = ignored_signals();
        for signal in [SIGTERM, SIGHUP, SIGINT].into_iter().filter(|signal| !ignored.contains(signal)) {
            if signal == SIGINT {
                signal_hook::low_level::pipe::register(signal, interrupted.try_clone()?)?;
            } else {
                signal_hook::flag::register(signal, Arc::clone(&until.ending))?;
                signal_hook::low_level::pipe::register(signal, ending.try_clone()?)?;
            }
        }
        Ok(Input { until, signals, deadline: None, lines: Lines::default() })
    }

    pub(crate) fn until(&self) -> Until {
        self.until.clone()
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> io::Result<Piece<'_>> {
        loop {
            if self.lines.is_searched() && self.until.is_interrupted() {
                return Ok(Piece::Interrupted);
            }
            if let Some(line) = self.lines.next() {
                return Ok(Piece::Line(self.lines.bytes(line)));
            }
            if self.lines.has_ended() {
                return Ok(Piece::End);
            }
            self.fill()?;
        }
    }

    /// Reads more, or ends where no more is to be read.
    fn fill(&mut self) -> io::Result<()> {
        let stdin = io::stdin();
        loop {
            if self.until.is_interrupted() {
                return Ok(());
            }
            if self.until.is_ending() {
                let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + LINGER);
                if Instant::now() >= deadline {
                    self.lines.end();
                    return Ok(());
                }
            }
            let now = self.until.is_ending().then(Timespec::default);
            let mut fds = [
                PollFd::new(&stdin, PollFlags::IN),
                PollFd::new(&self.signals, PollFlags::IN),
                PollFd::new(&self.until.arrived, PollFlags::IN),
            ];
            match poll(&mut fds, now.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
            let (readable, signalled) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
            if signalled {
                let _ = rustix::io::read(&self.signals, &mut [0u8; 64]);
            }
            if readable {
                return self.lines.read(&stdin).map(drop);
            }
            if now.is_some() {
                // Nothing is in the pipe.
                self.lines.end();
                return Ok(());
            }
        }
    }
}

/// Signals that this process was started to ignore.
pub(crate) fn ignored_signals() -> HashSet<c_int> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let mask = mask.unwrap_or(0);
    (1..=63).filter(|signal| mask >> (signal - 1) & 1 == 1).collect()
}
