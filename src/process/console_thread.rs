//! Prints a process's own records on its standard error, from a thread of its own.
//!
//! The thread reads the process's own ring like any reader, so log calls never wait for the console.

use crate::logger::own_thread;
use crate::logger::ring_logger::Logger;
use lastwords_flusher::console::stderr::{PIECE, Stderr};
use lastwords_flusher::merge::{Merge, Next};
use lastwords_flusher::render::call_sites::Sites;
use lastwords_flusher::render::level_names::LevelNames;
use lastwords_flusher::render::line;
use lastwords_flusher::render::timestamp::Stamp;
use lastwords_flusher::ring_clock::RingClock;
use lastwords_ring::format::layout::lane_kind;
use lastwords_ring::format::record::Record;
use lastwords_ring::place::stderr::complain;
use lastwords_ring::place::zone::Zone;
use lastwords_ring::read::lane_cursor::LaneCursor;
use lastwords_ring::read::reader::{LaneSnapshot, RingReader};
use lastwords_ring::read::ring_file::RingFile;
use lastwords_ring::sys::{futex, hooks, process_page};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Time between two checks while lines arrive.
const LOOK_MIN: Duration = Duration::from_millis(10);
/// Longest time between two checks.
const LOOK_MAX: Duration = Duration::from_millis(160);
/// Longest wait for the last lines at exit.
const FINISH_MAX: Duration = Duration::from_millis(300);

/// Slots that are read of a lane at once.
const SLOTS: u64 = 1024;

/// Starts the console thread for `logger`.
pub(crate) fn start(logger: &'static Logger, all_levels: bool) {
    // Without the page the thread could not be asked to finish; it exists, because the logger is in it.
    let Some(page) = process_page::page() else { return };
    page.consoles.fetch_add(1, Ordering::AcqRel);
    let body = move || {
        hooks::settle_thread();
        own_thread::mark();
        match RingFile::open(logger.ring().path(), true).and_then(|file| RingReader::new(file, logger.ring().path())) {
            Ok(reader) => match Console::new(reader, logger.folder().zone(), all_levels) {
                Ok(mut console) => console.run(&page.consoles_end, || logger.is_closed()),
                Err(error) => complain(format_args!("no console: {error}")),
            },
            Err(error) => complain(format_args!("no console: {error}")),
        }
        page.consoles.fetch_sub(1, Ordering::AcqRel);
    };
    if let Err(error) = std::thread::Builder::new().name("lastwords-con".to_owned()).spawn(body) {
        complain(format_args!("no console: no thread for it ({error})"));
        page.consoles.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Makes the consoles of this process print what is left, at exit. A forked child has none of its parent's threads.
pub(crate) fn finish() {
    let Some(page) = process_page::page() else { return };
    page.consoles_end.store(1, Ordering::Release);
    // Cannot fail: the page exists to the end.
    let _ = futex::wake_all(page.consoles_end.as_ptr().addr());
    let start = Instant::now();
    while page.consoles.load(Ordering::Acquire) > 0 && start.elapsed() < FINISH_MAX {
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Console {
    reader: RingReader<RingFile>,
    clock: RingClock,
    lanes: Vec<LaneCursor>,
    snapshots: Vec<LaneSnapshot>,
    scratch: Vec<u8>,
    stamp: Stamp,
    sites: Sites,
    names: LevelNames,
    stderr: Stderr,
    /// Shows records that are not written to a file.
    all_levels: bool,
}

impl Console {
    fn new(reader: RingReader<RingFile>, zone: Zone, all_levels: bool) -> crate::Result<Console> {
        Ok(Console {
            clock: RingClock::new(&reader)?,
            lanes: (0..reader.geometry().lanes()).map(|_| LaneCursor::default()).collect(),
            snapshots: Vec::new(),
            scratch: Vec::new(),
            stamp: Stamp::new(zone),
            sites: Sites::default(),
            names: LevelNames::default(),
            stderr: Stderr::new(),
            all_levels,
            reader,
        })
    }

    /// Prints until `end` is not 0, or its logger is closed, and nothing is left.
    fn run(&mut self, end: &AtomicU32, is_closed: impl Fn() -> bool) {
        let (mut sleep, mut finishing) = (LOOK_MIN, false);
        loop {
            if !finishing && (end.load(Ordering::Acquire) != 0 || is_closed()) {
                finishing = true;
                self.stderr.wait_until(Instant::now() + FINISH_MAX);
            }
            let printed = self.print().unwrap_or(false);
            if finishing && !printed {
                self.stderr.tell_lost();
                return;
            }
            sleep = if printed { LOOK_MIN } else { (sleep * 2).min(LOOK_MAX) };
            if !finishing {
                futex::wait(end, 0, sleep);
            }
        }
    }

    /// Prints what has arrived since, in time order. True if there was something.
    fn print(&mut self) -> crate::Result<bool> {
        self.reader.lanes(&mut self.scratch, &mut self.snapshots)?;
        self.clock.refresh(&self.reader, false)?;
        self.names.refresh(&self.reader)?;
        let mut merge = Merge::default();
        for number in 0..self.lanes.len() {
            if self.snapshots[number].kind != lane_kind::RING_ONLY || self.all_levels {
                let (cursor, extent) = (&mut self.lanes[number], self.snapshots[number].extent(None));
                // Records that an error kept from being printed come first.
                if cursor.batch().is_empty() {
                    cursor.read(&self.reader, number, extent, SLOTS)?;
                }
                merge.extend(self.next(number));
            }
        }
        let any = merge.peek().is_some();
        let (mut text, mut lines, pid) = (Vec::new(), 0, self.reader.header().pid);
        while let Some(Next { lane, .. }) = merge.pop() {
            let Some(record) = self.lanes[lane].batch().peek() else { continue };
            let start = text.len();
            let ns = self.clock.realtime_ns(record.clock);
            self.stderr.head(&mut text, &mut self.stamp, ns, pid, record.level, self.names.get(record.level));
            let site = self.sites.get(&self.reader, record.call_site)?;
            match self.reader.unspill(&record) {
                Ok(None) => line::record(&mut text, &record, site),
                Ok(Some((body, encoding))) => {
                    line::record(&mut text, &Record { body: &body, encoding, ..record }, site);
                }
                // The flusher may have written the line and removed the file; the message is in the log.
                Err(_) => line::message(&mut text, b"[a long message; see the log file]", None),
            }
            // The ring does not wait for the console: records overwritten before they were printed are lost only here.
            self.stderr.lose(self.lanes[lane].take());
            merge.extend(self.next(lane));
            lines += 1;
            if text.len() > PIECE {
                // Everything before this line fits one piece; a line that is longer by itself is printed in several.
                let rest = if start > 0 { text.split_off(start) } else { Vec::new() };
                let done = if rest.is_empty() { lines } else { lines - 1 };
                self.stderr.write(&text, done);
                text = rest;
                lines -= done;
            }
        }
        self.stderr.write(&text, lines);
        Ok(any)
    }

    fn next(&self, lane: usize) -> Option<Next> {
        Next::of((0, self.reader.header().uuid), lane, &self.lanes[lane], &self.clock)
    }
}
