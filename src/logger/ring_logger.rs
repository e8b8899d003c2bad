//! A logger: one ring, and the threads that write to it.

use crate::config::builder::Builder;
use crate::logger::append::Appender;
use crate::logger::call_sites::CallSites;
use crate::logger::drained_ring::{DrainedRing, look_for_thread};
use crate::logger::flush_wait::{FLUSH_MAX, FlushWait};
use crate::logger::kept_level::begin_as_kept;
use crate::logger::lane_pool::OwnedLane;
use crate::logger::lanes::Lanes;
use crate::logger::live_filter::LiveFilter;
use crate::logger::own_thread;
use lastwords_ring::atomics::Ordering;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::layout::{LaneBlock, closed};
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use lastwords_ring::place::doorbell::Doorbell;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::HolderView;
use lastwords_ring::place::stderr::complain;
use lastwords_ring::sys::process_page;
use lastwords_ring::write::backlog::Backlog;
use lastwords_ring::write::lane::{Message, count_drop};
use lastwords_ring::write::ring::{Ring, RingSpec};
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::time::{Duration, Instant};

/// Longest wait at the end of a logger for calls of front ends that must lose no record, which may wait for room themselves, and
/// time between two looks.
const CALLS_MAX: Duration = Duration::from_secs(1);
const CALLS_LOOK: Duration = Duration::from_micros(50);
/// Longest wait at the end of a logger for log calls of other threads that are in the middle of an append.
const IN_USE_MAX: Duration = Duration::from_millis(20);
/// Pauses between two looks whether the ring of a closed logger is gone, the shortest and the longest.
const REMOVAL_PAUSE: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];

/// Counts the loggers that this program's memory has seen, so that ids of an earlier ring are never taken for ours.
static GENERATIONS: AtomicU32 = AtomicU32::new(0);

fn next_generation() -> u32 {
    if mutant::is(Mutant::SitesOverFork) { 1 } else { GENERATIONS.fetch_add(1, Ordering::Relaxed) + 1 }
}

/// A process's logger for one role. It is never dropped, because any thread may be in the middle of a call; one that is closed
/// has given back all but some kilobytes.
#[derive(Debug)]
pub(crate) struct Logger {
    pub(crate) appender: Appender,
    pub(crate) filter: LiveFilter,
    pub(crate) call_sites: CallSites,
    lanes: Lanes,
    generation: u32,
    folder: Folder,
    builder: Builder,
    /// What the log is told first.
    first_line: Option<(Level, String)>,
    /// Calls of front ends that must lose no record to a close, see [`UsedLogger`].
    calls: AtomicUsize,
}

/// A logger during a call, which a close that begins meanwhile waits for.
#[derive(Debug)]
pub(crate) struct UsedLogger(&'static Logger);

impl UsedLogger {
    #[inline]
    pub(crate) fn get(&self) -> &'static Logger {
        self.0
    }
}

impl std::ops::Deref for UsedLogger {
    type Target = Logger;

    #[inline]
    fn deref(&self) -> &Logger {
        self.0
    }
}

impl Drop for UsedLogger {
    #[inline]
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Release);
    }
}

impl Logger {
    /// Makes a ring and everything that writing to it takes.
    pub(crate) fn create(mut builder: Builder) -> Result<Box<Logger>> {
        let spec = builder.ring_spec()?;
        let folder = builder.make_folder(spec.access)?;
        builder.keep_zone(&folder)?;
        let doorbell = Doorbell::open(&folder)?;
        // Last of what may fail, so that no ring is left that looks like a crash.
        let ring = Ring::create(&folder, &spec)?;
        complain_of_smaller(&ring, &spec);
        // A forked child, wherever it is by then, logs to the same folder.
        builder.settings.dir = Some(folder.path().to_owned());
        if builder.settings.rings.is_some() {
            builder.settings.rings = Some(folder.rings());
        }
        // Now that whoever changes the level finds the ring.
        let first_line = if builder.heeds_kept { begin_as_kept(&ring, &folder, &spec) } else { None };
        let (geometry, generation) = (ring.geometry(), next_generation());
        let blocks = (0..geometry.lanes()).map(|lane| ring.block(lane));
        let backlog = Backlog::new(ring.path(), geometry, blocks, spec.backlog_max, spec.sync_ms > 0);
        let holder = if builder.flushes() || mutant::is(Mutant::LockOpenedInCall) {
            HolderView::opened_each_time(&folder)
        } else {
            HolderView::kept(&folder)
        };
        Ok(Box::new(Logger {
            lanes: Lanes::new(geometry, spec.records_ring_only()),
            filter: LiveFilter::new(ring.control(), generation, spec.filter),
            appender: Appender::new(DrainedRing::new(ring, doorbell, holder, builder.flushes()), spec.full, backlog),
            call_sites: CallSites::default(),
            generation,
            folder,
            builder,
            first_line,
            calls: AtomicUsize::new(0),
        }))
    }

    /// What is done once nothing can fail any more.
    pub(crate) fn settle_in(&mut self) {
        let drained = &mut self.appender.drained;
        if self.builder.settings.sigbus_guard.unwrap_or(true) {
            drained.ring.guard();
        }
        drained.doorbell.ring();
    }

    /// Leaves nothing of a logger that nobody has seen.
    pub(crate) fn discard(self) {
        self.appender.drained.ring.discard();
    }

    /// Block of the overflow lane that losses without a lane are counted in.
    pub(crate) fn last_block(&self) -> &'static LaneBlock {
        self.ring().block(self.lanes.last_written())
    }

    /// What the log is told first, with its level: what level the process begins with, where that is another than it asked for.
    pub(crate) fn first_line(&self) -> Option<&(Level, String)> {
        self.first_line.as_ref()
    }

    /// Whether this process made it, and not the one that it was forked from.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.ring().header().pid == std::process::id()
    }

    /// Whether it was made by the process of this memory, without a system call; a child of vfork(2), which shares its parent's memory, is not told from it.
    pub(crate) fn is_of_this_memory(&self) -> bool {
        self.ring().header().pid == process_page::pid()
    }

    pub(crate) fn builder(&self) -> &Builder {
        &self.builder
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.appender.drained.ring
    }

    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.appender.drained.is_closed()
    }

    /// Longest body that a lane takes; a longer one is text, and spilled.
    pub(crate) fn message_size_max(&self) -> usize {
        self.ring().geometry().message_size_max()
    }

    /// Wakes the flusher, whatever it waits for.
    #[cfg(feature = "flusher")]
    pub(crate) fn ring_doorbell(&self) {
        self.appender.drained.doorbell.ring();
    }

    /// Takes a free lane for a thread, to be given back when that ends.
    pub(crate) fn claim(&self, destination: Destination, thread: u32, name: &[u8]) -> Option<OwnedLane> {
        self.lanes.claim(self.ring(), destination, thread, name)
    }

    /// Gives a thread's lane back for the next thread.
    pub(crate) fn give_back(&self, owned: OwnedLane) {
        self.lanes.give_back(owned);
    }

    /// Whether a thread without a lane may find one now.
    #[inline]
    pub(crate) fn has_free_lane(&self, destination: Destination) -> bool {
        self.lanes.has_free(destination)
    }

    /// Writes a message for a thread that has no lane, or is inside of a log call already.
    #[cold]
    pub(crate) fn write_shared(&self, destination: Destination, message: &Message<'_>) {
        let (thread, write) = (message.origin.thread, |owned: &mut OwnedLane| self.appender.write(owned, message));
        let is_written = self.lanes.with_overflow(self.ring(), destination, thread, write);
        // Ring-only records give way to others: no loss of theirs is counted.
        if !is_written && destination == Destination::Write {
            self.appender.drained.control.unplaced.fetch_add(1, Ordering::Relaxed);
            // Told in the log as a loss of the lane that could not be had.
            count_drop(self.last_block(), clock::now());
        }
    }

    /// Waits until everything that was logged before is in the log file.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<()> {
        if own_thread::is_own() {
            return Ok(());
        }
        look_for_thread();
        let ring = self.ring();
        if ring.is_hit() {
            return Err(Error::RingCut { path: ring.path().to_owned() });
        }
        let wait = FlushWait::begin(&self.appender.drained);
        if wait.wait(timeout) { Ok(()) } else { Err(wait.error(self.folder.log_file(&self.builder.role))) }
    }

    /// Says that a call is in it.
    #[inline]
    pub(crate) fn used(&'static self) -> UsedLogger {
        self.calls.fetch_add(1, Ordering::SeqCst);
        UsedLogger(self)
    }

    /// Ends it: what was logged before is drained, and the ring and all descriptors are given back. Other threads may be in the
    /// middle of a call, whose record is in the log or nowhere. The ring of a logger for which nobody flushes stays until
    /// somebody does.
    pub(crate) fn close(&self) -> Result<()> {
        let DrainedRing { ring, doorbell, holder, .. } = &self.appender.drained;
        self.wait_for_calls();
        // Should the process end meanwhile, that is none of this ring's.
        if !mutant::is(Mutant::ClosedAsDead) {
            ring.close(closed::EXIT, 0);
        }
        // Whatever is asked from here on is turned away at the first look.
        ring.turn_off();
        let start = Instant::now();
        while ring.is_in_use() && start.elapsed() < IN_USE_MAX {
            std::thread::yield_now();
        }
        let flushed = self.flush(FLUSH_MAX);
        self.appender.drained.leave();
        if flushed.is_ok() {
            self.wait_for_removal(start);
        }
        doorbell.close();
        holder.close();
        self.appender.backlog.close();
        flushed
    }

    fn wait_for_calls(&self) {
        let start = Instant::now();
        let is_due = || start.elapsed() < CALLS_MAX && !mutant::is(Mutant::CallsUnawaited);
        while self.calls.load(Ordering::SeqCst) > 0 && is_due() {
            std::thread::sleep(CALLS_LOOK);
        }
    }

    /// Nothing but the ring's name can be waited for: its memory is let go.
    fn wait_for_removal(&self, start: Instant) {
        let drained = &self.appender.drained;
        let mut pause = REMOVAL_PAUSE[0];
        while drained.ring.is_there() && start.elapsed() < FLUSH_MAX && !drained.is_alone() {
            std::thread::sleep(pause);
            pause = REMOVAL_PAUSE[1].min(pause * 2);
            drained.doorbell.ring();
        }
    }
}

/// Says so where there was no room for the ring that was requested.
fn complain_of_smaller(ring: &Ring, spec: &RingSpec) {
    let geometry = ring.geometry();
    if geometry != spec.geometry {
        let (size, wanted) = (geometry.file_size(), spec.geometry.file_size());
        let (slots, lanes, place) = (geometry.slots(), geometry.lanes(), ring.path().display());
        complain(format_args!(
            "no room for a ring of {wanted} bytes; {place} has {size}, {slots} slots in each of {lanes} lanes"
        ));
    }
}
