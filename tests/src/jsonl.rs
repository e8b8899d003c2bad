//! JSON log files taken apart into objects.

use crate::logs::{Line, rotated};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The role's JSON files, oldest first.
#[must_use]
pub fn files(folder: &Path, role: &str) -> Vec<PathBuf> {
    rotated(&folder.join(format!("{role}.jsonl")))
}

/// All objects of a role, the rotated files first.
///
/// # Panics
/// If a file is not UTF-8, holds a line that is not JSON, or does not end with a newline.
#[must_use]
pub fn read(folder: &Path, role: &str) -> Vec<Value> {
    files(folder, role).iter().flat_map(|path| parse(&std::fs::read(path).expect("readable"))).collect()
}

/// The objects of these lines.
///
/// # Panics
/// As [`read`].
#[must_use]
pub fn parse(lines: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(lines).expect("JSON is UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "ends in the middle of a line: {text:?}");
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
    text.lines().map(object).collect()
}

/// [`read`] as lines of text: those of `<role>.log`, as far as the messages have nothing that is escaped there, and no fields.
#[must_use]
pub fn lines(folder: &Path, role: &str) -> Vec<Line> {
    read(folder, role).iter().map(line).collect()
}

fn line(object: &Value) -> Line {
    let text = |key: &str| object[key].as_str().unwrap_or_else(|| panic!("no {key} in {object}")).to_owned();
    Line {
        time: text("time")[.."2025-10-19T05:55:47.606".len()].replace('T', " "),
        pid: object["pid"].as_u64().expect("a pid") as u32,
        level: text("level"),
        message: text("message"),
    }
}
