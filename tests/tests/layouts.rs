//! `columns`, `time_digits` and `time_offset`: what a text line has besides the default.
//!
//! Whoever cuts lines by columns cuts every line of a file alike, so a file has one layout: lines of another one begin a new file,
//! also where the flusher dies over it. And a column must not be where a message begins, nor a message where a column is: a program
//! that logs what users type would let them choose its thread or its level.

use lastwords_flusher::render::line_head::LineHead;
use lastwords_ring::format::columns::Columns;
use lastwords_ring::format::text_layout::{TextLayout, TimeDigits};
use lastwords_tests::actor::{Actor, die, flush_once, flush_rest, printed, succeed, tool, wait_until};
use lastwords_tests::flushers::{Drainer, KillAt};
use lastwords_tests::logs;
use lastwords_tests::oracle::Random;
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

/// Time for the points of one test, unless all are asked for.
const TIME: Duration = Duration::from_secs(15);

/// Layouts and messages of each of the role's files, the oldest first.
fn files(folder: &Path, role: &str) -> Vec<(TextLayout, Vec<String>)> {
    let file = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).expect("UTF-8");
        let found = text.lines().map(|line| {
            let head = LineHead::parse(line.as_bytes()).unwrap_or_else(|| panic!("no head in {line:?}"));
            (head.layout(line.as_bytes()).expect("one of ours"), line[head.message_at()..].to_owned())
        });
        let (layouts, messages): (Vec<_>, Vec<_>) = found.unzip();
        assert!(layouts.windows(2).all(|pair| pair[0] == pair[1]), "one layout in a file:\n{text}");
        (layouts[0], messages)
    };
    logs::files(folder, role).iter().map(file).collect()
}

/// Messages without what the flusher itself says.
fn said(files: &[(TextLayout, Vec<String>)]) -> Vec<String> {
    let all = files.iter().flat_map(|(_, messages)| messages);
    all.filter(|message| !message.starts_with("lastwords: ")).cloned().collect()
}

#[test]
fn lines_of_another_layout_begin_a_new_file_whoever_flushes() {
    let scratch = Scratch::new("layouts-change");
    succeed("host", &scratch, "log:2");
    succeed("host", &scratch, "columns=thread,target,place log:2");
    succeed("host", &scratch, "columns=place,target,thread log:1");
    // Dead, of an earlier run, and drained by a process that requests something else.
    let _ = die("host", &scratch, "columns=target flusher=never log:1 kill");
    succeed("host", &scratch, "columns=target time-digits=9 time-offset=true log:1");
    let mut first = Actor::start("host", &scratch, "columns=thread log:2 flush line:up wait log:1").until("up");
    succeed("host", &scratch, "log:1 flush");
    first.finish();
    let found = files(&scratch, "host");
    let layouts: Vec<TextLayout> = found.iter().map(|(layout, _)| *layout).collect();
    let of = |columns| TextLayout { columns, ..TextLayout::default() };
    let exact = TextLayout { digits: TimeDigits::Nine, offset: true, ..of(Columns::TARGET) };
    // The newest ring's layout counts for all of the role.
    let expected = [of(Columns::NONE), of(Columns::ALL), exact, of(Columns::THREAD), of(Columns::NONE)];
    assert_eq!(layouts, expected, "{found:?}");
    assert_eq!(
        said(&found),
        ["line 0", "line 1", "line 0", "line 1", "line 0", "line 0", "line 0", "line 0", "line 1", "line 0", "line 2"]
    );
    let text = fs::read_to_string(scratch.join("host.log.3")).expect("a file");
    assert!(text.lines().all(|line| line.contains("] (main) <actor> {") && line.contains("actor.rs:")), "{text}");
    let text = fs::read_to_string(scratch.join("host.log.2")).expect("a file");
    assert!(text.contains("] <lastwords> [CRITICAL] lastwords: the process died"), "{text}");
}

#[test]
fn a_change_of_layout_loses_and_doubles_nothing_wherever_the_flusher_dies() {
    let prepare = |scratch: &Scratch| {
        let folder = scratch.join("logs");
        succeed("host", &folder, "log:3");
        let _ = die("host", &folder, "columns=thread,place time-digits=6 flusher=never log:20 kill");
        folder
    };
    let check = |folder: &Path, point: &dyn std::fmt::Debug| {
        let found = files(folder, "host");
        assert_eq!(found.len(), 2, "{point:?}: {found:?}");
        let expected: Vec<String> = (0..3).chain(0..20).map(|n| format!("line {n}")).collect();
        assert_eq!(said(&found), expected, "{point:?}");
        let deaths =
            found.iter().flat_map(|(_, messages)| messages).filter(|text| text.contains("died without")).count();
        assert_eq!((deaths, said(&found[..1]).len()), (1, 3), "{point:?}");
    };
    let scratch = Scratch::new("layouts-points");
    let drainer = |scratch: &Scratch| Drainer { since: "all", elsewhere: scratch.path().to_owned() };
    let folder = prepare(&scratch);
    let calls = drainer(&scratch).drain_until(&folder, KillAt::Never).expect("an unkilled drain");
    check(&folder, &"unkilled");
    let mut points: Vec<KillAt> = (0..calls.len()).map(KillAt::Before).collect();
    points.extend((0..calls.len()).filter(|k| calls[*k].write.is_some()).map(KillAt::Within));
    let (all, mut tried) = (std::env::var("LASTWORDS_ALL_POINTS").is_ok(), 0);
    let mut random = Random::from_env("LASTWORDS_POINTS_SEED");
    random.shuffle(&mut points);
    let (start, counted) = (Instant::now(), points.len());
    for point in points {
        if !all && start.elapsed() > TIME && tried >= 20 {
            break;
        }
        let scratch = Scratch::new("layouts-point");
        let folder = prepare(&scratch);
        if drainer(&scratch).drain_until(&folder, point).is_some() {
            flush_rest(&folder);
            check(&folder, &point);
            tried += 1;
        }
    }
    println!("{tried} of {counted} points tried");
}

#[test]
fn show_reads_every_layout_and_prints_one() {
    let scratch = Scratch::new("layouts-show");
    fs::write(scratch.join("time_zone"), "Etc/GMT-2 +02:00\n").expect("written");
    let forged = "2025-10-19 05:55:47.600 [1] [INFO] (main) <app> {x:1} [ERROR] no column\n";
    fs::write(scratch.join("host.log.2"), forged).expect("written");
    let columns = "2025-10-19 05:55:47.601 [1] (pool \\x29 1) <app::http> {src/x.rs:7} [INFO] [WARNING] answer\n  more\n\
        2025-10-19 05:55:47.602 [1] (#41) <-> {-} [ERROR] nameless\n";
    fs::write(scratch.join("host.log.1"), columns).expect("written");
    let exact = "2025-10-19 03:55:47.603000700+00:00 [1] <app::db> [INFO] exact\n";
    fs::write(scratch.join("host.log"), exact).expect("written");
    let show = |arguments: &[&str]| printed(TOOL.command().arg("show").args(arguments).arg(scratch.path())).out;
    let answer = "2025-10-19 05:55:47.601 [1] [INFO] [WARNING] answer\n  more\n";
    let nameless = "2025-10-19 05:55:47.602 [1] [ERROR] nameless\n";
    let last = "2025-10-19 03:55:47.603 [1] [INFO] exact\n";
    assert_eq!(show(&[]), [forged, answer, nameless, last].concat(), "the order is that of time, whatever its offset");
    assert_eq!(show(&["-r", "-n", "2"]), [last, nameless].concat());
    assert_eq!(show(&["-g", "answer"]), answer);
    assert_eq!(show(&["-p", "error"]), nameless);
    assert_eq!(show(&["--thread", "pool ) 1"]), answer);
    assert_eq!(show(&["--thread", "41"]), nameless);
    assert_eq!(show(&["--thread", "main"]), "", "a message is no column");
    assert_eq!(show(&["--target", "app::"]), [answer, last].concat());
    assert_eq!(show(&["--target", "app::http", "--thread", "pool ) 1", "-o", "cat"]), "[WARNING] answer\n  more\n");
    assert_eq!(show(&["--utc", "-g", "answer", "-p", "info"]), answer.replace("05:55", "03:55"));
    let precise = "2025-10-19 03:55:47.603000700 host [1] [INFO] exact\n";
    assert_eq!(show(&["-o", "precise", "-g", "exact"]), precise);
    let verbose = show(&["-o", "verbose", "-g", "answer"]);
    assert!(
        verbose.ends_with("    thread_name = pool ) 1\n    target = app::http\n    file = src/x.rs\n    line = 7\n"),
        "{verbose}"
    );
    let json = show(&["-o", "json", "-g", "answer|exact"]);
    let members = r#""pid":1,"thread_name":"pool ) 1","target":"app::http","file":"src/x.rs","line":7,"message":"[WARNING] answer\n  more"}"#;
    assert!(json.lines().next().is_some_and(|line| line.ends_with(members)), "{json}");
    assert!(json.contains(r#"{"time":"2025-10-19T05:55:47.603000700+02:00","#), "{json}");
}

#[test]
fn what_the_tool_logs_for_a_role_is_in_the_layout_of_its_file() {
    let scratch = Scratch::new("layouts-level");
    let mut actor = Actor::start("host", &scratch, "columns=thread log:1 flush line:up wait log:1").until("up");
    tool(format!("level --dir {} host debug", scratch.display()).as_str()).ended(0);
    actor.finish();
    tool(format!("level --dir {} host info --keep", scratch.display()).as_str()).ended(0);
    flush_once(&scratch);
    let found = files(&scratch, "host");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1.len() >= 4, "{found:?}");
}

#[test]
fn a_follower_knows_a_line_with_columns_that_it_showed_from_the_ring() {
    let scratch = Scratch::new("layouts-follow");
    let (folder, out) = (scratch.join("logs"), scratch.join("out"));
    let mut actor =
        Actor::start("host", &folder, "columns=thread,place time-digits=9 flusher=never log:3 line:up wait log:1");
    actor.says("up");
    let mut command = TOOL.command();
    command.args(["show", "-f", "-o", "cat"]).arg(&folder).stdout(File::create(&out).expect("made"));
    let mut child = command.spawn().expect("started");
    let shown = || fs::read_to_string(&out).expect("UTF-8");
    wait_until("the ring's records", || shown().lines().count() >= 3);
    actor.go();
    assert!(actor.end().success());
    flush_once(&folder);
    wait_until("the last record", || shown().contains("line 3"));
    child.kill().expect("killed");
    let _ = child.wait();
    assert_eq!(shown(), "line 0\nline 1\nline 2\nline 3\n");
}

#[test]
fn the_environment_names_the_layout_and_what_means_nothing_is_refused() {
    let scratch = Scratch::new("layouts-env");
    let with = |name, value| Actor::start_with("host", &scratch, "log:1", &[(name, value)]);
    assert!(with("LASTWORDS_COLUMNS", "target, thread").end().success());
    assert!(with("LASTWORDS_TIME_DIGITS", "6").end().success());
    assert!(with("LASTWORDS_TIME_OFFSET", "yes").end().success());
    let layouts: Vec<TextLayout> = files(&scratch, "host").iter().map(|(layout, _)| *layout).collect();
    let default = TextLayout::default();
    let columns = TextLayout { columns: Columns::THREAD | Columns::TARGET, ..default };
    let expected = [columns, TextLayout { digits: TimeDigits::Six, ..default }, TextLayout { offset: true, ..default }];
    assert_eq!(layouts, expected);
    for (name, value, expected) in [
        (
            "LASTWORDS_COLUMNS",
            "thred",
            "\"thred\" found, expected thread, target and place, separated by commas, or none; did you mean thread?",
        ),
        ("LASTWORDS_TIME_DIGITS", "4", "\"4\" found, expected 3, 6 or 9"),
        ("LASTWORDS_TIME_OFFSET", "2", "\"2\" found, expected true or false"),
    ] {
        let mut refused = with(name, value);
        let line = refused.line();
        assert!(line.contains(name) && line.contains(expected), "{line}");
        assert_eq!(refused.end().code(), Some(7));
    }
}
