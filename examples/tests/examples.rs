//! Every example runs and leaves in its log what it says.
//!
//! Examples are what people copy, and nothing else notices when one rots: a program that only compiles may log to
//! nowhere.

use lastwords_tests::logs::{Line, read};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

const QUICKSTART: &str = env!("CARGO_BIN_EXE_quickstart");
const FIELDS: &str = env!("CARGO_BIN_EXE_fields");
const FACADE: &str = env!("CARGO_BIN_EXE_facade");
const SPANS: &str = env!("CARGO_BIN_EXE_spans");
const PANIC: &str = env!("CARGO_BIN_EXE_panic");
const HOST: &str = env!("CARGO_BIN_EXE_host");
/// The host starts it by its place beside the host; named here so that it is built.
const WORKER: &str = env!("CARGO_BIN_EXE_worker");
/// The page that the host never answers.
const LAST_PAGE: u32 = 300;
/// More than the host allows itself.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs an example with nothing of this process's own settings, in UTC: local time may go back by an hour.
fn run(program: &str, folder: &Path) -> Output {
    run_with(program, folder, &[])
}

/// Like `run`, with these environment variables.
fn run_with(program: &str, folder: &Path, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program);
    command.env_remove("RUST_LOG").envs(environment.iter().copied());
    command.env_remove("LASTWORDS_LOG").env_remove("LASTWORDS_ROLE").env("LASTWORDS_DIR", folder).env("TZ", "UTC");
    let output = command.output().expect("the example starts");
    assert!(output.status.success(), "{program}: {output:?}");
    output
}

fn text(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| format!("[{}] {}", line.level, line.message)).collect()
}

#[test]
fn quickstart_leaves_its_lines_in_the_file() {
    let _watchdog = Watchdog::new("quickstart", LIMIT);
    let folder = Scratch::new("quickstart");
    let expected = [
        "[INFO] Host process starting up",
        "[INFO] crates that log through the `log` facade land in the ring too",
        "[INFO] frame 0 took 16.6 ms camera=left",
        "[INFO] frame 1 took 16.6 ms camera=left",
        "[INFO] frame 2 took 16.6 ms camera=left",
        "[ERROR] something is wrong",
    ];
    let output = run(QUICKSTART, folder.path());
    assert_eq!(text(&read(folder.path(), "host")), expected);
    let printed = String::from_utf8(output.stdout).expect("text");
    assert_eq!(printed.trim_end(), format!("see {}", folder.path().display()));
}

#[test]
fn the_macros_leave_their_fields() {
    let _watchdog = Watchdog::new("fields", LIMIT);
    let folder = Scratch::new("fields");
    run(FIELDS, folder.path());
    let expected = [
        "[INFO] frame 7 took 16.6 ms camera=left retries=0",
        "[DEBUG] corner found at=\"Point { x: 3, y: -4 }\" sharp=true",
        "[WARNING] reset reason=\"no answer for 2 s\" port.number=3",
    ];
    assert_eq!(text(&read(folder.path(), "camera")), expected);
}

#[test]
fn the_facade_leaves_its_key_values() {
    let _watchdog = Watchdog::new("facade", LIMIT);
    let folder = Scratch::new("facade");
    run(FACADE, folder.path());
    let expected = [
        "[INFO] order of 3 items id=1 user=ada from=127.0.0.1",
        "[INFO] packed id=1 further=2",
        "[INFO] order of 0 items id=2 user=bob from=127.0.0.1",
        "[ERROR] nothing to pack id=2 user=\"bob\"",
    ];
    assert_eq!(text(&read(folder.path(), "shop")), expected);
}

#[test]
fn events_stand_in_their_spans_as_far_as_the_filter_lets_them() {
    let _watchdog = Watchdog::new("spans", LIMIT);
    let lines = [
        "[INFO] request{id=1 user=ada}: answered rows=3",
        "[WARNING] request{id=2 user=bob}: nothing found",
        "[INFO] no more requests",
    ];
    let folder = Scratch::new("spans");
    run(SPANS, folder.path());
    assert_eq!(text(&read(folder.path(), "server")), lines);

    let folder = Scratch::new("spans-debug");
    run_with(SPANS, folder.path(), &[("RUST_LOG", "info,spans::storage=debug")]);
    let read_for = |id, user| format!("[DEBUG] request{{id={id} user={user}}}:query{{table=orders}}: reading limit=10");
    let (first, second) = (read_for(1, "ada"), read_for(2, "bob"));
    assert_eq!(text(&read(folder.path(), "server")), [&first, lines[0], &second, lines[1], lines[2]]);
}

#[test]
fn a_panic_leaves_its_message_place_thread_and_backtrace() {
    let _watchdog = Watchdog::new("panic", LIMIT);
    let folder = Scratch::new("panic");
    run_with(PANIC, folder.path(), &[("RUST_BACKTRACE", "1")]);
    let lines = text(&read(folder.path(), "importer"));
    assert_eq!((lines.len(), lines[1].as_str()), (2, "[ERROR] the reader gave up"));
    let (head, backtrace) = lines[0].split_once("\nstack backtrace:\n").expect("a backtrace");
    assert!(head.starts_with("[CRITICAL] thread 'reader' panicked at examples/panic.rs:"), "{head}");
    assert!(head.ends_with(": a number in each line: ParseIntError { kind: InvalidDigit }"), "{head}");
    assert!(backtrace.contains("panic::sum"), "{backtrace}");
}

#[test]
fn the_readme_shows_the_quickstart_as_it_is() {
    let (_, program) = include_str!("../quickstart.rs").split_once("\n\nuse ").expect("imports after the docs");
    let block = format!("```rust\nuse {program}```");
    assert!(include_str!("../../README.md").contains(&block), "README.md and examples/quickstart.rs differ");
}

#[test]
fn a_killed_worker_leaves_its_last_words() {
    let _watchdog = Watchdog::new("host", LIMIT);
    let folder = Scratch::new("host-and-worker");
    assert_eq!(Path::new(WORKER), Path::new(HOST).with_file_name("worker"));
    let output = run(HOST, folder.path());
    let lines = read(folder.path(), "worker");

    let (death, records) = lines.split_last().expect("lines");
    assert_eq!(death.level, "CRITICAL");
    assert!(records.iter().all(|line| line.level != "CRITICAL"), "one death, one line");
    assert!(lines.is_sorted_by(|a, b| a.time <= b.time), "time order");

    let fetches: Vec<usize> = (0..records.len()).filter(|n| records[*n].message.starts_with("fetching ")).collect();
    assert!(fetches.iter().all(|n| records[*n].pid == death.pid), "the death line names another process");
    let pages: Vec<u32> = fetches.iter().map(|n| page(&records[*n])).collect();
    assert!(pages.is_sorted_by(|a, b| a < b) && pages.last() == Some(&LAST_PAGE), "{pages:?}");
    let answers = records.iter().filter(|line| line.message.starts_with("Response { status: 200"));
    // On a machine so busy that the flusher does not run for 100 ms, the oldest lines are overwritten, which is logged.
    let complete = pages.len() == LAST_PAGE as usize && answers.count() == pages.len() - 1;
    assert!(complete || records.iter().any(|line| line.level == "WARNING"), "lines are missing: {pages:?}");

    let in_flight = &records[*fetches.last().expect("the last page")..];
    assert_request_is_whole(in_flight);

    let printed = String::from_utf8(output.stdout).expect("text");
    for line in in_flight.iter().rev().take(3).chain([death]) {
        assert!(printed.contains(&line.message), "{line:?} is not printed: {printed}");
    }
    assert!(printed.contains(&folder.path().join("worker.log").display().to_string()), "{printed}");
}

/// The number at the end of the address that a line of the worker names.
fn page(fetching: &Line) -> u32 {
    let (address, _) = fetching.message.split_once(',').expect("an address first");
    address.rsplit_once('/').and_then(|(_, number)| number.parse().ok()).expect("a page")
}

/// The client logs what it is about to send, 16 bytes a record. The server had the request when the worker was killed,
/// so all of these records were logged, to the empty line that ends a request.
fn assert_request_is_whole(in_flight: &[Line]) {
    let head = in_flight.iter().position(|line| line.message.starts_with("Request {")).expect("the request");
    let rows = in_flight[head + 1..].iter().take_while(|line| line.level == "TRACE");
    let (bytes, text): (String, String) = rows.map(|row| row.message.split_once("  ").expect("bytes and text")).unzip();
    assert!(text.starts_with("GET./page/300.HTTP/1.1.."), "{text}");
    let bytes: String = bytes.chars().filter(char::is_ascii_hexdigit).collect();
    assert!(bytes.ends_with("0d0a0d0a"), "{bytes}");
}

#[test]
fn the_host_takes_its_folder_from_its_argument() {
    let _watchdog = Watchdog::new("host with a folder", LIMIT);
    let (from_environment, argument) = (Scratch::new("not-this"), Scratch::new("argument"));
    let mut command = Command::new(HOST);
    let output = command.arg(argument.path()).env("LASTWORDS_DIR", from_environment.path()).output().expect("starts");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(read(argument.path(), "worker").iter().filter(|line| line.level == "CRITICAL").count(), 1);
    let host = read(argument.path(), "host");
    assert!(host.iter().any(|line| line.message.contains("GET /page/299 HTTP/1.1")), "the server's access log");
    assert!(host.iter().any(|line| line.level == "TRACE"), "what its dispatcher logs");
    assert_eq!(std::fs::read_dir(from_environment.path()).expect("there").count(), 0);
}
