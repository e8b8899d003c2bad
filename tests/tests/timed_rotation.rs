//! Log files that begin with each hour or day of the log's time zone.
//!
//! Whoever rotates by the time at which a flusher happens to look puts lines of one day into the file of another, twice a year an
//! hour's worth, and after a pause of the program, or of the flusher, a day's.

use lastwords::RotateEvery;
use lastwords_ring::format::anchor::Anchor;
use lastwords_ring::format::file_settings::FileSettings;
use lastwords_ring::format::layout::RingHeader;
use lastwords_ring::place::clock;
use lastwords_tests::about::About;
use lastwords_tests::actor::{die, flush_rest, run, succeed, wait_until};
use lastwords_tests::drains::drain;
use lastwords_tests::flushers::{Drainer, Fault, FaultKind, KillAt};
use lastwords_tests::forge::{self, Forged};
use lastwords_tests::logs::rotated;
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys;
use lastwords_tests::watchdog::Watchdog;
use std::fs;
use std::mem::offset_of;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

const DAY_S: u64 = 86_400;
/// 2025-10-26 01:00 UTC, when Berlin's clocks go back from 03:00 to 02:00.
const WINTER_S: u64 = 1_761_440_400;
/// Rules of the zone, which need no data of the system.
const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

const RENAMES: [i64; 3] = [libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2];

/// A ring of a dead process whose records have these times, in seconds since 1970, and goes to both files.
fn put_ring(folder: &Path, every: RotateEvery, seconds: &[u64]) {
    put_ring_of(folder, every, 100, seconds);
}

/// Like [`put_ring`], with so many rotated files kept.
fn put_ring_of(folder: &Path, every: RotateEvery, keep: u32, seconds: &[u64]) {
    let (now, ticks_a_s) = (clock::anchor(), clock::measure_hz());
    // The counter runs a thousand times as fast as the seconds of the records.
    let back = |n: usize| (1000 - n as u64) * ticks_a_s / 1000;
    let anchors: Vec<Anchor> = seconds
        .iter()
        .enumerate()
        .map(|(n, second)| Anchor {
            ticks: now.ticks - back(n),
            boottime_ns: now.boottime_ns - (1000 - n as u64) * 1_000_000,
            realtime_ns: second * 1_000_000_000,
        })
        .collect();
    let records =
        seconds.iter().enumerate().map(|(n, second)| Forged::text(0, now.ticks - back(n), &format!("at {second}")));
    let records = records.collect();
    let files = FileSettings { rotate_every: every, ..FileSettings::default() };
    let mut bytes = forge::ring_with(files, "worker", 3, |_| records);
    forge::set_anchors(&mut bytes, &anchors);
    forge::set_header(&mut bytes, offset_of!(RingHeader, flags), &2u32.to_le_bytes());
    forge::set_header(&mut bytes, offset_of!(RingHeader, rotate_keep), &keep.to_le_bytes());
    fs::create_dir_all(folder.join("rings")).expect("made");
    fs::write(folder.join("rings/worker-1-ab.ring"), bytes).expect("written");
}

/// The seconds of the records in each of a log's files, the oldest first.
fn seconds(newest: &Path) -> Vec<Vec<u64>> {
    let in_file = |path: &Path| {
        let text = fs::read_to_string(path).expect("read");
        let of_line = |line: &str| {
            line.rsplit_once(if line.starts_with('{') { "\"at " } else { "] at " })?.1.split('"').next()?.parse().ok()
        };
        text.lines().filter_map(of_line).collect()
    };
    rotated(newest).iter().map(|path| in_file(path)).collect()
}

#[track_caller]
fn assert_files(folder: &Path, expected: &[&[u64]]) {
    for name in ["worker.log", "worker.jsonl"] {
        assert_eq!(seconds(&folder.join(name)), expected, "{name}");
    }
}

fn in_berlin(name: &str) -> Scratch {
    let folder = Scratch::new(name);
    fs::write(folder.join("time_zone"), format!("{BERLIN} +01:00\n")).expect("written");
    folder
}

#[test]
fn a_file_begins_with_the_first_line_of_each_day_of_the_calendar() {
    let midnight = WINTER_S - 3 * 3600;
    let next = midnight + 25 * 3600;
    let times = [midnight - 7200, midnight - 1, midnight, WINTER_S, next - 1, next, next + 9 * DAY_S];
    let folder = in_berlin("each-day");
    put_ring(&folder, RotateEvery::Day, &times);
    drain(&folder, "all");
    assert_files(&folder, &[&times[..2], &times[2..5], &times[5..6], &times[6..]]);
}

#[test]
fn a_file_begins_with_the_first_line_of_each_hour_also_of_one_that_the_clock_shows_twice() {
    let times = [WINTER_S - 3601, WINTER_S - 3600, WINTER_S - 1, WINTER_S, WINTER_S + 3599, WINTER_S + 3600];
    let folder = in_berlin("each-hour");
    put_ring(&folder, RotateEvery::Hour, &times);
    drain(&folder, "all");
    assert_files(&folder, &[&times[..1], &times[1..3], &times[3..5], &times[5..]]);
}

#[test]
fn never_is_never() {
    let folder = in_berlin("never");
    put_ring(&folder, RotateEvery::Never, &[WINTER_S, WINTER_S + 40 * DAY_S]);
    drain(&folder, "all");
    assert_files(&folder, &[&[WINTER_S, WINTER_S + 40 * DAY_S]]);
}

#[test]
fn the_next_drain_knows_the_hour_of_the_last_line_also_of_one_that_the_clock_shows_twice() {
    // Both are at 02:50, of summer and of winter.
    for (first, then) in [(WINTER_S - 600, WINTER_S + 600), (WINTER_S + 3000, WINTER_S + 3300)] {
        let folder = in_berlin("twice");
        for second in [first, then] {
            put_ring(&folder, RotateEvery::Hour, &[second]);
            drain(&folder, "all");
        }
        let is_other = first / 3600 != then / 3600;
        let files: &[&[u64]] = if is_other { &[&[first], &[then]] } else { &[&[first, then]] };
        assert_files(&folder, files);
    }
}

#[test]
fn a_flusher_that_wrote_without_periods_knows_that_of_its_last_line_when_somebody_requests_them() {
    let folder = in_berlin("requested-later");
    fs::create_dir_all(folder.join("rings")).expect("made");
    let mut flusher = TOOL.command().arg("flush").arg(&*folder).stderr(Stdio::null()).spawn().expect("the tool starts");
    let has = |name: &str, second: u64| {
        let at = format!("at {second}");
        fs::read_to_string(folder.join(name)).is_ok_and(|text| text.contains(&at))
    };
    put_ring(&folder, RotateEvery::Never, &[WINTER_S]);
    wait_until("the first line", || has("worker.log", WINTER_S) && has("worker.jsonl", WINTER_S));
    wait_until("the ring's end", || !folder.join("rings/worker-1-ab.ring").exists());
    let next = WINTER_S + DAY_S;
    put_ring(&folder, RotateEvery::Day, &[next]);
    wait_until("the next day's", || has("worker.log", next) && has("worker.jsonl", next));
    flusher.kill().expect("its own child");
    flusher.wait().expect("reaped");
    assert_files(&folder, &[&[WINTER_S], &[next]]);
}

#[test]
fn a_quiet_programs_file_is_rotated_when_the_next_line_comes_whoever_flushes() {
    for (format, name, old) in [
        ("text", "host.log", "2026-11-24 13:37:02.606 [7] [INFO] old\n".to_owned()),
        ("json", "host.jsonl", "{\"time\":\"2026-11-24T13:37:02.606000000+00:00\",\"message\":\"old\"}\n".to_owned()),
        // A last record that is longer than what is read of the file: the file's own time counts.
        ("text", "host.log", format!("2026-11-24 13:37:02.606 [7] [INFO] {}\n", "x".repeat(200 << 10))),
    ] {
        let folder = Scratch::new("quiet");
        fs::create_dir_all(&folder).expect("made");
        let path = folder.join(name);
        fs::write(&path, &old).expect("written");
        let file = fs::File::options().write(true).open(&path).expect("opened");
        file.set_modified(SystemTime::now() - Duration::from_secs(2 * DAY_S)).expect("touched");
        let _ = run("host", &folder, format!("format={format} flusher=never say:first"));
        flush_rest(&folder);
        assert!(!folder.join(format!("{name}.1")).exists(), "not asked for");
        fs::write(&path, &old).expect("written");
        file.set_modified(SystemTime::now() - Duration::from_secs(2 * DAY_S)).expect("touched");
        let _ = run("host", &folder, format!("format={format} rotate-every=1d say:second say:third"));
        assert_eq!(fs::read_to_string(folder.join(format!("{name}.1"))).expect("rotated"), old);
        let text = fs::read_to_string(&path).expect("there");
        assert!(text.contains("second") && text.contains("third"), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_rotated_goes_on_without_it() {
    let folder = in_berlin("unrotatable");
    fs::create_dir(folder.join("worker.log.1")).expect("made");
    let times = [WINTER_S, WINTER_S + 2 * DAY_S, WINTER_S + 4 * DAY_S];
    put_ring_of(&folder, RotateEvery::Day, 1, &times);
    let drainer = Drainer { since: "all", elsewhere: folder.join("elsewhere") };
    fs::create_dir(&drainer.elsewhere).expect("made");
    let calls = drainer.drain_until(&folder, KillAt::Never).expect("a whole drain");
    // One of the text, which is not tried again with each line, and two of JSON with the file before.
    assert_eq!(calls.iter().filter(|call| RENAMES.contains(&call.number)).count(), 4);
    let text = fs::read_to_string(folder.join("worker.log")).expect("there");
    assert_eq!(text.matches("] at ").count(), 3, "{text}");
    assert_eq!(text.matches("the hour or day of this file is over and it cannot be rotated").count(), 1, "{text}");
    assert_eq!(seconds(&folder.join("worker.jsonl")), [&times[1..2], &times[2..]]);
}

#[test]
fn a_flusher_killed_or_failing_at_any_system_call_of_such_a_rotation_loses_and_doubles_nothing() {
    let _watchdog = Watchdog::new("timed rotation", Duration::from_secs(600));
    let scratch = Scratch::new("timed-points");
    let elsewhere = scratch.join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    let drainer = Drainer { since: "all", elsewhere };
    let midnight = WINTER_S - 3 * 3600;
    let times: Vec<u64> = (0..8).map(|n| midnight - 1 + n / 2 * 25 * 3600 + n % 2).collect();
    let fresh = || {
        let folder = scratch.join("logs");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("time_zone"), "UTC\n").expect("written");
        put_ring(&folder, RotateEvery::Day, &times);
        folder
    };
    let folder = fresh();
    let calls = drainer.drain_until(&folder, KillAt::Never).expect("an unkilled drain");
    let reference = [seconds(&folder.join("worker.log")), seconds(&folder.join("worker.jsonl"))];
    assert!(reference[0].len() > 4 && reference[0].concat() == times, "{reference:?}");
    let judge = |folder: &Path| {
        let mut found = [seconds(&folder.join("worker.log")), seconds(&folder.join("worker.jsonl"))];
        // A line of the flusher's own about an error is of today, and begins a file.
        found.iter_mut().for_each(|files| files.retain(|file| !file.is_empty()));
        assert_eq!(found, reference);
    };
    // What comes shortly before and after each rename.
    let is_rename = |call: &usize| RENAMES.contains(&calls[*call].number);
    let mut points: Vec<usize> = (0..calls.len()).filter(is_rename).flat_map(|call| call - 3..call + 4).collect();
    points.dedup();
    assert!(points.len() > 30, "{points:?}");
    for call in points.iter().copied().step_by(2) {
        let folder = fresh();
        let point = KillAt::Before(call);
        let _about = About(point);
        if drainer.drain_until(&folder, point).is_some() {
            drainer.drain(&folder);
            judge(&folder);
        }
    }
    if !sys::CALLS_CAN_BE_CHANGED {
        println!("no faults: the registers of this processor are not known to the test");
        return;
    }
    for call in points.into_iter().filter(|call| calls[*call].may_fail(libc::EIO)).step_by(3) {
        let folder = fresh();
        let fault = Fault { call, kind: FaultKind::Fail(libc::EIO, 1) };
        let _about = About(fault);
        if drainer.drain_with(&folder, Some(fault)).reached {
            drainer.drain(&folder);
            judge(&folder);
        }
    }
}

/// The file is opened first to see whether times go back in it.
#[test]
fn records_of_an_earlier_run_are_not_in_the_file_of_an_earlier_day() {
    let scratch = Scratch::new("timed-earlier");
    fs::write(scratch.join("host.log"), "2025-10-19 05:55:47.606 [1] [INFO] an earlier day\n").expect("written");
    let _ = die("host", &scratch, "rotate-every=1d flusher=never log:1 kill");
    succeed("host", &scratch, "rotate-every=1d log:1");
    let earlier = fs::read_to_string(scratch.join("host.log.1")).expect("rotated");
    assert_eq!(earlier.lines().count(), 1, "{earlier}");
}
