//! Guards against a ring that forgets or invents. A wrap that goes wrong by one slot shows once in thousands of
//! records: a line is lost, comes twice, or is put together from two laps, and the reader counts a loss that never
//! was. No single example finds such a thing, so random sequences of appends, partial drains and overwriting run on a
//! lane on the heap and on a plain `VecDeque`, and both must agree on every record and on the exact number lost.
//!
//! Sequences start just below limits of their types, so that whatever breaks there breaks at once and not in a year.

use lastwords_ring::atomics::{AtomicU64, Ordering};
use lastwords_ring::format::checksum::{checksum, lane_key};
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::format::layout::{FORMAT_VERSION, LaneBlock, MAGIC, RingHeader, lane_kind};
use lastwords_ring::read::reader::{Extent, LaneBatch, RingReader};
use lastwords_ring::write::lane::{Lane, Message, Origin};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::mem::offset_of;
use std::path::Path;

/// The lane under test; the ones beside it stay empty and would show a wrong offset.
const LANE: usize = 1;
const LANES: u32 = 3;
const UUID: [u8; 16] = *b"heap ring's uuid";
/// The reader takes no sequence at or above this one.
const SEQUENCE_END: u64 = u64::MAX >> 2;

/// A lane's memory on the heap.
struct Memory {
    geometry: Geometry,
    block: Box<LaneBlock>,
    slots: Vec<AtomicU64>,
}

impl Memory {
    fn new(geometry: Geometry, reserved: u64, messages: u64) -> Memory {
        let block = LaneBlock {
            reserved: AtomicU64::new(reserved),
            messages: AtomicU64::new(messages),
            kind: AtomicU64::new(lane_kind::WRITE),
            ..LaneBlock::default()
        };
        let count = geometry.lane_size() as usize / 8;
        Memory { geometry, block: Box::new(block), slots: (0..count).map(|_| AtomicU64::new(0)).collect() }
    }

    fn lane(&self) -> Lane<'_> {
        Lane::new(&self.block, &self.slots, self.geometry.record_size() / 8, lane_key(&UUID, LANE as u32))
    }

    /// The whole ring as a file would hold it now.
    fn image(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.geometry.file_size() as usize];
        let header = header(&self.geometry);
        bytes[..header.len()].copy_from_slice(&header);
        put_words(&mut bytes, self.geometry.block_offset(LANE), block_words(&self.block));
        put_words(&mut bytes, self.geometry.lane_offset(LANE), &self.slots);
        bytes
    }

    fn reader(&self) -> RingReader<Vec<u8>> {
        RingReader::new(self.image(), Path::new("a ring on the heap")).expect("the header is valid")
    }
}

fn put_words<'a>(bytes: &mut [u8], offset: u64, words: impl IntoIterator<Item = &'a AtomicU64>) {
    for (chunk, word) in bytes[offset as usize..].chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
    }
}

/// The producer's words of a block; the others stay zero.
fn block_words(block: &LaneBlock) -> [&AtomicU64; 8] {
    let LaneBlock { reserved, head, messages, dropped, dropped_first, dropped_last, kind, claims, .. } = block;
    [reserved, head, messages, dropped, dropped_first, dropped_last, kind, claims]
}

fn header(geometry: &Geometry) -> [u8; size_of::<RingHeader>()] {
    let mut bytes = [0; size_of::<RingHeader>()];
    let mut put = |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
    put(offset_of!(RingHeader, magic), &MAGIC);
    put(offset_of!(RingHeader, uuid), &UUID);
    put(offset_of!(RingHeader, role_length), &5u16.to_le_bytes());
    put(offset_of!(RingHeader, role), b"model");
    for (offset, value) in [
        (offset_of!(RingHeader, version), FORMAT_VERSION),
        (offset_of!(RingHeader, header_size), size_of::<RingHeader>() as u32),
        (offset_of!(RingHeader, record_size), geometry.record_size() as u32),
        (offset_of!(RingHeader, slots_per_lane), geometry.slots() as u32),
        (offset_of!(RingHeader, lanes), geometry.lanes() as u32),
        (offset_of!(RingHeader, table_size), geometry.table_size() as u32),
    ] {
        put(offset, &value.to_le_bytes());
    }
    let end = offset_of!(RingHeader, checksum);
    let sum = checksum(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// A message as the model remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    first: u64,
    last: u64,
    message: u64,
    clock: u64,
    body: Vec<u8>,
}

/// What a lane must be: the newest messages whose slots were not used again.
struct Model {
    kept: VecDeque<Kept>,
    slots: u64,
    payload: usize,
    reserved: u64,
    messages: u64,
    released: u64,
}

impl Model {
    fn append(&mut self, body: Vec<u8>) {
        let slots = body.len().div_ceil(self.payload).max(1) as u64;
        let first = self.reserved + 1;
        self.reserved += slots;
        self.messages += 1;
        let clock = clock_of(self.messages);
        self.kept.push_back(Kept { first, last: self.reserved, message: self.messages, clock, body });
        while self.kept.front().is_some_and(|oldest| oldest.first + self.slots <= self.reserved) {
            self.kept.pop_front();
        }
    }

    fn between(&self, position: u64, last: u64) -> Vec<Kept> {
        self.kept.iter().filter(|kept| kept.first > position && kept.last <= last).cloned().collect()
    }
}

fn clock_of(message: u64) -> u64 {
    message.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Bytes that differ between messages at every place, so that a body put together from two is seen.
fn body_of(message: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (message.wrapping_mul(31) ^ n.wrapping_mul(7) ^ (n >> 8)) as u8).collect()
}

/// Where the drain of the test is.
struct Drained {
    position: u64,
    next_message: u64,
    /// `reserved` as a READ:1 some appends ago would have seen it.
    seen: u64,
}

struct Run<'a> {
    memory: &'a Memory,
    lane: Lane<'a>,
    model: Model,
    drained: Drained,
    batch: LaneBatch,
}

impl Run<'_> {
    fn append(&mut self, length: Length) {
        let length = length.of(self.memory.geometry.payload_size(), self.lane.message_size_max());
        let number = self.model.messages + 1;
        let body = body_of(number, length);
        let message = Message { origin: Origin { level: 20, call_site: 0, thread: 7, encoding: 0 }, body: &body };
        assert_eq!(self.lane.append(|| clock_of(number), &message), clock_of(number));
        self.model.append(body);
        assert_eq!(self.lane.committed(), self.model.reserved);
    }

    /// One read of at most about `slots_max` slots, of which `take` records are taken.
    fn drain(&mut self, slots_max: u64, take: usize, last: u64) {
        let reader = self.memory.reader();
        let position = self.drained.position;
        reader.read_lane(LANE, position, Extent::Live(last), slots_max, &mut self.batch).expect("bytes in memory");
        let expected = self.model.between(position, last);
        let found: Vec<Kept> = std::iter::from_fn(|| take_next(&mut self.batch)).collect();
        assert_eq!(found, expected[..found.len().min(expected.len())], "records are whole, in order, and nothing else");
        assert_eq!((self.batch.open, self.batch.damaged), (None, 0), "nothing is open and nothing is damaged");
        if last == self.model.reserved {
            assert!(self.batch.more || found.len() == expected.len(), "a read that is done has given everything");
            assert!(!self.batch.more || self.batch.end > position, "a read that has more to come moves on");
        }
        for kept in found.iter().take(take) {
            self.take(kept);
        }
        if take >= found.len() {
            self.drained.position = self.drained.position.max(self.batch.end);
        }
    }

    /// Takes a record as the flusher does and compares the loss that its number implies with the model's.
    fn take(&mut self, kept: &Kept) {
        assert!(kept.first > self.drained.position, "a record comes twice");
        assert!(kept.message >= self.drained.next_message, "message numbers go back");
        let implied = kept.message - self.drained.next_message;
        // Every message has at least one slot, and all between the position and this record is gone.
        let lost = (self.drained.next_message..kept.message).filter(|message| !self.is_kept(*message)).count() as u64;
        assert_eq!(implied, lost, "message numbers tell the exact loss");
        (self.drained.position, self.drained.next_message) = (kept.last, kept.message + 1);
    }

    fn is_kept(&self, message: u64) -> bool {
        self.model.kept.iter().any(|kept| kept.message == message)
    }

    /// What recovery of a dead process's ring would find now.
    fn recover(&mut self) {
        let (reader, mut buffer) = (self.memory.reader(), Vec::new());
        let last = reader.last_sequence(LANE, &mut buffer).expect("bytes in memory");
        assert_eq!(last, self.model.kept.back().map_or(0, |newest| newest.last));
        let (mut position, mut found) = (self.drained.position, Vec::new());
        loop {
            reader.read_lane(LANE, position, Extent::Final(last), 0, &mut self.batch).expect("bytes in memory");
            assert_eq!((self.batch.open, self.batch.damaged), (None, 0));
            found.extend(std::iter::from_fn(|| take_next(&mut self.batch)));
            if !self.batch.more {
                break;
            }
            assert!(self.batch.end > position, "a read that has more to come moves on");
            position = self.batch.end;
        }
        assert_eq!(found, self.model.between(self.drained.position, u64::MAX), "recovery finds all that is kept");
        for lane in (0..LANES as usize).filter(|lane| *lane != LANE) {
            assert_eq!(reader.last_sequence(lane, &mut buffer).expect("bytes in memory"), 0, "the lanes beside it");
        }
    }

    /// The flusher, or something that writes nonsense in its place, publishes a position.
    fn publish(&mut self, released: u64, agrees: bool) {
        let consumer = &self.memory.block.consumer;
        consumer.released.store(released, Ordering::Relaxed);
        consumer.released_inverted.store(if agrees { !released } else { released }, Ordering::Relaxed);
        if agrees && released > self.model.released && released <= self.model.reserved {
            self.model.released = released;
        }
        assert_eq!(self.lane.refresh_released(), self.model.released, "nonsense is ignored, sense is not");
        let used = self.model.reserved - self.model.released;
        for slots in 1..=self.model.slots {
            assert_eq!(self.lane.has_room(slots), used + slots <= self.model.slots);
        }
        assert_eq!(self.lane.is_filling(), used > self.model.slots / 2);
    }

    fn apply(&mut self, operation: &Operation) {
        match *operation {
            Operation::Append(length) => self.append(length),
            Operation::Overwrite(count) => (0..count).for_each(|_| self.append(Length::Slots(1, 0))),
            Operation::Drain { slots_max, take } => self.drain(slots_max, take, self.model.reserved),
            Operation::Look => self.drained.seen = self.model.reserved,
            Operation::DrainLate { slots_max } => self.drain(slots_max, usize::MAX, self.drained.seen),
            Operation::Recover => self.recover(),
            Operation::Release { back, agrees } => self.publish(self.model.reserved.saturating_sub(back), agrees),
            Operation::Nonsense { released, agrees } => self.publish(released, agrees),
        }
    }
}

fn take_next(batch: &mut LaneBatch) -> Option<Kept> {
    let record = batch.peek()?;
    let kept = Kept {
        first: record.first,
        last: record.last,
        message: record.message,
        clock: record.clock,
        body: record.body.to_vec(),
    };
    batch.advance();
    Some(kept)
}

/// Length of a body, near the edges of slots where lengths go wrong.
#[derive(Debug, Clone, Copy)]
enum Length {
    /// So many slots' payload and a little more or less.
    Slots(usize, isize),
    /// So many 256ths of the longest.
    Part(u8),
    Longest,
}

impl Length {
    fn of(self, payload: usize, longest: usize) -> usize {
        let length = match self {
            Length::Slots(slots, more) => (slots * payload).saturating_add_signed(more),
            Length::Part(part) => longest * usize::from(part) / 256,
            Length::Longest => longest,
        };
        length.min(longest)
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Append(Length),
    /// Many appends at once, which overwrite what was not drained.
    Overwrite(u8),
    Drain {
        slots_max: u64,
        take: usize,
    },
    /// READ:1 for a later [`Operation::DrainLate`], with appends in between.
    Look,
    DrainLate {
        slots_max: u64,
    },
    Recover,
    /// A position so far back from the newest slot.
    Release {
        back: u64,
        agrees: bool,
    },
    Nonsense {
        released: u64,
        agrees: bool,
    },
}

fn length() -> impl Strategy<Value = Length> {
    prop_oneof![
        4 => (0usize..5, -2isize..=2).prop_map(|(slots, more)| Length::Slots(slots, more)),
        2 => any::<u8>().prop_map(Length::Part),
        1 => Just(Length::Longest),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let slots_max = || prop_oneof![Just(0), 0u64..80, Just(u64::MAX)];
    let take = prop_oneof![2 => Just(usize::MAX), 1 => 0usize..4];
    let nonsense = prop_oneof![any::<u64>(), Just(u64::MAX), 0u64..1000];
    prop_oneof![
        12 => length().prop_map(Operation::Append),
        1 => (1u8..90).prop_map(Operation::Overwrite),
        4 => (slots_max(), take).prop_map(|(slots_max, take)| Operation::Drain { slots_max, take }),
        2 => Just(Operation::Look),
        2 => slots_max().prop_map(|slots_max| Operation::DrainLate { slots_max }),
        1 => Just(Operation::Recover),
        2 => (0u64..20, any::<bool>()).prop_map(|(back, agrees)| Operation::Release { back, agrees }),
        1 => (nonsense, any::<bool>()).prop_map(|(released, agrees)| Operation::Nonsense { released, agrees }),
    ]
}

/// Sequence numbers before the first append: at the start, just below limits of types, and just below the end of all
/// sequences.
fn start() -> impl Strategy<Value = u64> {
    let limits = vec![0, 1 << 16, 1 << 31, 1 << 32, 1 << 53, (u64::MAX >> 4) + 1, SEQUENCE_END - 10_000];
    (proptest::sample::select(limits), 0u64..40).prop_map(|(limit, below)| limit.saturating_sub(below))
}

fn geometry() -> impl Strategy<Value = Geometry> {
    let sizes = (proptest::sample::select(vec![128, 256, 512]), proptest::sample::select(vec![8, 16, 64]));
    sizes.prop_map(|(record, slots)| Geometry::new(record, slots, LANES, 0, 4096).expect("sizes within the limits"))
}

fn run(geometry: Geometry, start: u64, messages: u64, operations: &[Operation]) {
    let memory = Memory::new(geometry, start, messages);
    let lane = memory.lane();
    assert_eq!(lane.message_size_max(), geometry.message_size_max());
    let (slots, payload) = (geometry.slots(), geometry.payload_size());
    let model = Model { kept: VecDeque::new(), slots, payload, reserved: start, messages, released: start };
    let drained = Drained { position: start, next_message: messages + 1, seen: start };
    let mut run = Run { memory: &memory, lane, model, drained, batch: LaneBatch::default() };
    for operation in operations {
        run.apply(operation);
    }
    run.recover();
    while run.drained.position < run.model.reserved {
        let before = run.drained.position;
        run.drain(0, usize::MAX, run.model.reserved);
        assert!(run.drained.position > before, "a drain without a producer comes to its end");
    }
    assert_eq!(run.drained.next_message, run.model.messages + 1, "the newest message is never lost");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_lane_and_its_reader_agree_with_a_queue(
        geometry in geometry(),
        start in start(),
        messages in prop_oneof![Just(0u64), Just(u64::from(u32::MAX) - 3), Just(u64::MAX >> 4)],
        operations in proptest::collection::vec(operation(), 1..60),
    ) {
        run(geometry, start, messages, &operations);
    }
}

#[test]
fn every_body_length_comes_back_at_every_place_in_the_lap() {
    let geometry = Geometry::new(128, 8, LANES, 0, 4096).expect("sizes within the limits");
    for length in 0..=geometry.message_size_max() {
        let memory = Memory::new(geometry, 0, 0);
        let mut lane = memory.lane();
        let mut batch = LaneBatch::default();
        let mut position = 0;
        for number in 1..=17 {
            let body = body_of(number, length);
            lane.append(
                || number,
                &Message { origin: Origin { level: 20, call_site: 0, thread: 7, encoding: 0 }, body: &body },
            );
            let extent = Extent::Live(lane.committed());
            memory.reader().read_lane(LANE, position, extent, 64, &mut batch).expect("bytes in memory");
            let found = take_next(&mut batch).map(|kept| (kept.message, kept.body));
            assert_eq!(found, Some((number, body)), "length {length}, message {number}");
            assert!(batch.is_empty());
            position = batch.end;
        }
    }
}
