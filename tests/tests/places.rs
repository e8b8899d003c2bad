//! Where rings and logs are, and what may have been there before.
//!
//! A log folder below `/tmp` is a place that everybody can write to: a planted link or FIFO must not redirect, block or
//! overwrite anything. And rings belong where they survive what their owner wants them to survive.

use lastwords_tests::actor::{Actor, flush_once, run, tool, wait_for};
use lastwords_tests::logs::{Line, read};
use lastwords_tests::scratch::Scratch;
use rustix::fs::{CWD, FileType, Mode};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

fn numbers(lines: &[Line]) -> Vec<String> {
    lines.iter().filter_map(|line| line.message.strip_prefix("line ").map(str::to_owned)).collect()
}

fn counted(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

/// Runs an actor whose init is expected to fail, and returns what it says.
fn refusal(folder: &Path, script: &[&str]) -> String {
    let output = Command::new(ACTOR).arg("host").arg(folder).args(script).stdin(Stdio::null()).output().expect("run");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn shared_memory_of(pid: u32) -> usize {
    let entries = std::fs::read_dir("/dev/shm").expect("there").filter_map(Result::ok);
    entries.filter(|entry| entry.file_name().to_string_lossy().contains(&format!("-{pid}-"))).count()
}

#[test]
fn a_ring_in_shared_memory_is_drained_like_a_file_and_leaves_nothing() {
    let folder = Scratch::new("shm");
    let script = ["memory=shared", "flusher=never", "log:700", "long:200000", "kill"];
    let (pid, _) = run(ACTOR, "worker", folder.path(), &script);
    assert_eq!(shared_memory_of(pid), 1, "the memory outlives its creator");
    flush_once(TOOL, folder.path());
    let lines = read(folder.path(), "worker");
    assert_eq!(numbers(&lines), counted(700));
    assert_eq!(lines.iter().filter(|line| line.level == "CRITICAL").count(), 1);
    assert_eq!(shared_memory_of(pid), 0, "and is removed once it is drained");
    // Lock, doorbell, journal, offsets.
    assert_eq!(std::fs::read_dir(folder.path().join("rings")).expect("there").count(), 5);
}

#[test]
fn shared_memory_that_is_gone_is_told_and_forgotten() {
    let folder = Scratch::new("shm-gone");
    let (pid, _) = run(ACTOR, "worker", folder.path(), &["memory=shared", "flusher=never", "log:7", "kill"]);
    for entry in std::fs::read_dir("/dev/shm").expect("there").filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().contains(&format!("worker-{pid}-")) {
            std::fs::remove_file(entry.path()).expect("removed, as a reboot does");
        }
    }
    let (_, status) = run(ACTOR, "worker", folder.path(), &["log:2"]);
    assert!(status.success());
    let lines = read(folder.path(), "worker");
    assert_eq!(numbers(&lines), counted(2));
    assert!(lines.iter().any(|line| line.message.contains("is gone")), "{lines:?}");
}

#[test]
fn rings_can_be_in_any_folder_a_tmpfs_too() {
    let (folder, memory) = (Scratch::new("elsewhere"), Scratch::within(Path::new("/dev/shm"), "rings"));
    let rings = memory.path().to_string_lossy().into_owned();
    let setting = format!("rings={rings}");
    let (_, status) = run(ACTOR, "host", folder.path(), &[&setting, "log:300"]);
    assert!(status.success());
    let _ = run(ACTOR, "worker", folder.path(), &[&setting, "flusher=never", "log:200", "kill"]);
    let output = tool(TOOL, &["flush", "--once", "--rings", &rings, &folder.path().to_string_lossy()]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(numbers(&read(folder.path(), "host")), counted(300));
    assert_eq!(numbers(&read(folder.path(), "worker")), counted(200));
    assert_eq!(std::fs::read_dir(folder.path().join("rings")).map_or(0, Iterator::count), 0, "none in the log folder");
}

#[test]
fn everything_is_private_to_its_user() {
    let parent = Scratch::new("private");
    let folder = parent.path().join("logs");
    let _ = run(ACTOR, "host", &folder, &["flusher=never", "log:1", "kill"]);
    let _ = tool(TOOL, &["flush", "--once", &folder.to_string_lossy()]);
    let _ = run(ACTOR, "host", &folder, &["flusher=never", "log:1", "long:200000", "kill"]);
    for (path, mode) in [("", 0o700), ("rings", 0o700), ("host.log", 0o600), ("rings/journal.a", 0o600)] {
        let found = folder.join(path).metadata().expect("there").mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
    for file in std::fs::read_dir(folder.join("rings")).expect("there").filter_map(Result::ok) {
        assert_eq!(file.metadata().expect("there").mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[test]
fn a_folder_that_is_a_file_or_somebody_elses_is_refused_with_the_reason() {
    let scratch = Scratch::new("refused");
    let (file, other) = (scratch.path().join("file"), scratch.path().join("other"));
    std::fs::write(&file, "x").expect("written");
    assert!(refusal(&file, &[]).contains("it is not a folder"));
    if rustix::process::geteuid().is_root() {
        std::fs::create_dir(&other).expect("made");
        std::os::unix::fs::chown(&other, Some(12345), None).expect("given away");
        let mut actor = Command::new(ACTOR);
        std::os::unix::process::CommandExt::uid(&mut actor, 12346);
        let output = actor.arg("host").arg(&other).stdin(Stdio::null()).output().expect("run");
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("it belongs to user 12345"), "{output:?}");
    } else {
        println!("skipped in part: only root can give a folder away");
    }
}

#[test]
fn an_untrusted_default_folder_is_replaced_by_one_with_the_users_id() {
    let temp = Scratch::new("default");
    std::os::unix::fs::symlink("/tmp", temp.path().join("actor")).expect("planted");
    let output = Command::new(ACTOR)
        .args(["host", "default", "say:here"])
        .env("TMPDIR", temp.path())
        .env_remove("LASTWORDS_DIR")
        .stdin(Stdio::null())
        .output()
        .expect("run");
    assert!(output.status.success(), "{output:?}");
    let uid = rustix::process::geteuid().as_raw();
    let own = temp.path().join(format!("actor-{uid}/logs"));
    assert_eq!(read(&own, "host")[0].message, "here");
    let printed = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert!(printed.contains("symbolic link") && printed.contains(&*own.to_string_lossy()), "{printed}");
}

#[test]
fn planted_links_and_fifos_do_no_harm() {
    let folder = Scratch::new("planted");
    let (victim, log) = (folder.path().join("victim"), folder.path().join("host.log"));
    std::fs::write(&victim, "untouched").expect("written");
    let plant: [(&str, &dyn Fn()); 3] = [
        ("a symbolic link", &|| std::os::unix::fs::symlink(&victim, &log).expect("planted")),
        ("a hard link", &|| std::fs::hard_link(&victim, &log).expect("planted")),
        ("a FIFO", &|| rustix::fs::mknodat(CWD, &log, FileType::Fifo, Mode::RWXU, 0).expect("planted")),
    ];
    for (what, plant) in plant {
        plant();
        let (_, status) = run(ACTOR, "host", folder.path(), &["log:5"]);
        assert!(status.success());
        assert_eq!(std::fs::read_to_string(&victim).expect("there"), "untouched", "{what}");
        let lines = read(folder.path(), "host");
        assert_eq!(numbers(&lines), counted(5), "{what}");
        assert!(lines.iter().any(|line| line.message.contains("it is now")), "{what}: {lines:?}");
        std::fs::remove_file(&log).expect("removed");
    }
}

#[test]
fn planted_rings_do_no_harm() {
    let folder = Scratch::new("planted-rings");
    let _ = run(ACTOR, "host", folder.path(), &["log:1"]);
    let rings = folder.path().join("rings");
    std::os::unix::fs::symlink("/etc/passwd", rings.join("host-1-link.ring")).expect("planted");
    std::os::unix::fs::symlink("/dev/zero", rings.join("host-1-zero.ring")).expect("planted");
    rustix::fs::mknodat(CWD, rings.join("host-1-fifo.ring"), FileType::Fifo, Mode::RWXU, 0).expect("planted");
    std::fs::create_dir(rings.join("host-1-folder.ring")).expect("planted");
    std::fs::write(rings.join("host-1-text.ring"), "no ring").expect("planted");
    let (_, status) = run(ACTOR, "host", folder.path(), &["log:5"]);
    assert!(status.success());
    let lines = read(folder.path(), "host");
    assert_eq!(numbers(&lines), [counted(1), counted(5)].concat());
    assert_eq!(lines.iter().filter(|line| line.message.contains("lastwords: skipped: ")).count(), 5, "{lines:?}");
    assert!(rings.join("host-1-text.ring").exists(), "what is not ours is not removed");
}

#[test]
fn no_room_for_a_ring_is_a_clear_error_at_the_start() {
    let limited = Scratch::new("limited");
    let output = Command::new("bash")
        .arg("-c")
        .arg(format!("ulimit -f 50; exec {ACTOR} host {} flusher=never", limited.path().display()))
        .output()
        .expect("bash");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(7), "{printed}");
    assert!(printed.contains("file size limit") && printed.contains("ulimit -f"), "{printed}");

    if !rustix::process::geteuid().is_root() {
        println!("skipped in part: only root can mount a small tmpfs");
        return;
    }
    let disk = Scratch::new("full-disk");
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=40k", "lastwords-test"]).arg(disk.path()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped in part: a tmpfs cannot be mounted here");
        return;
    }
    let printed = refusal(disk.path(), &[]);
    let unmounted = Command::new("umount").arg(disk.path()).status().expect("umount");
    assert!(unmounted.success());
    assert!(printed.contains("reserve space for the ring") && printed.contains("No space left"), "{printed}");
}

#[test]
fn a_log_folder_that_was_removed_is_not_made_again_by_the_flusher() {
    let parent = Scratch::new("removed");
    let folder = parent.path().join("logs");
    let mut actor =
        Actor::start(ACTOR, "host", &folder, &["log:1", "flush", "line:up", "wait", "log:50", "line:logged", "wait"]);
    actor.line();
    std::fs::remove_dir_all(&folder).expect("removed while live");
    actor.go();
    actor.line();
    // Well over the time in which a living flusher would have written the lines.
    wait_for("some passes", || {
        std::thread::sleep(std::time::Duration::from_millis(600));
        Some(())
    });
    assert!(!folder.exists());
    actor.go();
    assert!(actor.end().success(), "the process itself goes on and ends as always");
    assert!(!folder.exists());
}

#[test]
fn a_thousand_rings_in_one_folder_drain_completely() {
    let folder = Scratch::new("thousand");
    for _ in 0..10 {
        let actors: Vec<Actor> = (0..100)
            .map(|_| {
                let script = ["flusher=never", "slots=64", "lanes=3", "log:20", "kill"];
                Actor::start(ACTOR, "worker", folder.path(), &script)
            })
            .collect();
        actors.into_iter().for_each(|mut actor| assert!(!actor.end().success()));
    }
    let rings = || std::fs::read_dir(folder.path().join("rings")).expect("there").count();
    assert!(rings() >= 1000);
    // 64 descriptors are enough for any number of rings.
    let flush = format!("ulimit -n 64; exec {TOOL} flush --once {}", folder.path().display());
    let output = Command::new("bash").arg("-c").arg(flush).output().expect("bash");
    assert!(output.status.success(), "{output:?}");
    let lines = read(folder.path(), "worker");
    assert_eq!(lines.iter().filter(|line| line.level == "INFO").count(), 20_000);
    assert_eq!(lines.iter().filter(|line| line.level == "CRITICAL").count(), 1000);
    assert_eq!(rings(), 5, "only lock, doorbell, journal and offsets are left");
}

/// Folders as a program may name them, below its working directory: by builder, environment and configuration file.
#[test]
fn relative_folders_are_those_of_the_first_setup_wherever_the_process_goes() {
    for how in ["builder", "environment", "file"] {
        let home = Scratch::new("relative");
        std::fs::write(home.path().join("lastwords.toml"), "dir = \"logs\"\nrings = \"memory\"\n").expect("written");
        let mut command = Command::new(ACTOR);
        command.current_dir(home.path()).arg("host");
        match how {
            "builder" => command.args(["logs", "rings=memory"]),
            "environment" => command.arg("default").env("LASTWORDS_DIR", "logs").env("LASTWORDS_RINGS", "memory"),
            _ => command.arg("default").env("LASTWORDS_CONFIG", "lastwords.toml"),
        };
        let elsewhere = Scratch::new("relative-elsewhere");
        let chdir = format!("chdir:{}", elsewhere.path().display());
        let second = if how == "builder" { "flush" } else { "role-anew:audit" };
        command.args([
            "log:10", "flush", &chdir, second, "flush", "line:up", "wait", "in-child", "log:2000", "flush", "kill",
        ]);
        let mut actor = Actor::of(&mut command).until("up");
        actor.go();
        actor.end();
        let (logs, rings) = (home.path().join("logs"), home.path().join("memory"));
        let (logs, rings) = (logs.to_string_lossy().into_owned(), rings.to_string_lossy().into_owned());
        let output = tool(TOOL, &["flush", "--once", "--rings", &rings, &logs]);
        assert_ne!(output.status.code(), Some(2), "{how}: {output:?}");
        let lines = read(Path::new(&logs), "host");
        assert_eq!(numbers(&lines), counted(2010), "{how}");
        // The child was killed, and its parent left by _exit.
        assert_eq!(lines.iter().filter(|line| line.level == "CRITICAL").count(), 2, "{how}");
        assert_eq!(std::fs::read_dir(elsewhere.path()).expect("listed").count(), 0, "{how}: nothing is made elsewhere");
        if how != "builder" {
            let audit = read(Path::new(&logs), "audit");
            assert_eq!(
                audit.iter().filter(|line| line.message == "anew").count(),
                1,
                "{how}: a second role is in the same folder"
            );
        }
    }
}
