//! Which crash files of a role are kept: the newest, the first of a crash loop beside it, and of the others the latest, within
//! a number and a size.
//!
//! A program that crashes again and again tells most with its first death. A death belongs to the loop of the one before it if
//! it comes within ten minutes. Its crash file names the loop's first one, so that this is known when all between them are
//! removed.

use crate::recover::crash_name::{CrashName, first_bytes};
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::open;
use rustix::fs::FileType;
use std::path::PathBuf;

/// Longest time between two deaths of a loop, in seconds.
const GAP_S: i64 = 600;

/// Line of a crash file that names the first of its loop.
const SINCE: &str = "\ncrash loop   since ";

/// A crash file in the folder.
struct Found {
    name: CrashName,
    path: PathBuf,
    size: u64,
}

/// The crash files of a role, the earliest death first.
fn crash_files(folder: &Folder, role: &str) -> Vec<Found> {
    let names = open::list(folder.path()).unwrap_or_default();
    let found = |name: &str| {
        let path = folder.path().join(name);
        let name = CrashName::parse(name).filter(|name| name.role == role)?;
        let found = open::look(&path).ok()?;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        is_file.then_some(Found { name, path, size: found.st_size as u64 })
    };
    let mut files: Vec<Found> = names.iter().filter_map(|name| found(name.to_str()?)).collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    files
}

/// The name of the first crash file of the loop that the death of `name` belongs to; None if it begins one.
pub(super) fn first_of(folder: &Folder, name: &str) -> Option<String> {
    let written = CrashName::parse(name)?;
    let files = crash_files(folder, &written.role);
    let before = files.iter().rev().find(|found| found.name < written)?;
    let gap = written.second()?.checked_sub(before.name.second()?)?;
    if gap > GAP_S {
        return None;
    }
    let head = String::from_utf8_lossy(&first_bytes(&before.path).ok()?).into_owned();
    let first = head.split_once(SINCE).and_then(|(_, rest)| rest.lines().next().map(str::to_owned));
    let of_role = |first: &String| CrashName::parse(first).is_some_and(|first| first.role == written.role);
    first.filter(of_role).or_else(|| Some(before.path.file_name()?.to_str()?.to_owned()))
}

/// Removes the crash files of the earliest deaths, as their names say: people copy files, edit and touch them. The one that was
/// just written stays, whenever its process died: the log is about to name it. So does the first of its loop, as long as there
/// is room for two: `keep` files, of so many bytes, 0 for no limit. What cannot be removed now is removed with the next crash.
pub(super) fn remove_surplus(folder: &Folder, written: &str, first: Option<&str>, (keep, bytes_max): (usize, u64)) {
    let Some(of) = CrashName::parse(written) else { return };
    let files = crash_files(folder, &of.role);
    let is = |found: &Found, name: &str| found.path.file_name().is_some_and(|of_file| of_file == name);
    let stays = |found: &&Found| is(found, written) && !mutant::is(Mutant::CrashFileLost);
    let is_later = |found: &&Found| !first.is_some_and(|first| is(found, first));
    let (newest, mut others): (Vec<&Found>, Vec<&Found>) = files.iter().partition(stays);
    // What stays longest comes first.
    others.sort_by(|one, other| is_later(one).cmp(&is_later(other)).then(other.name.cmp(&one.name)));
    let (mut count, mut bytes) = (1, newest.iter().map(|found| found.size).sum::<u64>());
    for found in others {
        bytes = bytes.saturating_add(found.size);
        count += 1;
        if count > keep || bytes_max > 0 && bytes > bytes_max {
            let _ = open::remove(&found.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    fn name(minute: u32) -> String {
        format!("host-{}-20261124T{:02}{:02}00Z.crash.log", 100 + minute, 10 + minute / 60, minute % 60)
    }

    /// Writes a crash file as a flusher does, and returns the first of its loop.
    fn crash(folder: &Folder, minute: u32, limits: (usize, u64)) -> Option<String> {
        let first = first_of(folder, &name(minute));
        let line = first.as_ref().map(|first| format!("crash loop   since {first}\n")).unwrap_or_default();
        let text = format!("black box of host, pid 1, application a\n{line}{}", "x".repeat(1000));
        fs::write(folder.path().join(name(minute)), text).expect("written");
        remove_surplus(folder, &name(minute), first.as_deref(), limits);
        first
    }

    fn left(folder: &Folder) -> Vec<String> {
        crash_files(folder, "host")
            .iter()
            .map(|found| found.path.file_name().unwrap_or_default().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn the_first_of_a_loop_stays_beside_the_newest_however_long_it_lasts() {
        let scratch = Scratch::new("crash-loop");
        let folder = Folder::create(scratch.path()).expect("made");
        crash(&folder, 0, (4, 0));
        assert_eq!(crash(&folder, 20, (4, 0)), None, "twenty minutes later");
        for minute in (25..200).step_by(5) {
            assert_eq!(crash(&folder, minute, (4, 0)), Some(name(20)), "minute {minute}");
        }
        assert_eq!(left(&folder), [name(20), name(185), name(190), name(195)]);
        assert_eq!(crash(&folder, 300, (4, 0)), None);
        assert_eq!(left(&folder), [name(185), name(190), name(195), name(300)], "an old loop's is as any other");
    }

    #[test]
    fn they_are_bounded_in_bytes_and_the_newest_stays_whatever_its_size() {
        let scratch = Scratch::new("crash-bytes");
        let folder = Folder::create(scratch.path()).expect("made");
        (0..10).for_each(|minute| drop(crash(&folder, minute, (100, 4 << 10))));
        assert_eq!(left(&folder), [name(0), name(8), name(9)]);
        crash(&folder, 10, (2, 0));
        assert_eq!(left(&folder), [name(0), name(10)]);
        crash(&folder, 11, (1, 0));
        assert_eq!(left(&folder), [name(11)]);
        crash(&folder, 12, (100, 10));
        assert_eq!(left(&folder), [name(12)]);
    }
}
