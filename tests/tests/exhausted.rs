//! What a process may be short of for a while: descriptors, room, threads, inodes, the length of a file.
//!
//! A limit that is hit proves nothing about the log. A flusher that takes it for the end of a ring forgets how far that is
//! drained and prints lines twice; one that needs a descriptor to go on with what it has open lets the rings fill; a forked
//! child that gives up at its first record is silent for good. So everything that failed for such a reason is tried again, and
//! what was lost meanwhile is counted.

use lastwords_tests::actor::{Actor, tool};
use lastwords_tests::logs::{numbers, read, reported_lost};
use lastwords_tests::mounts::Tmpfs;
use lastwords_tests::scratch::Scratch;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

/// The flusher's thread has a table of descriptors of its own, or shares the program's, as on an older kernel.
const TABLES: [&str; 2] = ["before:sleep:0", "before:one-table"];

fn assert_once(folder: &Path, role: &str, pid: u32, count: usize) {
    let found = numbers(read(folder, role).iter().filter(|line| line.pid == pid));
    assert!(found.iter().copied().eq(0..count), "{role} {pid}: {} lines, expected {count}, each once", found.len());
}

#[test]
fn a_flusher_without_a_descriptor_to_be_had_drains_what_it_has_open() {
    TABLES.into_iter().for_each(assert_drains_what_it_has_open);
}

fn assert_drains_what_it_has_open(table: &str) {
    let scratch = Scratch::new("exhausted");
    let folder = scratch.path().join("logs");
    // The lines take longer than the lack lasts, and are far more than a lane holds.
    let script =
        [table, "rotate=400000", "keep=20", "log:10", "flush", "hold-files:1:2000", "slowly:20000:100", "flush"];
    let mut host = Actor::start(ACTOR, "host", &folder, &script);
    let pid = host.pid();
    assert_eq!(host.line(), "held");
    assert!(host.end().success());
    assert_once(&folder, "host", pid, 20_010);
    let reported = read(&folder, "host").into_iter().filter(|line| line.level != "INFO").map(|line| line.message);
    assert_eq!(reported.filter(|text| text.contains(" lost, ")).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_program_that_takes_every_descriptor_a_flusher_gives_back_costs_no_line_uncounted_and_doubles_none() {
    TABLES.into_iter().for_each(assert_grabbed_files_cost_nothing_uncounted);
}

fn assert_grabbed_files_cost_nothing_uncounted(table: &str) {
    let scratch = Scratch::new("grabbed");
    let folder = scratch.path().join("logs");
    let script =
        [table, "rotate=400000", "keep=20", "log:10", "flush", "grab-files:1:2000", "slowly:20000:100", "flush"];
    let mut host = Actor::start(ACTOR, "host", &folder, &script);
    let pid = host.pid();
    assert_eq!(host.line(), "held");
    assert!(host.end().success());
    let lines = read(&folder, "host");
    let found = numbers(lines.iter().filter(|line| line.pid == pid));
    assert!(found.is_sorted_by(|one, next| one < next), "each once, in order");
    assert_eq!(found.len() + reported_lost(&lines), 20_010, "what is missing is counted");
}

#[test]
fn a_flusher_that_has_no_descriptor_now_and_then_doubles_and_loses_nothing_of_sixty_rings() {
    TABLES.into_iter().for_each(assert_sixty_rings_are_whole);
}

fn assert_sixty_rings_are_whole(table: &str) {
    let scratch = Scratch::new("storm");
    let folder = scratch.path().join("logs");
    let script = [table, "flush", "line:up", "wait", "hold-files:12:120", "wait", "flush"];
    let mut host = Actor::start(ACTOR, "host", &folder, &script);
    host.line();
    let script = [
        "flusher=never",
        "slots=1024",
        "lanes=3",
        "log:1",
        "line:up",
        "wait",
        "slowly:600:3000",
        "line:logged",
        "wait",
        "flush",
    ];
    let mut workers: Vec<Actor> = (0..60).map(|_| Actor::start(ACTOR, "worker", &folder, &script)).collect();
    workers.iter_mut().for_each(|worker| assert_eq!(worker.line(), "up"));
    host.go();
    workers.iter_mut().for_each(Actor::go);
    assert_eq!(host.line(), "held");
    for worker in &mut workers {
        worker.line();
        worker.go();
    }
    let pids: Vec<u32> = workers.iter().map(Actor::pid).collect();
    workers.iter_mut().for_each(|worker| assert!(worker.end().success()));
    host.finish();
    pids.into_iter().for_each(|pid| assert_once(&folder, "worker", pid, 601));
    let worried = read(&folder, "worker").into_iter().filter(|line| line.level != "INFO").map(|line| line.message);
    assert_eq!(worried.collect::<Vec<_>>(), Vec::<String>::new(), "what passed at once is nothing to speak of");
}

/// Runs an actor to its end and returns what it said.
fn act(folder: &Path, script: &[&str]) -> Output {
    Command::new(ACTOR).arg("host").arg(folder).args(script).stdin(Stdio::null()).output().expect("run")
}

/// What a child of `fork-starved` left in the log: its own lines, and how many the log says are lost.
fn child_lines(folder: &Path) -> (Vec<usize>, usize) {
    let lines = read(folder, "host");
    let own = lines.iter().filter_map(|line| line.message.strip_prefix("child ")?.parse().ok()).collect();
    (own, reported_lost(&lines))
}

fn assert_child_is_heard(folder: &Path, script: &[&str], what: &str) {
    let output = act(folder, &[script, &["say:parent", "flush", &format!("fork-starved:{what}"), "flush"]].concat());
    assert!(output.status.success(), "{what}: {output:?}");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    let (found, lost) = child_lines(folder);
    assert!(found.iter().copied().eq(70 - found.len()..70), "{what}: from some line on, each once: {found:?}");
    assert!(found.len() >= 30, "{what}: it logs soon after: {found:?}");
    assert_eq!(lost, 70 - found.len(), "{what}: what is lost is counted");
    assert!(lost == 0 || printed.matches("cannot log yet").count() == 1, "{what}: {printed}");
}

#[test]
fn a_forked_child_that_cannot_make_its_ring_at_once_logs_as_soon_as_it_can_and_counts_the_rest() {
    for what in ["files", "memory"] {
        let folder = Scratch::new("starved");
        assert_child_is_heard(folder.path(), &[], what);
        assert!(child_lines(folder.path()).1 > 0, "{what}: the test takes it");
    }
    // One that never could reports it on standard error.
    let folder = Scratch::new("starved-still");
    let output = act(folder.path(), &["say:parent", "flush", "fork-starved:memory-still"]);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(printed.contains("20 records of this forked process"), "{printed}");
}

#[test]
fn a_forked_child_without_room_or_inodes_for_a_while_logs_as_soon_as_there_is_some() {
    for (what, options) in [("room", "size=16m"), ("inodes", "size=64m,nr_inodes=40")] {
        let Some(disk) = Tmpfs::mount(options) else { return };
        let logs = Scratch::new("starved-logs");
        let rings = format!("rings={}/rings", disk.path().display());
        assert_child_is_heard(logs.path(), &[&rings], &format!("{what}:{}", disk.path().display()));
    }
}

#[test]
fn twenty_forked_children_find_room_in_shared_memory_that_is_too_small_for_their_rings() {
    // What a container has of /dev/shm, and less than eight rings.
    for options in ["size=64m", "size=24m"] {
        let Some(disk) = Tmpfs::mount(options) else { return };
        let logs = Scratch::new("small-memory");
        let rings = format!("rings={}/rings", disk.path().display());
        let output = act(logs.path(), &[&rings, "say:parent", "flush", "fork:20", "flush"]);
        assert!(output.status.success(), "{output:?}");
        let output =
            tool(TOOL, &["flush", "--once", "--rings", &rings["rings=".len()..], &logs.path().to_string_lossy()]);
        assert!(output.status.code() != Some(2), "{output:?}");
        let lines = read(logs.path(), "host");
        let own =
            |child: usize| lines.iter().filter(move |line| line.message.starts_with(&format!("child {child} line ")));
        let counts: Vec<usize> = (0..20).map(|child| own(child).count()).collect();
        assert_eq!(counts, [20; 20], "{options}: every child logs");
    }
}

#[test]
fn a_ring_without_room_is_made_smaller_and_that_is_said() {
    let Some(disk) = Tmpfs::mount("size=3m") else { return };
    let folder = disk.path().join("logs");
    let mut child = Command::new(ACTOR);
    child.arg("host").arg(&folder).args(["flusher=never", "log:5", "line:up", "wait"]).stderr(Stdio::piped());
    let mut host = Actor::of(&mut child);
    host.line();
    let status = tool(TOOL, &["status", &folder.to_string_lossy()]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    host.finish();
    let printed = host.errors();
    assert!(printed.contains("no room for a ring of") && printed.lines().count() == 1, "{printed}");
    assert!(status.contains("because there was no room for more"), "{status}");
}

#[test]
fn an_init_that_fails_leaves_no_ring_no_alarm_and_the_log_facade() {
    let scratch = Scratch::new("failed-init");
    let folder = scratch.path().join("logs");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("rings"), "no folder").expect("written");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&folder, private).expect("restricted");
    let output = act(&folder, &[]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("is not a folder") && printed.contains("the facade is free"), "{printed}");
    let rings = || {
        std::fs::read_dir(folder.join("rings")).expect("listed").filter_map(Result::ok).map(|entry| entry.file_name())
    };
    std::fs::remove_file(folder.join("rings")).expect("removed");
    // The last step: another logger has the facade.
    let output = act(&folder, &["before:facade"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("log facade"), "{printed}");
    assert_eq!(rings().collect::<Vec<_>>(), ["doorbell"], "no ring is left");
    assert!(act(&folder, &["log:3"]).status.success());
    assert!(read(&folder, "host").iter().all(|line| line.level == "INFO"), "no false alarm");
}

fn limited(blocks: u32, command: &str) -> Output {
    Command::new("bash").arg("-c").arg(format!("ulimit -f {blocks}; {command}")).output().expect("bash")
}

#[test]
fn a_file_size_limit_below_the_rotation_size_makes_smaller_files_and_loses_nothing() {
    let scratch = Scratch::new("file-size");
    let folder = scratch.path().join("logs");
    // Of 1024 bytes each, far below the 10 MiB at which files are rotated.
    let blocks = 1200;
    let output =
        limited(blocks, &format!("seq -f %200.0f 20000 | {TOOL} pipe --role worker --dir {}", folder.display()));
    assert!(output.status.success(), "{output:?}");
    let lines = read(&folder, "worker");
    let found: Vec<usize> = lines.iter().filter_map(|line| line.message.trim().parse().ok()).collect();
    assert!(found.is_sorted_by(|a, b| a < b) && found.last() == Some(&20_000), "each once, in order, to the end");
    // Before its flusher is at work a small ring may be full.
    assert_eq!(found.len() + reported_lost(&lines), 20_000);
    for file in lastwords_tests::logs::files(&folder, "worker") {
        assert!(file.metadata().expect("there").len() <= u64::from(blocks) * 1024);
    }
    let output = limited(900, &format!("echo x | {TOOL} pipe --role worker --dir {}", folder.display()));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && printed.contains("file size limit") && printed.contains("ulimit -f"),
        "{printed}"
    );
}

#[test]
fn a_message_beyond_the_file_size_limit_is_cut_and_nobody_dies() {
    let scratch = Scratch::new("long-limited");
    let folder = scratch.path().join("logs");
    let output = limited(2000, &format!("exec {ACTOR} host {} log:1 long:3000000 log:1 flush", folder.display()));
    assert!(output.status.success(), "{output:?}");
    let lines = read(&folder, "host");
    assert_eq!(numbers(lines.iter().filter(|line| line.pid == lines[0].pid)), [0, 1]);
    assert!(
        lines.iter().any(|line| line.message.ends_with("[cut; the message had 3000000 bytes]")),
        "{:?}",
        lines.iter().map(|line| line.message.len()).collect::<Vec<_>>()
    );
    // The limit may be lowered at any time, as sandboxes do; without a flusher of its own nothing but the log call writes.
    let script = [
        "flusher=never",
        "log:1",
        "disk:8192",
        "long:200000",
        "set-log:debug",
        "disk:0",
        "long:200000",
        "log:1",
        "kill",
    ];
    let output = act(&folder, &script);
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(output.status.signal(), Some(9), "it lives to the end: {output:?}");
}

#[test]
fn a_process_without_a_thread_to_be_had_flushes_as_soon_as_there_is_one() {
    let scratch = Scratch::new("threads");
    let folder = scratch.path().join("logs");
    let script = ["before:no-threads", "slots=64", "lanes=3", "log:3", "room", "sleep:1500", "log:1", "sleep:600"];
    let mut child = Command::new(ACTOR);
    child.arg("host").arg(&folder).args(script).args(["line:logged", "wait"]).stderr(Stdio::piped());
    let mut host = Actor::of(&mut child).until("logged");
    let found = read(&folder, "host").len();
    host.finish();
    let printed = host.errors();
    assert!(printed.contains("no thread for the flusher") && printed.lines().count() == 1, "{printed}");
    assert_eq!(found, 4, "a record has the thread tried again");
}
