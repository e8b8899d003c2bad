//! What `lastwords doctor` says of the settings in this environment: those that are refused, by the code that refuses them at
//! `init`, those that have no effect beside others, and misspelt variables. Nothing is created.

use crate::config::builder::Builder;
use crate::config::rust_log::rust_log;
use crate::config::settings::{UnknownVariable, take_unknown_variables};
use lastwords_ring::error::Result;
use lastwords_ring::format::file_settings::{CRASH_TOTAL_DEFAULT, FileSettings};
use lastwords_ring::format::full_policy::FullPolicy;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::log_format::Format;
use lastwords_ring::format::rotate_every::RotateEvery;
use lastwords_ring::place::access::FILE_MODE_DEFAULT;
use lastwords_ring::write::ring::{Memory, RingSpec};
use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

/// What was found.
#[derive(Debug)]
pub struct Examined {
    /// Variables that begin with `LASTWORDS_` and are none of ours, each with the one that was probably meant.
    pub unknown: Vec<UnknownVariable>,
    /// What a process with these settings would request, or why `init` would refuse them.
    pub requested: Result<Requested>,
}

/// What a process with these settings would request.
#[derive(Debug)]
pub struct Requested {
    /// The log folder, if a setting names it.
    pub dir: Option<PathBuf>,
    /// The folder of the rings, if a setting names it.
    pub rings: Option<PathBuf>,
    /// Bytes of a ring.
    pub ring_bytes: u64,
    /// Bytes of the role's log files, rotated ones included, at most.
    pub log_bytes: u64,
    /// Whether the ring is named shared memory.
    pub is_shared: bool,
    /// Whether rings may be on FUSE.
    pub allow_fuse: bool,
    /// Time between two syncs; zero for never.
    pub durable: Duration,
    /// The zone of the times, if a setting names it.
    pub time_zone: Option<String>,
    /// Mode of the log files.
    pub file_mode: u32,
    /// Group of the log files, if a setting names one.
    pub file_group: Option<u32>,
    /// What becomes of `RUST_LOG`, if that is set.
    pub rust_log: Option<RustLog>,
    /// Settings without an effect.
    pub idle: Vec<Idle>,
}

/// What becomes of the variable `RUST_LOG`.
#[derive(Debug, PartialEq, Eq)]
pub enum RustLog {
    /// It says what is written.
    Heeded(String),
    /// Another source of `log` counts more.
    Overruled(Cow<'static, str>),
    /// It cannot be understood, and is ignored.
    Refused(String),
}

/// A setting that has no effect beside others.
#[derive(Debug)]
pub struct Idle {
    /// Its source: the variable, or file and key.
    pub setting: Cow<'static, str>,
    /// Why it has none.
    pub why: &'static str,
    /// What to change.
    pub remedy: &'static str,
}

impl Builder {
    /// Examines the settings of the environment and of the configuration file, as `init` would read them.
    #[doc(hidden)]
    #[must_use]
    pub fn examine(self) -> Examined {
        Examined {
            unknown: take_unknown_variables(),
            requested: self.resolve().and_then(|mut builder| {
                let rust_log = builder.heed_rust_log();
                builder.requested(rust_log)
            }),
        }
    }

    /// Takes `RUST_LOG` as `init` does.
    fn heed_rust_log(&mut self) -> Option<RustLog> {
        let found = rust_log()?;
        if self.settings.log.is_some() {
            return Some(RustLog::Overruled(self.settings.origin("log")));
        }
        Some(found.map_or_else(RustLog::Refused, |directives| {
            self.settings.log = Some(directives.clone());
            RustLog::Heeded(directives)
        }))
    }

    fn requested(&self, rust_log: Option<RustLog>) -> Result<Requested> {
        let spec = self.ring_spec()?;
        let settings = &self.settings;
        Ok(Requested {
            dir: settings.dir.clone(),
            rings: settings.rings.clone(),
            ring_bytes: spec.geometry.file_size(),
            log_bytes: match spec.files.keep_total {
                0 => all_kept(&spec),
                most => all_kept(&spec).min(most),
            },
            is_shared: spec.memory == Memory::Shared,
            allow_fuse: settings.allow_fuse.unwrap_or(false),
            durable: settings.durable.unwrap_or_default(),
            time_zone: settings.time_zone.clone(),
            file_mode: settings.file_mode.unwrap_or(FILE_MODE_DEFAULT),
            file_group: spec.access.group(),
            rust_log,
            idle: self.idle(&spec),
        })
    }

    /// Settings that have no effect, or another one than they say.
    fn idle(&self, spec: &RingSpec) -> Vec<Idle> {
        let given = &self.settings;
        let captures = given.crash_capture.unwrap_or(true);
        let threads = given.crash_threads == Some(true);
        let ring_level = spec.filter.ring_level;
        let directives = &spec.filter.directives;
        // Whatever a target's level is, the files have all that the ring would keep.
        let adds_nothing =
            directives.targets().all(|(_, level)| level <= ring_level) && directives.default_level() <= ring_level;
        let group_reads = given.file_mode.unwrap_or(FILE_MODE_DEFAULT) & 0o040 != 0;
        let rules: [Rule; 8] = [
            (
                threads && !captures,
                "crash_threads",
                "no stacks are captured while crash_capture is false",
                "set crash_capture to true, or leave crash_threads out",
            ),
            (
                threads && captures && spec.crash_keep == 0,
                "crash_threads",
                "crash files alone show the other threads, and crash_files is 0",
                "raise crash_files, or leave crash_threads out",
            ),
            (
                spec.context_on_error > 0 && ring_level == Level::OFF,
                "context_on_error",
                "there are no ring-only records, because ring_level is off",
                "set ring_level, for instance to debug",
            ),
            (
                ring_level != Level::OFF && adds_nothing,
                "ring_level",
                "log writes all of these records to the log files already",
                "set ring_level finer than log, or leave it out",
            ),
            (
                given.console == Some(false) && given.console_all_levels == Some(true),
                "console",
                "false found, but console_all_levels makes a console all the same",
                "leave one of the two out",
            ),
            (
                spec.full == FullPolicy::Overwrite && given.backlog_max.is_some_and(|bytes| bytes > 0),
                "backlog_max",
                "with full_policy = overwrite nothing is kept beside the ring",
                "set full_policy to block, or leave backlog_max out",
            ),
            (
                spec.memory == Memory::Shared && given.rings.is_some(),
                "rings",
                "with memory = shared the rings are in /dev/shm, and only small files that stand for them are in that folder",
                "set memory to file, or leave rings out",
            ),
            (
                given.file_group.is_some() && !group_reads,
                "file_group",
                "the mode of the files gives a group no right to read",
                "set file_mode to 0640, or leave file_group out",
            ),
        ];
        let idle = rules.into_iter().chain(files_rules(spec)).filter(|(holds, ..)| *holds);
        idle.map(|(_, name, why, remedy)| Idle { setting: given.origin(name), why, remedy }).collect()
    }
}

/// Whether it holds, a setting, why it has no effect or another one than it says, and what to change.
type Rule = (bool, &'static str, &'static str, &'static str);

/// Of when log files are rotated, and how many are kept.
fn files_rules(spec: &RingSpec) -> [Rule; 5] {
    let FileSettings { keep_total, keep_for_s, crash_total, rotate_every, .. } = spec.files;
    let period_s = match rotate_every {
        RotateEvery::Hour => 3600,
        RotateEvery::Day => 86_400,
        _ => 0,
    };
    let current = current_bytes(spec);
    [
        (
            (1..period_s).contains(&keep_for_s),
            "keep_for",
            "it is shorter than a period of rotate_every, so that a rotated file goes before the next one is there",
            "raise keep_for to several periods, or leave it out",
        ),
        (
            period_s > 0 && u64::from(spec.rotate_keep).saturating_mul(period_s) < keep_for_s,
            "keep_for",
            "rotate_keep keeps fewer files than rotate_every makes in that time, so that they go earlier",
            "raise rotate_keep (100 at most), rotate less often, or lower keep_for",
        ),
        (
            keep_total > 0 && keep_total < current.saturating_mul(2),
            "keep_total",
            "it has room for the current file alone, so that a rotated one goes while that grows",
            "raise keep_total to several times rotate_size, for each format, or lower rotate_size",
        ),
        (
            keep_total > 0 && keep_total >= all_kept(spec),
            "keep_total",
            "rotate_size and rotate_keep keep less than that already",
            "raise rotate_keep or rotate_size, or leave keep_total out",
        ),
        (
            crash_total != CRASH_TOTAL_DEFAULT && spec.crash_keep == 0,
            "crash_total",
            "no crash files are written while crash_files is 0",
            "raise crash_files, or leave crash_total out",
        ),
    ]
}

/// Bytes of the role's current files at most, of each format.
fn current_bytes(spec: &RingSpec) -> u64 {
    spec.rotate_size.saturating_mul(if spec.format == Format::Both { 2 } else { 1 })
}

/// Bytes of all its files, if only their number is limited.
fn all_kept(spec: &RingSpec) -> u64 {
    current_bytes(spec).saturating_mul(u64::from(spec.rotate_keep) + 1)
}
