//! What a thread does whose lane is full and whose flusher does not come: it copies slots to a file before it uses them again.

use super::process::{SLOTS, Script, Stepper};
use super::{STEPS_MIN, numbers, text_of};
use lastwords_ring::read::reader::{Extent, LaneBatch, RingReader};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::steps::Kind;
use lastwords_tests::watchdog::Watchdog;
use std::time::{Duration, Instant};

/// All messages that the ring and the files beside it hold.
fn all(reader: &RingReader<Vec<u8>>, extent: Extent, script: &Script, batch: &mut LaneBatch) -> Vec<u64> {
    let (mut found, mut position) = (Vec::new(), 0);
    loop {
        found.extend(numbers(reader, position, extent, script, batch, text_of));
        if !batch.more {
            return found;
        }
        position = batch.end;
    }
}

#[test]
fn a_process_killed_at_any_instruction_of_keeping_leaves_all_that_was_acknowledged() {
    let _watchdog = Watchdog::new("single_step of keeping", Duration::from_secs(300));
    let scratch = Scratch::new("single-step-kept");
    let (script, start) = (Script::new(Kind::Kept), Instant::now());
    assert!(script.end(Kind::Kept.count()) > 2 * SLOTS, "slots are kept twice and more");
    for policy in ["block", "drop_newest"] {
        let scratch = scratch.path().join(policy);
        std::fs::create_dir_all(&scratch).expect("made");
        let mut stepper = Stepper::start(&scratch, policy, Kind::Kept);
        let mut batch = LaneBatch::default();
        while stepper.step() {
            if !stepper.look() {
                continue;
            }
            let (reader, lanes) = stepper.reader();
            let last = reader.last_sequence(0, &mut Vec::new()).expect("read");
            for extent in [Extent::Final(last), Extent::Live(lanes[0].reserved)] {
                let found = all(&reader, extent, &script, &mut batch);
                let acknowledged = stepper.acknowledged as usize;
                let right = found.iter().copied().eq(1..=found.len() as u64);
                assert!(right, "{policy}, {extent:?}: {acknowledged} acknowledged, {found:?}");
                assert!(
                    (acknowledged..=acknowledged + 1).contains(&found.len()),
                    "{acknowledged}: {found:?}, {extent:?}"
                );
            }
        }
        assert_eq!(stepper.acknowledged, Kind::Kept.count(), "all messages were stepped through");
        assert!(stepper.steps >= STEPS_MIN, "{} steps", stepper.steps);
        let (steps, looks) = (stepper.steps, stepper.looks);
        println!("kept, {policy}: {steps} steps, {looks} states, {:.1} s", start.elapsed().as_secs_f64());
    }
}
