//! A logger as a value: an additional role in one process, besides the one that [`crate::init`] creates.

use crate::logger::bytes::record_bytes_to;
use crate::logger::flush_wait::FLUSH_MAX;
use crate::logger::ring_logger::{Logger, UsedLogger};
use crate::process::logger_cell::LoggerCell;
use crate::process::loggers;
#[cfg(feature = "flusher")]
use lastwords_flusher::files::log_file::create_if_missing;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::directives::Directives;
use lastwords_ring::format::level::Level;
#[cfg(feature = "flusher")]
use lastwords_ring::format::log_format::Format;
use lastwords_ring::place::crash_notes;
#[cfg(feature = "flusher")]
use lastwords_ring::place::folder::JSON_ENDING;
use lastwords_ring::place::kept_level::KeptLevel;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

/// A logger with a role or folder of its own. Copies are the same logger; it lives as long as the process, or until it is
/// closed.
///
/// A process has one ring for each folder and role: opening the same again returns the same logger, or an error if other
/// settings are requested than it has.
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
    pub(crate) fn of(cell: &'static LoggerCell) -> Log {
        Log { cell }
    }

    #[inline]
    pub(crate) fn logger(self) -> Option<&'static Logger> {
        self.cell.logger()
    }

    #[inline]
    pub(crate) fn use_logger(self) -> Option<UsedLogger> {
        self.cell.use_logger()
    }

    /// Counts a record that finds no logger.
    pub(crate) fn miss(self, level: Level, target: &str) {
        self.cell.miss(level, target);
    }

    /// Records bytes as they are, see [`crate::record_bytes`].
    pub fn record_bytes(self, level: Level, target: &str, text: &[u8]) {
        match self.cell.logger() {
            Some(logger) => record_bytes_to(logger, level, target, text),
            None => self.miss(level, target),
        }
    }

    /// A number that changes with the logger's ring, in a forked child, and with its filter, which `lastwords level` can
    /// change.
    #[must_use]
    pub fn state(self) -> u64 {
        self.logger().map_or(0, |logger| logger.filter.key())
    }

    /// What this logger writes to the log files.
    #[must_use]
    pub fn directives(self) -> Directives {
        self.logger().map_or(Directives::from(Level::OFF), |logger| logger.filter.current().directives)
    }

    /// The level that `lastwords level --keep` has stored for the role by now, for front ends that choose their own directives;
    /// None if there is none. A process of the role that starts now begins with it, whatever its settings.
    #[must_use]
    pub fn kept_directives(self) -> Option<Directives> {
        let logger = self.logger()?;
        KeptLevel::read(logger.folder(), &logger.builder().role).ok()??.log
    }

    /// The finest level of the ring-only records; [`Level::OFF`] if there are none.
    #[must_use]
    pub fn ring_level(self) -> Level {
        self.logger().map_or(Level::OFF, |logger| logger.filter.current().ring_level)
    }

    /// The format of its records in the log folder.
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

    /// Creates missing log files, empty: for programs that follow them by name before the first line is there. With
    /// [`crate::Builder::durable`] it creates none; the flusher does, and syncs the folder.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if one cannot be created. Records are logged all the same.
    #[cfg(feature = "flusher")]
    pub fn create_files(self) -> Result<()> {
        let Some(logger) = self.logger() else { return Ok(()) };
        if logger.ring().header().sync_ms > 0 {
            return Ok(());
        }
        let text = logger.builder().role.clone();
        let json = format!("{text}{JSON_ENDING}");
        let format = self.format();
        let (with_text, with_json) = (format != Format::Json, format != Format::Text);
        let wanted = [(text, with_text), (json, with_json)].into_iter().filter(|(_, wanted)| *wanted);
        wanted.map(|(log, _)| log).try_for_each(|log| create_if_missing(logger.folder(), &log))
    }

    /// Changes what this logger writes to the log files, see [`crate::set_log`].
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for invalid directives.
    pub fn set_log(self, directives: &str) -> Result<()> {
        let directives = directives.parse().map_err(|error| Error::setting("log", error))?;
        self.cell.logger().map_or(Ok(()), |logger| logger.ring().set_directives(directives))
    }

    /// Gives a level a name, which every line of this logger's records then shows: `[NOTICE]` instead of `[Level 25]`.
    ///
    /// The six standard levels may be renamed, and every level again at any time. A line shows the name that its level has when
    /// the line is written, so a record that was logged shortly before a change may have the new name. An empty name removes
    /// the name. Forked processes have the names as well. The flusher's own lines keep the standard names, and directives
    /// accept no others.
    ///
    /// Names are truncated to 64 bytes, and characters that could control a terminal, end the line or close the bracket are
    /// escaped. Each change takes room in the ring permanently; once the table of call sites is full, the name cannot be
    /// changed any more. Of more than 1,024 changes a flusher that starts later finds the last ones. Not for signal handlers.
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
        self.flush_within(FLUSH_MAX)
    }

    /// [`Log::flush`] with another limit than 2 s, see [`crate::flush_within`].
    ///
    /// # Errors
    /// As [`Log::flush`].
    pub fn flush_within(self, timeout: Duration) -> Result<()> {
        #[cfg(feature = "flusher")]
        crate::process::flusher_thread::resume_if_due();
        // A forked child that has logged nothing has no ring, and makes none for this.
        self.cell.made_here().map_or(Ok(()), |logger| logger.flush(timeout))
    }

    /// Closes the logger, and releases its descriptors, its ring and, if it was the last one of its folder in this process, the
    /// flusher's thread. What was logged before is in its file when this returns, 2 s later at most.
    ///
    /// If a logger was opened several times, the last close takes effect. Later calls with it or a copy of it record nothing; a
    /// call of another thread that overlaps with this is in the log, or records nothing. A logger of the same role and folder
    /// can be opened afterwards, with other settings too. Forked processes that have logged nothing yet have no logger then;
    /// those that have created their own ring close it themselves. About 10 KB of memory stay allocated, and the ring's range
    /// of addresses.
    ///
    /// ```
    /// let folder = std::env::temp_dir().join(format!("lastwords-doc-close-{}", std::process::id()));
    /// for job in 0..3 {
    ///     let log = lastwords::builder("job").dir(folder.join(job.to_string())).open()?;
    ///     lastwords::info!(logger: log, "job {job} is done");
    ///     log.close()?;
    /// }
    /// assert!(std::fs::read_to_string(folder.join("2/job.log"))?.contains("job 2 is done"));
    /// assert_eq!(std::fs::read_dir(folder.join("2/rings"))?.filter(|name| name.as_ref().is_ok_and(|name| name.path().extension().is_some_and(|ending| ending == "ring"))).count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::FlushTimeout`] if no flusher got that far. The logger is closed all the same, and its lines are safe:
    /// the folder's next flusher writes them and removes the ring.
    pub fn close(self) -> Result<()> {
        loggers::close_cell(self.cell)
    }

    /// Withdraws one `open` without closing anything: the logger stays open, and the last close of the other openers takes
    /// effect. For front ends in other languages, whose objects may end without having been closed.
    pub fn forget(self) {
        self.cell.forget();
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(self) -> bool {
        self.cell.is_closed()
    }

    /// A file for this process's own notes, open for appending, which end up in its crash file: what `write(2)` has put there
    /// when the process dies without closing its log, the first MiB of it, follows the records. It is removed with the
    /// process's ring; if no crash file is written, for instance after a normal end, it is discarded.
    ///
    /// Handlers of fatal signals must not log, but they may write to a descriptor that was opened before. Every call opens the
    /// same file. A forked child has one of its own and must request it: the descriptors that it inherits are its parent's.
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// let folder = std::env::temp_dir().join(format!("lastwords-doc-attachment-{}", std::process::id()));
    /// let worker = lastwords::builder("worker").dir(&folder).open()?;
    /// let mut notes = worker.attachment()?;
    /// notes.write_all(b"device 3 was being reset\n")?;
    /// # let rings = std::fs::read_dir(folder.join("rings"))?.flatten();
    /// # assert!(rings.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|ending| ending == "attached")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the file cannot be opened, or something else has its name; [`crate::Error::NoRing`] if the
    /// logger was closed, and in a forked child that could not create its ring.
    pub fn attachment(self) -> Result<File> {
        let entry = self.cell.logger().ok_or(Error::NoRing)?.ring().entry();
        crash_notes::create(entry).map_err(Error::io("open the attachment of the ring", entry))
    }
}
