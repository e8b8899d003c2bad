//! A log file's share of a batch: rendered lines on their way to it.

use crate::crash::told::Told;
use crate::files::line_layout::LineLayout;
use crate::files::log_file::{Event, LogFile};
use crate::files::notices;
use crate::files::offsets::Offset;
use crate::files::period::Period;
use crate::files::torn::cut_off;
use crate::render::columns::ColumnValues;
use crate::render::escape;
use crate::render::json::{JsonLines, Origin};
use crate::render::level_names::LevelNames;
use crate::render::line::{self, HeadCache};
use crate::render::message::Template;
use crate::render::timestamp::{Stamp, TIME, second_of};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::file_settings::FileSettings;
use lastwords_ring::format::layout::RingHeader;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::record::Record;
use lastwords_ring::format::text_layout::TextLayout;
use lastwords_ring::place::access::Access;
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::{Folder, JSON_ENDING, ROTATE_KEEP_MAX, role_of};
use lastwords_ring::place::open;
use lastwords_ring::place::zone::Zone;
use lastwords_ring::read::reader::LaneSnapshot;
use std::time::{Duration, Instant};

/// Rendered bytes after which a batch is written. Positions move with a batch, so it also says how long a producer with
/// a full lane waits.
pub(crate) const BATCH: usize = 256 << 10;
/// Longest time before a file that could not be rotated is tried again.
const ROTATE_AGAIN: Duration = Duration::from_secs(60);

/// The source of a record, and its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordSource<'a> {
    /// Calendar time, nanoseconds since 1970.
    pub(crate) ns: u64,
    /// Pid of its process.
    pub(crate) pid: u32,
    /// UUID of its ring, and the number of its lane there.
    pub(crate) of: (&'a [u8; 16], usize),
    /// Its lane.
    pub(crate) lane: &'a LaneSnapshot,
    /// Its process's custom level names.
    pub(crate) names: &'a LevelNames,
}

/// Lines that were taken away for a moment.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) lines: Vec<u8>,
    /// Offset of the last one.
    offset: Option<i32>,
}

/// A log file and the lines for it.
#[derive(Debug)]
pub(crate) struct Output {
    /// Name of the log file, see [`lastwords_ring::place::folder::is_log_name`].
    pub(crate) log: String,
    pub(crate) file: Option<LogFile>,
    /// External modifications of the file that are not logged yet.
    events: Vec<Event>,
    pub(crate) lines: Vec<u8>,
    /// Where the lines begin that are being rendered: those before them belong to records whose positions have moved.
    begun: usize,
    offset: Offset,
    /// Whether lines belong to a later file, by their time and by their layout.
    period: Period,
    layout: LineLayout,
    stamp: Stamp,
    head: HeadCache,
    /// Renders the lines, if they are JSON.
    json: Option<JsonLines>,
    rotate_size: u64,
    /// Size at which the file is rotated: the one above, or a larger one after a failed rotation.
    limit: u64,
    /// Set after a failed, logged rotation: when the size applies again.
    unrotated: Option<Instant>,
    /// Largest file that this process may write.
    pub(crate) file_size_max: u64,
    pub(crate) rotate_keep: u32,
    /// Writes are synced periodically.
    pub(crate) durable: bool,
    /// Mode and group of the file.
    pub(crate) access: Access,
}

impl Output {
    /// The log file of this name, with times of this zone; `last` is the offset of the last line in it.
    pub(crate) fn new(log: &str, zone: &Zone, last: Option<i32>) -> Output {
        Output {
            log: log.to_owned(),
            file: None,
            events: Vec::new(),
            lines: Vec::new(),
            begun: 0,
            offset: Offset::new(zone.clone(), last),
            period: Period::new(zone.clone()),
            layout: LineLayout::default(),
            stamp: Stamp::new(zone.clone()),
            head: HeadCache::new(TextLayout::default()),
            json: log.ends_with(JSON_ENDING).then(|| JsonLines::new(zone.clone())),
            rotate_size: u64::MAX,
            limit: u64::MAX,
            unrotated: None,
            file_size_max: u64::MAX,
            rotate_keep: 1,
            durable: false,
            access: Access::default(),
        }
    }

    /// Begins lines that belong together.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.begun = self.lines.len();
        self.offset.begin();
        self.period.begin();
    }

    /// How many bytes they are.
    pub(crate) fn made(&self) -> usize {
        self.lines.len() - self.begun
    }

    /// Takes these lines away.
    pub(crate) fn split_off(&mut self) -> Carried {
        self.carry(self.begun)
    }

    fn carry(&mut self, start: usize) -> Carried {
        Carried { lines: self.lines.split_off(start), offset: self.offset.take_away() }
    }

    /// Puts them back, behind all that was made meanwhile.
    pub(crate) fn put_back(&mut self, carried: &Carried) {
        if !carried.lines.is_empty() {
            self.lines.extend_from_slice(&carried.lines);
            self.offset.put_back(carried.offset);
        }
    }

    /// Takes all lines away for good: the caller renders them again.
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.offset.forget();
        self.period.begin();
    }

    /// From here on times are of this zone.
    pub(crate) fn change_zone(&mut self, zone: &Zone) {
        self.offset.change(zone.clone());
        self.period.change_zone(zone);
        self.stamp = Stamp::new(zone.clone());
        self.head = HeadCache::new(self.layout.requested());
        self.json = self.json.as_ref().map(|_| JsonLines::new(zone.clone()));
    }

    /// The offset of the last line in the file.
    pub(crate) fn last_offset(&self) -> Option<i32> {
        self.offset.written()
    }

    /// Before a line with this time: logs the change, if its offset differs from that of the line before.
    #[inline]
    fn tell_offset(&mut self, ns: u64) {
        self.period.add(ns);
        if let Some((from, to)) = self.offset.at(ns) {
            let text = notices::offset_changed(from, to, self.offset.zone());
            self.say(ns, std::process::id(), Level::INFO, &text);
        }
    }

    /// Renders a record.
    #[inline]
    pub(crate) fn record(&mut self, record: &Record<'_>, site: Option<&Template>, from: &RecordSource<'_>) {
        let relayed = record.relayed();
        self.tell_offset(relayed.as_ref().map_or(from.ns, |made| made.realtime_ns));
        if self.json.is_some() {
            return self.record_json(record, site, from);
        }
        if relayed.is_none() && self.layout.requested().columns.is_empty() {
            self.head.append(&mut self.lines, &mut self.stamp, from.ns, from.pid, record.level, from.names);
        } else {
            self.head(record, site, from);
        }
        line::record(&mut self.lines, record, site);
    }

    /// Renders a head that cannot be cached.
    fn head(&mut self, record: &Record<'_>, site: Option<&Template>, from: &RecordSource<'_>) {
        let given = from.names.get(record.level);
        let (origin, given) = match record.relayed() {
            None => ((from.ns, from.pid), given),
            Some(made) => ((made.realtime_ns, made.pid), made.level_name.or(given)),
        };
        let values = ColumnValues::of(record, from.lane.thread_name(record), site);
        let Output { lines, stamp, layout, .. } = self;
        line::head_in(lines, stamp, layout.requested(), &values, origin, (record.level, given));
    }

    /// Out of the way of the text, which must not wait for it.
    #[inline(never)]
    fn record_json(&mut self, record: &Record<'_>, site: Option<&Template>, from: &RecordSource<'_>) {
        let Output { log, lines, json: Some(json), .. } = self else { return };
        let RecordSource { ns, pid, of, lane, names } = *from;
        let origin = Origin { realtime_ns: ns, role: role_of(log), pid, lane: Some(of) };
        json.record(lines, &origin, record, lane.thread_name(record), site, names.get(record.level));
    }

    /// Renders a line of the flusher's own.
    pub(crate) fn say(&mut self, ns: u64, pid: u32, level: Level, text: &str) {
        self.tell_offset(ns);
        let Output { log, lines, json, .. } = self;
        match json {
            Some(json) => json.say(lines, &own(log, ns, pid), level, text),
            None => self.say_text((ns, pid), level, text),
        }
    }

    fn say_text(&mut self, origin: (u64, u32), level: Level, text: &str) {
        let Output { lines, stamp, layout, .. } = self;
        line::head_in(lines, stamp, layout.requested(), &ColumnValues::OWN, origin, (level, None));
        line::message(lines, text.as_bytes(), None);
    }

    /// Renders the line about a death, with what a capture tells.
    pub(crate) fn say_death(&mut self, ns: u64, pid: u32, text: &str, told: Option<&Told>) {
        let Some(told) = told else { return self.say(ns, pid, Level::CRITICAL, text) };
        self.tell_offset(ns);
        let Output { log, lines, json, .. } = self;
        match json {
            Some(json) => {
                json.say_with(lines, &own(log, ns, pid), Level::CRITICAL, text, &told.members);
            }
            None => {
                let text = text.to_owned() + &told.below;
                self.say_text((ns, pid), Level::CRITICAL, &text);
            }
        }
    }

    /// Takes the file settings of a ring.
    pub(crate) fn adopt(&mut self, header: &RingHeader, files: &FileSettings) {
        self.rotate_size = header.rotate_size.max(1);
        if self.unrotated.is_none() {
            self.limit = self.rotate_size;
        }
        self.rotate_keep = header.rotate_keep.clamp(1, ROTATE_KEEP_MAX);
        self.access = Access::of_header(header);
        self.share();
        if self.json.is_none() && self.layout.request(files.layout, !self.lines.is_empty()) {
            self.head = HeadCache::new(files.layout);
        }
        if self.period.set_every(files.rotate_every)
            && let Some(mut file) = self.file.take()
        {
            self.note_period(&mut file);
            self.file = Some(file);
        }
    }

    /// Gives the open file what is asked for.
    pub(crate) fn share(&mut self) {
        let access = self.access;
        self.file.as_mut().into_iter().for_each(|file| file.share(access));
    }

    /// Opens the file, if there is one.
    pub(crate) fn look(&mut self, folder: &Folder) -> Result<()> {
        if self.file.is_none() && open::look(&folder.log_file(&self.log)).is_ok() {
            self.file = Some(self.open(folder)?);
        }
        Ok(())
    }

    fn open(&mut self, folder: &Folder) -> Result<LogFile> {
        let mut file = LogFile::open(folder, &self.log)?;
        file.share(self.access);
        self.note_period(&mut file);
        if self.json.is_none() && self.lines.is_empty() {
            // What cannot be read has no layout that is known; the next read of it will say why.
            self.layout.open(&file.beginning().unwrap_or_default());
        }
        Ok(file)
    }

    /// The file has been rotated.
    pub(crate) fn rotated(&mut self) {
        (self.file, self.limit, self.unrotated) = (None, self.rotate_size, None);
        self.layout.open(b"");
    }

    /// The file cannot be rotated: it grows by as much again, or for a minute, which is logged once.
    pub(crate) fn stays(&mut self, error: &Error) {
        let size = self.file.as_ref().map_or(0, LogFile::size);
        self.limit = size.saturating_add(self.rotate_size);
        if self.unrotated.replace(Instant::now() + ROTATE_AGAIN).is_none() {
            let text = match (self.layout.is_due(), self.period.is_due()) {
                (true, _) => notices::not_rotated_for_layout(error),
                (_, true) => notices::not_rotated_in_time(error),
                _ => notices::not_rotated(self.rotate_size, error),
            };
            self.events.push((Level::WARNING, text));
        }
    }

    /// The lines are in the file, or, where that failed, in the journal.
    pub(crate) fn forget_lines(&mut self, failed: bool) {
        self.note_events();
        if !self.lines.is_empty() {
            self.layout.write();
        }
        self.lines.clear();
        self.offset.write();
        self.lines.shrink_to(2 * BATCH);
        if failed {
            self.file = None;
        }
    }

    /// Whether a record of this time is older than the last line, in the batch that is being made or in the file.
    pub(crate) fn goes_back_at(&mut self, ns: u64) -> Result<bool> {
        let last = match last_time(&self.lines) {
            Some(time) => Some(time),
            None => self.file.as_mut().map_or(Ok(None), |file| file.tail().map(|tail| last_time(&tail)))?,
        };
        let zone = self.offset.made().map_or_else(|| self.offset.zone().clone(), Zone::fixed);
        let time = Stamp::new(zone).shown(ns);
        Ok(last.is_some_and(|last| time.as_bytes() < last.as_slice()))
    }

    /// Makes sure that the file is open and still the one at its path, and ends a line that another program left unfinished
    /// there.
    pub(crate) fn refresh(&mut self, folder: &Folder) -> Result<&mut LogFile> {
        if self.unrotated.is_some_and(|again| again <= Instant::now()) {
            self.limit = self.rotate_size;
        }
        if let Some(event) = self.file.as_mut().map_or(Ok(None), LogFile::changed)? {
            // It was moved away, and a later sync would not find it.
            if let Some(stale) = self.file.as_mut() {
                stale.release_reserved();
                if self.durable {
                    stale.sync()?;
                }
            }
            self.events.push(event);
            self.file = None;
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open(folder)?,
        };
        let file = self.file.insert(file);
        self.events.extend(file.take_event());
        // The end of a line that an earlier try put there may not be needed in another file.
        let cut_off = cut_off(&self.log);
        let begins = if self.lines.starts_with(cut_off) { cut_off.len() } else { 0 };
        let due: &[u8] = if file.needs_newline() { cut_off } else { &[] };
        if begins != due.len() {
            self.lines.splice(0..begins, due.iter().copied());
        }
        Ok(file)
    }

    /// Finds out to which hour or day the last line of the file belongs that was opened. Lines that wait for it are younger.
    fn note_period(&mut self, file: &mut LogFile) {
        if !self.period.is_on() || !self.lines.is_empty() {
            return;
        }
        let time = file.tail().ok().and_then(|tail| last_time(&tail));
        let offset = self.offset.written();
        let zone = self.offset.zone();
        let second = time.and_then(|time| {
            let shown = second_of(&time)?;
            Some(shown - i64::from(offset.unwrap_or_else(|| zone.offset(shown))))
        });
        // A last record that is longer than what is read of the file shows no time.
        self.period.open(second.or_else(|| file.modified_s()));
    }

    /// Notes external modifications of the file while the last batch was written.
    fn note_events(&mut self) {
        self.events.extend(self.file.as_mut().and_then(LogFile::take_event));
    }

    /// A line about an external modification of the file. None if there is nothing to log.
    pub(crate) fn event_line(&mut self) -> Option<Carried> {
        let (level, text) = self.events.first().cloned()?;
        let start = self.lines.len();
        self.offset.begin();
        self.say(clock::realtime_ns(), std::process::id(), level, &text);
        Some(self.carry(start))
    }

    /// Takes that line.
    pub(crate) fn log_event(&mut self, line: &Carried) {
        self.put_back(line);
        self.events.remove(0);
    }

    /// Whether there are external modifications that are not logged yet.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether the lines that are being made are not the first of a batch, and there is room for them.
    #[inline]
    pub(crate) fn fits(&self) -> bool {
        let fits = |file: &LogFile| file.size() + self.lines.len() as u64 <= self.limit.min(self.file_size_max);
        self.begun > 0 && self.file.as_ref().is_some_and(fits) && !self.is_of_next()
    }

    /// Whether the lines that are being made belong to the next file by their time or their layout. Not where the file could not
    /// be rotated a moment ago.
    fn is_of_next(&self) -> bool {
        (self.period.is_due() || self.layout.is_due()) && self.unrotated.is_none_or(|again| again <= Instant::now())
    }

    /// Whether so many bytes more go to the file. Where they do not, they must go to a new one: a record is never split
    /// over two, and the size is exceeded only by one that is larger by itself.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let before = self.file.as_ref().map_or(0, LogFile::size) + self.lines.len() as u64;
        before == 0 || before + bytes as u64 <= self.limit.min(self.file_size_max) && !self.is_of_next()
    }
}

/// Of a line of the flusher's own about a process.
fn own(log: &str, realtime_ns: u64, pid: u32) -> Origin<'_> {
    Origin { realtime_ns, role: role_of(log), pid, lane: None }
}

/// The time of the last record in these bytes, in the form of a text line; JSON has another letter between day and time.
fn last_time(bytes: &[u8]) -> Option<[u8; TIME]> {
    const JSON: &[u8] = b"{\"time\":\"";
    bytes.rsplit(|byte| *byte == b'\n').find_map(|line| {
        let json = line.strip_prefix(JSON);
        let mut time = *json.unwrap_or(line).first_chunk::<TIME>()?;
        if json.is_some() {
            time[10] = b' ';
        } else if !escape::starts_like_a_record(line) {
            return None;
        }
        Some(time)
    })
}
