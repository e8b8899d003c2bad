//! The settings of a ring, from a builder's, with invalid ones refused.

use crate::config::builder::Builder;
#[cfg(not(feature = "flusher"))]
use crate::config::builder::unbuilt;
use crate::config::defaults::{
    LANES_DEFAULT, OVERFLOW_LANES, RECORD_SIZE_DEFAULT, ROTATE_KEEP_DEFAULT, ROTATE_SIZE_DEFAULT, SLOTS_DEFAULT,
    TABLE_DEFAULT,
};
#[cfg(not(feature = "flusher"))]
use crate::config::flusher_role::Flusher;
#[cfg(not(feature = "flusher"))]
use crate::config::settings::Settings;
use lastwords_ring::error::{Error, Result};
#[cfg(all(feature = "flusher", not(feature = "zstd")))]
use lastwords_ring::format::compress::Compress;
use lastwords_ring::format::file_settings::{CRASH_TOTAL_DEFAULT, FileSettings};
use lastwords_ring::format::filter::Filter;
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::format::layout::CRASH_FILES_DEFAULT;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::log_format::Format;
use lastwords_ring::format::role::{ROLE_RULE, is_role};
use lastwords_ring::format::text_layout::TextLayout;
use lastwords_ring::place::access::Access;
use lastwords_ring::place::capture_file::{STACK_DEFAULT, STACK_RANGE};
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::ROTATE_KEEP_MAX;
use lastwords_ring::write::backlog::BUDGET_DEFAULT;
use lastwords_ring::write::ring::{Memory, RingSpec};
use std::time::Duration;

/// Longest time between two syncs: an hour, after which the kernel has long written everything by itself.
const DURABLE_MAX: Duration = Duration::from_secs(3600);

impl Builder {
    pub(crate) fn ring_spec(&self) -> Result<RingSpec> {
        if !is_role(&self.role) {
            let found = self.role.escape_default();
            return Err(Error::setting("role", format!("\"{found}\" found, expected {ROLE_RULE}")));
        }
        #[cfg(not(feature = "flusher"))]
        self.refuse_unbuilt()?;
        #[cfg(all(feature = "flusher", not(feature = "zstd")))]
        self.refuse_compression()?;
        let settings = &self.settings;
        let rotate_size = settings.rotate_size.unwrap_or(ROTATE_SIZE_DEFAULT);
        if rotate_size < 4096 {
            return Err(self.refused("rotate_size", format!("{rotate_size} found, expected at least 4096")));
        }
        let rotate_keep = settings.rotate_keep.unwrap_or(ROTATE_KEEP_DEFAULT);
        if !(1..=ROTATE_KEEP_MAX).contains(&rotate_keep) {
            return Err(self.refused("rotate_keep", format!("{rotate_keep} found, expected 1 to {ROTATE_KEEP_MAX}")));
        }
        let files = self.file_settings(rotate_size)?;
        let filter = self.filter()?;
        let (geometry, memory) = (self.geometry(&filter)?, settings.memory.unwrap_or_default());
        let backlog_max = match memory {
            Memory::Shared => geometry.file_size(),
            _ => BUDGET_DEFAULT,
        };
        Ok(RingSpec {
            role: self.role.clone(),
            app: self.app_name(),
            geometry,
            filter,
            memory,
            backlog_max: settings.backlog_max.unwrap_or(backlog_max),
            full: settings.full_policy.unwrap_or_default(),
            format: settings.format.unwrap_or_default(),
            rotate_size,
            rotate_keep,
            files,
            sync_ms: self.sync_ms()?,
            crash_keep: self.at_most_10_000("crash_files", settings.crash_files.unwrap_or(CRASH_FILES_DEFAULT))?,
            context_on_error: self.at_most_10_000("context_on_error", settings.context_on_error.unwrap_or(0))?,
            access: Access::new(settings.file_mode, settings.file_group.as_deref())?,
            began: clock::anchor(),
        })
    }

    /// Refuses compression where this process would have to do it and cannot. What others flush, they compress.
    #[cfg(all(feature = "flusher", not(feature = "zstd")))]
    fn refuse_compression(&self) -> Result<()> {
        if self.settings.compress.unwrap_or_default() == Compress::Never || !self.flushes() {
            return Ok(());
        }
        let why = "zstd found, but this program is built without the feature \"zstd\" of lastwords; add it, or have `lastwords flush` \
                   flush (flusher = never)";
        Err(self.refused("compress", why))
    }

    fn file_settings(&self, rotate_size: u64) -> Result<FileSettings> {
        let settings = &self.settings;
        let keep_total = settings.keep_total.unwrap_or(0);
        let current = if settings.format == Some(Format::Both) { rotate_size.saturating_mul(2) } else { rotate_size };
        if (1..current).contains(&keep_total) {
            let why = format!(
                "{keep_total} found, expected 0 for no limit, or at least {current}: what current files may have (rotate_size)"
            );
            return Err(self.refused("keep_total", why));
        }
        Ok(FileSettings {
            keep_total,
            keep_for_s: settings.keep_for.unwrap_or_default().as_secs(),
            crash_total: settings.crash_total.unwrap_or(CRASH_TOTAL_DEFAULT),
            rotate_every: settings.rotate_every.unwrap_or_default(),
            compress: settings.compress.unwrap_or_default(),
            layout: TextLayout {
                columns: settings.columns.unwrap_or_default(),
                digits: settings.time_digits.unwrap_or_default(),
                offset: settings.time_offset.unwrap_or(false),
            },
        })
    }

    fn geometry(&self, filter: &Filter) -> Result<Geometry> {
        let overflow = OVERFLOW_LANES + u32::from(filter.ring_level != Level::OFF);
        let lanes = self.settings.lanes.unwrap_or(LANES_DEFAULT);
        if lanes <= overflow {
            return Err(self.refused("lanes", format!("{lanes} found, expected at least {}", overflow + 1)));
        }
        let record_size = self.settings.record_size.unwrap_or(RECORD_SIZE_DEFAULT);
        let slots = self.settings.slots_per_lane.unwrap_or(SLOTS_DEFAULT);
        Geometry::new(record_size, slots, lanes, overflow, TABLE_DEFAULT)
            .map_err(|error| self.refused(error.setting(), error))
    }

    /// Milliseconds between two syncs, 0 for none.
    fn sync_ms(&self) -> Result<u32> {
        let every = self.settings.durable.unwrap_or_default();
        if every > DURABLE_MAX {
            return Err(self.refused("durable", format!("{every:?} found, expected at most an hour")));
        }
        Ok(every.as_nanos().div_ceil(1_000_000) as u32)
    }

    /// Bytes of a stack that is captured.
    pub(crate) fn stack_captured(&self) -> Result<u32> {
        let found = self.settings.crash_stack.unwrap_or(STACK_DEFAULT);
        if found != 0 && !STACK_RANGE.contains(&found) {
            let (least, most) = (STACK_RANGE.start(), STACK_RANGE.end());
            return Err(self.refused("crash_stack", format!("{found} found, expected 0 or {least} to {most}")));
        }
        Ok(found)
    }

    fn at_most_10_000(&self, name: &'static str, found: u32) -> Result<u32> {
        let why = || self.refused(name, format!("{found} found, expected at most 10,000"));
        if found <= 10_000 { Ok(found) } else { Err(why()) }
    }

    /// Refuses settings that nothing in this program could honour. The others are stored in the ring and honoured by the
    /// flusher.
    #[cfg(not(feature = "flusher"))]
    fn refuse_unbuilt(&self) -> Result<()> {
        let Settings { console, console_all_levels, flusher, .. } = self.settings;
        let asked = [
            ("console", console == Some(true), "true found, but there is no console"),
            ("console_all_levels", console_all_levels == Some(true), "true found, but there is no console"),
            ("flusher", flusher == Some(Flusher::Embedded), "embedded found, but nothing flushes"),
        ];
        match asked.into_iter().find(|(_, asked, _)| *asked) {
            Some((name, _, found)) => {
                Err(self.refused(name, unbuilt(found, "flusher", "leave the setting out and run `lastwords flush`")))
            }
            None => Ok(()),
        }
    }
}
