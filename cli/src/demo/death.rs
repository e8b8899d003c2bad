//! How the processes die: one is killed, one crashes, one exits without closing its log, and then the flusher is killed.
//!
//! The demo is to show records that were in no file when their process died. A living flusher leaves few of them: it has
//! emptied the ring of a dead process before it checks, twice a second, whether the process lives, and the count in the death
//! line begins with that check. So the flusher is stopped by SIGSTOP, in the middle of its work, while the workers die, and is
//! killed without having run again. The next drain finds four dead rings, and takes from them exactly what had not reached a
//! file.
//!
//! No line is lost meanwhile: threads wait while their lane is more than half full, and a last spurt fits above that. It is
//! also why the flusher is the last to die: before its end no living process lacks a flusher.

use super::cast::{Cast, Member};
use super::progress::{Progress, grouped};
use crate::cli::How;
use lastwords::{Error, Result};
use lastwords_flusher::recover::recovery::Recovery;
use lastwords_ring::place::folder::Folder;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Lines of a spurt after which the process is killed or stopped, in the middle of the others.
const LINES_BEFORE: u64 = 200;
/// Tries to stop the flusher at a moment when its own ring holds something.
const TRIES: u32 = 100;

/// A process that has ended, and what it was promised.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) index: u32,
    pub(crate) role: &'static str,
    pub(crate) pid: u32,
    /// How it ended, in the words of the table.
    pub(crate) ending: &'static str,
    /// The last line of each thread whose log call returned.
    pub(crate) acknowledged: Vec<u64>,
}

/// Ends all processes, the flusher last.
pub(crate) fn all(mut cast: Cast, progress: &Progress) -> Result<Vec<Ended>> {
    let nobody = || cast.error("go on with the demo in", io::Error::other("none of its processes is the flusher"));
    let flusher = cast.elected().ok_or_else(nobody)?;
    let waiting = stop(&cast.folder, &mut cast.members[flusher])?;
    progress.step(&format!(
        "{} is stopped (SIGSTOP) so that nothing is drained: {} of its records are in no file yet",
        cast.members[flusher].name(),
        grouped(waiting)
    ));
    let mut ended = Vec::new();
    for number in (0..cast.members.len()).filter(|number| *number != flusher) {
        let ending = die(&mut cast.members[number]).map_err(|error| cast.error("go on with the demo in", error))?;
        progress.step(&format!("{}: {ending} while it logs", cast.members[number].name()));
        ended.push(Ended::of(&cast.members[number], ending));
    }
    let status = cast.members[flusher].kill().map_err(|error| cast.error("go on with the demo in", error))?;
    expect(&cast.members[flusher], status, How::Run).map_err(|error| cast.error("go on with the demo in", error))?;
    progress.step(&format!("{}: SIGKILL, in the middle of flushing", cast.members[flusher].name()));
    ended.push(Ended::of(&cast.members[flusher], "SIGKILL, the flusher"));
    ended.sort_by_key(|process| process.index);
    Ok(ended)
}

impl Ended {
    fn of(member: &Member, ending: &'static str) -> Ended {
        let acknowledged = member.page.acknowledged().collect();
        Ended { index: member.index, role: member.role, pid: member.pid(), ending, acknowledged }
    }
}

/// Stops the flusher while it logs flat out itself, and returns how many of its records are in no file, at least one.
fn stop(folder: &Folder, flusher: &mut Member) -> Result<u64> {
    let failed = |source| Error::Io { doing: "stop the flusher of", path: folder.path().to_owned(), source };
    for _ in 0..TRIES {
        flusher.spurt(LINES_BEFORE).map_err(failed)?;
        flusher.stop().map_err(failed)?;
        let waiting = waiting(folder, flusher.pid())?;
        if waiting > 0 {
            return Ok(waiting);
        }
        flusher.go_on().map_err(failed)?;
    }
    Err(failed(io::Error::other(format!("its ring was empty at each of {TRIES} tries"))))
}

/// Records of a process that neither a log file nor the journal has.
fn waiting(folder: &Folder, pid: u32) -> Result<u64> {
    let mut recovery = Recovery::default();
    recovery.add_folder(folder)?;
    recovery.for_each::<Error>(|_| Ok(0))?;
    Ok(recovery.reports().filter(|ring| ring.pid == pid).map(|ring| ring.records).sum())
}

/// Ends a worker in its own way in the middle of a spurt. Returns how, in the words of the table.
fn die(member: &mut Member) -> io::Result<&'static str> {
    member.spurt(LINES_BEFORE)?;
    let status = if member.how == How::Run { member.kill()? } else { member.wait_for_end()? };
    expect(member, status, member.how)
}

/// Makes sure that a process ended as it should have.
fn expect(member: &Member, status: ExitStatus, how: How) -> io::Result<&'static str> {
    let (as_expected, words) = match how {
        How::Run => (status.signal() == Some(libc::SIGKILL), "SIGKILL"),
        How::Segv => (status.signal() == Some(libc::SIGSEGV), "segfault"),
        How::Exit => (status.code() == Some(0), "_exit"),
    };
    let unexpected = || io::Error::other(format!("{}: {status} found, expected {words}", member.name()));
    if as_expected { Ok(words) } else { Err(unexpected()) }
}
