//! One slot of a lane while it is written: each word of its body goes to its place once, and to the checksum on the way.

use crate::atomics::{AtomicU64, Ordering, prefetch_to_write};
use crate::format::layout::{SLOT_HEAD, SLOT_WORDS_MIN, SlotHead, slot_kind};
use crate::format::slot_sum::SlotSum;
use crate::write::words::{WordSink, for_each_word};

pub(super) const HEAD_WORDS: usize = SLOT_HEAD / 8;
/// Word of a slot that holds the number of its message.
pub(super) const MESSAGE_WORD: usize = std::mem::offset_of!(SlotHead, message) / 8;
const CHECKSUM_WORD: usize = std::mem::offset_of!(SlotHead, checksum) / 8;
const CLOCK_WORD: usize = std::mem::offset_of!(SlotHead, clock) / 8;
/// Bytes of a cache line.
const CACHE_LINE: usize = 64;
/// Words of a body that fit a slot of any size.
pub const SMALL_BODY: usize = SLOT_WORDS_MIN - HEAD_WORDS;

/// Bytes between what is written and what is prefetched, twelve slots of the usual size and fewer of larger ones, which take
/// longer: what the flusher has read is shared with another processor, and getting it back takes about as long as so many appends.
const AHEAD: usize = 12 * 128;

/// As many words as the smallest slot has; the larger ones are several of them.
pub(super) type Unit = [AtomicU64; SLOT_WORDS_MIN];

/// One slot's share of a message.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) slots: u16,
    pub(super) kind: u8,
    /// Payload bytes.
    pub(super) length: usize,
}

/// The last word of a slot's head, see [`SlotHead`].
#[inline(always)]
pub(super) const fn sizes_word(level: u16, encoding: u8, part: Part) -> u64 {
    let Part { slots, kind, length } = part;
    length as u64 | (level as u64) << 16 | (slots as u64) << 32 | (kind as u64) << 48 | (encoding as u64) << 56
}

/// What the head of a message of one slot states besides its origin and the length of its body: known before it is made.
#[derive(Debug, Clone, Copy)]
pub struct SmallHead(pub(super) u64);

impl SmallHead {
    /// For messages of this level whose bodies are so encoded.
    #[inline(always)]
    #[must_use]
    pub const fn new(level: u16, encoding: u8) -> SmallHead {
        SmallHead(sizes_word(level, encoding, Part { slots: 1, kind: slot_kind::FIRST, length: 0 }))
    }

    /// The level.
    #[inline(always)]
    #[must_use]
    pub fn level(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// A slot that is open: takes the words of its body, one after the other.
#[derive(Debug)]
#[must_use = "an open slot holds the lane's reader back"]
pub struct OpenSlot<'a> {
    pub(super) head: &'a Unit,
    pub(super) body: std::slice::Iter<'a, AtomicU64>,
    pub(super) first: u64,
    pub(super) message: u64,
    pub(super) commit: u64,
    pub(super) now: u64,
    pub(super) sum: SlotSum,
}

/// Writes the body. A word beyond the slot is a defect of the caller and is dropped.
impl WordSink for OpenSlot<'_> {
    #[inline(always)]
    fn word(&mut self, word: u64) {
        if let Some(cell) = self.body.next() {
            cell.store(word, Ordering::Relaxed);
            self.sum.add(word);
        }
    }

    /// The loop has iterator and sum in registers, wherever the slot is.
    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        let (mut body, mut sum) = (self.body.clone(), self.sum);
        for_each_word(bytes, |word| {
            if let Some(cell) = body.next() {
                cell.store(word, Ordering::Relaxed);
                sum.add(word);
            }
        });
        (self.body, self.sum) = (body, sum);
    }
}

impl OpenSlot<'_> {
    /// Writes clock and checksum: the slot is complete but for its commit word.
    #[inline(always)]
    pub(super) fn finish(&self) {
        self.head[CLOCK_WORD].store(self.now, Ordering::Relaxed);
        self.head[CHECKSUM_WORD].store(self.sum.finish(self.now), Ordering::Relaxed);
    }

    /// Makes it visible.
    #[inline(always)]
    pub(super) fn commit(&self) {
        // LANE:D
        self.head[0].store(self.commit, Ordering::Release);
    }
}

/// Asks for as much of a later slot as most records use. At the end of the lane that is what follows it in memory.
#[inline(always)]
pub(super) fn ask_ahead(unit: &Unit) {
    let later = std::ptr::from_ref(unit).cast::<u8>().wrapping_add(AHEAD);
    prefetch_to_write(later);
    prefetch_to_write(later.wrapping_add(CACHE_LINE));
}
