//! A file system that stops in the middle, for real.
//!
//! What a model of pages leaves out is what a file system does: it commits names in groups, allocates late, and converts
//! reserved space when it is written. A logger that relies on what one of these happens to do loses its files when the
//! power goes: an unsynced rename leaves no file at all.
//!
//! So an ext4 in a loop-mounted image is shut down without writing its journal back (EXT4_IOC_SHUTDOWN) while processes log to
//! it, mounted again and recovered. That takes root and a loop device; elsewhere the tests print that they were skipped.
//! `LASTWORDS_EXT4_ROUNDS` sets the number of rounds.

use lastwords_tests::actor::{tool_at, wait_until};
use lastwords_tests::loopmount::LoopMount;
use lastwords_tests::oracle::{self, Ending, Random, Victim};
use lastwords_tests::programs::{TOOL, VICTIM};
use lastwords_tests::restart::{restart_journal, restart_ring};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Rounds of each test: few where the program is not optimised.
const ROUNDS: u32 = if cfg!(debug_assertions) { 1 } else { 6 };
/// Milliseconds between two syncs.
const SYNC_MS: u64 = 50;
/// What is older must be there: the time between two syncs, the drain, which takes 200 ms at most, and one sync, for
/// which a busy machine is given long.
const SETTLED: Duration = Duration::from_millis(2000);
/// Words of the lines that admit that something is missing.
const ADMISSIONS: [&str; 4] =
    ["lost, overwritten", "the machine stopped", "of its ring damaged", "lastwords: skipped: "];

/// Processes that log, and end with the test.
struct Crew(Vec<Child>);

impl Drop for Crew {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a role's files show.
#[derive(Debug, Default)]
struct Shown {
    counts: BTreeMap<(u32, u64), u64>,
    admissions: u32,
    damaged: u32,
}

impl Shown {
    fn read(folder: &Path, victim: &Victim) -> Shown {
        let mut shown = Shown::default();
        for path in lastwords_tests::logs::files(folder, &victim.role) {
            let bytes = fs::read(&path).expect("readable");
            for line in String::from_utf8(bytes).expect("UTF-8").split_inclusive('\n') {
                shown.add(line, victim);
            }
        }
        shown
    }

    fn add(&mut self, line: &str, victim: &Victim) {
        let is_cut = line.contains('\0') || line.ends_with("[lastwords: cut off here]\n") || !line.ends_with('\n');
        let content = line.trim_end_matches('\n').split_once("] [").and_then(|(_, rest)| rest.split_once("] "));
        let (level, content) = match content {
            _ if is_cut => return self.damaged += 1,
            Some(content) => content,
            None => panic!("no record: {line:?}"),
        };
        if content.starts_with("lastwords: ") {
            self.admissions += u32::from(ADMISSIONS.iter().any(|words| content.contains(words)));
            return;
        }
        let (run, thread, n) = oracle::parse(content).unwrap_or_else(|| panic!("nobody logged {line:?}"));
        assert_eq!(content, oracle::text(run, thread, n, victim.longest), "torn");
        assert_eq!((run, level), (victim.run, "INFO"), "{line:?}");
        *self.counts.entry((thread, n)).or_default() += 1;
    }

    /// How many messages before the last one of their thread are not there.
    fn holes(&self, threads: u32) -> u64 {
        let of = |thread| self.counts.keys().filter(move |(of, _)| *of == thread).map(|(_, n)| *n);
        (0..threads).map(|thread| of(thread).max().unwrap_or(0) - of(thread).count() as u64).sum()
    }
}

/// Has all rings and journals of the folder look as if the machine had been restarted, which it has not.
fn restart(rings: &Path) {
    for entry in fs::read_dir(rings).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let change = match name.as_str() {
            name if name.ends_with(".ring") => restart_ring,
            name if name.starts_with("journal.") => restart_journal,
            _ => continue,
        };
        let mut bytes = fs::read(entry.path()).expect("readable");
        change(&mut bytes);
        fs::write(entry.path(), bytes).expect("writable");
    }
}

fn victims(folder: &Path, scratch: &Path, durable: bool) -> Vec<Victim> {
    let victim = |(run, role)| Victim {
        marks: scratch.join(format!("marks-{role}")),
        slots: 1024,
        longest: 400,
        // So few that the disk does not fill.
        burst: 5,
        rotate_size: 64 << 10,
        durable_ms: if durable { SYNC_MS } else { 0 },
        ending: Ending::WhenKilled,
        ..Victim::new(folder, role, run)
    };
    [(1, "host"), (2, "worker")].map(victim).to_vec()
}

/// One round: log, stop the file system, mount it again, recover. Returns lines shown and messages missing.
fn round(mount: &mut LoopMount, scratch: &Path, durable: bool, random: &mut Random) -> (u64, u64) {
    let folder = mount.path().join("logs");
    let victims = victims(&folder, scratch, durable);
    let mut crew = Crew(Vec::new());
    for victim in &victims {
        let _ = fs::remove_file(&victim.marks);
        crew.0.push(VICTIM.command().args(victim.arguments()).spawn().expect("spawned"));
        wait_until("the victim", || oracle::is_ready(&victim.marks));
    }
    let flusher = TOOL.command().arg("flush").arg(&folder).stderr(Stdio::null()).spawn().expect("spawned");
    crew.0.push(flusher);
    std::thread::sleep(Duration::from_millis(300 + random.below(1500)));
    let marks: Vec<Vec<u64>> = victims.iter().map(|victim| oracle::read_marks(&victim.marks)).collect();
    if durable {
        std::thread::sleep(SETTLED);
    } else if random.below(4) > 0 {
        // As the kernel does every half minute; a part of what follows it is committed a second later.
        mount.sync();
        std::thread::sleep(Duration::from_millis(random.below(2500)));
    }
    mount.shut_down();
    drop(crew);
    mount.again();
    if !durable && !folder.join("rings").exists() {
        return (0, victims.iter().flat_map(|victim| oracle::read_marks(&victim.marks)).sum());
    }
    restart(&folder.join("rings"));
    let recovered = tool_at("recover", &folder);
    assert!(recovered.code.is_some_and(|code| [0, 1, 3].contains(&code)), "{recovered:?}");
    let drained = tool_at("flush --once", &folder);
    assert!(drained.code.is_some_and(|code| code < 2), "{drained:?}");
    let mut sum = (0, 0);
    for (victim, marks) in victims.iter().zip(marks) {
        let shown = Shown::read(&folder, victim);
        let ever = oracle::read_marks(&victim.marks);
        let holes = shown.holes(victim.threads);
        assert!(holes == 0 || shown.admissions > 0, "{holes} holes that nobody admits");
        for (thread, n) in shown.counts.keys() {
            assert!(*n <= ever[*thread as usize] + 1, "thread {thread} never logged {n}");
        }
        for (thread, mark) in (0..).zip(marks).filter(|_| durable) {
            let count = |n| shown.counts.get(&(thread, n)).copied().unwrap_or(0);
            let wrong = (1..=mark).find(|n| !(1..=2).contains(&count(*n)));
            assert_eq!(wrong, None, "{} thread {thread}: logged long before the stop, up to {mark}", victim.role);
        }
        let logged: u64 = ever.iter().sum();
        sum = (sum.0 + shown.counts.len() as u64, sum.1 + logged - (shown.counts.len() as u64).min(logged));
    }
    sum
}

fn rounds(name: &'static str, durable: bool) {
    let _watchdog = Watchdog::new(name, Duration::from_secs(600));
    let rounds = std::env::var("LASTWORDS_EXT4_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number"));
    let mut random = Random::from_env("LASTWORDS_EXT4_SEED");
    let (start, mut shown, mut missing) = (Instant::now(), 0, 0);
    for _ in 0..rounds {
        let scratch = Scratch::new(name);
        let mut mount = match LoopMount::new(&scratch) {
            Ok(mount) => mount,
            Err(why) => return println!("{name}: skipped: {why}"),
        };
        let (more, lost) = round(&mut mount, &scratch, durable, &mut random);
        (shown, missing) = (shown + more, missing + lost);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{name}: {rounds} rounds, {shown} messages shown, {missing} missing, {seconds:.1} s");
}

#[test]
fn after_a_stop_of_the_file_system_nothing_false_is_shown_and_holes_are_admitted() {
    rounds("ext4", false);
}

#[test]
fn with_durable_what_was_logged_long_before_the_stop_is_there() {
    rounds("ext4-durable", true);
}
