//! Guards against a ring that takes the flusher down. One process with a wild pointer, one disk with a bad sector, one user
//! with a text editor, and a file in the rings folder holds anything at all. If the flusher panics on it, hangs on it or
//! allocates what a damaged number says, then all processes of the machine lose their log, again after each restart, because
//! the file is still there. So any bytes must give an error or records, in bounded time and memory, and never a record that was
//! not written.
//!
//! Checksums would hide the code behind them from random damage. In half of the cases they are therefore made to agree again
//! after the damage, as an attacker would.

use lastwords::FullPolicy;
use lastwords_ring::format::call_site::{CallSiteRef, split_entry_word};
use lastwords_ring::format::checksum::{checksum, lane_key, slot_checksum};
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::format::layout::{FORMAT_VERSION, LaneBlock, MAGIC, RingHeader, SLOT_HEAD, entry_word, slot_state};
use lastwords_ring::format::record::Record;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::read::reader::{Extent, LaneBatch, Position, RingReader, Source};
use lastwords_ring::write::lane::{Message, Origin};
use lastwords_ring::write::ring::{Ring, RingSpec};
use lastwords_tests::scratch::Scratch;
use proptest::prelude::*;
use proptest::sample::Index;
use rustix::fs::{CWD, FileType, Mode};
use std::cell::Cell;
use std::collections::HashSet;
use std::mem::offset_of;
use std::path::Path;
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

/// Lanes that are read of a ring that claims to be larger than [`READ_WHOLE_MAX`].
const LANES_OF_LARGE: [usize; 3] = [0, 1, usize::MAX];
/// Bytes up to which a ring is read with all its lanes; a larger one only costs the test time.
const READ_WHOLE_MAX: u64 = 8 << 20;
/// Resident memory that no ring of the largest size may make this process exceed: a lane is at most 32 MiB.
const MEMORY_MAX_KB: u64 = 256 << 10;
/// Slots that a reader may read again in one call, as `reader.rs` limits them.
const REREADS_MAX: u64 = 1 << 15;

/// A ring as its process left it, and every record that was ever written to it.
struct Base {
    bytes: Vec<u8>,
    geometry: Geometry,
    written: HashSet<Written>,
    call_site: u32,
}

/// All of a record that a reader may believe.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Written {
    lane: usize,
    first: u64,
    last: u64,
    clock: u64,
    message: u64,
    thread: u32,
    call_site: u32,
    level: u16,
    body: Vec<u8>,
}

impl Written {
    fn of(lane: usize, record: &Record<'_>) -> Written {
        Written {
            lane,
            first: record.first,
            last: record.last,
            clock: record.clock,
            message: record.message,
            thread: record.thread,
            call_site: record.call_site,
            level: record.level.number(),
            body: record.body.to_vec(),
        }
    }
}

/// Rings of every record size: one hardly used, one that has wrapped, one with long messages.
static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    let sizes = [(128, 32, 3, 70), (128, 64, 2, 20), (256, 16, 2, 7), (256, 32, 3, 90), (512, 8, 2, 30)];
    sizes.map(|(record, slots, lanes, messages)| base(record, slots, lanes, messages)).into()
});

fn base(record_size: u32, slots: u32, lanes: u32, messages: u64) -> Base {
    let scratch = Scratch::new("hostile");
    let folder = Folder::create(scratch.path()).expect("a log folder");
    let geometry = Geometry::new(record_size, slots, lanes, 1, 4096).expect("sizes within the limits");
    let spec =
        RingSpec { full: FullPolicy::Overwrite, rotate_size: 1, rotate_keep: 1, ..RingSpec::new("hostile", geometry) };
    let ring = Ring::create(&folder, &spec).expect("a ring");
    let site = CallSiteRef {
        level: 20,
        line: 7,
        target: "t",
        module: "m",
        file: "f.rs",
        format: "{}",
        placeholders: &[],
        types: &[],
        fields: &["a", "b"],
    };
    let call_site = ring.table().register(&site).expect("room in the table");
    let mut written = HashSet::new();
    for number in 0..lanes as usize {
        let mut lane = ring.lane(number);
        for message in 1..=messages {
            let length = (message as usize * 37 + number) % (geometry.message_size_max() + 1);
            let body: Vec<u8> = (0..length).map(|n| (n as u64 * message) as u8).collect();
            let (clock, thread) = (message * 1000, number as u32 + 5);
            let first = lane.committed() + 1;
            lane.append(
                || clock,
                &Message { origin: Origin { level: 20, call_site, thread, encoding: 0 }, body: &body },
            );
            let last = lane.committed();
            written.insert(Written { lane: number, first, last, clock, message, thread, call_site, level: 20, body });
        }
    }
    Base { bytes: std::fs::read(ring.path()).expect("the ring's bytes"), geometry, written, call_site }
}

/// What happens to a ring's bytes.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Zero(Index, usize),
    Fill(Index, Vec<u8>),
    Truncate(Index),
    /// A number that is no longer what it was, in the header.
    Header(Index, u8),
    /// A word of a lane block.
    Block(Index, Index, u64),
    /// A word of a slot's head.
    Head(Index, Index, u64),
    /// A slot in the place of another.
    Move(Index, Index),
    /// A commit word of this state, of a sequence that could be in its place.
    Commit(Index, u64, u64),
}

fn number() -> impl Strategy<Value = u64> {
    let edges = vec![0, 1, 2, u64::MAX, u64::MAX >> 1, u64::MAX >> 2, (u64::MAX >> 2) - 1, 1 << 62, 1 << 32, 65536];
    prop_oneof![proptest::sample::select(edges), 0u64..200, any::<u64>()]
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), 1u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        1 => (at(), 1usize..5000).prop_map(|(at, length)| Damage::Zero(at, length)),
        1 => (at(), proptest::collection::vec(any::<u8>(), 1..300)).prop_map(|(at, bytes)| Damage::Fill(at, bytes)),
        1 => at().prop_map(Damage::Truncate),
        1 => (at(), 1u8..).prop_map(|(at, bits)| Damage::Header(at, bits)),
        2 => (at(), at(), number()).prop_map(|(at, word, value)| Damage::Block(at, word, value)),
        3 => (at(), at(), number()).prop_map(|(at, word, value)| Damage::Head(at, word, value)),
        1 => (at(), at()).prop_map(|(from, to)| Damage::Move(from, to)),
        2 => (at(), 0u64..3, 0u64..4).prop_map(|(at, lap, state)| Damage::Commit(at, lap, state)),
    ]
}

/// A slot's place in the file, for a number of a slot counted over all lanes.
fn slot_start(geometry: &Geometry, slot: usize) -> usize {
    geometry.lane_offset(0) as usize + slot * geometry.record_size()
}

fn slots_of(geometry: &Geometry) -> usize {
    geometry.slots() as usize * geometry.lanes()
}

/// Writes as much as the file still has room for.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    let rest = bytes.get_mut(at..).unwrap_or_default();
    let length = rest.len().min(value.len());
    rest[..length].copy_from_slice(&value[..length]);
}

fn word_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).map_or(0, |word| u64::from_le_bytes(*word))
}

impl Damage {
    fn apply(&self, geometry: &Geometry, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let slots = slots_of(geometry);
        match self {
            Damage::Flip(at, bits) => {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
            Damage::Zero(at, length) => {
                let at = at.index(bytes.len());
                put(bytes, at, &vec![0; *length]);
            }
            Damage::Fill(at, with) => {
                let at = at.index(bytes.len());
                put(bytes, at, with);
            }
            Damage::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Header(at, bits) => {
                // Magic and version stay, or nothing after them would be read.
                let from = offset_of!(RingHeader, record_size);
                let at = from + at.index(offset_of!(RingHeader, checksum) - from);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits);
            }
            Damage::Block(lane, word, value) => {
                let start = geometry.block_offset(lane.index(geometry.lanes())) as usize;
                put(bytes, start + word.index(size_of::<LaneBlock>() / 8) * 8, &value.to_le_bytes());
            }
            Damage::Head(slot, word, value) => {
                let start = slot_start(geometry, slot.index(slots));
                put(bytes, start + word.index(SLOT_HEAD / 8) * 8, &value.to_le_bytes());
            }
            Damage::Move(from, to) => {
                let from = slot_start(geometry, from.index(slots));
                let moved: Vec<u8> = bytes.iter().skip(from).take(geometry.record_size()).copied().collect();
                put(bytes, slot_start(geometry, to.index(slots)), &moved);
            }
            Damage::Commit(slot, lap, state) => {
                let slot = slot.index(slots);
                let sequence = lap * geometry.slots() + slot as u64 % geometry.slots() + 1;
                put(bytes, slot_start(geometry, slot), &(sequence << 2 | state).to_le_bytes());
            }
        }
    }
}

/// Makes the header's checksum agree with what the header says.
fn repair_header(bytes: &mut [u8]) {
    let end = offset_of!(RingHeader, checksum);
    if let Some(sum) = bytes.get(..end).map(checksum) {
        put(bytes, end, &sum.to_le_bytes());
    }
}

/// Makes slots, positions and the call site agree with their checksums, forged or not.
fn repair_content(base: &Base, bytes: &mut [u8]) {
    let geometry = &base.geometry;
    let uuid_at = offset_of!(RingHeader, uuid);
    let Some(uuid) = bytes.get(uuid_at..).and_then(|rest| rest.first_chunk::<16>()).copied() else { return };
    for number in 0..slots_of(geometry) {
        let start = slot_start(geometry, number);
        let Some(slot) = bytes.get_mut(start..start + geometry.record_size()) else { break };
        let length = usize::from(u16::from_le_bytes([slot[40], slot[41]]));
        let used = (SLOT_HEAD + length.next_multiple_of(8)).min(slot.len());
        let key = lane_key(&uuid, number as u32 / geometry.slots() as u32);
        let sum = slot_checksum(&slot[..used], key);
        slot[8..16].copy_from_slice(&sum.to_le_bytes());
    }
    for lane in 0..geometry.lanes() {
        let at = geometry.block_offset(lane) as usize + offset_of!(LaneBlock, consumer);
        let word = |n: usize| word_at(bytes, at + n * 8);
        let (released, written, next_message) = (word(0), word(2), word(4));
        let position = Position { released, written, next_message, dropped_reported: word(5), recovered: word(6) };
        let words: Vec<u8> = position.words().iter().flat_map(|word| word.to_le_bytes()).collect();
        put(bytes, at, &words);
    }
    let entry = geometry.table_offset() as usize + base.call_site as usize * 8;
    let (kind, length, _) = split_entry_word(word_at(bytes, entry));
    let payload: Vec<u8> = bytes.iter().skip(entry + 8).take(length).copied().collect();
    let word = entry_word(kind, length as u32, checksum(&payload));
    put(bytes, entry, &word.to_le_bytes());
}

/// Reads all that a reader can be asked for and gives each record to `found`.
fn read_all<S: Source>(reader: &RingReader<S>, ids: &[u32], from: u64, slots_max: u64, mut found: impl FnMut(Written)) {
    let geometry = reader.geometry();
    let control = reader.control().expect("bytes in memory");
    assert!(control.anchors.len() <= lastwords_ring::format::layout::ANCHORS);
    let timeline = reader.timeline().expect("bytes in memory");
    for id in ids {
        let _ = timeline.realtime_ns(u64::from(*id) << (id % 32));
        let _ = timeline.boottime_ns(u64::MAX - u64::from(*id));
        let _ = reader.call_site(*id).expect("bytes in memory");
    }
    let _ = (reader.role(), reader.app(), reader.process());
    let (mut buffer, mut snapshots, mut batch) = (Vec::new(), Vec::new(), LaneBatch::default());
    reader.lanes(&mut buffer, &mut snapshots).expect("bytes in memory");
    assert_eq!(snapshots.len(), geometry.lanes());
    let lanes: Vec<usize> = if geometry.file_size() <= READ_WHOLE_MAX {
        (0..geometry.lanes()).collect()
    } else {
        LANES_OF_LARGE.map(|lane| lane.min(geometry.lanes() - 1)).into()
    };
    for lane in lanes {
        let last = reader.last_sequence(lane, &mut buffer).expect("bytes in memory");
        assert!(last <= u64::MAX >> 2);
        let snapshot = &snapshots[lane];
        for extent in [Extent::Live(snapshot.reserved), Extent::Final(last)] {
            for position in [0, snapshot.position.released, from] {
                read_lane(reader, lane, position, extent, slots_max, &mut batch, |record| {
                    let _ = (snapshot.thread_name(&record), record.split(), record.extra(1), record.cut_from());
                    found(Written::of(lane, &record));
                });
            }
        }
    }
}

/// Reads a lane until there is no more, in as many calls as it has slots at the most.
fn read_lane<S: Source>(
    reader: &RingReader<S>,
    lane: usize,
    mut position: u64,
    extent: Extent,
    slots_max: u64,
    batch: &mut LaneBatch,
    mut found: impl FnMut(Record<'_>),
) {
    let geometry = reader.geometry();
    for _ in 0..=geometry.slots() {
        reader.read_lane(lane, position, extent, slots_max, batch).expect("bytes in memory");
        for record in batch.iter() {
            assert!(record.body.len() <= geometry.message_size_max(), "a body longer than any message can be");
            assert!(record.first > position && record.last >= record.first, "a record from before the position");
            found(record);
        }
        assert!(batch.damaged <= geometry.slots(), "more damage than slots");
        if !batch.more {
            return;
        }
        assert!(batch.end > position, "a read that has more to come moves on");
        position = batch.end;
    }
    panic!("a lane of {} slots was not read in as many calls", geometry.slots());
}

/// The most memory that this process ever had resident, in KiB.
fn memory_peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak of resident memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn open(bytes: Vec<u8>) -> Option<RingReader<Vec<u8>>> {
    match RingReader::new(bytes, Path::new("/somewhere/hostile.ring")) {
        Ok(reader) => Some(reader),
        Err(error) => {
            assert!(error.to_string().contains("/somewhere/hostile.ring"), "the error names the file: {error}");
            None
        }
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn random_bytes_give_an_error_or_records(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..20_000),
        is_like_a_ring: bool,
        ids: [u32; 4],
    ) {
        if is_like_a_ring {
            put(&mut bytes, 0, &MAGIC);
            put(&mut bytes, offset_of!(RingHeader, version), &FORMAT_VERSION.to_le_bytes());
            repair_header(&mut bytes);
        }
        if let Some(reader) = open(bytes) {
            read_all(&reader, &ids, 0, 64, |_| {});
        }
    }

    #[test]
    fn random_bytes_behind_a_valid_header_give_no_false_record(
        base in any::<Index>(),
        noise in proptest::collection::vec(any::<u8>(), 1..3000),
        from in number(),
        slots_max in number(),
        ids: [u32; 4],
    ) {
        let base = base.get(&BASES);
        let mut bytes = base.bytes.clone();
        for (byte, noise) in bytes[size_of::<RingHeader>()..].iter_mut().zip(noise.iter().cycle()) {
            *byte = *noise;
        }
        let reader = open(bytes).expect("the header is whole");
        read_all(&reader, &ids, from, slots_max, |found| panic!("nobody wrote {found:?}"));
    }
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn damage_gives_only_records_that_were_written(
        base in any::<Index>(),
        damage in proptest::collection::vec(damage(), 1..12),
        repairs_header: bool,
        from in number(),
        slots_max in number(),
        ids: [u32; 4],
    ) {
        let base = base.get(&BASES);
        let mut bytes = base.bytes.clone();
        damage.iter().for_each(|damage| damage.apply(&base.geometry, &mut bytes));
        if repairs_header {
            repair_header(&mut bytes);
        }
        if let Some(reader) = open(bytes) {
            let ids = [&ids[..], &[base.call_site]].concat();
            read_all(&reader, &ids, from, slots_max, |found| {
                assert!(base.written.contains(&found), "nobody wrote {found:?}");
            });
        }
    }

    #[test]
    fn damage_that_agrees_with_all_checksums_gives_an_error_or_records(
        base in any::<Index>(),
        damage in proptest::collection::vec(damage(), 1..12),
        from in number(),
        slots_max in number(),
        ids: [u32; 4],
    ) {
        let base = base.get(&BASES);
        let mut bytes = base.bytes.clone();
        damage.iter().for_each(|damage| damage.apply(&base.geometry, &mut bytes));
        repair_header(&mut bytes);
        repair_content(base, &mut bytes);
        if let Some(reader) = open(bytes) {
            let ids = [&ids[..], &[base.call_site]].concat();
            read_all(&reader, &ids, from, slots_max, |_| {});
        }
    }
}

#[test]
fn an_undamaged_ring_gives_its_newest_records() {
    for base in BASES.iter() {
        let mut found = HashSet::new();
        let reader = open(base.bytes.clone()).expect("a whole ring");
        read_all(&reader, &[base.call_site], 0, 0, |record| _ = found.insert(record));
        let kept = |record: &&Written| {
            let newest = base.written.iter().filter(|other| other.lane == record.lane).map(|other| other.last).max();
            record.first + base.geometry.slots() > newest.unwrap_or(0)
        };
        assert_eq!(found.iter().collect::<HashSet<_>>(), base.written.iter().filter(kept).collect());
        assert!(reader.call_site(base.call_site).expect("bytes in memory").is_some());
    }
}

#[test]
fn a_header_that_claims_the_largest_ring_costs_no_more_than_one_lane() {
    let base = &BASES[0];
    // 32 lanes of 65536 slots of 512 bytes are 1 GiB less the pages before them, which are then too many.
    for (slots, lanes) in [(65536u32, 31u32), (8192, 255), (1024, 1024)] {
        let mut bytes = base.bytes.clone();
        put(&mut bytes, offset_of!(RingHeader, record_size), &512u32.to_le_bytes());
        put(&mut bytes, offset_of!(RingHeader, slots_per_lane), &slots.to_le_bytes());
        put(&mut bytes, offset_of!(RingHeader, lanes), &lanes.to_le_bytes());
        for lane in 0..base.geometry.lanes() {
            put(&mut bytes, base.geometry.block_offset(lane) as usize, &(1u64 << 40).to_le_bytes());
        }
        repair_header(&mut bytes);
        let reader = open(bytes).expect("sizes within the limits");
        let (mut snapshots, mut batch) = (Vec::new(), LaneBatch::default());
        reader.lanes(&mut Vec::new(), &mut snapshots).expect("bytes in memory");
        for lane in LANES_OF_LARGE.map(|lane| lane.min(lanes as usize - 1)) {
            let last = reader.last_sequence(lane, &mut Vec::new()).expect("bytes in memory");
            assert_eq!(last, 0);
            for extent in [Extent::Live(snapshots[lane].reserved), Extent::Final(last), Extent::Final(1 << 30)] {
                read_lane(&reader, lane, 0, extent, u64::MAX, &mut batch, |_| panic!("nobody wrote there"));
            }
        }
    }
    let peak = memory_peak_kb();
    assert!(peak < MEMORY_MAX_KB, "{peak} KiB were resident at the peak");
}

#[test]
fn the_longest_chain_of_forged_messages_is_read_in_bounded_calls() {
    // Every slot claims to be the first of the longest message, so that each is read for each before it.
    for base in BASES.iter() {
        let mut bytes = base.bytes.clone();
        let geometry = &base.geometry;
        for number in 0..slots_of(geometry) {
            let start = slot_start(geometry, number);
            let sequence = number as u64 % geometry.slots() + 1;
            put(&mut bytes, start, &(sequence << 2 | slot_state::VALID).to_le_bytes());
            put(&mut bytes, start + 44, &[geometry.message_slots_max() as u8, 0, 1, 0]);
        }
        for lane in 0..geometry.lanes() {
            put(&mut bytes, geometry.block_offset(lane) as usize, &geometry.slots().to_le_bytes());
        }
        repair_content(base, &mut bytes);
        let reader = open(bytes).expect("the header is whole");
        for slots_max in [0, 3, u64::MAX] {
            read_all(&reader, &[], 0, slots_max, |found| panic!("none of them is whole: {found:?}"));
        }
    }
}

/// A ring that is changed faster than it can be read: no slot is the same twice.
struct Restless {
    bytes: Vec<u8>,
    slots_at: u64,
    reads: Cell<u64>,
}

impl Source for Restless {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let count = self.bytes.read_at(buffer, offset)?;
        if offset >= self.slots_at {
            let reads = self.reads.get() + 1;
            assert!(reads < REREADS_MAX + 100, "the reader does not give up");
            self.reads.set(reads);
            for slot in buffer[..count].chunks_mut(128) {
                // Never zero, and never the same in two reads that follow each other.
                slot[SLOT_HEAD - 24] ^= (reads % 255) as u8 + 1;
            }
        }
        Ok(count)
    }
}

#[test]
fn a_writer_that_never_rests_does_not_hold_the_reader() {
    let base = &BASES[0];
    let slots_at = base.geometry.lane_offset(0);
    let source = Restless { bytes: base.bytes.clone(), slots_at, reads: Cell::new(0) };
    let reader = RingReader::new(source, Path::new("restless")).expect("the header is whole");
    let (mut snapshots, mut batch) = (Vec::new(), LaneBatch::default());
    reader.lanes(&mut Vec::new(), &mut snapshots).expect("bytes in memory");
    let extent = Extent::Live(snapshots[0].reserved);
    read_lane(&reader, 0, 0, extent, u64::MAX, &mut batch, |found| panic!("no slot is whole: {found:?}"));
    assert!(batch.damaged > 0);
    assert!(reader.source().reads.get() > REREADS_MAX, "the reader gave up although a slot was still changing");
}

/// What a file in the rings folder may be instead of a ring.
fn make_impostors(folder: &Path) -> Vec<std::path::PathBuf> {
    let path = |name: &str| folder.join(name);
    let base = path("real.ring");
    std::fs::write(&base, &BASES[0].bytes).expect("a ring file");
    rustix::fs::mknodat(CWD, path("fifo.ring"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    std::os::unix::fs::symlink(&base, path("link.ring")).expect("a symbolic link");
    std::os::unix::fs::symlink(path("nowhere"), path("dangling.ring")).expect("a symbolic link");
    std::os::unix::fs::symlink(path("loop.ring"), path("loop.ring")).expect("a symbolic link");
    std::fs::create_dir(path("folder.ring")).expect("a folder");
    std::fs::write(path("empty.ring"), b"").expect("an empty file");
    std::fs::write(path("short.ring"), &BASES[0].bytes[..100]).expect("a cut file");
    std::fs::write(path("text.ring"), "not a ring\n".repeat(1000)).expect("a text file");
    std::fs::write(path("zero.ring"), vec![0; 100_000]).expect("a file of zeros");
    let _socket = std::os::unix::net::UnixListener::bind(path("socket.ring")).expect("a socket");
    let names = ["fifo", "link", "dangling", "loop", "folder", "empty", "short", "text", "zero", "socket", "missing"];
    let mut paths: Vec<_> = names.iter().map(|name| path(&format!("{name}.ring"))).collect();
    paths.extend(["/dev/null", "/dev/zero", "/dev/tty", "/proc/self/mem"].map(Into::into));
    paths
}

#[test]
fn what_is_no_ring_file_is_refused_at_once_and_by_name() {
    let scratch = Scratch::new("impostors");
    for path in make_impostors(scratch.path()) {
        let (sender, receiver) = mpsc::channel();
        let opened = path.clone();
        std::thread::spawn(move || sender.send(RingReader::open(&opened).map(|_| ())));
        // The time is only there to end a deadlock.
        let result = receiver.recv_timeout(Duration::from_secs(60));
        let result = result.unwrap_or_else(|_| panic!("opening {} never returned", path.display()));
        let error = result.expect_err("this is no ring").to_string();
        assert!(error.contains(&path.display().to_string()), "the error names the file: {error}");
        // The kind of the file is said where the system opens it; reading it first could already wait.
        if ["fifo.ring", "folder.ring", "/dev/null", "/dev/zero"].iter().any(|name| path.ends_with(name)) {
            assert!(error.contains("not a regular file"), "{error}");
        }
    }
    assert!(RingReader::open(&scratch.path().join("real.ring")).is_ok(), "the ring itself opens");
}
