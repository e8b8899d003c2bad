//! A logger as a value: a second role in one process, besides the one that [`crate::init`] makes.

use crate::config::Builder;
use crate::directives::Directives;
use crate::error::{Error, Result};
#[cfg(feature = "flusher")]
use crate::format::Format;
use crate::level::Level;
use crate::logger::{FLUSH_MAX, Logger};
use crate::registry::{self, LoggerCell};
use crate::site::record_bytes_to;
use std::path::PathBuf;

/// A logger of its own role or folder. Copies are the same logger; it lives as long as the process.
///
/// A process has one ring for each folder and role: opening the same again gives the same logger.
///
/// ```
/// let folder = std::env::temp_dir().join(format!("lastwords-doc-log-{}", std::process::id()));
/// let audit = lastwords::builder("audit").dir(&folder).open()?;
/// lastwords::info!(logger: audit, "user {} logged in", "ada");
/// audit.flush()?;
/// assert!(std::fs::read_to_string(folder.join("audit.log"))?.contains("user ada logged in"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Log {
    cell: &'static LoggerCell,
}

impl Log {
    #[inline]
    pub(crate) fn logger(self) -> Option<&'static Logger> {
        self.cell.logger()
    }

    /// Records bytes as they are, see [`crate::record_bytes`].
    pub fn record_bytes(self, level: Level, target: &str, text: &[u8]) {
        if let Some(logger) = self.cell.logger() {
            record_bytes_to(logger, level, target, text);
        }
    }

    /// A number that changes with the logger's ring, in a forked child, and with its filter, which `lastwords level` changes
    /// from outside.
    #[must_use]
    pub fn state(self) -> u64 {
        self.logger().map_or(0, Logger::decision_key)
    }

    /// What this logger writes to the log files.
    #[must_use]
    pub fn directives(self) -> Directives {
        self.logger().map_or(Directives::from(Level::OFF), |logger| logger.filter().directives)
    }

    /// The finest level that the ring records although no log file shows it; [`Level::OFF`] if none.
    #[must_use]
    pub fn record_level(self) -> Level {
        self.logger().map_or(Level::OFF, |logger| logger.filter().record)
    }

    /// In which form its records stand in the log folder.
    #[cfg(feature = "flusher")]
    #[must_use]
    pub fn format(self) -> Format {
        self.logger().map_or(Format::Text, |logger| Format::of_flags(logger.ring().header().flags))
    }

    /// Where its log files are.
    #[must_use]
    pub fn folder(self) -> Option<PathBuf> {
        self.logger().map(|logger| logger.folder().path().to_owned())
    }

    /// Changes what this logger writes to the log files, see [`crate::set_log`].
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for directives that cannot be meant.
    pub fn set_log(self, directives: &str) -> Result<()> {
        let directives = directives.parse().map_err(|error| Error::setting("log", error))?;
        self.cell.logger().map_or(Ok(()), |logger| logger.set_directives(directives))
    }

    /// Waits until every line that was logged to this logger before the call is in its file, at most 2 s.
    ///
    /// # Errors
    /// [`crate::Error::FlushTimeout`] if no flusher got that far. The lines are safe in the ring all the same.
    pub fn flush(self) -> Result<()> {
        #[cfg(feature = "flusher")]
        crate::flush::embedded::resume();
        self.cell.logger().map_or(Ok(()), |logger| logger.flush(FLUSH_MAX))
    }
}

impl Builder {
    /// Makes a logger as a value, which the macros take as `logger: value`; the process's own logger stays as it is.
    ///
    /// # Errors
    /// As [`Builder::init`].
    pub fn open(self) -> Result<Log> {
        registry::open(self.resolve()?).map(|cell| Log { cell })
    }
}
