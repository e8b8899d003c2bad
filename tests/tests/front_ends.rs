//! Programs with more than one logger, thread, child or target than a logger expects.
//!
//! What is right for one of each is silently wrong, or slow, for the second: a state that is kept once for two consoles, a
//! thread's identity that is asked for again whenever the logger is another, a table with a row for each request.

use lastwords_tests::actor::tool;
use lastwords_tests::logs::read;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const FRONT: &str = env!("CARGO_BIN_EXE_front");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

fn run(folder: &Scratch, scenario: &str) -> Output {
    let _watchdog = Watchdog::new("a front end", Duration::from_secs(120));
    let mut command = Command::new(FRONT);
    command.arg(folder.path()).arg(scenario).env_remove("RUST_LOG").stdin(Stdio::null());
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{scenario}: {output:?}");
    output
}

fn printed(output: &Output) -> u64 {
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

fn flush(folder: &Scratch) {
    let flushed = tool(TOOL, &["flush", "--once", &folder.path().to_string_lossy()]);
    assert!(flushed.status.code().is_some_and(|code| code < 2), "{flushed:?}");
}

#[test]
fn two_loggers_in_turn_make_no_system_call_also_where_the_thread_has_no_lane() {
    for scenario in ["turns", "turns:shared"] {
        let folder = Scratch::new("turns");
        run(&folder, scenario);
        flush(&folder);
        let of = |role: &str, text: &str| {
            read(folder.path(), role).iter().filter(|line| line.message.starts_with(text)).count()
        };
        let own = if scenario == "turns" { 200 } else { 201 };
        assert_eq!((of("front", "own "), of("front", "facade ")), (own, own), "{scenario}");
        assert_eq!((of("other", "other "), of("other", "text of a display")), (own, own), "{scenario}");
    }
}

#[test]
fn with_two_consoles_no_last_line_is_lost() {
    let folder = Scratch::new("consoles");
    let text = String::from_utf8(run(&folder, "consoles").stderr).expect("UTF-8");
    let count = |text: &str, part: &str| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!((count(&text, "] other "), count(&text, "] own"), count(&text, "are missing")), (1000, 1, 0));
}

#[test]
fn a_forked_child_that_logs_nothing_waits_for_no_console() {
    let folder = Scratch::new("no-console");
    // Each of them would wait for 300 ms, and not one for less.
    let took = printed(&run(&folder, "children"));
    assert!(took < 3000, "ten children took {took} ms");
}

#[test]
fn a_thread_that_ends_within_a_log_call_leaves_no_shared_lane_dead() {
    for how in ["exit", "vanish"] {
        let folder = Scratch::new("leaving");
        // Each of 20 calls would wait for a second and be lost.
        let took = printed(&run(&folder, &format!("leaving:{how}")));
        flush(&folder);
        let last = read(folder.path(), "front").iter().filter(|line| line.message.starts_with("last ")).count();
        assert_eq!(last, 20, "{how}: {took} ms");
    }
}

#[test]
fn a_target_for_each_record_costs_no_memory_for_good() {
    let folder = Scratch::new("targets");
    let grown = printed(&run(&folder, "targets:1000000"));
    assert!(grown < 4 << 20, "{grown} bytes for 950,000 more targets");
}
