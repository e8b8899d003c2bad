//! An unused logger costs nothing.
//!
//! Some loggers' drain threads spin, or poll every millisecond. With a hundred worker processes that wait for work, that is a
//! core. No time is asserted here, because the machine may be busy: the processor time of an idle flusher is measured and
//! printed, and compared only with the time of polling a thousand times a second.

use lastwords_tests::actor::{Actor, wait_until};
use lastwords_tests::logs::{count, read, read_so_far};
use lastwords_tests::scratch::Scratch;
use std::time::{Duration, Instant};

const RINGS: usize = 100;
const IDLE: Duration = Duration::from_secs(8);

/// Processor time of all threads of a process so far.
fn cpu_time(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives").filter_map(Result::ok);
    let time = |path: std::path::PathBuf| {
        std::fs::read_to_string(path).expect("it lives").split(' ').next().map(str::to_owned)
    };
    let times = threads.filter_map(|thread| time(thread.path().join("schedstat"))?.parse::<u64>().ok());
    Duration::from_nanos(times.sum())
}

#[test]
fn a_flusher_with_a_hundred_quiet_rings_sleeps_and_still_hears_the_next_line() {
    let folder = Scratch::new("idle");
    let host = Actor::start("host", &folder, "line:up wait").until("up");
    let script = "flusher=never slots=64 lanes=3 log:1 line:up wait say:awake line:said wait";
    let mut workers = Actor::several(RINGS, "worker", &folder, script, "up");
    wait_until("all lines", || read_so_far(&folder, "worker").len() == RINGS);
    // The passes until it sleeps deeply are not idle yet.
    std::thread::sleep(Duration::from_millis(500));
    let before = cpu_time(host.pid());
    std::thread::sleep(IDLE);
    let used = cpu_time(host.pid()) - before;
    let share = used.as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    println!("an idle flusher with {RINGS} rings used {share:.3} % of a core");
    assert!(used < IDLE / 10, "{share:.3} % of a core: it does not sleep");
    workers[RINGS / 2].go_until("said");
    let logged = Instant::now();
    wait_until("the line after the sleep", || count(&read(&folder, "worker"), "awake") > 0);
    println!("the next line was in its file {} ms after the call", logged.elapsed().as_millis());
}
