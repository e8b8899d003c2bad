//! Folders that a command is pointed at and that are not what it expects.
//!
//! A command that reads must not make the folder that it was asked to look at: a typing error in `--rings` then gives "no rings", which
//! looks like good news, and a folder of the wrong owner where the next process wants to make its own. So for each command and each
//! kind of wrong folder nothing changes, not even a time, and the error says what was found and what to do.

use lastwords_tests::actor::{Actor, Printed, flush_once, printed, run, succeed, wait_until};
use lastwords_tests::files::snapshot;
use lastwords_tests::logs::read;
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use lastwords_tests::skip_unless;
use lastwords_tests::users::{OTHER, USER, actor_of, as_user, is_root, open_folder, owned};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Commands that read, or that write only where there is something to write; `LOGS` stands for the log folder.
const COMMANDS: [&str; 17] = [
    "status LOGS",
    "status --json LOGS",
    "recover LOGS",
    "recover --json LOGS",
    "recover --black-box LOGS",
    "recover --drain LOGS",
    "show LOGS",
    "show -n 1 LOGS",
    "show --crash -o json LOGS",
    "show --before-crash 3 LOGS",
    "level --dir LOGS",
    "level --dir LOGS worker debug",
    "level --dir LOGS --reset",
    "crashes LOGS",
    "crashes LOGS 1",
    "doctor LOGS",
    "flush --once LOGS",
];

/// Runs a command with `logs` for the log folder, perhaps with rings elsewhere.
fn asked(mut tool: Command, command: &str, logs: &Path, rings: Option<&Path>) -> Printed {
    tool.args(command.words().iter().map(|word| if word == "LOGS" { logs.as_os_str() } else { word.as_ref() }));
    if let Some(rings) = rings {
        tool.arg("--rings").arg(rings);
    }
    printed(tool)
}

/// Exit code of a command for a folder that is not there, and words that say so and what to do.
fn for_missing(command: &str) -> (i32, &'static str) {
    match command.words()[0].as_str() {
        "doctor" => (0, "does not exist and will be made"),
        "flush" => (1, "nothing has logged to"),
        "recover" if !command.contains("--drain") => {
            (2, "it does not exist; name a log folder, a folder of rings or a ring file")
        }
        _ => (2, "there is no such folder; name the one that programs log to (--dir, LASTWORDS_DIR)"),
    }
}

/// The same for a file in its place.
fn for_file(command: &str) -> (i32, &'static str) {
    match command.words()[0].as_str() {
        "doctor" => (3, "it is not a folder -> name a folder of your own"),
        "recover" if command.contains("--drain") => (2, "--drain takes log folders"),
        "recover" => (3, "is not a readable ring: it starts with"),
        "crashes" => (2, "it is not a folder; name the one that programs log to"),
        "show" => (2, "it is not a folder; expected the folder that a program logs to"),
        _ => (2, "it is not a folder; name a folder of your own"),
    }
}

#[test]
fn a_command_makes_nothing_of_a_folder_that_is_not_there() {
    let scratch = Scratch::new("named-missing");
    let file = scratch.join("file");
    fs::write(&file, "no folder").expect("written");
    let before = snapshot(&scratch);
    for command in COMMANDS {
        for (path, (code, words)) in [
            (scratch.join("missing"), for_missing(command)),
            (scratch.join("missing/below"), for_missing(command)),
            (file.clone(), for_file(command)),
        ] {
            let output = asked(TOOL.command(), command, &path, None);
            // The doctor's other findings are about the machine, where it need not be well.
            let code = if command.starts_with("doctor") && code == 0 {
                output.code.filter(|code| *code < 2)
            } else {
                Some(code)
            };
            assert!(output.code == code && output.all().contains(words), "{command} of {}: {output:?}", path.display());
            assert_eq!(snapshot(&scratch), before, "{command} of {}", path.display());
        }
    }
}

#[test]
fn a_command_makes_nothing_of_rings_that_are_not_there() {
    let scratch = Scratch::new("named-rings");
    let (logs, file) = (scratch.join("logs"), scratch.join("file"));
    let _ = run("worker", &logs, "log:3 kill");
    flush_once(&logs);
    fs::write(&file, "no folder").expect("written");
    let before = snapshot(&scratch);
    for command in COMMANDS.iter().filter(|command| !command.starts_with("crashes")) {
        let is = |name: &str| command.starts_with(name);
        for rings in [scratch.join("missing"), scratch.join("missing/below")] {
            let output = asked(TOOL.command(), command, &logs, Some(&rings));
            let (code, words) = match () {
                () if is("doctor") => (output.code.filter(|code| *code < 2), "does not exist and will be made"),
                () if is("flush") => (Some(1), "nothing to drain: cannot find the folder of the rings"),
                () => (Some(2), "there is no such folder; name the one that the processes have, or none"),
            };
            assert!(output.code == code && output.all().contains(words), "{command}: {output:?}");
            assert_eq!(snapshot(&scratch), before, "{command}");
        }
        let output = asked(TOOL.command(), command, &logs, Some(&file));
        let words = "it is not a folder";
        let code = if is("doctor") { 3 } else { 2 };
        assert!(output.code == Some(code) && output.all().contains(words), "{command}: {output:?}");
        assert!(output.all().contains("name the one that the processes have"), "{command}: {output:?}");
        assert_eq!(snapshot(&scratch), before, "{command}");
        // By the variable as by the option.
        let mut tool = TOOL.command();
        tool.env("LASTWORDS_RINGS", &file);
        assert_eq!(asked(tool, command, &logs, None).code, Some(code), "{command}");
    }
}

#[test]
fn what_is_kept_for_later_processes_makes_the_folder_of_their_rings() {
    let scratch = Scratch::new("named-keep");
    let (logs, rings) = (scratch.join("logs"), scratch.join("rings"));
    let keep = "level --dir LOGS worker debug --keep";
    let output = asked(TOOL.command(), keep, &logs, Some(&rings));
    assert!(output.code == Some(2) && output.err.contains("there is no such folder"), "{output:?}");
    assert!(!logs.exists() && !rings.exists());
    fs::create_dir(&logs).expect("made");
    let file = scratch.join("file");
    fs::write(&file, "no folder").expect("written");
    assert_eq!(asked(TOOL.command(), keep, &logs, Some(&file)).code, Some(2));
    asked(TOOL.command(), keep, &logs, Some(&rings)).ended(0);
    assert!(rings.join("worker.level").exists(), "a change for processes that start later needs a place");
}

/// All that a user may see of folders of another's.
#[test]
fn a_command_changes_nothing_in_a_folder_of_another_user() {
    skip_unless!(is_root());
    let (scratch, logs) = open_folder("named-others");
    owned(&scratch, USER, USER, 0o755);
    let mut worker = actor_of(USER, "worker", &logs, "log:3 flush");
    assert!(worker.end().success());
    let (own, rings) = (scratch.join("own"), logs.join("rings"));
    owned(&own, OTHER, OTHER, 0o700);
    let before = snapshot(&scratch);
    let tool = || as_user(OTHER, &*TOOL as &str);
    for command in COMMANDS {
        // A log folder that may not be entered, and one's own with rings that may not.
        let of_logs = asked(tool(), command, &logs, None);
        let code = if command.starts_with("doctor") { 3 } else { 2 };
        let says = [
            "it belongs to user 61234, this process runs as user 61235; name a folder of your own",
            "Permission denied",
        ];
        let is_said = |output: &Printed| says.iter().any(|part| output.all().replace(" -> ", "; ").contains(part));
        assert!(of_logs.code == Some(code) && is_said(&of_logs), "{command}: {of_logs:?}");
        // What is only shown may have rings that cannot be read.
        if !command.starts_with("crashes") && !command.starts_with("show") {
            let of_rings = asked(tool(), command, &own, Some(&rings));
            assert!(of_rings.code == Some(code) && is_said(&of_rings), "{command}: {of_rings:?}");
        }
        assert_eq!(snapshot(&scratch), before, "{command}");
    }
}

#[test]
fn who_may_read_the_files_but_not_the_rings_gets_the_files_wherever_those_are() {
    skip_unless!(is_root());
    let (scratch, logs) = open_folder("named-readers");
    owned(&scratch, USER, USER, 0o755);
    let rings = scratch.join("elsewhere");
    let script = format!("file-mode=644 rings={} log:3 flush", rings.display());
    assert!(actor_of(USER, "worker", &logs, script).end().success());
    fs::set_permissions(&logs, Permissions::from_mode(0o755)).expect("opened");
    for named in [None, Some(rings.as_path())] {
        let output = asked(as_user(OTHER, &*TOOL as &str), "show -o cat LOGS", &logs, named);
        assert_eq!((output.code, output.out.as_str()), (Some(0), "line 0\nline 1\nline 2\n"), "{named:?}: {output:?}");
        assert!(output.err.contains("only its files are shown"), "{named:?}: {output:?}");
    }
}

#[test]
fn what_is_followed_may_appear_later() {
    let scratch = Scratch::new("named-follow");
    let (logs, rings) = (scratch.join("logs"), scratch.join("rings"));
    fs::create_dir(&logs).expect("made");
    let mut command = TOOL.command();
    command.args(["show", "-f", "-o", "cat", "--rings"]).arg(&rings).arg(&logs).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    // Flusherless, so that only the rings have them.
    let script = format!("rings={} flusher=never log:2 line:logged wait", rings.display());
    let _worker = Actor::start("worker", &logs, script).until("logged");
    for expected in ["line 0", "line 1"] {
        assert_eq!(lines.next().expect("a line").expect("read"), expected);
    }
    wait_until("its end", || {
        let _ = child.kill();
        child.try_wait().expect("its own child").is_some()
    });
}

#[test]
fn a_folder_that_is_there_is_shown_with_the_rings_that_are_named() {
    let scratch = Scratch::new("named-shown");
    let (logs, rings): (PathBuf, PathBuf) = (scratch.join("logs"), scratch.join("away"));
    succeed("host", &logs, "log:2 flush");
    let script = format!("rings={} flusher=never log:3 kill", rings.display());
    let _ = run("worker", &logs, &script);
    fs::remove_file(logs.join("rings.path")).expect("noted");
    let show = |named: Option<&Path>| asked(TOOL.command(), "show -o cat LOGS", &logs, named);
    // Without the note nothing leads to them.
    assert_eq!(show(None).out.lines().count(), 2);
    let shown = show(Some(&rings));
    assert_eq!((shown.out.lines().count(), shown.err.as_str()), (5, ""), "{shown:?}");
    let mut tool = TOOL.command();
    tool.env("LASTWORDS_RINGS", &rings);
    assert_eq!(asked(tool, "show -o cat LOGS", &logs, None).out, shown.out);
    assert_eq!(read(&logs, "host").len(), 2);
}

#[test]
fn the_default_folder_of_an_application_is_shown_where_no_other_is_named() {
    let scratch = Scratch::new("named-app");
    for (app, lines) in [("one", "log:1 flush"), ("two", "log:2 flush")] {
        succeed("host", &scratch.join(app).join("logs"), lines);
    }
    let show = |arguments: &str| {
        let mut tool = TOOL.command();
        tool.env("TMPDIR", scratch.path()).env_remove("LASTWORDS_DIR").env_remove("LOGS_DIRECTORY");
        asked(tool, arguments, &scratch.join("one/logs"), None)
    };
    assert_eq!(show("show -o cat --app two").out, "line 0\nline 1\n");
    assert_eq!(show("show -o cat --app one").out, "line 0\n");
    assert_eq!(show("show -o cat --app two --dir LOGS").out, "line 0\n", "a folder that is named counts more");
    let none = show("show --app three");
    assert!(none.code == Some(2) && none.err.contains("three/logs: there is no such folder"), "{none:?}");
}
