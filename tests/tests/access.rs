//! Read access to the logs: one user writes them, others read by mode and group.
//!
//! An agent that collects logs runs as another user. Without a way to let it read, people give it root's rights, or open the
//! whole folder, in which the rings hold what no log is to show.

use lastwords_tests::actor::{Actor, Printed, printed, run, succeed, tool_at};
use lastwords_tests::logs::{count, crash_files, files, read};
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use lastwords_tests::skip_unless;
use lastwords_tests::users::{
    GROUP, OTHER, USER, access_of, acting_as, actor_of, all_in, assert_all_are, in_group, is_root, open_folder, owned,
    users_folder,
};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn reads(uid: u32, path: &Path) -> bool {
    in_group(uid, "cat").arg(path).output().expect("cat").status.success()
}

fn run_in_group(uid: u32, folder: &Path, script: &str) -> Printed {
    printed(in_group(uid, &ACTOR).arg("worker").arg(folder).args(script.words()))
}

fn lines(folder: &Path) -> usize {
    count(&read(folder, "worker"), "line ")
}

/// The rings folder and everything in it is the user's alone.
fn assert_rings_are_private(folder: &Path) {
    assert_eq!(access_of(&folder.join("rings")).0 & 0o777, 0o700);
    for path in all_in(&folder.join("rings")) {
        assert_eq!(access_of(&path).0 & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn log_and_crash_files_have_the_mode_and_group_that_are_asked_for_and_rings_have_not() {
    skip_unless!(is_root());
    let (_scratch, logs) = users_folder("mode-group");
    let logs = logs.join("deep/folder");
    let script = format!("file-mode=0640 file-group={GROUP} format=both rotate=8000 log:1000 long:100000 flush kill");
    let _ = run_in_group(USER, &logs, &script);
    // Another role's flusher, which was asked for nothing, does what the rings say.
    assert!(in_group(USER, &ACTOR).arg("host").arg(&logs).arg("log:5").status().expect("run").success());
    assert_eq!(access_of(&logs), (0o750, GROUP));
    let crash = crash_files(&logs);
    assert_eq!(crash.len(), 1);
    let rotated = files(&logs, "worker");
    assert!(rotated.len() > 2, "{rotated:?}");
    for path in rotated.iter().chain(&crash).chain(&[logs.join("worker.jsonl")]) {
        assert_eq!(access_of(path), (0o640, GROUP), "{}", path.display());
        assert!(reads(OTHER, path), "{}", path.display());
    }
    assert_eq!(access_of(&logs.join("host.log")), (0o600, USER));
    assert_rings_are_private(&logs);
    assert!(!reads(OTHER, &logs.join("rings/journal.a")) && !reads(OTHER, &logs.join("host.log")));
}

#[test]
fn a_group_that_the_user_is_not_in_is_refused_with_the_way_that_works() {
    skip_unless!(is_root());
    let (scratch, logs) = users_folder("not-in-group");
    let group = format!("file-group={GROUP}");
    let Printed { code, out: said, .. } = printed(acting_as(USER, "worker", &logs, &group));
    assert_eq!(code, Some(7), "{said}");
    for part in ["file_group", "not in", &format!("chgrp {GROUP} {}", logs.display()), "chmod g+s"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(all_in(&logs).iter().filter(|path| path.is_file()).count(), 0, "nothing is left");
    // The way that it names.
    owned(&logs, USER, GROUP, 0o2750);
    assert!(actor_of(USER, "worker", &logs, "file-mode=0640 log:5").end().success());
    assert_eq!(access_of(&logs.join("worker.log")), (0o640, GROUP));
    assert!(reads(OTHER, &logs.join("worker.log")));
    assert_rings_are_private(&logs);
    // And for a process of root's, which acts as the folder's owner.
    let own = scratch.join("own");
    owned(&own, USER, USER, 0o755);
    printed(ACTOR.acting("worker", &own, &group)).ended(7);
}

#[test]
fn environment_and_file_say_the_same_and_what_cannot_be_is_refused() {
    let scratch = Scratch::new("said");
    let config = scratch.join("lastwords.toml");
    fs::write(&config, "file_mode = \"0644\"\n").expect("written");
    let config = config.to_string_lossy().into_owned();
    for (name, env) in [("env", [("LASTWORDS_FILE_MODE", "644")]), ("toml", [("LASTWORDS_CONFIG", &*config)])] {
        let logs = scratch.join(name);
        assert!(Actor::start_with("worker", &logs, "log:5", &env).end().success());
        assert_eq!(access_of(&logs.join("worker.log")).0, 0o644, "{name}");
        assert_eq!(access_of(&logs).0, 0o755, "{name}");
        assert_rings_are_private(&logs);
    }
    for (variable, value, part) in [
        ("LASTWORDS_FILE_MODE", "0666", "0666 found, expected 0600, 0640"),
        ("LASTWORDS_FILE_MODE", "4640", "4640 found"),
        ("LASTWORDS_FILE_MODE", "0440", "0440 found"),
        ("LASTWORDS_FILE_MODE", "rw-r-----", "expected an octal mode"),
        ("LASTWORDS_FILE_GROUP", "no-such-group", "\"no-such-group\" found, expected the name"),
    ] {
        let mut command = ACTOR.acting("worker", &scratch.join("refused"), "");
        let Printed { code, out: said, .. } = printed(command.env(variable, value));
        assert!(code == Some(7) && said.contains(part), "{variable}={value}: {said}");
    }
}

#[test]
fn a_file_that_is_there_gets_its_mode_where_one_is_asked_for_and_stays_as_it_is_elsewhere() {
    let folder = Scratch::new("there");
    let log = folder.join("worker.log");
    succeed("worker", &folder, "log:5");
    assert_eq!(access_of(&log).0, 0o600);
    succeed("worker", &folder, "file-mode=0640 log:5");
    assert_eq!(access_of(&log).0, 0o640);
    fs::set_permissions(&log, Permissions::from_mode(0o604)).expect("changed");
    succeed("worker", &folder, "log:5");
    assert_eq!(access_of(&log).0, 0o604, "as somebody has made it");
    let _ = run("worker", &folder, "flusher=never log:5 kill");
    tool_at("flush --once --file-mode 0644", &folder).ended(0);
    assert_eq!(access_of(&log).0, 0o644);
    assert_eq!(crash_files(&folder).iter().map(|path| access_of(path).0).collect::<Vec<_>>(), [0o644]);
    tool_at("flush --once --file-mode 0660", &folder).ended(2);
}

#[test]
fn a_folder_of_a_groups_is_used_where_that_is_asked_for() {
    skip_unless!(is_root());
    let (_scratch, logs) = open_folder("group-folder");
    owned(&logs, 0, GROUP, 0o2775);
    let refused = run_in_group(USER, &logs, "log:1");
    assert!(refused.code == Some(7) && refused.out.contains("group_folder"), "{refused:?}");
    let killed = run_in_group(USER, &logs, "group-folder=true file-mode=0640 rotate=8000 log:500 flush log:5 kill");
    assert_eq!(killed.code, None, "{killed:?}");
    // By the user, and by root.
    for mut tool_of in [in_group(USER, &TOOL), TOOL.command()] {
        let output = printed(tool_of.args(["flush", "--once"]).arg(&logs));
        assert_ne!(output.code, Some(2), "{output:?}");
        assert_all_are(&logs, USER);
    }
    assert_eq!(access_of(&logs.join("worker.log")), (0o640, GROUP));
    assert_eq!(lines(&logs), 505);
    assert_eq!(crash_files(&logs).len(), 1);
    assert_rings_are_private(&logs);
    // One user writes there: the other's rings are refused.
    let output = run_in_group(OTHER, &logs, "group-folder=true");
    let why = format!("rings cannot be the log folder: it belongs to user {USER}");
    assert!(output.code == Some(7) && output.out.contains(&why), "{output:?}");
}

#[test]
fn a_folder_that_is_nobodys_or_everybodys_is_refused_as_a_groups() {
    skip_unless!(is_root());
    for (gid, mode, why) in [
        (GROUP, 0o2777, "anybody may write"),
        (GROUP, 0o0775, "new files have another group"),
        (GROUP, 0o2755, "the group may not write"),
        (GROUP + 1, 0o2775, "another group"),
    ] {
        let (_scratch, logs) = open_folder("no-group-folder");
        owned(&logs, 0, gid, mode);
        let Printed { code, out: said, .. } = run_in_group(USER, &logs, "group-folder=true log:1");
        assert!(code == Some(7) && said.contains("not a folder of a group"), "{why}: {said}");
        assert_eq!(all_in(&logs), Vec::<PathBuf>::new(), "{why}");
    }
    // The process's own group needs no bit.
    let (_scratch, logs) = open_folder("own-group-folder");
    owned(&logs, 0, USER, 0o775);
    assert!(actor_of(USER, "worker", &logs, "group-folder=true log:5").end().success());
    assert_eq!(lines(&logs), 5);
}
