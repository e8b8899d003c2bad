//! A log folder as a crash left it, which is copied and drained repeatedly, and what a drained copy must show.

use crate::files::{beside_rings, name_of, names_in, paths_in};
use crate::jsonl;
use crate::logs::{self, Line};
use crate::oracle::{Ended, Ending, Victim, compare, is_complaint, is_death, is_heading};
use crate::programs::VICTIM;
use crate::scratch::Scratch;
use lastwords_ring::place::crash_notes;
use lastwords_ring::read::reader::RingReader;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The roles of its processes.
pub const ROLES: [&str; 3] = ["host", "worker", "spiller"];

/// How much its processes logged, and where their files are rotated.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Messages of each of a process's two threads.
    pub messages: u64,
    /// Messages of each of the two threads whose longest messages do not fit their ring and are spilled.
    pub spiller_messages: u64,
    /// Size at which the files are rotated.
    pub rotate_size: u64,
    /// Rotated files that are kept: more than there will be.
    pub rotate_keep: u32,
    /// Which files are written: `text`, or `both`.
    pub format: &'static str,
}

/// A folder as a crash left it: `logs` and the marks of the processes.
#[derive(Debug)]
pub struct Wreck {
    scratch: Scratch,
    processes: Vec<Ended>,
    size: Size,
}

impl Wreck {
    /// Runs some processes; all but one of them are killed in the end.
    ///
    /// # Panics
    /// If they do not end as they should.
    #[must_use]
    pub fn new(name: &str, size: Size) -> Wreck {
        let scratch = Scratch::new(name);
        let endings = [
            ("host", Ending::KillItself(size.messages), 1024, 600, "overwrite"),
            // Its lanes are too small, and what does not fit them is kept beside the ring.
            ("worker", Ending::KillItself(size.messages), 128, 600, "drop_newest"),
            ("worker", Ending::Exit(size.messages / 4), 1024, 600, "overwrite"),
            ("spiller", Ending::KillItself(size.spiller_messages), 256, 12_000, "overwrite"),
        ];
        let processes = (1..).zip(endings).map(|(run, (role, ending, slots, longest, full))| {
            let asked = Victim {
                marks: scratch.join(format!("marks-{run}")),
                full: full.to_owned(),
                slots,
                longest,
                rotate_size: size.rotate_size,
                rotate_keep: size.rotate_keep,
                ending,
                ..Victim::new(&scratch.join("logs"), role, run)
            };
            let mut child =
                VICTIM.command().args(asked.arguments()).env("LASTWORDS_FORMAT", size.format).spawn().expect("spawned");
            let pid = child.id();
            let status = child.wait().expect("ended");
            assert_eq!(status.success(), matches!(ending, Ending::Exit(_)), "{status}");
            Ended { pid, victim: asked, killed: matches!(ending, Ending::KillItself(_)) }
        });
        let wreck = Wreck { processes: processes.collect(), scratch, size };
        for ring in wreck.rings() {
            fs::write(crash_notes::path(&ring), "what its process attached\n").expect("written");
        }
        wreck
    }

    /// Makes the ring of the first process what a kill in the middle of a log call leaves: a sequence is reserved, its
    /// slot is busy, and holds half of a message.
    ///
    /// # Panics
    /// If the ring cannot be read or written.
    pub fn leave_a_call_in_flight(&self) {
        let pid = self.processes[0].pid;
        let of_first = |path: &PathBuf| path.to_string_lossy().contains(&format!("-{pid}-"));
        let path = self.rings().into_iter().find(of_first).expect("the first process's ring");
        let reader = RingReader::open(&path).expect("readable");
        let (geometry, mut lanes, mut buffer) = (reader.geometry(), Vec::new(), Vec::new());
        reader.lanes(&mut buffer, &mut lanes).expect("the lanes");
        let lane = lanes.iter().position(|lane| lane.reserved > 0).expect("a lane with records");
        let next = reader.last_sequence(lane, &mut buffer).expect("the slots") + 1;
        let file = fs::File::options().write(true).open(&path).expect("writable");
        file.write_all_at(&next.to_le_bytes(), geometry.block_offset(lane)).expect("reserved");
        let slot = geometry.lane_offset(lane) + geometry.slot_index(next) * geometry.record_size() as u64;
        const BUSY: u64 = 1;
        file.write_all_at(&(next << 2 | BUSY).to_le_bytes(), slot).expect("busy");
        file.write_all_at(b"half of a message", slot + 48).expect("torn");
    }

    fn rings(&self) -> Vec<PathBuf> {
        beside_rings(&self.scratch.join("logs"), "ring")
    }

    /// How many messages are in files beside their rings.
    ///
    /// # Panics
    /// If the folder cannot be listed.
    #[must_use]
    pub fn spilled(&self) -> usize {
        beside_rings(&self.scratch.join("logs"), "spill").len()
    }

    /// How many files hold what was kept beside a ring.
    ///
    /// # Panics
    /// If the folder cannot be listed.
    #[must_use]
    pub fn segments(&self) -> usize {
        beside_rings(&self.scratch.join("logs"), "backlog").len()
    }

    /// A fresh copy. The doorbell is left out; every flusher makes one where there is none.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn copy(&self) -> PathBuf {
        let (from, to) = (self.scratch.join("logs"), self.scratch.join("copy"));
        let _ = fs::remove_dir_all(&to);
        fs::create_dir_all(to.join("rings")).expect("made");
        for path in paths_in(&from.join("rings")).into_iter().filter(|path| path.is_file()) {
            fs::copy(&path, to.join("rings").join(name_of(&path))).expect("copied");
        }
        to
    }

    /// An empty folder beside the copies, in which a flusher runs: whatever appears there does not belong there.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn elsewhere(&self) -> PathBuf {
        let path = self.scratch.join("elsewhere");
        fs::create_dir_all(&path).expect("made");
        path
    }

    /// All processes.
    #[must_use]
    pub fn processes(&self) -> &[Ended] {
        &self.processes
    }

    /// The processes of a role.
    fn of(&self, role: &str) -> Vec<Ended> {
        self.processes.iter().filter(|process| process.victim.role == role).cloned().collect()
    }

    /// Nothing was made beside the log folder.
    fn assert_no_strangers(&self) {
        let ours = |name: &String| name.starts_with("marks-") || ["logs", "copy", "elsewhere"].contains(&name.as_str());
        let found: Vec<String> = names_in(&self.scratch).into_iter().filter(|name| !ours(name)).collect();
        assert_eq!((found, names_in(&self.elsewhere())), (Vec::new(), Vec::new()), "files outside the folder");
    }
}

/// What a line says: the times of the flusher's own lines are those of the flusher.
pub type Logged = (u32, String, String);

/// What a drained folder shows.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Names of the log files.
    pub files: Vec<String>,
    /// What the lines of each role say.
    pub lines: BTreeMap<&'static str, Vec<Logged>>,
    /// What the flusher said about errors, in any file.
    pub complaints: Vec<String>,
}

impl Outcome {
    /// Reads what a drain left, and compares it with what the processes logged.
    ///
    /// # Panics
    /// If a line is missing, doubled or torn, a file is too large, or one is there that should not exist.
    #[must_use]
    pub fn of(wreck: &Wreck, folder: &Path) -> Outcome {
        let mut files = Vec::new();
        for path in paths_in(folder) {
            let (size, name) = (path.metadata().expect("there").len(), name_of(&path).to_owned());
            if name.ends_with(".crash.log") {
                assert_crash_file(&path);
                continue;
            }
            assert!(name == "rings" || size <= wreck.size.rotate_size, "{name} has {size} bytes");
            let endings: &[&str] = if wreck.size.format == "both" { &["log", "jsonl"] } else { &["log"] };
            let is_of = |role| endings.iter().any(|ending| name.starts_with(&format!("{role}.{ending}")));
            let of_a_role = ROLES.into_iter().any(is_of);
            assert!(["rings", "time_zone"].contains(&name.as_str()) || of_a_role, "{name} in the log folder");
            files.push(name);
        }
        for name in names_in(&folder.join("rings")) {
            let stays = ["journal.a", "journal.b", "flusher.lock", "doorbell", "offsets"].contains(&name.as_str());
            assert!(stays, "{name} was not removed");
        }
        wreck.assert_no_strangers();
        let (mut lines, mut complaints) = (BTreeMap::new(), Vec::new());
        for role in ROLES {
            let mut found = logs::read(folder, role);
            complaints.extend(found.extract_if(.., |line| is_complaint(line)).map(|line| line.message));
            if wreck.size.format == "both" {
                // A line about one of the two files is in that one.
                let mut json = jsonl::lines(folder, role);
                json.retain(|line| !is_complaint(line));
                assert_eq!(json, found, "the JSON of {role} and its text");
            }
            assert_eq!(compare(&found, &wreck.of(role)).lost, 0, "the rings are large enough");
            let content = |line: Line| (line.pid, line.level, line.message);
            lines.insert(role, found.into_iter().filter(|line| !is_heading(line)).map(content).collect());
        }
        Outcome { files, lines, complaints }
    }

    /// Asserts equal lines, in whatever order: where a heading or a line about an error is, and which of two processes' lines
    /// comes first, may differ. `compare` has seen that each thread's order is right.
    ///
    /// # Panics
    /// If they are not the same.
    pub fn assert_same_lines(&self, other: &Outcome) {
        for role in ROLES {
            let [mut ours, mut theirs] = [self, other].map(|outcome| outcome.uncounted(role));
            let known = theirs.clone();
            theirs.retain(|line| !ours.contains(line));
            ours.retain(|line| !known.contains(line));
            assert_eq!((ours, theirs), (Vec::new(), Vec::new()), "found in {role} alone, and expected alone");
        }
    }

    /// A role's lines. Those that were drained while it could not be seen whether their process is dead do not count as
    /// recovered, so the words of a death line are compared without their number.
    fn uncounted(&self, role: &str) -> Vec<Logged> {
        let uncounted = |(pid, level, message): &Logged| match message.split_once(" recovered after the last drain") {
            Some((before, after)) if level == "CRITICAL" => {
                let (before, _) = before.rsplit_once("; ").unwrap_or_default();
                (*pid, level.clone(), format!("{before}{after}"))
            }
            _ => (*pid, level.clone(), message.clone()),
        };
        self.lines[role].iter().map(uncounted).collect()
    }

    /// Death lines come with the pid that they are about, so `compare` has counted them; here the words count too.
    #[must_use]
    pub fn deaths(&self) -> Vec<&Logged> {
        let death = |(pid, level, message): &Logged| {
            is_death(&Line { time: String::new(), pid: *pid, level: level.clone(), message: message.clone() })
        };
        self.lines.values().flatten().filter(|line| death(line)).collect()
    }
}

/// A crash file is there as a whole or not at all, whatever became of the flusher that wrote it.
fn assert_crash_file(path: &Path) {
    let text = fs::read_to_string(path).expect("a crash file is text");
    let whole = text.starts_with("black box of ") && text.ends_with(" damaged slots\n");
    let attached = text.contains("\nattached     ");
    let role = ROLES.iter().any(|role| text.starts_with(&format!("black box of {role}, ")));
    assert!(whole && attached && role, "{} is not whole: {text}", path.display());
}
