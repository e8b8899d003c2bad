//! Descriptors of the processes that this one was forked from.
//!
//! A process with a ring opens a descriptor of itself before it forks, and its children inherit it. So the flusher in a
//! daemon's last child learns how the earlier processes ended, which no flusher has watched. Only kernels that give each
//! process an inode of its own can also report how it ended, see `pidfd.rs`; on others no descriptor is kept. A child that
//! closes all its descriptors closes these too, and their numbers may be reused by then: the inode is checked before each use.

use crate::mutant::{self, Mutant};
use crate::place::descriptor::{Identity, Opened, raise};
use crate::sys::hooks;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Processes that are tracked: this one, and the last ones before it.
const PLACES: usize = 8;
/// A place that is being filled. No process has this pid.
const TAKEN: u32 = u32::MAX;
/// First number above the standard streams.
const ABOVE_STANDARD: i32 = 3;
/// `PID_FS_MAGIC`, the file system of descriptors with an inode for each process.
const PIDFS: u64 = 0x5049_4446;

/// A process and its descriptor.
#[derive(Debug)]
struct Ancestor {
    /// 0 for a free place.
    pid: AtomicU32,
    start_time: AtomicU64,
    fd: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

static ANCESTORS: [Ancestor; PLACES] = [const {
    Ancestor {
        pid: AtomicU32::new(0),
        start_time: AtomicU64::new(0),
        fd: AtomicI32::new(-1),
        device: AtomicU64::new(0),
        inode: AtomicU64::new(0),
    }
}; PLACES];

impl Ancestor {
    fn identity(&self) -> (u64, u64) {
        (self.device.load(Ordering::Relaxed), self.inode.load(Ordering::Relaxed))
    }

    /// The descriptor, if its number still refers to the process.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        hooks::borrow_if_ours(self.fd.load(Ordering::Relaxed), self.identity())
    }

    /// Closes the descriptor, if its number still refers to the process.
    fn close(&self) {
        hooks::close_if_ours(self.fd.swap(-1, Ordering::Relaxed), self.identity());
    }
}

/// Makes children that are forked from now on inherit a descriptor of this process, which has a ring and started at this time.
/// Safe between fork and exec, and in a signal handler.
pub fn keep_own(start_time: u64) {
    let me = std::process::id();
    let known = ANCESTORS.iter().find(|place| place.pid.load(Ordering::Acquire) == me);
    if known.is_some_and(|place| place.descriptor().is_some()) || mutant::is(Mutant::OrphanedWitness) {
        return;
    }
    let Some(opened) = open_own() else { return };
    let Some(place) = known.or_else(free_place) else { return };
    place.close();
    place.pid.store(TAKEN, Ordering::Release);
    place.start_time.store(start_time, Ordering::Relaxed);
    place.device.store(opened.identity().device, Ordering::Relaxed);
    place.inode.store(opened.identity().inode, Ordering::Relaxed);
    place.fd.store(OwnedFd::from(opened).into_raw_fd(), Ordering::Relaxed);
    place.pid.store(me, Ordering::Release);
}

/// A descriptor of this process, if device and inode identify the process.
fn open_own() -> Option<Opened> {
    let opened = raise(Opened::new(pidfd_open(getpid(), PidfdFlags::empty()).ok()?).ok()?).ok()?;
    (rustix::fs::fstatfs(&opened).ok()?.f_type as u64 == PIDFS).then_some(opened)
}

/// A free place, else the oldest ones in turn. Two threads that fork at once get different places.
fn free_place() -> Option<&'static Ancestor> {
    static OLDEST: AtomicUsize = AtomicUsize::new(0);
    let take = |place: &&Ancestor, pid: u32| {
        place.pid.compare_exchange(pid, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    ANCESTORS.iter().find(|place| take(place, 0)).or_else(|| {
        let oldest = &ANCESTORS[OLDEST.fetch_add(1, Ordering::Relaxed) % PLACES];
        let pid = oldest.pid.load(Ordering::Acquire);
        (pid != TAKEN && take(&oldest, pid)).then_some(oldest)
    })
}

/// All of them, by number, which is the same in a copied table.
pub(crate) fn numbers() -> Vec<(RawFd, Identity)> {
    let open = ANCESTORS.iter().filter_map(Ancestor::descriptor);
    open.filter_map(|process| Some((process.as_raw_fd(), Identity::behind(process).ok()?))).collect()
}

/// A descriptor of the process with this pid that started at this time, if this one was forked from it.
pub fn find(pid: u32, start_time: u64) -> Option<Opened> {
    let is_it = |place: &&Ancestor| {
        place.pid.load(Ordering::Acquire) == pid && place.start_time.load(Ordering::Relaxed) == start_time
    };
    let place = ANCESTORS.iter().find(is_it)?;
    Opened::new(fcntl_dupfd_cloexec(place.descriptor()?.as_fd(), ABOVE_STANDARD).ok()?).ok()
}
