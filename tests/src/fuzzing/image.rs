//! A ring file as an input describes it: patches on a small ring, or on zeros.
//!
//! ```text
//! 0   flags, see `flag`
//! 1   slots that are read at once
//! 2   reads after which the second half of the patches shows, as if another process wrote meanwhile
//! 3   patches: offset (2 bytes), length (1), bytes; one of length 0 cuts the file there
//! ```

use super::{number, take};
use lastwords_ring::atomics::{AtomicU64, Ordering};
use lastwords_ring::format::call_site::{CallSiteRef, split_entry_word};
use lastwords_ring::format::checksum::{checksum, lane_key, slot_checksum};
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::format::layout::{
    Consumer, Control, FORMAT_VERSION, LaneBlock, MAGIC, RingHeader, SLOT_HEAD, encoding, entry_kind, entry_word,
    lane_kind,
};
use lastwords_ring::format::placeholder::{COUNT_NONE, COUNT_VALUE, Placeholder, value_tag};
use lastwords_ring::format::record::extra_kind;
use lastwords_ring::place::spill::SpillReference;
use lastwords_ring::read::reader::{Position, Source};
use lastwords_ring::write::body::BodyWriter;
use lastwords_ring::write::call_sites::TableWriter;
use lastwords_ring::write::lane::{Lane, Message, Origin};
use lastwords_ring::write::open_slot::SmallHead;
use std::cell::Cell;
use std::io;
use std::mem::offset_of;
use std::sync::LazyLock;

/// Bits of an input's first byte.
pub mod flag {
    /// The patches change the valid ring, not zeros.
    pub const VALID: u8 = 1;
    /// The header's checksum is made to agree.
    pub const REPAIR_HEADER: u8 = 2;
    /// The checksums of slots, positions and call sites are made to agree.
    pub const REPAIR_CONTENT: u8 = 4;
    /// Not patches follow, but the file itself.
    pub const RAW: u8 = 8;
}

const LANES: usize = 3;
const UUID: [u8; 16] = *b"fuzzed ring uuid";
/// Entries of a call-site table that are repaired.
const ENTRIES: usize = 64;

/// The file, before and after a write to it.
#[derive(Debug)]
pub struct Image {
    before: Vec<u8>,
    after: Vec<u8>,
    changes_at: u32,
    reads: Cell<u32>,
    /// Bytes that have been read.
    pub bytes_read: Cell<u64>,
    /// Slots that are to be read at once.
    pub slots_max: u64,
}

impl Image {
    /// The file that `input` describes.
    #[must_use]
    pub fn of(mut input: &[u8]) -> Image {
        let head = take(&mut input, 3);
        let [flags, slots_max, changes_at] = std::array::from_fn(|n| head.get(n).copied().unwrap_or_default());
        let patches = if flags & flag::RAW != 0 { Vec::new() } else { patches(input) };
        let mut before = match flags & (flag::RAW | flag::VALID) {
            0 => vec![0; VALID.len()],
            flag::VALID => VALID.clone(),
            _ => input.to_vec(),
        };
        let half = if changes_at == 0 { patches.len() } else { patches.len() / 2 };
        patches[..half].iter().for_each(|patch| apply(&mut before, *patch));
        let mut after = before.clone();
        patches[half..].iter().for_each(|patch| apply(&mut after, *patch));
        for bytes in [&mut before, &mut after] {
            if flags & flag::REPAIR_CONTENT != 0 {
                repair_content(bytes);
            }
            if flags & flag::REPAIR_HEADER != 0 {
                repair_header(bytes);
            }
        }
        Image {
            before,
            after,
            changes_at: u32::from(changes_at),
            reads: Cell::new(0),
            bytes_read: Cell::new(0),
            slots_max: u64::from(slots_max),
        }
    }
}

impl Source for Image {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        self.bytes_read.set(self.bytes_read.get() + buffer.len() as u64);
        let bytes = if self.reads.get() <= self.changes_at { &self.before } else { &self.after };
        bytes.read_at(buffer, offset)
    }
}

fn patches(mut input: &[u8]) -> Vec<(usize, &[u8])> {
    let mut patches = Vec::new();
    while input.len() >= 3 {
        let offset = number(&mut input);
        let length = usize::from(take(&mut input, 1)[0]);
        patches.push((offset, take(&mut input, length)));
    }
    patches
}

fn apply(file: &mut Vec<u8>, (offset, bytes): (usize, &[u8])) {
    if bytes.is_empty() {
        file.truncate(offset);
    }
    put(file, offset, bytes);
}

/// Writes as much as the file has room for.
fn put(file: &mut [u8], offset: usize, bytes: &[u8]) {
    let rest = file.get_mut(offset..).unwrap_or_default();
    let length = rest.len().min(bytes.len());
    rest[..length].copy_from_slice(&bytes[..length]);
}

fn word_at(file: &[u8], offset: usize) -> u64 {
    file.get(offset..).and_then(|rest| rest.first_chunk::<8>()).map_or(0, |word| u64::from_le_bytes(*word))
}

fn repair_header(file: &mut [u8]) {
    let end = offset_of!(RingHeader, checksum);
    put(file, 0, &MAGIC);
    put(file, offset_of!(RingHeader, version), &FORMAT_VERSION.to_le_bytes());
    if let Some(sum) = file.get(..end).map(checksum) {
        put(file, end, &sum.to_le_bytes());
    }
}

/// The sizes that the file states, if a ring can have them.
fn geometry_in(file: &[u8]) -> Option<Geometry> {
    let at = |offset: usize| word_at(file, offset) as u32;
    Geometry::new(
        at(offset_of!(RingHeader, record_size)),
        at(offset_of!(RingHeader, slots_per_lane)),
        at(offset_of!(RingHeader, lanes)),
        at(offset_of!(RingHeader, overflow_lanes)),
        at(offset_of!(RingHeader, table_size)),
    )
    .ok()
}

fn repair_content(file: &mut [u8]) {
    let uuid = file.get(offset_of!(RingHeader, uuid)..).and_then(|rest| rest.first_chunk::<16>()).copied();
    let (Some(geometry), Some(uuid)) = (geometry_in(file), uuid) else { return };
    for lane in 0..geometry.lanes() {
        let (start, size) = (geometry.lane_offset(lane) as usize, geometry.record_size());
        if start >= file.len() {
            break;
        }
        let slots = file[start..].chunks_exact_mut(size).take(geometry.slots() as usize);
        slots.for_each(|slot| repair_slot(slot, lane_key(&uuid, lane as u32)));
        let at = geometry.block_offset(lane) as usize + offset_of!(LaneBlock, consumer);
        let word = |n: usize| word_at(file, at + n * 8);
        let (released, written, next_message) = (word(0), word(2), word(4));
        let position = Position { released, written, next_message, dropped_reported: word(5), recovered: word(6) };
        put(file, at, &position.words().map(u64::to_le_bytes).concat());
    }
    repair_table(file, geometry.table_offset() as usize);
}

fn repair_slot(slot: &mut [u8], key: u64) {
    let length = usize::from(u16::from_le_bytes([slot[40], slot[41]]));
    let used = (SLOT_HEAD + length.next_multiple_of(8)).min(slot.len());
    let sum = slot_checksum(&slot[..used], key);
    slot[8..16].copy_from_slice(&sum.to_le_bytes());
}

fn repair_table(file: &mut [u8], table: usize) {
    let mut entry = table + 8;
    for _ in 0..ENTRIES {
        let (kind, length, _) = split_entry_word(word_at(file, entry));
        if kind != entry_kind::CALL_SITE {
            return;
        }
        let Some(payload) = file.get(entry + 8..entry + 8 + length) else { return };
        let word = entry_word(kind, length as u32, checksum(payload));
        put(file, entry, &word.to_le_bytes());
        entry += 8 + length.next_multiple_of(8);
    }
}

/// A ring with everything that a ring can hold, the same bytes each time.
static VALID: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let geometry = Geometry::new(128, 8, LANES as u32, 1, 4096).expect("sizes within the limits");
    let mut file = vec![0; geometry.file_size() as usize];
    put(&mut file, 0, &header(&geometry));
    repair_header(&mut file);
    for (n, anchor) in [(1000u64, 2000u64, 1_760_853_347_606_000_000u64), (9000, 10_000, 1_760_853_347_606_008_000)]
        .map(|(ticks, boottime_ns, realtime_ns)| lastwords_ring::format::anchor::Anchor {
            ticks,
            boottime_ns,
            realtime_ns,
        })
        .iter()
        .enumerate()
    {
        let offset = geometry.control_offset() as usize + offset_of!(Control, anchors) + n * 32;
        put(&mut file, offset, &anchor.words().map(u64::to_le_bytes).concat());
    }
    let table: Vec<AtomicU64> = (0..geometry.table_size() / 8).map(|_| AtomicU64::new(0)).collect();
    let site = register(&TableWriter::new(&table, &AtomicU64::new(0)));
    put_words(&mut file, geometry.table_offset(), &table);
    for lane in 0..LANES {
        let (block, slots) = (block(), (0..geometry.lane_size() / 8).map(|_| AtomicU64::new(0)).collect::<Vec<_>>());
        let mut writer = Lane::new(&block, &slots, geometry.record_size() / 8, lane_key(&UUID, lane as u32));
        fill(lane, &mut writer, site);
        put_words(&mut file, geometry.lane_offset(lane), &slots);
        put_words(&mut file, geometry.block_offset(lane), block_words(&block));
    }
    file
});

/// The ring that [`flag::VALID`] means.
#[must_use]
pub fn valid() -> &'static [u8] {
    &VALID
}

fn put_words<'a>(file: &mut [u8], offset: u64, words: impl IntoIterator<Item = &'a AtomicU64>) {
    for (chunk, word) in file[offset as usize..].chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
    }
}

fn header(geometry: &Geometry) -> [u8; size_of::<RingHeader>()] {
    let mut bytes = [0; size_of::<RingHeader>()];
    put(&mut bytes, offset_of!(RingHeader, uuid), &UUID);
    put(&mut bytes, offset_of!(RingHeader, role_length), &[4, 0, 3, 0]);
    put(&mut bytes, offset_of!(RingHeader, role), b"host");
    put(&mut bytes, offset_of!(RingHeader, app), b"app");
    put(&mut bytes, offset_of!(RingHeader, tick_hz), &1_000_000_000u64.to_le_bytes());
    for (offset, value) in [
        (offset_of!(RingHeader, header_size), size_of::<RingHeader>()),
        (offset_of!(RingHeader, record_size), geometry.record_size()),
        (offset_of!(RingHeader, slots_per_lane), geometry.slots() as usize),
        (offset_of!(RingHeader, lanes), geometry.lanes()),
        (offset_of!(RingHeader, overflow_lanes), geometry.overflow_lanes()),
        (offset_of!(RingHeader, table_size), geometry.table_size()),
        (offset_of!(RingHeader, clock_kind), 2),
        (offset_of!(RingHeader, pid), 4157),
    ] {
        put(&mut bytes, offset, &(value as u32).to_le_bytes());
    }
    bytes
}

/// A call site with two placeholders, one of them styled, and a field.
fn register(table: &TableWriter<'_>) -> u32 {
    let placeholders = [
        Placeholder::new(6, 8, 0, ' ', 0, 0, COUNT_NONE, COUNT_NONE),
        Placeholder::new(14, 23, 0, '*', 2, 0, COUNT_VALUE, 1),
    ];
    let site = CallSiteRef {
        level: 20,
        line: 7,
        target: "app::core",
        module: "app::core",
        file: "src/core.rs",
        format: "frame {} took {:*^w$.1} ms",
        placeholders: &placeholders,
        types: &TYPES,
        fields: &["camera"],
    };
    table.register(&site).expect("room in the table")
}

/// Types of the values for that call site: a number, a width, a float and a text.
const TYPES: [u8; 4] = [value_tag::U64, value_tag::U64, value_tag::F64, value_tag::STR];

/// Such values, with their tags before them or without.
fn values(encoding: u8) -> Vec<u8> {
    let tags = if encoding == encoding::VALUES { [&TYPES[..], &[0; 4]].concat() } else { Vec::new() };
    let words = [7, 9, 16.6f64.to_bits(), 5, u64::from_le_bytes(*b"cam 1\0\0\0")];
    [&tags[..], words.map(u64::to_le_bytes).as_flattened()].concat()
}

/// Lane 0 has wrapped and ends in a message of two slots; lane 1 holds extras, a spilled message and one in flight; the
/// overflow lane is nearly empty and has lost messages.
fn fill(lane: usize, writer: &mut Lane<'_>, site: u32) {
    let mut say = |clock: u64, encoding: u8, call_site: u32, body: &[u8]| {
        let origin = Origin { level: 20, call_site, thread: 41 + lane as u32, encoding };
        writer.append(|| 1000 + clock, &Message { origin, body });
    };
    match lane {
        0 => {
            for n in 0..7 {
                let encoding = if n % 2 == 0 { encoding::VALUES } else { encoding::UNTAGGED };
                say(n, encoding, site, &values(encoding));
            }
            say(8, encoding::TEXT, 0, b"a text\nof two lines \x1b[31m \xff");
            say(9, encoding::TEXT, 0, &[b'x'; 100]);
            writer.claim(lane_kind::WRITE, 41, b"main");
        }
        1 => {
            let mut body = b"cut".to_vec();
            let mut extras = BodyWriter::after_text(&mut body);
            let extras = extras.extra(extra_kind::TARGET, b"app::core").extra(extra_kind::CUT, &77u64.to_le_bytes());
            let encoding = extras.finish();
            say(20, encoding, 0, &body);
            let spilled = SpillReference { number: 1, length: 200, checksum: 3, encoding: 0 };
            say(21, encoding::SPILLED, 0, &spilled.to_bytes());
            let _ = writer.begin(|| 1022, SmallHead::new(20, encoding::TEXT), 42 << 32, 0);
        }
        _ => say(30, encoding::TEXT, 0, b"shared"),
    }
}

fn block() -> LaneBlock {
    let position = Position { released: 2, written: 2, next_message: 3, dropped_reported: 1, recovered: 0 };
    let [released, released_inverted, written, written_inverted, next_message, dropped_reported, recovered, checksum] =
        position.words().map(AtomicU64::new);
    let consumer = Consumer {
        released,
        released_inverted,
        written,
        written_inverted,
        next_message,
        dropped_reported,
        recovered,
        checksum,
    };
    let (dropped, kind) = (AtomicU64::new(3), AtomicU64::new(lane_kind::WRITE));
    LaneBlock { dropped, kind, consumer, ..LaneBlock::default() }
}

/// A block's words in the order in which they are in the file.
fn block_words(block: &LaneBlock) -> impl Iterator<Item = &AtomicU64> {
    let LaneBlock { reserved, head, messages, dropped, dropped_first, dropped_last, kind, claims, kept, left, .. } =
        block;
    let Consumer { released, released_inverted, written, written_inverted, .. } = &block.consumer;
    let Consumer { next_message, dropped_reported, recovered, checksum, .. } = &block.consumer;
    let producer = [reserved, head, messages, dropped, dropped_first, dropped_last, kind, claims, kept, left];
    let owners = block.owners.iter().flat_map(|owner| [&owner.first, &owner.thread, &owner.name[0], &owner.name[1]]);
    let consumer = [released, released_inverted, written, written_inverted];
    let rest = [next_message, dropped_reported, recovered, checksum];
    producer.into_iter().chain(&block.producer_padding).chain(owners).chain(consumer).chain(rest)
}
