//! Clocks that jump: the wall clock is set, the machine sleeps, or it boots between a process's death and the drain.
//!
//! A log that is ordered by the time of day shows an effect above its cause whenever the clock is set; one that takes the pid
//! or the ticks of an earlier boot for its own takes a dead process for a living one, and never drains it. The machine's clock
//! is not touched here: rings are given the anchors and the boot ids that a jump would have left.

use lastwords_ring::format::anchor::Anchor;
use lastwords_ring::format::layout::RingHeader;
use lastwords_ring::place::clock::{self};
use lastwords_tests::actor::run;
use lastwords_tests::drains::{drain, drain_until};
use lastwords_tests::files::copy_rings;
use lastwords_tests::forge::{self, Forged};
use lastwords_tests::logs::{alarms, assert_numbered, crash_files, numbered, numbers_after, read};
use lastwords_tests::oracle::Random;
use lastwords_tests::recovered;
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::mem::offset_of;
use std::path::Path;

const RECORDS: u64 = 400;
const HOUR_NS: i64 = 3_600_000_000_000;

/// Moments in the past, a millisecond apart: raw clock, boottime and wall clock of the n-th.
struct Moments {
    now: Anchor,
    ticks_a_ms: u64,
}

impl Moments {
    fn new() -> Moments {
        Moments { now: clock::anchor(), ticks_a_ms: clock::measure_hz() / 1000 }
    }

    fn at(&self, n: u64) -> Anchor {
        let back = 2 * RECORDS - n;
        Anchor {
            ticks: self.now.ticks - back * self.ticks_a_ms,
            boottime_ns: self.now.boottime_ns - back * 1_000_000,
            realtime_ns: self.now.realtime_ns - back * 1_000_000,
        }
    }

    /// The n-th with the wall clock set by `step`, and the boottime ahead by `slept`.
    fn shifted(&self, n: u64, step: i64, slept: i64) -> Anchor {
        let Anchor { ticks, boottime_ns, realtime_ns } = self.at(n);
        let (boottime_ns, realtime_ns) =
            (boottime_ns.saturating_add_signed(slept), realtime_ns.saturating_add_signed(step + slept));
        Anchor { ticks, boottime_ns, realtime_ns }
    }
}

/// Two rings of two lanes that took turns, with these anchors.
fn put_rings(folder: &Path, moments: &Moments, anchors: [&[Anchor]; 2]) {
    fs::create_dir_all(folder.join("rings")).expect("made");
    for (number, anchors) in (0..).zip(anchors) {
        let own = (0..RECORDS).filter(|n| n / 2 % 2 == number);
        let records = own.map(|n| Forged::text(n as usize % 2, moments.at(n).ticks, &format!("record {n}")));
        let mut bytes = forge::ring("worker", 3, |_| records.collect());
        forge::set_anchors(&mut bytes, anchors);
        fs::write(folder.join(format!("rings/worker-{number}-ab.ring")), bytes).expect("written");
    }
}

#[test]
fn a_step_of_the_wall_clock_neither_reorders_nor_loses_a_record() {
    let moments = Moments::new();
    // An hour ahead after 100 records, two hours back after 200; each process notices at its own next anchor.
    let first = [moments.at(0), moments.shifted(100, HOUR_NS, 0), moments.shifted(200, -HOUR_NS, 0)];
    let second = [moments.at(2), moments.shifted(150, HOUR_NS, 0), moments.shifted(302, -HOUR_NS, 0)];
    for since in ["all", "now"] {
        let folder = Scratch::new("steps");
        put_rings(&folder, &moments, [&first, &second]);
        let recovered = recovered::records(&folder);
        let recovered: Vec<&str> = recovered.iter().filter_map(|found| found.text.strip_prefix("record ")).collect();
        assert_eq!(recovered, (0..RECORDS).map(|n| n.to_string()).collect::<Vec<_>>(), "{since}: by recover");
        drain(&folder, since);
        let lines = read(&folder, "worker");
        assert_eq!(numbers_after("record ", &lines), (0..RECORDS as usize).collect::<Vec<_>>(), "{since}");
        drain(&folder, since);
        assert_eq!(read(&folder, "worker").len(), lines.len(), "{since}: once");
    }
}

#[test]
fn a_step_of_the_wall_clock_does_not_reorder_a_crash_file() {
    let (folder, moments) = (Scratch::new("crash-steps"), Moments::new());
    put_rings(&folder, &moments, [&[moments.at(0), moments.shifted(200, -HOUR_NS, 0)], &[moments.at(2)]]);
    for path in forge::ring_files(&folder) {
        let mut bytes = fs::read(&path).expect("read");
        // As many crash files as usual, of a process with this pid that began at another time.
        forge::set_header(&mut bytes, offset_of!(RingHeader, crash_keep), &[0; 4]);
        forge::set_header(&mut bytes, offset_of!(RingHeader, start_time), &[1; 8]);
        fs::write(&path, bytes).expect("written");
    }
    drain(&folder, "all");
    let files = crash_files(&folder);
    assert_eq!(files.len(), 2, "one for each process: {files:?}");
    for path in files {
        let text = fs::read_to_string(&path).expect("read");
        let found: Vec<u64> = text.lines().filter_map(|line| line.rsplit_once("record ")?.1.parse().ok()).collect();
        let of_it = |number| (0..RECORDS).filter(|n| n / 2 % 2 == number).collect::<Vec<_>>();
        assert!(found == of_it(0) || found == of_it(1), "{}: {found:?}", path.display());
    }
}

#[test]
fn a_sleep_of_the_machine_neither_reorders_nor_loses_a_record_and_shows_in_the_times() {
    let moments = Moments::new();
    // The raw clock stood still while boottime and wall clock went on for eight hours.
    let slept = 8 * HOUR_NS;
    let first = [moments.shifted(0, 0, -slept), moments.shifted(99, 0, -slept), moments.at(100), moments.at(399)];
    let second = [moments.shifted(2, 0, -slept), moments.shifted(98, 0, -slept), moments.at(102), moments.at(398)];
    for since in ["all", "now"] {
        let folder = Scratch::new("sleep");
        put_rings(&folder, &moments, [&first, &second]);
        drain(&folder, since);
        let lines = read(&folder, "worker");
        assert_eq!(numbers_after("record ", &lines), (0..RECORDS as usize).collect::<Vec<_>>(), "{since}");
        let of = |n: u64| {
            let line = lines.iter().find(|line| line.message == format!("record {n}")).expect("there");
            let (hour, minute) = (&line.time[11..13], &line.time[14..16]);
            hour.parse::<i64>().expect("a number") * 60 + minute.parse::<i64>().expect("a number")
        };
        let apart = (of(300) - of(50)).rem_euclid(24 * 60);
        assert!((479..=481).contains(&apart), "{since}: {apart} minutes apart");
    }
}

#[test]
fn rings_of_two_earlier_boots_are_drained_once_and_marked_as_such() {
    let folder = Scratch::new("boots");
    let mut pids = Vec::new();
    for boot in [1u8, 2, 0] {
        let known = forge::ring_files(&folder);
        let (pid, _) = run("worker", &folder, "flusher=never log:50 kill");
        pids.push(pid);
        let new = forge::ring_files(&folder).into_iter().find(|path| !known.contains(path)).expect("its ring");
        if boot > 0 {
            let mut bytes = fs::read(&new).expect("read");
            forge::set_boot(&mut bytes, boot);
            fs::write(&new, bytes).expect("written");
        }
    }
    drain(&folder, "all");
    let lines = read(&folder, "worker");
    for pid in &pids {
        let own: Vec<&str> =
            lines.iter().filter(|line| line.pid == *pid && line.level == "INFO").map(|l| &*l.message).collect();
        assert_eq!(own, numbered(50));
        assert_eq!(lines.iter().filter(|line| line.pid == *pid && line.level == "CRITICAL").count(), 1);
    }
    let heading = lines.iter().position(|line| line.message.contains("left by an earlier run of 2 processes"));
    let place = |pid: u32| lines.iter().position(|line| line.pid == pid && line.level == "INFO");
    assert!(heading < place(pids[0]) && heading < place(pids[1]), "above them");
    assert!(place(pids[2]) > place(pids[0]).max(place(pids[1])), "this boot's come after");
    drain(&folder, "all");
    assert_eq!(read(&folder, "worker").len(), lines.len(), "once");
    assert!(forge::ring_files(&folder).is_empty());
}

#[test]
fn two_boots_in_the_middle_of_a_batch_lose_and_double_nothing() {
    let wreck = Scratch::new("mid-boot");
    for role in ["host", "worker"] {
        let script = "flusher=never rotate=4096 keep=50 log:300 kill";
        let _ = run(role, &wreck, script);
    }
    let mut random = Random::from_env("LASTWORDS_BOOTS_SEED");
    for _ in 0..40 {
        let folder = Scratch::new("mid-boot-copy");
        copy_rings(&wreck, &folder);
        let calls = [random.below(300), random.below(300)];
        for (boot, call) in (1..).zip(calls) {
            drain_until(&folder, call);
            for ring in forge::ring_files(&folder) {
                let mut bytes = fs::read(&ring).expect("read");
                forge::set_boot(&mut bytes, boot);
                fs::write(&ring, bytes).expect("written");
            }
        }
        drain(&folder, "all");
        for role in ["host", "worker"] {
            let lines = read(&folder, role);
            assert_numbered(&lines, 300, &format!("{role}, killed at {calls:?}"));
            assert_eq!(alarms(&lines), 1, "{role}, {calls:?}");
        }
    }
}
