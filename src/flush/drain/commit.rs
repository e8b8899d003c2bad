//! Writing a batch: the journal's entry, the lines, the positions, removals; and the rotation between two of them.

use super::{BATCH, Drain};
use crate::clock;
use crate::complain::complain;
use crate::error::Result;
use crate::flush::apply;
use crate::flush::journal::{Change, Entry};
use crate::flush::output::Output;
use crate::flush::rotation::{plan_rotation, remove_beyond};
use crate::level::Level;
use crate::mutant::{self, Mutant};
use crate::open;
use crate::process::boot_id;
use crate::reader::Position;

impl Drain {
    /// Notes in the journal that everything has been applied.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub fn settle(&mut self) -> Result<()> {
        // Without any role there is no file to tell it in.
        for text in self.notes.drain(..) {
            complain(format_args!("{}", text.trim_start_matches("lastwords: ")));
        }
        // Positions that could not be written to their ring are nowhere but in the journal.
        let done = self.stuck.is_none() && self.rings.iter().all(|ring| ring.moved().next().is_none());
        if done && self.journal.settle(&self.ends(|_| true))? {
            self.durable.wrote();
        }
        Ok(())
    }

    /// Applies the journal's last entry, if that has failed so far.
    pub(super) fn retry_stuck(&mut self) -> Result<()> {
        let Some(entry) = self.stuck.take() else { return Ok(()) };
        if let Err(error) = self.apply_stuck(&entry) {
            self.stuck = Some(entry);
            return Err(error);
        }
        self.durable.named();
        for output in &mut self.outputs {
            output.file = None;
        }
        self.applied(&entry);
        self.drop_spills();
        Ok(())
    }

    /// Takes note that an entry's positions are in their rings.
    fn applied(&mut self, entry: &Entry) {
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

    /// Where the lines that are being made do not fit a file of the role any more: commits what is before them and rotates
    /// that file. None of them is in that batch, whatever file it is for, because the positions do not say yet that they
    /// are drained. After an error they are gone, and whoever rendered them does so again.
    #[inline]
    pub(super) fn rotate_before(&mut self, role: usize) -> Result<()> {
        if self.roles[role].fits(&self.outputs) { Ok(()) } else { self.make_fit(role) }
    }

    #[cold]
    fn make_fit(&mut self, role: usize) -> Result<()> {
        let mut carried = Vec::new();
        for (number, output) in self.roles[role].outputs().enumerate() {
            let stays = mutant::is(Mutant::OneFormCarried) && number > 0;
            carried.push((output, if stays { Vec::new() } else { self.outputs[output].split_off() }));
        }
        for (output, _) in &carried {
            // The first ones of a batch. What somebody else has done to the file stands above them.
            if self.outputs[*output].lines.is_empty() || self.outputs[*output].file.is_none() {
                self.begin(*output)?;
            }
        }
        let has_room = |(output, lines): &(usize, Vec<u8>)| self.outputs[*output].has_room(lines.len());
        let full: Vec<usize> = carried.iter().filter(|part| !has_room(part)).map(|(output, _)| *output).collect();
        if !full.is_empty() {
            self.commit(Vec::new())?;
            full.into_iter().try_for_each(|output| self.rotate(output))?;
        }
        for (output, lines) in carried {
            self.outputs[output].lines.extend_from_slice(&lines);
        }
        Ok(())
    }

    /// Opens the file if it is not, or not the one that has the name now, and tells what somebody else did to it.
    fn begin(&mut self, output: usize) -> Result<()> {
        self.outputs[output].refresh(&self.folder)?;
        while let Some(line) = self.outputs[output].event_line() {
            if !self.outputs[output].has_room(line.len()) {
                self.commit(Vec::new())?;
                self.rotate(output)?;
            }
            self.outputs[output].tell_event(&line);
        }
        Ok(())
    }

    /// Tells what somebody else did to log files while lines were written to them.
    pub(super) fn tell_events(&mut self) -> Result<()> {
        let told: Vec<usize> = (0..self.outputs.len()).filter(|output| self.outputs[*output].has_events()).collect();
        told.iter().try_for_each(|output| self.begin(*output))?;
        if told.is_empty() { Ok(()) } else { self.commit(Vec::new()) }
    }

    fn rotate(&mut self, output: usize) -> Result<()> {
        let Output { log, rotate_keep, .. } = &self.outputs[output];
        let changes = plan_rotation(&self.folder, log, *rotate_keep)?;
        if let Some(file) = self.outputs[output].file.as_mut().filter(|_| self.durable.is_on()) {
            file.sync()?;
        }
        // Positions that could not be written to their ring stay in the journal's newest entry, but such a ring does not
        // keep the others from being drained.
        self.journal.write(&[changes.as_slice(), &self.positions()].concat(), &[])?;
        let entry = Entry { epoch: 0, boot_id: boot_id(), changes, bytes: Vec::new() };
        if let Some(mut file) = self.outputs[output].file.take() {
            file.release_reserved();
        }
        self.durable.named();
        if let Err(error) = apply::apply(&self.folder, &entry) {
            self.stuck = Some(entry);
            return Err(error);
        }
        remove_beyond(&self.folder, &self.outputs[output].log, self.outputs[output].rotate_keep);
        self.outputs[output].refresh(&self.folder).map(|_| ())
    }

    /// The positions that are not in their rings yet.
    fn positions(&self) -> Vec<Change> {
        let mut positions = Vec::new();
        for ring in &self.rings {
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

    /// One line of the flusher's own in each of the role's files. It counts towards their sizes as every other.
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

    /// A line about the folder itself, for the first role's files, as soon as a role is known.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
        self.write_notes();
    }

    pub(super) fn write_notes(&mut self) {
        while !self.roles.is_empty()
            && let Some(text) = self.notes.first().cloned()
        {
            if self.line(0, clock::realtime_ns(), std::process::id(), Level::WARNING, &text).is_err() {
                // The file cannot be rotated now; the next look says it.
                return;
            }
            self.notes.remove(0);
        }
    }

    /// Writes the batch: journal, files, positions, removals.
    pub(super) fn commit(&mut self, removals: Vec<Change>) -> Result<()> {
        // Of two entries the older one is overwritten, so it must have been applied.
        self.retry_stuck()?;
        let mut changes = Vec::new();
        for output in self.outputs.iter_mut().filter(|output| !output.lines.is_empty()) {
            let file = output.refresh(&self.folder)?;
            let (identity, offset) = (file.identity(), file.size());
            let (log, length) = (output.log.clone(), output.lines.len() as u64);
            changes.push(Change::Append { log, file: identity, offset, length });
        }
        let written = changes.len();
        changes.extend(self.positions());
        changes.extend(removals.iter().cloned());
        if changes.is_empty() {
            return Ok(());
        }
        changes.splice(written..written, self.ends(|output| output.lines.is_empty()));
        self.durable.wrote();
        self.mistake_steps(&changes)?;
        let bytes: Vec<&[u8]> =
            self.outputs.iter().map(|output| output.lines.as_slice()).filter(|lines| !lines.is_empty()).collect();
        if !mutant::is(Mutant::JournalOff) {
            self.journal.write(&changes, &bytes)?;
        }
        if mutant::is(Mutant::WrittenEarly) {
            self.publish(true);
        }
        let written = self.write_lines();
        self.counter = self.counter.wrapping_add(1);
        if let Err(error) = written {
            let bytes = self.outputs.iter().flat_map(|output| output.lines.iter().copied()).collect();
            self.stuck = Some(Entry { epoch: 0, boot_id: boot_id(), changes, bytes });
            self.forget_lines();
            self.publish(false);
            return Err(error);
        }
        self.forget_lines();
        self.publish(true);
        self.drop_spills();
        self.remove_rings(removals)
    }

    /// Defects in the order of steps, see `mutant.rs`.
    fn mistake_steps(&mut self, changes: &[Change]) -> Result<()> {
        if mutant::is(Mutant::PositionsEarly) {
            self.publish(false);
        }
        for change in changes.iter().filter(|_| mutant::is(Mutant::RemovedEarly)) {
            if let Change::Remove { ring, .. } = change {
                apply::remove(&self.folder, ring)?;
            }
        }
        Ok(())
    }

    /// Spilled messages whose lines are in their files are not needed any more. One that stays because of an
    /// error, or because this process dies now, goes with its ring.
    pub(super) fn remove_spills(&mut self) {
        for path in self.spills.drain(..) {
            let _ = open::remove(&path);
        }
    }

    fn write_lines(&mut self) -> Result<()> {
        for output in self.outputs.iter_mut().filter(|output| !output.lines.is_empty()) {
            if let Some(file) = &mut output.file {
                file.append(&output.lines)?;
            }
        }
        Ok(())
    }

    fn forget_lines(&mut self) {
        for output in &mut self.outputs {
            output.note_events();
            output.lines.clear();
            output.lines.shrink_to(2 * BATCH);
        }
    }

    fn publish(&mut self, written: bool) {
        for ring in &mut self.rings {
            // A ring that cannot be written to does not keep the others from being drained; the journal has its
            // position.
            let _ = ring.publish(written, self.counter);
        }
    }
}
