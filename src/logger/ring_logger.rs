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
use lastwords_ring::place::capture_file::{CaptureFile, SIZE, SIZE_WITH_OTHERS};
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

/// When a logger is closed: longest wait for calls of front ends that must lose no record, which may wait for room themselves,
/// and time between two checks.
const CALLS_MAX: Duration = Duration::from_secs(1);
const CALLS_LOOK: Duration = Duration::from_micros(50);
/// When a logger is closed: longest wait for log calls of other threads that are in the middle of an append.
const IN_USE_MAX: Duration = Duration::from_millis(20);
/// Shortest and longest pause between two checks whether the ring of a closed logger is gone.
const REMOVAL_PAUSE: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];

/// Counts the loggers in this program's memory, so that ids of an earlier ring are never taken for ours.
static GENERATIONS: AtomicU32 = AtomicU32::new(0);

fn next_generation() -> u32 {
    if mutant::is(Mutant::SitesOverFork) { 1 } else { GENERATIONS.fetch_add(1, Ordering::Relaxed) + 1 }
}

/// A process's logger for one role. It is never dropped, because any thread may be in the middle of a call; a closed one has
/// released all but some kilobytes.
#[derive(Debug)]
pub(crate) struct Logger {
    pub(crate) appender: Appender,
    pub(crate) filter: LiveFilter,
    pub(crate) call_sites: CallSites,
    lanes: Lanes,
    generation: u32,
    first_site_word: u64,
    folder: Folder,
    builder: Builder,
    /// Where a fatal signal leaves what it interrupted, if that is wanted.
    capture: Option<CaptureFile>,
    /// The first line of the log.
    first_line: Option<(Level, String)>,
    /// Calls of front ends that must lose no record because of a close, see [`UsedLogger`].
    calls: AtomicUsize,
}

/// A logger during a call; a close that begins meanwhile waits for it.
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
    /// Creates a ring and everything needed to write to it.
    pub(crate) fn create(mut builder: Builder) -> Result<Box<Logger>> {
        let (spec, stack) = (builder.ring_spec()?, builder.stack_captured()?);
        let folder = builder.make_folder(spec.access)?;
        builder.keep_zone(&folder)?;
        let doorbell = Doorbell::open(&folder)?;
        // The last step that may fail, so that no ring is left that looks like a crash.
        let ring = Ring::create(&folder, &spec)?;
        complain_of_smaller(&ring, &spec);
        // A forked child logs to the same folder, even after a chdir or chroot.
        builder.settings.dir = Some(folder.path().to_owned());
        if builder.settings.rings.is_some() {
            builder.settings.rings = Some(folder.rings());
        }
        // From here on `lastwords level` finds the ring.
        let first_line = if builder.heeds_kept { begin_as_kept(&ring, &folder, &spec) } else { None };
        let (geometry, generation) = (ring.geometry(), next_generation());
        let blocks = (0..geometry.lanes()).map(|lane| ring.block(lane));
        let backlog = Backlog::new(ring.path(), geometry, blocks, spec.backlog_max, spec.sync_ms > 0);
        let holder = if builder.flushes() || mutant::is(Mutant::LockOpenedInCall) {
            HolderView::opened_each_time(&folder)
        } else {
            HolderView::kept(&folder)
        };
        let (captures, of_threads) = (builder.settings.crash_capture, builder.settings.crash_threads);
        let capture =
            if captures.unwrap_or(true) { capture_beside(&ring, of_threads == Some(true), stack) } else { None };
        Ok(Box::new(Logger {
            capture,
            lanes: Lanes::new(geometry, spec.records_ring_only()),
            filter: LiveFilter::new(ring.control(), generation, spec.filter),
            appender: Appender::new(DrainedRing::new(ring, doorbell, holder, builder.flushes()), spec.full, backlog),
            call_sites: CallSites::default(),
            generation,
            first_site_word: u64::from(generation) << 32 | 1,
            folder,
            builder,
            first_line,
            calls: AtomicUsize::new(0),
        }))
    }

    /// The steps after which nothing can fail any more.
    pub(crate) fn finish_init(&mut self) {
        let drained = &mut self.appender.drained;
        if self.builder.settings.sigbus_guard.unwrap_or(true) {
            drained.ring.guard();
        }
        drained.doorbell.ring();
    }

    /// Removes everything of a logger that was never published.
    pub(crate) fn discard(self) {
        self.capture.inspect(CaptureFile::close);
        self.appender.drained.ring.discard();
    }

    /// Block of the overflow lane in which losses without a lane are counted.
    pub(crate) fn last_block(&self) -> &'static LaneBlock {
        self.ring().block(self.lanes.last_written())
    }

    /// The first line of the log, with its level: the initial level, if it differs from the configured one.
    pub(crate) fn first_line(&self) -> Option<&(Level, String)> {
        self.first_line.as_ref()
    }

    /// Whether this process created it, and not the one that it was forked from.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.ring().header().pid == std::process::id()
    }

    /// Whether it was created by the process of this memory, without a system call; a child of vfork(2), which shares its
    /// parent's memory, is not distinguished.
    pub(crate) fn is_of_this_memory(&self) -> bool {
        self.ring().header().pid == process_page::pid()
    }

    pub(crate) fn builder(&self) -> &Builder {
        &self.builder
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Where a fatal signal leaves what it interrupted. Safe in a signal handler.
    pub(crate) fn capture_file(&self) -> Option<&CaptureFile> {
        self.capture.as_ref()
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.appender.drained.ring
    }

    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// The generation in the high half, and the first id of a call site.
    #[inline(always)]
    pub(crate) fn first_site_word(&self) -> u64 {
        self.first_site_word
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

    /// Leaves it to the flusher thread to fault in what the process's first thread will write to.
    #[cfg(feature = "flusher")]
    pub(crate) fn leave_first_lane(&self) {
        self.lanes.leave_first();
    }

    /// Faults in what the next thread will write to. Called by the flusher thread, again and again.
    #[cfg(feature = "flusher")]
    pub(crate) fn prefault_ahead(&self) {
        if !self.is_closed() {
            self.lanes.prefault_ahead(self.ring());
        }
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

    /// Writes a message for a thread that has no lane, or is already inside a log call.
    #[cold]
    pub(crate) fn write_shared(&self, destination: Destination, message: &Message<'_>) {
        let (thread, write) = (message.origin.thread, |owned: &mut OwnedLane| self.appender.write(owned, message));
        let is_written = self.lanes.with_overflow(self.ring(), destination, thread, write);
        // The loss of a ring-only record is not counted: other records take precedence.
        if !is_written && destination == Destination::Write {
            self.appender.drained.control.unplaced.fetch_add(1, Ordering::Relaxed);
            // Logged as a loss of the overflow lane.
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

    /// Notes that a call uses it.
    #[inline]
    pub(crate) fn used(&'static self) -> UsedLogger {
        self.calls.fetch_add(1, Ordering::SeqCst);
        UsedLogger(self)
    }

    /// Closes it: what was logged before is drained, and the ring and all descriptors are released. Other threads may be in the
    /// middle of a call, whose record is either in the log or lost. Without a flusher the ring stays until there is one.
    pub(crate) fn close(&self) -> Result<()> {
        let DrainedRing { ring, doorbell, holder, .. } = &self.appender.drained;
        self.wait_for_calls();
        // Should the process end meanwhile, that does not concern this ring.
        if !mutant::is(Mutant::ClosedAsDead) {
            ring.close(closed::EXIT, 0);
        }
        self.capture_file().inspect(|file| file.close());
        // All later calls are rejected by the level check.
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

    /// Only the ring's name can be waited for: its memory was released.
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

/// The file for a capture, with room for the other threads where that is asked for and to be had. Without a file the logger does
/// all else.
fn capture_beside(ring: &Ring, of_threads: bool, stack: u32) -> Option<CaptureFile> {
    let create = |size| CaptureFile::create(ring.entry(), size, stack);
    if of_threads {
        match create(SIZE_WITH_OTHERS) {
            Ok(file) => return Some(file),
            Err(error) => complain(format_args!("a crash will be captured without other threads: {error}")),
        }
    }
    let made = create(SIZE);
    made.inspect_err(|error| complain(format_args!("a crash will not be captured: {error}"))).ok()
}

/// Reports that the requested ring did not fit.
fn complain_of_smaller(ring: &Ring, spec: &RingSpec) {
    let geometry = ring.geometry();
    if geometry != spec.geometry {
        let (size, wanted) = (geometry.file_size(), spec.geometry.file_size());
        let (slots, lanes, place) = (geometry.slots(), geometry.lanes(), ring.path().display());
        complain(format_args!(
            "no room for a ring of {wanted} bytes and as much for others; {place} has {size}, {slots} slots in each of {lanes} lanes"
        ));
    }
}
