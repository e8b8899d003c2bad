//! What `lastwords show` shows of files, option by option.
//!
//! Whoever looks for a cause reads several files at once, and the order in which things happened is what is looked for. A line
//! at the wrong place, twice or not at all leads astray without anybody noticing.

use lastwords_tests::actor::{Printed, printed};
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// A log folder with these files, in UTC.
fn folder(name: &str, files: &[(&str, &str)]) -> Scratch {
    let scratch = Scratch::new(name);
    fs::write(scratch.join("time_zone"), "UTC +00:00\n").expect("written");
    for (file, text) in files {
        fs::write(scratch.join(file), text).expect("written");
    }
    scratch
}

fn show(arguments: &[&str], folder: &Path) -> Printed {
    printed(TOOL.command().arg("show").args(arguments).arg(folder).env_remove("LASTWORDS_DIR"))
}

#[track_caller]
fn shows(arguments: &[&str], folder: &Path, expected: &str) {
    let found = show(arguments, folder);
    assert_eq!(found.out, expected, "{arguments:?}: {found:?}");
    assert_eq!(found.code, Some(i32::from(expected.is_empty())), "{arguments:?}: {found:?}");
}

const HOST: &str = "2025-10-19 05:55:47.100 [1] [INFO] host starts
2025-10-19 05:55:47.300 [1] [ERROR] it failed
Traceback (most recent call last):
  File \"x.py\", line 1
ValueError: 7
2025-10-19 05:55:47.500 [1] [DEBUG] host goes on
";
const WORKER: &str = "2025-10-19 05:55:47.200 [2] [INFO] worker starts
2025-10-19 05:55:47.300 [2] [WARNING] slow
2025-10-19 05:55:47.600 [3] [NOTICE] another worker
";
const MERGED: &str = "2025-10-19 05:55:47.100 [1] [INFO] host starts
2025-10-19 05:55:47.200 [2] [INFO] worker starts
2025-10-19 05:55:47.300 [1] [ERROR] it failed
Traceback (most recent call last):
  File \"x.py\", line 1
ValueError: 7
2025-10-19 05:55:47.300 [2] [WARNING] slow
2025-10-19 05:55:47.500 [1] [DEBUG] host goes on
2025-10-19 05:55:47.600 [3] [NOTICE] another worker
";

fn two(name: &str) -> Scratch {
    folder(name, &[("host.log", HOST), ("worker.log", WORKER)])
}

/// Lines of `MERGED`, by their numbers.
fn lines(numbers: &[usize]) -> String {
    let all: Vec<&str> = MERGED.split_inclusive('\n').collect();
    numbers.iter().map(|number| all[*number]).collect()
}

#[test]
fn all_roles_are_in_one_order_of_time_and_a_traceback_stays_with_its_record() {
    let logs = two("show-merged");
    shows(&[], &logs, MERGED);
    // Several folders are one timeline.
    let (host, worker) = (folder("show-a", &[("host.log", HOST)]), folder("show-b", &[("worker.log", WORKER)]));
    let found = printed(TOOL.command().arg("show").args([&host, &worker]));
    assert_eq!(found.out, MERGED);
    let found = printed(TOOL.command().args(["show", "--dir"]).arg(&logs));
    assert_eq!(found.out, MERGED);
}

#[test]
fn rotated_files_come_first_and_what_is_no_log_file_does_not_come() {
    let line = |second: u32| format!("2025-10-19 05:55:{second:02}.000 [1] [INFO] {second}\n");
    let files: Vec<(String, String)> = [(10, 1), (9, 2), (2, 3), (1, 4)]
        .iter()
        .map(|(number, second)| (format!("host.log.{number}"), line(*second)))
        .chain([
            ("host.log".to_owned(), line(5)),
            ("host.log.bak".to_owned(), line(6)),
            ("host.txt".to_owned(), line(7)),
        ])
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let logs = folder("show-rotated", &files);
    shows(&[], &logs, &(1..=5).map(line).collect::<String>());
    shows(&["-r"], &logs, &(1..=5).rev().map(line).collect::<String>());
    shows(&["-n", "3"], &logs, &(3..=5).map(line).collect::<String>());
}

#[test]
fn a_line_that_is_older_than_the_one_before_it_stays_behind_it() {
    let line = |milli: u32, pid: u32| format!("2025-10-19 05:55:47.{milli:03} [{pid}] [INFO] x\n");
    let logs = folder(
        "show-back",
        &[
            ("a.log", &[line(500, 1), line(100, 1), line(200, 1), line(700, 1)].concat()),
            ("b.log", &[line(400, 2), line(600, 2)].concat()),
        ],
    );
    let expected = [line(400, 2), line(500, 1), line(100, 1), line(200, 1), line(600, 2), line(700, 1)];
    shows(&[], &logs, &expected.concat());
}

#[test]
fn what_no_flusher_wrote_is_shown_where_it_is() {
    let text = "a beginning\n2025-10-19 05:55:47.100 [1] [INFO] x\nmore\n2025-10-19 05:55:47.300 [1] [INFO] torn";
    let logs = folder("show-foreign", &[("host.log", text), ("worker.log", WORKER), ("empty.log", "")]);
    let found = show(&[], &logs).out;
    assert!(found.starts_with("a beginning\n2025-10-19 05:55:47.100 [1] [INFO] x\nmore\n2025"), "{found}");
    assert!(found.contains(" [1] [INFO] torn\n2025-10-19 05:55:47.300 [2]"), "{found}");
}

#[test]
fn records_are_picked_by_role_process_level_time_and_text() {
    let logs = two("show-picked");
    for (arguments, expected) in [
        (&["-u", "host"][..], &[0, 2, 3, 4, 5, 7][..]),
        (&["-u", "host", "--role", "worker"], &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (&["-u", "nobody"], &[]),
        (&["--pid", "2", "--pid", "3"], &[1, 6, 8]),
        // Where a name stands that only its process knows, nobody can tell from a text file.
        (&["-p", "warning"], &[2, 3, 4, 5, 6, 8]),
        (&["--priority", "40"], &[2, 3, 4, 5, 8]),
        (&["--level", "error"], &[2, 3, 4, 5, 8]),
        (&["-p", "info..warning"], &[0, 1, 6, 8]),
        (&["-p", "..10"], &[7, 8]),
        (&["-S", "2025-10-19 05:55:47.3"], &[2, 3, 4, 5, 6, 7, 8]),
        (&["--since", "2025-10-19T07:55:47.301+02:00"], &[7, 8]),
        (&["-U", "2025-10-19 05:55:47.2"], &[0, 1]),
        (&["-S", "2025-10-19", "--until", "2025-10-20"], &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (&["-S", "10 min ago"], &[]),
        (&["-b"], &[]),
        (&["--boot"], &[]),
        (&["-U", "yesterday"], &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (&["-g", "WORKER"], &[]),
        (&["-g", "worker"], &[1, 8]),
        (&["--grep", "valueerror"], &[2, 3, 4, 5]),
        (&["-g", "^ValueError: [0-9]$"], &[2, 3, 4, 5]),
        (&["-g", "^host"], &[0, 7]),
        // What is in the head is not in the message.
        (&["-g", "INFO"], &[]),
        (&["-g", "s", "-n", "2"], &[6, 7]),
        (&["-n", "1"], &[8]),
        (&["--lines", "0"], &[]),
        (&["-n", "4"], &[2, 3, 4, 5, 6, 7, 8]),
        (&["-n", "1000"], &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (&["-n", "2", "-u", "host"], &[2, 3, 4, 5, 7]),
        (&["-r"], &[8, 7, 6, 2, 3, 4, 5, 1, 0]),
        (&["--reverse", "-n", "2"], &[8, 7]),
        (&["-r", "-g", "starts"], &[1, 0]),
        (&["--last-run"], &[0, 2, 3, 4, 5, 7, 8]),
        (&["--target", "x"], &[]),
        (&["--thread", "1"], &[]),
        (&["--field", "a=1"], &[]),
    ] {
        shows(arguments, &logs, &lines(expected));
    }
}

#[test]
fn records_around_a_record_are_shown_with_it() {
    let logs = two("show-around");
    let gap = "--\n".to_owned();
    for (arguments, expected) in [
        (&["-g", "slow", "-C", "1"][..], lines(&[2, 3, 4, 5, 6, 7])),
        (&["-g", "slow", "-A", "1"], lines(&[6, 7])),
        (&["-g", "slow", "-B", "1"], lines(&[2, 3, 4, 5, 6])),
        (&["-g", "starts", "--after", "1", "--before", "1"], lines(&[0, 1, 2, 3, 4, 5])),
        (&["-g", "host starts|goes on", "-A", "0"], lines(&[0]) + &gap + &lines(&[7])),
        (&["-g", "host starts|another", "--context", "1"], lines(&[0, 1]) + &gap + &lines(&[7, 8])),
        (&["-p", "error..error", "-B1"], lines(&[1, 2, 3, 4, 5]) + &gap + &lines(&[7, 8])),
        // The role says what is around it.
        (&["-g", "slow", "-B1", "-u", "worker"], lines(&[1, 6])),
        (&["-g", "s", "-n", "1", "-B", "1"], lines(&[6, 7])),
    ] {
        shows(arguments, &logs, &expected);
    }
}

const JSON: &str = r#"{"time":"2025-10-19T05:55:47.250123456+00:00","level":"INFO","level_number":20,"role":"api","pid":7,"thread":9,"thread_name":"pool","target":"app::http","message":"answer","fields":{"status":500,"path":"/a"}}
{"time":"2025-10-19T05:55:47.350000001+00:00","level":"NOTICE","level_number":25,"role":"api","pid":7,"thread":7,"target":"app::db","message":"two\nlines","spans":[{"name":"query","fields":{"id":3}}]}
"#;

#[test]
fn json_files_are_part_of_the_timeline_and_can_be_picked_from_by_all_that_they_have() {
    let logs = folder("show-json", &[("api.jsonl", JSON), ("host.log", HOST)]);
    let (answer, query) = (
        "2025-10-19 05:55:47.250 [7] [INFO] answer status=500 path=/a\n",
        "2025-10-19 05:55:47.350 [7] [NOTICE] query{id=3}: two\nlines\n",
    );
    let host = |range: std::ops::Range<usize>| HOST.split_inclusive('\n').collect::<Vec<_>>()[range].concat();
    shows(&[], &logs, &[host(0..1), answer.to_owned(), host(1..5), query.to_owned(), host(5..6)].concat());
    shows(&["-r", "-n", "2"], &logs, &[host(5..6), query.to_owned()].concat());
    for (arguments, expected) in [
        (&["-u", "api", "-p", "25"][..], query),
        (&["-u", "api", "-p", "..24"], answer),
        (&["--thread", "pool"], answer),
        (&["--thread", "7"], query),
        (&["--target", "app::"], &format!("{answer}{query}")),
        (&["--target", "app::h"], answer),
        (&["--field", "status=500"], answer),
        (&["--field", "status!=500"], query),
        (&["--field", "path~a", "--field", "status=500"], answer),
        (&["--field", "path~a", "--field", "status=501"], ""),
        (&["--field", "id=3"], query),
        (&["-g", "two.lines"], ""),
        (&["-g", "(?s)two.lines"], query),
        (&["-g", "answer"], answer),
    ] {
        shows(arguments, &logs, expected);
    }
}

#[test]
fn every_form_of_output_is_the_documented_one() {
    let logs = folder("show-forms", &[("api.jsonl", JSON), ("worker.log", &WORKER[..49])]);
    let api = ["-u", "api", "-n", "1"];
    let worker = ["-u", "worker"];
    for (arguments, form, expected) in [
        (&worker[..], "short", "2025-10-19 05:55:47.200 [2] [INFO] worker starts\n"),
        (&worker, "precise", "2025-10-19 05:55:47.200 worker [2] [INFO] worker starts\n"),
        (&worker, "cat", "worker starts\n"),
        (&worker, "verbose", "2025-10-19 05:55:47.200 worker [2] [INFO] worker starts\n"),
        (
            &worker,
            "json",
            "{\"time\":\"2025-10-19T05:55:47.200000000+00:00\",\"level\":\"INFO\",\"level_number\":20,\"role\":\"worker\",\"pid\":2,\"message\":\"worker starts\"}\n",
        ),
        (&api, "short", "2025-10-19 05:55:47.350 [7] [NOTICE] query{id=3}: two\nlines\n"),
        (&api, "precise", "2025-10-19 05:55:47.350000001 api [7] [NOTICE] query{id=3}: two\nlines\n"),
        (&api, "cat", "query{id=3}: two\nlines\n"),
        (&api, "json", &JSON[JSON.find('\n').expect("two lines") + 1..]),
        (
            &api,
            "verbose",
            "2025-10-19 05:55:47.350000001 api [7] [NOTICE] query{id=3}: two\nlines\n    level_number = 25\n    thread = 7\n    target = app::db\n    span query {\"id\":3}\n",
        ),
    ] {
        shows(&[arguments, &["-o", form]].concat(), &logs, expected);
    }
    let found = show(&["--output", "yaml"], &logs);
    assert_eq!(found.code, Some(2), "{found:?}");
}

#[test]
fn times_are_those_of_the_folder_or_in_utc() {
    let logs = folder("show-utc", &[("host.log", HOST), ("api.jsonl", &JSON.replace("+00:00", "+02:00"))]);
    fs::write(logs.join("time_zone"), "+02:00 +02:00\n").expect("written");
    shows(&["--utc", "-n", "1", "-u", "host"], &logs, "2025-10-19 03:55:47.500 [1] [DEBUG] host goes on\n");
    shows(
        &["--utc", "-n", "1", "-u", "api", "-o", "precise"],
        &logs,
        "2025-10-19 03:55:47.350000001 api [7] [NOTICE] query{id=3}: two\nlines\n",
    );
    let found = show(&["--utc", "-n", "1", "-u", "api", "-o", "json"], &logs).out;
    assert!(found.starts_with("{\"time\":\"2025-10-19T03:55:47.350000001+00:00\","), "{found}");
    // A time that is given is one of the folder, or of UTC where that is asked for.
    shows(&["-S", "2025-10-19 05:55:47.4"], &logs, "2025-10-19 05:55:47.500 [1] [DEBUG] host goes on\n");
    shows(&["--utc", "-S", "2025-10-19 03:55:47.4"], &logs, "2025-10-19 03:55:47.500 [1] [DEBUG] host goes on\n");
}

#[test]
fn a_role_that_has_text_and_json_shows_each_record_once() {
    let text = |n: u32| format!("2025-10-19 05:55:47.{n:03} [1] [INFO] line {n} k={n}\n");
    let json = |n: u32| {
        format!(
            "{{\"time\":\"2025-10-19T05:55:47.{n:03}000000+00:00\",\"level\":\"INFO\",\"level_number\":20,\"role\":\"host\",\"pid\":1,\"message\":\"line {n}\",\"fields\":{{\"k\":{n}}}}}\n"
        )
    };
    // The text is older, the JSON goes on, and in between one of them was alone.
    let texts: String = (0..50).filter(|n| !(20..25).contains(n)).map(text).collect();
    let jsons: String = (10..60).filter(|n| !(30..35).contains(n)).map(json).collect();
    let logs = folder("show-both", &[("host.log", &texts), ("host.jsonl", &jsons)]);
    shows(&[], &logs, &(0..60).map(text).collect::<String>());
    shows(&["-r"], &logs, &(0..60).rev().map(text).collect::<String>());
    shows(&["-n", "45"], &logs, &(15..60).map(text).collect::<String>());
    shows(&["--field", "k=40"], &logs, &text(40));
    shows(&["-g", "line 3\\d"], &logs, &(30..40).map(text).collect::<String>());
}

#[test]
fn wrong_arguments_are_told_with_what_was_expected() {
    let logs = two("show-wrong");
    for (arguments, part) in [
        (&["-p", "loud"][..], "give its number"),
        (&["-p", ""], "expected a level"),
        (&["-S", "soon"], "expected a time"),
        (&["-g", "("], "unclosed group"),
        (&["--field", "x"], "expected key=value"),
        (&["-r", "-f"], "cannot be used with"),
    ] {
        let found = show(arguments, &logs);
        assert_eq!((found.code, found.err.contains(part)), (Some(2), true), "{arguments:?}: {found:?}");
        assert_eq!(found.out, "", "{arguments:?}");
    }
    let found = show(&[], &logs.join("missing"));
    assert_eq!((found.code, found.err.contains("there is no such folder; name")), (Some(2), true), "{found:?}");
    let found = show(&[], &logs.join("host.log"));
    assert_eq!((found.code, found.err.contains("not a folder")), (Some(2), true), "{found:?}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let line = "2025-10-19 05:55:47.100 [1] [INFO] a line that is longer than nothing\n";
    let logs = folder("show-pipe", &[("host.log", &line.repeat(50_000))]);
    let mut command = TOOL.command();
    let mut child =
        command.arg("show").arg(&logs).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let mut first = [0; 70];
    child.stdout.take().expect("piped").read_exact(&mut first).expect("a line");
    let output = child.wait_with_output().expect("ended");
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
}

/// The tool with so little memory, as `ulimit -d` has it.
fn with_memory(mib: usize, folder: &Path, arguments: &str) -> Printed {
    let command = format!("ulimit -d {}; exec {} show {arguments} {} | wc -c", mib << 10, &*TOOL, folder.display());
    printed(Command::new("bash").args(["-c", &format!("set -o pipefail; {command}")]))
}

#[test]
fn memory_is_bounded_whatever_the_size_of_the_files() {
    let line =
        |n: u32| format!("2025-10-19 05:55:47.{:03} [1] [INFO] a line that is one of very many, {n}\n", n % 1000);
    let block: String = (0..20_000).map(line).collect();
    let scratch = folder("show-memory", &[]);
    let mut size = 0;
    for role in ["a", "b", "c"] {
        for number in ["", ".1", ".2", ".3"] {
            let text = block.repeat(4);
            size += text.len();
            fs::write(scratch.join(format!("{role}.log{number}")), text).expect("written");
        }
    }
    assert!(size > 60 << 20);
    for arguments in ["", "-r"] {
        let found = with_memory(40, &scratch, arguments);
        assert_eq!((found.out.trim(), found.code), (&*size.to_string(), Some(0)), "{arguments}: {found:?}");
    }
    assert_eq!(with_memory(40, &scratch, "-n 3").code, Some(0));
    // A file that is no log, without any end of a line.
    let other = folder("show-no-lines", &[("x.log", &"x".repeat(100 << 20))]);
    let found = with_memory(48, &other, "");
    assert_eq!(found.code, Some(0), "{found:?}");
}
