//! A log file's share of a batch: rendered lines on their way to it.

use crate::clock;
use crate::error::Result;
use crate::flush::json::{JsonLines, Origin};
use crate::flush::logfile::{Event, LogFile, cut_off};
use crate::level::Level;
use crate::flush::levelnames::LevelNames;
use crate::flush::render::{self, HeadCache};
use crate::flush::stamp::Stamp;
use crate::flush::template::Template;
use crate::folder::{Folder, JSON_ENDING, role_of};
use crate::layout::{RingHeader, ring_flag};
use crate::open;
use crate::reader::LaneSnapshot;
use crate::record::Record;

/// Where a record comes from, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Provenance<'a> {
    /// Calendar time, nanoseconds since 1970.
    pub(crate) ns: u64,
    /// Pid of its process.
    pub(crate) pid: u32,
    /// Its lane.
    pub(crate) lane: &'a LaneSnapshot,
    /// What its process calls the levels.
    pub(crate) names: &'a LevelNames,
}

/// A log file and the lines for it.
#[derive(Debug)]
pub(crate) struct Output {
    /// Name of the log file, see [`crate::folder::is_log_name`].
    pub(crate) log: String,
    pub(crate) file: Option<LogFile>,
    /// What somebody else did to the file, and no line says yet.
    events: Vec<Event>,
    pub(crate) lines: Vec<u8>,
    /// Where the lines begin that are being made: what stands before them is of records whose positions have moved.
    begun: usize,
    stamp: Stamp,
    head: HeadCache,
    /// Makes the lines, where they are JSON.
    json: Option<JsonLines>,
    pub(crate) rotate_size: u64,
    pub(crate) rotate_keep: u32,
    /// What is written is synced now and then.
    pub(crate) durable: bool,
}

impl Output {
    pub(crate) fn new(log: &str) -> Output {
        Output {
            log: log.to_owned(),
            file: None,
            events: Vec::new(),
            lines: Vec::new(),
            begun: 0,
            stamp: Stamp::new(false),
            head: HeadCache::new(),
            json: log.ends_with(JSON_ENDING).then(|| JsonLines::new(false)),
            rotate_size: u64::MAX,
            rotate_keep: 1,
            durable: false,
        }
    }

    /// Says that lines are made which belong together.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.begun = self.lines.len();
    }

    /// How many bytes they are.
    pub(crate) fn made(&self) -> usize {
        self.lines.len() - self.begun
    }

    /// Takes these lines away.
    pub(crate) fn split_off(&mut self) -> Vec<u8> {
        self.lines.split_off(self.begun)
    }

    /// Renders a record.
    #[inline]
    pub(crate) fn record(&mut self, record: &Record<'_>, site: Option<&Template>, from: &Provenance<'_>) {
        if self.json.is_some() {
            return self.record_json(record, site, from);
        }
        let Output { lines, stamp, head, .. } = self;
        if record.relayed().is_none() {
            head.append(lines, stamp, from.ns, from.pid, record.level, from.names);
        } else {
            render::head_of(lines, stamp, record, from.ns, from.pid, from.names.get(record.level));
        }
        render::record(lines, record, site);
    }

    /// Out of the way of the text, which must not wait for it.
    #[inline(never)]
    fn record_json(&mut self, record: &Record<'_>, site: Option<&Template>, from: &Provenance<'_>) {
        let Output { log, lines, json: Some(json), .. } = self else { return };
        let Provenance { ns, pid, lane, names } = *from;
        let origin = Origin { realtime_ns: ns, role: role_of(log), pid };
        json.record(lines, &origin, record, lane.thread_name(record), site, names.get(record.level));
    }

    /// Renders a line of the flusher's own.
    pub(crate) fn say(&mut self, ns: u64, pid: u32, level: Level, text: &str) {
        let Output { log, lines, stamp, json, .. } = self;
        match json {
            Some(json) => json.say(lines, &Origin { realtime_ns: ns, role: role_of(log), pid }, level, text),
            None => render::line(lines, stamp, ns, pid, level, text.as_bytes(), None),
        }
    }

    /// Takes the file settings of a ring.
    pub(crate) fn adopt(&mut self, header: &RingHeader) {
        let utc = header.flags & ring_flag::UTC != 0;
        self.rotate_size = header.rotate_size.max(1);
        self.rotate_keep = header.rotate_keep.clamp(1, 100);
        self.stamp = Stamp::new(utc);
        self.head = HeadCache::new();
        self.json = self.json.as_ref().map(|_| JsonLines::new(utc));
    }

    /// Opens the file, if there is one.
    pub(crate) fn look(&mut self, folder: &Folder) -> Result<()> {
        if self.file.is_none() && open::look(&folder.log_file(&self.log)).is_ok() {
            self.file = Some(LogFile::open(folder, &self.log)?);
        }
        Ok(())
    }

    /// Makes sure that the file is open and still the one at its path, and that a line which somebody else left
    /// unfinished there is ended first.
    pub(crate) fn refresh(&mut self, folder: &Folder) -> Result<&mut LogFile> {
        if let Some(event) = self.file.as_mut().map_or(Ok(None), LogFile::changed)? {
            // Somebody moved it away, and a later sync would not find it.
            if let Some(stale) = self.file.as_mut().filter(|_| self.durable) {
                stale.sync()?;
            }
            self.events.push(event);
            self.file = None;
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => LogFile::open(folder, &self.log)?,
        };
        self.events.extend(file.take_event());
        // The end of a line that an earlier try put there may not be needed in another file.
        let cut_off = cut_off(&self.log);
        let begins = if self.lines.starts_with(cut_off) { cut_off.len() } else { 0 };
        let due: &[u8] = if file.needs_newline() { cut_off } else { &[] };
        if begins != due.len() {
            self.lines.splice(0..begins, due.iter().copied());
        }
        Ok(self.file.insert(file))
    }

    /// Takes note of what happened to the file while the last batch was written to it.
    pub(crate) fn note_events(&mut self) {
        self.events.extend(self.file.as_mut().and_then(LogFile::take_event));
    }

    /// A line about what somebody else did to the file. None if there is nothing to tell.
    pub(crate) fn event_line(&mut self) -> Option<Vec<u8>> {
        let (level, text) = self.events.first().cloned()?;
        let start = self.lines.len();
        self.say(clock::realtime_ns(), std::process::id(), level, &text);
        Some(self.lines.split_off(start))
    }

    /// Takes that line.
    pub(crate) fn tell_event(&mut self, line: &[u8]) {
        self.lines.extend_from_slice(line);
        self.events.remove(0);
    }

    /// Whether something was done to the file that no line says yet.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether the lines that are being made are not the first of a batch, and there is room for them.
    #[inline]
    pub(crate) fn fits(&self) -> bool {
        let fits = |file: &LogFile| file.size() + self.lines.len() as u64 <= self.rotate_size;
        self.begun > 0 && self.file.as_ref().is_some_and(fits)
    }

    /// Whether so many bytes more go to the file. Where they do not, they must go to a new one: a record is never split
    /// over two, and the size is exceeded only by one that is larger by itself.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let before = self.file.as_ref().map_or(0, LogFile::size) + self.lines.len() as u64;
        before == 0 || before + bytes as u64 <= self.rotate_size
    }
}
