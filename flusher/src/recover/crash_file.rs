//! The black box: all that a ring still holds, with what is known of its process.
//!
//! A process that died without closing its log leaves `<role>-<pid>-<UTC time>.crash.log` in the log folder. The time is
//! that of its last record, so a flusher that begins the file again, because the one before it died, finds the same name.

use crate::crash::teller::Teller;
use crate::crash::told::{Dead, DiedOf, Told};
use crate::evidence::ending::WaitStatus;
use crate::recover::crash_loop;
use crate::recover::crash_name::{CRASH_ENDING, first_bytes};
use crate::recover::recovery::{Recovered, Recovery, RingReport, Scope};
use crate::render::escape;
use crate::render::line;
use crate::render::timestamp::{Stamp, civil};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::directives::Directives;
use lastwords_ring::format::filter::Filter;
use lastwords_ring::format::layout::{CRASH_FILES_DEFAULT, RingHeader};
use lastwords_ring::format::text::hex;
use lastwords_ring::place::access::Access;
use lastwords_ring::place::crash_notes::{self, Attachment};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::open;
use lastwords_ring::place::unnamed_file::Nameless;
use lastwords_ring::place::zone::{Zone, offset_text};
use lastwords_ring::read::capture;
use lastwords_ring::read::reader::RingReader;
use lastwords_ring::read::ring_file::RingFile;
use rustix::fs::FileType;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Crash files with equal role, pid and second, of containers that share the folder.
const NAMESAKES_MAX: u32 = 9;

/// What a ring still holds.
#[derive(Debug)]
pub struct BlackBox {
    recovery: Recovery,
    newest_ns: u64,
    told: Option<Told>,
    program: Option<ProgramCrash>,
    /// The first of the deaths that follow each other, and this is one of them.
    first: Option<String>,
}

/// The end of a program that another process ran, which logged for it.
#[derive(Debug, Clone)]
pub struct ProgramCrash {
    /// The program's pid.
    pub pid: u32,
    /// How it ended, as the predicate of a sentence.
    pub ending: String,
    /// Further lines of the head, with the name of each.
    pub head: Vec<(&'static str, String)>,
}

impl BlackBox {
    /// The black box in this ring file, of a process that lives or is dead.
    ///
    /// # Errors
    /// As [`RingReader::open`], and [`Error::Io`] if the ring cannot be read.
    pub fn open(ring: &Path) -> Result<BlackBox> {
        BlackBox::new(RingReader::reopening(ring)?)
    }

    /// Like [`BlackBox::open`], for the ring of this name in `folder`, with the files beside its entry there, wherever its
    /// memory is.
    ///
    /// # Errors
    /// As [`BlackBox::open`].
    pub fn open_in(folder: &Folder, name: &str) -> Result<BlackBox> {
        BlackBox::new(RingReader::reopening_in(folder, name)?)
    }

    fn new(reader: RingReader<RingFile>) -> Result<BlackBox> {
        let mut recovery = Recovery::new(Scope::Everything);
        recovery.add(Ok(reader), None);
        if let Some(error) = recovery.refused.pop() {
            return Err(error);
        }
        let found =
            recovery.rings().first().map(|ring| Ok::<_, Error>((ring.newest_ns()?, ring.reader().header().created_ns)));
        let (newest, created) = found.transpose()?.unwrap_or_default();
        let newest_ns = newest.unwrap_or(created);
        Ok(BlackBox { recovery, newest_ns, told: None, program: None, first: None })
    }

    /// Adds what the process's capture tells, if it left one.
    pub fn tell(&mut self, teller: &Teller) {
        let Some(of) = self.report().and_then(RingReport::died_of) else { return };
        let ring = self.recovery.rings().first().map(|ring| ring.reader());
        let dead = ring.map(|reader| Dead { entry: reader.entry().to_owned(), pid: reader.header().pid, of });
        self.told = dead.and_then(|dead| teller.tell(dead));
    }

    /// What is known of the ring; its counts are those of what was read so far.
    #[must_use]
    pub fn report(&self) -> Option<&RingReport> {
        self.recovery.reports().next()
    }

    /// Writes what is known of the process, then all records in the order of time, with the name of their thread, then what
    /// the process attached.
    ///
    /// # Errors
    /// Errors of `out`, as [`Error::Io`] about `path`, and [`Error::Io`] if the ring cannot be read.
    pub fn write(&mut self, out: &mut impl Write, zone: &Zone, path: &Path) -> Result<()> {
        let failed = || Error::io("write", path);
        let mut stamp = Stamp::new(zone.clone());
        let head = self.head(&mut stamp, zone)?;
        out.write_all(head.as_bytes()).map_err(failed())?;
        let mut text = Vec::new();
        self.recovery.for_each(|recovered| {
            text.clear();
            line(&mut text, &mut stamp, recovered);
            out.write_all(&text).map_err(failed())?;
            Ok(text.len() as u64)
        })?;
        let attached = self.recovery.rings().first().map(|ring| attached(ring.reader().entry())).unwrap_or_default();
        out.write_all(&attached).map_err(failed())?;
        let foot = self.report().map(foot).unwrap_or_default();
        out.write_all(foot.as_bytes()).map_err(failed())
    }

    /// Of the process that it is about.
    fn pid(&self) -> u32 {
        let own = || self.recovery.rings().first().map(|ring| ring.reader().header().pid).unwrap_or_default();
        self.program.as_ref().map_or_else(own, |program| program.pid)
    }

    fn head(&self, stamp: &mut Stamp, zone: &Zone) -> Result<String> {
        let (Some(ring), Some(report)) = (self.recovery.rings().first(), self.report()) else {
            return Ok(String::new());
        };
        let (reader, control) = (ring.reader(), ring.reader().control()?);
        let header = reader.header();
        let seconds = self.newest_ns.saturating_sub(header.created_ns) as f64 / 1e9;
        let first = self.first.clone().map(|first| ("crash loop", format!("since {first}")));
        let wait_status = (!report.verdict.may_live()).then(|| ("wait status", wait_status(report.status)));
        let process = [
            ("black box of", format!("{}, pid {}, application {}", reader.role(), self.pid(), reader.app())),
            ("process", self.program.as_ref().map_or_else(|| report.ending(), |program| program.ending.clone())),
        ];
        let of_program = self.program.iter().flat_map(|program| program.head.clone());
        let head = [
            ("command", format!("{:?}", reader.command()?)),
            ("started in", reader.folder()?.unwrap_or_else(|| "unknown".to_owned())),
            ("logged from", stamp.shown(header.created_ns)),
            ("last record", format!("{}, {seconds:.3} s later", stamp.shown(self.newest_ns))),
            ("time zone", zone_text(zone, self.newest_ns)),
            ("recorded", recorded(&control.filter())),
            (
                "counters",
                format!(
                    "{} dropped at the full ring, {} cut, {} without a lane, {} call sites without room in the table",
                    report.lost,
                    control.cut(),
                    control.unplaced(),
                    control.table_refused()
                ),
            ),
            ("ring", hex(&header.uuid)),
        ];
        let mut text = Vec::new();
        let is_of_signal = report.died_of() == Some(DiedOf::Signal);
        let why = is_of_signal.then(|| capture::why_none(reader.entry())).flatten();
        let captured = why.map(|why| ("captured", format!("no: {why}")));
        for (name, value) in
            process.into_iter().chain(of_program).chain(wait_status).chain(first).chain(head).chain(captured)
        {
            escape::escape(&mut text, format!("{name:<13}{}", value.replace('\n', "\\n")).as_bytes());
            text.push(b'\n');
        }
        if let Some(told) = &self.told {
            escape::escape(&mut text, told.part.as_bytes());
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        text.push(b'\n');
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// What the kernel reported of the end: the only proof of it.
fn wait_status(status: Option<WaitStatus>) -> String {
    status.map_or("unknown".to_owned(), |status| status.to_string())
}

/// The zone of the times, with its offset at the last record.
fn zone_text(zone: &Zone, ns: u64) -> String {
    let offset = offset_text(zone.offset((ns / 1_000_000_000) as i64));
    if zone.name() == offset {
        format!("UTC{offset}")
    } else {
        format!("{}, at the last record UTC{offset}", zone.name())
    }
}

fn recorded(filter: &Filter) -> String {
    let finest = Directives::from(filter.finest());
    format!("{} in the log files, {finest} in the ring; all that it still holds follows", filter.directives)
}

fn line(text: &mut Vec<u8>, stamp: &mut Stamp, recovered: &Recovered<'_>) {
    let Recovered { record, realtime_ns, pid, site, level_name, thread_name, .. } = recovered;
    line::head_of(text, stamp, record, *realtime_ns, *pid, *level_name);
    text.push(b'[');
    if let Some(name) = thread_name {
        escape::escape(text, String::from_utf8_lossy(name).replace('\n', "\\n").as_bytes());
        text.push(b' ');
    }
    text.extend_from_slice(record.thread.to_string().as_bytes());
    text.extend_from_slice(b"] ");
    line::record(text, record, *site);
}

/// The attachment of the ring with this entry, below a line of its own. If it cannot be read, the rest is shown all the same.
fn attached(entry: &Path) -> Vec<u8> {
    let (what, text) = match crash_notes::read(entry) {
        Ok(None) => return Vec::new(),
        Ok(Some(Attachment { text, left_out: 0 })) => (format!("{} bytes", text.len()), text),
        Ok(Some(Attachment { text, left_out })) => {
            (format!("{} bytes, {left_out} more are left out", text.len()), text)
        }
        Err(error) => (format!("cannot be read: {error}"), Vec::new()),
    };
    let mut lines = b"\n".to_vec();
    // Escaped as one text, because only further lines of a text are checked for forged records.
    escape::escape(&mut lines, &[format!("{:<13}{what}\n", "attached").as_bytes(), &text].concat());
    if !lines.ends_with(b"\n") {
        lines.push(b'\n');
    }
    lines
}

fn foot(report: &RingReport) -> String {
    let RingReport { records, in_flight, damaged, .. } = report;
    format!("\nend          {records} records, {in_flight} log calls interrupted, {damaged} damaged slots\n")
}

/// The settings of a crash file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// How many of the role are kept.
    pub(crate) keep: usize,
    /// How many bytes they have at most, 0 for no limit.
    pub(crate) bytes: u64,
    /// It is to be on the disk when it gets its name.
    pub(crate) sync: bool,
    /// Mode and group, overriding the ring.
    pub(crate) access: Option<Access>,
}

/// Writes the crash file of a dead process's ring, which has this name in `folder`, and returns its name, or its existing name
/// if an earlier flusher wrote it. `status` is the kernel's report of its end, `told` what its capture tells. The file is visible only when it is complete.
/// Then removes those of the role that exceed the limits.
///
/// # Errors
/// [`Error::Io`] if it cannot be written or the ring not be read.
pub(crate) fn write_crash_file(
    folder: &Folder,
    ring: &str,
    status: Option<WaitStatus>,
    told: Option<&Told>,
    asked: &Asked,
) -> Result<String> {
    let mut black_box = BlackBox::open_in(folder, ring)?;
    black_box.told = told.cloned();
    black_box.recovery.rings_mut().iter_mut().for_each(|ring| ring.set_status(status));
    write_named(folder, black_box, asked)
}

/// Keeps what the ring of this name in `folder` holds as the crash file of a program that its process ran, and returns the
/// file's name; None if its role is to keep none.
///
/// # Errors
/// [`Error::Io`] if it cannot be written or the ring not be read.
pub fn write_of_program(folder: &Folder, ring: &str, program: ProgramCrash) -> Result<Option<String>> {
    let mut black_box = BlackBox::open_in(folder, ring)?;
    let Some(reader) = black_box.recovery.rings().first().map(|ring| ring.reader()) else { return Ok(None) };
    let (keep, bytes) = (kept(reader.header()), reader.file_settings()?.crash_total);
    if keep == 0 {
        return Ok(None);
    }
    black_box.program = Some(program);
    write_named(folder, black_box, &Asked { keep, bytes, sync: false, access: None }).map(Some)
}

/// How many crash files a ring asks for.
pub(crate) fn kept(header: &RingHeader) -> usize {
    match header.crash_keep {
        0 => CRASH_FILES_DEFAULT as usize,
        stated => stated as usize - 1,
    }
}

/// Writes a crash file under the name that its role, process and time give it.
fn write_named(folder: &Folder, mut black_box: BlackBox, asked: &Asked) -> Result<String> {
    let Asked { sync, access, .. } = *asked;
    let pid = black_box.pid();
    let Some(found) = black_box.recovery.rings().first() else { return Ok(String::new()) };
    let (header, role) = (*found.reader().header(), found.reader().role().to_owned());
    let time =
        civil((black_box.newest_ns / 1_000_000_000) as i64, 0).map(|time| time.strftime("%Y%m%dT%H%M%SZ").to_string());
    let time = time.unwrap_or_default();
    let stem = format!("{role}-{pid}-{time}");
    let mut name = format!("{stem}{CRASH_ENDING}");
    for namesake in 2..=NAMESAKES_MAX {
        let path = folder.path().join(&name);
        match first_bytes(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Ok(head) if String::from_utf8_lossy(&head).contains(&hex(&header.uuid)) => return Ok(name),
            Ok(_) => name = format!("{stem}-{namesake}{CRASH_ENDING}"),
            Err(error) if open::is_another_kind(&path, FileType::RegularFile, &error) => {
                name = format!("{stem}-{namesake}{CRASH_ENDING}")
            }
            Err(error) => return Err(Error::io("inspect", path)(error)),
        }
    }
    let first = crash_loop::first_of(folder, &name);
    black_box.first = first.clone();
    let file = Nameless::create(folder.path(), &name)?;
    let mut out = BufWriter::with_capacity(256 << 10, &file);
    black_box.write(&mut out, &folder.zone(), &folder.path().join(&name))?;
    out.flush().map_err(Error::io("write", folder.path().join(&name)))?;
    drop(out);
    // A file that cannot be given to the group still has its owner.
    let _ = file.file().and_then(|file| access.unwrap_or(Access::of_header(&header)).give(file));
    if sync {
        file.file().and_then(File::sync_all).map_err(Error::io("sync", folder.path().join(&name)))?;
    }
    file.publish()?;
    crash_loop::remove_surplus(folder, &name, first.as_deref(), (asked.keep, asked.bytes));
    Ok(name)
}
