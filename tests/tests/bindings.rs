//! What a front end in another language relies on: a call that never waits, threads of ours that end for a fork and come
//! back, an end without an alarm, and names of threads that it has made.
//!
//! An interpreter holds a lock while it logs. A call that waits for room with that lock held stops all its threads; a thread of
//! ours that is there while it forks, or that does not come back afterwards, fails for a user at the worst time.

use lastwords::event::{Destination, Event, Value};
use lastwords::{Flusher, Level, Log};
use lastwords_tests::actor::{Actor, flush_once, run, tool_at, wait_until};
use lastwords_tests::logs::{alarms, count, crash_files, messages, read, read_so_far};
use lastwords_tests::scratch::Scratch;
use std::fs;

fn event(text: &str) -> Event<'_> {
    let mut event = Event::new(Level::INFO, "test", text.as_bytes());
    (event.file, event.line) = ("test.py", 7);
    event
}

/// Records without waiting as often as that can be, up to so many times.
fn record_at_once(log: Log, most: usize) -> usize {
    (0..most).take_while(|n| log.try_record(&event(&format!("at once {n}")))).count()
}

#[test]
fn a_call_that_may_not_wait_records_nothing_where_it_would_have_to() {
    let scratch = Scratch::new("bindings-at-once");
    let builder = lastwords::builder("at-once").dir(&scratch).slots_per_lane(8).lanes(3);
    let log = builder.flusher(Flusher::Never).open().expect("a ring");
    assert_eq!(record_at_once(log, 1), 0, "a thread without a lane must claim one, which may wait");
    log.record(&event("the first"));
    assert_eq!(record_at_once(log, 20), 7, "as many as there is room for, and none of an overwritten record");
    let mut with_field = event("with a field");
    with_field.fields = &[("n", Value::U64(1))];
    assert!(!log.try_record(&with_field), "a record with fields takes memory");
    assert!(!log.try_record(&event(&"long ".repeat(1000))), "a long message takes a file");
    let text = tool_at("recover", &scratch).out;
    assert!(text.contains("the first") && text.contains("at once 6") && !text.contains("at once 7"), "{text}");
    assert!(!text.contains("lost"), "{text}");
}

#[test]
fn an_event_goes_where_its_front_end_says_with_its_target_place_and_fields() {
    let scratch = Scratch::new("bindings-event");
    let builder = lastwords::builder("event").dir(&scratch).level(Level::CRITICAL);
    let log = builder.format(lastwords::Format::Both).open().expect("a ring");
    let fields =
        [("yes", Value::Bool(true)), ("n", Value::I64(-3)), ("x", Value::F64(0.5)), ("who", Value::Str("ada"))];
    let (mut logged, mut kept_back) = (event("said"), event("kept back"));
    logged.fields = &fields;
    kept_back.destination = Destination::RingOnly;
    log.record(&logged);
    log.record(&kept_back);
    log.flush().expect("written");
    assert_eq!(messages(&scratch, "event"), ["said yes=true n=-3 x=0.5 who=ada"]);
    let json = fs::read_to_string(scratch.join("event.jsonl")).expect("there");
    let found: serde_json::Value = serde_json::from_str(json.trim_end()).expect("one object");
    assert_eq!(
        (found["target"].as_str(), found["file"].as_str(), found["line"].as_u64()),
        (Some("test"), Some("test.py"), Some(7))
    );
    assert_eq!(found["fields"]["n"], -3);
}

#[test]
fn threads_of_ours_end_for_a_fork_others_flush_meanwhile_and_the_next_record_brings_them_back() {
    let scratch = Scratch::new("bindings-pause");
    let before = ["say:before", "flush", "pause", "event:in between", "count-threads", "wait"];
    let after = ["resume", "event:after", "count-threads", "wait"];
    let mut first = Actor::start("host", &scratch, [&before[..], &after].concat()).until("1");
    let texts = || read_so_far(&scratch, "host").into_iter().map(|line| line.message).collect::<Vec<_>>();
    assert_eq!(texts()[0], "before", "what was recorded before is in its file");
    let mut second = Actor::start("worker", &scratch, "say:meanwhile line:said wait").until("said");
    wait_until("the second process's line", || count(&read_so_far(&scratch, "worker"), "meanwhile") > 0);
    first.go();
    assert_eq!(first.line(), "2", "the flusher's thread is back");
    wait_until("the first process's line", || texts().iter().any(|text| text == "after"));
    second.finish();
    first.finish();
}

#[test]
fn a_process_that_closes_before_it_leaves_at_once_raises_no_alarm() {
    for (script, alarm) in [("say:last close leave", false), ("say:last leave", true)] {
        let scratch = Scratch::new("bindings-close");
        let (_, status) = run("worker", &scratch, script);
        assert_eq!(status.code(), Some(3));
        flush_once(&scratch);
        let lines = read(&scratch, "worker");
        assert!(lines.iter().any(|line| line.message == "last"), "{lines:?}");
        assert_eq!(alarms(&lines) > 0, alarm, "{lines:?}");
        assert_eq!(crash_files(&scratch).len(), usize::from(alarm));
    }
}

#[test]
fn a_thread_has_the_name_that_its_runtime_gave_it() {
    let scratch = Scratch::new("bindings-names");
    let _ = run("worker", &scratch, "named-thread:camera kill");
    flush_once(&scratch);
    let text = fs::read_to_string(&crash_files(&scratch)[0]).expect("a crash file");
    let line = text.lines().find(|line| line.ends_with("from a thread that another runtime has named"));
    assert!(line.is_some_and(|line| line.contains("] [camera ")), "{text}");
}
