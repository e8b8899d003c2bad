//! Flushers under ptrace: killed at a system call, or with a call that fails or writes less than it was asked to.

use crate::forge::ring_files;
use crate::programs::DRAINER;
use crate::sys::{Stop, Traced};
use lastwords_flusher::files::journal::entry_in;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A flusher that has not drained everything after so long is stuck.
const STUCK: Duration = Duration::from_secs(30);

/// Calls that do nothing but let time pass.
const SLEEPS: [i64; 2] = [libc::SYS_nanosleep, libc::SYS_clock_nanosleep];

/// How to start the program `drainer`.
#[derive(Debug, Clone)]
pub struct Drainer {
    /// `now` or `all`, see there.
    pub since: &'static str,
    /// An empty folder to run in.
    pub elsewhere: PathBuf,
}

impl Drainer {
    fn command(&self, folder: &Path) -> Command {
        let mut command = DRAINER.command();
        command.arg(folder).arg(self.since).current_dir(&self.elsewhere).env("TMPDIR", &self.elsewhere);
        command
    }

    /// Drains what others left.
    ///
    /// # Panics
    /// If the drain fails.
    pub fn drain(&self, folder: &Path) {
        let output = self.command(folder).output().expect("started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Drains `folder` up to `stop`. Returns the drain's system calls as far as it got, or None if that point was not reached,
    /// or is not a write.
    ///
    /// # Panics
    /// If the flusher does anything else.
    #[must_use]
    pub fn drain_until(&self, folder: &Path, stop: KillAt) -> Option<Vec<Call>> {
        self.drain_blocked_until(folder, "", stop)
    }

    /// Like `drain_until`, where no write to the log file of the role `blocked` succeeds, so that the drain ends with an error
    /// if it is not killed before.
    ///
    /// # Panics
    /// If the flusher does anything else.
    #[must_use]
    pub fn drain_blocked_until(&self, folder: &Path, blocked: &str, stop: KillAt) -> Option<Vec<Call>> {
        let is_blocked = |call: &Call| {
            let write = call.write.as_ref().filter(|_| !blocked.is_empty());
            write.is_some_and(|(_, name)| name.starts_with(&format!("{blocked}.log")))
        };
        let mut command = self.command(folder);
        if !blocked.is_empty() {
            command.stderr(Stdio::null());
        }
        let mut traced = Traced::start(&mut command).expect("started");
        let mut calls: Option<Vec<Call>> = None;
        loop {
            match traced.to_system_call().expect("traced") {
                Stop::Entry(number) if number == libc::SYS_getppid as u64 => match calls {
                    None => calls = Some(Vec::new()),
                    Some(calls) if stop == KillAt::Never => {
                        while !matches!(traced.run().expect("ran"), Stop::Ended(0)) {}
                        return Some(calls);
                    }
                    Some(_) => return None,
                },
                Stop::Entry(number) => {
                    let Some(calls) = &mut calls else { continue };
                    let here = calls.len();
                    calls.push(Call::at(&traced, number));
                    let meant = match stop {
                        KillAt::Within(k) => k == here,
                        KillAt::WithinWriteTo(name) => {
                            calls.last().and_then(|call| call.write.as_ref()).is_some_and(|(_, found)| found == name)
                        }
                        KillAt::Before(_) | KillAt::Never => false,
                    };
                    match stop {
                        KillAt::Before(k) if k == here => traced.kill().expect("killed"),
                        _ if meant => {
                            if !traced.shorten_write(|length| length / 2).expect("traced") {
                                return None;
                            }
                            assert_eq!(traced.to_system_call().expect("traced"), Stop::Exit);
                            traced.kill().expect("killed");
                        }
                        _ => {
                            if calls.last().is_some_and(is_blocked) {
                                traced.answer_instead(-i64::from(libc::EIO)).expect("traced");
                            }
                            continue;
                        }
                    }
                    return Some(std::mem::take(calls));
                }
                Stop::Exit => {}
                // It gave up.
                Stop::Ended(101) if !blocked.is_empty() => return calls.filter(|_| stop == KillAt::Never),
                other => panic!("{other:?} at {stop:?}"),
            }
        }
    }

    /// Lets a flusher drain `folder` up to its system call number `call`, and stops it there: before the call, or right after
    /// it. None if it was done before it got there.
    ///
    /// # Panics
    /// If the flusher does anything else.
    #[must_use]
    pub fn stand_at(&self, folder: &Path, call: usize, after: bool) -> Option<Traced> {
        self.stand_where(folder, after, |index, _| index == call)
    }

    /// Like `stand_at`, before or after the first system call for which `here` returns true, given how many there were before
    /// and its number.
    ///
    /// # Panics
    /// If the flusher does anything else.
    #[must_use]
    pub fn stand_where(&self, folder: &Path, after: bool, here: impl Fn(usize, i64) -> bool) -> Option<Traced> {
        match Traced::start_to(&mut self.command(folder), here) {
            Ok(mut traced) => {
                if after {
                    assert_eq!(traced.to_system_call().expect("traced"), Stop::Exit);
                }
                Some(traced)
            }
            Err(mut done) => {
                while !matches!(done.run().expect("ran"), Stop::Ended(0)) {}
                None
            }
        }
    }

    /// Lets a daemon make so many passes while no write to any ring succeeds, and kills it then.
    ///
    /// # Panics
    /// If it ends by itself.
    pub fn pass_without_writing_to_rings(&self, folder: &Path, passes: usize) {
        let mut traced = Traced::start(self.command(folder).arg("on").stderr(Stdio::null())).expect("started");
        let mut begun = 0;
        while begun <= passes {
            match traced.to_system_call().expect("traced") {
                Stop::Entry(number) if number == libc::SYS_getppid as u64 => begun += 1,
                Stop::Entry(number) if begun > 0 => {
                    let call = Call::at(&traced, number);
                    if call.write.as_ref().is_some_and(|(_, name)| name.ends_with(".ring")) {
                        traced.answer_instead(-i64::from(libc::EIO)).expect("traced");
                    } else if call.is_wait() {
                        traced.answer_instead(0).expect("traced");
                    }
                }
                Stop::Entry(_) | Stop::Exit => {}
                other => panic!("{other:?}"),
            }
        }
        traced.kill().expect("killed");
    }

    /// Drains `folder` as a daemon does, with this fault, until no ring is left.
    ///
    /// # Panics
    /// If the flusher ends by itself, or never comes to an end.
    #[must_use]
    pub fn drain_with(&self, folder: &Path, fault: Option<Fault>) -> Faulted {
        self.drain_with_until(folder, fault, is_drained)
    }

    /// Like `drain_with`, until `done`. Once no ring is left it really waits where it waits.
    ///
    /// # Panics
    /// If the flusher ends by itself, or never comes to an end.
    #[must_use]
    pub fn drain_with_until(&self, folder: &Path, fault: Option<Fault>, done: fn(&Path) -> bool) -> Faulted {
        let mut command = self.command(folder);
        // What a flusher cannot say on a full disk, or to a pipe that nobody reads, must not end it.
        let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        command.arg("on").stderr(if std::env::var_os("LASTWORDS_SHOW").is_some() {
            Stdio::inherit()
        } else {
            full.into()
        });
        let mut traced = Traced::start(&mut command).expect("started");
        let mut run =
            Run { folder, fault, done, begun: false, left: 0, start: Instant::now(), found: Faulted::default() };
        while run.go_on(&mut traced) {}
        run.found
    }
}

/// Where a drain is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillAt {
    /// Before this system call.
    Before(usize),
    /// After this write has written half of its bytes.
    Within(usize),
    /// Like `Within`, for the first write to the file of this name.
    WithinWriteTo(&'static str),
    /// Nowhere.
    Never,
}

/// A system call of a flusher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub number: i64,
    /// Of a write: how many bytes, and the name of the file.
    pub write: Option<(u64, String)>,
    /// Whether it writes the journal's entry that says that there is nothing to do.
    pub settles: bool,
    /// Whether it closes a folder.
    pub closes_folder: bool,
}

impl Call {
    fn at(traced: &Traced, number: u64) -> Call {
        let number = number as i64;
        let file = || {
            let arguments = traced.arguments().expect("traced");
            let path = fs::read_link(format!("/proc/{}/fd/{}", traced.pid(), arguments[0])).unwrap_or_default();
            (arguments[2], path)
        };
        let write = [libc::SYS_write, libc::SYS_pwrite64].contains(&number).then(|| {
            let (length, path) = file();
            (length, path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        });
        let closes_folder = number == libc::SYS_close && file().1.is_dir();
        let settles = write.as_ref().is_some_and(|(length, name)| {
            name.starts_with("journal.") && entry_in(&written(traced, *length)).is_some_and(|entry| entry.is_settled())
        });
        Call { number, write, settles, closes_folder }
    }

    /// Whether it writes what must not get lost: a batch to the journal, or lines to a log file.
    #[must_use]
    pub fn writes_lines(&self) -> bool {
        let write = self.write.as_ref();
        write.is_some_and(|(_, name)| is_log(name) || name.starts_with("journal.") && !self.settles)
    }

    /// Whether this error is to be tried. The standard library ends a program whose sleep, or closing of a folder, fails
    /// in any way but by a signal: no kernel does that to a sleep, and no local file system to a folder. And brk(2)
    /// answers with an address, never with an error, as the question for one's own limits does with an answer.
    #[must_use]
    pub fn may_fail(&self, error: i32) -> bool {
        if [libc::SYS_brk, libc::SYS_prlimit64].contains(&self.number) {
            return false;
        }
        error == libc::EINTR || !(SLEEPS.contains(&self.number) || self.closes_folder)
    }

    /// Whether it waits for time to pass, or for the doorbell.
    fn is_wait(&self) -> bool {
        SLEEPS.contains(&self.number) || [libc::SYS_poll, libc::SYS_ppoll].contains(&self.number)
    }
}

/// Whether a file of this name is a log file.
#[must_use]
pub fn is_log(name: &str) -> bool {
    name.contains(".log") || name.contains(".jsonl")
}

/// The bytes that the write of `length` bytes, at whose entry the flusher is, is to write.
fn written(traced: &Traced, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; length as usize];
    let memory = fs::File::open(format!("/proc/{}/mem", traced.pid())).expect("the tracer may read it");
    memory.read_exact_at(&mut bytes, traced.arguments().expect("traced")[1]).expect("what a call writes is there");
    bytes
}

/// What goes wrong with which system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which one, counted from 0.
    pub call: usize,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// SIGKILL instead of the call.
    Kill,
    /// It fails with this error, and so do the next ones of its number: so many in all.
    Fail(i32, u32),
    /// It writes half of what it should.
    Half,
    /// It writes one byte.
    OneByte,
}

/// What a flusher with a fault did.
#[derive(Debug, Default)]
pub struct Faulted {
    /// Its system calls.
    pub calls: Vec<Call>,
    /// Which of them failed.
    pub failed: Vec<usize>,
    /// Whether the fault happened.
    pub reached: bool,
    /// Whether it was killed, or ended itself because there was no memory.
    pub killed: bool,
}

/// A flusher on its way.
struct Run<'a> {
    folder: &'a Path,
    fault: Option<Fault>,
    /// Whether it has done all that it is to do.
    done: fn(&Path) -> bool,
    begun: bool,
    /// How many calls are still to fail.
    left: u32,
    start: Instant,
    found: Faulted,
}

impl Run<'_> {
    /// Lets the flusher go on to its next system call. False when it has ended.
    fn go_on(&mut self, traced: &mut Traced) -> bool {
        match traced.to_system_call().expect("traced") {
            Stop::Entry(number) if number == libc::SYS_getppid as u64 => {
                self.begun = true;
                let failed = self.found.failed.iter().map(|call| self.found.calls[*call].number).collect::<Vec<_>>();
                assert!(self.start.elapsed() < STUCK, "stuck with {:?} of the calls {failed:?}", self.fault);
                if (self.done)(self.folder) {
                    traced.answer_instead(0).expect("traced");
                }
                true
            }
            Stop::Entry(number) if number == libc::SYS_getuid as u64 && self.begun => {
                while !matches!(traced.run().expect("ran"), Stop::Ended(0)) {}
                false
            }
            Stop::Entry(number) if self.begun => self.call(traced, number),
            Stop::Entry(_) | Stop::Exit => true,
            // Memory that cannot be had ends a program, and only that may.
            Stop::Signal(libc::SIGABRT) if self.lacks_memory() => self.kill(traced),
            other => panic!("{other:?} with {:?}", self.fault),
        }
    }

    fn call(&mut self, traced: &mut Traced, number: u64) -> bool {
        let (here, call) = (self.found.calls.len(), Call::at(traced, number));
        let again =
            self.left > 0 && self.found.failed.last().is_some_and(|k| self.found.calls[*k].number == call.number);
        let may_have = |kind| !matches!(kind, FaultKind::Fail(error, _) if !call.may_fail(error));
        let fault = self.fault.filter(|fault| (fault.call == here || again) && may_have(fault.kind));
        let wait = call.is_wait() && !is_drained(self.folder);
        self.found.calls.push(call);
        match fault.map(|fault| fault.kind) {
            Some(FaultKind::Kill) => return self.kill(traced),
            Some(FaultKind::Fail(error, times)) => {
                self.left = if again { self.left } else { times } - 1;
                self.found.failed.push(here);
                traced.answer_instead(-i64::from(error)).expect("traced");
                self.found.reached = true;
            }
            Some(FaultKind::Half) => self.found.reached = traced.shorten_write(|length| length / 2).expect("traced"),
            Some(FaultKind::OneByte) => self.found.reached = traced.shorten_write(|_| 1).expect("traced"),
            // Time is not what is tried here.
            None if wait => traced.answer_instead(0).expect("traced"),
            None => {}
        }
        true
    }

    fn kill(&mut self, traced: &mut Traced) -> bool {
        traced.kill().expect("killed");
        (self.found.reached, self.found.killed) = (true, true);
        false
    }

    fn lacks_memory(&self) -> bool {
        const MEMORY: [i64; 3] = [libc::SYS_brk, libc::SYS_mmap, libc::SYS_mremap];
        self.found.failed.iter().any(|k| MEMORY.contains(&self.found.calls[*k].number))
    }
}

fn is_drained(folder: &Path) -> bool {
    ring_files(folder).is_empty()
}
