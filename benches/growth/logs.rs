//! The log files of a measurement: how many lines they hold, and how many they say are missing.

use std::path::Path;

/// What the files of a folder hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Lines of the program.
    pub(crate) lines: u64,
    /// Records that the flusher's own lines report as lost.
    pub(crate) lost: u64,
}

/// Counts all files of the role, rotated ones included.
pub(crate) fn count(folder: &Path) -> Count {
    let mut count = Count::default();
    for file in std::fs::read_dir(folder).expect("listed").filter_map(Result::ok) {
        if file.file_name().to_string_lossy().starts_with("growth.log") {
            let text = std::fs::read(file.path()).expect("read");
            assert!(text.is_empty() || text.ends_with(b"\n"), "{} ends within a line", file.path().display());
            text.split_inclusive(|byte| *byte == b'\n').for_each(|line| count.add(line));
        }
    }
    count
}

impl Count {
    fn add(&mut self, line: &[u8]) {
        let Some(notice) = notice(line) else {
            self.lines += 1;
            return;
        };
        let (number, rest) = notice.split_once(' ').unwrap_or((notice, ""));
        let about_a_loss = rest.starts_with("record lost,") || rest.starts_with("records lost,");
        match number.parse::<u64>() {
            Ok(records) if about_a_loss => self.lost += records,
            _ => eprintln!("the flusher says: {}", notice.trim_end()),
        }
    }
}

/// What the flusher itself says in a line, if it is one of its own: `<time> [<pid>] [<level>] lastwords: <notice>`.
fn notice(line: &[u8]) -> Option<&str> {
    // Every level but the one of the measured lines; spares the rest of the work for all of those.
    let level = line.iter().position(|byte| *byte == b']')? + 3;
    if line.get(level..)?.starts_with(b"INFO]") {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    Some(text.split_once("] lastwords: ")?.1)
}
