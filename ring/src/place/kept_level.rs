//! The level that `lastwords level ROLE … --keep` stores for processes of a role that start later.
//!
//! A file beside the rings, `<role>.level`, private as everything there:
//!
//! ```text
//! lastwords level 1
//! user=1000
//! set=1764236854123456789
//! log=info,hyper=debug
//! ring_level=trace
//! sum=89f3c1b0a5d7e264
//! ```
//!
//! `set` is when, in nanoseconds since 1970; without `log` or `record`, builder and environment decide; `sum` is XXH3-64 of all
//! lines before. The file gets its name when it is complete, so readers never see half of it.
//!
//! A change holds the lock of the rings folder until the rings of running processes are changed too. A process checks for the
//! file when its ring has a name, under that lock if there is a file: so either the change finds the ring, or the process finds
//! the change.

use crate::error::{Error, Result};
use crate::format::checksum::checksum;
use crate::format::directives::Directives;
use crate::format::filter::{Filter, TEXT_MAX};
use crate::format::level::Level;
use crate::format::role::is_role;
use crate::mutant::{self, Mutant};
use crate::place::descriptor::Opened;
use crate::place::folder::Folder;
use crate::place::folder::LEVEL_ENDING;
use crate::place::open;
use rustix::fs::{FlockOperation, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The first line, with the version.
const TITLE: &str = "lastwords level 1";
/// A longer file is not ours.
const FILE_MAX: usize = TEXT_MAX + 256;
/// Longest wait for another change of a level. The lock is held for some milliseconds; a starting process continues without it
/// after a limit of its own, because the holder may be stopped.
const CHANGE_MAX: Duration = Duration::from_secs(5);
const START_MAX: Duration = Duration::from_millis(500);
/// Time between two attempts to get the lock.
const TRY_AGAIN: Duration = Duration::from_millis(1);

/// The level that processes of a role begin with, whatever builder and environment say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLevel {
    /// What is written to the log files, if kept.
    pub log: Option<Directives>,
    /// The finest level of the ring-only records, if kept.
    pub ring_level: Option<Level>,
    /// The user who set it last.
    pub user: u32,
    /// When, nanoseconds since 1970.
    pub set_ns: u64,
}

/// The lock for changes of kept levels. Released on drop.
#[derive(Debug)]
pub struct KeptLevelLock {
    folder: Opened,
}

impl Drop for KeptLevelLock {
    fn drop(&mut self) {
        // Closing alone is not enough: a process that was forked meanwhile has it open too.
        let _ = rustix::fs::flock(&self.folder, FlockOperation::Unlock);
    }
}

impl KeptLevelLock {
    /// Takes it, for changes.
    ///
    /// # Errors
    /// [`Error::Io`] if another process holds it for seconds.
    pub fn take(folder: &Folder) -> Result<KeptLevelLock> {
        KeptLevelLock::within(folder, FlockOperation::NonBlockingLockExclusive, CHANGE_MAX)
            .map_err(Error::io("lock the levels in", folder.rings()))
    }

    fn within(folder: &Folder, how: FlockOperation, time: Duration) -> io::Result<KeptLevelLock> {
        let opened = open::folder(&folder.rings())?;
        let start = Instant::now();
        loop {
            match rustix::fs::flock(&opened, how) {
                Ok(()) => return Ok(KeptLevelLock { folder: opened }),
                Err(Errno::WOULDBLOCK | Errno::INTR) if start.elapsed() < time => std::thread::sleep(TRY_AGAIN),
                Err(Errno::WOULDBLOCK) => {
                    return Err(io::Error::other("another process holds the lock and has not released it"));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl KeptLevel {
    /// The kept level of a role; None if there is none.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, is not ours, or has another version. It stays as it is.
    pub fn read(folder: &Folder, role: &str) -> Result<Option<KeptLevel>> {
        let path = path_of(folder, role);
        let mut text = String::new();
        let read = open::to_read(&path).and_then(|file| file.take(FILE_MAX as u64 + 1).read_to_string(&mut text));
        let read = open::if_there(read).map_err(Error::io("read the level that is kept in", &path))?;
        read.map(|_| KeptLevel::parse(&text)).transpose().map_err(|why| refused(&path, role, why))
    }

    /// Roles that have a kept level, sorted.
    ///
    /// # Errors
    /// As readdir(3). A folder without rings has none.
    pub fn roles(folder: &Folder) -> Result<Vec<String>> {
        let rings = folder.rings();
        let names =
            open::if_there(open::list(&rings)).map_err(Error::io("list the levels in", rings))?.unwrap_or_default();
        let role = |name: &std::ffi::OsString| Some(name.to_str()?.strip_suffix(LEVEL_ENDING)?.to_owned());
        let mut roles: Vec<String> = names.iter().filter_map(role).filter(|role| is_role(role)).collect();
        roles.sort();
        Ok(roles)
    }

    /// Keeps this level for a role, replacing the present one.
    ///
    /// # Errors
    /// [`Error::Setting`] for directives that are too long or an invalid role, [`Error::Io`] if it cannot be written: then the
    /// present level stays.
    pub fn write(&self, folder: &Folder, role: &str, _: &KeptLevelLock) -> Result<()> {
        if !is_role(role) {
            return Err(Error::setting(
                "role",
                format!("\"{}\" found, expected {}", role.escape_default(), crate::format::role::ROLE_RULE),
            ));
        }
        let length = self.log.as_ref().map_or(0, |log| log.to_string().len());
        if length > TEXT_MAX {
            return Err(Error::setting(
                "log",
                format!("directives of {length} bytes found, expected at most {TEXT_MAX}"),
            ));
        }
        let (path, rings) = (path_of(folder, role), folder.rings());
        let temporary = rings.join(format!(".{role}{LEVEL_ENDING}.new"));
        let named = |file: &File, from: &Path, to: &Path| {
            file.sync_data()?;
            open::rename(from, to, RenameFlags::empty())
        };
        open::write_whole(&temporary, &path, self.to_text().as_bytes(), named)
            .map_err(Error::io("keep the level in", &path))?;
        let _ = open::sync_folder(&rings);
        Ok(())
    }

    /// Removes the kept level of a role. A file that is not ours, or of another version, is renamed instead: returns its new
    /// path.
    ///
    /// # Errors
    /// [`Error::Io`] as unlink(2).
    pub fn remove(folder: &Folder, role: &str, _: &KeptLevelLock) -> Result<Option<PathBuf>> {
        let path = path_of(folder, role);
        if KeptLevel::read(folder, role).is_err() {
            return open::set_aside(&path).map(Some).map_err(Error::io("rename", path));
        }
        open::remove(&path).map_err(Error::io("remove", path))?;
        let _ = open::sync_folder(&folder.rings());
        Ok(None)
    }

    /// A filter overridden by what is kept.
    #[must_use]
    pub fn over(&self, filter: &Filter) -> Filter {
        Filter {
            directives: self.log.as_ref().unwrap_or(&filter.directives).clone(),
            ring_level: self.ring_level.unwrap_or(filter.ring_level),
        }
    }

    fn to_text(&self) -> String {
        let mut text = format!("{TITLE}\nuser={}\nset={}\n", self.user, self.set_ns);
        if let Some(log) = &self.log {
            text += &format!("log={log}\n");
        }
        if let Some(ring_level) = self.ring_level {
            text += &format!("ring_level={}\n", Directives::from(ring_level));
        }
        let sum = checksum(text.as_bytes());
        text + &format!("sum={sum:016x}\n")
    }

    fn parse(text: &str) -> std::result::Result<KeptLevel, String> {
        let first = text.lines().next().unwrap_or_default();
        if first != TITLE {
            let found: String = first.chars().take(TITLE.len() * 2).collect();
            return Err(format!("\"{}\" found, expected \"{TITLE}\"", found.escape_default()));
        }
        let damaged = || "it is damaged".to_owned();
        let (body, sum) = text.rsplit_once("sum=").ok_or_else(damaged)?;
        if text.len() > FILE_MAX || sum != format!("{:016x}\n", checksum(body.as_bytes())) {
            return Err(damaged());
        }
        let mut lines = body.lines().skip(1).peekable();
        let mut value = |name: &str| {
            let value = lines.peek()?.strip_prefix(name)?.strip_prefix('=')?;
            lines.next();
            Some(value)
        };
        let user = value("user").and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
        let set_ns = value("set").and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
        let log = value("log").map(str::parse::<Directives>).transpose().map_err(|error| error.to_string())?;
        let ring_level = value("ring_level").map(str::parse::<Level>).transpose().map_err(|error| error.to_string())?;
        if lines.next().is_some()
            || (log.is_none() && ring_level.is_none())
            || log.as_ref().is_some_and(|log| log.to_string().len() > TEXT_MAX)
        {
            return Err(damaged());
        }
        Ok(KeptLevel { log, ring_level, user, set_ns })
    }
}

/// The kept level of a process of this role that starts now, with the lock under which its ring must be updated.
pub fn at_start(folder: &Folder, role: &str) -> Result<Option<(KeptLevel, Option<KeptLevelLock>)>> {
    if let Ok(None) = KeptLevel::read(folder, role) {
        return Ok(None);
    }
    let lock = KeptLevelLock::within(folder, FlockOperation::NonBlockingLockShared, START_MAX).ok();
    // It may have changed before the lock was acquired.
    let kept = KeptLevel::read(folder, role)?;
    if mutant::is(Mutant::KeptLevelUnheeded) {
        return Ok(None);
    }
    if mutant::is(Mutant::KeptLevelUnlocked) {
        drop(lock);
        std::thread::sleep(Duration::from_millis(20));
        return Ok(kept.map(|kept| (kept, None)));
    }
    Ok(kept.map(|kept| (kept, lock)))
}

fn path_of(folder: &Folder, role: &str) -> PathBuf {
    folder.rings().join(format!("{role}{LEVEL_ENDING}"))
}

fn refused(path: &Path, role: &str, why: String) -> Error {
    let advice = format!("{why}; `lastwords level {role} --reset` renames it");
    Error::io("read the level that is kept in", path)(io::Error::new(io::ErrorKind::InvalidData, advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(log: Option<&str>, ring_level: Option<Level>) -> KeptLevel {
        KeptLevel { log: log.map(|log| log.parse().expect("directives")), ring_level, user: 1000, set_ns: 5 }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for kept in
            [kept(Some("info,hyper=debug"), None), kept(None, Some(Level::OFF)), kept(Some("off"), Some(Level::new(7)))]
        {
            assert_eq!(KeptLevel::parse(&kept.to_text()), Ok(kept));
        }
    }

    #[test]
    fn anything_else_is_an_error_that_shows_nothing_that_drives_a_terminal() {
        let whole = kept(Some("info"), Some(Level::TRACE)).to_text();
        let resealed = |from: &str, to: &str| {
            let body = whole.rsplit_once("sum=").expect("sealed").0.replace(from, to);
            format!("{body}sum={:016x}\n", checksum(body.as_bytes()))
        };
        let mut texts: Vec<String> = (0..whole.len()).map(|cut| whole[..cut].to_owned()).collect();
        texts.extend([
            whole.replace("info", "warn"),
            whole.clone() + "x",
            resealed("level 1", "level 2"),
            resealed("log=info", "log=inof"),
            resealed("ring_level=trace", "ring_level=loud"),
            resealed("user=1000", "user=-1"),
            resealed("log=info\nring_level=trace\n", ""),
            resealed("log=info", &format!("log={}", "a".repeat(TEXT_MAX) + "=trace")),
            resealed("ring_level=trace", "ring_level=trace\nmore=1"),
            resealed("log=info\n", "log=info\nlog=info\n"),
            "\u{1b}[2Jhostile\u{202e}".to_owned(),
        ]);
        for text in texts {
            let why = KeptLevel::parse(&text).expect_err(&text);
            assert!(why.is_ascii() && !why.contains('\u{1b}'), "{text:?}: {why:?}");
        }
    }

    #[test]
    fn what_is_kept_replaces_what_it_names_alone() {
        let began = Filter { directives: "warn".parse().expect("directives"), ring_level: Level::DEBUG };
        let debug = Filter { directives: "debug".parse().expect("directives"), ..began.clone() };
        assert_eq!(kept(Some("debug"), None).over(&began), debug);
        assert_eq!(kept(None, Some(Level::OFF)).over(&began), Filter { ring_level: Level::OFF, ..began });
    }
}
