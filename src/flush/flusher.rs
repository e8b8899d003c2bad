//! The elected flusher: the lock, the drain, and when to sleep.
//!
//! A flusher that finds nothing sleeps longer each time, and after a few looks until the doorbell rings. Before it
//! does, it arms every ring and looks once more. A producer that commits a record after that look sees the wish (LANE:B
//! lies between its slot's BUSY and its look at `armed`), so no record waits for a timeout.

use crate::complain::complain;
use crate::error::Result;
use crate::flush::drain::{Drain, Pass};
use crate::flush::election::{Attempt, Lock};
use crate::folder::Folder;
use crate::holder::Holder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::Read;
use std::time::Duration;

/// Sleep after a pass that wrote something.
const SLEEP_MIN: Duration = Duration::from_millis(10);
/// Longest sleep without having armed the rings for every record. With the pass itself well under the 200 ms within
/// which a line is in its file.
const SLEEP_MAX: Duration = Duration::from_millis(80);
/// Sleep when nothing is logged: looks for dead processes are due.
const SLEEP_DEEP: Duration = Duration::from_millis(500);
/// Such sleeps before another pass looks at everything all the same.
const DEEP_SLEEPS: u32 = 20;
/// A pass that wrote so many records is followed by the next at once: while one batch was rendered, lanes have filled.
const BUSY: u64 = 512;
/// A pass that wrote so many shows that somebody logs flat out.
const FLAT_OUT: u64 = 2048;
/// Passes after such a one that may find next to nothing before the flusher sleeps: a producer that was just woken has
/// not filled its lane yet, and a sleep would last longer than it takes to.
const LOOKS: u32 = 10;
/// How many rings such passes look at together: with very many, the pass itself takes long enough.
const LOOKS_AT_RINGS: u32 = 100;
/// Sleep while records of other lanes may still become earlier than those that were read.
const SLEEP_WAITING: Duration = Duration::from_micros(20);
/// Sleep after an error.
const SLEEP_FAILED: Duration = Duration::from_millis(100);
/// Passes of a single drain that fail, one after the other, before it gives up.
const FAILURES_MAX: u32 = 3;
/// Passes of a single drain that find nothing more, before it ends: processes that cannot be seen are looked at twice,
/// a second apart.
const LAST_LOOKS: Duration = Duration::from_millis(1200);

/// The flusher of a folder, for as long as it exists.
#[derive(Debug)]
pub struct Flusher {
    lock: Lock,
    drain: Drain,
    doorbell: File,
    sleep: Duration,
    /// Looks that are left before the next sleep.
    looks: u32,
}

/// Outcome of a try to become the flusher.
#[derive(Debug)]
pub enum Election {
    /// This is the flusher now.
    Won(Box<Flusher>),
    /// Another process is.
    Lost(Option<Holder>),
}

impl Flusher {
    /// Tries to become the flusher of `folder`. Rings of processes that ended before `since_ns` count as an earlier
    /// run.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the lock, the doorbell or the journal cannot be opened.
    pub fn elect(folder: &Folder, since_ns: u64) -> Result<Election> {
        match Lock::attempt(folder)? {
            Attempt::Held(holder) => Ok(Election::Lost(holder)),
            Attempt::Won(lock) => {
                let drain = Drain::open(folder, since_ns)?;
                let doorbell = folder.doorbell()?;
                Ok(Election::Won(Box::new(Flusher { lock, drain, doorbell, sleep: SLEEP_MIN, looks: 0 })))
            }
        }
    }

    /// Has everything synced this often, whatever the rings wish for; zero for never.
    pub fn set_durable(&mut self, every: Duration) {
        self.drain.set_durable(every);
    }

    /// Drains until `stop` says so or the lock file is taken away.
    pub fn run(&mut self, stop: impl Fn() -> bool) {
        let mut failing = false;
        while !stop() && self.lock.is_current(self.drain.folder()) {
            self.lock.beat();
            match self.drain.pass() {
                Ok(pass) => {
                    failing = false;
                    self.rest(pass, &stop);
                }
                Err(error) => {
                    if !failing {
                        complain(format_args!("{error}; what is logged stays in the rings, and this is tried again"));
                    }
                    failing = true;
                    std::thread::sleep(SLEEP_FAILED);
                }
            }
            if self.drain.sync_due_in() == Some(Duration::ZERO) {
                // It says itself in the log what fails.
                let _ = self.drain.sync();
            }
        }
        // Without the lock another process may be at it.
        if self.lock.is_current(self.drain.folder()) {
            let _ = self.drain.pass().and_then(|_| self.drain.settle()).and_then(|()| self.drain.sync());
        }
    }

    /// Drains everything that there is now, and returns how many records and rings that was.
    ///
    /// # Errors
    /// What the journal or a log file said.
    pub fn drain_once(&mut self) -> Result<Pass> {
        let mut total = Pass::default();
        let (start, mut failures) = (std::time::Instant::now(), 0);
        loop {
            let pass = match self.drain.pass() {
                Ok(pass) => pass,
                Err(error) if failures + 1 == FAILURES_MAX => return Err(error),
                Err(_) => {
                    failures += 1;
                    std::thread::sleep(SLEEP_FAILED);
                    continue;
                }
            };
            failures = 0;
            total.records += pass.records;
            total.removed += pass.removed;
            let undecided = self.drain.has_undecided_rings() && start.elapsed() < LAST_LOOKS
                || self.drain.has_lanes_left();
            if pass.records == 0 && pass.removed == 0 && !pass.waiting && !undecided {
                break;
            }
            if pass.records == 0 {
                std::thread::sleep(SLEEP_WAITING);
            }
        }
        self.drain.settle()?;
        self.drain.sync()?;
        Ok(total)
    }

    fn rest(&mut self, pass: Pass, stop: &impl Fn() -> bool) {
        if pass.waiting {
            return std::thread::sleep(SLEEP_WAITING);
        }
        if pass.records >= FLAT_OUT {
            self.looks = LOOKS.min(LOOKS_AT_RINGS / self.drain.rings().max(1) as u32);
        }
        if pass.records >= BUSY {
            self.sleep = SLEEP_MIN;
            return;
        }
        if self.looks > 0 {
            self.looks -= 1;
            return std::thread::yield_now();
        }
        if pass.records > 0 || pass.removed > 0 {
            self.sleep = SLEEP_MIN;
        } else if self.sleep < SLEEP_MAX {
            self.sleep *= 2;
        } else {
            return self.rest_deeply(stop);
        }
        self.drain.arm(false);
        let sync = self.drain.sync_due_in().unwrap_or(Duration::MAX);
        self.listen(self.sleep.min(sync));
    }

    /// Arms all rings, looks once more, and sleeps until the doorbell rings. No record can come without that, so in
    /// between only what makes no noise is looked for.
    fn rest_deeply(&mut self, stop: &impl Fn() -> bool) {
        let _ = self.drain.settle();
        // Rather now than in the middle of the sleep.
        let _ = self.drain.sync();
        if !self.drain.arm(true) {
            self.listen(SLEEP_MAX);
            return;
        }
        if self.drain.pass().is_ok_and(|pass| pass == Pass::default()) {
            for _ in 0..DEEP_SLEEPS {
                let sync = self.drain.sync_due_in();
                let rang = self.listen(SLEEP_DEEP.min(sync.unwrap_or(Duration::MAX)));
                let lost = !self.lock.is_current(self.drain.folder());
                if rang || sync.is_some() || self.drain.has_news() || lost || stop() {
                    break;
                }
                self.lock.beat();
            }
            // Every ten seconds in which nothing is said, or less often.
            self.drain.folder().keep_young();
        } else {
            self.sleep = SLEEP_MIN;
        }
    }

    /// Sleeps, and returns whether the doorbell rang.
    fn listen(&mut self, timeout: Duration) -> bool {
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        let mut fds = [PollFd::new(&self.doorbell, PollFlags::IN)];
        let rang = poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0);
        if rang {
            let _ = self.doorbell.read(&mut [0; 4096]);
            self.drain.rang();
            self.sleep = SLEEP_MIN;
        }
        rang
    }
}
