//! What Rust programs do with more than one logger, thread, process or target.
//!
//! `front FOLDER SCENARIO`

use lastwords::{Builder, Flusher, Level};
use lastwords_tests::{forking, leaving, sandbox};
use std::sync::Barrier;
use std::time::{Duration, Instant};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder");
    let scenario = arguments.next().expect("a scenario");
    let builder = lastwords::builder("front").dir(&folder);
    let (name, rest) = scenario.split_once(':').unwrap_or((&scenario, ""));
    match name {
        "turns" => in_turn(builder.flusher(Flusher::Never), rest == "shared"),
        "consoles" => consoles(builder),
        "children" => children_with_a_console(builder),
        "leaving" => leaving_threads(builder.flusher(Flusher::Never), rest),
        "targets" => targets(builder, rest.parse().expect("a number")),
        other => panic!("no scenario {other}"),
    }
}

/// One thread logs to two loggers in turn, in a sandbox that lets no system call through. Where lanes are shared, another
/// thread has those that are not.
fn in_turn(builder: Builder, shared: bool) {
    builder.ring_level(Level::TRACE).lanes(if shared { 4 } else { 15 }).init().expect("a ring");
    let other = lastwords::builder("other").dir(lastwords::folder().expect("initialised")).flusher(Flusher::Never);
    let other = other.lanes(if shared { 3 } else { 15 }).open().expect("a ring");
    let log = |n: u32| {
        lastwords::info!("own {n}");
        lastwords::info!(logger: other, "other {n}");
        log::info!("facade {n}");
        lastwords::info!(logger: other, "constant");
        lastwords::trace!("fine {n}");
        lastwords::info!(logger: other, "text {}", "of a display");
    };
    let (taken, over) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        if shared {
            // Has the only lanes of both.
            scope.spawn(|| {
                log(0);
                taken.wait();
                over.wait();
            });
            taken.wait();
        }
        (0..10).for_each(log);
        sandbox::enter("nothing");
        (10..200).for_each(log);
        leaving::end_at_once();
    });
}

/// Two loggers with a console each, the second of which has much to say in the end, but no more than a pipe holds.
fn consoles(builder: Builder) {
    builder.console(true).slots_per_lane(4096).init().expect("a ring");
    let folder = lastwords::folder().expect("initialised");
    let other = lastwords::builder("other").dir(folder).console(true).open().expect("a ring");
    std::thread::sleep(Duration::from_millis(200));
    (0..1000).for_each(|n| lastwords::info!(logger: other, "other {n}"));
    lastwords::info!("own");
}

/// Ten children that log nothing, one after the other. Prints how many milliseconds they took.
fn children_with_a_console(builder: Builder) {
    builder.console(true).init().expect("a ring");
    lastwords::info!("parent");
    let start = Instant::now();
    (0..10).for_each(|_| forking::children(1, |_| ()));
    println!("{}", start.elapsed().as_millis());
}

/// Threads without a lane of their own end in the middle of log calls. Then one logs, and prints how many milliseconds it took.
fn leaving_threads(builder: Builder, how: &str) {
    builder.lanes(3).slots_per_lane(64).backlog_max(0).init().expect("a ring");
    lastwords::info!("the main thread has the only lane");
    // What unwinds, unwinds from a call: the one that waits for room in a full lane, in each of the two in turn. The rest ends anywhere.
    let times = if how == "exit" { 4 } else { 200 };
    for _ in 0..times {
        leaving::thread_that_leaves(how, || {
            loop {
                lastwords::info!("unheard {}", 1);
            }
        });
    }
    let start = Instant::now();
    let last = || (0..20).for_each(|n| lastwords::info!("last {n}"));
    std::thread::spawn(last).join().expect("ended");
    println!("{}", start.elapsed().as_millis());
}

/// Logs with a target per record, as servers do that name their requests. Prints by how many bytes the process has grown.
fn targets(builder: Builder, count: u32) {
    builder.init().expect("a ring");
    let log = |n: u32| log::info!(target: &format!("request::{n}"), "served");
    let memory = || {
        lastwords::flush().expect("flushed");
        leaving::resident_bytes()
    };
    (0..50_000).for_each(log);
    let before = memory();
    for n in 50_000..count {
        log(n);
        if n % 2000 == 0 {
            lastwords::flush().expect("flushed");
        }
    }
    println!("{}", memory().saturating_sub(before));
}
