//! The place of a log call in the program, and its id in this process's ring.

use crate::level::Level;
use crate::log::Log;
use crate::logger::Logger;
use crate::record::{BodyWriter, extra_kind};
use crate::registry;
use crate::table::CallSiteRef;
use crate::thread::{self, Extras, Meta, Text};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Low half of a site's id word while its first call registers it.
const REGISTERING: u32 = u32::MAX;

/// A log call's place, a static made by the macros.
#[derive(Debug)]
pub struct Site {
    level: Level,
    target: &'static str,
    module: &'static str,
    file: &'static str,
    line: u32,
    format: &'static str,
    /// Generation of the logger in the high half, id in the low half.
    id: AtomicU64,
}

impl Site {
    /// A site, not registered yet.
    #[must_use]
    pub const fn new(
        level: Level,
        target: &'static str,
        module: &'static str,
        file: &'static str,
        line: u32,
        format: &'static str,
    ) -> Site {
        Site { level, target, module, file, line, format, id: AtomicU64::new(0) }
    }

    /// The logger, if this site's records are recorded now.
    #[inline]
    #[must_use]
    pub fn enabled(&self) -> Option<Enabled> {
        let logger = registry::current()?;
        logger.enabled(self.level).then_some(Enabled { logger })
    }

    /// The same for a logger that is a value.
    #[inline]
    #[must_use]
    pub fn enabled_in(&self, log: Log) -> Option<Enabled> {
        let logger = log.logger()?;
        logger.enabled(self.level).then_some(Enabled { logger })
    }

    /// Records one message.
    #[inline]
    pub fn record(&'static self, enabled: Enabled, arguments: fmt::Arguments<'_>) {
        let logger = enabled.logger;
        let word = self.id.load(Ordering::Relaxed);
        let known = (word >> 32) as u32 == logger.generation() && word as u32 != REGISTERING;
        let call_site = if known { word as u32 } else { self.register(logger, word) };
        thread::record(logger, Meta { level: self.level.number(), call_site, extras: self }, Text::Format(arguments));
    }

    /// Writes the site into the ring's table. Nobody waits: who finds another thread at it logs this record with
    /// target and place in the record itself.
    #[cold]
    fn register(&self, logger: &Logger, seen: u64) -> u32 {
        let generation = u64::from(logger.generation()) << 32;
        let claim = generation | u64::from(REGISTERING);
        if seen == claim || self.id.compare_exchange(seen, claim, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return 0;
        }
        let site = CallSiteRef {
            level: self.level.number(),
            line: self.line,
            target: self.target,
            module: self.module,
            file: self.file,
            format: self.format,
            fields: &[],
        };
        // By its address, so that a site used with several loggers in turn has one entry in each ring.
        let id = logger.register_shared(std::ptr::from_ref(self) as u64, &site);
        self.id.store(id.map_or(seen, |id| generation | u64::from(id)), Ordering::Relaxed);
        id.unwrap_or(0)
    }
}

impl Extras for Site {
    fn write(&self, body: &mut Vec<u8>) -> u8 {
        write_place(body, self.target, Some(self.file), Some(self.line))
    }
}

/// Adds target and place to a record without call site.
pub(crate) fn write_place(body: &mut Vec<u8>, target: &str, file: Option<&str>, line: Option<u32>) -> u8 {
    let mut writer = BodyWriter::after_text(body);
    writer.extra(extra_kind::TARGET, target.as_bytes());
    if let Some(file) = file {
        writer.extra(extra_kind::FILE, file.as_bytes());
    }
    if let Some(line) = line {
        writer.extra(extra_kind::LINE, &line.to_le_bytes());
    }
    writer.finish()
}

/// Proof that a level is enabled, and where its record goes.
#[derive(Debug, Clone, Copy)]
pub struct Enabled {
    logger: &'static Logger,
}

/// A target without a place.
struct Target<'a>(&'a str);

impl Extras for Target<'_> {
    fn write(&self, body: &mut Vec<u8>) -> u8 {
        write_place(body, self.0, None, None)
    }
}

/// Records bytes as they are, for messages that another program or language made. They need not be UTF-8; what is not
/// is shown as `\xff`.
///
/// ```
/// let folder = std::env::temp_dir().join(format!("lastwords-doc-bytes-{}", std::process::id()));
/// lastwords::builder("worker").folder(&folder).init()?;
/// lastwords::record_bytes(lastwords::Level::WARNING, "child", b"caf\xe9");
/// lastwords::flush()?;
/// assert!(std::fs::read_to_string(folder.join("worker.log"))?.contains("[WARNING] caf\\xe9"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn record_bytes(level: Level, target: &str, text: &[u8]) {
    if let Some(logger) = registry::current() {
        record_bytes_to(logger, level, target, text);
    }
}

pub(crate) fn record_bytes_to(logger: &'static Logger, level: Level, target: &str, text: &[u8]) {
    if !logger.enabled(level) {
        return;
    }
    let meta = Meta { level: level.number(), call_site: 0, extras: &Target(target) };
    thread::record(logger, meta, Text::Bytes(text));
}
