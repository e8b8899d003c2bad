//! The names of crash files, which say whose they are and when that process died, and the head that says the rest.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use lastwords_ring::place::open;
use std::io::{self, Read};
use std::path::Path;

/// End of the name of a crash file.
pub const CRASH_ENDING: &str = ".crash.log";

/// Bytes at the start of a crash file that are read of it.
const HEAD_MAX: u64 = 4096;

/// The bytes at the start of a crash file that name its ring, and the first of the deaths that it follows.
pub(super) fn first_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    open::to_read(path)?.take(HEAD_MAX).read_to_end(&mut head)?;
    Ok(head)
}

/// What the name of a crash file says, the earliest death first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrashName {
    /// When the process died, in UTC: `20261124T133702Z`.
    pub time: String,
    /// Its number within that second.
    pub number: u32,
    /// Role of the process.
    pub role: String,
    /// Its pid.
    pub pid: u32,
}

impl CrashName {
    /// The time in seconds since 1970.
    pub(super) fn second(&self) -> Option<i64> {
        let time = DateTime::strptime("%Y%m%dT%H%M%SZ", &self.time).ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
    }

    /// `<role>-<pid>-<time>.crash.log`, or with `-<n>` after the time. None for all other names.
    #[must_use]
    pub fn parse(name: &str) -> Option<CrashName> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_time = |text: &str| {
            let split = text.strip_suffix('Z').and_then(|text| text.split_once('T'));
            split.is_some_and(|(day, second)| digits(day) && digits(second))
        };
        let (before, last) = name.strip_suffix(CRASH_ENDING)?.rsplit_once('-')?;
        let (before, time, number) = match before.rsplit_once('-') {
            Some((before, time)) if is_time(time) && digits(last) => (before, time, last.parse().ok()?),
            _ => (before, last, 1),
        };
        let (role, pid) = before.rsplit_once('-')?;
        let found = digits(pid) && is_time(time) && !role.is_empty();
        let (time, role) = (time.to_owned(), role.to_owned());
        found.then_some(CrashName { time, number, role, pid: pid.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_crash_file(role: &str, name: &str) -> bool {
        CrashName::parse(name).is_some_and(|name| name.role == role)
    }

    #[test]
    fn crash_files_of_a_role_are_told_from_everything_else() {
        assert!(is_crash_file("worker", "worker-41-20261124T133702Z.crash.log"));
        assert!(is_crash_file("worker", "worker-41-20261124T133702Z-2.crash.log"));
        assert!(is_crash_file("worker-1", "worker-1-41-20261124T133702Z.crash.log"));
        for name in [
            "worker-1-41-20261124T133702Z.crash.log",
            "worker.log",
            "worker-41.crash.log",
            "worker-x-20261124T133702Z.crash.log",
            "worker-41-yesterday.crash.log",
            "host-41-20261124T133702Z.crash.log",
        ] {
            assert!(!is_crash_file("worker", name), "{name}");
        }
    }
}
