//! A log file's share of a batch: rendered lines on their way to it.

use crate::clock;
use crate::error::Result;
use crate::flush::json::{JsonLines, Origin};
use crate::flush::lines;
use crate::level::Level;
use crate::flush::logfile::{LogFile, cut_off};
use crate::flush::render::{self, HeadCache};
use crate::flush::stamp::Stamp;
use crate::flush::template::Template;
use crate::folder::{Folder, JSON_ENDING, role_of};
use crate::layout::{RingHeader, ring_flag};
use crate::reader::LaneSnapshot;
use crate::record::Record;

/// A log file and the lines for it.
#[derive(Debug)]
pub(crate) struct Output {
    /// Name of the log file, see [`crate::folder::is_log_name`].
    pub(crate) log: String,
    pub(crate) file: Option<LogFile>,
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

    /// Takes these lines away.
    pub(crate) fn split_off(&mut self) -> Vec<u8> {
        self.lines.split_off(self.begun)
    }

    /// Renders a record of this lane.
    #[inline]
    pub(crate) fn record(
        &mut self,
        record: &Record<'_>,
        site: Option<&Template>,
        ns: u64,
        pid: u32,
        lane: &LaneSnapshot,
    ) {
        if self.json.is_some() {
            return self.record_json(record, site, ns, pid, lane);
        }
        let Output { lines, stamp, head, .. } = self;
        head.append(lines, stamp, ns, pid, record.level);
        render::record(lines, record, site);
    }

    /// Out of the way of the text, which must not wait for it.
    #[inline(never)]
    fn record_json(
        &mut self,
        record: &Record<'_>,
        site: Option<&Template>,
        ns: u64,
        pid: u32,
        lane: &LaneSnapshot,
    ) {
        let Output { log, lines, json: Some(json), .. } = self else { return };
        let origin = Origin { realtime_ns: ns, role: role_of(log), pid };
        json.record(lines, &origin, record, lane.thread_name(record), site);
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
        if self.file.is_none() && folder.log_file(&self.log).exists() {
            self.file = Some(LogFile::open(folder, &self.log)?);
        }
        Ok(())
    }

    /// Makes sure that the file is open and still the one at its path.
    pub(crate) fn refresh(&mut self, folder: &Folder) -> Result<&mut LogFile> {
        if let Some(stale) = self.file.as_mut().filter(|file| !file.is_current()) {
            // Somebody moved it away, and a later sync would not find it.
            if self.durable {
                stale.sync()?;
            }
            self.file = None;
        }
        let mut fresh = match self.file.take() {
            Some(file) => file,
            None => LogFile::open(folder, &self.log)?,
        };
        let (cut_off, before) = (cut_off(&self.log), self.lines.len());
        if fresh.needs_newline() && !self.lines.is_empty() && !self.lines.starts_with(cut_off) {
            self.lines.splice(0..0, cut_off.iter().copied());
        }
        if let Some(to) = fresh.take_moved() {
            let rest = std::mem::take(&mut self.lines);
            self.say(clock::realtime_ns(), std::process::id(), Level::WARNING, &lines::moved_aside(&to));
            self.lines.extend_from_slice(&rest);
        }
        self.begun += self.lines.len() - before;
        Ok(self.file.insert(fresh))
    }

    /// Opens the file, if it is not.
    pub(crate) fn open(&mut self, folder: &Folder) -> Result<()> {
        if self.file.is_none() {
            self.refresh(folder)?;
        }
        Ok(())
    }

    /// Whether the file is open and has room for the lines that are being made. Where it has none they must go to a new one:
    /// a record is never split over two, and the size is exceeded only by one that is larger by itself.
    #[inline]
    pub(crate) fn fits(&self) -> bool {
        let Some(size) = self.file.as_ref().map(LogFile::size) else { return false };
        size + self.begun as u64 == 0 || size + self.lines.len() as u64 <= self.rotate_size
    }
}
