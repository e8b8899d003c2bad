//! A logger: one ring, and the threads that write to it.

use crate::backlog::Backlog;
use crate::clock::{self, ANCHOR_TICKS, AnchorWriter};
use crate::complain::complain;
use crate::config::Builder;
use crate::directives::Directives;
use crate::error::{Error, Result};
use crate::filter::{ASK, Destination, Filter};
use crate::doorbell::Doorbell;
use crate::folder::Folder;
use crate::full::{self, FullPolicy, GaveUp};
use crate::holder::{Holder, HolderView};
use crate::lane::{Begun, Lane, Message, Origin, count_drop};
use crate::layout::{Control, LaneBlock, closed, encoding, lane_kind};
use crate::kept_level;
use crate::level::Level;
use crate::matched;
use crate::mutant::{self, Mutant};
use crate::record::{BodyWriter, extra_kind, split_extras};
use crate::ring::{Ring, RingSpec};
use crate::site::record_bytes_at;
use crate::spill::{LaneProgress, MESSAGE_MAX, SpillWriter};
use crate::sync::Ordering;
use crate::table::CallSiteRef;
use crate::sys::held::without_handlers;
use crate::sys::thread_lock::ThreadLock;
use crate::sys::{futex, process_page};
use crossbeam_utils::CachePadded;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

/// Longest wait for the files at a normal exit, and of [`crate::flush`].
pub(crate) const FLUSH_MAX: Duration = Duration::from_secs(2);
/// Targets of one place that are written to the table of call sites.
const TARGETS_MAX: u32 = 64;
/// Longest target and file, in bytes together, that are written there where they are chosen at each call.
const CHOSEN_MAX: usize = 1024;
/// Longest wait for an overflow lane, before a message is counted as lost. Its owner waits for room at most 100 ms; more
/// passes only where very many threads share the lanes and the processors.
const OVERFLOW_MAX: Duration = Duration::from_secs(1);
/// The same beside a flusher that has stood still for a whole wait, and still does: a process with many roles waits once.
const FLUSH_STILL: Duration = Duration::from_millis(20);
/// Longest wait at the end of a logger for calls of front ends that must lose no record, which may wait for room themselves, and
/// time between two looks.
const CALLS_MAX: Duration = Duration::from_secs(1);
const CALLS_LOOK: Duration = Duration::from_micros(50);
/// Longest wait at the end of a logger for log calls of other threads that are in the middle of an append.
const IN_USE_MAX: Duration = Duration::from_millis(20);
/// Pauses between two looks whether the ring of a closed logger is gone, the shortest and the longest.
const REMOVAL_PAUSE: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];
/// Wait for a flusher of another process, where none lives and this process never flushes itself.
const ALONE_MAX: Duration = Duration::from_millis(100);
/// The flusher sleeps and wants to hear of urgent records and filling lanes only.
#[cfg(feature = "flusher")]
pub(crate) const ARMED_URGENT: u32 = 1;
/// The flusher sleeps and wants to hear of the next record.
pub(crate) const ARMED_ANY: u32 = 2;

/// The heartbeat of the flusher during a whole wait for the files that ended without them, [`NOBODY`] where none lived, and 0
/// where there was no such wait.
static STOOD_STILL: AtomicU64 = AtomicU64::new(0);
const NOBODY: u64 = u64::MAX;

/// Counts the loggers that this program's memory has seen, so that ids of an earlier ring are never taken for ours.
static GENERATIONS: AtomicU32 = AtomicU32::new(0);

fn next_generation() -> u32 {
    if mutant::is(Mutant::SitesOverFork) { 1 } else { GENERATIONS.fetch_add(1, Ordering::Relaxed) + 1 }
}

/// A lane's place among those of threads.
pub(crate) type Seat = Mutex<Place>;

/// A lane between two threads.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Free for the next thread, with what its last owner knew.
    seat: Option<LaneSeat>,
    /// A thread has had the lane. What the ring itself says of that, somebody else may have changed, and a lane that is
    /// made twice has two producers.
    made: bool,
}

/// A lane and when its producer last gave up waiting.
#[derive(Debug)]
pub(crate) struct LaneSeat {
    pub(crate) number: usize,
    pub(crate) lane: Lane<'static>,
    pub(crate) gave_up: Option<GaveUp>,
    /// For what no file shows: it is always overwritten, and nobody waits for it.
    pub(crate) fine: bool,
}

/// The filter as it was at a generation of the ring's.
#[derive(Debug)]
struct KnownFilter {
    generation: u32,
    filter: Filter,
}

/// What was decided about a place, good as long as the key is the logger's; see [`Logger::decide`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) key: u64,
    pub(crate) destination: Option<Destination>,
}

/// An overflow lane: shared by the threads that have none of their own, one at a time.
type SharedLane = ThreadLock<LaneSeat>;

/// A process's logger for one role. It is never dropped, because any thread may be in the middle of a call; one that is closed
/// has given back all but some kilobytes.
#[derive(Debug)]
pub(crate) struct Logger {
    ring: Ring,
    folder: Folder,
    control: &'static Control,
    policy: FullPolicy,
    generation: u32,
    seats: Box<[CachePadded<Seat>]>,
    overflow: Box<[CachePadded<SharedLane>]>,
    /// The overflow lane of what no file shows, where such is recorded from the start.
    fine_overflow: Option<CachePadded<SharedLane>>,
    /// Lanes given back and not claimed again, a hint; the second number is of lanes for what no file shows.
    given_back: [AtomicUsize; 2],
    /// Lanes of threads for what no file shows.
    fine_lanes: AtomicUsize,
    known_filter: RwLock<KnownFilter>,
    anchors: AnchorWriter,
    spill: SpillWriter,
    backlog: Backlog,
    doorbell: Doorbell,
    holder: HolderView,
    /// What is logged from now on is not recorded any more.
    closed: AtomicBool,
    /// Calls of front ends that must lose no record to a close, see [`UsedLogger`].
    calls: AtomicUsize,
    builder: Builder,
    /// What the log is told first.
    first_line: Option<(Level, String)>,
    /// Call sites by address or hash, for all threads.
    sites: Mutex<KnownSites>,
}

/// Call sites that are in the ring's table, or were refused and are as many as the program has places.
#[derive(Debug, Default)]
struct KnownSites {
    ids: BTreeMap<u64, u32>,
    /// How many targets the places have whose target is chosen at each call.
    targets: BTreeMap<u64, u32>,
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
        let geometry = ring.geometry();
        if geometry != spec.geometry {
            let (size, wanted) = (geometry.file_size(), spec.geometry.file_size());
            let (slots, lanes, place) = (geometry.slots(), geometry.lanes(), ring.path().display());
            complain(format_args!(
                "no room for a ring of {wanted} bytes; {place} has {size}, {slots} slots in each of {lanes} lanes"
            ));
        }
        // A forked child, wherever it is by then, logs to the same folder.
        builder.settings.dir = Some(folder.path().to_owned());
        if builder.settings.rings.is_some() {
            builder.settings.rings = Some(folder.rings());
        }
        let own = geometry.lanes() - geometry.overflow_lanes();
        let fine_overflow = spec.records_finer();
        let shared = geometry.overflow_lanes() - usize::from(fine_overflow);
        // Now that whoever changes the level finds the ring.
        let first_line = if builder.heeds_kept { begin_as_kept(&ring, &folder, &spec) } else { None };
        let blocks = (0..geometry.lanes()).map(|lane| ring.block(lane));
        let backlog = Backlog::new(ring.path(), geometry, blocks, spec.backlog_max, spec.sync_ms > 0);
        Ok(Box::new(Logger {
            backlog,
            control: ring.control(),
            policy: spec.full,
            generation: next_generation(),
            seats: (0..own).map(|_| CachePadded::default()).collect(),
            overflow: (0..shared).map(|_| CachePadded::default()).collect(),
            fine_overflow: fine_overflow.then(CachePadded::default),
            given_back: [const { AtomicUsize::new(0) }; 2],
            fine_lanes: AtomicUsize::new(0),
            known_filter: RwLock::new(KnownFilter { generation: 0, filter: spec.filter }),
            anchors: AnchorWriter::default(),
            spill: SpillWriter::new(ring.entry()),
            doorbell,
            holder: if builder.flushes() || mutant::is(Mutant::LockOpenedInCall) { HolderView::opened_each_time(&folder) } else { HolderView::kept(&folder) },
            closed: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            builder,
            sites: Mutex::default(),
            first_line,
            ring,
            folder,
        }))
    }

    /// What is done once nothing can fail any more.
    pub(crate) fn settle_in(&mut self) {
        if self.builder.settings.sigbus_guard.unwrap_or(true) {
            self.ring.guard();
        }
        self.doorbell.ring();
    }

    /// Leaves nothing of a logger that nobody has seen.
    pub(crate) fn discard(self) {
        self.ring.discard();
    }

    /// Block of the overflow lane that losses without a lane are counted in.
    pub(crate) fn last_block(&self) -> &'static LaneBlock {
        self.ring.block(self.seats.len() + self.overflow.len() - 1)
    }

    /// Starts the threads that go with it.
    pub(crate) fn start(&'static self) {
        #[cfg(feature = "flusher")]
        {
            self.start_flusher();
            let (console, dev) = self.builder.console_shows();
            if console {
                crate::flush::console::start(self, dev);
            }
        }
    }

    /// Says what level the process begins with, where that is another than it asked for.
    pub(crate) fn say_first(&'static self) {
        let Some((level, text)) = &self.first_line else { return };
        record_bytes_at(self, *level, "lastwords", text.as_bytes(), Destination::Write);
    }

    /// Starts the thread that flushes its folder, where this process may.
    #[cfg(feature = "flusher")]
    pub(crate) fn start_flusher(&self) {
        if self.builder.flushes() {
            crate::flush::embedded::start(&self.folder);
        }
    }

    /// Whether this process made it, and not the one that it was forked from.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.ring.header().pid == std::process::id()
    }

    /// The same, without a system call; a child of vfork(2), which shares its parent's memory, is not told from it.
    pub(crate) fn is_of_this_memory(&self) -> bool {
        self.ring.header().pid == process_page::pid()
    }

    pub(crate) fn builder(&self) -> &Builder {
        &self.builder
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Where a record of this level goes; `ask` is called only where the level alone does not say it.
    #[inline(always)]
    pub(crate) fn admit(&self, level: Level, ask: impl FnOnce() -> Option<Destination>) -> Option<Destination> {
        let word = self.control.level.load(Ordering::Relaxed);
        if level.number() < word as u16 {
            None
        } else if word < ASK {
            Some(Destination::Write)
        } else {
            ask()
        }
    }

    /// The same for a target that nobody remembers.
    pub(crate) fn admit_target(&self, level: Level, target: &str) -> Option<Destination> {
        self.admit(level, || self.decide(level, target).destination)
    }

    /// What the key of a decision must be for it to be good.
    #[inline]
    pub(crate) fn decision_key(&self) -> u64 {
        self.key_of(self.control.filter_generation.load(Ordering::Acquire))
    }

    fn key_of(&self, filter_generation: u32) -> u64 {
        let filter_generation = if mutant::is(Mutant::DecisionKept) { 1 } else { filter_generation };
        u64::from(self.generation) << 34 | u64::from(filter_generation) << 2
    }

    /// Asks directives and record level. Never waits: while another thread reads a changed filter, levels decide, and
    /// nobody remembers it.
    #[cold]
    pub(crate) fn decide(&self, level: Level, target: &str) -> Decision {
        let now = self.control.filter_generation.load(Ordering::Acquire);
        let by = |known: &KnownFilter| {
            let (destination, matched) = known.filter.decide_by(level, target);
            if let Some(index) = matched {
                matched::note(&self.control.matched, known.generation, index);
            }
            Decision { key: self.key_of(known.generation), destination }
        };
        if let Some(decision) = self.known_filter.try_read().ok().filter(|known| known.generation == now).map(|known| by(&known)) {
            return decision;
        }
        if let Ok(mut known) = self.known_filter.try_write() {
            *known = KnownFilter { generation: now, filter: Filter::load(self.control) };
            return by(&known);
        }
        let written = u32::from(level.number()) >= self.control.write_level.load(Ordering::Relaxed);
        let destination = if written { Destination::Write } else { Destination::Fine };
        Decision { key: 0, destination: Some(destination) }
    }

    /// What is recorded now.
    pub(crate) fn filter(&self) -> Filter {
        Filter::load(self.control)
    }

    /// Changes what is written to the log files.
    pub(crate) fn set_directives(&self, directives: Directives) -> Result<()> {
        self.ring.set_filter(&Filter { directives, record: self.filter().record })
    }

    /// Longest body that a lane takes; a longer one is text, and spilled.
    pub(crate) fn message_size_max(&self) -> usize {
        self.ring.geometry().message_size_max()
    }

    /// Whether a full lane's oldest records give way at once.
    #[inline]
    pub(crate) fn overwrites(&self) -> bool {
        self.policy == FullPolicy::Overwrite
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Says that a call is in it.
    #[inline]
    pub(crate) fn used(&'static self) -> UsedLogger {
        self.calls.fetch_add(1, Ordering::SeqCst);
        UsedLogger(self)
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends it: what was logged before is drained, and the ring and all descriptors are given back. Other threads may be in the
    /// middle of a call, whose record is in the log or nowhere. The ring of a logger for which nobody flushes stays until
    /// somebody does.
    pub(crate) fn close(&self) -> Result<()> {
        let start = Instant::now();
        while self.calls.load(Ordering::SeqCst) > 0 && start.elapsed() < CALLS_MAX && !mutant::is(Mutant::CallsUnawaited) {
            std::thread::sleep(CALLS_LOOK);
        }
        // Should the process end meanwhile, that is none of this ring's.
        if !mutant::is(Mutant::ClosedAsDead) {
            self.ring.close(closed::EXIT, 0);
        }
        // Whatever is asked from here on is turned away at the first look.
        self.ring.turn_off();
        let start = Instant::now();
        while self.ring.is_in_use() && start.elapsed() < IN_USE_MAX {
            std::thread::yield_now();
        }
        let drained = self.flush(FLUSH_MAX);
        self.closed.store(true, Ordering::SeqCst);
        self.ring.leave();
        self.doorbell.ring();
        if drained.is_ok() {
            self.wait_for_removal(start);
        }
        self.doorbell.close();
        self.holder.close();
        self.backlog.close();
        drained
    }

    /// Nothing but the ring's name can be waited for: its memory is let go.
    fn wait_for_removal(&self, start: Instant) {
        let mut pause = REMOVAL_PAUSE[0];
        while self.ring.is_there() && start.elapsed() < FLUSH_MAX && !self.is_alone() {
            std::thread::sleep(pause);
            pause = REMOVAL_PAUSE[1].min(pause * 2);
            self.doorbell.ring();
        }
    }

    /// Writes a call site into the table; 0 if the table is full.
    fn register(&self, site: &CallSiteRef<'_>) -> u32 {
        self.ring.register(site).unwrap_or_else(|| {
            self.control.table_refused.fetch_add(1, Ordering::Relaxed);
            0
        })
    }

    /// The same, once for all threads. None if another thread is at it: this record then carries its place itself.
    pub(crate) fn register_shared(&self, hash: u64, site: &CallSiteRef<'_>) -> Option<u32> {
        let mut sites = self.sites.try_lock().ok()?;
        Some(*sites.ids.entry(hash).or_insert_with(|| self.register(site)))
    }

    /// The same for a target, or a file, that is chosen at each call. `place` is the rest. Where a place has more than
    /// [`TARGETS_MAX`] targets, or the table is full, each record carries its place itself: a program that names a target
    /// after each request would fill the table, and memory.
    pub(crate) fn register_chosen(&self, hash: u64, place: u64, site: &CallSiteRef<'_>) -> Option<u32> {
        if mutant::is(Mutant::EveryTarget) {
            return self.register_shared(hash, site);
        }
        let mut sites = self.sites.try_lock().ok()?;
        if let Some(id) = sites.ids.get(&hash) {
            return Some(*id);
        }
        let targets = sites.targets.get(&place).copied().unwrap_or(0);
        let is_long = site.target.len() + site.file.len() > CHOSEN_MAX;
        if targets == TARGETS_MAX || is_long || self.control.table_refused.load(Ordering::Relaxed) > 0 {
            return Some(0);
        }
        let id = self.register(site);
        if id != 0 {
            sites.ids.insert(hash, id);
            sites.targets.insert(place, targets + 1);
        }
        Some(id)
    }

    /// Takes a free lane for a thread. Never waits: a seat that another thread is looking at is passed over.
    pub(crate) fn claim(&self, fine: bool, thread: u32, name: &[u8]) -> Option<LaneSeat> {
        let kind = if fine { lane_kind::FINE } else { lane_kind::WRITE };
        for (number, seat) in self.seats.iter().enumerate() {
            let Ok(mut place) = seat.try_lock() else { continue };
            // A lane is of one kind for good: what the flusher was not to see would follow what it is to see.
            let taken = place.seat.take_if(|seat| seat.fine == fine || mutant::is(Mutant::LaneKindMixed));
            if taken.is_some() {
                let given_back = &self.given_back[usize::from(fine)];
                let _ = given_back.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lanes| lanes.checked_sub(1));
            }
            if let Some(mut taken) = taken.or_else(|| self.fresh_lane(number, fine, &mut place.made)) {
                taken.lane.claim(kind, thread, name);
                return Some(taken);
            }
        }
        None
    }

    /// A lane that no thread has had yet.
    fn fresh_lane(&self, number: usize, fine: bool, made: &mut bool) -> Option<LaneSeat> {
        if *made {
            return None;
        }
        if fine {
            // The other half is for what the files show.
            let room = |lanes| (lanes < self.seats.len() / 2).then_some(lanes + 1);
            self.fine_lanes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        }
        *made = true;
        Some(LaneSeat { number, lane: self.ring.lane(number), gave_up: None, fine })
    }

    /// Gives a thread's lane back for the next thread.
    pub(crate) fn release(&self, seat: LaneSeat) {
        let (place, fine) = (&self.seats[seat.number], seat.fine);
        if let Ok(mut place) = place.lock() {
            place.seat = Some(seat);
            self.given_back[usize::from(fine)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a thread without a lane may find one now.
    #[inline]
    pub(crate) fn has_free_lane(&self, fine: bool) -> bool {
        self.given_back[usize::from(fine)].load(Ordering::Relaxed) > 0
    }

    /// Writes a message that no file shows, for a thread that has no lane for it. It gives way to others: nothing that
    /// is to be counted is lost with it.
    #[cold]
    pub(crate) fn write_shared_fine(&self, message: &Message<'_>) {
        let Some(shared) = &self.fine_overflow else { return };
        let number = self.seats.len() + self.overflow.len();
        let fresh = || LaneSeat { number, lane: self.ring.lane(number), gave_up: None, fine: true };
        shared.with(message.origin.thread, Instant::now(), fresh, |seat, left| self.write_after(left, seat, message));
    }

    /// Writes a message into a shared lane, whose last owner may have ended in the middle of something.
    fn write_after(&self, left: bool, seat: &mut LaneSeat, message: &Message<'_>) {
        if left {
            seat.lane.catch_up();
        }
        self.write(seat, message);
    }

    /// Writes a message for a thread that has no lane, or is inside of a log call already.
    #[cold]
    pub(crate) fn write_shared(&self, message: &Message<'_>) {
        let lanes = self.overflow.len();
        let limit = Instant::now() + OVERFLOW_MAX;
        for index in 0..lanes {
            // Each thread begins at another lane; a further one is for a handler that interrupted the first one's owner.
            let index = (message.origin.thread as usize + index) % lanes;
            let number = self.seats.len() + index;
            let fresh = || LaneSeat { number, lane: self.ring.lane(number), gave_up: None, fine: false };
            let write = |seat: &mut LaneSeat, left| self.write_after(left, seat, message);
            if self.overflow[index].with(message.origin.thread, limit, fresh, write).is_some() {
                return;
            }
        }
        self.control.unplaced.fetch_add(1, Ordering::Relaxed);
        // Told in the log as a loss of the lane that could not be had.
        count_drop(self.last_block(), clock::now());
    }

    /// Writes a message into a lane, with the full-ring policy where there is no room.
    #[inline]
    pub(crate) fn write(&self, seat: &mut LaneSeat, message: &Message<'_>) {
        if message.body.len() > seat.lane.message_size_max() {
            return self.write_spilled(seat, message);
        }
        let slots = seat.lane.slots_for(message.body.len());
        if !seat.fine && !seat.lane.has_room(slots) && !self.make_room(seat, slots) {
            return;
        }
        let now = seat.lane.append(clock::now, message);
        self.after_append(seat, message.origin.level, now);
    }

    /// Writes the message whose body of `length` bytes stands in the lane's staging to the slot that was begun.
    #[inline(always)]
    pub(crate) fn finish(&self, seat: &mut LaneSeat, begun: Begun<'static>, origin: &Origin, length: usize) {
        let now = seat.lane.finish(begun, origin, length);
        self.after_append(seat, origin.level, now);
    }

    #[inline]
    fn after_append(&self, seat: &mut LaneSeat, level: u16, now: u64) {
        // Pairs with the flusher's store of `armed` before its last look: LANE:B is between that look and this load.
        let armed = self.control.armed.load(Ordering::SeqCst);
        if armed != 0 && !seat.fine && (armed == ARMED_ANY || level >= Level::ERROR.number() || seat.lane.seems_filling()) {
            self.wake_flusher(armed, seat, level);
        }
        // Without a sign: an anchor that is ahead, because the clock went back, is far away too.
        let age = now.wrapping_sub(self.control.newest_anchor.load(Ordering::Relaxed));
        if age > ANCHOR_TICKS {
            self.anchors.write(now, &self.control.anchors, &self.control.newest_anchor);
            self.look_for_thread();
        }
    }

    /// Where there was no thread to be had for the flusher, there may be one now; and it may have left something to be said.
    fn look_for_thread(&self) {
        #[cfg(feature = "flusher")]
        {
            if crate::flush::embedded::lacks_thread() {
                crate::flush::embedded::try_again();
            }
            crate::complain::say_left();
        }
    }

    /// False if the message was dropped.
    #[cold]
    #[inline(never)]
    fn make_room(&self, seat: &mut LaneSeat, slots: u64) -> bool {
        if self.is_closed() {
            return false;
        }
        // Nobody makes room in a truncated ring, and what is kept of it would be anything.
        if self.overwrites() || self.ring.is_hit() {
            return true;
        }
        let blocks = self.policy == FullPolicy::Block;
        if blocks && !crate::thread::is_flusher() {
            self.look_for_thread();
            let LaneSeat { number, lane, gave_up, .. } = &mut *seat;
            let (enough, ring) = (self.backlog.enough(*number), || self.doorbell.ring());
            full::wait_for_room(lane, slots, enough, gave_up, self.control, &self.holder, ring);
        }
        while !seat.lane.has_room(slots) {
            if self.is_closed() {
                return false;
            }
            if self.keep(seat) {
                continue;
            }
            if let Some(gave_up) = &mut seat.gave_up {
                gave_up.overwrites();
            }
            if !blocks {
                count_drop(self.ring.block(seat.number), clock::now());
                self.ring_if_armed();
            }
            return blocks;
        }
        true
    }

    /// Keeps slots of a full lane in a backlog segment. False if that cannot be.
    fn keep(&self, seat: &mut LaneSeat) -> bool {
        without_handlers(|| self.keep_now(seat))
    }

    fn keep_now(&self, seat: &mut LaneSeat) -> bool {
        let settled = seat.lane.settled();
        let Some(first) = self.backlog.keep(seat.number, &mut seat.lane) else { return false };
        if first > settled + 1 {
            // What was overwritten before, when nothing could be kept.
            self.spill.forget_overwritten(seat.number, settled + 1..first);
        }
        true
    }

    /// A message that does not fit the ring goes to a spill file; where that cannot be, and beyond the longest message,
    /// it is cut and says so.
    #[cold]
    fn write_spilled(&self, seat: &mut LaneSeat, message: &Message<'_>) {
        if self.is_closed() {
            return;
        }
        if message.body.len() > MESSAGE_MAX {
            return self.write_cut(seat, message, MESSAGE_MAX);
        }
        if !seat.fine && !seat.lane.has_room(1) && !self.make_room(seat, 1) {
            return;
        }
        let place = (seat.number, seat.lane.committed() + 1);
        match self.spill.write(message.body, message.origin.encoding, place, |lane| self.progress(lane)) {
            Some(reference) => {
                let body = reference.to_bytes();
                let origin = Origin { encoding: encoding::SPILLED, ..message.origin };
                self.write(seat, &Message { origin, body: &body });
                #[cfg(feature = "mutants")]
                if mutant::is(Mutant::SpillLate) {
                    self.spill.write_late(reference.number, message.body);
                }
            }
            None => self.write_cut(seat, message, seat.lane.message_size_max()),
        }
    }

    fn progress(&self, lane: usize) -> LaneProgress {
        let block = self.ring.block(lane);
        let released = block.consumer.released.load(Ordering::Acquire);
        let agrees = block.consumer.released_inverted.load(Ordering::Acquire) == !released;
        // In this order: who sees a slot reserved for the next lap sees that the one before was kept.
        let reserved = block.reserved.load(Ordering::Acquire);
        let kept = if mutant::is(Mutant::KeptSpillRemoved) { 0 } else { self.backlog.kept(lane) };
        LaneProgress {
            released: if agrees { released } else { 0 },
            kept,
            overwritten: reserved.saturating_sub(self.ring.geometry().slots()),
        }
    }

    #[cold]
    fn write_cut(&self, seat: &mut LaneSeat, message: &Message<'_>, room: usize) {
        self.control.cut.fetch_add(1, Ordering::Relaxed);
        // Its fields go first, so that as much as possible of the text is kept.
        let (text, _) = split_extras(message.body, message.origin.encoding);
        let mut body = text[..char_boundary(text, room - 32)].to_vec();
        let length = (message.body.len() as u64).to_le_bytes();
        let encoding = BodyWriter::after_text(&mut body).extra(extra_kind::CUT, &length).finish();
        self.write(seat, &Message { origin: Origin { encoding, ..message.origin }, body: &body });
    }

    #[cold]
    fn wake_flusher(&self, armed: u32, seat: &mut LaneSeat, level: u16) {
        let urgent = level >= Level::ERROR.number();
        if armed == ARMED_ANY || urgent || seat.lane.is_filling() {
            self.ring_if_armed();
        }
    }

    fn ring_if_armed(&self) {
        if self.control.armed.swap(0, Ordering::SeqCst) != 0 {
            self.doorbell.ring();
        }
    }

    /// Wakes the flusher, whatever it waits for.
    #[cfg(feature = "flusher")]
    pub(crate) fn ring_doorbell(&self) {
        self.doorbell.ring();
    }

    /// Whether nobody is there who would flush.
    fn is_alone(&self) -> bool {
        !self.builder.flushes() && !self.holder.may_live()
    }

    /// Waits until everything that was logged before is in the log file.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<()> {
        if crate::thread::is_flusher() {
            return Ok(());
        }
        self.look_for_thread();
        if self.ring.is_hit() {
            return Err(Error::RingCut { path: self.ring.path().to_owned() });
        }
        let written = |lane: &usize| self.ring.block(*lane).kind.load(Ordering::Relaxed) != lane_kind::FINE;
        let lanes = (0..self.ring.geometry().lanes()).filter(written);
        let targets: Vec<(usize, u64)> = lanes
            .map(|lane| (lane, self.ring.block(lane).head.load(Ordering::Acquire)))
            .filter(|(_, head)| *head > 0)
            .collect();
        let written = |(lane, head): &(usize, u64)| {
            let consumer = &self.ring.block(*lane).consumer;
            let value = consumer.written.load(Ordering::Acquire);
            value >= *head && consumer.written_inverted.load(Ordering::Acquire) == !value
        };
        let start = Instant::now();
        if targets.iter().all(written) || self.wait_until(timeout, || targets.iter().all(written)) {
            return Ok(());
        }
        Err(self.flush_timeout(start.elapsed()))
    }

    /// Waits for the flusher until `done`, which is returned.
    fn wait_until(&self, timeout: Duration, done: impl Fn() -> bool) -> bool {
        let beat = || self.holder.heartbeat().unwrap_or(NOBODY);
        let (start, before) = (Instant::now(), beat());
        let mut still = before == STOOD_STILL.load(Ordering::Relaxed);
        self.control.waiters.fetch_add(1, Ordering::SeqCst);
        let done = loop {
            let seen = self.control.progress.load(Ordering::SeqCst);
            // One that another thread closes is drained by that.
            if done() || self.is_closed() {
                break true;
            }
            let waited = start.elapsed();
            still = still && !(waited >= FLUSH_STILL && beat() != before);
            if waited >= timeout || (still && waited >= FLUSH_STILL) || (waited > ALONE_MAX && self.is_alone()) {
                break false;
            }
            self.doorbell.ring();
            futex::wait(&self.control.progress, seen, (timeout - waited).min(FLUSH_STILL));
        };
        self.control.waiters.fetch_sub(1, Ordering::SeqCst);
        if !done && start.elapsed() >= FLUSH_MAX {
            STOOD_STILL.store(if beat() == before { before } else { 0 }, Ordering::Relaxed);
        }
        done
    }

    /// What was waited for in vain.
    fn flush_timeout(&self, waited: Duration) -> Error {
        let flusher = match self.holder.named().filter(|_| self.holder.may_live()) {
            None => "nobody flushes the folder: start `lastwords flush`, or a process that may flush".to_owned(),
            Some(holder) => {
                let ms = clock::boottime_ns().saturating_sub(holder.heartbeat_ns) / 1_000_000;
                // A process that never flushes may live in a sandbox in which opening a file ends it.
                let state = if self.builder.flushes() { standstill(&holder) } else { None };
                let state = state.map_or_else(String::new, |state| format!("; it is {state}"));
                format!("its flusher is pid {}, whose last pass was {ms} ms ago{state}", holder.process.pid)
            }
        };
        Error::FlushTimeout { waited, file: self.folder.log_file(&self.builder.role), flusher }
    }
}

/// Has a ring that was just made begin with what `lastwords level --keep` has left for its role. Returns what the log is to
/// say of that. What cannot be read, or written, keeps nobody from logging as it was set up.
fn begin_as_kept(ring: &Ring, folder: &Folder, spec: &RingSpec) -> Option<(Level, String)> {
    let (role, pid) = (&spec.role, ring.header().pid);
    let begun = kept_level::at_start(folder, role).and_then(|found| {
        // The lock is held until the ring says it.
        let Some((kept, _lock)) = found else { return Ok(None) };
        let filter = kept.over(&spec.filter);
        let changes = spec.filter.changes_to(&filter);
        if changes.is_empty() {
            return Ok(None);
        }
        ring.set_filter(&filter)?;
        let user = kept.user;
        Ok(Some(format!("lastwords: level of pid {pid} is what user {user} chose (lastwords level {role} --keep): {changes}")))
    });
    match begun {
        Ok(text) => Some((Level::INFO, text?)),
        Err(error) => {
            let text = format!("what `lastwords level {role} --keep` has left does not count: {error}");
            complain(format_args!("{text}"));
            Some((Level::WARNING, format!("lastwords: {text}")))
        }
    }
}

/// Why a flusher makes no pass and what to do, where that can be told.
#[cfg(feature = "flusher")]
fn standstill(holder: &Holder) -> Option<String> {
    let standstill = crate::flush::standstill::Standstill::of_holder(holder)?;
    Some(format!("{}: {}", standstill.name(), standstill.advice()))
}

#[cfg(not(feature = "flusher"))]
fn standstill(_: &Holder) -> Option<String> {
    None
}

/// The last place at or before `at` where no UTF-8 sequence is split.
fn char_boundary(text: &[u8], at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (at.saturating_sub(3)..=at).rev().find(|end| text[*end] & 0xc0 != 0x80).unwrap_or(at)
}
