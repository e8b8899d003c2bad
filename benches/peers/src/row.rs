//! One measurement in a process of its own: the program starts itself with `--row`, and the child answers by numbers on
//! standard output.

use crate::crates;
use crate::kill::{self, Kill};
use crate::latency::{self, Latency};
use crate::lines::Found;
use crate::probe;
use crate::quill::{self, Harness};
use crate::scratch::Scratch;
use crate::throughput;
use rustix::process::{Signal, set_parent_process_death_signal};
use std::fs::File;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A row that takes longer hangs.
const ROW_MAX: Duration = Duration::from_secs(300);

/// Starts rows; knows where their files go.
#[derive(Debug)]
pub(crate) struct Rows {
    program: PathBuf,
    base: PathBuf,
    /// Where its row is wanted: the program of that row, or why there is none.
    quill: Option<std::result::Result<Harness, String>>,
}

impl Rows {
    pub(crate) fn new(base: &Path, quill: Option<std::result::Result<Harness, String>>) -> Result<Rows> {
        Ok(Rows { program: std::env::current_exe()?, base: base.to_owned(), quill })
    }

    /// Why nothing of this row can be measured.
    pub(crate) fn left_out(&self, name: &str) -> Option<&str> {
        self.quill.as_ref().filter(|_| name == quill::NAME)?.as_ref().err().map(String::as_str)
    }

    /// The version that the harness of quill was compiled with.
    pub(crate) fn quill_version(&self) -> Option<&str> {
        self.quill.as_ref()?.as_ref().ok().map(Harness::version)
    }

    /// Starts this row's program; the workload and its arguments are to follow.
    fn command(&self, name: &str) -> Command {
        match &self.quill {
            Some(Ok(harness)) if name == quill::NAME => harness.command(),
            _ => {
                let mut command = Command::new(&self.program);
                command.args(["--row", name]);
                command
            }
        }
    }

    /// Latencies of the two messages.
    pub(crate) fn latency(&self, name: &str, bursts: u64) -> Result<[Latency; 2]> {
        let scratch = Scratch::new(&self.base)?;
        let numbers = self.run(&scratch, name, &["latency", &bursts.to_string()])?;
        let numbers = <[f64; 2 * Latency::NUMBERS]>::try_from(numbers).map_err(|_| Error::other("no ten numbers"))?;
        let (text, frame) = numbers.split_at(Latency::NUMBERS);
        let half = |part: &[f64]| Latency::from_numbers(part.try_into().expect("one half"));
        Ok([half(text), half(frame)])
    }

    /// Seconds until `lines` lines were in the files, in which each of them is then found exactly once.
    pub(crate) fn throughput(&self, name: &str, threads: u64, lines: u64) -> Result<f64> {
        let scratch = Scratch::new(&self.base)?;
        let numbers = self.run(&scratch, name, &["throughput", &threads.to_string(), &lines.to_string()])?;
        let found = Found::read(scratch.log_folder())?;
        if found.below(lines) != lines || found.torn + found.doubled > 0 {
            let (there, torn, doubled) = (found.below(lines), found.torn, found.doubled);
            return Err(Error::other(format!("{there} of {lines} lines found, {torn} torn, {doubled} doubled")));
        }
        numbers.first().copied().ok_or_else(|| Error::other("no seconds"))
    }

    /// What a SIGKILL cost.
    pub(crate) fn kill(&self, name: &str, random: u64) -> Result<Kill> {
        let command = |folder: &Path, page: &Path| {
            let mut command = self.command(name);
            command.arg("kill").args([page, folder]).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        kill::kill(name, &self.base, command, random)
    }

    /// Runs a row to its end. What it prints goes to files, so that no full pipe can stop it.
    fn run(&self, scratch: &Scratch, name: &str, arguments: &[&str]) -> Result<Vec<f64>> {
        let (answer, complaints) = (scratch.path().join("stdout"), scratch.path().join("stderr"));
        let mut command = self.command(name);
        command.args(arguments).arg(scratch.log_folder());
        command.stdout(File::create(&answer)?).stderr(File::create(&complaints)?);
        let status = wait(command.spawn()?)?;
        if !status.success() {
            let text = std::fs::read_to_string(&complaints)?;
            return Err(Error::other(format!("{status}: {}", text.trim().replace('\n', " / "))));
        }
        let text = std::fs::read_to_string(&answer)?;
        let last = text.lines().last().unwrap_or_default();
        last.split_whitespace()
            .map(|word| word.parse().map_err(|_| Error::other(format!("no number: {word}"))))
            .collect()
    }
}

fn wait(mut child: Child) -> Result<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > ROW_MAX {
            child.kill()?;
            child.wait()?;
            return Err(Error::other(format!("hung: not done after {} s", ROW_MAX.as_secs())));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The child's part: what follows `--row`.
pub(crate) fn answer(arguments: &[String]) {
    // A child that is there to be killed would fill the disk if its parent were gone first.
    set_parent_process_death_signal(Some(Signal::KILL)).expect("a signal of this system");
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    match words.as_slice() {
        [name, "latency", bursts, folder] => {
            let (folder, bursts) = (Path::new(folder), number(bursts));
            let both = if *name == probe::NAME {
                probe::measure(folder, bursts)
            } else {
                crates::with(name, latency::Measure { folder, bursts }).expect("a known name")
            };
            let numbers: Vec<String> = both.iter().flat_map(|part| part.numbers()).map(|n| n.to_string()).collect();
            println!("{}", numbers.join(" "));
        }
        [name, "throughput", threads, lines, folder] => {
            let (folder, threads, lines) = (Path::new(folder), number(threads), number(lines));
            let seconds = crates::with(name, throughput::Measure { folder, threads, lines }).expect("a known name");
            println!("{seconds}");
        }
        [name, "kill", page, folder] => {
            let victim = kill::Victim { folder: Path::new(folder), page: Path::new(page) };
            crates::with(name, victim).expect("a known name");
        }
        other => panic!("no row {other:?}"),
    }
}
