//! The questions of `docs/reading.md`: each is answered by the command beside it, in a folder as a new user has it: a host, a
//! worker that crashes, and a service that logs JSON.

use lastwords_tests::actor::{Actor, flush_once, printed, succeed};
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const QUESTIONS: &str = "## Ten questions";

fn document() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root");
    fs::read_to_string(root.join("docs/reading.md")).expect("read")
}

/// A folder `logs` in which every question has an answer.
fn logs() -> (Scratch, PathBuf) {
    let scratch = Scratch::new("show-docs");
    let folder = scratch.join("logs");
    let host = ["say:Host process starting up", "error:a timeout", "log:3", "flush"];
    succeed("host", &folder, host);
    let traced = [("LASTWORDS_RING_LEVEL", "trace")];
    let mut worker = Actor::start_with("worker", &folder, "log:2 fine:2 kill", &traced);
    let _ = worker.end();
    flush_once(&folder);
    succeed("worker", &folder, "log:4 flush");
    let request = r#"{"time":"2025-10-18T14:45:00.000000001+00:00","level":"INFO","level_number":20,"role":"api","pid":7,"message":"request","fields":{"status":500}}"#;
    fs::write(folder.join("api.jsonl"), format!("{request}\n")).expect("written");
    (scratch, folder)
}

#[test]
fn every_question_of_the_document_is_answered_by_its_command() {
    let (scratch, folder) = logs();
    let text = document();
    let section = text.split(QUESTIONS).nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the section");
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert_eq!(rows.len(), 10);
    for row in rows {
        let command = row.split('`').nth(1).expect("a command");
        let arguments = command.strip_prefix("lastwords ").expect("ours");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("exec {} {arguments}", &*TOOL)).current_dir(&scratch);
        let found = printed(&mut shell);
        assert_eq!((found.code, found.err.as_str()), (Some(0), ""), "{command}: {found:?}");
        println!("$ {command}\n{}", found.out);
    }
    let messages = |arguments: &str| {
        let mut command = TOOL.command();
        let found = printed(command.arg("show").args(arguments.split(' ')).args(["-o", "cat"]).arg(&folder)).out;
        found.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let crash = messages("--before-crash 20");
    assert!(
        crash.contains(&"Host process starting up".to_owned()) && crash.contains(&"line 1".to_owned()),
        "{crash:?}"
    );
    assert!(crash.last().is_some_and(|line| line.starts_with("lastwords: the process ")), "{crash:?}");
    assert_eq!(messages("-u worker --last-run"), ["line 0", "line 1", "line 2", "line 3"]);
    assert_eq!(messages("--crash -p trace..debug").len(), 2);
}

#[test]
fn every_option_that_the_document_names_is_one_of_the_command() {
    let help = printed(TOOL.command().args(["show", "--help"])).out;
    let text = document();
    let words = text.split(|c: char| c.is_whitespace() || "`,;:()|'".contains(c));
    for option in words.filter(|word| word.starts_with("--") && word.len() > 2) {
        assert!(help.contains(option) || option == "---", "{option}");
    }
}
