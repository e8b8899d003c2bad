//! What a process leaves of its other threads when it crashes, with `crash_threads`.
//!
//! They are stopped wherever they are, and do not go on: so this must happen only where the process is certain to end, and change
//! nothing about its end.
#![cfg(target_arch = "x86_64")]

use lastwords_flusher::crash::frame::End;
use lastwords_flusher::crash::read_back::report_in;
use lastwords_flusher::crash::report::{Report, Stack};
use lastwords_ring::format::capture::{Capture, Others};
use lastwords_ring::place::capture_file;
use lastwords_ring::read::capture;
use lastwords_tests::actor::{Printed, flush_once, printed};
use lastwords_tests::files::beside_rings;
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs::crash_files;
use lastwords_tests::programs::CRASHER;
use lastwords_tests::sandbox::CALLS_OF_HANDLER;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

const ALL_KINDS: &str =
    "beside:idle*3 beside:reading*2 beside:spinning*2 beside:blocking-signals beside:within-log-call beside:deep";

fn command(folder: &Path, words: &str) -> Command {
    let mut command = CRASHER.command();
    command.arg(folder).args(words.split_whitespace());
    command
}

fn capture_in(folder: &Path) -> Option<Capture> {
    capture::read(&ring_files(folder)[0]).expect("readable")
}

/// Runs a crash that ends with this signal.
fn crash(folder: &Path, words: &str, signal: i32) -> (Capture, Printed) {
    let printed = printed(command(folder, words));
    assert_eq!(printed.status.signal(), Some(signal), "{words}: {printed:?}");
    let capture = capture_in(folder).unwrap_or_else(|| panic!("{words}: no capture"));
    assert!(capture.is_complete && capture.threads[0].has_registers, "{words}: {capture:?}");
    (capture, printed)
}

/// The same, and what its crash file says.
fn reported(folder: &Path, words: &str, signal: i32) -> Report {
    let (capture, _) = crash(folder, words, signal);
    flush_once(folder);
    let text = fs::read_to_string(&crash_files(folder)[0]).expect("a crash file");
    let (report, _) = report_in(&text).expect("a report");
    assert_eq!(report.others, capture.others, "{text}");
    assert_eq!(report.stacks.len(), capture.threads.len(), "{text}");
    report
}

fn others(capture: &Capture) -> Others {
    capture.others.unwrap_or_else(|| panic!("they were not asked: {capture:?}"))
}

/// The threads of this name.
fn named<'a>(report: &'a Report, name: &str) -> Vec<&'a Stack> {
    report.stacks.iter().filter(|stack| stack.name == name).collect()
}

fn position(stack: &Stack, function: &str) -> Option<usize> {
    let has = |name: &str| name.contains(function);
    let all = stack.frames.iter().chain(&stack.outermost);
    let mut names = all.map(|frame| frame.symbol.clone().unwrap_or_default());
    names.position(|symbol| has(&symbol.function) || symbol.inlines.iter().any(|inline| has(&inline.function)))
}

#[test]
fn each_thread_has_its_frames_up_to_where_it_began() {
    let folder = Scratch::new("threads-all");
    let report = reported(&folder, &format!("threads {ALL_KINDS} null"), libc::SIGSEGV);
    let others = report.others.expect("they were asked");
    println!("{others:?}, the first thread {} us", report.time_us);
    assert_eq!((others.there, others.captured, others.is_complete), (10, 10, true));
    assert!(position(&report.stacks[0], "write_to").is_some(), "the crashed thread is first");
    for (name, count, function) in [
        ("idle", 3, "beside::idle"),
        ("reading", 2, "beside::reading"),
        ("spinning", 2, "beside::spinning"),
        ("blocking-signal", 1, "beside::blocking_signals"),
        ("within-log-call", 1, "beside::within_log_call"),
        ("deep", 1, "beside::idle"),
    ] {
        let stacks = named(&report, name);
        assert_eq!(stacks.len(), count, "{name}");
        for stack in stacks {
            let work = position(stack, function).unwrap_or_else(|| panic!("{name}: {stack:?}"));
            let start = position(stack, "thread_start").unwrap_or_else(|| panic!("{name}: {stack:?}"));
            assert!(work < start, "{name}: {stack:?}");
            let is_whole = if name == "deep" { End::NotCaptured } else { End::Outermost };
            assert_eq!(stack.end, is_whole, "{name}: {stack:?}");
            assert_eq!(stack.registers.is_some(), name != "blocking-signal", "{name}");
        }
    }
}

#[test]
fn of_a_hundred_threads_64_are_there() {
    let folder = Scratch::new("threads-hundred");
    let by_environment = printed(command(&folder, "beside:idle*100 null").env("LASTWORDS_CRASH_THREADS", "true"));
    assert_eq!(by_environment.status.signal(), Some(libc::SIGSEGV), "{by_environment:?}");
    let capture = capture_in(&folder).expect("a capture");
    let others = others(&capture);
    println!("{others:?}");
    assert_eq!((others.there, others.captured, others.is_complete), (100, 64, true));
    assert_eq!(capture.threads.len(), 65);
    assert!(capture.threads.iter().all(|thread| thread.has_registers && thread.stack.len() > 128));
    let size = beside_rings(&folder, "capture")[0].metadata().expect("there").len();
    assert_eq!(size, capture_file::SIZE_WITH_OTHERS);
}

#[test]
fn a_thread_that_would_not_answer_is_not_asked() {
    for kind in ["blocking-signals", "within-vfork"] {
        let folder = Scratch::new("threads-silent");
        let calls = calls_of_handler(&folder, &format!("threads beside:{kind} null"));
        assert_eq!(signals(&calls).0, Vec::<i32>::new(), "{kind}: it is not asked, so there is no answer to wait for");
        let capture = capture_in(&folder).expect("a capture");
        let others = others(&capture);
        println!("{kind}: {others:?}");
        assert!(others.is_complete && others.captured == 1, "{kind}: {others:?}");
        let thread = &capture.threads[1];
        assert!(!thread.has_registers && kind.as_bytes().starts_with(&thread.name), "{kind}: {thread:?}");
        assert!(thread.tid > 0 && thread.has_position && !thread.stack.is_empty(), "{kind}: {thread:?}");
    }
}

#[test]
fn whatever_the_signal_the_process_ends_by_it() {
    for (words, signal) in [
        ("null", libc::SIGSEGV),
        ("bare null", libc::SIGSEGV),
        ("abort", libc::SIGABRT),
        ("divide", libc::SIGFPE),
        ("bare raise", libc::SIGSEGV),
        ("later null", libc::SIGSEGV),
        ("bare later null", libc::SIGSEGV),
        ("double-free", libc::SIGABRT),
        ("overflow", libc::SIGABRT),
        ("no-descriptors", libc::SIGSEGV),
        ("closed-descriptors", libc::SIGSEGV),
        ("smashed", libc::SIGSEGV),
    ] {
        let folder = Scratch::new("threads-signals");
        let (words, without) = (format!("threads beside:idle beside:spinning {words}"), format!("beside:idle {words}"));
        let (capture, printed) = crash(&folder, &words, signal);
        let others = others(&capture);
        assert!(others.is_complete && others.captured == 2, "{words}: {others:?}");
        assert!(capture.threads[1..].iter().all(|thread| thread.has_registers), "{words}: {:?}", capture.threads);
        let plain = Scratch::new("threads-plain");
        let (capture, expected) = crash(&plain, &without, signal);
        assert_eq!(capture.others, None, "{words}: off by default");
        assert_eq!(printed.status, expected.status, "{words}: core dump and all");
    }
}

#[test]
fn a_thread_whose_alternate_stack_is_small_ends_the_process_as_ever() {
    // One that has never logged has that of `std`.
    let folder = Scratch::new("threads-small");
    let printed = printed(command(&folder, "threads beside:idle null-of-thread"));
    assert_eq!(printed.status.signal(), Some(libc::SIGSEGV), "{printed:?}");
    // How much of the capture fits depends on what the kernel puts there of the processor's registers.
    let capture = capture_in(&folder).expect("a capture");
    assert!(capture.threads[0].has_registers && !capture.threads[0].stack.is_empty(), "{capture:?}");
    assert!(capture.others.is_none_or(|others| others.is_complete), "{:?}", capture.others);
}

#[test]
fn two_threads_that_crash_at_once_end_the_process_too() {
    for _ in 0..20 {
        let folder = Scratch::new("threads-two");
        let (capture, _) = crash(&folder, "threads beside:idle two-at-once", libc::SIGSEGV);
        let others = others(&capture);
        assert!(others.is_complete && others.captured >= 1, "{others:?}");
        assert!(capture.threads.iter().any(|thread| thread.name == b"idle"), "{:?}", capture.threads);
    }
}

#[test]
fn a_program_that_survives_has_all_its_threads() {
    for words in ["survivor survive:1000", "once survive:1", "later survive:1", "bare later survive:1"] {
        let folder = Scratch::new("threads-survivor");
        let printed = printed(command(&folder, &format!("threads beside:spinning {words} spin kill")));
        assert_eq!(printed.status.signal(), Some(libc::SIGKILL), "{words}: {printed:?}");
        assert!(printed.out.ends_with("they spin\n"), "{words}: {printed:?}");
    }
    let folder = Scratch::new("threads-survivor-dies");
    let (capture, _) = crash(&folder, "survivor threads beside:spinning survive:3 illegal", libc::SIGILL);
    assert_eq!(others(&capture).captured, 1);
}

#[test]
fn without_captures_nobody_is_asked() {
    let folder = Scratch::new("threads-off");
    let printed = printed(command(&folder, "off threads beside:idle null"));
    assert_eq!(printed.status.signal(), Some(libc::SIGSEGV), "{printed:?}");
    assert_eq!(beside_rings(&folder, "capture").len(), 0);
}

#[test]
fn where_there_is_no_room_for_them_the_crashed_thread_is_captured() {
    let folder = Scratch::new("threads-room");
    let mut limited = Command::new("sh");
    let small = [("LASTWORDS_LANES", "3"), ("LASTWORDS_SLOTS_PER_LANE", "64")];
    limited.envs(small).args(["-c", "ulimit -f 2000; exec \"$@\"", "sh", &CRASHER]);
    let printed = printed(limited.arg(&*folder).args(["threads", "beside:idle", "null"]));
    assert_eq!(printed.status.signal(), Some(libc::SIGSEGV), "{printed:?}");
    assert!(printed.err.contains("a crash will be captured without other threads: "), "{printed:?}");
    let capture = capture_in(&folder).expect("a capture");
    assert_eq!((capture.is_complete, capture.others, capture.threads.len()), (true, None, 1));
}

/// The system calls of the handlers of a null write, each with its arguments, up to the `k`-th, before which the process is
/// killed.
fn calls_up_to(folder: &Path, words: &str, k: usize) -> Vec<(i64, [u64; 6])> {
    let mut traced = Traced::start(&mut command(folder, words)).expect("started");
    while traced.run().expect("it runs") != Stop::Signal(libc::SIGSEGV) {}
    let mut calls = Vec::new();
    let mut stop = traced.deliver(libc::SIGSEGV).expect("delivered");
    loop {
        stop = match stop {
            Stop::Killed(signal) => {
                assert_eq!(signal, libc::SIGSEGV);
                return calls;
            }
            Stop::Signal(signal) => traced.deliver(signal).expect("delivered"),
            Stop::Entry(_) if calls.len() == k => {
                traced.kill().expect("killed");
                return calls;
            }
            Stop::Entry(number) => {
                calls.push((number as i64, traced.arguments().expect("at an entry")));
                traced.to_system_call().expect("it runs")
            }
            Stop::Exit => traced.to_system_call().expect("it runs"),
            other => panic!("{other:?}"),
        };
    }
}

/// All of them.
fn calls_of_handler(folder: &Path, words: &str) -> Vec<(i64, [u64; 6])> {
    calls_up_to(folder, words, usize::MAX)
}

/// The signals that were sent to threads, and those whose action was changed to a handler.
fn signals(calls: &[(i64, [u64; 6])]) -> (Vec<i32>, Vec<i32>) {
    let of = |call: i64| calls.iter().filter(move |(number, _)| *number == call).map(|(_, arguments)| arguments);
    let sent = of(libc::SYS_tgkill).map(|arguments| arguments[2] as i32).filter(|signal| *signal != 0);
    let taken = of(libc::SYS_rt_sigaction).filter(|arguments| arguments[1] != 0).map(|arguments| arguments[0] as i32);
    (sent.collect(), taken.filter(|signal| *signal >= libc::SIGRTMIN()).collect())
}

#[test]
fn the_signal_is_one_that_the_program_does_not_use() {
    let last = libc::SIGRTMAX();
    let [two_used, one_waited_for] = [format!("uses:{last} uses:{}", last - 1), format!("blocks:{last}")];
    for (uses, expected) in [("", last), (&two_used, last - 2), (&one_waited_for, last - 1)] {
        let folder = Scratch::new("threads-signal");
        let calls = calls_of_handler(&folder, &format!("threads {uses} beside:idle*2 null"));
        assert_eq!(signals(&calls), (vec![expected; 2], vec![expected]), "{uses}");
        assert_eq!(others(&capture_in(&folder).expect("a capture")).captured, 2);
    }
    let folder = Scratch::new("threads-no-signal");
    let all: Vec<String> = (libc::SIGRTMIN()..=last).map(|signal| format!("uses:{signal}")).collect();
    let (capture, printed) = crash(&folder, &format!("threads {} beside:reading null", all.join(" ")), libc::SIGSEGV);
    assert!(!capture.threads[1].has_registers && capture.threads[1].has_position, "{:?}", capture.threads[1]);
    assert_eq!(printed.out, "", "no handler of the program's was called");
}

#[test]
fn nobody_is_asked_unless_that_was_set() {
    let folder = Scratch::new("threads-unset");
    assert_eq!(signals(&calls_of_handler(&folder, "beside:idle null")), (vec![], vec![]));
    assert_eq!(beside_rings(&folder, "capture")[0].metadata().expect("there").len(), capture_file::SIZE);
}

#[test]
fn the_handler_makes_the_listed_calls_alone() {
    let folder = Scratch::new("threads-calls");
    let calls = calls_of_handler(&folder, "threads beside:idle beside:spinning beside:blocking-signals null");
    // More with other threads.
    let more =
        [libc::SYS_clock_nanosleep, libc::SYS_close, libc::SYS_getdents64, libc::SYS_openat, libc::SYS_sigaltstack];
    let unlisted: Vec<i64> = calls
        .iter()
        .map(|(call, _)| *call)
        .filter(|call| !CALLS_OF_HANDLER.contains(call) && !more.contains(call))
        .collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
}

#[test]
fn a_capture_of_several_threads_that_is_cut_at_any_byte_is_whole_records() {
    let folder = Scratch::new("threads-cut");
    let (whole, _) = crash(&folder, "threads beside:idle*3 beside:blocking-signals null", libc::SIGSEGV);
    let bytes = fs::read(&beside_rings(&folder, "capture")[0]).expect("a capture");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("not empty") + 1;
    let mut complete = None;
    for length in 0..end {
        let Some(found) = capture::parse(&bytes[..length]) else { continue };
        assert!(found.threads.len() <= whole.threads.len(), "{length}");
        assert!(
            found.others.is_none_or(|others| !others.is_complete && others.there == 4),
            "{length}: {:?}",
            found.others
        );
        if found.is_complete {
            complete.get_or_insert(length);
        }
    }
    let complete = complete.expect("complete without the others");
    let found = capture::parse(&bytes[..complete]).expect("a capture");
    assert_eq!((found.others, found.threads.len()), (None, 1));
    assert_eq!(Some(whole), capture::parse(&bytes));
}

#[test]
fn a_handler_that_is_killed_before_any_of_its_system_calls_leaves_what_it_had() {
    let words = "bare threads beside:idle beside:reading null";
    let all = calls_of_handler(&Scratch::new("threads-whole"), words);
    // What is before is as without them.
    let first = all.iter().position(|(call, _)| *call == libc::SYS_openat).expect("the list of threads");
    let mut cut = 0;
    for k in first.. {
        let folder = Scratch::new("threads-killed");
        let calls = calls_up_to(&folder, words, k);
        let capture = capture_in(&folder).unwrap_or_default();
        let is_whole = capture.others.is_some_and(|others| others.is_complete);
        assert!(capture.is_complete || capture.others.is_none(), "call {k}: complete without them: {capture:?}");
        assert!(capture.threads.iter().all(|thread| thread.has_registers && thread.tid > 0), "call {k}: {capture:?}");
        if capture.others.is_some() && !is_whole {
            cut += 1;
            if capture.threads.len() == 2 {
                flush_once(&folder);
                let text = fs::read_to_string(&crash_files(&folder)[0]).expect("a crash file");
                assert!(text.contains("\nothers       1 of 2 threads in 0 us, cut off\n"), "{text}");
            }
        }
        if calls.len() < k {
            assert!(is_whole && capture.threads.len() == 3, "{:?}", capture.others);
            break;
        }
    }
    assert!(cut > 10, "{cut}");
}
