//! `lastwords level`.

use crate::cli;
use crate::exit::Exit;
use crate::table::table;
use lastwords::clock::boottime_ns;
use lastwords::event::Event;
use lastwords::filter::{Destination, Filter};
use lastwords::flush::status::RingStatus;
use lastwords::folder::Folder;
use lastwords::layout::file_flag;
use lastwords::reader::RingReader;
use lastwords::{Directives, Error, Flusher, Format, Level, Memory, Result, escaped, escaped_path};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

/// A running process and its ring.
struct Running {
    reader: RingReader,
    status: RingStatus,
}

pub(crate) fn run(arguments: &cli::Level) -> Result<Exit> {
    let folder = arguments.rings.of(Folder::open(&arguments.place.path()?)?)?;
    let mut running = running(&folder)?;
    let is_target = |text: &str| running.iter().any(|found| found.is(text));
    let (target, directives) = match (&arguments.target, &arguments.directives) {
        (Some(only), None) if !is_target(only) && is_meant_for_all(only) => (None, Some(only)),
        (target, directives) => (target.as_ref(), directives.as_ref()),
    };
    let directives = directives.map(|text| text.parse::<Directives>()).transpose().map_err(refused)?;
    running.retain(|found| target.is_none_or(|target| found.is(target)));
    let warnings: BTreeSet<String> = directives
        .iter()
        .flat_map(|given| running.iter().filter_map(|found| given.names_role(&found.status.role)))
        .collect();
    warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let changes = directives.is_some() || arguments.record.is_some() || arguments.reset;
    for found in running.iter_mut().filter(|_| changes) {
        let before = found.status.filter.clone();
        let (directives, record) = match found.reader.first_filter()? {
            Some(first) if arguments.reset => (Some(first.directives), Some(first.record)),
            None if arguments.reset => {
                eprintln!("the ring of pid {} does not hold what the process began with", found.status.pid);
                continue;
            }
            _ => (directives.clone(), arguments.record),
        };
        found.change(directives.as_ref(), record, arguments.time)?;
        if let Err(error) = found.tell(&folder, &before, arguments.time) {
            eprintln!("the change counts, but the log does not say so: {error}");
        }
    }
    if changes {
        // Whoever flushes has front ends of its own that follow.
        folder.ring_doorbell();
    }
    if running.is_empty() {
        let whom = target.map_or_else(String::new, |target| format!(" with role or pid {}", escaped(target)));
        eprintln!("no running process{whom} in {}", escaped_path(folder.path()));
        if arguments.directives.is_none() && target.is_some() {
            eprintln!("expected a role, a pid, a level, or directives as in \"info,hyper=warn\"");
        }
        return Ok(Exit::Nothing);
    }
    show(&running, arguments.json);
    Ok(Exit::Done)
}

/// Whether a single argument that names no running process is for all. A word that is no level, and no misspelt one, may be
/// the name of a role whose process has ended; taken for directives, it would turn everything else off.
fn is_meant_for_all(text: &str) -> bool {
    let is_number = text.parse::<u32>().is_ok();
    let is_level = !is_number && text.parse::<Level>().is_ok();
    is_level || text.contains(['=', ',']) || (!is_number && text.parse::<Directives>().is_err())
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Setting { name: "DIRECTIVES".into(), why: error.to_string() }
}

fn running(folder: &Folder) -> Result<Vec<Running>> {
    let mut found = Vec::new();
    for name in folder.ring_names()? {
        // What cannot be read is no running process's, or is told by `lastwords status`.
        let Ok(reader) = RingReader::open_in(folder, &name) else { continue };
        let status = RingStatus::read(&reader)?;
        if status.alive {
            found.push(Running { reader, status });
        }
    }
    Ok(found)
}

impl Running {
    fn is(&self, target: &str) -> bool {
        self.status.role == target || self.status.pid.to_string() == target
    }

    fn change(&mut self, directives: Option<&Directives>, record: Option<Level>, time: Option<Duration>) -> Result<()> {
        // What comes after it is what was there for good.
        let then = self.reader.control()?.filter_end().map_or_else(|| self.status.filter.clone(), |(_, then)| then);
        let filter = &mut self.status.filter;
        filter.directives = directives.unwrap_or(&filter.directives).clone();
        filter.record = record.unwrap_or(filter.record);
        let (ring, geometry) = (self.reader.source(), self.reader.geometry());
        let written = match time {
            None => filter.write(ring, geometry),
            Some(time) => filter.write_until(boottime_ns() + time.as_nanos() as u64, &then, ring, geometry),
        };
        let path = self.reader.path().to_owned();
        written.map_err(|source| Error::Io { doing: "change the filter in", path, source })
    }
}

impl Running {
    /// Has the log say who changed what: as a record of this process, in the log files of the role as its process keeps them.
    fn tell(&self, folder: &Folder, before: &Filter, time: Option<Duration>) -> Result<()> {
        let (status, changes) = (&self.status, before.changes_to(&self.status.filter));
        if changes.is_empty() {
            return Ok(());
        }
        let time = time.map_or_else(String::new, |time| format!(" for {} s", time.as_secs()));
        let (user, pid) = (rustix::process::getuid().as_raw(), status.pid);
        let text = format!("lastwords: level of pid {pid} changed by user {user} (lastwords level){time}: {changes}");
        let header = self.reader.header();
        let mut builder = lastwords::builder(status.role.as_str());
        // The files keep the mode and group that the process asked for.
        if header.file_mode != 0 {
            builder = builder.file_mode(header.file_mode.into());
        }
        if header.file_flags & file_flag::GROUP != 0 {
            builder = builder.file_group(header.file_group.to_string());
        }
        let log = builder
            .app(self.reader.app())
            .dir(folder.path())
            .rings(folder.rings())
            .flusher(Flusher::Never)
            .log("info")
            .record(Level::OFF)
            .console(false)
            .dev(false)
            .memory(Memory::File)
            .time_zone(folder.zone().name())
            .format(Format::of_flags(header.flags))
            .rotate_size(header.rotate_size.max(4096))
            .rotate_keep(header.rotate_keep.clamp(1, 100))
            .durable(Duration::from_millis(header.sync_ms.into()))
            .slots_per_lane(8)
            .lanes(3)
            .open()?;
        log.record(&Event {
            level: Level::INFO,
            destination: Destination::Write,
            target: "lastwords",
            file: "",
            line: 0,
            text: text.as_bytes(),
            fields: &[],
            relayed: None,
            exception_at: None,
        });
        Ok(())
    }
}

fn show(running: &[Running], json: bool) {
    let mut rows = vec![["ROLE", "PID", "LOG", "RECORD"].map(str::to_owned)];
    let mut text = String::new();
    for Running { status, .. } in running {
        let record =
            if status.filter.record == Level::OFF { "off".to_owned() } else { status.filter.record.to_string() };
        let (log, record) = (status.filter.directives.to_string(), record.to_ascii_lowercase());
        if json {
            text += &format!("{}\n", json!({ "role": status.role, "pid": status.pid, "log": log, "record": record }));
        } else {
            rows.push([escaped(&status.role), status.pid.to_string(), escaped(&log), record]);
        }
    }
    if !json {
        text = table(&rows);
    }
    // Nobody reads standard output any more: then nobody misses it.
    let _ = io::stdout().write_all(text.as_bytes());
}
