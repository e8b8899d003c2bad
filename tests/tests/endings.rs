//! What a process logged is in its file however the process ends.
//!
//! The system that this grew from lost its last lines exactly when they mattered: at `exit`, at `abort`, at a kill. And where
//! every ordinary end looked like a crash, nobody read about the crashes any more.

use lastwords_tests::actor::{Actor, flush_once, run, succeed, wait_for};
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs::{alarms, messages, numbered, read, texts};
use lastwords_tests::scratch::Scratch;

#[test]
fn a_return_from_main_leaves_everything_in_the_file() {
    let folder = Scratch::new("return");
    let pid = succeed("host", &folder, "log:5000");
    let lines = read(&folder, "host");
    assert_eq!(texts(&lines), numbered(5000));
    assert!(lines.iter().all(|line| line.pid == pid && line.level == "INFO"));
}

#[test]
fn process_exit_leaves_everything_in_the_file() {
    let folder = Scratch::new("exit");
    let _ = run("host", &folder, "log:5000 exit");
    assert_eq!(messages(&folder, "host"), numbered(5000));
}

#[test]
fn flush_returns_when_the_lines_are_in_the_file() {
    let folder = Scratch::new("flush");
    let _actor = Actor::start("host", &folder, "log:700 flush line:flushed wait").until("flushed");
    assert_eq!(messages(&folder, "host"), numbered(700));
}

#[test]
fn a_line_reaches_its_file_without_being_asked_for() {
    let folder = Scratch::new("unasked");
    let _actor = Actor::start("host", &folder, "sleep:700 log:1 line:logged wait").until("logged");
    let path = folder.join("host.log");
    wait_for("the line", || std::fs::read_to_string(&path).ok().filter(|text| text.contains("line 0")));
}

#[test]
fn a_killed_process_leaves_everything_and_one_death_line() {
    for (how, logged) in [("kill", "died without closing"), ("abort", "died of SIGABRT without closing")] {
        let folder = Scratch::new(how);
        let (pid, _) = run("worker", &folder, format!("flusher=never log:321 {how}"));
        assert!(read(&folder, "worker").is_empty(), "nobody has flushed yet");
        flush_once(&folder);
        let lines = read(&folder, "worker");
        // Nothing in the file is younger than they are, so no line says that they are older.
        let (death, records) = lines.split_last().expect("lines");
        assert_eq!(texts(records), numbered(321));
        assert_eq!((death.level.as_str(), death.pid), ("CRITICAL", pid));
        assert!(death.message.contains(logged) && death.message.contains("321 records"), "{death:?}");
        assert_eq!(ring_files(&folder), Vec::<std::path::PathBuf>::new(), "the ring is removed");
    }
}

#[test]
fn an_ordinary_end_waits_for_the_flusher_of_another_process() {
    let folder = Scratch::new("waits");
    let mut host = Actor::start("host", &folder, "line:up flush line:flushed wait").until("up").until("flushed");
    for run in 1..=3 {
        // So many that the flusher takes much longer than the exit itself.
        succeed("worker", &folder, "slots=65536 lanes=3 log:50000");
        assert_eq!(
            read(&folder, "worker").len(),
            50_000 * run,
            "all lines of the worker are there once it is waited for"
        );
    }
    host.finish();
}

#[test]
fn an_ordinary_end_raises_no_alarm() {
    let folder = Scratch::new("ordinary");
    let mut host = Actor::start("host", &folder, "line:up wait").until("up");
    for _ in 0..10 {
        succeed("worker", &folder, "log:10");
    }
    host.finish();
    let lines = [read(&folder, "worker"), read(&folder, "host")].concat();
    assert_eq!(lines.len(), 100);
    assert!(lines.iter().all(|line| line.level == "INFO"), "{lines:?}");
}

#[test]
fn the_next_start_takes_what_an_earlier_run_left() {
    let folder = Scratch::new("next-start");
    let (first, _) = run("host", &folder, "flusher=never log:50 kill");
    let (second, _) = run("host", &folder, "log:3");
    let lines = read(&folder, "host");
    let of = |pid| lines.iter().filter(|line| line.pid == pid && line.level == "INFO").count();
    assert_eq!((of(first), of(second)), (50, 3));
    assert_eq!(alarms(&lines), 1);
}
