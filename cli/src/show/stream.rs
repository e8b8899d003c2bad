//! The records of a role, one after the other, in either direction.
//!
//! A role may have text and JSON files. While it has both, they hold the same records in the same order: those two are walked
//! side by side, and what both have is one record.

use super::backward::Backward;
use super::cursor::Lanes;
use super::forward::Forward;
use super::head::{Head, LevelsByName};
use super::record_id;
use super::role_log::{Place, Record, RoleLog};
use super::spool::Spool;
use super::when::LineClock;
use regex::bytes::Regex;
use std::io;
use std::rc::Rc;

const MILLISECOND: u64 = 1_000_000;
/// Bytes of a message that are compared.
const COMPARED: usize = 16;

/// One of the two sides.
#[derive(Debug)]
enum Walk {
    Forward(Forward),
    Backward(Backward),
}

impl Walk {
    #[inline]
    fn advance(&mut self) -> io::Result<bool> {
        match self {
            Walk::Forward(walk) => walk.advance(),
            Walk::Backward(walk) => walk.advance(),
        }
    }

    #[inline]
    fn record(&self) -> &[u8] {
        match self {
            Walk::Forward(walk) => walk.record(),
            Walk::Backward(walk) => walk.record(),
        }
    }

    fn place(&self) -> (usize, u64) {
        match self {
            // Only the way back has to be found again.
            Walk::Forward(_) => (0, 0),
            Walk::Backward(walk) => walk.place(),
        }
    }
}

#[derive(Debug)]
struct Side {
    walk: Walk,
    json: bool,
    clock: LineClock,
    levels: LevelsByName,
    /// Of the record that comes next; None at the end.
    head: Option<Head>,
    last_ns: u64,
}

impl Side {
    #[inline]
    fn advance(&mut self) -> io::Result<()> {
        if !self.walk.advance()? {
            self.head = None;
            return Ok(());
        }
        let record = self.walk.record();
        let head = match self.json {
            true => Head::of_json(record),
            false => Head::of_text(record, &mut self.clock, &mut self.levels),
        };
        // What no flusher wrote stays where it is.
        let head = head.unwrap_or(Head { ns: self.last_ns, ..Head::default() });
        self.last_ns = head.ns;
        self.head = Some(head);
        Ok(())
    }
}

/// Which source has the record at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Nothing,
    Text,
    Json,
    Both,
    Spool,
}

/// The records of a role, one after the other.
#[derive(Debug)]
pub(crate) struct Stream {
    role: String,
    text: Side,
    json: Side,
    spool: Rc<Spool>,
    spool_from: usize,
    /// The record of the spool that comes next, on the way back the one behind it.
    spool_at: usize,
    buffer: Vec<u8>,
    spool_text: usize,
    spool_head: Head,
    is_back: bool,
    now: Now,
    place: Place,
    /// Records that were shown before.
    shown: Rc<Lanes>,
}

impl Stream {
    /// Forwards. With `only`, records of text files that do not match may be left out.
    pub(crate) fn forward(log: &RoleLog, only: Option<&Regex>) -> io::Result<Stream> {
        // Of a role with both forms the records must be compared.
        let only = only.filter(|_| log.json.is_empty());
        let text = Walk::Forward(Forward::new(log.text.clone(), false, only.cloned()));
        Stream::new(log, text, Walk::Forward(Forward::new(log.json.clone(), true, None)), false)
    }

    /// Backwards.
    pub(crate) fn backward(log: &RoleLog) -> io::Result<Stream> {
        let text = Walk::Backward(Backward::new(log.text.clone(), false));
        Stream::new(log, text, Walk::Backward(Backward::new(log.json.clone(), true)), true)
    }

    fn new(log: &RoleLog, text: Walk, json: Walk, is_back: bool) -> io::Result<Stream> {
        let side = |walk, json| Side {
            walk,
            json,
            clock: if is_back { LineClock::backward(log.zone.clone()) } else { LineClock::new(log.zone.clone()) },
            levels: log.levels.clone(),
            head: None,
            last_ns: if is_back { u64::MAX } else { 0 },
        };
        let mut stream = Stream {
            role: log.role.clone(),
            text: side(text, false),
            json: side(json, true),
            spool: Rc::clone(&log.spool),
            spool_from: log.spool_from,
            spool_at: if is_back { log.spool.len() } else { log.spool_from },
            buffer: Vec::new(),
            spool_text: 0,
            spool_head: Head::default(),
            is_back,
            now: Now::Nothing,
            shown: Rc::clone(&log.shown),
            place: Place { text: (log.text.len(), 0), json: (log.json.len(), 0), spool: log.spool.len() },
        };
        stream.text.advance()?;
        stream.json.advance()?;
        Ok(stream)
    }

    /// Goes on to the next record that was not shown before; false at the end.
    #[inline]
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        while self.step()? {
            if !self.was_shown(self.record().json) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[inline]
    fn was_shown(&self, json: Option<&[u8]>) -> bool {
        !self.shown.0.is_empty() && json.and_then(record_id::of_line).is_some_and(|id| self.shown.has(&id))
    }

    #[inline]
    fn step(&mut self) -> io::Result<bool> {
        if matches!(self.now, Now::Text | Now::Both) {
            self.text.advance()?;
        }
        if matches!(self.now, Now::Json | Now::Both) {
            self.json.advance()?;
        }
        self.now = match (self.text.head, self.json.head) {
            _ if self.is_back && self.read_spool()? => Now::Spool,
            (Some(_), None) => Now::Text,
            (None, Some(_)) => Now::Json,
            (Some(text), Some(json)) => self.first_of(&text, &json),
            (None, None) if !self.is_back && self.read_spool()? => Now::Spool,
            (None, None) => Now::Nothing,
        };
        Ok(self.now != Now::Nothing)
    }

    /// On the way back: the record at hand is among those that are meant.
    pub(crate) fn pass(&mut self) {
        match self.now {
            Now::Text | Now::Both => self.place.text = self.text.walk.place(),
            _ => {}
        }
        match self.now {
            Now::Json | Now::Both => self.place.json = self.json.walk.place(),
            Now::Spool => self.place.spool = self.spool_at,
            _ => {}
        }
    }

    /// On the way back: where the records begin that were passed.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    fn read_spool(&mut self) -> io::Result<bool> {
        let number = if self.is_back {
            if self.spool_at <= self.spool_from {
                return Ok(false);
            }
            self.spool_at -= 1;
            self.spool_at
        } else {
            if self.spool_at >= self.spool.len() {
                return Ok(false);
            }
            self.spool_at += 1;
            self.spool_at - 1
        };
        self.spool_text = self.spool.read(number, &mut self.buffer)?;
        let (text, json) = self.buffer.split_at(self.spool_text);
        let found = Head::of_text(text, &mut self.text.clock, &mut self.text.levels).unwrap_or_default();
        let known = Head::of_json(json).unwrap_or(found);
        // Text files have milliseconds, and these records are in their order among the lines of those.
        let ns = if self.json.head.is_none() && found.ns / MILLISECOND == known.ns / MILLISECOND {
            known.ns
        } else {
            found.ns
        };
        self.spool_head = Head { ns, level: known.level, ..found };
        Ok(true)
    }

    fn first_of(&self, text: &Head, json: &Head) -> Now {
        let (a, b) = (text.ns / MILLISECOND, json.ns / MILLISECOND);
        let same_level = text.level.is_none() || text.level == json.level;
        if a == b
            && text.pid == json.pid
            && same_level
            && is_twin(text, self.text.walk.record(), self.json.walk.record())
        {
            Now::Both
        } else if a == b && self.was_shown(Some(self.json.walk.record())) {
            // Its text was in a file by then, and the text at hand has its own twin behind it.
            Now::Json
        } else if a == b || (a < b) != self.is_back {
            Now::Text
        } else {
            Now::Json
        }
    }

    /// The record at hand.
    #[inline]
    pub(crate) fn record(&self) -> Record<'_> {
        let (head, text, json) = match self.now {
            Now::Nothing => (Head::default(), None, None),
            Now::Text => (self.text.head.unwrap_or_default(), Some(self.text.walk.record()), None),
            Now::Json => (self.json.head.unwrap_or_default(), None, Some(self.json.walk.record())),
            Now::Both => {
                let (text, json) = (self.text.head.unwrap_or_default(), self.json.head.unwrap_or_default());
                let head = Head { ns: json.ns, level: json.level, ..text };
                (head, Some(self.text.walk.record()), Some(self.json.walk.record()))
            }
            Now::Spool => {
                let (text, json) = self.buffer.split_at(self.spool_text);
                (self.spool_head, Some(text), Some(json))
            }
        };
        Record { role: &self.role, head, text, json }
    }

    /// Its time, nanoseconds since 1970.
    #[inline]
    pub(crate) fn ns(&self) -> u64 {
        match self.now {
            Now::Text => self.text.head.map_or(0, |head| head.ns),
            Now::Json | Now::Both => self.json.head.map_or(0, |head| head.ns),
            Now::Spool => self.spool_head.ns,
            Now::Nothing => 0,
        }
    }

    /// Forwards: whether it is in a file.
    pub(crate) fn is_in_file(&self) -> bool {
        let side = match self.now {
            Now::Nothing | Now::Spool => return false,
            Now::Text | Now::Both => &self.text,
            Now::Json => &self.json,
        };
        if let Walk::Forward(walk) = &side.walk { walk.is_in_file() } else { true }
    }
}

/// Whether two lines of one millisecond, process and level have the same message, as far as that is written alike.
fn is_twin(head: &Head, text: &[u8], json: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(json, b",\"message\":\"") else { return true };
    // In the text, spans come first.
    if memchr::memmem::find(json, b",\"spans\":[").is_some() {
        return true;
    }
    let json = &json[at + b",\"message\":\"".len()..];
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b':' | b'.' | b',' | b'-');
    let plain = json.iter().take(COMPARED).take_while(|byte| is_plain(byte)).count();
    text.get(head.message_at as usize..).is_some_and(|text| text.starts_with(&json[..plain]))
}
