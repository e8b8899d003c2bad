//! Starting, watching and ending the helper program `actor`.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
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
    /// Starts `program` as `role` in `folder`.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(program: &str, role: &str, folder: &Path, script: &[&str]) -> Actor {
        Actor::start_with(program, role, folder, script, &[])
    }

    /// Like [`Actor::start`], with these environment variables.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_with(program: &str, role: &str, folder: &Path, script: &[&str], env: &[(&str, &str)]) -> Actor {
        let mut command = Command::new(program);
        command.envs(env.iter().copied());
        command.arg(role).arg(folder).args(script);
        Actor::of(&mut command)
    }

    /// Starts a command that is an actor's in the end.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn of(command: &mut Command) -> Actor {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
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

    /// The actor once it has printed this line.
    ///
    /// # Panics
    /// If it prints another one.
    #[must_use]
    #[track_caller]
    pub fn until(mut self, expected: &str) -> Actor {
        assert_eq!(self.line(), expected);
        self
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
        assert_eq!(self.line(), expected);
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

    /// How it ended, if it has.
    ///
    /// # Panics
    /// If it has been waited for already.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("its own child")
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// If it is stuck.
    pub fn end(&mut self) -> std::process::ExitStatus {
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
pub fn run(program: &str, role: &str, folder: &Path, script: &[&str]) -> (u32, std::process::ExitStatus) {
    let mut actor = Actor::start(program, role, folder, script);
    let status = actor.end();
    (actor.pid(), status)
}

/// Runs the tool with these arguments.
///
/// # Panics
/// If it does not start.
#[must_use]
pub fn tool(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("the tool starts")
}

/// Drains a folder by the tool.
///
/// # Panics
/// If that fails.
#[track_caller]
pub fn flush_once(program: &str, folder: &Path) {
    let output = tool(program, &["flush", "--once", &folder.to_string_lossy()]);
    assert!(output.status.success(), "{output:?}");
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
