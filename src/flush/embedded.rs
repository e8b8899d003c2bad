//! The flusher that every process carries: a thread that stands by, and drains for all when it is elected.

use crate::clock;
use crate::flush::flusher::{Election, Flusher};
use crate::folder::Folder;
use crate::holder::Holder;
use crate::sys::hooks;
use crate::thread;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::time::Duration;

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
        eprintln!("lastwords: no thread for the flusher ({error}); another process or `lastwords flush` must drain");
    }
}

fn stand_by(folder: &Folder, since: u64) {
    let mut said = false;
    loop {
        match Flusher::elect(folder, since) {
            Ok(Election::Won(mut flusher)) => flusher.run(|| false),
            Ok(Election::Lost(holder)) => wait_for_end(holder),
            Err(error) => {
                if !said {
                    eprintln!("lastwords: cannot flush: {error}; what is logged stays in the rings");
                }
                said = true;
                std::thread::sleep(LOOK_AGAIN);
            }
        }
    }
}

/// Sleeps until the holder's process ends, where that can be seen.
fn wait_for_end(holder: Option<Holder>) {
    let process = holder.filter(Holder::may_live).map(|holder| holder.process.pid);
    let pid = process.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let Some(pidfd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return std::thread::sleep(LOOK_AGAIN_BLIND);
    };
    let timeout = Timespec { tv_sec: LOOK_AGAIN.as_secs() as i64, tv_nsec: 0 };
    let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout));
}
