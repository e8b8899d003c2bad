//! Which process flushes: the one that holds flock(2) on `flusher.lock`.
//!
//! The lock dies with its holder, so nothing has to be cleaned up. Two cases need care. A forked child may keep the
//! lock of a holder that is gone: then the file is replaced, under a short lock on the folder, so that only one
//! process replaces it. And a file may be replaced while somebody waits for it: whoever got a lock makes sure that
//! path and descriptor are the same inode, else tries again.

use crate::clock::boottime_ns;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::holder::Holder;
use crate::kept::{Kept, is_lost};
use crate::open::{self, PRIVATE};
use rustix::fs::{FlockOperation, OFlags, RenameFlags};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time between two heartbeats of a flusher that is at work. Producers that wait for 100 ms tell by it that it has moved.
const HEARTBEAT: Duration = Duration::from_millis(25);

/// The flusher's lock, held until dropped.
#[derive(Debug)]
pub struct Lock {
    file: Kept,
    holder: Holder,
    beat: Instant,
}

/// Outcome of a try to become the flusher.
#[derive(Debug)]
pub enum Attempt {
    /// This process is the flusher now.
    Won(Lock),
    /// Another one is; who, if its lock file says so.
    Held(Option<Holder>),
}

impl Lock {
    /// Tries once, without waiting.
    ///
    /// # Errors
    /// [`Error::Io`] if the lock file cannot be opened or locked.
    pub fn attempt(folder: &Folder) -> Result<Attempt> {
        let path = folder.lock_file();
        let Some(_turn) = Turn::take(folder)? else { return Ok(Attempt::Held(Holder::read(folder))) };
        for _ in 0..16 {
            let file = open::own_file(&path).map_err(Error::io("open the flusher's lock", &path))?;
            if try_lock(&file, &path)? {
                let file = Kept::new(file).map_err(Error::io("look at", &path))?;
                if is_at(&file, &path)? {
                    return Lock::take(file, &path).map(Attempt::Won);
                }
                continue;
            }
            let holder = Holder::read(folder);
            if holder.is_none_or(|holder| holder.may_live()) {
                return Ok(Attempt::Held(holder));
            }
            if let Some(lock) = replace(folder, &path)? {
                return Ok(Attempt::Won(lock));
            }
        }
        Ok(Attempt::Held(Holder::read(folder)))
    }

    fn take(file: Kept, path: &Path) -> Result<Lock> {
        let lock = Lock { file, holder: Holder::current(), beat: Instant::now() };
        let text = lock.holder.to_string();
        // Over the old text, which needs no room where the disk is full.
        let write = |file: &File| file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64));
        lock.file.file().and_then(write).map_err(Error::io("write", path))?;
        Ok(lock)
    }

    /// Renews the heartbeat, now and then. A full disk is no reason to stop flushing.
    pub fn beat(&mut self) {
        if self.beat.elapsed() >= HEARTBEAT {
            self.beat = Instant::now();
            self.holder.heartbeat_ns = boottime_ns();
            let text = self.holder.to_string();
            let _ = self.file.file().and_then(|file| file.write_all_at(text.as_bytes(), 0));
        }
    }

    /// Whether the lock file is still the one that is locked. If somebody removed it, another process may flush.
    #[must_use]
    pub fn is_current(&self, folder: &Folder) -> bool {
        // What cannot be looked at is as it was.
        is_at(&self.file, &folder.lock_file()).unwrap_or(true)
    }
}

/// A short lock on the folder: only one process at a time takes the flusher's lock and says so in its file, or finds
/// that the holder which the file names is gone. Without it, a lock that was just taken from a dead holder still names
/// that one, would be replaced by the next who looks, and two processes would flush.
#[derive(Debug)]
struct Turn {
    rings: File,
}

/// Tries to have one's turn, and the time between two.
const TURN_TRIES: u32 = 40;
const TURN_EVERY: Duration = Duration::from_micros(500);

impl Turn {
    /// None if another process does not come to an end, being stopped for instance.
    fn take(folder: &Folder) -> Result<Option<Turn>> {
        let rings = open::folder(&folder.rings()).map_err(Error::io("open", folder.rings()))?;
        for _ in 0..TURN_TRIES {
            if try_lock(&rings, &folder.rings())? {
                return Ok(Some(Turn { rings }));
            }
            std::thread::sleep(TURN_EVERY);
        }
        Ok(None)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Not left to the closing: a child that was forked meanwhile shares the lock.
        let _ = rustix::fs::flock(&self.rings, FlockOperation::Unlock);
    }
}

fn try_lock(file: &File, path: &Path) -> Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(Error::io("lock", path)(error.into())),
    }
}

/// Whether the path leads to the file, whose descriptor nobody has closed.
fn is_at(file: &Kept, path: &Path) -> Result<bool> {
    match file.file() {
        Err(error) if is_lost(&error) => Ok(false),
        _ => Ok(open::identity(path).map_err(Error::io("look at", path))? == Some(file.identity())),
    }
}

/// Puts a fresh lock file in the place of one whose holder is gone but whose lock is still held. The caller has the
/// turn. None if somebody locked the fresh file, who can only be a stranger.
fn replace(folder: &Folder, path: &Path) -> Result<Option<Lock>> {
    let fresh = folder.rings().join("flusher.lock.new");
    open::remove(&fresh).map_err(Error::io("remove", &fresh))?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let file = open::file(&fresh, flags, PRIVATE).map_err(Error::io("open the flusher's lock", &fresh))?;
    if !try_lock(&file, &fresh)? {
        return Ok(None);
    }
    let lock = Lock::take(Kept::new(file).map_err(Error::io("look at", &fresh))?, &fresh)?;
    open::rename(&fresh, path, RenameFlags::empty()).map_err(Error::io("replace", path))?;
    Ok(Some(lock))
}
