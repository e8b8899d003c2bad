//! The `log` facade's back end: records of every crate that logs through the facade go to the ring.
//!
//! The key-values of a record (`info!(user = "ada"; "…")`) become its fields. Their names are not known before the call, so
//! they are in the record and not at its call site.

use crate::logger::bytes::add_place;
use crate::logger::call_site_cache::CachedCallSite;
use crate::logger::record::{RecordBody, RecordHead};
use crate::logger::ring_logger::Logger;
use crate::logger::thread;
use crate::process::loggers;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::call_site::CallSiteRef;
use lastwords_ring::format::checksum::checksum;
use lastwords_ring::format::level::Level;
use lastwords_ring::write::arguments::append_text;
use lastwords_ring::write::body::BodyWriter;
use lastwords_ring::write::body::FieldWriter;
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{LevelFilter, Log, Metadata, Record};
use std::sync::OnceLock;

#[derive(Debug)]
struct Facade;

static FACADE: Facade = Facade;

/// Whether the facade is ours, once that was attempted.
static INSTALLED: OnceLock<bool> = OnceLock::new();

/// Takes the facade for this process. The level is checked for every record, so the facade lets all through.
pub(crate) fn install() -> Result<()> {
    let installed = *INSTALLED.get_or_init(|| {
        let free = log::set_logger(&FACADE).is_ok();
        if free {
            log::set_max_level(LevelFilter::Trace);
        }
        free
    });
    if installed { Ok(()) } else { Err(Error::FacadeTaken) }
}

/// Advice for a panic in other code that tried to take what this process gave to lastwords: `init` of tracing-subscriber or
/// env_logger, and `set_logger(…).unwrap()`, only report the name of an error.
pub(crate) fn advice(panic: &str) -> Option<&'static str> {
    if panic.contains("SetLoggerError") && INSTALLED.get() == Some(&true) {
        return Some(
            "the `log` facade was taken by lastwords; to leave it to another logger, or to tracing-subscriber's init(), which takes it \
             with its default features, initialise by builder(role).log_facade(false).init()",
        );
    }
    #[cfg(feature = "tracing")]
    if panic.contains("SetGlobalDefaultError") && crate::front::tracing::is_subscribed() {
        return Some(
            "the subscriber of `tracing` was installed by lastwords::init_tracing; to install another one, initialise by \
             builder(role).log_facade(false).init() and add lastwords::tracing_layer() to it",
        );
    }
    None
}

/// Makes the facade itself reject what no logger records, which is cheaper. Only if this process has a thread that follows
/// later changes of the filter.
pub(crate) fn follow(logger: &Logger) {
    if !logger.builder().flushes() || !logger.builder().takes_facade() {
        return;
    }
    let finest = logger.filter.current().finest();
    let admitted = |level: &log::Level| Level::from(*level) >= finest;
    log::set_max_level(
        log::Level::iter().filter(admitted).last().map_or(LevelFilter::Off, |level| level.to_level_filter()),
    );
}

impl Log for Facade {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let admitted =
            |logger: &Logger| logger.filter.admit_target(metadata.level().into(), metadata.target()).is_some();
        loggers::current().is_some_and(admitted)
    }

    fn log(&self, record: &Record<'_>) {
        let level = Level::from(record.level());
        let Some(logger) = loggers::current() else { return loggers::miss(level, record.target()) };
        let at = place(level, record);
        let find = || CachedCallSite::find(logger, at.map(|at| at ^ target_key(record)));
        let mut known = None;
        let ask = || known.insert(find()).destination(logger, level, record.target());
        let Some(destination) = logger.filter.admit(level, ask) else { return };
        let call_site = known.unwrap_or_else(find).id_of_chosen(logger, at.unwrap_or(0), || describe(level, record));
        let head = RecordHead { level: level.number(), call_site, destination };
        let formatted = Formatted(record);
        let is_done =
            call_site != 0 && formatted.constant().is_some_and(|text| thread::record_at_once(logger, head, text));
        if !is_done {
            thread::record(logger, head, &formatted);
        }
    }

    fn flush(&self) {
        let _ = crate::flush();
    }
}

/// A record of the facade, which its caller formats.
struct Formatted<'a>(&'a Record<'a>);

impl RecordBody for Formatted<'_> {
    fn constant(&self) -> Option<&[u8]> {
        let text = self.0.args().as_str()?;
        (self.0.key_values().count() == 0).then_some(text.as_bytes())
    }

    fn write(&self, body: &mut Vec<u8>, call_site: u32, _: usize) -> u8 {
        let record = self.0;
        append_text(body, *record.args());
        let mut writer = BodyWriter::after_text(body);
        if call_site == 0 {
            add_place(&mut writer, record.target(), record.file(), record.line());
        }
        // A failing source has provided what it could.
        let _ = record.key_values().visit(&mut KeyValues(writer.fields()));
        writer.finish()
    }
}

/// Collects the key-values of a record.
struct KeyValues<'a>(FieldWriter<'a>);

impl<'kvs> VisitSource<'kvs> for KeyValues<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        value.visit(OneValue { fields: &mut self.0, name: key.as_str() })
    }
}

/// Receives the value of one key.
struct OneValue<'a, 'b> {
    fields: &'a mut FieldWriter<'b>,
    name: &'a str,
}

impl<'v> VisitValue<'v> for OneValue<'_, '_> {
    /// Everything without a type of its own: values given as `:?`, `:%` or `:err`, and empty ones.
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.fields.formatted(self.name, format_args!("{value}"));
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.fields.u64(self.name, value);
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.fields.i64(self.name, value);
        Ok(())
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        self.fields.u128(self.name, value);
        Ok(())
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        self.fields.i128(self.name, value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.fields.f64(self.name, value);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.fields.bool(self.name, value);
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.fields.str(self.name, value);
        Ok(())
    }

    fn visit_char(&mut self, value: char) -> Result<(), kv::Error> {
        self.fields.char(self.name, value);
        Ok(())
    }
}

/// Identifies a place apart from its target; None for records without a line, which have no place to share.
fn place(level: Level, record: &Record<'_>) -> Option<u64> {
    let (file, line) = record.file_static().zip(record.line())?;
    let hash = (file.as_ptr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (u64::from(line) << 16 | u64::from(level.number())).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    Some(hash)
}

/// Identifies a record's target: by its address if it is the module's very name, as where no target is given, which nothing
/// else can have.
fn target_key(record: &Record<'_>) -> u64 {
    let target = record.target();
    if record.module_path_static().is_some_and(|module| std::ptr::eq(module, target)) {
        return (target.as_ptr() as u64 ^ (target.len() as u64) << 48).wrapping_mul(0x1656_67b1_9e37_79f9);
    }
    checksum(target.as_bytes())
}

fn describe<'a>(level: Level, record: &Record<'a>) -> CallSiteRef<'a> {
    CallSiteRef {
        level: level.number(),
        line: record.line().unwrap_or(0),
        target: record.target(),
        module: record.module_path().unwrap_or_default(),
        file: record.file().unwrap_or_default(),
        format: "",
        placeholders: &[],
        types: &[],
        fields: &[],
    }
}
