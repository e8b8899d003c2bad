//! What a folder holds at one moment, as logs of its roles.
//!
//! The rings are read first, from what their positions say, and the files and the journal after them: what was released
//! meanwhile, and perhaps overwritten, is in the files by then, and is left out of what was read of the rings.

use super::cursor::{FileMark, Mark};
use super::head::LevelsByName;
use super::piece::{Bytes, Piece};
use super::record_id;
use super::role_log::RoleLog;
use super::spool::{MEMORY, Spool};
use lastwords::{Error, Result};
use lastwords_flusher::recover::recovery::{Recovered, Recovery};
use lastwords_flusher::recover::snapshot::{self, FolderSnapshot, LogFiles};
use lastwords_flusher::render::json::{JsonLines, Origin, RecordId};
use lastwords_flusher::render::line;
use lastwords_flusher::render::timestamp::Stamp;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::text::escaped_path;
use lastwords_ring::place::clock::realtime_ns;
use lastwords_ring::place::folder::{Folder, JSON_ENDING, role_of};
use lastwords_ring::place::zone::Zone;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// What is wanted of a folder.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Only these roles, if any are named.
    pub(crate) roles: &'a [String],
    /// Only what is behind this.
    pub(crate) behind: Option<&'a Mark>,
    /// Of the rings, only what nobody has drained for so long, and of a file only whole lines: for who comes back for the rest.
    pub(crate) undrained_for: Option<Duration>,
    /// Without what the journal has and no file yet.
    pub(crate) without_journaled: bool,
}

/// A folder at one moment.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) logs: Vec<RoleLog>,
    /// Names that processes gave to levels.
    pub(crate) names: Vec<(String, Level)>,
    /// How far it is shown when all of the logs is.
    pub(crate) end: Mark,
    /// What is missing, for standard error.
    pub(crate) missing: Option<String>,
    /// Epoch of the journal.
    pub(crate) epoch: u64,
}

/// What the rings hold, by role.
#[derive(Debug, Default)]
struct Rings {
    spools: BTreeMap<String, Spool>,
    rings: Vec<[u8; 16]>,
    names: Vec<(String, Level)>,
    refused: Vec<Error>,
    epoch: u64,
}

impl Sources {
    /// Reads the rings of a folder, and opens its files.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be listed or a log file not be opened, and for a ring that cannot be read for another
    /// reason than that this user may not.
    pub(crate) fn of(folder: &Folder, wanted: &Wanted<'_>) -> Result<Sources> {
        let zone = folder.zone();
        let read = Rings::read(folder, wanted, &zone)
            .and_then(|rings| FolderSnapshot::take(folder).map(|snapshot| (rings, snapshot)));
        let (rings, snapshot, mut missing) = match read {
            Ok((rings, snapshot)) => {
                let refused = rings.refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                (rings, snapshot, (!refused.is_empty()).then(|| format!("missing is what {refused}")))
            }
            Err(error) if is_forbidden(&error) => {
                let path = escaped_path(folder.path());
                let missing = format!("{path}: only its files are shown, not what is in no file yet: {error}");
                (Rings::default(), FolderSnapshot::files_alone(folder)?, Some(missing))
            }
            Err(error) => return Err(error),
        };
        for refused in &snapshot.refused {
            missing = Some(missing.map_or_else(|| refused.to_string(), |missing| format!("{missing}; {refused}")));
        }
        Sources::build(rings, snapshot, wanted, &zone, missing)
    }

    fn build(
        mut rings: Rings,
        snapshot: FolderSnapshot,
        wanted: &Wanted<'_>,
        zone: &Zone,
        missing: Option<String>,
    ) -> Result<Sources> {
        let mut end = wanted.behind.cloned().unwrap_or_default();
        end.files.clear();
        rings.keep_unwritten(&snapshot, wanted);
        let left_out = wanted.without_journaled && snapshot.logs.iter().any(|log| !log.tail.is_empty());
        if left_out {
            // It precedes what the rings hold, so that comes later too: what is shown of a lane has no gaps.
            rings.spools.clear();
        } else {
            rings.shown().for_each(|id| end.lanes.add(&id));
            end.forget_written(&snapshot);
        }
        // While a folder is followed, its follower leaves them out.
        let shown = wanted.behind.filter(|_| wanted.undrained_for.is_none()).map(|mark| mark.lanes.clone());
        let shown = Rc::new(shown.unwrap_or_default());
        let mut levels = LevelsByName::default();
        rings.names.iter().for_each(|(name, level)| levels.learn(name.as_bytes(), *level));
        let (empty, epoch) = (Rc::new(Spool::default()), snapshot.epoch);
        let mut logs = BTreeMap::<String, RoleLog>::new();
        let is_wanted = |role: &str| wanted.roles.is_empty() || wanted.roles.iter().any(|wanted| wanted == role);
        let log = |role: &str| RoleLog {
            role: role.to_owned(),
            zone: zone.clone(),
            levels: levels.clone(),
            text: Vec::new(),
            json: Vec::new(),
            spool: Rc::clone(&empty),
            spool_from: 0,
            shown: Rc::clone(&shown),
        };
        for files in snapshot.logs {
            let (role, is_json) = (role_of(&files.log).to_owned(), files.log.ends_with(JSON_ENDING));
            if is_json && !left_out {
                let lines = files.tail.split_inclusive(|byte| *byte == b'\n');
                lines.filter_map(record_id::of_line).for_each(|id| end.lanes.add(&id));
            }
            let (pieces, marks) = pieces_of(files, wanted)?;
            end.files.extend(marks);
            if !is_wanted(&role) {
                continue;
            }
            let into = logs.entry(role.clone()).or_insert_with(|| log(&role));
            *(if is_json { &mut into.json } else { &mut into.text }) = pieces;
        }
        for (role, spool) in rings.spools {
            if is_wanted(&role) && spool.len() > 0 {
                logs.entry(role.clone()).or_insert_with(|| log(&role)).spool = Rc::new(spool);
            }
        }
        Ok(Sources { logs: logs.into_values().collect(), names: rings.names, end, missing, epoch })
    }
}

fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
}

/// The pieces of a log behind what was shown of it, and marks behind them.
fn pieces_of(files: LogFiles, wanted: &Wanted<'_>) -> Result<(Vec<Piece>, Vec<FileMark>)> {
    let (mut pieces, mut marks) = (Vec::new(), Vec::new());
    let LogFiles { log, files, tail } = files;
    let failed = |source| Error::Io { doing: "read the log file", path: log.clone().into(), source };
    for found in files {
        let start = wanted.behind.map_or(Ok(0), |mark| mark.of_file(&log, &found)).map_err(failed)?;
        // Who may not look at the journal sees lines that are being written.
        let end = if wanted.undrained_for.is_some() { whole_lines(&found, start).map_err(failed)? } else { found.size };
        marks.push(FileMark::new(&log, &found, end).map_err(failed)?);
        if start < end {
            pieces.push(Piece::new(found.content.into(), start..end));
        }
    }
    if !tail.is_empty() && !wanted.without_journaled {
        let range = 0..tail.len() as u64;
        pieces.push(Piece::new(Bytes::Memory(tail), range));
    }
    Ok((pieces, marks))
}

/// Where the last whole line ends.
fn whole_lines(found: &snapshot::FoundFile, start: u64) -> io::Result<u64> {
    let mut end = found.size;
    let mut buffer = [0; 4096];
    while end > start {
        let length = (end - start).min(buffer.len() as u64) as usize;
        found.content.read_exact_at(&mut buffer[..length], end - length as u64)?;
        if let Some(newline) = buffer[..length].iter().rposition(|byte| *byte == b'\n') {
            return Ok(end - (length - newline - 1) as u64);
        }
        end -= length as u64;
    }
    Ok(start)
}

impl Rings {
    fn read(folder: &Folder, wanted: &Wanted<'_>, zone: &Zone) -> Result<Rings> {
        let mut rings = Rings { epoch: snapshot::epoch(folder)?, ..Rings::default() };
        let mut recovery = Recovery::default();
        recovery.add_folder(folder)?;
        let (mut stamp, mut lines) = (Stamp::new(zone.clone()), JsonLines::new(zone.clone()));
        let (mut text, mut json, mut memory) = (Vec::new(), Vec::new(), MEMORY);
        let youngest = wanted.undrained_for.map(|age| realtime_ns().saturating_sub(age.as_nanos() as u64));
        let mut young = std::collections::BTreeSet::new();
        recovery.for_each(|recovered| -> Result<u64> {
            let Recovered { record, realtime_ns, pid, role, site, level_name, thread_name, ring, lane } = recovered;
            let id = RecordId { ring: *ring, lane: *lane, sequence: record.last };
            if wanted.behind.is_some_and(|mark| mark.lanes.has(&id)) {
                return Ok(0);
            }
            let is_old = youngest.is_none_or(|youngest| *realtime_ns <= youngest);
            if young.contains(&(*ring, *lane)) || !is_old {
                young.insert((*ring, *lane));
                return Ok(0);
            }
            if let Some(name) = level_name
                && !rings.names.iter().any(|(known, _)| known == name)
            {
                rings.names.push(((*name).to_owned(), record.level));
            }
            text.clear();
            json.clear();
            line::head_of(&mut text, &mut stamp, record, *realtime_ns, *pid, *level_name);
            line::record(&mut text, record, *site);
            let origin = Origin { realtime_ns: *realtime_ns, role, pid: *pid, lane: Some((ring, *lane)) };
            lines.record(&mut json, &origin, record, thread_name.as_deref(), *site, *level_name);
            let number = rings.rings.iter().position(|known| known == ring).unwrap_or_else(|| {
                rings.rings.push(*ring);
                rings.rings.len() - 1
            });
            if !rings.spools.contains_key(*role) {
                rings.spools.insert((*role).to_owned(), Spool::default());
            }
            if let Some(spool) = rings.spools.get_mut(*role) {
                spool.add((number as u32, *lane as u32, record.last), &text, &json, &mut memory)?;
            }
            Ok(text.len() as u64)
        })?;
        rings.refused = std::mem::take(&mut recovery.refused);
        Ok(rings)
    }

    /// Keeps what is in no file by now, and was not shown before.
    fn keep_unwritten(&mut self, snapshot: &FolderSnapshot, wanted: &Wanted<'_>) {
        let Rings { spools, rings, epoch, .. } = self;
        let shown = |ring: &[u8; 16], lane: usize| {
            let of_mark = wanted.behind.map_or(0, |mark| mark.lanes.last(ring, lane));
            // Its flusher has removed the ring, drained; without a flusher somebody else has.
            let if_gone = if *epoch == snapshot.epoch { 0 } else { u64::MAX };
            of_mark.max(snapshot.written(ring, lane).unwrap_or(if_gone))
        };
        for spool in spools.values_mut() {
            spool.retain(|entry| entry.last > shown(&rings[entry.ring as usize], entry.lane as usize));
        }
    }

    /// The records that are shown.
    fn shown(&self) -> impl Iterator<Item = RecordId> {
        let entries = self.spools.values().flat_map(Spool::entries);
        entries.map(|entry| RecordId {
            ring: self.rings[entry.ring as usize],
            lane: entry.lane as usize,
            sequence: entry.last,
        })
    }
}
