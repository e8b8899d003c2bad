//! What the drain does because machines stop: syncs if requested, and lines about what a stop lost.

use super::{Drain, Output};
use crate::crash::teller::Teller;
use crate::drain::durable::News;
use crate::drain::tracked_ring::TrackedRing;
use crate::files::journal::{Change, Entry, FoundEntry};
use crate::files::notices;
use crate::files::redo;
use crate::files::rotation::end_rotated_lines;
use lastwords_ring::error::Result;
use lastwords_ring::format::level::Level;
use lastwords_ring::place::access::Access;
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::role_of;
use lastwords_ring::read::reader::Closed;
use std::path::PathBuf;
use std::time::Duration;

/// What was in the journal at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JournalFound {
    Nothing,
    Torn,
    Entry,
}

impl JournalFound {
    pub(super) fn of(left: &FoundEntry) -> JournalFound {
        match left {
            FoundEntry::Nothing => JournalFound::Nothing,
            FoundEntry::Torn => JournalFound::Torn,
            FoundEntry::Entry(_) => JournalFound::Entry,
        }
    }
}

impl Drain {
    /// Notes whether records wait because a pass failed: then only the rings bring them to the disk.
    pub(super) fn note_waiting(&mut self, waiting: bool) {
        self.waiting = waiting;
        if waiting {
            self.durable.wrote();
        }
    }

    /// Sets how often everything is synced, overriding the rings; zero for never.
    pub fn set_durable(&mut self, every: Duration) {
        self.durable.tell(every);
    }

    /// Sets who may read log and crash files, overriding the rings.
    pub fn set_access(&mut self, access: Access) {
        self.access = Some(access);
        for output in &mut self.outputs {
            output.access = access;
            output.share();
        }
    }

    /// Sets who reads the captures of processes that died.
    pub fn set_teller(&mut self, teller: Teller) {
        self.teller = teller;
    }

    /// Time until the next sync; None if nothing was written since the last one, or no syncs are requested.
    #[must_use]
    pub fn sync_due_in(&self) -> Option<Duration> {
        self.durable.due_in()
    }

    /// Syncs what was written since the last time, if requested. A failure is logged, and the sync is due again.
    ///
    /// # Errors
    /// [`lastwords_ring::error::Error::Io`] as fdatasync(2).
    pub fn sync(&mut self) -> Result<()> {
        if self.durable.due_in().is_none() {
            return Ok(());
        }
        let Drain { folder, journal, outputs, rings, .. } = self;
        let outcome = self.durable.sync(folder, journal, outputs, rings, self.waiting);
        match self.durable.judge(&outcome) {
            Some(News::Fails(why)) => self.note(notices::sync_fails(&why)),
            Some(News::Works(duration, why)) => self.note(notices::sync_works(duration, &why)),
            None => {}
        }
        if outcome.is_ok() {
            self.remove_spills();
        }
        outcome
    }

    /// Empty appends at the ends of those of a role's files that get no lines: they show, at a start after a power loss, what
    /// these lack.
    pub(super) fn ends(&self, role: usize) -> Vec<Change> {
        let name = &self.roles[role].name;
        // A part that waits to be applied shows it already.
        let waits = self.held.iter().any(|held| held.part.role() == Some(name));
        let end = |output: &Output| {
            let silent = !waits && output.lines.is_empty() && role_of(&output.log) == name;
            let file = output.file.as_ref().filter(|_| silent)?;
            Some(Change::Append { log: output.log.clone(), file: file.identity(), offset: file.size(), length: 0 })
        };
        self.outputs.iter().filter_map(end).collect()
    }

    /// Like `ends`, but for all roles, each under its name.
    pub(super) fn all_ends(&self) -> Vec<Change> {
        (0..self.roles.len()).flat_map(|role| self.part_of(role, self.ends(role)).changes).collect()
    }

    /// Logs once in the files of the ring that was found last, if that ring shows it, that the machine stopped: what is missing
    /// in the files themselves is logged when the journal is applied, but not all of it shows.
    pub(super) fn tell_of_stop(&mut self) {
        let Some(ring) = self.rings.last() else { return };
        let lost_journal = match self.journal_left {
            JournalFound::Torn => true,
            JournalFound::Nothing => ring.lanes.iter().any(|lane| lane.cursor.position.released > 0),
            JournalFound::Entry => false,
        };
        let (role, stopped) = (ring.role, ring.is_of_another_boot() && ring.closed == Closed::Open);
        if (lost_journal || stopped) && !std::mem::replace(&mut self.roles[role].told_of_stop, true) {
            let (now, me) = (clock::realtime_ns(), std::process::id());
            for output in self.roles[role].outputs() {
                let Output { log, rotate_keep, .. } = &self.outputs[output];
                // A file that cannot be read or written does not stop the drain.
                let _ = end_rotated_lines(&self.folder, log, *rotate_keep);
            }
            let of_this_boot = self.rings.last().is_some_and(|ring| !ring.is_of_another_boot());
            let text = if of_this_boot { notices::journal_gone() } else { notices::stopped() };
            if self.line(role, now, me, Level::WARNING, text).is_err() {
                self.roles[role].told_of_stop = false;
            }
        }
    }

    /// Removes the drained ring that the part names, if it names one, or notes in it that the death of its process is logged.
    /// What fails waits.
    pub(super) fn end_ring(&mut self, part: Entry) {
        let Some(ending) = part.ending() else { return };
        if let Err(error) = self.try_end_ring(ending) {
            // All but this is done, and must not be done again.
            let rest = |change: &Change| matches!(change, Change::Of { .. }) || change.ends_ring();
            let changes = part.changes.into_iter().filter(rest).collect();
            self.hold(Entry { changes, ..part }, Vec::new(), error);
        }
    }

    fn try_end_ring(&mut self, ending: &Change) -> Result<()> {
        let (Change::Remove { ring, .. } | Change::DeathLogged { ring, .. }) = ending else { return Ok(()) };
        self.sync_before_removal()?;
        let known = self.rings.iter().find(|known| known.name == *ring);
        // A file that has taken the name of a tracked ring is not touched.
        if !known.map_or(Ok(false), TrackedRing::is_at_its_path)? {
            return Ok(());
        }
        match (ending, known) {
            (Change::DeathLogged { .. }, Some(known)) => known.write_death_logged()?,
            _ => redo::remove(&self.folder, ring)?,
        }
        Ok(())
    }

    /// Applies a part of an entry; if requested, a ring is not removed before its lines are on the disk.
    pub(super) fn apply_held(&mut self, part: &Entry) -> Result<()> {
        if part.ending().is_some() {
            self.sync_before_removal()?;
        }
        redo::apply(&self.folder, part, false)
    }

    fn sync_before_removal(&mut self) -> Result<()> {
        let Drain { folder, journal, outputs, durable, .. } = self;
        if durable.is_on() { durable.sync_files(folder, journal, outputs) } else { Ok(()) }
    }

    /// The lines are in their files; if syncs are requested, their spilled messages stay until the lines are on the disk.
    pub(super) fn drop_spills(&mut self, spills: Vec<PathBuf>) {
        self.written_spills.extend(spills);
        if !self.durable.is_on() {
            self.remove_spills();
        }
    }
}
