//! Which rotated files of a role are kept: so many, so many bytes with the current ones, and so long; the strictest counts.
//!
//! What is removed is decided anew from what is in the folder, the oldest first, so a flusher that dies in between leaves
//! nothing to complete: the next one finds the rest. A current file is never removed.

use crate::files::rotation::{Numbered, numbered_files};
use lastwords_ring::place::folder::{Folder, JSON_ENDING};
use lastwords_ring::place::open;
use std::cmp::Reverse;

/// What a role may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Rotated files of each format.
    pub(crate) files: u32,
    /// Bytes of all files, current ones included; 0 for no limit.
    pub(crate) bytes: u64,
    /// Seconds since the last line of a rotated file; 0 for no limit.
    pub(crate) age_s: u64,
}

impl Limits {
    /// Whether what may be kept depends on more than the number of files.
    pub(crate) fn depend_on_more(&self) -> bool {
        self.bytes > 0 || self.age_s > 0
    }
}

/// The rotated files of a role that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// The limits that they are within.
    pub(crate) limits: Limits,
    /// Bytes of all of them.
    pub(crate) bytes: u64,
    /// When the oldest exceeds its age, in seconds since 1970; None if none does.
    pub(crate) until_s: Option<u64>,
}

/// Removes the rotated files of a role that exceed its limits at `now_s`, in seconds since 1970. None if some of them are still
/// there.
pub(crate) fn remove_surplus(folder: &Folder, role: &str, limits: Limits, now_s: u64) -> Option<Left> {
    let json = format!("{role}{JSON_ENDING}");
    let names = open::list(folder.path()).ok()?;
    let mut files = Vec::new();
    for log in [role, &json] {
        let mut of_log = numbered_files(folder, log, &names).ok()?;
        make_monotone(&mut of_log);
        files.extend(of_log);
    }
    // The youngest first, so current ones before all others.
    files.sort_by_key(|file| (file.number > 0, Reverse(file.last_s), file.number));
    let mut left = Left { limits, bytes: 0, until_s: None };
    let (mut total, mut surplus) = (0u64, Vec::new());
    for file in files {
        total = total.saturating_add(file.size);
        let until = file.last_s.saturating_add(limits.age_s);
        let too_many = file.number > limits.files;
        let too_large = limits.bytes > 0 && total > limits.bytes;
        let too_old = limits.age_s > 0 && until < now_s;
        match file.number {
            0 => {}
            _ if too_many || too_large || too_old => surplus.push(file),
            _ => {
                left.bytes += file.size;
                left.until_s = (limits.age_s > 0).then_some(until);
            }
        }
    }
    // All of them, also after one that cannot be removed.
    let stay = surplus.iter().rev().filter(|file| open::remove(&file.path).is_err()).count();
    (stay == 0).then_some(left)
}

/// A file is at least as young as those that were rotated before it: whoever touches one makes no other older.
fn make_monotone(files: &mut [Numbered]) {
    files.sort_by_key(|file| Reverse(file.number));
    let mut last = 0;
    for file in files {
        last = file.last_s.max(last);
        file.last_s = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    const NOW_S: u64 = 1_800_000_000;

    /// A folder with these files: name, size and age in seconds.
    fn folder(name: &str, files: &[(&str, u64, u64)]) -> (Scratch, Folder) {
        let scratch = Scratch::new(name);
        let folder = Folder::create(scratch.path()).expect("made");
        for (name, size, age) in files {
            let file = File::create(folder.path().join(name)).expect("made");
            file.set_len(*size).expect("sized");
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S - age);
            file.set_modified(time).expect("touched");
        }
        (scratch, folder)
    }

    fn names(folder: &Folder) -> Vec<String> {
        let names = fs::read_dir(folder.path()).expect("listed").map(|entry| entry.expect("listed").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| name != "rings");
        names.sort();
        names
    }

    const FILES: [(&str, u64, u64); 7] = [
        ("host.log", 100, 0),
        ("host.log.1", 100, 10),
        ("host.log.2", 100, 20),
        ("host.log.3", 100, 30),
        ("host.jsonl", 100, 0),
        ("host.jsonl.1", 100, 15),
        ("host.jsonl.2", 100, 25),
    ];

    #[test]
    fn the_strictest_limit_counts() {
        let none = Limits { files: 100, bytes: 0, age_s: 0 };
        let all = ["host.jsonl", "host.jsonl.1", "host.jsonl.2", "host.log", "host.log.1", "host.log.2", "host.log.3"];
        let cases: [(Limits, &[&str]); 7] = [
            (none, &all),
            (Limits { files: 1, ..none }, &["host.jsonl", "host.jsonl.1", "host.log", "host.log.1"]),
            (Limits { bytes: 400, ..none }, &["host.jsonl", "host.jsonl.1", "host.log", "host.log.1"]),
            (Limits { bytes: 399, ..none }, &["host.jsonl", "host.log", "host.log.1"]),
            (Limits { bytes: 1, ..none }, &["host.jsonl", "host.log"]),
            (Limits { age_s: 20, ..none }, &["host.jsonl", "host.jsonl.1", "host.log", "host.log.1", "host.log.2"]),
            (Limits { files: 2, bytes: 400, age_s: 12 }, &["host.jsonl", "host.log", "host.log.1"]),
        ];
        for (limits, expected) in cases {
            let (_scratch, folder) = folder("retention", &FILES);
            let left = remove_surplus(&folder, "host", limits, NOW_S).expect("removed");
            assert_eq!(names(&folder), expected, "{limits:?}");
            assert_eq!(left.bytes, (expected.len() as u64 - 2) * 100, "{limits:?}");
        }
    }

    #[test]
    fn it_says_when_the_oldest_exceeds_its_age() {
        let (_scratch, folder) = folder("retention-until", &FILES);
        let limits = Limits { files: 100, bytes: 0, age_s: 40 };
        let until = |now| remove_surplus(&folder, "host", limits, now).expect("removed").until_s;
        assert_eq!(until(NOW_S), Some(NOW_S + 10));
        assert_eq!(until(NOW_S + 10), Some(NOW_S + 10), "not yet");
        assert_eq!(until(NOW_S + 11), Some(NOW_S + 15));
        assert_eq!(until(NOW_S + 1000), None, "none is left");
        assert_eq!(names(&folder), ["host.jsonl", "host.log"]);
    }

    #[test]
    fn a_file_that_was_touched_makes_no_other_older_and_what_is_no_file_of_ours_stays() {
        let (_scratch, folder) = folder(
            "retention-touched",
            &[("host.log.1", 1, 5000), ("host.log.2", 1, 10), ("host.log.101", 1, 9000), ("hosts.log.1", 1, 9000)],
        );
        fs::create_dir(folder.path().join("host.log.3")).expect("made");
        let left = remove_surplus(&folder, "host", Limits { files: 100, bytes: 0, age_s: 100 }, NOW_S);
        assert_eq!(left.map(|left| left.bytes), Some(2));
        assert_eq!(names(&folder), ["host.log.1", "host.log.101", "host.log.2", "host.log.3", "hosts.log.1"]);
    }
}
