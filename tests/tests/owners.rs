//! Owners of folders: one user writes there, whatever other users do in it.
//!
//! An administrator who flushes a user's folder once must not leave files in it that the user can neither write nor remove. A
//! user who exchanges the folder for a link meanwhile must not have root write elsewhere. And a program that starts as root
//! and gives that up has its log where the user whom it becomes can write it. Only root can be all of these users.

use lastwords_tests::actor::{Actor, die, flush_rest, printed, succeed, tool_at, wait_until};
use lastwords_tests::files::{name_of, paths_in};
use lastwords_tests::logs::{alarms, count, crash_files, missing, read, read_so_far};
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::skip_unless;
use lastwords_tests::users::{
    OTHER, USER, acting_as, actor_of, all_in, as_user, assert_all_are, is_root, open_folder, owned, users_folder,
};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A folder of a user's with a log folder of the same user's in it.
fn made_folder(name: &str) -> (Scratch, PathBuf) {
    let (scratch, logs) = users_folder(name);
    owned(&logs, USER, USER, 0o700);
    (scratch, logs)
}

#[test]
fn what_a_tool_of_root_does_in_a_users_folder_it_does_as_that_user() {
    skip_unless!(is_root());
    for tool_arguments in ["flush --once", "recover --drain", "recover", "status", "level info --dir", "pipe --dir"] {
        let (_scratch, logs) = made_folder("tool");
        assert!(!actor_of(USER, "worker", &logs, "flusher=never log:200 long:200000 kill").end().success());
        let output = tool_at(tool_arguments, &logs);
        assert_ne!(output.code, Some(2), "{output:?}");
        assert_all_are(&logs, USER);
        assert!(actor_of(USER, "worker", &logs, "log:100 flush").end().success(), "{tool_arguments:?}");
        let output = printed(as_user(USER, &TOOL).args(["flush", "--once"]).arg(&logs));
        assert_ne!(output.code, Some(2), "{output:?}");
        assert_eq!(count(&read(&logs, "worker"), "line "), 300, "{tool_arguments:?}");
        assert_eq!(crash_files(&logs).len(), 1);
        assert_all_are(&logs, USER);
    }
}

/// What a folder of root's must still be.
fn state(folder: &Path) -> Vec<(PathBuf, u64, i64, i64)> {
    let mut found = all_in(folder);
    found.push(folder.to_owned());
    let state = |path: PathBuf| {
        let found = path.symlink_metadata().expect("there");
        (path, found.ino(), found.mtime(), found.mtime_nsec())
    };
    found.into_iter().map(state).collect()
}

/// A folder of root's in which a dead process has left a ring, below a folder that anybody may read.
fn roots_folder(scratch: &Path) -> PathBuf {
    let root = scratch.join("root");
    owned(&root, 0, 0, 0o755);
    let logs = root.join("logs");
    die("worker", &logs, "rotate=4096 flusher=never log:200 kill");
    fs::write(logs.join("worker.log"), "x".repeat(4000) + "\n").expect("written");
    logs
}

/// Exchanges what two names lead to, again and again.
fn exchange(a: &Path, b: &Path, done: &AtomicBool) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    while !done.load(Ordering::Acquire) {
        renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).expect("exchanged");
        std::thread::sleep(Duration::from_micros(300));
    }
}

#[test]
fn root_that_flushes_while_the_folder_is_exchanged_for_a_link_writes_nowhere_else() {
    skip_unless!(is_root());
    for above in [false, true] {
        let (scratch, _) = open_folder("exchanged");
        let roots = roots_folder(&scratch);
        let before = state(&roots);
        let (user, own) = (scratch.join("user"), scratch.join("user/own/logs"));
        [&user, &user.join("own"), &own].iter().for_each(|path| owned(path, USER, USER, 0o755));
        let (name, link) =
            if above { (user.join("own"), user.join("link")) } else { (own.clone(), user.join("own/link")) };
        let target = if above { roots.parent().expect("above").to_owned() } else { roots.clone() };
        std::os::unix::fs::symlink(target, &link).expect("linked");
        let (done, started, mut refused) = (AtomicBool::new(false), Instant::now(), 0);
        std::thread::scope(|scope| {
            scope.spawn(|| exchange(&name, &link, &done));
            for _ in 0..150 {
                refused += u32::from(tool_at("flush --once", &own).code == Some(2));
                if started.elapsed() > Duration::from_secs(10) {
                    break;
                }
            }
            done.store(true, Ordering::Release);
        });
        assert_eq!(state(&roots), before, "refused {refused} times; a link above: {above}");
        assert!(refused > 0, "the link was never met");
    }
}

#[test]
fn a_process_of_root_does_not_follow_its_path_into_another_folder_of_roots() {
    skip_unless!(is_root());
    let scratch = Scratch::new("astray");
    let roots = roots_folder(&scratch);
    let before = state(&roots);
    let (user, link) = (scratch.join("user"), scratch.join("link"));
    owned(&user, USER, USER, 0o755);
    let logs = user.join("own/logs");
    owned(&user.join("own"), USER, USER, 0o755);
    let mut actor = Actor::start("host", &logs, "log:10 flush line:up wait log:10 flush").until("up");
    std::os::unix::fs::symlink(roots.parent().expect("above"), &link).expect("linked");
    let kept = user.join("kept");
    fs::rename(user.join("own"), &kept).expect("moved away");
    fs::rename(&link, user.join("own")).expect("put there");
    // Longer than the time between two comparisons of the folder with its path.
    std::thread::sleep(Duration::from_millis(1500));
    actor.finish();
    assert_eq!(state(&roots), before);
    assert_eq!(count(&read(&kept.join("logs"), "host"), "line "), 20);
}

#[test]
fn a_process_of_root_makes_its_files_as_the_owner_of_the_folder() {
    skip_unless!(is_root());
    for memory in ["", "memory=shared"] {
        let (_scratch, logs) = made_folder("acts");
        let script = format!("{memory} rotate=40000 policy=block log:2000 long:200000 flush fork:3 line:up wait");
        let mut host = Actor::start("host", &logs, script).until("up");
        die("worker", &logs, "log:10 attach:notes flush kill");
        wait_until("the crash file", || !crash_files(&logs).is_empty());
        assert_all_are(&logs, USER);
        let shared = paths_in(Path::new("/dev/shm")).into_iter();
        let shared = shared.filter(|path| name_of(path).contains(&format!("-{}-", host.pid())));
        shared.for_each(|path| assert_eq!(path.metadata().expect("there").uid(), USER));
        // A process of the owner's takes over from one of root's.
        let mut user = actor_of(USER, "worker", &logs, "log:10 flush line:up wait log:10 flush").until("up");
        host.kill();
        wait_until("the death line", || alarms(&read_so_far(&logs, "host")) > 0);
        user.finish();
        flush_rest(&logs);
        assert_eq!(missing(&read(&logs, "host"), "line ", 2000), 0);
        assert_eq!(count(&read(&logs, "host"), "child "), 60);
        assert_eq!(count(&read(&logs, "worker"), "line "), 30);
        assert_all_are(&logs, USER);
    }
}

#[test]
fn who_becomes_the_folders_owner_after_the_setup_loses_nothing() {
    skip_unless!(is_root());
    let (_scratch, logs) = made_folder("becomes");
    let script =
        format!("rotate=100000 log:10 flush become:{USER} log:10000 fork-log:2 long:200000 flush line:up wait");
    let mut actor = Actor::start("host", &logs, script).until("up");
    let lines = read_so_far(&logs, "host");
    assert_eq!(count(&lines, "line "), 10_010 + 10, "and those of two children");
    actor.kill();
    flush_rest(&logs);
    assert_eq!(crash_files(&logs).len(), 1, "its death is noticed");
    assert_all_are(&logs, USER);
}

#[test]
fn a_worker_of_the_owner_below_a_master_of_root_loses_nothing() {
    skip_unless!(is_root());
    let (_scratch, logs) = made_folder("master");
    let script = format!("log:1 flush in-child become:{USER} log:2000 flush line:up wait");
    let mut master = Actor::start("host", &logs, script).until("up");
    assert_eq!(count(&read_so_far(&logs, "host"), "line "), 2001);
    master.go();
    master.end();
    assert_all_are(&logs, USER);
}

#[test]
fn who_becomes_somebody_else_than_the_owner_is_told_what_to_do_and_root_finds_the_rest() {
    skip_unless!(is_root());
    let scratch = Scratch::new("lost-rights");
    let logs = scratch.join("logs");
    let script = format!("log:10 flush become:{OTHER} sleep:1500 log:5 fork-log:1 sleep:1200");
    let output = printed(ACTOR.acting("host", &logs, script));
    assert!(output.status.success(), "the program itself goes on");
    let printed = output.err;
    let reported = |what: &str| printed.lines().filter(|line| line.contains(what)).count();
    assert_eq!(reported("cannot flush any more"), 1, "{printed}");
    assert_eq!(reported("cannot log yet"), 1, "{printed}");
    assert_eq!(reported(&format!("belongs to user 0, this process runs as user {OTHER}")), 2, "{printed}");
    assert_eq!(reported("chown -R"), 2, "{printed}");
    let lines = read_so_far(&logs, "host");
    assert_eq!(lines.iter().filter(|line| line.message.contains("cannot flush any more")).count(), 1, "{lines:?}");
    flush_rest(&logs);
    assert_eq!(count(&read(&logs, "host"), "line "), 15);
}

#[test]
fn a_folder_of_another_user_is_refused_with_what_to_do() {
    skip_unless!(is_root());
    let (scratch, logs) = made_folder("refused");
    fs::set_permissions(&logs, Permissions::from_mode(0o777)).expect("changed");
    let refused = |command: &mut Command, code: i32, why: &str| {
        let output = printed(command);
        assert!(output.code == Some(code) && output.all().contains(why), "{why}: {output:?}");
    };
    refused(&mut acting_as(OTHER, "host", &logs, ""), 7, &format!("belongs to user {USER}"));
    refused(as_user(OTHER, &TOOL).args(["flush", "--once"]).arg(&logs), 2, "");
    // Root without the right to become anybody.
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-setuid,-setgid", "--inh-caps=-all", &TOOL, "flush", "--once"]).arg(&logs);
    refused(&mut command, 2, "CAP_SETUID");
    assert!(!logs.join("rings").exists(), "nothing was touched");
    // Folders of two owners.
    let other = scratch.join("other");
    owned(&other, OTHER, OTHER, 0o700);
    refused(TOOL.command().args(["recover", "--drain"]).args([&logs, &other]), 2, "one owner at a time");
}

#[test]
fn in_a_user_namespace_the_owner_is_who_that_namespace_knows() {
    skip_unless!(is_root());
    let (_scratch, logs) = made_folder("namespace");
    assert!(!actor_of(USER, "worker", &logs, "flusher=never log:20 kill").end().success());
    // Of root's namespace, in which the user is nobody.
    let unshared = |uid: u32| printed(as_user(uid, "unshare").args(["-Ur", &TOOL, "flush", "--once"]).arg(&logs));
    let output = unshared(0);
    let printed = &output.err;
    if printed.contains("unshare failed") {
        println!("skipped: {printed}");
        return;
    }
    assert!(output.code == Some(2) && printed.contains("this user namespace does not know"), "{printed}");
    // And the user as the root of its own.
    let output = unshared(USER);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(count(&read(&logs, "worker"), "line "), 20);
    assert_all_are(&logs, USER);
    let mut actor =
        Actor::of(as_user(USER, "unshare").args(["-Ur", &ACTOR, "worker"]).arg(&logs).args(["log:20", "flush"]));
    assert!(actor.end().success());
    assert_eq!(count(&read(&logs, "worker"), "line "), 40);
    assert_all_are(&logs, USER);
}

#[test]
fn who_becomes_a_user_before_the_setup_has_a_folder_of_that_users() {
    skip_unless!(is_root());
    let (_scratch, logs) = users_folder("before");
    succeed("host", &logs, format!("before:become:{USER} log:10 fork-log:2 flush"));
    flush_rest(&logs);
    assert_eq!(count(&read(&logs, "host"), "line "), 20);
    assert_all_are(&logs, USER);
}
