//! The cgroups of processes that log: the service or container that each belongs to, as `/proc` shows it from here.

use lastwords_ring::place::process::{self, ProcessId, ProcessState};
use std::cell::OnceCell;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Longest file that is read, in bytes: a line for each hierarchy, each with a path.
const FILE_MAX: u64 = 16 << 10;

/// Finds cgroups. Processes in other pid namespaces are listed once.
#[derive(Debug, Default)]
pub struct Cgroups {
    elsewhere: OnceCell<Vec<Elsewhere>>,
}

/// A process in another pid namespace.
#[derive(Debug)]
struct Elsewhere {
    /// Its pid here.
    pid: u32,
    /// The inode of its namespace, and its pid there.
    known_as: (u64, u32),
}

impl Cgroups {
    /// The cgroup of a process that has the file with the inode `ring` mapped; None where the process cannot be seen from here,
    /// or its cgroup cannot.
    #[must_use]
    pub fn of(&self, process: &ProcessId, ring: u64) -> Option<String> {
        let here = process.state(Some(ring)) == ProcessState::Alive;
        let pid = if here { process.pid } else { self.pid_of(process, ring)? };
        path_in(&process::read_start(format!("/proc/{pid}/cgroup"), FILE_MAX).ok()?)
    }

    /// The pid here of a process in another pid namespace.
    fn pid_of(&self, process: &ProcessId, ring: u64) -> Option<u32> {
        let elsewhere = self.elsewhere.get_or_init(elsewhere).iter();
        let mut alike =
            elsewhere.filter(|found| found.known_as == (process.pid_namespace, process.pid)).map(|found| found.pid);
        // A pid may be another process's by now.
        alike.find(|pid| process::has_mapped(*pid, ring) == Some(true))
    }
}

fn elsewhere() -> Vec<Elsewhere> {
    let namespace = |pid: &str| fs::metadata(format!("/proc/{pid}/ns/pid")).ok().map(|found| found.ino());
    let Some(own) = namespace("self") else { return Vec::new() };
    let names = process::list("/proc").unwrap_or_default();
    let numbers = names.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok());
    let found = numbers.filter_map(|pid| {
        let namespace = namespace(&pid.to_string()).filter(|namespace| *namespace != own)?;
        let status = process::read_start(format!("/proc/{pid}/status"), FILE_MAX).ok()?;
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        Some(Elsewhere { pid, known_as: (namespace, pids.split_ascii_whitespace().next_back()?.parse().ok()?) })
    });
    found.collect()
}

/// The longest path of all hierarchies: unused controllers show only `/`.
fn path_in(text: &str) -> Option<String> {
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.filter(|path| path.starts_with('/')).max_by_key(|path| path.len()).map(str::to_owned)
}

/// The last meaningful part of a cgroup's path: the name of the service, or of the container. None for the root.
#[must_use]
pub fn name(path: &str) -> Option<&str> {
    let last = path.rsplit('/').find(|part| !part.is_empty())?;
    let name = [".scope", ".service", ".slice"].iter().find_map(|ending| last.strip_suffix(ending));
    Some(name.unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_that_says_most_is_taken() {
        let v1 = "9:name=systemd:/\n4:memory:/docker/0123abcd\n1:cpu:/\n0::/\n";
        assert_eq!(path_in(v1).as_deref(), Some("/docker/0123abcd"));
        assert_eq!(path_in("0::/system.slice/app.service\n").as_deref(), Some("/system.slice/app.service"));
        assert_eq!(path_in("0::/a:b\n").as_deref(), Some("/a:b"));
        assert_eq!(path_in("0::/\n").as_deref(), Some("/"));
        for text in ["", "0::", "0\n", "::\n\n", "0::relative\n"] {
            assert_eq!(path_in(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_name_is_that_of_the_service_or_container() {
        for (path, expected) in [
            ("/system.slice/app.service", Some("app")),
            ("/system.slice/docker-0123abcd.scope", Some("docker-0123abcd")),
            ("/kubepods.slice/pod1/cri-containerd-9f.scope/", Some("cri-containerd-9f")),
            ("/docker/0123abcd", Some("0123abcd")),
            ("/user.slice", Some("user")),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(name(path), expected, "{path}");
        }
    }
}
