//! Where the hierarchies of cgroups that control memory are mounted, as `/proc/self/mountinfo` shows it.
//!
//! A path in `/proc/PID/cgroup` begins at the root of a hierarchy as this process's cgroup namespace shows it. What is mounted
//! may be a part of that hierarchy alone: in a container often its own cgroup, whose path is then at the root of the mount.

use crate::evidence::memory::{MemoryGroup, Version};
use lastwords_ring::place::process;
use std::path::{Path, PathBuf};

/// Longest list of mounts that is read, in bytes.
const LIST_MAX: u64 = 1 << 20;
/// Most mounts of such hierarchies that are remembered.
const MOUNTS_MAX: usize = 64;

/// A mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// What of the hierarchy is mounted.
    root: String,
    point: PathBuf,
}

impl Mount {
    fn of(line: &str) -> Option<Mount> {
        let (place, file_system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (unescaped(place.next()?)?, unescaped(place.next()?)?);
        let mut file_system = file_system.split(' ');
        let version = match (file_system.next()?, file_system.nth(1)?) {
            ("cgroup2", _) => Version::Two,
            ("cgroup", options) if options.split(',').any(|option| option == "memory") => Version::One,
            _ => return None,
        };
        Some(Mount { version, root, point: point.into() })
    }

    /// Where this cgroup is shown, if it is in what is mounted.
    fn folder(&self, path: &str) -> Option<PathBuf> {
        let below = if self.root == "/" { path } else { path.strip_prefix(&self.root)? };
        let is_below = below.is_empty() || below.starts_with('/');
        is_below.then(|| self.point.join(below.trim_start_matches('/')))
    }
}

/// The mounted hierarchies.
#[derive(Debug, Default)]
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    /// Those that this process sees, according to this `/proc`.
    pub(super) fn read(proc: &Path) -> Mounts {
        let list = process::read_start(proc.join("self/mountinfo"), LIST_MAX).unwrap_or_default();
        Mounts(list.lines().filter_map(Mount::of).take(MOUNTS_MAX).collect())
    }

    /// The cgroup that accounts for the memory of a process, from the text of its `/proc/PID/cgroup`. That is the one of the
    /// controller of version 1 where that is in use.
    pub(super) fn group(&self, cgroups: &str) -> Option<MemoryGroup> {
        let named = cgroups.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            Some((parts.next()?, parts.next()?))
        });
        let path_of = |is_it: fn(&str) -> bool| named.clone().find(|(names, _)| is_it(names)).map(|(_, path)| path);
        let one = path_of(|names| names.split(',').any(|name| name == "memory")).map(|path| (Version::One, path));
        let two = || path_of(str::is_empty).map(|path| (Version::Two, path));
        let (version, path) = one.or_else(two)?;
        // A cgroup outside of this process's namespace is shown as one above it.
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return None;
        }
        let folder = self.0.iter().filter(|mount| mount.version == version).find_map(|mount| mount.folder(path))?;
        Some(MemoryGroup { path: path.to_owned(), folder, version })
    }
}

/// A path of the list, in which white space and backslashes are octal numbers.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('\\');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(3)?;
        bytes.push(u8::from_str_radix(digits, 8).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(list: &str) -> Mounts {
        Mounts(list.lines().filter_map(Mount::of).collect())
    }

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_group_is_that_of_the_controller_which_accounts_for_memory() {
        let two = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let in_container = "30 23 0:26 /docker/9f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let spaced = "30 23 0:26 / /sys/fs\\040and/c\\134g rw - cgroup2 cgroup2 rw\n";
        let joined = "30 23 0:26 / /cg rw - cgroup cgroup rw,cpu,memory\n";
        let rows = [
            (HYBRID, "4:memory:/app\n1:cpu:/other\n0::/third\n", Some("/sys/fs/cgroup/memory/app")),
            (HYBRID, "1:cpu:/other\n0::/third\n", Some("/sys/fs/cgroup/unified/third")),
            (two, "0::/system.slice/app.service\n", Some("/sys/fs/cgroup/system.slice/app.service")),
            (two, "0::/a:b\n", Some("/sys/fs/cgroup/a:b")),
            (two, "0::/\n", Some("/sys/fs/cgroup/")),
            (in_container, "4:memory:/docker/9f\n", Some("/sys/fs/cgroup/memory/")),
            (in_container, "4:memory:/docker/9f/inner\n", Some("/sys/fs/cgroup/memory/inner")),
            (joined, "4:cpu,memory:/app\n", Some("/cg/app")),
            (spaced, "0::/app\n", Some("/sys/fs and/c\\g/app")),
            (in_container, "4:memory:/docker/9fff\n", None),
            (in_container, "4:memory:/docker\n", None),
            (two, "4:memory:/app\n", None),
            (two, "0::/../other\n", None),
            (two, "0::/app/../../etc\n", None),
            (two, "0::relative\n", None),
            (two, "0::\n", None),
            (two, "0\n", None),
            (two, "", None),
            ("", "0::/app\n", None),
        ];
        for (list, cgroups, expected) in rows {
            let found = mounts(list).group(cgroups).map(|group| group.folder);
            assert_eq!(found.as_deref(), expected.map(Path::new), "{list} {cgroups}");
        }
    }

    #[test]
    fn lines_that_are_no_mounts_are_left_out() {
        for line in [
            "",
            " - ",
            "a - cgroup2",
            "1 2 3 / - cgroup2 x y",
            "1 2 3 \\9 /x rw - cgroup2 x y",
            "1 2 3 \\04 /x rw - cgroup2 x y",
        ] {
            assert_eq!(Mount::of(line), None, "{line}");
        }
    }
}
