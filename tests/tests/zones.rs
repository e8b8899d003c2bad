//! The times of a folder are in one zone, whichever process flushes it, and each change of their offset is logged.

use lastwords_ring::format::anchor::Anchor;
use lastwords_ring::format::layout::RingHeader;
use lastwords_ring::place::clock::{self};
use lastwords_tests::actor::{Actor, Printed, printed, succeed, tool, tool_at};
use lastwords_tests::files::make_fifo;
use lastwords_tests::forge::{self, Forged};
use lastwords_tests::jsonl;
use lastwords_tests::logs::{Line, count, crash_files, read, read_so_far};
use lastwords_tests::namespaces::unshare;
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use lastwords_tests::skip_unless;
use std::fs;
use std::mem::offset_of;
use std::path::Path;
use std::process::Stdio;

/// Its times cannot be taken for those of UTC, and it has no daylight saving.
const TOKYO: &str = "Asia/Tokyo";

/// Whether this system knows zones by name; prints a line if not.
fn has_zones() -> bool {
    let known =
        Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists() && Path::new("/usr/share/zoneinfo/Europe/Berlin").exists();
    if !known {
        println!("skipped: no time zone data here");
    }
    known
}

fn log_in(zone: &str, role: &str, folder: &Path, script: &str) {
    let mut actor = Actor::start_with(role, folder, script, &[("TZ", zone)]);
    assert!(actor.end().success(), "{role} in {zone}");
}

/// A process that has this zone as a setting.
fn log_set(zone: &str, role: &str, folder: &Path, script: &str) {
    let mut actor = Actor::start_with(role, folder, script, &[("LASTWORDS_TIME_ZONE", zone), ("TZ", "UTC")]);
    assert!(actor.end().success(), "{role} with {zone}");
}

/// A process that has Tokyo's offset as a setting, up.
fn in_tokyo(folder: &Path, script: &str) -> Actor {
    Actor::start_with("host", folder, script, &[("LASTWORDS_TIME_ZONE", "+09:00")]).until("up")
}

fn flush_in(zone: &str, folder: &Path) {
    let output = printed(TOOL.command().args(["flush", "--once"]).arg(folder).env("TZ", zone));
    assert_ne!(output.code, Some(2), "{output:?}");
}

fn note(folder: &Path) -> String {
    fs::read_to_string(folder.join("time_zone")).expect("kept")
}

fn offset_lines(lines: &[Line]) -> Vec<&str> {
    let messages = lines.iter().map(|line| line.message.as_str());
    messages.filter(|message| message.contains("from here on times are")).collect()
}

/// The hour of a line, and the hour at this offset now or a moment ago.
fn assert_is_now(line: &Line, offset_hours: u64) {
    let hour: u64 = line.time[11..13].parse().expect("an hour");
    let now = (clock::realtime_ns() / 3_600_000_000_000 + offset_hours) % 24;
    assert!(hour == now || (hour + 1) % 24 == now, "{line:?}, it is {now}");
}

#[test]
fn programs_of_different_zones_write_times_of_the_first_ones_whoever_flushes() {
    skip_unless!(has_zones());
    let folder = Scratch::new("zones");
    let script = "log:1 flush line:up wait log:1 flush line:again wait";
    for _ in 0..2 {
        let start = |role, zone| Actor::start_with(role, &folder, script, &[("TZ", zone)]).until("up");
        let (mut host, mut worker) = (start("host", TOKYO), None);
        for turn in 0..2 {
            let mut next = start("worker", if turn == 0 { "UTC" } else { "America/New_York" });
            // The one that flushes is gone, and the next one takes over.
            if turn == 0 {
                host.kill();
            }
            // Dropped, the actor is killed.
            drop(worker.take());
            next.go_until("again");
            worker = Some(next);
        }
    }
    flush_in("America/New_York", &folder);
    assert_eq!(note(&folder), "Asia/Tokyo +09:00\n");
    for role in ["host", "worker"] {
        let lines = read(&folder, role);
        assert_eq!(offset_lines(&lines), Vec::<&str>::new());
        lines.iter().for_each(|line| assert_is_now(line, 9));
    }
    let crash = fs::read_to_string(&crash_files(&folder)[0]).expect("a crash file");
    assert!(crash.contains("time zone    Asia/Tokyo, at the last record UTC+09:00\n"), "{crash}");
}

/// Records around a moment of the wall clock, 1 ms apart, of which the sixth is the first one after it.
fn put_ring(folder: &Path, name: &str, moment_s: u64) {
    let (now, ticks_a_ms) = (clock::anchor(), clock::measure_hz() / 1000);
    let anchor = Anchor {
        ticks: now.ticks - 1000 * ticks_a_ms,
        boottime_ns: now.boottime_ns - 1_000_000_000,
        realtime_ns: moment_s * 1_000_000_000,
    };
    // A tick later than the moment, so that nothing is rounded to before it.
    let at = |n: u64| anchor.ticks + n * ticks_a_ms + ticks_a_ms / 2 - 5 * ticks_a_ms;
    let records = (0..10).map(|n| Forged::text(0, at(n), &format!("record {n}")));
    let mut bytes = forge::ring("worker", 3, |_| records.collect());
    forge::set_anchors(&mut bytes, &[anchor]);
    // Both files.
    forge::set_header(&mut bytes, offset_of!(RingHeader, flags), &2u32.to_le_bytes());
    fs::create_dir_all(folder.join("rings")).expect("made");
    fs::write(folder.join("rings").join(name), bytes).expect("written");
}

#[test]
fn daylight_saving_is_a_line_between_the_records_before_and_after_it() {
    skip_unless!(has_zones());
    // The last Sundays of March and October 2025, 01:00 UTC.
    for (moment, before, after, text) in [
        (1_743_296_400, "01:59:59", "03:00:00", "from here on times are UTC+02:00 (Europe/Berlin), before UTC+01:00"),
        (1_761_440_400, "02:59:59", "02:00:00", "from here on times are UTC+01:00 (Europe/Berlin), before UTC+02:00"),
    ] {
        let folder = Scratch::new("daylight");
        log_in("Europe/Berlin", "host", &folder, "");
        put_ring(&folder, "worker-1-ab.ring", moment);
        // By a process of another zone, as a daemon has it.
        flush_in("UTC", &folder);
        let lines = read(&folder, "worker");
        let first = lines.iter().position(|line| line.message == "record 0").expect("there");
        let seen = lines[first..first + 11].iter().map(|line| (&line.time[11..19], line.message.clone()));
        let mut expected: Vec<(&str, String)> =
            (0..10).map(|n| (if n < 5 { before } else { after }, format!("record {n}"))).collect();
        expected.insert(5, (after, format!("lastwords: {text}")));
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        // JSON has the same lines, and each has its offset with it.
        let json = jsonl::read(&folder, "worker");
        let time_of = |message: &str| {
            let line = json.iter().find(|line| line["message"] == message).expect("there");
            line["time"].as_str().expect("text").split_at(19)
        };
        let ((fourth, its_offset), (fifth, later_offset)) = (time_of("record 4"), time_of("record 5"));
        assert_eq!((&fourth[11..], &fifth[11..]), (before, after));
        assert_ne!(its_offset[10..], later_offset[10..]);
        assert_eq!(json.iter().filter(|line| line["message"] == format!("lastwords: {text}")).count(), 1);
        assert_eq!(json.len(), lines.len());
    }
}

#[test]
fn a_change_of_the_setting_is_a_line_in_each_file_before_its_next_line() {
    let folder = Scratch::new("zone-set");
    log_set("+09:00", "host", &folder, "log:1");
    log_set("+09:00", "worker", &folder, "log:1");
    log_set("UTC", "host", &folder, "log:1 flush");
    log_in("+05:00", "host", &folder, "log:1 flush");
    // Another flusher, long after.
    log_in("+05:00", "worker", &folder, "log:2 flush");
    log_set("-03:30", "host", &folder, "log:1 flush");
    assert_eq!(note(&folder), "-03:30 -03:30\n");
    let (host, worker) = (read(&folder, "host"), read(&folder, "worker"));
    let first = "lastwords: from here on times are UTC+00:00 (UTC), before UTC+09:00";
    assert_eq!(offset_lines(&host), [first, "lastwords: from here on times are UTC-03:30, before UTC+00:00"]);
    assert_eq!(offset_lines(&worker), [first], "the one that was silent meanwhile");
    assert_eq!(host.len() + worker.len(), 4 + 3 + 3);
    assert_eq!(host[1].message, first);
    assert_is_now(&host[0], 9);
    assert_is_now(&host[2], 0);
}

#[test]
fn a_setting_reaches_a_flusher_that_is_at_work() {
    let folder = Scratch::new("zone-at-work");
    let mut host = in_tokyo(&folder, "log:1 flush line:up wait log:1 flush");
    log_set("UTC", "worker", &folder, "log:1 flush");
    host.finish();
    assert_eq!(offset_lines(&read(&folder, "host")).len(), 1);
    assert_is_now(&read(&folder, "worker")[0], 0);
}

#[test]
fn a_forked_child_does_not_set_the_zone_again() {
    let folder = Scratch::new("zone-child");
    let mut host = in_tokyo(&folder, "log:1 flush line:up wait fork:2");
    log_set("+01:00", "worker", &folder, "log:1");
    host.finish();
    assert_eq!(note(&folder), "+01:00 +01:00\n");
}

#[test]
fn a_zone_that_there_is_not_is_refused_and_no_log_is_begun() {
    skip_unless!(has_zones());
    let long = "A/".repeat(3000) + "B";
    for (zone, why) in [
        ("Europe/Berln", "is not a time zone that this system knows; did you mean \"Europe/Berlin\"?"),
        ("../../etc/passwd", "found, expected a time zone as in Europe/Berlin, UTC or +02:00"),
        ("/etc/localtime", "found, expected a time zone as in"),
        (&long, "found, expected a time zone as in"),
        ("JST-9", "is not a time zone that this system knows"),
        ("+9:00", "found, expected a time zone as in"),
    ] {
        let folder = Scratch::new("zone-unknown");
        let Printed { code, out, .. } =
            printed(ACTOR.acting("host", &folder, "log:1").env("LASTWORDS_TIME_ZONE", zone));
        let quoted = format!("LASTWORDS_TIME_ZONE: \"{zone}\" {why}");
        assert!(code == Some(7) && out.len() < 500, "{zone}: {out}");
        assert!(out.contains(if zone.len() < 100 { &quoted } else { why }), "{zone}: {out}");
        assert!(forge::ring_files(&folder).is_empty() && !folder.join("time_zone").exists(), "{zone}");
    }
    let folder = Scratch::new("zone-nul");
    let config = folder.join("lastwords.toml");
    fs::write(&config, "time_zone = \"a\\u0000b\"\n").expect("written");
    let printed = printed(ACTOR.acting("host", &folder.join("logs"), "").env("LASTWORDS_CONFIG", &config)).out;
    assert!(printed.contains("\"time_zone\": \"a\\u{0}b\" found"), "{printed}");
}

#[test]
fn what_the_variable_says_is_kept_as_the_system_reads_it() {
    skip_unless!(has_zones());
    for (value, kept, said) in [
        (":Asia/Tokyo", "Asia/Tokyo +09:00", ""),
        ("/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo +09:00", ""),
        ("JST-9", "JST-9 +09:00", ""),
        ("<+0545>-5:45", "<+0545>-5:45 +05:45", ""),
        ("", "UTC +00:00", ""),
        ("Nowhere/At\u{1b}[31mall", "UTC +00:00", "TZ=Nowhere/At"),
        ("../../../etc/passwd", "UTC +00:00", "TZ=../../../etc/passwd: no such time zone here; times are in UTC"),
        ("/dev/zero", "UTC +00:00", "TZ=/dev/zero: no such time zone here"),
    ] {
        let folder = Scratch::new("zone-variable");
        let output = printed(ACTOR.acting("host", &folder, "log:1").env("TZ", value));
        assert!(output.status.success() && !output.err.contains('\u{1b}'), "{value}: {output:?}");
        assert!(output.err.contains(said) && output.err.is_empty() == said.is_empty(), "{value}: {output:?}");
        assert_eq!(note(&folder).trim_end(), kept, "{value}");
        assert_eq!(read(&folder, "host").len(), 1, "{value}");
    }
}

#[test]
fn whatever_stands_where_the_zone_is_kept_costs_no_line() {
    let folder = Scratch::new("zone-hostile");
    let (zone, offsets) = (folder.join("time_zone"), folder.join("rings/offsets"));
    type Put<'a> = (&'a str, &'a dyn Fn(&Path));
    let put: [Put<'_>; 7] = [
        ("text", &|path| fs::write(path, "../../../etc/passwd +09:00\n").expect("written")),
        ("too long", &|path| fs::write(path, "A".repeat(3 << 20)).expect("written")),
        ("no text", &|path| fs::write(path, b"\xff\0 +09:00\nhost +99:99\n").expect("written")),
        ("empty", &|path| fs::write(path, "").expect("written")),
        ("a link", &|path| std::os::unix::fs::symlink("/etc/passwd", path).expect("linked")),
        ("a folder", &|path| fs::create_dir(path).expect("made")),
        ("a FIFO", &|path| make_fifo(path)),
    ];
    let mut lines = 0;
    for place in [&zone, &offsets] {
        for (name, put) in put {
            log_in("UTC", "host", &folder, "log:1");
            let _ = fs::remove_file(place).or_else(|_| fs::remove_dir(place));
            put(place);
            log_in("UTC", "host", &folder, "log:2 flush");
            lines += 3;
            assert_eq!(count(&read(&folder, "host"), "line "), lines, "{name} at {}", place.display());
            let _ = fs::remove_file(place).or_else(|_| fs::remove_dir(place));
        }
    }
    let unknown = "lastwords: the time zone ../../../etc/passwd is not known where this process flushes; times have its last offset, UTC+09:00";
    assert!(read(&folder, "host").iter().any(|line| line.message == unknown));
}

#[test]
fn the_tools_environment_changes_no_zone() {
    let folder = Scratch::new("zone-tool");
    let mut host = in_tokyo(&folder, "log:1 flush line:up wait");
    for arguments in ["level host debug --dir", "status", "recover"] {
        let mut command = TOOL.command();
        let output =
            printed(command.args(arguments.words()).arg(&folder).env("LASTWORDS_TIME_ZONE", "UTC").env("TZ", "UTC"));
        assert_ne!(output.code, Some(2), "{output:?}");
    }
    host.go();
    host.end();
    assert_eq!(note(&folder), "+09:00 +09:00\n");
}

#[test]
fn recover_shows_the_times_of_the_folder_or_of_the_zone_that_is_named() {
    let folder = Scratch::new("zone-recover");
    log_set("+09:00", "host", &folder, "flusher=never log:1");
    let shown = |arguments: &str| tool_at(format!("recover {arguments}"), &folder).out;
    let hour = |text: &str| text[11..13].parse::<u32>().expect("an hour");
    let (folders, named) = (hour(&shown("")), hour(&shown("--time-zone +00:00")));
    assert!([9, 10, 8].contains(&((24 + folders - named) % 24)), "{folders} {named}");
    assert!(shown("--black-box").contains("time zone    UTC+09:00\n"));
    assert_eq!(tool("recover --time-zone ../x .").code, Some(2));
}

#[test]
fn a_flusher_without_the_zones_data_uses_the_last_offset_and_says_so() {
    skip_unless!(has_zones());
    let hide = "mount -t tmpfs none /usr/share/zoneinfo";
    let folder = Scratch::new("zone-missing");
    log_in(TOKYO, "host", &folder, "log:1");
    let script = format!("{hide} && exec {ACTOR} host {} log:1 flush line:up wait", folder.display());
    let Some(mut command) = unshare(&["-m"], hide, &script) else { return };
    let mut host = Actor::of(command.env("TZ", TOKYO).stderr(Stdio::piped())).until("up");
    let lines = read_so_far(&folder, "host");
    let unknown = "lastwords: the time zone Asia/Tokyo is not known where this process flushes; times have its last offset, UTC+09:00";
    assert_eq!(lines.iter().filter(|line| line.message == unknown).count(), 1, "{lines:?}");
    lines.iter().for_each(|line| assert_is_now(line, 9));
    host.go();
    host.end();
    // In a folder of its own it can keep no zone that it does not know.
    let fresh = Scratch::new("zone-missing-fresh");
    let script = format!("{hide} && exec {ACTOR} host {} log:1", fresh.display());
    let mut command = unshare(&["-m"], hide, &script).expect("as before");
    let said = printed(command.env("LASTWORDS_TIME_ZONE", TOKYO)).out;
    assert!(said.contains("\"Asia/Tokyo\" found, but this system has no time zone data"), "{said}");
    // What it inherits and does not know is UTC, as for every program there, and that is said.
    let mut command = unshare(&["-m"], hide, &script).expect("as before");
    let output = printed(command.env("TZ", TOKYO));
    assert!(output.err.contains("TZ=Asia/Tokyo: no such time zone here; times are in UTC"));
    assert_eq!(note(&fresh), "UTC +00:00\n");
    succeed("host", &fresh, "log:1");
}
