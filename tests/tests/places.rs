//! Where rings and logs are, and what may have been there before.
//!
//! A log folder below `/tmp` is a place that everybody can write to: a planted link or FIFO must not redirect, block or
//! overwrite anything. And rings belong where they survive what their owner wants them to survive.

use lastwords_tests::actor::{Actor, flush_once, flush_rest, printed, run, succeed, tool_at};
use lastwords_tests::files::{make_fifo, paths_in};
use lastwords_tests::logs::{alarms, assert_numbered, messages, numbers, read};
use lastwords_tests::mounts::Tmpfs;
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a process has in shared memory.
fn shared_memory_of(pid: u32) -> Vec<PathBuf> {
    let all = paths_in(Path::new("/dev/shm")).into_iter();
    all.filter(|path| path.to_string_lossy().contains(&format!("-{pid}-"))).collect()
}

/// Runs an actor whose init is expected to fail, and returns what it says.
fn refusal(folder: &Path) -> String {
    let output = printed(ACTOR.acting("host", folder, ""));
    assert_eq!(output.code, Some(7), "{output:?}");
    output.out
}

#[test]
fn a_ring_in_shared_memory_is_drained_like_a_file_and_leaves_nothing() {
    let folder = Scratch::new("shm");
    let script = "memory=shared flusher=never log:700 long:200000 kill";
    let (pid, _) = run("worker", &folder, script);
    assert_eq!(shared_memory_of(pid).len(), 1, "the memory outlives its creator");
    flush_once(&folder);
    let lines = read(&folder, "worker");
    assert_numbered(&lines, 700, "");
    assert_eq!(alarms(&lines), 1);
    assert_eq!(shared_memory_of(pid).len(), 0, "and is removed once it is drained");
    // Lock, doorbell, journal, offsets.
    assert_eq!(paths_in(&folder.join("rings")).len(), 5);
}

#[test]
fn shared_memory_that_is_gone_is_told_and_forgotten() {
    let folder = Scratch::new("shm-gone");
    let (pid, _) = run("worker", &folder, "memory=shared flusher=never log:7 kill");
    for path in shared_memory_of(pid) {
        std::fs::remove_file(path).expect("removed, as a reboot does");
    }
    succeed("worker", &folder, "log:2");
    let lines = read(&folder, "worker");
    assert_numbered(&lines, 2, "");
    assert!(lines.iter().any(|line| line.message.contains("is gone")), "{lines:?}");
}

#[test]
fn rings_can_be_in_any_folder_a_tmpfs_too() {
    let (folder, memory) = (Scratch::new("elsewhere"), Scratch::within(Path::new("/dev/shm"), "rings"));
    let setting = format!("rings={}", memory.display());
    succeed("host", &folder, format!("{setting} log:300"));
    let _ = run("worker", &folder, format!("{setting} flusher=never log:200 kill"));
    let output = tool_at(format!("flush --once --rings {}", memory.display()), &folder);
    assert!(output.status.success(), "{output:?}");
    assert_numbered(&read(&folder, "host"), 300, "host");
    assert_numbered(&read(&folder, "worker"), 200, "worker");
    assert_eq!(std::fs::read_dir(folder.join("rings")).map_or(0, Iterator::count), 0, "none in the log folder");
}

#[test]
fn everything_is_private_to_its_user() {
    let parent = Scratch::new("private");
    let folder = parent.join("logs");
    let _ = run("host", &folder, "flusher=never log:1 kill");
    flush_rest(&folder);
    let _ = run("host", &folder, "flusher=never log:1 long:200000 kill");
    for (path, mode) in [("", 0o700), ("rings", 0o700), ("host.log", 0o600), ("rings/journal.a", 0o600)] {
        let found = folder.join(path).metadata().expect("there").mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
    for path in paths_in(&folder.join("rings")) {
        assert_eq!(path.metadata().expect("there").mode() & 0o777, 0o600, "{path:?}");
    }
}

#[test]
fn a_folder_that_is_a_file_or_somebody_elses_is_refused_with_the_reason() {
    let scratch = Scratch::new("refused");
    let (file, other) = (scratch.join("file"), scratch.join("other"));
    std::fs::write(&file, "x").expect("written");
    assert!(refusal(&file).contains("it is not a folder"));
    if rustix::process::geteuid().is_root() {
        std::fs::create_dir(&other).expect("made");
        std::os::unix::fs::chown(&other, Some(12345), None).expect("given away");
        let mut actor = ACTOR.command();
        std::os::unix::process::CommandExt::uid(&mut actor, 12346);
        let output = printed(actor.arg("host").arg(&other));
        assert_eq!(output.code, Some(7), "{output:?}");
        assert!(output.out.contains("it belongs to user 12345"), "{output:?}");
    } else {
        println!("skipped in part: only root can give a folder away");
    }
}

#[test]
fn an_untrusted_default_folder_is_replaced_by_one_with_the_users_id() {
    let temp = Scratch::new("default");
    std::os::unix::fs::symlink("/tmp", temp.join("actor")).expect("planted");
    let output =
        printed(ACTOR.command().args(["host", "default", "say:here"]).env("TMPDIR", &temp).env_remove("LASTWORDS_DIR"));
    assert!(output.status.success(), "{output:?}");
    let uid = rustix::process::geteuid().as_raw();
    let own = temp.join(format!("actor-{uid}/logs"));
    assert_eq!(read(&own, "host")[0].message, "here");
    let printed = output.err;
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert!(printed.contains("symbolic link") && printed.contains(&*own.to_string_lossy()), "{printed}");
}

#[test]
fn planted_links_and_fifos_do_no_harm() {
    let folder = Scratch::new("planted");
    let (victim, log) = (folder.join("victim"), folder.join("host.log"));
    std::fs::write(&victim, "untouched").expect("written");
    let plant: [(&str, &dyn Fn()); 3] = [
        ("a symbolic link", &|| std::os::unix::fs::symlink(&victim, &log).expect("planted")),
        ("a hard link", &|| std::fs::hard_link(&victim, &log).expect("planted")),
        ("a FIFO", &|| make_fifo(&log)),
    ];
    for (what, plant) in plant {
        plant();
        succeed("host", &folder, "log:5");
        assert_eq!(std::fs::read_to_string(&victim).expect("there"), "untouched", "{what}");
        let lines = read(&folder, "host");
        assert_numbered(&lines, 5, "{what}");
        assert!(lines.iter().any(|line| line.message.contains("it is now")), "{what}: {lines:?}");
        std::fs::remove_file(&log).expect("removed");
    }
}

#[test]
fn planted_rings_do_no_harm() {
    let folder = Scratch::new("planted-rings");
    let _ = run("host", &folder, "log:1");
    let rings = folder.join("rings");
    std::os::unix::fs::symlink("/etc/passwd", rings.join("host-1-link.ring")).expect("planted");
    std::os::unix::fs::symlink("/dev/zero", rings.join("host-1-zero.ring")).expect("planted");
    make_fifo(rings.join("host-1-fifo.ring"));
    std::fs::create_dir(rings.join("host-1-folder.ring")).expect("planted");
    std::fs::write(rings.join("host-1-text.ring"), "no ring").expect("planted");
    succeed("host", &folder, "log:5");
    let lines = read(&folder, "host");
    assert_eq!(numbers(&lines), [0, 0, 1, 2, 3, 4]);
    assert_eq!(lines.iter().filter(|line| line.message.contains("lastwords: skipped: ")).count(), 5, "{lines:?}");
    assert!(rings.join("host-1-text.ring").exists(), "what is not ours is not removed");
}

#[test]
fn no_room_for_a_ring_is_a_clear_error_at_the_start() {
    let limited = Scratch::new("limited");
    let output = printed(
        Command::new("bash")
            .arg("-c")
            .arg(format!("ulimit -f 50; exec {ACTOR} host {} flusher=never", limited.display())),
    );
    let printed = output.out;
    assert_eq!(output.code, Some(7), "{printed}");
    assert!(printed.contains("file size limit") && printed.contains("ulimit -f"), "{printed}");

    let Some(disk) = Tmpfs::mount("size=40k") else { return };
    let printed = refusal(disk.path());
    assert!(printed.contains("reserve space for the ring") && printed.contains("No space left"), "{printed}");
}

#[test]
fn a_log_folder_that_was_removed_is_not_made_again_by_the_flusher() {
    let parent = Scratch::new("removed");
    let folder = parent.join("logs");
    let mut actor = Actor::start("host", &folder, "log:1 flush line:up wait log:50 line:logged wait").until("up");
    std::fs::remove_dir_all(&folder).expect("removed while live");
    actor.go_until("logged");
    // Well over the time in which a living flusher would have written the lines.
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert!(!folder.exists());
    // The process itself goes on and ends as always.
    actor.finish();
    assert!(!folder.exists());
}

#[test]
fn a_thousand_rings_in_one_folder_drain_completely() {
    let folder = Scratch::new("thousand");
    for _ in 0..10 {
        let start = || Actor::start("worker", &folder, "flusher=never slots=64 lanes=3 log:20 kill");
        let actors: Vec<Actor> = (0..100).map(|_| start()).collect();
        actors.into_iter().for_each(|mut actor| assert!(!actor.end().success()));
    }
    let rings = || paths_in(&folder.join("rings")).len();
    assert!(rings() >= 1000);
    // 64 descriptors are enough for any number of rings.
    let flush = format!("ulimit -n 64; exec {TOOL} flush --once {}", folder.display());
    let output = printed(Command::new("bash").arg("-c").arg(flush));
    assert!(output.status.success(), "{output:?}");
    let lines = read(&folder, "worker");
    assert_eq!(lines.iter().filter(|line| line.level == "INFO").count(), 20_000);
    assert_eq!(alarms(&lines), 1000);
    assert_eq!(rings(), 5, "only lock, doorbell, journal and offsets are left");
}

/// Folders as a program may name them, below its working directory: by builder, environment and configuration file.
#[test]
fn relative_folders_are_those_of_the_first_setup_wherever_the_process_goes() {
    for how in ["builder", "environment", "file"] {
        let home = Scratch::new("relative");
        std::fs::write(home.join("lastwords.toml"), "dir = \"logs\"\nrings = \"memory\"\n").expect("written");
        let mut command = ACTOR.command();
        command.current_dir(&home).arg("host");
        match how {
            "builder" => command.args(["logs", "rings=memory"]),
            "environment" => command.arg("default").env("LASTWORDS_DIR", "logs").env("LASTWORDS_RINGS", "memory"),
            _ => command.arg("default").env("LASTWORDS_CONFIG", "lastwords.toml"),
        };
        let elsewhere = Scratch::new("relative-elsewhere");
        let chdir = format!("chdir:{}", elsewhere.display());
        let second = if how == "builder" { "flush" } else { "role-anew:audit" };
        command.args(format!("log:10 flush {chdir} {second} flush line:up wait in-child log:2000 flush kill").words());
        let mut actor = Actor::of(&mut command).until("up");
        actor.go();
        actor.end();
        let (logs, rings) = (home.join("logs"), home.join("memory"));
        let output = tool_at(format!("flush --once --rings {}", rings.display()), &logs);
        assert_ne!(output.code, Some(2), "{how}: {output:?}");
        let lines = read(&logs, "host");
        assert_numbered(&lines, 2010, "{how}");
        // The child was killed, and its parent left by _exit.
        assert_eq!(alarms(&lines), 2, "{how}");
        assert_eq!(paths_in(&elsewhere), Vec::<PathBuf>::new(), "{how}: nothing is made elsewhere");
        if how != "builder" {
            let audit = messages(&logs, "audit");
            assert_eq!(
                audit.iter().filter(|text| *text == "anew").count(),
                1,
                "{how}: a second role is in the same folder"
            );
        }
    }
}
