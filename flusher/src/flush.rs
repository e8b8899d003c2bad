//! `lastwords flush`.

use crate::cli::Flush;
use crate::exit::Exit;
use lastwords::access::Access;
use lastwords::clock::realtime_ns;
use lastwords::doorbell::Doorbell;
use lastwords::flush::flusher::{Election, Flusher};
use lastwords::folder::Folder;
use lastwords::holder::Holder;
use lastwords::{Error, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fmt;
use std::io::{self, Write};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Time between two tries to become the flusher.
const TRY_AGAIN: Duration = Duration::from_millis(500);

pub(crate) fn run(arguments: &Flush) -> Result<Exit> {
    let folder = arguments.logs.open()?;
    let asked = Asked::by(arguments, &folder)?;
    if arguments.once { once(&folder, &asked) } else { daemon(&folder, &asked) }
}

/// What this flusher is asked for, whatever the processes ask for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    durable: Option<Duration>,
    access: Option<Access>,
}

impl Asked {
    fn by(arguments: &Flush, folder: &Folder) -> Result<Asked> {
        let durable = arguments.durable.map(|ms| Duration::from_millis(ms.into()));
        let Flush { file_mode, file_group, .. } = arguments;
        if file_mode.is_none() && file_group.is_none() {
            return Ok(Asked { durable, access: None });
        }
        let access = Access::new(*file_mode, file_group.as_deref())?;
        folder.check_access(access)?;
        Ok(Asked { durable, access: Some(access) })
    }

    fn tell(&self, flusher: &mut Flusher) {
        self.durable.into_iter().for_each(|every| flusher.set_durable(every));
        self.access.into_iter().for_each(|access| flusher.set_access(access));
    }
}

/// Drains what is there.
pub(crate) fn once(folder: &Folder, asked: &Asked) -> Result<Exit> {
    match Flusher::elect(folder, realtime_ns())? {
        Election::Lost(holder) => Err(held(folder, holder)),
        Election::Won(mut flusher) => {
            asked.tell(&mut flusher);
            let done = flusher.drain_once()?;
            say(format_args!("{} records drained, {} rings of ended processes removed", done.records, done.removed));
            Ok(if done.records + done.removed > 0 { Exit::Done } else { Exit::Nothing })
        }
    }
}

fn held(folder: &Folder, holder: Option<Holder>) -> Error {
    let holder = holder.map_or("it does not say who".to_owned(), |holder| format!("pid {}", holder.process.pid));
    Error::FlusherRuns { path: folder.lock_file(), holder }
}

fn daemon(folder: &Folder, asked: &Asked) -> Result<Exit> {
    let stop = stop_on_signals(folder)?;
    let (mut said, mut began) = (false, false);
    while !stop.load(Ordering::Relaxed) {
        match Flusher::elect(folder, realtime_ns()) {
            Ok(Election::Won(mut flusher)) => {
                say(format_args!("flushing {} (pid {})", folder.path().display(), std::process::id()));
                began = true;
                asked.tell(&mut flusher);
                flusher.run(|| stop.load(Ordering::Relaxed));
                continue;
            }
            Ok(Election::Lost(holder)) if !said => say(format_args!("standing by: {}", held(folder, holder))),
            Ok(Election::Lost(_)) => {}
            // Whoever starts a daemon is told what is wrong; one that runs goes on when the error is over.
            Err(error) if !began => return Err(error),
            Err(error) if !said => say(format_args!("{error}; this is tried again")),
            Err(_) => {}
        }
        said = true;
        std::thread::sleep(TRY_AGAIN);
    }
    Ok(Exit::Done)
}

/// Says something on standard error, which may be a file on a full disk: that is no reason to end.
fn say(text: fmt::Arguments<'_>) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// The flag that a signal sets; the signal also rings the doorbell, which ends a sleep.
fn stop_on_signals(folder: &Folder) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let failed = |source| Error::Io { doing: "handle signals for", path: folder.path().to_owned(), source };
    let doorbell = Doorbell::open(folder)?;
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
        let descriptor = doorbell.descriptor().map_err(failed)?.into_raw_fd();
        signal_hook::low_level::pipe::register_raw(signal, descriptor).map_err(failed)?;
    }
    Ok(stop)
}
