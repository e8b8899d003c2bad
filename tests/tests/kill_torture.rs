//! Processes are killed at random moments, by the hundred, while they log and while they drain.
//!
//! The tests that stop a process at every instruction, or a flusher at every system call, watch one process at a time. What
//! they cannot show is what happens between processes: a worker dies while the flusher reads its ring, the flusher dies while
//! others log, its successor finds the journal of a batch that was half written, and is killed in turn. An asynchronous logger
//! loses thousands of acknowledged lines at every one of these kills; this one must lose none, and must report exactly how many
//! were overwritten where it was too slow.
//!
//! Four kinds of rounds take turns. In lossless ones threads log in bursts that the flusher keeps up with, and where the
//! flusher's process is the one to be killed, the others pause from just before the kill until its successor has made room,
//! because a process whose ring is full while no flusher lives is right to overwrite. In the second kind they log flat out into
//! small rings without any such care, in the third they do not even wait for the flusher but overwrite what it has not read,
//! and in the fourth they drop what finds no room. There each missing message must be part of a loss line, for the overwritten
//! ones right above the next message of their thread. The rings are files on disk, files in memory, or named shared memory; the
//! log is text, JSON, or both. Processes are also stopped for a while, in the middle of whatever they do, and go on, or are
//! killed where they are. In some rounds the processes close all descriptors now and then and open files of their own
//! (`LASTWORDS_TORTURE_DESCRIPTORS`), which must stay untouched; are allowed next to no descriptors; or see another boot than
//! the others.
//!
//! A kill that finds everything drained and no flusher at work proves nothing, so many flushers are killed right after the
//! journal was seen to change, and what each kill left is checked while all others are stopped. A run in which few kills found
//! records to be drained, a log call in the middle, or a batch half written, fails.

use lastwords_flusher::files::journal::{Change, Journal};
use lastwords_flusher::files::rotation::{archived, numbered};
use lastwords_flusher::flusher::{Election, Flusher};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::Holder;
use lastwords_ring::read::reader::{LaneSnapshot, Position, RingReader};
use lastwords_tests::files::{name_of, paths_in};
use lastwords_tests::oracle::{self, Ended, Found, Random, Trouble, Victim, brake, compare, is_ready};
use lastwords_tests::programs::VICTIM;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use lastwords_tests::{jsonl, logs};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

/// Kills, unless `LASTWORDS_TORTURE_KILLS` says otherwise. A build without optimisation takes three times as long for one.
const KILLS: u64 = if cfg!(debug_assertions) { 300 } else { 1000 };
/// Kills of a round before all of its processes are killed.
const KILLS_IN_ROUND: u64 = 12;
/// A round's processes.
const SEATS: [&str; 4] = ["host", "worker", "worker", "painter"];
const ROLES: [&str; 3] = ["host", "worker", "painter"];
/// Of a hundred kills, so many must find undrained records.
const UNDRAINED_MIN: u64 = 20;
/// Of a hundred kills, so many must find an open slot, and as many a half-written batch: 20 of 1,000.
const OPEN_MIN: u64 = 2;
/// Longest wait for a batch that is on its way.
const BATCH_MAX: Duration = Duration::from_millis(20);
/// Longest time for which a process is stopped.
const STOP_MAX_US: u64 = 20_000;
/// Where files are in memory.
const MEMORY: &str = "/dev/shm";

/// How the processes of a round log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// In bursts, into rings that are large enough.
    Lossless,
    /// Flat out, waiting for the flusher where a ring is full.
    Waiting,
    /// Flat out, overwriting.
    Overwriting,
    /// Flat out, dropping what finds no room.
    Dropping,
}

/// What the rings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backing {
    /// Files beside the log files.
    Disk,
    /// Files in memory.
    Memory,
    /// Named shared memory.
    Shared,
}

/// What the kills found.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    flushers: u64,
    together: u64,
    stops: u64,
    undrained: u64,
    open: u64,
    half_written: u64,
    rounds: BTreeMap<String, u64>,
    troubles: BTreeMap<String, u64>,
    /// Rounds in which no ring should fill, and those of them in which one did: on a machine without a free core the
    /// flusher may not run for the 100 ms that a call waits. What was lost then has been compared with what the log
    /// says was lost, as everywhere.
    lossless: u64,
    starved: u64,
    found: Found,
}

#[derive(Debug)]
struct Running {
    child: Child,
    victim: Victim,
}

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("its own child");
    }
}

/// One folder, and the processes that log to it.
#[derive(Debug)]
struct Round {
    scratch: Scratch,
    /// Where the rings are, if not in the folder.
    memory: Option<Scratch>,
    folder: Folder,
    kind: Kind,
    backing: Backing,
    /// Which log files there are: `text`, `json` or `both`.
    format: &'static str,
    /// What else happens in its processes.
    trouble: Trouble,
    /// Whether workers carry a flusher too, and take over.
    workers_flush: bool,
    running: Vec<Running>,
    ended: Vec<Ended>,
    run: u32,
}

impl Round {
    fn new(kind: Kind, random: &mut Random) -> Round {
        let scratch = Scratch::new("torture");
        let mut folder = Folder::create(&scratch.join("logs")).expect("the folder");
        let backing = [Backing::Disk, Backing::Memory, Backing::Shared][random.below(3) as usize];
        let memory = (backing == Backing::Memory).then(|| Scratch::within(Path::new(MEMORY), "torture"));
        if let Some(memory) = &memory {
            folder = folder.with_rings(&memory.path().join("rings")).expect("the rings' folder");
        }
        let workers_flush = random.below(2) == 0;
        // A flusher that makes objects takes longer, and lossless rounds need one that keeps up.
        let formats = if kind == Kind::Lossless { &["text"][..] } else { &["text", "json", "both"] };
        let format = formats[random.below(formats.len() as u64) as usize];
        let trouble = Trouble::ALL[random.below(Trouble::ALL.len() as u64) as usize];
        let trouble = if trouble == Trouble::OtherBoot && !may_unshare() { Trouble::None } else { trouble };
        let (running, ended) = (Vec::new(), Vec::new());
        Round { scratch, memory, folder, kind, backing, format, trouble, workers_flush, running, ended, run: 0 }
    }

    /// Starts what does not run, and waits until everything logs and there is a flusher.
    fn start(&mut self) {
        for (seat, role) in SEATS.into_iter().enumerate() {
            let holds = |running: &Running| running.victim.run as usize % SEATS.len() == seat;
            if !self.running.iter().any(holds) {
                self.start_one(seat, role);
            }
        }
        for running in &self.running {
            wait_until("the process logs", || is_ready(&running.victim.marks));
        }
        wait_until("a living process flushes", || self.flusher().is_some());
        if self.kind == Kind::Lossless {
            // A flusher that is killed before it got anywhere leaves no more room than it found.
            self.set_brakes(true);
            wait_until("the rings have room", || self.running.iter().all(|running| self.has_room(running)));
            self.set_brakes(false);
        }
    }

    fn start_one(&mut self, seat: usize, role: &str) {
        self.run += 1;
        let run = self.run * SEATS.len() as u32 + seat as u32;
        let mut victim = Victim::new(self.folder.path(), role, run);
        victim.marks = self.scratch.path().join(format!("marks-{run}"));
        victim.flusher = seat == 0 || self.workers_flush;
        // A hundred files are kept: so nothing rotates away within a round.
        victim.rotate_size = 4 << 20;
        victim.shared_memory = self.backing == Backing::Shared;
        victim.rings = self.memory.as_ref().map(|memory| memory.path().join("rings")).unwrap_or_default();
        (victim.slots, victim.burst, victim.longest) = match self.kind {
            Kind::Lossless => (8192, 100, 2000),
            Kind::Waiting | Kind::Overwriting | Kind::Dropping => (512, 0, 8000),
        };
        victim.full = match self.kind {
            Kind::Lossless | Kind::Waiting => "block",
            Kind::Overwriting => "overwrite",
            Kind::Dropping => "drop_newest",
        }
        .to_owned();
        victim.trouble = self.trouble;
        let mut command = self.command(&victim);
        let child = command.args(victim.arguments()).env("LASTWORDS_FORMAT", self.format).spawn().expect("spawned");
        self.running.push(Running { child, victim });
    }

    /// The program, in namespaces if that is its handicap.
    fn command(&self, victim: &Victim) -> Command {
        // Half of the processes, so that those who see different boots flush for each other.
        if victim.trouble != Trouble::OtherBoot || victim.run.is_multiple_of(2) {
            return VICTIM.command();
        }
        let boot = self.scratch.path().join("boot_id");
        std::fs::write(&boot, "0f0e0d0c-0b0a-4908-8706-050403020100\n").expect("written");
        let script = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(boot).arg(&VICTIM);
        command
    }

    /// Which of the processes is the flusher.
    fn flusher(&self) -> Option<usize> {
        let pid = Holder::read(&self.folder)?.process.pid;
        self.running.iter().position(|running| running.child.id() == pid)
    }

    fn set_brakes(&self, on: bool) {
        for running in &self.running {
            brake(&running.victim.marks, on).expect("the marks");
        }
    }

    fn ring_of(&self, pid: u32) -> Option<RingReader> {
        let files = self.folder.ring_files().expect("the rings");
        let path = files.iter().find(|path| path.to_string_lossy().contains(&format!("-{pid}-")))?;
        RingReader::open(path).ok()
    }

    fn has_room(&self, running: &Running) -> bool {
        let Some(reader) = self.ring_of(running.child.id()) else { return false };
        let mut lanes = Vec::new();
        reader.lanes(&mut Vec::new(), &mut lanes).expect("the lanes");
        let room =
            |lane: &LaneSnapshot| lane.reserved.saturating_sub(lane.position.released) < reader.geometry().slots() / 4;
        lanes.iter().all(room)
    }

    /// Kills these processes at once, and checks what they left. The flusher was determined before, because that takes longer
    /// than a batch.
    fn kill(&mut self, mut seats: Vec<usize>, flusher: Option<usize>, tally: &mut Tally) {
        let flusher = flusher.is_none_or(|flusher| seats.contains(&flusher));
        tally.flushers += u64::from(flusher);
        if flusher {
            let braked = |seat: &usize| self.kind == Kind::Lossless && !seats.contains(seat);
            for seat in (0..self.running.len()).filter(braked) {
                brake(&self.running[seat].victim.marks, true).expect("the marks");
            }
        }
        for seat in &seats {
            self.running[*seat].child.kill().expect("killed");
        }
        // What is found is what the kill left, not what the next flusher has made of it since.
        let others: Vec<usize> = (0..self.running.len()).filter(|seat| !seats.contains(seat)).collect();
        others.iter().for_each(|seat| self.running[*seat].signal(Signal::STOP));
        self.look(&seats, flusher, tally);
        others.iter().for_each(|seat| self.running[*seat].signal(Signal::CONT));
        seats.sort_unstable();
        for seat in seats.into_iter().rev() {
            let mut running = self.running.remove(seat);
            running.child.wait().expect("ended");
            tally.kills += 1;
            self.ended.push(Ended { pid: running.child.id(), victim: running.victim, killed: true });
        }
    }

    /// Checks what the killed left.
    fn look(&mut self, seats: &[usize], flusher: bool, tally: &mut Tally) {
        for seat in seats {
            self.running[*seat].child.wait().expect("ended");
            self.look_at_ring(self.running[*seat].child.id(), tally);
        }
        tally.half_written += u64::from(flusher && is_half_written(&self.folder));
    }

    /// Waits for the journal to change, a moment at most: then its flusher is in the middle of a batch.
    fn await_batch(&self) {
        let Some(files) = journal_files(&self.folder) else { return };
        let (start, before) = (Instant::now(), journal_heads(&files));
        while journal_heads(&files) == before && start.elapsed() < BATCH_MAX {
            std::hint::spin_loop();
        }
    }

    /// Stops a process in the middle of whatever it does. Where nothing may get lost, that is not the flusher.
    fn stop_one(&self, random: &mut Random, tally: &mut Tally) -> Option<usize> {
        let seat = random.below(self.running.len() as u64) as usize;
        if self.kind == Kind::Lossless && self.flusher().is_none_or(|flusher| flusher == seat) {
            return None;
        }
        self.running[seat].signal(Signal::STOP);
        tally.stops += 1;
        thread::sleep(Duration::from_micros(random.below(STOP_MAX_US)));
        Some(seat)
    }

    /// What a flusher finds in the ring of a process that was killed, unless one has already been there.
    fn look_at_ring(&self, pid: u32, tally: &mut Tally) {
        let Some(reader) = self.ring_of(pid) else { return };
        let (mut buffer, mut lanes) = (Vec::new(), Vec::new());
        reader.lanes(&mut buffer, &mut lanes).expect("the lanes");
        let (mut undrained, mut open) = (false, false);
        for (number, lane) in lanes.iter().enumerate().filter(|(_, lane)| lane.reserved > 0) {
            let last = reader.last_sequence(number, &mut buffer).expect("the slots");
            undrained |= last > lane.position.released;
            open |= lane.reserved > last;
        }
        tally.undrained += u64::from(undrained);
        tally.open += u64::from(open);
    }

    /// Drains what all the killed left, and compares it with what they logged.
    fn settle(mut self, tally: &mut Tally) {
        self.kill((0..self.running.len()).collect(), None, tally);
        tally.together += 1;
        let Election::Won(mut flusher) = Flusher::elect(&self.folder, 0).expect("the election") else {
            panic!("a killed process holds the flusher's lock");
        };
        flusher.drain_once().expect("the drain");
        assert_eq!(self.folder.ring_files().expect("the rings"), Vec::<std::path::PathBuf>::new(), "rings stay");
        for path in paths_in(&self.scratch) {
            let what = || std::fs::read_to_string(&path).unwrap_or_default();
            assert!(!name_of(&path).starts_with("spoiled-"), "somebody's own files were touched: {}", what());
        }
        let mut lost = 0;
        for role in ROLES {
            let processes: Vec<Ended> =
                self.ended.iter().filter(|process| process.victim.role == role).cloned().collect();
            let lines = self.lines(role);
            let found = compare(&lines, &processes);
            lost += found.lost;
            tally.found.messages += found.messages;
            tally.found.lost += found.lost;
            tally.found.in_flight += found.in_flight;
        }
        if self.kind == Kind::Lossless {
            tally.lossless += 1;
            tally.starved += u64::from(lost > 0);
        }
    }
}

impl Round {
    /// A role's lines, which are the same in all of its files.
    fn lines(&self, role: &str) -> Vec<logs::Line> {
        let folder = self.folder.path();
        match self.format {
            "text" => logs::read(folder, role),
            "json" => jsonl::lines(folder, role),
            _ => {
                let lines = logs::read(folder, role);
                assert!(jsonl::lines(folder, role) == lines, "the JSON of {role} and its text");
                lines
            }
        }
    }
}

/// Whether processes may be put into namespaces of their own here; prints a line once if not.
fn may_unshare() -> bool {
    static MAY: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *MAY.get_or_init(|| {
        let may = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
        if !may {
            println!("skipped: rounds in mount namespaces, which this user may not make");
        }
        may
    })
}

/// The two files of the journal, once there is one.
fn journal_files(folder: &Folder) -> Option<[File; 2]> {
    let open = |name| File::open(folder.rings().join(name)).ok();
    Some([open("journal.a")?, open("journal.b")?])
}

/// The epochs that they begin with: the first bytes of an entry that are written.
fn journal_heads(files: &[File; 2]) -> [u64; 2] {
    files.each_ref().map(|file| {
        let mut epoch = [0; 8];
        file.read_exact_at(&mut epoch, 8).map_or(0, |()| u64::from_le_bytes(epoch))
    })
}

/// Whether the journal's last entry is torn, or its batch lacks something in a log file or a ring.
fn is_half_written(folder: &Folder) -> bool {
    let Some(entry) = Journal::peek(folder).expect("the journal") else { return false };
    let heads = journal_files(folder).map_or([0; 2], |files| journal_heads(&files));
    if heads.into_iter().any(|epoch| epoch > entry.epoch) {
        return true;
    }
    entry.changes.iter().any(|change| match change {
        Change::Append { log, file, offset, length } => std::fs::metadata(folder.log_file(log))
            .is_ok_and(|found| (found.dev(), found.ino()) == *file && found.len() < offset + length),
        Change::Rename { log, file, from, archive, .. } => {
            let path = if *archive { archived(folder, log, *from) } else { numbered(folder, log, *from) };
            std::fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == *file)
        }
        Change::Position { ring, lane, words, .. } => RingReader::open_in(folder, ring).is_ok_and(|reader| {
            let mut lanes = Vec::new();
            reader.lanes(&mut Vec::new(), &mut lanes).expect("the lanes");
            lanes[*lane as usize].position != Position::from_words(words)
        }),
        Change::Archived { log, file, number, .. } => {
            std::fs::metadata(numbered(folder, log, *number)).is_ok_and(|found| (found.dev(), found.ino()) == *file)
        }
        Change::Remove { ring, .. } => folder.rings().join(ring).exists(),
        Change::DeathLogged { .. } | Change::Of { .. } => false,
    })
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited for 20 s until {what}");
        thread::sleep(Duration::from_micros(200));
    }
}

fn kills_wanted() -> u64 {
    let found = std::env::var("LASTWORDS_TORTURE_KILLS").ok();
    found.map_or(KILLS, |text| text.parse().expect("LASTWORDS_TORTURE_KILLS is a number"))
}

/// Seconds that `LASTWORDS_TORTURE_SECONDS` asks for: a minute, or a night.
fn time_wanted() -> Option<Duration> {
    let found = std::env::var("LASTWORDS_TORTURE_SECONDS").ok()?;
    Some(Duration::from_secs(found.parse().expect("LASTWORDS_TORTURE_SECONDS is a number")))
}

/// One kill, of one process or of all.
fn strike(round: &mut Round, random: &mut Random, tally: &mut Tally) {
    // The moment of the kill is the point of the test, so here time is what is waited for.
    thread::sleep(Duration::from_micros(random.below(30_000)));
    let stopped = if random.below(3) == 0 { round.stop_one(random, tally) } else { None };
    // Half of the stopped go on, the others are killed where they are, or while another one is stopped.
    if let Some(seat) = stopped.filter(|_| random.below(2) == 0) {
        round.running[seat].signal(Signal::CONT);
    }
    let all: Vec<usize> = (0..round.running.len()).collect();
    let flusher = round.flusher();
    let chosen = match random.below(10) {
        0..2 => all,
        2..6 => {
            let delay = Duration::from_micros(random.below(2) * random.below(200));
            round.await_batch();
            thread::sleep(delay);
            vec![flusher.unwrap_or_default()]
        }
        _ => vec![random.below(all.len() as u64) as usize],
    };
    tally.together += u64::from(chosen.len() > 1);
    // A process that was stopped and is not killed goes on after the check.
    round.kill(chosen, flusher, tally);
}

#[test]
fn processes_killed_at_random_lose_no_acknowledged_record() {
    let (wanted, time, start) = (kills_wanted(), time_wanted(), Instant::now());
    let watched = time.unwrap_or(Duration::from_secs(wanted * 2));
    let _watchdog = Watchdog::new("kill_torture", watched + Duration::from_secs(120));
    let mut random = Random::from_env("LASTWORDS_TORTURE_SEED");
    let mut tally = Tally::default();
    for number in 0.. {
        if time.map_or(tally.kills >= wanted, |time| start.elapsed() >= time) {
            break;
        }
        let kind = [Kind::Lossless, Kind::Waiting, Kind::Overwriting, Kind::Dropping][number % 4];
        let mut round = Round::new(kind, &mut random);
        println!("round {number}: {kind:?}, {:?}, {}, {:?}", round.backing, round.format, round.trouble);
        *tally.rounds.entry(format!("{kind:?}, {:?}, {}", round.backing, round.format)).or_default() += 1;
        *tally.troubles.entry(format!("{:?}", round.trouble)).or_default() += 1;
        let end = tally.kills + KILLS_IN_ROUND;
        while tally.kills < end {
            round.start();
            strike(&mut round, &mut random, &mut tally);
            if kind == Kind::Waiting {
                // Time enough to fill a ring without a flusher.
                thread::sleep(Duration::from_micros(random.below(40_000)));
            }
        }
        round.settle(&mut tally);
    }
    println!("{tally:#?}\n{:.1} s", start.elapsed().as_secs_f64());
    assert!(tally.undrained * 100 >= tally.kills * UNDRAINED_MIN, "few kills found undrained records: {tally:?}");
    assert!(tally.open * 100 >= tally.kills * OPEN_MIN, "few kills found a log call in the middle: {tally:?}");
    assert!(tally.half_written * 100 >= tally.flushers * OPEN_MIN, "few kills found a batch half written: {tally:?}");
    assert!(tally.starved * 2 <= tally.lossless, "rings filled in most rounds: {tally:?}");
    assert!(tally.found.messages > tally.kills * 10, "little was logged: {tally:?}");
}

/// The comparison itself must notice what it is there for.
#[test]
fn the_comparison_notices_a_missing_a_doubled_and_a_torn_message() {
    let scratch = Scratch::new("torture-oracle");
    let victim = Victim::new(&scratch, "host", 3);
    let mut marks = [0u64; 16];
    marks[8] = 4;
    let bytes: Vec<u8> = marks.iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(&victim.marks, bytes).expect("written");
    let line = |message: String| logs::Line { time: String::new(), pid: 9, level: "INFO".to_owned(), message };
    let lines = |numbers: &[u64]| -> Vec<logs::Line> {
        numbers.iter().map(|n| line(oracle::text(3, 0, *n, victim.longest))).collect()
    };
    let processes = [Ended { pid: 9, victim: victim.clone(), killed: false }];
    let refused = |lines: Vec<logs::Line>| std::panic::catch_unwind(|| compare(&lines, &processes)).is_err();
    assert_eq!(compare(&lines(&[1, 2, 3, 4]), &processes).messages, 4);
    assert_eq!(compare(&lines(&[1, 2, 3, 4, 5]), &processes).in_flight, 1);
    let lost = line("lastwords: 2 records lost, overwritten in the full ring before 2025".to_owned());
    let mut with_loss = lines(&[1, 4]);
    with_loss.insert(1, lost);
    assert_eq!(compare(&with_loss, &processes), Found { messages: 2, lost: 2, in_flight: 0 });
    with_loss.pop();
    with_loss.extend(lines(&[3, 4]));
    assert!(refused(with_loss), "a loss that was none");
    for wrong in [&[1, 2, 4][..], &[1, 2, 2, 3, 4], &[1, 3, 2, 4], &[1, 2, 3], &[1, 2, 3, 4, 5, 6]] {
        assert!(refused(lines(wrong)), "{wrong:?}");
    }
    let mut torn = lines(&[1, 2, 3, 4]);
    torn[2].message.pop();
    assert!(refused(torn), "a torn message");
}
