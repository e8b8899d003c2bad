//! What a process writes beside its ring is in its crash file, whatever kills it, and nowhere else.
//!
//! The handler of a fatal signal must not log, so what only it knows, the traceback of an interpreter for instance, would be
//! lost, or be on a standard error that is not kept. The file for it is one more that another program may replace: a flusher
//! that followed a link there would print a secret, one that opened a FIFO would wait for ever, and one that could not read or
//! remove it would lose the ring, or never come to the next.

use lastwords_tests::actor::{Actor, flush_once, run, succeed, tool_at};
use lastwords_tests::files::{beside_rings, make_fifo, names_in};
use lastwords_tests::forge;
use lastwords_tests::logs::{count, crash_files, read};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes that a crash file takes of what was attached.
const MAX: usize = 1 << 20;

/// The text of the only crash file.
fn crash_file(folder: &Path) -> String {
    let files = crash_files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    fs::read_to_string(&files[0]).expect("a crash file")
}

/// What is left in the rings folder besides the flusher's own files.
fn left(folder: &Path) -> Vec<String> {
    let own = ["journal.a", "journal.b", "flusher.lock", "doorbell", "offsets"];
    names_in(&folder.join("rings")).into_iter().filter(|name| !own.contains(&name.as_str())).collect()
}

/// What the attachments in the rings folder hold.
fn attachments(folder: &Path) -> Vec<String> {
    let files = beside_rings(folder, "attached").into_iter();
    let mut texts: Vec<String> = files.map(|file| fs::read_to_string(file).expect("text")).collect();
    texts.sort();
    texts
}

/// The part of a crash file between its records and its end.
fn attached(crash_file: &str) -> &str {
    let (_, after) = crash_file.split_once("\nattached     ").expect("something is attached");
    after.rsplit_once("\nend          ").expect("an end").0
}

#[test]
fn what_a_process_attached_stands_in_its_crash_file_behind_the_records() {
    let traceback = "Fatal Python error: Aborted\n\n  File \"größer.py\", line 3 in f";
    for (name, end, memory) in [("kill", "kill", "file"), ("abort", "abort", "file"), ("shm", "kill", "shared")] {
        let folder = Scratch::new(&format!("attached-{name}"));
        let attach = format!("attach:{traceback}");
        let mut script = vec!["flusher=never", "log:2", "attach:first\n", &attach, end];
        script.extend((memory == "shared").then_some("memory=shared"));
        let (_, status) = run("worker", &folder, &script);
        assert!(!status.success());
        flush_once(&folder);
        let text = crash_file(&folder);
        let length = "first\n".len() + traceback.len();
        assert_eq!(attached(&text), format!("{length} bytes\nfirst\n{traceback}\n"));
        assert!(text.contains("] line 1\n\nattached     ") && text.contains("\n\nend          2 records"), "{text}");
        assert_eq!(left(&folder), Vec::<String>::new());
        let log = read(&folder, "worker");
        assert!(log.iter().all(|line| !line.message.contains("Fatal Python")), "the log has the records alone");
    }
}

#[test]
fn what_the_handler_of_a_fatal_signal_attaches_is_there_and_the_death_line_names_the_signal() {
    let folder = Scratch::new("attached-handler");
    let script = ["flusher=never", "attach:before\n", "attach-in-handler:in the handler\n", "log:1", "fault:null"];
    let (_, status) = run("worker", &folder, script);
    assert!(!status.success());
    flush_once(&folder);
    assert_eq!(attached(&crash_file(&folder)), "22 bytes\nbefore\nin the handler\n");
    let log = read(&folder, "worker");
    assert!(log.last().expect("a death line").message.contains("died of SIGSEGV"), "{log:?}");
}

#[test]
fn after_an_ordinary_end_what_was_attached_goes_with_the_ring() {
    let folder = Scratch::new("attached-ordinary");
    succeed("worker", &folder, "flusher=never log:1 attach:notes");
    let mut actor = Actor::start("worker", &folder, "flusher=never attach:notes line:ready wait").until("ready");
    actor.signal(Signal::TERM);
    let _ = actor.end();
    assert_eq!(attachments(&folder), ["notes", "notes"]);
    flush_once(&folder);
    assert_eq!((crash_files(&folder), left(&folder)), (Vec::<PathBuf>::new(), Vec::new()));
}

#[test]
fn nothing_attached_is_not_mentioned_and_where_no_crash_files_are_kept_it_goes_too() {
    let folder = Scratch::new("attached-nothing");
    let _ = run("worker", &folder, ["flusher=never", "log:1", "attach:", "kill"]);
    let _ = run("other", &folder, "flusher=never crash-files=0 log:1 attach:notes kill");
    flush_once(&folder);
    let text = crash_file(&folder);
    assert!(!text.contains("attached     ") && text.contains("\n\nend          1 records"), "{text}");
    assert_eq!(left(&folder), Vec::<String>::new());
}

#[test]
fn a_forked_child_attaches_to_its_own_crash_file() {
    let folder = Scratch::new("attached-fork");
    let script = ["flusher=never", "log:1", "attach:notes of the parent\n", "fork-attach:2", "kill"];
    let _ = run("worker", &folder, script);
    let expected = ["notes of child 0\n", "notes of child 1\n", "notes of the parent\n"];
    assert_eq!(attachments(&folder), expected);
    flush_once(&folder);
    assert_eq!(attached(&crash_file(&folder)), "20 bytes\nnotes of the parent\n", "it alone was killed");
    assert_eq!(left(&folder), Vec::<String>::new());
}

#[test]
fn the_black_box_of_a_live_process_shows_what_it_attached_so_far() {
    for memory in ["file", "shared"] {
        let folder = Scratch::new("attached-live");
        let mut script = vec!["log:1", "attach:so far", "line:ready", "wait"];
        script.extend((memory == "shared").then_some("memory=shared"));
        let mut actor = Actor::start("worker", &folder, &script).until("ready");
        let shown = tool_at("recover --black-box", &folder).out;
        assert_eq!(attached(&shown), "6 bytes\nso far\n", "{memory}");
        actor.finish();
    }
}

/// Puts something in the place of a killed process's attachment, drains, and returns the crash file.
fn planted(name: &'static str, plant: impl FnOnce(&Path)) -> (Scratch, String) {
    let _watchdog = Watchdog::new(name, Duration::from_secs(60));
    let folder = Scratch::new(&format!("attached-{name}"));
    let _ = run("worker", &folder, "flusher=never log:2 kill");
    plant(&lastwords_ring::place::crash_notes::path(&forge::ring_files(&folder)[0]));
    let _ = run("worker", &folder, "flusher=never log:1");
    flush_once(&folder);
    assert!(forge::ring_files(&folder).is_empty(), "{name}: all rings are drained and removed");
    let log = read(&folder, "worker");
    assert_eq!(count(&log, "line "), 3, "{name}: {log:?}");
    let text = crash_file(&folder);
    assert!(
        text.contains("] line 1\n\nattached     ") && text.contains("\n\nend          2 records"),
        "{name}: {text}"
    );
    (folder, text)
}

#[test]
fn a_link_in_its_place_is_not_followed() {
    let scratch = Scratch::new("attached-secret");
    let secret = scratch.join("secret");
    fs::write(&secret, "a secret that no crash file shows").expect("written");
    let (folder, text) = planted("link", |path| std::os::unix::fs::symlink(&secret, path).expect("planted"));
    assert!(attached(&text).starts_with("cannot be read: ") && !text.contains("a secret"), "{text}");
    assert_eq!(fs::read_to_string(&secret).expect("not removed"), "a secret that no crash file shows");
    assert_eq!(left(&folder), Vec::<String>::new(), "the link itself goes");
}

#[test]
fn a_fifo_in_its_place_is_not_waited_for() {
    let fifo = |path: &Path| make_fifo(path);
    let (folder, text) = planted("fifo", fifo);
    assert_eq!(attached(&text), "cannot be read: it is a FIFO, not a regular file\n");
    assert_eq!(left(&folder), Vec::<String>::new());
}

#[test]
fn a_folder_in_its_place_stays_and_holds_nobody_up() {
    let (folder, text) = planted("folder", |path| fs::create_dir(path).expect("planted"));
    assert_eq!(attached(&text), "cannot be read: it is a folder, not a regular file\n");
    assert_eq!(left(&folder).len(), 1, "the folder");
    let (_, status) = run("worker", &folder, "log:1");
    assert!(status.success() && read(&folder, "worker").last().expect("a line").message == "line 0");
}

#[test]
fn of_5_mib_the_first_one_is_taken() {
    let (folder, text) =
        planted("long", |path| fs::write(path, "0123456789abcde\n".repeat(5 * MAX / 16)).expect("written"));
    let expected = format!("{MAX} bytes, {} more are left out\n{}", 4 * MAX, "0123456789abcde\n".repeat(MAX / 16));
    assert!(attached(&text) == expected, "{} bytes", text.len());
    assert_eq!(left(&folder), Vec::<String>::new());
}

#[test]
fn nothing_attached_drives_a_terminal_or_forges_a_record() {
    let record = "2025-10-19 05:55:47.606 [1] [CRITICAL] forged";
    let harm = format!("{record}\n\x1b[31mred\x07\0\r\u{202e}\tstays\n{record}\n").into_bytes();
    let harm = [harm.as_slice(), b"\xff\xfe"].concat();
    let (_folder, text) = planted("harm", |path| fs::write(path, &harm).expect("written"));
    let shown = format!("\t{record}\n\\x1b[31mred\\x07\\x00\\r\\u{{202e}}\tstays\n\t{record}\n\\xff\\xfe\n");
    assert_eq!(attached(&text), format!("{} bytes\n{shown}", harm.len()));
}
