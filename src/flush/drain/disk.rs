//! What the drain does because machines stop: syncs where they are wished for, and words about what a stop took.

use super::{Drain, Output};
use crate::access::Access;
use crate::clock;
use crate::error::Result;
use crate::flush::apply;
use crate::flush::durable::News;
use crate::flush::follow::Follow;
use crate::flush::journal::{Change, Entry, Left};
use crate::flush::lines;
use crate::flush::rotation::end_rotated_lines;
use crate::level::Level;
use crate::process::boot_id;
use crate::reader::Closed;
use std::time::Duration;

/// What was in the journal at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JournalLeft {
    Nothing,
    Torn,
    Entry,
}

impl JournalLeft {
    pub(super) fn of(left: &Left) -> JournalLeft {
        match left {
            Left::Nothing => JournalLeft::Nothing,
            Left::Torn => JournalLeft::Torn,
            Left::Entry(_) => JournalLeft::Entry,
        }
    }
}

impl Drain {
    /// Takes note of whether records wait because a pass failed: then the rings are all that brings them to the disk.
    pub(super) fn note_waiting(&mut self, waiting: bool) {
        self.waiting = waiting;
        if waiting {
            self.durable.wrote();
        }
    }

    /// Has everything synced this often, whatever the rings wish for; zero for never.
    pub fn set_durable(&mut self, every: Duration) {
        self.durable.tell(every);
    }

    /// Has everybody read log and crash files who is named here, whatever the rings say.
    pub fn set_access(&mut self, access: Access) {
        self.access = Some(access);
        for output in &mut self.outputs {
            output.access = access;
            output.share();
        }
    }

    /// Time until the next sync; None where nothing was written since the last one, or nobody wishes for syncs.
    #[must_use]
    pub fn sync_due_in(&self) -> Option<Duration> {
        self.durable.due_in()
    }

    /// Syncs what was written since the last time, if that is wished for. What fails is told in the log, and due again.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] as fdatasync(2).
    pub fn sync(&mut self) -> Result<()> {
        if self.durable.due_in().is_none() {
            return Ok(());
        }
        let Drain { folder, journal, outputs, rings, .. } = self;
        let outcome = self.durable.sync(folder, journal, outputs, rings, self.waiting);
        match self.durable.judge(&outcome) {
            Some(News::Fails(why)) => self.note(lines::sync_fails(&why)),
            Some(News::Works(duration, why)) => self.note(lines::sync_works(duration, &why)),
            None => {}
        }
        if outcome.is_ok() {
            self.remove_spills();
        }
        outcome
    }

    /// Empty appends at the ends of the outputs' files: by them a start after a power loss knows what these lack.
    pub(super) fn ends(&self, of: impl Fn(&Output) -> bool) -> Vec<Change> {
        let end = |output: &Output| {
            let file = output.file.as_ref().filter(|_| of(output))?;
            Some(Change::Append { log: output.log.clone(), file: file.identity(), offset: file.size(), length: 0 })
        };
        self.outputs.iter().filter_map(end).collect()
    }

    /// Says once in the files of the ring that was found last, where that ring shows it, that the machine stopped: what
    /// is missing in the files themselves is told when the journal is applied, but not all of it shows.
    pub(super) fn tell_of_stop(&mut self) {
        let Some(ring) = self.rings.last() else { return };
        let lost_journal = match self.journal_left {
            JournalLeft::Torn => true,
            JournalLeft::Nothing => ring.lanes.iter().any(|lane| lane.taken.released > 0),
            JournalLeft::Entry => false,
        };
        let (role, stopped) = (ring.role, ring.is_of_another_boot() && ring.closed == Closed::Open);
        if (lost_journal || stopped) && !std::mem::replace(&mut self.roles[role].told_of_stop, true) {
            let (now, me) = (clock::realtime_ns(), std::process::id());
            for output in self.roles[role].outputs() {
                let Output { log, rotate_keep, .. } = &self.outputs[output];
                // A file that cannot be read or written keeps nothing from being drained.
                let _ = end_rotated_lines(&self.folder, log, *rotate_keep);
            }
            let of_this_boot = self.rings.last().is_some_and(|ring| !ring.is_of_another_boot());
            let text = if of_this_boot { lines::journal_gone() } else { lines::stopped() };
            if self.line(role, now, me, Level::WARNING, text).is_err() {
                self.roles[role].told_of_stop = false;
            }
        }
    }

    /// Removes drained rings.
    pub(super) fn remove_rings(&mut self, removals: Vec<Change>) -> Result<()> {
        let removed = self.try_remove_rings(&removals);
        if removed.is_err() {
            // All but this is done, and must not be done again.
            self.stuck = Some(Entry { epoch: 0, boot_id: boot_id(), changes: removals, bytes: Vec::new() });
        }
        removed
    }

    fn try_remove_rings(&mut self, removals: &[Change]) -> Result<()> {
        if !removals.is_empty() {
            self.sync_before_removal()?;
        }
        for change in removals {
            let Change::Remove { ring, .. } = change else { continue };
            let known = self.rings.iter().find(|known| known.name == *ring);
            // What has taken the name of a ring that was followed is left alone.
            if known.map_or(Ok(false), Follow::is_at_its_path)? {
                apply::remove(&self.folder, ring)?;
            }
        }
        Ok(())
    }

    /// Applies an entry; where it is wished for, a ring is not removed before its lines are on the disk.
    pub(super) fn apply_stuck(&mut self, entry: &Entry) -> Result<()> {
        if entry.changes.iter().any(|change| matches!(change, Change::Remove { .. })) {
            self.sync_before_removal()?;
        }
        apply::apply(&self.folder, entry)
    }

    fn sync_before_removal(&mut self) -> Result<()> {
        let Drain { folder, journal, outputs, durable, .. } = self;
        if durable.is_on() { durable.sync_files(folder, journal, outputs) } else { Ok(()) }
    }

    /// The lines are in their files; where it is wished for, their spilled messages stay until those are on the disk.
    pub(super) fn drop_spills(&mut self) {
        if !self.durable.is_on() {
            self.remove_spills();
        }
    }
}
