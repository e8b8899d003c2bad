//! The loggers of this process: created, changed, and closed.

use crate::config::builder::Builder;
use crate::logger::bytes::record_bytes_at;
use crate::logger::flush_wait::FLUSH_MAX;
use crate::logger::ring_logger::Logger;
use crate::process::logger_cell::{LoggerCell, MAIN, MAKING_MAX, cells, own_loggers};
#[cfg(feature = "flusher")]
use crate::process::{console_thread, flusher_thread};
use crate::process::{ends, filter_changes};
use crate::sys::{fatal, signals};
use crossbeam_utils::Backoff;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::layout::closed;
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::open;
use lastwords_ring::place::stderr::complain;
use lastwords_ring::sys::{guard, process_page};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The process's own logger.
#[inline]
pub(crate) fn current() -> Option<&'static Logger> {
    MAIN.logger()
}

/// Counts a record of the process's own logger, see [`LoggerCell::miss`].
#[cold]
pub(crate) fn miss(level: Level, target: &str) {
    MAIN.miss(level, target);
}

/// Creates the process's own logger. False if it has one with these very settings already, which another thread may be
/// creating. `last` is the step that cannot be undone, and `filter_changed` is called with the logger whenever its filter
/// changes.
pub(crate) fn init(
    builder: Builder,
    last: impl Fn() -> Result<()>,
    filter_changed: fn(&'static Logger),
) -> Result<bool> {
    let (start, backoff) = (Instant::now(), Backoff::new());
    loop {
        if let Some(logger) = MAIN.made_here() {
            let refused =
                if mutant::is(Mutant::SecondInitIgnored) { Ok(()) } else { builder.refuse_second(logger.builder()) };
            return refused.map(|()| false);
        }
        filter_changes::call(filter_changed);
        match init_first(builder.clone(), &last) {
            Err(Error::Initialising) if start.elapsed() < MAKING_MAX => backoff.snooze(),
            done => return done.map(|()| true),
        }
    }
}

fn init_first(builder: Builder, last: impl FnOnce() -> Result<()>) -> Result<()> {
    let _changing = Changing::begin();
    fill(&MAIN, builder, last)?;
    if let Some(logger) = MAIN.made_here()
        && let Some(warning) = logger.filter.current().directives.names_role(&logger.builder().role)
    {
        complain(format_args!("{warning}"));
    }
    Ok(())
}

/// Creates a further logger, or finds the one of the same folder and role.
pub(crate) fn open(builder: Builder) -> Result<&'static LoggerCell> {
    let _changing = Changing::begin();
    let path = builder.folder_path();
    let is_same = |cell: &&'static LoggerCell| {
        let has_role = cell.builder().is_some_and(|known| known.role == builder.role);
        has_role && cell.folder().is_some_and(|folder| folder.is_at(&path))
    };
    if let Some(cell) = cells().find(is_same) {
        cell.open_again();
        return Ok(cell);
    }
    let cell: &'static LoggerCell = Box::leak(Box::new(LoggerCell::new()));
    fill(cell, builder, || Ok(()))?;
    Ok(cell)
}

/// Creates the logger of a cell that has none. On failure no folder stays held; loggers are created and closed by one thread at
/// a time, so no other logger's is among those held since.
fn fill(cell: &'static LoggerCell, builder: Builder, last: impl FnOnce() -> Result<()>) -> Result<()> {
    #[cfg(feature = "flusher")]
    if builder.flushes() {
        lastwords_flusher::flusher::refuse_file_size_limit()?;
    }
    ends::watch();
    let before = open::held_folders();
    cell.fill(builder, last, start).inspect_err(|_| open::release_others(&before))
}

/// So many loggers of a process most likely log something.
#[cfg(feature = "flusher")]
const FEW: usize = 4;

/// Starts the threads of a new logger, and writes its first line to the log.
fn start(logger: &'static Logger) {
    #[cfg(feature = "flusher")]
    {
        if logger.builder().flushes() && cells().filter_map(LoggerCell::made_here).count() <= FEW {
            logger.leave_first_lane();
        }
        flusher_thread::start_for(logger);
        let (console, all_levels) = logger.builder().console_shows();
        if console {
            console_thread::start(logger, all_levels);
        }
    }
    if let Some((level, text)) = logger.first_line() {
        record_bytes_at(logger, *level, "lastwords", text.as_bytes(), Destination::Write);
    }
    filter_changes::follow();
}

/// Closes the logger of a cell for one of its openers. The last one releases everything.
pub(crate) fn close_cell(cell: &'static LoggerCell) -> Result<()> {
    let (folder, logger) = {
        let _changing = Changing::begin();
        let Some(taken) = cell.take() else { return Ok(()) };
        taken
    };
    let closed = logger.map_or(Ok(()), Logger::close);
    let _changing = Changing::begin();
    leave(folder);
    closed
}

/// The one thread that creates or closes a logger. A lock that knows its process: a forked child never waits for a thread of
/// the parent.
struct Changing;

/// The pid of the process with a thread that has it, 0 for none.
static CHANGING: AtomicU32 = AtomicU32::new(0);

impl Changing {
    fn begin() -> Changing {
        let me = process_page::pid();
        let take = |found: u32| (found != me).then_some(me);
        while CHANGING.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_err() {
            std::thread::sleep(Duration::from_micros(100));
        }
        Changing
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        CHANGING.store(0, Ordering::Release);
    }
}

/// Releases what this process has of a folder, if no logger of it is left there.
fn leave(folder: &Folder) {
    let in_folder = |logger: &&Logger| logger.folder() == folder;
    let made = || cells().filter_map(LoggerCell::made_here).filter(in_folder);
    #[cfg(feature = "flusher")]
    if made().next().is_none() && !flusher_thread::leave(folder) {
        // A thread that cannot end still needs the folder.
        return;
    }
    // Including those that a forked child has not created again yet.
    let others: Vec<&Folder> = cells().filter_map(LoggerCell::folder).collect();
    folder.release_beside(&others);
    // A logger that a forked child has created again meanwhile finds what it needs.
    made().for_each(|logger| {
        logger.folder().hold();
        #[cfg(feature = "flusher")]
        flusher_thread::start_for(logger);
    });
}

/// Reinstalls the handlers of SIGTERM, SIGINT and SIGHUP after the program has restored the default action, so that an end by
/// one of them is distinguished from a crash. For front ends in languages whose programs routinely restore it; without a
/// logger, or if the program handles a signal, nothing changes.
pub fn watch_signals() {
    signals::watch();
}

/// Announces that this process is about to end normally, by _exit(2) or exec(3), which no hook of ours sees: its death is then
/// not an alarm, and what its rings hold is drained as always. [`reopen`] withdraws it.
pub fn close() {
    for logger in own_loggers().filter(|_| !mutant::is(Mutant::CloseUnheard)) {
        logger.ring().close(closed::EXIT, 0);
    }
}

/// Withdraws [`close`], because the process continues: an exec(3) that was to replace its program has failed.
pub fn reopen() {
    for logger in own_loggers().filter(|_| !mutant::is(Mutant::NeverReopened)) {
        logger.ring().reopen();
    }
}

/// Puts the guard of the rings against SIGBUS before a handler that was installed after `init` and treats every SIGBUS as
/// fatal: Python's faulthandler, for instance. Faults that are not the guard's go on to that handler, and from there to earlier
/// ones. Call it after that handler is installed; with more than one such handler, or without a guarded ring, it does nothing.
pub fn sigbus_guard_first() {
    guard::come_first();
}

/// Runs `change`, which installs or removes another handler of fatal signals, and keeps ours the first one, where it is: what a
/// thread was doing is seen by the first one alone. Python's faulthandler, for instance, prints and raises the
/// signal again, and a handler that comes after it finds the thread in that `raise`. The guard of the rings stays before
/// that handler, as with [`sigbus_guard_first`].
pub fn fatal_signals_first<T>(change: impl FnOnce() -> T) -> T {
    fatal::first_before_and_after(|| {
        let done = change();
        guard::come_first();
        done
    })
}

/// Waits until every line that this process logged before the call is in its log file, at most 2 s.
///
/// # Errors
/// [`Error::FlushTimeout`] if no flusher got that far. The lines are safe in the ring all the same.
pub fn flush() -> Result<()> {
    flush_within(FLUSH_MAX)
}

/// [`flush`] with another limit than 2 s. It returns sooner if there is no flusher, or if the flusher is known to be stalled;
/// with zero it only checks whether everything is in the file now.
///
/// ```
/// use std::time::Duration;
/// # let folder = std::env::temp_dir().join(format!("lastwords-doc-within-{}", std::process::id()));
/// # lastwords::builder("host").dir(&folder).init()?;
/// lastwords::info!("the last line of a long batch");
/// lastwords::flush_within(Duration::from_secs(30))?;
/// assert!(std::fs::read_to_string(folder.join("host.log"))?.contains("the last line"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`flush`].
pub fn flush_within(timeout: Duration) -> Result<()> {
    MAIN.made_here().map_or(Ok(()), |logger| logger.flush(timeout))
}

/// Changes what this process writes to the log files, as directives like `info,hyper=warn`; see [`crate::Directives`].
/// `lastwords level` does the same from outside. Processes that are forked later begin with the builder's directives.
///
/// # Errors
/// [`Error::Setting`] for invalid directives, [`Error::NotInitialised`] before the process has a logger.
pub fn set_log(directives: &str) -> Result<()> {
    let logger = MAIN.made_here().ok_or(Error::NotInitialised)?;
    logger.ring().set_directives(directives.parse().map_err(|error| Error::setting("log", error))?)?;
    filter_changes::follow();
    Ok(())
}

/// Gives a level of this process's logger a name, which every line of its records then shows: `[NOTICE]` instead of
/// `[Level 25]`. See [`crate::Log::name_level`].
///
/// ```
/// use lastwords::Level;
/// const NOTICE: Level = Level::new(25);
/// lastwords::name_level(NOTICE, "NOTICE");
/// let folder = std::env::temp_dir().join(format!("lastwords-doc-name-{}", std::process::id()));
/// lastwords::builder("host").dir(&folder).init()?;
/// lastwords::log!(NOTICE, "the disk is half full");
/// lastwords::flush()?;
/// assert!(std::fs::read_to_string(folder.join("host.log"))?.contains("[NOTICE] the disk is half full"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn name_level(level: Level, name: &str) {
    MAIN.name_level(level, name);
}

/// Where this process's log files are, once it has a logger.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    MAIN.made_here().map(|logger| logger.folder().path().to_owned())
}
