//! The `log` facade's back end: every crate that logs through the facade lands in the ring.

use crate::checksum::checksum;
use crate::error::{Error, Result};
use crate::layout::encoding;
use crate::level::Level;
use crate::logger::Logger;
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
        const { [const { Cell::new(RememberedSite { hash: 0, generation: 0, id: 0 }) }; REMEMBERED] };
}

#[derive(Debug, Clone, Copy)]
struct RememberedSite {
    hash: u64,
    generation: u32,
    id: u32,
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

impl Log for Facade {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        registry::current().is_some_and(|logger| logger.enabled(metadata.level().into()))
    }

    fn log(&self, record: &Record<'_>) {
        let level = Level::from(record.level());
        let Some(logger) = registry::current().filter(|logger| logger.enabled(level)) else { return };
        let meta = Meta { level: level.number(), call_site: call_site(logger, level, record) };
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

/// The id of the record's place; each thread registers a place once. Records without a line have no place to share.
fn call_site(logger: &Logger, level: Level, record: &Record<'_>) -> u32 {
    let (Some(file), Some(line)) = (record.file_static(), record.line()) else { return 0 };
    let hash = checksum(record.target().as_bytes())
        ^ (file.as_ptr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (u64::from(line) << 16 | u64::from(level.number())).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    SITES.with(|sites| {
        let place = &sites[hash as usize % REMEMBERED];
        let known = place.get();
        if known.hash == hash && known.generation == logger.generation() {
            return known.id;
        }
        let id = logger.register_shared(hash, &CallSiteRef {
            level: level.number(),
            line,
            target: record.target(),
            module: record.module_path().unwrap_or_default(),
            file,
            format: "",
            placeholders: &[],
            fields: &[],
        });
        if let Some(id) = id {
            place.set(RememberedSite { hash, generation: logger.generation(), id });
        }
        id.unwrap_or(0)
    })
}
