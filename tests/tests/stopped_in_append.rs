//! A process that stops, or dies, in the middle of a log call silences no other.
//!
//! Where processes share a buffer, each reserves its place in it and commits it later, and a reader cannot pass a place
//! that is reserved and not committed. So one process that is killed or stopped between the two keeps what all others
//! log from being read: tracers whose buffers belong to a processor, shared by everything that runs on it, have this
//! in their default mode. Here every thread has a lane of its own; an open slot holds the lines of others back for a
//! moment, for the sake of their order, and then no longer. Each place in a log call where that could go wrong is tried:
//! a sequence that is reserved, a slot that is busy, a message half copied.

use lastwords_flusher::flusher::{Election, Flusher};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::read::reader::RingReader;
use lastwords_tests::actor::{Actor, wait_until};
use lastwords_tests::files::{beside_rings, name_of};
use lastwords_tests::logs::{read, read_so_far, texts};
use lastwords_tests::oracle::{is_death, text};
use lastwords_tests::programs::STEPPER;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use lastwords_tests::watchdog::Watchdog;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Messages of the process that is stopped in the second one, and their longest padding, as in `stepper.rs`.
const COUNT: u64 = 4;
const LONGEST: u64 = 120;
/// Lines of each of the others.
const LINES: usize = 300;
/// Instructions within which a log call has come to any place in it.
const STEPS_MAX: usize = 20_000;

/// Where in a log call the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A sequence is reserved (LANE:A), its slot is as it was.
    Reserved,
    /// The slot is busy (LANE:B), nothing of the message is there.
    Busy,
    /// Part of the message is in the busy slot.
    Copying,
}

const PLACES: [Place; 3] = [Place::Reserved, Place::Busy, Place::Copying];

/// Starts a process, and stops it at `place` in its second log call.
fn stand_at(place: Place, scratch: &Path) -> Traced {
    let (folder, marks) = (scratch.join("logs"), scratch.join("marks"));
    let mut command = STEPPER.command();
    command.arg(&folder).arg(&marks).arg(COUNT.to_string()).arg("block");
    let mut traced = Traced::start(&mut command).expect("started");
    assert_eq!(traced.run().expect("ran"), Stop::Signal(libc::SIGSTOP), "before the second message");
    let is_its = |path: &PathBuf| name_of(path).contains(&format!("stepper-{}-", traced.pid()));
    let path = beside_rings(&folder, "ring").into_iter().find(is_its).expect("its ring");
    let (reader, ring) = (RingReader::open(&path).expect("a ring"), File::open(&path).expect("opened"));
    let geometry = reader.geometry();
    let word = |offset: u64| {
        let mut bytes = [0; 8];
        ring.read_exact_at(&mut bytes, offset).expect("the ring");
        u64::from_le_bytes(bytes)
    };
    let reserved = || word(geometry.block_offset(0));
    let before = reserved();
    let slot = geometry.lane_offset(0) + geometry.slot_index(before + 1) * geometry.record_size() as u64;
    let busy = || word(slot) == (before + 1) << 2 | 1;
    // The slot has never been used, so what is not zero behind its head belongs to this message.
    let copying = || (48..128).step_by(8).any(|offset| word(slot + offset) != 0);
    for _ in 0..STEPS_MAX {
        let found = match (reserved() > before, busy()) {
            (true, false) => Some(Place::Reserved),
            (true, true) if copying() => Some(Place::Copying),
            (_, true) => Some(Place::Busy),
            (false, false) => None,
        };
        if found == Some(place) {
            return traced;
        }
        assert_eq!(traced.step().expect("stepped"), Stop::Signal(libc::SIGTRAP));
    }
    panic!("no log call comes to {place:?}");
}

/// Two other processes, one of which flushes, log while one is stopped at `place`; all their lines must arrive.
fn others_are_heard(scratch: &Path, place: Place, what: impl FnOnce(&mut Traced)) -> Traced {
    let folder = scratch.join("logs");
    let log = format!("log:{LINES}");
    let script = format!("line:up wait {log} error:urgent line:said flush line:flushed wait");
    let mut host = Actor::start("host", &folder, &script).until("up");
    let mut worker = Actor::start("worker", &folder, &script).until("up");
    let mut traced = stand_at(place, scratch);
    what(&mut traced);
    for actor in [&mut host, &mut worker] {
        actor.go();
        assert_eq!(actor.line(), "said", "nobody who logs waits for the stopped one");
        assert_eq!(actor.line(), "flushed", "and neither does flush()");
    }
    for role in ["host", "worker"] {
        wait_until("the lines of the others", || {
            let lines = read_so_far(&folder, role);
            let numbers: Vec<&str> = lines.iter().filter_map(|line| line.message.strip_prefix("line ")).collect();
            let all = numbers.len() == LINES && numbers.iter().enumerate().all(|(n, found)| *found == n.to_string());
            all && lines.iter().any(|line| line.message == "urgent")
        });
    }
    for mut actor in [host, worker] {
        actor.finish();
    }
    traced
}

fn drain_what_is_left(folder: &Path) {
    let flusher = Flusher::elect(&Folder::open(folder).expect("the folder"), 0);
    let Ok(Election::Won(mut flusher)) = flusher else { panic!("nobody else flushes") };
    flusher.drain_once().expect("drained");
}

#[test]
fn a_process_stopped_in_a_log_call_silences_nobody_and_loses_nothing_itself() {
    let _watchdog = Watchdog::new("stopped in an append", Duration::from_secs(180));
    for place in PLACES {
        let scratch = Scratch::new("stopped");
        let mut traced = others_are_heard(&scratch, place, |traced| traced.leave_stopped().expect("stopped"));
        let folder = scratch.join("logs");
        // It stops itself again behind its last message.
        let marks = scratch.join("marks");
        wait_until("its own messages", || {
            traced.go_on().expect("alive");
            lastwords_tests::oracle::read_marks(&marks) == [COUNT]
        });
        traced.kill().expect("killed");
        drain_what_is_left(&folder);
        let lines = read(&folder, "stepper");
        let found = texts(lines.iter().filter(|line| !is_death(line)));
        let expected: Vec<String> = (1..=COUNT).map(|n| text(0, 0, n, LONGEST)).collect();
        assert_eq!(found, expected, "{place:?}");
    }
}

#[test]
fn a_process_killed_in_a_log_call_silences_nobody_and_leaves_no_half_a_message() {
    let _watchdog = Watchdog::new("killed in an append", Duration::from_secs(180));
    for place in PLACES {
        let scratch = Scratch::new("killed");
        let _traced = others_are_heard(&scratch, place, |traced| traced.kill().expect("killed"));
        let folder = scratch.join("logs");
        // The others' flusher may have ended before it looked whether the killed one lives.
        drain_what_is_left(&folder);
        let lines = read(&folder, "stepper");
        let (death, messages) = lines.split_last().expect("lines");
        assert!(is_death(death) && death.message.contains("1 log call interrupted"), "{place:?}: {death:?}");
        let found = texts(messages);
        assert_eq!(found, [text(0, 0, 1, LONGEST)], "{place:?}");
    }
}
