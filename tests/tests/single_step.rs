//! A process may be killed between any two instructions of a log call.
//!
//! A logger that made a record valid one store too early would pass every test that kills at random, because the window is a
//! nanosecond wide; then, once in some million crashes, a line would be torn, or a line that was promised to be safe would be
//! missing. So here a process is stopped after every single instruction of its log calls, through a wrap of the ring, messages
//! of two slots, and a ring that is full, messages too long for the lane, another thread's lane and new call sites, and each
//! time what a crash at this instruction would leave is recovered from a copy of the ring.
//!
//! A flusher reads the ring of a process that still runs, and the scheduler may stop the process at any instruction
//! just as well; so the copy is also read as a live ring, where nothing may look like damage.

#[path = "single_step/kept.rs"]
mod kept;
#[path = "single_step/process.rs"]
mod process;
#[path = "single_step/rare.rs"]
mod rare;

use lastwords_flusher::render::value::{Value, ValueReader};
use lastwords_ring::format::placeholder::value_tag;
use lastwords_ring::format::record::Record;
use lastwords_ring::read::reader::{Extent, LaneBatch, RingReader, Source};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::steps::Kind;
use lastwords_tests::watchdog::Watchdog;
use process::{SLOTS, Script, Stepper};
use std::time::{Duration, Instant};

/// Fewer steps than this cannot have been the log calls.
const STEPS_MIN: u64 = 2000;

/// Reads lane 0 behind `position` and returns the numbers of its messages, each of which must be the whole text at its own place.
fn numbers<S: Source>(
    reader: &RingReader<S>,
    position: u64,
    extent: Extent,
    script: &Script,
    batch: &mut LaneBatch,
    logged: impl Fn(&Record<'_>) -> String,
) -> Vec<u64> {
    reader.read_lane(0, position, extent, SLOTS, batch).expect("read");
    assert_eq!(batch.damaged, 0, "a step looks like damage, {extent:?}");
    let number = |place: (u64, u64)| script.places.iter().position(|found| *found == place).map(|n| n as u64 + 1);
    let numbers = batch.iter().map(|record| {
        let n = number((record.first, record.last)).unwrap_or_else(|| panic!("no message stands there: {record:?}"));
        assert_eq!(logged(&record), script.texts[n as usize - 1], "torn: {record:?}");
        assert_eq!(record.message, n);
        n
    });
    numbers.collect()
}

/// The one string that each message consists of.
fn text_of(record: &Record<'_>) -> String {
    assert!(record.has_values());
    // The first one of its call site has a tag.
    let values = match record.is_untagged() {
        true => Some(ValueReader::untagged(&[value_tag::STR], record.text())),
        false => ValueReader::tagged(record.text(), 1),
    };
    match values.and_then(|mut values| values.next()) {
        Some(Value::Str(text)) => String::from_utf8_lossy(text).into_owned(),
        found => panic!("{found:?} in {record:?}"),
    }
}

/// All of the acknowledged messages that the ring can hold while the next one is written, and none but these, those
/// that it has not overwritten yet, and the one in flight.
fn assert_recovered(numbers: &[u64], acknowledged: u64, script: &Script) {
    let next = (acknowledged + 1).min(script.texts.len() as u64);
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
    let (script, start) = (Script::new(Kind::Plain), Instant::now());
    let long = script.places[1..].iter().filter(|place| place.1 > place.0).count();
    assert!(long >= 2, "messages of two slots are among those stepped through");
    assert!(script.end(Kind::Plain.count()) > 3 * SLOTS, "the ring wraps");
    let mut stepper = Stepper::start(scratch.path(), "overwrite", Kind::Plain);
    let (mut batch, mut scratch_bytes) = (LaneBatch::default(), Vec::new());
    while stepper.step() {
        if !stepper.look() {
            continue;
        }
        let (reader, lanes) = stepper.reader();
        let last = reader.last_sequence(0, &mut scratch_bytes).expect("read");
        let dead = numbers(&reader, 0, Extent::Final(last), &script, &mut batch, text_of);
        assert_recovered(&dead, stepper.acknowledged, &script);
        let live = numbers(&reader, 0, Extent::Live(lanes[0].reserved), &script, &mut batch, text_of);
        assert_recovered(&live, stepper.acknowledged, &script);
        // A live reader that went past a record in flight would never come back for it.
        let written = live.last().map_or(0, |n| script.end(*n));
        assert!(batch.end == written || live.is_empty(), "read up to {}, the last record ends at {written}", batch.end);
        for lane in 1..3 {
            assert_eq!(reader.last_sequence(lane, &mut scratch_bytes).expect("read"), 0, "a record in lane {lane}");
        }
    }
    assert_eq!(stepper.acknowledged, Kind::Plain.count(), "all messages were stepped through");
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
    let script = Script::new(Kind::Plain);
    let mut stepper = Stepper::start(scratch.path(), "drop_newest", Kind::Plain);
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
        let known = |text: String| script.texts.iter().position(|known| *known == text);
        let numbers: Vec<usize> = batch.iter().map(|record| known(text_of(&record)).expect("a whole text")).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "out of order: {numbers:?}");
        let settled = numbers.len() as u64 + lanes[0].dropped;
        let acknowledged = stepper.acknowledged;
        assert!(settled == acknowledged || settled == acknowledged + 1, "{settled} for {acknowledged} acknowledged");
        most = most.max(lanes[0].dropped);
    }
    println!("{} steps, {} states of the ring, {most} drops", stepper.steps, stepper.looks);
    assert!(most > 10 && stepper.steps >= STEPS_MIN, "{most} drops in {} steps", stepper.steps);
}
