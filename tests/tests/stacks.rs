//! Stacks of crashed programs: the same as a debugger finds, and what they are called.

#![cfg(target_arch = "x86_64")]

use lastwords_flusher::crash::frame::{End, Trust};
use lastwords_flusher::crash::modules::Files;
use lastwords_flusher::crash::report::{Reading, Report, Stack};
use lastwords_tests::captured::capture;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::skip_unless;
use lastwords_tests::sys::{Stop, Traced};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The walk that the debugger is told to print: the frames of calls, not those of functions that are inlined.
const WALK: &str = "
f, n = gdb.newest_frame(), 0
while f is not None and n < 300:
  if f.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
    print('PC %x' % f.pc())
    n += 1
  try:
    f = f.older()
  except gdb.error:
    break
";

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: there is no {program}");
    }
    found
}

fn has_all() -> bool {
    cfg!(target_arch = "x86_64") && has("gcc") && has("gdb")
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stacks").join(name)
}

/// Compiles a C program, or a library if the name says so.
fn compiled(folder: &Path, name: &str, from: &str, options: &[&str]) -> PathBuf {
    let program = folder.join(name);
    let mut command = Command::new("gcc");
    command.args(["-O2", "-fno-optimize-sibling-calls", "-fno-reorder-blocks-and-partition"]).args(options);
    if name.ends_with(".so") {
        command.args(["-shared", "-fPIC"]);
    }
    let done = command.arg(source(from)).arg("-ldl").arg("-o").arg(&program).status();
    assert!(done.is_ok_and(|status| status.success()), "{name} is compiled");
    program
}

/// A program at its fatal signal.
struct Crashed {
    traced: Traced,
    report: Report,
}

impl Crashed {
    fn run(program: &Path, arguments: &[&OsStr]) -> Crashed {
        let mut traced = Traced::start(Command::new(program).args(arguments).env("LC_ALL", "C")).expect("traced");
        let mut stop = traced.run().expect("runs");
        if stop == Stop::Signal(libc::SIGUSR1) {
            stop = traced.deliver(libc::SIGUSR1).expect("runs");
        }
        let Stop::Signal(signal) = stop else { panic!("{stop:?}") };
        let capture = capture(&traced, signal).expect("captured");
        let reading = Reading { files: Files::Opened, ..Reading::default() };
        let mut report = Report::of(&capture, traced.pid(), &reading);
        report.add_lines();
        assert_eq!(report.notes, [""; 0]);
        Crashed { traced, report }
    }

    fn stack(&self) -> &Stack {
        &self.report.stacks[0]
    }

    fn pcs(&self) -> Vec<u64> {
        self.stack().frames.iter().map(|frame| frame.pc).collect()
    }

    /// Names of the functions, the innermost first, those that are inlined among them.
    fn names(&self) -> Vec<String> {
        let of = |frame: &lastwords_flusher::crash::frame::Frame| {
            let symbol = frame.symbol.clone().unwrap_or_default();
            symbol.inlines.into_iter().map(|inline| inline.function).chain([symbol.function]).collect::<Vec<_>>()
        };
        self.stack().frames.iter().flat_map(of).collect()
    }

    /// The program counters that the debugger finds.
    fn by_debugger(&mut self) -> Vec<u64> {
        self.traced.leave_stopped().expect("left");
        let mut debugger = Command::new("gdb");
        debugger.args(["-nx", "-batch", "-p", &self.traced.pid().to_string(), "-ex", "set backtrace past-main on"]);
        let output = debugger.args(["-ex", "set confirm off", "-ex", &format!("python exec({WALK:?})")]).output();
        let output = output.expect("a debugger");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found: Vec<u64> =
            text.lines().filter_map(|line| u64::from_str_radix(line.strip_prefix("PC ")?, 16).ok()).collect();
        assert!(!found.is_empty(), "{text} {}", String::from_utf8_lossy(&output.stderr));
        found
    }
}

/// What a crash in this way looks like, and that the debugger finds the same.
fn same_as_debugger(program: &Path, how: &str, more: Option<&Path>) -> Crashed {
    let arguments: Vec<&OsStr> = [OsStr::new(how)].into_iter().chain(more.map(Path::as_os_str)).collect();
    let mut crashed = Crashed::run(program, &arguments);
    let (found, by_debugger) = (crashed.pcs(), crashed.by_debugger());
    let shown: Vec<String> = found.iter().map(|pc| format!("{pc:x}")).collect();
    let expected: Vec<String> = by_debugger.iter().map(|pc| format!("{pc:x}")).collect();
    let compared = if crashed.stack().end == End::NotCaptured { found.len() } else { by_debugger.len() };
    assert_eq!(shown, expected[..compared.min(expected.len())], "{how}: {:?}", crashed.names());
    crashed
}

fn assert_named(crashed: &Crashed, expected: &[&str]) {
    let names = crashed.names();
    let mut rest = names.iter();
    for name in expected {
        assert!(rest.any(|found| found == name), "{name} of {expected:?} in {names:?}");
    }
}

#[test]
fn frames_are_those_that_a_debugger_finds() {
    skip_unless!(has_all());
    let folder = Scratch::new("stacks");
    let library = compiled(&folder, "library.so", "library.c", &["-fomit-frame-pointer", "-g"]);
    let rows: [(&str, &[&str]); 12] = [
        ("null", &["null_write", "act", "main", "_start"]),
        ("divide", &["divide", "act", "main"]),
        ("jump", &["call_nothing", "act", "main"]),
        ("abort", &["give_up", "act", "main"]),
        ("double-free", &["free_twice", "act", "main"]),
        ("realigned", &["null_write", "realigned", "act", "main"]),
        ("handler", &["null_write", "on_signal", "in_handler", "act", "main"]),
        ("callback", &["null_write", "compare", "in_callback", "act", "main"]),
        ("strlen", &["in_library_function", "act", "main"]),
        ("read-only", &["read_only", "act", "main"]),
        ("illegal", &["illegal", "act", "main"]),
        ("library", &["at_last", "innermost", "middle", "enter", "in_library", "act", "main"]),
    ];
    for (name, options) in [("debug", &["-g"][..]), ("plain", &[]), ("non-pie", &["-no-pie", "-g"])] {
        let program = compiled(&folder, name, "program.c", options);
        for (how, expected) in rows {
            let crashed = same_as_debugger(&program, how, Some(&library));
            assert_named(&crashed, expected);
            assert_eq!(crashed.stack().end, End::Outermost, "{name} {how}");
            let first = crashed.stack().frames[0].trust;
            assert!(first == Trust::Context, "{first:?}");
            assert!(crashed.stack().frames[1..].iter().all(|frame| frame.trust == Trust::Cfi), "{name} {how}");
        }
    }
}

#[test]
fn an_exception_that_nobody_catches_is_shown_where_it_was_thrown() {
    skip_unless!(has_all() && has("g++"));
    let folder = Scratch::new("thrown");
    let program = folder.join("thrown");
    let done = Command::new("g++")
        .args(["-O2", "-g", "-fno-reorder-blocks-and-partition", "-o"])
        .arg(&program)
        .arg(source("thrown.cpp"))
        .status();
    assert!(done.is_ok_and(|status| status.success()));
    for (how, expected) in [
        ("plain", &["throws(int)", "between(int)", "main"][..]),
        ("noexcept", &["throws(int)", "between(int)", "must_not(int)", "main"]),
    ] {
        let crashed = same_as_debugger(&program, how, None);
        assert_named(&crashed, expected);
    }
}

#[test]
fn a_panic_that_aborts_is_shown_where_it_was() {
    skip_unless!(has_all() && has("rustc"));
    let folder = Scratch::new("panics");
    let program = folder.join("panics");
    let options = ["-O", "-g", "-C", "panic=abort", "-o"];
    let done = Command::new("rustc").args(options).arg(&program).arg(source("panics.rs")).status();
    assert!(done.is_ok_and(|status| status.success()));
    let crashed = same_as_debugger(&program, "", None);
    assert_named(
        &crashed,
        &["core::panicking::panic_bounds_check", "panics::checked", "panics::outer", "panics::main"],
    );
}

#[test]
fn a_stack_overflow_is_shown_as_far_as_it_was_captured() {
    skip_unless!(has_all());
    let folder = Scratch::new("overflow");
    let program = compiled(&folder, "program", "program.c", &["-g"]);
    let crashed = same_as_debugger(&program, "overflow", None);
    assert_eq!(crashed.stack().end, End::NotCaptured);
    let names = crashed.names();
    assert!(names.len() > 100 && names.iter().all(|name| name == "overflow"), "{names:?}");
    let outermost = crashed.stack().outermost.iter().filter_map(|frame| Some(frame.symbol.as_ref()?.function.as_str()));
    let outermost: Vec<&str> = outermost.collect();
    assert!(["overflow", "act", "main", "_start"].iter().all(|name| outermost.contains(name)), "{outermost:?}");
    assert_eq!(crashed.stack().outermost[0].trust, Trust::Scan, "where it begins is a guess");
}

#[test]
fn functions_of_rust_that_are_inlined_have_file_and_line() {
    skip_unless!(has_all() && has("rustc"));
    let folder = Scratch::new("nested");
    let program = folder.join("nested");
    let done = Command::new("rustc").args(["-O", "-g", "-o"]).arg(&program).arg(source("nested.rs")).status();
    assert!(done.is_ok_and(|status| status.success()));
    let crashed = same_as_debugger(&program, "", None);
    assert_named(
        &crashed,
        &["nested::leaf", "nested::between", "<nested::Reader as nested::Work>::run", "nested::outer", "nested::main"],
    );
    let symbol = crashed.stack().frames[0].symbol.as_ref().expect("named");
    let leaf = symbol.inlines.iter().find(|inline| inline.function.contains("leaf")).expect("inlined");
    let at = leaf.at.as_ref().expect("a line");
    assert!(at.file.ends_with("stacks/nested.rs") && at.line == 13, "{at:?}");
}

#[test]
fn without_tables_frames_are_found_by_the_frame_pointer_or_guessed_and_say_so() {
    skip_unless!(has_all());
    let folder = Scratch::new("no-tables");
    let none = ["-fno-asynchronous-unwind-tables", "-fno-exceptions"];
    let chained = compiled(&folder, "chained", "program.c", &[none[0], none[1], "-fno-omit-frame-pointer"]);
    let crashed = Crashed::run(&chained, &[OsStr::new("abort")]);
    assert_named(&crashed, &["give_up", "act", "main", "_start"]);
    let trusts: Vec<Trust> = crashed.stack().frames.iter().map(|frame| frame.trust).collect();
    assert!(trusts.contains(&Trust::FramePointer) && !trusts.contains(&Trust::Scan), "{trusts:?}");
    let bare = compiled(&folder, "bare", "program.c", &[none[0], none[1], "-fomit-frame-pointer"]);
    let crashed = Crashed::run(&bare, &[OsStr::new("abort")]);
    assert_named(&crashed, &["give_up", "act", "main", "_start"]);
    assert!(crashed.stack().frames.iter().any(|frame| frame.trust == Trust::Scan));
    // With tables for debuggers alone the way is known again.
    let debug = compiled(&folder, "debug-frame", "program.c", &[none[0], none[1], "-fomit-frame-pointer", "-g"]);
    let crashed = Crashed::run(&debug, &[OsStr::new("realigned")]);
    assert_named(&crashed, &["null_write", "realigned", "act", "main"]);
    assert!(crashed.stack().frames.iter().all(|frame| frame.trust != Trust::Scan));
}

#[test]
fn a_stripped_program_has_offsets_and_names_where_its_debug_file_is() {
    skip_unless!(has_all() && has("objcopy"));
    let folder = Scratch::new("stripped");
    let program = compiled(&folder, "program", "program.c", &["-g", "-Wl,--build-id"]);
    let mut whole = Crashed::run(&program, &[OsStr::new("null")]);
    // A program that runs cannot be written to.
    whole.traced.kill().expect("killed");
    let debug = folder.join("program.debug");
    let done = |command: &mut Command| assert!(command.status().is_ok_and(|status| status.success()), "{command:?}");
    done(Command::new("objcopy").arg("--only-keep-debug").args([&program, &debug]));
    done(Command::new("objcopy").current_dir(folder.path()).args([
        "--strip-all",
        "--add-gnu-debuglink=program.debug",
        "program",
    ]));
    let linked = Crashed::run(&program, &[OsStr::new("null")]);
    assert_named(&linked, &["null_write", "act", "main", "_start"]);
    let line = |crashed: &Crashed| crashed.stack().frames[0].symbol.clone().and_then(|symbol| symbol.at);
    assert!(line(&linked).is_some() && line(&linked) == line(&whole), "{:?}", line(&linked));
    std::fs::create_dir(folder.join(".debug"))
        .and_then(|()| std::fs::rename(&debug, folder.join(".debug/program.debug")))
        .expect("moved");
    assert_named(&Crashed::run(&program, &[OsStr::new("null")]), &["null_write", "act", "main"]);
    std::fs::remove_file(folder.join(".debug/program.debug")).expect("removed");
    let bare = Crashed::run(&program, &[OsStr::new("null")]);
    let offsets = |crashed: &Crashed| -> Vec<Option<u64>> {
        let base = |number: usize| crashed.report.modules[number].base;
        crashed.stack().frames.iter().map(|frame| frame.module.map(|module| frame.pc - base(module))).collect()
    };
    assert_eq!(offsets(&bare), offsets(&whole), "without names, the same places");
    assert!(bare.stack().frames[0].symbol.is_none() && bare.stack().end == End::Outermost);
    // Another program's file with the right name is no debug file of this one.
    let other = compiled(&folder, "program.debug", "program.c", &["-g", "-O1", "-Wl,--build-id"]);
    assert!(other.exists());
    assert!(Crashed::run(&program, &[OsStr::new("null")]).stack().frames[0].symbol.is_none());
}

#[test]
fn a_program_without_a_loader_ends_where_it_begins() {
    skip_unless!(has_all());
    let folder = Scratch::new("static");
    let program = folder.join("program");
    let built =
        Command::new("gcc").args(["-O2", "-g", "-static-pie", "-o"]).arg(&program).arg(source("program.c")).output();
    if !built.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no static C library");
        return;
    }
    let crashed = same_as_debugger(&program, "null", None);
    assert_named(&crashed, &["null_write", "act", "main", "_start"]);
    assert_eq!(crashed.stack().end, End::Outermost);
}
