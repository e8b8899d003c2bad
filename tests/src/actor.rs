//! Starting, watching and ending the helper program `actor`.

use crate::programs::{ACTOR, TOOL};
use crate::script::Script;
use std::borrow::BorrowMut;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// After this long without what a test waits for, something is stuck.
const WATCHDOG: Duration = Duration::from_secs(30);

/// A running actor, killed when dropped.
#[derive(Debug)]
pub struct Actor {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts one as `role` in `folder`.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(role: &str, folder: &Path, script: impl Script) -> Actor {
        Actor::of(ACTOR.acting(role, folder, script))
    }

    /// Like [`Actor::start`], with these environment variables.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_with(role: &str, folder: &Path, script: impl Script, env: &[(&str, &str)]) -> Actor {
        Actor::of(ACTOR.acting(role, folder, script).envs(env.iter().copied()))
    }

    /// Like [`Actor::start`], with a pipe for its standard error.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn heard(role: &str, folder: &Path, script: impl Script) -> Actor {
        Actor::of(ACTOR.acting(role, folder, script).stderr(Stdio::piped()))
    }

    /// Starts so many, and waits until each has printed this line.
    ///
    /// # Panics
    /// If one does not start, or prints another line.
    #[must_use]
    #[track_caller]
    pub fn several(count: usize, role: &str, folder: &Path, script: impl Script, expected: &str) -> Vec<Actor> {
        let mut actors: Vec<Actor> = (0..count).map(|_| Actor::start(role, folder, &script)).collect();
        actors.iter_mut().for_each(|actor| actor.says(expected));
        actors
    }

    /// Starts a command that is an actor's in the end.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn of(mut command: impl BorrowMut<Command>) -> Actor {
        let command = command.borrow_mut().stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the actor starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Actor { child, input, output }
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line that it prints.
    ///
    /// # Panics
    /// If it ends before.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("readable");
        assert!(read > 0, "the actor ended without printing what was expected");
        line.trim_end().to_owned()
    }

    /// Waits until it says that a child keeps what it has, and returns the child's pid.
    ///
    /// # Panics
    /// If it says something else.
    pub fn keeper(&mut self) -> u32 {
        self.line().strip_prefix("kept by ").and_then(|pid| pid.parse().ok()).expect("a pid")
    }

    /// The actor once it has printed this line.
    ///
    /// # Panics
    /// If it prints another one.
    #[must_use]
    #[track_caller]
    pub fn until(mut self, expected: &str) -> Actor {
        self.says(expected);
        self
    }

    /// Waits for the next line that it prints, which must be this one.
    ///
    /// # Panics
    /// If it is another one.
    #[track_caller]
    pub fn says(&mut self, expected: &str) {
        assert_eq!(self.line(), expected);
    }

    /// All that it says on standard error until it ends, where that is a pipe.
    ///
    /// # Panics
    /// If it is not a pipe.
    pub fn errors(&mut self) -> String {
        let mut printed = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut printed).expect("UTF-8");
        printed
    }

    /// Lets a waiting one go on.
    ///
    /// # Panics
    /// If it does not listen.
    pub fn go(&mut self) {
        self.input.as_mut().expect("open").write_all(b"\n").expect("it listens");
    }

    /// Lets a waiting one go on until it prints this line.
    ///
    /// # Panics
    /// If it prints another one.
    #[track_caller]
    pub fn go_until(&mut self, expected: &str) {
        self.go();
        self.says(expected);
    }

    /// Lets a waiting one go on to an ordinary end.
    ///
    /// # Panics
    /// If it ends otherwise.
    #[track_caller]
    pub fn finish(&mut self) {
        self.go();
        assert!(self.end().success());
    }

    /// Kills it by SIGKILL.
    ///
    /// # Panics
    /// If it has been waited for already.
    pub fn kill(&mut self) {
        self.child.kill().expect("its own child");
        self.child.wait().expect("reaped");
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it has ended.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("its own child");
    }

    /// Stops it by SIGSTOP, and waits until it is.
    ///
    /// # Panics
    /// If it has ended.
    pub fn stop(&self) {
        self.signal(rustix::process::Signal::STOP);
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it lives");
        wait_until("the stop", || stat().contains(") T "));
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// If it has been waited for already.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its own child")
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// If it is stuck.
    pub fn end(&mut self) -> ExitStatus {
        self.input = None;
        wait_for("the actor's end", || self.child.try_wait().expect("its own child"))
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs an actor to its end.
#[must_use]
pub fn run(role: &str, folder: &Path, script: impl Script) -> (u32, ExitStatus) {
    let mut actor = Actor::start(role, folder, script);
    let status = actor.end();
    (actor.pid(), status)
}

/// Runs an actor to an ordinary end, and returns its pid.
///
/// # Panics
/// If it ends otherwise.
#[track_caller]
pub fn succeed(role: &str, folder: &Path, script: impl Script) -> u32 {
    let (pid, status) = run(role, folder, script);
    assert!(status.success(), "{status}");
    pid
}

/// Runs an actor to an end that is none of the ordinary ones, and returns its pid.
///
/// # Panics
/// If it ends in an ordinary way.
#[track_caller]
pub fn die(role: &str, folder: &Path, script: impl Script) -> u32 {
    let (pid, status) = run(role, folder, script);
    assert!(!status.success(), "{status}");
    pid
}

/// Kills a process that no actor is, a child of one for instance.
///
/// # Panics
/// If it is not there.
pub fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is there");
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Printed {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Printed {
    /// All that it printed.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Asserts that it ended with this exit code.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn ended(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{self:?}");
    }
}

/// Runs a command to its end, without an input.
///
/// # Panics
/// If it does not start, or prints what is no UTF-8.
#[must_use]
pub fn printed(mut command: impl BorrowMut<Command>) -> Printed {
    let Output { status, stdout, stderr } = command.borrow_mut().stdin(Stdio::null()).output().expect("it starts");
    let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
    Printed { code: status.code(), status, out, err }
}

/// Runs the tool with these arguments.
///
/// # Panics
/// If it does not start.
#[must_use]
pub fn tool(arguments: impl Script) -> Printed {
    printed(TOOL.command().args(arguments.words()))
}

/// Runs the tool with these arguments and then a path.
///
/// # Panics
/// If it does not start.
#[must_use]
pub fn tool_at(arguments: impl Script, path: impl AsRef<OsStr>) -> Printed {
    printed(TOOL.command().args(arguments.words()).arg(path))
}

/// Drains a folder by the tool.
///
/// # Panics
/// If that fails, or there is nothing to drain.
#[track_caller]
pub fn flush_once(folder: &Path) {
    let printed = tool_at("flush --once", folder);
    assert!(printed.status.success(), "{printed:?}");
}

/// Drains by the tool what may be left in a folder.
///
/// # Panics
/// If that fails.
#[track_caller]
pub fn flush_rest(folder: &Path) {
    let printed = tool_at("flush --once", folder);
    assert!([Some(0), Some(1)].contains(&printed.code), "{printed:?}");
}

/// Flushes, however long the machine is busy with something else.
///
/// # Panics
/// If it fails for another reason, or takes longer than the watchdog allows.
pub fn flush() {
    wait_for("the log files", || match lastwords::flush() {
        Err(lastwords::Error::FlushTimeout { .. }) => None,
        done => Some(done).inspect(|done| assert!(done.is_ok(), "{done:?}")).map(drop),
    });
}

/// Waits until something holds; a watchdog ends what is stuck.
///
/// # Panics
/// If it takes longer than the watchdog allows.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// Looks until there is something; a watchdog ends what is stuck.
///
/// # Panics
/// If it takes longer than the watchdog allows.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < WATCHDOG, "stuck while waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
