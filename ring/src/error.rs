//! What can go wrong outside a log call. Log calls themselves return no errors; they count.

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
    /// A setting has a value that cannot be.
    Setting {
        /// Name of the setting.
        name: Cow<'static, str>,
        /// What was found and what was expected.
        why: String,
    },
    /// The process has a logger already, with another value of this setting. A ring keeps what it was made with.
    SettingDiffers {
        /// Name of the setting.
        name: &'static str,
        /// The value that was asked for.
        asked: String,
        /// The value that the logger has.
        has: String,
        /// How the process came to have the logger, as a phrase: "was initialised".
        made: &'static str,
    },
    /// The process has no logger of its own yet.
    NotInitialised,
    /// Another thread is making the process's logger, and is not done.
    Initialising,
    /// The process has as many loggers as it may have at a time.
    TooManyLoggers {
        /// How many that are.
        most: usize,
    },
    /// Another logger has the `log` facade, which nobody can give back.
    FacadeTaken,
    /// The program has another subscriber of `tracing`, which nobody can take away.
    SubscriberTaken,
    /// The logger has no ring: it was closed, or a forked child could not make its own.
    NoRing,
    /// The file size limit of the process (`ulimit -f`) is too low for what the file is for.
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
    /// Makes an error of the system's with what was being done, and with which file.
    #[doc(hidden)]
    pub fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { doing, path, source }
    }

    /// Whether the same may well work later, see [`may_pass`].
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Io { source, .. } if may_pass(source))
    }

    /// Whether there is no such file.
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

/// Errors that say nothing about the file itself, but about this moment. Nothing that only memory knows is thrown away
/// because of one of them, and what failed is tried again. All others say what the name leads to, or who may use it, and stay
/// true until somebody changes that.
const PASSING: [Errno; 23] = [
    // A signal came in between.
    Errno::INTR,
    // The kernel asks to try again: a limit of threads, of locked memory, a lock that somebody holds for a moment.
    Errno::AGAIN,
    // A disk, its controller or its cable is in trouble; many recover, and a disk of a network comes back.
    Errno::IO,
    // Somebody makes room, or raises the quota. Inodes run out with the first of the two as well.
    Errno::NOSPC,
    Errno::DQUOT,
    // The file size limit (ulimit -f): the next file of a rotation is shorter, and the limit may be raised from outside.
    Errno::FBIG,
    // This process, or the whole system, has too many files open.
    Errno::MFILE,
    Errno::NFILE,
    // No memory, or none of the kernel's for this.
    Errno::NOMEM,
    Errno::NOBUFS,
    // No room in the kernel's table of locks.
    Errno::NOLCK,
    // The kernel or another process uses the file in a way that excludes this one.
    Errno::BUSY,
    Errno::TXTBSY,
    // The server of a network file system, or of one in user space, is away or has started again.
    Errno::STALE,
    Errno::NOTCONN,
    Errno::CONNABORTED,
    Errno::CONNRESET,
    Errno::TIMEDOUT,
    Errno::HOSTDOWN,
    Errno::HOSTUNREACH,
    Errno::REMOTEIO,
    // A file system that is mounted read-only for a while: after an error, for a snapshot, during an update.
    Errno::ROFS,
    // A disk that was taken out and may be put back.
    Errno::NOMEDIUM,
];

/// Whether the same may well work later, without anybody changing the file: it is one of `PASSING`.
pub fn may_pass(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|error| PASSING.contains(&error))
}

/// Whether it is a lack of something that has nothing to do with what was asked for, and may last.
pub fn may_last(error: &io::Error) -> bool {
    lacks_descriptors(error) || matches!(Errno::from_io_error(error), Some(Errno::NOMEM | Errno::NOBUFS))
}

/// Whether there is no descriptor to be had.
pub fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Whether there is no room for more, in a file system, a quota or under a limit, but perhaps for less.
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
