//! The elected flusher: the lock, the drain, and when to sleep.
//!
//! A flusher that finds nothing sleeps longer each time, and after a few passes until the doorbell rings. Before it does, it
//! arms every ring and checks once more. A producer that commits a record after that check sees the request (LANE:B lies
//! between its slot's BUSY and its read of `armed`), so no record waits for a timeout.

use crate::crash::teller::Teller;
use crate::drain::{Drain, Pass};
use crate::election::{Attempt, Lock};
use crate::evidence::witness::Witnesses;
use crate::files::notices;
use lastwords_ring::arming::arm_then_look;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::place::access::Access;
use lastwords_ring::place::doorbell::Doorbell;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::Holder;
use lastwords_ring::place::process::ensure_boot_id;
use lastwords_ring::place::stderr::complain;
use lastwords_ring::sys::fsize;
use lastwords_ring::sys::ready::{is_ready, wait_for_any};
use rustix::event::PollFlags;
use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Sleep after a pass that wrote something.
const SLEEP_MIN: Duration = Duration::from_millis(10);
/// Longest sleep without having armed the rings for every record. With the pass itself well under the 200 ms within
/// which a line is in its file.
const SLEEP_MAX: Duration = Duration::from_millis(80);
/// Sleep when nothing is logged: checks for dead processes are due.
const SLEEP_DEEP: Duration = Duration::from_millis(500);
/// Such sleeps before another pass reads everything all the same.
const DEEP_SLEEPS: u32 = 20;
/// A pass that wrote so many records is followed by the next at once: while one batch was rendered, lanes have filled.
const BUSY: u64 = 512;
/// A pass that wrote so many shows that a process logs flat out.
const FLAT_OUT: u64 = 2048;
/// Passes after such a one that may find next to nothing before the flusher sleeps: a producer that was just woken has
/// not filled its lane yet, and a sleep would last longer than it takes to.
const LOOKS: u32 = 10;
/// How many rings such passes read in all: with very many, the pass itself takes long enough.
const LOOKS_AT_RINGS: u32 = 100;
/// Sleep while records of other lanes may still become earlier than those that were read.
const SLEEP_WAITING: Duration = Duration::from_micros(20);
/// Time between two comparisons of the folder with its path.
const REFRESH: Duration = Duration::from_millis(500);
/// Time between two checks for files that have become old, while nothing is logged.
const KEEP_YOUNG: Duration = Duration::from_secs(600);
/// Sleep after an error.
const SLEEP_FAILED: Duration = Duration::from_millis(100);
/// Passes of a single drain that fail, one after the other, before it gives up.
const FAILURES_MAX: u32 = 3;
/// How long a single drain goes on after the last pass that found something: processes that cannot be seen are checked twice, a
/// second apart, and every half second.
const LAST_LOOKS: Duration = Duration::from_secs(2);
/// How long a flusher that is to stop waits for the reports of processes that have crashed.
const LAST_DEATHS: Duration = Duration::from_secs(2);

/// Smallest file size limit under which a process flushes, in bytes: journal entries and log files stay below it.
const FILE_SIZE_MIN: u64 = 1 << 20;

/// The flusher of a folder, for as long as it exists.
#[derive(Debug)]
pub struct Flusher {
    lock: Lock,
    drain: Drain,
    doorbell: Doorbell,
    sleep: Duration,
    /// Passes that remain before the next sleep.
    looks: u32,
    /// When the folder was last compared with its path.
    refreshed: Instant,
    /// When the files' times were last checked.
    kept_young: Option<Instant>,
    /// Why this process, which has changed its user, may not write in the folder any more.
    refused: Option<Error>,
}

/// Outcome of a try to become the flusher.
#[derive(Debug)]
pub enum Election {
    /// This is the flusher now.
    Won(Box<Flusher>),
    /// Another process is.
    Lost(Option<Holder>),
}

/// Refuses to flush if the file size limit (ulimit -f) leaves no room for journal and log files.
///
/// # Errors
/// [`Error::FileSizeLimit`] then.
pub fn refuse_file_size_limit() -> Result<()> {
    let limit = fsize::limit();
    if limit >= FILE_SIZE_MIN {
        return Ok(());
    }
    let why = format!(
        "a process that flushes needs {FILE_SIZE_MIN}; raise it, or leave flushing to another process (flusher = never)"
    );
    Err(Error::FileSizeLimit { limit, why })
}

impl Flusher {
    /// Tries to become the flusher of `folder`. Rings of processes that ended before `since_ns` are treated as an earlier run.
    /// From here on the calling thread blocks SIGXFSZ, so that a write beyond the file size limit is an error like others.
    ///
    /// # Errors
    /// [`lastwords_ring::error::Error::Io`] if the lock, the doorbell or the journal cannot be opened,
    /// [`lastwords_ring::error::Error::Setting`] if the file size limit (ulimit -f) leaves no room for a log.
    pub fn elect(folder: &Folder, since_ns: u64) -> Result<Election> {
        fsize::block_signal();
        refuse_file_size_limit()?;
        ensure_boot_id()?;
        match Lock::attempt(folder)? {
            Attempt::Held(holder) => Ok(Election::Lost(holder)),
            Attempt::Won(lock) => {
                let mut drain = Drain::open(folder, since_ns)?;
                drain.work_under(lock.lease());
                let (doorbell, refreshed) = (Doorbell::open(folder)?, Instant::now());
                Ok(Election::Won(Box::new(Flusher {
                    lock,
                    drain,
                    doorbell,
                    sleep: SLEEP_MIN,
                    looks: 0,
                    refreshed,
                    kept_young: None,
                    refused: None,
                })))
            }
        }
    }

    /// Takes the witnesses of processes that flushed before.
    pub fn hear(&mut self, witnesses: Witnesses) {
        self.drain.hear(witnesses);
    }

    /// Sets how often everything is synced, overriding the rings; zero for never.
    pub fn set_durable(&mut self, every: Duration) {
        self.drain.set_durable(every);
    }

    /// Sets who may read log and crash files, overriding the rings.
    pub fn set_access(&mut self, access: Access) {
        self.drain.set_access(access);
    }

    /// Sets who reads the captures of processes that died.
    pub fn set_teller(&mut self, teller: Teller) {
        self.drain.set_teller(teller);
    }

    /// Drains until `stop` returns true or the lock file is taken away.
    pub fn run(&mut self, stop: impl Fn() -> bool) {
        let mut failing = false;
        while !stop() && self.is_current() {
            self.lock.beat();
            match self.drain.pass() {
                Ok(pass) => {
                    failing = false;
                    if let Some(error) = self.drain.take_complaint() {
                        complain(format_args!("{error}; what is logged stays in the rings, and this is tried again"));
                    }
                    self.rest(pass, &stop);
                }
                // Another process may have read the rings since they were read here.
                Err(_) if !self.lock.is_current() => return,
                Err(error) => {
                    self.refused = self.drain.folder().refusal();
                    if self.refused.is_some() {
                        break;
                    }
                    if !failing {
                        complain(format_args!("{error}; what is logged stays in the rings, and this is tried again"));
                    }
                    failing = true;
                    std::thread::sleep(SLEEP_FAILED);
                }
            }
            if self.drain.sync_due_in() == Some(Duration::ZERO) {
                // It logs its own failures.
                let _ = self.drain.sync();
            }
        }
        // Without the lock another process may do it.
        if !self.lock.is_current() {
            return;
        }
        if let Some(why) = self.refused.take() {
            self.drain.tell_at_last(&notices::rights_lost(self.drain.folder(), &why));
        } else {
            let _ = self.last_passes().and_then(|()| self.drain.settle()).and_then(|()| self.drain.sync());
        }
    }

    /// Drains at the end. Deaths that are not told by then are those of the next flusher.
    fn last_passes(&mut self) -> Result<()> {
        let until = Instant::now() + LAST_DEATHS;
        loop {
            self.drain.pass()?;
            let left = until.saturating_duration_since(Instant::now());
            if !self.drain.is_asking() || left.is_zero() || !self.lock.is_current() {
                return Ok(());
            }
            wait_for_any(&self.drain.answers(), left.min(SLEEP_MAX));
        }
    }

    /// Drains everything that there is now, and returns how many records and rings that was.
    ///
    /// # Errors
    /// A failure of the journal or a log file.
    pub fn drain_once(&mut self) -> Result<Pass> {
        let mut total = Pass::default();
        let (mut found, mut failures) = (std::time::Instant::now(), 0);
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
            total.records += pass.records;
            total.removed += pass.removed;
            let nothing = pass.records == 0 && pass.removed == 0 && !pass.waiting;
            if nothing && self.drain.is_held_up() {
                // Crash files are not retried for ever, so only the others may end it.
                failures += u32::from(!self.drain.waits_for_crash_files_alone() && !self.drain.is_asking());
                if failures == FAILURES_MAX
                    && let Some(error) = self.drain.held_up()
                {
                    return Err(error);
                }
                std::thread::sleep(SLEEP_FAILED);
                continue;
            }
            failures = 0;
            if pass.records > 0 || pass.removed > 0 {
                found = std::time::Instant::now();
            }
            let undecided =
                self.drain.has_undecided_rings() && found.elapsed() < LAST_LOOKS || self.drain.has_lanes_left();
            let asking = self.drain.is_asking();
            if pass.records == 0 && pass.removed == 0 && !pass.waiting && !undecided && !asking {
                break;
            }
            if pass.records == 0 && asking && !pass.waiting {
                wait_for_any(&self.drain.answers(), SLEEP_MAX);
            } else if pass.records == 0 {
                self.drain.end_rests();
                std::thread::sleep(SLEEP_WAITING);
            }
        }
        while let Some(pause) = self.drain.compresses_in() {
            std::thread::sleep(pause);
            self.drain.compress();
        }
        self.drain.settle()?;
        self.drain.sync()?;
        Ok(total)
    }

    fn rest(&mut self, pass: Pass, stop: &impl Fn() -> bool) {
        if pass.waiting {
            return std::thread::sleep(SLEEP_WAITING);
        }
        let mut compresses = self.drain.compresses_in();
        if compresses.is_some() {
            self.drain.compress();
            (compresses, self.sleep) = (self.drain.compresses_in(), SLEEP_MIN);
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
        } else if compresses.is_some() {
            // The next slice is not slept over.
        } else if self.sleep < SLEEP_MAX {
            self.sleep *= 2;
        } else {
            return self.rest_deeply(stop);
        }
        self.drain.arm(false);
        let sync = self.drain.sync_due_in().unwrap_or(Duration::MAX);
        self.listen(self.sleep.min(sync).min(compresses.unwrap_or(Duration::MAX)));
    }

    /// Arms all rings, checks once more, and sleeps until the doorbell rings. No record can come without that, so in between
    /// only silent events are checked for.
    fn rest_deeply(&mut self, stop: &impl Fn() -> bool) {
        let _ = self.drain.settle();
        // Rather now than in the middle of the sleep.
        let _ = self.drain.sync();
        // Where all are armed since before the pass that has just found nothing, that was the check.
        let last_look = if self.drain.is_armed() {
            Some(Ok(Pass::default()))
        } else {
            arm_then_look(&mut self.drain, |drain| drain.arm(true), Drain::pass)
        };
        let Some(last_look) = last_look else {
            self.listen(SLEEP_MAX);
            return;
        };
        if last_look.is_ok_and(|pass| pass == Pass::default()) {
            for _ in 0..DEEP_SLEEPS {
                let sync = self.drain.sync_due_in();
                let rang = self.listen(SLEEP_DEEP.min(sync.unwrap_or(Duration::MAX)));
                let lost = !self.is_current();
                if rang || sync.is_some() || self.drain.has_news() || lost || stop() {
                    break;
                }
                self.lock.beat();
            }
            if self.kept_young.is_none_or(|kept| kept.elapsed() >= KEEP_YOUNG) {
                self.drain.folder().keep_young();
                self.kept_young = Some(Instant::now());
            }
        } else {
            self.sleep = SLEEP_MIN;
        }
    }

    /// Whether the lock file is still at its path, in the folder that is now at its path, and this process may write there.
    fn is_current(&mut self) -> bool {
        if self.refreshed.elapsed() >= REFRESH {
            self.refreshed = Instant::now();
            // What cannot be inspected is taken as unchanged.
            let _ = self.drain.folder().refresh();
            self.refused = self.drain.folder().refusal();
        }
        self.refused.is_none() && self.lock.is_current()
    }

    /// Sleeps, and returns whether the doorbell rang.
    fn listen(&mut self, timeout: Duration) -> bool {
        let answers = self.drain.answers();
        let listen = |fifo: &File| {
            let all: Vec<_> = answers.iter().copied().chain([fifo.as_fd()]).collect();
            wait_for_any(&all, timeout);
            is_ready(fifo, PollFlags::IN, Duration::ZERO)
        };
        let rang = self.doorbell.listen(listen).unwrap_or_else(|| {
            // Without a doorbell no request arrives, so everything is read.
            std::thread::sleep(timeout.min(SLEEP_MAX));
            true
        });
        if rang {
            self.doorbell.clear();
            self.drain.rang();
            self.sleep = SLEEP_MIN;
        }
        rang
    }
}
