//! Reading a ring from outside, by pread alone: a ring that is truncated meanwhile gives a short read, never SIGBUS.
//!
//! One decoder serves the live drain, recovery of a dead process's ring, and every test. It trusts nothing: sizes are
//! validated, offsets computed, every slot checked against its checksum, and memory is bounded by the caller.
//!
//! # Four steps
//!
//! | label | what |
//! |---|---|
//! | READ:1 | lane blocks, with `reserved` |
//! | READ:2 | slots after the reader's position, up to `reserved` |
//! | READ:3 | the lane block again: every sequence at or below `reserved` minus the number of slots may have been overwritten while it was read and is discarded |
//! | READ:4 | what the ring does not hold any more, from the backlog segments beside it, see `segment.rs`; only now, because slots are copied there before they leave the ring |
//!
//! # States of the slot where sequence `s` is expected
//!
//! | state | how it shows | what the reader does |
//! |---|---|---|
//! | committed | VALID(s), checksum right | takes it |
//! | busy | BUSY(s), and no later message begun | stops; the record in flight |
//! | stale | an older sequence, and no later message begun | stops; reserved but not begun |
//! | aborted | ABORTED(s) | skips it |
//! | overrun | at or below `reserved` minus slots in READ:3, or a later sequence, and in no segment | skips it; message numbers reveal the loss |
//! | partial | a first slot whose further slots are not all there | reads again; then as corrupt |
//! | corrupt | checksum wrong twice, or busy or stale although a later message was begun | skips it and counts damage |
//! | empty | `s` is above `reserved` | stops; nothing more |
//!
//! A dead process adds nothing: "stops" then means that the record in flight is dropped, at most one per lane. `reserved`
//! itself is not trusted there; the highest sequence among the whole slots replaces it.

mod table;

use crate::error::{Error, Result};
use crate::format::anchor::Anchor;
use crate::format::checksum::{checksum, lane_key};
use crate::format::full_policy::FullPolicy;
use crate::format::geometry::{Geometry, LANE_BLOCK};
use crate::format::layout::{
    ANCHORS, AnchorCell, Control, FORMAT_VERSION, LaneBlock, MAGIC, RingHeader, closed, encoding,
};
use crate::format::record::Record;
use crate::format::role::{ROLE_RULE, is_role};
use crate::format::slot::{SlotState, classify, read_word};
use crate::format::timeline::Timeline;
use crate::mutant::{self, Mutant};
use crate::place::descriptor::Opened;
use crate::place::folder::Folder;
use crate::place::open;
use crate::place::process::{ProcessId, boot_id};
use crate::place::segment::{LaneSegments, is_done};
use crate::place::spill::{SpillLost, SpillReference};
use crate::read::decoder_v3::Decoder;
use crate::read::steps;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use crate::read::decoder_v3::{Extent, LaneBatch};
pub use crate::read::snapshot::{Closed, ControlSnapshot, LaneSnapshot, Position};

/// Valid signal numbers.
const SIGNALS: std::ops::RangeInclusive<u32> = 1..=64;

/// Where a ring's bytes come from: a file, or bytes in memory.
pub trait Source {
    /// Reads up to `buffer.len()` bytes at `offset`; 0 means the end.
    ///
    /// # Errors
    /// As pread(2).
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for Opened {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self.file()?, buffer, offset)
    }
}

impl Source for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

/// A ring opened for reading.
#[derive(Debug)]
pub struct RingReader<S = Opened> {
    source: S,
    path: PathBuf,
    /// The ring's entry in its folder; its spill files are beside it.
    entry: PathBuf,
    /// Where the ring's bytes are; its backlog segments are beside it. None for bytes in memory.
    kept_beside: Option<PathBuf>,
    header: RingHeader,
    geometry: Geometry,
}

impl RingReader<Opened> {
    /// Opens the ring file at `path`, without following a symbolic link and without blocking on a FIFO.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened, [`Error::NotARing`] if it is not a regular file with a valid header.
    pub fn open(path: &Path) -> Result<RingReader> {
        Ok(RingReader::new(open_file(path)?, path)?.with_backlog_beside(path))
    }

    /// Opens the ring of this name in `folder`, wherever its memory is.
    ///
    /// # Errors
    /// As [`RingReader::open`].
    pub fn open_in(folder: &Folder, name: &str) -> Result<RingReader> {
        Ok(RingReader::open(&folder.ring_path(name))?.with_entry(folder.rings().join(name)))
    }
}

/// Opens a ring's file, as [`RingReader::open`] says.
pub fn open_file(path: &Path) -> Result<Opened> {
    // The flusher's words are written by pwrite; a tool that only reads may lack the permission to write. A transient error
    // does not lead to a read-only file, which would be read-only as long as it is open. Folders are reported below.
    let forbidden = [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::IsADirectory];
    match open::file(path, OFlags::RDWR, Mode::empty()) {
        Err(error) if forbidden.contains(&error.kind()) => open::to_read(path),
        opened => opened,
    }
    .map_err(|error| match error.kind() {
        io::ErrorKind::Other => Error::not_a_ring(path, error),
        _ => Error::io("open the ring", path)(error),
    })
}

impl<S: Source> RingReader<S> {
    /// A reader on `source`; `path` is used for messages only.
    ///
    /// # Errors
    /// [`Error::NotARing`] if the header is not valid.
    pub fn new(source: S, path: &Path) -> Result<RingReader<S>> {
        let mut bytes = [0u8; size_of::<RingHeader>()];
        fill(&source, &mut bytes, 0).map_err(Error::io("read the ring", path))?;
        let header: RingHeader = bytemuck::pod_read_unaligned(&bytes);
        let geometry = validate(&header, &bytes).map_err(|why| Error::not_a_ring(path, why))?;
        // Files beside it are found in its folder, which a bare name does not contain.
        let entry = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let path = path.to_owned();
        Ok(RingReader { source, path, entry, kept_beside: None, header, geometry })
    }

    /// This reader, which takes what the ring does not hold any more from the backlog segments beside `ring`.
    #[must_use]
    pub fn with_backlog_beside(self, ring: &Path) -> RingReader<S> {
        // A process that overwrites at once has no backlog.
        let keeps = self.header.full_policy != FullPolicy::Overwrite as u32;
        RingReader { kept_beside: keeps.then(|| ring.to_owned()), ..self }
    }

    /// This reader, for a ring whose entry in its folder is not where its bytes are.
    pub fn with_entry(self, entry: PathBuf) -> RingReader<S> {
        RingReader { entry, ..self }
    }

    /// The header, validated.
    #[must_use]
    pub fn header(&self) -> &RingHeader {
        &self.header
    }

    /// The ring's sizes.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The ring's entry in its folder, beside which its spill files are.
    #[must_use]
    pub fn entry(&self) -> &Path {
        &self.entry
    }

    /// The file it was opened from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The source of its bytes.
    #[must_use]
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The role, which `validate` found to be a valid file name.
    #[must_use]
    pub fn role(&self) -> &str {
        std::str::from_utf8(&self.header.role[..self.header.role_length as usize]).unwrap_or_default()
    }

    /// The application's name.
    #[must_use]
    pub fn app(&self) -> String {
        String::from_utf8_lossy(&self.header.app[..self.header.app_length as usize]).into_owned()
    }

    /// The process that created the ring.
    #[must_use]
    pub fn process(&self) -> ProcessId {
        ProcessId {
            boot_id: self.header.boot_id,
            pid_namespace: self.header.pid_namespace,
            pid: self.header.pid,
            start_time: self.header.start_time,
            time_namespace: u64::from_le_bytes(self.header.time_namespace),
        }
    }

    /// Reads the control page. Whatever is beyond the end of a truncated file reads as zero.
    ///
    /// # Errors
    /// As pread(2).
    pub fn control(&self) -> Result<ControlSnapshot> {
        let mut bytes = vec![0u8; size_of::<Control>()];
        self.fill(&mut bytes, self.geometry.control_offset())?;
        let half = |offset: usize| bytes[offset..].first_chunk::<4>().map_or(0, |word| u32::from_le_bytes(*word));
        let anchors = (0..ANCHORS).filter_map(|n| {
            let start = offset_of!(Control, anchors) + n * size_of::<AnchorCell>();
            Anchor::from_words(std::array::from_fn(|m| read_word(&bytes, start + m * 8)))
        });
        let signal = half(offset_of!(Control, closed_signal));
        let closed = match half(offset_of!(Control, closed)) {
            closed::EXIT => Closed::Exit,
            closed::SIGNAL => Closed::Signal(signal),
            closed::PANIC => Closed::Panic,
            _ => Closed::Open,
        };
        Ok(ControlSnapshot {
            closed,
            fatal_signal: (closed == Closed::Open && SIGNALS.contains(&signal)).then_some(signal),
            anchors: anchors.collect(),
            page: bytes,
        })
    }

    /// The conversion of this ring's raw clocks to calendar time.
    ///
    /// # Errors
    /// As pread(2).
    pub fn timeline(&self) -> Result<Timeline> {
        Ok(Timeline::new(self.control()?.anchors, self.header.tick_hz))
    }

    /// READ:1. Reads all lane blocks at once.
    ///
    /// # Errors
    /// As pread(2).
    pub fn lanes(&self, buffer: &mut Vec<u8>, lanes: &mut Vec<LaneSnapshot>) -> Result<()> {
        buffer.resize(self.geometry.blocks_size(), 0);
        steps::look_first(|| self.fill(buffer, self.geometry.blocks_offset()))?;
        lanes.clear();
        lanes.extend(buffer.chunks_exact(LANE_BLOCK as usize).map(LaneSnapshot::parse));
        Ok(())
    }

    /// Reads the records of `lane` after `position`, at most about `slots_max` slots of them, but always one whole message.
    ///
    /// # Errors
    /// As pread(2).
    pub fn read_lane(
        &self,
        lane: usize,
        position: u64,
        extent: Extent,
        slots_max: u64,
        batch: &mut LaneBatch,
    ) -> Result<()> {
        self.read_part(lane, position, extent, slots_max.max(1), batch)?;
        let whole = self.geometry.message_slots_max() + 1;
        if batch.is_truncated() && slots_max < whole {
            // The message is longer than what was read.
            self.read_part(lane, position, extent, whole, batch)?;
        }
        Ok(())
    }

    fn read_part(&self, lane: usize, position: u64, extent: Extent, span: u64, batch: &mut LaneBatch) -> Result<()> {
        batch.reset(position);
        let last = extent.end();
        if last <= position || last >= u64::MAX >> 2 {
            return Ok(());
        }
        let low = self.first_held(lane, position + 1, last)?;
        let high = last.min(low + span.min(self.geometry.slots()) - 1);
        self.read_held(lane, (low, high), extent, &mut batch.buffer)?;
        let overwritten = match extent {
            Extent::Live(_) => 0,
            Extent::Final(last) => self.overwritten_in_flight(lane, last)?,
        };
        let again = |slots, buffer: &mut Vec<u8>| self.read_held(lane, slots, extent, buffer);
        Decoder::new(self.geometry, again, self.key(lane), (low, high), extent, overwritten).run(batch)
    }

    /// The first sequence from `from` on that the ring or a segment may hold. Called after READ:1, so that whatever has left
    /// the ring by then is in a segment.
    fn first_held(&self, lane: usize, from: u64, last: u64) -> Result<u64> {
        let window = last.saturating_sub(self.geometry.slots() - 1).max(1);
        if from >= window {
            return Ok(from);
        }
        let kept = self.kept(lane)?.and_then(|kept| kept.first(from, last));
        Ok(kept.map_or(window, |first| first.min(window)))
    }

    /// The lane's segments, as of now.
    fn kept(&self, lane: usize) -> Result<Option<LaneSegments>> {
        let ring = self.kept_beside.as_deref().filter(|_| !mutant::is(Mutant::KeptUnread));
        let kept =
            ring.map(|ring| LaneSegments::list(ring, self.geometry, lane, self.key(lane)).map_err(self.kept_error()));
        kept.transpose()
    }

    fn kept_error(&self) -> impl FnOnce(io::Error) -> Error {
        Error::io("read the backlog of", &self.path)
    }

    /// READ:2 to READ:4. Slots `first` to `last`, from the ring or else from the segments; what is in neither appears overrun.
    pub(crate) fn read_held(
        &self,
        lane: usize,
        (first, last): (u64, u64),
        extent: Extent,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        let early = if mutant::is(Mutant::KeptLookedFirst) { self.kept(lane)? } else { None };
        let (size, slots, key) = (self.geometry.record_size(), self.geometry.slots(), self.key(lane));
        let mut copy = || self.read_slots(lane, first, last, buffer);
        let safe = match extent {
            Extent::Live(_) => steps::copy_then_look(slots, copy, || self.reserved(lane))?,
            Extent::Final(_) => copy().map(|()| 0)?,
        };
        let expected = buffer.chunks_exact_mut(size).zip(first..);
        let missing: Vec<u64> = expected
            .filter_map(|(slot, sequence)| {
                let later = read_word(slot, 0) >> 2 > sequence && !mutant::is(Mutant::KeptWindowOnly);
                let missing = match extent {
                    Extent::Live(_) => sequence < safe || later,
                    Extent::Final(_) if mutant::is(Mutant::KeptWindowOnly) => false,
                    Extent::Final(_) => !is_done(classify(slot, sequence, key)),
                };
                missing.then_some(sequence)
            })
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let window = extent.end().saturating_sub(slots - 1);
        for sequence in missing.iter().filter(|sequence| **sequence < safe.max(window)) {
            let slot = (sequence - first) as usize * size;
            buffer[slot..slot + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        }
        if let Some(mut kept) = early.map_or_else(|| self.kept(lane), |early| Ok(Some(early)))? {
            kept.fill(first, &missing, buffer).map_err(self.kept_error())?;
        }
        Ok(())
    }

    /// The last sequence that the message in flight at the process's death may have torn: a further slot of it gets its bytes
    /// before its commit word changes.
    fn overwritten_in_flight(&self, lane: usize, last: u64) -> Result<u64> {
        let reserved = self.reserved(lane)?;
        let in_flight = self.geometry.in_flight(reserved, last).filter(|_| !mutant::is(Mutant::InFlightDamage));
        Ok(in_flight.map_or(0, |_| reserved.saturating_sub(self.geometry.slots())))
    }

    fn reserved(&self, lane: usize) -> Result<u64> {
        let mut word = [0u8; 8];
        self.fill(&mut word, self.geometry.block_offset(lane) + offset_of!(LaneBlock, reserved) as u64)?;
        Ok(u64::from_le_bytes(word))
    }

    /// The highest sequence among the whole slots of a lane: the truth about a ring without a writer. After a machine crash it
    /// includes its segments, which may have reached the disk when the ring did not.
    ///
    /// # Errors
    /// As pread(2).
    pub fn last_sequence(&self, lane: usize, buffer: &mut Vec<u8>) -> Result<u64> {
        let (size, slots, key) = (self.geometry.record_size(), self.geometry.slots(), self.key(lane));
        let mut last = 0;
        for start in (0..slots).step_by(1024) {
            let count = (slots - start).min(1024) as usize;
            buffer.resize(count * size, 0);
            self.fill(buffer, self.geometry.lane_offset(lane) + start * size as u64)?;
            for (n, slot) in buffer.chunks_exact_mut(size).enumerate() {
                let sequence = read_word(slot, 0) >> 2;
                if sequence > last
                    && self.geometry.slot_index(sequence) == start + n as u64
                    && matches!(classify(slot, sequence, key), SlotState::Committed | SlotState::Aborted)
                {
                    last = sequence;
                }
            }
        }
        let stopped = self.header.boot_id != boot_id();
        if stopped && let Some(mut kept) = self.kept(lane)? {
            last = last.max(kept.last().map_err(self.kept_error())?);
        }
        Ok(last)
    }

    /// The bytes of a spilled message, and their encoding; None if the record is not spilled.
    ///
    /// # Errors
    /// If the file is missing or damaged, or cannot be read now.
    pub fn unspill(&self, record: &Record<'_>) -> Result<Option<(Vec<u8>, u8)>, SpillLost> {
        if record.encoding & encoding::SPILLED == 0 {
            return Ok(None);
        }
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the reference is damaged");
        let reference =
            SpillReference::from_bytes(record.body).ok_or_else(|| SpillLost { length: 0, error: damaged() })?;
        let bytes = reference.read(&self.entry).map_err(|error| SpillLost { length: reference.length, error })?;
        Ok(Some((bytes, reference.encoding)))
    }

    fn key(&self, lane: usize) -> u64 {
        lane_key(&self.header.uuid, lane as u32)
    }

    /// READ:2. Slots `low` to `high`, in one or two reads.
    pub(crate) fn read_slots(&self, lane: usize, low: u64, high: u64, buffer: &mut Vec<u8>) -> Result<()> {
        let size = self.geometry.record_size();
        let count = (high - low + 1) as usize;
        buffer.resize(count * size, 0);
        let start = self.geometry.slot_index(low);
        let first = count.min((self.geometry.slots() - start) as usize) * size;
        let offset = self.geometry.lane_offset(lane);
        self.fill(&mut buffer[..first], offset + start * size as u64)?;
        if first < buffer.len() {
            self.fill(&mut buffer[first..], offset)?;
        }
        Ok(())
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        fill(&self.source, buffer, offset).map_err(Error::io("read the ring", &self.path))
    }
}

/// Fills the buffer; whatever is beyond the end reads as zero.
fn fill(source: &impl Source, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match source.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer[done..].fill(0);
    Ok(())
}

fn validate(header: &RingHeader, bytes: &[u8]) -> Result<Geometry, String> {
    if header.magic != MAGIC {
        return Err(format!("it starts with {:02x?}, expected {MAGIC:02x?}", header.magic));
    }
    if header.version != FORMAT_VERSION {
        return Err(format!(
            "its format version is {}, this program reads version {FORMAT_VERSION}; use the version that wrote it",
            header.version
        ));
    }
    let end = offset_of!(RingHeader, checksum);
    if header.checksum != checksum(&bytes[..end]) && !mutant::is(Mutant::HeaderUnchecked) {
        return Err("its header does not agree with its checksum".to_owned());
    }
    let geometry = Geometry::of(header).map_err(|error| error.to_string())?;
    let role = header.role.get(..header.role_length as usize).ok_or("its role is longer than 32 bytes")?;
    if !std::str::from_utf8(role).is_ok_and(is_role) {
        return Err(format!("its role is \"{}\", expected {ROLE_RULE}", role.escape_ascii()));
    }
    if header.app_length as usize > header.app.len() {
        return Err("its application name is longer than 64 bytes".to_owned());
    }
    Ok(geometry)
}
