//! `lastwords crashes`.

use crate::cli::Crashes;
use crate::exit::Exit;
use crate::place::explained;
use crate::say;
use crate::table::table;
use lastwords::{Error, Result};
use lastwords_flusher::crash::answer::answer_request;
use lastwords_flusher::crash::report::Report;
use lastwords_flusher::crash::teller::Teller;
use lastwords_flusher::crash::{json, read_back};
use lastwords_flusher::recover::crash_name::{CRASH_ENDING, CrashName};
use lastwords_flusher::render::escape;
use lastwords_ring::format::text::{escaped, escaped_json, escaped_path};
use lastwords_ring::place::open;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes of a crash file in which its report is looked for; behind it are the records.
const REPORT_MAX: u64 = 16 << 20;
/// How each begins.
const BEGINNING: &str = "black box of ";
/// What the last line of a whole one begins with, and bytes at the end of a file in which that line is.
const END: &str = "end          ";
const END_MAX: u64 = 256;
/// Most characters of a cause and of a function in the list.
const SHOWN: usize = 75;
/// Characters of a line on a terminal, and of a role there.
const LINE: usize = 100;
const ROLE_SHOWN: usize = 16;
/// The least for a function.
const TITLE: usize = 2;
const ELLIPSIS: &str = "...";
/// Before the cause of a crash file that does not have all.
const CUT: &str = "(cut) ";

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
    let names = open::list(folder).map_err(Error::io("list the crash files of", folder)).map_err(explained)?;
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

/// A crash file as far as the list needs it.
struct CrashFile {
    /// Its beginning, which holds its report.
    text: String,
    /// Its end is there.
    has_end: bool,
}

impl CrashFile {
    /// Whether nothing is missing, neither of the file nor of what the process left for its report.
    fn is_complete(&self, report: Option<&Report>) -> bool {
        self.has_end && report.is_none_or(|report| report.is_complete)
    }
}

/// Reads a crash file.
///
/// # Errors
/// As read(2), and for a file that is no crash file.
fn read(path: &Path) -> Result<CrashFile> {
    let failed = |source| Error::Io { doing: "read", path: path.to_owned(), source };
    let file = open::to_read(path).map_err(failed)?;
    let mut head = Vec::new();
    (&*file).take(REPORT_MAX).read_to_end(&mut head).map_err(failed)?;
    if !head.starts_with(BEGINNING.as_bytes()) {
        let why = format!("it is no crash file: expected one that begins with \"{BEGINNING}\"");
        return Err(failed(io::Error::other(why)));
    }
    let has_end = has_end(&file).map_err(failed)?;
    Ok(CrashFile { text: String::from_utf8_lossy(&head).into_owned(), has_end })
}

/// Whether the last line is that of a whole one.
fn has_end(mut file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_MAX)))?;
    let mut end = Vec::new();
    file.take(END_MAX).read_to_end(&mut end)?;
    let last = end.strip_suffix(b"\n").and_then(|end| end.rsplit(|byte| *byte == b'\n').next());
    Ok(last.is_some_and(|last| last.starts_with(END.as_bytes())))
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
        if json {
            objects.push(object(crash, &file, read_back::report_in(&file.text).map(|(report, _)| report).as_ref()));
        } else {
            rows.push(Row::of(number + 1, crash, &file));
        }
    }
    if json {
        print_json(&json!({ "crashes": objects }))?;
    } else if !rows.is_empty() {
        say::print(table_of(&rows, io::stdout().is_terminal()).as_bytes())?;
    }
    if found.is_empty() {
        say::note(format_args!("no crash files found"));
    }
    Ok(exit)
}

/// A crash file in the list.
#[derive(Debug, Clone)]
struct Row {
    /// Number, time, role and pid.
    head: [String; 4],
    cause: String,
    top: String,
    file: String,
}

impl Row {
    fn of(number: usize, crash: &Crash, file: &CrashFile) -> Row {
        let report = read_back::report_in(&file.text).map(|(report, _)| report);
        let CrashName { role, pid, .. } = &crash.name;
        let cause = report.as_ref().map_or(said(&file.text, "process"), |report| &report.cause);
        let mark = if file.is_complete(report.as_ref()) { "" } else { CUT };
        Row {
            head: [(number).to_string(), crash.time(), escaped(role), pid.to_string()],
            cause: mark.to_owned() + &escaped(cause),
            top: escaped(&report.as_ref().map(top).unwrap_or_default()),
            file: escaped(&crash.file_name()),
        }
    }
}

/// The list. That of a terminal fits into a line: the numbers stand for the files, and what is longer is shortened.
fn table_of(rows: &[Row], is_terminal: bool) -> String {
    let role_max = if is_terminal { ROLE_SHOWN } else { usize::MAX };
    let head = |row: &Row| {
        let [number, time, role, pid] = row.head.clone();
        [number, time, short(&role, role_max), pid]
    };
    let titles = ["N", "LAST RECORD", "ROLE", "PID"].map(str::to_owned);
    let heads: Vec<[String; 4]> = std::iter::once(titles).chain(rows.iter().map(head)).collect();
    let width = |column: usize| heads.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    // Two spaces stand behind each of these, and between the last two.
    let room = LINE.saturating_sub((0..4).map(|column| width(column) + 2).sum::<usize>() + 2);
    let longest = rows.iter().map(|row| row.top.chars().count()).max().unwrap_or(0);
    let top_max = if is_terminal { longest.min(room / 2).max(TITLE) } else { SHOWN };
    let cause_max = if is_terminal { room - top_max } else { SHOWN };
    let titles = ["CAUSE", "IN", if is_terminal { "" } else { "FILE" }].map(str::to_owned);
    let tails = rows.iter().map(|row| {
        let file = if is_terminal { String::new() } else { row.file.clone() };
        [short(&row.cause, cause_max), short(&row.top, top_max), file]
    });
    let rows = heads.into_iter().zip(std::iter::once(titles).chain(tails));
    let joined: Vec<[String; 7]> = rows
        .map(|([number, time, role, pid], [cause, top, file])| [number, time, role, pid, cause, top, file])
        .collect();
    table(&joined)
}

/// A text, with an end that says so where it is longer than that many characters.
fn short(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some(_) => text.chars().take(characters.saturating_sub(ELLIPSIS.len())).collect::<String>() + ELLIPSIS,
        None => text.to_owned(),
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

fn object(crash: &Crash, file: &CrashFile, report: Option<&Report>) -> Value {
    let text = file.text.as_str();
    let mut object = json!({
        "file": crash.file_name(),
        "last_record": crash.time(),
        "role": crash.name.role,
        "pid": crash.name.pid,
        "process": said(text, "process"),
        "wait_status": all_said(text, "wait status").next(),
        "evidence": all_said(text, "evidence").collect::<Vec<&str>>(),
        "not_captured": all_said(text, "captured").find_map(|said| said.strip_prefix("no: ")),
        "cause": report.map(|report| report.cause.as_str()),
        "top": report.map(top),
    });
    if let (Value::Object(members), Some(Value::Object(more))) = (&mut object, report.map(json::report)) {
        members.extend(more);
    }
    object["complete"] = file.is_complete(report).into();
    object
}

fn print_json(value: &Value) -> Result<()> {
    say::print((escaped_json(&value.to_string()) + "\n").as_bytes())
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
        let report = read_back::report_in(&file.text).map(|(report, _)| report);
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
    say::print(&shown)?;
    Ok(Exit::Done)
}

/// Shows a crash file with what the programs say that are here now.
fn symbolise(path: &Path, json: bool, program: &[OsString]) -> Result<Exit> {
    let file = read(path)?;
    let Some((before, range)) = read_back::report_in(&file.text) else {
        let why = "it has no stack: expected a crash file with a cause, of a process that died of a fatal signal";
        return Err(Error::Io { doing: "symbolise", path: path.to_owned(), source: io::Error::other(why) });
    };
    let found = Teller::with(program.to_vec()).look_again(&file.text[..range.end]);
    let failure = found.as_ref().err().cloned();
    let part = found.unwrap_or_else(|_| file.text[range.clone()].to_owned());
    let report = read_back::report_in(&part).map_or_else(|| before.clone(), |(report, _)| report);
    let added = report.knows_more_than(&before);
    if !added {
        say::note(format_args!("{}: nothing could be added: {}", escaped_path(path), why_nothing(&report, failure)));
    } else if !report.notes.is_empty() {
        say::note(format_args!("{}: {}", escaped_path(path), escaped(&report.notes.join("; "))));
    }
    if json {
        print_json(&object(&crash_at(path), &file, Some(&report)))?;
    } else {
        print_file(path, Some((&part, range)))?;
    }
    Ok(if added { Exit::Done } else { Exit::Nothing })
}

/// Why a crash file says nothing more than before.
fn why_nothing(report: &Report, failure: Option<String>) -> String {
    let lacking = report.lacking().into_iter().map(|(module, why)| format!("{}: {}", escaped(&module), escaped(&why)));
    let all: Vec<String> =
        failure.into_iter().chain(report.notes.iter().map(|note| escaped(note))).chain(lacking).collect();
    if all.is_empty() { "it has everything already".to_owned() } else { all.join("; ") }
}

/// Makes a report for the flusher, in a process of its own.
pub(crate) fn answer() -> Result<Exit> {
    let answered = answer_request(io::stdin().lock(), io::stdout().lock());
    answered.map_err(|source| Error::Io { doing: "answer the flusher at", path: "standard output".into(), source })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_a_terminal_fits_into_a_line_and_any_other_names_the_files() {
        let row = |role: &str, cause: &str, top: &str| Row {
            head: ["1".to_owned(), "2026-11-24T13:37:02Z".to_owned(), role.to_owned(), "4194304".to_owned()],
            cause: cause.to_owned(),
            top: top.to_owned(),
            file: "worker-4194304-20261124T133702Z.crash.log".to_owned(),
        };
        let long = "é".repeat(200);
        for rows in [
            vec![row("worker", "SIGABRT: abort", "app::main"), row("worker", &long, &long)],
            vec![row(&long, &long, "")],
            vec![row("worker", "SIGABRT: abort", &long)],
        ] {
            let shown = table_of(&rows, true);
            assert!(shown.lines().all(|line| line.chars().count() <= LINE), "{shown}");
            assert!(shown.contains(ELLIPSIS) && !shown.contains(".crash.log"), "{shown}");
            let whole = table_of(&rows, false);
            assert!(whole.lines().skip(1).all(|line| line.ends_with(".crash.log")), "{whole}");
        }
        let short = table_of(&[row("worker", "SIGABRT: abort", "app::main")], true);
        assert!(short.ends_with("worker  4194304  SIGABRT: abort  app::main\n"), "{short}");
    }
}
