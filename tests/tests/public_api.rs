//! What a program finds in `lastwords`: each state is an error of its own, every word that a setting can be is parsed with one, and
//! what is exported is enough, without the crates beneath.
//!
//! A caller that can distinguish errors by their text alone breaks with the next better wording.

use lastwords::event::{Destination, Event, Relayed, Value};
use lastwords::{
    Directives, Error, Flusher, Format, FullPolicy, Level, Log, Memory, ParseChoiceError, ParseDirectivesError,
    ParseLevelError, enabled,
};
use lastwords_tests::logs::{messages, read};
use lastwords_tests::scratch::Scratch;
use std::fmt::Debug;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

#[test]
fn the_processs_own_logger_has_states_that_are_told_apart() {
    let scratch = Scratch::new("public-own");
    assert!(!enabled!(Level::CRITICAL) && !enabled!(target: "app", Level::CRITICAL), "there is no logger");
    let before = lastwords::set_log("debug").expect_err("no logger");
    assert!(matches!(before, Error::NotInitialised), "{before:?}");
    assert_eq!(before.to_string(), "log: no logger to change; call lastwords::init first");
    lastwords::flush_within(Duration::ZERO).expect("nothing to wait for");

    let builder = || lastwords::builder("host").dir(&scratch).log("info,quiet=error").ring_level(Level::DEBUG);
    builder().init().expect("a logger");
    let other = builder().rotate_keep(3).init().expect_err("another value");
    let Error::SettingDiffers { name, asked, has, .. } = &other else { panic!("{other:?}") };
    assert_eq!((*name, asked.as_str(), has.as_str()), ("rotate_keep", "3", "5"));
    assert!(matches!(lastwords::set_log("a=loud"), Err(Error::Setting { .. })));

    assert!(enabled!(Level::INFO) && enabled!(Level::new(21),));
    assert!(enabled!(Level::DEBUG) && !enabled!(Level::TRACE), "the ring keeps DEBUG although no file shows it");
    assert!(enabled!(target: "quiet::inner", Level::ERROR) && !enabled!(target: "quiet::inner", Level::TRACE));
    lastwords::set_log("warn").expect("changed");
    lastwords::warning!("by one name");
    lastwords::warn!(target: "app", "by {}", "the other"; n = 2);
    lastwords::flush_within(Duration::from_secs(30)).expect("written");
    let lines = read(&scratch, "host");
    let found: Vec<_> = lines.iter().map(|line| (line.level.as_str(), line.message.as_str())).collect();
    assert_eq!(found, [("WARNING", "by one name"), ("WARNING", "by the other n=2")], "to ask records nothing");
}

#[test]
fn a_logger_as_a_value_answers_for_itself() {
    let scratch = Scratch::new("public-value");
    let log: Log = lastwords::builder("audit").dir(&scratch).log("warn,audit=debug").open().expect("a logger");
    assert!(enabled!(logger: log, Level::WARNING) && !enabled!(logger: log, Level::INFO));
    log.set_log("off").expect("changed");
    assert!(!enabled!(logger: log, Level::WARNING));
    log.set_log("info").expect("changed");
    lastwords::warn!(logger: log, "heard");
    log.flush_within(Duration::from_secs(30)).expect("written");
    assert_eq!(messages(&scratch, "audit"), ["heard"]);
    log.close().expect("closed");
    assert!(!enabled!(logger: log, Level::CRITICAL));
    assert!(matches!(log.attachment(), Err(Error::NoRing)));
}

#[test]
fn a_folder_by_other_names_gives_the_logger_that_it_has() {
    let scratch = Scratch::new("public-names");
    let place = |name: &str| scratch.path().join(name);
    std::fs::create_dir_all(place("real/logs")).expect("made");
    std::os::unix::fs::symlink(place("real"), place("above")).expect("linked");
    std::os::unix::fs::symlink(place("real/logs"), place("link")).expect("linked");
    let here = std::env::current_dir().expect("a working directory");
    let up: PathBuf = here.ancestors().skip(1).map(|_| "..").collect();
    let relative = up.join(place("real/logs").strip_prefix("/").expect("absolute"));
    let names = [
        place("real/logs"),
        place("link"),
        place("above/logs"),
        place("real/../real/logs"),
        place("real/logs/"),
        relative,
    ];
    // Whichever name comes first.
    for (first, rings) in names.iter().flat_map(|first| [(first, false), (first, true)]) {
        let builder = |folder: &PathBuf| {
            let builder = lastwords::builder("audit").dir(folder);
            if rings { builder.rings(folder.join("rings")) } else { builder }
        };
        let log = builder(first).open().expect("a logger");
        let others = names.each_ref().map(|name| builder(name).open().expect("the same logger"));
        let files = std::fs::read_dir(place("real/logs/rings")).expect("listed").flatten().map(|entry| entry.path());
        assert_eq!(files.filter(|path| path.extension().is_some_and(|end| end == "ring")).count(), 1, "{first:?}");
        let other = builder(&names[1]).rotate_keep(3).open().expect_err("another value");
        assert!(matches!(other, Error::SettingDiffers { name: "rotate_keep", .. }), "{other:?}");
        others.into_iter().for_each(|other| other.close().expect("closed"));
        assert!(!log.is_closed());
        log.close().expect("closed");
    }
}

#[test]
fn a_flush_takes_no_longer_than_its_caller_allows() {
    let scratch = Scratch::new("public-within");
    let builder = lastwords::builder("alone").dir(&scratch).flusher(Flusher::Never);
    let log = builder.open().expect("a logger");
    lastwords::info!(logger: log, "nobody flushes");
    let start = Instant::now();
    for timeout in [Duration::ZERO, Duration::from_millis(20)] {
        let error = log.flush_within(timeout).expect_err("nobody flushes");
        assert!(matches!(&error, Error::FlushTimeout { waited, .. } if *waited >= timeout), "{error:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // A missing flusher is not waited for, whatever the limit.
    assert!(log.flush_within(Duration::MAX).is_err());
}

#[test]
fn an_event_is_made_and_filled_in_from_outside() {
    let scratch = Scratch::new("public-event");
    let log = lastwords::builder("script").dir(&scratch).open().expect("a logger");
    let mut event = Event::new(Level::ERROR, "script.main", b"failed");
    assert_eq!((event.destination, event.file, event.line), (Destination::Write, "", 0));
    event.fields = &[("attempt", Value::U64(3))];
    event.relayed = Some(Relayed::new(1_000_000_000, 7, None));
    assert!(log.record(&event));
    log.flush().expect("written");
    let lines = read(&scratch, "script");
    assert_eq!((lines.len(), lines[0].pid, lines[0].message.as_str()), (1, 7, "failed attempt=3"));
    log.close().expect("closed");
}

/// Parses a word that is none, and returns what is said of that.
fn refused<T: FromStr<Err = E> + Debug, E: std::error::Error + 'static>(text: &str) -> String {
    let error: Box<dyn std::error::Error> = text.parse::<T>().expect_err("no such word").into();
    error.to_string()
}

#[test]
fn every_word_of_a_setting_is_parsed_with_an_error_type() {
    assert_eq!(refused::<Format, ParseChoiceError>("xml"), "\"xml\" found, expected text, json or both");
    assert_eq!(
        refused::<FullPolicy, ParseChoiceError>("w\n"),
        "\"w\\n\" found, expected block, drop_newest or overwrite"
    );
    assert_eq!(refused::<Memory, ParseChoiceError>("disk"), "\"disk\" found, expected file or shared");
    assert_eq!(refused::<Flusher, ParseChoiceError>("maybe"), "\"maybe\" found, expected embedded or never");
    assert!(refused::<Level, ParseLevelError>("loud").starts_with("\"loud\" is not a level; "));
    assert!(refused::<Directives, ParseDirectivesError>("a=loud").contains("\"loud\" is not a level"));
}

#[test]
fn states_that_are_rare_say_what_to_do() {
    for (error, part) in [
        (
            Error::TooManyLoggers { most: 256 },
            "loggers: a process has at most 256 at a time, for as many folders and roles; close",
        ),
        (Error::FacadeTaken, "log facade: another logger has the facade already; initialise lastwords first, or leave"),
        (Error::SubscriberTaken, "tracing: a subscriber is installed already; add lastwords::tracing_layer() to it"),
        (Error::NoRing, "attachment: this forked process has no ring; standard error says why"),
        (
            Error::FileSizeLimit { limit: 9, why: "the smallest ring takes 53248; raise it".to_owned() },
            "file size limit: 9 bytes allowed (ulimit -f), but the smallest ring takes 53248; raise it",
        ),
    ] {
        assert!(error.to_string().starts_with(part), "{error}");
    }
}
