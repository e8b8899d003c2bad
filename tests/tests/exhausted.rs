//! What a process may be short of for a while: descriptors, room, threads, inodes, the length of a file.
//!
//! A limit that is hit proves nothing about the log. A flusher that takes it for the end of a ring forgets how far that is
//! drained and prints lines twice; one that needs a descriptor to go on with what it has open lets the rings fill; a forked
//! child that gives up at its first record is silent for good. So everything that failed for such a reason is tried again, and
//! what was lost meanwhile is counted.

use lastwords_ring::error::Error;
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::write::ring::{Ring, RingSpec};
use lastwords_tests::actor::{Actor, Printed, printed, tool_at};
use lastwords_tests::files::names_in;
use lastwords_tests::logs::{Line, count, files, numbers, numbers_after, read, reported_lost};
use lastwords_tests::mounts::Tmpfs;
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;

/// The flusher's thread has a table of descriptors of its own, or shares the program's, as on an older kernel.
const TABLES: [&str; 2] = ["before:sleep:0", "before:one-table"];

fn assert_once(folder: &Path, role: &str, pid: u32, count: usize) {
    let found = numbers(read(folder, role).iter().filter(|line| line.pid == pid));
    assert!(found.iter().copied().eq(0..count), "{role} {pid}: {} lines, expected {count}, each once", found.len());
}

/// A process whose descriptors are taken while it logs, and the folder of its log.
fn deprived(table: &str, how: &str) -> (Scratch, Actor) {
    let folder = Scratch::new("deprived");
    // The lines take longer than the lack lasts, and are far more than a lane holds.
    let script = format!("{table} rotate=400000 keep=20 log:10 flush {how}-files:1:2000 slowly:20000:100 flush");
    let mut host = Actor::start("host", &folder, script).until("held");
    assert!(host.end().success());
    (folder, host)
}

#[test]
fn a_flusher_without_a_descriptor_to_be_had_drains_what_it_has_open() {
    TABLES.into_iter().for_each(assert_drains_what_it_has_open);
}

fn assert_drains_what_it_has_open(table: &str) {
    let (folder, host) = deprived(table, "hold");
    assert_once(&folder, "host", host.pid(), 20_010);
    let reported = read(&folder, "host").into_iter().filter(|line| line.level != "INFO").map(|line| line.message);
    assert_eq!(reported.filter(|text| text.contains(" lost, ")).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_program_that_takes_every_descriptor_a_flusher_gives_back_costs_no_line_uncounted_and_doubles_none() {
    TABLES.into_iter().for_each(assert_grabbed_files_cost_nothing_uncounted);
}

fn assert_grabbed_files_cost_nothing_uncounted(table: &str) {
    let (folder, host) = deprived(table, "grab");
    let lines = read(&folder, "host");
    let found = numbers(lines.iter().filter(|line| line.pid == host.pid()));
    assert!(found.is_sorted_by(|one, next| one < next), "each once, in order");
    assert_eq!(found.len() + reported_lost(&lines), 20_010, "what is missing is counted");
}

#[test]
fn a_flusher_that_has_no_descriptor_now_and_then_doubles_and_loses_nothing_of_sixty_rings() {
    TABLES.into_iter().for_each(assert_sixty_rings_are_whole);
}

fn assert_sixty_rings_are_whole(table: &str) {
    let folder = Scratch::new("storm");
    let script = format!("{table} flush line:up wait hold-files:12:120 wait flush");
    let mut host = Actor::start("host", &folder, &script).until("up");
    let script = "flusher=never slots=1024 lanes=3 log:1 line:up wait slowly:600:3000 line:logged wait flush";
    let mut workers = Actor::several(60, "worker", &folder, script, "up");
    host.go();
    workers.iter_mut().for_each(Actor::go);
    host.says("held");
    for worker in &mut workers {
        worker.says("logged");
        worker.go();
    }
    workers.iter_mut().for_each(|worker| assert!(worker.end().success()));
    host.finish();
    workers.iter().for_each(|worker| assert_once(&folder, "worker", worker.pid(), 601));
    let worried = read(&folder, "worker").into_iter().filter(|line| line.level != "INFO").map(|line| line.message);
    assert_eq!(worried.collect::<Vec<_>>(), Vec::<String>::new(), "what passed at once is nothing to speak of");
}

/// Runs an actor to its end and returns what it said.
fn act(folder: &Path, script: &str) -> Printed {
    printed(ACTOR.acting("host", folder, script))
}

/// What a child of `fork-starved` left in the log: its own lines, and how many the log says are lost.
fn child_lines(folder: &Path) -> (Vec<usize>, usize) {
    let lines = read(folder, "host");
    let own = numbers_after("child ", &lines);
    (own, reported_lost(&lines))
}

fn assert_child_is_heard(folder: &Path, setting: &str, what: &str) {
    let output = act(folder, &format!("{setting} say:parent flush fork-starved:{what} flush"));
    assert!(output.status.success(), "{what}: {output:?}");
    let (printed, (found, lost)) = (output.err, child_lines(folder));
    assert!(found.iter().copied().eq(70 - found.len()..70), "{what}: from some line on, each once: {found:?}");
    assert!(found.len() >= 30, "{what}: it logs soon after: {found:?}");
    assert_eq!(lost, 70 - found.len(), "{what}: what is lost is counted");
    assert!(lost == 0 || printed.matches("cannot log yet").count() == 1, "{what}: {printed}");
}

#[test]
fn a_forked_child_that_cannot_make_its_ring_at_once_logs_as_soon_as_it_can_and_counts_the_rest() {
    for what in ["files", "memory"] {
        let folder = Scratch::new("starved");
        assert_child_is_heard(&folder, "", what);
        assert!(child_lines(&folder).1 > 0, "{what}: the test takes it");
    }
    // One that never could reports it on standard error. Its alternate stack, which it gives back when it ends, would be enough
    // for the smallest ring.
    let folder = Scratch::new("starved-still");
    let printed = act(&folder, "capture=false say:parent flush fork-starved:memory-still").err;
    assert!(printed.contains("20 records of this forked process"), "{printed}");
}

#[test]
fn a_forked_child_without_room_or_inodes_for_a_while_logs_as_soon_as_there_is_some() {
    for (what, options) in [("room", "size=16m"), ("inodes", "size=64m,nr_inodes=40")] {
        let Some(disk) = Tmpfs::mount(options) else { return };
        let logs = Scratch::new("starved-logs");
        let rings = format!("rings={}/rings", disk.path().display());
        assert_child_is_heard(&logs, &rings, &format!("{what}:{}", disk.path().display()));
    }
}

#[test]
fn twenty_forked_children_find_room_in_shared_memory_that_is_too_small_for_their_rings() {
    // What a container has of /dev/shm, and less than eight rings.
    for options in ["size=64m", "size=24m"] {
        let Some(disk) = Tmpfs::mount(options) else { return };
        let logs = Scratch::new("small-memory");
        let rings = format!("{}/rings", disk.path().display());
        act(&logs, &format!("rings={rings} say:parent flush fork:20 flush")).ended(0);
        let output = tool_at(format!("flush --once --rings {rings}"), &logs);
        assert!(output.code != Some(2), "{output:?}");
        let lines = read(&logs, "host");
        let counts: Vec<usize> = (0..20).map(|child| count(&lines, &format!("child {child} line "))).collect();
        assert_eq!(counts, [20; 20], "{options}: every child logs");
    }
}

#[test]
fn rings_that_are_made_at_the_same_moment_leave_each_other_room() {
    // A ring of the default size does not fit. One after the other, each with an eighth of what is left, 28 do.
    for round in 0..40 {
        let Some(disk) = Tmpfs::mount("size=6m") else { return };
        let rings = rings_at_once(26, &Folder::create(disk.path()).expect("the folder"));
        let failed: Vec<String> =
            rings.iter().filter_map(|ring| ring.as_ref().err().map(ToString::to_string)).collect();
        assert_eq!(failed, Vec::<String>::new(), "round {round}");
        rings.into_iter().flatten().for_each(Ring::discard);
    }
}

/// So many threads make a ring each, all at once.
fn rings_at_once(count: usize, folder: &Folder) -> Vec<Result<Ring, Error>> {
    let geometry = Geometry::new(128, 4096, 15, 2, 256 << 10).expect("sizes within the limits");
    let (gate, spec) = (Barrier::new(count), RingSpec::new("host", geometry));
    let make = || {
        gate.wait();
        Ring::create(folder, &spec)
    };
    std::thread::scope(|scope| {
        let makers: Vec<_> = (0..count).map(|_| scope.spawn(make)).collect();
        makers.into_iter().map(|maker| maker.join().expect("no panic")).collect()
    })
}

#[test]
fn a_ring_without_room_is_made_smaller_and_that_is_said() {
    let Some(disk) = Tmpfs::mount("size=3m") else { return };
    let folder = disk.path().join("logs");
    let mut host = Actor::heard("host", &folder, "flusher=never log:5 line:up wait").until("up");
    let status = tool_at("status", &folder).out;
    host.finish();
    let printed = host.errors();
    let said = ["no room for a ring of", "a crash will not be captured: "];
    assert!(printed.lines().count() == 2 && said.iter().all(|text| printed.contains(text)), "{printed}");
    assert!(status.contains("because there was no room for more"), "{status}");
}

#[test]
fn an_init_that_fails_leaves_no_ring_no_alarm_and_the_log_facade() {
    let folder = Scratch::new("failed-init");
    std::fs::write(folder.join("rings"), "no folder").expect("written");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&folder, private).expect("restricted");
    let printed = act(&folder, "").out;
    assert!(printed.contains("is not a folder") && printed.contains("the facade is free"), "{printed}");
    std::fs::remove_file(folder.join("rings")).expect("removed");
    // The last step: another logger has the facade.
    let printed = act(&folder, "before:facade").out;
    assert!(printed.contains("log facade"), "{printed}");
    assert_eq!(names_in(&folder.join("rings")), ["doorbell"], "no ring is left");
    act(&folder, "log:3").ended(0);
    assert!(read(&folder, "host").iter().all(|line| line.level == "INFO"), "no false alarm");
}

/// Runs a shell's command that may write no file longer than so many times 1024 bytes.
fn limited(blocks: u32, command: &str) -> Printed {
    printed(Command::new("bash").arg("-c").arg(format!("ulimit -f {blocks}; {command}")))
}

#[test]
fn a_file_size_limit_below_the_rotation_size_makes_smaller_files_and_loses_nothing() {
    let folder = Scratch::new("file-size");
    let pipe = format!("{TOOL} pipe --role worker --dir {}", folder.display());
    // Far below the 10 MiB at which files are rotated.
    limited(1200, &format!("seq -f %200.0f 20000 | {pipe}")).ended(0);
    let lines = read(&folder, "worker");
    let found: Vec<usize> = lines.iter().filter_map(|line| line.message.trim().parse().ok()).collect();
    assert!(found.is_sorted_by(|a, b| a < b) && found.last() == Some(&20_000), "each once, in order, to the end");
    // Before its flusher is at work a small ring may be full.
    assert_eq!(found.len() + reported_lost(&lines), 20_000);
    for file in files(&folder, "worker") {
        assert!(file.metadata().expect("there").len() <= 1200 * 1024);
    }
    let Printed { status, err, .. } = limited(900, &format!("echo x | {pipe}"));
    assert!(!status.success() && err.contains("file size limit") && err.contains("ulimit -f"), "{err}");
}

#[test]
fn where_no_file_may_have_a_byte_init_fails_or_does_without_and_nobody_dies() {
    for words in ["", "flusher=never", "flusher=never memory=shared", "flusher=never rings=PATH/elsewhere"] {
        let folder = Scratch::new("no-bytes");
        let words = words.replace("PATH", &folder.display().to_string());
        let printed = limited(0, &format!("exec {ACTOR} host {} {words} log:1", folder.display()));
        assert!(printed.status.code().is_some(), "{words}: {printed:?}");
        assert!(printed.out.contains("init failed: ") && printed.out.contains("ulimit -f"), "{words}: {printed:?}");
    }
}

#[test]
fn a_message_beyond_the_file_size_limit_is_cut_and_nobody_dies() {
    let folder = Scratch::new("long-limited");
    limited(2000, &format!("exec {ACTOR} host {} log:1 long:3000000 log:1 flush", folder.display())).ended(0);
    let lines = read(&folder, "host");
    assert_eq!(numbers(lines.iter().filter(|line| line.pid == lines[0].pid)), [0, 1]);
    let lengths: Vec<usize> = lines.iter().map(|line| line.message.len()).collect();
    let cut = |line: &Line| line.message.ends_with("[cut; the message had 3000000 bytes]");
    assert!(lines.iter().any(cut), "{lengths:?}");
    // The limit may be lowered at any time, as sandboxes do; without a flusher of its own nothing but the log call writes.
    let script = "flusher=never log:1 disk:8192 long:200000 set-log:debug disk:0 long:200000 log:1 kill";
    let output = act(&folder, script);
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(output.status.signal(), Some(9), "it lives to the end: {output:?}");
}

#[test]
fn a_process_without_a_thread_to_be_had_flushes_as_soon_as_there_is_one() {
    let folder = Scratch::new("threads");
    let script = "before:no-threads slots=64 lanes=3 log:3 room sleep:1500 log:1 sleep:600 line:logged wait";
    let mut host = Actor::heard("host", &folder, script).until("logged");
    let found = read(&folder, "host").len();
    host.finish();
    let printed = host.errors();
    assert!(printed.contains("no thread for the flusher") && printed.lines().count() == 1, "{printed}");
    assert_eq!(found, 4, "a record has the thread tried again");
}
