//! Reports as lines, for logs and crash files; `read_back` reads those of crash files again.
//!
//! The parts of a frame are separated by two spaces, which names of functions do not contain:
//!
//! ```text
//! #0   0x000055d31c5e9a3f  app::checked  at src/read.rs:14  inlined
//! #0   0x000055d31c5e9a3f  app::read+0x1f  at src/read.rs:21  in /opt/app/bin/app+0x9a3f
//! #1   0x00007f2d0a3e2b10  in /usr/lib/libframes.so+0x1b10  build id 4e1c  (a guess)
//! ```
//!
//! The lines of a log are without addresses, name a file without its folder, and say in a word or two why it was not used:
//! `#1   in libframes.so+0x1b10 (replaced)  build id 4e1c`. What is folded of Python's interpreter is one
//! line there and in the stack of a crash file, which has the frames themselves further below.

use crate::crash::fold::folds;
use crate::crash::frame::{End, Frame, SourceLine, Symbol, Trust};
use crate::crash::loaded::Module;
use crate::crash::registers::NAMES;
use crate::crash::report::{Report, Stack};
use lastwords_ring::format::capture::{Others, SignalInfo};
use lastwords_ring::format::text::hex;
use std::ops::Range;

/// Most lines of frames below a death line.
pub const LOG_FRAMES_MAX: usize = 32;
/// The name of what went wrong.
pub(super) const NOTE: &str = "note";
/// Width of the names of a crash file's parts.
pub(super) const NAME: usize = 13;
pub(super) const ENDS: [End; 6] =
    [End::Outermost, End::NotCaptured, End::Lost, End::Limit, End::OutOfTime, End::Silent];
/// It did not call the one before it.
pub(super) const INTERRUPTED: &str = "  (interrupted by a signal)";
pub(super) const BY_FRAME_POINTER: &str = "  (by the frame pointer)";
pub(super) const GUESSED: &str = "  (a guess)";
/// Behind the number of frames that were folded.
pub(super) const FOLDED: &str = " frames of the Python interpreter (";
/// In the name of the function with which std begins what a program or thread does, and its own backtraces end.
const RUST_BEGIN: &str = "__rust_begin_short_backtrace";
/// The handler was interrupted.
pub(super) const CUT: &str = ", cut off";
/// In place of a signal.
pub(super) const PANIC: &str = "none: a panic";
/// A newline in a path, as the kernel has it in its list of mappings.
pub(super) const NEWLINE: &str = "\\012";
/// Between two parts of the stack.
pub(super) const GAP: &str = "     the stack between them was not captured";

/// The further lines of a death line: the cause, and the frames of the crashed thread.
#[must_use]
pub fn below_death_line(report: &Report) -> String {
    let mut lines = vec![report.cause.clone()];
    if let Some(stack) = report.stacks.first() {
        let frames = frames_of(stack, &report.modules, Form::Log);
        let more = frames.len().saturating_sub(LOG_FRAMES_MAX);
        lines.extend(frames.into_iter().take(LOG_FRAMES_MAX));
        match stack.end {
            _ if more > 0 => lines.push(format!("     {more} more lines are in its black box")),
            End::Outermost => {}
            end => lines.push(format!("     {end}")),
        }
        lines.extend(python_of(stack));
    }
    lines.iter().map(|line| format!("\n    {}", on_one_line(line))).collect()
}

/// What Python says of the same thread, as further lines of a death line.
fn python_of(stack: &Stack) -> Vec<String> {
    let more = stack.python.len().saturating_sub(LOG_FRAMES_MAX);
    let mut lines = Vec::new();
    if !stack.python.is_empty() {
        lines.push("Python, most recent call first".to_owned());
    }
    lines.extend(stack.python.iter().take(LOG_FRAMES_MAX).map(|call| format!("     {call}")));
    if more > 0 {
        lines.push(format!("     {more} more lines are in its black box"));
    }
    lines
}

/// The part of a crash file that is about the cause.
#[must_use]
pub fn of_crash_file(report: &Report) -> String {
    let mut lines = vec![named("cause", &report.cause), named("signal", &signal(&report.signal))];
    let cut = |is_complete| if is_complete { "" } else { CUT };
    lines.push(named("captured", &format!("in {} us{}", report.time_us, cut(report.is_complete))));
    lines.extend(report.others.map(|Others { there, captured, is_complete, time_us }| {
        named("others", &format!("{captured} of {there} threads in {time_us} us{}", cut(is_complete)))
    }));
    lines.extend(report.notes.iter().map(|note| named(NOTE, note)));
    for stack in &report.stacks {
        lines.push(String::new());
        lines.push(named("thread", &format!("{} {}", stack.thread, stack.name)));
        lines.extend(frames_of(stack, &report.modules, Form::CrashFile));
        lines.push(named("stack ends", &stack.end.to_string()));
        lines.extend(stack.python.iter().map(|call| named("python", call)));
        lines.extend(folded(stack, &report.modules));
        lines.extend(stack.registers.iter().flat_map(|(values, flags)| registers(values, *flags)));
    }
    lines.push(String::new());
    lines.extend(report.modules.iter().map(|module| named("module", &described(module))));
    lines.push(String::new());
    lines.iter().map(|line| on_one_line(line) + "\n").collect()
}

/// The part of a crash file that is about the cause, with one more note.
#[must_use]
pub(crate) fn with_note(part: &str, note: &str) -> String {
    // An empty line is above the first stack.
    let at = part.find("\n\n").map_or(0, |end| end + 1);
    format!("{}{}\n{}", &part[..at], on_one_line(&named(NOTE, note)), &part[at..])
}

fn signal(signal: &SignalInfo) -> String {
    let SignalInfo { number, code, errno, address, pid, uid, .. } = signal;
    if *number == 0 {
        return PANIC.to_owned();
    }
    let address = address.map_or("no address".to_owned(), |address| format!("address {address:#x}"));
    format!("{number}, code {code}, errno {errno}, {address}, pid {pid}, uid {uid}")
}

fn named(name: &str, value: &str) -> String {
    format!("{name:<NAME$}{value}")
}

/// Names come from files and processes: none begins a line of its own.
fn on_one_line(line: &str) -> String {
    line.replace('\n', "\\n")
}

fn registers(values: &[u64], flags: u64) -> Vec<String> {
    let named_values = NAMES.iter().zip(values).map(|(name, value)| format!("{name} {value:#018x}"));
    let all: Vec<String> = named_values.chain([format!("flags {flags:#x}")]).collect();
    all.chunks(4).map(|some| named("registers", &some.join("  "))).collect()
}

fn described(module: &Module) -> String {
    let build_id = if module.build_id.is_empty() { "-".to_owned() } else { hex(&module.build_id) };
    let why = module.unusable.as_ref().map(|why| format!("  ({why})")).unwrap_or_default();
    let Module { base, end, path, .. } = module;
    format!("{base:#018x}  {end:#018x}  {build_id}  {}{why}", String::from_utf8_lossy(path).replace('\n', NEWLINE))
}

/// Where frames are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Below a death line: a recursion is shown by one of its frames.
    Log,
    /// With everything.
    CrashFile,
}

fn frames_of(stack: &Stack, modules: &[Module], form: Form) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut all: Vec<&Frame> = stack.frames.iter().chain(&stack.outermost).collect();
    let starting = if form == Form::Log { starting(&all) } else { 0 };
    all.truncate(all.len() - starting);
    // A name may claim that a frame of the interpreter begins the thread.
    let folds: Vec<Range<usize>> = folds(stack, modules).into_iter().filter(|fold| fold.end <= all.len()).collect();
    let fold_of = |number: usize| folds.iter().find(|fold| fold.contains(&number));
    let mut same = 0;
    for (number, frame) in all.iter().enumerate() {
        if let Some(fold) = fold_of(number) {
            if number == fold.start {
                lines.push(fold_line(&all[fold.clone()], modules));
            }
            continue;
        }
        // What was not captured between the two parts may be anything.
        let goes_on = |number: usize| {
            let before =
                number.checked_sub(1).filter(|before| fold_of(*before).is_none() && number != stack.frames.len());
            let pc = |number: usize| all.get(number).map(|frame| frame.pc);
            fold_of(number).is_none() && before.is_some_and(|before| pc(before) == pc(number))
        };
        if form == Form::Log && goes_on(number) {
            same += 1;
            if !goes_on(number + 1) {
                lines.push(format!("     and {same} times more"));
                same = 0;
            }
            continue;
        }
        if number == stack.frames.len() {
            lines.push(GAP.to_owned());
        }
        lines.extend(lines_of(number, frame, modules, form));
    }
    if starting > 0 {
        lines.push(format!("     {starting} more frames start the thread"));
    }
    lines
}

/// How many frames at the end of a stack are those of Rust's library and of C's in which each thread begins.
fn starting(all: &[&Frame]) -> usize {
    let begins = |frame: &&&Frame| {
        let symbol = frame.symbol.iter();
        symbol.flat_map(Symbol::functions).any(|function| function.contains(RUST_BEGIN))
    };
    all.iter().rev().position(|frame| begins(&frame)).map_or(0, |above| above + 1)
}

/// The line that stands for these frames.
fn fold_line(frames: &[&Frame], modules: &[Module]) -> String {
    let module = frames.iter().find_map(|frame| modules.get(frame.module?)).map(Module::name).unwrap_or_default();
    let guesses = if frames.iter().any(|frame| frame.trust == Trust::Scan) { "  (with guesses)" } else { "" };
    format!("     {}{FOLDED}{module}){guesses}", frames.len())
}

/// The frames that are folded in the stack.
fn folded(stack: &Stack, modules: &[Module]) -> Vec<String> {
    let all: Vec<&Frame> = stack.frames.iter().chain(&stack.outermost).collect();
    let numbers = folds(stack, modules).into_iter().flatten();
    let lines = numbers.flat_map(|number| lines_of(number, all[number], modules, Form::CrashFile));
    lines.map(|line| named("folded", &line)).collect()
}

fn lines_of(number: usize, frame: &Frame, modules: &[Module], form: Form) -> Vec<String> {
    let mut head = format!("{:<5}", format!("#{number}"));
    if form == Form::CrashFile {
        head += &format!("{:#018x}  ", frame.pc);
    }
    let symbol = frame.symbol.iter();
    let inlines = symbol
        .flat_map(|symbol| &symbol.inlines)
        .map(|inline| format!("{head}{}{}  inlined", without_gaps(&inline.function), place(inline.at.as_ref())));
    let mut lines: Vec<String> = inlines.collect();
    let function = frame.symbol.as_ref().map(|symbol| {
        let offset = symbol.offset.map(|offset| format!("+{offset:#x}")).unwrap_or_default();
        format!("{}{offset}{}  ", without_gaps(&symbol.function), place(symbol.at.as_ref()))
    });
    lines.push(format!("{head}{}{}{}", function.unwrap_or_default(), module_of(frame, modules, form), how(frame)));
    lines
}

fn without_gaps(name: &str) -> String {
    name.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// A place in the source; the one of Rust's own library without where that was built.
fn place(at: Option<&SourceLine>) -> String {
    let Some(at) = at else { return String::new() };
    let shown = at.to_string();
    let in_library = shown.strip_prefix("/rustc/").and_then(|rest| rest.split_once("/library/"));
    format!("  at {}", in_library.map_or(shown.as_str(), |(_, file)| file))
}

fn module_of(frame: &Frame, modules: &[Module], form: Form) -> String {
    let Some(module) = frame.module.and_then(|number| modules.get(number)) else { return "in no file".to_owned() };
    let name = match form {
        Form::CrashFile => String::from_utf8_lossy(&module.path).into_owned(),
        Form::Log => module.name(),
    };
    let build_id = match frame.symbol {
        None if !module.build_id.is_empty() => format!("  build id {}", hex(&module.build_id)),
        _ => String::new(),
    };
    let why = match (form, module.why_unusable()) {
        (Form::Log, Some(why)) if frame.symbol.is_none() => format!(" ({why})"),
        _ => String::new(),
    };
    format!("in {name}+{:#x}{why}{build_id}", frame.pc.wrapping_sub(module.base))
}

/// How a frame was found, where that is not the usual way.
fn how(frame: &Frame) -> &'static str {
    match frame.trust {
        Trust::Cfi if frame.is_exact => INTERRUPTED,
        Trust::Context | Trust::Cfi => "",
        Trust::FramePointer => BY_FRAME_POINTER,
        Trust::Scan => GUESSED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::frame::Inline;
    use crate::crash::read_back::report_in;

    fn report() -> Report {
        let module = |base: u64, path: &str, build_id: &[u8]| Module {
            path: path.as_bytes().to_vec(),
            base,
            end: base + 0x10_0000,
            build_id: build_id.to_vec(),
            ..Module::default()
        };
        let at = |file: &str, line| Some(SourceLine { file: file.to_owned(), line });
        let frame = |pc, trust, module, symbol| Frame { pc, is_exact: trust == Trust::Context, trust, module, symbol };
        let inlines = vec![Inline { function: "app::leaf".to_owned(), at: at("src/leaf.rs", 3) }];
        let inner =
            Symbol { function: "<T as app::Do>::run".to_owned(), offset: Some(0x12), at: at("a b.rs", 7), inlines };
        let outer = Symbol { function: "operator+(int, int)".to_owned(), ..Symbol::default() };
        let mut interrupted = frame(0x50_2002, Trust::Cfi, Some(1), Some(outer));
        interrupted.is_exact = true;
        let frames = vec![
            frame(0x40_1000, Trust::Context, Some(0), Some(inner)),
            interrupted,
            frame(0x50_2000, Trust::Scan, Some(1), None),
            frame(0x1234, Trust::FramePointer, None, None),
        ];
        let outermost = vec![frame(0x40_2000, Trust::Scan, Some(0), None)];
        let (end, name) = (End::NotCaptured, "main loop".to_owned());
        let registers = Some((std::array::from_fn(|n| n as u64), 0x246));
        let crashed = Stack { thread: 41, name, frames, end, outermost, registers, python: Vec::new() };
        let other = Stack { thread: 42, name: String::new(), frames: Vec::new(), end: End::Silent, ..crashed.clone() };
        let mut modules =
            vec![module(0x40_0000, "/opt/my app/bin", b"\x01\xab"), module(0x50_0000, "/lib/libc.so", b"")];
        modules[1].unusable = Some("removed: while the process ran".to_owned());
        Report {
            cause: "SIGSEGV: read of address 0x18, not mapped, near null".to_owned(),
            signal: SignalInfo { number: 11, code: 1, address: Some(0x18), ..SignalInfo::default() },
            stacks: vec![crashed, Stack { outermost: Vec::new(), ..other }],
            modules,
            is_complete: false,
            time_us: 183,
            others: Some(Others { there: 70, captured: 1, is_complete: false, time_us: 523 }),
            notes: vec!["debug information is not read".to_owned()],
        }
    }

    #[test]
    fn a_log_gets_the_cause_and_the_frames_of_the_crashed_thread() {
        let expected = "
    SIGSEGV: read of address 0x18, not mapped, near null
    #0   app::leaf  at src/leaf.rs:3  inlined
    #0   <T as app::Do>::run+0x12  at a b.rs:7  in bin+0x1000
    #1   operator+(int, int)  in libc.so+0x2002  (interrupted by a signal)
    #2   in libc.so+0x2000 (removed)  (a guess)
    #3   in no file  (by the frame pointer)
         the stack between them was not captured
    #4   in bin+0x2000  build id 01ab  (a guess)
         what was captured of the stack ends here";
        assert_eq!(below_death_line(&report()), expected);
    }

    #[test]
    fn no_more_lines_than_a_log_is_to_have() {
        let mut report = report();
        let frame = |pc: u64| Frame { pc, ..report.stacks[0].frames[3].clone() };
        let more: Vec<Frame> = (0..100).map(frame).collect();
        report.stacks[0].frames.extend(more);
        let lines = below_death_line(&report);
        assert_eq!(lines.lines().count(), 1 + 1 + LOG_FRAMES_MAX + 1, "{lines}");
        assert!(lines.ends_with("75 more lines are in its black box"), "{lines}");
    }

    #[test]
    fn a_recursion_is_one_frame_of_a_log_and_all_of_a_crash_file() {
        let mut report = report();
        let frame = report.stacks[0].frames[2].clone();
        report.stacks[0].frames.splice(3..3, std::iter::repeat_n(frame, 100));
        let lines = below_death_line(&report);
        assert!(
            lines.contains("#2   in libc.so+0x2000 (removed)  (a guess)\n         and 100 times more\n    #103 in no"),
            "{lines}"
        );
        assert_eq!(report_in(&of_crash_file(&report)).map(|(report, _)| report), Some(report));
    }

    /// One with two folds, of which one is behind the gap.
    fn report_of_python() -> Report {
        let mut report = report();
        report.modules[1].path = b"/usr/bin/python3.11".to_vec();
        let Stack { frames, outermost, python, .. } = &mut report.stacks[0];
        let frame = |number: u64| Frame { pc: 0x50_3000 + number, ..frames[2].clone() };
        let certain = |number| Frame { trust: Trust::Cfi, ..frame(number) };
        let inlined = frames[0].symbol.clone();
        let more: Vec<Frame> = (0..5).map(frame).collect();
        outermost.extend((5..10).map(certain));
        outermost[3].symbol = inlined;
        frames.extend(more);
        python.extend(["File \"w.py\", line 27 in die".to_owned(), "...".to_owned()]);
        report
    }

    #[test]
    fn the_interpreter_is_folded_and_python_says_what_it_ran() {
        let lines = below_death_line(&report_of_python());
        let expected = "
    #3   in no file  (by the frame pointer)
    #4   in python3.11+0x3000 (removed)  (a guess)
         3 frames of the Python interpreter (python3.11)  (with guesses)
    #8   in python3.11+0x3004 (removed)  (a guess)
         the stack between them was not captured
    #9   in bin+0x2000  build id 01ab  (a guess)
    #10  in python3.11+0x3005 (removed)
         3 frames of the Python interpreter (python3.11)
    #14  in python3.11+0x3009 (removed)
         what was captured of the stack ends here
    Python, most recent call first
         File \"w.py\", line 27 in die
         ...";
        assert!(lines.ends_with(expected), "{lines}");
        let text = of_crash_file(&report_of_python());
        for part in [
            "         3 frames of the Python interpreter (python3.11)\n#14  0x",
            "folded       #12  0x0000000000503007  app::leaf  at src/leaf.rs:3  inlined\n",
            "python       File \"w.py\", line 27 in die\n",
        ] {
            assert!(text.contains(part.trim_start()), "{part} in {text}");
        }
    }

    #[test]
    fn a_long_traceback_is_cut_below_a_death_line_and_not_in_a_crash_file() {
        let mut report = report_of_python();
        report.stacks[0].python = (0..101).map(|number| format!("File \"w.py\", line {number} in deeper")).collect();
        let lines = below_death_line(&report);
        assert!(lines.ends_with("line 31 in deeper\n         69 more lines are in its black box"), "{lines}");
        assert!(of_crash_file(&report).contains("python       File \"w.py\", line 100 in deeper\n"));
    }

    #[test]
    fn what_a_crash_file_says_is_read_back() {
        for report in [report(), report_of_python()] {
            read_back(report);
        }
        assert_eq!(report_in("black box of worker\nring         ab\n\n2025 x\n"), None);
    }

    fn read_back(report: Report) {
        let (head, text) = ("black box of worker\nring         ab\n", of_crash_file(&report));
        let file = format!("{head}{text}2025-10-19 05:55:47.606 [INFO] [1] x\n");
        assert_eq!(report_in(&file), Some((report, head.len()..head.len() + text.len())), "{file}");
    }

    #[test]
    fn a_panic_is_no_signal_and_a_path_with_a_newline_is_one_line() {
        let mut report = report();
        (report.signal, report.is_complete) = (SignalInfo::default(), true);
        // A panic's first frame has called what panicked.
        (report.stacks[0].frames[0].trust, report.stacks[0].frames[0].is_exact) = (Trust::Cfi, false);
        report.modules[0].path = b"/opt/my\napp".to_vec();
        let text = of_crash_file(&report);
        assert!(text.contains("\nsignal       none: a panic\n") && text.contains("  /opt/my\\012app\n"), "{text}");
        let file = format!("black box of worker\n{text}\nend          0 records\n");
        assert_eq!(report_in(&file).map(|(report, _)| report), Some(report));
    }

    #[test]
    fn a_crash_file_that_was_edited_is_no_report_or_another_one() {
        let text = of_crash_file(&report_of_python());
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
            let _ = report_in(&text[..at]);
            let _ = report_in(&text[at..]);
            let _ = report_in(&format!("{}{}", &text[..at], text.get(at + 3..).unwrap_or_default()));
        }
    }

    #[test]
    fn a_log_shows_no_frames_below_the_one_in_which_a_thread_begins() {
        let mut report = report();
        let begin =
            Symbol { function: "std::sys::backtrace::__rust_begin_short_backtrace".to_owned(), ..Symbol::default() };
        let call = |(pc, symbol)| Frame { pc, is_exact: false, trust: Trust::Cfi, module: Some(1), symbol };
        let stack = &mut report.stacks[0];
        (stack.outermost, stack.end) = (Vec::new(), End::Outermost);
        stack.frames = (1..).zip([None, None, Some(begin), None, None]).map(call).collect();
        let below = below_death_line(&report);
        assert!(below.contains("#1   ") && !below.contains("#2"), "{below}");
        assert!(below.ends_with("\n         3 more frames start the thread"), "{below}");
        assert!(of_crash_file(&report).contains("\n#4   "));
        // A run of the interpreter does not hide it, nor it a run.
        report.modules[1].path = b"/usr/bin/python3.11".to_vec();
        let below = below_death_line(&report);
        assert!(below.contains("#1   ") && below.ends_with("3 more frames start the thread"), "{below}");
    }

    #[test]
    fn what_was_not_captured_is_said_within_a_recursion_too() {
        let mut report = report();
        let stack = &mut report.stacks[0];
        let deeper = Frame { pc: 1, is_exact: false, trust: Trust::Cfi, module: Some(1), symbol: None };
        (stack.frames, stack.outermost) = (vec![deeper.clone(); 3], vec![deeper; 2]);
        let below = below_death_line(&report);
        let gap = format!("and 2 times more\n    {GAP}\n    #3 ");
        assert!(below.contains(&gap) && below.contains("and 1 times more"), "{below}");
    }
}
