//! The `log` facade's back end: every crate that logs through the facade lands in the ring.

use crate::checksum::checksum;
use crate::config::Flusher;
use crate::error::{Error, Result};
use crate::layout::encoding;
use crate::level::Level;
use crate::filter::Destination;
use crate::logger::{Decision, Logger};
use crate::registry;
use crate::site::write_place;
use crate::table::CallSiteRef;
use crate::thread::{self, Meta, Said};
use crate::values::append_text;
use log::{LevelFilter, Log, Metadata, Record};
use std::cell::Cell;
use std::sync::OnceLock;

/// Call sites that a thread remembers, by a hash of what tells them apart.
const REMEMBERED: usize = 128;

thread_local! {
    static SITES: [Cell<RememberedSite>; REMEMBERED] =
        const { [const { Cell::new(RememberedSite::NONE) }; REMEMBERED] };
}

#[derive(Debug, Clone, Copy)]
struct RememberedSite {
    hash: u64,
    generation: u32,
    id: u32,
    /// Where its records go.
    decision: Decision,
}

impl RememberedSite {
    const NONE: RememberedSite =
        RememberedSite { hash: 0, generation: 0, id: 0, decision: Decision { key: 0, destination: None } };
}

#[derive(Debug)]
struct Facade;

static FACADE: Facade = Facade;

/// Takes the facade's place for this process. The level is checked for every record, so the facade lets all through.
pub(crate) fn install() -> Result<()> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    let installed = *INSTALLED.get_or_init(|| {
        let free = log::set_logger(&FACADE).is_ok();
        if free {
            log::set_max_level(LevelFilter::Trace);
        }
        free
    });
    let why = "another logger is installed already; initialise lastwords first, and no other logger";
    if installed { Ok(()) } else { Err(Error::setting("log facade", why)) }
}

/// Has the facade itself turn away what no logger records, which is cheaper. Only where this process has a thread that
/// follows later changes of the filter.
pub(crate) fn follow(logger: &Logger) {
    if !cfg!(feature = "flusher") || logger.builder().flusher != Flusher::Embedded {
        return;
    }
    let finest = logger.filter().finest();
    let admitted = |level: &log::Level| Level::from(*level) >= finest;
    log::set_max_level(log::Level::iter().filter(admitted).last().map_or(LevelFilter::Off, |level| level.to_level_filter()));
}

impl Log for Facade {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let admitted = |logger: &Logger| logger.admit_target(metadata.level().into(), metadata.target()).is_some();
        registry::current().is_some_and(admitted)
    }

    fn log(&self, record: &Record<'_>) {
        let level = Level::from(record.level());
        let Some(logger) = registry::current() else { return };
        let mut place = None;
        let ask = || place.insert(Place::of(logger, level, record)).destination(logger, level, record);
        let Some(destination) = logger.admit(level, ask) else { return };
        let place = place.unwrap_or_else(|| Place::of(logger, level, record));
        let meta = Meta { level: level.number(), call_site: place.call_site(logger, level, record), destination };
        thread::record(logger, meta, &Formatted(record));
    }

    fn flush(&self) {
        let _ = crate::flush();
    }
}

/// A record of the facade, which its caller formats.
struct Formatted<'a>(&'a Record<'a>);

impl Said for Formatted<'_> {
    fn constant(&self) -> Option<&[u8]> {
        self.0.args().as_str().map(str::as_bytes)
    }

    fn write(&self, body: &mut Vec<u8>, call_site: u32, _: usize) -> u8 {
        let record = self.0;
        append_text(body, *record.args());
        if call_site == 0 { write_place(body, record.target(), record.file(), record.line()) } else { encoding::TEXT }
    }
}

/// The place that a record comes from, as its thread remembers it. Records without a line have no place to share.
#[derive(Debug, Clone, Copy)]
struct Place {
    hash: Option<u64>,
    known: RememberedSite,
}

impl Place {
    fn of(logger: &Logger, level: Level, record: &Record<'_>) -> Place {
        let hash = record.file_static().zip(record.line()).map(|(file, line)| {
            checksum(record.target().as_bytes())
                ^ (file.as_ptr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ (u64::from(line) << 16 | u64::from(level.number())).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
        });
        let generation = logger.generation();
        let fresh = RememberedSite { hash: hash.unwrap_or(0), generation, ..RememberedSite::NONE };
        let known = hash.map(|hash| SITES.with(|sites| sites[hash as usize % REMEMBERED].get()));
        let known = known.filter(|known| known.hash == fresh.hash && known.generation == generation).unwrap_or(fresh);
        Place { hash, known }
    }

    fn remember(&self) {
        if let Some(hash) = self.hash {
            SITES.with(|sites| sites[hash as usize % REMEMBERED].set(self.known));
        }
    }

    /// What the filter says of the place, remembered until the filter changes.
    fn destination(&mut self, logger: &Logger, level: Level, record: &Record<'_>) -> Option<Destination> {
        if self.known.decision.key != logger.decision_key() {
            self.known.decision = logger.decide(level, record.target());
            self.remember();
        }
        self.known.decision.destination
    }

    /// Its id in the ring's table, 0 for none; each thread registers a place once.
    fn call_site(mut self, logger: &Logger, level: Level, record: &Record<'_>) -> u32 {
        let (Some(hash), 0) = (self.hash, self.known.id) else { return self.known.id };
        let id = logger.register_shared(hash, &CallSiteRef {
            level: level.number(),
            line: record.line().unwrap_or(0),
            target: record.target(),
            module: record.module_path().unwrap_or_default(),
            file: record.file_static().unwrap_or_default(),
            format: "",
            placeholders: &[],
            fields: &[],
        });
        self.known.id = id.unwrap_or(0);
        self.remember();
        self.known.id
    }
}
