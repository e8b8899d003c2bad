//! The flusher that every process carries: a thread that stands by, and drains for all when it is elected.

use crate::complain::complain;
use crate::clock;
use crate::flush::flusher::{Election, Flusher};
use crate::folder::Folder;
use crate::holder::Holder;
use crate::registry;
use crate::sys::hooks;
use crate::thread;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for the end of the flusher's process before looking again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The same where that process cannot be watched.
const LOOK_AGAIN_BLIND: Duration = Duration::from_millis(200);

/// Starts the thread.
pub(crate) fn start(folder: &Folder) {
    let folder = folder.clone();
    let since = clock::realtime_ns();
    let body = move || {
        hooks::block_signals();
        thread::become_flusher();
        stand_by(&folder, since);
    };
    if let Err(error) = std::thread::Builder::new().name("lastwords".to_owned()).spawn(body) {
        complain(format_args!("no thread for the flusher ({error}); another process or `lastwords flush` must drain"));
    }
}

/// Set once this process ends.
static ENDING: AtomicBool = AtomicBool::new(false);
/// How many of this process's threads are elected, for as many folders: its pid in the high half, because a forked
/// child finds its parent's count here, and the number in the low half.
static ELECTED: AtomicU64 = AtomicU64::new(0);

fn count_elected(change: i64) {
    let me = u64::from(std::process::id());
    let _ = ELECTED.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
        let count = if word >> 32 == me { word as u32 } else { 0 };
        Some(me << 32 | u64::from(count.saturating_add_signed(change as i32)))
    });
}

/// At the exit: has the elected threads of this process finish their batch, note so in the journal, and give the lock
/// to another process. They see it at the next ring of their doorbell.
pub(crate) fn end() {
    ENDING.store(true, Ordering::Release);
}

/// Waits until they have.
pub(crate) fn wait_for_end(timeout: Duration) {
    let (start, me) = (Instant::now(), u64::from(std::process::id()));
    let elected = || {
        let word = ELECTED.load(Ordering::Acquire);
        word >> 32 == me && word as u32 > 0
    };
    while elected() && start.elapsed() < timeout {
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn stand_by(folder: &Folder, since: u64) {
    let mut said = false;
    while !is_ending() {
        match Flusher::elect(folder, since) {
            Ok(Election::Won(mut flusher)) => {
                count_elected(1);
                flusher.run(is_ending);
                drop(flusher);
                count_elected(-1);
            }
            Ok(Election::Lost(holder)) => wait_for_holders_end(holder),
            Err(error) => {
                if !said {
                    complain(format_args!("cannot flush: {error}; what is logged stays in the rings"));
                }
                said = true;
                std::thread::sleep(LOOK_AGAIN);
            }
        }
    }
}

/// Whether this process ends. Asked in every pass and between long sleeps, it also follows changes of the filter.
fn is_ending() -> bool {
    registry::follow_filter();
    ENDING.load(Ordering::Acquire)
}

/// Sleeps until the holder's process ends, where that can be seen.
fn wait_for_holders_end(holder: Option<Holder>) {
    let process = holder.filter(Holder::may_live).map(|holder| holder.process.pid);
    let pid = process.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let Some(pidfd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return std::thread::sleep(LOOK_AGAIN_BLIND);
    };
    let timeout = Timespec { tv_sec: LOOK_AGAIN.as_secs() as i64, tv_nsec: 0 };
    let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout));
}
