//! The loggers of this process: how one is made, found again after a fork, and closed at the end.
//!
//! Each logger's cell keeps its pointer in a page that a forked child finds wiped. A child therefore finds no logger,
//! and makes its own, with a ring of its own, at its first record; nothing that it does for that waits for a lock
//! that a thread of its parent may have held.

use crate::complain::complain;
use crate::config::Builder;
use crate::error::{Error, Result};
use crate::layout::closed;
use crate::level::Level;
use crate::logger::{FLUSH_MAX, Logger};
use crate::mutant::{self, Mutant};
use crate::named::NamedLevels;
use crate::ring::Ring;
use crate::settings::Settings;
use crate::sys::process_page::ProcessPageCell;
use crate::sys::{fatal, hooks, signals};
use crossbeam_utils::Backoff;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

/// Most loggers of one process.
const LOGGERS_MAX: usize = 256;
/// Longest wait for another thread of a forked child that is making the child's logger.
const MAKING_MAX: Duration = Duration::from_secs(1);

/// A logger's place, in this process and in those that are forked from it.
#[derive(Debug)]
pub(crate) struct LoggerCell {
    page: ProcessPageCell<Logger>,
    /// What a forked child makes its logger from.
    builder: OnceLock<Builder>,
    /// What levels are called, in the rings of forked children too.
    named: NamedLevels,
    /// The child of a fork could not make its logger and has said so.
    failed_in: std::sync::atomic::AtomicU32,
}

/// The logger of `init`, the macros and the facade.
static MAIN: LoggerCell = LoggerCell::new();
/// All cells that have had a logger, for the hooks, which cannot wait for a lock.
static CELLS: [AtomicPtr<LoggerCell>; LOGGERS_MAX] = [const { AtomicPtr::new(std::ptr::null_mut()) }; LOGGERS_MAX];

impl LoggerCell {
    const fn new() -> LoggerCell {
        LoggerCell {
            page: ProcessPageCell::new(),
            builder: OnceLock::new(),
            named: NamedLevels::new(),
            failed_in: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// This process's logger, if it has one or was forked from a process that has.
    #[inline]
    pub(crate) fn logger(&'static self) -> Option<&'static Logger> {
        self.page.get().or_else(|| self.after_fork())
    }

    /// The same, but a forked child that has logged nothing stays without.
    pub(crate) fn made_here(&'static self) -> Option<&'static Logger> {
        self.page.get()
    }

    fn fill(&'static self, builder: Builder) -> Result<()> {
        let taken = || Error::AlreadyInitialised { role: self.role() };
        if !self.page.begin() {
            return Err(taken());
        }
        // Before the ring is made: whoever guards its memory must come after, to be asked first.
        watch_fatal_signals();
        install_hooks();
        let logger = signals::deferred(|| {
            let logger = self.create(builder).inspect_err(|_| self.page.cancel())?;
            let _ = self.builder.set(logger.builder().clone());
            Ok(self.publish(logger))
        })?;
        logger.start();
        follow_filter();
        Ok(())
    }

    /// Takes a place for the hooks first: a ring that none of them closes would look like a crash.
    fn create(&'static self, builder: Builder) -> Result<Box<Logger>> {
        list(self)?;
        Logger::create(builder).inspect_err(|_| unlist(self))
    }

    /// Makes the logger the one of this process, its ring with the names that levels have.
    fn publish(&'static self, logger: Box<Logger>) -> &'static Logger {
        if mutant::is(Mutant::NamesForgotten) {
            return self.page.set(logger);
        }
        let written = self.named.write(logger.ring(), None);
        let logger = self.page.set(logger);
        // Pairs with the fence of `name_level`: a thread that does not find the logger there has its name found here.
        fence(Ordering::SeqCst);
        self.named.write(logger.ring(), written);
        logger
    }

    /// Gives a level a name, in this process's ring, and in one that it, or a child, will have.
    pub(crate) fn name_level(&'static self, level: Level, name: &str) {
        let Some(named) = self.named.add(level, name) else { return };
        fence(Ordering::SeqCst);
        if let Some(logger) = self.page.get() {
            logger.ring().name_level(named.level, &named.name);
        }
    }

    /// An error if these settings ask for something that the logger is not, see [`Settings::refuse_others`].
    pub(crate) fn refuse_others(&self, asked: &Settings) -> Result<()> {
        self.builder.get().map_or(Ok(()), |builder| asked.refuse_others(&builder.settings))
    }

    fn role(&self) -> String {
        self.builder.get().map_or_else(String::new, |builder| builder.role.clone())
    }

    #[cold]
    fn after_fork(&'static self) -> Option<&'static Logger> {
        let builder = self.builder.get()?;
        let me = std::process::id();
        if self.failed_in.load(Ordering::Relaxed) == me {
            return None;
        }
        if self.page.begin() {
            match signals::deferred(|| Logger::create(builder.clone()).map(|logger| self.publish(logger))) {
                Ok(logger) => {
                    logger.start();
                    follow_filter();
                }
                Err(error) => {
                    self.failed_in.store(me, Ordering::Relaxed);
                    complain(format_args!("this forked process (pid {me}) cannot log: {error}"));
                }
            }
            return self.page.get();
        }
        let (start, backoff) = (Instant::now(), Backoff::new());
        while self.page.get().is_none() && start.elapsed() < MAKING_MAX {
            backoff.snooze();
        }
        self.page.get()
    }
}

/// Makes the process's own logger.
pub(crate) fn init(builder: Builder) -> Result<()> {
    if MAIN.page.get().is_some() {
        return Err(Error::AlreadyInitialised { role: MAIN.role() });
    }
    if builder.takes_facade() {
        crate::facade::install()?;
    }
    let panic_hook = builder.settings.panic_hook.unwrap_or(true);
    MAIN.fill(builder)?;
    if panic_hook {
        crate::panic::install();
    }
    Ok(())
}

/// Makes a further logger, or finds the one of the same folder and role.
pub(crate) fn open(builder: Builder) -> Result<&'static LoggerCell> {
    let path = std::path::absolute(builder.folder_path()).ok();
    let same = |cell: &&'static LoggerCell| {
        cell.builder.get().is_some_and(|known| known.role == builder.role && known.settings.dir == path)
    };
    if let Some(cell) = cells().find(same) {
        return Ok(cell);
    }
    let cell: &'static LoggerCell = Box::leak(Box::new(LoggerCell::new()));
    cell.fill(builder)?;
    Ok(cell)
}

/// The process's own logger.
#[inline]
pub(crate) fn current() -> Option<&'static Logger> {
    MAIN.logger()
}

/// Has the front ends' own filters agree with the process's logger, if its filter has changed.
pub(crate) fn follow_filter() {
    static FOLLOWED: AtomicU64 = AtomicU64::new(0);
    let Some(logger) = MAIN.page.get() else { return };
    let key = logger.decision_key();
    if FOLLOWED.swap(key, Ordering::AcqRel) != key {
        crate::facade::follow(logger);
        #[cfg(feature = "tracing")]
        crate::tracing::changed();
    }
}

fn list(cell: &'static LoggerCell) -> Result<()> {
    let pointer = std::ptr::from_ref(cell).cast_mut();
    let free = |place: &&AtomicPtr<LoggerCell>| {
        place.compare_exchange(std::ptr::null_mut(), pointer, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    let full = || Error::setting("loggers", format!("a process has at most {LOGGERS_MAX}, for as many folders and roles"));
    CELLS.iter().find(free).map(|_| ()).ok_or_else(full)
}

fn unlist(cell: &'static LoggerCell) {
    let pointer = std::ptr::from_ref(cell).cast_mut();
    for place in &CELLS {
        let _ = place.compare_exchange(pointer, std::ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
    }
}

fn cells() -> impl Iterator<Item = &'static LoggerCell> {
    CELLS.iter().filter_map(|place| crate::sys::hooks::leaked(place))
}

fn install_hooks() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::AcqRel) {
        hooks::at_fork();
        hooks::at_exit(at_exit);
        signals::on_ordinary_end(mark_signal);
    }
}

/// Runs in a signal handler: loads and stores of atomics only.
fn mark_signal(signal: u32) {
    for logger in cells().filter_map(|cell| cell.page.get()) {
        logger.ring().close(closed::SIGNAL, signal);
    }
}

fn watch_fatal_signals() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::AcqRel) {
        fatal::on_fatal_signal(
            |signal, address| rings_but(address).for_each(|ring| ring.mark_fatal(signal)),
            |signal, address| rings_but(address).for_each(|ring| ring.unmark_fatal(signal)),
        );
    }
}

/// The rings of this very process but one that the address belongs to, whose page is the one that is gone. A child that
/// shares its parent's memory until it executes another program is none of theirs.
fn rings_but(address: usize) -> impl Iterator<Item = &'static Ring> {
    let own = cells().filter_map(|cell| cell.page.get()).filter(|logger| logger.is_of_this_process());
    own.map(Logger::ring).filter(move |ring| !ring.holds(address))
}

extern "C" fn at_exit(status: c_int, _: *mut c_void) {
    let how = if crate::panic::ends_with(status) { closed::PANIC } else { closed::EXIT };
    for logger in cells().filter_map(|cell| cell.page.get()) {
        logger.ring().close(how, 0);
    }
    let start = Instant::now();
    for logger in cells().filter_map(|cell| cell.page.get()).filter(|_| !mutant::is(Mutant::NoExitFlush)) {
        // Whoever flushes has two seconds for all of them; after that the ring stays, and the next drain takes it.
        let _ = logger.flush(FLUSH_MAX.saturating_sub(start.elapsed()));
    }
    #[cfg(feature = "flusher")]
    {
        crate::flush::embedded::end();
        ring_doorbells();
        crate::flush::embedded::wait_for_end(FLUSH_MAX.saturating_sub(start.elapsed()));
        crate::flush::console::finish();
    }
}

/// Says that this process is about to end in an ordinary way, for one that ends by _exit(2), which no hook of ours sees: its
/// death is no alarm then, and what its rings hold is drained as always.
pub fn close() {
    let heard = |logger: &&Logger| logger.is_of_this_process() && !mutant::is(Mutant::CloseUnheard);
    for logger in cells().filter_map(|cell| cell.page.get()).filter(heard) {
        logger.ring().close(closed::EXIT, 0);
    }
}

/// Wakes whoever flushes for the loggers of this process.
#[cfg(feature = "flusher")]
pub(crate) fn ring_doorbells() {
    cells().filter_map(|cell| cell.page.get()).for_each(Logger::ring_doorbell);
}

/// Starts the threads that flush for the loggers of this process.
#[cfg(feature = "flusher")]
pub(crate) fn start_flushers() {
    cells().filter_map(|cell| cell.page.get()).for_each(Logger::start_flusher);
}

/// Waits until every line that this process logged before the call is in its log file, at most 2 s.
///
/// # Errors
/// [`Error::FlushTimeout`] if no flusher got that far. The lines are safe in the ring all the same.
pub fn flush() -> Result<()> {
    MAIN.page.get().map_or(Ok(()), |logger| logger.flush(FLUSH_MAX))
}

/// Changes what this process writes to the log files, as directives like `info,hyper=warn`; see [`crate::Directives`].
/// `lastwords level` does the same from outside. Processes that are forked later begin with what the builder said.
///
/// # Errors
/// [`Error::Setting`] for directives that cannot be meant, or before the process has a logger.
pub fn set_log(directives: &str) -> Result<()> {
    let none = || Error::setting("log", "no logger to change; call lastwords::init first");
    let logger = MAIN.page.get().ok_or_else(none)?;
    logger.set_directives(directives.parse().map_err(|error| Error::setting("log", error))?)?;
    follow_filter();
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
pub fn folder() -> Option<std::path::PathBuf> {
    MAIN.page.get().map(|logger| logger.folder().path().to_owned())
}
