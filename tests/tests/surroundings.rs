//! What the flusher's thread inherits from its process: none of it changes what is written, or for whom.

use lastwords_tests::actor::{Actor, printed, run, tool_at};
use lastwords_tests::logs::{count, crash_files, read};
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use lastwords_tests::skip_unless;
use lastwords_tests::users::{USER, acting_as, all_in, as_user, assert_all_are, is_root, owned};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// An actor under this umask. Not as root, which may open everything.
fn under(umask: &str, logs: &Path, script: &str) -> Command {
    let mut command = as_user(USER, "sh");
    command.args(["-c", "umask $0 && exec \"$@\"", umask, &ACTOR, "host"]).arg(logs).args(script.words());
    command
}

#[test]
fn whatever_umask_a_process_has_its_successors_can_go_on() {
    skip_unless!(is_root());
    for umask in ["0", "077", "0177", "0277", "0777"] {
        let scratch = Scratch::new("umask");
        owned(&scratch, USER, USER, 0o755);
        // The folders above are made under it too.
        let logs = scratch.join("a/b");
        let _ = printed(under(umask, &logs, "rotate=40000 log:2000 long:200000 flush fork:1 kill"));
        let output = printed(acting_as(USER, "host", &logs, "rotate=40000 log:1000 flush"));
        assert!(output.status.success() && output.err.is_empty(), "{umask}: {output:?}");
        let output = printed(as_user(USER, &TOOL).args(["flush", "--once"]).arg(&logs));
        assert!(output.err.is_empty() || output.code != Some(2), "{umask}: {output:?}");
        let crash = crash_files(&logs);
        assert_eq!((count(&read(&logs, "host"), "line "), crash.len()), (3000, 1), "{umask}");
        for path in all_in(&logs) {
            let mode = path.symlink_metadata().expect("there").permissions().mode() & 0o777;
            assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{umask}: {}", path.display());
            assert!(!path.to_string_lossy().contains(".aside-"), "{umask}: {}", path.display());
        }
        assert_all_are(&logs, USER);
    }
}

#[test]
fn files_that_are_there_keep_the_mode_that_somebody_gave_them() {
    let folder = Scratch::new("mode-kept");
    let _ = run("host", &folder, "log:1 flush");
    let log = folder.join("host.log");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o664)).expect("changed");
    let _ = run("host", &folder, "log:1 flush");
    assert_eq!(log.metadata().expect("there").permissions().mode() & 0o777, 0o664);
    assert_eq!(count(&read(&folder, "host"), "line "), 2);
}

/// Scheduling policy of the threads with this name.
fn policies(pid: u32, name: &str) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("listed").map(|task| task.expect("a task").path());
    let named = tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name));
    let policy = |task: std::path::PathBuf| {
        let stat = fs::read_to_string(task.join("stat")).expect("stat");
        // Field 41; the second one ends with the last bracket.
        let (_, fields) = stat.rsplit_once(')').expect("fields");
        fields.split_ascii_whitespace().nth(38).expect("41 fields").parse().expect("a number")
    };
    named.map(policy).collect()
}

#[test]
fn threads_of_ours_are_no_real_time_threads_where_the_one_that_starts_them_is() {
    let real_time = Command::new("chrt").args(["-f", "1", "true"]).stdin(Stdio::null()).status();
    if !real_time.is_ok_and(|status| status.success()) {
        return println!("skipped: no real-time process can be made here");
    }
    let folder = Scratch::new("real-time");
    let mut command = Command::new("chrt");
    command.args(["-f", "1", &ACTOR, "host"]).arg(&folder).args(["console=true", "log:10", "flush", "line:up", "wait"]);
    let mut actor = Actor::of(command.stderr(Stdio::null())).until("up");
    assert_eq!(policies(actor.pid(), "actor"), [1], "the program's own thread stays what it was");
    assert_eq!((policies(actor.pid(), "lastwords"), policies(actor.pid(), "lastwords-con")), (vec![0], vec![0]));
    actor.finish();
    assert_eq!(count(&read(&folder, "host"), "line "), 10);
}

#[test]
fn words_numbers_and_places_are_the_same_whatever_locale_home_and_directory_are() {
    let folder = Scratch::new("locale");
    let surroundings =
        [("LC_ALL", "de_DE.UTF-8"), ("LANG", "tr_TR"), ("HOME", "/nowhere"), ("TMPDIR", "/nowhere"), ("TZ", "UTC")];
    let mut actor = ACTOR.acting("host", &folder, "flusher=never log:2 kill");
    let _ = printed(actor.envs(surroundings).current_dir("/"));
    let mut flush = TOOL.command();
    printed(flush.envs(surroundings).current_dir(&folder).args(["flush", "--once", "."])).ended(0);
    let lines = read(&folder, "host");
    assert_eq!(count(&lines, "line "), 2);
    let death = lines[2].message.strip_prefix("lastwords: the process ").expect("a death line");
    assert!(death.starts_with("died without closing its log") || death.contains("was killed by SIGKILL"), "{death}");
    let output = tool_at("status", &folder);
    assert_ne!(output.code, Some(2), "{output:?}");
}
