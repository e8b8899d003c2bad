//! Log files taken apart into records.

use crate::files::paths_in;
use lastwords_flusher::render::escape::starts_like_a_record;
use std::path::{Path, PathBuf};

/// A record of a log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `2025-10-19 05:55:47.606`.
    pub time: String,
    /// Process id.
    pub pid: u32,
    /// Level as printed.
    pub level: String,
    /// Everything after the level, further lines included, without the last newline.
    pub message: String,
}

/// The role's files, oldest first: `worker.log.5` … `worker.log.1`, `worker.log`.
#[must_use]
pub fn files(folder: &Path, role: &str) -> Vec<PathBuf> {
    rotated(&folder.join(format!("{role}.log")))
}

/// The files that were rotated from this one, oldest first, and itself, as far as they are there.
#[must_use]
pub fn rotated(newest: &Path) -> Vec<PathBuf> {
    let rotated = (1..=100).rev().map(|n| PathBuf::from(format!("{}.{n}", newest.display())));
    rotated.chain([newest.to_owned()]).filter(|path| path.exists()).collect()
}

/// The crash files of a log folder, sorted.
///
/// # Panics
/// If the folder cannot be listed.
#[must_use]
pub fn crash_files(folder: &Path) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| path.to_string_lossy().ends_with(".crash.log");
    paths_in(folder).into_iter().filter(is_one).collect()
}

/// All records of a role, the rotated files first.
///
/// # Panics
/// If a file is not UTF-8, starts in the middle of a record, or does not end with a newline: a torn line.
#[must_use]
pub fn read(folder: &Path, role: &str) -> Vec<Line> {
    files(folder, role).iter().flat_map(|path| parse(path)).collect()
}

/// The messages of all records of a role.
///
/// # Panics
/// As [`read`].
#[must_use]
pub fn messages(folder: &Path, role: &str) -> Vec<String> {
    read(folder, role).into_iter().map(|line| line.message).collect()
}

/// The messages of these lines.
#[must_use]
pub fn texts<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Vec<&'a str> {
    lines.into_iter().map(|line| line.message.as_str()).collect()
}

/// Like [`read`], while lines are being written: what follows the last newline is skipped, because a reader may see half a
/// write.
///
/// # Panics
/// If a file is not UTF-8, or starts in the middle of a record.
#[must_use]
pub fn read_so_far(folder: &Path, role: &str) -> Vec<Line> {
    files(folder, role).iter().flat_map(|path| records(path, &whole_lines(path))).collect()
}

/// The file up to its last newline. It may have been renamed since it was listed.
fn whole_lines(path: &Path) -> String {
    let mut bytes = std::fs::read(path).unwrap_or_default();
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1));
    String::from_utf8(bytes).expect("a log file is UTF-8")
}

fn parse(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).expect("a log file is UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "{} ends in the middle of a line", path.display());
    records(path, &text)
}

fn records(path: &Path, text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for line in text.lines() {
        if starts_like_a_record(line.as_bytes()) {
            lines.push(parse_line(line).unwrap_or_else(|| panic!("torn line in {}: {line:?}", path.display())));
        } else {
            let last = lines.last_mut().unwrap_or_else(|| panic!("{} starts within a record", path.display()));
            last.message.push('\n');
            last.message.push_str(line);
        }
    }
    lines
}

fn parse_line(line: &str) -> Option<Line> {
    let (time, rest) = line.split_at_checked(23)?;
    let (pid, rest) = rest.strip_prefix(" [")?.split_once("] [")?;
    let (level, message) = rest.split_once("] ")?;
    Some(Line { time: time.into(), pid: pid.parse().ok()?, level: level.into(), message: message.into() })
}

/// A text of exactly `bytes` bytes in which no part repeats.
#[must_use]
pub fn long_text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 16);
    let mut number = 0u64;
    while text.len() < bytes {
        text.push_str(&format!("{number:x} "));
        number += 1;
    }
    text.truncate(bytes);
    text
}

/// How many lines have a message that begins so.
#[must_use]
pub fn count(lines: &[Line], prefix: &str) -> usize {
    lines.iter().filter(|line| line.message.starts_with(prefix)).count()
}

/// How many lines are alarms: the deaths of processes, where those log none themselves.
#[must_use]
pub fn alarms(lines: &[Line]) -> usize {
    deaths(lines).len()
}

/// The pids of these alarms.
#[must_use]
pub fn deaths(lines: &[Line]) -> Vec<u32> {
    lines.iter().filter(|line| line.level == "CRITICAL").map(|line| line.pid).collect()
}

/// `line 0` to `line <count - 1>`.
#[must_use]
pub fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("line {n}")).collect()
}

/// The numbers of the lines `line N`, in their order.
#[must_use]
pub fn numbers<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Vec<usize> {
    numbers_after("line ", lines)
}

/// The numbers behind this prefix, in the order of the lines.
#[must_use]
pub fn numbers_after<'a>(prefix: &str, lines: impl IntoIterator<Item = &'a Line>) -> Vec<usize> {
    lines.into_iter().filter_map(|line| line.message.strip_prefix(prefix)?.parse().ok()).collect()
}

/// Asserts that all that begins with `line ` are `line 0` to `line <count - 1>`, in order and once.
///
/// # Panics
/// If not.
#[track_caller]
pub fn assert_numbered(lines: &[Line], count: usize, what: &str) {
    let found: Vec<&str> = lines.iter().filter_map(|line| line.message.strip_prefix("line ")).collect();
    assert_eq!(found, (0..count).map(|n| n.to_string()).collect::<Vec<_>>(), "{what}");
}

/// How many of the lines `<prefix>0` to `<prefix><count - 1>` are not there. A flusher that gets no processor for 100 ms
/// loses lines by the policy; then [`reported_lost`] says the same.
///
/// # Panics
/// If they are out of order or doubled.
#[must_use]
pub fn missing(lines: &[Line], prefix: &str, count: usize) -> usize {
    let numbers = numbers_after(prefix, lines);
    assert!(numbers.is_sorted_by(|a, b| a < b), "\"{prefix}…\": in order and once");
    count - numbers.len()
}

/// How many of the lines `thread T line N` of so many threads are not there, as [`missing`].
///
/// # Panics
/// As [`missing`].
#[must_use]
pub fn missing_of_threads(lines: &[Line], threads: usize, count: usize) -> usize {
    (0..threads).map(|thread| missing(lines, &format!("thread {thread} line "), count)).sum()
}

/// How many records the log says were lost.
#[must_use]
pub fn reported_lost(lines: &[Line]) -> usize {
    let texts = lines.iter().filter(|line| line.level == "WARNING").map(|line| line.message.as_str());
    texts
        .filter_map(|text| {
            text.strip_prefix("lastwords: ")?.split_once(" lost, ")?.0.split(' ').next()?.parse::<usize>().ok()
        })
        .sum()
}
