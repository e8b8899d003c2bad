//! Many producers that are all faster than the flusher.
//!
//! A flusher that serves the first producer starves the others, whose calls then lose records; one that reads as much as there
//! is takes as much memory as all rings together; and one that gives up waiting for those that were interrupted in the middle
//! of a call mixes up the order. So 64 processes log flat out: every line is there or counted, every process gets its turn, the
//! lines are in time order, and the flusher's memory stays bounded.

use lastwords_tests::actor::{Actor, flush_rest};
use lastwords_tests::logs::{Line, missing, read, reported_lost};
use lastwords_tests::scratch::Scratch;

const PRODUCERS: usize = 64;
/// Two laps of a lane. A flusher without optimisation takes longer for one than a call waits, and is spared the second.
const LINES: usize = if cfg!(debug_assertions) { 4096 } else { 8192 };
/// What the flusher's process may take at most, its own ring included.
const MEMORY_MAX_KIB: u64 = 32 << 10;

/// Peak resident memory of a process.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Lines that come after a later one.
fn count_late(lines: &[Line]) -> usize {
    let (mut newest, mut late) = ("", 0);
    for line in lines.iter().filter(|line| line.level == "INFO") {
        late += usize::from(line.time.as_str() < newest);
        newest = newest.max(&line.time);
    }
    late
}

#[test]
fn sixty_four_producers_flat_out_all_get_their_turn_within_bounded_memory() {
    let folder = Scratch::new("producers");
    let mut host = Actor::start("host", &folder, "line:up wait").until("up");
    let script = format!("keep=100 flusher=never line:up wait log:{LINES} line:done wait");
    let mut workers = Actor::several(PRODUCERS, "worker", &folder, script, "up");
    workers.iter_mut().for_each(Actor::go);
    workers.iter_mut().for_each(|worker| worker.says("done"));
    workers.iter_mut().for_each(Actor::go);
    workers.iter_mut().for_each(|worker| assert!(worker.end().success()));
    let memory = peak_kib(host.pid());
    host.finish();
    flush_rest(&folder);
    let lines = read(&folder, "worker");
    let mut lost = 0;
    for worker in &workers {
        let own: Vec<Line> = lines.iter().filter(|line| line.pid == worker.pid()).cloned().collect();
        let lost_here = missing(&own, "line ", LINES);
        assert_eq!(lost_here, reported_lost(&own), "pid {}", worker.pid());
        assert!(lost_here < LINES / 2, "pid {} lost {lost_here} of {LINES}: it never got its turn", worker.pid());
        lost += lost_here;
    }
    // A call that is interrupted for more than 50 ms comes late.
    let late = count_late(&lines);
    assert!(late < PRODUCERS * 8, "{late} lines are out of order");
    println!(
        "{} lines, {late} of them late, {lost} lost and counted, the flusher's process took {memory} KiB",
        PRODUCERS * LINES
    );
    assert!(memory < MEMORY_MAX_KIB, "{memory} KiB");
}
