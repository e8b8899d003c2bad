//! Debug information is read in a process of its own.
//!
//! The files are those of a program that has just crashed, of any size and in any state, and what reads them builds trees of them
//! and decompresses them. A limit of its memory or time can only be kept by ending it. So the tool starts itself once more for
//! that (`lastwords symbolise`, hidden); a program that embeds the flusher cannot be started in this way, and forking a process
//! with threads leaves a child that may not even allocate. Such a flusher names functions by the tables of symbols, and
//! `lastwords crashes --symbolise` adds the rest later.
//!
//! The questions come on standard input, a file in memory, so that nobody waits for somebody to read them; each answer is a line
//! on standard output, so that those before an untimely end count.

use crate::crash::frame::Symbol;
use crate::crash::loaded::Module;
use crate::crash::symbol_json::{members, symbol};
use crate::crash::symbols::{Depth, Question, look_up_in};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time of the processor that the process may take, in seconds.
const CPU_MAX: u64 = 10;
/// Bytes of memory that it may have: for libraries with gigabytes of debug information it is not enough, and they are not read.
const MEMORY_MAX: u64 = 4 << 30;
/// How long its answers are waited for.
const WAIT: Duration = Duration::from_secs(15);
/// Most bytes of its answers.
const ANSWERS_MAX: usize = 16 << 20;
/// Most bytes of the questions.
const QUESTIONS_MAX: u64 = 16 << 20;

/// The tool's command that is this process.
pub const COMMAND: &str = "symbolise";

/// How to start the process.
#[derive(Debug, Clone)]
pub struct Worker {
    program: OsString,
    arguments: Vec<OsString>,
}

impl Worker {
    /// A program that calls [`answer`] when it is started with these arguments and [`COMMAND`] behind them.
    #[must_use]
    pub fn new(program: &OsStr, first: &[OsString]) -> Worker {
        let arguments = first.iter().cloned().chain([COMMAND.into()]).collect();
        Worker { program: program.to_owned(), arguments }
    }

    /// Fills in the answers, as far as they come.
    ///
    /// # Errors
    /// Why not all of them came.
    pub(crate) fn ask(
        &self,
        questions: &[Question],
        answers: &mut [Option<Vec<Option<Symbol>>>],
    ) -> Result<(), String> {
        if questions.is_empty() {
            return Ok(());
        }
        let mut child = self.start(questions).map_err(|error| format!("debug information is not read: {error}"))?;
        let text = read_all(&mut child, Instant::now() + WAIT);
        // It has nothing more to say, or is not listened to any more.
        let _ = child.kill();
        let ended = child.wait();
        let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        let mut came = 0;
        for ((line, question), answer) in lines.zip(questions).zip(answers) {
            *answer = symbols(line, question.offsets.len());
            came += usize::from(answer.is_some());
        }
        if came == questions.len() {
            return Ok(());
        }
        let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        Err(format!("debug information of {} of {} files is not read: {how}", questions.len() - came, questions.len()))
    }

    fn start(&self, questions: &[Question]) -> io::Result<Child> {
        let mut input = File::from(rustix::fs::memfd_create("lastwords", MemfdFlags::CLOEXEC)?);
        for question in questions {
            writeln!(input, "{}", object(question))?;
        }
        input.rewind()?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::from(input)).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn()
    }
}

/// Everything that the child says until it ends, at most so much and so long.
fn read_all(child: &mut Child, deadline: Instant) -> Vec<u8> {
    let (mut text, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    let Some(mut from) = child.stdout.take() else { return text };
    while text.len() < ANSWERS_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(left) = Timespec::try_from(left) else { break };
        match poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) | Ok(0) => break,
            Ok(_) => {}
        }
        match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) | Ok(0) => break,
            Ok(length) => text.extend_from_slice(&buffer[..length]),
        }
    }
    text
}

/// What the started process does: limits itself, then answers the questions of `input`, each by a line.
///
/// # Errors
/// If a limit cannot be set, and those of `input` and `output`.
pub fn answer(input: impl Read, mut output: impl Write) -> io::Result<()> {
    for (resource, max) in
        [(Resource::Cpu, CPU_MAX), (Resource::As, MEMORY_MAX), (Resource::Fsize, 0), (Resource::Core, 0)]
    {
        let max = Some(max);
        setrlimit(resource, Rlimit { current: max, maximum: max })?;
    }
    let mut text = String::new();
    input.take(QUESTIONS_MAX).read_to_string(&mut text)?;
    for line in text.lines() {
        let Some(Question { module, offsets }) = question(line) else {
            return Err(io::Error::other("expected a question of the flusher"));
        };
        let found = look_up_in(&module, &offsets, Depth::Lines);
        let found: Vec<Value> = found
            .iter()
            .map(|found| found.as_ref().map_or(Value::Null, |found| Value::Object(members(found))))
            .collect();
        writeln!(output, "{}", Value::Array(found))?;
        output.flush()?;
    }
    Ok(())
}

fn symbols(line: &[u8], count: usize) -> Option<Vec<Option<Symbol>>> {
    let found: Value = serde_json::from_slice(line).ok()?;
    let found: Vec<Option<Symbol>> = found.as_array()?.iter().map(symbol).collect();
    (found.len() == count).then_some(found)
}

fn object(Question { module, offsets }: &Question) -> Value {
    let Module { path, base, build_id, device, inode, .. } = module;
    json!({ "path": path, "base": base, "build_id": build_id, "device": device, "inode": inode, "offsets": offsets })
}

fn question(line: &str) -> Option<Question> {
    let found: Value = serde_json::from_str(line).ok()?;
    let numbers = |name: &str| found[name].as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>();
    let bytes =
        |name: &str| numbers(name)?.into_iter().map(|byte| u8::try_from(byte).ok()).collect::<Option<Vec<u8>>>();
    let module = Module {
        path: bytes("path")?,
        base: found["base"].as_u64()?,
        build_id: bytes("build_id")?,
        device: found["device"].as_u64()?,
        inode: found["inode"].as_u64()?,
        ..Module::default()
    };
    Some(Question { module, offsets: numbers("offsets")? })
}
