//! What goes through `tracing` is in the ring when the process is killed, with fields, spans and places.
//!
//! Spans are kept by the subscriber and not by the event, in the memory of the process: where they are not copied at the event,
//! a reader of the log after a crash sees `query failed` and not of which request.
//!
//! Each scenario of the program `tracer` ends by SIGKILL, without a flusher.

use lastwords_tests::actor::{flush_once, printed};
use lastwords_tests::logs::read;
use lastwords_tests::programs::TRACER;
use lastwords_tests::recovered::{Recorded, records};
use lastwords_tests::scratch::Scratch;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

/// What a scenario leaves: its records, its lines, and what it printed.
struct Outcome {
    records: Vec<Recorded>,
    lines: Vec<String>,
    printed: String,
    errors: String,
}

fn run(scenario: &str) -> Outcome {
    let folder = Scratch::new(scenario);
    let mut command = TRACER.command();
    command.arg(&folder).arg(scenario).env_remove("LASTWORDS_LOG").stdin(Stdio::null());
    let output = printed(command);
    assert_eq!(output.status.signal(), Some(9), "{output:?}");
    let records = records(&folder);
    flush_once(&folder);
    let printed = output.out;
    let lines = read(&folder, "worker").into_iter().filter(|line| !line.message.starts_with("lastwords: "));
    let errors = output.err;
    Outcome {
        records,
        errors,
        lines: lines.map(|line| format!("[{}] {}", line.level, line.message)).collect(),
        printed,
    }
}

fn fields(record: &Recorded) -> Vec<&str> {
    record.fields.iter().map(String::as_str).collect()
}

#[test]
fn target_module_file_and_line_are_those_of_the_call_site() {
    let left = run("places");
    for record in &left.records[..2] {
        assert_eq!(record.text, format!("at line {}", record.line));
        assert!(record.file.ends_with("tests/src/bin/tracer.rs"), "{record:?}");
        assert_eq!((record.module.as_str(), record.has_site), ("tracer", true));
    }
    let levels: Vec<&str> = left.records.iter().map(|record| record.level.as_str()).collect();
    assert_eq!(levels, ["INFO", "WARNING", "ERROR", "ERROR", "ERROR"]);
    assert_eq!((left.records[0].target.as_str(), left.records[1].target.as_str()), ("tracer", "elsewhere"));
    assert_eq!(left.lines[4], "[ERROR] n=2");
}

#[test]
fn fields_of_all_types_come_back_in_their_order() {
    let left = run("fields");
    let (wide, deep) = (format!("wide: U128({})", u128::MAX), format!("deep: I128({})", i128::MIN));
    assert_eq!(left.records[0].text, "numbers of ada");
    assert_eq!(fields(&left.records[0]), ["user: Str(ada)", "n: Unsigned(7)", "below: I64(-7)", &wide, &deep]);
    let others = ["ratio: F64(0.5)", "ok: Bool(true)", "list: Formatted([1, 2])", "shown: Formatted(1.5)"];
    assert_eq!(fields(&left.records[1])[..4], others);
    assert_eq!(fields(&left.records[1])[4..], ["bytes: Bytes([1, 2])"], "what is not there is no field");
    assert_eq!(
        left.lines[2..],
        [
            "[ERROR] quoted error=\"the request failed: disk full\" \"two words\"=\"a b\" type=raw",
            "[INFO] message between fields first=1 last=2",
            "[INFO] only=fields",
            "[INFO] ",
        ]
    );
}

#[test]
fn events_stand_in_their_spans_with_the_values_of_the_moment() {
    let left = run("spans");
    let mut lines: Vec<&str> = left.lines.iter().map(String::as_str).collect();
    lines[5..7].sort_unstable();
    assert_eq!(
        lines,
        [
            "[INFO] outer{id=7 name=a}: one span",
            "[WARNING] outer{id=7 name=a}:inner{target=x}: two of three spans rows=12",
            "[INFO] outer{id=7 name=b late=now}:inner{target=5}: values were recorded",
            "[INFO] no span",
            "[INFO] outer{id=7 name=b late=now}: a named span",
            "[INFO] another thread",
            "[INFO] outer{id=7 name=b late=now}: another thread in the span",
            "[INFO] outside",
        ]
    );
    let inner = ("inner".to_owned(), vec!["target: I64(5)".to_owned()]);
    assert_eq!(left.records[2].spans[1], inner);
}

#[test]
fn values_that_log_while_they_are_shown_hold_nothing_up() {
    let left = run("within");
    let last = "[INFO] span{made=shown recorded=shown}: shown field=shown";
    assert_eq!(left.lines.iter().filter(|line| line.ends_with("from within")).count(), 4);
    assert_eq!(left.lines.iter().filter(|line| line.ends_with("from within, by the macro")).count(), 4);
    assert_eq!(left.lines.iter().filter(|line| *line == last).count(), 1, "{:?}", left.lines);
    assert_eq!(left.lines.len(), 9);
}

#[test]
fn fields_too_long_for_the_ring_arrive_whole() {
    let left = run("long");
    assert_eq!(left.lines, [format!("[INFO] spilled long={}", "x".repeat(100_000)), "[INFO] next".to_owned()]);
}

#[test]
fn each_thread_is_heard_in_its_span() {
    let left = run("threads");
    let of = |thread: u32| -> Vec<&str> {
        let prefix = format!("[INFO] all: line thread={thread} n=");
        left.lines.iter().filter_map(|line| line.strip_prefix(&prefix)).collect()
    };
    let expected: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    (0..8).for_each(|thread| assert_eq!(of(thread), expected));
}

#[test]
fn forked_children_log_events_with_spans() {
    let left = run("children");
    let mut lines = left.lines;
    lines.sort_unstable();
    let expected: Vec<String> = (0..3).map(|n| format!("[INFO] child{{child={n}}}: forked")).collect();
    assert_eq!(lines, expected);
}

#[test]
fn the_level_of_lastwords_is_the_level_of_its_layer() {
    let expected =
        ["[DEBUG] debug", "[INFO] info", "[WARNING] warning", "[ERROR] error", "[INFO] enabled: (true, false)"];
    assert_eq!(run("level").lines, expected);
}

#[test]
fn an_env_filter_narrows_by_target_and_span() {
    let expected = ["[INFO] tracer's", "[WARNING] other's", "[INFO] request{id=7}: in request 7"];
    assert_eq!(run("env-filter").lines, expected);
}

#[test]
fn a_filter_that_is_reloaded_counts_at_once() {
    let expected = [
        "[INFO] info round=1",
        "[WARNING] warn round=1",
        "[TRACE] trace round=2",
        "[INFO] info round=2",
        "[WARNING] warn round=2",
        "[WARNING] warn round=3",
    ];
    assert_eq!(run("reload").lines, expected);
}

#[test]
fn another_layer_has_a_level_of_its_own() {
    let left = run("beside");
    assert_eq!(left.lines, ["[INFO] coarse"]);
    let printed: Vec<&str> = left.printed.lines().map(str::trim_start).collect();
    assert_eq!(printed, ["DEBUG fine: tracer: fine", "INFO fine: tracer: coarse"]);
}

#[test]
fn forwarded_records_of_the_log_facade_keep_their_places() {
    let left = run("forwarded");
    let record = &left.records[0];
    assert_eq!(record.text, format!("at line {}", record.line));
    assert_eq!((record.target.as_str(), fields(record)), ("by::log", vec![]));
    assert!(record.file.ends_with("tests/src/bin/tracer.rs"), "{record:?}");
    assert_eq!(left.lines, [format!("[INFO] request{{id=7}}: {}", record.text)]);
}

#[test]
fn events_before_the_logger_go_nowhere_and_later_ones_arrive() {
    assert_eq!(run("before").lines, ["[INFO] seen", "[INFO] span{name=late}: seen in a span"]);
}

#[test]
fn tracing_is_taken_in_one_call_and_beside_what_tracing_subscriber_sets_up_itself() {
    let orders = ["one-call", "theirs-second", "theirs-first", "default-second", "default-first", "one-call-second"];
    for scenario in orders {
        assert_eq!(run(scenario).lines, ["[INFO] by tracing n=1", "[WARNING] by the log facade"], "{scenario}");
    }
}

#[test]
fn where_both_claim_the_facade_or_the_subscriber_what_is_printed_says_what_to_do() {
    for (scenario, advice) in [
        ("both", "lastwords: the `log` facade was taken by lastwords; "),
        ("both-fmt", "lastwords: the `log` facade was taken by lastwords; "),
        ("one-call-first", "lastwords: the subscriber of `tracing` was installed by lastwords::init_tracing; "),
    ] {
        let left = run(scenario);
        let line =
            left.errors.lines().find(|line| line.starts_with(advice)).unwrap_or_else(|| panic!("{}", left.errors));
        assert!(line.contains("builder(role).log_facade(false).init()"), "{line}");
        assert!(left.lines[0].starts_with("[CRITICAL] thread 'main' panicked at "), "{:?}", left.lines);
        if scenario != "both-fmt" {
            assert_eq!(left.lines[1..], ["[INFO] by tracing n=1", "[WARNING] by the log facade"], "{scenario}");
        }
    }
}
