//! Guards against a lane that is right on the machine it was written on. A fence that is missing costs nothing on x86, where
//! stores become visible in order; on ARM, or after a compiler moved a store, the reader then takes a record whose head belongs
//! to one lap and whose body to the next, once in millions. No run of the real program finds that. loom runs the same algorithm
//! under every interleaving, and lets every load return every value that the memory model allows.
//!
//! The writer is the real one. So is the order of the reader's steps, `ring/src/read/steps.rs`; what it copies by is loads
//! here and pread(2) elsewhere, and there is no checksum, which would hide what the ordering points let through. The two ends of
//! arming are the real ones too, `ring/src/arming.rs`.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release -p lastwords-ring --test loom_lane
//! ```
#![cfg(loom)]

use lastwords_ring::arming::{arm_then_look, asked_after_append, take_request};
use lastwords_ring::atomics::{AtomicU32, AtomicU64, Ordering, fence};
use lastwords_ring::format::layout::{LaneBlock, commit_word, slot_state};
use lastwords_ring::read::steps::{copy_then_look, look_first};
use lastwords_ring::write::lane::{Lane, Message, Origin};
use loom::thread;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Counter, Ordering::Relaxed};

/// Words of the smallest slot: its head and sixteen bytes.
const SLOT_WORDS: usize = 8;
/// Offsets in a slot of what the reader checks.
const CLOCK: usize = 2;
const MESSAGE: usize = 3;
const BODY: usize = 6;
/// loom switches threads against their will so often in one execution; two or three find nearly everything.
const PREEMPTIONS: usize = 3;

/// A lane's memory, made anew for each execution.
struct Memory {
    block: LaneBlock,
    slots: Vec<AtomicU64>,
}

impl Memory {
    fn new(slots: usize) -> Arc<Memory> {
        Arc::new(Memory {
            block: LaneBlock::default(),
            slots: (0..slots * SLOT_WORDS).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    fn lane(&self) -> Lane<'_> {
        Lane::new(&self.block, &self.slots, SLOT_WORDS, 0)
    }

    fn slot(&self, sequence: u64) -> &[AtomicU64] {
        let start = (sequence as usize - 1) % (self.slots.len() / SLOT_WORDS) * SLOT_WORDS;
        &self.slots[start..start + SLOT_WORDS]
    }

    /// READ:1, by this hint.
    fn look(&self, hint: &AtomicU64) -> u64 {
        let Ok(seen) = look_first(|| Ok::<_, Infallible>(hint.load(Ordering::Relaxed)));
        seen
    }

    /// READ:2 and READ:3: what `copy` returns, and the first sequence that was whole while it was copied.
    fn copy<T>(&self, copy: impl FnOnce() -> T) -> (T, u64) {
        let (slots, mut copied) = ((self.slots.len() / SLOT_WORDS) as u64, None);
        let copy = || {
            copied = Some(copy());
            Ok::<_, Infallible>(())
        };
        let Ok(safe) = copy_then_look(slots, copy, || Ok(self.block.reserved.load(Ordering::Relaxed)));
        (copied.expect("it copies"), safe)
    }
}

/// Body of a message: `parts` slots full of words that name the message and their place.
fn body(message: u64, parts: u64) -> Vec<u8> {
    (0..parts).flat_map(|part| [body_word(message, part); SLOT_WORDS - BODY]).flat_map(u64::to_le_bytes).collect()
}

fn body_word(message: u64, part: u64) -> u64 {
    message << 8 | part
}

fn clock_of(message: u64) -> u64 {
    1000 + message
}

fn append(lane: &mut Lane<'_>, message: u64, parts: u64) {
    let body = body(message, parts);
    let logged = Message { origin: Origin { level: 20, call_site: 0, thread: 1, encoding: 0 }, body: &body };
    lane.append(|| clock_of(message), &logged);
}

/// What the reader copied of a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Copied {
    commit: u64,
    clock: u64,
    message: u64,
    body: u64,
}

impl Copied {
    fn of(message: u64, sequence: u64, part: u64) -> Copied {
        let commit = commit_word(sequence, slot_state::VALID);
        Copied { commit, clock: clock_of(message), message, body: body_word(message, part) }
    }

    fn is_valid(&self, sequence: u64) -> bool {
        self.commit == commit_word(sequence, slot_state::VALID)
    }
}

fn copy(slot: &[AtomicU64], order: &[usize]) -> Copied {
    let mut copied = Copied::default();
    for place in order {
        let word = slot[*place].load(Ordering::Relaxed);
        match *place {
            0 => {
                copied.commit = word;
                // A copy that goes on after the commit word is ordered by it, as LANE:D promises.
                fence(Ordering::Acquire);
            }
            CLOCK => copied.clock = word,
            MESSAGE => copied.message = word,
            _ => copied.body = word,
        }
    }
    copied
}

/// How often each outcome came up over all executions. A model in which the interesting one never does proves nothing.
#[derive(Default)]
struct Tally {
    taken: Counter,
    overwritten: Counter,
    not_yet: Counter,
}

impl Tally {
    fn count(counter: &Counter) {
        counter.fetch_add(1, Relaxed);
    }
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(PREEMPTIONS));
    builder.check(model);
}

/// A producer appends `messages` messages to a lane of `slots` slots while a reader takes `sequence` from it.
///
/// The producer is the thread that made the lane: loom looks for a race only with the last access to a word, so that
/// the load of `reserved` in [`Lane::new`] would hide the reader's from it.
/// `only_committed` makes it wait for `head`, as a reader may that copies the commit word last.
fn read_while_written(slots: usize, messages: u64, sequence: u64, order: &'static [usize], only_committed: bool) {
    let tally = Arc::new(Tally::default());
    let seen = Arc::clone(&tally);
    check(move || {
        let memory = Memory::new(slots);
        let mut lane = memory.lane();
        let reader = thread::spawn({
            let (memory, seen) = (Arc::clone(&memory), Arc::clone(&seen));
            move || read(&memory, sequence, order, only_committed, &seen)
        });
        (1..=messages).for_each(|message| append(&mut lane, message, 1));
        reader.join().expect("the reader ends");
    });
    assert!(tally.taken.load(Relaxed) > 0, "the reader never took the record");
    assert!(tally.not_yet.load(Relaxed) > 0, "the reader never came too early");
    let overwrites = messages >= sequence + slots as u64;
    assert_eq!(tally.overwritten.load(Relaxed) > 0, overwrites, "the reader never came too late");
}

fn read(memory: &Memory, sequence: u64, order: &[usize], only_committed: bool, tally: &Tally) {
    if memory.look(if only_committed { &memory.block.head } else { &memory.block.reserved }) < sequence {
        return Tally::count(&tally.not_yet);
    }
    let (copied, safe) = memory.copy(|| copy(memory.slot(sequence), order));
    if sequence < safe {
        return Tally::count(&tally.overwritten);
    }
    if !copied.is_valid(sequence) {
        return Tally::count(&tally.not_yet);
    }
    assert_eq!(copied, Copied::of(sequence, sequence, 0), "a torn record passed");
    Tally::count(&tally.taken);
}

#[test]
fn a_record_taken_is_never_torn_by_the_next_lap() {
    read_while_written(1, 2, 1, &[0, CLOCK, MESSAGE, BODY], false);
}

#[test]
fn a_record_taken_is_never_torn_when_its_words_are_copied_backwards() {
    read_while_written(1, 2, 1, &[0, BODY, MESSAGE, CLOCK], false);
}

#[test]
fn a_record_of_the_second_lap_is_seen_with_its_own_body() {
    read_while_written(1, 2, 2, &[0, BODY, CLOCK, MESSAGE], false);
}

#[test]
fn two_slots_with_overwriting_give_whole_records() {
    read_while_written(2, 3, 1, &[0, MESSAGE, BODY, CLOCK], false);
    read_while_written(2, 3, 2, &[0, MESSAGE, BODY, CLOCK], false);
}

#[test]
fn below_head_the_commit_word_may_be_copied_last() {
    read_while_written(1, 2, 1, &[BODY, MESSAGE, CLOCK, 0], true);
}

/// Copies a message of two slots in the reader's order: the first slot, then the further one.
fn read_both(memory: &Memory, first: u64, message: u64, tally: &Tally) {
    if memory.look(&memory.block.reserved) < first + 1 {
        return Tally::count(&tally.not_yet);
    }
    let ([copied, further], safe) = memory.copy(|| [first, first + 1].map(|at| copy(memory.slot(at), &[0, BODY])));
    if first < safe {
        return Tally::count(&tally.overwritten);
    }
    if !copied.is_valid(first) {
        return Tally::count(&tally.not_yet);
    }
    let expected = [Copied::of(message, first, 0), Copied::of(message, first + 1, 1)];
    for (copied, expected) in [copied, further].iter().zip(expected) {
        assert_eq!((copied.commit, copied.body), (expected.commit, expected.body), "part of a message passed for it");
    }
    Tally::count(&tally.taken);
}

/// A lane of eight slots, full; the producer then writes a message of two slots over the oldest one.
fn read_long_message_while_written(first: u64, message: u64) -> Arc<Tally> {
    let tally = Arc::new(Tally::default());
    let seen = Arc::clone(&tally);
    check(move || {
        let memory = Memory::new(8);
        let mut lane = memory.lane();
        (1..=4).for_each(|message| append(&mut lane, message, 2));
        let reader = thread::spawn({
            let (memory, seen) = (Arc::clone(&memory), Arc::clone(&seen));
            move || read_both(&memory, first, message, &seen)
        });
        append(&mut lane, 5, 2);
        reader.join().expect("the reader ends");
    });
    tally
}

#[test]
fn a_message_of_two_slots_is_visible_as_a_whole_or_not_at_all() {
    let tally = read_long_message_while_written(9, 5);
    assert!(tally.taken.load(Relaxed) > 0 && tally.not_yet.load(Relaxed) > 0);
}

#[test]
fn a_message_of_two_slots_that_is_overwritten_is_taken_whole_or_not_at_all() {
    let tally = read_long_message_while_written(1, 1);
    assert!(tally.taken.load(Relaxed) > 0 && tally.overwritten.load(Relaxed) > 0);
}

/// The drain's watermark. It notes the time and then reads the lanes; where it sees no open slot, a later append must read a
/// later clock, or its line would be sorted before lines that are already in the file.
///
/// loom takes SeqCst accesses for AcqRel ones, which is weaker than what the language says, so the reader reads the slot by a
/// read-modify-write: its place in the order of the commit word's changes represents the total order.
fn look_at_the_time_then_at_the_lane(slots: usize, bodies: &'static [&'static [u8]]) {
    let tally = Arc::new(Tally::default());
    let seen = Arc::clone(&tally);
    check(move || {
        let (memory, time) = (Memory::new(slots), Arc::new(AtomicU64::new(0)));
        let mut lane = memory.lane();
        let reader = thread::spawn({
            let (memory, time) = (Arc::clone(&memory), Arc::clone(&time));
            move || {
                time.store(1, Ordering::SeqCst);
                memory.slots[0].fetch_add(0, Ordering::SeqCst)
            }
        });
        let clocks: Vec<u64> = bodies
            .iter()
            .map(|body| {
                let logged = Message { origin: Origin { level: 20, call_site: 0, thread: 1, encoding: 0 }, body };
                lane.append(|| time.load(Ordering::SeqCst), &logged)
            })
            .collect();
        let commit = reader.join().expect("the reader ends");
        if commit & 3 == slot_state::BUSY {
            // The drain holds other lines back for it.
            return Tally::count(&seen.overwritten);
        }
        // Everything after the sequence that was seen began after the look.
        let begun = (commit >> 2) as usize;
        Tally::count(if begun == 0 { &seen.not_yet } else { &seen.taken });
        for (clock, sequence) in clocks[begun..].iter().zip(begun + 1..) {
            assert_eq!(*clock, 1, "sequence {sequence} began after the look and reads an earlier clock");
        }
    });
    assert!(tally.not_yet.load(Relaxed) > 0 && tally.taken.load(Relaxed) > 0 && tally.overwritten.load(Relaxed) > 0);
}

#[test]
fn an_append_whose_slot_was_not_seen_open_reads_a_later_clock() {
    look_at_the_time_then_at_the_lane(1, &[b"", b""]);
}

#[test]
fn a_message_of_two_slots_whose_first_was_not_seen_open_reads_a_later_clock() {
    look_at_the_time_then_at_the_lane(8, &[b"nine byte"]);
}

/// A flusher that arms the ring and checks once more before it sleeps, while a producer appends and checks whether it is to
/// ring.
#[test]
fn a_record_that_the_last_look_before_a_sleep_does_not_see_rings() {
    let tally = Arc::new(Tally::default());
    let seen = Arc::clone(&tally);
    check(move || {
        let (memory, armed) = (Memory::new(1), Arc::new(AtomicU32::new(0)));
        let mut lane = memory.lane();
        let flusher = thread::spawn({
            let (memory, armed) = (Arc::clone(&memory), Arc::clone(&armed));
            move || {
                let arm = |_: &mut ()| {
                    armed.store(1, Ordering::Relaxed);
                    true
                };
                let look = |_: &mut ()| memory.slots[0].load(Ordering::Relaxed);
                arm_then_look(&mut (), arm, look).expect("it arms") != 0
            }
        });
        append(&mut lane, 1, 1);
        let rings = asked_after_append(&armed) != 0 && take_request(&armed);
        let sees = flusher.join().expect("the flusher ends");
        assert!(sees || rings, "the flusher sleeps, and nobody wakes it");
        Tally::count(if rings { &seen.taken } else { &seen.not_yet });
    });
    assert!(tally.taken.load(Relaxed) > 0 && tally.not_yet.load(Relaxed) > 0);
}
