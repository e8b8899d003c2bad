//! A process that makes a report, for a flusher that goes on meanwhile.
//!
//! The tool starts itself once more for that (`lastwords symbolise`, hidden). The request comes on its standard input, a file in
//! memory, so that nobody waits for somebody to read it; each answer is a line on its standard output, so that one before an
//! untimely end counts. It is asked for what it has said whenever the flusher comes by, and ended when its time is over.

use crate::crash::request::{Request, answer_in};
use crate::crash::told::Told;
use lastwords_ring::sys::ready::is_ready;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, OFlags, fcntl_getfl, fcntl_setfl};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long an answer is waited for.
const WAIT: Duration = Duration::from_secs(15);
/// Most bytes of the answers.
const ANSWERS_MAX: usize = 16 << 20;
/// Most bytes that are taken of them at once.
const READ_MAX: usize = 1 << 20;
/// How many answers may follow each other.
const LINES_MAX: usize = 2;
/// How long the end of a process is waited for that was ended: one with gigabytes of memory takes a while, one that waits for a
/// disk that does not answer for ever.
const END_WAIT: Duration = Duration::from_secs(1);
/// Time between two checks whether it has ended.
const END_STEP: Duration = Duration::from_millis(1);

/// The tool's command that is this process.
pub(crate) const COMMAND: &str = "symbolise";

/// The process. It is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    /// What it says, until it has nothing more to say, or is not listened to.
    output: Option<ChildStdout>,
    said: Vec<u8>,
    deadline: Instant,
    /// Why it was ended.
    ended_for: Option<String>,
}

/// What it has said at its end.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The last answer that can be used, if there was one: what is told, or that there is nothing to tell.
    pub(crate) told: Option<Option<Told>>,
    /// Why there was not all that there could be.
    pub(crate) failure: Option<String>,
}

impl Worker {
    /// Starts a program that answers this when it is called with [`COMMAND`] behind its own arguments.
    ///
    /// # Errors
    /// As memfd_create(2), write(2), fork(2) and execve(2).
    pub(crate) fn start(program: &[OsString], request: &Request) -> io::Result<Worker> {
        let (program, first) = program.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut input = File::from(rustix::fs::memfd_create("lastwords", MemfdFlags::CLOEXEC)?);
        input.write_all(request.line().as_bytes())?;
        input.rewind()?;
        let mut command = Command::new(program);
        command.args(first).arg(COMMAND);
        command.stdin(Stdio::from(input)).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let output = child.stdout.take();
        let deadline = Instant::now() + WAIT;
        let worker = Worker { child, output, said: Vec::new(), deadline, ended_for: None };
        if let Some(output) = &worker.output {
            fcntl_setfl(output, fcntl_getfl(output)? | OFlags::NONBLOCK)?;
        }
        Ok(worker)
    }

    /// Takes what it has said since the last time. Once it has ended, or its time is over, its answer.
    pub(crate) fn look(&mut self) -> Option<Answer> {
        let now = Instant::now();
        self.listen();
        if self.said.len() > ANSWERS_MAX {
            self.end_for("it says too much".to_owned());
        } else if now >= self.deadline && self.output.is_some() {
            self.end_for(format!("it takes longer than {} s", WAIT.as_secs()));
        }
        if self.output.is_some() {
            return None;
        }
        match self.child.try_wait() {
            Ok(None) if now < self.deadline + END_WAIT => {
                // It has said all that it will.
                let _ = self.child.kill();
                None
            }
            Ok(None) => Some(self.answer(Err(io::ErrorKind::TimedOut.into()))),
            Ok(Some(status)) => Some(self.answer(Ok(status))),
            Err(error) => Some(self.answer(Err(error))),
        }
    }

    /// Waits for its answer.
    pub(crate) fn wait(mut self) -> Answer {
        loop {
            if let Some(answer) = self.look() {
                return answer;
            }
            match &self.output {
                Some(output) => {
                    _ = is_ready(output, PollFlags::IN, self.deadline.saturating_duration_since(Instant::now()))
                }
                None => std::thread::sleep(END_STEP),
            }
        }
    }

    /// What becomes ready when it says something or ends; None once it has nothing more to say.
    pub(crate) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(ChildStdout::as_fd)
    }

    /// Whether a look at it may bring something.
    pub(crate) fn has_news(&self) -> bool {
        let is_ready = |output| poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&Timespec::default())) != Ok(0);
        Instant::now() >= self.deadline || self.output.as_ref().is_none_or(is_ready)
    }

    /// Reads until there is nothing now, or nothing more for ever: then the process is about to end, and is given a moment to, so
    /// that how it ended is known.
    fn listen(&mut self) {
        let Some(output) = &mut self.output else { return };
        match output.take(READ_MAX as u64).read_to_end(&mut self.said) {
            Ok(length) if length == READ_MAX => return,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => {}
        }
        self.output = None;
        for _ in 0..10 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(END_STEP);
        }
    }

    fn end_for(&mut self, why: String) {
        let _ = self.child.kill();
        (self.ended_for, self.output) = (Some(why), None);
        self.deadline = Instant::now();
    }

    fn answer(&mut self, ended: io::Result<ExitStatus>) -> Answer {
        let lines = self.said.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        let lines: Vec<&[u8]> = lines.collect();
        let told = lines.iter().rev().take(LINES_MAX).find_map(|line| answer_in(line));
        let is_whole = self.said.ends_with(b"\n") && lines.last().is_some_and(|line| answer_in(line).is_some());
        let failure = match (self.ended_for.take(), ended) {
            (Some(why), _) => Some(why),
            (None, Err(error)) => Some(error.to_string()),
            (None, Ok(status)) if !status.success() => Some(status.to_string()),
            (None, Ok(_)) if !is_whole => Some("its answer is none".to_owned()),
            (None, Ok(_)) => None,
        };
        Answer { told, failure }
    }
}

impl Drop for Worker {
    /// Nothing is left behind of it, unless the kernel itself keeps it.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let until = Instant::now() + END_WAIT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(END_STEP);
        }
    }
}
