//! File systems that are not like others: btrfs, which finds no room for what was preallocated, FUSE, which lacks calls; and what
//! cleans up folders by age.
//!
//! Mounts need root, and a program each; where one is missing, the test prints that and passes.

use lastwords_tests::actor::{Actor, run, tool, wait_for};
use lastwords_tests::forge;
use lastwords_tests::logs::{crash_files, missing, read};
use lastwords_tests::loopmount::{Bind, LoopMount};
use lastwords_tests::scratch::Scratch;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");
const DAY: Duration = Duration::from_secs(86_400);

/// Fills the file system to the last byte.
fn fill_up(folder: &Path) {
    for n in 0.. {
        let mut file = File::create(folder.join(format!("filler-{n}"))).expect("made");
        let block = vec![n as u8 + 1; if n < 4 { 1 << 20 } else { 4096 }];
        while file.write_all(&block).is_ok() {}
        if n > 5 {
            return;
        }
    }
}

#[test]
fn processes_that_log_on_a_full_btrfs_live() {
    for cow in [false, true] {
        let scratch = Scratch::new("btrfs");
        let mount = match LoopMount::with("btrfs", 128 << 20, scratch.path()) {
            Ok(mount) => mount,
            Err(why) => return println!("skipped: {why}"),
        };
        let folder = mount.path().join("logs");
        let setting = format!("guard={cow}");
        let script =
            ["flusher=never", &setting, "log:50", "line:up", "wait", "log:4000", "threads:3:3000", "line:done", "wait"];
        let mut victim = Actor::start(ACTOR, "victim", &folder, &script).until("up");
        let ring = forge::ring_files(&folder).remove(0);
        let flags = Command::new("lsattr").arg(&ring).output().expect("lsattr");
        assert!(
            String::from_utf8_lossy(&flags.stdout).split(' ').next().is_some_and(|flags| flags.contains('C')),
            "{flags:?}"
        );
        if cow {
            // A snapshot shares the ring's blocks: what is stored now is copied all the same.
            let made = Command::new("btrfs")
                .args(["subvolume", "snapshot"])
                .arg(mount.path())
                .arg(mount.path().join("snapshot"))
                .output();
            assert!(made.expect("btrfs").status.success());
        }
        mount.sync();
        fill_up(mount.path());
        mount.sync();
        victim.go();
        assert_eq!(victim.line(), "done", "copying {cow}: it goes on");
        victim.go();
        assert!(victim.end().success(), "copying {cow}");
    }
}

#[test]
fn a_ring_on_fuse_is_refused_with_advice_and_works_where_it_is_allowed() {
    let scratch = Scratch::new("fuse");
    let mount = match Bind::new(scratch.path()) {
        Ok(mount) => mount,
        Err(why) => return println!("skipped: {why}"),
    };
    let refused =
        Command::new(ACTOR).arg("host").arg(mount.path()).arg("log:1").stdin(Stdio::null()).output().expect("run");
    let printed = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(7), "{printed}");
    for advice in ["FUSE", "`rings` or LASTWORDS_RINGS", "`allow_fuse` or LASTWORDS_ALLOW_FUSE"] {
        assert!(printed.contains(advice), "{printed}");
    }
    let memory = Scratch::within(Path::new("/dev/shm"), "fuse");
    let elsewhere = format!("rings={}", memory.path().display());
    for (what, setting) in [("allowed", "fuse=true"), ("the rings are elsewhere", &elsewhere)] {
        let folder = mount.path().join(what.replace(' ', "-"));
        let _ = run(ACTOR, "worker", &folder, &[setting, "flusher=never", "log:300", "long:200000", "kill"]);
        let mut arguments = vec!["flush".to_owned(), "--once".to_owned(), folder.display().to_string()];
        if setting.starts_with("rings") {
            arguments.extend(["--rings".to_owned(), memory.path().display().to_string()]);
        }
        let output = tool(TOOL, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{what}: {output:?}");
        let lines = read(&folder, "worker");
        assert_eq!(missing(&lines, "line ", 300), 0, "{what}");
        assert_eq!(lines.iter().filter(|line| line.level == "CRITICAL").count(), 1, "{what}");
        assert_eq!(crash_files(&folder).len(), 1, "{what}: {lines:?}");
        let rings = if setting.starts_with("rings") { memory.path().to_owned() } else { folder.join("rings") };
        let left = fs::read_dir(rings)
            .expect("there")
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "ring"));
        assert_eq!(left.count(), 0, "{what}: the ring goes");
    }
}

#[test]
fn a_crash_file_that_can_never_be_written_keeps_no_ring() {
    let folder = Scratch::new("no-crash-file");
    for role in ["host", "worker", "third"] {
        let _ = run(ACTOR, role, folder.path(), &["flusher=never", "log:20", "kill"]);
    }
    // There is a folder under each name that a crash file of these could have, and no file without a name can be linked over
    // it.
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=linkat,renameat2",
        "-e",
        "inject=linkat:error=EIO",
        // The first one gives the flusher's lock its name.
        "-e",
        "inject=renameat2:error=EIO:when=2+",
    ]);
    command.args([TOOL, "flush", "--once"]).arg(folder.path());
    if let Err(error) = Command::new("strace").arg("--version").output() {
        return println!("skipped: strace: {error}");
    }
    let output = command.output().expect("timeout");
    assert!(output.status.success(), "{output:?}");
    assert!(forge::ring_files(folder.path()).is_empty(), "all are gone");
    for role in ["host", "worker", "third"] {
        let lines = read(folder.path(), role);
        assert_eq!(missing(&lines, "line ", 20), 0, "{role}");
        let deaths: Vec<_> = lines.iter().filter(|line| line.level == "CRITICAL").collect();
        assert_eq!(deaths.len(), 1, "{role}");
        assert!(deaths[0].message.contains("its black box could not be kept"), "{role}: {deaths:?}");
    }
}

/// Makes the times of all files in the rings folder those of a month ago.
fn age(folder: &Path) {
    let month = SystemTime::now() - 30 * DAY;
    for entry in fs::read_dir(folder.join("rings")).expect("there").flatten() {
        let stamp = format!("@{}", month.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs());
        let done = Command::new("touch").args(["-h", "-d", &stamp]).arg(entry.path()).status();
        assert!(done.expect("touch").success());
    }
}

fn is_young(path: &Path) -> bool {
    let changed = fs::symlink_metadata(path).and_then(|found| found.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age < DAY))
}

#[test]
fn what_cleans_up_by_age_leaves_the_files_of_a_quiet_service() {
    let folder = Scratch::new("quiet");
    let mut host = Actor::start(ACTOR, "host", folder.path(), &["log:5", "flush", "line:up", "wait", "log:5"]);
    host.line();
    let mut other = Actor::start(
        ACTOR,
        "other",
        folder.path(),
        &["memory=shared", "flusher=never", "log:5", "line:up", "wait", "log:5"],
    );
    other.line();
    let stranger = folder.path().join("rings/of-somebody-else");
    let entries = || fs::read_dir(folder.path().join("rings")).expect("there").flatten().map(|entry| entry.path());
    let names: Vec<_> = entries().collect();
    fs::write(&stranger, "x").expect("written");
    age(folder.path());
    wait_for("the files to be young again", || names.iter().all(|path| is_young(path)).then_some(()));
    clean(folder.path());
    assert!(!stranger.exists(), "what is old and not ours goes");
    assert!(names.iter().all(|path| path.symlink_metadata().is_ok()), "{names:?}");
    for actor in [&mut other, &mut host] {
        actor.finish();
    }
    assert_eq!(missing(&read(folder.path(), "other"), "line ", 10), 0);
    assert_eq!(missing(&read(folder.path(), "host"), "line ", 10), 0);
}

/// Cleans up as systemd-tmpfiles does, by itself where it is installed, else by what it takes for old.
fn clean(folder: &Path) {
    let rule = folder.join("clean.conf");
    fs::write(&rule, format!("e {} - - - mM:10d\n", folder.join("rings").display())).expect("written");
    if let Ok(output) = Command::new("systemd-tmpfiles").arg("--clean").arg(&rule).output() {
        assert!(output.status.success(), "{output:?}");
        return;
    }
    println!("without systemd-tmpfiles: what has not changed for ten days is removed by the test itself");
    for entry in fs::read_dir(folder.join("rings")).expect("there").flatten() {
        if !is_young(&entry.path()) {
            fs::remove_file(entry.path()).expect("removed");
        }
    }
}
