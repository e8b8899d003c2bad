//! The lines that people and their scripts read, exactly.

use lastwords_ring::format::layout::{encoding, slot_kind};
use lastwords_tests::actor::{Printed, printed, run, tool, tool_at};
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs::{count, read};
use lastwords_tests::programs::ACTOR;
use lastwords_tests::scratch::Scratch;

#[test]
fn a_file_line_has_date_milliseconds_pid_level_and_message() {
    let folder = Scratch::new("file-line");
    let (pid, _) = run("host", &folder, ["level=debug", "say:Host process starting up", "debug:d", "facade:f"]);
    let text = std::fs::read_to_string(folder.join("host.log")).expect("written");
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
    let script = ["console=yes", "say:Host process starting up", "say:last"];
    let text = printed(ACTOR.acting("host", &folder, script)).err;
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
    let _ = run("host", &folder, [forged]);
    let lines = read(&folder, "host");
    assert_eq!(lines.len(), 1, "one record: {lines:?}");
    let expected = "harmless\n\t2025-10-19 05:55:47.606 [1] [CRITICAL] forged\nplain \\x1b[31mred\\u{202e}";
    assert_eq!(lines[0].message, expected);
}

#[test]
fn recover_prints_what_no_file_has_and_its_status_tells_scripts() {
    let folder = Scratch::new("recover");
    let (pid, _) = run("worker", &folder, ["flusher=never", "log:3", "facade:by the facade", "kill"]);
    let Printed { code, out: text, err: summary, .. } = tool_at("recover", &folder);
    assert_eq!((code, text.lines().count()), (Some(0), 4), "{text}");
    assert!(text.lines().next().expect("a line").ends_with(&format!(" [{pid}] [INFO] line 0")), "{text}");
    assert!(summary.contains("role worker") && summary.contains("died without closing; 4 records"), "{summary}");

    let json = tool_at("recover --json", &folder).out;
    let last: serde_json::Value = serde_json::from_str(json.lines().nth(3).expect("four lines")).expect("JSON");
    assert_eq!(last["message"], "by the facade");
    assert_eq!((last["role"].as_str(), last["pid"].as_u64()), (Some("worker"), Some(u64::from(pid))));
    assert!(last["file"].as_str().expect("a file").ends_with("actor.rs") && last["line"].as_u64() > Some(0), "{last}");
    assert_eq!(last["thread_name"], "main");

    tool_at("recover --drain", &folder).ended(0);
    assert_eq!(tool_at("recover", &folder).code, Some(1), "nothing is left");
    assert_eq!(count(&read(&folder, "worker"), "line "), 3);
}

#[test]
fn a_damaged_ring_gives_what_is_whole_and_its_own_status() {
    let folder = Scratch::new("damaged");
    let _ = run("worker", &folder, "flusher=never log:100 kill");
    let ring = ring_files(&folder).remove(0);
    let mut bytes = std::fs::read(&ring).expect("readable");
    // The last word of the record's head, then its value.
    let sizes = 8 | 20 << 16 | 1 << 32 | u64::from(slot_kind::FIRST) << 48 | u64::from(encoding::UNTAGGED) << 56;
    let body = [sizes, 40].map(u64::to_le_bytes).concat();
    let at = bytes.windows(body.len()).position(|part| part == body).expect("in the ring") + 8;
    bytes[at] ^= 1;
    std::fs::write(&ring, bytes).expect("written");
    let Printed { code, out: text, .. } = tool_at("recover", &ring);
    assert_eq!((code, text.lines().count()), (Some(3), 99), "{text}");
    assert!(!text.contains("] line 40\n") && text.contains("] line 41\n"));
}

#[test]
fn wrong_usage_and_wrong_paths_are_told_apart_from_nothing_found() {
    for arguments in ["recover", "recover /nonexistent/folder", "flush /dev/null", "frob"] {
        let output = tool(arguments);
        assert!(output.code == Some(2) && !output.err.is_empty(), "{arguments}: {output:?}");
    }
    let (_, refused) = run("../etc", &Scratch::new("role"), "");
    assert_eq!(refused.code(), Some(7), "a role that is no file name is refused");
}
