//! Whether a ring belongs to an earlier run.

use super::TrackedRing;
use crate::ring_clock::Scales;
use lastwords_ring::place::clock;
use lastwords_ring::place::process::is_another_boot;

impl TrackedRing {
    /// Marks the ring as belonging to an earlier run, whose rings are drained separately.
    pub(crate) fn set_earlier(&mut self, scales: &mut Scales) {
        self.earlier = true;
        self.clock.order_evenly(self.reader.header(), scales);
    }

    /// Whether the machine was started anew since the ring was made. Another boot id alone proves nothing: a container may have
    /// its own, and a folder may have been copied from another machine.
    pub(crate) fn is_of_another_boot(&self) -> bool {
        let header = self.reader.header();
        let is_copy = header.inode != 0 && header.inode != self.reader.source().inode();
        is_another_boot(&header.boot_id) && header.created_ns < clock::boot_ns() && !is_copy
    }

    /// The newest record's calendar time, for telling an earlier run from this one.
    pub(crate) fn newest_ns(&self) -> u64 {
        let newest = self.lanes.iter().map(|lane| lane.last_clock).max().unwrap_or(0);
        if newest == 0 { self.reader.header().created_ns } else { self.clock.timeline().realtime_ns(newest) }
    }
}
