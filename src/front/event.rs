//! Records of front ends whose call sites have no statics: those of other languages, and of loggers whose own filters decide.
//!
//! Such a front end assembles the message and chooses its destination. What all records of a place share is written to the
//! ring's call-site table once, and found again by a hash of its content.

use crate::front::handle::Log;
use crate::logger::bytes::add_place;
use crate::logger::call_site_cache::CachedCallSite;
use crate::logger::record::{RecordBody, RecordHead};
use crate::logger::ring_logger::Logger;
use crate::logger::thread;
#[cfg(feature = "flusher")]
use lastwords_flusher::render::fields::compose;
use lastwords_ring::format::call_site::CallSiteRef;
use lastwords_ring::format::checksum::checksum;
pub use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::level::Level;
#[cfg(feature = "flusher")]
use lastwords_ring::format::record::Record;
pub use lastwords_ring::format::record::Relayed;
use lastwords_ring::format::record::extra_kind;
use lastwords_ring::write::body::BodyWriter;

/// A record of a front end.
///
/// ```
/// use lastwords::event::{Event, Value};
/// use lastwords::Level;
/// let folder = std::env::temp_dir().join(format!("lastwords-doc-event-{}", std::process::id()));
/// let log = lastwords::builder("script").dir(&folder).open()?;
/// let mut event = Event::new(Level::INFO, "script.main", b"started");
/// (event.file, event.line) = ("main.lua", 7);
/// let fields = [("attempt", Value::U64(3))];
/// event.fields = &fields;
/// log.record(&event);
/// log.flush()?;
/// assert!(std::fs::read_to_string(folder.join("script.log"))?.contains("[INFO] started attempt=3"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Event<'a> {
    /// Level.
    pub level: Level,
    /// Its destination. The logger's own filter is not consulted.
    pub destination: Destination,
    /// Target: the name of a logger, a module.
    pub target: &'a str,
    /// Source file, empty if unknown.
    pub file: &'a str,
    /// Line in it, 0 if unknown.
    pub line: u32,
    /// The message. Invalid UTF-8 is shown as `\xff`.
    pub text: &'a [u8],
    /// Names and values of its fields.
    pub fields: &'a [(&'a str, Value<'a>)],
    /// Time and origin, if it was relayed from another process or from an earlier time. Its line has that time, pid and level
    /// name, at the place where it arrived.
    pub relayed: Option<Relayed<'a>>,
    /// Where in the text an exception begins, after the message and a newline: JSON has it as a member of its own.
    pub exception_at: Option<u32>,
}

/// Value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A float.
    F64(f64),
    /// Text.
    Str(&'a str),
    /// A JSON value, written to JSON lines as it is. Invalid JSON is treated as text.
    Json(&'a str),
}

impl Log {
    /// Records an event, like [`crate::info`]: it is safe when the call returns. If the ring is full it waits according to the
    /// policy. False, and nothing is recorded, if the logger was closed; [`Log::close`] waits for calls that began before.
    pub fn record(self, event: &Event<'_>) -> bool {
        #[cfg(feature = "flusher")]
        crate::process::flusher_thread::resume_if_due();
        let Some(logger) = self.use_logger() else {
            self.miss(event.level, event.target);
            return !self.is_closed();
        };
        let call_site = event.call_site(&logger);
        thread::record(logger.get(), event.head(call_site), event);
        true
    }

    /// Like [`Log::record`], if that needs no wait, no system call and no memory: otherwise false, and nothing is recorded. For
    /// front ends that hold a lock which other threads wait for.
    #[inline]
    #[must_use]
    pub fn try_record(self, event: &Event<'_>) -> bool {
        #[cfg(feature = "flusher")]
        if crate::process::flusher_thread::is_due() {
            return false;
        }
        if !event.is_text_alone() {
            return false;
        }
        let Some(logger) = self.use_logger() else { return false };
        let call_site = event.call_site(&logger);
        call_site != 0 && thread::record_at_once(logger.get(), event.head(call_site), event.text)
    }
}

impl<'a> Event<'a> {
    /// Records text only, for the log files.
    #[inline]
    #[must_use]
    pub const fn new(level: Level, target: &'a str, text: &'a [u8]) -> Event<'a> {
        Event {
            level,
            destination: Destination::Write,
            target,
            file: "",
            line: 0,
            text,
            fields: &[],
            relayed: None,
            exception_at: None,
        }
    }

    /// Text and fields as in a line of the log file, for a front end that shows them elsewhere as well: fields follow the first
    /// line. Nothing is escaped yet.
    #[cfg(feature = "flusher")]
    #[must_use]
    pub fn shown(&self) -> Vec<u8> {
        let mut body = Vec::new();
        // With a call site, so that the place is not part of it.
        let encoding = self.write(&mut body, 1, usize::MAX);
        let (level, body) = (self.level, body.as_slice());
        compose(&Record { first: 0, last: 0, clock: 0, message: 0, thread: 0, call_site: 1, level, encoding, body })
    }

    /// Whether it is only text with its call site.
    #[inline]
    fn is_text_alone(&self) -> bool {
        self.fields.is_empty() && self.relayed.is_none() && self.exception_at.is_none()
    }

    #[inline]
    fn head(&self, call_site: u32) -> RecordHead {
        RecordHead { level: self.level.number(), call_site, destination: self.destination }
    }

    #[inline]
    fn call_site(&self, logger: &Logger) -> u32 {
        let Event { level, target, file, line, .. } = *self;
        let place = u64::from(line) << 16 | u64::from(level.number());
        let mut place = place.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        if !file.is_empty() {
            place ^= checksum(file.as_bytes()).rotate_left(1);
        }
        let key = place ^ checksum(target.as_bytes());
        let site = || CallSiteRef {
            level: level.number(),
            line,
            target,
            module: "",
            file,
            format: "",
            placeholders: &[],
            types: &[],
            fields: &[],
        };
        CachedCallSite::find(logger, Some(key)).id_of_chosen(logger, place, site)
    }
}

impl RecordBody for Event<'_> {
    fn constant(&self) -> Option<&[u8]> {
        self.is_text_alone().then_some(self.text)
    }

    fn write(&self, body: &mut Vec<u8>, call_site: u32, _: usize) -> u8 {
        body.extend_from_slice(self.text);
        let mut writer = BodyWriter::after_text(body);
        if call_site == 0 {
            let file = Some(self.file).filter(|file| !file.is_empty());
            add_place(&mut writer, self.target, file, file.map(|_| self.line));
        }
        let mut fields = writer.fields();
        for (name, value) in self.fields {
            match value {
                Value::Bool(value) => fields.bool(name, *value),
                Value::I64(value) => fields.i64(name, *value),
                Value::U64(value) => fields.u64(name, *value),
                Value::F64(value) => fields.f64(name, *value),
                Value::Str(value) => fields.str(name, value),
                Value::Json(value) => fields.json(name, value),
            }
        }
        if let Some(relayed) = &self.relayed {
            writer.extra(extra_kind::RELAYED, &relayed.encode());
        }
        if let Some(at) = self.exception_at {
            writer.extra(extra_kind::EXCEPTION, &at.to_le_bytes());
        }
        writer.finish()
    }
}
