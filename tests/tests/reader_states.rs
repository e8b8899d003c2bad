//! Guards against a reader that mistakes one state of a slot for another. A record in flight taken for damage makes every drain
//! report losses that never were; damage taken for a record in flight stops a lane for good; an old lap taken for the new one
//! prints a line twice. They look alike from outside, so the table in `reader.rs` has a test for every row here, for a live
//! ring and for a dead process's.
//!
//! The rings are made by the real writer and then changed byte by byte.

use lastwords::{FullPolicy, Level};
use lastwords_ring::atomics::Ordering;
use lastwords_ring::format::checksum::{lane_key, slot_checksum};
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::format::layout::{
    LaneBlock, RingHeader, SLOT_BLOCK, SLOT_HEAD, SlotHead, commit_word, slot_kind, slot_state,
};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::read::reader::{Extent, LaneBatch, RingReader, Source};
use lastwords_ring::write::lane::{Message, Origin};
use lastwords_ring::write::ring::{Ring, RingSpec};
use lastwords_tests::scratch::Scratch;
use std::cell::Cell;
use std::mem::offset_of;
use std::path::Path;

const SLOTS: u64 = 16;
const SIZE: usize = 128;
const PAYLOAD: usize = SIZE - SLOT_HEAD;

/// A ring's bytes, and what is needed to change them.
#[derive(Clone)]
struct Image {
    bytes: Vec<u8>,
    geometry: Geometry,
    uuid: [u8; 16],
}

fn ring_in(scratch: &Scratch) -> Ring {
    let folder = Folder::create(scratch.path()).expect("a log folder");
    let geometry = Geometry::new(SIZE as u32, SLOTS as u32, 2, 0, 4096).expect("sizes within the limits");
    let spec = RingSpec { full: FullPolicy::Overwrite, ..RingSpec::new("states", geometry) };
    Ring::create(&folder, &spec).expect("a ring")
}

/// A ring whose first lane holds these messages.
fn ring_of(bodies: &[&[u8]]) -> Image {
    let scratch = Scratch::new("reader-states");
    let ring = ring_in(&scratch);
    let mut lane = ring.lane(0);
    for (clock, body) in (1..).zip(bodies) {
        lane.append(|| clock, &Message { origin: Origin { level: 20, call_site: 0, thread: 7, encoding: 0 }, body });
    }
    let bytes = std::fs::read(ring.path()).expect("the ring's bytes");
    Image { bytes, geometry: ring.geometry(), uuid: ring.header().uuid }
}

/// A ring whose message n, from 1 to `count`, says "message n".
fn ring_of_short(count: usize) -> Image {
    let bodies: Vec<Vec<u8>> = (1..=count).map(|n| short(n).into_bytes()).collect();
    ring_of(&bodies.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn short(number: usize) -> String {
    format!("message {number}")
}

fn long(slots: usize) -> Vec<u8> {
    (0..slots * PAYLOAD - 3).map(|n| (n % 251) as u8).collect()
}

impl Image {
    fn slot(&mut self, sequence: u64) -> &mut [u8] {
        let start = self.geometry.lane_offset(0) as usize + self.geometry.slot_index(sequence) as usize * SIZE;
        &mut self.bytes[start..start + SIZE]
    }

    fn set_commit(&mut self, sequence: u64, word: u64) {
        self.slot(sequence)[..8].copy_from_slice(&word.to_le_bytes());
    }

    fn set_state(&mut self, sequence: u64, state: u64) {
        self.set_commit(sequence, commit_word(sequence, state));
    }

    fn clear(&mut self, sequence: u64) {
        self.slot(sequence).fill(0);
    }

    /// Makes a changed slot agree with its checksum again.
    fn repair(&mut self, sequence: u64) {
        let key = lane_key(&self.uuid, 0);
        let slot = self.slot(sequence);
        let length = usize::from(u16::from_le_bytes([slot[40], slot[41]]));
        let sum = slot_checksum(&mut slot[..(SLOT_HEAD + length).next_multiple_of(SLOT_BLOCK)], key);
        slot[8..16].copy_from_slice(&sum.to_le_bytes());
    }

    fn set_reserved(&mut self, reserved: u64) {
        let offset = self.geometry.block_offset(0) as usize + offset_of!(LaneBlock, reserved);
        self.bytes[offset..offset + 8].copy_from_slice(&reserved.to_le_bytes());
    }

    fn live(&self, reserved: u64) -> Seen {
        look(self.bytes.clone(), Extent::Live(reserved))
    }

    /// What recovery sees, and up to which sequence it believes the lane.
    fn dead(&self) -> (Seen, u64) {
        let last = reader(self.bytes.clone()).last_sequence(0, &mut Vec::new()).expect("bytes in memory");
        (look(self.bytes.clone(), Extent::Final(last)), last)
    }
}

/// What one read of the whole lane gives.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    bodies: Vec<Vec<u8>>,
    messages: Vec<u64>,
    end: u64,
    open: Option<u64>,
    more: bool,
    damaged: u64,
}

impl Seen {
    fn assert_short(&self, messages: &[u64]) {
        assert_eq!(self.messages, messages);
        let bodies: Vec<_> = messages.iter().map(|number| short(*number as usize).into_bytes()).collect();
        assert_eq!(self.bodies, bodies);
    }

    /// Nothing is in flight, nothing damaged, and all up to `end` was read.
    fn assert_done(&self, end: u64) {
        assert_eq!((self.end, self.open, self.more, self.damaged), (end, None, false, 0));
    }

    fn assert_open(&self, sequence: u64) {
        let expected = (sequence - 1, Some(sequence), false, 0);
        assert_eq!((self.end, self.open, self.more, self.damaged), expected);
    }

    fn assert_damaged(&self, end: u64, damaged: u64) {
        assert_eq!((self.end, self.open, self.more, self.damaged), (end, None, false, damaged));
    }
}

fn reader<S: Source>(source: S) -> RingReader<S> {
    RingReader::new(source, Path::new("a changed ring")).expect("the header is valid")
}

fn look<S: Source>(source: S, extent: Extent) -> Seen {
    let mut batch = LaneBatch::default();
    reader(source).read_lane(0, 0, extent, u64::MAX, &mut batch).expect("bytes in memory");
    Seen {
        bodies: batch.iter().map(|record| record.body.to_vec()).collect(),
        messages: batch.iter().map(|record| record.message).collect(),
        end: batch.end,
        open: batch.open,
        more: batch.more,
        damaged: batch.damaged,
    }
}

/// A ring that another process is changing: the slots' first read gives the one image, every further read the other.
struct Changing {
    before: Vec<u8>,
    after: Vec<u8>,
    slots_at: u64,
    was_read: Cell<bool>,
}

impl Changing {
    fn new(before: &Image, after: &Image) -> Changing {
        let slots_at = before.geometry.lane_offset(0);
        Changing { before: before.bytes.clone(), after: after.bytes.clone(), slots_at, was_read: Cell::new(false) }
    }
}

impl Source for Changing {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        if offset >= self.slots_at && self.was_read.replace(true) {
            return self.after.read_at(buffer, offset);
        }
        self.before.read_at(buffer, offset)
    }
}

#[test]
fn committed_records_are_taken_whole_and_in_order() {
    let image = ring_of_short(5);
    for (seen, last) in [(image.live(5), 5), image.dead()] {
        seen.assert_short(&[1, 2, 3, 4, 5]);
        seen.assert_done(5);
        assert_eq!(last, 5);
    }
}

#[test]
fn a_committed_message_of_several_slots_is_one_record() {
    let body = long(3);
    let image = ring_of(&[b"message 1", &body, b"", b"message 4"]);
    for seen in [image.live(6), image.dead().0] {
        assert_eq!(seen.bodies, [b"message 1".to_vec(), body.clone(), Vec::new(), b"message 4".to_vec()]);
        assert_eq!(seen.messages, [1, 2, 3, 4]);
        seen.assert_done(6);
    }
}

#[test]
fn a_busy_slot_at_the_end_stops_a_live_reader_and_is_dropped_from_a_dead_ring() {
    let mut image = ring_of_short(4);
    image.set_state(4, slot_state::BUSY);
    image.live(4).assert_short(&[1, 2, 3]);
    image.live(4).assert_open(4);
    let (seen, last) = image.dead();
    seen.assert_short(&[1, 2, 3]);
    seen.assert_done(3);
    assert_eq!(last, 3);
}

#[test]
fn a_busy_message_of_several_slots_is_in_flight_although_its_further_slots_are_there() {
    let mut image = ring_of(&[b"message 1", &long(3)]);
    image.set_state(2, slot_state::BUSY);
    image.live(4).assert_short(&[1]);
    image.live(4).assert_open(2);
    let (seen, last) = image.dead();
    seen.assert_short(&[1]);
    seen.assert_open(2);
    assert_eq!(last, 4, "the further slots are whole, the record is not");
}

#[test]
fn a_record_that_becomes_whole_while_it_is_read_is_taken() {
    let after = ring_of_short(4);
    let mut before = after.clone();
    before.set_state(3, slot_state::BUSY);
    let seen = look(Changing::new(&before, &after), Extent::Live(4));
    seen.assert_short(&[1, 2, 3, 4]);
    seen.assert_done(4);
}

#[test]
fn a_stale_slot_at_the_end_stops_a_live_reader_and_is_no_damage_in_a_dead_ring() {
    // Sequences 17 and 18 are reserved; their slots hold the first lap, or nothing.
    let mut old_lap = ring_of_short(16);
    old_lap.set_reserved(18);
    let seen = old_lap.live(18);
    seen.assert_short(&(3..=16).collect::<Vec<_>>());
    seen.assert_open(17);
    let (seen, last) = old_lap.dead();
    seen.assert_short(&(1..=16).collect::<Vec<_>>());
    seen.assert_done(16);
    assert_eq!(last, 16);

    let mut never_written = ring_of_short(2);
    never_written.set_reserved(3);
    never_written.live(3).assert_short(&[1, 2]);
    never_written.live(3).assert_open(3);
    never_written.dead().0.assert_done(2);
}

#[test]
fn an_aborted_slot_is_skipped_and_is_no_damage() {
    for aborted in 1..=4 {
        let mut image = ring_of_short(4);
        image.set_state(aborted, slot_state::ABORTED);
        let expected: Vec<u64> = (1..=4).filter(|number| *number != aborted).collect();
        for (seen, last) in [(image.live(4), 4), image.dead()] {
            seen.assert_short(&expected);
            seen.assert_done(4);
            assert_eq!(last, 4);
        }
    }
}

#[test]
fn an_aborted_message_of_several_slots_is_skipped_as_a_whole() {
    let mut image = ring_of(&[b"message 1", &long(3), b"message 3"]);
    (2..=4).for_each(|sequence| image.set_state(sequence, slot_state::ABORTED));
    for seen in [image.live(5), image.dead().0] {
        seen.assert_short(&[1, 3]);
        seen.assert_done(5);
    }
}

#[test]
fn what_may_have_been_overwritten_while_it_was_read_is_discarded_from_a_live_ring_alone() {
    let mut image = ring_of_short(16);
    // READ:1 saw 16, READ:3 sees 20: 1 to 4 may be torn, however whole they look.
    image.set_reserved(20);
    let seen = image.live(16);
    seen.assert_short(&(5..=16).collect::<Vec<_>>());
    seen.assert_done(16);
    // A dead ring is not written to, so what is whole there is true.
    image.dead().0.assert_short(&(1..=16).collect::<Vec<_>>());
}

#[test]
fn a_slot_of_a_later_lap_is_skipped_and_message_numbers_tell_the_loss() {
    let mut image = ring_of_short(19);
    image.set_reserved(16);
    // A reader whose READ:1 was before the lap: 1 to 3 are gone.
    let seen = image.live(16);
    seen.assert_short(&(4..=16).collect::<Vec<_>>());
    seen.assert_done(16);
    image.set_reserved(19);
    for seen in [image.live(19), image.dead().0] {
        seen.assert_short(&(4..=19).collect::<Vec<_>>());
        seen.assert_done(19);
    }
}

#[test]
fn a_message_of_which_only_the_tail_survived_is_lost_and_is_no_damage() {
    // Sequences 1 to 3 are the long message; 17 and 18 overwrite its first two slots.
    let body = long(3);
    let mut bodies = vec![body.as_slice()];
    bodies.extend([&b"short"[..]; 15]);
    let image = ring_of(&bodies);
    for seen in [image.live(18), image.dead().0] {
        assert_eq!(seen.messages, (2..=16).collect::<Vec<_>>());
        seen.assert_done(18);
    }
}

#[test]
fn a_partial_message_is_damage_once_and_hides_nothing_after_it() {
    let mut other_message = ring_of(&[b"message 1", &long(3), b"message 3"]);
    let at = offset_of!(SlotHead, message);
    other_message.slot(3)[at] ^= 1;
    other_message.repair(3);
    let mut other_place = ring_of(&[b"message 1", &long(3), b"message 3"]);
    other_place.slot(3)[offset_of!(SlotHead, slots)] = 2;
    other_place.repair(3);
    let mut other_kind = ring_of(&[b"message 1", &long(3), b"message 3"]);
    other_kind.slot(4)[offset_of!(SlotHead, kind)] = 77;
    other_kind.repair(4);
    // The last one's slot is damaged twice: as part of the message, and because nothing is known of its own.
    for (image, damaged) in [(other_message, 1), (other_place, 1), (other_kind, 2)] {
        for seen in [image.live(5), image.dead().0] {
            seen.assert_short(&[1, 3]);
            seen.assert_damaged(5, damaged);
        }
    }
}

#[test]
fn a_partial_message_at_the_end_of_a_dead_ring_is_not_taken() {
    let mut image = ring_of(&[b"message 1", &long(3)]);
    image.clear(4);
    let (seen, last) = image.dead();
    seen.assert_short(&[1]);
    assert_eq!((last, seen.open, seen.damaged > 0), (3, None, true));
}

#[test]
fn a_partial_message_that_is_whole_at_the_second_look_is_taken() {
    let after = ring_of(&[b"message 1", &long(3), b"message 3"]);
    for missing in [3, 4] {
        let mut before = after.clone();
        before.clear(missing);
        let seen = look(Changing::new(&before, &after), Extent::Live(5));
        assert_eq!((seen.messages.as_slice(), &seen.bodies[1]), (&[1, 2, 3][..], &long(3)));
        seen.assert_done(5);
    }
}

#[test]
fn no_flipped_bit_makes_a_false_record_or_hides_another() {
    let image = ring_of_short(4);
    let used = SLOT_HEAD + short(2).len();
    for bit in 0..used * 8 {
        let mut flipped = image.clone();
        flipped.slot(2)[bit / 8] ^= 1 << (bit % 8);
        for seen in [flipped.live(4), flipped.dead().0] {
            seen.assert_short(&[1, 3, 4]);
            assert_eq!((seen.end, seen.open, seen.more), (4, None, false), "bit {bit}");
        }
    }
}

#[test]
fn no_flipped_bit_of_the_header_passes() {
    let image = ring_of_short(3);
    for bit in 0..size_of::<RingHeader>() * 8 {
        let mut bytes = image.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(RingReader::new(bytes, Path::new("a flipped header")).is_err(), "bit {bit}");
    }
}

#[test]
fn bytes_after_the_payload_do_not_count() {
    let mut image = ring_of_short(3);
    let used = (SLOT_HEAD + short(2).len()).next_multiple_of(8);
    image.slot(2)[used..].fill(0xaa);
    image.live(3).assert_short(&[1, 2, 3]);
    image.live(3).assert_done(3);
}

#[test]
fn a_corrupt_record_is_damage_and_hides_nothing_after_it() {
    let mut image = ring_of_short(4);
    image.slot(2)[SLOT_HEAD] ^= 1;
    for seen in [image.live(4), image.dead().0] {
        seen.assert_short(&[1, 3, 4]);
        seen.assert_damaged(4, 1);
    }
}

#[test]
fn a_corrupt_newest_record_is_damage_to_a_live_reader_and_in_flight_in_a_dead_ring() {
    let mut image = ring_of_short(4);
    image.slot(4)[SLOT_HEAD] ^= 1;
    image.live(4).assert_short(&[1, 2, 3]);
    image.live(4).assert_damaged(4, 1);
    let (seen, last) = image.dead();
    seen.assert_short(&[1, 2, 3]);
    seen.assert_done(3);
    assert_eq!(last, 3);
}

#[test]
fn a_record_that_was_torn_by_the_read_alone_is_taken_at_the_second_look() {
    let after = ring_of_short(4);
    let mut before = after.clone();
    before.slot(2)[SLOT_HEAD + 2] ^= 0xff;
    let seen = look(Changing::new(&before, &after), Extent::Live(4));
    seen.assert_short(&[1, 2, 3, 4]);
    seen.assert_done(4);
}

#[test]
fn busy_or_stale_before_a_later_message_is_damage_and_does_not_stop_the_reader() {
    let mut busy = ring_of_short(4);
    busy.set_state(2, slot_state::BUSY);
    let mut never_written = ring_of_short(4);
    never_written.clear(2);
    // The one producer that a lane has cannot be at two messages: a message in flight is a later one too.
    let mut two_in_flight = ring_of_short(5);
    two_in_flight.set_state(2, slot_state::BUSY);
    two_in_flight.set_state(5, slot_state::BUSY);
    for image in [&busy, &never_written] {
        for seen in [image.live(4), image.dead().0] {
            seen.assert_short(&[1, 3, 4]);
            seen.assert_damaged(4, 1);
        }
    }
    let seen = two_in_flight.live(5);
    seen.assert_short(&[1, 3, 4]);
    assert_eq!((seen.open, seen.end, seen.damaged), (Some(5), 4, 1));
    two_in_flight.dead().0.assert_damaged(4, 1);
}

#[test]
fn a_record_of_another_lane_place_or_lap_is_never_taken() {
    let image = ring_of_short(4);
    let mut other_lane = image.clone();
    let (from, to) = (image.geometry.lane_offset(0) as usize, image.geometry.lane_offset(1) as usize);
    other_lane.bytes.copy_within(from..from + SIZE * 4, to);
    let found = reader(other_lane.bytes).last_sequence(1, &mut Vec::new()).expect("bytes in memory");
    assert_eq!(found, 0, "another lane's records are nothing here");

    let mut other_place = image.clone();
    let third = other_place.slot(3).to_vec();
    other_place.slot(2).copy_from_slice(&third);
    other_place.live(4).assert_short(&[1, 3, 4]);

    let mut other_lap = image.clone();
    other_lap.set_commit(2, commit_word(2 + SLOTS, slot_state::VALID));
    other_lap.live(4).assert_short(&[1, 3, 4]);
    assert_eq!(other_lap.dead().1, 4, "a commit word alone does not move the end");
}

#[test]
fn a_first_slot_that_claims_no_slots_or_too_many_is_damage() {
    for claimed in [0u16, SLOTS as u16 / 4 + 1, u16::MAX] {
        let mut image = ring_of_short(4);
        let at = offset_of!(SlotHead, slots);
        image.slot(2)[at..at + 2].copy_from_slice(&claimed.to_le_bytes());
        image.repair(2);
        for seen in [image.live(4), image.dead().0] {
            seen.assert_short(&[1, 3, 4]);
            seen.assert_damaged(4, 1);
        }
    }
}

#[test]
fn a_message_longer_than_the_lane_allows_is_damage_however_well_it_agrees() {
    let mut image = ring_of(&[&long(SLOTS as usize / 4), b"message 2", b"message 3"]);
    let further = SLOTS / 4 + 1;
    image.slot(1)[offset_of!(SlotHead, slots)] = further as u8;
    let slot = image.slot(further);
    slot[offset_of!(SlotHead, message)] = 1;
    slot[offset_of!(SlotHead, slots)] = further as u8 - 1;
    slot[offset_of!(SlotHead, kind)] = slot_kind::CONTINUATION;
    image.repair(1);
    image.repair(further);
    for seen in [image.live(further + 1), image.dead().0] {
        seen.assert_short(&[3]);
        seen.assert_damaged(further + 1, 1);
    }
}

#[test]
fn a_further_slot_without_its_first_is_not_taken_for_a_record() {
    let mut image = ring_of_short(3);
    image.slot(2)[offset_of!(SlotHead, kind)] = slot_kind::CONTINUATION;
    image.repair(2);
    image.live(3).assert_short(&[1, 3]);
    image.dead().0.assert_short(&[1, 3]);
}

#[test]
fn nothing_is_read_of_an_empty_lane_or_above_reserved() {
    let empty = ring_of_short(0);
    for (seen, last) in [(empty.live(0), 0), empty.dead()] {
        seen.assert_short(&[]);
        seen.assert_done(0);
        assert_eq!(last, 0);
    }
    let seen = ring_of_short(5).live(3);
    seen.assert_short(&[1, 2, 3]);
    seen.assert_done(3);
}

#[test]
fn a_reserved_that_cannot_be_stops_a_live_reader_and_does_not_bind_recovery() {
    for reserved in [u64::MAX, u64::MAX >> 2, (u64::MAX >> 2) - 1, 1 << 40] {
        let mut image = ring_of_short(4);
        image.set_reserved(reserved);
        let seen = image.live(reserved);
        assert!(seen.bodies.is_empty() && !seen.more && seen.damaged == 0);
        let (seen, last) = image.dead();
        seen.assert_short(&[1, 2, 3, 4]);
        seen.assert_done(4);
        assert_eq!(last, 4);
    }
}

#[test]
fn thread_names_and_levels_come_back_with_their_records() {
    let scratch = Scratch::new("reader-states-names");
    let ring = ring_in(&scratch);
    let mut lane = ring.lane(0);
    for (thread, name) in [(7, "first owner"), (8, "a name of more than sixteen bytes")] {
        lane.claim(lastwords_ring::format::layout::lane_kind::WRITE, thread, name.as_bytes());
        lane.append(|| 1, &Message { origin: Origin { level: 35, call_site: 0, thread, encoding: 0 }, body: b"x" });
    }
    assert_eq!(ring.block(0).reserved.load(Ordering::Relaxed), 2);
    let reader = RingReader::open(ring.path()).expect("the ring");
    let (mut lanes, mut batch) = (Vec::new(), LaneBatch::default());
    reader.lanes(&mut Vec::new(), &mut lanes).expect("the lane blocks");
    reader.read_lane(0, 0, Extent::Live(lanes[0].reserved), 64, &mut batch).expect("the slots");
    let names: Vec<_> = batch.iter().map(|record| lanes[0].thread_name(&record)).collect();
    assert_eq!(names, [Some(&b"first owner"[..]), Some(b"a name of more t")]);
    assert!(batch.iter().all(|record| record.level == Level::new(35)));
}
