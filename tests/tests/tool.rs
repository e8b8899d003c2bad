//! What the tool does with folders, files and names as people give them.

use lastwords_tests::actor::{Actor, run, tool, wait_for};
use lastwords_tests::logs::read;
use lastwords_tests::scratch::Scratch;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

fn text(path: &Path) -> String {
    path.to_str().expect("text").to_owned()
}

fn rings(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "ring")).collect()
}

/// A folder with the ring of a dead process, with `lines` and the rings at `more`.
fn dead(folder: &Path, more: &[&str]) {
    let _ = run(ACTOR, "worker", folder, &[more, &["flusher=never", "log:5", "kill"]].concat());
}

fn lines(output: &Output) -> usize {
    String::from_utf8_lossy(&output.stdout).lines().count()
}

#[test]
fn a_folder_that_is_named_counts_more_than_the_variable() {
    let (here, elsewhere) = (Scratch::new("named"), Scratch::new("variable"));
    dead(here.path(), &[]);
    for (arguments, code) in [
        (vec!["status", "HERE"], 0),
        (vec!["status", "--dir", "HERE"], 0),
        (vec!["level", "--dir", "HERE"], 1),
        (vec!["flush", "--once", "HERE"], 0),
    ] {
        let here = text(here.path());
        let arguments = arguments.iter().map(|argument| if *argument == "HERE" { here.as_str() } else { argument });
        let output = Command::new(TOOL)
            .args(arguments.clone())
            .env("LASTWORDS_DIR", elsewhere.path())
            .output()
            .expect("it runs");
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{:?}: {printed}", arguments.collect::<Vec<_>>());
    }
    assert_eq!(read(here.path(), "worker").len(), 6);
    // An empty variable says nothing.
    for name in ["LASTWORDS_DIR", "LASTWORDS_RINGS", "LASTWORDS_DURABLE", "LASTWORDS_ROLE"] {
        let output = Command::new(TOOL)
            .args(["flush", "--once", "--dir"])
            .arg(here.path())
            .env(name, "")
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
    }
}

#[test]
fn the_folder_of_a_service_is_used_where_nothing_else_is_named() {
    let (logs, other) = (Scratch::new("service"), Scratch::new("service-named"));
    let mut actor = Command::new(ACTOR)
        .args(["worker", "default", "log:3", "flush"])
        .env("LOGS_DIRECTORY", format!("{}:/nowhere", text(logs.path())))
        .env_remove("LASTWORDS_DIR")
        .stdin(Stdio::null())
        .spawn()
        .expect("it starts");
    assert!(actor.wait().expect("its end").success());
    assert_eq!(read(logs.path(), "worker").len(), 3);
    let named = Command::new(ACTOR)
        .args(["worker", "default", "log:3", "flush"])
        .env("LOGS_DIRECTORY", logs.path())
        .env("LASTWORDS_DIR", other.path())
        .stdin(Stdio::null())
        .status()
        .expect("it runs");
    assert!(named.success());
    assert_eq!((read(logs.path(), "worker").len(), read(other.path(), "worker").len()), (3, 3));
}

#[test]
fn rings_are_found_by_whatever_leads_to_them() {
    let folder = Scratch::new("recover-names");
    dead(folder.path(), &[]);
    let ring = rings(&folder.path().join("rings")).remove(0);
    let copies = Scratch::new("recover-copies");
    fs::copy(&ring, copies.path().join("copy.ring")).expect("copied");
    let bare = Command::new(TOOL).args(["recover", "copy.ring"]).current_dir(copies.path()).output().expect("it runs");
    assert_eq!((bare.status.code(), lines(&bare)), (Some(0), 5), "a bare name: {bare:?}");
    for path in [
        folder.path().to_owned(),
        folder.path().join("rings"),
        copies.path().to_owned(),
        copies.path().join("copy.ring"),
    ] {
        let output = tool(TOOL, &["recover", &text(&path)]);
        assert_eq!((output.status.code(), lines(&output)), (Some(0), 5), "{}: {output:?}", path.display());
        let output = tool(TOOL, &["recover", "--black-box", &text(&path)]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("line 4"), "{}: {output:?}", path.display());
    }
    let refused = tool(TOOL, &["recover", "--drain", &text(copies.path())]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    // From within the folder of rings, and the drain too.
    let within =
        Command::new(TOOL).args(["recover", "."]).current_dir(folder.path().join("rings")).output().expect("it runs");
    assert_eq!((within.status.code(), lines(&within)), (Some(0), 5), "{within:?}");
    assert_eq!(tool(TOOL, &["recover", "--drain", &text(&folder.path().join("rings"))]).status.code(), Some(0));
    assert_eq!(read(folder.path(), "worker").len(), 6);
}

#[test]
fn a_bare_name_finds_the_long_message_beside_it() {
    let folder = Scratch::new("recover-spill");
    let _ = run(ACTOR, "worker", folder.path(), &["flusher=never", "long:2000000", "kill"]);
    let rings_folder = folder.path().join("rings");
    let ring = rings(&rings_folder).remove(0);
    let output = Command::new(TOOL)
        .arg("recover")
        .arg(ring.file_name().expect("a name"))
        .current_dir(rings_folder)
        .output()
        .expect("it runs");
    assert!(output.stdout.len() > 2_000_000, "{} bytes", output.stdout.len());
}

#[test]
fn a_truncated_ring_is_said_to_be_one() {
    let folder = Scratch::new("recover-truncated");
    dead(folder.path(), &[]);
    let bytes = fs::read(rings(&folder.path().join("rings")).remove(0)).expect("read");
    for length in [100, 4096, 100_000, bytes.len() - 1] {
        let path = folder.path().join("cut.ring");
        fs::write(&path, &bytes[..length]).expect("written");
        for black_box in [false, true] {
            let output = tool(
                TOOL,
                &[&["recover"][..], if black_box { &["--black-box"] } else { &[] }, &[&text(&path)]].concat(),
            );
            assert_eq!(output.status.code(), Some(3), "{length} bytes: {output:?}");
            let printed =
                String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            assert!(length == 100 || printed.contains("truncated"), "{length} bytes: {printed}");
        }
    }
}

#[test]
fn the_log_folder_says_where_its_rings_are() {
    let (folder, memory) = (Scratch::new("noted"), Scratch::new("noted-rings"));
    let place = format!("rings={}", text(memory.path()));
    dead(folder.path(), &[&place]);
    assert_eq!(
        fs::read_to_string(folder.path().join("rings.path")).expect("noted"),
        format!("{}\n", text(memory.path()))
    );
    for arguments in [&["status"][..], &["recover"], &["recover", "--black-box"]] {
        let output = tool(TOOL, &[arguments, &[&text(folder.path())]].concat());
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}: {output:?}");
    }
    let output = tool(TOOL, &["recover", &text(memory.path())]);
    assert_eq!((output.status.code(), lines(&output)), (Some(0), 5), "the rings folder itself: {output:?}");
    assert_eq!(tool(TOOL, &["flush", "--once", &text(folder.path())]).status.code(), Some(0));
    assert_eq!(read(folder.path(), "worker").len(), 6);
    // A process that has them in the usual place takes the note away.
    let _ = run(ACTOR, "worker", folder.path(), &["log:1"]);
    assert!(!folder.path().join("rings.path").exists());
}

#[test]
fn a_note_leads_nowhere_but_to_a_folder_of_the_same_owner() {
    let (folder, memory) = (Scratch::new("note-hostile"), Scratch::new("note-target"));
    dead(folder.path(), &[&format!("rings={}", text(memory.path()))]);
    let note = folder.path().join("rings.path");
    let link = memory.path().join("link");
    std::os::unix::fs::symlink(memory.path(), &link).expect("linked");
    let file = memory.path().join("file");
    fs::write(&file, "").expect("written");
    for target in [&link, &file] {
        fs::write(&note, format!("{}\n", text(target))).expect("written");
        let output = tool(TOOL, &["status", &text(folder.path())]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("rings.path leads to"), "{output:?}");
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(memory.path(), Some(65534), None).expect("given away");
        fs::write(&note, format!("{}\n", text(memory.path()))).expect("written");
        assert_eq!(tool(TOOL, &["flush", "--once", &text(folder.path())]).status.code(), Some(2));
    } else {
        println!("not shown: another owner's folder, which takes root to make");
    }
    for nothing in ["", "relative\n", "/nowhere/at/all\n", "no newline", "/a\0b\n"] {
        fs::write(&note, nothing).expect("written");
        assert_eq!(tool(TOOL, &["recover", &text(folder.path())]).status.code(), Some(1), "{nothing:?}");
    }
}

/// Names that would drive a terminal or forge a line, and what they are shown as.
#[test]
fn names_of_files_are_escaped_wherever_they_are_printed() {
    let folder = Scratch::new("names");
    dead(folder.path(), &[]);
    let ring = rings(&folder.path().join("rings")).remove(0);
    let hostile = ring.with_file_name("x\x1b[2J\n\u{202e}\u{9b}1m.ring");
    fs::rename(&ring, &hostile).expect("renamed");
    fs::write(ring.with_file_name("no\x1b[31m.ring"), "no ring").expect("written");
    let dir = text(folder.path());
    for arguments in [
        &["status", &dir][..],
        &["status", "--json", &dir],
        &["recover", &dir],
        &["recover", "--black-box", &dir],
        &["level", "--dir", &dir],
        &["recover", &text(&hostile)],
        &["recover", "/no\x1bwhere"],
        &["status", "/no\x1bwhere"],
        &["level", "--dir", &dir, "a\x1bb"],
        &["flush", "--once", "/no\x1bwhere"],
    ] {
        let output = tool(TOOL, arguments);
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(!printed.contains(['\x1b', '\u{202e}', '\u{9b}']), "{arguments:?}: {printed:?}");
    }
    let printed = tool(TOOL, &["recover", &dir]).stderr;
    assert!(
        String::from_utf8_lossy(&printed).contains("x\\u{1b}[2J\\u{a}\\u{202e}"),
        "{}",
        String::from_utf8_lossy(&printed)
    );
}

fn flush(folder: &Path) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = Command::new(TOOL).arg("flush").arg(folder).stderr(Stdio::piped()).spawn().expect("it starts");
    let printed = BufReader::new(child.stderr.take().expect("piped"));
    (child, printed)
}

fn next_line(output: &mut BufReader<std::process::ChildStderr>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    line
}

fn end(mut child: Child) -> Option<i32> {
    kill_process(Pid::from_child(&child), Signal::TERM).expect("its own child");
    wait_for("its end", || child.try_wait().expect("its own child")).code()
}

#[test]
fn a_daemon_starts_before_the_first_logger_and_before_its_folder() {
    let parent = Scratch::new("daemon-first");
    for (name, made) in [("empty", true), ("later", false)] {
        let folder = parent.path().join(name);
        if made {
            fs::create_dir(&folder).expect("made");
        }
        assert_eq!(tool(TOOL, &["flush", "--once", &text(&folder)]).status.code(), Some(1), "{name}: nothing to do");
        let (child, mut output) = flush(&folder);
        assert!(next_line(&mut output).contains("waiting for the first process"), "{name}");
        let _actor =
            Actor::start(ACTOR, "worker", &folder, &["flusher=never", "log:5", "line:logged", "wait"]).until("logged");
        assert!(next_line(&mut output).starts_with("flushing "), "{name}");
        wait_for("the lines", || (lastwords_tests::logs::read_so_far(&folder, "worker").len() == 5).then_some(()));
        assert_eq!(end(child), Some(0));
    }
    // One that waits ends as any other.
    let (child, mut output) = flush(&parent.path().join("never"));
    assert!(next_line(&mut output).contains("waiting"));
    assert_eq!(end(child), Some(0));
    let file = parent.path().join("file");
    fs::write(&file, "").expect("written");
    assert_eq!(tool(TOOL, &["flush", &text(&file)]).status.code(), Some(2), "what can never be a folder is an error");
}

#[test]
fn a_hang_up_ends_a_command_with_a_terminal_and_no_daemon() {
    let folder = Scratch::new("hang-up");
    let _ = run(ACTOR, "worker", folder.path(), &["log:1"]);
    let hang_up = |child: &Child| kill_process(Pid::from_child(child), Signal::HUP).expect("its own child");
    // setsid(1) takes the terminal away.
    let mut child = Command::new("setsid")
        .arg(TOOL)
        .arg("flush")
        .arg(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut output = BufReader::new(child.stderr.take().expect("piped"));
    assert!(next_line(&mut output).starts_with("flushing "));
    hang_up(&child);
    let mut actor =
        Actor::start(ACTOR, "worker", folder.path(), &["flusher=never", "log:1", "flush", "line:flushed", "wait"]);
    assert_eq!(actor.line(), "flushed", "it goes on");
    assert_eq!(end(child), Some(0));
    actor.go();
    let _ = actor.end();
    // script(1) gives a terminal, whose end is a hang-up.
    let script = format!("exec {TOOL} flush {}", text(folder.path()));
    let Ok(mut child) =
        Command::new("script").args(["-qec", &script, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
    else {
        println!("not shown with a terminal: script(1) is missing");
        return;
    };
    let holder = wait_for("the flusher", || {
        let lock = fs::read_to_string(folder.path().join("rings/flusher.lock")).ok()?;
        let pid: i32 = lock.split_whitespace().find_map(|word| word.strip_prefix("pid=")?.parse().ok())?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&command).contains("flush").then_some(pid)
    });
    child.kill().expect("its own child");
    child.wait().expect("reaped");
    wait_for("its end", || (!Path::new(&format!("/proc/{holder}")).exists()).then_some(()));
}

#[test]
fn a_flush_that_fails_says_what_it_waited_for_and_how_long() {
    let folder = Scratch::new("flush-words");
    let log = lastwords::builder("alone").dir(folder.path()).flusher(lastwords::Flusher::Never).open().expect("made");
    lastwords::info!(logger: log, "nobody writes this");
    let error = log.flush().expect_err("nobody flushes").to_string();
    assert!(error.contains("alone.log after 0.") && error.contains("nobody flushes the folder"), "{error}");
    let flusher = Actor::start(ACTOR, "host", folder.path(), &["log:1", "flush", "line:ready", "wait"]).until("ready");
    flusher.signal(Signal::STOP);
    let stopped =
        |task: fs::DirEntry| fs::read_to_string(task.path().join("stat")).is_ok_and(|stat| stat.contains(") T "));
    let tasks = format!("/proc/{}/task", flusher.pid());
    wait_for("the stop", || fs::read_dir(&tasks).ok()?.flatten().all(stopped).then_some(()));
    lastwords::info!(logger: log, "nor this");
    let error = log.flush().expect_err("the flusher is stopped").to_string();
    // Not how long it took, which a busy machine decides, but that it is printed.
    let seconds = error.split_once(" after ").and_then(|(_, rest)| rest.split_once(" s;")?.0.parse::<f64>().ok());
    assert!(seconds >= Some(2.0) && error.contains(&format!("pid {}, whose last pass was", flusher.pid())), "{error}");
    flusher.signal(Signal::CONT);
}

#[test]
fn what_is_wrong_with_a_variable_is_said_by_its_name() {
    let folder = Scratch::new("tool-variables");
    dead(folder.path(), &[]);
    for (variable, value, command, part) in [
        ("LASTWORDS_FILE_MODE", "0777", "flush", "0777 found, expected 0600"),
        ("LASTWORDS_FILE_MODE", "rw", "flush", "\"rw\" found, expected an octal mode"),
        ("LASTWORDS_FILE_GROUP", "no-such-group", "flush", "\"no-such-group\" found, expected the name"),
        ("LASTWORDS_DURABLE", "1s", "flush", "\"1s\" found, expected milliseconds"),
        ("LASTWORDS_ROLE", "Bad", "pipe", "\"Bad\" found, expected a lower-case letter"),
        ("LASTWORDS_BACKLOG_MAX", "much", "pipe", "\"much\" found, expected bytes"),
    ] {
        let mut tool = Command::new(TOOL);
        let tool = tool.args([command, "--dir"]).arg(folder.path()).env(variable, value).stdin(Stdio::null());
        let output = if command == "flush" { tool.arg("--once") } else { tool }.output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(2) && error.contains(&format!("{variable}: {part}")),
            "{variable}={value}: {error}"
        );
    }
    assert!(!rings(&folder.path().join("rings")).is_empty(), "nothing was drained");
}

#[test]
fn the_line_about_an_earlier_run_is_there_only_where_times_go_back() {
    let folder = Scratch::new("earlier");
    let about =
        |folder: &Path| read(folder, "worker").iter().filter(|line| line.message.contains("earlier run")).count();
    let flush_once = |folder: &Path| tool(TOOL, &["flush", "--once", &text(folder)]);
    // Crashes and restarts, one after the other: every record is younger than what is there.
    for _ in 0..3 {
        let _ = run(ACTOR, "worker", folder.path(), &["log:5", "flush", "log:5", "kill"]);
        let _ = flush_once(folder.path());
        assert_eq!(about(folder.path()), 0);
    }
    // Records of a process that died without a flusher, below lines of a later one.
    let (first, second) = (Scratch::new("earlier-first"), Scratch::new("earlier-second"));
    dead(first.path(), &[]);
    let _ = run(ACTOR, "worker", second.path(), &["log:5"]);
    let ring = rings(&first.path().join("rings")).remove(0);
    fs::copy(&ring, second.path().join("rings").join(ring.file_name().expect("a name"))).expect("copied");
    let _ = flush_once(second.path());
    assert_eq!(about(second.path()), 1);
}

#[test]
fn an_output_that_takes_nothing_ends_no_command_by_a_panic() {
    let folder = Scratch::new("tool-full-output");
    fs::create_dir(folder.path().join("rings")).expect("made");
    let logs = text(folder.path());
    for (arguments, expected) in [
        (vec!["recover", &logs], 1),
        (vec!["flush", "--once", "/dev/null"], 2),
        (vec!["completions", "bash"], 0),
        (vec!["level", "--dir", &logs, "api", "info"], 1),
    ] {
        let full = || File::options().write(true).open("/dev/full").expect("there");
        let status = Command::new(TOOL).args(&arguments).stdout(full()).stderr(full()).status().expect("it starts");
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    }
}
