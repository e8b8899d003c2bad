//! What the process does that is started to make a report: limits itself, then answers.
//!
//! A first answer has the names that the tables of symbols give, within the budget of any report; a second one also what debug
//! information says. Reading that builds trees of it and decompresses it, of any size and in any state, and a limit of its memory
//! or time can only be kept by ending the process: then the first answer counts.

use crate::crash::budget::Budget;
use crate::crash::modules::Files;
use crate::crash::read_back;
use crate::crash::report::{Reading, Report};
use crate::crash::request::{Request, answer};
use crate::crash::symbols::Depth;
use crate::crash::told::Told;
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use std::io::{self, Read, Write};

/// Time of the processor that it may take, in seconds.
const CPU_MAX: u64 = 10;
/// Bytes of memory that it may have: for libraries with gigabytes of debug information it is not enough, and they are not read.
const MEMORY_MAX: u64 = 4 << 30;
/// Most bytes of a request: of a crash file's head, with what JSON adds.
const REQUEST_MAX: u64 = 128 << 20;

/// Answers the request in `input`, by up to two lines of which each is better than the one before.
///
/// # Errors
/// If a limit cannot be set, and those of `input` and `output`; and for a request that is none, or about what cannot be read.
pub fn answer_request(input: impl Read, mut output: impl Write) -> io::Result<()> {
    // Nobody waits for the answer any more when who asked has died.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    for (resource, max) in
        [(Resource::Cpu, CPU_MAX), (Resource::As, MEMORY_MAX), (Resource::Fsize, 0), (Resource::Core, 0)]
    {
        let max = Some(max);
        setrlimit(resource, Rlimit { current: max, maximum: max })?;
    }
    let mut text = String::new();
    input.take(REQUEST_MAX).read_to_string(&mut text)?;
    let request = Request::parse(&text).ok_or_else(|| io::Error::other("expected a request of the flusher"))?;
    let mut say = |told: Option<&Told>| output.write_all(answer(told).as_bytes()).and_then(|()| output.flush());
    let (found, files) = match &request {
        Request::Death(dead) => {
            let reading = Reading { files: dead.files(), budget: Budget::default() };
            (dead.report(&reading)?, reading.files)
        }
        Request::CrashFile(text) => (Some(looked_up(text)?), Files::Opened),
    };
    let Some(mut report) = found else { return say(None) };
    say(Some(&Told::of(&report)))?;
    if files == Files::Opened {
        report.add_lines();
        if matches!(request, Request::Death(_)) && report.signal.number == 0 {
            // The names may be known only now.
            report.begin_at_panic();
        }
        say(Some(&Told::of(&report)))?;
    }
    Ok(())
}

/// The report of a crash file, with the names that the files give which are there now.
fn looked_up(crash_file: &str) -> io::Result<Report> {
    let (mut report, _) = read_back::report_in(crash_file).ok_or_else(|| io::Error::other("expected a crash file"))?;
    // What went wrong then is tried again.
    report.notes.clear();
    report.look_up(Depth::Names, &Budget::default());
    Ok(report)
}
