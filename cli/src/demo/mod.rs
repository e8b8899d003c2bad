//! `lastwords demo`: what is promised, before the user's eyes.
//!
//! A host and three workers log as fast as they can. Then one worker is killed, one segfaults, one calls `_exit`, and
//! the process that flushes is killed too. The demo drains what they left, as any next start would, and checks every
//! line of every file against what each log call had acknowledged on a page of its own.

mod cast;
mod check;
mod death;
mod line;
mod page;
mod place;
mod progress;
mod table;
mod writer;

use crate::cli::Demo;
use crate::exit::Exit;
use crate::say;
use cast::{Cast, PROCESSES};
use lastwords::{Error, Result};
use lastwords_flusher::flusher::{Election, Flusher};
use lastwords_ring::format::text::escaped_path;
use lastwords_ring::place::clock::realtime_ns;
use lastwords_ring::place::folder::Folder;
use place::Place;
use progress::{Progress, grouped};
use std::ffi::OsString;
use std::time::{Duration, Instant};
use table::Table;

pub(crate) use writer::run as run_process;

/// Longest wait for the lock that the killed flusher held.
const ELECTION_MAX: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &Demo, program: &[OsString]) -> Result<Exit> {
    let (progress, since) = (Progress::start(), realtime_ns());
    let rings = u64::from(PROCESSES) * writer::ring_size(arguments.threads);
    let place = Place::choose(arguments, rings)?;
    let folder = &place.folder;
    progress.step(&format!("the files are in {}", folder.path().display()));
    let mut cast = Cast::start(program, arguments, &place, &progress)?;
    let (seconds, threads) = (arguments.seconds, arguments.threads);
    let text = format!("all log as fast as they can for {seconds} s; threads in each process: {threads}");
    progress.step(&text);
    cast.log_for(Duration::from_secs(seconds.into()), &progress)?;
    let ended = death::all(cast, &progress)?;
    progress.step("nobody is left; draining what they left in their rings");
    let drained = drain(folder, since)?;
    progress.step(&format!("{} records drained; reading every line of every file", grouped(drained)));
    place.leave_memory();
    let findings = check::check(folder, &ended)?;
    let table = Table::new(&ended, &findings);
    table.print(&findings, folder);
    let shown = escaped_path(folder.path());
    if arguments.remove && table.success {
        let failed = |source| Error::Io { doing: "remove", path: folder.path().to_owned(), source };
        std::fs::remove_dir_all(folder.path()).map_err(failed)?;
        say::line(format_args!("{shown} is removed"));
    } else {
        say::line(format_args!("rm -r {shown}    removes the files; with --remove they are removed at the end"));
    }
    Ok(if table.success { Exit::Done } else { Exit::Damaged })
}

/// Drains all rings, as the next process to start would. They were written after `since`, so they are no earlier run's.
fn drain(folder: &Folder, since: u64) -> Result<u64> {
    let start = Instant::now();
    loop {
        match Flusher::elect(folder, since)? {
            Election::Won(mut flusher) => return Ok(flusher.drain_once()?.records),
            Election::Lost(holder) if start.elapsed() > ELECTION_MAX => {
                let holder = holder.map_or("nobody".to_owned(), |holder| format!("pid {}", holder.process.pid));
                return Err(Error::FlusherRuns { path: folder.lock_file(), holder });
            }
            Election::Lost(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
