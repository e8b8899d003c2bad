//! Crash files read back: their report, as `text` wrote it.

use crate::crash::frame::{End, Frame, Inline, SourceLine, Symbol, Trust};
use crate::crash::loaded::Module;
use crate::crash::registers::NAMES;
use crate::crash::report::{Report, Stack};
use crate::crash::text::{BY_FRAME_POINTER, CUT, ENDS, FOLDED, GAP, GUESSED, INTERRUPTED, NAME, NEWLINE, NOTE, PANIC};
use lastwords_ring::format::capture::{Others, SignalInfo};
use std::ops::Range;

/// The report that a crash file has, if it has one, and which of its bytes that is.
#[must_use]
pub fn report_in(crash_file: &str) -> Option<(Report, Range<usize>)> {
    let mut lines = crash_file.split_inclusive('\n').scan(0, |end, line| {
        let start = *end;
        *end += line.len();
        Some((start..*end, line.trim_end_matches('\n')))
    });
    // It is a part of the head: what follows the first empty line are records, of which one may look like it.
    let head = lines.by_ref().take_while(|(_, line)| !line.is_empty());
    let (mut range, cause) = head.filter_map(|(range, line)| Some((range, value(line, "cause")?))).next()?;
    let mut found = Lines::default();
    found.report.cause = cause.to_owned();
    for (at, line) in lines {
        match found.add(line)? {
            Line::Part => range.end = at.end,
            Line::Between => {}
            Line::Behind => break,
        }
    }
    // With the empty line behind it.
    range.end += usize::from(crash_file[range.end..].starts_with('\n'));
    Some((found.finish()?, range))
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// It belongs to a report.
    Part,
    /// It says nothing, between two that do.
    Between,
    /// It belongs to what follows.
    Behind,
}

/// What the lines up to one of them say.
#[derive(Debug, Default)]
struct Lines<'a> {
    report: Report,
    frames: Vec<FrameLine<'a>>,
    /// The next frame comes behind the gap in its stack.
    is_behind: bool,
    /// The number of the first one that does.
    outermost_from: Option<usize>,
}

impl<'a> Lines<'a> {
    /// Adds a line; None for one that is wrong.
    fn add(&mut self, line: &'a str) -> Option<Line> {
        let report = &mut self.report;
        if let Some(signal) = value(line, "signal") {
            report.signal = signal_in(signal)?;
        } else if let Some(captured) = value(line, "captured") {
            report.is_complete = !captured.ends_with(CUT);
            report.time_us = captured.strip_prefix("in ")?.split(' ').next()?.parse().ok()?;
        } else if let Some(others) = value(line, "others") {
            report.others = Some(others_in(others)?);
        } else if let Some(note) = value(line, NOTE) {
            report.notes.push(note.to_owned());
        } else if let Some(module) = value(line, "module") {
            report.modules.push(module_in(module)?);
        } else {
            return self.add_of_stack(line);
        }
        Some(Line::Part)
    }

    /// Adds a line that concerns a thread.
    fn add_of_stack(&mut self, line: &'a str) -> Option<Line> {
        let stacks = &mut self.report.stacks;
        if let Some(thread) = value(line, "thread") {
            (self.is_behind, self.outermost_from) = (false, None);
            stacks.push(stack_of(thread)?);
        } else if let Some(end) = value(line, "stack ends") {
            stacks.last_mut()?.end = ENDS.into_iter().find(|known| known.to_string() == end)?;
        } else if line == GAP {
            self.is_behind = true;
        } else if let Some(text) = value(line, "folded").or(line.starts_with('#').then_some(line)) {
            let (stack, number) = (stacks.len().checked_sub(1)?, number_of(text)?);
            if std::mem::take(&mut self.is_behind) {
                self.outermost_from = Some(number);
            }
            let is_outermost = self.outermost_from.is_some_and(|from| number >= from);
            self.frames.push(FrameLine { stack, number, is_outermost, text });
        } else if let Some(call) = value(line, "python") {
            stacks.last_mut()?.python.push(call.to_owned());
        } else if let Some(registers) = value(line, "registers") {
            registers_in(registers, &mut stacks.last_mut()?.registers)?;
        } else if line.is_empty() || line.starts_with(' ') && line.contains(FOLDED) {
            return Some(Line::Between);
        } else {
            return Some(Line::Behind);
        }
        Some(Line::Part)
    }

    /// The report: modules come last, and frames refer to them.
    fn finish(mut self) -> Option<Report> {
        let is_panic = self.report.signal.number == 0;
        let Report { stacks, modules, .. } = &mut self.report;
        let mut inlines = Vec::new();
        // Those that were folded come behind the others of their stack.
        self.frames.sort_by_key(|line| (line.stack, line.number));
        for FrameLine { stack, is_outermost, text, .. } in self.frames {
            match frame_in(text, modules, is_panic)? {
                Part::Inline(inline) => inlines.push(inline),
                Part::Frame(mut frame) => {
                    if let Some(symbol) = &mut frame.symbol {
                        symbol.inlines = std::mem::take(&mut inlines);
                    }
                    let stack = &mut stacks[stack];
                    if is_outermost { stack.outermost.push(frame) } else { stack.frames.push(frame) }
                }
            }
        }
        Some(self.report)
    }
}

fn stack_of(thread: &str) -> Option<Stack> {
    let (thread, name) = thread.split_once(' ').unwrap_or((thread, ""));
    Some(Stack {
        thread: thread.parse().ok()?,
        name: name.to_owned(),
        frames: Vec::new(),
        end: End::Lost,
        outermost: Vec::new(),
        registers: None,
        python: Vec::new(),
    })
}

/// A line that is a frame, or a function that is inlined into it.
#[derive(Debug)]
struct FrameLine<'a> {
    /// The number of its stack.
    stack: usize,
    /// Its number there.
    number: usize,
    is_outermost: bool,
    text: &'a str,
}

fn number_of(line: &str) -> Option<usize> {
    line.strip_prefix('#')?.split(' ').next()?.parse().ok()
}

fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (head, value) = line.split_at_checked(NAME)?;
    (head.trim_end() == name).then_some(value)
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn others_in(text: &str) -> Option<Others> {
    let mut words = text.strip_suffix(CUT).unwrap_or(text).split(' ');
    let (captured, there, time_us) = (words.next()?, words.nth(1)?, words.nth(2)?);
    let [captured, there, time_us] = [captured, there, time_us].map(|word| word.parse().ok());
    Some(Others { there: there?, captured: captured?, is_complete: !text.ends_with(CUT), time_us: time_us? })
}

/// Adds registers, each a name and a number.
fn registers_in(text: &str, into: &mut Option<([u64; NAMES.len()], u64)>) -> Option<()> {
    let (values, flags) = into.get_or_insert_default();
    for pair in text.split("  ") {
        let (name, value) = pair.split_once(' ')?;
        let value = hexadecimal(value)?;
        match NAMES.iter().position(|known| *known == name) {
            Some(number) => values[number] = value,
            None if name == "flags" => *flags = value,
            None => return None,
        }
    }
    Some(())
}

fn signal_in(text: &str) -> Option<SignalInfo> {
    if text == PANIC {
        return Some(SignalInfo::default());
    }
    let mut parts = text.split(", ");
    let mut next = |name: &str| parts.next()?.strip_prefix(name);
    let (number, code, errno) = (next("")?, next("code ")?, next("errno ")?);
    let (address, pid, uid) = (next("")?, next("pid ")?, next("uid ")?);
    Some(SignalInfo {
        number: number.parse().ok()?,
        code: code.parse().ok()?,
        errno: errno.parse().ok()?,
        address: address.strip_prefix("address ").and_then(hexadecimal),
        pid: pid.parse().ok()?,
        uid: uid.parse().ok()?,
        ..SignalInfo::default()
    })
}

fn module_in(text: &str) -> Option<Module> {
    let mut parts = text.splitn(4, "  ");
    let (base, end, build_id, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (path, unusable) = match rest.split_once("  (").map(|(path, why)| (path, why.strip_suffix(')'))) {
        Some((path, Some(why))) => (path, Some(why.to_owned())),
        _ => (rest, None),
    };
    let digits = build_id.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    Some(Module {
        path: path.replace(NEWLINE, "\n").into_bytes(),
        base: hexadecimal(base)?,
        end: hexadecimal(end)?,
        build_id: if build_id == "-" { Vec::new() } else { digits.collect::<Option<Vec<u8>>>()? },
        unusable,
        ..Module::default()
    })
}

/// A line of a stack.
enum Part {
    Inline(Inline),
    Frame(Frame),
}

/// A line of a stack. That of a panic begins in the middle of calls.
fn frame_in(line: &str, modules: &[Module], is_panic: bool) -> Option<Part> {
    let (number, rest) = line.strip_prefix('#')?.split_once(' ')?;
    let mut parts: Vec<&str> = rest.trim_start().split("  ").collect();
    let pc = hexadecimal(parts.remove(0))?;
    let is_last = |parts: &[&str], text: &str| parts.last().is_some_and(|last| Some(*last) == text.strip_prefix("  "));
    let is_first = number == "0" && !is_panic;
    let (mut trust, mut is_exact) = if is_first { (Trust::Context, true) } else { (Trust::Cfi, false) };
    for (text, meaning) in [(GUESSED, Trust::Scan), (BY_FRAME_POINTER, Trust::FramePointer), (INTERRUPTED, Trust::Cfi)]
    {
        if is_last(&parts, text) {
            (trust, is_exact) = (meaning, text == INTERRUPTED);
            parts.pop();
        }
    }
    let (function, at) = match parts[..] {
        [function, at, ..] if at.starts_with("at ") => (function, source_line(at)),
        [function, ..] => (function, None),
        [] => return None,
    };
    if parts.last() == Some(&"inlined") {
        return Some(Part::Inline(Inline { function: function.to_owned(), at }));
    }
    let (name, offset) = match function.rsplit_once("+0x") {
        Some((name, offset)) => (name, u64::from_str_radix(offset, 16).ok()),
        None => (function, None),
    };
    let is_named = !function.starts_with("in ");
    let symbol = is_named.then(|| Symbol { function: name.to_owned(), offset, at, inlines: Vec::new() });
    let mut frame = Frame { pc, is_exact, trust, module: None, symbol };
    let inside = frame.inside();
    frame.module = modules.iter().position(|module| (module.base..module.end).contains(&inside));
    Some(Part::Frame(frame))
}

fn source_line(at: &str) -> Option<SourceLine> {
    let at = at.strip_prefix("at ")?;
    let parsed = at.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
    let (file, line) = parsed.unwrap_or((at, 0));
    Some(SourceLine { file: file.to_owned(), line })
}
