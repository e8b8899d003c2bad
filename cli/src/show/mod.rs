//! `lastwords show`: everything of log folders in one order of time.

pub(crate) mod arguments;
mod backward;
mod crash;
mod cursor;
mod deaths;
mod field_test;
mod follow;
mod forward;
mod head;
mod json_record;
mod levels;
mod output;
mod pager;
mod piece;
mod printer;
mod record_id;
mod role_log;
mod select;
mod skip;
mod sources;
mod spool;
mod stream;
mod timeline;
mod when;

use crate::exit::Exit;
use crate::place::explained;
use crate::say;
use anstream::AutoStream;
use arguments::Show;
use cursor::Mark;
use deaths::Windows;
use follow::{Followed, ROUND};
use lastwords::{Error, Result};
use lastwords_ring::format::level::Level;
use lastwords_ring::place::clock::realtime_ns;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::zone::Zone;
use output::Output;
use pager::Sink;
use printer::{Around, Printer, Stop};
use role_log::{Place, RoleLog};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use select::Select;
use sources::{Sources, Wanted};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::thread;
use timeline::Timeline;

/// Runs the command.
///
/// # Errors
/// [`Error::Setting`] for an argument that means nothing, [`Error::Io`] for what cannot be read or written.
pub(crate) fn run(show: &Show) -> Result<Exit> {
    raise_descriptor_limit();
    let paths = show.paths()?;
    let marks = match &show.cursor_file {
        Some(path) => {
            cursor::read(path).map_err(|source| Error::Io { doing: "read the cursor", path: path.clone(), source })?
        }
        None => BTreeMap::new(),
    };
    let mut shown: Vec<Shown> = paths.into_iter().map(|path| Shown::new(path, &marks)).collect();
    if show.follow {
        return follow(show, &mut shown);
    }
    let (mut logs, mut names, mut ends) = (Vec::new(), Vec::new(), BTreeMap::new());
    for shown in &mut shown {
        let folder = shown.open(show)?;
        let behind = show.cursor_file.is_some().then_some(&shown.followed.mark);
        let sources = Sources::of(&folder, &Wanted { roles: &show.roles, behind, ..Wanted::default() })?;
        tell(show, &sources);
        ends.insert(shown.name(), sources.end);
        let mut own = sources.logs;
        if show.crash {
            crash::add(&folder, &show.roles, &mut own)?;
        }
        logs.extend(own);
        names.extend(sources.names);
    }
    sort(&mut logs);
    let zone = logs.first().map_or_else(Zone::local, |log| log.zone.clone());
    let mut printer = printer(show, &zone, &names)?;
    let printed = once(show, &mut logs, &mut printer).and_then(|()| printer.flush());
    let found = printer.found;
    printer.finish();
    let whole = ended(printed)?;
    if let Some(path) = show.cursor_file.as_ref().filter(|_| whole) {
        cursor::write(path, &ends).map_err(|source| Error::Io {
            doing: "write the cursor",
            path: path.clone(),
            source,
        })?;
    }
    Ok(if found > 0 { Exit::Done } else { Exit::Nothing })
}

/// A folder that is shown.
struct Shown {
    path: PathBuf,
    followed: Followed,
}

impl Shown {
    fn new(path: PathBuf, marks: &BTreeMap<String, Mark>) -> Shown {
        let path = std::path::absolute(&path).unwrap_or(path);
        let mark = marks.get(&*path.to_string_lossy()).cloned().unwrap_or_default();
        Shown { path, followed: Followed::behind(mark) }
    }

    fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    fn open(&self, show: &Show) -> Result<Folder> {
        show.rings.to_read(Folder::to_read(&self.path).map_err(explained)?)
    }
}

/// Says on standard error what is missing.
fn tell(show: &Show, sources: &Sources) {
    if let Some(missing) = sources.missing.as_ref().filter(|_| !show.quiet) {
        say::note(format_args!("{missing}"));
    }
}

/// By role, because that is the order of equal times.
fn sort(logs: &mut [RoleLog]) {
    logs.sort_by(|a, b| a.role.cmp(&b.role));
}

fn printer(show: &Show, zone: &Zone, names: &[(String, Level)]) -> Result<Printer> {
    let now = realtime_ns();
    let named = if show.utc { Zone::utc() } else { zone.clone() };
    let at = |when: &when::When| u64::try_from(when.ns(&named, now)).unwrap_or(0);
    let started = show.boot.then(|| now.saturating_sub(boottime_ns()));
    let since = show.since.as_ref().map(at).max(started);
    let select = Select::new(show, (since, show.until.as_ref().map(at)), names)
        .map_err(|why| Error::Setting { name: "show".into(), why })?;
    let is_terminal = io::stdout().is_terminal();
    let terminal = is_terminal.then(|| AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never);
    let sink = Sink::open(!show.follow && !show.no_pager);
    Ok(Printer::new(select, Around::of(show), Output::new(show.output, show.utc, zone, terminal), sink))
}

fn boottime_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// Prints what is there.
fn once(show: &Show, logs: &mut Vec<RoleLog>, printer: &mut Printer) -> std::result::Result<(), Stop> {
    if show.last_run {
        last_runs(logs).map_err(Stop::Read)?;
    }
    // What came before a death is shown from whatever time it is.
    if show.before_crash.is_none() {
        logs.iter_mut().for_each(|log| log.skip(printer.select.between));
    }
    if show.reverse {
        let mut timeline = Timeline::backward(logs).map_err(Stop::Read)?;
        return printer.all(&mut timeline, show.lines, |_| false);
    }
    if let Some(lines) = show.lines {
        let places = last(logs, lines, printer, Around::of(show)).map_err(Stop::Read)?;
        *logs = logs.iter().zip(&places).map(|(log, place)| log.from(place)).collect();
    }
    if let Some(before) = show.before_crash {
        let mut timeline = Timeline::forward(logs, None).map_err(Stop::Read)?;
        let found = Windows::find(&mut timeline, &printer.select, before).map_err(Stop::Read)?;
        printer.windows = Some(found);
    }
    let whole = show.before_crash.is_some() || Around::of(show).is_some();
    let only = printer.select.searchable().filter(|_| !whole).cloned();
    let mut timeline = Timeline::forward(logs, only.as_ref()).map_err(Stop::Read)?;
    printer.all(&mut timeline, None, |_| false)
}

/// Where the last so many records begin that are wanted, with those before them that are asked for.
fn last(logs: &[RoleLog], lines: u64, printer: &Printer, around: Option<Around>) -> io::Result<Vec<Place>> {
    let mut timeline = Timeline::backward(logs)?;
    let (mut left, mut before) = (lines, around.map_or(0, |around| around.before));
    while (left > 0 || before > 0) && timeline.advance()? {
        let record = timeline.record();
        let in_scope = printer.select.is_in_scope(&record);
        if left == 0 && in_scope {
            before -= 1;
        } else if in_scope && printer.select.is_wanted(&record) {
            left -= 1;
        }
        timeline.pass();
    }
    Ok(timeline.places())
}

/// Of each log, what begins with the first record of the process that logged last.
fn last_runs(logs: &mut [RoleLog]) -> io::Result<()> {
    for log in logs {
        let mut stream = Timeline::backward(std::slice::from_ref(log))?;
        let mut newest = None;
        while newest.is_none() && stream.advance()? {
            let record = stream.record();
            newest = (record.head.time_end > 0 && !select::is_own(&record)).then_some(record.head.pid);
        }
        let Some(pid) = newest else { continue };
        let mut stream = Timeline::backward(std::slice::from_ref(log))?;
        let mut places = Vec::new();
        while stream.advance()? {
            stream.pass();
            if stream.record().head.pid == pid {
                places = stream.places();
            }
        }
        if let Some(place) = places.first() {
            *log = log.from(place);
        }
    }
    Ok(())
}

/// Prints what is there, and goes on until it is ended.
fn follow(show: &Show, shown: &mut [Shown]) -> Result<Exit> {
    let mut printer: Option<Printer> = None;
    let mut lines = show.lines;
    loop {
        let (mut logs, mut names, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for (number, shown) in shown.iter_mut().enumerate() {
            let folder = match shown.open(show) {
                // It may appear later.
                Err(error) if error.is_not_found() => continue,
                opened => opened?,
            };
            let sources = shown.followed.round(&folder, &show.roles)?;
            if printer.is_none() {
                tell(show, &sources);
            }
            logs.extend(sources.logs.into_iter().map(|log| (number, log)));
            names.extend(sources.names);
            ends.push((number, sources.end));
        }
        logs.sort_by(|(_, a), (_, b)| a.role.cmp(&b.role));
        let (of, mut logs): (Vec<usize>, Vec<RoleLog>) = logs.into_iter().unzip();
        let zone = || logs.first().map_or_else(Zone::local, |log| log.zone.clone());
        if printer.is_none() && !ends.is_empty() {
            printer = Some(self::printer(show, &zone(), &names)?);
        }
        if let Some(printer) = &mut printer {
            let printed = round(show, &mut logs, &of, shown, printer, lines.take()).and_then(|()| printer.flush());
            if !ended(printed)? {
                return Ok(Exit::Done);
            }
        }
        for (number, end) in ends {
            shown[number].followed.shown(end);
        }
        if let Some(path) = &show.cursor_file {
            let marks = shown.iter().map(|shown| (shown.name(), shown.followed.mark.clone())).collect();
            cursor::write(path, &marks).map_err(|source| Error::Io {
                doing: "write the cursor",
                path: path.clone(),
                source,
            })?;
        }
        thread::sleep(ROUND);
    }
}

/// Prints a round; of the first one only what is asked for.
fn round(
    show: &Show,
    logs: &mut Vec<RoleLog>,
    of: &[usize],
    shown: &mut [Shown],
    printer: &mut Printer,
    lines: Option<u64>,
) -> std::result::Result<(), Stop> {
    if let Some(lines) = lines {
        let places = last(logs, lines, printer, Around::of(show)).map_err(Stop::Read)?;
        *logs = logs.iter().zip(&places).map(|(log, place)| log.from(place)).collect();
    }
    let mut timeline = Timeline::forward(logs, None).map_err(Stop::Read)?;
    printer.all(&mut timeline, None, |timeline| shown[of[timeline.log()]].followed.is_known(timeline))
}

/// Whether all was printed; false where nobody reads on.
fn ended(printed: std::result::Result<(), Stop>) -> Result<bool> {
    match printed {
        Ok(()) => Ok(true),
        Err(Stop::Closed) => Ok(false),
        Err(Stop::Read(source)) => Err(Error::Io { doing: "read a log of", path: "the folder".into(), source }),
        Err(Stop::Write(source)) => Err(Error::Io { doing: "write", path: "standard output".into(), source }),
    }
}

/// Every file of a folder is open while it is shown, so that none is lost to a rotation.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
