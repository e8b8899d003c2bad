//! A thread's own lane: claimed at its first record, given back when it ends.
//!
//! Formatting happens before the slot is opened, into a buffer of the thread's own, so that no code of the user runs
//! while a slot is open. A call inside of another one (from a `Display`, or from a signal handler), a thread that
//! found no lane, and a thread whose locals are gone already use an overflow lane.

use crate::logger::ring_logger::{LaneSeat, Logger};
use crate::sys::frame;
use crate::sys::local::of_thread;
use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::layout::encoding;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use lastwords_ring::sys::process_page;
use lastwords_ring::write::arguments::{Values, tag_words, write_body};
use lastwords_ring::write::lane::{Message, Origin};
use std::cell::RefCell;
use std::mem::ManuallyDrop;

/// Buffers that grew beyond this are given back after the call, in bytes.
const TEXT_KEPT: usize = 64 << 10;

/// What a thread keeps between its records. Not dropped with the thread, so that it can be used to the last; the
/// guard gives the lane back.
#[derive(Debug)]
struct Local {
    logger: Option<&'static Logger>,
    seat: Option<LaneSeat>,
    /// A second lane, for what no file shows.
    fine: Option<LaneSeat>,
    /// Has asked for the second lane.
    asked_for_fine: bool,
    thread: u32,
    /// The process whose thread it was when it learned that.
    thread_of: u32,
    /// Name that the thread was given by [`name_thread`].
    name: Option<Box<str>>,
    ended: bool,
    text: Vec<u8>,
    /// Lanes in rings of other loggers.
    others: Vec<(&'static Logger, LaneSeat)>,
}

thread_local! {
    static LOCAL: RefCell<ManuallyDrop<Local>> = const {
        RefCell::new(ManuallyDrop::new(Local::NEW))
    };
    static GUARD: Guard = const { Guard };
}

/// Gives the lane back when the thread ends.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        if frame::is_within() {
            // The handler of a fatal signal exits: its stack is a small one, and the fault may have been in the allocator.
            return;
        }
        LOCAL.with(|local| {
            let Ok(mut local) = local.try_borrow_mut() else { return };
            local.ended = true;
            local.text = Vec::new();
            local.name = None;
            local.put_aside();
            for (logger, seat) in std::mem::take(&mut local.others) {
                logger.release(seat);
            }
        });
    }
}

/// What a record says besides its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta {
    pub(crate) level: u16,
    pub(crate) call_site: u32,
    pub(crate) destination: Destination,
}

impl Meta {
    #[inline(always)]
    fn is_fine(self) -> bool {
        self.destination == Destination::Fine
    }
}

/// What is said, put together by the caller.
pub(crate) trait Said {
    /// The text, if nothing has to be put together.
    fn constant(&self) -> Option<&[u8]>;

    /// Appends the message's body and returns its encoding. Bodies longer than `size_max` must be text. Without a call
    /// site it says where it comes from.
    fn write(&self, body: &mut Vec<u8>, call_site: u32, size_max: usize) -> u8;
}

/// Records one message from the calling thread.
#[inline]
pub(crate) fn record(logger: &'static Logger, meta: Meta, said: &dyn Said) {
    match of_thread(&LOCAL).try_borrow_mut() {
        Ok(mut local) => local.record(logger, meta, said),
        Err(_) => record_nested(logger, meta, said),
    }
}

/// Records a message of raw values from the calling thread, with nothing between the copy of its arguments and the slot.
/// False where that is not to be had: the thread's first record, a full lane, a long message, a nested call. One function
/// for each list of types, not for each call.
#[inline(never)]
pub(crate) fn record_raw<V: Values>(logger: &'static Logger, meta: Meta, values: &V) -> bool {
    let Ok(mut local) = of_thread(&LOCAL).try_borrow_mut() else { return false };
    let Local { logger: Some(mine), seat, fine, thread, .. } = &mut **local else { return false };
    let Some(seat) = (if meta.is_fine() { fine } else { seat }) else { return false };
    let words = tag_words(V::COUNT) + values.words();
    let mine = std::ptr::eq(*mine, logger) && seat.lane.fits_slot(words);
    if !mine || !(seat.fine || seat.lane.has_room(1) || logger.overwrites()) {
        return false;
    }
    let begun = seat.lane.begin(clock::now);
    let Some(()) = seat.lane.staging(words).and_then(|body| write_body(values, body)) else {
        seat.lane.seal();
        return false;
    };
    let Meta { level, call_site, .. } = meta;
    let origin = Origin { level, call_site, thread: *thread, encoding: encoding::VALUES };
    logger.finish(seat, begun, &origin, words * 8);
    true
}

/// Records text from the calling thread, if it takes nothing but a copy of it. False where that is not to be had, as for
/// [`record_raw`].
#[inline]
pub(crate) fn record_at_once(logger: &'static Logger, meta: Meta, text: &[u8]) -> bool {
    let Ok(mut local) = of_thread(&LOCAL).try_borrow_mut() else { return false };
    let Local { logger: Some(mine), seat, fine, thread, .. } = &mut **local else { return false };
    let Some(seat) = (if meta.is_fine() { fine } else { seat }) else { return false };
    if !std::ptr::eq(*mine, logger) || text.len() > seat.lane.message_size_max() {
        return false;
    }
    let room = seat.lane.has_room(seat.lane.slots_for(text.len())) || mutant::is(Mutant::AtOnceBlind);
    if !(seat.fine || room || logger.overwrites()) {
        return false;
    }
    let Meta { level, call_site, .. } = meta;
    let origin = Origin { level, call_site, thread: *thread, encoding: encoding::TEXT };
    logger.write(seat, &Message { origin, body: text });
    true
}

/// Names the calling thread in the rings whose lanes it takes from now on, for threads that another runtime has made and
/// named. The first 16 bytes are kept.
pub fn name_thread(name: &str) {
    if let Ok(mut local) = of_thread(&LOCAL).try_borrow_mut()
        && !local.ended
        && GUARD.try_with(|_| ()).is_ok()
    {
        local.name = Some(name.into());
    }
}

impl Local {
    const NEW: Local = Local {
        logger: None,
        name: None,
        seat: None,
        fine: None,
        asked_for_fine: false,
        thread: 0,
        thread_of: 0,
        ended: false,
        text: Vec::new(),
        others: Vec::new(),
    };

    fn record(&mut self, logger: &'static Logger, meta: Meta, said: &dyn Said) {
        if !self.logger.is_some_and(|mine| std::ptr::eq(mine, logger)) {
            self.switch_to(logger);
        } else if self.seat.is_none() && logger.has_free_lane(false) {
            self.seat = self.claim(logger, false);
        }
        if meta.is_fine() && self.fine.is_none() && (!self.asked_for_fine || logger.has_free_lane(true)) {
            self.asked_for_fine = true;
            self.fine = self.claim(logger, true);
        }
        let Local { seat, fine, text, thread, .. } = self;
        let (encoding, body) = match said.constant() {
            Some(constant) if meta.call_site != 0 => (encoding::TEXT, constant),
            _ => {
                text.clear();
                (said.write(text, meta.call_site, logger.message_size_max()), text.as_slice())
            }
        };
        let origin = Origin { level: meta.level, call_site: meta.call_site, thread: *thread, encoding };
        let message = Message { origin, body };
        match if meta.is_fine() { fine } else { seat } {
            Some(seat) => logger.write(seat, &message),
            None => write_shared(logger, meta, &message),
        }
        if self.text.capacity() > TEXT_KEPT {
            self.text = Vec::new();
        }
    }

    /// The thread logs to another logger than before: takes the lane that it has there, or claims one.
    #[cold]
    fn switch_to(&mut self, logger: &'static Logger) {
        self.put_aside();
        self.logger = Some(logger);
        self.seat = self.put_back(logger, false).or_else(|| self.claim(logger, false));
        self.fine = self.put_back(logger, true);
        self.asked_for_fine = false;
    }

    /// The lane that the thread has in this logger's ring.
    fn put_back(&mut self, logger: &Logger, fine: bool) -> Option<LaneSeat> {
        let of_it = |(other, seat): &(&Logger, LaneSeat)| std::ptr::eq(*other, logger) && seat.fine == fine;
        let index = self.others.iter().position(of_it)?;
        Some(self.others.swap_remove(index).1)
    }

    /// Keeps the lanes that are in use for later. One of a ring from before a fork belongs to the parent and is left, and so is
    /// one of a logger that was closed.
    fn put_aside(&mut self) {
        if let Some(logger) = self.logger.take() {
            self.others.extend([self.seat.take(), self.fine.take()].into_iter().flatten().map(|seat| (logger, seat)));
        }
        self.others.retain(|(logger, _)| logger.is_of_this_memory() && !logger.is_closed());
    }

    /// The thread's first record to this logger: learns its id, another one in a forked child, and claims a lane.
    fn claim(&mut self, logger: &'static Logger, fine: bool) -> Option<LaneSeat> {
        let pid = process_page::pid();
        if self.thread_of != pid || mutant::is(Mutant::ThreadAskedAgain) {
            self.thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
            self.thread_of = pid;
        }
        if self.ended || GUARD.try_with(|_| ()).is_err() {
            return None;
        }
        let current = std::thread::current();
        let name = self.name.as_deref().or(current.name()).unwrap_or_default();
        logger.claim(fine, self.thread, name.as_bytes())
    }
}

#[cold]
fn record_nested(logger: &'static Logger, meta: Meta, said: &dyn Said) {
    let mut body = Vec::new();
    let Meta { level, call_site, .. } = meta;
    let encoding = said.write(&mut body, call_site, logger.message_size_max());
    let thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
    write_shared(logger, meta, &Message { origin: Origin { level, call_site, thread, encoding }, body: &body });
}

fn write_shared(logger: &Logger, meta: Meta, message: &Message<'_>) {
    if meta.is_fine() { logger.write_shared_fine(message) } else { logger.write_shared(message) }
}
