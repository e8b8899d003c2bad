//! Which events and spans of `tracing` are recorded. All such decisions are made here.
//!
//! `tracing` caches the decisions if possible, so that a call that is too fine costs one load: a place below the level is never
//! asked about again, and its macros know the finest level of all. [`changed`] invalidates the caches.

use crate::logger::call_site_cache::CachedCallSite;
use crate::logger::ring_logger::Logger;
use crate::process::{logger_cell, loggers};
use lastwords_ring::format::filter::{Destination, Filter as RingFilter};
use lastwords_ring::format::level::Level;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_core::subscriber::Interest;
use tracing_core::{LevelFilter, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// The finest first.
const LEVELS: [tracing_core::Level; 5] = [
    tracing_core::Level::TRACE,
    tracing_core::Level::DEBUG,
    tracing_core::Level::INFO,
    tracing_core::Level::WARN,
    tracing_core::Level::ERROR,
];

/// The destination of an event of this description, and the thread's cached call site.
pub(super) fn place(logger: &Logger, metadata: &Metadata<'_>) -> Option<(Destination, CachedCallSite)> {
    let mut known = known(logger, metadata);
    let level = Level::from(*metadata.level());
    let destination = logger.filter.admit(level, || known.destination(logger, level, metadata.target()))?;
    Some((destination, known))
}

/// A description is a static, so its address identifies the call site.
fn known(logger: &Logger, metadata: &Metadata<'_>) -> CachedCallSite {
    CachedCallSite::find(logger, Some(std::ptr::from_ref(metadata) as u64))
}

/// Whether an event or a span of this description is recorded now.
fn is_recorded(logger: &Logger, metadata: &Metadata<'_>) -> bool {
    let level = Level::from(*metadata.level());
    logger.filter.admit(level, || known(logger, metadata).destination(logger, level, metadata.target())).is_some()
}

/// The finest level of which anything is recorded now.
fn finest(filter: &RingFilter) -> LevelFilter {
    let finest = filter.finest();
    let level = LEVELS.into_iter().find(|level| Level::from(*level) >= finest);
    level.map_or(LevelFilter::OFF, LevelFilter::from_level)
}

/// Must be called whenever one of the decisions may have changed.
pub(crate) fn changed() {
    tracing_core::callsite::rebuild_interest_cache();
    let leaves_facade = loggers::current().is_some_and(|logger| !logger.builder().takes_facade());
    if LAYERED.load(Ordering::Relaxed) && leaves_facade {
        admit_forwarded();
    }
}

/// There is a layer of ours.
pub(super) static LAYERED: AtomicBool = AtomicBool::new(false);

/// Makes the `log` facade admit what the subscriber wants. If the subscriber has the facade, the facade got the finest level
/// when it was installed, which is none before our logger exists. Only makes it finer: the facade may belong to other code.
fn admit_forwarded() {
    let wanted = match LevelFilter::current().into_level() {
        None => log::LevelFilter::Off,
        Some(tracing_core::Level::ERROR) => log::LevelFilter::Error,
        Some(tracing_core::Level::WARN) => log::LevelFilter::Warn,
        Some(tracing_core::Level::INFO) => log::LevelFilter::Info,
        Some(tracing_core::Level::DEBUG) => log::LevelFilter::Debug,
        Some(tracing_core::Level::TRACE) => log::LevelFilter::Trace,
    };
    log::set_max_level(log::max_level().max(wanted));
}

/// Passes what lastwords records; the filter within [`crate::TracingLayer`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Recorded;

impl<S> Filter<S> for Recorded {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        if let Some(logger) = loggers::current() {
            return is_recorded(logger, metadata);
        }
        // In a forked child that has no ring yet it is lost, and counted.
        if metadata.is_event() {
            loggers::miss(Level::from(*metadata.level()), metadata.target());
        }
        false
    }

    /// The decision is checked for each event, so that a changed level applies at once, from whatever source.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match loggers::current() {
            Some(logger) if is_recorded(logger, metadata) => Interest::sometimes(),
            None if logger_cell::awaited_filter().is_some() => Interest::sometimes(),
            _ => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let filter = loggers::current().map(|logger| logger.filter.current());
        let filter = filter.as_ref().or_else(|| logger_cell::awaited_filter());
        Some(filter.map_or(LevelFilter::OFF, finest))
    }
}
