//! A lane: a ring of fixed-size slots with one producer, which never waits for the reader.
//!
//! The lane owns no memory. It works on a given [`LaneBlock`] and the words of its slots, so that the same algorithm runs on a
//! mapped file, on the heap and under loom.
//!
//! # States of a slot
//!
//! The slot of sequence `s` is `(s - 1) mod slots`. Its commit word is `s << 2 | state`:
//!
//! ```text
//!             swap                store
//!  (older) ----------> BUSY(s) ----------> VALID(s)      committed
//!                         |
//!                         +--------------> ABORTED(s)    its owner came back and found it open
//! ```
//!
//! A message of several slots takes consecutive sequences. Only its first slot becomes BUSY; the further ones are
//! committed last to first and the first one at the end, so that one store makes the message visible.
//!
//! # Ordering points
//!
//! | label | what | guarantees | pairs with |
//! |---|---|---|---|
//! | LANE:A | `reserved` stored | a visible word of the new lap implies `reserved` visibly raised | READ:3 |
//! | LANE:B | first slot swapped to BUSY, SeqCst | the clock read after it is later than the moment at which a reader saw no BUSY | the drain's watermark; the `armed` word |
//! | LANE:C | release fence | orders LANE:A and LANE:B before every body word | READ:3 |
//! | LANE:D | VALID stored with Release | visible VALID implies a visible body | READ:2, and the checksum where a copy tears |
//! | LANE:E | `head` stored with Release | a hint to readers; nothing depends on it | READ:1 |
//!
//! Sequences are 62 bits wide and never reset, so a commit word cannot recur (no ABA): at 10 ns a slot that takes over a
//! thousand years.

use crate::atomics::{AtomicU64, Ordering, fence};
use crate::format::layout::{
    Consumer, LaneBlock, OWNERS, SLOT_WORDS_MAX, SLOT_WORDS_MIN, commit_word, slot_kind, slot_state,
};
use crate::format::slot_sum::SlotSum;
use crate::mutant::{self, Mutant};
use crate::write::open_slot::{
    HEAD_WORDS, MESSAGE_WORD, OpenSlot, Part, SMALL_BODY, SmallHead, Unit, ask_ahead, sizes_word,
};
use crate::write::words::WordSink;

/// A message without its body.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// Level number.
    pub level: u16,
    /// Call site's id in this ring, or 0.
    pub call_site: u32,
    /// Thread id.
    pub thread: u32,
    /// How the body is encoded, see [`crate::format::layout::encoding`].
    pub encoding: u8,
}

impl Origin {
    /// Call site and thread as a slot's head has them.
    fn word(&self) -> u64 {
        u64::from(self.call_site) | u64::from(self.thread) << 32
    }
}

/// A message on its way into a lane.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// What it carries besides its body.
    pub origin: Origin,
    /// The body, at most [`Lane::message_size_max`] bytes.
    pub body: &'a [u8],
}

/// Counts a message that was dropped at raw clock `now`, because the lane was full or unavailable. May be called by any thread.
#[cold]
pub fn count_drop(block: &LaneBlock, now: u64) {
    if block.dropped.load(Ordering::Relaxed) <= block.consumer.dropped_reported.load(Ordering::Relaxed) {
        // All earlier ones have been reported, so a new loss begins.
        block.dropped_first.store(now, Ordering::Relaxed);
    }
    block.dropped_last.store(now, Ordering::Relaxed);
    if !mutant::is(Mutant::DropUncounted) {
        block.dropped.fetch_add(1, Ordering::Release);
    }
}

/// A message of several slots that is open: takes the words of its body, which fill one slot after the other.
#[derive(Debug)]
#[must_use = "an open message holds the lane's reader back"]
pub struct OpenMessage<'l, 'a> {
    lane: &'l Lane<'a>,
    slot: OpenSlot<'a>,
    origin: Origin,
    /// Index in the message of the slot after the one that is being written.
    next: u64,
    /// Payload bytes after that slot.
    rest: usize,
}

/// Writes the body. A word beyond the message is a defect of the caller and is dropped.
impl WordSink for OpenMessage<'_, '_> {
    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.ensure_room();
        self.slot.word(word);
    }

    #[inline(always)]
    fn bytes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.ensure_room();
            let (here, after) = bytes.split_at(bytes.len().min(room));
            self.slot.bytes(here);
            bytes = if room == 0 { &[] } else { after };
        }
    }
}

impl OpenMessage<'_, '_> {
    /// Goes on in the next slot if this one is full, and returns how many bytes fit; 0 at the end of the message.
    #[inline(always)]
    fn ensure_room(&mut self) -> usize {
        if self.slot.body.as_slice().is_empty() {
            self.open_next();
        }
        size_of_val(self.slot.body.as_slice())
    }

    fn open_next(&mut self) {
        let OpenSlot { first, now, .. } = self.slot;
        if self.rest == 0 {
            return;
        }
        self.slot.finish();
        let length = self.rest.min(self.lane.payload_size);
        let part = Part { slots: self.next as u16, kind: slot_kind::CONTINUATION, length };
        let slot = self.lane.begin_part(first + self.next, now, &self.origin, part);
        ask_ahead(slot.head);
        self.slot = OpenSlot { first, ..slot };
        self.rest -= length;
        self.next += 1;
    }
}

/// The producer's end of a lane.
#[derive(Debug)]
pub struct Lane<'a> {
    block: &'a LaneBlock,
    units: &'a [Unit],
    /// Units of a slot.
    slot_units: usize,
    payload_size: usize,
    message_size_max: usize,
    mask: u64,
    key: u64,
    reserved: u64,
    committed: u64,
    released: u64,
    /// Highest sequence that fits without overwriting slots that are neither released nor copied.
    limit: u64,
    messages: u64,
}

impl<'a> Lane<'a> {
    /// The lane on this block and these slots of `slot_words` words each; it continues where the block says it was.
    ///
    /// # Panics
    /// If `slots` is not a power-of-two number of slots, or a slot is not a power of two of words, smaller than the smallest or
    /// larger than the largest.
    pub fn new(block: &'a LaneBlock, slots: &'a [AtomicU64], slot_words: usize, key: u64) -> Lane<'a> {
        let count = (slots.len() / slot_words) as u64;
        assert!((SLOT_WORDS_MIN..=SLOT_WORDS_MAX).contains(&slot_words) && slot_words.is_power_of_two());
        assert!(count.is_power_of_two());
        let reserved = block.reserved.load(Ordering::Relaxed);
        let payload_size = (slot_words - HEAD_WORDS) * 8;
        Lane {
            block,
            units: slots.as_chunks().0,
            slot_units: slot_words / SLOT_WORDS_MIN,
            payload_size,
            message_size_max: (count / 4).max(1) as usize * payload_size,
            mask: count - 1,
            key,
            reserved,
            committed: reserved,
            released: reserved,
            limit: reserved + count,
            messages: block.messages.load(Ordering::Relaxed),
        }
    }

    /// Highest sequence committed.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Number of slots.
    #[inline]
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.mask + 1
    }

    /// Payload bytes of a slot.
    #[must_use]
    pub fn payload_size(&self) -> usize {
        self.payload_size
    }

    /// Longest body that [`Lane::append`] takes: a quarter of the lane, at least one slot.
    #[inline]
    #[must_use]
    pub fn message_size_max(&self) -> usize {
        self.message_size_max
    }

    /// Slots that a body of `length` bytes takes.
    #[inline]
    #[must_use]
    pub fn slots_for(&self, length: usize) -> u64 {
        if length <= self.payload_size { 1 } else { length.div_ceil(self.payload_size) as u64 }
    }

    /// Whether `slots` more slots fit without overwriting what no flusher has released.
    #[inline(always)]
    pub fn has_room(&mut self, slots: u64) -> bool {
        if self.reserved + slots <= self.limit {
            return true;
        }
        self.has_room_now(slots)
    }

    /// Whether one more slot fits, as far as this producer knows without a look at what was released.
    #[inline(always)]
    #[must_use]
    pub fn seems_to_have_room(&self) -> bool {
        self.reserved < self.limit
    }

    #[cold]
    fn has_room_now(&mut self, slots: u64) -> bool {
        self.refresh_released();
        self.reserved + slots <= self.limit
    }

    /// Whether more than half of the lane waits for the flusher, as far as this producer knows.
    #[inline(always)]
    #[must_use]
    pub fn seems_filling(&self) -> bool {
        self.reserved + self.slots() / 2 > self.limit
    }

    /// Whether more than half of the lane waits for the flusher.
    pub fn is_filling(&mut self) -> bool {
        self.refresh_released();
        self.seems_filling()
    }

    /// The last position up to which the flusher released slots, if it is credible.
    pub fn refresh_released(&mut self) -> u64 {
        let Consumer { released, released_inverted, .. } = &self.block.consumer;
        self.released = self.accept(self.released, released, released_inverted);
        self.limit = self.limit.max(self.released + self.slots());
        self.released
    }

    /// The cached result of [`Lane::refresh_released`].
    #[must_use]
    pub fn released(&self) -> u64 {
        self.released
    }

    /// Whether the flusher may be past `sequence` by now: true as soon as it has begun to publish that.
    #[must_use]
    pub fn may_have_released(&self, sequence: u64) -> bool {
        self.block.consumer.released.load(Ordering::Acquire) >= sequence
    }

    /// Highest sequence whose slot may be reused, because it was released or kept.
    #[must_use]
    pub fn reusable(&self) -> u64 {
        self.limit - self.slots()
    }

    /// KEEP:2. First and last sequence of what is to be copied next, so that its slots may be reused: the oldest whole messages
    /// that the lane still holds and that exist nowhere else, about `slots_max` slots of them, at least one message. None if
    /// there is none.
    #[must_use]
    pub fn next_to_keep(&mut self, slots_max: u64) -> Option<(u64, u64)> {
        if self.committed != self.reserved {
            self.seal();
        }
        // Slots older than this were overwritten without a copy.
        let first = self.reusable().max(self.committed.saturating_sub(self.slots())) + 1;
        let mut end = first - 1;
        while end < self.committed {
            let next = (end + self.slots_from(end + 1)).min(self.committed);
            if end >= first && next - first + 1 > slots_max {
                break;
            }
            end = next;
        }
        (end >= first).then_some((first, end))
    }

    /// Slots of the message that begins at `sequence`, as far as its first slot is credible.
    fn slots_from(&self, sequence: u64) -> u64 {
        let cells = self.unit(sequence);
        let sizes = cells[HEAD_WORDS - 1].load(Ordering::Relaxed);
        let (slots, kind) = (sizes >> 32 & 0xffff, (sizes >> 48) as u8);
        let valid = cells[0].load(Ordering::Relaxed) == commit_word(sequence, slot_state::VALID);
        let believed = valid && kind == slot_kind::FIRST && (1..=(self.slots() / 4).max(1)).contains(&slots);
        if believed { slots } else { 1 }
    }

    /// The words of the slots from `first` to `last`, in two pieces if they wrap around.
    #[must_use]
    pub fn slot_words(&self, first: u64, last: u64) -> [&'a [AtomicU64]; 2] {
        let (start, units) = (self.index(first), (last - first + 1) as usize * self.slot_units);
        let end = start + units;
        let [head, tail] = match end.checked_sub(self.units.len()) {
            Some(beyond) => [&self.units[start..], &self.units[..beyond]],
            None => [&self.units[start..end], &[]],
        };
        [head.as_flattened(), tail.as_flattened()]
    }

    /// KEEP:4. Notes that everything up to `sequence` is copied where readers find it: its slots may be reused.
    pub fn mark_kept(&mut self, sequence: u64) {
        // Pairs with the reader's check of `reserved`, READ:3: a slot visibly reserved for the next lap implies a visible copy.
        fence(Ordering::SeqCst);
        self.block.kept.store(sequence, Ordering::Release);
        fence(Ordering::Release);
        self.limit = self.limit.max(sequence + self.slots());
    }

    /// Another process wrote the pair, so it is accepted only if both words agree, it does not go back, and it does not exceed
    /// what was committed.
    fn accept(&self, last: u64, value: &AtomicU64, inverted: &AtomicU64) -> u64 {
        let found = value.load(Ordering::Acquire);
        let agrees = inverted.load(Ordering::Acquire) == !found || mutant::is(Mutant::TornPosition);
        if agrees && found > last && found <= self.committed { found } else { last }
    }

    /// Writes one message and returns its raw clock. The caller has ensured room, or intends to overwrite. A body longer than
    /// [`Lane::message_size_max`] is a defect of the caller and is truncated.
    #[inline]
    pub fn append(&mut self, clock: impl FnOnce() -> u64, message: &Message<'_>) -> u64 {
        let Message { ref origin, body } = *message;
        if body.len() <= SMALL_BODY * 8 {
            self.first_free();
            let head = SmallHead::new(origin.level, origin.encoding);
            let mut slot = self.begin(clock, head, origin.word(), body.len());
            slot.bytes(body);
            return self.commit(slot);
        }
        let body = &body[..body.len().min(self.message_size_max)];
        let size = (body.len(), self.slots_for(body.len()));
        self.append_long(clock, origin, size, |open| open.bytes(body))
    }

    /// Opens a slot for a message of at most [`SMALL_BODY`] words, of `length` bytes. `origin` is the call site's id, with the
    /// thread's in the high half. Anything but user code may run before [`Lane::commit`]: the processor does it while it waits
    /// for the clock. The owner has not jumped out of an append before.
    #[inline(always)]
    pub fn begin(&mut self, clock: impl FnOnce() -> u64, head: SmallHead, origin: u64, length: usize) -> OpenSlot<'a> {
        let first = self.reserved + 1;
        let unit = self.unit(first);
        let now = self.open(first, 1, unit, clock);
        self.begin_slot(unit, unit[HEAD_WORDS..].iter(), first, now, [origin, head.0 | length as u64])
    }

    /// Commits a message of one slot, whose body is complete, and returns its raw clock.
    #[inline(always)]
    pub fn commit(&mut self, slot: OpenSlot<'a>) -> u64 {
        slot.finish();
        slot.commit();
        self.close(slot.first, slot.message);
        slot.now
    }

    /// Writes a message of any length and returns its raw clock: `write` hands over its `length` bytes as words, at most
    /// [`Lane::message_size_max`]; they take `slots`, see [`Lane::slots_for`]. The caller has ensured room, or intends to
    /// overwrite.
    #[inline]
    pub fn append_long(
        &mut self,
        clock: impl FnOnce() -> u64,
        origin: &Origin,
        (length, slots): (usize, u64),
        write: impl FnOnce(&mut OpenMessage<'_, 'a>),
    ) -> u64 {
        let first = self.first_free();
        let now = self.open(first, slots, self.unit(first), clock);
        let here = length.min(self.payload_size);
        let part = Part { slots: slots as u16, kind: slot_kind::FIRST, length: here };
        let slot = self.begin_part(first, now, origin, part);
        let mut open = OpenMessage { lane: self, slot, origin: *origin, next: 1, rest: length - here };
        write(&mut open);
        let OpenSlot { message, .. } = open.slot;
        open.slot.finish();
        // The first one last: it makes the message visible.
        for sequence in (first..first + slots).rev() {
            // LANE:D
            self.unit(sequence)[0].store(commit_word(sequence, slot_state::VALID), Ordering::Release);
        }
        self.close(first + slots - 1, message);
        now
    }

    /// The next sequence. If the owner finds its lane open, because it jumped out of an append, it seals it first.
    #[inline(always)]
    fn first_free(&mut self) -> u64 {
        if self.committed != self.reserved && !mutant::is(Mutant::NoSeal) {
            self.seal();
        }
        self.reserved + 1
    }

    #[inline(always)]
    fn open(&mut self, first: u64, slots: u64, unit: &Unit, clock: impl FnOnce() -> u64) -> u64 {
        ask_ahead(unit);
        self.reserved = first + slots - 1;
        // LANE:A
        if !mutant::is(Mutant::ReservedLate) {
            self.block.reserved.store(self.reserved, Ordering::Relaxed);
        }
        // LANE:B
        if !mutant::is(Mutant::NoBusy) {
            unit[0].swap(commit_word(first, slot_state::BUSY), Ordering::SeqCst);
        }
        // LANE:C
        if !mutant::is(Mutant::NoFence) {
            fence(Ordering::Release);
        }
        if mutant::is(Mutant::ReservedLate) {
            self.block.reserved.store(self.reserved, Ordering::Relaxed);
        }
        clock()
    }

    #[inline(always)]
    fn close(&mut self, last: u64, message: u64) {
        (self.messages, self.committed) = (message, last);
        // LANE:E
        self.block.head.store(last, Ordering::Release);
        self.block.messages.store(message, Ordering::Relaxed);
    }

    /// Begins any slot of a message.
    #[inline]
    fn begin_part(&self, sequence: u64, now: u64, origin: &Origin, part: Part) -> OpenSlot<'a> {
        let words = [origin.word(), sizes_word(origin.level, origin.encoding, part)];
        let start = self.index(sequence);
        let slot = &self.units[start..start + self.slot_units];
        self.begin_slot(&slot[0], slot.as_flattened()[HEAD_WORDS..].iter(), sequence, now, words)
    }

    /// Writes the head of one slot of a message, all but what [`OpenSlot::finish`] and [`OpenSlot::commit`] write.
    #[inline(always)]
    fn begin_slot(
        &self,
        head: &'a Unit,
        body: std::slice::Iter<'a, AtomicU64>,
        sequence: u64,
        now: u64,
        [origin, sizes]: [u64; 2],
    ) -> OpenSlot<'a> {
        let (commit, message) = (commit_word(sequence, slot_state::VALID), self.messages + 1);
        if mutant::is(Mutant::CommitFirst) {
            head[0].store(commit, Ordering::Release);
        }
        for (cell, word) in head[MESSAGE_WORD..].iter().zip([message, origin, sizes]) {
            cell.store(word, Ordering::Relaxed);
        }
        let sum = SlotSum::of_head(self.key, [commit, message, origin, sizes]);
        OpenSlot { head, body, first: sequence, message, commit, now, sum }
    }

    /// Where a sequence's slot begins, in units.
    #[inline(always)]
    fn index(&self, sequence: u64) -> usize {
        (sequence.wrapping_sub(1) & self.mask) as usize * self.slot_units
    }

    /// The first unit of a sequence's slot.
    #[inline(always)]
    fn unit(&self, sequence: u64) -> &'a Unit {
        &self.units[self.index(sequence)]
    }

    /// Continues after an owner that ended in the middle of an append, without the values that it had not stored here: uses
    /// those in the block and the newest slot, if they are plausible.
    #[cold]
    pub fn catch_up(&mut self) {
        let (reserved, head) = (self.block.reserved.load(Ordering::Relaxed), self.block.head.load(Ordering::Relaxed));
        if (self.reserved..=self.reserved + (self.slots() / 4).max(1)).contains(&reserved) {
            self.reserved = reserved;
        }
        if (self.committed..=self.reserved).contains(&head) {
            self.committed = head;
        }
        let number = self.unit(self.committed)[MESSAGE_WORD].load(Ordering::Relaxed);
        if number == self.messages + 1 {
            self.messages = number;
        }
    }

    /// Marks an unfinished append as aborted: its thread was cancelled, or jumped out of it.
    #[cold]
    pub fn seal(&mut self) {
        for sequence in self.committed + 1..=self.reserved {
            self.unit(sequence)[0].store(commit_word(sequence, slot_state::ABORTED), Ordering::Release);
        }
        self.committed = self.reserved;
        self.block.head.store(self.committed, Ordering::Release);
    }

    /// Records the lane's next owner in its block.
    pub fn claim(&mut self, kind: u64, thread: u32, name: &[u8]) {
        self.catch_up();
        if self.committed != self.reserved {
            self.seal();
        }
        let claims = self.block.claims.load(Ordering::Relaxed);
        let owner = &self.block.owners[claims as usize % OWNERS];
        let mut words = [0u64; 2];
        let length = name.len().min(16);
        bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..length].copy_from_slice(&name[..length]);
        // The place may be that of an earlier owner, whose records must not get the new one's name if this process dies here:
        // without a first sequence it has no owner.
        if !mutant::is(Mutant::OwnerRenamed) {
            owner.first.store(0, Ordering::Relaxed);
        }
        fence(Ordering::Release);
        owner.name[0].store(words[0], Ordering::Relaxed);
        owner.name[1].store(words[1], Ordering::Relaxed);
        owner.thread.store(u64::from(thread), Ordering::Relaxed);
        owner.first.store(self.reserved + 1, Ordering::Release);
        self.block.kind.store(kind, Ordering::Relaxed);
        self.block.claims.store(claims.wrapping_add(1), Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::format::layout::SlotHead;

    /// Eight slots of the smallest size, and their block.
    fn memory() -> (Vec<AtomicU64>, LaneBlock) {
        ((0..8 * 16).map(|_| AtomicU64::new(0)).collect(), LaneBlock::default())
    }

    #[test]
    fn an_owner_that_finds_its_lane_open_seals_it_and_goes_on() {
        let (slots, block) = memory();
        let mut lane = Lane::new(&block, &slots, 16, 7);
        let message = Message { origin: Origin { level: 20, call_site: 0, thread: 1, encoding: 0 }, body: b"text" };
        lane.append(|| 1, &message);
        let jump = std::panic::AssertUnwindSafe(|| lane.append(|| panic!("jumps out"), &message));
        assert!(std::panic::catch_unwind(jump).is_err());
        lane.append(|| 3, &message);
        let commit = |sequence: usize| slots[(sequence - 1) * 16].load(Ordering::Relaxed);
        let expected = [(1, slot_state::VALID), (2, slot_state::ABORTED), (3, slot_state::VALID)];
        for (sequence, state) in expected {
            assert_eq!(commit(sequence as usize), commit_word(sequence, state), "sequence {sequence}");
        }
    }

    #[test]
    fn a_slot_states_what_its_message_is_whether_it_is_small_or_long() {
        let (slots, block) = memory();
        let mut lane = Lane::new(&block, &slots, 16, 7);
        let origin = Origin { level: 0x3132, call_site: 0x0a0b_0c0d, thread: 0x1a1b_1c1d, encoding: 0x61 };
        let body = [b'x'; 93];
        lane.append(|| 11, &Message { origin, body: &body[..9] });
        lane.append(|| 12, &Message { origin, body: &body });
        let heads = slots.chunks(16).map(|slot| {
            let words: [u64; 6] = std::array::from_fn(|word| slot[word].load(Ordering::Relaxed));
            bytemuck::cast::<[u64; 6], SlotHead>(words)
        });
        let expected = [
            (1, 11, 1, 9, 1, slot_kind::FIRST),
            (2, 12, 2, 80, 2, slot_kind::FIRST),
            (3, 12, 2, 13, 1, slot_kind::CONTINUATION),
        ];
        for (head, (sequence, clock, message, length, slots, kind)) in heads.zip(expected) {
            assert_eq!((head.commit, head.clock), (commit_word(sequence, slot_state::VALID), clock));
            assert_eq!((head.message, head.length, head.slots, head.kind), (message, length, slots, kind));
            assert_eq!(
                (head.level, head.call_site, head.thread, head.encoding),
                (0x3132, 0x0a0b_0c0d, 0x1a1b_1c1d, 0x61)
            );
        }
    }

    #[test]
    fn a_position_is_believed_only_where_both_words_agree_and_it_goes_forward_to_what_was_committed() {
        let (slots, block) = memory();
        let mut lane = Lane::new(&block, &slots, 16, 7);
        let message = Message { origin: Origin { level: 20, call_site: 0, thread: 1, encoding: 0 }, body: b"text" };
        (1..=5).for_each(|clock| _ = lane.append(|| clock, &message));
        let mut accepted = |released: u64, inverted: u64| {
            block.consumer.released.store(released, Ordering::Relaxed);
            block.consumer.released_inverted.store(inverted, Ordering::Relaxed);
            lane.refresh_released()
        };
        assert_eq!(accepted(3, !2), 0, "torn");
        assert_eq!(accepted(6, !6), 0, "beyond what was committed");
        assert_eq!(accepted(3, !3), 3);
        assert_eq!(accepted(2, !2), 3, "backwards");
    }
}
