//! A scripted run whose every change of a file is recorded: a producer in this process, and a flusher under ptrace.

use lastwords::{Format, FullPolicy, Level};
use lastwords_ring::format::checksum::checksum;
use lastwords_ring::format::compress::Compress;
use lastwords_ring::format::file_settings::FileSettings;
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::format::layout::{encoding, lane_kind};
use lastwords_ring::place::clock;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::spill::{self, SpillReference};
use lastwords_ring::write::lane::{Lane, Message, Origin};
use lastwords_ring::write::ring::{Ring, RingSpec};
use lastwords_tests::disk::Disk;
use lastwords_tests::oracle::{Random, text};
use lastwords_tests::programs::DRAINER;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::{Stop, Traced};
use std::collections::BTreeMap;
use std::fs;
use std::io::{PipeWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Slots of a lane, few, so that they are reused all the time.
const SLOTS: u64 = 16;
/// Lanes that are logged to.
pub(crate) const THREADS: u32 = 2;
/// Size at which the log is rotated.
pub(crate) const ROTATE_SIZE: u64 = 6000;
/// Longest text that the ring itself takes; a longer one is spilled.
const LONGEST: u64 = 300;
/// Rounds of logging and draining.
const ROUNDS: u32 = 60;
/// The role.
pub(crate) const ROLE: &str = "worker";

/// System calls after which files may have changed.
const CHANGING: [i64; 12] = [
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_linkat,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
];

/// The recorded run.
pub(crate) struct Recording {
    /// Where it ran.
    pub(crate) scratch: Scratch,
    /// What became of the files, moment by moment.
    pub(crate) disk: Disk,
    /// When each message was logged, by thread and number.
    pub(crate) logged: BTreeMap<(u32, u64), usize>,
    /// From these moments on, messages logged before those are on the disk: the ends of the syncs, and the beginnings of
    /// the drains before them.
    pub(crate) safe: Vec<(usize, usize)>,
    /// Whether messages may have been overwritten before they were drained.
    pub(crate) overwrites: bool,
    /// Which log files there are.
    pub(crate) format: Format,
}

/// What message `n` of a thread says. Some have a further line.
pub(crate) fn message(thread: u32, n: u64) -> String {
    let longest = if n % 11 == 5 { 4 * LONGEST } else { LONGEST - 60 };
    let mut message = text(1, thread, n, longest);
    if n % 5 == 3 {
        message += &format!("\n  thread {thread} line {n}");
    }
    message
}

struct Producer {
    ring: Ring,
    lanes: Vec<Lane<'static>>,
    counts: Vec<u64>,
    spills: u64,
}

impl Producer {
    fn new(folder: &Folder, sync_ms: u32, format: Format, compress: Compress) -> Producer {
        let geometry = Geometry::new(128, SLOTS as u32, THREADS + 1, 1, 4096).expect("sizes within the limits");
        let (full, crash_keep) = (FullPolicy::Overwrite, 20);
        let files = RingSpec { rotate_size: ROTATE_SIZE, rotate_keep: 100, format, ..RingSpec::new(ROLE, geometry) };
        let files = RingSpec { files: FileSettings { compress, ..FileSettings::default() }, ..files };
        let spec = RingSpec { full, crash_keep, sync_ms, ..files };
        let ring = Ring::create(folder, &spec).expect("a ring");
        let mut lanes: Vec<Lane<'static>> = (0..THREADS).map(|lane| ring.lane(lane as usize)).collect();
        for (thread, lane) in (0..).zip(&mut lanes) {
            lane.claim(lane_kind::WRITE, thread + 1, b"thread");
        }
        Producer { ring, lanes, counts: vec![0; THREADS as usize], spills: 0 }
    }

    /// Slots that the thread's next message takes.
    fn slots(&self, thread: u32) -> u64 {
        let length = message(thread, self.counts[thread as usize] + 1).len();
        if length > LONGEST as usize { 1 } else { self.lanes[thread as usize].slots_for(length) }
    }

    /// Logs the thread's next message. A look is also taken while its slot is open.
    fn log(&mut self, thread: u32, recording: &mut Recording) {
        let count = &mut self.counts[thread as usize];
        *count += 1;
        let (n, text) = (*count, message(thread, *count));
        let (mut kind, mut body) = (encoding::TEXT, text.clone().into_bytes());
        if body.len() > LONGEST as usize {
            self.spills += 1;
            let path = spill::path(self.ring.entry(), self.spills);
            fs::write(path, &body).expect("written");
            recording.disk.look();
            let (number, length, sum) = (self.spills, body.len() as u64, checksum(&body));
            body = SpillReference { number, length, checksum: sum, encoding: kind }.to_bytes().to_vec();
            kind = encoding::SPILLED;
        }
        let origin = Origin { level: Level::INFO.number(), call_site: 0, thread: thread + 1, encoding: kind };
        let disk = &mut recording.disk;
        let now = || {
            disk.look();
            clock::now()
        };
        self.lanes[thread as usize].append(now, &Message { origin, body: &body });
        recording.disk.look();
        recording.logged.insert((thread, n), recording.disk.moment());
    }
}

/// A flusher under ptrace.
struct Drainer {
    traced: Traced,
    steps: PipeWriter,
}

impl Drainer {
    /// Starts it and has it open the folder.
    fn start(recording: &mut Recording) -> Drainer {
        let (reader, steps) = std::io::pipe().expect("a pipe");
        let mut command = DRAINER.command();
        command.arg(recording.scratch.path().join("logs")).args(["all", "steps"]).stdin(reader);
        let mut drainer = Drainer { traced: Traced::start(&mut command).expect("started"), steps };
        drop(command);
        drainer.run_to_mark(recording, None);
        drainer.run_to_mark(recording, None);
        drainer
    }

    /// Has it do a step; with `kill` it is killed before that change of a file. False if it was.
    fn step(&mut self, step: &str, recording: &mut Recording, kill: Option<u64>) -> bool {
        self.steps.write_all(step.as_bytes()).and_then(|()| self.steps.write_all(b"\n")).expect("it listens");
        self.run_to_mark(recording, kill)
    }

    fn run_to_mark(&mut self, recording: &mut Recording, kill: Option<u64>) -> bool {
        let mut calls = 0;
        loop {
            let Stop::Entry(number) = self.traced.to_system_call().expect("traced") else { panic!("no entry") };
            let number = number as i64;
            // Others come as often as the time allows.
            calls += u64::from(CHANGING.contains(&number));
            if kill == Some(calls) {
                self.traced.kill().expect("killed");
                recording.disk.look();
                return false;
            }
            let is_sync = [libc::SYS_fsync, libc::SYS_fdatasync].contains(&number);
            let synced = is_sync.then(|| self.file(self.traced.arguments().expect("its descriptor")[0]));
            let mut go_on = || assert_eq!(self.traced.to_system_call().expect("traced"), Stop::Exit, "{number}");
            match number {
                libc::SYS_unlinkat => recording.disk.while_one_is_removed(go_on),
                _ => go_on(),
            }
            if number == libc::SYS_getppid {
                return true;
            }
            if let Some((inode, path)) = synced {
                recording.disk.synced(inode, &path);
            } else if CHANGING.contains(&number) {
                recording.disk.look();
            }
        }
    }

    /// The inode of an open file, and a path that leads to it.
    fn file(&self, descriptor: u64) -> (u64, PathBuf) {
        let path = PathBuf::from(format!("/proc/{}/fd/{descriptor}", self.traced.pid()));
        (fs::metadata(&path).expect("open").ino(), path)
    }
}

/// Runs the script. With `sync_ms` the ring requests syncs.
pub(crate) fn record(
    scratch: Scratch,
    sync_ms: u32,
    format: Format,
    compress: Compress,
    random: &mut Random,
) -> Recording {
    let (logs, rings) = (scratch.path().join("logs"), scratch.path().join("logs/rings"));
    let folder = Folder::create(&logs).expect("a log folder");
    let disk = Disk::new(&logs, &rings, scratch.path().join("removed"));
    let overwrites = sync_ms == 0;
    let mut recording = Recording { scratch, disk, logged: BTreeMap::new(), safe: Vec::new(), overwrites, format };
    let mut producer = Producer::new(&folder, sync_ms, format, compress);
    recording.disk.look();
    if sync_ms > 0 {
        // `Ring::create` has synced it, which `durable.rs` checks.
        recording.disk.sync_all();
    }
    let mut drainer: Option<Drainer> = None;
    for _ in 0..ROUNDS {
        let mut used = [0; THREADS as usize];
        for _ in 0..random.below(12) {
            let thread = random.below(THREADS.into()) as u32;
            used[thread as usize] += producer.slots(thread);
            if used[thread as usize] <= SLOTS || (overwrites && random.below(4) == 0) {
                producer.log(thread, &mut recording);
            }
        }
        let mut running = drainer.take().unwrap_or_else(|| Drainer::start(&mut recording));
        let kill = (random.below(12) == 0).then(|| 1 + random.below(16));
        let begun = recording.disk.moment();
        if !running.step("pass", &mut recording, kill) {
            // The next one finds what it left, before anything else is logged.
            running = Drainer::start(&mut recording);
            running.step("pass", &mut recording, None);
        }
        if random.below(6) == 0 {
            running.step("settle", &mut recording, None);
        }
        if compress != Compress::Never && random.below(4) == 0 {
            let kill = (random.below(6) == 0).then(|| 1 + random.below(16));
            if !running.step("compress", &mut recording, kill) {
                running = Drainer::start(&mut recording);
                running.step("pass", &mut recording, None);
            }
        }
        if random.below(3) == 0 {
            running.step("sync", &mut recording, None);
            if sync_ms > 0 {
                recording.safe.push((recording.disk.moment(), begun));
            }
        }
        drainer = Some(running);
    }
    recording
}
