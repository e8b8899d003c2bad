//! Lanes are faulted in ahead of the threads that write to them, by the process's flusher thread, and no more of them.

use lastwords_ring::place::folder::Folder;
use lastwords_ring::read::reader::RingReader;
use lastwords_tests::actor::wait_for;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Bytes of this process's mapping of the file that are in memory.
fn resident(path: &Path) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("the mappings");
    let inode = format!(" {} ", std::fs::metadata(path).expect("the ring").ino());
    let (_, mapping) = maps.split_once(&inode).expect("the file is mapped");
    let line = mapping.lines().find_map(|line| line.strip_prefix("Rss:")).expect("what is resident");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn the_next_lane_is_in_memory_before_a_thread_claims_it_and_no_further_one() {
    let _watchdog = Watchdog::new("prefault", Duration::from_secs(60));
    let scratch = Scratch::new("prefault");
    lastwords::builder("host").dir(&scratch).init().expect("a logger");
    let path = Folder::open(&scratch).expect("the folder").ring_files().expect("the rings").remove(0);
    let lane = RingReader::open(&path).expect("the ring").geometry().lane_size();
    let wait_for_lanes = |count: u64| {
        let is_there = || (resident(&path) >= count * lane).then_some(());
        wait_for(&format!("{count} lanes in memory"), is_there);
        std::thread::sleep(Duration::from_millis(50));
        // Besides the lanes: the ring's other pages.
        assert!(resident(&path) < count * lane + lane / 2, "more than {count} lanes: {}", resident(&path));
    };
    // Nothing was logged.
    wait_for_lanes(1);
    lastwords::info!("the first thread's");
    wait_for_lanes(2);
    std::thread::spawn(|| lastwords::info!("the second thread's")).join().expect("ended");
    wait_for_lanes(3);
    lastwords::flush().expect("drained");
}
