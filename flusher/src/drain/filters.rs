//! Filters that count for a time: ended by whoever flushes, because not every process has a thread for that.

use super::Drain;
use lastwords_ring::error::{Result, may_pass};
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;

/// Ends of filters that wait to be told, at most: of more the log does not say that they ended.
const UNTOLD_MAX: usize = 1000;

/// A filter whose time is over, and what the log is to say of it.
#[derive(Debug)]
pub(super) struct EndedFilter {
    role: usize,
    pid: u32,
    at_ns: u64,
    text: String,
}

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
            match file.with(|open| then.write(open, geometry)) {
                Ok(()) => {
                    self.filter_ends.insert(uuid, None);
                    let changes = control.filter().changes_to(&then);
                    let text = format!("lastwords: level of pid {pid} is what it was, its time is over: {changes}");
                    if self.ended_filters.len() < UNTOLD_MAX {
                        self.ended_filters.push(EndedFilter { role, pid, at_ns: clock::realtime_ns(), text });
                    }
                }
                // Somebody has cut the ring: nothing that is tried again would end it.
                Err(error) if !may_pass(&error) => _ = self.filter_ends.insert(uuid, None),
                Err(_) => {}
            }
        }
        self.tell_ended_filters()
    }

    /// Has the logs of the roles say so; of a role that is suspended when it goes on.
    fn tell_ended_filters(&mut self) -> Result<()> {
        for ended in std::mem::take(&mut self.ended_filters) {
            let EndedFilter { role, pid, at_ns, text } = &ended;
            let told = match self.ensure_active(*role) {
                Ok(()) => self.line(*role, *at_ns, *pid, Level::INFO, text).and_then(|()| self.commit(None)),
                suspended => suspended,
            };
            let told = self.unless_suspended(*role, told);
            if !matches!(told, Ok(Some(()))) || self.is_suspended(*role) {
                self.ended_filters.push(ended);
            }
            told?;
        }
        Ok(())
    }
}
