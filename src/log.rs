//! A logger as a value: a second role in one process, besides the one that [`crate::init`] makes.

use crate::config::Builder;
use crate::error::{Error, Result};
use crate::level::Level;
use crate::logger::{FLUSH_MAX, Logger};
use crate::registry::{self, LoggerCell};
use crate::site::record_bytes_to;

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

    /// Changes what this logger writes to the log files, see [`crate::set_log`].
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for directives that cannot be meant.
    pub fn set_log(self, directives: &str) -> Result<()> {
        let directives = directives.parse().map_err(|error| Error::setting("log", error))?;
        self.cell.logger().map_or(Ok(()), |logger| logger.set_directives(directives))
    }

    /// Gives a level a name, which every line of this logger's records then shows: `[NOTICE]` instead of `[Level 25]`.
    ///
    /// The six standard levels may be renamed, and every level again at any time. A record is shown with the name that its
    /// level has when its line is made, so one that was logged shortly before a change may have the new name. An empty name
    /// takes the name away. Forked processes have the names as well. What the flusher itself says in the log keeps the
    /// standard names, and directives know no others.
    ///
    /// Names are cut to 64 bytes, and what could drive a terminal, end the line or close the bracket is escaped. Each change
    /// takes room in the ring for good; where the table of call sites is full, the name changes no more. Of more than 1,024
    /// changes a flusher that starts later finds the last ones. Not for signal handlers.
    ///
    /// ```
    /// use lastwords::Level;
    /// let folder = std::env::temp_dir().join(format!("lastwords-doc-level-{}", std::process::id()));
    /// let audit = lastwords::builder("audit").dir(&folder).open()?;
    /// audit.name_level(Level::WARNING, "WARN");
    /// lastwords::warning!(logger: audit, "user {} failed to log in", "ada");
    /// audit.flush()?;
    /// assert!(std::fs::read_to_string(folder.join("audit.log"))?.contains("[WARN] user ada failed to log in"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name_level(self, level: Level, name: &str) {
        self.cell.name_level(level, name);
    }

    /// Waits until every line that was logged to this logger before the call is in its file, at most 2 s.
    ///
    /// # Errors
    /// [`crate::Error::FlushTimeout`] if no flusher got that far. The lines are safe in the ring all the same.
    pub fn flush(self) -> Result<()> {
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
