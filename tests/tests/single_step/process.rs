//! A process that is stopped after every instruction, and what it will have logged.

use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::read::reader::{LaneSnapshot, RingReader};
use lastwords_tests::steps::Kind;
use lastwords_tests::sys::{Stop, Traced};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Slots of the lane, and payload bytes of a slot.
pub(crate) const SLOTS: u64 = 8;
const PAYLOAD: u64 = 80;
/// Bytes of a message's body before its text: the tags, and the text's length.
const HEAD: u64 = 16;

/// The messages that will be logged, and where each of them will be.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) texts: Vec<String>,
    /// First and last sequence of each.
    pub(crate) places: Vec<(u64, u64)>,
}

impl Script {
    pub(crate) fn new(kind: Kind) -> Script {
        let texts: Vec<String> = (1..=kind.count()).map(|n| kind.message(n)).collect();
        let mut last = 0;
        let places = (1..).zip(&texts).map(|(n, text)| {
            let first = last + 1;
            let slots = (HEAD + (text.len() as u64).next_multiple_of(8)).div_ceil(PAYLOAD);
            // A spilled message's reference takes one.
            last += if kind.spills(n) { 1 } else { slots };
            (first, last)
        });
        Script { places: places.collect(), texts }
    }

    /// The last sequence once `n` messages are there.
    pub(crate) fn end(&self, n: u64) -> u64 {
        n.checked_sub(1).and_then(|index| self.places.get(index as usize)).map_or(0, |place| place.1)
    }

    pub(crate) fn first(&self, n: u64) -> u64 {
        self.places[n as usize - 1].0
    }
}

/// A stopped process and its ring.
#[derive(Debug)]
pub(crate) struct Stepper {
    traced: Traced,
    ring: File,
    path: PathBuf,
    marks: File,
    geometry: Geometry,
    /// The ring's bytes; of those behind the header, only the control page, the first page of the table, the lane blocks
    /// and the first lane's slots.
    copy: Vec<u8>,
    /// Names and lengths of the files beside the ring, where messages are spilled or slots are kept.
    spills: Option<Vec<(OsString, u64)>>,
    pub(crate) acknowledged: u64,
    pub(crate) steps: u64,
    pub(crate) looks: u64,
}

impl Stepper {
    /// A process that is about to log the first message that is worth stepping through.
    pub(crate) fn start(scratch: &Path, policy: &str, kind: Kind) -> Stepper {
        let marks = scratch.join("marks");
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepper"));
        // Without a backlog, where that is not what is stepped through.
        let backlog = if kind == Kind::Kept { "65536" } else { "0" };
        command.env("LASTWORDS_BACKLOG_MAX", backlog);
        command.arg(scratch.join("logs")).arg(&marks).args([&kind.count().to_string(), policy, kind.name()]);
        let mut traced = Traced::start(&mut command).expect("started");
        assert_eq!(traced.run().expect("ran"), Stop::Signal(libc::SIGSTOP), "before the first step");
        let rings = std::fs::read_dir(scratch.join("logs/rings")).expect("listed");
        let mut rings = rings.map(|entry| entry.expect("listed").path());
        let path = rings.find(|path| path.extension().is_some_and(|ending| ending == "ring")).expect("a ring");
        let geometry = RingReader::open(&path).expect("a ring").geometry();
        assert_eq!((geometry.slots(), geometry.payload_size() as u64), (SLOTS, PAYLOAD));
        let ring = File::open(&path).expect("opened");
        let marks = File::open(marks).expect("opened");
        let copy = std::fs::read(&path).expect("read");
        let spills = [Kind::Spilled, Kind::Kept].contains(&kind).then(Vec::new);
        let acknowledged = kind.unstepped();
        Stepper { traced, ring, path, marks, geometry, copy, spills, acknowledged, steps: 0, looks: 0 }
    }

    /// One instruction. False once the process stopped itself behind the last message.
    pub(crate) fn step(&mut self) -> bool {
        match self.traced.step().expect("stepped") {
            Stop::Signal(libc::SIGTRAP) => {}
            Stop::Signal(libc::SIGSTOP) => return false,
            other => panic!("{other:?} after {} steps", self.steps),
        }
        self.steps += 1;
        true
    }

    /// Copies what may have changed. False if it did not: then it would be recovered to the same.
    pub(crate) fn look(&mut self) -> bool {
        let mut mark = [0; 8];
        self.marks.read_exact_at(&mut mark, 64).expect("the mark");
        let mark = u64::from_le_bytes(mark);
        let mut changed = mark != self.acknowledged;
        self.acknowledged = mark;
        let (control, table) = (self.geometry.control_offset(), self.geometry.table_offset());
        let blocks = (self.geometry.blocks_offset(), self.geometry.blocks_size());
        let slots = (self.geometry.lane_offset(0), self.geometry.lane_size() as usize);
        for (offset, length) in [(control, 4096), (table, 4096), blocks, slots] {
            let mut bytes = [0; 4096];
            self.ring.read_exact_at(&mut bytes[..length], offset).expect("the ring");
            let known = &mut self.copy[offset as usize..offset as usize + length];
            if *known != bytes[..length] {
                known.copy_from_slice(&bytes[..length]);
                changed = true;
            }
        }
        changed |= self.spills_changed();
        self.looks += u64::from(changed);
        changed
    }

    fn spills_changed(&mut self) -> bool {
        let Some(known) = &mut self.spills else { return false };
        let entries = std::fs::read_dir(self.path.parent().expect("a folder")).expect("listed");
        let entries = entries.map(|entry| entry.expect("listed"));
        let beside = |path: PathBuf| path.extension().is_some_and(|ending| ending == "spill" || ending == "backlog");
        let spills = entries.filter(|entry| beside(entry.path()));
        let found: Vec<_> = spills.map(|entry| (entry.file_name(), entry.metadata().expect("there").len())).collect();
        let changed = *known != found;
        *known = found;
        changed
    }

    pub(crate) fn reader(&self) -> (RingReader<Vec<u8>>, Vec<LaneSnapshot>) {
        let reader =
            RingReader::new(self.copy.clone(), &self.path).expect("a valid ring").with_backlog_beside(&self.path);
        let mut lanes = Vec::new();
        reader.lanes(&mut Vec::new(), &mut lanes).expect("read");
        (reader, lanes)
    }
}
