//! Clocks that lie: records whose time has not come, because the counter went back or the ring is damaged or hostile.
//!
//! A flusher that waits until the time of a record has come stops its lane for as long as the clock is ahead, and
//! `flush --once` with it. The records must come out all the same, in the order of their lane and marked, whatever kind of
//! ring they are in.

use lastwords_flusher::drain::Drain;
use lastwords_flusher::recover::status::RingStatus;
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::format::layout::{Control, RingHeader};
use lastwords_ring::place::clock::{self};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::read::reader::RingReader;
use lastwords_ring::write::lane::{Message, Origin};
use lastwords_ring::write::ring::{Ring, RingSpec};
use lastwords_tests::drains::drain;
use lastwords_tests::forge::{self, Forged};
use lastwords_tests::logs::{Line, read};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::fs::{self, File};
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const RECORDS: u64 = 40;

/// Whose ring it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Of a process that lives: this one.
    Living,
    /// Of a process that died while the flusher lived.
    Dead,
    /// Of one that was dead before.
    Earlier,
}

/// A ring of two lanes that took turns, whose `n`-th record carries the clock that `clock` says. Living, its lock is held
/// as long as the file is open.
fn put(folder: &Path, name: &str, whose: Whose, clock: impl Fn(u64) -> u64) -> File {
    fs::create_dir_all(folder.join("rings")).expect("made");
    let records = (0..RECORDS).map(|n| Forged::text(n as usize % 2, clock(n), &format!("{name} {n}")));
    let mut bytes = forge::ring("worker", 3, |_| records.collect());
    if whose != Whose::Living {
        // A process with this pid that began at another time.
        forge::set_header(&mut bytes, offset_of!(RingHeader, start_time), &[1; 8]);
    }
    let path = folder.join(format!("rings/worker-{name}.ring"));
    fs::write(&path, bytes).expect("written");
    let file = File::options().read(true).write(true).open(path).expect("opened");
    if whose == Whose::Living {
        file.lock().expect("locked");
    }
    file
}

/// The numbers of a ring's records in the order of the file, those of one lane.
fn numbers(lines: &[Line], name: &str, lane: u64) -> Vec<u64> {
    let of = |line: &Line| line.message.strip_prefix(&format!("{name} "))?.parse::<u64>().ok();
    lines.iter().filter_map(of).filter(|n| n % 2 == lane).collect()
}

fn notices(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.message.as_str()).filter(|text| text.contains("ahead of the clock")).collect()
}

#[test]
fn records_ahead_of_the_clock_come_out_in_their_order_marked_once_and_hold_nobody_up() {
    let _watchdog = Watchdog::new("records ahead", Duration::from_secs(120));
    let now = clock::anchor();
    let second = clock::measure_hz();
    let usual = |n: u64| now.ticks - (2 * RECORDS - n) * (second / 1000);
    let hours = 10 * 3600 * second;
    // Which records lie, how far they are ahead, and what they carry.
    type Clock<'a> = Box<dyn Fn(u64) -> u64 + 'a>;
    let lies: [(&str, u64, Clock<'_>); 7] = [
        ("none", 0, Box::new(usual)),
        ("first", 1, Box::new(|n| usual(n) + if n == 0 { hours } else { 0 })),
        ("middle", 1, Box::new(|n| usual(n) + if n == 21 { hours } else { 0 })),
        ("last", 1, Box::new(|n| usual(n) + if n == RECORDS - 1 { hours } else { 0 })),
        ("all", RECORDS, Box::new(|n| usual(n) + hours)),
        ("end-of-time", 1, Box::new(|n| if n == 6 { u64::MAX } else { usual(n) })),
        ("falling", RECORDS, Box::new(|n| usual(0) + hours * (RECORDS - n))),
    ];
    for whose in [Whose::Living, Whose::Dead, Whose::Earlier] {
        for (name, ahead, clock) in &lies {
            let folder = Scratch::new("lying");
            let held = put(&folder, name, whose, clock);
            let honest = put(&folder, "honest", Whose::Living, usual);
            drain(&folder, if whose == Whose::Earlier { "now" } else { "all" });
            let lines = read(&folder, "worker");
            for lane in [0, 1] {
                let own: Vec<u64> = (0..RECORDS).filter(|n| n % 2 == lane).collect();
                assert_eq!(numbers(&lines, name, lane), own, "{whose:?}, {name}");
                assert_eq!(numbers(&lines, "honest", lane), own, "{whose:?}, {name}");
            }
            let reported = notices(&lines);
            assert_eq!(reported.len(), usize::from(*ahead > 0), "{whose:?}, {name}: {reported:?}");
            let count = format!("{ahead} record{} of the ring worker-{name}.ring", if *ahead == 1 { "" } else { "s" });
            assert!(reported.iter().all(|text| text.contains(&count)), "{whose:?}, {name}: {reported:?}");
            // The line that was written last has the time of now.
            let (Some(last), Some(latest)) = (lines.last(), lines.iter().map(|line| &line.time).max()) else {
                panic!()
            };
            assert!(
                *latest <= last.time || whose == Whose::Earlier,
                "{whose:?}, {name}: {latest} is later than {}",
                last.time
            );
            drop((held, honest));
        }
    }
}

#[test]
fn a_living_flusher_goes_on_after_a_record_from_ahead_and_tells_of_each_ring_once() {
    let _watchdog = Watchdog::new("a living flusher", Duration::from_secs(60));
    let scratch = Scratch::new("lying-on");
    let folder = Folder::create(&scratch).expect("a folder");
    let geometry = Geometry::new(128, 64, 3, 1, 4096).expect("sizes within the limits");
    let ring = Ring::create(&folder, &RingSpec::new("worker", geometry)).expect("a ring");
    let (mut lane, second) = (ring.lane(0), clock::measure_hz());
    let mut drain = Drain::open(&folder, 0).expect("opened");
    let mut expected = Vec::new();
    let late = || RingStatus::read(&RingReader::open(ring.path()).expect("the ring")).expect("its status").late;
    let mut late_before = 0;
    for n in 0..60 {
        if n == 50 {
            late_before = late();
        }
        let ahead = if n % 5 == 0 && n < 50 { 3600 * second } else { 0 };
        let origin = Origin { level: 20, call_site: 0, thread: 7, encoding: 0 };
        lane.append(|| clock::now() + ahead, &Message { origin, body: format!("mine {n}").as_bytes() });
        expected.push(n);
        if n % 10 == 9 {
            while drain.pass().expect("a pass").waiting {}
            let lines = read(&scratch, "worker");
            let found = lines.iter().filter_map(|line| line.message.strip_prefix("mine ")?.parse().ok());
            assert_eq!(found.collect::<Vec<u64>>(), expected);
        }
    }
    drain.pass().expect("a pass");
    assert_eq!(notices(&read(&scratch, "worker")).len(), 1);
    assert_eq!(late(), late_before, "what comes after records from ahead is not late");
}

#[test]
fn a_clock_that_went_back_gets_an_anchor_at_the_next_record() {
    let folder = Scratch::new("went-back");
    let log = lastwords::builder("worker").dir(&folder).flusher(lastwords::Flusher::Never).open().expect("a log");
    lastwords::info!(logger: log, "before");
    let ring: PathBuf = forge::ring_files(&folder).remove(0);
    let file = File::options().read(true).write(true).open(ring).expect("opened");
    let place = 4096 + offset_of!(Control, newest_anchor) as u64;
    let newest = || {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, place).expect("read");
        u64::from_le_bytes(word)
    };
    for ahead in [4_000_000_000, 1 << 45, u64::MAX / 2] {
        // As if the counter had stood so far when the last anchor was written, and had begun anew since.
        let before = clock::now();
        file.write_all_at(&before.saturating_add(ahead).to_le_bytes(), place).expect("written");
        lastwords::info!(logger: log, "after");
        assert!((before..=clock::now()).contains(&newest()), "{ahead} ticks ahead");
    }
}
