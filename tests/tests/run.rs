//! A program that knows nothing of lastwords is run by `lastwords run`, and ends in every way that there is.
//!
//! Without it a supervisor sees a status, and the last lines of the program are in a pipe that nobody reads any more. Here each
//! line and each end is in the log, and whoever started it sees what it would have seen without.

use lastwords_tests::actor::{flush_rest, printed, wait_for, wait_until};
use lastwords_tests::logs::{Line, crash_files, read, read_so_far};
use lastwords_tests::namespaces::unshare;
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::terminal::on_a_terminal;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// What every line of `run` itself begins with.
const OWN: &str = "lastwords run: ";

fn command(folder: &Path, options: &[&str], program: &[&str]) -> Command {
    let mut tool = TOOL.command();
    tool.args(["run", "--role", "worker", "--dir"]).arg(folder).args(options).arg("--").args(program);
    tool.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    tool
}

/// Runs a script of sh to its end.
fn run(folder: &Path, options: &[&str], script: &str) -> ExitStatus {
    let mut child = command(folder, options, &["sh", "-c", script]).spawn().expect("the tool starts");
    end(&mut child)
}

fn end(child: &mut Child) -> ExitStatus {
    wait_for("its end", || child.try_wait().expect("its own child"))
}

/// Lines of the program.
fn said(lines: &[Line]) -> Vec<(&str, &str)> {
    let of_program = lines.iter().filter(|line| !line.message.starts_with("lastwords"));
    of_program.map(|line| (line.level.as_str(), line.message.as_str())).collect()
}

/// The line about the program's end.
fn last_words(lines: &[Line]) -> &Line {
    let is_end = |line: &&Line| line.message.starts_with(OWN) && line.message.contains(" after ");
    lines.iter().rev().find(is_end).expect("a line about the end")
}

#[test]
fn every_end_of_a_program_is_the_end_of_run_and_a_line_of_the_log() {
    let exits = [0, 1, 2, 3, 42, 125, 126, 127, 255].map(|status| (format!("exit {status}"), status, 0));
    let signals = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        ("XCPU", 24),
        ("SYS", 31),
    ];
    let signals = signals.map(|(name, number)| (format!("ulimit -c 0; kill -{name} $$"), 0, number));
    for (script, status, signal) in exits.into_iter().chain(signals) {
        let folder = Scratch::new("run-ends");
        let ended = run(&folder, &[], &format!("echo before; {script}"));
        let expected = (signal == 0).then_some(status);
        assert_eq!((ended.code(), ended.signal().unwrap_or(0)), (expected, signal), "{script}");
        flush_rest(&folder);
        let lines = read(&folder, "worker");
        assert_eq!(said(&lines), [("INFO", "before")], "{script}");
        let words = last_words(&lines);
        let how = match signal {
            0 => format!("exited with status {status}"),
            _ => "was killed by SIG".to_owned(),
        };
        assert!(words.message.contains(&how) && words.message.contains("its last line: before"), "{}", words.message);
        let is_crash = (status, signal) != (0, 0);
        let level = if signal > 0 {
            "CRITICAL"
        } else if is_crash {
            "ERROR"
        } else {
            "INFO"
        };
        assert_eq!(words.level, level, "{script}");
        let crashes = crash_files(&folder);
        assert_eq!(crashes.len(), usize::from(is_crash), "{script}");
        if let [file] = &crashes[..] {
            let text = fs::read_to_string(file).expect("readable");
            assert!(text.contains(&how) && text.contains("CPU ") && text.contains("] before\n"), "{text}");
        }
    }
}

#[test]
fn a_program_that_cannot_be_started_is_told_as_env_tells_it() {
    let folder = Scratch::new("run-nothing");
    let plain = folder.join("plain");
    fs::write(&plain, "no program").expect("writable");
    let plain = plain.to_str().expect("plain");
    for (program, status) in [("no-such-program", 127), ("/no/such/program", 127), (plain, 126), ("/", 126)] {
        let tool = printed(command(&folder, &[], &[program]).stderr(Stdio::piped()));
        tool.ended(status);
        assert!(tool.all().contains(&format!("cannot run {program}: ")), "{}", tool.all());
    }
    flush_rest(&folder);
    let failed = read(&folder, "worker").iter().filter(|line| line.message.contains("cannot run")).count();
    assert_eq!(failed, 4);
    printed(TOOL.command().args(["run", "--dir", "/proc/nowhere", "--", "true"]).stderr(Stdio::piped())).ended(125);
}

#[test]
fn both_outputs_have_levels_of_their_own_and_names_in_a_line_count_more() {
    let folder = Scratch::new("run-levels");
    let script = "echo one; echo 'error: two'; echo three >&2; echo '[debug] four' >&2; printf rest";
    assert!(run(&folder, &["--level", "debug", "--stderr-level", "critical"], script).success());
    let lines = read(&folder, "worker");
    let mut found = said(&lines);
    found.sort_unstable();
    let expected = [
        ("CRITICAL", "three"),
        ("DEBUG", "[debug] four"),
        ("DEBUG", "one"),
        ("DEBUG", "rest"),
        ("ERROR", "error: two"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_copy_of_each_output_goes_where_the_output_would_have_gone() {
    let folder = Scratch::new("run-tee");
    let mut tool = command(&folder, &["--tee"], &["sh", "-c", "echo out; echo err >&2; printf 'rest\\377'"]);
    let output = tool.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("it runs");
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\nrest\xff"[..], &b"err\n"[..]));
    // Nobody reads it any more: the log goes on.
    let folder = Scratch::new("run-tee-closed");
    let mut tool = command(&folder, &["--tee"], &["sh", "-c", "read line; echo a; echo b; echo c"]);
    let mut child = tool.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the tool starts");
    drop(child.stdout.take());
    drop(child.stdin.take());
    assert!(end(&mut child).success());
    assert_eq!(said(&read(&folder, "worker")), [("INFO", "a"), ("INFO", "b"), ("INFO", "c")]);
}

#[test]
fn hundred_megabytes_without_a_newline_and_binary_output_are_logged_whole() {
    let folder = Scratch::new("run-large");
    let mut tool = command(&folder, &[], &["sh", "-c", "head -c 100000000 /dev/zero | tr '\\0' x"]);
    assert!(end(&mut tool.env("LASTWORDS_ROTATE_SIZE", "1G").spawn().expect("the tool starts")).success());
    flush_rest(&folder);
    let lines = read(&folder, "worker");
    let of_program = lines.iter().filter(|line| line.message.starts_with('x'));
    assert_eq!(of_program.map(|line| line.message.len()).sum::<usize>(), 100_000_000);
    let folder = Scratch::new("run-binary");
    let mut tool = command(&folder, &[], &["head", "-c", "10000000", "/dev/zero"]);
    assert!(end(&mut tool.env("LASTWORDS_ROTATE_SIZE", "1G").spawn().expect("the tool starts")).success());
    flush_rest(&folder);
    let lines = read(&folder, "worker");
    let shown = lines.iter().filter(|line| line.message.starts_with("\\x00"));
    assert_eq!(shown.map(|line| line.message.len()).sum::<usize>(), 40_000_000, "nothing is cut");
    let folder = Scratch::new("run-bytes");
    assert!(run(&folder, &[], "printf 'a\\000b\\033c\\377\\n'").success());
    assert_eq!(said(&read(&folder, "worker")), [("INFO", "a\\x00b\\x1bc\\xff")]);
}

#[test]
fn a_program_that_closes_its_outputs_is_still_waited_for() {
    let folder = Scratch::new("run-closed");
    assert_eq!(run(&folder, &[], "echo first; exec >&- 2>&-; sleep 0.2; exit 5").code(), Some(5));
    flush_rest(&folder);
    assert!(last_words(&read(&folder, "worker")).message.contains("exited with status 5"));
}

#[test]
fn a_child_that_keeps_the_pipe_does_not_keep_run() {
    let folder = Scratch::new("run-daemon");
    let pid = folder.join("pid");
    let script =
        format!("(echo $BASHPID > {0}; sleep 300) & until [ -s {0} ]; do sleep 0.01; done; echo parent", pid.display());
    let mut child = command(&folder, &[], &["bash", "-c", &script]).spawn().expect("the tool starts");
    assert!(end(&mut child).success());
    let sleeper =
        fs::read_to_string(&pid).expect("written").trim().parse().ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(sleeper, Signal::KILL).expect("the program's child");
    let lines = read(&folder, "worker");
    assert_eq!(said(&lines), [("INFO", "parent")]);
    assert_eq!(lines.iter().filter(|line| line.message.contains("still has an output")).count(), 1);
}

#[test]
fn signals_are_passed_on_and_an_end_that_was_asked_for_is_no_crash() {
    for (name, signal) in [("TERM", Signal::TERM), ("HUP", Signal::HUP), ("INT", Signal::INT), ("USR2", Signal::USR2)] {
        let folder = Scratch::new("run-signals");
        let script = format!("trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.01; done");
        let mut child = command(&folder, &[], &["sh", "-c", &script]).spawn().expect("the tool starts");
        wait_until("the program", || read_so_far(&folder, "worker").iter().any(|line| line.message == "ready"));
        kill_process(Pid::from_child(&child), signal).expect("its own child");
        assert_eq!(end(&mut child).code(), Some(9), "{name}");
        flush_rest(&folder);
        let lines = read(&folder, "worker");
        assert_eq!(said(&lines), [("INFO", "ready"), ("INFO", &*format!("got {name}"))]);
        let is_request = name != "USR2";
        assert_eq!(last_words(&lines).level, if is_request { "INFO" } else { "ERROR" }, "{name}");
        assert_eq!(crash_files(&folder).len(), usize::from(!is_request), "{name}");
    }
}

/// Whether a process is stopped.
fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    stat.rsplit(") ").next().expect("a state").starts_with('T')
}

#[test]
fn run_and_its_program_stop_and_go_on_together() {
    let folder = Scratch::new("run-stopped");
    let script = "echo $$; until [ -e done ]; do sleep 0.01; done; echo went on";
    let mut tool = command(&folder, &[], &["sh", "-c", script]);
    // As a shell starts it: in a group of its own, which has its parent outside.
    let mut child = tool.process_group(0).current_dir(&*folder).spawn().expect("the tool starts");
    let program = || read_so_far(&folder, "worker").iter().find_map(|line| line.message.parse::<u32>().ok());
    let program = wait_for("the program", program);
    kill_process(Pid::from_child(&child), Signal::TSTP).expect("its own child");
    wait_until("both stopped", || is_stopped(child.id()) && is_stopped(program));
    fs::write(folder.join("done"), "").expect("writable");
    kill_process(Pid::from_child(&child), Signal::CONT).expect("its own child");
    assert!(end(&mut child).success());
    flush_rest(&folder);
    assert_eq!(said(&read(&folder, "worker"))[1], ("INFO", "went on"));
}

#[test]
fn where_no_shell_could_continue_them_neither_run_nor_its_program_stops() {
    let folder = Scratch::new("run-no-shell");
    let script = "echo $$; until [ -e done ]; do sleep 0.01; done; echo went on";
    let tool = command(&folder, &[], &["sh", "-c", script]);
    let mut apart = Command::new("setsid");
    apart.arg(tool.get_program()).args(tool.get_args()).current_dir(&*folder).stdout(Stdio::null());
    let mut child = apart.spawn().expect("it starts");
    let program = || read_so_far(&folder, "worker").iter().find_map(|line| line.message.parse::<u32>().ok());
    let program = wait_for("the program", program);
    kill_process(Pid::from_child(&child), Signal::TSTP).expect("its own child");
    // Time for it to stop.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!is_stopped(child.id()) && !is_stopped(program));
    fs::write(folder.join("done"), "").expect("writable");
    assert!(end(&mut child).success());
}

#[test]
fn an_interrupt_of_the_terminal_reaches_the_program_once() {
    let folder = Scratch::new("run-terminal");
    // Without a child to wait for, so that it comes to each signal before the next.
    let done = folder.join("done");
    let program =
        format!("trap \"echo interrupted\" INT; echo ready; until [ -e {} ]; do :; done; exit 4", done.display());
    let line = format!("{TOOL} run --role worker --dir {} -- bash -c '{program}'", folder.display());
    let Some(mut script) = on_a_terminal(&line) else { return };
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("script(1) starts");
    wait_until("the program", || read_so_far(&folder, "worker").iter().any(|line| line.message == "ready"));
    std::io::Write::write_all(child.stdin.as_mut().expect("piped"), b"\x03").expect("it reads");
    let has_come = || read_so_far(&folder, "worker").iter().any(|line| line.message == "interrupted");
    wait_until("the interrupt", has_come);
    // Time for a second one to come.
    std::thread::sleep(Duration::from_millis(300));
    fs::write(done, "").expect("writable");
    assert_eq!(end(&mut child).code(), Some(4));
    let lines = read(&folder, "worker");
    assert_eq!(said(&lines), [("INFO", "ready"), ("INFO", "interrupted")]);
}

#[test]
fn a_program_that_fails_is_started_again_until_it_succeeds_or_the_end_is_asked_for() {
    let folder = Scratch::new("run-restart");
    let count = folder.join("count");
    let script = format!("echo x >> {0}; [ $(wc -l < {0}) = 4 ] || exit 1", count.display());
    assert!(run(&folder, &["--restart", "on-failure"], &script).success());
    assert_eq!(fs::read_to_string(&count).expect("written").lines().count(), 4);
    flush_rest(&folder);
    let lines = read(&folder, "worker");
    let again: Vec<&str> =
        lines.iter().filter_map(|line| line.message.split_once("starts it again in ")).map(|(_, in_)| in_).collect();
    assert_eq!(again, ["0.1 s", "0.2 s", "0.4 s"]);
    assert_eq!(crash_files(&folder).len(), 3);
    let folder = Scratch::new("run-restart-asked");
    let mut child =
        command(&folder, &["--restart", "on-failure"], &["sh", "-c", "exit 1"]).spawn().expect("the tool starts");
    wait_until("a restart", || {
        read_so_far(&folder, "worker").iter().any(|line| line.message.contains("starts it again"))
    });
    kill_process(Pid::from_child(&child), Signal::TERM).expect("its own child");
    assert_eq!(end(&mut child).code(), Some(1));
}

#[test]
fn what_run_has_read_is_in_the_log_whatever_kills_it() {
    let folder = Scratch::new("run-killed");
    let mut tool = command(&folder, &["--tee"], &["sh", "-c", "n=0; while echo line $n; do n=$((n+1)); done"]);
    let mut child = tool.stdout(Stdio::piped()).spawn().expect("the tool starts");
    let mut output = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut copied = 0;
    while copied < 20_000 {
        copied += usize::from(std::io::BufRead::read_line(&mut output, &mut String::new()).expect("readable") > 0);
    }
    child.kill().expect("its own child");
    child.wait().expect("reaped");
    flush_rest(&folder);
    let lines = read(&folder, "worker");
    let said = said(&lines);
    assert!(said.len() >= copied, "{copied} copied, {} logged", said.len());
    assert!(said.iter().enumerate().all(|(n, (_, text))| *text == format!("line {n}")), "in order, each once");
}

#[test]
fn a_program_that_logs_itself_keeps_its_role_and_its_own_crash_file() {
    let folder = Scratch::new("run-inside");
    let mut tool = TOOL.command();
    tool.args(["run", "--role", "outside", "--dir"]).arg(&*folder).arg("--").arg(&ACTOR).arg("inside").arg(&*folder);
    let status = tool.args(["log:3", "fault:null"]).stdin(Stdio::null()).output().expect("it runs").status;
    assert_eq!(status.signal(), Some(11));
    flush_rest(&folder);
    assert!(last_words(&read(&folder, "outside")).message.contains("was killed by SIGSEGV"));
    let crashes = crash_files(&folder);
    let names: Vec<_> = crashes.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    assert!(names.len() == 1 && names[0].starts_with("inside-"), "{names:?}");
}

#[test]
fn the_first_process_of_a_container_reaps_orphans_and_passes_signals_on() {
    let folder = Scratch::new("run-first");
    // The orphan's parent is gone before it ends; a zombie of it would still be in /proc.
    let program = "(sleep 0.2 & echo $! > $0/orphan) ; until [ ! -e /proc/$(cat $0/orphan) ]; do sleep 0.01; done; echo reaped; \
                   trap 'exit 6' TERM; kill -TERM 1; sleep 5 & wait";
    let script =
        format!("exec {TOOL} run --role worker --dir {0} -- bash -c \"$(cat {0}/program)\" {0}", folder.display());
    fs::write(folder.join("program"), program).expect("writable");
    let Some(mut command) = unshare(&["--pid", "--fork", "--mount-proc"], "true", &script) else { return };
    let mut child = command.stdin(Stdio::null()).spawn().expect("it starts");
    assert_eq!(end(&mut child).code(), Some(6));
    flush_rest(&folder);
    assert_eq!(said(&read(&folder, "worker")), [("INFO", "reaped")]);
}
