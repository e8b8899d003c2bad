//! What the tool does with folders, files and names as people give them.

use lastwords_tests::actor::{Actor, Printed, flush_once, flush_rest, printed, run, tool_at, wait_for, wait_until};
use lastwords_tests::forge::ring_files;
use lastwords_tests::logs::{read, read_so_far};
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use lastwords_tests::terminal::on_a_terminal;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

fn text(path: &Path) -> String {
    path.to_str().expect("text").to_owned()
}

/// Leaves the ring of a dead process with five lines in a folder, and returns where it is.
fn dead(folder: &Path) -> PathBuf {
    let _ = run("worker", folder, "flusher=never log:5 kill");
    ring_files(folder).remove(0)
}

/// The tool's exit code, and how many lines it prints.
fn shown(command: &mut Command) -> (Option<i32>, usize) {
    let output = printed(command);
    (output.code, output.out.lines().count())
}

#[test]
fn a_folder_that_is_named_counts_more_than_the_variable() {
    let (here, elsewhere) = (Scratch::new("named"), Scratch::new("variable"));
    let _ = dead(&here);
    for (arguments, code) in [("status", 0), ("status --dir", 0), ("level --dir", 1), ("flush --once", 0)] {
        let mut command = TOOL.command();
        command.args(arguments.words()).arg(&here).env("LASTWORDS_DIR", &elsewhere);
        let output = printed(command);
        assert_eq!(output.code, Some(code), "{arguments}: {output:?}");
    }
    assert_eq!(read(&here, "worker").len(), 6);
    // An empty variable says nothing.
    for name in ["LASTWORDS_DIR", "LASTWORDS_RINGS", "LASTWORDS_DURABLE", "LASTWORDS_ROLE"] {
        let output = printed(TOOL.command().args(["flush", "--once", "--dir"]).arg(&here).env(name, ""));
        assert_eq!(output.code, Some(1), "{name}: {output:?}");
    }
}

#[test]
fn the_folder_of_a_service_is_used_where_nothing_else_is_named() {
    let (logs, other) = (Scratch::new("service"), Scratch::new("service-named"));
    let actor = || ACTOR.acting("worker", Path::new("default"), "log:3 flush");
    let directories = format!("{}:/nowhere", logs.display());
    printed(actor().env("LOGS_DIRECTORY", directories).env_remove("LASTWORDS_DIR")).ended(0);
    assert_eq!(read(&logs, "worker").len(), 3);
    printed(actor().env("LOGS_DIRECTORY", &logs).env("LASTWORDS_DIR", &other)).ended(0);
    assert_eq!((read(&logs, "worker").len(), read(&other, "worker").len()), (3, 3));
}

#[test]
fn rings_are_found_by_whatever_leads_to_them() {
    let folder = Scratch::new("recover-names");
    let ring = dead(&folder);
    let copies = Scratch::new("recover-copies");
    fs::copy(&ring, copies.join("copy.ring")).expect("copied");
    let bare = shown(TOOL.command().args(["recover", "copy.ring"]).current_dir(&copies));
    assert_eq!(bare, (Some(0), 5), "a bare name");
    for path in [folder.path().to_owned(), folder.join("rings"), copies.path().to_owned(), copies.join("copy.ring")] {
        assert_eq!(shown(TOOL.command().arg("recover").arg(&path)), (Some(0), 5), "{}", path.display());
        let output = tool_at("recover --black-box", &path);
        assert!(output.out.contains("line 4"), "{}: {output:?}", path.display());
    }
    tool_at("recover --drain", &copies).ended(2);
    // From within the folder of rings, and the drain too.
    let within = shown(TOOL.command().args(["recover", "."]).current_dir(folder.join("rings")));
    assert_eq!(within, (Some(0), 5));
    tool_at("recover --drain", folder.join("rings")).ended(0);
    assert_eq!(read(&folder, "worker").len(), 6);
}

#[test]
fn a_bare_name_finds_the_long_message_beside_it() {
    let folder = Scratch::new("recover-spill");
    let _ = run("worker", &folder, "flusher=never long:2000000 kill");
    let ring = ring_files(&folder).remove(0);
    let mut command = TOOL.command();
    command.arg("recover").arg(ring.file_name().expect("a name")).current_dir(folder.join("rings"));
    let shown = printed(command).out.len();
    assert!(shown > 2_000_000, "{shown} bytes");
}

#[test]
fn a_truncated_ring_is_said_to_be_one() {
    let folder = Scratch::new("recover-truncated");
    let bytes = fs::read(dead(&folder)).expect("read");
    for length in [100, 4096, 100_000, bytes.len() - 1] {
        let path = folder.join("cut.ring");
        fs::write(&path, &bytes[..length]).expect("written");
        for arguments in ["recover", "recover --black-box"] {
            let output = tool_at(arguments, &path);
            assert_eq!(output.code, Some(3), "{length} bytes: {output:?}");
            assert!(length == 100 || output.all().contains("truncated"), "{length} bytes: {output:?}");
        }
    }
}

#[test]
fn the_log_folder_says_where_its_rings_are() {
    let (folder, memory) = (Scratch::new("noted"), Scratch::new("noted-rings"));
    let _ = run("worker", &folder, format!("rings={} flusher=never log:5 kill", memory.display()));
    assert_eq!(fs::read_to_string(folder.join("rings.path")).expect("noted"), format!("{}\n", text(&memory)));
    for arguments in ["status", "recover", "recover --black-box"] {
        let output = tool_at(arguments, &folder);
        assert!(output.status.success() && !output.out.is_empty(), "{arguments}: {output:?}");
    }
    assert_eq!(shown(TOOL.command().arg("recover").arg(&memory)), (Some(0), 5), "the rings folder itself");
    flush_once(&folder);
    assert_eq!(read(&folder, "worker").len(), 6);
    // A process that has them in the usual place takes the note away.
    let _ = run("worker", &folder, "log:1");
    assert!(!folder.join("rings.path").exists());
}

#[test]
fn a_note_leads_nowhere_but_to_a_folder_of_the_same_owner() {
    let (folder, memory) = (Scratch::new("note-hostile"), Scratch::new("note-target"));
    let _ = run("worker", &folder, format!("rings={} flusher=never log:5 kill", memory.display()));
    let note = folder.join("rings.path");
    let link = memory.join("link");
    std::os::unix::fs::symlink(&memory, &link).expect("linked");
    let file = memory.join("file");
    fs::write(&file, "").expect("written");
    for target in [&link, &file] {
        fs::write(&note, format!("{}\n", text(target))).expect("written");
        let output = tool_at("status", &folder);
        assert!(output.code == Some(2) && output.err.contains("rings.path leads to"), "{output:?}");
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&memory, Some(65534), None).expect("given away");
        fs::write(&note, format!("{}\n", text(&memory))).expect("written");
        tool_at("flush --once", &folder).ended(2);
    } else {
        println!("not shown: another owner's folder, which takes root to make");
    }
    for nothing in ["", "relative\n", "/nowhere/at/all\n", "no newline", "/a\0b\n"] {
        fs::write(&note, nothing).expect("written");
        assert_eq!(tool_at("recover", &folder).code, Some(1), "{nothing:?}");
    }
}

/// Names that would drive a terminal or forge a line, and what they are shown as.
#[test]
fn names_of_files_are_escaped_wherever_they_are_printed() {
    let folder = Scratch::new("names");
    let ring = dead(&folder);
    let hostile = ring.with_file_name("x\x1b[2J\n\u{202e}\u{9b}1m.ring");
    fs::rename(&ring, &hostile).expect("renamed");
    fs::write(ring.with_file_name("no\x1b[31m.ring"), "no ring").expect("written");
    let nowhere = Path::new("/no\x1bwhere");
    for (arguments, path) in [
        ("status", folder.path()),
        ("status --json", &folder),
        ("recover", &folder),
        ("recover --black-box", &folder),
        ("level --dir", &folder),
        ("recover", &hostile),
        ("recover", nowhere),
        ("status", nowhere),
        ("level a\x1bb --dir", &folder),
        ("flush --once", nowhere),
    ] {
        let printed = tool_at(arguments, path).all();
        assert!(!printed.contains(['\x1b', '\u{202e}', '\u{9b}']), "{arguments:?} {path:?}: {printed:?}");
    }
    let printed = tool_at("recover", &folder).err;
    assert!(printed.contains("x\\u{1b}[2J\\u{a}\\u{202e}"), "{printed}");
}

/// Starts a command, and returns what it prints.
fn start(command: &mut Command) -> (Child, BufReader<ChildStderr>) {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let printed = BufReader::new(child.stderr.take().expect("piped"));
    (child, printed)
}

fn next_line(output: &mut BufReader<ChildStderr>) -> String {
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
        let folder = parent.join(name);
        if made {
            fs::create_dir(&folder).expect("made");
        }
        assert_eq!(tool_at("flush --once", &folder).code, Some(1), "{name}: nothing to do");
        let (child, mut output) = start(TOOL.command().arg("flush").arg(&folder));
        assert!(next_line(&mut output).contains("waiting for the first process"), "{name}");
        let _actor = Actor::start("worker", &folder, "flusher=never log:5 line:logged wait").until("logged");
        assert!(next_line(&mut output).starts_with("flushing "), "{name}");
        wait_until("the lines", || read_so_far(&folder, "worker").len() == 5);
        assert_eq!(end(child), Some(0));
    }
    // The same for rings that are elsewhere.
    let (folder, rings) = (parent.join("empty"), parent.join("rings-later"));
    let (child, mut output) = start(TOOL.command().arg("flush").arg(&folder).env("LASTWORDS_RINGS", &rings));
    assert!(next_line(&mut output).contains("waiting for the first process"));
    assert!(!rings.exists(), "its creator is its owner");
    let script = format!("rings={} flusher=never log:5 line:logged wait", rings.display());
    let _actor = Actor::start("other", &folder, script).until("logged");
    assert!(next_line(&mut output).starts_with("flushing "));
    wait_until("the lines", || read_so_far(&folder, "other").len() == 5);
    assert_eq!(end(child), Some(0));
    // One that waits ends as any other.
    let (child, mut output) = start(TOOL.command().arg("flush").arg(parent.join("never")));
    assert!(next_line(&mut output).contains("waiting"));
    assert_eq!(end(child), Some(0));
    let file = parent.join("file");
    fs::write(&file, "").expect("written");
    assert_eq!(tool_at("flush", &file).code, Some(2), "what can never be a folder is an error");
}

#[test]
fn a_hang_up_ends_a_command_with_a_terminal_and_no_daemon() {
    let folder = Scratch::new("hang-up");
    let _ = run("worker", &folder, "log:1");
    // setsid(1) takes the terminal away.
    let (child, mut output) = start(Command::new("setsid").args([&TOOL, "flush"]).arg(&folder));
    assert!(next_line(&mut output).starts_with("flushing "));
    kill_process(Pid::from_child(&child), Signal::HUP).expect("its own child");
    let mut actor = Actor::start("worker", &folder, "flusher=never log:1 flush line:flushed wait").until("flushed");
    assert_eq!(end(child), Some(0));
    actor.go();
    let _ = actor.end();
    // The end of a terminal is a hang-up.
    let Some(mut script) = on_a_terminal(&format!("{TOOL} flush {}", folder.display())) else { return };
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("script(1) starts");
    let holder = wait_for("the flusher", || {
        let lock = fs::read_to_string(folder.join("rings/flusher.lock")).ok()?;
        let pid: i32 = lock.split_whitespace().find_map(|word| word.strip_prefix("pid=")?.parse().ok())?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&command).contains("flush").then_some(pid)
    });
    child.kill().expect("its own child");
    child.wait().expect("reaped");
    wait_until("its end", || !Path::new(&format!("/proc/{holder}")).exists());
}

#[test]
fn a_flush_that_fails_says_what_it_waited_for_and_how_long() {
    let folder = Scratch::new("flush-words");
    let log = lastwords::builder("alone").dir(&folder).flusher(lastwords::Flusher::Never).open().expect("made");
    lastwords::info!(logger: log, "nobody writes this");
    let error = log.flush().expect_err("nobody flushes").to_string();
    assert!(error.contains("alone.log after 0.") && error.contains("nobody flushes the folder"), "{error}");
    let flusher = Actor::start("host", &folder, "log:1 flush line:ready wait").until("ready");
    flusher.signal(Signal::STOP);
    let stopped =
        |task: fs::DirEntry| fs::read_to_string(task.path().join("stat")).is_ok_and(|stat| stat.contains(") T "));
    let tasks = format!("/proc/{}/task", flusher.pid());
    wait_until("the stop", || fs::read_dir(&tasks).is_ok_and(|mut tasks| tasks.all(|task| task.is_ok_and(stopped))));
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
    let _ = dead(&folder);
    for (variable, value, command, part) in [
        ("LASTWORDS_FILE_MODE", "0777", "flush", "0777 found, expected 0600"),
        ("LASTWORDS_FILE_MODE", "rw", "flush", "\"rw\" found, expected an octal mode"),
        ("LASTWORDS_FILE_GROUP", "no-such-group", "flush", "\"no-such-group\" found, expected the name"),
        ("LASTWORDS_DURABLE", "1s", "flush", "\"1s\" found, expected milliseconds"),
        ("LASTWORDS_ROLE", "Bad", "pipe", "\"Bad\" found, expected a lower-case letter"),
        ("LASTWORDS_BACKLOG_MAX", "much", "pipe", "\"much\" found, expected bytes"),
    ] {
        let mut tool = TOOL.command();
        tool.args([command, "--dir"]).arg(&folder).args((command == "flush").then_some("--once"));
        let Printed { code, err, .. } = printed(tool.env(variable, value));
        assert!(code == Some(2) && err.contains(&format!("{variable}: {part}")), "{variable}={value}: {err}");
    }
    assert!(!ring_files(&folder).is_empty(), "nothing was drained");
}

#[test]
fn the_line_about_an_earlier_run_is_there_only_where_times_go_back() {
    let folder = Scratch::new("earlier");
    let about =
        |folder: &Path| read(folder, "worker").iter().filter(|line| line.message.contains("earlier run")).count();
    // Crashes and restarts, one after the other: every record is younger than what is there.
    for _ in 0..3 {
        let _ = run("worker", &folder, "log:5 flush log:5 kill");
        flush_rest(&folder);
        assert_eq!(about(&folder), 0);
    }
    // Records of a process that died without a flusher, below lines of a later one.
    let (first, second) = (Scratch::new("earlier-first"), Scratch::new("earlier-second"));
    let ring = dead(&first);
    let _ = run("worker", &second, "log:5");
    fs::copy(&ring, second.join("rings").join(ring.file_name().expect("a name"))).expect("copied");
    flush_rest(&second);
    assert_eq!(about(&second), 1);
}

#[test]
fn an_output_that_takes_nothing_ends_no_command_by_a_panic() {
    let folder = Scratch::new("tool-full-output");
    fs::create_dir(folder.join("rings")).expect("made");
    let logs = text(&folder);
    for (arguments, expected) in [
        (vec!["recover", &logs], 1),
        (vec!["flush", "--once", "/dev/null"], 2),
        (vec!["completions", "bash"], 2),
        (vec!["man"], 2),
        (vec!["level", "--dir", &logs, "api", "info"], 1),
        (vec!["level", "--dir", &logs, "--keep", "api", "info"], 2),
        (vec!["level", "--dir", &logs], 2),
    ] {
        let full = || File::options().write(true).open("/dev/full").expect("there");
        let status = TOOL.command().args(&arguments).stdout(full()).stderr(full()).status().expect("it starts");
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    }
}
