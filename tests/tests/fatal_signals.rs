//! A process that dies of a signal records which one, and dies exactly as it would without us.
//!
//! "The worker died" sends people looking for an OOM killer; "of SIGSEGV" sends them to the native library. A handler for
//! that is a danger of its own: one that swallows a signal, hides the core dump, silences the report of a stack overflow, or
//! takes the place of the program's own handler does more harm than the word is worth.

use lastwords_tests::actor::{Actor, Printed, flush_once, printed, tool_at, wait_for};
use lastwords_tests::logs::{Line, read};
use lastwords_tests::programs::ACTOR;
use lastwords_tests::scratch::Scratch;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;

fn run(folder: &Scratch, script: &str) -> Printed {
    printed(ACTOR.acting("worker", folder, format!("flusher=never {script}")))
}

/// What the log says, besides the line above the records of an earlier run.
fn drained(folder: &Scratch) -> Vec<Line> {
    flush_once(folder);
    let lines = read(folder, "worker").into_iter();
    lines.filter(|line| !line.message.contains("left by an earlier run")).collect()
}

/// Runs an actor that logs 10 lines and dies, and returns its death line up to the role.
fn death_of(name: &str, way: &str, signal: i32) -> String {
    let folder = Scratch::new(name);
    let output = run(&folder, &format!("log:10 {way}"));
    assert_eq!(output.status.signal(), Some(signal), "{name}: {output:?}");
    let lines = drained(&folder);
    assert_eq!(lines.len(), 11, "{name}: {lines:?}");
    let death = &lines[10];
    assert!(death.level == "CRITICAL" && death.message.contains("10 records recovered"), "{name}: {death:?}");
    let pid = format!("(pid {},", death.pid);
    death.message.split_once(&pid).expect("its pid").0.trim_end().to_owned()
}

#[test]
fn a_death_by_a_fatal_signal_is_told_with_the_signals_name() {
    let dies_of = |name| format!("lastwords: the process died of {name} without closing its log");
    let ways = [
        ("fault:null", "SIGSEGV", libc::SIGSEGV),
        ("fault:bus", "SIGBUS", libc::SIGBUS),
        ("fault:sys", "SIGSYS", libc::SIGSYS),
        ("abort", "SIGABRT", libc::SIGABRT),
    ];
    for (way, name, signal) in ways {
        assert_eq!(death_of(name, way, signal), dies_of(name));
    }
    #[cfg(target_arch = "x86_64")]
    for (way, name, signal) in [
        ("fault:ill", "SIGILL", libc::SIGILL),
        ("fault:fpe", "SIGFPE", libc::SIGFPE),
        ("fault:trap", "SIGTRAP", libc::SIGTRAP),
    ] {
        assert_eq!(death_of(name, way, signal), dies_of(name));
    }
}

#[test]
fn a_kill_leaves_no_mark() {
    assert_eq!(death_of("unmarked", "kill", libc::SIGKILL), "lastwords: the process died without closing its log");
}

/// The handler of `std` takes a SIGSEGV that is sent for a fault that will happen again, and lets the program go on; the
/// second one ends it.
#[test]
fn a_signal_from_outside_does_what_it_does_without_us() {
    let folder = Scratch::new("outside");
    let mut actor = Actor::start("worker", &folder, "flusher=never log:1 line:up wait").until("up");
    actor.signal(Signal::SEGV);
    actor.signal(Signal::SEGV);
    let status = wait_for("its end", || {
        let status = actor.ended();
        if status.is_none() {
            actor.signal(Signal::SEGV);
        }
        status
    });
    assert_eq!(status.signal(), Some(libc::SIGSEGV));
    assert!(drained(&folder)[1].message.contains("died of SIGSEGV without closing"));

    let folder = Scratch::new("survived");
    let mut actor = Actor::start("worker", &folder, "flusher=never line:up wait log:1").until("up");
    actor.signal(Signal::SEGV);
    actor.go();
    assert!(actor.end().success(), "as a program without a logger");
    assert_eq!(drained(&folder).len(), 1, "no alarm");
}

#[test]
fn std_still_reports_a_stack_overflow() {
    for way in ["fault:stack", "fault:stack-of-thread"] {
        let folder = Scratch::new("stack");
        let output = run(&folder, &format!("log:10 {way}"));
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
        assert!(output.err.contains("has overflowed its stack"), "{output:?}");
        let lines = drained(&folder);
        assert!(lines[10].message.contains("died of SIGSEGV without closing"), "what came first: {lines:?}");
    }
}

#[test]
fn a_handler_that_the_program_sets_later_is_the_one_that_counts() {
    let folder = Scratch::new("own-handler");
    let output = run(&folder, "log:10 fault:own-handler fault:null");
    assert_eq!((output.code, output.out.as_str()), (Some(5), "own\n"));
    let lines = drained(&folder);
    assert!(lines[10].message.contains("the process died without closing its log"), "{lines:?}");
}

#[test]
fn what_an_earlier_handler_makes_good_is_no_death() {
    let folder = Scratch::new("survives");
    let output = run(&folder, "handlers=earlier log:5 fault:survive log:5 kill");
    assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{output:?}");
    let lines = drained(&folder);
    assert_eq!(lines.len(), 11);
    assert!(lines[10].message.contains("the process died without closing its log"), "{lines:?}");
}

#[test]
fn recover_names_the_signal_too() {
    let folder = Scratch::new("recover-signal");
    let _ = run(&folder, "log:10 fault:null");
    let summary = tool_at("recover", &folder).err;
    assert!(summary.contains("died of SIGSEGV without closing; 10 records"), "{summary}");
}
