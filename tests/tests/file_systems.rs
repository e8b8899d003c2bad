//! File systems that are not like others: btrfs, which finds no room for what was preallocated, FUSE, which lacks calls; and what
//! cleans up folders by age.
//!
//! Mounts need root, and a program each; where one is missing, the test prints that and passes.

use lastwords_tests::actor::{Actor, Printed, printed, run, tool_at, wait_until};
use lastwords_tests::files::paths_in;
use lastwords_tests::forge;
use lastwords_tests::logs::{alarms, crash_files, missing, read};
use lastwords_tests::loopmount::{Bind, LoopMount};
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

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
        let mount = match LoopMount::with("btrfs", 128 << 20, &scratch) {
            Ok(mount) => mount,
            Err(why) => return println!("skipped: {why}"),
        };
        let folder = mount.path().join("logs");
        let setting = format!("guard={cow}");
        let script = format!("flusher=never {setting} log:50 line:up wait log:4000 threads:3:3000 line:done wait");
        let mut victim = Actor::start("victim", &folder, &script).until("up");
        let ring = forge::ring_files(&folder).remove(0);
        let flags = printed(Command::new("lsattr").arg(&ring));
        assert!(flags.out.split(' ').next().is_some_and(|flags| flags.contains('C')), "{flags:?}");
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
    let mount = match Bind::new(&scratch) {
        Ok(mount) => mount,
        Err(why) => return println!("skipped: {why}"),
    };
    let Printed { code, out: refused, .. } = printed(ACTOR.acting("host", mount.path(), "log:1"));
    assert_eq!(code, Some(7), "{refused}");
    for advice in ["FUSE", "`rings` or LASTWORDS_RINGS", "`allow_fuse` or LASTWORDS_ALLOW_FUSE"] {
        assert!(refused.contains(advice), "{refused}");
    }
    let memory = Scratch::within(Path::new("/dev/shm"), "fuse");
    let elsewhere = format!("rings={}", memory.display());
    for (what, setting) in [("allowed", "fuse=true"), ("the rings are elsewhere", &elsewhere)] {
        let folder = mount.path().join(what.replace(' ', "-"));
        let _ = run("worker", &folder, format!("{setting} flusher=never log:300 long:200000 kill"));
        let is_elsewhere = setting.starts_with("rings");
        let rings = if is_elsewhere { memory.path().to_owned() } else { folder.join("rings") };
        let option = if is_elsewhere { format!("--rings {}", rings.display()) } else { String::new() };
        let output = tool_at(format!("flush --once {option}"), &folder);
        assert!(output.status.success(), "{what}: {output:?}");
        let lines = read(&folder, "worker");
        assert_eq!(missing(&lines, "line ", 300), 0, "{what}");
        assert_eq!(alarms(&lines), 1, "{what}");
        assert_eq!(crash_files(&folder).len(), 1, "{what}: {lines:?}");
        let is_ring = |path: &PathBuf| path.extension().is_some_and(|end| end == "ring");
        assert_eq!(paths_in(&rings).into_iter().find(is_ring), None, "{what}: the ring goes");
    }
}

#[test]
fn a_crash_file_that_can_never_be_written_keeps_no_ring() {
    let folder = Scratch::new("no-crash-file");
    for role in ["host", "worker", "third"] {
        let _ = run(role, &folder, "flusher=never log:20 kill");
    }
    // There is a folder under each name that a crash file of these could have, and no file without a name can be linked over
    // it.
    let mut command = Command::new("strace");
    command.args("-f -qq -o /dev/null -e trace=linkat,renameat2 -e inject=linkat:error=EIO".words());
    // The first one gives the flusher's lock its name.
    command.args(["-e", "inject=renameat2:error=EIO:when=2+", &TOOL, "flush", "--once"]).arg(&folder);
    if let Err(error) = Command::new("strace").arg("--version").output() {
        return println!("skipped: strace: {error}");
    }
    let output = printed(command);
    assert!(output.status.success(), "{output:?}");
    assert!(forge::ring_files(&folder).is_empty(), "all are gone");
    for role in ["host", "worker", "third"] {
        let lines = read(&folder, role);
        assert_eq!(missing(&lines, "line ", 20), 0, "{role}");
        let deaths: Vec<_> = lines.iter().filter(|line| line.level == "CRITICAL").collect();
        assert_eq!(deaths.len(), 1, "{role}");
        assert!(deaths[0].message.contains("its black box could not be kept"), "{role}: {deaths:?}");
    }
}

/// Makes the times of all files in the rings folder those of a month ago.
fn age(folder: &Path) {
    let month = SystemTime::now() - 30 * DAY;
    let stamp = format!("@{}", month.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs());
    let files = paths_in(&folder.join("rings"));
    assert!(Command::new("touch").args(["-h", "-d", &stamp]).args(files).status().expect("touch").success());
}

fn is_young(path: &Path) -> bool {
    let changed = fs::symlink_metadata(path).and_then(|found| found.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age < DAY))
}

#[test]
fn what_cleans_up_by_age_leaves_the_files_of_a_quiet_service() {
    let folder = Scratch::new("quiet");
    let mut host = Actor::start("host", &folder, "log:5 flush line:up wait log:5").until("up");
    let mut other = Actor::start("other", &folder, "memory=shared flusher=never log:5 line:up wait log:5").until("up");
    let stranger = folder.join("rings/of-somebody-else");
    let names = paths_in(&folder.join("rings"));
    fs::write(&stranger, "x").expect("written");
    age(&folder);
    wait_until("the files to be young again", || names.iter().all(|path| is_young(path)));
    clean(&folder);
    assert!(!stranger.exists(), "what is old and not ours goes");
    assert!(names.iter().all(|path| path.symlink_metadata().is_ok()), "{names:?}");
    for actor in [&mut other, &mut host] {
        actor.finish();
    }
    assert_eq!(missing(&read(&folder, "other"), "line ", 10), 0);
    assert_eq!(missing(&read(&folder, "host"), "line ", 10), 0);
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
    for old in paths_in(&folder.join("rings")).iter().filter(|path| !is_young(path)) {
        fs::remove_file(old).expect("removed");
    }
}
