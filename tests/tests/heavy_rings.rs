//! A ring that is heavy or hostile while its process lives: as large as a ring may be, with lanes that look busy or damaged,
//! or with records that are shown as far more than they take.
//!
//! A pass that does all the work that such a ring asks for takes so long that the lanes of others run over.

use lastwords_flusher::drain::Drain;
use lastwords_ring::place::folder::Folder;
use lastwords_tests::actor::{Actor, tool_at};
use lastwords_tests::forge::{self, Forged};
use lastwords_tests::logs::{Line, read, reported_lost};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

/// Lines of the honest process.
const LINES: usize = 200_000;
const LAST: u64 = 65536;

/// The commit word of an open slot.
fn busy(sequence: u64) -> (u64, u64) {
    (sequence, sequence << 2 | 1)
}

fn numbers(lines: &[Line], what: &str) -> Vec<usize> {
    lines.iter().filter_map(|line| line.message.strip_prefix(what)?.parse().ok()).collect()
}

#[test]
fn a_ring_of_the_largest_size_that_looks_busy_or_damaged_takes_nothing_from_others() {
    let _watchdog = Watchdog::new("heavy rings", Duration::from_secs(300));
    let ways = [
        ("a call in flight in each lane", vec![busy(1)]),
        ("damage from end to end", vec![busy(1), busy(LAST)]),
        ("damage in the middle", vec![busy(LAST / 2), busy(LAST / 2 + 1), busy(LAST)]),
    ];
    for (what, slots) in ways {
        let folder = Scratch::new("heavy");
        let heavy = forge::largest(&folder, "heavy-1-ab.ring", &slots);
        let host = Actor::start("host", &folder, "line:up wait kill").until("up");
        let script = format!("flusher=never log:{LINES} flush line:done wait");
        let mut other = Actor::start("other", &folder, &script);
        assert_eq!(other.line(), "done", "{what}");
        let lines = read(&folder, "other");
        let (found, lost) = (numbers(&lines, "line "), reported_lost(&lines));
        assert!(found.is_sorted_by(|a, b| a < b), "{what}: in order and once");
        assert_eq!(found.len() + lost, LINES, "{what}: all that is missing is counted");
        // A flusher that does not get a core for 100 ms leaves a loss; beside an unbounded ring nine of ten lines are lost.
        assert!(lost < LINES / 10, "{what}: {lost} lost");
        drop((heavy, other, host));
    }
}

#[test]
fn flush_once_ends_beside_a_living_ring_of_the_largest_size_and_removes_a_dead_one() {
    let _watchdog = Watchdog::new("flush --once", Duration::from_secs(300));
    for alive in [true, false] {
        let folder = Scratch::new("heavy-once");
        let heavy = forge::largest(&folder, "heavy-1-ab.ring", &[busy(1), busy(LAST)]);
        if !alive {
            forge::die(&heavy);
        }
        let held = alive.then_some(heavy);
        let output = tool_at("flush --once", &folder);
        assert!(output.code.is_some_and(|code| code < 2), "{output:?}");
        assert_eq!(forge::ring_files(&folder).len(), usize::from(alive));
        drop(held);
    }
}

/// A file in the rings folder that is held as its living process holds it.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> File {
    fs::create_dir_all(folder.join("rings")).expect("made");
    let path = folder.join("rings").join(name);
    fs::write(&path, bytes).expect("written");
    let file = File::open(path).expect("opened");
    file.lock().expect("locked");
    file
}

#[test]
fn what_one_ring_shows_in_a_pass_is_bounded_and_the_rest_of_it_comes_in_order_later() {
    let _watchdog = Watchdog::new("a wide ring", Duration::from_secs(120));
    let folder = Scratch::new("wide");
    let records = (0..100).map(|n| Forged::text(0, 1000 + n, &format!("honest {n}")));
    let honest = put(&folder, "worker-2-cd.ring", &forge::ring("worker", 3, |_| records.collect()));
    let wide = put(&folder, "worker-1-ab.ring", &forge::wide_ring());
    let mut drain = Drain::open(&Folder::open(&folder).expect("a folder"), 0).expect("opened");
    let first = drain.pass().expect("a pass");
    assert!(first.records > 100 && first.records < 3072, "{first:?}");
    assert!(first.waiting, "there is more");
    let found = numbers(&read(&folder, "worker"), "honest ");
    assert_eq!(found, (0..100).collect::<Vec<_>>(), "in the first pass, whatever its neighbour holds");
    let mut records = first.records;
    for _ in 0..20 {
        records += drain.pass().expect("a pass").records;
    }
    assert_eq!(records, 3072 + 100, "everything came");
    drop((wide, honest));
}
