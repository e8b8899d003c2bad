//! A panic is in the log, wherever it happens, and everything else about it stays as it was.
//!
//! The last line that a worker prints is the message of its panic, on a standard error that is not kept. A hook that records it
//! runs in the worst places: in the middle of a log call, while another panic unwinds, in a child that was forked while another
//! thread held a lock. One that waits there turns a crash into a process that hangs.

use lastwords_tests::actor::{Printed, flush_rest, printed};
use lastwords_tests::logs::{Line, read};
use lastwords_tests::programs::ACTOR;
use lastwords_tests::recovered::records;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// After this long a panic hangs.
const LIMIT: Duration = Duration::from_secs(60);

fn run(folder: &Scratch, script: &str) -> (Printed, Vec<Line>) {
    run_with(folder, Some("1"), script)
}

/// Like `run`, with `RUST_BACKTRACE` as given.
fn run_with(folder: &Scratch, backtrace: Option<&str>, script: &str) -> (Printed, Vec<Line>) {
    let _watchdog = Watchdog::new("a panic", LIMIT);
    let mut command = ACTOR.acting("worker", folder, script);
    command.env_remove("RUST_BACKTRACE").envs(backtrace.map(|value| ("RUST_BACKTRACE", value)));
    let output = printed(command);
    flush_rest(folder);
    (output, read(folder, "worker"))
}

/// Level and first line of each record but the tool's own.
fn heads(lines: &[Line]) -> Vec<String> {
    let own = lines.iter().filter(|line| !line.message.starts_with("lastwords: "));
    own.map(|line| format!("[{}] {}", line.level, line.message.lines().next().unwrap_or_default())).collect()
}

/// What follows the place in a record's first line.
fn payload(line: &Line) -> &str {
    let (_, rest) = line.message.split_once(" panicked at ").expect("a panic");
    rest.split_once(": ").expect("a place").1
}

fn panics(lines: &[Line]) -> Vec<&str> {
    let panics = lines.iter().filter(|line| line.message.starts_with("thread '"));
    panics.map(|line| payload(line).lines().next().unwrap_or_default()).collect()
}

#[test]
fn a_panic_is_one_critical_record_with_place_thread_and_backtrace() {
    let folder = Scratch::new("panic");
    let (output, lines) = run(&folder, "say:before panicking:main");
    assert_eq!(output.code, Some(101));
    assert!(output.err.contains("panicked at tests/src/panics.rs:"), "the earlier hook runs: {output:?}");
    assert_eq!(lines.len(), 3, "the panic is one record, and the end another: {lines:?}");
    assert!(lines[2].message.starts_with("lastwords: the process ended by a panic"), "{lines:?}");
    let panic = &lines[1];
    assert_eq!(panic.level, "CRITICAL");
    assert!(panic.message.starts_with("thread 'main' panicked at tests/src/panics.rs:"), "{panic:?}");
    assert!(payload(panic).starts_with("on purpose 1\nsecond line\nstack backtrace:\n   0: "), "{panic:?}");
    assert!(panic.message.contains("actor::main"), "the calls that led there: {panic:?}");
    let own = ["lastwords::panic", "std::rt::lang_start", "_start"];
    assert!(own.iter().all(|part| !panic.message.contains(part)), "and no others: {panic:?}");
}

#[test]
fn a_panic_costs_the_backtrace_that_is_asked_for_and_none_else() {
    for (asked, there) in [(None, false), (Some("0"), false), (Some("1"), true), (Some("full"), true)] {
        let folder = Scratch::new("panic-backtrace");
        let (output, lines) = run_with(&folder, asked, "panicking:display");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(panics(&lines), ["within a log call"; 3], "{asked:?}");
        let panics = || lines.iter().filter(|line| line.message.starts_with("thread '"));
        assert!(panics().all(|line| line.message.contains("stack backtrace:") == there), "{asked:?}: {lines:?}");
        // The long form has an address for each call.
        let long = panics().all(|line| line.message.contains("\n   0:     0x"));
        assert_eq!(long, asked == Some("full"), "{asked:?}");
    }
    let folder = Scratch::new("panic-fork-in-hook");
    let (output, lines) = run_with(&folder, None, "panics=slow panicking:fork-in-hook");
    assert!(output.status.success() && lines.iter().all(|line| !line.message.contains("backtrace")), "{lines:?}");
}

#[test]
fn the_record_has_the_target_panic_and_the_place() {
    let folder = Scratch::new("panic-place");
    let mut command = ACTOR.acting("worker", &folder, "flusher=never panicking:value kill");
    let _ = printed(command.env("RUST_BACKTRACE", "1"));
    let found = records(&folder);
    assert_eq!((found.len(), found[0].target.as_str()), (1, "panic"));
    assert!(found[0].file.ends_with("tests/src/panics.rs") && found[0].line > 0, "{found:?}");
    assert!(found[0].text.contains(": a value that is not text\nstack backtrace:\n"), "{found:?}");
}

#[test]
fn without_the_hook_nothing_is_recorded() {
    let folder = Scratch::new("no-hook");
    let (output, lines) = run(&folder, "panics=off say:before panicking:main");
    assert_eq!(output.code, Some(101));
    assert_eq!(heads(&lines), ["[INFO] before"]);
}

#[test]
fn a_panic_in_the_middle_of_a_log_call_is_recorded_and_the_thread_logs_on() {
    let folder = Scratch::new("panic-within");
    let (output, lines) = run(&folder, "panicking:display say:done");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(panics(&lines), ["within a log call"; 3]);
    assert_eq!(heads(&lines)[3..], ["[INFO] the thread logs on", "[INFO] done"]);
}

#[test]
fn a_panic_while_panicking_is_recorded_too_and_ends_the_process() {
    let folder = Scratch::new("panic-twice");
    let (output, lines) = run(&folder, "panicking:twice");
    assert_eq!(output.status.signal(), Some(6), "std aborts");
    assert_eq!(panics(&lines)[..2], ["first", "second"]);
}

#[test]
fn panics_of_many_threads_are_all_there() {
    let folder = Scratch::new("panic-threads");
    let (output, lines) = run(&folder, "panicking:threads");
    assert!(output.status.success(), "{output:?}");
    let mut panics = panics(&lines);
    panics.sort_unstable();
    assert_eq!(panics, (0..8).map(|n| format!("panic {n}")).collect::<Vec<_>>());
    assert!((0..8).all(|n| lines.iter().any(|line| line.message.starts_with(&format!("thread 'thread-{n}' ")))));
}

#[test]
fn forked_children_record_their_panics_in_rings_of_their_own() {
    let folder = Scratch::new("panic-children");
    let (output, lines) = run(&folder, "panicking:children");
    assert!(output.status.success(), "{output:?}");
    let mut panics = panics(&lines);
    panics.sort_unstable();
    assert_eq!(panics, ["child 0", "child 1", "child 2"]);
}

#[test]
fn a_child_forked_while_a_thread_is_in_the_hook_waits_for_no_backtrace() {
    let folder = Scratch::new("panic-fork-in-hook");
    let (output, lines) = run(&folder, "panics=slow panicking:fork-in-hook");
    assert!(output.status.success(), "{output:?}");
    let child = lines.iter().find(|line| line.message.contains(": child\n")).expect("the child's panic");
    let why = "\nno backtrace: another thread was at one when this process was forked";
    assert!(child.message.ends_with(why), "{child:?}");
    let slow = lines.iter().find(|line| line.message.contains(": slow\n")).expect("the other panic");
    assert!(slow.message.contains("\nstack backtrace:\n"), "{slow:?}");
}
