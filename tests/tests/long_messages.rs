//! Messages larger than a slot, than the ring, than everything.
//!
//! Users log whole JSON documents at DEBUG. A ring of fixed slots that truncates them silently, or splits them so that a kill
//! leaves half of one looking like a whole, is useless.

use lastwords_tests::actor::{flush_rest, run, succeed, tool_at};
use lastwords_tests::files::beside_rings;
use lastwords_tests::logs::{long_text, messages, read};
use lastwords_tests::programs::ACTOR;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::sys::Traced;
use std::path::Path;
use std::process::Stdio;

fn spills(folder: &Path) -> usize {
    beside_rings(folder, "spill").len()
}

#[test]
fn messages_of_any_size_up_to_the_longest_arrive_whole() {
    let folder = Scratch::new("any-size");
    // Around one slot, around the most slots, and far beyond the ring.
    let sizes = [0, 79, 80, 81, 160, 5000, 80 * 1024 - 1, 80 * 1024, 80 * 1024 + 1, 1 << 20, 16 << 20];
    let script: Vec<String> = sizes.iter().map(|size| format!("long:{size}")).collect();
    succeed("host", &folder, &script);
    // An unoptimised build may take longer than the two seconds that an exit waits.
    flush_rest(&folder);
    let lines: Vec<_> = read(&folder, "host").into_iter().filter(|line| line.level == "INFO").collect();
    assert_eq!(lines.len(), sizes.len());
    for (line, size) in lines.iter().zip(sizes) {
        assert!(line.message == long_text(size), "the message of {size} bytes has {} bytes", line.message.len());
    }
    assert_eq!(spills(&folder), 0, "what is in the log needs no file of its own");
}

#[test]
fn a_message_of_3_mb_followed_at_once_by_a_kill_is_whole() {
    let folder = Scratch::new("3mb");
    let _ = run("worker", &folder, "flusher=never say:before long:3000000 kill");
    assert!(tool_at("recover", &folder).out.contains(&long_text(3_000_000)));
    flush_rest(&folder);
    let lines = read(&folder, "worker");
    assert!(lines.iter().any(|line| line.message == long_text(3_000_000)));
    assert_eq!(spills(&folder), 0);
}

/// Kills an actor before system call number `k` of logging a message that does not fit its ring. False if it has fewer.
fn kill_while_it_spills(folder: &Path, size: usize, k: usize) -> bool {
    let mut command = ACTOR.acting("worker", folder, format!("flusher=never say:before mark long:{size} kill"));
    let is_kth = |before, number| before == k && number != libc::SYS_kill;
    let stopped = Traced::start_to(command.stdout(Stdio::null()), is_kth);
    stopped.is_ok_and(|mut traced| traced.kill().is_ok())
}

#[test]
fn a_process_killed_at_any_system_call_of_a_long_message_leaves_it_whole_or_not_at_all() {
    let size = 300_000;
    let (mut whole, mut tried) = (0, 0);
    while tried < 100 {
        let folder = Scratch::new("spill-kill");
        let more = kill_while_it_spills(&folder, size, tried);
        flush_rest(&folder);
        let lines = read(&folder, "worker");
        let (before, long) = (lines[0].message.as_str(), lines.get(1).filter(|line| line.level == "INFO"));
        assert_eq!(before, "before");
        assert!(long.is_none_or(|line| line.message == long_text(size)), "killed before system call {tried}: {long:?}");
        whole += u32::from(long.is_some());
        if !more {
            break;
        }
        tried += 1;
    }
    assert!((3..100).contains(&tried), "{tried} system calls, the spill's among them");
    assert!(whole > 0, "the last kill comes after the call");
}

#[test]
fn a_message_over_the_longest_is_cut_and_says_so() {
    let folder = Scratch::new("cut");
    let size = (16 << 20) + 5;
    let _ = run("host", &folder, format!("long:{size} say:next"));
    flush_rest(&folder);
    let lines: Vec<_> = read(&folder, "host").into_iter().filter(|line| line.level == "INFO").collect();
    let (text, mark) = lines[0].message.split_at(lines[0].message.len() - 60);
    assert!(mark.ends_with(&format!(" [cut; the message had {size} bytes]")), "{mark}");
    assert!(long_text(size).starts_with(text));
    assert_eq!(lines[1].message, "next");
}

#[test]
fn a_lost_spill_file_is_told_in_the_messages_place() {
    let folder = Scratch::new("lost-spill");
    let _ = run("worker", &folder, "flusher=never say:before long:200000 say:after kill");
    for spill in beside_rings(&folder, "spill") {
        std::fs::remove_file(spill).expect("removed");
    }
    flush_rest(&folder);
    let messages = messages(&folder, "worker");
    assert_eq!((&*messages[0], &*messages[2]), ("before", "after"));
    assert!(messages[1].contains("a message of 200000 bytes is lost"), "{}", messages[1]);
}

#[test]
fn overwritten_long_messages_leave_no_files_behind() {
    let folder = Scratch::new("overwritten");
    let messages = "long:200000 log:10 ".repeat(40);
    let _ = run("worker", &folder, format!("flusher=never policy=overwrite slots=64 lanes=3 {messages}"));
    let left = spills(&folder);
    assert!((1..=8).contains(&left), "{left} files for the few long messages that the ring still holds");
    flush_rest(&folder);
    assert_eq!(spills(&folder), 0);
}
