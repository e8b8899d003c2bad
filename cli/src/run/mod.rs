//! `lastwords run`: a program whose output, and whose end, are in the log.

mod crash;
mod end;
mod output;
mod signals;
mod supervisor;

use crate::cli::Run;
use crate::exit::Exit;
use crate::feed::Feed;
use crate::say;
use end::Ended;
use lastwords::{Error, Level, Result};
use lastwords_ring::format::role::is_role;
use lastwords_ring::format::text::escaped;
use output::{Said, Stream};
use rustix::process::{Resource, Rlimit, getpid, setrlimit};
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use supervisor::Supervisor;

/// Exit status where this process fails itself, and where the program cannot be started, as those of env(1) and timeout(1).
const FAILED: u8 = 125;
const NOT_STARTED: u8 = 126;
const NOT_FOUND: u8 = 127;
/// Time before the first restart; each further one takes twice as long, up to the longest, which is also the time after which a
/// program counts as started well.
const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(60);
/// Characters of the program and its arguments in lines of the log.
const SHOWN_MAX: usize = 200;

pub(crate) fn run(arguments: &Run) -> Exit {
    log_all_runs(arguments).unwrap_or_else(|error| {
        say::error(&error);
        Exit::Of(FAILED)
    })
}

fn log_all_runs(arguments: &Run) -> Result<Exit> {
    // Before the log is opened, which does not touch signals that have a handler.
    let supervisor = Supervisor::start().map_err(failed("handle signals for"))?;
    let mut feed = Feed::open(&role(arguments)?, &arguments.lines)?;
    let mut delay = DELAY_MIN;
    loop {
        let started = Instant::now();
        let ended = match run_once(arguments, &supervisor, &mut feed)? {
            Ok(ended) => ended,
            Err(status) => return close(Exit::Of(status)),
        };
        let was_asked = supervisor.was_asked_to_end();
        if arguments.restart.is_none() || was_asked || !ended.is_crash(was_asked) {
            return end_as(&ended);
        }
        if started.elapsed() >= DELAY_MAX {
            delay = DELAY_MIN;
        }
        note(Level::INFO, &format!("starts it again in {} s", delay.as_secs_f64()));
        if supervisor.is_asked_to_end_within(delay) {
            return end_as(&ended);
        }
        delay = DELAY_MAX.min(delay * 2);
    }
}

/// The role: what was asked for, else the name of the program if it can be one.
fn role(arguments: &Run) -> Result<String> {
    if let Some(role) = &arguments.lines.role {
        return Ok(role.clone());
    }
    let named = || Path::new(&arguments.program[0]).file_name()?.to_str().filter(|name| is_role(name));
    Ok(lastwords::__private::role_from_env()?.unwrap_or_else(|| named().unwrap_or("worker").to_owned()))
}

/// Runs the program to its end. The inner error is the exit status where it cannot be started.
fn run_once(arguments: &Run, supervisor: &Supervisor, feed: &mut Feed) -> Result<std::result::Result<Ended, u8>> {
    let shown = shown(arguments);
    let started = Instant::now();
    let (mut child, ends) = match supervisor.spawn(&mut command(arguments)) {
        Ok(started) => started,
        Err(error) => {
            let text = format!("cannot run {shown}: {error}");
            note(Level::ERROR, &text);
            say::error(&text);
            return Ok(Err(if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED }));
        }
    };
    let pid = child.id();
    note(Level::INFO, &format!("runs {shown} (pid {pid})"));
    let copy = |to: fn() -> Box<dyn Write>| arguments.lines.tee.then(to);
    let stream = |pipe: Option<OwnedFd>, level, target, tee| {
        let pipe = pipe.ok_or_else(|| io::Error::from(ErrorKind::BrokenPipe));
        pipe.and_then(|pipe| Stream::new(pipe, level, target, tee)).map_err(failed("read the output of"))
    };
    let streams = [
        stream(child.stdout.take().map(Into::into), arguments.lines.level, "stdout", copy(|| Box::new(io::stdout())))?,
        stream(child.stderr.take().map(Into::into), arguments.stderr_level, "stderr", copy(|| Box::new(io::stderr())))?,
    ];
    let said = output::log_all(streams, &ends, feed, supervisor)?;
    let Some((ended, when)) = supervisor.ended() else {
        return Err(failed("wait for")(io::Error::other("its outputs are read, and it has not ended")));
    };
    log_end(&shown, pid, &ended, when - started, &said, supervisor.was_asked_to_end());
    Ok(Ok(ended))
}

fn command(arguments: &Run) -> Command {
    let mut command = Command::new(&arguments.program[0]);
    command.args(&arguments.program[1..]).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A program that logs with lastwords itself, and says nothing of a folder, does so in the same one.
    if let Some(folder) = lastwords::folder() {
        command.env("LASTWORDS_DIR", folder);
    }
    command
}

/// The line about the end, and a crash file if it was a crash.
fn log_end(shown: &str, pid: u32, ended: &Ended, wall: Duration, said: &Said, was_asked: bool) {
    if said.is_held {
        let text = "another process still has an output of the program; what that prints from now on is not logged";
        note(Level::WARNING, text);
    }
    let wall = wall.as_secs_f64();
    let last = match &said.last[..] {
        [] => "it printed nothing".to_owned(),
        last => format!("its last line: {}", escaped(&String::from_utf8_lossy(last))),
    };
    let used = format!("{wall:.3} s; {}", ended.usage);
    let mut text = format!("{shown} (pid {pid}) {ended} after {used}; {last}");
    if ended.is_crash(was_asked) {
        let end = crash::ProgramEnd { pid, program: shown, ended, used: &used, last: &last };
        match crash::keep(&end) {
            Ok(Some(name)) => text += &format!("; its black box is {name}"),
            Ok(None) => {}
            Err(error) => text += &format!("; its black box could not be kept ({error})"),
        }
    }
    note(ended.level(was_asked), &text);
}

/// The program and its arguments on one line, as far as that has room for them.
fn shown(arguments: &Run) -> String {
    let quoted = |word: &OsString| {
        let word = escaped(&word.to_string_lossy());
        if word.is_empty() || word.contains(' ') { format!("{word:?}") } else { word }
    };
    let all = arguments.program.iter().map(quoted).collect::<Vec<String>>().join(" ");
    match all.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &all[..end]),
        None => all,
    }
}

/// Logs a line of this process's own.
fn note(level: Level, text: &str) {
    lastwords::record_bytes(level, "lastwords", format!("lastwords run: {text}").as_bytes());
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { doing, path: "the program".into(), source }
}

fn close(exit: Exit) -> Result<Exit> {
    lastwords::flush()?;
    lastwords::close();
    Ok(exit)
}

/// Ends as the program did, so that whoever started this sees what it would have seen without.
fn end_as(ended: &Ended) -> Result<Exit> {
    let exit = close(Exit::Of(ended.status()))?;
    // To the first process of a container a signal from itself does nothing.
    if let Some(signal) = ended.signal().filter(|_| !getpid().is_init()) {
        // The program has dumped core, if that was to be.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
    Ok(exit)
}
