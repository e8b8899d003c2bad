//! A process that dies without closing its log leaves a crash file with all that its ring still held.

use lastwords_tests::actor::{Actor, die, run, tool_at};
use lastwords_tests::files::{beside_rings, name_of};
use lastwords_tests::logs::{alarms, crash_files, messages, read};
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};

const RECORD_ALL: [(&str, &str); 1] = [("LASTWORDS_RING_LEVEL", "trace")];

fn recover(folder: &Path) {
    let output = tool_at("recover --drain", folder);
    assert!(output.status.success(), "{}", output.err);
}

/// Messages of a crash file's records, with their threads.
fn records(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("20") && line.contains("] ["))
        .filter_map(|line| line.split("] [").nth(2))
        .collect()
}

#[test]
fn the_crash_file_holds_the_last_records_of_every_level_in_the_order_of_time() {
    let folder = Scratch::new("crash-file");
    let script = "flusher=never slots=64 fine:500 log:2 fine:3 error:over kill";
    let mut actor = Actor::start_with("worker", &folder, script, &RECORD_ALL);
    let _ = actor.end();
    recover(&folder);
    let files = crash_files(&folder);
    assert_eq!(files.len(), 1, "{files:?}");
    let name = name_of(&files[0]);
    assert!(name.starts_with(&format!("worker-{}-2", actor.pid())), "{name}");
    let text = fs::read_to_string(&files[0]).expect("a crash file");
    let found = records(&text);
    // The oldest fine records have given way; what is left ends with the last words.
    let fine = found.iter().filter(|line| line.contains("fine ")).count();
    assert_eq!(fine, 64, "{text}");
    assert_eq!(found.len(), 67, "{text}");
    let last: Vec<&str> =
        found[found.len() - 7..].iter().map(|line| line.rsplit("] ").next().expect("a message")).collect();
    assert_eq!(last, ["fine 499", "line 0", "line 1", "fine 0", "fine 1", "fine 2", "over"]);
    for part in [
        "black box of worker",
        "died",
        "command      [",
        &format!("started in   {}", std::env::current_dir().expect("a folder").display()),
        "actor\", \"worker\"",
        "info in the log files, trace in the ring",
        "67 records, 0 log calls",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let log = read(&folder, "worker");
    assert!(log.iter().all(|line| !line.message.contains("fine")), "{log:?}");
    let last = log.last().expect("a death line");
    assert!(last.level == "CRITICAL" && last.message.contains(name), "{log:?}");
}

#[test]
fn ordinary_ends_leave_no_crash_file_and_no_alarm() {
    let folder = Scratch::new("ordinary");
    let mut actors: Vec<Actor> = (0..100)
        .map(|n| {
            let end = match n % 4 {
                0 => "",
                1 => "exit",
                2 => "line:ready wait",
                _ => "fork:1",
            };
            Actor::start_with("worker", &folder, format!("fine:9 log:3 {end}"), &RECORD_ALL)
        })
        .collect();
    for (n, actor) in actors.iter_mut().enumerate() {
        if n % 4 == 2 {
            assert_eq!(actor.line(), "ready");
            let signals = [rustix::process::Signal::TERM, rustix::process::Signal::INT, rustix::process::Signal::HUP];
            actor.signal(signals[n / 4 % 3]);
        }
        let _ = actor.end();
    }
    let _ = tool_at("recover --drain", &folder);
    assert_eq!(crash_files(&folder), Vec::<PathBuf>::new());
    let lines = read(&folder, "worker");
    assert_eq!(alarms(&lines), 0, "{lines:?}");
}

#[test]
fn no_more_crash_files_are_kept_than_wished_for() {
    let folder = Scratch::new("crash-keep");
    fs::write(folder.join("worker-notes.crash.log"), "mine").expect("written");
    for _ in 0..5 {
        die("worker", &folder, "flusher=never crash-files=2 log:1 kill");
        recover(&folder);
    }
    assert_eq!(crash_files(&folder).len(), 3, "two, and the one that is no crash file");
    die("worker", &folder, "flusher=never crash-files=0 log:1 kill");
    recover(&folder);
    assert_eq!(crash_files(&folder).len(), 3);
    let log = read(&folder, "worker");
    assert_eq!(log.iter().filter(|line| line.message.contains("its black box is")).count(), 5, "{log:?}");
}

#[test]
fn the_black_box_of_a_live_process_and_of_a_copied_ring_is_the_same() {
    let folder = Scratch::new("black-box");
    let script = "fine:3 log:2 flush line:ready wait";
    let mut actor = Actor::start_with("worker", &folder, script, &RECORD_ALL).until("ready");
    let ring = &beside_rings(&folder, "ring")[0];
    let copy = folder.join("copy.ring");
    fs::copy(ring, &copy).expect("copied");
    let shown = |path: &Path| {
        let output = tool_at("recover --black-box", path);
        assert!(output.status.success(), "{}", output.err);
        output.out
    };
    let (live, folder_wide, copied) = (shown(ring), shown(&folder), shown(&copy));
    assert_eq!(records(&live).len(), 5, "{live}");
    assert!(live.contains("process      alive"), "{live}");
    assert_eq!(records(&live), records(&folder_wide));
    assert_eq!(records(&live), records(&copied));
    let output = tool_at("recover", ring);
    assert_eq!(output.code, Some(1), "all that a log file shows is in it: {}", output.out);
    actor.kill();
}

#[test]
fn an_error_brings_what_led_up_to_it_once() {
    let folder = Scratch::new("pull");
    let script = "context=4 fine:10 log:1 error:first error:second fine:2 error:third fine:1 log:1";
    let mut actor = Actor::start_with("worker", &folder, script, &RECORD_ALL);
    assert!(actor.end().success());
    let found = messages(&folder, "worker");
    let shown: Vec<&str> = found.iter().map(|line| line.split(" from before").next().unwrap_or_default()).collect();
    let expected = [
        "line 0",
        "lastwords: 4 records",
        "fine 6",
        "fine 7",
        "fine 8",
        "fine 9",
        "first",
        "second",
        "lastwords: 2 records",
        "fine 0",
        "fine 1",
        "third",
        "line 1",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_worker_that_dies_of_a_panic_leaves_its_crash_file_with_its_last_records() {
    let folder = Scratch::new("panic-crash");
    let script = ["fine:5", "log:1", "fine:2", "die-of-panic:no frame"];
    let mut actor = Actor::start_with("worker", &folder, script, &RECORD_ALL);
    assert_eq!(actor.end().code(), Some(101));
    recover(&folder);
    let files = crash_files(&folder);
    assert_eq!(files.len(), 1, "{files:?}");
    let text = fs::read_to_string(&files[0]).expect("a crash file");
    let found = records(&text);
    assert_eq!(found.len(), 9, "{text}");
    assert!(
        found[7].ends_with("fine 1") && found[8].contains("panicked at") && found[8].ends_with("no frame"),
        "{text}"
    );
    assert!(text.contains("process      ended by a panic"), "{text}");
    let log = read(&folder, "worker");
    let last = log.last().expect("a death line");
    assert!(last.level == "CRITICAL" && last.message.contains("the process ended by a panic"), "{log:?}");
    // A caught panic is not an end.
    let caught = Scratch::new("panic-caught");
    let mut actor = Actor::start_with("worker", &caught, "panic log:1", &RECORD_ALL);
    assert!(actor.end().success());
    assert_eq!(crash_files(&caught), Vec::<PathBuf>::new());
}

#[test]
fn the_crash_files_of_the_earliest_deaths_go_whenever_they_were_touched() {
    let folder = Scratch::new("earliest-deaths");
    let _ = run("worker", &folder, "log:1");
    let name = |n: u32, year: u32| folder.join(format!("worker-{n}-{year}0101T0000{:02}Z.crash.log", n % 60));
    // Twenty earlier deaths, touched later than the one to come, and the earliest of all touched last.
    let touched = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    for n in (1..=20).rev() {
        let file = fs::File::create(name(n, 2001)).expect("made");
        file.set_modified(touched + std::time::Duration::from_secs(20 - u64::from(n))).expect("touched");
    }
    let pid = die("worker", &folder, "crash-files=5 flusher=never log:1 kill");
    recover(&folder);
    let files = crash_files(&folder);
    let own = files.iter().filter(|path| path.to_string_lossy().contains(&format!("worker-{pid}-2"))).count();
    assert_eq!((files.len(), own), (5, 1), "{files:?}");
    assert!((17..=20).all(|n| name(n, 2001).exists()), "the latest deaths stay: {files:?}");
    // One whose process died before all others, by its clock, is named by its death line, so it is there too.
    for n in 1..=20 {
        fs::write(name(n, 2999), "").expect("made");
    }
    let pid = die("worker", &folder, "crash-files=5 flusher=never log:1 kill");
    recover(&folder);
    let named = |path: &PathBuf| path.to_string_lossy().contains(&format!("worker-{pid}-2"));
    assert_eq!((crash_files(&folder).len(), crash_files(&folder).iter().filter(|path| named(path)).count()), (5, 1));
}

#[test]
fn the_first_of_a_crash_loop_stays_beside_the_newest_and_is_named_by_the_others() {
    let folder = Scratch::new("crash-loop");
    let crash = |settings: &str| {
        let pid = die("worker", &folder, format!("{settings} flusher=never log:1 kill"));
        recover(&folder);
        let of_pid = |path: &PathBuf| path.to_string_lossy().contains(&format!("worker-{pid}-2"));
        crash_files(&folder).into_iter().find(of_pid).expect("its crash file")
    };
    let first = crash("crash-files=3");
    assert!(!fs::read_to_string(&first).expect("read").contains("crash loop"));
    let line = format!("\ncrash loop   since {}\n", first.file_name().expect("named").to_string_lossy());
    let mut last = Vec::new();
    for _ in 0..4 {
        let path = crash("crash-files=3");
        assert!(fs::read_to_string(&path).expect("read").contains(&line), "{}", path.display());
        last.push(path);
    }
    let kept = |paths: &[&PathBuf]| {
        let mut paths: Vec<PathBuf> = paths.iter().copied().cloned().collect();
        let mut found = crash_files(&folder);
        paths.sort();
        found.sort();
        assert_eq!(found, paths);
    };
    kept(&[&first, &last[2], &last[3]]);
    let size = first.metadata().expect("there").len();
    // Room for two, and for less than one.
    let newest = crash(&format!("crash-total={}", 2 * size + size / 2));
    kept(&[&first, &newest]);
    let newest = crash("crash-total=10");
    kept(&[&newest]);
}

#[test]
fn threads_of_one_name_are_told_by_their_ids() {
    let folder = Scratch::new("thread-ids");
    let script = "flusher=never named-thread:pool named-thread:pool kill";
    die("worker", &folder, script);
    recover(&folder);
    let text = fs::read_to_string(&crash_files(&folder)[0]).expect("a crash file");
    let threads: std::collections::BTreeSet<&str> =
        records(&text).into_iter().filter_map(|line| line.strip_prefix("pool ")?.split(']').next()).collect();
    assert_eq!(threads.len(), 2, "{text}");
    assert!(threads.iter().all(|id| id.parse::<u32>().is_ok()), "{text}");
}
