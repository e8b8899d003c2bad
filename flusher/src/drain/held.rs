//! A failing role holds up no other: suspended roles, and parts of journal entries that wait.
//!
//! A role is suspended where its files cannot be opened, written or rotated. Its rings are not drained further, and its lines
//! wait: in memory, where the journal does not have them yet, with positions that no entry holds; else in a part of the
//! journal's entry that is repeated in every further one until it has been applied, because only the newest entry is applied.
//! Either is retried every 100 ms, and recovery is logged.

use super::Drain;
use crate::drain::tracked_ring::TrackedRing;
use crate::files::journal::{Change, Entry};
use crate::files::notices;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::level::Level;
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::role_of;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time between two tries.
pub(super) const AGAIN: Duration = Duration::from_millis(100);

/// A role whose files cannot be written.
#[derive(Debug)]
pub(super) struct Suspended {
    role: String,
    since: Instant,
    /// The first error. Later ones tend to follow from it.
    why: String,
    last: Error,
    /// When it is retried.
    again: Instant,
    /// It is being retried in this pass.
    on_trial: bool,
    /// It is reported on standard error.
    reported: bool,
}

/// A part of a journal entry that could not be applied.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) part: Entry,
    /// Spill files of its messages.
    pub(super) spills: Vec<PathBuf>,
    again: Instant,
    /// Why, if the role goes on all the same.
    last: Option<Error>,
}

impl Held {
    /// Whether nothing else of its role may be written before it. The removal of a drained ring is all that others need not
    /// wait for.
    fn comes_first(&self) -> bool {
        self.part.changes.iter().any(|change| !change.ends_ring() && !matches!(change, Change::Of { .. }))
    }
}

impl Drain {
    /// Suspends a role, or notes that it still fails.
    pub(super) fn suspend(&mut self, role: &str, error: Error) {
        let again = Instant::now() + AGAIN;
        if let Some(known) = self.suspended.iter_mut().find(|known| known.role == role) {
            (known.last, known.again, known.on_trial) = (error, again, false);
            return;
        }
        let (role, why, since) = (role.to_owned(), error.to_string(), Instant::now());
        self.suspended.push(Suspended { role, since, why, last: error, again, on_trial: false, reported: false });
    }

    /// Suspends a role by its index. Returns an error for the caller to pass on.
    pub(super) fn suspend_role(&mut self, role: usize, error: Error) -> Error {
        let name = self.roles[role].name.clone();
        self.suspend(&name, error);
        self.is_waiting(role)
    }

    /// Keeps a part of the journal's newest entry that could not be applied.
    pub(super) fn hold(&mut self, part: Entry, spills: Vec<PathBuf>, error: Error) {
        let mut held = Held { part, spills, again: Instant::now() + AGAIN, last: None };
        if held.comes_first() {
            let role = held.part.role().unwrap_or_default().to_owned();
            self.suspend(&role, error);
        } else {
            held.last = Some(error);
        }
        self.held.push(held);
    }

    /// Place of the role whose file an output is.
    pub(super) fn role_of(&self, output: usize) -> usize {
        let name = role_of(&self.outputs[output].log);
        self.roles.iter().position(|role| role.name == name).unwrap_or(0)
    }

    /// Whether nothing is written for this role in this pass.
    pub(super) fn is_suspended(&self, role: usize) -> bool {
        self.suspended.iter().any(|known| !known.on_trial && known.role == self.roles[role].name)
    }

    /// An error if it is.
    pub(super) fn ensure_active(&self, role: usize) -> Result<()> {
        if self.is_suspended(role) { Err(self.is_waiting(role)) } else { Ok(()) }
    }

    fn is_waiting(&self, role: usize) -> Error {
        let path = self.folder.log_file(&self.roles[role].name);
        Error::io("write", path)(std::io::Error::other("its role is suspended"))
    }

    /// None if the failure concerns a single role and not the pass.
    pub(super) fn unless_suspended<T>(&self, role: usize, result: Result<T>) -> Result<Option<T>> {
        match result {
            Err(_) if self.is_suspended(role) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Whether anything waits for an error to pass.
    pub(crate) fn is_held_up(&self) -> bool {
        !self.suspended.is_empty() || !self.held.is_empty() || self.rings.iter().any(|ring| ring.crash_failed.is_some())
    }

    /// Whether only crash files are waited for, which are not retried for ever.
    pub(crate) fn waits_for_crash_files_alone(&self) -> bool {
        self.suspended.is_empty() && self.held.is_empty()
    }

    /// The last error of what waits, if something does.
    pub(crate) fn held_up(&mut self) -> Option<Error> {
        if !self.suspended.is_empty() {
            return Some(self.suspended.swap_remove(0).last);
        }
        let held = self.held.iter_mut().find_map(|held| held.last.take());
        held.or_else(|| self.rings.iter_mut().find_map(|ring| ring.crash_failed.take().map(|(_, error)| error)))
    }

    /// What to report on standard error about roles that were suspended since the last call.
    pub(crate) fn take_complaint(&mut self) -> Option<String> {
        let fresh = self.suspended.iter_mut().find(|known| !known.reported)?;
        fresh.reported = true;
        Some(fresh.last.to_string())
    }

    /// Begins to retry what is due.
    pub(super) fn begin_trials(&mut self, now: Instant) {
        for known in self.suspended.iter_mut().filter(|known| known.again <= now) {
            known.on_trial = true;
        }
        for held in std::mem::take(&mut self.held) {
            self.retry(held, now);
        }
    }

    fn retry(&mut self, mut held: Held, now: Instant) {
        if held.again > now {
            self.held.push(held);
            return;
        }
        match self.apply_held(&held.part) {
            Ok(()) => self.was_applied(&held),
            Err(error) => {
                held.again = now + AGAIN;
                match held.part.role().map(str::to_owned) {
                    Some(role) if held.comes_first() => self.suspend(&role, error),
                    _ => {
                        let retried = held.last.is_some();
                        if let Some(ring) = held.part.ended().filter(|_| retried).map(str::to_owned) {
                            self.refuse(ring, &error);
                        }
                        held.last = Some(error);
                    }
                }
                self.held.push(held);
            }
        }
    }

    fn was_applied(&mut self, held: &Held) {
        self.durable.named();
        let role = held.part.role().unwrap_or_default();
        for output in self.outputs.iter_mut().filter(|output| role_of(&output.log) == role) {
            output.file = None;
        }
        self.applied(&held.part);
        self.drop_spills(held.spills.clone());
    }

    /// Logs recovery for the roles that were retried and did not fail again.
    pub(super) fn end_trials(&mut self) -> Result<()> {
        while let Some(known) = self.suspended.iter().find(|known| known.on_trial) {
            let (name, text) = (known.role.clone(), notices::write_failed(known.since.elapsed(), &known.why));
            let known_role = self.roles.iter().position(|role| role.name == name);
            let Some(role) = known_role else {
                self.suspended.retain(|known| known.role != name);
                self.note(text);
                continue;
            };
            let written = self.line(role, clock::realtime_ns(), std::process::id(), Level::WARNING, &text);
            let written = written.and_then(|()| self.commit(None));
            if self.unless_suspended(role, written)?.is_some() && !self.is_suspended(role) {
                self.suspended.retain(|known| known.role != name);
                self.seek_to_compress();
            }
        }
        Ok(())
    }

    /// Whether a part that waits says how far a ring of this name is drained, or that it is to be removed: until then its own
    /// positions do not apply.
    pub(super) fn is_spoken_for(&self, name: &str) -> bool {
        let names = |change: &Change| match change {
            Change::Position { ring, .. } | Change::Remove { ring, .. } | Change::DeathLogged { ring, .. } => {
                ring == name
            }
            _ => false,
        };
        self.held.iter().any(|held| held.part.changes.iter().any(names))
    }

    /// Whether nothing is read from this ring now.
    pub(super) fn is_aside(&self, ring: &TrackedRing, now: Instant) -> bool {
        self.is_suspended(ring.role) || ring.again.is_some_and(|again| again > now)
    }

    /// Skips a ring for a moment, which is logged from the second failure in a row on.
    pub(super) fn set_aside(&mut self, ring: usize, error: &Error) {
        let ring = &mut self.rings[ring];
        ring.failures += 1;
        ring.again = Some(Instant::now() + AGAIN);
        if ring.failures > 1 {
            let name = ring.name.clone();
            self.refuse(name, error);
        }
    }

    /// Rings that were tried again in this pass, and read.
    pub(super) fn end_of_failures(&mut self, now: Instant) {
        for number in 0..self.rings.len() {
            let ring = &mut self.rings[number];
            if ring.again.is_some_and(|again| again <= now) {
                (ring.failures, ring.again) = (0, None);
                let name = ring.name.clone();
                self.accept(&name);
            }
        }
    }
}
