//! Rotated files are compressed, each line stays there once, and whatever happens on the way leaves nothing behind.
//!
//! Between a file and its archive lie a write of the whole, a new name, and a removal. In the wrong order, or with a death between
//! two of them that nobody completes, a day's lines are lost, there twice, or a half archive is taken for a whole one.

use lastwords_flusher::files::archive::Archive;
use lastwords_flusher::files::archive::Times;
use lastwords_tests::about::About;
use lastwords_tests::actor::{Actor, die, flush_rest, printed, run, succeed, wait_until};
use lastwords_tests::files::{copy_rings, names_in};
use lastwords_tests::flushers::{Call, Drainer, Fault, FaultKind, KillAt};
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs::numbered;
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{self, Stop};
use lastwords_tests::watchdog::Watchdog;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// The text of an archive, frame by frame.
fn unpacked(path: &Path) -> Vec<u8> {
    let archive = Archive::open(path).expect("an archive");
    archive.frames().iter().flat_map(|frame| archive.read(frame).expect("a frame")).collect()
}

/// The names of a log's files, the oldest first: of each number one.
fn files_of(folder: &Path, log: &str) -> Vec<String> {
    let mut files: Vec<(u32, String)> = Vec::new();
    for name in names_in(folder) {
        let Some(rest) = name.strip_prefix(log) else { continue };
        let number = rest.trim_start_matches('.').trim_end_matches(".zst");
        files.push((if number.is_empty() { 0 } else { number.parse().expect("a number") }, name));
    }
    files.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let numbers: Vec<u32> = files.iter().map(|(number, _)| *number).collect();
    assert!(numbers.is_sorted_by(|one, other| one > other), "two files of one number: {files:?}");
    files.into_iter().map(|(_, name)| name).collect()
}

/// The text of a log in all its files, the oldest first.
fn text_of(folder: &Path, log: &str) -> String {
    let of_file = |name: &String| {
        let path = folder.join(name);
        if name.ends_with(".zst") { unpacked(&path) } else { fs::read(path).expect("read") }
    };
    let bytes: Vec<u8> = files_of(folder, log).iter().flat_map(of_file).collect();
    String::from_utf8(bytes).expect("text")
}

/// The messages `line N` of a log, in text or JSON.
fn messages(folder: &Path, log: &str) -> Vec<String> {
    let text = text_of(folder, log);
    assert!(text.ends_with('\n'), "no line is torn");
    let message = |line: &str| {
        let start =
            line.rfind("line ").filter(|_| line.contains("[INFO] line ") || line.contains("\"message\":\"line "))?;
        Some(line[start..].split('"').next()?.to_owned())
    };
    text.lines().filter_map(message).collect()
}

fn archives(folder: &Path, log: &str) -> usize {
    files_of(folder, log).iter().filter(|name| name.ends_with(".zst")).count()
}

#[test]
fn all_rotated_files_become_archives_while_the_program_lives_and_zstdcat_shows_them() {
    let _watchdog = Watchdog::new("archives", Duration::from_secs(120));
    for durable in [0, 50] {
        let folder = Scratch::new("archives");
        let script = format!(
            "format=both durable={durable} file-mode=640 rotate=40000 keep=100 compress=zstd log:3000 flush line:up wait"
        );
        let mut actor = Actor::start("host", &folder, script).until("up");
        for log in ["host.log", "host.jsonl"] {
            wait_until("the archives", || {
                let files = files_of_while_changing(&folder, log);
                files > 3
                    && names_in(&folder)
                        .iter()
                        .filter(|name| name.starts_with(&format!("{log}.")))
                        .all(|name| name.ends_with(".zst"))
            });
            assert_eq!(messages(&folder, log), numbered(3000), "{log}");
            let path = folder.join(format!("{log}.1.zst"));
            let found = path.metadata().expect("there");
            assert!(found.permissions().mode() & 0o777 == 0o640 && found.size() < 20_000, "{found:?}");
            let archive = Archive::open(&path).expect("opened");
            assert_eq!(archive.times(), if log == "host.log" { Times::AsShown } else { Times::Utc });
            assert!(archive.frames().iter().all(|frame| frame.times.is_some()));
            match Command::new("zstdcat").arg(&path).output() {
                Ok(output) => assert!(output.status.success() && output.stdout == unpacked(&path), "{output:?}"),
                Err(error) => println!("skipped: zstdcat cannot be run ({error})"),
            }
        }
        assert!(names_in(&folder).iter().all(|name| !name.contains(".new")), "{:?}", names_in(&folder));
        actor.finish();
    }
}

/// How many files a log has, two of one number while one takes the place of the other included.
fn files_of_while_changing(folder: &Path, log: &str) -> usize {
    names_in(folder).iter().filter(|name| name.starts_with(log)).count()
}

#[test]
fn archives_move_on_with_each_rotation_and_count_as_the_files_that_they_were() {
    let folder = Scratch::new("archives-rotate");
    succeed("host", &folder, "flusher=never rotate=4096 keep=5 compress=zstd log:300");
    flush_rest(&folder);
    let names = |from: u32, to: u32, ending: &str| {
        (from..=to).rev().map(|n| format!("host.log.{n}{ending}")).collect::<Vec<_>>()
    };
    let current = vec!["host.log".to_owned()];
    assert!((1..5).contains(&archives(&folder, "host.log")), "{:?}", files_of(&folder, "host.log"));
    assert_eq!(messages(&folder, "host.log"), numbered(300));
    // Not compressed any more: five new ones push them out, one by one.
    let made = archives(&folder, "host.log") as u32;
    succeed("host", &folder, "rotate=4096 keep=5 log:400");
    assert_eq!(files_of(&folder, "host.log").len(), 6);
    assert!(archives(&folder, "host.log") as u32 <= made);
    let left = messages(&folder, "host.log");
    let expected = [numbered(300), numbered(400)].concat();
    assert_eq!(left, expected[expected.len() - left.len()..], "the oldest are gone, and nothing else");
    succeed("host", &folder, "rotate=4096 keep=5 log:3000");
    assert_eq!(files_of(&folder, "host.log"), [names(1, 5, ""), current.clone()].concat());
    // Compressed again: archives push out plain files.
    succeed("host", &folder, "flusher=never rotate=4096 keep=5 compress=zstd log:1000");
    flush_rest(&folder);
    assert_eq!(files_of(&folder, "host.log"), [names(1, 5, ".zst"), current].concat());
    let left = messages(&folder, "host.log");
    assert_eq!(left, numbered(1000)[1000 - left.len()..]);
    // And they have the age of their lines, and their own size.
    File::options()
        .write(true)
        .open(folder.join("host.log.5.zst"))
        .expect("there")
        .set_modified(SystemTime::UNIX_EPOCH)
        .expect("touched");
    let _ = run("host", &folder, "rotate=1000000 keep=5 keep-for=3600 say:x");
    assert_eq!(archives(&folder, "host.log"), 4);
    let oldest = folder.join("host.log.4.zst");
    File::options().write(true).open(&oldest).expect("there").set_len(20_000).expect("grown");
    let _ = run("host", &folder, "rotate=4096 keep=5 keep-total=20000 say:x");
    assert!(!oldest.exists() && folder.join("host.log.3.zst").exists(), "{:?}", names_in(&folder));
}

#[test]
fn what_is_in_the_way_of_an_archive_stays_and_so_does_the_file() {
    let folder = Scratch::new("archives-taken");
    succeed("host", &folder, "rotate=4096 keep=50 log:200");
    fs::create_dir(folder.join("host.log.1.zst")).expect("made");
    fs::write(folder.join("host.log.2.zst"), "somebody else's").expect("written");
    succeed("host", &folder, "flusher=never rotate=1000000 keep=50 compress=zstd say:x");
    flush_rest(&folder);
    assert_eq!(fs::read(folder.join("host.log.2.zst")).expect("there"), b"somebody else's");
    assert!(folder.join("host.log.1").exists() && folder.join("host.log.2").exists());
    fs::remove_dir(folder.join("host.log.1.zst")).expect("removed");
    fs::remove_file(folder.join("host.log.2.zst")).expect("removed");
    succeed("host", &folder, "flusher=never rotate=1000000 keep=50 compress=zstd say:x");
    flush_rest(&folder);
    assert_eq!(messages(&folder, "host.log"), numbered(200));
    assert_eq!(files_of(&folder, "host.log").len() - archives(&folder, "host.log"), 1);
}

/// A folder whose ring holds 300 lines, for some archives. Returns a maker of copies.
fn wreck(scratch: &Scratch, settings: &str) -> impl Fn() -> PathBuf {
    let from = scratch.join("logs");
    die(
        "host",
        &from,
        format!("flusher=never crash-files=0 rotate=4096 keep=100 compress=zstd {settings} log:300 kill"),
    );
    let to = scratch.join("copy");
    move || {
        let _ = fs::remove_dir_all(&to);
        fs::create_dir_all(&to).expect("made");
        copy_rings(&from, &to);
        to.clone()
    }
}

#[track_caller]
fn judge(folder: &Path) {
    for log in ["host.log", "host.jsonl"] {
        if log == "host.log" || folder.join(log).exists() {
            assert_eq!(messages(folder, log), numbered(300), "{:?}", names_in(folder));
        }
    }
    let known = |name: &String| {
        name.starts_with("host.log") || name.starts_with("host.jsonl") || name == "rings" || name == "time_zone"
    };
    assert!(names_in(folder).iter().all(known), "{:?}", names_in(folder));
    let of_rings = ["journal.a", "journal.b", "flusher.lock", "doorbell", "offsets"];
    assert!(names_in(&folder.join("rings")).iter().all(|name| of_rings.contains(&name.as_str())));
}

/// The calls that compress, from a little before the first archive on.
fn compressing(calls: &[Call]) -> std::ops::Range<usize> {
    let last = calls.iter().rposition(|call| call.number == libc::SYS_linkat).expect("archives are named");
    let first = calls.iter().position(|call| call.number == libc::SYS_linkat).expect("archives are named");
    first.saturating_sub(30)..(last + 20).min(calls.len())
}

/// Some of these calls, of each kind at most so many; all where that is asked for.
fn some(calls: &[Call], range: std::ops::Range<usize>, most: usize) -> Vec<usize> {
    if std::env::var_os("LASTWORDS_ALL_POINTS").is_some() {
        return range.collect();
    }
    let mut kinds = BTreeMap::<i64, Vec<usize>>::new();
    range.for_each(|call| kinds.entry(calls[call].number).or_default().push(call));
    let of_kind = |calls: Vec<usize>| {
        let step = calls.len().div_ceil(most);
        calls.into_iter().rev().step_by(step).collect::<Vec<_>>()
    };
    kinds.into_values().flat_map(of_kind).collect()
}

#[test]
fn a_flusher_killed_before_any_system_call_of_a_compression_leaves_each_line_once_and_nothing_else() {
    let _watchdog = Watchdog::new("archive points", Duration::from_secs(3600));
    for settings in ["", "durable=10 format=both"] {
        let scratch = Scratch::new("archive-points");
        let elsewhere = scratch.join("elsewhere");
        fs::create_dir(&elsewhere).expect("made");
        let drainer = Drainer { since: "all", elsewhere };
        let copy = wreck(&scratch, settings);
        let folder = copy();
        let calls = drainer.drain_until(&folder, KillAt::Never).expect("an unkilled drain");
        judge(&folder);
        let count = archives(&folder, "host.log");
        assert!(count > 1, "{:?}", names_in(&folder));
        let points = some(&calls, compressing(&calls), if settings.is_empty() { 3 } else { 1 });
        println!("{} points", points.len());
        for call in points {
            for point in [KillAt::Before(call), KillAt::Within(call)] {
                if matches!(point, KillAt::Within(_)) && calls[call].write.is_none() {
                    continue;
                }
                let folder = copy();
                let _about = About(point);
                if drainer.drain_until(&folder, point).is_some() {
                    judge_between(&folder);
                    drainer.drain(&folder);
                    judge(&folder);
                    // Where the ring had gone, nobody knew any more that archives are wanted.
                    succeed(
                        "host",
                        &folder,
                        format!("rotate=1000000 flusher=never keep=100 compress=zstd {settings} say:x"),
                    );
                    flush_rest(&folder);
                    judge(&folder);
                    assert_eq!(archives(&folder, "host.log"), count, "{:?}", names_in(&folder));
                }
            }
        }
    }
}

/// Before the next flusher comes, each archive that has a name is whole, and each line is shown once.
#[track_caller]
fn judge_between(folder: &Path) {
    for name in names_in(folder).into_iter().filter(|name| name.ends_with(".zst")) {
        assert!(!unpacked(&folder.join(name)).is_empty());
    }
    let shown = printed(TOOL.command().args(["show", "-o", "cat"]).arg(folder));
    let lines: Vec<String> = shown.out.lines().filter(|line| line.starts_with("line ")).map(str::to_owned).collect();
    assert_eq!(lines, numbered(300), "{:?}", names_in(folder));
    assert_eq!(shown.err, "");
}

/// Whether all rotated files are archives, or the log says why not.
fn is_done(folder: &Path) -> bool {
    let text = fs::read_to_string(folder.join("host.log")).unwrap_or_default();
    let is_plain = |name: &String| name.starts_with("host.log.") && !name.ends_with(".zst");
    let all = folder.join("host.log.1.zst").exists() && !names_in(folder).iter().any(is_plain);
    ring_files(folder).is_empty() && (all || text.contains("rotated files stay as they are"))
}

#[test]
fn a_flusher_any_of_whose_calls_fails_while_it_compresses_leaves_each_line_once() {
    if !sys::CALLS_CAN_BE_CHANGED {
        println!("skipped: the registers of this processor are not known to the test");
        return;
    }
    let _watchdog = Watchdog::new("archive faults", Duration::from_secs(900));
    let scratch = Scratch::new("archive-faults");
    let elsewhere = scratch.join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    let drainer = Drainer { since: "all", elsewhere };
    let copy = wreck(&scratch, "");
    let calls = drainer.drain_with_until(&copy(), None, is_done).calls;
    let faults = [(libc::EIO, 1), (libc::ENOSPC, 10), (libc::EPERM, 1), (libc::EMFILE, 10)];
    for (call, (error, times)) in some(&calls, compressing(&calls), 8).into_iter().zip(faults.into_iter().cycle()) {
        let passes = error == libc::EPERM && [libc::SYS_unlinkat, libc::SYS_linkat].contains(&calls[call].number);
        if !passes && (error == libc::EPERM || !calls[call].may_fail(error)) {
            continue;
        }
        let folder = copy();
        let fault = Fault { call, kind: FaultKind::Fail(error, times) };
        let _about = About((fault, &calls[call]));
        if drainer.drain_with_until(&folder, Some(fault), is_done).reached {
            drainer.drain(&folder);
            judge(&folder);
        }
    }
}

#[test]
fn with_durable_archive_and_journal_are_synced_before_the_name_and_the_name_before_the_file_goes() {
    let scratch = Scratch::new("archive-syncs");
    let elsewhere = scratch.join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    let drainer = Drainer { since: "all", elsewhere };
    let is_sync = |call: &Call| [libc::SYS_fsync, libc::SYS_fdatasync].contains(&call.number);
    for (settings, before, between) in [("", 0, 0), ("durable=3600000", 2, 1)] {
        let scratch = Scratch::new("archive-syncs-rings");
        let folder = wreck(&scratch, settings)();
        let calls = drainer.drain_until(&folder, KillAt::Never).expect("a drain");
        let names: Vec<usize> = (0..calls.len()).filter(|call| calls[*call].number == libc::SYS_linkat).collect();
        assert!(names.len() > 1, "{:?}", names_in(&folder));
        for name in names {
            let is_removal = |call: &Call| call.number == libc::SYS_unlinkat;
            let since = calls[..name].iter().rposition(|call| is_removal(call) || call.number == libc::SYS_renameat2);
            let until = name + calls[name..].iter().position(is_removal).expect("the file goes");
            let count = |calls: &[Call]| calls.iter().filter(|call| is_sync(call)).count();
            let found = (count(&calls[since.unwrap_or(0)..name]), count(&calls[name..until]));
            assert!(found.0 >= before && found.1 >= between, "{settings}: {found:?}");
            assert!(!settings.is_empty() || found == (0, 0), "nobody asked for it: {found:?}");
        }
    }
}

#[test]
fn a_large_file_is_compressed_in_slices_between_which_the_flusher_rests() {
    // In 64 pieces of 64 KiB, of which a slice has 16 at most, however fast the processor is.
    const PIECES: usize = 64;
    let scratch = Scratch::new("archive-slices");
    let (folder, elsewhere) = (scratch.join("logs"), scratch.join("elsewhere"));
    fs::create_dir(&elsewhere).expect("made");
    die("host", &folder, "flusher=never crash-files=0 keep=100 compress=zstd log:3 kill");
    let line = "2026-11-24 13:37:02.606 [7] [INFO] earlier\n";
    let text = line.repeat((PIECES << 16).div_ceil(line.len()))[..PIECES << 16].to_owned();
    fs::write(folder.join("host.log.1"), &text).expect("written");
    let calls = Drainer { since: "all", elsewhere }.drain_until(&folder, KillAt::Never).expect("a drain");
    let named = calls.iter().rposition(|call| call.number == libc::SYS_linkat).expect("the archive is named");
    let is_rest = |call: &Call| [libc::SYS_nanosleep, libc::SYS_clock_nanosleep].contains(&call.number);
    let reads = |slice: &[Call]| slice.iter().filter(|call| call.number == libc::SYS_pread64).count();
    let (mut left, mut slices) = (PIECES, 0);
    for slice in calls[..named].rsplit(is_rest).map(reads) {
        assert!(slice <= 16, "{slice} pieces in a slice");
        (left, slices) = (left.saturating_sub(slice), slices + 1);
        if left == 0 {
            break;
        }
    }
    assert!(left == 0 && slices >= 4, "{slices} slices");
    assert!(unpacked(&folder.join("host.log.1.zst")) == text.as_bytes());
}

#[test]
fn what_somebody_else_appends_to_a_rotated_file_meanwhile_is_not_lost() {
    let _watchdog = Watchdog::new("archive appended", Duration::from_secs(300));
    let scratch = Scratch::new("archive-appended");
    let elsewhere = scratch.join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    let drainer = Drainer { since: "all", elsewhere };
    let copy = wreck(&scratch, "");
    let calls = drainer.drain_until(&copy(), KillAt::Never).expect("a drain");
    let reads = compressing(&calls).filter(|call| calls[*call].number == libc::SYS_pread64);
    for call in reads.step_by(2).take(8) {
        let folder = copy();
        let Some(mut traced) = drainer.stand_at(&folder, call, true) else { continue };
        let plain =
            names_in(&folder).into_iter().filter(|name| name.starts_with("host.log.") && !name.ends_with(".zst"));
        let names: Vec<String> = plain.collect();
        for name in &names {
            let mut file = File::options().append(true).open(folder.join(name)).expect("there");
            file.write_all(b"somebody else's\n").expect("written");
        }
        while !matches!(traced.run().expect("it goes on"), Stop::Ended(0)) {}
        drainer.drain(&folder);
        assert_eq!(text_of(&folder, "host.log").matches("somebody else's").count(), names.len(), "{names:?}");
        assert_eq!(messages(&folder, "host.log"), numbered(300));
    }
}
