//! The offset of local time, also for a process that has changed its root since it was set up.
//!
//! The zone is in files, `/etc/localtime` or what `TZ` names, which are looked at again now and then, because an administrator
//! may change them. In another root they are missing, or another system's, and times would jump to UTC. There the last
//! offset from before counts.

use crate::mutant::{self, Mutant};
use chrono::{FixedOffset, Local, Offset, TimeZone, Utc};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

/// Device and inode of the root at the first look.
static ROOT: OnceLock<Option<(u64, u64)>> = OnceLock::new();
/// The last offset that was found there, in seconds east of Greenwich.
static LAST: AtomicI32 = AtomicI32::new(0);

/// Takes note of the offset now, when the process is set up first. Not again for a forked child's logger, which may be made
/// at its exit, when `chrono` has no thread-local storage left.
pub(crate) fn remember() {
    if ROOT.get().is_some() {
        return;
    }
    offset((crate::clock::realtime_ns() / 1_000_000_000) as i64);
}

/// The offset at this time, in seconds since 1970.
pub(crate) fn offset(second: i64) -> FixedOffset {
    let root = rustix::fs::stat("/").ok().map(|found| (found.st_dev, found.st_ino));
    let is_first = *ROOT.get_or_init(|| root) == root || mutant::is(Mutant::ZoneLost);
    if !is_first && let Some(last) = FixedOffset::east_opt(LAST.load(Ordering::Relaxed)) {
        return last;
    }
    let found = Local.timestamp_opt(second, 0).single().map_or(Utc.fix(), |time| time.offset().fix());
    LAST.store(found.local_minus_utc(), Ordering::Relaxed);
    found
}
