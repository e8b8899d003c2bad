//! `lastwords crashes`.

use crate::cli::Crashes;
use crate::exit::Exit;
use crate::say;
use crate::table::table;
use lastwords::{Error, Result};
use lastwords_flusher::crash::report::Report;
use lastwords_flusher::crash::worker::{self, Worker};
use lastwords_flusher::crash::{json, text};
use lastwords_flusher::recover::crash_name::{CRASH_ENDING, CrashName};
use lastwords_flusher::render::escape;
use lastwords_ring::format::text::{escaped, escaped_json, escaped_path};
use lastwords_ring::place::open;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of a crash file in which its report is looked for; behind it are the records.
const REPORT_MAX: u64 = 16 << 20;
/// How each begins.
const BEGINNING: &str = "black box of ";
/// Characters of a cause and of a function in the list.
const SHOWN: usize = 72;

pub(crate) fn run(arguments: &Crashes, program: &[OsString]) -> Result<Exit> {
    if let Some(file) = &arguments.symbolise {
        return symbolise(file, arguments.json, program);
    }
    let folder = arguments.folder()?;
    let found = crashes_in(&folder)?;
    match arguments.which() {
        Some(which) => show(&chosen(&folder, &found, which)?.path, arguments.json),
        None => list(&found, arguments.json),
    }
}

/// A crash file.
struct Crash {
    name: CrashName,
    path: PathBuf,
}

impl Crash {
    fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// `2026-11-24T13:37:02Z`.
    fn time(&self) -> String {
        let time = &self.name.time;
        let part = |from, to| time.get(from..to).unwrap_or_default();
        let (day, second) = ([part(0, 4), part(4, 6), part(6, 8)], [part(9, 11), part(11, 13), part(13, 15)]);
        format!("{}T{}Z", day.join("-"), second.join(":"))
    }
}

/// Those of a folder, newest first.
fn crashes_in(folder: &Path) -> Result<Vec<Crash>> {
    let names = open::list(folder).map_err(|source| Error::Io { doing: "list", path: folder.to_owned(), source })?;
    let crash = |name: &OsString| Some(Crash { name: CrashName::parse(name.to_str()?)?, path: folder.join(name) });
    let mut found: Vec<Crash> = names.iter().filter_map(crash).collect();
    found.sort_by(|one, other| other.name.cmp(&one.name));
    Ok(found)
}

/// The crash file with this number or name.
fn chosen<'a>(folder: &Path, found: &'a [Crash], which: &Path) -> Result<&'a Crash> {
    let text = which.to_string_lossy();
    let number = text.parse::<usize>().ok().and_then(|number| found.get(number.checked_sub(1)?));
    let named = || found.iter().find(|crash| crash.path.file_name() == which.file_name());
    number.or_else(named).ok_or_else(|| {
        let expected = match found.len() {
            0 => "the folder has none".to_owned(),
            count => format!("expected a number from 1 to {count}, or a name that ends in {CRASH_ENDING}"),
        };
        let why = format!("there is no {}: {expected}", escaped(&text));
        Error::Io { doing: "find the crash file in", path: folder.to_owned(), source: io::Error::other(why) }
    })
}

/// The beginning of a crash file, which holds its report.
///
/// # Errors
/// As read(2), and for a file that is no crash file.
fn read(path: &Path) -> Result<String> {
    let failed = |source| Error::Io { doing: "read", path: path.to_owned(), source };
    let mut head = Vec::new();
    open::to_read(path).map_err(failed)?.take(REPORT_MAX).read_to_end(&mut head).map_err(failed)?;
    if !head.starts_with(BEGINNING.as_bytes()) {
        let why = format!("it is no crash file: expected one that begins with \"{BEGINNING}\"");
        return Err(failed(io::Error::other(why)));
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// What the lines of the head with this name say.
fn all_said<'a>(file: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let value =
        move |line: &'a str| line.strip_prefix(name).filter(|value| value.starts_with(' ')).map(str::trim_start);
    file.lines().take_while(|line| !line.is_empty()).filter_map(value)
}

/// What the first of them says.
fn said<'a>(file: &'a str, name: &str) -> &'a str {
    all_said(file, name).next().unwrap_or_default()
}

fn list(found: &[Crash], json: bool) -> Result<Exit> {
    let (mut rows, mut objects, mut exit) = (Vec::new(), Vec::new(), Exit::Nothing);
    for (number, crash) in found.iter().enumerate() {
        let file = match read(&crash.path) {
            Ok(file) => file,
            Err(error) => {
                say::note(format_args!("{error}"));
                exit = Exit::Damaged;
                continue;
            }
        };
        if exit == Exit::Nothing {
            exit = Exit::Done;
        }
        let report = text::report_in(&file).map(|(report, _)| report);
        objects.push(object(crash, &file, report.as_ref()));
        let CrashName { role, pid, .. } = &crash.name;
        rows.push([
            (number + 1).to_string(),
            crash.time(),
            escaped(role),
            pid.to_string(),
            short(report.as_ref().map_or(said(&file, "process"), |report| &report.cause)),
            short(&report.as_ref().map(top).unwrap_or_default()),
            escaped(&crash.file_name()),
        ]);
    }
    if json {
        print_json(&json!({ "crashes": objects }))?;
    } else if !rows.is_empty() {
        let titles = ["N", "LAST RECORD", "ROLE", "PID", "CAUSE", "IN", "FILE"].map(str::to_owned);
        print(table(&[vec![titles], rows].concat()).as_bytes())?;
    }
    if found.is_empty() {
        say::note(format_args!("no crash files found"));
    }
    Ok(exit)
}

fn short(text: &str) -> String {
    let text = escaped(text);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => text[..end].to_owned() + "...",
        None => text,
    }
}

/// Where the process was: the innermost function.
fn top(report: &Report) -> String {
    let Some(frame) = report.stacks.first().and_then(|stack| stack.top()) else { return String::new() };
    let module = frame.module.and_then(|number| report.modules.get(number));
    match (&frame.symbol, module) {
        (Some(symbol), _) => symbol.function.clone(),
        (None, Some(module)) => format!("{}+{:#x}", module.name(), frame.pc.wrapping_sub(module.base)),
        (None, None) => format!("{:#x}", frame.pc),
    }
}

fn object(crash: &Crash, file: &str, report: Option<&Report>) -> Value {
    let mut object = json!({
        "file": crash.file_name(),
        "last_record": crash.time(),
        "role": crash.name.role,
        "pid": crash.name.pid,
        "process": said(file, "process"),
        "wait_status": all_said(file, "wait status").next(),
        "evidence": all_said(file, "evidence").collect::<Vec<&str>>(),
        "cause": report.map(|report| report.cause.as_str()),
        "top": report.map(top),
    });
    if let (Value::Object(members), Some(Value::Object(more))) = (&mut object, report.map(json::report)) {
        members.extend(more);
    }
    object
}

/// Prints bytes; where the reader of standard output has gone, as `head` does, the rest of them is not wanted.
fn print(bytes: &[u8]) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::Io { doing: "write", path: "standard output".into(), source })
        }
        _ => Ok(()),
    }
}

fn print_json(value: &Value) -> Result<()> {
    print((escaped_json(&value.to_string()) + "\n").as_bytes())
}

/// The name of a file that was given, which may be a copy with any name.
fn crash_at(path: &Path) -> Crash {
    let name = path.file_name().and_then(|name| CrashName::parse(name.to_str()?));
    let name = name.unwrap_or(CrashName { time: String::new(), number: 1, role: String::new(), pid: 0 });
    Crash { name, path: path.to_owned() }
}

fn show(path: &Path, json: bool) -> Result<Exit> {
    let file = read(path)?;
    if json {
        let report = text::report_in(&file).map(|(report, _)| report);
        print_json(&object(&crash_at(path), &file, report.as_ref()))?;
        return Ok(Exit::Done);
    }
    print_file(path, None)
}

/// Prints a file, with this in place of these bytes.
fn print_file(path: &Path, instead: Option<(&str, std::ops::Range<usize>)>) -> Result<Exit> {
    let failed = |source| Error::Io { doing: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    open::to_read(path).map_err(failed)?.read_to_end(&mut bytes).map_err(failed)?;
    let mut shown = Vec::with_capacity(bytes.len());
    let (new, range) = instead.unwrap_or(("", 0..0));
    let parts = [bytes.get(..range.start), Some(new.as_bytes()), bytes.get(range.end..)];
    for line in parts.into_iter().flatten().flat_map(|part| part.split_inclusive(|byte| *byte == b'\n')) {
        // What was not written by a flusher may be in it by now.
        escape::escape(&mut shown, line);
    }
    print(&shown)?;
    Ok(Exit::Done)
}

/// Shows a crash file with what the programs say that are here now.
fn symbolise(path: &Path, json: bool, program: &[OsString]) -> Result<Exit> {
    let file = read(path)?;
    let Some((mut report, range)) = text::report_in(&file) else {
        let why = "it has no stack: expected a crash file with a cause, of a process that died of a fatal signal";
        return Err(Error::Io { doing: "symbolise", path: path.to_owned(), source: io::Error::other(why) });
    };
    let Some((first, rest)) = program.split_first() else { return Ok(Exit::Nothing) };
    report.name_again(&Worker::new(first, rest));
    if let Some(note) = &report.note {
        say::note(format_args!("{}: {note}", escaped_path(path)));
    }
    if json {
        print_json(&object(&crash_at(path), &file, Some(&report)))?;
        return Ok(Exit::Done);
    }
    print_file(path, Some((&text::of_crash_file(&report), range)))
}

/// Answers the flusher, in a process of its own.
pub(crate) fn symbolise_for_flusher() -> Result<Exit> {
    let answered = worker::answer(io::stdin().lock(), io::stdout().lock());
    answered.map_err(|source| Error::Io { doing: "answer the flusher at", path: "standard output".into(), source })?;
    Ok(Exit::Done)
}
