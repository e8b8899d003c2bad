//! Which process flushes: the one that holds flock(2) on `flusher.lock`, and has seen that the file is at its path after its
//! own name was in it.
//!
//! The lock dies with its holder, so nothing has to be cleaned up. But a child that was forked in a bad moment may keep the
//! lock of a holder that is gone: then the file is replaced. No second lock serialises this, because a process killed or
//! stopped while holding it would keep all others from flushing. Instead:
//!
//! | label | who takes the lock | label | who replaces the file |
//! |---|---|---|---|
//! | LOCK:A | opens the file at the path and locks it | SWAP:A | reads twice, 100 ms apart, the same text, which names a holder that is provably gone, or no flusher at work |
//! | LOCK:B | if the text says that the file displaced another one: as SWAP:D | SWAP:B | creates a file of another name, locked, with its own text and `displaced=<that name>` |
//! | LOCK:C | writes its own text | SWAP:C | exchanges it with the one at the path, which so gets that name |
//! | LOCK:D | checks whether the path still leads to the file; if not, starts over | SWAP:D | checks the displaced file, and those displaced before it: waits while its lock is held and its text, read now, names a process that may live |
//! | | | SWAP:E | writes its text without `displaced`, removes the displaced file, and checks as in LOCK:D |
//!
//! Why there are never two flushers. A displaced file never comes back to the path. Let one process flush under file X, so that
//! it wrote its text (LOCK:C, or before SWAP:C) before it saw X at the path (LOCK:D). A process that flushes under another file
//! does so after X was displaced (SWAP:C), because no process flushes under a file that was never at the path. That is after
//! LOCK:D, so its check (SWAP:D) finds the lock held and the text that was written before, and waits. Conversely, a process
//! that gets the lock of X after that check writes its text after SWAP:C, and so finds another file at the path. Nothing
//! depends on speed: a process may stop anywhere, for any time.
//!
//! | killed, a child may keep its descriptors | what the others find |
//! |---|---|
//! | before LOCK:C, SWAP:C | the text of its predecessor, which is gone or released the lock |
//! | after LOCK:C | its text, and it is gone: replaced if its lock is kept |
//! | after SWAP:C | a file at the path whose text names it, which is gone, and what it displaced: LOCK:B, or SWAP:D for two files |
//! | after the text of SWAP:E | as after SWAP:C, but without a displaced file; an unused file, which the next flusher removes |
//!
//! A holder that was displaced although it lives, because it got the lock of a gone one between SWAP:A and SWAP:C, finds in its
//! next pass that its file is not at the path, and stands down: it checks before each entry of the journal. If a file system
//! cannot exchange two names, nothing is replaced, and all wait for the lock. If the lock file is removed or replaced by hand
//! while a flusher is between that check and the end of its batch, two of them flush for one batch.

use crate::lock_file::{Fresh, LockFile, Placed, Swapped, sweep};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock::boottime_ns;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::Holder;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between two heartbeats of a working flusher. Producers that wait for 100 ms see from it that it is alive.
const HEARTBEAT: Duration = Duration::from_millis(25);
/// Time between two checks of a holder that seems to be gone.
const SECOND_LOOK: Duration = Duration::from_millis(100);
/// Longest wait for a holder that was displaced although it lives. It checks its lock twice a second.
const STAND_DOWN: Duration = Duration::from_secs(1);
/// Time between two checks whether it has stood down.
const STAND_DOWN_LOOK: Duration = Duration::from_millis(10);
/// How often the file at the path may be replaced while it is checked.
const TRIES: u32 = 16;

/// The flusher's lock, held until it and all its leases are dropped.
#[derive(Debug)]
pub struct Lock {
    file: Arc<LockFile>,
    holder: Holder,
    beat: Instant,
}

/// What the drain knows of the lock.
#[derive(Debug)]
pub(crate) struct Lease {
    file: Arc<LockFile>,
}

/// Outcome of a try to become the flusher.
#[derive(Debug)]
pub enum Attempt {
    /// This process is the flusher now.
    Won(Lock),
    /// Another process is; which one, if its lock file names it.
    Held(Option<Holder>),
}

impl Lock {
    /// Tries once. This takes a tenth of a second where the holder is gone and its lock is held, and up to a second more
    /// where it was not gone after all.
    ///
    /// # Errors
    /// [`Error::Io`] if the lock file cannot be created, opened, locked, written to or replaced.
    pub fn attempt(folder: &Folder) -> Result<Attempt> {
        let mut suspect = None;
        for _ in 0..TRIES {
            let Some(mut file) = LockFile::open(&folder.lock_file())? else {
                match Fresh::make(folder)?.map(Fresh::place).transpose()? {
                    Some(Placed::There(file)) => return Ok(Lock::new(file).won(folder)),
                    Some(Placed::Taken) | None => continue,
                }
            };
            // LOCK:A.
            if file.try_lock()? {
                if let Some(holder) = file.at_work_before(folder) {
                    return Ok(Attempt::Held(holder));
                }
                let lock = Lock::take(file)?;
                if lock.is_current() {
                    return Ok(lock.won(folder));
                }
                continue;
            }
            let (holder, text) = file.holder();
            if file.may_be_at_work() {
                return Ok(Attempt::Held(holder));
            }
            // SWAP:A.
            let seen = Some((file.identity(), text));
            if suspect != seen {
                suspect = seen;
                std::thread::sleep(SECOND_LOOK);
            } else if let Some(attempt) = Lock::replace(folder)? {
                return Ok(attempt);
            }
        }
        Ok(Attempt::Held(Holder::read(folder)))
    }

    fn new(file: LockFile) -> Lock {
        Lock { file: Arc::new(file), holder: Holder::current(), beat: Instant::now() }
    }

    fn won(self, folder: &Folder) -> Attempt {
        sweep(folder, &self.file);
        Attempt::Won(self)
    }

    /// LOCK:C.
    fn take(file: LockFile) -> Result<Lock> {
        let lock = Lock::new(file);
        lock.file.write(&lock.holder.to_string())?;
        Ok(lock)
    }

    /// SWAP:B to SWAP:E. None to start over.
    fn replace(folder: &Folder) -> Result<Option<Attempt>> {
        let Some(fresh) = Fresh::make(folder)? else { return Ok(None) };
        let displaced = match fresh.swap()? {
            Swapped::Displaced(displaced) => displaced,
            Swapped::Gone => return Ok(None),
            Swapped::Impossible => return Ok(Some(Attempt::Held(Holder::read(folder)))),
        };
        let start = Instant::now();
        while let Some(holder) = displaced.file().at_work_before(folder) {
            if mutant::is(Mutant::DisplacedUnread) {
                break;
            }
            if start.elapsed() >= STAND_DOWN {
                // Its file names what it displaced, for the next holder of the lock.
                displaced.file().release();
                return Ok(Some(Attempt::Held(holder)));
            }
            std::thread::sleep(STAND_DOWN_LOOK);
        }
        let lock = Lock::take(displaced.forget()?)?;
        Ok(if lock.is_current() { Some(lock.won(folder)) } else { None })
    }

    /// Renews the heartbeat, periodically. A full disk does not stop flushing.
    pub fn beat(&mut self) {
        if self.beat.elapsed() >= HEARTBEAT {
            self.beat = Instant::now();
            self.holder.heartbeat_ns = boottime_ns();
            self.file.overwrite(&self.holder.to_string());
        }
    }

    /// Whether the lock file is still the one that is locked. If it was removed or replaced, another process may flush.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.file.is_at_its_path()
    }

    pub(crate) fn lease(&self) -> Lease {
        Lease { file: Arc::clone(&self.file) }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // So a process that gets the lock now and is stopped before its own name is in the file is not taken for this one.
        self.file.release();
    }
}

impl Lease {
    /// Call it directly before each entry of the journal.
    ///
    /// # Errors
    /// [`Error::Io`] if another process may flush.
    pub(crate) fn check(&self) -> Result<()> {
        if self.file.is_at_its_path() || mutant::is(Mutant::LeaseUnchecked) {
            return Ok(());
        }
        let gone = io::Error::other("another file has its name, or none, so that another process may flush");
        Err(Error::io("go on under the lock", self.file.path())(gone))
    }
}
