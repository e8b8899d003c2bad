//! The decoder of format version 3: from the bytes of slots to whole records. The table of slot states is in `reader.rs`.

use crate::error::Result;
use crate::format::geometry::Geometry;
use crate::format::layout::{SLOT_HEAD, SlotHead, slot_kind};
use crate::format::level::Level;
use crate::format::record::Record;
use crate::format::slot::{SlotState, classify, head_of};

/// Records of one lane, from one read.
#[derive(Debug, Default)]
pub struct LaneBatch {
    pub(crate) buffer: Vec<u8>,
    records: Vec<Entry>,
    next: usize,
    /// Where the read began.
    start: u64,
    /// Everything up to this sequence has been decoded.
    pub end: u64,
    /// A record in flight at the end: its sequence.
    pub open: Option<u64>,
    /// More can be read at once.
    pub more: bool,
    /// Slots that were damaged.
    pub damaged: u64,
    /// The last message extends beyond what was read.
    truncated: bool,
}

/// Buffer size up to which a batch keeps its buffer for the next read.
const KEPT: usize = 256 << 10;

/// Bytes that a record takes in a batch besides its slots.
pub const ENTRY: usize = size_of::<Entry>();

#[derive(Debug, Clone, Copy)]
struct Entry {
    first: u64,
    slots: u32,
    start: u32,
    length: u32,
    head: SlotHead,
}

impl LaneBatch {
    pub(crate) fn reset(&mut self, position: u64) {
        if self.buffer.capacity() > KEPT {
            // A long message was read, which is rare.
            self.buffer = Vec::new();
        }
        self.truncated = false;
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

    /// Whether nothing was taken because the first message is longer than what was read.
    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated && self.records.is_empty()
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

/// How far a lane's records may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The producer may be running; `reserved` of READ:1.
    Live(u64),
    /// The producer is gone; `RingReader::last_sequence`.
    Final(u64),
}

impl Extent {
    /// The last sequence.
    #[must_use]
    pub fn end(self) -> u64 {
        let (Extent::Live(end) | Extent::Final(end)) = self;
        end
    }
}

/// Slots that one run rereads before it treats them as final, so that a hostile writer cannot stall it.
const REREADS_MAX: u32 = 1 << 15;

/// One run of the decoder over slots that were read.
pub(crate) struct Decoder<R> {
    geometry: Geometry,
    /// Reads slots of this lane again, from the first to the second.
    read_again: R,
    key: u64,
    low: u64,
    high: u64,
    last: u64,
    /// Last sequence that the message in flight may have torn: that is not damage.
    overwritten: u64,
    begun: Option<u64>,
    rereads: u32,
}

impl<R: Fn((u64, u64), &mut Vec<u8>) -> Result<()>> Decoder<R> {
    /// A run over the slots from the first to the second of `range`, which are in the batch's buffer.
    pub(crate) fn new(
        geometry: Geometry,
        read_again: R,
        key: u64,
        (low, high): (u64, u64),
        extent: Extent,
        overwritten: u64,
    ) -> Self {
        Decoder { geometry, read_again, key, low, high, last: extent.end(), overwritten, begun: None, rereads: REREADS_MAX }
    }

    pub(crate) fn run(&mut self, batch: &mut LaneBatch) -> Result<()> {
        let mut sequence = self.low;
        while sequence <= self.high {
            match self.state(&mut batch.buffer, sequence) {
                SlotState::Committed => match self.message_slots(&mut batch.buffer, sequence) {
                    Some(slots) if sequence + slots - 1 > self.high && self.high < self.last => {
                        batch.truncated = true;
                        break;
                    }
                    Some(slots) if self.take(batch, sequence, slots) => sequence += slots,
                    Some(slots) if self.reread(batch, sequence, slots)? => continue,
                    found => {
                        // A further slot without its first was counted with that.
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
        let size = self.geometry.record_size();
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
        let fits = slots >= 1 && slots <= self.geometry.message_slots_max().max(1);
        (head.kind == slot_kind::FIRST && fits).then_some(slots)
    }

    /// Takes the message at `sequence`, compacting its payloads in the buffer. False if a further slot is missing.
    fn take(&self, batch: &mut LaneBatch, sequence: u64, slots: u64) -> bool {
        let size = self.geometry.record_size();
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

    /// The last sequence at which a message was begun. Earlier ones cannot still be in flight, because a lane has one producer.
    fn last_begun(&mut self, buffer: &mut [u8]) -> Result<u64> {
        if let Some(begun) = self.begun {
            return Ok(begun);
        }
        let size = self.geometry.record_size();
        let mut begun = begun_in(buffer, self.low, size, self.key);
        let mut beyond = Vec::new();
        let mut low = self.high + 1;
        while low <= self.last {
            let high = self.last.min(low + 1023);
            (self.read_again)((low, high), &mut beyond)?;
            begun = begun.max(begun_in(&mut beyond, low, size, self.key));
            low = high + 1;
        }
        self.begun = Some(begun);
        Ok(begun)
    }

    /// Rereads slots. True if one changed, so that they must be decoded again.
    fn reread(&mut self, batch: &mut LaneBatch, sequence: u64, slots: u64) -> Result<bool> {
        let last = self.high.min(sequence + slots - 1);
        let Some(rereads) = self.rereads.checked_sub(slots as u32) else { return Ok(false) };
        self.rereads = rereads;
        let mut again = Vec::new();
        (self.read_again)((sequence, last), &mut again)?;
        let start = (sequence - self.low) as usize * self.geometry.record_size();
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
