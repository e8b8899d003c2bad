//! Writing a batch: the journal's entry, the lines, the positions, removals; and the rotation between two of them.

use super::Drain;
use super::held::Held;
use crate::crash::told::Told;
use crate::files::journal::{Change, Entry, Journal};
use crate::files::log_file::LogFile;
use crate::files::output::{Carried, Output};
use crate::files::redo;
use crate::files::rotation::{apply_rename, make_room, plan_rotation};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::role_of;
use lastwords_ring::place::open;
use lastwords_ring::place::process::boot_id;
use lastwords_ring::place::stderr::complain;
use lastwords_ring::read::reader::Position;
use std::path::PathBuf;

impl Drain {
    /// Notes in the journal that everything has been applied.
    ///
    /// # Errors
    /// [`lastwords_ring::error::Error::Io`].
    pub fn settle(&mut self) -> Result<()> {
        self.note_offsets();
        // Without any role there is no file to log it in.
        for text in self.notes.drain(..) {
            complain(format_args!("{}", text.trim_start_matches("lastwords: ")));
        }
        // Positions that could not be written to their ring are nowhere but in the journal.
        let done = self.held.is_empty() && self.rings.iter().all(|ring| ring.moved().next().is_none());
        if done {
            self.check_lease()?;
        }
        if done && self.journal.settle(&self.all_ends())? {
            self.durable.wrote();
        }
        Ok(())
    }

    /// Takes note that an entry's positions are in their rings.
    pub(super) fn applied(&mut self, entry: &Entry) {
        self.counter = self.counter.wrapping_add(1);
        for change in &entry.changes {
            let Change::Position { uuid, lane, words, .. } = change else { continue };
            let ring = self.rings.iter_mut().find(|ring| ring.reader.header().uuid == *uuid);
            if let Some(ring) = ring {
                ring.published_by_journal(*lane, Position::from_words(words));
                let _ = ring.wake(self.counter);
            }
        }
    }

    /// Where the lines that are being made do not fit a file of the role any more: commits what is before them and rotates that
    /// file. None of them is in that batch, whatever its file, because the positions do not mark them as drained yet. After an
    /// error they are gone, and the caller renders them again.
    #[inline]
    pub(super) fn rotate_before(&mut self, role: usize) -> Result<()> {
        if self.roles[role].fits(&self.outputs) { Ok(()) } else { self.make_fit(role) }
    }

    #[cold]
    fn make_fit(&mut self, role: usize) -> Result<()> {
        let mut carried = Vec::new();
        for (number, output) in self.roles[role].outputs().enumerate() {
            let stays = mutant::is(Mutant::OneFormCarried) && number > 0;
            if !stays {
                carried.push((output, self.outputs[output].split_off()));
            }
        }
        for (output, _) in &carried {
            // The first lines of a batch. External modifications of the file are logged above them.
            if self.outputs[*output].lines.is_empty() || self.outputs[*output].file.is_none() {
                self.begin(*output)?;
            }
        }
        let has_room = |(output, carried): &(usize, Carried)| self.outputs[*output].has_room(carried.lines.len());
        let full: Vec<usize> = carried.iter().filter(|part| !has_room(part)).map(|(output, _)| *output).collect();
        if !full.is_empty() {
            self.commit(None)?;
            self.ensure_active(role)?;
            full.into_iter().try_for_each(|output| self.rotate(output))?;
        }
        for (output, carried) in carried {
            self.outputs[output].put_back(&carried);
        }
        Ok(())
    }

    /// See [`Output::refresh`]. What fails suspends the role.
    fn refresh(&mut self, output: usize) -> Result<()> {
        let Drain { folder, outputs, spare, .. } = self;
        let refreshed = spare.use_for(|| outputs[output].refresh(folder).map(|_| ()));
        refreshed.map_err(|error| self.suspend_role(self.role_of(output), error))
    }

    /// Opens the file unless it is open and still has its name, and logs external modifications.
    fn begin(&mut self, output: usize) -> Result<()> {
        self.refresh(output)?;
        while let Some(line) = self.outputs[output].event_line() {
            if !self.outputs[output].has_room(line.lines.len()) {
                self.commit(None)?;
                self.ensure_active(self.role_of(output))?;
                self.rotate(output)?;
            }
            self.outputs[output].log_event(&line);
        }
        Ok(())
    }

    /// Logs external modifications of log files while lines were written to them.
    pub(super) fn tell_events(&mut self) -> Result<()> {
        let modified: Vec<usize> =
            (0..self.outputs.len()).filter(|output| self.outputs[*output].has_events()).collect();
        for output in &modified {
            let role = self.role_of(*output);
            let begun = self.ensure_active(role).and_then(|()| self.begin(*output));
            self.unless_suspended(role, begun)?;
        }
        if modified.is_empty() { Ok(()) } else { self.commit(None) }
    }

    /// Renames the file and opens the next one. A file that cannot be renamed goes on beyond its size.
    fn rotate(&mut self, output: usize) -> Result<()> {
        let role = self.role_of(output);
        let Output { log, rotate_keep, .. } = &self.outputs[output];
        let changes = match plan_rotation(&self.folder, log, *rotate_keep) {
            Err(error) if !error.may_pass() => return self.stay(output, &error),
            planned => planned.map_err(|error| self.suspend_role(role, error))?,
        };
        // Before it is renamed: afterwards no sync would find it.
        self.outputs[output].file.as_mut().into_iter().for_each(LogFile::release_reserved);
        if let Some(file) = self.outputs[output].file.as_mut().filter(|_| self.durable.is_on()) {
            let synced = file.sync();
            synced.map_err(|error| self.suspend_role(role, error))?;
        }
        let Output { log, rotate_keep, .. } = &self.outputs[output];
        if let Err(error) = make_room(&self.folder, log, &changes, *rotate_keep) {
            return self.stay(output, &error);
        }
        let part = self.announce(role, &changes)?;
        self.durable.named();
        for change in &changes {
            let Change::Rename { log, file, from, to, archive } = change else { continue };
            match apply_rename(&self.folder, log, *file, (*from, *to), *archive) {
                Err(error) if error.may_pass() => {
                    self.outputs[output].file = None;
                    self.hold(part, Vec::new(), error);
                    return self.ensure_active(role);
                }
                Err(error) => return self.stay(output, &error),
                Ok(()) => {}
            }
        }
        self.outputs[output].rotated();
        self.keep_limits_after_rotation(role);
        self.seek_to_compress();
        self.refresh(output)
    }

    /// JOURNAL:A for changes of a role's files between two batches. Returns its part of the entry.
    ///
    /// Positions that could not be written to their ring stay in the journal's newest entry, but such a ring does not keep the
    /// others from being drained.
    pub(super) fn announce(&mut self, role: usize, changes: &[Change]) -> Result<Entry> {
        self.check_lease()?;
        let part = self.part_of(role, [changes, &self.positions(role)].concat());
        let others = (0..self.roles.len()).filter(|other| *other != role && !self.is_suspended(*other));
        let others: Vec<Change> = others.flat_map(|other| self.part_of(other, self.positions(other)).changes).collect();
        write_entry(&mut self.journal, &self.held, &[part.changes.as_slice(), &others].concat(), &[])?;
        Ok(part)
    }

    /// The file cannot be rotated.
    fn stay(&mut self, output: usize, error: &Error) -> Result<()> {
        self.outputs[output].stays(error);
        self.refresh(output)
    }

    /// Changes of a role as a part of an entry; an absent role has none.
    pub(super) fn part_of(&self, role: usize, changes: Vec<Change>) -> Entry {
        let of = (!changes.is_empty()).then(|| Change::Of { role: self.roles[role].name.clone() });
        let changes = of.into_iter().chain(changes).collect();
        Entry { epoch: 0, boot_id: boot_id(), changes, bytes: Vec::new() }
    }

    /// The positions of a role's rings that are not in them yet.
    fn positions(&self, role: usize) -> Vec<Change> {
        let mut positions = Vec::new();
        for ring in self.rings.iter().filter(|ring| ring.role == role) {
            let (name, uuid) = (&ring.name, ring.reader.header().uuid);
            positions.extend(ring.moved().map(|(lane, position)| Change::Position {
                ring: name.clone(),
                uuid,
                lane: lane as u32,
                words: position.words(),
            }));
        }
        positions
    }

    /// Writes one of the flusher's own lines to each of the role's files. It counts towards their sizes like any other.
    pub(super) fn line(&mut self, role: usize, ns: u64, pid: u32, level: Level, text: &str) -> Result<()> {
        self.roles[role].begin(&mut self.outputs);
        self.say(role, ns, pid, level, text);
        self.rotate_before(role)
    }

    /// Renders a line of the flusher's own.
    pub(super) fn say(&mut self, role: usize, ns: u64, pid: u32, level: Level, text: &str) {
        for output in self.roles[role].outputs() {
            self.outputs[output].say(ns, pid, level, text);
        }
    }

    /// Writes the line about a death, with what its capture tells unless no file has room for that.
    pub(super) fn death_line(&mut self, role: usize, pid: u32, text: &str, told: Option<&Told>) -> Result<()> {
        let told = told.filter(|told| text.len() + told.below.len().max(told.members.len()) < self.limits.record / 2);
        self.roles[role].begin(&mut self.outputs);
        // Once: the line has the same time in all forms.
        let ns = clock::realtime_ns();
        for output in self.roles[role].outputs() {
            self.outputs[output].say_death(ns, pid, text, told);
        }
        self.rotate_before(role)
    }

    /// A line about the folder itself, for the files of the first role that can be written, as soon as one is known.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
        self.write_notes();
    }

    /// Writes a line to all open files, bypassing the journal: this process may do nothing more in the folder.
    pub(crate) fn tell_at_last(&mut self, text: &str) {
        let text = format!("lastwords: {text}");
        for output in self.outputs.iter_mut() {
            output.clear();
            output.say(clock::realtime_ns(), std::process::id(), Level::WARNING, &text);
            let Output { file: Some(file), lines, .. } = output else { continue };
            let _ = file.append_at_last(lines);
        }
    }

    pub(super) fn write_notes(&mut self) {
        while let Some(role) = (0..self.roles.len()).find(|role| !self.is_suspended(*role))
            && let Some(text) = self.notes.first().cloned()
        {
            if self.line(role, clock::realtime_ns(), std::process::id(), Level::WARNING, &text).is_err() {
                // The file cannot be rotated now; the next check logs it.
                return;
            }
            self.notes.remove(0);
        }
    }

    /// Writes the batch: journal, files, positions, and what becomes of a dead process's ring.
    ///
    /// A role whose files fail is suspended without failing the batch: its lines stay in memory.
    pub(super) fn commit(&mut self, ending: Option<(usize, Change)>) -> Result<()> {
        let mut parts = Vec::new();
        for role in 0..self.roles.len() {
            let ending = ending.iter().filter(|(of, _)| *of == role).map(|(_, change)| change.clone());
            if let Some(part) = self.share(role, ending.collect()) {
                parts.push(part);
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        let mut changes: Vec<Change> = parts.iter().flat_map(|part| &part.entry.changes).cloned().collect();
        // They show, at a start after a power loss, what the other files lack.
        let others = (0..self.roles.len()).filter(|role| parts.iter().all(|part| part.role != *role));
        changes.extend(others.flat_map(|role| self.part_of(role, self.ends(role)).changes));
        self.durable.wrote();
        self.mistake_steps(&changes)?;
        let outputs = parts.iter().flat_map(|part| &part.outputs);
        let bytes: Vec<&[u8]> = outputs.map(|output| self.outputs[*output].lines.as_slice()).collect();
        self.check_lease()?;
        if !mutant::is(Mutant::JournalOff) {
            write_entry(&mut self.journal, &self.held, &changes, &bytes)?;
        }
        self.counter = self.counter.wrapping_add(1);
        if mutant::is(Mutant::WrittenEarly) {
            (0..self.roles.len()).for_each(|role| self.publish(role, true));
        }
        parts.into_iter().for_each(|part| self.carry_out(part));
        self.note_offsets();
        self.sweep();
        self.keep_totals();
        Ok(())
    }

    /// What a role has for the batch; None if there is nothing, or its files fail.
    fn share(&mut self, role: usize, ending: Vec<Change>) -> Option<Part> {
        if self.is_suspended(role) {
            return None;
        }
        let of_role = |output: &Output| role_of(&output.log) == self.roles[role].name;
        let places = (0..self.outputs.len()).filter(|place| of_role(&self.outputs[*place]));
        let outputs: Vec<usize> = places.filter(|place| !self.outputs[*place].lines.is_empty()).collect();
        let mut changes = Vec::new();
        for output in &outputs {
            self.refresh(*output).ok()?;
            let Output { log, file: Some(file), lines, .. } = &self.outputs[*output] else { return None };
            let (log, length) = (log.clone(), lines.len() as u64);
            changes.push(Change::Append { log, file: file.identity(), offset: file.size(), length });
        }
        let positions = self.positions(role);
        if outputs.is_empty() && positions.is_empty() && ending.is_empty() {
            return None;
        }
        let changes = [changes, self.ends(role), positions, ending].concat();
        Some(Part { role, outputs, entry: self.part_of(role, changes) })
    }

    /// JOURNAL:B for a role: lines, positions, what becomes of a ring. What fails waits, see `held`.
    fn carry_out(&mut self, part: Part) {
        let Part { role, outputs, mut entry } = part;
        let written = outputs.iter().try_for_each(|output| {
            let Output { file, lines, .. } = &mut self.outputs[*output];
            file.as_mut().map_or(Ok(()), |file| file.append(lines))
        });
        let failed = written.err();
        if failed.is_some() {
            entry.bytes = outputs.iter().flat_map(|output| self.outputs[*output].lines.iter().copied()).collect();
        }
        for output in outputs {
            self.outputs[output].forget_lines(failed.is_some());
        }
        self.publish(role, failed.is_none());
        let (own, others) = std::mem::take(&mut self.spills).into_iter().partition(|(of, _)| *of == role);
        self.spills = others;
        let spills = Vec::<(usize, PathBuf)>::into_iter(own).map(|(_, path)| path).collect();
        match failed {
            Some(error) => self.hold(entry, spills, error),
            None => {
                self.drop_spills(spills);
                self.end_ring(entry);
            }
        }
    }

    /// Defects in the order of steps, see `mutant.rs`.
    fn mistake_steps(&mut self, changes: &[Change]) -> Result<()> {
        if mutant::is(Mutant::PositionsEarly) {
            (0..self.roles.len()).for_each(|role| self.publish(role, false));
        }
        for change in changes.iter().filter(|_| mutant::is(Mutant::RemovedEarly)) {
            if let Change::Remove { ring, .. } = change {
                redo::remove(&self.folder, ring)?;
            }
        }
        Ok(())
    }

    /// Backlog segments whose records are in their files are not needed any more: they go with the spilled messages. What
    /// cannot be listed now is retried after the next batch, and removed with its ring at the latest.
    pub(super) fn sweep(&mut self) {
        let mut drained = Vec::new();
        for ring in &mut self.rings {
            drained.extend(ring.drained_segments().unwrap_or_default());
        }
        drained.retain(|path| !self.written_spills.contains(path));
        if !drained.is_empty() {
            // Where syncs are requested, the next one is what they wait for.
            self.durable.wrote();
        }
        self.drop_spills(drained);
    }

    /// Spilled messages whose lines are on the disk, if requested, are not needed any more. If removal fails, or this process
    /// dies first, the ring's removal takes them along.
    pub(super) fn remove_spills(&mut self) {
        for path in self.written_spills.drain(..) {
            let _ = open::remove(&path);
        }
    }

    fn publish(&mut self, role: usize, written: bool) {
        for ring in self.rings.iter_mut().filter(|ring| ring.role == role) {
            // A ring that cannot be written to does not stop the others; the journal has its position.
            let _ = ring.publish(written, self.counter);
        }
    }
}

/// A role's share of a batch.
struct Part {
    role: usize,
    /// Those of its outputs that have lines.
    outputs: Vec<usize>,
    entry: Entry,
}

/// JOURNAL:A. Writes an entry, below what the last one held that is not applied yet.
fn write_entry(journal: &mut Journal, held: &[Held], changes: &[Change], bytes: &[&[u8]]) -> Result<()> {
    let held = || held.iter().map(|held| &held.part).filter(|_| !mutant::is(Mutant::HeldDropped));
    let changes: Vec<Change> = held().flat_map(|part| &part.changes).chain(changes).cloned().collect();
    let bytes: Vec<&[u8]> = held().map(|part| part.bytes.as_slice()).chain(bytes.iter().copied()).collect();
    journal.write(&changes, &bytes)
}
