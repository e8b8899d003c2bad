//! `lastwords level`.

pub(crate) mod keep;
mod teller;

use crate::cli;
use crate::exit::Exit;
use crate::place::explained;
use crate::say;
use crate::table::table;
use lastwords::{Directives, Error, Level, Result};
use lastwords_flusher::recover::status::RingStatus;
use lastwords_ring::format::filter::Filter;
use lastwords_ring::format::text::{escaped, escaped_json, escaped_path};
use lastwords_ring::place::clock::boottime_ns;
use lastwords_ring::place::doorbell::Doorbell;
use lastwords_ring::place::filter_change::FilterChange;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::kept_level::KeptLevelLock;
use lastwords_ring::read::reader::RingReader;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) fn run(arguments: &cli::Level) -> Result<Exit> {
    keep::check(arguments)?;
    let folder = folder(arguments)?;
    let asked = Asked::of(arguments, &running(&folder, None)?)?;
    let (running, changed) =
        if asked.changes() { asked.change(&folder)? } else { (running(&folder, asked.target)?, false) };
    let kept = keep::of(&folder, asked.target)?;
    if running.is_empty() && kept.is_empty() && !changed {
        let whom = asked.target.map_or_else(String::new, |target| format!(" with role or pid {}", escaped(target)));
        say::note(format_args!("no running process{whom} in {}", escaped_path(folder.path())));
        if asked.target.is_some() && !asked.changes() {
            say::note(format_args!("expected a role, a pid, a level, or directives as in \"info,hyper=warn\""));
        }
        return Ok(Exit::Nothing);
    }
    show(&running, &kept, arguments.json)?;
    Ok(if kept.iter().any(|(_, kept)| kept.is_err()) { Exit::Damaged } else { Exit::Done })
}

/// The log folder. What is kept before anything has logged there needs its rings folder.
fn folder(arguments: &cli::Level) -> Result<Folder> {
    let path = arguments.place.path()?;
    let folder = Folder::open(&path).map_err(explained)?;
    match arguments.rings.of(folder) {
        Ok(folder) if !arguments.keep || folder.is_used() => Ok(folder),
        Err(error) if !arguments.keep || !error.is_not_found() => Err(error),
        Ok(_) | Err(_) => arguments.rings.created_for(Folder::create(&path)?),
    }
}

/// The requested change.
struct Asked<'a> {
    target: Option<&'a str>,
    directives: Option<Directives>,
    ring_level: Option<Level>,
    arguments: &'a cli::Level,
}

impl<'a> Asked<'a> {
    fn of(arguments: &'a cli::Level, running: &[Running]) -> Result<Asked<'a>> {
        let is_target = |text: &str| running.iter().any(|found| found.is(text));
        let (target, directives) = match (arguments.target.as_deref(), arguments.directives.as_deref()) {
            (Some(only), None) if !arguments.keep && !is_target(only) && is_meant_for_all(only) => (None, Some(only)),
            given => given,
        };
        let directives = directives.map(|text| text.parse::<Directives>()).transpose().map_err(refused)?;
        Ok(Asked { target, directives, ring_level: arguments.ring_level, arguments })
    }

    fn changes(&self) -> bool {
        self.directives.is_some() || self.ring_level.is_some() || self.arguments.reset
    }

    /// Changes what is kept, then what the processes record that run by then. Returns those, and whether anything was kept or
    /// taken back.
    fn change(&self, folder: &Folder) -> Result<(Vec<Running>, bool)> {
        // Held until all is changed: a process that starts meanwhile reads what is kept once it can be found here.
        let lock = if folder.is_used() { Some(KeptLevelLock::take(folder)?) } else { None };
        let changes = lock.as_ref().map_or(Ok(Vec::new()), |lock| self.change_kept(folder, lock))?;
        let mut running = running(folder, self.target)?;
        self.warn(&running);
        for found in &mut running {
            self.change_one(folder, found)?;
        }
        for (role, text) in &changes {
            let ring = running.iter().find(|found| found.status.role == *role);
            keep::tell(folder, ring.map(|found| &found.reader), role, text);
        }
        // The flusher has front ends of its own that apply the change.
        Doorbell::ring_once(folder);
        Ok((running, !changes.is_empty()))
    }

    /// Returns the lines to log, by role.
    fn change_kept(&self, folder: &Folder, lock: &KeptLevelLock) -> Result<Vec<(String, String)>> {
        let user = rustix::process::getuid().as_raw();
        if let Some(role) = self.target.filter(|_| self.arguments.keep) {
            let kept = keep::keep(folder, role, (self.directives.as_ref(), self.ring_level), lock)?;
            let words = keep::in_words(&kept);
            let text = format!(
                "lastwords: processes of this role that start later begin with {words}: kept by user {user} (lastwords level --keep)"
            );
            return Ok(vec![(role.to_owned(), text)]);
        }
        if !self.arguments.reset {
            return Ok(Vec::new());
        }
        let taken = keep::take_back(folder, self.target, lock)?.into_iter().map(|(role, kept)| {
            let words = kept.map_or_else(|_| "what could not be read".to_owned(), |kept| keep::in_words(&kept));
            (role, format!("lastwords: processes of this role that start later begin as they are set up: user {user} took back {words} (lastwords level --reset)"))
        });
        Ok(taken.collect())
    }

    fn warn(&self, running: &[Running]) {
        let roles =
            running.iter().map(|found| found.status.role.as_str()).chain(self.target.filter(|_| self.arguments.keep));
        let warnings: BTreeSet<String> = roles.filter_map(|role| self.directives.as_ref()?.names_role(role)).collect();
        warnings.iter().for_each(|warning| say::note(format_args!("{warning}")));
    }

    fn change_one(&self, folder: &Folder, found: &mut Running) -> Result<()> {
        let (directives, ring_level) = match found.reader.first_filter()? {
            Some(first) if self.arguments.reset => (Some(first.directives), Some(first.ring_level)),
            None if self.arguments.reset => {
                say::note(format_args!(
                    "the ring of pid {} does not hold what the process began with",
                    found.status.pid
                ));
                return Ok(());
            }
            _ => (self.directives.clone(), self.ring_level),
        };
        let before = found.change(directives, ring_level, self.arguments.time)?;
        let changes = before.changes_to(&found.status.filter);
        if changes.is_empty() {
            return Ok(());
        }
        let time = self.arguments.time.map_or_else(String::new, |time| format!(" for {} s", time.as_secs()));
        let (user, pid) = (rustix::process::getuid().as_raw(), found.status.pid);
        let text = format!("lastwords: level of pid {pid} changed by user {user} (lastwords level){time}: {changes}");
        if let Err(error) = teller::tell(folder, &found.reader, &text) {
            say::note(format_args!("the change applies, but is not logged: {error}"));
        }
        Ok(())
    }
}

/// Whether a single argument that names no running process is for all. A word that is neither a level nor a misspelt one may be
/// the name of a role whose process has ended; taken for directives, it would turn everything else off.
fn is_meant_for_all(text: &str) -> bool {
    let is_number = text.parse::<u32>().is_ok();
    let is_level = !is_number && text.parse::<Level>().is_ok();
    is_level || text.contains(['=', ',']) || (!is_number && text.parse::<Directives>().is_err())
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Setting { name: "DIRECTIVES".into(), why: error.to_string() }
}

/// A running process and its ring.
struct Running {
    reader: RingReader,
    status: RingStatus,
}

/// Those of a role or pid, or all.
fn running(folder: &Folder, target: Option<&str>) -> Result<Vec<Running>> {
    let mut found = Vec::new();
    for name in folder.ring_names()? {
        // An unreadable ring has no running process, or is reported by `lastwords status`.
        let Ok(reader) = RingReader::open_in(folder, &name) else { continue };
        let status = RingStatus::read(&reader)?;
        let running = Running { reader, status };
        if running.status.alive && target.is_none_or(|target| running.is(target)) {
            found.push(running);
        }
    }
    Ok(found)
}

impl Running {
    fn is(&self, target: &str) -> bool {
        self.status.role == target || self.status.pid.to_string() == target
    }

    /// Returns the filter that it replaced.
    fn change(
        &mut self,
        directives: Option<Directives>,
        ring_level: Option<Level>,
        time: Option<Duration>,
    ) -> Result<Filter> {
        let change = FilterChange::begin(self.reader.source(), self.reader.geometry());
        let filter = &mut self.status.filter;
        let changed = change.present().and_then(|(before, end)| {
            *filter = Filter {
                directives: directives.unwrap_or_else(|| before.directives.clone()),
                ring_level: ring_level.unwrap_or(before.ring_level),
            };
            // The filter to go back to is the one that was set for good.
            let then = end.map_or_else(|| before.clone(), |(_, then)| then);
            match time {
                None => change.write(filter)?,
                Some(time) => change.write_until(filter, boottime_ns() + time.as_nanos() as u64, &then)?,
            }
            Ok(before)
        });
        changed.map_err(Error::io("change the filter in", self.reader.path()))
    }
}

fn show(running: &[Running], kept: &[keep::OfRole], json: bool) -> Result<()> {
    let mut rows = vec![["ROLE", "PID", "LOG", "RING-LEVEL"].map(str::to_owned)];
    let mut text = String::new();
    for Running { status, .. } in running {
        let Filter { directives, ring_level } = &status.filter;
        let (log, ring_level) = (directives.to_string(), Directives::from(*ring_level).to_string());
        if json {
            let object = json!({ "role": status.role, "pid": status.pid, "log": log, "ring_level": ring_level });
            text += &(escaped_json(&object.to_string()) + "\n");
        } else {
            rows.push([escaped(&status.role), status.pid.to_string(), escaped(&log), ring_level]);
        }
    }
    if !json && !running.is_empty() {
        text = table(&rows);
    }
    for (role, kept) in kept {
        match kept {
            Ok(kept) if json => {
                let object = json!({ "kept": keep::object(role, kept) });
                text += &(escaped_json(&object.to_string()) + "\n");
            }
            Ok(kept) => text += &keep::line(role, kept),
            Err(error) => say::note(format_args!("{error}")),
        }
    }
    say::print(text.as_bytes())
}
