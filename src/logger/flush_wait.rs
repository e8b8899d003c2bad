//! Waiting until records are in the log file.

use crate::logger::drained_ring::DrainedRing;
use lastwords_ring::atomics::Ordering;
use lastwords_ring::error::Error;
use lastwords_ring::format::layout::lane_kind;
use lastwords_ring::place::clock;
use lastwords_ring::place::lock_holder::Holder;
use lastwords_ring::sys::futex;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Longest wait for the files at a normal exit, and of [`crate::flush`].
pub(crate) const FLUSH_MAX: Duration = Duration::from_secs(2);
/// Longest wait beside a flusher that was stalled for a whole wait, and still is: a process with many roles waits once.
const FLUSH_STALLED: Duration = Duration::from_millis(20);
/// Wait for a flusher of another process, if none lives and this process never flushes itself.
const ALONE_MAX: Duration = Duration::from_millis(100);

/// The flusher's heartbeat during a whole wait for the files that timed out, [`NOBODY`] if none lived, and 0 if no wait has
/// timed out.
static STALLED_AT: AtomicU64 = AtomicU64::new(0);
const NOBODY: u64 = u64::MAX;

/// A wait for everything that was in the ring when it began.
pub(crate) struct FlushWait<'a> {
    drained: &'a DrainedRing,
    start: Instant,
    /// Lanes whose records are written to files, with the newest sequence of each.
    heads: Vec<(usize, u64)>,
}

impl FlushWait<'_> {
    pub(crate) fn begin(drained: &DrainedRing) -> FlushWait<'_> {
        let ring = &drained.ring;
        let is_written = |lane: &usize| ring.block(*lane).kind.load(Ordering::Relaxed) != lane_kind::RING_ONLY;
        let lanes = (0..ring.geometry().lanes()).filter(is_written);
        let heads = lanes.map(|lane| (lane, ring.block(lane).head.load(Ordering::Acquire)));
        FlushWait { drained, start: Instant::now(), heads: heads.filter(|(_, head)| *head > 0).collect() }
    }

    /// Whether it is in the file.
    fn is_written(&self) -> bool {
        self.heads.iter().all(|(lane, head)| {
            let consumer = &self.drained.ring.block(*lane).consumer;
            let value = consumer.written.load(Ordering::Acquire);
            value >= *head && consumer.written_inverted.load(Ordering::Acquire) == !value
        })
    }

    fn heartbeat(&self) -> u64 {
        self.drained.holder.heartbeat().unwrap_or(NOBODY)
    }

    /// Waits for the flusher. False if the records are not in the file then.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        if self.is_written() {
            return true;
        }
        let (control, before) = (self.drained.control, self.heartbeat());
        control.waiters.fetch_add(1, Ordering::SeqCst);
        let done = self.wait_beside(before, timeout);
        control.waiters.fetch_sub(1, Ordering::SeqCst);
        if !done && self.start.elapsed() >= FLUSH_MAX {
            STALLED_AT.store(if self.heartbeat() == before { before } else { 0 }, Ordering::Relaxed);
        }
        done
    }

    /// Waits for a flusher whose heartbeat was `before`.
    fn wait_beside(&self, before: u64, timeout: Duration) -> bool {
        let DrainedRing { control, doorbell, .. } = self.drained;
        let mut still = before == STALLED_AT.load(Ordering::Relaxed);
        loop {
            let seen = control.progress.load(Ordering::SeqCst);
            // A ring that another thread closes is drained by that.
            if self.is_written() || self.drained.is_closed() {
                return true;
            }
            let waited = self.start.elapsed();
            still = still && !(waited >= FLUSH_STALLED && self.heartbeat() != before);
            let is_over = waited >= timeout || (still && waited >= FLUSH_STALLED);
            if is_over || (waited > ALONE_MAX && self.drained.is_alone()) {
                return false;
            }
            doorbell.ring();
            futex::wait(&control.progress, seen, (timeout - waited).min(FLUSH_STALLED));
        }
    }

    /// The error after a timeout.
    pub(crate) fn error(&self, file: PathBuf) -> Error {
        let DrainedRing { holder, flushes, .. } = self.drained;
        let flusher = match holder.named().filter(|_| holder.may_live()) {
            None => "nobody flushes the folder: start `lastwords flush`, or a process that may flush".to_owned(),
            Some(holder) => {
                let ms = clock::boottime_ns().saturating_sub(holder.heartbeat_ns) / 1_000_000;
                // A process that never flushes may run in a sandbox in which opening a file kills it.
                let state = if *flushes { standstill(&holder) } else { None };
                let state = state.map_or_else(String::new, |state| format!("; it is {state}"));
                format!("its flusher is pid {}, whose last pass was {ms} ms ago{state}", holder.process.pid)
            }
        };
        Error::FlushTimeout { waited: self.start.elapsed(), file, flusher }
    }
}

/// Why a flusher makes no pass and what to do, if known.
#[cfg(feature = "flusher")]
fn standstill(holder: &Holder) -> Option<String> {
    let standstill = lastwords_flusher::standstill::Standstill::of_holder(holder)?;
    Some(format!("{}: {}", standstill.name(), standstill.advice()))
}

#[cfg(not(feature = "flusher"))]
fn standstill(_: &Holder) -> Option<String> {
    None
}
