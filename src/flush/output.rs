//! A role's share of a batch: rendered lines on their way to its log file.

use crate::clock;
use crate::error::Result;
use crate::flush::lines;
use crate::level::Level;
use crate::flush::logfile::{CUT_OFF, LogFile};
use crate::flush::render::{self, HeadCache};
use crate::flush::stamp::Stamp;
use crate::flush::template::Template;
use crate::folder::Folder;
use crate::layout::RingHeader;
use crate::record::Record;

/// Where a role's lines go.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) role: String,
    pub(crate) file: Option<LogFile>,
    pub(crate) lines: Vec<u8>,
    pub(crate) stamp: Stamp,
    head: HeadCache,
    pub(crate) rotate_size: u64,
    pub(crate) rotate_keep: u32,
    /// Order key of the youngest line of this run.
    pub(crate) youngest: u64,
    settings_from: u64,
    /// What is written is synced now and then.
    pub(crate) durable: bool,
    /// The file says that the machine stopped.
    pub(crate) told_of_stop: bool,
}

impl Output {
    pub(crate) fn new(role: &str) -> Output {
        Output {
            role: role.to_owned(),
            file: None,
            lines: Vec::new(),
            stamp: Stamp::new(false),
            head: HeadCache::new(),
            rotate_size: u64::MAX,
            rotate_keep: 1,
            youngest: 0,
            settings_from: 0,
            durable: false,
            told_of_stop: false,
        }
    }

    /// Renders a record.
    #[inline]
    pub(crate) fn record(&mut self, record: &Record<'_>, site: Option<&Template>, ns: u64, pid: u32) {
        let Output { lines, stamp, head, .. } = self;
        head.append(lines, stamp, ns, pid, record.level);
        render::record(lines, record, site);
    }

    /// Takes the file settings of a ring, if it is the newest of the role so far.
    pub(crate) fn adopt(&mut self, header: &RingHeader, utc: bool) {
        if header.created_ns >= self.settings_from {
            self.settings_from = header.created_ns;
            self.rotate_size = header.rotate_size.max(1);
            self.rotate_keep = header.rotate_keep.clamp(1, 100);
            self.stamp = Stamp::new(utc);
            self.head = HeadCache::new();
        }
    }

    /// Opens the file, if there is one.
    pub(crate) fn look(&mut self, folder: &Folder) -> Result<()> {
        if self.file.is_none() && folder.log_file(&self.role).exists() {
            self.file = Some(LogFile::open(folder, &self.role)?);
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
            None => LogFile::open(folder, &self.role)?,
        };
        if fresh.needs_newline() && !self.lines.is_empty() && !self.lines.starts_with(CUT_OFF) {
            self.lines.splice(0..0, CUT_OFF.iter().copied());
        }
        if let Some(to) = fresh.take_moved() {
            let mut line = Vec::new();
            let (now, me) = (clock::realtime_ns(), std::process::id());
            render::line(&mut line, &mut self.stamp, now, me, Level::WARNING, lines::moved_aside(&to).as_bytes(), None);
            self.lines.splice(0..0, line);
        }
        Ok(self.file.insert(fresh))
    }

    /// Whether the lines from `start` on must go to a new file: a record is never split over two, and the size is
    /// exceeded only by one that is larger by itself.
    pub(crate) fn must_rotate(&self, start: usize) -> bool {
        let size = self.file.as_ref().map_or(0, LogFile::size);
        let before = size + start as u64;
        before > 0 && size + self.lines.len() as u64 > self.rotate_size
    }
}
