//! The place of a log call in the program, and its id in this process's ring.

use crate::front::handle::Log;
use crate::logger::bytes::{record_bytes_to, write_place};
use crate::logger::live_filter::CachedDecision;
use crate::logger::record::{RecordBody, RecordHead};
use crate::logger::ring_logger::Logger;
use crate::logger::thread;
use crate::process::loggers;
use lastwords_ring::format::call_site::CallSiteRef;
use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::layout::encoding;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::placeholder::Placeholder;
use lastwords_ring::write::arguments::{Values, append_text, push_body};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Low half of a site's id word while its first call registers it.
const REGISTERING: u32 = u32::MAX;

/// What the macros know of a call when the program is compiled.
#[derive(Debug)]
pub struct CallPlace {
    /// Level.
    pub level: Level,
    /// Target, usually the module path.
    pub target: &'static str,
    /// Module path.
    pub module: &'static str,
    /// Source file.
    pub file: &'static str,
    /// Line in it.
    pub line: u32,
    /// Format string.
    pub format: &'static str,
    /// Its placeholders.
    pub placeholders: &'static [Placeholder],
    /// Names of the fields.
    pub fields: &'static [&'static str],
}

/// A log call's place, a static made by the macros.
#[derive(Debug)]
pub struct Site {
    place: CallPlace,
    /// Generation of the logger in the high half, id in the low half.
    id: AtomicU64,
    /// Where its records go, a [`CachedDecision`].
    decision: AtomicU64,
}

impl Site {
    /// A site, not registered yet.
    #[must_use]
    pub const fn new(place: CallPlace) -> Site {
        Site { place, id: AtomicU64::new(0), decision: AtomicU64::new(0) }
    }

    /// The logger, if this site's records are recorded now.
    #[inline]
    #[must_use]
    pub fn enabled(&self) -> Option<Enabled> {
        let logger = loggers::current().or_else(|| self.miss(loggers::miss))?;
        self.enabled_by(logger)
    }

    /// The same for a logger that is a value.
    #[inline]
    #[must_use]
    pub fn enabled_in(&self, log: Log) -> Option<Enabled> {
        let logger = log.logger().or_else(|| self.miss(|level, target| log.miss(level, target)))?;
        self.enabled_by(logger)
    }

    /// There is no logger.
    #[cold]
    fn miss(&self, count: impl FnOnce(Level, &str)) -> Option<&'static Logger> {
        count(self.place.level, self.place.target);
        None
    }

    #[inline(always)]
    fn enabled_by(&self, logger: &'static Logger) -> Option<Enabled> {
        let destination = logger.filter.admit(self.place.level, || self.destination(logger))?;
        Some(Enabled { logger, destination })
    }

    /// What the filter says of this site, remembered until the filter changes.
    #[inline(never)]
    fn destination(&self, logger: &Logger) -> Option<Destination> {
        let known = CachedDecision::from_word(self.decision.load(Ordering::Relaxed));
        if known.key == logger.filter.key() {
            return known.destination;
        }
        let decision = logger.filter.decide(self.place.level, self.place.target);
        self.decision.store(decision.to_word(), Ordering::Relaxed);
        decision.destination
    }

    /// Records one message. `text` hands over the same message and its fields, to be formatted by the caller; it is
    /// called only where the values cannot be stored.
    #[inline(always)]
    pub fn record<V: Values>(&'static self, enabled: Enabled, values: &V, text: impl Fn(&mut TextWriter<'_>)) {
        let Enabled { logger, destination } = enabled;
        let level = self.place.level.number();
        let word = self.id.load(Ordering::Relaxed);
        let known = (word >> 32) as u32 == logger.generation() && word as u32 != REGISTERING;
        if V::RAW && known && word as u32 != 0 && values.fit() {
            let head = RecordHead { level, call_site: word as u32, destination };
            if thread::record_raw(logger, head, values) {
                return;
            }
        }
        self.record_slowly(enabled, if known { Some(word as u32) } else { None }, values, &text);
    }

    #[cold]
    #[inline(never)]
    fn record_slowly<V: Values>(
        &'static self,
        enabled: Enabled,
        id: Option<u32>,
        values: &V,
        text: &dyn Fn(&mut TextWriter<'_>),
    ) {
        let Enabled { logger, destination } = enabled;
        let call_site = id.unwrap_or_else(|| self.register(logger));
        let body = |out: &mut Vec<u8>| push_body(values, out);
        let said = Call { site: self, fit: values.fit(), body: &body, text };
        thread::record(logger, RecordHead { level: self.place.level.number(), call_site, destination }, &said);
    }

    /// Writes the site into the ring's table. Nobody waits: who finds another thread at it logs this record with
    /// target and place in the record itself.
    fn register(&self, logger: &Logger) -> u32 {
        let seen = self.id.load(Ordering::Relaxed);
        let generation = u64::from(logger.generation()) << 32;
        let claim = generation | u64::from(REGISTERING);
        if seen == claim || self.id.compare_exchange(seen, claim, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return 0;
        }
        let CallPlace { level, target, module, file, line, format, placeholders, fields } = self.place;
        let site = CallSiteRef { level: level.number(), line, target, module, file, format, placeholders, fields };
        // By its address, so that a site used with several loggers in turn has one entry in each ring.
        let id = logger.call_sites.register(logger.ring(), std::ptr::from_ref(self) as u64, &site);
        self.id.store(id.map_or(seen, |id| generation | u64::from(id)), Ordering::Relaxed);
        id.unwrap_or(0)
    }
}

/// A call of the macros that does not go the short way.
struct Call<'a> {
    site: &'static Site,
    fit: bool,
    body: &'a dyn Fn(&mut Vec<u8>),
    text: &'a dyn Fn(&mut TextWriter<'_>),
}

impl RecordBody for Call<'_> {
    fn constant(&self) -> Option<&[u8]> {
        None
    }

    fn write(&self, body: &mut Vec<u8>, call_site: u32, size_max: usize) -> u8 {
        if call_site != 0 && self.fit {
            (self.body)(body);
            if body.len() <= size_max {
                return encoding::VALUES;
            }
            body.clear();
        }
        (self.text)(&mut TextWriter { out: body });
        let CallPlace { target, file, line, .. } = self.site.place;
        if call_site == 0 { write_place(body, target, Some(file), Some(line)) } else { encoding::TEXT }
    }
}

/// Takes a message that its caller formats.
#[derive(Debug)]
pub struct TextWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl TextWriter<'_> {
    /// Takes the message, and its fields as ` key=value` each.
    pub fn write(&mut self, message: fmt::Arguments<'_>, fields: fmt::Arguments<'_>) {
        append_text(self.out, message);
        append_text(self.out, fields);
    }
}

/// Proof that a level is enabled, and where its record goes.
#[derive(Debug, Clone, Copy)]
pub struct Enabled {
    logger: &'static Logger,
    destination: Destination,
}

/// Records bytes as they are, for messages that another program or language made. They need not be UTF-8; what is not
/// is shown as `\xff`.
///
/// ```
/// let folder = std::env::temp_dir().join(format!("lastwords-doc-bytes-{}", std::process::id()));
/// lastwords::builder("worker").dir(&folder).init()?;
/// lastwords::record_bytes(lastwords::Level::WARNING, "child", b"caf\xe9");
/// lastwords::flush()?;
/// assert!(std::fs::read_to_string(folder.join("worker.log"))?.contains("[WARNING] caf\\xe9"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn record_bytes(level: Level, target: &str, text: &[u8]) {
    match loggers::current() {
        Some(logger) => record_bytes_to(logger, level, target, text),
        None => loggers::miss(level, target),
    }
}
