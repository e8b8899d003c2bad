//! What is written follows the directives, for every front end, from the first record on and after every change.

use lastwords::{Flusher, Level};
use lastwords_ring::format::filter::Filter;
use lastwords_ring::place::filter_change::FilterChange;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::read::reader::RingReader;
use lastwords_tests::actor::{Actor, succeed};
use lastwords_tests::logs::{messages, numbered};
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn run_with(folder: &Path, env: &[(&str, &str)], script: &str) -> Vec<String> {
    let mut actor = Actor::start_with("host", folder, script, env);
    assert!(actor.end().success());
    messages(folder, "host")
}

#[test]
fn directives_decide_by_target_for_macros_bytes_and_the_facade() {
    let folder = Scratch::new("directives");
    let found = run_with(&folder, &[("LASTWORDS_LOG", "info,actor=debug,noisy=error,bytes=off")], "each:a each:b");
    let expected = |text: &str| {
        [
            "own X DEBUG",
            "own X INFO",
            "own X ERROR",
            "noisy X ERROR",
            "facade X DEBUG",
            "facade X INFO",
            "noisy facade X ERROR",
        ]
        .map(|line| line.replace('X', text))
    };
    assert_eq!(found, [expected("a"), expected("b")].concat());
}

#[test]
fn a_level_alone_is_for_every_target() {
    let folder = Scratch::new("level-alone");
    let found = run_with(&folder, &[("LASTWORDS_LOG", "error")], "each:a");
    let expected = ["bytes a ERROR", "bytes a CRITICAL", "own a ERROR", "noisy a ERROR", "noisy facade a ERROR"];
    assert_eq!(found, expected);
}

#[test]
fn a_changed_filter_holds_for_the_next_record_of_every_front_end() {
    let folder = Scratch::new("changed");
    let script = "each:a set-log:off each:b set-log:off,actor=trace each:c set-log:error,noisy=trace each:d set-log:critical each:e max-level";
    let mut actor = Actor::start_with("host", &folder, script, &[("LASTWORDS_LOG", "error")]).until("OFF");
    assert!(actor.end().success());
    let found = messages(&folder, "host");
    let of = |text: &str| {
        let part = format!(" {text} ");
        let mut lines =
            found.iter().filter(|line| line.contains(&part)).map(|line| line.replace(&part, " ")).collect::<Vec<_>>();
        lines.sort();
        lines
    };
    assert_eq!(of("a"), ["bytes CRITICAL", "bytes ERROR", "noisy ERROR", "noisy facade ERROR", "own ERROR"]);
    assert_eq!(of("b"), Vec::<String>::new());
    let own = ["DEBUG", "ERROR", "INFO", "TRACE"].map(|level| format!("own {level}"));
    let facade = ["DEBUG", "INFO", "TRACE"].map(|level| format!("facade {level}"));
    assert_eq!(of("c"), [facade.to_vec(), own.to_vec()].concat());
    let noisy = ["ERROR", "INFO", "TRACE"].map(|level| format!("noisy {level}"));
    let expected = [
        "bytes CRITICAL",
        "bytes ERROR",
        noisy[0].as_str(),
        &noisy[1],
        &noisy[2],
        "noisy facade DEBUG",
        "noisy facade ERROR",
        "own ERROR",
    ];
    assert_eq!(of("d"), expected);
    assert_eq!(of("e"), ["bytes CRITICAL"]);
}

#[test]
fn directives_that_cannot_be_meant_are_named() {
    let folder = Scratch::new("wrong-directives");
    for (text, part) in
        [("info,hyper=loud", "\"loud\" is not a level"), ("info/x", "regular expression"), ("=", "target=level")]
    {
        let mut actor = Actor::start_with("host", &folder, "log:1", &[("LASTWORDS_LOG", text)]);
        let printed = actor.line();
        assert!(printed.contains("LASTWORDS_LOG") && printed.contains(part), "{text}: {printed}");
        assert_eq!(actor.end().code(), Some(7));
    }
}

#[test]
fn what_only_the_ring_records_is_in_no_file_and_nobody_waits_for_it() {
    let folder = Scratch::new("fine");
    // Far more than the lanes hold, so that a fine record that waited for the flusher, or counted, would show.
    let script = "slots=64 fine:5000 log:100 fine:5000 flush log:1";
    let found = run_with(&folder, &[("LASTWORDS_RING_LEVEL", "trace")], script);
    assert_eq!(found, numbered(101));
}

#[test]
fn lanes_of_either_kind_are_reused_for_their_kind_alone() {
    let folder = Scratch::new("fine-reuse");
    let env = [("LASTWORDS_RING_LEVEL", "trace")];
    let script = "lanes=7 slots=64 mixed:40:30";
    let found = run_with(&folder, &env, script);
    assert_eq!(found.len(), 40 * 30, "{:?}", found.iter().find(|line| !line.starts_with("thread")));
}

#[test]
fn a_forked_child_begins_with_the_directives_of_the_builder() {
    let folder = Scratch::new("filter-fork");
    succeed("host", &folder, "level=error fork:2 log:1");
    assert_eq!(messages(&folder, "host"), Vec::<String>::new());
}

#[test]
fn the_tool_changes_what_it_was_asked_to_beside_another_change_of_the_same_ring() {
    let scratch = Scratch::new("filter-beside");
    let _log = lastwords::builder("host").dir(scratch.path()).flusher(Flusher::Never).open().expect("a logger");
    let folder = Folder::open(scratch.path()).expect("there");
    let [name] = &folder.ring_names().expect("listed")[..] else { panic!("one ring") };
    // Whoever finds a change in progress goes on without waiting after half a second, as may happen here on a busy machine.
    let checked = (0..20).any(|_| {
        let reader = RingReader::open_in(&folder, name).expect("a ring");
        let (change, start) = (FilterChange::begin(reader.source(), reader.geometry()), Instant::now());
        let mut tool = TOOL
            .command()
            .args(["level", "--ring-level", "debug"])
            .env("LASTWORDS_DIR", scratch.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("started");
        std::thread::sleep(Duration::from_millis(250));
        let directives = "warning,app=debug".parse().expect("directives");
        change.write(&Filter { directives, ring_level: Level::OFF }).expect("written");
        let took = start.elapsed();
        drop(change);
        assert!(tool.wait().expect("ended").success());
        let filter = reader.control().expect("read").filter();
        assert_eq!(filter.ring_level, Level::DEBUG);
        if took > Duration::from_millis(450) {
            return false;
        }
        assert_eq!(filter.directives.to_string(), "warning,app=debug", "the tool wrote what it had read before");
        true
    });
    assert!(checked, "the machine was never fast enough");
}
