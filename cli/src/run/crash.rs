//! The crash file of a program that does not log by itself.

use crate::run::end::Ended;
use lastwords::{Error, Result};
use lastwords_flusher::recover::crash_file::{self, ProgramCrash};
use lastwords_flusher::recover::crash_name::CrashName;
use lastwords_flusher::recover::status::RingStatus;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::open;
use std::io;
use std::path::PathBuf;

/// How a program ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProgramEnd<'a> {
    pub(crate) pid: u32,
    pub(crate) program: &'a str,
    pub(crate) ended: &'a Ended,
    /// Time and memory, in words.
    pub(crate) used: &'a str,
    pub(crate) last: &'a str,
}

/// Keeps what this process's ring holds of the program's output, with its end, and returns the name of the file. None where no
/// crash files are to be kept, or the program logs with lastwords itself, so that the flusher keeps its ring.
pub(crate) fn keep(end: &ProgramEnd<'_>) -> Result<Option<String>> {
    let missing =
        || Error::Io { doing: "find", path: PathBuf::from("the log folder"), source: io::ErrorKind::NotFound.into() };
    let folder = Folder::open(&lastwords::folder().ok_or_else(missing)?)?.with_noted_rings()?;
    let mut own = None;
    for name in folder.ring_names()? {
        // One that cannot be read, or is gone, is neither.
        match RingStatus::of(&folder, &name) {
            Ok(Some(ring)) if ring.pid == end.pid => return Ok(None),
            Ok(Some(ring)) if ring.pid == std::process::id() => own = Some(name),
            _ => {}
        }
    }
    let list = |source| Error::Io { doing: "list", path: folder.path().to_owned(), source };
    let names = open::list(folder.path()).map_err(list)?;
    let is_of_it = |name: CrashName| name.pid == end.pid;
    if names.iter().filter_map(|name| CrashName::parse(name.to_str()?)).any(is_of_it) {
        return Ok(None);
    }
    let Some(own) = own else { return Ok(None) };
    let ProgramEnd { pid, program, ended, used, last } = end;
    let ending = format!("{ended}, as seen by lastwords run, pid {}", std::process::id());
    let head = vec![
        ("program", (*program).to_owned()),
        ("wait status", ended.to_string()),
        ("took", (*used).to_owned()),
        ("output", (*last).to_owned()),
    ];
    crash_file::write_of_program(&folder, &own, ProgramCrash { pid: *pid, ending, head })
}
