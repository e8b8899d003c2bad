//! Filters with an expiry: ended by the flusher, because not every process has a thread for that.

use super::Drain;
use lastwords_ring::error::{Result, may_pass};
use lastwords_ring::format::filter::Filter;
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use lastwords_ring::place::filter_change::FilterChange;
use std::io;

/// Most expired filters that wait to be logged; the end of further ones is not logged.
const UNLOGGED_MAX: usize = 1000;

/// An expired filter, and what to log about it.
#[derive(Debug)]
pub(super) struct EndedFilter {
    role: usize,
    pid: u32,
    at_ns: u64,
    text: String,
}

impl Drain {
    /// Whether some ring's filter has expired.
    pub(super) fn is_filter_over(&self) -> bool {
        let now = clock::boottime_ns();
        // A ring whose process is dead, or that is gone, has no filter that would end.
        let living = self.rings.iter().filter(|ring| ring.dead.is_none());
        let mut ends = living.filter_map(|ring| self.filter_ends.get(&ring.reader.header().uuid).copied().flatten());
        ends.any(|end| end <= now)
    }

    /// Reads the filters of new rings, and of all rings if the doorbell rang, as a change does. Replaces expired ones by those
    /// that follow them, and logs that.
    pub(super) fn end_filters(&mut self) -> Result<()> {
        for ring in 0..self.rings.len() {
            let tracked = &self.rings[ring];
            let (uuid, role, pid) = (tracked.reader.header().uuid, tracked.role, tracked.reader.header().pid);
            if tracked.dead.is_some() {
                continue;
            }
            let known = self.filter_ends.get(&uuid).copied();
            let is_over = |end: u64| end <= clock::boottime_ns() && !mutant::is(Mutant::FilterKept);
            if known.is_some_and(|end| !end.is_some_and(is_over)) {
                continue;
            }
            let Ok(control) = tracked.reader.control() else { continue };
            let end = control.filter_end();
            self.filter_ends.insert(uuid, end.as_ref().map(|(end, _)| *end));
            if !end.is_some_and(|(end, _)| is_over(end)) {
                continue;
            }
            let (file, geometry) = (tracked.reader.source(), tracked.reader.geometry());
            match file.with(|open| end_filter(&FilterChange::begin(open, geometry), is_over)) {
                // It was changed meanwhile: read again in the next pass.
                Ok(None) => _ = self.filter_ends.remove(&uuid),
                Ok(Some((before, then))) => {
                    self.filter_ends.insert(uuid, None);
                    let changes = before.changes_to(&then);
                    let text = format!("lastwords: level of pid {pid} is what it was, its time is over: {changes}");
                    if self.ended_filters.len() < UNLOGGED_MAX {
                        self.ended_filters.push(EndedFilter { role, pid, at_ns: clock::realtime_ns(), text });
                    }
                }
                // The ring was truncated: retrying would never succeed.
                Err(error) if !may_pass(&error) => _ = self.filter_ends.insert(uuid, None),
                Err(_) => {}
            }
        }
        self.log_ended_filters()
    }

    /// Logs it in the files of the roles; for a suspended role, once it resumes.
    fn log_ended_filters(&mut self) -> Result<()> {
        for ended in std::mem::take(&mut self.ended_filters) {
            let EndedFilter { role, pid, at_ns, text } = &ended;
            let written = match self.ensure_active(*role) {
                Ok(()) => self.line(*role, *at_ns, *pid, Level::INFO, text).and_then(|()| self.commit(None)),
                suspended => suspended,
            };
            let written = self.unless_suspended(*role, written);
            if !matches!(written, Ok(Some(()))) || self.is_suspended(*role) {
                self.ended_filters.push(ended);
            }
            written?;
        }
        Ok(())
    }
}

/// Replaces an expired filter by the one that follows it; returns both. None if it is not expired.
fn end_filter(change: &FilterChange<'_>, is_over: impl Fn(u64) -> bool) -> io::Result<Option<(Filter, Filter)>> {
    let (before, end) = change.present()?;
    let Some((_, then)) = end.filter(|(end, _)| is_over(*end)) else { return Ok(None) };
    change.write(&then)?;
    Ok(Some((before, then)))
}
