//! What must be in the log after a crash: numbered messages whose text can be computed anew, marks that say how far
//! each thread was acknowledged, and the comparison of both with the log.
//!
//! A thread logs `run 7 thread 2 n 1234 |<padding>`, and stores 1234 in a page of its own after the call returned. The page is
//! a mapped file, so the mark outlives the process, and it is never ahead of what the log promised.

use crate::logs::Line;
use crate::sys;
use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Words between two marks: one cache line each, so that the threads do not slow each other.
const STRIDE: usize = 8;
/// The word that says that the process logs.
const READY: usize = 0;
/// The word that asks the process's threads to pause.
const BRAKE: usize = 1;
/// Length of the text that padding is cut from.
const PADDING: u64 = 16 << 10;

/// Numbers that look random and are reproducible from a seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A seed from the environment variable `name`, else from the clock. Prints it, so that a failure can be replayed.
    ///
    /// # Panics
    /// If the variable holds no number.
    #[must_use]
    pub fn from_env(name: &str) -> Random {
        let seed = match std::env::var(name) {
            Ok(text) => text.parse().expect("the seed is a number"),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64),
        };
        println!("{name}={seed} replays this run");
        Random(seed)
    }

    /// The next number (SplitMix64).
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `limit`, which is at least 1.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit
    }

    /// Brings `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n as u64 + 1) as usize);
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Message `n` of a thread: most are short, every fourth takes some slots of 128 bytes, every sixteenth up to `longest`
/// bytes of padding. No two have equal padding at equal places, so bytes of one in the other show.
#[must_use]
pub fn text(run: u32, thread: u32, n: u64, longest: u64) -> String {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut random = Random::new(7);
        (0..PADDING).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
    });
    let random = mix(u64::from(run) << 48 ^ u64::from(thread) << 40 ^ n);
    let most = match n % 16 {
        0 => longest,
        4 | 8 | 12 => longest.min(250),
        _ => longest.min(45),
    };
    let length = random % (most + 1);
    let start = (random >> 32) % (PADDING - length);
    let mut text = String::with_capacity(48 + length as usize);
    let _ = write!(text, "run {run} thread {thread} n {n} |");
    text.push_str(&TEXT[start as usize..(start + length) as usize]);
    text
}

/// Run, thread and number of a message.
#[must_use]
pub fn parse(message: &str) -> Option<(u32, u32, u64)> {
    let (run, rest) = message.strip_prefix("run ")?.split_once(" thread ")?;
    let (thread, rest) = rest.split_once(" n ")?;
    let (n, _) = rest.split_once(" |")?;
    Some((run.parse().ok()?, thread.parse().ok()?, n.parse().ok()?))
}

/// The marks, as the process that logs writes them.
#[derive(Debug, Clone, Copy)]
pub struct Marks {
    words: &'static [AtomicU64],
}

impl Marks {
    /// Marks for this many threads in a file at `path`.
    ///
    /// # Errors
    /// As open(2) and mmap(2).
    pub fn create(path: &Path, threads: u32) -> io::Result<Marks> {
        sys::map_words(path, STRIDE * (threads as usize + 1)).map(|words| Marks { words })
    }

    /// Says that the logger is there.
    pub fn ready(&self) {
        self.words[READY].store(1, Ordering::SeqCst);
    }

    /// Says that the calls up to number `n` returned to `thread`.
    pub fn acknowledge(&self, thread: u32, n: u64) {
        self.words[STRIDE * (thread as usize + 1)].store(n, Ordering::SeqCst);
    }

    /// Whether the threads are asked to pause.
    #[must_use]
    pub fn braked(&self) -> bool {
        self.words[BRAKE].load(Ordering::Relaxed) != 0
    }
}

/// Whether the process whose marks are at `path` has a logger.
#[must_use]
pub fn is_ready(path: &Path) -> bool {
    read_words(path).get(READY) == Some(&1)
}

/// Asks the process whose marks are at `path` to pause, or to go on.
///
/// # Errors
/// As open(2) and pwrite(2).
pub fn brake(path: &Path, on: bool) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().write(true).open(path)?;
    file.write_all_at(&u64::from(on).to_le_bytes(), (BRAKE * 8) as u64)
}

/// How far each thread was acknowledged.
#[must_use]
pub fn read_marks(path: &Path) -> Vec<u64> {
    read_words(path).into_iter().step_by(STRIDE).skip(1).collect()
}

fn read_words(path: &Path) -> Vec<u64> {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

/// How a victim ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Logs until it is killed.
    WhenKilled,
    /// Exits after this many messages of each thread.
    Exit(u64),
    /// Kills itself after this many messages of each thread.
    KillItself(u64),
}

impl Ending {
    fn named(name: &str) -> Ending {
        let number = |text: &str| text.parse().expect("a number");
        match name.split_once(':') {
            Some(("exit", count)) => Ending::Exit(number(count)),
            Some(("kill", count)) => Ending::KillItself(number(count)),
            _ => Ending::WhenKilled,
        }
    }
}

/// What the program `victim` does, from one line of arguments to the other side.
#[derive(Debug, Clone)]
pub struct Victim {
    /// Log folder.
    pub folder: PathBuf,
    /// Its marks.
    pub marks: PathBuf,
    /// Role.
    pub role: String,
    /// Number that its messages carry.
    pub run: u32,
    /// Threads that log.
    pub threads: u32,
    /// Full-ring policy.
    pub full: String,
    /// Bytes of a slot.
    pub record_size: u32,
    /// Slots of a lane.
    pub slots: u32,
    /// Whether it carries a flusher.
    pub flusher: bool,
    /// Size at which the log is rotated.
    pub rotate_size: u64,
    /// Rotated files that are kept.
    pub rotate_keep: u32,
    /// Longest padding of a message.
    pub longest: u64,
    /// Messages that a thread logs flat out before it pauses for 2 ms; 0 for no pause.
    pub burst: u64,
    /// Milliseconds between two syncs; 0 for none.
    pub durable_ms: u64,
    /// Whether its ring is named shared memory.
    pub shared_memory: bool,
    /// Where the rings are; empty for the usual place.
    pub rings: PathBuf,
    /// What else happens in the process.
    pub trouble: Trouble,
    /// How it ends.
    pub ending: Ending,
}

/// What happens in a process besides logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// It closes all descriptors now and then, and takes the numbers.
    Descriptors,
    /// It is allowed next to no descriptors now and then.
    Starved,
    /// It is in a mount namespace that shows another boot.
    OtherBoot,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Trouble; 4] = [Trouble::None, Trouble::Descriptors, Trouble::Starved, Trouble::OtherBoot];

    fn named(name: &str) -> Trouble {
        *Trouble::ALL.iter().find(|trouble| format!("{trouble:?}") == name).expect("a trouble")
    }
}

impl Victim {
    /// A victim with small files and rings, which logs flat out until it is killed.
    #[must_use]
    pub fn new(folder: &Path, role: &str, run: u32) -> Victim {
        Victim {
            folder: folder.to_owned(),
            marks: folder.join(format!("marks-{run}")),
            role: role.to_owned(),
            run,
            threads: 2,
            full: "block".to_owned(),
            record_size: 128,
            slots: 4096,
            flusher: false,
            rotate_size: 10 << 20,
            rotate_keep: 100,
            longest: 2000,
            burst: 0,
            durable_ms: 0,
            shared_memory: false,
            rings: PathBuf::new(),
            trouble: Trouble::None,
            ending: Ending::WhenKilled,
        }
    }

    /// The program's arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let path = |path: &Path| path.to_str().expect("scratch folders have plain names").to_owned();
        let ending = match self.ending {
            Ending::WhenKilled => "killed".to_owned(),
            Ending::Exit(count) => format!("exit:{count}"),
            Ending::KillItself(count) => format!("kill:{count}"),
        };
        vec![
            path(&self.folder),
            path(&self.marks),
            self.role.clone(),
            self.run.to_string(),
            self.threads.to_string(),
            self.full.clone(),
            self.record_size.to_string(),
            self.slots.to_string(),
            self.flusher.to_string(),
            self.rotate_size.to_string(),
            self.rotate_keep.to_string(),
            self.longest.to_string(),
            self.burst.to_string(),
            self.durable_ms.to_string(),
            self.shared_memory.to_string(),
            path(&self.rings),
            format!("{:?}", self.trouble),
            ending,
        ]
    }

    /// Reads it back from the program's arguments.
    ///
    /// # Panics
    /// If they are not what [`Victim::arguments`] makes.
    #[must_use]
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Victim {
        let next = &mut arguments;
        Victim {
            folder: parsed(next),
            marks: parsed(next),
            role: parsed(next),
            run: parsed(next),
            threads: parsed(next),
            full: parsed(next),
            record_size: parsed(next),
            slots: parsed(next),
            flusher: parsed(next),
            rotate_size: parsed(next),
            rotate_keep: parsed(next),
            longest: parsed(next),
            burst: parsed(next),
            durable_ms: parsed(next),
            shared_memory: parsed(next),
            rings: parsed(next),
            trouble: Trouble::named(&parsed::<String>(next)),
            ending: Ending::named(&parsed::<String>(next)),
        }
    }
}

/// The next argument, as the type that it is read for.
fn parsed<T: FromStr<Err: Debug>>(arguments: &mut impl Iterator<Item = String>) -> T {
    arguments.next().expect("eighteen arguments").parse().expect("an argument of this kind")
}

/// A process that logged, and has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Pid that it had.
    pub pid: u32,
    /// What it was to do.
    pub victim: Victim,
    /// Whether it was killed, so that a death line is due.
    pub killed: bool,
}

/// What a comparison found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Messages that are in the log.
    pub messages: u64,
    /// Messages that the log says are lost.
    pub lost: u64,
    /// Messages in flight that are in the log all the same.
    pub in_flight: u64,
}

/// Compares a role's `lines` with what its processes logged.
///
/// # Panics
/// If an acknowledged message is neither there nor counted as lost, or is there twice, out of order or torn; if the log speaks
/// of more or fewer dropped messages than are missing, but for one in flight in each thread; if more than the one in flight is
/// beyond a thread's mark; if a killed process has not exactly one death line, or another one has any; if there is a line that
/// no process wrote.
#[must_use]
pub fn compare(lines: &[Line], processes: &[Ended]) -> Found {
    let by_run: HashMap<u32, &Ended> = processes.iter().map(|process| (process.victim.run, process)).collect();
    let mut seen: HashMap<(u32, u32), u64> = HashMap::new();
    let mut deaths: HashMap<u32, u64> = HashMap::new();
    let mut found = Found::default();
    let mut drops: HashMap<u32, Drops> = HashMap::new();
    let lacks = |process: &Ended| matches!(process.victim.trouble, Trouble::Descriptors | Trouble::Starved);
    let lacks_descriptors = processes.iter().any(lacks);
    // A loss line is right above the next message of its lane.
    let mut lost: Option<(u32, u64)> = None;
    for line in lines {
        if let Some((run, thread, n)) = parse(&line.message) {
            let process = by_run.get(&run).unwrap_or_else(|| panic!("nobody logged {line:?}"));
            let expected = text(run, thread, n, process.victim.longest);
            assert!(line.message == expected && line.level == "INFO", "torn: {line:?}, expected {expected:?}");
            assert_eq!(line.pid, process.pid, "{line:?}");
            let gap = lost.take().map_or(0, |(pid, count)| {
                assert_eq!(pid, line.pid, "a loss line stands above a message of another process: {line:?}");
                count
            });
            let last = seen.entry((run, thread)).or_default();
            if process.victim.full == "drop_newest" {
                assert!(n > *last && gap == 0, "after n {last} and {gap} lost: {}", line.message);
                drops.entry(line.pid).or_default().missing += n - *last - 1;
            } else {
                assert_eq!(n, *last + gap + 1, "after n {last} and {gap} lost: {}", line.message);
            }
            *last = n;
            found.messages += 1;
            found.lost += gap;
            continue;
        }
        assert_eq!(lost, None, "a loss line stands above {line:?}");
        match (loss_count(&line.message), drop_count(&line.message)) {
            (Some(count), _) => lost = Some((line.pid, count)),
            (None, Some(count)) => drops.entry(line.pid).or_default().reported += count,
            (None, None) if is_death(line) => {
                assert!(!line.message.contains("damaged"), "a kill damages nothing: {line:?}");
                *deaths.entry(line.pid).or_default() += 1;
            }
            (None, None) => {
                let is_told = is_heading(line) || lacks_descriptors && is_complaint(line);
                assert!(is_told, "nobody logged {line:?}");
            }
        }
    }
    assert_eq!(lost, None, "a loss line is the last one");
    for process in processes {
        let drops = drops.remove(&process.pid).unwrap_or_default();
        found.in_flight += compare_marks(process, &seen, drops);
        found.lost += drops.reported;
        let count = deaths.remove(&process.pid).unwrap_or_default();
        assert_eq!(count, u64::from(process.killed), "death lines of {process:?}");
    }
    assert!(deaths.is_empty(), "death lines of strangers: {deaths:?}");
    found
}

/// Messages of a process that were dropped at the full ring: how many are missing in the log, and how many are reported.
#[derive(Debug, Default, Clone, Copy)]
struct Drops {
    missing: u64,
    reported: u64,
}

fn compare_marks(process: &Ended, seen: &HashMap<(u32, u32), u64>, mut drops: Drops) -> u64 {
    let (mut beyond, dropping) = (0, process.victim.full == "drop_newest");
    for (thread, mark) in (0..).zip(read_marks(&process.victim.marks)) {
        let mut last = seen.get(&(process.victim.run, thread)).copied().unwrap_or_default();
        if dropping && last < mark {
            // What came after the last message of this thread was dropped as well.
            drops.missing += mark - last;
            last = mark;
        }
        assert!(
            last >= mark,
            "n up to {mark} was acknowledged, the log ends at {last}: thread {thread} of {process:?}"
        );
        assert!(
            last <= mark + 1,
            "n up to {mark} was acknowledged, the log goes to {last}: thread {thread} of {process:?}"
        );
        beyond += last - mark;
    }
    // A kill in the middle of a call leaves one more that is reported and was not acknowledged.
    let reported = drops.missing..=drops.missing + u64::from(process.victim.threads);
    assert!(reported.contains(&drops.reported), "{drops:?} of {process:?}");
    beyond
}

/// How many records a line about dropped ones speaks of.
fn drop_count(message: &str) -> Option<u64> {
    let (count, rest) = message.strip_prefix("lastwords: ")?.split_once(" record")?;
    rest.contains("lost, dropped at the full ring").then(|| count.parse().ok())?
}

/// How many records a loss line speaks of.
#[must_use]
pub fn loss_count(message: &str) -> Option<u64> {
    let (count, rest) = message.strip_prefix("lastwords: ")?.split_once(" record")?;
    rest.contains("lost, overwritten").then(|| count.parse().ok())?
}

/// Whether this is the line about a process that died.
#[must_use]
pub fn is_death(line: &Line) -> bool {
    let died = line.message.strip_prefix("lastwords: the process ");
    line.level == "CRITICAL" && died.is_some_and(|how| how.contains(" without closing its log"))
}

/// Whether this is the line above the records of an earlier run.
#[must_use]
pub fn is_heading(line: &Line) -> bool {
    line.level == "WARNING"
        && line.message.starts_with("lastwords: the records that follow were left by an earlier run")
}

/// Whether the flusher says here that something failed for a while. Nothing fails unless a test makes it fail.
#[must_use]
pub fn is_complaint(line: &Line) -> bool {
    let failed = line.message.starts_with("lastwords: for ") && line.message.contains("could not be written");
    let reported = ["lastwords: skipped: ", "lastwords: this file could not get the mode and group"];
    line.level == "WARNING" && (failed || reported.iter().any(|reported| line.message.starts_with(reported)))
}
