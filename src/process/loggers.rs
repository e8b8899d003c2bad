//! The loggers of this process: how one is made, found again after a fork, and closed at the end.
//!
//! Each logger's cell keeps its pointer in a page that a forked child finds wiped. A child therefore finds no logger,
//! and makes its own, with a ring of its own, at its first record; nothing that it does for that waits for a lock
//! that a thread of its parent may have held.

use crate::config::builder::Builder;
use crate::config::settings::Settings;
use crate::logger::ring_logger::{FLUSH_MAX, Logger, UsedLogger};
use crate::process::level_names::NamedLevels;
use crate::sys::{fatal, frame, signals};
use crossbeam_utils::Backoff;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::filter::{Destination, Filter};
use lastwords_ring::format::layout::closed;
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::stderr::complain;
use lastwords_ring::sys::process_page::{self, ProcessCell};
use lastwords_ring::sys::{guard, hooks};
use lastwords_ring::write::missed::Missed;
use lastwords_ring::write::ring::Ring;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

/// Most loggers of one process.
const LOGGERS_MAX: usize = 256;
/// Longest wait for another thread of a forked child that is making the child's logger.
const MAKING_MAX: Duration = Duration::from_secs(1);

/// A logger's place, in this process and in those that are forked from it.
#[derive(Debug)]
pub(crate) struct LoggerCell {
    page: ProcessCell<Logger>,
    /// What a forked child makes its logger from; null before there is a logger, and once it was closed.
    origin: AtomicPtr<Origin>,
    /// How often it was opened and not closed.
    users: AtomicU32,
    /// What levels are called, in the rings of forked children too.
    named: NamedLevels,
    /// Of a forked child that could not make its logger yet.
    missed: Missed,
}

/// What a logger was made from. Never dropped: any thread may be looking at it.
#[derive(Debug)]
struct Origin {
    builder: Builder,
    /// Where it is, wherever the builder's paths lead by now.
    folder: Folder,
    /// What the builder says is recorded.
    filter: Filter,
}

/// The logger of `init`, the macros and the facade.
static MAIN: LoggerCell = LoggerCell::new();
/// All cells that have had a logger, for the hooks, which cannot wait for a lock.
static CELLS: [AtomicPtr<LoggerCell>; LOGGERS_MAX] = [const { AtomicPtr::new(std::ptr::null_mut()) }; LOGGERS_MAX];

impl LoggerCell {
    const fn new() -> LoggerCell {
        LoggerCell {
            page: ProcessCell::new(),
            origin: AtomicPtr::new(std::ptr::null_mut()),
            users: AtomicU32::new(0),
            named: NamedLevels::new(),
            missed: Missed::new(),
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

    /// The same, and nobody closes it before what is returned is dropped.
    #[inline]
    pub(crate) fn use_logger(&'static self) -> Option<UsedLogger> {
        let used = self.logger()?.used();
        self.page.holds(&used).then_some(used)
    }

    /// Makes its logger. `last` is the step that cannot be undone; where it fails, nothing of the rest is left.
    fn fill(&'static self, builder: Builder, last: impl FnOnce() -> Result<()>) -> Result<()> {
        #[cfg(feature = "flusher")]
        if builder.flushes() {
            lastwords_flusher::flusher::refuse_file_size_limit()?;
        }
        if !self.page.begin() {
            return Err(Error::Initialising);
        }
        // Before the ring is made: whoever guards its memory must come after, to be asked first.
        watch_fatal_signals();
        install_hooks();
        let logger = signals::deferred(|| {
            let logger = self.create(builder, last).inspect_err(|_| self.page.cancel())?;
            let (builder, folder) = (logger.builder().clone(), logger.folder().clone());
            let origin = Origin { builder, folder, filter: logger.filter() };
            self.users.store(1, Ordering::Release);
            self.origin.store(Box::into_raw(Box::new(origin)), Ordering::Release);
            Ok(self.publish(logger))
        })?;
        logger.start();
        logger.say_first();
        follow_filter();
        Ok(())
    }

    /// Takes a place for the hooks first: a ring that none of them closes would look like a crash.
    fn create(&'static self, builder: Builder, last: impl FnOnce() -> Result<()>) -> Result<Box<Logger>> {
        list(self)?;
        let made = Logger::create(builder).and_then(|logger| match last() {
            Err(error) if !mutant::is(Mutant::RingLeft) => {
                logger.discard();
                Err(error)
            }
            done => done.map(|()| logger),
        });
        made.inspect_err(|_| unlist(self))
    }

    /// Makes the logger the one of this process, its ring with the names that levels have.
    fn publish(&'static self, mut logger: Box<Logger>) -> &'static Logger {
        logger.settle_in();
        self.missed.tell(std::process::id(), logger.last_block());
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

    /// What its logger was made from, if it has one and that was not closed.
    fn origin(&'static self) -> Option<&'static Origin> {
        hooks::leaked(&self.origin)
    }

    /// An error if these settings ask for something that the logger is not, see [`Settings::refuse_others`].
    pub(crate) fn refuse_others(&'static self, asked: &Settings) -> Result<()> {
        self.origin().map_or(Ok(()), |origin| asked.refuse_others(&origin.builder.settings))
    }

    /// Whether its logger was closed, or never made.
    pub(crate) fn is_closed(&'static self) -> bool {
        self.origin().is_none()
    }

    /// Takes one of those off who opened it.
    pub(crate) fn forget(&'static self) {
        let _ = self.users.fetch_update(Ordering::AcqRel, Ordering::Acquire, |users| users.checked_sub(1));
    }

    /// Closes it for one of those who opened it. The last one gives everything back, and from then on the cell is without use.
    pub(crate) fn close(&'static self) -> Result<()> {
        let (origin, logger) = {
            let _changing = Changing::begin();
            if self.users.fetch_update(Ordering::AcqRel, Ordering::Acquire, |users| users.checked_sub(1)) != Ok(1) {
                return Ok(());
            }
            let Some(origin) = self.origin() else { return Ok(()) };
            // From here on no forked child makes it again, and what finds no logger is not missed.
            self.origin.store(std::ptr::null_mut(), Ordering::SeqCst);
            let start = Instant::now();
            while self.page.is_being_made() && start.elapsed() < MAKING_MAX {
                std::thread::sleep(Duration::from_micros(100));
            }
            let logger = self.page.take();
            unlist(self);
            (origin, logger)
        };
        let closed = logger.map_or(Ok(()), Logger::close);
        let _changing = Changing::begin();
        leave(&origin.folder);
        closed
    }

    #[cold]
    fn after_fork(&'static self) -> Option<&'static Logger> {
        let builder = &self.origin()?.builder;
        let me = std::process::id();
        if self.missed.may_try(me) && self.page.begin() {
            self.make_again(builder, me);
            return self.page.get();
        }
        let (start, backoff) = (Instant::now(), Backoff::new());
        while self.page.get().is_none() && !self.missed.has_failed(me) && start.elapsed() < MAKING_MAX {
            backoff.snooze();
        }
        self.page.get()
    }

    /// Makes the logger of a forked child, for the one that was granted to.
    fn make_again(&'static self, builder: &Builder, me: u32) {
        match signals::deferred(|| Logger::create(builder.clone()).map(|logger| self.publish(logger))) {
            Ok(logger) => {
                // Another thread may have closed the last logger of the folder meanwhile.
                logger.folder().hold();
                logger.start();
                logger.say_first();
                follow_filter();
            }
            Err(error) => {
                if self.missed.failed(me) {
                    complain(format_args!("this forked process (pid {me}) cannot log yet: {error}; it tries again"));
                }
                self.page.cancel();
            }
        }
    }

    /// Counts a record that finds no logger, in a forked child that could not make its own.
    #[cold]
    pub(crate) fn miss(&'static self, level: Level, target: &str) {
        let wanted = |origin: &Origin| origin.filter.decide(level, target) == Some(Destination::Write);
        if self.origin().is_some_and(wanted) {
            self.missed.count(std::process::id());
        }
    }

    /// At the end of a forked child that has lost records: a last try to say so.
    fn tell_missed(&'static self) {
        let me = std::process::id();
        let has_lost = |_: &&Origin| self.missed.lost(me) > 0 && self.page.get().is_none();
        let Some(origin) = self.origin().filter(has_lost) else { return };
        if self.page.begin() {
            self.make_again(&origin.builder, me);
        }
        let lost = self.missed.lost(me);
        if self.page.get().is_none() && lost > 0 {
            complain(format_args!(
                "{lost} records of this forked process (pid {me}) are lost, because it could not make its ring"
            ));
        }
    }
}

/// Counts a record of the process's own logger, see [`LoggerCell::miss`].
#[cold]
pub(crate) fn miss(level: Level, target: &str) {
    MAIN.miss(level, target);
}

/// Makes the process's own logger. False if it has one of these very settings already, which another thread may be making.
pub(crate) fn init(builder: Builder) -> Result<bool> {
    let (start, backoff) = (Instant::now(), Backoff::new());
    loop {
        if let Some(logger) = MAIN.page.get() {
            let refused =
                if mutant::is(Mutant::SecondInitIgnored) { Ok(()) } else { builder.refuse_second(logger.builder()) };
            return refused.map(|()| false);
        }
        match init_first(builder.clone()) {
            Err(Error::Initialising) if start.elapsed() < MAKING_MAX => backoff.snooze(),
            done => return done.map(|()| true),
        }
    }
}

fn init_first(builder: Builder) -> Result<()> {
    let panic_hook = builder.settings.panic_hook.unwrap_or(true);
    let facade = builder.takes_facade();
    let _changing = Changing::begin();
    // What nobody can give back is taken last.
    MAIN.fill(builder, || if facade { crate::front::log_facade::install() } else { Ok(()) })?;
    if let Some(logger) = MAIN.page.get()
        && let Some(warning) = logger.filter().directives.names_role(&logger.builder().role)
    {
        complain(format_args!("{warning}"));
    }
    if panic_hook {
        crate::front::panic::install();
    }
    Ok(())
}

/// Makes a further logger, or finds the one of the same folder and role.
pub(crate) fn open(builder: Builder) -> Result<&'static LoggerCell> {
    let _changing = Changing::begin();
    let path = std::path::absolute(builder.folder_path()).ok();
    let is_same = |known: &Builder| known.role == builder.role && known.settings.dir == path;
    let same = |cell: &&'static LoggerCell| cell.origin().is_some_and(|origin| is_same(&origin.builder));
    if let Some(cell) = cells().find(same) {
        cell.users.fetch_add(1, Ordering::AcqRel);
        return Ok(cell);
    }
    let cell: &'static LoggerCell = Box::leak(Box::new(LoggerCell::new()));
    cell.fill(builder, || Ok(()))?;
    Ok(cell)
}

/// The process's own logger.
#[inline]
pub(crate) fn current() -> Option<&'static Logger> {
    MAIN.logger()
}

/// The filter of a logger that this process is still to make, having been forked.
#[cfg(feature = "tracing")]
pub(crate) fn awaited_filter() -> Option<&'static Filter> {
    MAIN.origin().filter(|_| MAIN.page.get().is_none()).map(|origin| &origin.filter)
}

/// Has the front ends' own filters agree with the process's logger, if its filter has changed.
pub(crate) fn follow_filter() {
    static FOLLOWED: AtomicU64 = AtomicU64::new(0);
    let Some(logger) = MAIN.page.get() else { return };
    let key = logger.decision_key();
    if FOLLOWED.swap(key, Ordering::AcqRel) != key {
        crate::front::log_facade::follow(logger);
        #[cfg(feature = "tracing")]
        crate::front::tracing::changed();
    }
}

/// The one thread that makes or closes a logger. A lock that knows its process: in a forked child nobody waits for a thread
/// of the parent.
struct Changing;

/// The pid of the process of which a thread has it, 0 for none.
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

/// Gives back what this process has of a folder, if no logger of it is left there.
fn leave(folder: &Folder) {
    let in_folder = |logger: &&Logger| logger.folder() == folder;
    let made = || cells().filter_map(|cell| cell.page.get()).filter(in_folder);
    #[cfg(feature = "flusher")]
    if made().next().is_none() && !crate::process::flusher_thread::leave(folder) {
        // A thread that cannot end still needs the folder.
        return;
    }
    // Those too that a forked child has not made again yet.
    let others: Vec<&Folder> = cells().filter_map(LoggerCell::origin).map(|origin| &origin.folder).collect();
    folder.release_beside(&others);
    // What a forked child has made again meanwhile finds what it needs.
    made().for_each(|logger| {
        logger.folder().hold();
        #[cfg(feature = "flusher")]
        logger.start_flusher();
    });
}

fn list(cell: &'static LoggerCell) -> Result<()> {
    let pointer = std::ptr::from_ref(cell).cast_mut();
    let free = |place: &&AtomicPtr<LoggerCell>| {
        place.compare_exchange(std::ptr::null_mut(), pointer, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    let full = || {
        Error::setting(
            "loggers",
            format!(
                "a process has at most {LOGGERS_MAX} at a time, for as many folders and roles; close those that are not used any more"
            ),
        )
    };
    CELLS.iter().find(free).map(|_| ()).ok_or_else(full)
}

fn unlist(cell: &'static LoggerCell) {
    let pointer = std::ptr::from_ref(cell).cast_mut();
    for place in &CELLS {
        let _ = place.compare_exchange(pointer, std::ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
    }
}

fn cells() -> impl Iterator<Item = &'static LoggerCell> {
    CELLS.iter().filter_map(|place| lastwords_ring::sys::hooks::leaked(place))
}

fn install_hooks() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::AcqRel) {
        hooks::at_fork(before_fork);
        hooks::at_exit(at_exit);
        hooks::at_quick_exit_do(at_quick_exit);
        signals::on_ordinary_end(
            |signal| own_loggers().for_each(|logger| logger.ring().mark_signal(signal)),
            |signal| own_loggers().for_each(|logger| logger.ring().unmark_signal(signal)),
        );
    }
}

/// The loggers that this very process has made. A child that shares its parent's memory until it executes another program
/// has none. Safe in a signal handler.
fn own_loggers() -> impl Iterator<Item = &'static Logger> {
    let own = |logger: &&Logger| logger.is_of_this_process() || mutant::is(Mutant::MarkOfOthers);
    cells().filter_map(|cell| cell.page.get()).filter(own)
}

/// Has a child learn how this process ended, which it may be the only one to be asked.
extern "C" fn before_fork() {
    #[cfg(feature = "flusher")]
    if let Some(logger) = own_loggers().next() {
        lastwords_ring::place::ancestors::keep_own(logger.ring().header().start_time);
    }
}

/// Has the handlers of SIGTERM, SIGINT and SIGHUP stand again where a program has restored the default action, so that an end
/// by one of them is told from a crash. For front ends in languages whose programs restore it as a matter of course; without
/// a logger, or where the program handles a signal, nothing changes.
pub fn watch_signals() {
    signals::watch();
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

/// The rings of this very process but one that the address belongs to, whose page is the one that is gone.
fn rings_but(address: usize) -> impl Iterator<Item = &'static Ring> {
    own_loggers().map(Logger::ring).filter(move |ring| !ring.holds(address))
}

extern "C" fn at_quick_exit() {
    at_exit(0, std::ptr::null_mut());
}

extern "C" fn at_exit(status: c_int, _: *mut c_void) {
    cells().for_each(LoggerCell::tell_missed);
    if frame::is_within() && !mutant::is(Mutant::HandlerExits) {
        // The handler of a fatal signal ends the process: that is a death, and its stack is a small one.
        return;
    }
    let how = if crate::front::panic::ends_with(status) { closed::PANIC } else { closed::EXIT };
    own_loggers().for_each(|logger| logger.ring().close(how, 0));
    let start = Instant::now();
    for logger in own_loggers().filter(|_| !mutant::is(Mutant::NoExitFlush)) {
        // Whoever flushes has two seconds for all of them; after that the ring stays, and the next drain takes it.
        let _ = logger.flush(FLUSH_MAX.saturating_sub(start.elapsed()));
    }
    #[cfg(feature = "flusher")]
    {
        crate::process::flusher_thread::end();
        ring_doorbells();
        crate::process::flusher_thread::wait_for_end(FLUSH_MAX.saturating_sub(start.elapsed()));
        lastwords_ring::place::stderr::say_left();
        crate::process::console_thread::finish();
    }
}

/// Says that this process is about to end in an ordinary way, for one that ends by _exit(2) or exec(3), which no hook of ours
/// sees: its death is no alarm then, and what its rings hold is drained as always. [`reopen`] takes it back.
pub fn close() {
    for logger in own_loggers().filter(|_| !mutant::is(Mutant::CloseUnheard)) {
        logger.ring().close(closed::EXIT, 0);
    }
}

/// Takes [`close`] back, because the process goes on: an exec(3) that was to replace its program has failed.
pub fn reopen() {
    for logger in own_loggers().filter(|_| !mutant::is(Mutant::NeverReopened)) {
        logger.ring().reopen();
    }
}

/// Puts the guard of the rings against SIGBUS before a handler that was installed after `init`, and that takes every SIGBUS for
/// the end: Python's faulthandler, for instance. What is not the guard's goes on to that handler, and from there to those
/// before it. Call it after that handler is installed; for more than one such handler it does nothing. Where no ring is
/// guarded, it does nothing either.
pub fn sigbus_guard_first() {
    guard::come_first();
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

/// Brings the rings of this process in this folder to the disk that request it. Returns the shortest time between two syncs that they
/// request; None if none does.
#[cfg(feature = "flusher")]
pub(crate) fn sync_rings(folder: &Folder) -> Option<Duration> {
    let is_one = |logger: &&Logger| logger.ring().header().sync_ms > 0 && logger.folder() == folder;
    let loggers = cells().filter_map(|cell| cell.page.get()).filter(is_one);
    loggers
        .map(|logger| {
            // A disk that fails is logged by whoever flushes next.
            let _ = logger.ring().sync();
            Duration::from_millis(logger.ring().header().sync_ms.into())
        })
        .min()
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
