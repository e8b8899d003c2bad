//! The loggers of this process, and how one is found again after a fork.
//!
//! Each logger's cell keeps its pointer in a page that a forked child finds wiped. A child therefore finds no logger, and
//! creates its own, with a ring of its own, at its first record; that never waits for a lock that a thread of its parent may
//! have held.

use crate::config::builder::Builder;
use crate::config::settings::Settings;
use crate::logger::ring_logger::{Logger, UsedLogger};
use crate::process::level_names::NamedLevels;
use crate::sys::signals;
use crossbeam_utils::Backoff;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::filter::{Destination, Filter};
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::stderr::complain;
use lastwords_ring::sys::hooks;
use lastwords_ring::sys::process_page::ProcessCell;
use lastwords_ring::write::missed::Missed;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering, fence};
use std::time::{Duration, Instant};

/// Most loggers of one process.
const LOGGERS_MAX: usize = 256;
/// Longest wait for another thread of a forked child that is creating the child's logger.
pub(crate) const MAKING_MAX: Duration = Duration::from_secs(1);

/// A logger's place, in this process and in those that are forked from it.
#[derive(Debug)]
pub(crate) struct LoggerCell {
    page: ProcessCell<Logger>,
    /// Source of a forked child's logger; null before there is a logger, and once it was closed.
    origin: AtomicPtr<Origin>,
    /// How often it was opened and not closed.
    users: AtomicU32,
    /// Custom level names, for the rings of forked children too.
    named: NamedLevels,
    /// Lost records of a forked child that could not create its logger yet.
    missed: Missed,
}

/// Source of a logger. Never dropped: any thread may be reading it.
#[derive(Debug)]
struct Origin {
    builder: Builder,
    /// Its location, wherever the builder's paths lead by now.
    folder: Folder,
    /// The configured filter.
    filter: Filter,
    /// Called with each logger that is created from it.
    made: fn(&'static Logger),
}

/// The logger of `init`, the macros and the facade.
pub(crate) static MAIN: LoggerCell = LoggerCell::new();
/// All cells that have had a logger, for the hooks, which cannot wait for a lock.
static CELLS: [AtomicPtr<LoggerCell>; LOGGERS_MAX] = [const { AtomicPtr::new(std::ptr::null_mut()) }; LOGGERS_MAX];

impl LoggerCell {
    pub(crate) const fn new() -> LoggerCell {
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

    /// Like [`Self::logger`], but a forked child that has logged nothing does not create one.
    pub(crate) fn made_here(&'static self) -> Option<&'static Logger> {
        self.page.get()
    }

    /// Like [`Self::logger`], and it is not closed before the result is dropped.
    #[inline]
    pub(crate) fn use_logger(&'static self) -> Option<UsedLogger> {
        let used = self.logger()?.used();
        self.page.holds(&used).then_some(used)
    }

    /// Creates its logger. `last` is the step that cannot be undone; if it fails, nothing of the rest is left. `made` is called
    /// with the logger, here and in each forked child that creates its own.
    pub(crate) fn fill(
        &'static self,
        builder: Builder,
        last: impl FnOnce() -> Result<()>,
        made: fn(&'static Logger),
    ) -> Result<()> {
        if !self.page.begin() {
            return Err(Error::Initialising);
        }
        let logger = signals::deferred(|| {
            let logger = self.create(builder, last).inspect_err(|_| self.page.cancel())?;
            let (builder, folder) = (logger.builder().clone(), logger.folder().clone());
            let origin = Origin { builder, folder, filter: logger.filter.current(), made };
            self.users.store(1, Ordering::Release);
            self.origin.store(Box::into_raw(Box::new(origin)), Ordering::Release);
            Ok(self.publish(logger))
        })?;
        made(logger);
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

    /// Makes the logger the one of this process, and gives its ring the custom level names.
    fn publish(&'static self, mut logger: Box<Logger>) -> &'static Logger {
        logger.finish_init();
        self.missed.report(std::process::id(), logger.last_block());
        if mutant::is(Mutant::NamesForgotten) {
            return self.page.set(logger);
        }
        let written = self.named.write(logger.ring(), None);
        let logger = self.page.set(logger);
        // Pairs with the fence of `name_level`: if that thread does not find the logger there, its name is found here.
        fence(Ordering::SeqCst);
        self.named.write(logger.ring(), written);
        logger
    }

    /// Gives a level a name, in this process's ring, and in later ones of it or of a child.
    pub(crate) fn name_level(&'static self, level: Level, name: &str) {
        let Some(named) = self.named.add(level, name) else { return };
        fence(Ordering::SeqCst);
        if let Some(logger) = self.page.get() {
            logger.ring().name_level(named.level, &named.name);
        }
    }

    /// The source of its logger, if it has one and that was not closed.
    fn origin(&'static self) -> Option<&'static Origin> {
        hooks::leaked(&self.origin)
    }

    /// The settings of its logger.
    pub(crate) fn builder(&'static self) -> Option<&'static Builder> {
        self.origin().map(|origin| &origin.builder)
    }

    /// The folder of its logger.
    pub(crate) fn folder(&'static self) -> Option<&'static Folder> {
        self.origin().map(|origin| &origin.folder)
    }

    /// Notes another open of it.
    pub(crate) fn open_again(&self) {
        self.users.fetch_add(1, Ordering::AcqRel);
    }

    /// An error if these settings request something that the logger does not have, see [`Settings::refuse_others`].
    pub(crate) fn refuse_others(&'static self, asked: &Settings) -> Result<()> {
        self.origin().map_or(Ok(()), |origin| asked.refuse_others(&origin.builder.settings))
    }

    /// Whether its logger was closed, or never created.
    pub(crate) fn is_closed(&'static self) -> bool {
        self.origin().is_none()
    }

    /// Withdraws one open.
    pub(crate) fn forget(&'static self) {
        let _ = self.users.fetch_update(Ordering::AcqRel, Ordering::Acquire, |users| users.checked_sub(1));
    }

    /// Withdraws one open. With the last one, takes the logger's source, and the logger, if there is one: from then on the cell
    /// is unusable.
    pub(crate) fn take(&'static self) -> Option<(&'static Folder, Option<&'static Logger>)> {
        if self.users.fetch_update(Ordering::AcqRel, Ordering::Acquire, |users| users.checked_sub(1)) != Ok(1) {
            return None;
        }
        let origin = self.origin()?;
        // From here on no forked child creates it again, and records that find no logger are not counted.
        self.origin.store(std::ptr::null_mut(), Ordering::SeqCst);
        let start = Instant::now();
        while self.page.is_being_made() && start.elapsed() < MAKING_MAX {
            std::thread::sleep(Duration::from_micros(100));
        }
        let logger = self.page.take();
        unlist(self);
        Some((&origin.folder, logger))
    }

    #[cold]
    fn after_fork(&'static self) -> Option<&'static Logger> {
        let origin = self.origin()?;
        let me = std::process::id();
        if self.missed.may_try(me) && self.page.begin() {
            self.make_again(origin, me);
            return self.page.get();
        }
        let (start, backoff) = (Instant::now(), Backoff::new());
        while self.page.get().is_none() && !self.missed.has_failed(me) && start.elapsed() < MAKING_MAX {
            backoff.snooze();
        }
        self.page.get()
    }

    /// Creates the logger of a forked child, for the caller that was granted that.
    fn make_again(&'static self, origin: &Origin, me: u32) {
        match signals::deferred(|| Logger::create(origin.builder.clone()).map(|logger| self.publish(logger))) {
            Ok(logger) => {
                // Another thread may have closed the last logger of the folder meanwhile.
                logger.folder().hold();
                (origin.made)(logger);
            }
            Err(error) => {
                if self.missed.failed(me) {
                    complain(format_args!("this forked process (pid {me}) cannot log yet: {error}; it tries again"));
                }
                self.page.cancel();
            }
        }
    }

    /// Counts a record that finds no logger, in a forked child that could not create its own.
    #[cold]
    pub(crate) fn miss(&'static self, level: Level, target: &str) {
        let wanted = |origin: &Origin| origin.filter.decide(level, target) == Some(Destination::Write);
        if self.origin().is_some_and(wanted) {
            self.missed.count(std::process::id());
        }
    }

    /// At the end of a forked child that has lost records: a last attempt to report them.
    pub(crate) fn report_missed(&'static self) {
        let me = std::process::id();
        let has_lost = |_: &&Origin| self.missed.lost(me) > 0 && self.page.get().is_none();
        let Some(origin) = self.origin().filter(has_lost) else { return };
        if self.page.begin() {
            self.make_again(origin, me);
        }
        let lost = self.missed.lost(me);
        if self.page.get().is_none() && lost > 0 {
            complain(format_args!(
                "{lost} records of this forked process (pid {me}) are lost, because it could not make its ring"
            ));
        }
    }
}

fn list(cell: &'static LoggerCell) -> Result<()> {
    let pointer = std::ptr::from_ref(cell).cast_mut();
    let free = |place: &&AtomicPtr<LoggerCell>| {
        place.compare_exchange(std::ptr::null_mut(), pointer, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    CELLS.iter().find(free).map(|_| ()).ok_or(Error::TooManyLoggers { most: LOGGERS_MAX })
}

fn unlist(cell: &'static LoggerCell) {
    let pointer = std::ptr::from_ref(cell).cast_mut();
    for place in &CELLS {
        let _ = place.compare_exchange(pointer, std::ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
    }
}

pub(crate) fn cells() -> impl Iterator<Item = &'static LoggerCell> {
    CELLS.iter().filter_map(|place| hooks::leaked(place))
}

/// The loggers that this very process has created. A child that shares its parent's memory until it executes another program
/// has none. Safe in a signal handler.
pub(crate) fn own_loggers() -> impl Iterator<Item = &'static Logger> {
    let own = |logger: &&Logger| logger.is_of_this_process() || mutant::is(Mutant::MarkOfOthers);
    cells().filter_map(LoggerCell::made_here).filter(own)
}

/// The filter of a logger that this process, having been forked, has yet to create.
#[cfg(feature = "tracing")]
pub(crate) fn awaited_filter() -> Option<&'static Filter> {
    MAIN.origin().filter(|_| MAIN.page.get().is_none()).map(|origin| &origin.filter)
}

/// Wakes the flushers for the loggers of this process.
#[cfg(feature = "flusher")]
pub(crate) fn ring_doorbells() {
    cells().filter_map(LoggerCell::made_here).for_each(Logger::ring_doorbell);
}

/// Syncs the rings of this process in this folder that request it. Returns the shortest time between two syncs that they
/// request; None if none does.
#[cfg(feature = "flusher")]
pub(crate) fn sync_rings(folder: &Folder) -> Option<Duration> {
    let is_one = |logger: &&Logger| logger.ring().header().sync_ms > 0 && logger.folder() == folder;
    let loggers = cells().filter_map(LoggerCell::made_here).filter(is_one);
    loggers
        .map(|logger| {
            // A failing disk is logged by the next flusher.
            let _ = logger.ring().sync();
            Duration::from_millis(logger.ring().header().sync_ms.into())
        })
        .min()
}
