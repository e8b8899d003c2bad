//! What can go wrong outside a log call. Log calls themselves return no errors; they count.

use crate::escaped::{escaped, escaped_lines, escaped_path};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An error of this crate: what was found, what was expected, and where.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A system call on a file or folder failed.
    Io {
        /// What was being done, as a phrase: "create the ring".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not a ring, or its header is damaged.
    NotARing {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        why: String,
    },
    /// A folder cannot serve as the log folder.
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// A setting has a value that cannot be.
    Setting {
        /// Name of the setting.
        name: Cow<'static, str>,
        /// What was found and what was expected.
        why: String,
    },
    /// The process has a logger already.
    AlreadyInitialised {
        /// The role it was initialised with.
        role: String,
    },
    /// Another process holds the flusher's lock.
    FlusherRuns {
        /// The lock file.
        path: PathBuf,
        /// What the lock file says of its holder.
        holder: String,
    },
    /// Somebody cut this process's ring, whose guard keeps the process alive: what it logs reaches no file.
    RingCut {
        /// The ring.
        path: PathBuf,
    },
    /// The lines were not in their file within the time allowed.
    FlushTimeout {
        /// How long it was waited for that.
        waited: Duration,
        /// The log file, but for the ending where the records are JSON.
        file: PathBuf,
        /// Whom it was waited for, and what is known of it, in words.
        flusher: String,
    },
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { doing, path, source }
    }

    /// Whether the same may well work a moment later: an interruption, a device or a disk that is in trouble. A file that
    /// is gone, or may not be opened, is none of these.
    #[cfg(feature = "flusher")]
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Error::Io { source, .. } if may_pass(source))
    }

    pub(crate) fn setting(name: impl Into<Cow<'static, str>>, why: impl fmt::Display) -> Error {
        Error::Setting { name: name.into(), why: why.to_string() }
    }

    pub(crate) fn not_a_ring(path: &Path, why: impl fmt::Display) -> Error {
        Error::NotARing { path: path.to_owned(), why: why.to_string() }
    }

    pub(crate) fn folder(path: &Path, why: impl fmt::Display) -> Error {
        Error::Folder { path: path.to_owned(), why: why.to_string() }
    }
}

/// As [`Error::may_pass`].
#[cfg(feature = "flusher")]
pub(crate) fn may_pass(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let passing = [Errno::INTR, Errno::IO, Errno::NOSPC, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|error| passing.contains(&error))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { doing, path, source } => write!(f, "cannot {doing} {}: {source}", escaped_path(path)),
            Error::NotARing { path, why } => write!(f, "{} is not a readable ring: {}", escaped_path(path), escaped_lines(why)),
            Error::Folder { path, why } => write!(f, "{} cannot be the log folder: {}", escaped_path(path), escaped_lines(why)),
            Error::Setting { name, why } => write!(f, "{}: {}", escaped(name), escaped_lines(why)),
            Error::AlreadyInitialised { role } => {
                write!(f, "this process already logs as role \"{role}\"; initialise it once")
            }
            Error::FlusherRuns { path, holder } => write!(
                f,
                "another flusher holds {} ({holder}); it drains the folder, or stop it first",
                escaped_path(path)
            ),
            Error::RingCut { path } => {
                write!(f, "{} was cut by somebody else, so what is logged reaches no file", escaped_path(path))
            }
            Error::FlushTimeout { waited, file, flusher } => write!(
                f,
                "the lines are safe in the ring but were not in {} after {:.1} s; {}",
                escaped_path(file),
                waited.as_secs_f64(),
                escaped(flusher)
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
