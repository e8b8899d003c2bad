//! What can go wrong outside a log call. Log calls return no errors; they count losses.

use crate::format::text::{escaped, escaped_lines, escaped_path};
use rustix::io::Errno;
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
    /// A setting has an invalid value.
    Setting {
        /// Name of the setting.
        name: Cow<'static, str>,
        /// What was found and what was expected.
        why: String,
    },
    /// The process already has a logger with another value of this setting. A ring keeps the settings it was created with.
    SettingDiffers {
        /// Name of the setting.
        name: &'static str,
        /// The requested value.
        asked: String,
        /// The value that the logger has.
        has: String,
        /// How the process came to have the logger, as a phrase: "was initialised".
        made: &'static str,
    },
    /// The process has no logger of its own yet.
    NotInitialised,
    /// Another thread is still creating the process's logger.
    Initialising,
    /// The process has as many loggers as it may have at a time.
    TooManyLoggers {
        /// The limit.
        most: usize,
    },
    /// Another logger has the `log` facade, which cannot be given back.
    FacadeTaken,
    /// The program has another `tracing` subscriber, which cannot be replaced.
    SubscriberTaken,
    /// The logger has no ring: it was closed, or a forked child could not make its own.
    NoRing,
    /// The file size limit of the process (`ulimit -f`) is too low for the file.
    FileSizeLimit {
        /// The limit in bytes.
        limit: u64,
        /// What does not fit, and what to do.
        why: String,
    },
    /// Another process holds the flusher's lock.
    FlusherRuns {
        /// The lock file.
        path: PathBuf,
        /// The holder that the lock file names.
        holder: String,
    },
    /// This process's ring was truncated. Its guard keeps the process alive, but what it logs reaches no file.
    RingCut {
        /// The ring.
        path: PathBuf,
    },
    /// The lines were not in their file within the time allowed.
    FlushTimeout {
        /// How long the call waited.
        waited: Duration,
        /// The log file; with JSON records, its ending differs.
        file: PathBuf,
        /// The flusher that was waited for, and what is known of it, in words.
        flusher: String,
    },
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an I/O error with what was being done, and with which file.
    #[doc(hidden)]
    pub fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { doing, path, source }
    }

    /// Whether a retry may succeed, see [`may_pass`].
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Io { source, .. } if may_pass(source))
    }

    /// Whether the file does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// The error's number, if the system gave one.
    pub(crate) fn number(&self) -> Option<Errno> {
        if let Error::Io { source, .. } = self { Errno::from_io_error(source) } else { None }
    }

    /// Makes an [`Error::Setting`].
    #[doc(hidden)]
    pub fn setting(name: impl Into<Cow<'static, str>>, why: impl fmt::Display) -> Error {
        Error::Setting { name: name.into(), why: why.to_string() }
    }

    /// Makes an [`Error::NotARing`].
    #[doc(hidden)]
    pub fn not_a_ring(path: &Path, why: impl fmt::Display) -> Error {
        Error::NotARing { path: path.to_owned(), why: why.to_string() }
    }

    /// Makes an [`Error::Folder`].
    pub(crate) fn folder(path: &Path, why: impl fmt::Display) -> Error {
        Error::Folder { path: path.to_owned(), why: why.to_string() }
    }
}

/// Errors that say nothing about the file itself, only about this moment. They never cause state that only memory holds to be
/// discarded, and the operation is retried. All others describe what the name leads to or the permissions on it, and last until
/// that is changed.
const PASSING: [Errno; 23] = [
    // A signal came in between.
    Errno::INTR,
    // The kernel asks for a retry: a limit of threads or of locked memory, a lock that is held briefly.
    Errno::AGAIN,
    // A disk, its controller or its cable has a transient failure; many recover, and a network disk comes back.
    Errno::IO,
    // Space is freed, or the quota raised. ENOSPC also covers inodes.
    Errno::NOSPC,
    Errno::DQUOT,
    // The file size limit (ulimit -f): the next file of a rotation is shorter, and the limit may be raised from outside.
    Errno::FBIG,
    // This process, or the whole system, has too many files open.
    Errno::MFILE,
    Errno::NFILE,
    // Out of memory, or of kernel memory for this purpose.
    Errno::NOMEM,
    Errno::NOBUFS,
    // No room in the kernel's table of locks.
    Errno::NOLCK,
    // The kernel or another process uses the file in a way that excludes this one.
    Errno::BUSY,
    Errno::TXTBSY,
    // The server of a network or user-space file system is away or was restarted.
    Errno::STALE,
    Errno::NOTCONN,
    Errno::CONNABORTED,
    Errno::CONNRESET,
    Errno::TIMEDOUT,
    Errno::HOSTDOWN,
    Errno::HOSTUNREACH,
    Errno::REMOTEIO,
    // The file system is mounted read-only for a while: after an error, for a snapshot, during an update.
    Errno::ROFS,
    // A disk that was taken out and may be put back.
    Errno::NOMEDIUM,
];

/// Whether a retry may succeed without a change to the file: the error is one of `PASSING`.
pub fn may_pass(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|error| PASSING.contains(&error))
}

/// Whether it is a shortage unrelated to the request, which may last.
pub fn may_last(error: &io::Error) -> bool {
    lacks_descriptors(error) || matches!(Errno::from_io_error(error), Some(Errno::NOMEM | Errno::NOBUFS))
}

/// Whether the process or system is out of descriptors.
pub fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Whether there is no room for this much, in a file system, a quota or under a limit, but perhaps for less.
pub(crate) fn lacks_room(error: &Error) -> bool {
    matches!(error.number(), Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::NOMEM))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { doing, path, source } => write!(f, "cannot {doing} {}: {source}", escaped_path(path)),
            Error::NotARing { path, why } => {
                write!(f, "{} is not a readable ring: {}", escaped_path(path), escaped_lines(why))
            }
            Error::Folder { path, why } => {
                write!(f, "{} cannot be the log folder: {}", escaped_path(path), escaped_lines(why))
            }
            Error::Setting { name, why } => write!(f, "{}: {}", escaped(name), escaped_lines(why)),
            Error::SettingDiffers { name, asked, has, made } => {
                let (asked, has) = (escaped_lines(asked), escaped_lines(has));
                write!(f, "{name}: {asked} found, but this process {made} with {has} already")
            }
            Error::NotInitialised => f.write_str("log: no logger to change; call lastwords::init first"),
            Error::Initialising => {
                f.write_str("another thread is initialising this process, and has not come to an end")
            }
            Error::TooManyLoggers { most } => write!(
                f,
                "loggers: a process has at most {most} at a time, for as many folders and roles; close those that are not used any \
                 more"
            ),
            Error::FacadeTaken => f.write_str(
                "log facade: another logger has the facade already; initialise lastwords first, or leave the facade to the other \
                 one: builder(role).log_facade(false).init(). With its default features, tracing-subscriber's init() takes it too",
            ),
            Error::SubscriberTaken => f.write_str(
                "tracing: a subscriber is installed already; add lastwords::tracing_layer() to it, and call init instead of \
                 init_tracing",
            ),
            Error::NoRing => f.write_str("attachment: this forked process has no ring; standard error says why"),
            Error::FileSizeLimit { limit, why } => {
                write!(f, "file size limit: {limit} bytes allowed (ulimit -f), but {}", escaped_lines(why))
            }
            Error::FlusherRuns { path, holder } => write!(
                f,
                "another flusher holds {} ({holder}); it drains the folder, or stop it first",
                escaped_path(path)
            ),
            Error::RingCut { path } => {
                write!(f, "{} was truncated externally, so what is logged reaches no file", escaped_path(path))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_about_the_file_passes_and_what_does_stays() {
        for number in [libc::EINTR, libc::EIO, libc::ENOSPC, libc::EDQUOT, libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
            assert!(may_pass(&io::Error::from_raw_os_error(number)), "{number}");
        }
        for number in
            [libc::EBUSY, libc::ESTALE, libc::ENOTCONN, libc::ETIMEDOUT, libc::EROFS, libc::EFBIG, libc::EAGAIN]
        {
            assert!(may_pass(&io::Error::from_raw_os_error(number)), "{number}");
        }
        for number in [libc::ENOENT, libc::ENOTDIR, libc::ELOOP, libc::EACCES, libc::EPERM, libc::EISDIR, libc::EBADF] {
            assert!(!may_pass(&io::Error::from_raw_os_error(number)), "{number}");
        }
        assert!(!may_pass(&io::Error::other("another file has taken its name")));
    }
}
