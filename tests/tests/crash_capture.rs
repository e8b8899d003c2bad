//! What a process leaves in its capture, for each way in which a thread can crash.
//!
//! The handler runs in a thread of which nothing may be as it should be: no stack, no memory, no descriptors. What it cannot
//! write it must leave out, and the process must end exactly as without it.
#![cfg(target_arch = "x86_64")]

use lastwords_ring::format::capture::{Capture, CapturedThread, Mapping};
use lastwords_ring::place::capture_file;
use lastwords_ring::read::capture;
use lastwords_tests::actor::{Actor, Printed, flush_once, printed, wait_until};
use lastwords_tests::crashes::{NULL, SMASHED};
use lastwords_tests::files::beside_rings;
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs::{crash_files, read};
use lastwords_tests::loopmount::LoopMount;
use lastwords_tests::programs::CRASHER;
use lastwords_tests::sandbox::CALLS_OF_HANDLER;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use rustix::process::Signal;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

const RIP: usize = 16;
const RSP: usize = 7;

fn command(folder: &Path, words: &str) -> Command {
    let mut command = CRASHER.command();
    command.arg(folder).args(words.split(' '));
    command
}

/// The capture beside the only ring.
fn capture_in(folder: &Path) -> Option<Capture> {
    let rings = ring_files(folder);
    assert_eq!(rings.len(), 1);
    capture::read(&rings[0]).expect("readable")
}

/// Runs a crash that ends with this signal; returns what it left and printed.
fn crash(words: &str, signal: i32) -> (Capture, Printed) {
    let folder = Scratch::new(&format!("capture-{}", words.replace(' ', "-")));
    let printed = printed(command(&folder, words));
    assert_eq!(printed.status.signal(), Some(signal), "{words}: {printed:?}");
    let capture = capture_in(&folder).unwrap_or_else(|| panic!("{words}: no capture"));
    println!("{words}: {} us, {} mappings", capture.time_us, capture.mappings.len());
    flush_once(&folder);
    assert_eq!(beside_rings(&folder, "capture"), Vec::<std::path::PathBuf>::new(), "it goes with the ring");
    (capture, printed)
}

fn mapping_of(capture: &Capture, address: u64) -> Option<&Mapping> {
    capture.mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&address))
}

/// A capture with all that belongs to it; returns the thread that crashed.
fn assert_whole<'a>(words: &str, capture: &'a Capture) -> &'a CapturedThread {
    assert!(capture.is_complete, "{words}: {capture:?}");
    let thread = &capture.threads[0];
    assert!(thread.has_registers && thread.tid > 0 && !thread.name.is_empty(), "{words}: {thread:?}");
    assert!(!capture.vdso.1.is_empty(), "{words}");
    let executable = |mapping: &&Mapping| mapping.executable && mapping.path.ends_with(b"/crasher");
    let own = capture.mappings.iter().find(executable).expect("the program's code");
    let id = own_build_id();
    let known = capture.modules.iter().find(|module| module.build_id == id).expect("the program's build id");
    assert!(known.base < own.start && own.start - known.base < 64 << 20, "{words}: {known:?} {own:?}");
    thread
}

/// The build id as binutils see it.
fn own_build_id() -> Vec<u8> {
    let notes = printed(Command::new("readelf").args(["-n", &*CRASHER]));
    let line = notes.out.lines().find_map(|line| line.trim().strip_prefix("Build ID: ").map(str::to_owned));
    let digits = line.unwrap_or_else(|| panic!("no build id: {notes:?}"));
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// The thread was in this program or a library of it, and its stack is there.
fn assert_plausible(words: &str, capture: &Capture) {
    let thread = assert_whole(words, capture);
    let pc = thread.registers[RIP];
    let mapping = mapping_of(capture, pc).unwrap_or_else(|| panic!("{words}: {pc:#x} is mapped"));
    assert!(mapping.executable, "{words}: {mapping:?}");
    assert_eq!((capture.code.0, capture.code.1.len()), (pc, 64), "{words}");
    assert_eq!(thread.stack_start, thread.registers[RSP] - 128, "{words}");
    assert!(thread.stack.len() > 256, "{words}");
}

#[test]
fn each_signal_is_there_with_its_code_and_address() {
    let cases: [(&str, i32, i32, Option<u64>, bool); 7] = [
        ("null", libc::SIGSEGV, 1, Some(NULL), true),
        ("bare null", libc::SIGSEGV, 1, Some(NULL), true),
        ("not-canonical", libc::SIGSEGV, 0x80, None, true),
        ("divide", libc::SIGFPE, 1, None, true),
        ("illegal", libc::SIGILL, 2, None, true),
        ("abort", libc::SIGABRT, libc::SI_TKILL, None, false),
        ("bare raise", libc::SIGSEGV, libc::SI_TKILL, None, false),
    ];
    for (words, signal, code, address, is_fault) in cases {
        let (capture, _) = crash(words, signal);
        assert_plausible(words, &capture);
        let found = capture.signal;
        assert_eq!((found.number, found.code, found.is_fault), (signal, code, is_fault), "{words}");
        let pc = capture.threads[0].registers[RIP];
        let expected = if matches!(words, "divide" | "illegal") { Some(pc) } else { address };
        assert_eq!(found.address, expected, "{words}");
        assert_eq!(found.pid == capture.threads[0].tid, !is_fault, "{words}: who sent it");
        assert_eq!(capture.threads.len(), 1, "{words}");
    }
}

#[test]
fn a_write_to_memory_that_may_only_be_read_shows_that_memory() {
    let (capture, printed) = crash("read-only", libc::SIGSEGV);
    assert_plausible("read-only", &capture);
    let page = u64::from_str_radix(printed.out.trim(), 16).expect("an address");
    assert_eq!((capture.signal.address, capture.signal.code), (Some(page), 2));
    let mapping = mapping_of(&capture, page).expect("the mapping of the address");
    assert!(mapping.readable && !mapping.writable && !mapping.executable, "{mapping:?}");
}

#[test]
fn what_the_kernel_would_not_dump_is_not_captured() {
    let folder = Scratch::new("capture-undumpable");
    for word in ["null", "panic null"] {
        let words = format!("undumpable {word}");
        let printed = printed(command(&folder, &words));
        assert_eq!(printed.status.signal(), Some(libc::SIGSEGV), "{printed:?}");
        let bytes = fs::read(&beside_rings(&folder, "capture")[0]).expect("made at init");
        assert!(bytes.iter().all(|byte| *byte == 0), "{words}");
        flush_once(&folder);
        assert!(told_as_none(&folder).contains("after a change of user"), "{words}");
    }
    let off = Scratch::new("capture-off");
    let _ = printed(command(&off, "off null"));
    flush_once(&off);
    assert!(told_as_none(&off).contains("crash_capture was off"));
    // What root does in another user's folder belongs to that user.
    let foreign = Scratch::new("capture-foreign");
    if let Err(error) = chown(&*foreign, Some(65_534), Some(65_534)) {
        return println!("skipped in part: a folder cannot be given away: {error}");
    }
    let printed = printed(command(&foreign, "null"));
    assert_eq!(printed.status.signal(), Some(libc::SIGSEGV), "{printed:?}");
    assert!(printed.err.contains("a crash will not be captured: the folder is another user's"), "{printed:?}");
    assert_eq!(beside_rings(&foreign, "capture").len(), 0);
    flush_once(&foreign);
    assert!(told_as_none(&foreign).contains("init gave on standard error"));
}

/// What the newest crash file says of a capture that is not there.
fn told_as_none(folder: &Path) -> String {
    let list = lastwords_tests::actor::tool_at("crashes --json", folder).out;
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let why = list["crashes"][0]["not_captured"].as_str().expect("a reason").to_owned();
    let files = crash_files(folder);
    assert!(
        files
            .iter()
            .any(|file| { fs::read_to_string(file).expect("read").contains(&format!("\ncaptured     no: {why}\n")) })
    );
    why
}

#[test]
fn five_hundred_mappings_are_all_there_and_more_than_fit_cost_nothing_else() {
    let (capture, _) = crash("mapped:500 null", libc::SIGSEGV);
    assert_whole("mapped:500", &capture);
    assert!(capture.mappings.len() > 500, "{}", capture.mappings.len());
    let (capture, _) = crash("mapped:5000 null", libc::SIGSEGV);
    assert!(capture.is_complete && !capture.threads[0].stack.is_empty(), "{capture:?}");
    assert!(capture.mappings.len() > 500, "{}", capture.mappings.len());
}

#[test]
fn a_heap_that_is_damaged_does_not_matter() {
    let (capture, printed) = crash("double-free", libc::SIGABRT);
    assert_plausible("double-free", &capture);
    assert!(printed.err.contains("double free"), "{printed:?}");
}

#[test]
fn a_jump_to_nowhere_leaves_the_way_back_on_the_stack() {
    let (capture, _) = crash("jump", libc::SIGSEGV);
    let thread = assert_whole("jump", &capture);
    assert_eq!((thread.registers[RIP], capture.signal.address), (0, Some(0)));
    assert!(capture.code.1.is_empty());
    let top = (thread.registers[RSP] - thread.stack_start) as usize;
    let back = u64::from_le_bytes(thread.stack[top..top + 8].try_into().expect("a word"));
    let mapping = mapping_of(&capture, back).expect("the caller's code");
    assert!(mapping.executable && mapping.path.ends_with(b"/crasher"), "{mapping:?}");
}

#[test]
fn a_stack_pointer_that_leads_nowhere_costs_the_stack_alone() {
    let (capture, _) = crash("smashed", libc::SIGSEGV);
    let thread = assert_whole("smashed", &capture);
    assert_eq!(thread.registers[RSP], SMASHED);
    assert!(thread.stack.is_empty());
    assert!(mapping_of(&capture, thread.registers[RIP]).is_some_and(|mapping| mapping.executable));
}

#[test]
fn a_stack_overflow_leaves_both_ends_of_the_stack() {
    for (words, small) in [("overflow", false), ("overflow-of-thread", true)] {
        // `std` reports it and ends the process.
        let (capture, printed) = crash(words, libc::SIGABRT);
        assert!(printed.err.contains("has overflowed its stack"), "{words}: {printed:?}");
        let thread = assert_whole(words, &capture);
        assert_eq!(capture.signal.number, libc::SIGSEGV, "{words}: what came first");
        assert!(thread.registers[RSP] - 128 <= thread.stack_start, "{words}");
        assert_eq!(thread.name, if small { &b"small"[..] } else { b"crasher" });
        if small {
            assert!(thread.stack.len() > 48 << 10, "{words}: all of it, {}", thread.stack.len());
        } else {
            assert_eq!((thread.stack.len(), thread.outermost.1.len()), (64 << 10, 8 << 10), "{words}");
            assert!(thread.outermost.0 > thread.stack_start + (1 << 20), "{words}");
            let words = thread.outermost.1.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8")));
            let code = words.filter_map(|word| mapping_of(&capture, word)).filter(|mapping| mapping.executable);
            let paths: Vec<_> = code.map(|mapping| String::from_utf8_lossy(&mapping.path)).collect();
            assert!(paths.iter().any(|path| path.ends_with("/crasher")), "main: {paths:?}");
            assert!(paths.iter().any(|path| path.contains("libc")), "what calls it: {paths:?}");
        }
    }
}

#[test]
fn a_crash_within_other_code_of_the_process_is_captured() {
    for words in ["within-handler", "within-log-call", "no-descriptors", "closed-descriptors", "crashing null"] {
        let (capture, _) = crash(words, libc::SIGSEGV);
        assert_plausible(words, &capture);
        let address = if words == "within-handler" { NULL + 8 } else { NULL };
        assert_eq!(capture.signal.address, Some(address), "{words}: the first one");
    }
}

#[test]
fn a_full_disk_costs_nothing_because_the_file_has_its_size() {
    let scratch = Scratch::new("capture-full");
    let mount = match LoopMount::with("ext4", 64 << 20, &scratch) {
        Ok(mount) => mount,
        Err(why) => return println!("skipped: {why}"),
    };
    let folder = mount.path().join("logs");
    let mut actor = Actor::of(command(&folder, "wait null")).until("ready");
    let mut filler = File::create(mount.path().join("filler")).expect("made");
    while filler.write_all(&[1; 4096]).is_ok() {}
    actor.go();
    assert_eq!(actor.end().signal(), Some(libc::SIGSEGV));
    assert_plausible("a full disk", &capture_in(&folder).expect("a capture"));
}

#[test]
fn of_two_threads_that_crash_at_once_the_first_is_whole_and_the_other_is_there() {
    for words in ["two-at-once", "bare two-at-once"] {
        let has_both = || {
            let (capture, _) = crash(words, libc::SIGSEGV);
            assert_plausible(words, &capture);
            let tids: Vec<u32> = capture.threads.iter().map(|thread| thread.tid).collect();
            assert!(tids.len() == 1 || tids.len() == 2 && tids[0] != tids[1], "{words}: {tids:?}");
            capture.threads.get(1).is_some_and(|thread| thread.has_registers && !thread.stack.is_empty())
        };
        // On a busy machine one may be done before the other one gets a processor.
        assert!((0..100).any(|_| has_both()), "{words}");
    }
}

#[test]
fn a_signal_from_outside_names_its_sender() {
    let folder = Scratch::new("capture-sent");
    let mut actor = Actor::of(command(&folder, "bare wait")).until("ready");
    actor.signal(Signal::SEGV);
    assert_eq!(actor.end().signal(), Some(libc::SIGSEGV));
    let signal = capture_in(&folder).expect("a capture").signal;
    assert_eq!((signal.number, signal.code, signal.address), (libc::SIGSEGV, libc::SI_USER, None));
    assert_eq!((signal.pid, signal.is_fault), (std::process::id(), false));
    assert_eq!(signal.uid, rustix::process::getuid().as_raw());
}

#[test]
fn a_program_that_survives_its_faults_has_no_capture_and_hardly_a_cost() {
    let cost = |words: &str| {
        let folder = Scratch::new("capture-survivor");
        let printed = printed(command(&folder, words));
        assert_eq!(printed.status.signal(), Some(libc::SIGKILL), "{words}: {printed:?}");
        if !words.contains("off") {
            assert_eq!(capture_in(&folder), None, "{words}");
        }
        printed.out.trim().parse::<u64>().expect("nanoseconds")
    };
    let least = |words: &str| (0..3).map(|_| cost(words)).min().expect("three");
    let (with, without) = (least("survivor survive:100000 kill"), least("survivor off survive:100000 kill"));
    println!("a fault that is made good: {with} ns, without captures {without} ns");
    assert!(with < without + 2000, "{with} ns, without captures {without} ns");
}

#[test]
fn a_crash_after_faults_that_were_survived_is_captured() {
    for (words, signal) in [("survive:3 illegal", libc::SIGILL), ("survive:3 abort", libc::SIGABRT)] {
        let (capture, _) = crash(&format!("survivor {words}"), signal);
        assert_plausible(words, &capture);
    }
}

#[test]
fn an_ordinary_end_leaves_no_capture() {
    for (words, files) in [("exit", 1), ("close kill", 1), ("off null", 0)] {
        let folder = Scratch::new("capture-none");
        let _ = printed(command(&folder, words));
        assert_eq!((beside_rings(&folder, "capture").len(), capture_in(&folder)), (files, None), "{words}: zeros");
        flush_once(&folder);
        assert_eq!(beside_rings(&folder, "capture").len(), 0, "{words}: it goes with the ring");
    }
}

#[test]
fn a_capture_that_is_cut_at_any_byte_is_its_whole_records() {
    let folder = Scratch::new("capture-cut");
    let _ = printed(command(&folder, "null"));
    let ring = ring_files(&folder).remove(0);
    let bytes = fs::read(capture_file::path(&ring)).expect("a capture");
    assert_eq!(bytes.len() as u64, capture_file::SIZE);
    let whole = capture::parse(&bytes).expect("a capture");
    let mut at = 16;
    let mut cut = 0;
    while let Some(head) = bytes.get(at..at + 8).filter(|head| **head != [0; 8]) {
        let length = u32::from_le_bytes(head[4..].try_into().expect("4")) as usize;
        for end in [at, at + 1, at + 8, at + 8 + length - 1, at + 8 + length, at + 8 + length + 1] {
            // Cut off, and as an interrupted handler leaves it: nothing behind.
            let mut zeros = bytes[..end].to_vec();
            zeros.resize(bytes.len(), 0);
            let found = capture::parse(&bytes[..end]);
            if let Some(found) = found {
                assert!(found == whole || !found.is_complete, "cut at {end}");
                assert_eq!(found.signal, whole.signal);
                assert!(found.threads.len() <= whole.threads.len() && found.mappings.len() <= whole.mappings.len());
                cut += 1;
            }
        }
        at += 8 + length;
    }
    assert!(cut > 20, "{cut}");
}

/// What may have been written when the process is killed before a system call of its handler.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Progress {
    has_signal: bool,
    threads: usize,
    has_stack: bool,
    code: usize,
    mappings: usize,
    is_complete: bool,
}

fn progress(capture: Option<&Capture>) -> Progress {
    let thread = capture.and_then(|capture| capture.threads.first());
    Progress {
        has_signal: capture.is_some(),
        threads: capture.map_or(0, |capture| capture.threads.len()),
        has_stack: thread.is_some_and(|thread| !thread.stack.is_empty()),
        code: capture.map_or(0, |capture| capture.code.1.len()),
        mappings: capture.map_or(0, |capture| capture.mappings.len()),
        is_complete: capture.is_some_and(|capture| capture.is_complete),
    }
}

/// The system calls of the handler of a null write, by number, up to its `k`-th, before which the process is killed.
fn kill_in_handler(folder: &Path, k: usize) -> Vec<u64> {
    let mut traced = Traced::start(&mut command(folder, "bare null")).expect("started");
    while traced.run().expect("it runs") != Stop::Signal(libc::SIGSEGV) {}
    let mut calls = Vec::new();
    let mut stop = traced.deliver(libc::SIGSEGV).expect("delivered");
    loop {
        match stop {
            Stop::Entry(_) if calls.len() == k => {
                traced.kill().expect("killed");
                return calls;
            }
            Stop::Entry(number) => calls.push(number),
            Stop::Exit => {}
            Stop::Signal(signal) => {
                // The fault again, by default.
                assert_eq!(traced.deliver(signal).expect("delivered"), Stop::Killed(libc::SIGSEGV));
                return calls;
            }
            other => panic!("{other:?}"),
        }
        stop = traced.to_system_call().expect("it runs");
    }
}

#[test]
fn what_a_killed_handler_has_left_is_shown_as_cut_off_and_once() {
    let mut shown = 0;
    for k in (4..36).step_by(6) {
        let folder = Scratch::new("capture-shown");
        let _ = kill_in_handler(&folder, k);
        let capture = capture_in(&folder);
        flush_once(&folder);
        let log = read(&folder, "crasher");
        assert_eq!(
            log.iter().map(|line| line.message.contains("it begins")).collect::<Vec<_>>(),
            [true, false],
            "call {k}"
        );
        let told = log[1].message.contains("write to address 0x18, not mapped");
        assert_eq!(told, capture.is_some(), "call {k}: {}", log[1].message);
        let files = crash_files(&folder);
        let text = fs::read_to_string(&files[0]).expect("a crash file");
        let is_cut = capture.is_some_and(|capture| !capture.is_complete);
        assert_eq!((files.len(), text.contains(", cut off\n")), (1, is_cut), "call {k}: {text}");
        shown += usize::from(is_cut);
    }
    assert!(shown > 2, "{shown}");
}

#[test]
fn a_handler_that_is_killed_before_any_of_its_system_calls_leaves_whole_records() {
    let (mut before, mut calls) = (progress(None), Vec::new());
    for k in 0..200 {
        let folder = Scratch::new("capture-killed");
        calls = kill_in_handler(&folder, k);
        let capture = capture_in(&folder);
        let now = progress(capture.as_ref());
        assert!(now >= before, "call {k}: {now:?} after {before:?}");
        if let Some(capture) = &capture {
            assert_eq!((capture.signal.number, capture.signal.address), (libc::SIGSEGV, Some(NULL)), "call {k}");
            assert!(capture.threads.iter().all(|thread| thread.has_registers && thread.tid > 0), "call {k}");
        }
        before = now;
        if calls.len() < k {
            break;
        }
    }
    assert!(before.is_complete && calls.len() > 20, "{before:?}, {} calls", calls.len());
    let unlisted: Vec<_> = calls.iter().filter(|call| !CALLS_OF_HANDLER.contains(&(**call as i64))).collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
}

#[test]
fn as_much_of_the_stack_is_there_as_was_set_and_with_none_no_memory_at_all() {
    for (setting, most) in [("4K", 4096), ("131072", 128 << 10), ("0", 0)] {
        let folder = Scratch::new("capture-depth");
        let ended = printed(command(&folder, "overflow").env("LASTWORDS_CRASH_STACK", setting));
        assert_eq!(ended.status.signal(), Some(libc::SIGABRT), "{setting}: {ended:?}");
        let capture = capture_in(&folder).expect("a capture");
        let thread = &capture.threads[0];
        assert!(capture.is_complete && thread.has_registers && capture.mappings.len() > 3, "{setting}: {capture:?}");
        assert_eq!((thread.stack.len(), thread.outermost.1.len()), (most, most.min(8 << 10)), "{setting}");
        assert_eq!(capture.code.1.len(), if most == 0 { 0 } else { 64 }, "{setting}");
    }
    let folder = Scratch::new("capture-depth-none");
    let _ = printed(command(&folder, "null").env("LASTWORDS_CRASH_STACK", "0"));
    flush_once(&folder);
    let death = read(&folder, "crasher").pop().expect("a death line").message;
    let lines: Vec<&str> = death.lines().skip(1).map(str::trim_start).collect();
    assert!(lines[1].starts_with("#0 ") && lines[1].contains("write_to"), "{death}");
    for wrong in ["100", "131073", "5G"] {
        let refused = printed(command(&folder, "null").env("LASTWORDS_CRASH_STACK", wrong));
        assert!(refused.err.contains("crash_stack") || refused.err.contains("CRASH_STACK"), "{refused:?}");
        assert!(refused.err.contains("expected 0 or 4096 to 131072"), "{wrong}: {refused:?}");
    }
}

#[test]
fn a_capture_that_was_void_leaves_no_memory_of_the_process() {
    let file = |folder: &Path| fs::read(&beside_rings(folder, "capture")[0]).expect("made at init");
    let is_empty = |folder: &Path| file(folder).iter().all(|byte| *byte == 0);
    for words in ["survivor survive:1", "panic panic"] {
        let folder = Scratch::new("capture-void");
        let ready = |folder: &Path, more: &str| {
            let mut actor = Actor::of(command(folder, &format!("{more}{words} wait")));
            while actor.line() != "ready" {}
            actor
        };
        // Without a thread of ours that could do it.
        let mut actor = ready(&folder, "");
        assert!(!is_empty(&folder) && capture_in(&folder).is_none(), "{words}: void");
        actor.go();
        actor.end();
        let folder = Scratch::new("capture-wiped");
        let mut actor = ready(&folder, "embedded ");
        wait_until("it is overwritten", || is_empty(&folder));
        actor.go();
        actor.end();
    }
}

#[test]
fn a_program_with_more_rights_than_its_user_is_not_captured() {
    const NOBODY: u32 = 65_534;
    let folder = Scratch::new("capture-secure");
    let (program, logs) = (folder.join("crasher"), folder.join("logs"));
    fs::copy(&*CRASHER, &program).and_then(|_| fs::create_dir(&logs)).expect("copied");
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    if let Err(error) = [&program, &logs].iter().try_for_each(|path| chown(path, Some(NOBODY), Some(NOBODY))) {
        return println!("skipped: a program cannot be given away: {error}");
    }
    open(&folder, 0o755);
    open(&program, 0o4755);
    if rustix::fs::statvfs(&program).expect("there").f_flag.contains(rustix::fs::StatVfsMountFlags::NOSUID) {
        return println!("skipped: {} is mounted nosuid", folder.display());
    }
    let printed = printed(Command::new(&program).arg(&logs).arg("null"));
    assert_eq!(printed.status.signal(), Some(libc::SIGSEGV), "{printed:?}");
    assert!(printed.err.contains("a crash will not be captured: the program has more rights"), "{printed:?}");
    assert_eq!((ring_files(&logs).len(), beside_rings(&logs, "capture").len()), (1, 0));
}
