//! The lines that people and their scripts read, exactly.

use lastwords_ring::format::layout::{encoding, slot_kind};
use lastwords_tests::actor::{run, tool};
use lastwords_tests::logs::read;
use lastwords_tests::scratch::Scratch;
use std::process::{Command, Stdio};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

#[test]
fn a_file_line_has_date_milliseconds_pid_level_and_message() {
    let folder = Scratch::new("file-line");
    let (pid, _) =
        run(ACTOR, "host", folder.path(), &["level=debug", "say:Host process starting up", "debug:d", "facade:f"]);
    let text = std::fs::read_to_string(folder.path().join("host.log")).expect("written");
    let mut lines = text.lines();
    let first = lines.next().expect("a line");
    assert_eq!(&first[23..], format!(" [{pid}] [INFO] Host process starting up"));
    assert_eq!(first[..23].replace(|c: char| c.is_ascii_digit(), "0"), "0000-00-00 00:00:00.000");
    assert!(lines.next().expect("a line").ends_with(&format!(" [{pid}] [DEBUG] d")));
    assert!(lines.next().expect("a line").ends_with(&format!(" [{pid}] [INFO] f")));
    assert_eq!(lines.next(), None);
}

#[test]
fn a_console_line_has_the_time_of_day_and_no_colours_off_a_terminal() {
    let folder = Scratch::new("console-line");
    let output = Command::new(ACTOR)
        .arg("host")
        .arg(folder.path())
        .args(["console=yes", "say:Host process starting up", "say:last"])
        .stdin(Stdio::null())
        .output()
        .expect("run");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    let form = |line: &str| line.replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(lines.len(), 2, "{text}");
    assert!(form(&lines[0][..10]) == "[00:00:00]" && lines[0][10..].starts_with(" ["), "{text}");
    assert!(lines[0].ends_with("] [INFO] Host process starting up") && lines[1].ends_with("] [INFO] last"), "{text}");
}

#[test]
fn no_message_can_forge_a_record_or_drive_a_terminal() {
    let folder = Scratch::new("forge");
    let forged = "say:harmless\n2025-10-19 05:55:47.606 [1] [CRITICAL] forged\nplain \u{1b}[31mred\u{202e}";
    let _ = run(ACTOR, "host", folder.path(), &[forged]);
    let lines = read(folder.path(), "host");
    assert_eq!(lines.len(), 1, "one record: {lines:?}");
    let expected = "harmless\n\t2025-10-19 05:55:47.606 [1] [CRITICAL] forged\nplain \\x1b[31mred\\u{202e}";
    assert_eq!(lines[0].message, expected);
}

#[test]
fn recover_prints_what_no_file_has_and_its_status_tells_scripts() {
    let folder = Scratch::new("recover");
    let path = folder.path().to_string_lossy().into_owned();
    let (pid, _) = run(ACTOR, "worker", folder.path(), &["flusher=never", "log:3", "facade:by the facade", "kill"]);
    let output = tool(TOOL, &["recover", &path]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.lines().next().expect("a line").ends_with(&format!(" [{pid}] [INFO] line 0")), "{text}");
    let summary = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(summary.contains("role worker") && summary.contains("died without closing; 4 records"), "{summary}");

    let json = tool(TOOL, &["recover", "--json", &path]).stdout;
    let last: serde_json::Value =
        serde_json::from_slice(json.split(|b| *b == b'\n').nth(3).expect("four lines")).expect("JSON");
    assert_eq!(last["message"], "by the facade");
    assert_eq!((last["role"].as_str(), last["pid"].as_u64()), (Some("worker"), Some(u64::from(pid))));
    assert!(last["file"].as_str().expect("a file").ends_with("actor.rs") && last["line"].as_u64() > Some(0), "{last}");
    assert_eq!(last["thread_name"], "main");

    assert_eq!(tool(TOOL, &["recover", "--drain", &path]).status.code(), Some(0));
    assert_eq!(tool(TOOL, &["recover", &path]).status.code(), Some(1), "nothing is left");
    assert_eq!(read(folder.path(), "worker").iter().filter(|line| line.message.starts_with("line ")).count(), 3);
}

#[test]
fn a_damaged_ring_gives_what_is_whole_and_its_own_status() {
    let folder = Scratch::new("damaged");
    let _ = run(ACTOR, "worker", folder.path(), &["flusher=never", "log:100", "kill"]);
    let rings = std::fs::read_dir(folder.path().join("rings")).expect("there").filter_map(Result::ok);
    let ring =
        rings.map(|file| file.path()).find(|path| path.extension().is_some_and(|e| e == "ring")).expect("a ring");
    let mut bytes = std::fs::read(&ring).expect("readable");
    // The last word of the record's head, then its value.
    let sizes = 8 | 20 << 16 | 1 << 32 | u64::from(slot_kind::FIRST) << 48 | u64::from(encoding::UNTAGGED) << 56;
    let body = [sizes, 40].map(u64::to_le_bytes).concat();
    let at = bytes.windows(body.len()).position(|part| part == body).expect("in the ring") + 8;
    bytes[at] ^= 1;
    std::fs::write(&ring, bytes).expect("written");
    let output = tool(TOOL, &["recover", &ring.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().count(), 99);
    assert!(!text.contains("] line 40\n") && text.contains("] line 41\n"));
}

#[test]
fn wrong_usage_and_wrong_paths_are_told_apart_from_nothing_found() {
    for arguments in [vec!["recover"], vec!["recover", "/nonexistent/folder"], vec!["flush", "/dev/null"], vec!["frob"]]
    {
        let output = tool(TOOL, &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    let refused = run(ACTOR, "../etc", Scratch::new("role").path(), &[]);
    assert_eq!(refused.1.code(), Some(7), "a role that is no file name is refused");
}
