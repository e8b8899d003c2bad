//! `lastwords flush`.

use crate::cli::{DURABLE_MAX, Flush, octal};
use crate::exit::Exit;
use crate::place::variable;
use crate::say;
use lastwords::{Error, Result};
use lastwords_flusher::crash::teller::Teller;
use lastwords_flusher::flusher::{Election, Flusher};
use lastwords_flusher::render::amount::counted;
use lastwords_ring::format::text::escaped_path;
use lastwords_ring::place::access::Access;
use lastwords_ring::place::become_owner::become_owner_of;
use lastwords_ring::place::clock::realtime_ns;
use lastwords_ring::place::doorbell::Doorbell;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::Holder;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::IntoRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Time between two tries to become the flusher.
const TRY_AGAIN: Duration = Duration::from_millis(500);

pub(crate) fn run(arguments: &Flush, program: &[OsString]) -> Result<Exit> {
    if !arguments.once {
        return daemon(arguments, program);
    }
    let path = arguments.logs.path()?;
    match arguments.logs.open() {
        Ok(folder) if folder.is_used() => once(&folder, &Asked::by(arguments, &folder)?, program),
        Err(error) if !is_to_come(&error, &path) => Err(error),
        Err(error) if path.exists() => {
            say::note(format_args!("nothing to drain: {error}"));
            Ok(Exit::Nothing)
        }
        Ok(_) | Err(_) => {
            say::note(format_args!("nothing has logged to {} yet", escaped_path(&path)));
            Ok(Exit::Nothing)
        }
    }
}

/// Whether a folder that cannot be opened may only not be there yet, itself, its rings, or what a link to it leads to.
fn is_to_come(error: &Error, path: &Path) -> bool {
    error.is_not_found() || matches!(error, Error::Folder { .. }) && !path.exists()
}

/// The option, else the variable.
fn durable(arguments: &Flush) -> Result<Option<Duration>> {
    const VARIABLE: &str = "LASTWORDS_DURABLE";
    let given = match (arguments.durable, variable(VARIABLE)) {
        (Some(ms), _) => Some(ms),
        (None, None) => None,
        (None, Some(text)) => {
            let ms = text.to_str().and_then(|text| text.parse().ok()).filter(|ms| u64::from(*ms) <= DURABLE_MAX);
            let why = || format!("{text:?} found, expected milliseconds, {DURABLE_MAX} at most");
            Some(ms.ok_or_else(|| Error::Setting { name: VARIABLE.into(), why: why() })?)
        }
    };
    Ok(given.map(|ms| Duration::from_millis(ms.into())))
}

/// The options, else the variables.
fn access(arguments: &Flush) -> Result<Option<Access>> {
    const MODE: &str = "LASTWORDS_FILE_MODE";
    const GROUP: &str = "LASTWORDS_FILE_GROUP";
    let text = |name: &'static str| variable(name).map(|text| text.to_string_lossy().into_owned());
    let (mode, group) =
        (text(MODE).filter(|_| arguments.file_mode.is_none()), text(GROUP).filter(|_| arguments.file_group.is_none()));
    // Errors in a variable name the variable.
    let of = |name: &'static str, error: Error| match error {
        Error::Setting { why, .. } => Error::Setting { name: name.into(), why },
        error => error,
    };
    let octal = mode.as_deref().map(octal).transpose();
    let octal = octal.map_err(|why| Error::Setting {
        name: MODE.into(),
        why: format!("{:?} found, {why}", mode.as_deref().unwrap_or_default()),
    })?;
    if octal.is_some() {
        Access::new(octal, None).map_err(|error| of(MODE, error))?;
    }
    if group.is_some() {
        Access::new(None, group.as_deref()).map_err(|error| of(GROUP, error))?;
    }
    let (mode, group) = (arguments.file_mode.or(octal), arguments.file_group.clone().or(group));
    if mode.is_none() && group.is_none() {
        return Ok(None);
    }
    Access::new(mode, group.as_deref()).map(Some)
}

/// The settings of this flusher, which override those of the processes.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    durable: Option<Duration>,
    access: Option<Access>,
}

impl Asked {
    fn by(arguments: &Flush, folder: &Folder) -> Result<Asked> {
        let durable = durable(arguments)?;
        let asked = access(arguments)?;
        asked.map_or(Ok(()), |access| folder.check_access(access))?;
        Ok(Asked { durable, access: asked })
    }

    /// `program` is how the tool is started again.
    fn tell(&self, flusher: &mut Flusher, program: &[OsString]) {
        flusher.set_teller(Teller::with(program.to_vec()));
        self.durable.into_iter().for_each(|every| flusher.set_durable(every));
        self.access.into_iter().for_each(|access| flusher.set_access(access));
    }
}

/// Drains what is there.
pub(crate) fn once(folder: &Folder, asked: &Asked, program: &[OsString]) -> Result<Exit> {
    match Flusher::elect(folder, realtime_ns())? {
        Election::Lost(holder) => Err(held(folder, holder)),
        Election::Won(mut flusher) => {
            asked.tell(&mut flusher, program);
            let done = flusher.drain_once()?;
            let (records, rings) = (counted(done.records, "record"), counted(done.removed, "ring"));
            say::note(format_args!("{records} drained, {rings} of ended processes removed"));
            Ok(if done.records + done.removed > 0 { Exit::Done } else { Exit::Nothing })
        }
    }
}

fn held(folder: &Folder, holder: Option<Holder>) -> Error {
    let holder = holder.map_or("it does not say who".to_owned(), |holder| format!("pid {}", holder.process.pid));
    Error::FlusherRuns { path: folder.lock_file(), holder }
}

/// The folder, once a process has logged to it: the flusher does not create it, because its creator is its owner. None if the
/// wait was ended.
fn awaited(arguments: &Flush, stop: &AtomicBool) -> Result<Option<Folder>> {
    let path = arguments.logs.path()?;
    let mut reported = false;
    while !stop.load(Ordering::Relaxed) {
        // A folder that was created since may belong to another user, and no thread runs yet.
        become_owner_of(std::slice::from_ref(&path))?;
        match arguments.logs.open() {
            Ok(folder) if folder.is_used() => return Ok(Some(folder)),
            Err(error) if !is_to_come(&error, &path) => return Err(error),
            Ok(_) | Err(_) if !reported => {
                say::note(format_args!("waiting for the first process that logs to {}", escaped_path(&path)))
            }
            Ok(_) | Err(_) => {}
        }
        reported = true;
        std::thread::sleep(TRY_AGAIN);
    }
    Ok(None)
}

fn daemon(arguments: &Flush, program: &[OsString]) -> Result<Exit> {
    // Wrong settings are reported at once, before there is a folder.
    durable(arguments)?;
    access(arguments)?;
    let stop = stop_on_signals(&arguments.logs.path()?)?;
    let Some(folder) = awaited(arguments, &stop)? else { return Ok(Exit::Done) };
    let asked = Asked::by(arguments, &folder)?;
    ring_on_signals(&folder)?;
    let (mut reported, mut began) = (false, false);
    while !stop.load(Ordering::Relaxed) {
        match Flusher::elect(&folder, realtime_ns()) {
            Ok(Election::Won(mut flusher)) => {
                say::note(format_args!("flushing {} (pid {})", escaped_path(folder.path()), std::process::id()));
                began = true;
                asked.tell(&mut flusher, program);
                flusher.run(|| stop.load(Ordering::Relaxed));
                continue;
            }
            Ok(Election::Lost(holder)) if !reported => {
                say::note(format_args!("standing by: {}", held(&folder, holder)))
            }
            Ok(Election::Lost(_)) => {}
            // A daemon that starts exits with the error; one that runs goes on when the error is over.
            Err(error) if !began => return Err(error),
            Err(error) if !reported => say::note(format_args!("{error}; this is tried again")),
            Err(_) => {}
        }
        reported = true;
        std::thread::sleep(TRY_AGAIN);
    }
    Ok(Exit::Done)
}

/// The signals that end the daemon. A hang-up is one where there is a terminal that can hang up; a daemon has none, and gets it
/// as a request to reopen its files, which the flusher checks anyway.
fn ending_signals() -> Vec<i32> {
    let has_terminal = File::open("/dev/tty").is_ok();
    [SIGTERM, SIGINT].into_iter().chain(has_terminal.then_some(SIGHUP)).collect()
}

/// The flag that a signal sets.
fn stop_on_signals(path: &Path) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let failed = |source| Error::Io { doing: "handle signals for", path: path.to_owned(), source };
    let ending = ending_signals();
    for signal in &ending {
        signal_hook::flag::register(*signal, Arc::clone(&stop)).map_err(failed)?;
    }
    if !ending.contains(&SIGHUP) {
        // A handler that changes nothing: without one it would end the process.
        signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false))).map_err(failed)?;
    }
    Ok(stop)
}

/// Has the signals ring the doorbell as well, which ends a sleep.
fn ring_on_signals(folder: &Folder) -> Result<()> {
    let failed = |source| Error::Io { doing: "handle signals for", path: folder.path().to_owned(), source };
    let doorbell = Doorbell::open(folder)?;
    for signal in ending_signals() {
        let descriptor = doorbell.descriptor().map_err(failed)?.into_raw_fd();
        signal_hook::low_level::pipe::register_raw(signal, descriptor).map_err(failed)?;
    }
    Ok(())
}
