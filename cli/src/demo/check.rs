//! The check: every line of every file is read, and compared with what the processes were promised.

use super::death::Ended;
use super::line::Line;
use lastwords::{Error, Result};
use lastwords_flusher::files::archive::Archive;
use lastwords_flusher::files::rotation::{archived, numbered};
use lastwords_flusher::render::line_head::LineHead;
use lastwords_ring::place::folder::{Folder, ROTATE_KEEP_MAX};
use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Files are read in pieces of this size.
const BUFFER: usize = 1 << 20;
/// Wrong lines that are kept to be shown.
const EXAMPLES: usize = 5;

/// How further lines of a remark begin: what a process died of, and its stack.
const FURTHER: &[u8] = b"    ";

/// What was found of one process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its lines, each counted once.
    pub(crate) lines: u64,
    /// Acknowledged lines that are not there.
    pub(crate) missing: u64,
    /// Lines that it did not log like that.
    pub(crate) torn: u64,
    /// Lines that had been there already.
    pub(crate) doubled: u64,
    /// Records that the log itself reports as lost.
    pub(crate) lost: u64,
    /// Records recovered according to its death lines; None without a death line.
    pub(crate) recovered: Option<u64>,
    /// A bit for each line of each thread.
    seen: Vec<Vec<u64>>,
}

/// What was found in all files.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// One for each process, in their order.
    pub(crate) processes: Vec<Found>,
    /// Lines of unknown processes.
    pub(crate) strangers: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Some of the lines that are wrong.
    pub(crate) examples: Vec<String>,
    /// The line before is a remark of the flusher, or a further line of one.
    is_below_remark: bool,
}

/// Checks all files of all roles.
pub(crate) fn check(folder: &Folder, ended: &[Ended]) -> Result<Findings> {
    let processes = ended.iter().map(Found::expecting).collect();
    let mut findings = Findings { processes, ..Findings::default() };
    let mut roles: Vec<&str> = ended.iter().map(|process| process.role).collect();
    roles.sort_unstable();
    roles.dedup();
    for role in roles {
        for number in (0..=ROTATE_KEEP_MAX).rev() {
            let (path, archive) = (numbered(folder, role, number), archived(folder, role, number));
            if path.symlink_metadata().is_ok() {
                findings.add_file(&path, ended)?;
            } else if archive.symlink_metadata().is_ok() {
                findings.add_archive(&archive, ended)?;
            }
        }
    }
    for (process, found) in ended.iter().zip(&mut findings.processes) {
        found.missing = (0..).zip(&process.acknowledged).map(|(thread, last)| found.absent(thread, *last)).sum();
    }
    Ok(findings)
}

impl Findings {
    fn add_file(&mut self, path: &Path, ended: &[Ended]) -> Result<()> {
        let failed = |source| Error::Io { doing: "read", path: path.to_owned(), source };
        let file = BufReader::with_capacity(BUFFER, File::open(path).map_err(failed)?);
        self.files += 1;
        self.is_below_remark = false;
        self.add_lines(file, ended).map_err(failed)
    }

    fn add_archive(&mut self, path: &Path, ended: &[Ended]) -> Result<()> {
        let failed = |source| Error::Io { doing: "read", path: path.to_owned(), source };
        self.files += 1;
        self.is_below_remark = false;
        let archive = Archive::open(path)?;
        archive.frames().iter().try_for_each(|frame| self.add_lines(&*archive.read(frame)?, ended).map_err(failed))
    }

    fn add_lines(&mut self, mut from: impl BufRead, ended: &[Ended]) -> io::Result<()> {
        let (mut line, mut expected) = (Vec::new(), String::new());
        loop {
            line.clear();
            let size = from.read_until(b'\n', &mut line)?;
            if size == 0 {
                return Ok(());
            }
            self.bytes += size as u64;
            if !self.add_line(&line, ended, &mut expected) {
                self.note_example(&line);
            }
        }
    }

    /// False if the line is wrong.
    fn add_line(&mut self, line: &[u8], ended: &[Ended], expected: &mut String) -> bool {
        if std::mem::take(&mut self.is_below_remark) && line.starts_with(FURTHER) && line.ends_with(b"\n") {
            self.is_below_remark = true;
            return true;
        }
        let Some((pid, level, message)) = split(line) else {
            self.strangers += 1;
            return false;
        };
        let Some(number) = ended.iter().position(|process| process.pid == pid) else {
            self.strangers += 1;
            return false;
        };
        let found = &mut self.processes[number];
        let own = Line::parse(message).filter(|line| line.process == ended[number].index && level == "INFO");
        match own {
            Some(line) => {
                expected.clear();
                let same = write!(expected, "{line}").is_ok() && *expected == message;
                found.add(line, same, &ended[number].acknowledged)
            }
            None => {
                self.is_below_remark = found.add_remark(message);
                self.is_below_remark
            }
        }
    }

    fn note_example(&mut self, line: &[u8]) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(line.escape_ascii().to_string());
        }
    }
}

impl Found {
    fn expecting(process: &Ended) -> Found {
        // One bit more than was acknowledged: the line whose call was interrupted may be there.
        let words = |last: &u64| vec![0; (*last as usize + 1) / 64 + 1];
        Found { seen: process.acknowledged.iter().map(words).collect(), ..Found::default() }
    }

    /// Adds a line of this process. A line beyond the call in flight was never logged.
    fn add(&mut self, line: Line, same: bool, acknowledged: &[u64]) -> bool {
        let last = acknowledged.get(line.thread as usize).copied();
        if !same || line.number == 0 || last.is_none_or(|last| line.number > last + 1) {
            self.torn += 1;
            return false;
        }
        let word = &mut self.seen[line.thread as usize][line.number as usize / 64];
        let bit = 1 << (line.number % 64);
        if *word & bit != 0 {
            self.doubled += 1;
            return false;
        }
        *word |= bit;
        self.lines += 1;
        true
    }

    /// Adds a line of the flusher about this process.
    fn add_remark(&mut self, message: &str) -> bool {
        let Some(remark) = message.strip_prefix("lastwords: ") else {
            self.torn += 1;
            return false;
        };
        if let Some(lost) = remark.split_once(" lost, ").and_then(|(records, _)| counted(records)) {
            self.lost += lost;
            return false;
        }
        let recovered = remark.split("; ").find_map(|part| counted(part.split_once(" recovered")?.0));
        if let Some(recovered) = recovered {
            self.recovered = Some(self.recovered.unwrap_or(0) + recovered);
        }
        true
    }

    /// Lines up to `last` that a thread logged and that are not there.
    fn absent(&self, thread: usize, last: u64) -> u64 {
        let seen = |number: u64| self.seen[thread][number as usize / 64] & (1 << (number % 64)) != 0;
        (1..=last).filter(|number| !seen(*number)).count() as u64
    }
}

/// Pid, level and message of a whole line.
fn split(line: &[u8]) -> Option<(u32, &str, &str)> {
    let head = LineHead::parse(line)?;
    let line = str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    Some((head.pid, line.get(head.level.clone())?, line.get(head.message_at()..)?))
}

/// The number in `17 records` or `1 record`.
fn counted(text: &str) -> Option<u64> {
    let (number, noun) = text.split_once(' ')?;
    noun.starts_with("record").then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended() -> [Ended; 1] {
        [Ended { index: 2, role: "worker", pid: 77, ending: "SIGKILL", acknowledged: vec![4, 0] }]
    }

    fn text(number: u64) -> String {
        format!("2025-10-19 05:55:47.606 [77] [INFO] {}\n", Line { process: 2, thread: 0, number })
    }

    fn findings(lines: &[String]) -> Findings {
        let ended = ended();
        let processes = vec![Found::expecting(&ended[0])];
        let mut findings = Findings { processes, ..Findings::default() };
        for line in lines {
            findings.add_line(line.as_bytes(), &ended, &mut String::new());
        }
        findings.processes[0].missing = findings.processes[0].absent(0, 4);
        findings
    }

    /// Lines, missing, torn, doubled, lost, recovered.
    fn counts(lines: &[String]) -> (u64, u64, u64, u64, u64, Option<u64>) {
        let found = &findings(lines).processes[0];
        (found.lines, found.missing, found.torn, found.doubled, found.lost, found.recovered)
    }

    #[test]
    fn whole_lines_are_found_and_one_in_flight_is_allowed() {
        let lines: Vec<String> = (1..=5).map(text).collect();
        assert_eq!(counts(&lines[..4]), (4, 0, 0, 0, 0, None));
        assert_eq!(counts(&lines), (5, 0, 0, 0, 0, None));
        let too_far: Vec<String> = (1..=6).map(text).collect();
        assert_eq!(counts(&too_far), (5, 0, 1, 0, 0, None));
    }

    #[test]
    fn missing_doubled_and_torn_lines_are_noticed() {
        assert_eq!(counts(&[text(1), text(2), text(4)]), (3, 1, 0, 0, 0, None));
        assert_eq!(counts(&[text(1), text(2), text(2), text(3), text(4)]), (4, 0, 0, 1, 0, None));
        let mut torn = text(2);
        torn.replace_range(torn.len() - 3..torn.len() - 2, "#");
        assert_eq!(counts(&[text(1), torn, text(3), text(4)]), (3, 1, 1, 0, 0, None));
        let cut = text(2).trim_end().to_owned();
        assert_eq!(findings(&[cut, "rest of a line\n".to_owned()]).strangers, 2);
        assert_eq!(findings(&[text(1).replace("[77]", "[78]")]).strangers, 1);
    }

    #[test]
    fn a_crash_is_explained_in_further_lines_of_its_remark_alone() {
        let death =
            "2025-10-19 05:55:47.606 [77] [CRITICAL] lastwords: the process died of SIGSEGV (pid 77, role worker)\n";
        let further = ["    SIGSEGV: read of address 0x0\n", "    #0   main  in demo+0x10\n"];
        let lines = |parts: &[&str]| parts.iter().map(|line| (*line).to_owned()).collect::<Vec<String>>();
        assert_eq!(findings(&lines(&[death, further[0], further[1], &text(1)])).strangers, 0);
        assert_eq!(findings(&lines(&[&text(1), further[0], further[1]])).strangers, 2);
        assert_eq!(findings(&lines(&[death, "   three spaces\n", further[0]])).strangers, 2);
    }

    #[test]
    fn the_flushers_own_lines_are_understood() {
        let death = "2025-10-19 05:55:47.606 [77] [CRITICAL] lastwords: the process died without closing its log \
                     (pid 77, role worker); 17 records recovered after the last drain, 1 log call interrupted\n";
        assert_eq!(counts(&[death.to_owned()]).5, Some(17));
        let lost =
            "2025-10-19 05:55:47.606 [77] [WARNING] lastwords: 1 record lost, overwritten in the full ring before x\n";
        assert_eq!(counts(&[lost.to_owned()]).4, 1);
    }
}
