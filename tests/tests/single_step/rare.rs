//! What a thread does once, or now and then: it takes over a lane that another thread has left, writes a call site into the
//! table, or writes a message to a file of its own and a record that names it.

use super::process::{SLOTS, Script, Stepper};
use super::{STEPS_MIN, assert_recovered, numbers};
use lastwords_flusher::render::call_sites::Sites;
use lastwords_flusher::render::line;
use lastwords_ring::format::layout::encoding;
use lastwords_ring::format::record::Record;
use lastwords_ring::read::reader::{Extent, LaneBatch, LaneSnapshot, RingReader};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::steps::{EARLIER, Kind, SITES};
use lastwords_tests::watchdog::Watchdog;
use std::time::{Duration, Instant};

type Reader = RingReader<Vec<u8>>;

/// Steps through the messages of `kind` and checks at each state what a crash there would leave; `also` checks each of the
/// records. Returns the last state.
fn step_through(kind: Kind, also: impl Fn(&Reader, &LaneSnapshot, &Record<'_>, u64)) -> (Stepper, Script) {
    let _watchdog = Watchdog::new("single_step of what is rare", Duration::from_secs(300));
    let scratch = Scratch::new(&format!("single-step-{}", kind.name()));
    let (script, start) = (Script::new(kind), Instant::now());
    let mut stepper = Stepper::start(scratch.path(), "overwrite", kind);
    let (mut batch, mut bytes) = (LaneBatch::default(), Vec::new());
    while stepper.step() {
        if !stepper.look() {
            continue;
        }
        let (reader, lanes) = stepper.reader();
        let last = reader.last_sequence(0, &mut bytes).expect("read");
        for extent in [Extent::Final(last), Extent::Live(lanes[0].reserved)] {
            let found = numbers(&reader, 0, extent, &script, &mut batch, |record| shown(&reader, record));
            assert_recovered(&found, stepper.acknowledged, &script);
            batch.iter().zip(&found).for_each(|(record, n)| also(&reader, &lanes[0], &record, *n));
        }
        for lane in 1..lanes.len() {
            assert_eq!(reader.last_sequence(lane, &mut bytes).expect("read"), 0, "a record in lane {lane}");
        }
    }
    assert_eq!(stepper.acknowledged, kind.count(), "all messages were stepped through");
    let (steps, looks) = (stepper.steps, stepper.looks);
    println!("{kind:?}: {steps} steps, {looks} states, {:.1} s", start.elapsed().as_secs_f64());
    assert!(steps >= STEPS_MIN, "{steps} steps");
    (stepper, script)
}

/// What a flusher would show of a record, which must be whole with all that it names: its call site, its spilled message.
fn shown(reader: &Reader, record: &Record<'_>) -> String {
    let mut sites = Sites::default();
    let site = sites.get(reader, record.call_site).expect("read");
    assert!(record.call_site == 0 || site.is_some(), "it names a call site that is not there: {record:?}");
    let unspilled = reader.unspill(record).unwrap_or_else(|lost| panic!("{lost}: {record:?}"));
    let mut line = Vec::new();
    match &unspilled {
        Some((body, encoding)) => line::record(&mut line, &Record { body, encoding: *encoding, ..*record }, site),
        None => line::record(&mut line, record, site),
    }
    String::from_utf8(line).expect("UTF-8").trim_end_matches('\n').to_owned()
}

#[test]
fn a_process_killed_at_any_instruction_of_a_spilled_message_leaves_it_whole_or_not_at_all() {
    let (_, script) = step_through(Kind::Spilled, |_, _, record, n| {
        assert_eq!(record.encoding & encoding::SPILLED != 0, Kind::Spilled.spills(n), "{record:?}");
    });
    assert!(script.end(Kind::Spilled.count()) > 2 * SLOTS, "records that name spilled messages are overwritten too");
}

#[test]
fn a_process_killed_at_any_instruction_of_a_claim_leaves_the_lane_of_an_ended_thread_as_it_was() {
    let (stepper, _) = step_through(Kind::Reused, |_, lane, record, n| {
        let owner = if n <= EARLIER { format!("earlier {n}") } else { "main".to_owned() };
        let name = lane.thread_name(record);
        assert!(
            name.as_ref().is_none_or(|name| *name == owner.as_bytes()),
            "{name:?} wrote what {owner} did: {record:?}"
        );
    });
    let (reader, lanes) = stepper.reader();
    let mut batch = LaneBatch::default();
    reader.read_lane(0, 0, Extent::Live(lanes[0].reserved), SLOTS, &mut batch).expect("read");
    let newest = batch.iter().last().and_then(|record| lanes[0].thread_name(&record));
    assert_eq!(newest, Some(&b"main"[..]), "the lane has a new owner");
}

#[test]
fn a_process_killed_at_any_instruction_of_a_registration_leaves_no_record_without_its_call_site() {
    let (_, script) = step_through(Kind::Sites, |reader, _, record, n| {
        let site = reader.call_site(record.call_site).expect("read").expect("registered");
        assert_eq!(*site.target, *format!("site {n}"));
    });
    assert_eq!(script.texts.len() as u64, SITES, "each call site is registered");
}
