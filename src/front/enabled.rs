//! Whether a record of a level and target would be recorded, to be checked before it is created.

use crate::front::handle::Log;
use crate::logger::ring_logger::Logger;
use crate::process::loggers;
use lastwords_ring::format::level::Level;

/// For the process's own logger.
#[must_use]
pub fn enabled(level: Level, target: &str) -> bool {
    by(loggers::current(), level, target)
}

/// For a logger that is a value.
#[must_use]
pub fn enabled_in(log: Log, level: Level, target: &str) -> bool {
    by(log.logger(), level, target)
}

fn by(logger: Option<&'static Logger>, level: Level, target: &str) -> bool {
    logger.is_some_and(|logger| logger.filter.admit_target(level, target).is_some())
}
