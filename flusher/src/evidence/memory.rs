//! The memory of a cgroup: what it uses, what it may use, and how often the kernel killed a process in it for want of memory.
//!
//! | | version 2 | version 1 |
//! |---|---|---|
//! | kills | `memory.events`: `oom_kill`, `oom_group_kill` | `memory.oom_control`: `oom_kill` |
//! | used | `memory.current` | `memory.usage_in_bytes` |
//! | limit | `memory.max`, or `max` | `memory.limit_in_bytes`, or about 2^63 |
//!
//! Version 2 counts kills in the cgroups below it too. A process is counted before it gets its signal.

use lastwords_ring::place::process;
use std::path::PathBuf;

/// Longest file that is read, in bytes.
const FILE_MAX: u64 = 4096;
/// A limit of version 1 from here on is none.
const NO_LIMIT: u64 = 1 << 62;

/// Which of the kernel's two interfaces shows a hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// One hierarchy for each controller.
    One,
    /// One for all.
    Two,
}

/// A cgroup that accounts for memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemoryGroup {
    /// Its path in its hierarchy.
    pub(super) path: String,
    /// Where it is shown.
    pub(super) folder: PathBuf,
    pub(super) version: Version,
}

/// The memory of a cgroup at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupMemory {
    pub(super) used: u64,
    /// None if it has no limit of its own, or none that can be seen.
    pub(super) limit: Option<u64>,
}

/// How often the kernel killed for want of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kills {
    /// Processes, each counted once.
    pub(super) processes: u64,
    /// Whole groups at once; None where the kernel does not count that.
    pub(super) groups: Option<u64>,
}

impl Kills {
    /// Those after `before`. None if a count went back: it is another cgroup with the same name.
    pub(super) fn since(self, before: Kills) -> Option<Kills> {
        let groups = match (self.groups, before.groups) {
            (Some(after), Some(before)) => Some(after.checked_sub(before)?),
            _ => None,
        };
        Some(Kills { processes: self.processes.checked_sub(before.processes)?, groups })
    }
}

impl MemoryGroup {
    fn file(&self, one: &str, two: &str) -> Option<String> {
        let name = if self.version == Version::One { one } else { two };
        process::read_start(self.folder.join(name), FILE_MAX).ok()
    }

    /// None if it cannot be read, as at the root of version 2, which has no such files.
    pub(super) fn memory(&self) -> Option<GroupMemory> {
        let number = |text: String| text.trim().parse::<u64>().ok();
        let used = number(self.file("memory.usage_in_bytes", "memory.current")?)?;
        let limit = self.file("memory.limit_in_bytes", "memory.max").and_then(number);
        Some(GroupMemory { used, limit: limit.filter(|limit| *limit < NO_LIMIT) })
    }

    /// None if they cannot be read; version 1 counts them since Linux 4.13.
    pub(super) fn kills(&self) -> Option<Kills> {
        let text = self.file("memory.oom_control", "memory.events")?;
        let count = |name: &str| {
            let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok();
            text.lines().find_map(value)
        };
        Some(Kills { processes: count("oom_kill")?, groups: count("oom_group_kill") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    fn group(folder: &Scratch, version: Version, files: &[(&str, &str)]) -> MemoryGroup {
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("written");
        }
        MemoryGroup { path: "/app".to_owned(), folder: folder.path().to_owned(), version }
    }

    #[test]
    fn version_two_is_read() {
        let folder = Scratch::new("cgroup-2");
        let events = "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 1\n";
        let files = [("memory.events", events), ("memory.current", "500\n"), ("memory.max", "512\n")];
        let found = group(&folder, Version::Two, &files);
        assert_eq!(found.kills(), Some(Kills { processes: 2, groups: Some(1) }));
        assert_eq!(found.memory(), Some(GroupMemory { used: 500, limit: Some(512) }));
        let found = group(&folder, Version::Two, &[("memory.max", "max\n"), ("memory.events", "oom_kill 2\n")]);
        assert_eq!(found.memory(), Some(GroupMemory { used: 500, limit: None }));
        assert_eq!(found.kills(), Some(Kills { processes: 2, groups: None }));
    }

    #[test]
    fn version_one_is_read() {
        let folder = Scratch::new("cgroup-1");
        let control = "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n";
        let files = [
            ("memory.oom_control", control),
            ("memory.usage_in_bytes", "500\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        let found = group(&folder, Version::One, &files);
        assert_eq!(found.kills(), Some(Kills { processes: 4, groups: None }));
        assert_eq!(found.memory(), Some(GroupMemory { used: 500, limit: None }));
        let found = group(&folder, Version::One, &[("memory.limit_in_bytes", "512\n")]);
        assert_eq!(found.memory(), Some(GroupMemory { used: 500, limit: Some(512) }));
        let old = group(&folder, Version::One, &[("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n")]);
        assert_eq!(old.kills(), None);
    }

    #[test]
    fn what_cannot_be_read_or_is_no_number_is_not_known() {
        let folder = Scratch::new("cgroup-none");
        let none = group(&folder, Version::Two, &[]);
        assert_eq!((none.kills(), none.memory()), (None, None), "no controller");
        let huge = "oom_group_kill 1\n".to_owned() + &"x".repeat(1 << 20) + "\noom_kill 5\n";
        let files = [("memory.events", huge.as_str()), ("memory.current", &"9".repeat(1 << 20))];
        let found = group(&folder, Version::Two, &files);
        assert_eq!((found.kills(), found.memory()), (None, None), "huge");
        for garbage in ["", "-1", "1 2", "\u{fffd}", "18446744073709551616", "oom_kill"] {
            let files = [("memory.events", "oom_kill many\n"), ("memory.current", garbage)];
            let found = group(&folder, Version::Two, &files);
            assert_eq!((found.kills(), found.memory()), (None, None), "{garbage}");
        }
        fs::remove_file(folder.join("memory.current"))
            .and_then(|()| fs::create_dir(folder.join("memory.current")))
            .expect("planted");
        assert_eq!(found.memory(), None, "a folder");
    }

    #[test]
    fn a_count_that_goes_back_is_that_of_another_group() {
        let kills = |processes, groups| Kills { processes, groups };
        assert_eq!(kills(5, Some(2)).since(kills(4, Some(2))), Some(kills(1, Some(0))));
        assert_eq!(kills(5, None).since(kills(4, Some(2))), Some(kills(1, None)));
        assert_eq!(kills(3, Some(2)).since(kills(4, Some(2))), None);
        assert_eq!(kills(5, Some(1)).since(kills(4, Some(2))), None);
    }
}
