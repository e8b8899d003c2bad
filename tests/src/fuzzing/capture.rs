//! A capture of any bytes, shown as what stands below a death line, as a crash file and as JSON. The files that it names are
//! not opened, so what it says of programs is in its vDSO.

use lastwords_flusher::crash::json;
use lastwords_flusher::crash::read_back;
use lastwords_flusher::crash::report::{Reading, Report};
use lastwords_flusher::crash::text::{self, LOG_FRAMES_MAX};
use lastwords_ring::read::capture::parse;
use serde_json::Value;

/// Lines around the frames: the cause, and the end.
const AROUND: usize = 2;

/// Shows the capture that `input` is.
pub fn run(input: &[u8]) {
    let Some(capture) = parse(input) else { return };
    let report = Report::of(&capture, 4157, &Reading::default());
    let below = text::below_death_line(&report);
    let lines: Vec<&str> = below.split('\n').skip(1).collect();
    assert!(lines.len() <= LOG_FRAMES_MAX + AROUND, "{below}");
    assert!(lines.iter().all(|line| line.starts_with("    ")), "a line of its own in {below:?}");
    let object = json::report(&report);
    let line = format!("{{\"role\":\"host\"{}}}", json::of_death_line(&report));
    let line: Value = serde_json::from_str(&line).expect("an object");
    assert!(object["threads"].is_array() && line["frames"].is_array(), "{object} {line}");
    // A head precedes it, and an empty line ends it.
    let file = format!("black box of host, pid 4157\n{}", text::of_crash_file(&report));
    if let Some((found, range)) = read_back::report_in(&file) {
        assert!(range.end <= file.len() && found.stacks.len() <= report.stacks.len(), "{file}");
    }
}
