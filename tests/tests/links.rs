//! A symbolic link in the place of a log folder: followed once, if no other user can have chosen where it leads.

use lastwords_tests::actor::{Actor, printed, run, tool_at};
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs::{count, read};
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use lastwords_tests::skip_unless;
use lastwords_tests::users::{GROUP, OTHER, USER, as_user, assert_all_are, is_root, owned};
use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a process and its children.
fn logged(folder: &Path) -> usize {
    let lines = read(folder, "host");
    count(&lines, "line ") + count(&lines, "child ")
}

/// Runs an actor whose init is expected to fail, and returns what it says.
fn refusal(mut actor: Command, folder: &Path) -> String {
    let output = printed(actor.arg("host").arg(folder).arg("log:1"));
    assert_eq!(output.code, Some(7), "{}: {output:?}", folder.display());
    output.out
}

#[test]
fn a_link_of_ones_own_is_as_good_as_its_folder_for_processes_and_tools() {
    let scratch = Scratch::new("links");
    fs::create_dir_all(scratch.join("here/there")).expect("made");
    let path = |name: &str| scratch.join(name);
    let logs = path("here/logs");
    fs::create_dir(&logs).expect("made");
    symlink(&logs, path("link")).expect("linked");
    symlink("link", path("second")).expect("linked");
    symlink("here/there/../logs", path("relative")).expect("linked");
    symlink("here", path("above")).expect("linked");
    let mut lines = 0;
    for name in ["here/logs", "link", "link/", "link/.", "second", "relative", "above/logs", "above/../link"] {
        let (_, status) = run("host", &path(name), "log:2 flush fork:1");
        assert!(status.success(), "{name}");
        lines += 22;
        assert_eq!(logged(&logs), lines, "{name}");
        let _ = run("host", &path(name), "flusher=never log:3 kill");
        lines += 3;
        for (arguments, code) in [("status", 0), ("recover", 0), ("flush --once", 0), ("flush --once", 1)] {
            let output = tool_at(arguments, path(name));
            assert_eq!(output.code, Some(code), "{name}: {arguments}: {output:?}");
        }
        assert_eq!(logged(&logs), lines, "{name}");
    }
    // Rings too can be named so.
    symlink("here/there", path("rings")).expect("linked");
    let _ = run("host", &path("link"), format!("rings={} flusher=never log:1 kill", path("rings").display()));
    assert_eq!(
        fs::read_to_string(logs.join("rings.path")).expect("noted").trim_end(),
        fs::canonicalize(path("here/there")).expect("there").to_string_lossy()
    );
}

#[test]
fn a_link_to_nothing_or_to_itself_is_refused_and_makes_nothing() {
    let scratch = Scratch::new("links-nowhere");
    let path = |name: &str| scratch.join(name);
    symlink("nowhere", path("dangling")).expect("linked");
    symlink("loop", path("loop")).expect("linked");
    fs::write(path("file"), "").expect("written");
    symlink("file", path("to-file")).expect("linked");
    for (name, why) in [
        ("dangling", "nowhere, but nothing is there; make that folder"),
        ("loop", "it is a symbolic link that leads to itself"),
        ("to-file", "it is not a folder"),
    ] {
        let printed = refusal(ACTOR.command(), &path(name));
        assert!(printed.contains(why), "{name}: {printed}");
        let output = tool_at("status", path(name));
        assert!(output.code == Some(2) && output.err.contains(why), "{output:?}");
    }
    assert!(!path("nowhere").exists());
}

#[test]
fn a_link_that_is_changed_later_changes_nothing_for_those_who_are_there() {
    let scratch = Scratch::new("links-changed");
    let path = |name: &str| scratch.join(name);
    [path("first"), path("second")].iter().for_each(|folder| fs::create_dir_all(folder).expect("made"));
    symlink("first", path("link")).expect("linked");
    let mut host = Actor::start("host", &path("link"), "log:1 flush line:up wait log:1 fork:1 flush").until("up");
    fs::remove_file(path("link")).expect("removed");
    symlink("second", path("link")).expect("linked");
    let _ = run("host", &path("link"), "log:5 flush");
    // Longer than the time between two comparisons of the folder with its path.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    host.finish();
    assert_eq!((logged(&path("first")), logged(&path("second"))), (22, 5));
}

/// The owners, and whether the link is followed.
struct Case {
    what: &'static str,
    /// Owner and mode of the folder that contains the link, and its group.
    place: (u32, u32, u32),
    link: u32,
    /// Owner of the folder to which it leads.
    target: u32,
    /// The user that logs.
    by: u32,
    /// Part of the reason why not.
    refused: Option<&'static str>,
}

const ASTRAY: &str = "others may change names in";

#[rustfmt::skip]
const CASES: [Case; 14] = [
    Case { what: "all the user's", place: (USER, USER, 0o700), link: USER, target: USER, by: USER, refused: None },
    Case { what: "root's link, as of DynamicUser", place: (0, 0, 0o755), link: 0, target: USER, by: USER, refused: None },
    Case { what: "root's link in a folder of root's and a group's, as /var/log is", place: (0, GROUP, 0o775), link: 0, target: USER, by: USER, refused: None },
    Case { what: "the user's link in a sticky folder", place: (0, 0, 0o1777), link: USER, target: USER, by: USER, refused: None },
    Case { what: "the user's link in a folder of the user's own group", place: (USER, USER, 0o775), link: USER, target: USER, by: USER, refused: None },
    Case { what: "root all", place: (0, 0, 0o755), link: 0, target: 0, by: 0, refused: None },
    Case { what: "root through a user's link to that user's folder", place: (USER, USER, 0o755), link: USER, target: USER, by: 0, refused: None },
    Case { what: "another user's link in a sticky folder", place: (0, 0, 0o1777), link: OTHER, target: USER, by: USER, refused: Some("belongs to user 61235, who could have it lead anywhere") },
    Case { what: "a folder that everybody may change", place: (0, 0, 0o777), link: USER, target: USER, by: USER, refused: Some(ASTRAY) },
    Case { what: "the user's link in a folder of another user's", place: (OTHER, OTHER, 0o755), link: USER, target: USER, by: USER, refused: Some(ASTRAY) },
    Case { what: "the user's link in a folder of another group's", place: (USER, GROUP, 0o775), link: USER, target: USER, by: USER, refused: Some(ASTRAY) },
    Case { what: "root's link in a user's folder to another user's", place: (OTHER, OTHER, 0o755), link: 0, target: USER, by: 0, refused: Some(ASTRAY) },
    Case { what: "a user's link that leads root to root's", place: (0, 0, 0o1777), link: USER, target: 0, by: 0, refused: Some("belongs to user 61234") },
    Case { what: "a user's link that leads root to another user's", place: (0, 0, 0o1777), link: OTHER, target: USER, by: 0, refused: Some("belongs to user 61235") },
];

/// The folder with the link, and where it leads.
fn put(case: &Case, scratch: &Path) -> (PathBuf, PathBuf) {
    owned(scratch, 0, 0, 0o755);
    let (place, logs) = (scratch.join("place"), scratch.join("logs"));
    owned(&place, case.place.0, case.place.1, case.place.2);
    owned(&logs, case.target, case.target, 0o700);
    let link = place.join("link");
    symlink(&logs, &link).expect("linked");
    lchown(&link, Some(case.link), Some(case.link)).expect("given away");
    (link, logs)
}

#[test]
fn a_link_is_followed_only_where_nobody_else_can_have_chosen_where_it_leads() {
    skip_unless!(is_root());
    for case in &CASES {
        let scratch = Scratch::new("links-trust");
        let (link, logs) = put(case, &scratch);
        let by = |program: &str| if case.by == 0 { Command::new(program) } else { as_user(case.by, program) };
        let acts = |script: &str| printed(by(&ACTOR).arg("host").arg(&link).args(script.words()));
        let status = || printed(by(&TOOL).arg("status").arg(&link));
        let Some(why) = case.refused else {
            let output = acts("log:3 flush fork:1");
            assert!(output.status.success(), "{}: {output:?}", case.what);
            let _ = acts("flusher=never log:2 kill");
            assert_eq!(status().code, Some(0), "{}", case.what);
            // Root's tool becomes the owner of where it leads.
            let output = tool_at("flush --once", &link);
            assert_eq!(output.code, Some(0), "{}: {output:?}", case.what);
            assert_eq!(logged(&logs), 25, "{}", case.what);
            assert_all_are(&logs, case.target);
            continue;
        };
        let printed = refusal(by(&ACTOR), &link);
        assert!(printed.contains("it is a symbolic link to") && printed.contains(why), "{}: {printed}", case.what);
        let output = status();
        assert_eq!(output.code, Some(2), "{}: {output:?}", case.what);
        assert!(ring_files(&logs).is_empty() && fs::read_dir(&logs).expect("there").count() == 0, "{}", case.what);
    }
}

#[test]
fn a_service_with_a_dynamic_user_logs_where_its_manager_says() {
    skip_unless!(is_root());
    let scratch = Scratch::new("dynamic-user");
    owned(&scratch, 0, 0, 0o755);
    owned(&scratch.join("private"), 0, 0, 0o755);
    let logs = scratch.join("private/app");
    owned(&logs, USER, USER, 0o755);
    symlink("private/app", scratch.join("app")).expect("linked");
    for turn in 1..=2 {
        let mut command = as_user(USER, &ACTOR);
        command.args(["host", "default", "log:4", "flush", "fork:1"]).env_remove("LASTWORDS_DIR");
        let output = printed(command.env("LOGS_DIRECTORY", scratch.join("app")));
        assert!(output.status.success() && output.err.is_empty(), "{output:?}");
        assert_eq!(logged(&logs), 24 * turn);
    }
    assert_all_are(&logs, USER);
}
