//! What `lastwords show` shows of archives: what it would show of the files that they were.
//!
//! A log that is compressed at night and of which a search shows only the last hours looks as if nothing had happened before.

use lastwords_ring::place::zone::Zone;
use lastwords_tests::about::About;
use lastwords_tests::actor::{Printed, printed, succeed};
use lastwords_tests::packing::pack;
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::Path;
use std::process::Command;

fn show(arguments: &[&str], folder: &Path) -> Printed {
    printed(TOOL.command().arg("show").args(arguments).arg(folder).env_remove("LASTWORDS_DIR"))
}

/// A line a minute, from noon on.
fn lines(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("2025-10-19 {:02}:{:02}:00.000 [1] [INFO] line {n}\n", 12 + n / 60, n % 60)).collect()
}

/// A folder with two archives of a hundred lines each in frames of about a kilobyte, and a file.
fn folder(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    fs::write(scratch.join("time_zone"), "UTC +00:00\n").expect("written");
    for (name, text) in [("host.log", lines(200, 210)), ("host.log.1", lines(100, 200)), ("host.log.2", lines(0, 100))]
    {
        fs::write(scratch.join(name), text).expect("written");
    }
    for name in ["host.log.1", "host.log.2"] {
        pack(&scratch.join(name), 1000);
    }
    scratch
}

#[test]
fn archives_are_part_of_the_timeline_in_both_directions() {
    let folder = folder("show-archives");
    let found = show(&[], &folder);
    assert_eq!((found.out, found.err), (lines(0, 210), String::new()));
    let back: String = lines(0, 210).lines().rev().map(|line| format!("{line}\n")).collect();
    assert_eq!(show(&["-r"], &folder).out, back);
    assert_eq!(show(&["-n", "150"], &folder).out, lines(60, 210));
    assert_eq!(show(&["-g", "line 9[0-9]$"], &folder).out, lines(90, 100));
}

/// Damages the first frame of an archive, or the last.
fn damage(archive: &Path, first: bool) {
    let mut bytes = fs::read(archive).expect("read");
    let tables = bytes.windows(4).position(|word| word == [0x50, 0x2a, 0x4d, 0x18]).expect("the times");
    let at = if first { 20 } else { tables - 40 };
    bytes[at..at + 30].fill(0x55);
    fs::write(archive, bytes).expect("written");
}

#[test]
fn frames_before_the_first_time_are_not_read() {
    let folder = folder("show-archives-since");
    damage(&folder.join("host.log.2.zst"), true);
    let found = show(&[], &folder);
    assert!(found.code == Some(2) && found.err.contains("host.log.2.zst"), "{found:?}");
    // Two hours later: so much is kept for the times that no clock shows.
    let since = show(&["-S", "2025-10-19 14:30:00"], &folder);
    assert_eq!((since.out, since.err), (lines(150, 210), String::new()));
}

#[test]
fn frames_behind_the_last_time_are_not_read() {
    let scratch = Scratch::new("show-archives-until");
    fs::write(scratch.join("time_zone"), "UTC +00:00\n").expect("written");
    let json = |line: &str| {
        let (time, message) = (line[..23].replace(' ', "T"), &line[35..]);
        format!(
            "{{\"time\":\"{time}000000+00:00\",\"level\":\"INFO\",\"level_number\":20,\"role\":\"host\",\"pid\":1,\"message\":\"{message}\"}}\n"
        )
    };
    fs::write(scratch.join("host.jsonl.1"), lines(0, 100).lines().map(json).collect::<String>()).expect("written");
    damage(&pack(&scratch.join("host.jsonl.1"), 1000), false);
    assert_eq!(show(&[], &scratch).code, Some(2));
    for arguments in [&["-U", "2025-10-19 13:20:00"][..], &["-r", "-U", "2025-10-19 13:20:00"]] {
        let found = show(arguments, &scratch);
        assert_eq!((found.out.lines().count(), found.err), (81, String::new()), "{arguments:?}");
    }
}

#[test]
fn what_is_no_archive_of_ours_is_named_and_hides_nothing() {
    let folder = folder("show-archives-foreign");
    fs::write(folder.join("host.log.3.zst"), "something else").expect("written");
    // Beside the file whose place it is to take, an archive counts as not yet there.
    fs::write(folder.join("host.log.4"), lines(0, 0)).expect("written");
    fs::write(folder.join("host.log.4.zst"), "half").expect("written");
    let found = show(&[], &folder);
    assert_eq!((found.out, found.code), (lines(0, 210), Some(0)));
    assert!(found.err.contains("host.log.3.zst") && !found.err.contains("host.log.4.zst"), "{}", found.err);
    assert_eq!(show(&["-q"], &folder).err, "");
}

#[test]
fn a_cursor_finds_its_place_in_a_file_that_was_compressed_since() {
    let scratch = Scratch::new("show-archives-cursor");
    let (folder, cursor) = (scratch.join("logs"), scratch.join("cursor"));
    fs::create_dir(&folder).expect("made");
    let mut look = Command::new(&*TOOL);
    look.args(["show", "--cursor-file"]).arg(&cursor).arg(&folder);
    // A short beginning, too, which no first bytes tell from another's.
    for shown in [1, 50] {
        let _about = About(shown);
        let _ = fs::remove_file(&cursor);
        let _ = fs::remove_file(folder.join("host.log.1.zst"));
        let log = folder.join("host.log.1");
        fs::write(&log, lines(0, shown)).expect("written");
        assert_eq!(printed(&mut look).out, lines(0, shown));
        fs::write(&log, lines(0, 100)).expect("written");
        pack(&log, 700);
        fs::write(folder.join("host.log"), lines(100, 101)).expect("written");
        assert_eq!(printed(&mut look).out, lines(shown, 101));
        assert_eq!(printed(&mut look).out, "");
        fs::rename(folder.join("host.log.1.zst"), folder.join("host.log.2.zst")).expect("rotated");
        fs::rename(folder.join("host.log"), folder.join("host.log.1")).expect("rotated");
        pack(&folder.join("host.log.1"), 700);
        assert_eq!(printed(&mut look).out, "");
        fs::remove_file(folder.join("host.log.2.zst")).expect("removed");
    }
}

#[test]
fn times_select_the_same_of_an_archive_as_of_its_file_whatever_the_offset() {
    if Zone::named("Europe/Berlin").is_err() {
        println!("skipped: this system has no time zones");
        return;
    }
    let plain = Scratch::new("show-archives-offsets");
    fs::write(plain.join("time_zone"), "Europe/Berlin +01:00\n").expect("written");
    let line =
        |shown: usize, text: &str| format!("2025-10-26 {:02}:{:02}:00.000 [1] [INFO] {text}\n", shown / 60, shown % 60);
    // Ten minutes each: up to 3 o'clock in summer time, then again from 2 o'clock on, and two hours later in UTC+05:00.
    let mut text = String::new();
    (0..18).for_each(|n| text += &line(n * 10, "summer"));
    text += &line(120, "lastwords: from here on times are UTC+01:00 (Europe/Berlin), before UTC+02:00");
    (12..24).for_each(|n| text += &line(n * 10, "winter"));
    text += &line(480, "lastwords: from here on times are UTC+05:00, before UTC+01:00");
    (48..72).for_each(|n| text += &line(n * 10, "elsewhere"));
    fs::write(plain.join("host.log.1"), &text).expect("written");
    fs::write(plain.join("host.log"), line(730, "now")).expect("written");
    let packed = Scratch::new("show-archives-offsets-packed");
    for name in ["time_zone", "host.log", "host.log.1"] {
        fs::copy(plain.join(name), packed.join(name)).expect("copied");
    }
    pack(&packed.join("host.log.1"), 150);
    let mut selected = 0;
    for n in 0..60 {
        let minutes = n * 15;
        let time = format!("2025-10-25T{:02}:{:02}:00Z", 21 + minutes / 60, minutes % 60);
        let time =
            if minutes < 180 { time } else { format!("2025-10-26T{:02}:{:02}:00Z", minutes / 60 - 3, minutes % 60) };
        for option in ["-S", "-U"] {
            let (expected, found) = (show(&[option, &time], &plain), show(&[option, &time], &packed));
            assert_eq!(found.out, expected.out, "{option} {time}");
            selected += expected.out.lines().count();
        }
    }
    assert!(selected > 1000, "{selected} lines");
}

#[test]
fn memory_is_bounded_whatever_the_number_of_archives() {
    let scratch = Scratch::new("show-archives-memory");
    fs::write(scratch.join("time_zone"), "UTC +00:00\n").expect("written");
    let text = lines(0, 720).repeat(27);
    for number in 1..=60 {
        let path = scratch.join(format!("host.log.{number}"));
        fs::write(&path, &text).expect("written");
        pack(&path, 1 << 20);
    }
    for arguments in ["", "-r"] {
        let command = format!("ulimit -d {}; exec {} show {arguments} {} | wc -c", 40 << 10, &*TOOL, scratch.display());
        let found = printed(Command::new("bash").args(["-c", &format!("set -o pipefail; {command}")]));
        assert_eq!(
            (found.out.trim(), found.code),
            (&*(text.len() * 60).to_string(), Some(0)),
            "{arguments}: {found:?}"
        );
    }
}

#[test]
fn what_a_flusher_compressed_is_shown_once() {
    let folder = Scratch::new("show-archives-drained");
    succeed("host", &folder, "rotate=4096 keep=100 format=both log:400");
    let plain = show(&["-o", "cat"], &folder).out;
    succeed("host", &folder, "flusher=never rotate=4096 keep=100 format=both compress=zstd say:x");
    lastwords_tests::actor::flush_rest(&folder);
    assert!(folder.join("host.log.2.zst").exists() && folder.join("host.jsonl.2.zst").exists());
    assert_eq!(show(&["-o", "cat"], &folder).out, plain + "x\n");
}
