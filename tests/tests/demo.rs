//! The demo is truthful: what it counts is right, and it leaves no process behind.
//!
//! A new user runs the demo first. If it failed now and then, or showed zeros because it checked nothing, it would prove the
//! opposite of what it is for.

use lastwords_tests::actor::{Printed, tool, tool_at};
use lastwords_tests::logs::files;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::path::Path;
use std::time::Duration;

const ENDINGS: [&str; 4] = ["SIGKILL, the flusher", "SIGKILL", "segfault", "_exit"];

/// A row's numbers: acknowledged, found, recovered, missing, torn, doubled, reported lost.
fn numbers(row: &str, ending: &str) -> Vec<u64> {
    let (_, numbers) = row.split_once(ending).unwrap_or_else(|| panic!("no \"{ending}\" in {row:?}"));
    numbers.split_whitespace().map(|number| number.replace(',', "").parse().expect("a number")).collect()
}

fn lines_with(folder: &Path, text: &str) -> u64 {
    let files = ["host", "worker"].into_iter().flat_map(|role| files(folder, role));
    let count =
        |path| std::fs::read_to_string(path).expect("readable").lines().filter(|line| line.contains(text)).count();
    files.map(count).sum::<usize>() as u64
}

fn is_running(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|text| !text.contains("State:\tZ"))
}

#[test]
fn four_deaths_leave_every_acknowledged_line_once_and_whole_wherever_the_rings_are() {
    let _watchdog = Watchdog::new("demo", Duration::from_secs(300));
    for memory in ["file", "tmpfs", "shm"] {
        four_deaths(memory);
    }
}

fn four_deaths(memory: &str) {
    let scratch = Scratch::new("demo");
    let folder = scratch.join("logs");
    let Printed { code, out: table, err: steps, .. } =
        tool_at(format!("demo --seconds 1 --memory {memory} --dir"), &folder);
    assert_eq!(code, Some(0), "{table}\n{steps}");
    let rows: Vec<&str> =
        table.lines().filter(|line| line.starts_with("host ") || line.starts_with("worker ")).collect();
    assert_eq!(rows.len(), ENDINGS.len(), "{table}");
    let mut found_in_all = 0;
    for (row, ending) in rows.iter().zip(ENDINGS) {
        let [acknowledged, found, recovered, missing, torn, doubled, lost] = numbers(row, ending)[..] else {
            panic!("seven numbers expected in {row:?}");
        };
        assert!(acknowledged > 1000 && recovered > 0, "{row}");
        assert!((acknowledged..=acknowledged + 2).contains(&found), "{row}");
        assert_eq!([missing, torn, doubled, lost], [0; 4], "{row}");
        found_in_all += found;
        let pid =
            row.split_whitespace().find(|word| word.parse::<u32>().is_ok_and(|number| number > 3)).expect("a pid");
        assert!(!is_running(pid), "{pid} still runs");
    }
    assert_eq!(lines_with(&folder, "] [INFO] demo process "), found_in_all, "the table counts what is in the files");
    assert_eq!(lines_with(&folder, "] [CRITICAL] lastwords: "), 4, "a line a death");
    assert!(table.contains(&*folder.to_string_lossy()), "it says where the files are: {table}");
    assert!(!table.contains('\u{1b}') && !steps.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn a_folder_that_cannot_serve_is_refused_with_the_reason() {
    let scratch = Scratch::new("demo-refused");
    let file = scratch.join("file");
    std::fs::write(&file, "x").expect("written");
    let missing = file.join("below");
    for (path, reason) in [(scratch.path(), "not empty"), (&*file, "Not a directory"), (&*missing, "Not a directory")] {
        let Printed { code, err: error, .. } = tool_at("demo --dir", path);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("error:") && error.contains(reason), "{error}");
    }
    for wrong in ["--seconds 0", "--threads 0", "--threads 17", "--seconds x"] {
        assert_eq!(tool(format!("demo {wrong}")).code, Some(2), "{wrong}");
    }
}
