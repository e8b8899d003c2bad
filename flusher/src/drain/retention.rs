//! When rotated files that exceed a role's limits are removed: after a rotation, where a batch exceeds the total, where a limit was
//! lowered, and with time.

use super::Drain;
use crate::files::log_file::LogFile;
use crate::files::output::Output;
use crate::files::retention::remove_surplus;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::role_of;
use std::time::{Duration, Instant};

/// Time before a file that could not be removed is tried again, unless the role's files are rotated before.
const AGAIN: Duration = Duration::from_secs(60);

impl Drain {
    /// After a pass: limits that a new ring has changed, files that have become too old, and removals that failed.
    pub(super) fn keep_limits(&mut self) {
        let (now_s, now) = (now_s(), Instant::now());
        for role in 0..self.roles.len() {
            let is_old = |until: u64| until < now_s;
            let within = |limits| self.roles[role].limits == limits;
            let kept =
                self.roles[role].left.is_some_and(|left| within(left.limits) && !left.until_s.is_some_and(is_old));
            let waits = self.roles[role].remove_again.is_some_and(|again| again > now);
            if !kept && !waits {
                self.keep_limits_of(role);
            }
        }
    }

    /// After a rotation. Where the number of files alone counts, it has been kept by the rotation itself.
    pub(super) fn keep_limits_after_rotation(&mut self, role: usize) {
        let role_limits = self.roles[role].limits;
        let known = self.roles[role].left.is_some_and(|left| left.limits == role_limits);
        if role_limits.depend_on_more() || !known || mutant::is(Mutant::BeyondAlwaysSought) {
            self.keep_limits_of(role);
        }
    }

    /// After a batch: the total, where the current files have grown beyond what the rotated ones leave of it.
    pub(super) fn keep_totals(&mut self) {
        for role in 0..self.roles.len() {
            let total = self.roles[role].limits.bytes;
            // Without rotated files there is nothing to remove.
            let Some(rotated) = self.roles[role].left.map(|left| left.bytes).filter(|bytes| *bytes > 0) else {
                continue;
            };
            if total > 0 && rotated + self.current_bytes(role) > total {
                self.keep_limits_of(role);
            }
        }
    }

    /// Bytes of a role's open files.
    fn current_bytes(&self, role: usize) -> u64 {
        let name = &self.roles[role].name;
        let of_role = |output: &&Output| role_of(&output.log) == name;
        self.outputs.iter().filter(of_role).filter_map(|output| output.file.as_ref()).map(LogFile::size).sum()
    }

    fn keep_limits_of(&mut self, role: usize) {
        let known = &mut self.roles[role];
        known.left = remove_surplus(&self.folder, &known.name, known.limits, now_s());
        known.remove_again = known.left.is_none().then(|| Instant::now() + AGAIN);
    }
}

/// Seconds since 1970.
fn now_s() -> u64 {
    clock::realtime_ns() / 1_000_000_000
}
