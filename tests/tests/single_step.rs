//! A process may be killed between any two instructions of a log call.
//!
//! A logger that made a record valid one store too early would pass every test that kills at random, because the
//! window is a nanosecond wide; then, once in some million crashes, a line would be torn, or a line that the program
//! was told is safe would be missing. So here a process is stopped after every single instruction of its log calls,
//! through a wrap of the ring, messages of two slots, and a ring that is full, and each time what a crash at this
//! instruction would leave is recovered from a copy of the ring.
//!
//! A flusher reads the ring of a process that still runs, and the scheduler may stop the process at any instruction
//! just as well; so the copy is also read as a live ring, where nothing may look like damage.

use lastwords::flush::value::{Value, ValueReader};
use lastwords::geometry::Geometry;
use lastwords::reader::{Extent, LaneBatch, LaneSnapshot, RingReader, Source};
use lastwords::record::Record;
use lastwords_tests::oracle::text;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use lastwords_tests::watchdog::Watchdog;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Slots of the lane, and payload bytes of a slot.
const SLOTS: u64 = 8;
const PAYLOAD: u64 = 80;
/// Bytes of a message's body before its text: the tags, and the text's length.
const HEAD: u64 = 16;
/// Messages that are logged; the first one is not stepped through.
const COUNT: u64 = 26;
/// Fewer steps than this cannot have been the log calls.
const STEPS_MIN: u64 = 2000;
/// Longest padding, as in `stepper.rs`.
const LONGEST: u64 = 120;

/// The messages that will be logged, and where each of them will stand.
#[derive(Debug)]
struct Script {
    texts: Vec<String>,
    /// First and last sequence of each.
    places: Vec<(u64, u64)>,
}

impl Script {
    fn new() -> Script {
        let texts: Vec<String> = (1..=COUNT).map(|n| text(0, 0, n, LONGEST)).collect();
        let mut last = 0;
        let places = texts.iter().map(|text| {
            let first = last + 1;
            last += (HEAD + (text.len() as u64).next_multiple_of(8)).div_ceil(PAYLOAD);
            (first, last)
        });
        Script { places: places.collect(), texts }
    }

    /// The last sequence once `n` messages are there.
    fn end(&self, n: u64) -> u64 {
        n.checked_sub(1).and_then(|index| self.places.get(index as usize)).map_or(0, |place| place.1)
    }

    fn first(&self, n: u64) -> u64 {
        self.places[n as usize - 1].0
    }
}

/// A stopped process and its ring.
#[derive(Debug)]
struct Stepper {
    traced: Traced,
    ring: File,
    path: PathBuf,
    marks: File,
    geometry: Geometry,
    /// The ring's bytes; of those behind the header, only the lane blocks and the first lane's slots.
    copy: Vec<u8>,
    acknowledged: u64,
    steps: u64,
    looks: u64,
}

impl Stepper {
    /// A process that is about to log its second message.
    fn start(scratch: &Path, policy: &str) -> Stepper {
        let marks = scratch.join("marks");
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepper"));
        command.arg(scratch.join("logs")).arg(&marks).arg(COUNT.to_string()).arg(policy);
        let mut traced = Traced::start(&mut command).expect("started");
        assert_eq!(traced.run().expect("ran"), Stop::Signal(libc::SIGSTOP), "before the first step");
        let rings = std::fs::read_dir(scratch.join("logs/rings")).expect("listed");
        let mut rings = rings.map(|entry| entry.expect("listed").path());
        let path = rings.find(|path| path.extension().is_some_and(|ending| ending == "ring")).expect("a ring");
        let geometry = RingReader::open(&path).expect("a ring").geometry();
        assert_eq!((geometry.slots(), geometry.payload_size() as u64), (SLOTS, PAYLOAD));
        let ring = File::open(&path).expect("opened");
        let marks = File::open(marks).expect("opened");
        let copy = std::fs::read(&path).expect("read");
        Stepper { traced, ring, path, marks, geometry, copy, acknowledged: 1, steps: 0, looks: 0 }
    }

    /// One instruction. False once the process stopped itself behind the last message.
    fn step(&mut self) -> bool {
        match self.traced.step().expect("stepped") {
            Stop::Signal(libc::SIGTRAP) => {}
            Stop::Signal(libc::SIGSTOP) => return false,
            other => panic!("{other:?} after {} steps", self.steps),
        }
        self.steps += 1;
        true
    }

    /// Copies what may have changed. False if it did not: then it would be recovered to the same.
    fn look(&mut self) -> bool {
        let mut mark = [0; 8];
        self.marks.read_exact_at(&mut mark, 64).expect("the mark");
        let mark = u64::from_le_bytes(mark);
        let mut changed = mark != self.acknowledged;
        self.acknowledged = mark;
        let blocks = (self.geometry.blocks_offset(), self.geometry.blocks_size());
        let slots = (self.geometry.lane_offset(0), self.geometry.lane_size() as usize);
        for (offset, length) in [blocks, slots] {
            let mut bytes = [0; 4096];
            self.ring.read_exact_at(&mut bytes[..length], offset).expect("the ring");
            let known = &mut self.copy[offset as usize..offset as usize + length];
            if *known != bytes[..length] {
                known.copy_from_slice(&bytes[..length]);
                changed = true;
            }
        }
        self.looks += u64::from(changed);
        changed
    }

    fn reader(&self) -> (RingReader<Vec<u8>>, Vec<LaneSnapshot>) {
        let reader = RingReader::new(self.copy.clone(), &self.path).expect("a valid ring");
        let mut lanes = Vec::new();
        reader.lanes(&mut Vec::new(), &mut lanes).expect("read");
        (reader, lanes)
    }
}

/// Reads lane 0 and returns the numbers of its messages, each of which must be the whole text at its own place.
fn numbers<S: Source>(reader: &RingReader<S>, extent: Extent, script: &Script, batch: &mut LaneBatch) -> Vec<u64> {
    reader.read_lane(0, 0, extent, SLOTS, batch).expect("read");
    assert_eq!(batch.damaged, 0, "a step looks like damage, {extent:?}");
    let number = |place: (u64, u64)| script.places.iter().position(|found| *found == place).map(|n| n as u64 + 1);
    let numbers = batch.iter().map(|record| {
        let n = number((record.first, record.last)).unwrap_or_else(|| panic!("no message stands there: {record:?}"));
        assert_eq!(text_of(&record), script.texts[n as usize - 1].as_bytes(), "torn: {record:?}");
        assert_eq!(record.message, n);
        n
    });
    numbers.collect()
}

/// The one string that each message consists of.
fn text_of<'a>(record: &Record<'a>) -> &'a [u8] {
    assert!(record.has_values());
    match ValueReader::new(record.text(), 1).and_then(|mut values| values.next()) {
        Some(Value::Str(text)) => text,
        found => panic!("{found:?} in {record:?}"),
    }
}

/// All of the acknowledged messages that the ring can hold while the next one is written, and none but these, those
/// that it has not overwritten yet, and the one in flight.
fn assert_recovered(numbers: &[u64], acknowledged: u64, script: &Script) {
    let next = (acknowledged + 1).min(COUNT);
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a gap: {numbers:?}");
    for n in 1..=acknowledged {
        let kept = script.first(n) + SLOTS > script.end(next);
        assert!(!kept || numbers.contains(&n), "{n} of {acknowledged} acknowledged is missing: {numbers:?}");
    }
    assert!(numbers.iter().all(|n| *n <= next), "a message from the future: {numbers:?}");
}

#[test]
fn a_process_killed_at_any_instruction_leaves_every_acknowledged_record_whole() {
    let _watchdog = Watchdog::new("single_step", Duration::from_secs(300));
    let scratch = Scratch::new("single-step");
    let (script, start) = (Script::new(), Instant::now());
    let long = script.places[1..].iter().filter(|place| place.1 > place.0).count();
    assert!(long >= 2, "messages of two slots are among those stepped through");
    assert!(script.end(COUNT) > 3 * SLOTS, "the ring wraps");
    let mut stepper = Stepper::start(scratch.path(), "overwrite");
    let (mut batch, mut scratch_bytes) = (LaneBatch::default(), Vec::new());
    while stepper.step() {
        if !stepper.look() {
            continue;
        }
        let (reader, lanes) = stepper.reader();
        let last = reader.last_sequence(0, &mut scratch_bytes).expect("read");
        let dead = numbers(&reader, Extent::Final(last), &script, &mut batch);
        assert_recovered(&dead, stepper.acknowledged, &script);
        let live = numbers(&reader, Extent::Live(lanes[0].reserved), &script, &mut batch);
        assert_recovered(&live, stepper.acknowledged, &script);
        // A live reader that went past a record in flight would never come back for it.
        let written = live.last().map_or(0, |n| script.end(*n));
        assert!(batch.end == written || live.is_empty(), "read up to {}, the last record ends at {written}", batch.end);
        for lane in 1..3 {
            assert_eq!(reader.last_sequence(lane, &mut scratch_bytes).expect("read"), 0, "a record in lane {lane}");
        }
    }
    assert_eq!(stepper.acknowledged, COUNT, "all messages were stepped through");
    println!(
        "{} steps, {} states of the ring, {long} messages of two slots, {:.1} s",
        stepper.steps,
        stepper.looks,
        start.elapsed().as_secs_f64()
    );
    assert!(stepper.steps >= STEPS_MIN, "{} steps", stepper.steps);
}

#[test]
fn a_process_killed_at_any_instruction_of_a_drop_has_counted_all_but_the_last() {
    let _watchdog = Watchdog::new("single_step of drops", Duration::from_secs(300));
    let scratch = Scratch::new("single-step-drops");
    let script = Script::new();
    let mut stepper = Stepper::start(scratch.path(), "drop_newest");
    let (mut batch, mut most) = (LaneBatch::default(), 0);
    while stepper.step() {
        if !stepper.look() {
            continue;
        }
        let (reader, lanes) = stepper.reader();
        let last = reader.last_sequence(0, &mut Vec::new()).expect("read");
        reader.read_lane(0, 0, Extent::Final(last), SLOTS, &mut batch).expect("read");
        assert_eq!(batch.damaged, 0);
        // Messages of two slots are dropped while one slot is free, so the places are not those of the script.
        let texts: Vec<&[u8]> = batch.iter().map(|record| text_of(&record)).collect();
        let known = |text: &[u8]| script.texts.iter().position(|known| known.as_bytes() == text);
        let numbers: Vec<usize> = texts.iter().map(|text| known(text).expect("a whole text")).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "out of order: {numbers:?}");
        let settled = numbers.len() as u64 + lanes[0].dropped;
        let acknowledged = stepper.acknowledged;
        assert!(settled == acknowledged || settled == acknowledged + 1, "{settled} for {acknowledged} acknowledged");
        most = most.max(lanes[0].dropped);
    }
    println!("{} steps, {} states of the ring, {most} drops", stepper.steps, stepper.looks);
    assert!(most > 10 && stepper.steps >= STEPS_MIN, "{most} drops in {} steps", stepper.steps);
}
