//! What `lastwords show` shows of crashes, to other users, and on terminals.

use lastwords_tests::actor::{Actor, Printed, flush_once, printed, run, succeed};
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::terminal::on_a_terminal;
use lastwords_tests::users::{OTHER, USER, acting_as, as_user, is_root, users_folder};
use std::fs;
use std::path::Path;

fn show(arguments: &[&str], folder: &Path) -> Printed {
    printed(TOOL.command().arg("show").args(arguments).arg(folder))
}

/// The messages that are shown, without those of the flusher.
fn messages(arguments: &[&str], folder: &Path) -> Vec<String> {
    let found = show(&[arguments, &["-o", "cat"]].concat(), folder);
    assert_eq!(found.err, "", "{arguments:?}");
    found.out.lines().filter(|line| !line.starts_with("lastwords: ")).map(str::to_owned).collect()
}

#[test]
fn records_of_crash_files_stand_in_their_place_once() {
    for format in ["text", "json", "both"] {
        let scratch = Scratch::new("show-crash");
        let folder = scratch.join("logs");
        let script = format!("format={format} fine:2 log:2 fine:1 log:1 error:last kill");
        let mut actor = Actor::start_with("worker", &folder, &script, &[("LASTWORDS_RING_LEVEL", "trace")]);
        let _ = actor.end();
        flush_once(&folder);
        succeed("host", &folder, format!("format={format} log:2 flush"));
        let logged = ["line 0", "line 1", "line 2", "last", "line 0", "line 1"];
        assert_eq!(messages(&[], &folder), logged, "{format}");
        let all = messages(&["--crash"], &folder);
        let fine: Vec<&String> = all.iter().filter(|message| message.starts_with("fine")).collect();
        assert_eq!(fine.len(), 3, "{format}: {all:?}");
        let others: Vec<&String> = all.iter().filter(|message| !message.starts_with("fine")).collect();
        assert_eq!(others, logged.iter().collect::<Vec<_>>(), "{format}: {all:?}");
        // Within a millisecond, text files have no order among several files.
        let place = |message: &str| all.iter().position(|line| line == message);
        let fine = all.iter().rposition(|line| line.starts_with("fine"));
        assert!(place("line 1") < fine, "{format}: {all:?}");
        assert!(format == "text" || fine < place("line 2"), "{format}: {all:?}");
        // With the thread, which only the crash file has, and without what is below the records.
        let found = show(&["--crash", "-p", "5..9", "-o", "json"], &folder).out;
        assert_eq!((found.lines().count(), found.matches("\"thread_name\":\"main\"").count()), (3, 3), "{found}");
        assert_eq!(messages(&["--crash", "-u", "host"], &folder), ["line 0", "line 1"]);
    }
}

#[test]
fn the_last_records_before_each_death_are_shown_with_the_line_that_tells_of_it() {
    let line = |milli: u32, pid: u32, level: &str, text: &str| {
        format!("2025-10-19 05:55:47.{milli:03} [{pid}] [{level}] {text}\n")
    };
    let died = "lastwords: the process was killed without closing its log (pid 2, role worker); 0 records recovered";
    let host: Vec<String> = (0..100).map(|n| line(n * 5, 1, "INFO", &format!("host {n}"))).collect();
    let worker: Vec<String> = (0..10).map(|n| line(n * 5 + 2, 2, "INFO", &format!("worker {n}"))).collect();
    // The flusher tells of it later.
    let told = [line(300, 2, "CRITICAL", died), line(310, 3, "INFO", "the next")];
    let scratch = Scratch::new("show-deaths");
    fs::write(scratch.join("time_zone"), "UTC +00:00\n").expect("written");
    fs::write(scratch.join("host.log"), host.concat()).expect("written");
    fs::write(scratch.join("worker.log"), [worker.concat(), told.concat()].concat()).expect("written");
    let expected = [&worker[8], &host[9], &worker[9], "--\n", &told[0]];
    assert_eq!(show(&["--before-crash", "3"], &scratch).out, expected.concat());
    assert_eq!(
        show(&["--before-crash", "2", "-u", "worker"], &scratch).out,
        [&worker[8], &worker[9], &told[0]].map(String::as_str).concat()
    );
    assert_eq!(show(&["--before-crash", "0"], &scratch).out, told[0]);
    assert_eq!(show(&["--before-crash", "3", "-u", "host"], &scratch).code, Some(1));
    // A real one.
    let folder = scratch.join("logs");
    let _ = run("worker", &folder, "log:5 flush kill");
    flush_once(&folder);
    succeed("host", &folder, "log:3 flush");
    let found = show(&["--before-crash", "2", "-o", "cat"], &folder).out;
    assert!(found.starts_with("line 3\nline 4\nlastwords: the process "), "{found}");
    assert_eq!(found.lines().count(), 3, "{found}");
}

#[test]
fn who_may_read_the_files_and_not_the_rings_gets_the_files_and_is_told() {
    if !is_root() {
        return;
    }
    let (_scratch, folder) = users_folder("show-users");
    let open = "file-mode=0644 flusher=never log:3 close";
    printed(acting_as(USER, "host", &folder, "file-mode=0644 log:2 flush")).ended(0);
    printed(acting_as(USER, "host", &folder, open)).ended(0);
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("opened");
    let show = |uid, arguments: &[&str]| {
        printed(as_user(uid, &TOOL).arg("show").args(arguments).args(["-o", "cat"]).arg(&folder))
    };
    let owner = show(USER, &[]);
    assert_eq!((&*owner.out, &*owner.err), ("line 0\nline 1\nline 0\nline 1\nline 2\n", ""));
    let other = show(OTHER, &[]);
    assert_eq!((&*other.out, other.code), ("line 0\nline 1\n", Some(0)), "{other:?}");
    assert_eq!((other.err.lines().count(), other.err.contains("only its files")), (1, true), "{other:?}");
    let quiet = show(OTHER, &["-q"]);
    assert_eq!((&*quiet.out, &*quiet.err), ("line 0\nline 1\n", ""));
    let quiet = show(OTHER, &["--quiet"]);
    assert_eq!(quiet.err, "");
    // Root becomes the owner.
    let root = printed(TOOL.command().args(["show", "-o", "cat"]).arg(&folder));
    assert_eq!((root.out, root.err), (owner.out, String::new()));
}

/// What a command prints on a terminal.
fn printed_there(command: &str, environment: &[(&str, &str)]) -> Option<String> {
    let mut script = on_a_terminal(command)?;
    Some(printed(script.envs(environment.iter().copied())).out.replace("\r\n", "\n"))
}

#[test]
fn a_terminal_gets_colours_and_a_pager_and_nothing_that_drives_it() {
    let scratch = Scratch::new("show-terminal");
    fs::write(scratch.join("time_zone"), "UTC +00:00\n").expect("written");
    let line = "2025-10-19 05:55:47.100 [1] [ERROR] x \x1b[2J\n";
    fs::write(scratch.join("host.log"), line).expect("written");
    let tool = format!("{} show", &*TOOL);
    let at = scratch.display();
    let Some(found) = printed_there(&format!("{tool} --no-pager {at}"), &[]) else { return };
    assert!(found.contains("\x1b[31m[ERROR]\x1b[0m x \\x1b[2J"), "{found:?}");
    assert!(found.contains("m[1]\x1b[0m"), "{found:?}");
    let plain = printed_there(&format!("{tool} --no-pager {at}"), &[("NO_COLOR", "1")]).unwrap_or_default();
    assert_eq!(plain, "2025-10-19 05:55:47.100 [1] [ERROR] x \\x1b[2J\n");
    let paged = printed_there(&format!("{tool} {at}"), &[("LASTWORDS_PAGER", "sed s/^/paged:/"), ("NO_COLOR", "1")]);
    assert_eq!(paged.unwrap_or_default(), format!("paged:{plain}"));
    let cat = printed_there(&format!("{tool} {at}"), &[("PAGER", "cat"), ("NO_COLOR", "1")]);
    assert_eq!(cat.unwrap_or_default(), plain);
    // Elsewhere everything is as it is.
    assert_eq!(show(&[], &scratch).out, line);
}
