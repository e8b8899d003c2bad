//! In whose name files are created: one user writes in a log folder, its owner.
//!
//! | process | in a folder of another user |
//! |---|---|
//! | a process of an ordinary user | is refused |
//! | a process of root | creates files there as the folder's owner: each thread for the moment (`Acting`), the flusher's thread as long as it lives (`act_for_good`) |
//! | a tool of root | becomes that user for good, before it touches anything (`become_owner_of`) |
//!
//! Otherwise there would be files of root's that the owner can neither write nor remove, and a user who replaces the folder by
//! a link would make root write where only root may. The identity is per thread: the program's other threads keep theirs, and
//! if the program changes its user, all of them follow.

use crate::mutant::{self, Mutant};
use crate::sys::user;
use rustix::process::geteuid;
use std::cell::Cell;

/// The user that the kernel shows for owners that this user namespace does not know.
const UNKNOWN_USER: u32 = 65_534;

thread_local! {
    /// The thread already acts as another user.
    static ACTS: Cell<bool> = const { Cell::new(false) };
}

/// The calling thread creates files as another user, until this is dropped.
#[derive(Debug)]
pub(crate) struct Acting(());

impl Acting {
    /// Makes a thread of root's create files as this user and group. None if that changes nothing or is not permitted.
    pub(crate) fn begin(uid: u32, gid: u32) -> Option<Acting> {
        if uid == 0 || ACTS.get() || !geteuid().is_root() || mutant::is(Mutant::ActsAsRoot) {
            return None;
        }
        let acting = Acting(());
        ACTS.set(true);
        // If it fails in part, the drop restores everything.
        user::act_as(uid, gid).then_some(acting)
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        ACTS.set(false);
        // The process's present identity: it may have changed its user meanwhile.
        user::act_as(geteuid().as_raw(), rustix::process::getegid().as_raw());
    }
}

/// Whether a process of root may act as this user.
pub(crate) fn may_act_as(uid: u32, gid: u32) -> bool {
    geteuid().is_root() && (ACTS.get() || Acting::begin(uid, gid).is_some())
}

/// Makes the calling thread, which is one of ours, create files as this user for its lifetime.
pub fn act_for_good(uid: u32, gid: u32) {
    if uid != 0 && geteuid().is_root() && !mutant::is(Mutant::ActsAsRoot) {
        // Groups of root's would open files that the owner cannot.
        let reduced = user::leave_groups_but(gid);
        ACTS.set(user::act_as(uid, gid) && reduced);
    }
}

/// Whether only root, or a user outside of this user namespace, can be this user.
pub(crate) fn is_above_all(uid: u32) -> bool {
    uid == 0 || (uid == UNKNOWN_USER && !is_mapped(uid))
}

/// Whether this user namespace has a user of this number.
pub(crate) fn is_mapped(uid: u32) -> bool {
    // A kernel without user namespaces has no map, and every number is a user's.
    let Ok(map) = std::fs::read_to_string("/proc/self/uid_map") else { return true };
    let holds = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().filter_map(|number| number.parse::<u64>().ok());
        let (first, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some((first..first + count).contains(&u64::from(uid)))
    };
    map.lines().any(|line| holds(line).unwrap_or(false))
}
