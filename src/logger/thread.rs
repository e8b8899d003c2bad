//! A thread's own lanes: claimed at its first record of either destination, released when it ends.
//!
//! Formatting happens before the slot is opened, into a buffer of the thread's own, so that no user code runs while a slot is
//! open. A call inside another one (from a `Display`, or from a signal handler), a thread that found no lane, and a thread
//! whose locals are already gone use an overflow lane.

use crate::logger::lane_pool::OwnedLane;
use crate::logger::record::{RecordBody, RecordHead};
use crate::logger::ring_logger::Logger;
use crate::logger::site_entry::SiteEntry;
use crate::sys::alternate_stack::AlternateStack;
use crate::sys::frame;
use crate::sys::local::of_thread;
use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::layout::{SLOT_WORDS_MAX, encoding};
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use lastwords_ring::sys::process_page;
use lastwords_ring::write::arguments::{Values, body_words, encoding_of, write_body};
use lastwords_ring::write::lane::{Message, Origin};
use lastwords_ring::write::open_slot::SMALL_BODY;
use std::cell::{RefCell, RefMut};
use std::mem::ManuallyDrop;
use std::sync::atomic::{Ordering, compiler_fence};

/// Buffers that grew beyond this size in bytes are released after the call.
const TEXT_KEPT: usize = 64 << 10;

/// A thread's lane for one destination, in the ring of the logger that it logs to.
#[derive(Debug)]
struct ThreadLane {
    owned: Option<OwnedLane>,
    /// A lane was requested. A thread that got none asks again when one was given back.
    asked: bool,
}

impl ThreadLane {
    const NONE: ThreadLane = ThreadLane { owned: None, asked: false };
}

/// A thread's state between its records. Not dropped with the thread, so that it can be used to the last; the guard gives the
/// lanes back.
#[derive(Debug)]
struct Local {
    logger: Option<&'static Logger>,
    written: ThreadLane,
    ring_only: ThreadLane,
    thread: u32,
    /// The process that it belonged to when it learned its id.
    thread_of: u32,
    /// The thread's name from [`name_thread`].
    name: Option<Box<str>>,
    ended: bool,
    text: Vec<u8>,
    /// Lanes in rings of other loggers.
    others: Vec<(&'static Logger, OwnedLane)>,
    /// What the handler of a fatal signal runs on, if the thread had none that is large enough.
    alternate_stack: Option<AlternateStack>,
}

thread_local! {
    static LOCAL: RefCell<ManuallyDrop<Local>> = const {
        RefCell::new(ManuallyDrop::new(Local::NEW))
    };
    static GUARD: Guard = const { Guard };
}

/// The calling thread's local while it is in a call. A signal handler that interrupts the call finds it borrowed, so its own
/// record is a nested one. The fences keep the compiler from moving accesses to a lane before the borrow or past its end; the
/// processor shows a handler on its own thread everything in program order.
struct Entered(RefMut<'static, ManuallyDrop<Local>>);

impl Entered {
    /// None inside another call.
    #[inline(always)]
    fn new() -> Option<Entered> {
        let local = of_thread(&LOCAL).try_borrow_mut().ok()?;
        compiler_fence(Ordering::SeqCst);
        Some(Entered(local))
    }
}

impl Drop for Entered {
    #[inline(always)]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
    }
}

/// Gives the lanes back when the thread ends.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        if frame::is_within() {
            // The handler of a fatal signal exits: its stack is small, and the fault may have been in the allocator.
            return;
        }
        let Some(Entered(local)) = &mut Entered::new() else { return };
        local.ended = true;
        local.text = Vec::new();
        local.name = None;
        local.put_aside();
        for (logger, owned) in std::mem::take(&mut local.others) {
            logger.give_back(owned);
        }
        local.alternate_stack = None;
    }
}

/// Records one message from the calling thread.
#[inline]
pub(crate) fn record(logger: &'static Logger, head: RecordHead, body: &dyn RecordBody) {
    match Entered::new() {
        Some(mut entered) => entered.0.record(logger, head, body),
        None => record_nested(logger, head, body),
    }
}

/// Records a message of raw values from the calling thread, with nothing between the copy of its arguments and the slot. False
/// if that is impossible: the call site's or the thread's first record, a full lane, a message that no lane takes. One function
/// for each list of types, not for each call.
///
/// Nothing is called before the record is committed, and what is called after it is called last, so that hardly a register has
/// to be saved.
#[inline(never)]
pub(crate) fn record_raw<V: Values>(
    logger: &'static Logger,
    entry: &SiteEntry,
    destination: Destination,
    values: &V,
) -> bool {
    let (words, short_id) = (body_words(values), entry.short_id(logger));
    let Some(call_site) = short_id.filter(|_| words <= SMALL_BODY) else {
        return record_raw_slowly(logger, entry, destination, values);
    };
    let Some(mut entered) = Entered::new() else { return record_raw_nested(logger, entry, destination, values) };
    let Some((owned, thread)) = entered.0.lane_in(logger, destination) else { return false };
    if !logger.appender.seems_to_take(owned) {
        drop(entered);
        return record_raw_slowly(logger, entry, destination, values);
    }
    let origin = u64::from(thread) << 32 | call_site;
    let mut slot = owned.lane.begin(clock::counter_now, entry.head(), origin, words * 8);
    write_body(values, &mut slot);
    let now = owned.lane.commit(slot);
    let is_asked = logger.appender.asks_after(owned, entry.head().level(), now);
    drop(entered);
    !is_asked || after_record(logger, entry, destination, now)
}

/// Does what the flusher or the clock asks for after a record.
#[cold]
#[inline(never)]
fn after_record(logger: &Logger, entry: &SiteEntry, destination: Destination, now: u64) -> bool {
    let entered = &mut Entered::new();
    match entered.as_mut().and_then(|entered| entered.0.lane_in(logger, destination)) {
        Some((owned, _)) => logger.appender.after_append(owned, entry.head().level(), now),
        // A signal handler has logged to another logger meanwhile.
        None => logger.appender.drained.ring_if_armed(),
    }
    true
}

/// Like [`record_raw`], for a message of several slots, a lane of which only a look says that it has room, and a clock that is not
/// the processor's counter.
#[inline(never)]
fn record_raw_slowly<V: Values>(
    logger: &'static Logger,
    entry: &SiteEntry,
    destination: Destination,
    values: &V,
) -> bool {
    let Some(mut entered) = Entered::new() else { return record_raw_nested(logger, entry, destination, values) };
    let Some(call_site) = entry.id(logger).filter(|id| *id != 0) else { return false };
    let Some((owned, thread)) = entered.0.lane_in(logger, destination) else { return false };
    let length = body_words(values) * 8;
    if length > owned.lane.message_size_max() {
        return false;
    }
    let slots = owned.lane.slots_for(length);
    if !logger.appender.takes_at_once(owned, slots) {
        return false;
    }
    let origin = Origin { level: entry.head().level(), call_site, thread, encoding: encoding_of(V::COUNT) };
    logger.appender.append_long(owned, &origin, (length, slots), |open| write_body(values, open));
    true
}

/// Records text from the calling thread, if it needs only a copy of it. False if that is impossible, as for [`record_raw`], and
/// in a nested call.
#[inline]
pub(crate) fn record_at_once(logger: &'static Logger, head: RecordHead, text: &[u8]) -> bool {
    let Some(mut entered) = Entered::new() else { return false };
    let Some((owned, thread)) = entered.0.lane_in(logger, head.destination) else { return false };
    if text.len() > owned.lane.message_size_max() {
        return false;
    }
    let slots = owned.lane.slots_for(text.len());
    if !(logger.appender.takes_at_once(owned, slots) || mutant::is(Mutant::AtOnceBlind)) {
        return false;
    }
    let RecordHead { level, call_site, .. } = head;
    let origin = Origin { level, call_site, thread, encoding: encoding::TEXT };
    logger.appender.write(owned, &Message { origin, body: text });
    true
}

/// Names the calling thread in the rings whose lanes it takes from now on, for threads that were created and named by another
/// runtime. The first 16 bytes are kept.
pub fn name_thread(name: &str) {
    if let Some(Entered(local)) = &mut Entered::new()
        && !local.ended
        && GUARD.try_with(|_| ()).is_ok()
    {
        local.name = Some(name.into());
    }
}

impl Local {
    const NEW: Local = Local {
        logger: None,
        written: ThreadLane::NONE,
        ring_only: ThreadLane::NONE,
        name: None,
        thread: 0,
        thread_of: 0,
        ended: false,
        text: Vec::new(),
        others: Vec::new(),
        alternate_stack: None,
    };

    #[inline(always)]
    fn lane(&mut self, destination: Destination) -> &mut ThreadLane {
        match destination {
            Destination::Write => &mut self.written,
            Destination::RingOnly => &mut self.ring_only,
        }
    }

    /// The thread's lane in this logger's ring, if it last logged to that, and the thread's id.
    #[inline(always)]
    fn lane_in(&mut self, logger: &Logger, destination: Destination) -> Option<(&mut OwnedLane, u32)> {
        if !self.logger.is_some_and(|mine| std::ptr::eq(mine, logger)) {
            return None;
        }
        let thread = self.thread;
        Some((self.lane(destination).owned.as_mut()?, thread))
    }

    fn record(&mut self, logger: &'static Logger, head: RecordHead, body: &dyn RecordBody) {
        if !self.logger.is_some_and(|mine| std::ptr::eq(mine, logger)) {
            self.switch_to(logger);
        }
        let RecordHead { level, call_site, destination } = head;
        let lane = self.lane(destination);
        if lane.owned.is_none() && (!lane.asked || logger.has_free_lane(destination)) {
            lane.asked = true;
            self.lane(destination).owned = self.claim(logger, destination);
        }
        let Local { written, ring_only, text, thread, .. } = self;
        let (encoding, body) = encode(body, call_site, logger.message_size_max(), text);
        let message = Message { origin: Origin { level, call_site, thread: *thread, encoding }, body };
        let lane = if destination == Destination::Write { written } else { ring_only };
        match &mut lane.owned {
            Some(owned) => logger.appender.write(owned, &message),
            None => logger.write_shared(destination, &message),
        }
        if self.text.capacity() > TEXT_KEPT {
            self.text = Vec::new();
        }
    }

    /// The thread switches to another logger: takes the lanes that it has there.
    #[cold]
    fn switch_to(&mut self, logger: &'static Logger) {
        self.put_aside();
        self.logger = Some(logger);
        for destination in [Destination::Write, Destination::RingOnly] {
            *self.lane(destination) = ThreadLane { owned: self.take_aside(logger, destination), asked: false };
        }
    }

    /// The thread's lane in the ring of a logger to which it returns.
    fn take_aside(&mut self, logger: &Logger, destination: Destination) -> Option<OwnedLane> {
        let is_it =
            |(other, owned): &(&Logger, OwnedLane)| std::ptr::eq(*other, logger) && owned.destination() == destination;
        let index = self.others.iter().position(is_it)?;
        Some(self.others.swap_remove(index).1)
    }

    /// Keeps the present lanes for later. A lane of a ring from before a fork belongs to the parent and is dropped, and so is
    /// one of a logger that was closed.
    fn put_aside(&mut self) {
        if let Some(logger) = self.logger.take() {
            let lanes = [self.written.owned.take(), self.ring_only.owned.take()];
            self.others.extend(lanes.into_iter().flatten().map(|owned| (logger, owned)));
        }
        self.others.retain(|(logger, _)| logger.is_of_this_memory() && !logger.is_closed());
    }

    /// The thread's first record to this logger: learns its id, another one in a forked child, and claims a lane.
    fn claim(&mut self, logger: &'static Logger, destination: Destination) -> Option<OwnedLane> {
        let pid = process_page::pid();
        if self.thread_of != pid || mutant::is(Mutant::ThreadAskedAgain) {
            self.thread = thread_id();
            self.thread_of = pid;
        }
        if self.ended || GUARD.try_with(|_| ()).is_err() {
            return None;
        }
        if logger.capture_file().is_some() && self.alternate_stack.is_none() {
            self.alternate_stack = AlternateStack::install();
        }
        let current = std::thread::current();
        let name = self.name.as_deref().or(current.name()).unwrap_or_default();
        logger.claim(destination, self.thread, name.as_bytes())
    }
}

fn thread_id() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get() as u32
}

/// Encoding and bytes of a record's body, assembled in `buffer` unless it is constant.
#[inline(always)]
fn encode<'a>(body: &'a dyn RecordBody, call_site: u32, size_max: usize, buffer: &'a mut Vec<u8>) -> (u8, &'a [u8]) {
    match body.constant() {
        Some(constant) if call_site != 0 => (encoding::TEXT, constant),
        _ => {
            buffer.clear();
            (body.write(buffer, call_site, size_max), buffer.as_slice())
        }
    }
}

#[cold]
fn record_nested(logger: &'static Logger, head: RecordHead, body: &dyn RecordBody) {
    let (RecordHead { level, call_site, destination }, mut buffer) = (head, Vec::new());
    let (encoding, body) = encode(body, call_site, logger.message_size_max(), &mut buffer);
    let origin = Origin { level, call_site, thread: thread_id(), encoding };
    logger.write_shared(destination, &Message { origin, body });
}

/// Records raw values in a nested call, assembled on the stack: a signal handler may have interrupted the allocator. False for
/// a long message.
#[cold]
#[inline(never)]
fn record_raw_nested<V: Values>(
    logger: &'static Logger,
    entry: &SiteEntry,
    destination: Destination,
    values: &V,
) -> bool {
    let (mut buffer, words) = ([0; SLOT_WORDS_MAX], body_words(values));
    let Some(body) = buffer.get_mut(..words).filter(|_| words * 8 <= logger.message_size_max()) else { return false };
    write_body(values, &mut body.iter_mut());
    let Some(call_site) = entry.id(logger).filter(|id| *id != 0) else { return false };
    let (level, encoding) = (entry.head().level(), encoding_of(V::COUNT));
    let origin = Origin { level, call_site, thread: thread_id(), encoding };
    logger.write_shared(destination, &Message { origin, body: bytemuck::cast_slice(body) });
    true
}
