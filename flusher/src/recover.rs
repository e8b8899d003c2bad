//! `lastwords recover`.

use crate::cli::Recover;
use crate::exit::Exit;
use lastwords::flush::liveness::Verdict;
use lastwords::flush::recover::{RENDERED_TIMES, Recovered, Recovery, RingReport};
use lastwords::flush::render;
use lastwords::flush::stamp::Stamp;
use lastwords::flush::template::Template;
use lastwords::folder::Folder;
use lastwords::reader::Closed;
use lastwords::record::{Record, extra_kind};
use lastwords::{Error, Result};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

pub(crate) fn run(arguments: &Recover) -> Result<Exit> {
    if arguments.drain { drain(arguments) } else { print(arguments) }
}

fn drain(arguments: &Recover) -> Result<Exit> {
    let mut exit = Exit::Nothing;
    for path in &arguments.paths {
        if path.is_file() {
            let why = "--drain takes log folders, because a ring file alone does not say where its lines go";
            return Err(Error::Folder { path: path.clone(), why: why.to_owned() });
        }
        if crate::flush::once(&arguments.rings.of(Folder::open(path)?)?, None)? == Exit::Done {
            exit = Exit::Done;
        }
    }
    Ok(exit)
}

fn print(arguments: &Recover) -> Result<Exit> {
    let mut recovery = Recovery::default();
    for path in &arguments.paths {
        if path.is_dir() {
            recovery.add_folder(&arguments.rings.of(Folder::open(path)?)?)?;
        } else if let Err(source) = path.symlink_metadata() {
            return Err(Error::Io { doing: "look at", path: path.clone(), source });
        } else {
            recovery.add_file(path);
        }
    }
    let mut printer =
        Printer { out: BufWriter::new(io::stdout().lock()), stamp: Stamp::new(arguments.utc), text: Vec::new() };
    let printed = printer.all(&mut recovery, arguments.json);
    match printed {
        Err(PrintError::Closed) => return Ok(Exit::Done),
        Err(PrintError::Ring(error)) => return Err(error),
        Ok(()) => {}
    }
    Ok(summary(&recovery))
}

/// What can stop printing.
enum PrintError {
    Ring(Error),
    /// Nobody reads standard output any more, `head` for instance.
    Closed,
}

impl From<Error> for PrintError {
    fn from(error: Error) -> Self {
        PrintError::Ring(error)
    }
}

impl From<io::Error> for PrintError {
    fn from(_: io::Error) -> Self {
        PrintError::Closed
    }
}

struct Printer<W> {
    out: W,
    stamp: Stamp,
    text: Vec<u8>,
}

impl<W: Write> Printer<W> {
    fn all(&mut self, recovery: &mut Recovery, json: bool) -> Result<(), PrintError> {
        for (role, lines) in &recovery.journaled {
            if json {
                let lines = String::from_utf8_lossy(lines);
                writeln!(self.out, "{}", json!({ "role": role, "journaled": lines }))?;
            } else {
                self.out.write_all(lines)?;
            }
        }
        recovery.for_each(|record| if json { self.json(record) } else { self.line(record) })?;
        self.out.flush()?;
        Ok(())
    }

    /// Prints a line, and returns its length.
    fn line(&mut self, recovered: &Recovered<'_>) -> Result<u64, PrintError> {
        let Recovered { record, site, realtime_ns, pid, .. } = recovered;
        self.text.clear();
        render::head(&mut self.text, &mut self.stamp, *realtime_ns, *pid, record.level);
        render::record(&mut self.text, record, *site);
        self.out.write_all(&self.text)?;
        Ok(self.text.len() as u64)
    }

    fn json(&mut self, recovered: &Recovered<'_>) -> Result<u64, PrintError> {
        self.text.clear();
        self.stamp.date_time(recovered.realtime_ns, &mut self.text);
        let line = object(recovered, &String::from_utf8_lossy(&self.text)).to_string();
        writeln!(self.out, "{line}")?;
        Ok(line.len() as u64 + 1)
    }
}

fn object(recovered: &Recovered<'_>, time: &str) -> Value {
    let Recovered { record, realtime_ns, pid, role, site, thread_name } = recovered;
    let call_site = site.map(Template::site);
    let extra = |kind| record.extra(kind).map(String::from_utf8_lossy);
    let line = record.extra(extra_kind::LINE).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    json!({
        "time": time,
        "time_ns": realtime_ns,
        "level": record.level.to_string(),
        "role": role,
        "pid": pid,
        "thread": record.thread,
        "thread_name": thread_name,
        "target": call_site.map(|site| site.target.as_ref().into()).or_else(|| extra(extra_kind::TARGET)),
        "file": call_site.map(|site| site.file.as_ref().into()).or_else(|| extra(extra_kind::FILE)),
        "line": call_site.map(|site| site.line).or(line),
        "message": String::from_utf8_lossy(&message(record, *site)),
        "cut_from_bytes": record.cut_from(),
    })
}

/// The message, put together from its values where it has some.
fn message<'a>(record: &Record<'a>, site: Option<&Template>) -> Cow<'a, [u8]> {
    if !record.has_values() {
        return record.text().into();
    }
    let mut text = Vec::new();
    render::record(&mut text, record, site);
    text.pop();
    text.into()
}

/// One line a ring on standard error, and the exit status.
fn summary(recovery: &Recovery) -> Exit {
    let (mut records, mut damaged) = (0, 0);
    for report in recovery.reports() {
        records += report.records;
        damaged += report.damaged + report.withheld;
        eprintln!("{}", describe(report));
    }
    for error in &recovery.refused {
        eprintln!("{error}");
    }
    let journaled = recovery.journaled.len();
    if journaled > 0 {
        eprintln!("journal: lines of {journaled} log files that a flusher could not finish writing");
    }
    if recovery.reports().count() == 0 && recovery.refused.is_empty() {
        eprintln!("no rings found");
    }
    match records {
        _ if damaged > 0 || !recovery.refused.is_empty() => Exit::Damaged,
        0 if journaled == 0 => Exit::Nothing,
        _ => Exit::Done,
    }
}

fn describe(report: &RingReport) -> String {
    let state = match (report.verdict, report.closed) {
        (Verdict::Alive, _) => "alive".to_owned(),
        (_, Closed::Exit) => "ended normally".to_owned(),
        (_, Closed::Signal(signal)) => format!("ended by signal {signal}"),
        (Verdict::Exec, Closed::Open) => "replaced its program (exec)".to_owned(),
        (Verdict::Perhaps, Closed::Open) => "cannot be seen from here, probably dead".to_owned(),
        (Verdict::Dead, Closed::Open) => "died without closing".to_owned(),
    };
    let withheld = match report.withheld {
        0 => String::new(),
        count => format!(", {count} left out because they would print {RENDERED_TIMES} times what the ring holds"),
    };
    format!(
        "{}: role {}, pid {}, {state}; {} records, {} lost before them, {} cut off in the middle, {} damaged slots{withheld}",
        report.path.display(),
        report.role,
        report.pid,
        report.records,
        report.lost,
        report.in_flight,
        report.damaged
    )
}
