//! A thread's own lane: claimed at its first record, given back when it ends.
//!
//! Formatting happens before the slot is opened, into a buffer of the thread's own, so that no code of the user runs
//! while a slot is open. A call inside of another one (from a `Display`, or from a signal handler), a thread that
//! found no lane, and a thread whose locals are gone already use an overflow lane.

use crate::lane::Message;
use crate::logger::{LaneSeat, Logger};
use std::cell::{Cell, RefCell};
use std::fmt::{self, Write};
use std::mem::ManuallyDrop;

/// Buffers that grew beyond this are given back after the call, in bytes.
const TEXT_KEPT: usize = 64 << 10;

/// What a thread keeps between its records. Not dropped with the thread, so that it can be used to the last; the
/// guard gives the lane back.
#[derive(Debug)]
struct Local {
    logger: Option<&'static Logger>,
    seat: Option<LaneSeat>,
    thread: u32,
    ended: bool,
    text: Vec<u8>,
    /// Lanes in rings of other loggers.
    others: Vec<(&'static Logger, LaneSeat)>,
}

thread_local! {
    static LOCAL: RefCell<ManuallyDrop<Local>> = const {
        RefCell::new(ManuallyDrop::new(Local { logger: None, seat: None, thread: 0, ended: false, text: Vec::new(), others: Vec::new() }))
    };
    static GUARD: Guard = const { Guard };
    static IS_FLUSHER: Cell<bool> = const { Cell::new(false) };
}

/// Gives the lane back when the thread ends.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        LOCAL.with(|local| {
            let Ok(mut local) = local.try_borrow_mut() else { return };
            local.ended = true;
            local.text = Vec::new();
            local.put_aside();
            for (logger, seat) in std::mem::take(&mut local.others) {
                logger.release(seat);
            }
        });
    }
}

/// Says that this thread is the flusher's own: it never waits for the flusher.
#[cfg(feature = "flusher")]
pub(crate) fn become_flusher() {
    IS_FLUSHER.set(true);
}

pub(crate) fn is_flusher() -> bool {
    IS_FLUSHER.get()
}

/// What a record says besides its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta<'a> {
    pub(crate) level: u16,
    pub(crate) call_site: u32,
    /// Adds extras after the text; called only where `call_site` is 0.
    pub(crate) extras: &'a dyn Extras,
}

/// Writes what a call site would have said, for a record that has none.
pub(crate) trait Extras {
    /// Appends to the text in `body` and returns the encoding.
    fn write(&self, body: &mut Vec<u8>) -> u8;
}

impl fmt::Debug for dyn Extras + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Extras")
    }
}

/// What is said, formatted or not yet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Text<'a> {
    Format(fmt::Arguments<'a>),
    Bytes(&'a [u8]),
}

impl Text<'_> {
    /// The text, if nothing has to be formatted.
    #[inline]
    fn constant(&self) -> Option<&[u8]> {
        match self {
            Text::Format(arguments) => arguments.as_str().map(str::as_bytes),
            Text::Bytes(bytes) => Some(bytes),
        }
    }

    fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Text::Bytes(bytes) => out.extend_from_slice(bytes),
            Text::Format(arguments) => {
                if Bytes(out).write_fmt(*arguments).is_err() {
                    out.extend_from_slice(b" [a Display implementation returned an error]");
                }
            }
        }
    }
}

/// Records one message from the calling thread.
#[inline]
pub(crate) fn record(logger: &'static Logger, meta: Meta<'_>, text: Text<'_>) {
    LOCAL.with(|local| match local.try_borrow_mut() {
        Ok(mut local) => local.record(logger, meta, text),
        Err(_) => record_nested(logger, meta, text),
    });
}

impl Local {
    #[inline]
    fn record(&mut self, logger: &'static Logger, meta: Meta<'_>, said: Text<'_>) {
        if !self.logger.is_some_and(|mine| std::ptr::eq(mine, logger)) {
            self.switch_to(logger);
        } else if self.seat.is_none() && logger.has_free_lane() {
            self.seat = self.claim(logger);
        }
        let Local { seat, text, thread, .. } = self;
        let (encoding, body) = match said.constant() {
            Some(constant) if meta.call_site != 0 => (0, constant),
            _ => (format_into(text, meta, said), text.as_slice()),
        };
        let message = Message { level: meta.level, call_site: meta.call_site, thread: *thread, encoding, body };
        match seat {
            Some(seat) => logger.write(seat, &message),
            None => logger.write_shared(&message),
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
        let known = self.others.iter().position(|(other, _)| std::ptr::eq(*other, logger));
        self.seat = match known {
            Some(index) => Some(self.others.swap_remove(index).1),
            None => self.claim(logger),
        };
    }

    /// Keeps the lane that is in use for later. One of a ring from before a fork belongs to the parent and is left.
    fn put_aside(&mut self) {
        if let (Some(logger), Some(seat)) = (self.logger.take(), self.seat.take()) {
            self.others.push((logger, seat));
        }
        self.others.retain(|(logger, _)| logger.is_of_this_process());
    }

    /// The thread's first record to this logger: learns its id and claims a lane.
    fn claim(&mut self, logger: &'static Logger) -> Option<LaneSeat> {
        self.thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        if self.ended || GUARD.try_with(|_| ()).is_err() {
            return None;
        }
        let current = std::thread::current();
        logger.claim(self.thread, current.name().unwrap_or_default().as_bytes())
    }
}

fn format_into(text: &mut Vec<u8>, meta: Meta<'_>, said: Text<'_>) -> u8 {
    text.clear();
    said.append_to(text);
    if meta.call_site == 0 { meta.extras.write(text) } else { 0 }
}

#[cold]
fn record_nested(logger: &'static Logger, meta: Meta<'_>, said: Text<'_>) {
    let mut text = Vec::new();
    let encoding = format_into(&mut text, meta, said);
    let thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
    let Meta { level, call_site, .. } = meta;
    logger.write_shared(&Message { level, call_site, thread, encoding, body: &text });
}

/// Bytes as the target of formatting.
struct Bytes<'a>(&'a mut Vec<u8>);

impl fmt::Write for Bytes<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
