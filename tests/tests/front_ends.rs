//! Programs with more than one logger, thread, child or target than a logger expects.
//!
//! What is right for one of each is silently wrong, or slow, for the second: a state that is kept once for two consoles, a
//! thread's identity that is asked for again whenever the logger is another, a table with a row for each request.

use lastwords_tests::actor::{Printed, flush_rest, printed};
use lastwords_tests::logs::{count, read};
use lastwords_tests::programs::FRONT;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::time::Duration;

fn run(folder: &Scratch, scenario: &str) -> Printed {
    let _watchdog = Watchdog::new("a front end", Duration::from_secs(120));
    let output = printed(FRONT.command().arg(folder).arg(scenario).env_remove("RUST_LOG"));
    assert!(output.status.success(), "{scenario}: {output:?}");
    output
}

/// Like `run`, for one that prints a number.
fn number(folder: &Scratch, scenario: &str) -> u64 {
    run(folder, scenario).out.trim().parse().expect("a number")
}

#[test]
fn two_loggers_in_turn_make_no_system_call_also_where_the_thread_has_no_lane() {
    for scenario in ["turns", "turns:shared"] {
        let folder = Scratch::new("turns");
        run(&folder, scenario);
        flush_rest(&folder);
        let of = |role: &str, text: &str| count(&read(&folder, role), text);
        let own = if scenario == "turns" { 200 } else { 201 };
        assert_eq!((of("front", "own "), of("front", "facade ")), (own, own), "{scenario}");
        assert_eq!((of("other", "other "), of("other", "text of a display")), (own, own), "{scenario}");
    }
}

#[test]
fn with_two_consoles_no_last_line_is_lost() {
    let folder = Scratch::new("consoles");
    let text = run(&folder, "consoles").err;
    let with = |part: &str| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!((with("] other "), with("] own"), with("are missing")), (1000, 1, 0));
}

#[test]
fn a_forked_child_that_logs_nothing_waits_for_no_console() {
    let folder = Scratch::new("no-console");
    // Each of them would wait for 300 ms, and not one for less.
    let took = number(&folder, "children");
    assert!(took < 3000, "ten children took {took} ms");
}

#[test]
fn a_thread_that_ends_within_a_log_call_leaves_no_shared_lane_dead() {
    for how in ["exit", "vanish"] {
        let folder = Scratch::new("leaving");
        // Each of 20 calls would wait for a second and be lost.
        let took = number(&folder, &format!("leaving:{how}"));
        flush_rest(&folder);
        let last = count(&read(&folder, "front"), "last ");
        assert_eq!(last, 20, "{how}: {took} ms");
    }
}

#[test]
fn a_target_for_each_record_costs_no_memory_for_good() {
    let folder = Scratch::new("targets");
    let grown = number(&folder, "targets:1000000");
    assert!(grown < 4 << 20, "{grown} bytes for 950,000 more targets");
}
