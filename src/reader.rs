//! Reading a ring from outside, by pread alone: a ring that is cut meanwhile gives a short read, never SIGBUS.
//!
//! One decoder serves the live drain, recovery of a dead process's ring, and every test. It believes nothing: sizes
//! are validated, offsets computed, every slot checked against its checksum, and memory is bounded by the caller.
//!
//! # Three steps
//!
//! | label | what |
//! |---|---|
//! | READ:1 | lane blocks, with `reserved` |
//! | READ:2 | slots after the reader's position, up to `reserved` |
//! | READ:3 | the lane block again: every sequence at or below `reserved` minus the number of slots may have been overwritten while it was read and is discarded |
//!
//! # States of the slot where sequence `s` is expected
//!
//! | state | how it shows | what the reader does |
//! |---|---|---|
//! | committed | VALID(s), checksum right | takes it |
//! | busy | BUSY(s), and no later message begun | stops; the record in flight |
//! | stale | an older sequence, and no later message begun | stops; reserved but not begun |
//! | aborted | ABORTED(s) | skips it |
//! | overrun | at or below `reserved` minus slots in READ:3, or a later sequence | skips it; message numbers tell the loss |
//! | partial | a first slot whose further slots are not all there | reads again; then as corrupt |
//! | corrupt | checksum wrong twice, or busy or stale although a later message was begun | skips it and counts damage |
//! | empty | `s` is above `reserved` | done |
//!
//! For a dead process nothing more comes: "stops" then means that the record in flight is dropped, at most one a
//! lane. There `reserved` itself is not believed; the highest sequence among the whole slots takes its place.

use crate::checksum::{checksum, lane_key, slot_checksum};
use crate::clock::{Anchor, Timeline};
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::geometry::{Geometry, LANE_BLOCK};
use crate::layout::{
    ANCHORS, AnchorCell, Consumer, Control, FORMAT_VERSION, LaneBlock, MAGIC, OWNERS, RingHeader, SLOT_HEAD, SlotHead,
    closed, encoding, entry_kind, slot_kind, slot_state,
};
use crate::level::Level;
use crate::process::ProcessId;
use crate::record::Record;
use crate::spill::SpillReference;
use crate::table::{CallSite, ENTRY_MAX, split_entry_word};
use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Where a ring's bytes come from: a file, or bytes in memory.
pub trait Source {
    /// Reads up to `buffer.len()` bytes at `offset`; 0 means the end.
    ///
    /// # Errors
    /// As pread(2).
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
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

/// How a process left its ring, as the ring says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Not closed: the process runs, or died.
    Open,
    /// Ordinary exit.
    Exit,
    /// Ended by this signal, in an ordinary way.
    Signal(u32),
}

/// The control page as read.
#[derive(Debug, Clone)]
pub struct ControlSnapshot {
    /// Records below are not recorded.
    pub level: Level,
    /// How the process left.
    pub closed: Closed,
    /// Nonzero while the next record rings the doorbell.
    pub armed: u32,
    /// Threads that wait for the flusher.
    pub waiters: u32,
    /// Futex word that they wait on.
    pub progress: u32,
    /// Messages lost because no lane could be had.
    pub unplaced: u64,
    /// Messages cut to the ring's longest.
    pub cut: u64,
    /// Anchors whose guard agrees.
    pub anchors: Vec<Anchor>,
}

/// The flusher's words of a lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Slots up to this sequence may be reused.
    pub released: u64,
    /// Records up to this sequence are in the log file.
    pub written: u64,
    /// Message number expected next, or 0 at the start.
    pub next_message: u64,
    /// Dropped messages that were reported.
    pub dropped_reported: u64,
    /// Records drained after the process died.
    pub recovered: u64,
}

impl Position {
    /// The eight words as they stand in the lane block.
    #[must_use]
    pub fn words(&self) -> [u64; 8] {
        let mut words = [
            self.released,
            !self.released,
            self.written,
            !self.written,
            self.next_message,
            self.dropped_reported,
            self.recovered,
            0,
        ];
        words[7] = checksum(bytemuck::cast_slice(&words[..7]));
        words
    }

    /// The position in eight words, or the start where they do not agree with each other.
    #[must_use]
    pub fn from_words(words: &[u64; 8]) -> Position {
        let position = Position {
            released: words[0],
            written: words[2],
            next_message: words[4],
            dropped_reported: words[5],
            recovered: words[6],
        };
        if position.words() == *words { position } else { Position::default() }
    }
}

/// A lane block as read.
#[derive(Debug, Clone, Copy)]
pub struct LaneSnapshot {
    /// Highest sequence begun.
    pub reserved: u64,
    /// Messages dropped by the producer.
    pub dropped: u64,
    /// Raw clock of the first and the last of them.
    pub dropped_between: (u64, u64),
    /// One of [`crate::layout::lane_kind`].
    pub kind: u64,
    /// The flusher's words.
    pub position: Position,
    owners: [[u64; 4]; OWNERS],
}

impl LaneSnapshot {
    fn parse(bytes: &[u8]) -> LaneSnapshot {
        let word = |offset: usize| read_word(bytes, offset);
        let consumer = offset_of!(LaneBlock, consumer);
        let owners = offset_of!(LaneBlock, owners);
        LaneSnapshot {
            reserved: word(offset_of!(LaneBlock, reserved)),
            dropped: word(offset_of!(LaneBlock, dropped)),
            dropped_between: (word(offset_of!(LaneBlock, dropped_first)), word(offset_of!(LaneBlock, dropped_last))),
            kind: word(offset_of!(LaneBlock, kind)),
            position: Position::from_words(&std::array::from_fn(|n| word(consumer + n * 8))),
            owners: std::array::from_fn(|n| std::array::from_fn(|m| word(owners + n * 32 + m * 8))),
        }
    }

    /// Name of the thread that wrote `record`, if the lane still knows it.
    #[must_use]
    pub fn thread_name(&self, record: &Record<'_>) -> Option<String> {
        let owner = self.owners.iter().filter(|owner| owner[0] != 0 && owner[0] <= record.first);
        let owner = owner.max_by_key(|owner| owner[0])?;
        if owner[1] != u64::from(record.thread) {
            return None;
        }
        let bytes: Vec<u8> = owner[2..].iter().flat_map(|word| word.to_le_bytes()).collect();
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        (length > 0).then(|| String::from_utf8_lossy(&bytes[..length]).into_owned())
    }
}

fn read_word(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk::<8>()).map_or(0, |word| u64::from_le_bytes(*word))
}

/// Records of one lane, as far as one read took them.
#[derive(Debug, Default)]
pub struct LaneBatch {
    buffer: Vec<u8>,
    records: Vec<Entry>,
    next: usize,
    /// Where the read began.
    start: u64,
    /// Everything up to this sequence has been looked at.
    pub end: u64,
    /// A record in flight at the end: its sequence.
    pub open: Option<u64>,
    /// More is to be read at once.
    pub more: bool,
    /// Slots that were damaged.
    pub damaged: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    first: u64,
    slots: u32,
    start: u32,
    length: u32,
    head: SlotHead,
}

impl LaneBatch {
    fn reset(&mut self, position: u64) {
        self.records.clear();
        self.next = 0;
        (self.start, self.end) = (position, position);
        (self.open, self.more, self.damaged) = (None, false, 0);
    }

    /// The next record, not yet taken.
    #[must_use]
    pub fn peek(&self) -> Option<Record<'_>> {
        self.records.get(self.next).map(|entry| self.record(entry))
    }

    /// Raw clock of the next record.
    #[inline]
    #[must_use]
    pub fn next_clock(&self) -> Option<u64> {
        self.records.get(self.next).map(|entry| entry.head.clock)
    }

    /// Takes the record that [`LaneBatch::peek`] shows.
    pub fn advance(&mut self) {
        self.next += 1;
    }

    /// Whether all its records have been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next >= self.records.len()
    }

    /// The records not taken yet.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.records[self.next.min(self.records.len())..].iter().map(|entry| self.record(entry))
    }

    fn record(&self, entry: &Entry) -> Record<'_> {
        let body = &self.buffer[entry.start as usize..(entry.start + entry.length) as usize];
        Record {
            first: entry.first,
            last: entry.first + u64::from(entry.slots) - 1,
            clock: entry.head.clock,
            message: entry.head.message,
            thread: entry.head.thread,
            call_site: entry.head.call_site,
            level: Level::new(entry.head.level),
            encoding: entry.head.encoding,
            body,
        }
    }
}

/// What the decoder finds where it expects a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// Whole.
    Committed,
    /// Being written.
    Busy,
    /// Given up.
    Aborted,
    /// Holds an older sequence, or nothing.
    Stale,
    /// Holds a later sequence.
    Overrun,
    /// Its bytes do not agree with its checksum.
    Corrupt,
}

/// The validity rule: what the slot in `bytes` is where `sequence` is expected. `bytes` is one slot; its checksum
/// and its clock are used as scratch and restored.
#[must_use]
pub fn classify(bytes: &mut [u8], sequence: u64, key: u64) -> SlotState {
    let commit = read_word(bytes, 0);
    match (commit >> 2).cmp(&sequence) {
        std::cmp::Ordering::Less => return SlotState::Stale,
        std::cmp::Ordering::Greater => return SlotState::Overrun,
        std::cmp::Ordering::Equal => {}
    }
    match commit & 3 {
        slot_state::BUSY => SlotState::Busy,
        slot_state::ABORTED => SlotState::Aborted,
        slot_state::VALID if is_whole(bytes, key) => SlotState::Committed,
        _ => SlotState::Corrupt,
    }
}

fn is_whole(bytes: &mut [u8], key: u64) -> bool {
    let length = usize::from(u16::from_le_bytes([bytes[40], bytes[41]]));
    let used = (SLOT_HEAD + length).next_multiple_of(8);
    if used > bytes.len() {
        return false;
    }
    slot_checksum(&mut bytes[..used], key) == read_word(bytes, 8)
}

fn head_of(slot: &[u8]) -> SlotHead {
    bytemuck::pod_read_unaligned(&slot[..SLOT_HEAD])
}

/// A ring opened for reading.
#[derive(Debug)]
pub struct RingReader<S = File> {
    source: S,
    path: PathBuf,
    /// The ring's entry in its folder, beside which its spill files are.
    entry: PathBuf,
    header: RingHeader,
    geometry: Geometry,
}

impl RingReader<File> {
    /// Opens the ring file at `path`, without following a symbolic link and without blocking on a FIFO.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened, [`Error::NotARing`] if it is not a regular file with a valid header.
    pub fn open(path: &Path) -> Result<RingReader> {
        RingReader::new(open_file(path)?, path)
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
pub(crate) fn open_file(path: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(flags.bits() as i32);
    // The flusher's words are written by pwrite; a tool that only reads may lack the permission to write.
    let file = options.clone().write(true).open(path).or_else(|_| options.open(path));
    let file = file.map_err(Error::io("open the ring", path))?;
    let metadata = file.metadata().map_err(Error::io("look at the ring", path))?;
    if metadata.is_file() { Ok(file) } else { Err(Error::not_a_ring(path, "it is not a regular file")) }
}

impl<S: Source> RingReader<S> {
    /// A reader on `source`; `path` serves for messages only.
    ///
    /// # Errors
    /// [`Error::NotARing`] if the header is not valid.
    pub fn new(source: S, path: &Path) -> Result<RingReader<S>> {
        let mut bytes = [0u8; size_of::<RingHeader>()];
        fill(&source, &mut bytes, 0).map_err(Error::io("read the ring", path))?;
        let header: RingHeader = bytemuck::pod_read_unaligned(&bytes);
        let geometry = validate(&header, &bytes).map_err(|why| Error::not_a_ring(path, why))?;
        Ok(RingReader { source, path: path.to_owned(), entry: path.to_owned(), header, geometry })
    }

    /// The same reader for a ring whose entry in its folder is not where its bytes are.
    pub(crate) fn with_entry(self, entry: PathBuf) -> RingReader<S> {
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

    /// Where the bytes come from.
    #[must_use]
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The role, which `validate` found to be a safe file name.
    #[must_use]
    pub fn role(&self) -> &str {
        std::str::from_utf8(&self.header.role[..self.header.role_length as usize]).unwrap_or_default()
    }

    /// The application's name.
    #[must_use]
    pub fn app(&self) -> String {
        String::from_utf8_lossy(&self.header.app[..self.header.app_length as usize]).into_owned()
    }

    /// The process that made the ring.
    #[must_use]
    pub fn process(&self) -> ProcessId {
        ProcessId {
            boot_id: self.header.boot_id,
            pid_namespace: self.header.pid_namespace,
            pid: self.header.pid,
            start_time: self.header.start_time,
        }
    }

    /// Reads the control page. What lies beyond the end of a cut file reads as zero.
    ///
    /// # Errors
    /// As pread(2).
    pub fn control(&self) -> Result<ControlSnapshot> {
        let mut bytes = vec![0u8; size_of::<Control>()];
        self.fill(&mut bytes, self.geometry.control_offset())?;
        let half = |offset: usize| {
            bytes[offset..].first_chunk::<4>().map_or(0, |word| u32::from_le_bytes(*word))
        };
        let anchors = (0..ANCHORS).filter_map(|n| {
            let start = offset_of!(Control, anchors) + n * size_of::<AnchorCell>();
            Anchor::from_words(std::array::from_fn(|m| read_word(&bytes, start + m * 8)))
        });
        Ok(ControlSnapshot {
            level: Level::new(half(offset_of!(Control, level)).try_into().unwrap_or(u16::MAX)),
            closed: match half(offset_of!(Control, closed)) {
                closed::EXIT => Closed::Exit,
                closed::SIGNAL => Closed::Signal(half(offset_of!(Control, closed_signal))),
                _ => Closed::Open,
            },
            armed: half(offset_of!(Control, armed)),
            waiters: half(offset_of!(Control, waiters)),
            progress: half(offset_of!(Control, progress)),
            unplaced: read_word(&bytes, offset_of!(Control, unplaced)),
            cut: read_word(&bytes, offset_of!(Control, cut)),
            anchors: anchors.collect(),
        })
    }

    /// How raw clocks of this ring become calendar time.
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
        self.fill(buffer, self.geometry.blocks_offset())?;
        lanes.clear();
        lanes.extend(buffer.chunks_exact(LANE_BLOCK as usize).map(LaneSnapshot::parse));
        Ok(())
    }

    /// Reads the records of `lane` after `position`, at most about `slots_max` slots of them, but always room for one
    /// whole message.
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
        batch.reset(position);
        let slots = self.geometry.slots();
        let (Extent::Live(last) | Extent::Final(last)) = extent;
        let low = position.saturating_add(1).max(last.saturating_sub(slots - 1));
        if last < low || last >= u64::MAX >> 2 {
            return Ok(());
        }
        let span = slots_max.max(self.geometry.message_slots_max() + 1).min(slots);
        let high = last.min(low + span - 1);
        self.read_slots(lane, low, high, &mut batch.buffer)?;
        let (low, overwritten) = match extent {
            Extent::Live(_) => (self.discard_overrun(lane, low, high, batch)?, 0),
            Extent::Final(last) => (low, self.overwritten_in_flight(lane, last)?),
        };
        let key = self.key(lane);
        Decoder { reader: self, lane, key, low, high, last, overwritten, begun: None, rereads: REREADS_MAX }.run(batch)
    }

    /// The last sequence that the message in flight at the process's death may have torn: a further slot of it gets its
    /// bytes before its commit word changes. `reserved` is believed only as far as one message reaches.
    fn overwritten_in_flight(&self, lane: usize, last: u64) -> Result<u64> {
        let reserved = self.reserved(lane)?;
        let plausible = reserved >= last && reserved - last <= self.geometry.message_slots_max().max(1);
        Ok(if plausible { reserved.saturating_sub(self.geometry.slots()) } else { 0 })
    }

    fn reserved(&self, lane: usize) -> Result<u64> {
        let mut word = [0u8; 8];
        self.fill(&mut word, self.geometry.block_offset(lane) + offset_of!(LaneBlock, reserved) as u64)?;
        Ok(u64::from_le_bytes(word))
    }

    /// READ:3. Returns the lowest sequence that was not being overwritten while it was read.
    fn discard_overrun(&self, lane: usize, low: u64, high: u64, batch: &mut LaneBatch) -> Result<u64> {
        let reserved = self.reserved(lane)?;
        let safe = reserved.saturating_sub(self.geometry.slots() - 1);
        let cut = safe.clamp(low, high + 1);
        batch.buffer.drain(..(cut - low) as usize * self.geometry.record_size());
        if cut > low {
            batch.end = cut - 1;
        }
        Ok(cut)
    }

    /// The highest sequence among the whole slots of a lane: the truth about a ring that nobody writes any more.
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
        Ok(last)
    }

    /// The bytes of a spilled message, and their encoding; None if the record is not spilled.
    ///
    /// # Errors
    /// A text for the log, where the file is missing or damaged.
    pub fn unspill(&self, record: &Record<'_>) -> Result<Option<(Vec<u8>, u8)>, String> {
        if record.encoding & encoding::SPILLED == 0 {
            return Ok(None);
        }
        let lost = |length: u64, error: &dyn std::fmt::Display| {
            format!("lastwords: a message of {length} bytes is lost, its spill file cannot be read: {error}")
        };
        let reference = SpillReference::from_bytes(record.body).ok_or_else(|| lost(0, &"the reference is damaged"))?;
        let bytes = reference.read(&self.entry).map_err(|error| lost(reference.length, &error))?;
        Ok(Some((bytes, reference.encoding)))
    }

    /// Looks a call site up; None for id 0, an unknown kind, or an entry that is not whole.
    ///
    /// # Errors
    /// As pread(2).
    pub fn call_site(&self, id: u32) -> Result<Option<CallSite>> {
        let offset = u64::from(id) * 8;
        if id == 0 || offset + 8 > self.geometry.table_size() as u64 {
            return Ok(None);
        }
        let mut word = [0u8; 8];
        self.fill(&mut word, self.geometry.table_offset() + offset)?;
        let (kind, length, sum) = split_entry_word(u64::from_le_bytes(word));
        let end = offset + 8 + length as u64;
        if kind != entry_kind::CALL_SITE || length > ENTRY_MAX || end > self.geometry.table_size() as u64 {
            return Ok(None);
        }
        let mut payload = vec![0u8; length];
        self.fill(&mut payload, self.geometry.table_offset() + offset + 8)?;
        Ok((checksum(&payload) as u32 == sum).then(|| CallSite::decode(&payload)).flatten())
    }

    fn key(&self, lane: usize) -> u64 {
        lane_key(&self.header.uuid, lane as u32)
    }

    /// READ:2. Slots `low` to `high`, in one or two reads.
    fn read_slots(&self, lane: usize, low: u64, high: u64, buffer: &mut Vec<u8>) -> Result<()> {
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

/// Fills the buffer; what lies beyond the end reads as zero.
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
    if header.checksum != checksum(&bytes[..end]) {
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

/// What a role must look like.
pub const ROLE_RULE: &str = "a lower-case letter followed by up to 31 of a-z, 0-9, _ and -";

/// Whether `role` may become a file name.
#[must_use]
pub fn is_role(role: &str) -> bool {
    let first = role.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = role.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte));
    first && rest && role.len() <= crate::layout::ROLE_MAX
}

/// How far a lane's records may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The producer may be at work; `reserved` of READ:1.
    Live(u64),
    /// The producer is gone; [`RingReader::last_sequence`].
    Final(u64),
}

/// Slots that one run reads again before it takes what it sees for final, so that a hostile writer cannot hold it.
const REREADS_MAX: u32 = 1 << 17;

/// One run of the decoder over slots that were read.
struct Decoder<'r, S> {
    reader: &'r RingReader<S>,
    lane: usize,
    key: u64,
    low: u64,
    high: u64,
    last: u64,
    /// What the message in flight may have torn is no damage.
    overwritten: u64,
    begun: Option<u64>,
    rereads: u32,
}

impl<S: Source> Decoder<'_, S> {
    fn run(&mut self, batch: &mut LaneBatch) -> Result<()> {
        let mut sequence = self.low;
        while sequence <= self.high {
            match self.state(&mut batch.buffer, sequence) {
                SlotState::Committed => match self.message_slots(&mut batch.buffer, sequence) {
                    Some(slots) if sequence + slots - 1 > self.high && self.high < self.last => break,
                    Some(slots) if self.take(batch, sequence, slots) => sequence += slots,
                    Some(slots) if self.reread(batch, sequence, slots)? => continue,
                    found => {
                        // A further slot without its first was counted with it.
                        let head = head_of(self.slot(&mut batch.buffer, sequence));
                        let lone = found.is_some() || head.kind != slot_kind::CONTINUATION;
                        batch.damaged += u64::from(lone && sequence > self.overwritten);
                        sequence += 1;
                    }
                },
                SlotState::Aborted | SlotState::Overrun => sequence += 1,
                SlotState::Corrupt if sequence <= self.overwritten => sequence += 1,
                SlotState::Busy | SlotState::Stale if self.last_begun(&mut batch.buffer)? <= sequence => {
                    batch.open = Some(sequence);
                    break;
                }
                SlotState::Busy | SlotState::Stale | SlotState::Corrupt => {
                    if self.reread(batch, sequence, 1)? {
                        continue;
                    }
                    batch.damaged += 1;
                    sequence += 1;
                }
            }
            batch.end = sequence - 1;
        }
        batch.more = batch.open.is_none() && batch.end < self.last && batch.end > batch.start;
        Ok(())
    }

    fn slot<'b>(&self, buffer: &'b mut [u8], sequence: u64) -> &'b mut [u8] {
        let size = self.reader.geometry.record_size();
        let start = (sequence - self.low) as usize * size;
        &mut buffer[start..start + size]
    }

    fn state(&self, buffer: &mut [u8], sequence: u64) -> SlotState {
        classify(self.slot(buffer, sequence), sequence, self.key)
    }

    /// Number of slots of the message that starts here, or None if none starts here.
    fn message_slots(&self, buffer: &mut [u8], sequence: u64) -> Option<u64> {
        let head = head_of(self.slot(buffer, sequence));
        let slots = u64::from(head.slots);
        let fits = slots >= 1 && slots <= self.reader.geometry.message_slots_max().max(1);
        (head.kind == slot_kind::FIRST && fits).then_some(slots)
    }

    /// Takes the message at `sequence`, its payloads moved together in the buffer. False if a further slot is missing.
    fn take(&self, batch: &mut LaneBatch, sequence: u64, slots: u64) -> bool {
        let size = self.reader.geometry.record_size();
        let head = head_of(self.slot(&mut batch.buffer, sequence));
        if sequence + slots - 1 > self.high {
            return false;
        }
        for index in 1..slots {
            let state = self.state(&mut batch.buffer, sequence + index);
            let further = head_of(self.slot(&mut batch.buffer, sequence + index));
            let belongs = state == SlotState::Committed
                && further.kind == slot_kind::CONTINUATION
                && u64::from(further.slots) == index
                && further.message == head.message;
            if !belongs {
                return false;
            }
        }
        let slot = (sequence - self.low) as usize * size;
        let (start, mut length) = (slot + SLOT_HEAD, usize::from(head.length));
        for index in 1..slots as usize {
            let from = slot + index * size;
            let part = usize::from(head_of(&batch.buffer[from..]).length);
            batch.buffer.copy_within(from + SLOT_HEAD..from + SLOT_HEAD + part, start + length);
            length += part;
        }
        let (start, length) = (start as u32, length as u32);
        batch.records.push(Entry { first: sequence, slots: slots as u32, start, length, head });
        true
    }

    /// The last sequence at which a message was begun. What is before it cannot still be in flight, because a lane has
    /// one producer.
    fn last_begun(&mut self, buffer: &mut [u8]) -> Result<u64> {
        if let Some(begun) = self.begun {
            return Ok(begun);
        }
        let size = self.reader.geometry.record_size();
        let mut begun = begun_in(buffer, self.low, size, self.key);
        let mut beyond = Vec::new();
        let mut low = self.high + 1;
        while low <= self.last {
            let high = self.last.min(low + 1023);
            self.reader.read_slots(self.lane, low, high, &mut beyond)?;
            begun = begun.max(begun_in(&mut beyond, low, size, self.key));
            low = high + 1;
        }
        self.begun = Some(begun);
        Ok(begun)
    }

    /// Reads slots again. True if one changed, so that they are worth another look.
    fn reread(&mut self, batch: &mut LaneBatch, sequence: u64, slots: u64) -> Result<bool> {
        let last = self.high.min(sequence + slots - 1);
        let Some(rereads) = self.rereads.checked_sub(slots as u32) else { return Ok(false) };
        self.rereads = rereads;
        let mut again = Vec::new();
        self.reader.read_slots(self.lane, sequence, last, &mut again)?;
        let start = (sequence - self.low) as usize * self.reader.geometry.record_size();
        let old = &mut batch.buffer[start..start + again.len()];
        let changed = *old != *again;
        old.copy_from_slice(&again);
        Ok(changed)
    }
}

/// The last sequence in `buffer`, whose first slot should hold `low`, at which a message was begun; 0 if none.
fn begun_in(buffer: &mut [u8], low: u64, size: usize, key: u64) -> u64 {
    for (n, slot) in buffer.chunks_exact_mut(size).enumerate().rev() {
        let sequence = low + n as u64;
        let begun = match classify(slot, sequence, key) {
            SlotState::Busy | SlotState::Aborted => true,
            SlotState::Committed => head_of(slot).kind == slot_kind::FIRST,
            _ => false,
        };
        if begun {
            return sequence;
        }
    }
    0
}

const _: () = assert!(size_of::<Consumer>() == size_of::<[u64; 8]>());
