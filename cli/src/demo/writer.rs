//! A process of the demo: its threads log until it dies.

use super::line::Line;
use super::page::{self, Page};
use crate::cli::{DemoProcess, How};
use crate::exit::Exit;
use lastwords::{Error, Level, Memory, Result};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::read::reader::{LaneSnapshot, RingReader};
use rustix::process::{Resource, Rlimit, Signal};
use std::thread;
use std::time::Duration;

/// Slots of a lane. Larger than the default, so that a last spurt fits above what already waits for the flusher.
const SLOTS: u32 = 32 << 10;
/// Slots of a lane that may wait for the flusher before the thread waits too. More than half, because a lane that is
/// half full rings for the flusher; far less than all of them, so that a spurt fits.
const WAITING_MAX: u64 = SLOTS as u64 * 5 / 8;
/// Lines of a spurt, 1.5 slots each in the mean.
const SPURT: u64 = 5000;
/// Lines between two checks of the orders and the ring.
const PIECE: u64 = 128;
/// Lanes besides one a thread: the overflow lanes.
const MORE_LANES: u32 = 2;
/// Size at which log files are rotated: with the files kept it is more than the demo ever writes.
const ROTATE_SIZE: u64 = 24 << 20;
const ROTATE_KEEP: u32 = 100;
/// Sleep where there is nothing to do.
const NAP: Duration = Duration::from_micros(200);

/// Bytes that the ring of a process takes, about.
pub(crate) fn ring_size(threads: u32) -> u64 {
    u64::from(threads + MORE_LANES) * u64::from(SLOTS) * 128
}

/// Logs until something ends this process.
pub(crate) fn run(arguments: &DemoProcess) -> Result<Exit> {
    if !depend_on(arguments.parent) {
        return Ok(Exit::Nothing);
    }
    let page = Page::open(&arguments.oracle, arguments.threads)?;
    lastwords::builder(arguments.role.as_str())
        .app("lastwords-demo")
        .dir(&arguments.dir)
        .rings(&arguments.rings)
        .memory(if arguments.shm { Memory::Shared } else { Memory::File })
        .level(Level::INFO)
        .slots_per_lane(SLOTS)
        .lanes(arguments.threads + MORE_LANES)
        .rotate_size(ROTATE_SIZE)
        .rotate_keep(ROTATE_KEEP)
        .init()?;
    let rings = (0..arguments.threads).map(|_| OwnRing::open(arguments)).collect::<Result<Vec<_>>>()?;
    page.say_ready();
    thread::scope(|scope| {
        for (thread, ring) in (0..).zip(rings) {
            let share = arguments.bytes / u64::from(arguments.threads);
            let how = if thread == 0 { arguments.how } else { How::Run };
            let line = Line { process: arguments.index, thread, number: 0 };
            let mut writer = Writer { page: &page, ring, line, share, spurts: 0, how };
            scope.spawn(move || writer.run());
        }
    });
    Ok(Exit::Done)
}

/// Makes this process end with the demo, even if that is killed, and a segfault leave no core file. False if the demo had ended
/// before.
fn depend_on(parent: u32) -> bool {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    rustix::process::getppid().is_some_and(|found| found.as_raw_nonzero().get() as u32 == parent)
}

/// A thread that logs.
struct Writer<'a> {
    page: &'a Page,
    ring: OwnRing,
    /// The line that was logged last.
    line: Line,
    /// Bytes that it may still fill outside of spurts.
    share: u64,
    /// Spurts that it has done.
    spurts: u64,
    how: How,
}

impl Writer<'_> {
    /// Logs flat out as long as the flusher is less than [`WAITING_MAX`] slots behind. Without this limit a thread on a
    /// slow disk would overwrite after 100 ms, as the policy `block` promises, and the demo would show counted losses
    /// instead of none.
    fn run(&mut self) {
        loop {
            if self.page.spurts_ordered() > self.spurts {
                self.spurts += 1;
                self.log(SPURT);
                match self.how {
                    How::Run => {}
                    How::Segv => page::segfault(),
                    How::Exit => page::leave(),
                }
            } else if self.spurts == 0 && self.share > 0 && self.ring.waiting() < WAITING_MAX {
                self.log(PIECE);
            } else {
                thread::sleep(NAP);
            }
        }
    }

    fn log(&mut self, lines: u64) {
        for _ in 0..lines {
            self.line.number += 1;
            let line = self.line;
            lastwords::info!("{line}");
            self.page.acknowledge(line.thread, line.number);
            self.share = self.share.saturating_sub(line.size_max());
        }
    }
}

/// This process's ring as a reader sees it.
struct OwnRing {
    reader: RingReader,
    buffer: Vec<u8>,
    lanes: Vec<LaneSnapshot>,
}

impl OwnRing {
    fn open(arguments: &DemoProcess) -> Result<OwnRing> {
        let folder = Folder::open(&arguments.dir)?.with_rings(&arguments.rings)?;
        let readers = folder.ring_files()?.into_iter().filter_map(|path| RingReader::open(&path).ok());
        let reader = readers.into_iter().find(|reader| reader.header().pid == std::process::id());
        let missing = || Error::Folder { path: folder.rings(), why: "this process's ring is not there".to_owned() };
        Ok(OwnRing { reader: reader.ok_or_else(missing)?, buffer: Vec::new(), lanes: Vec::new() })
    }

    /// Slots that wait for the flusher, in the fullest lane. A ring that cannot be read is taken as full.
    fn waiting(&mut self) -> u64 {
        if self.reader.lanes(&mut self.buffer, &mut self.lanes).is_err() {
            return u64::MAX;
        }
        let waiting = |lane: &LaneSnapshot| lane.reserved.saturating_sub(lane.position.released);
        self.lanes.iter().map(waiting).max().unwrap_or(0)
    }
}
