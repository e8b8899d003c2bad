//! `lastwords recover`.

use crate::cli::Recover;
use crate::exit::Exit;
use crate::flush::Asked;
use crate::place::explained;
use crate::say::{self, STANDARD_OUTPUT};
use lastwords::{Error, Result};
use lastwords_flusher::crash::teller::Teller;
use lastwords_flusher::recover::crash_file::BlackBox;
use lastwords_flusher::recover::recovery::{Journaled, Recovered, Recovery, RingReport};
use lastwords_flusher::render::json::{JsonLines, Origin};
use lastwords_flusher::render::line;
use lastwords_flusher::render::line::RENDERED_TIMES;
use lastwords_flusher::render::timestamp::Stamp;
use lastwords_ring::format::text::{escaped, escaped_path};
use lastwords_ring::place::folder::{Folder, JSON_ENDING, role_of};
use lastwords_ring::place::zone::Zone;
use serde_json::json;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::Path;

pub(crate) fn run(arguments: &Recover, program: &[OsString]) -> Result<Exit> {
    match (arguments.drain, arguments.black_box) {
        (true, _) => drain(arguments, program),
        (_, true) => black_boxes(arguments, program),
        _ => print(arguments),
    }
}

fn drain(arguments: &Recover, program: &[OsString]) -> Result<Exit> {
    let mut exit = Exit::Nothing;
    for path in &arguments.paths {
        if path.is_file() {
            let why = "--drain takes log folders, because a ring file alone does not say where its lines go";
            return Err(Error::Folder { path: path.clone(), why: why.to_owned() });
        }
        let folder = folder_of_rings(arguments, path)?;
        if folder.path() == folder.rings() {
            let why = "it holds rings but no log files; --drain takes the log folder";
            return Err(Error::Folder { path: path.clone(), why: why.to_owned() });
        }
        if crate::flush::once(&folder, &Asked::default(), program)? == Exit::Done {
            exit = Exit::Done;
        }
    }
    Ok(exit)
}

/// Prints all that each ring holds.
fn black_boxes(arguments: &Recover, program: &[OsString]) -> Result<Exit> {
    // Opened one after the other, because a folder may have more rings than a process may have descriptors.
    let mut rings: Vec<Box<dyn FnOnce() -> Result<BlackBox> + '_>> = Vec::new();
    for path in &arguments.paths {
        if path.is_dir() {
            let folder = folder_of_rings(arguments, path)?;
            for name in folder.ring_names()? {
                let folder = folder.clone();
                rings.push(Box::new(move || BlackBox::open_in(&folder, &name)));
            }
        } else if let Err(error) = path.symlink_metadata() {
            return Err(missing(path, error));
        } else {
            rings.push(Box::new(|| BlackBox::open(path)));
        }
    }
    let mut exit = Exit::Nothing;
    let zone = zone(arguments);
    let teller = Teller::with(program.to_vec());
    let mut out = BufWriter::new(say::Output);
    for open in rings {
        let printed = open().and_then(|mut found| {
            found.tell(&teller);
            found.write(&mut out, &zone, Path::new(STANDARD_OUTPUT)).map(|()| found)
        });
        match printed {
            Ok(found) if found.report().is_some_and(is_damaged) => exit = Exit::Damaged,
            Ok(_) if exit == Exit::Nothing => exit = Exit::Done,
            Ok(_) => {}
            Err(Error::Io { source, path, .. }) if path == Path::new(STANDARD_OUTPUT) => {
                return say::has_reader(Err(source)).map(|_| if exit == Exit::Nothing { Exit::Done } else { exit });
            }
            Err(error) => {
                say::note(format_args!("{error}"));
                exit = Exit::Damaged;
            }
        }
    }
    if exit == Exit::Nothing {
        say::note(format_args!("no rings found"));
    }
    say::has_reader(out.flush())?;
    Ok(exit)
}

/// A log folder with its rings, or a folder that holds ring files itself: the rings folder of a log folder, rings that are kept
/// elsewhere, or copies.
fn folder_of_rings(arguments: &Recover, path: &Path) -> Result<Folder> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parent = absolute.parent().filter(|_| absolute.file_name().is_some_and(|name| name == "rings"));
    if let Some(logs) = parent.and_then(|parent| Folder::open(parent).ok()) {
        // With the journal, whose lines are compared with the log files beside the folder.
        return Ok(logs);
    }
    let own = Folder::open_rings(path).map_err(explained)?;
    let folder = arguments.rings.of(Folder::open(path)?)?;
    Ok(if !folder.is_used() && !own.ring_names()?.is_empty() { own } else { folder })
}

/// The error of a path that cannot be inspected.
fn missing(path: &Path, error: io::Error) -> Error {
    let source = match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(error.kind(), "it does not exist; name a log folder, a folder of rings or a ring file")
        }
        _ => error,
    };
    Error::Io { doing: "inspect", path: path.to_owned(), source }
}

/// The zone of the times: the one that is named, else that of the first log folder, else that of this process.
fn zone(arguments: &Recover) -> Zone {
    let of_folder =
        || arguments.paths.iter().find(|path| path.is_dir()).and_then(|path| folder_of_rings(arguments, path).ok());
    arguments.time_zone.clone().or_else(|| of_folder().map(|folder| folder.zone())).unwrap_or_else(Zone::local)
}

fn is_damaged(report: &RingReport) -> bool {
    report.damaged + report.withheld + report.truncated > 0
}

fn print(arguments: &Recover) -> Result<Exit> {
    let mut recovery = Recovery::default();
    for path in &arguments.paths {
        if path.is_dir() {
            recovery.add_folder(&folder_of_rings(arguments, path)?)?;
        } else if let Err(error) = path.symlink_metadata() {
            return Err(missing(path, error));
        } else {
            recovery.add_file(path);
        }
    }
    let zone = zone(arguments);
    let mut printer = Printer {
        out: BufWriter::new(say::Output),
        stamp: Stamp::new(zone.clone()),
        lines: JsonLines::new(zone),
        text: Vec::new(),
    };
    let printed = printer.all(&mut recovery, arguments.json);
    match printed {
        Err(PrintError::Output(error)) => return say::has_reader(Err(error)).map(|_| Exit::Done),
        Err(PrintError::Ring(error)) => return Err(error),
        Ok(()) => {}
    }
    Ok(summary(&recovery))
}

/// What can stop printing.
enum PrintError {
    Ring(Error),
    Output(io::Error),
}

impl From<Error> for PrintError {
    fn from(error: Error) -> Self {
        PrintError::Ring(error)
    }
}

impl From<io::Error> for PrintError {
    fn from(error: io::Error) -> Self {
        PrintError::Output(error)
    }
}

struct Printer<W> {
    out: W,
    stamp: Stamp,
    lines: JsonLines,
    text: Vec<u8>,
}

impl<W: Write> Printer<W> {
    fn all(&mut self, recovery: &mut Recovery, json: bool) -> Result<(), PrintError> {
        recovery.journaled.iter().try_for_each(|journaled| self.journaled(journaled, json))?;
        recovery.for_each(|record| if json { self.json(record) } else { self.line(record) })?;
        self.out.flush()?;
        Ok(())
    }

    /// Prints what is in the journal, in the requested form if the flusher made both.
    fn journaled(&mut self, journaled: &Journaled, json: bool) -> io::Result<()> {
        let Journaled { log, lines, twin } = journaled;
        match (json, log.ends_with(JSON_ENDING)) {
            (true, false) | (false, true) if *twin => Ok(()),
            (true, false) => {
                let lines = String::from_utf8_lossy(lines);
                writeln!(self.out, "{}", json!({ "role": role_of(log), "journaled": lines }))
            }
            // The end of a torn line comes first, if there is one.
            (true, true) => self.out.write_all(lines.trim_ascii_start()),
            (false, _) => self.out.write_all(lines),
        }
    }

    /// Prints a line, and returns its length.
    fn line(&mut self, recovered: &Recovered<'_>) -> Result<u64, PrintError> {
        let Recovered { record, site, realtime_ns, pid, level_name, .. } = recovered;
        self.text.clear();
        line::head_of(&mut self.text, &mut self.stamp, record, *realtime_ns, *pid, *level_name);
        line::record(&mut self.text, record, *site);
        self.out.write_all(&self.text)?;
        Ok(self.text.len() as u64)
    }

    fn json(&mut self, recovered: &Recovered<'_>) -> Result<u64, PrintError> {
        let Recovered { record, realtime_ns, pid, role, site, level_name, thread_name, ring, lane } = recovered;
        let origin = Origin { realtime_ns: *realtime_ns, role, pid: *pid, lane: Some((ring, *lane)) };
        self.text.clear();
        self.lines.record(&mut self.text, &origin, record, thread_name.as_deref(), *site, *level_name);
        self.out.write_all(&self.text)?;
        Ok(self.text.len() as u64)
    }
}

/// One line a ring on standard error, and the exit status.
fn summary(recovery: &Recovery) -> Exit {
    let (mut records, mut damaged) = (0, 0);
    for report in recovery.reports() {
        records += report.records;
        damaged += u64::from(is_damaged(report));
        say::note(format_args!("{}", describe(report)));
    }
    for error in &recovery.refused {
        say::note(format_args!("{error}"));
    }
    let journaled = recovery.journaled.len();
    if journaled > 0 {
        say::note(format_args!("journal: lines of {journaled} log files that a flusher could not finish writing"));
    }
    if recovery.reports().count() == 0 && recovery.refused.is_empty() {
        say::note(format_args!("no rings found"));
    }
    match records {
        _ if damaged > 0 || !recovery.refused.is_empty() => Exit::Damaged,
        0 if journaled == 0 => Exit::Nothing,
        _ => Exit::Done,
    }
}

fn describe(report: &RingReport) -> String {
    let state = report.ending();
    let withheld = match report.withheld {
        0 => String::new(),
        count => format!(", {count} left out because they would print {RENDERED_TIMES} times what the ring holds"),
    };
    format!(
        "{}: role {}, pid {}, {state}; {} records, {} lost before them, {} interrupted, {} damaged slots{withheld}",
        escaped_path(&report.path),
        escaped(&report.role),
        report.pid,
        report.records,
        report.lost,
        report.in_flight,
        report.damaged
    )
}
