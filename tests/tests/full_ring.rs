//! A full ring that is not drained.
//!
//! A logger that waits for a reader that is gone hangs its program for good; one that silently drops leaves a log that lies. So
//! the program goes on, the policy decides what is kept, and the loss is a line of the log.

use lastwords_tests::actor::{flush_once, succeed};
use lastwords_tests::logs::{Line, missing_of_threads, numbers, read, reported_lost};
use lastwords_tests::scratch::Scratch;

const SLOTS: usize = 64;

/// 1,000 lines into a ring of 64 slots that is not drained, with a backlog of so many bytes; then it is drained.
fn overfill(policy: &str, backlog: u64) -> (Vec<Line>, Vec<Line>) {
    let folder = Scratch::new(policy);
    let script = format!("policy={policy} backlog={backlog} slots=64 lanes=3 flusher=never log:1000 exit");
    succeed("worker", &folder, &script);
    flush_once(&folder);
    read(&folder, "worker")
        .into_iter()
        .filter(|line| !line.message.contains("earlier run"))
        .partition(|line| line.level == "INFO")
}

#[test]
fn what_waits_for_the_flusher_is_kept_beside_the_ring_and_nothing_is_lost() {
    for policy in ["block", "drop_newest"] {
        let (kept, losses) = overfill(policy, 1 << 20);
        assert_eq!(losses, Vec::new(), "{policy}");
        assert!(numbers(&kept).into_iter().eq(0..1000), "{policy}: {} of 1,000 lines, or out of order", kept.len());
    }
}

#[test]
fn beyond_the_backlog_the_policy_decides_and_the_loss_is_counted() {
    // Room for 256 slots beside the 64 of the ring.
    for (policy, oldest) in [("block", 0..256), ("drop_newest", 0..256 + SLOTS)] {
        let (kept, losses) = overfill(policy, 256 * 128);
        let kept = numbers(&kept);
        assert!(kept.starts_with(&oldest.collect::<Vec<_>>()), "{policy}: {kept:?}");
        assert_eq!(kept.len(), 256 + SLOTS, "{policy}");
        assert_eq!(reported_lost(&losses), 1000 - 256 - SLOTS, "{policy}: {losses:?}");
    }
}

#[test]
fn overwrite_keeps_nothing_beside_the_ring() {
    let (kept, losses) = overfill("overwrite", 1 << 20);
    assert_eq!((numbers(&kept).len(), reported_lost(&losses)), (SLOTS, 1000 - SLOTS));
}

#[test]
fn block_without_a_flusher_and_overwrite_keep_the_newest_and_count_the_rest_in_one_line() {
    for policy in ["block", "overwrite"] {
        let (kept, losses) = overfill(policy, 0);
        assert_eq!(numbers(&kept), (1000 - SLOTS..1000).collect::<Vec<_>>(), "{policy}");
        assert_eq!(losses.len(), 1, "{policy}: {losses:?}");
        let expected = format!("lastwords: {} records lost, overwritten", 1000 - SLOTS);
        assert!(losses[0].message.starts_with(&expected), "{policy}: {losses:?}");
    }
}

#[test]
fn drop_newest_keeps_the_oldest_and_counts_the_rest_in_one_line() {
    let (kept, losses) = overfill("drop_newest", 0);
    assert_eq!(numbers(&kept), (0..SLOTS).collect::<Vec<_>>());
    assert_eq!(losses.len(), 1, "{losses:?}");
    assert!(losses[0].message.starts_with(&format!("lastwords: {} records lost, dropped", 1000 - SLOTS)), "{losses:?}");
    assert!(losses[0].message.contains(" between "), "with the time of the first and the last");
}

#[test]
fn block_with_a_flusher_keeps_all_of_a_thousand_laps_or_tells_what_it_lost() {
    let folder = Scratch::new("tiny");
    succeed("host", &folder, "slots=16 lanes=3 log:20000");
    let (kept, losses): (Vec<Line>, Vec<Line>) =
        read(&folder, "host").into_iter().partition(|line| line.level == "INFO");
    let kept = numbers(&kept);
    assert!(kept.is_sorted_by(|a, b| a < b));
    assert_eq!(kept.len() + reported_lost(&losses), 20_000, "{losses:?}");
    // Without a wait at the full ring next to nothing would be left; on a busy machine the flusher may be late at times.
    assert!(kept.len() > 15_000, "{losses:?}");
}

#[test]
fn more_threads_than_lanes_share_and_every_line_is_there_or_counted() {
    let folder = Scratch::new("threads");
    succeed("host", &folder, "lanes=5 slots=256 threads:24:500");
    let lines = read(&folder, "host");
    let lost = missing_of_threads(&lines, 24, 500);
    assert_eq!(lost, reported_lost(&lines));
    assert!(lost < 6_000, "{lost} of 12,000 lines lost: nobody waited for room");
}
