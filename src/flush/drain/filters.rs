//! Filters that count for a time: ended by whoever flushes, because not every process has a thread for that.

use super::Drain;
use crate::clock;
use crate::error::Result;
use crate::level::Level;
use crate::mutant::{self, Mutant};

impl Drain {
    /// Whether the time of some ring's filter is over.
    pub(super) fn is_filter_over(&self) -> bool {
        let now = clock::boottime_ns();
        // A ring whose process is dead, or that is gone, has no filter that would end.
        let living = self.rings.iter().filter(|ring| ring.dead.is_none());
        let mut ends = living.filter_map(|ring| self.filter_ends.get(&ring.reader.header().uuid).copied().flatten());
        ends.any(|end| end <= now)
    }

    /// Looks at the filters of rings that are new, and of all where the doorbell rang, which is what a change does. Writes those
    /// that come after the ones whose time is over, and has the log say so.
    pub(super) fn end_filters(&mut self) -> Result<()> {
        for ring in 0..self.rings.len() {
            let follow = &self.rings[ring];
            let (uuid, role, pid) = (follow.reader.header().uuid, follow.role, follow.reader.header().pid);
            if follow.dead.is_some() {
                continue;
            }
            let known = self.filter_ends.get(&uuid).copied();
            let is_over = |end: u64| end <= clock::boottime_ns() && !mutant::is(Mutant::FilterKept);
            if known.is_some_and(|end| !end.is_some_and(is_over)) {
                continue;
            }
            let Ok(control) = follow.reader.control() else { continue };
            let end = control.filter_end();
            self.filter_ends.insert(uuid, end.as_ref().map(|(end, _)| *end));
            let Some((_, then)) = end.filter(|(end, _)| is_over(*end)) else { continue };
            let (file, geometry) = (follow.reader.source(), follow.reader.geometry());
            if file.with(|open| then.write(open, geometry)).is_ok() {
                self.filter_ends.insert(uuid, None);
                let changes = control.filter().changes_to(&then);
                let text = format!("lastwords: level of pid {pid} is what it was, its time is over: {changes}");
                let said = self.line(role, clock::realtime_ns(), pid, Level::INFO, &text);
                self.unless_suspended(role, said)?;
            }
        }
        Ok(())
    }
}
