//! How a process ended is concluded when it is dead: from its own marks, then from the kernel's report.
//!
//! An alarm at each start of a daemon, or whenever a program that restores the default action is stopped, teaches people to
//! ignore alarms; and "died without closing" sends them looking for a crash after a SIGKILL.

use lastwords_tests::actor::{Actor, tool_at, wait_for, wait_until};
use lastwords_tests::ends::{Scene, Seen};
use lastwords_tests::forge::ring_files;
use lastwords_tests::handlers::on_an_older_kernel;
use lastwords_tests::logs::{Line, alarms, crash_files, read, texts};
use lastwords_tests::programs::{ACTOR, HANDLER};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use lastwords_tests::skip_unless;
use lastwords_tests::users::{USER, as_user};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

/// Whether this kernel reports how a process ended that others have reaped. Prints a line if it does not.
fn kernel_tells() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("there");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let tells = (numbers.next(), numbers.next()) >= (Some(6), Some(15));
    if !tells {
        println!("skipped: Linux {} tells nobody how a process ended, which takes 6.15", release.trim());
    }
    tells
}

/// Ways to end that nothing in the process sees, and what is logged about each if the kernel reports it.
const UNSEEN_ENDS: [(&str, Option<&str>); 8] = [
    ("leave:0", None),
    ("by-default:15", None),
    ("by-default:2", None),
    ("by-default:1", None),
    ("leave:3", Some("exited with status 3 without closing")),
    ("send:9", Some("was killed by SIGKILL without closing")),
    ("send:14", Some("was killed by SIGALRM without closing")),
    ("by-default:11", Some("died of SIGSEGV without closing")),
];

#[test]
fn the_kernels_status_says_how_a_process_ended_that_could_not() {
    skip_unless!(kernel_tells());
    for (end, logged) in UNSEEN_ENDS {
        let scene = Scene::new("told", Seen::ByAFlusher);
        let _ = scene.run(format!("init log:1 flush {end}"));
        assert_eq!(scene.deaths_of("worker"), Vec::from_iter(logged), "{end}");
        let heads: Vec<String> = crash_files(scene.path()).iter().map(|path| head(path)).collect();
        assert_eq!(heads, Vec::from_iter(logged.map(|logged| format!("process      {logged}"))), "{end}");
    }
}

/// Signals of which no process learns that leaves them alone, and that end it all the same.
const BY_DEFAULT: [(i32, &str); 8] = [
    (libc::SIGQUIT, "was killed by SIGQUIT"),
    (libc::SIGALRM, "was killed by SIGALRM"),
    (libc::SIGXCPU, "was killed by SIGXCPU"),
    (libc::SIGXFSZ, "was killed by SIGXFSZ"),
    (libc::SIGPIPE, "was killed by SIGPIPE"),
    (libc::SIGUSR1, "was killed by SIGUSR1"),
    (libc::SIGUSR2, "was killed by SIGUSR2"),
    (libc::SIGSYS, "died of SIGSYS"),
];

#[test]
fn signals_that_end_a_process_by_default_are_named_without_being_taken() {
    skip_unless!(kernel_tells());
    for (signal, logged) in BY_DEFAULT {
        let scene = Scene::new("by-default", Seen::ByAFlusher);
        let status = scene.run(format!("init log:1 flush by-default:{signal}"));
        assert_eq!(status.signal(), Some(signal), "{logged}");
        assert_eq!(scene.deaths_of("worker"), [format!("{logged} without closing")]);
        let text = fs::read_to_string(&crash_files(scene.path())[0]).expect("a crash file");
        let name = logged.rsplit(' ').next().expect("a name");
        assert!(text.contains(&format!("\nwait status  killed by {name}\n")), "{text}");
    }
}

/// The line of a crash file that says how its process ended.
fn head(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a crash file");
    text.lines().find(|line| line.starts_with("process ")).expect("a line").to_owned()
}

#[test]
fn a_process_that_nobody_reaps_is_asked_for_in_the_process_table() {
    for (end, logged) in UNSEEN_ENDS {
        let scene = Scene::new("zombie", Seen::ByNobody);
        let mut child =
            HANDLER.acting("worker", scene.path(), format!("init-alone log:1 {end}")).spawn().expect("it starts");
        let stat = format!("/proc/{}/stat", child.id());
        wait_until("its end", || fs::read_to_string(&stat).expect("there").contains(") Z "));
        if let Some(logged) = logged {
            let summary = tool_at("recover", scene.path()).err;
            assert!(summary.contains(logged), "{end}: {summary}");
        }
        assert_eq!(scene.deaths_of("worker"), Vec::from_iter(logged), "{end}");
        child.wait().expect("reaped");
    }
}

/// Without a witness of the end, or a report of the kernel, only the process's own marks apply.
#[test]
fn without_a_witness_an_unseen_end_is_a_death() {
    for (end, _) in UNSEEN_ENDS {
        let scene = Scene::new("unseen", Seen::ByNobody);
        let _ = scene.run(format!("init-alone log:1 {end}"));
        assert_eq!(scene.deaths_of("worker"), ["died without closing"], "{end}");
    }
}

#[test]
fn on_an_older_kernel_a_flusher_that_saw_the_end_says_no_more_than_the_process_did() {
    let marked = [
        ("send:15", None),
        ("exit:3", None),
        ("quick-exit", None),
        ("fault:ill", Some("died of SIGILL without closing")),
    ];
    let unmarked = UNSEEN_ENDS.map(|(end, _)| (end, Some("died without closing")));
    for (end, logged) in marked.into_iter().chain(unmarked) {
        let scene = Scene::new("older", Seen::ByNobody);
        let mut command = ACTOR.acting("host", scene.path(), "say:up flush line:up wait");
        let host = Actor::of(on_an_older_kernel(&mut command)).until("up");
        let mut worker = scene.start(format!("init log:1 flush line:up wait {end}")).until("up");
        // It sees nothing until the process is reaped: a zombie shows its status on every kernel.
        host.signal(Signal::STOP);
        if end == "quick-exit" || end.starts_with("exit") {
            // These wait for the flusher, two seconds at most.
            host.signal(Signal::CONT);
        }
        worker.go();
        let _ = worker.end();
        host.signal(Signal::CONT);
        wait_until("the removal of the ring", || scene.rings("worker").is_empty());
        assert_eq!(scene.deaths_of("worker"), Vec::from_iter(logged), "{end}");
    }
}

#[test]
fn quick_exit_is_an_ordinary_end_that_waits_for_the_files() {
    for seen in Seen::ALL {
        let scene = Scene::new("quick", seen);
        assert!(scene.run([seen.init(), "log:100", "quick-exit"]).success());
        if seen == Seen::ByAFlusher {
            assert_eq!(read(scene.path(), "worker").len(), 100);
        }
        assert!(scene.deaths_of("worker").is_empty(), "{seen:?}");
    }
}

/// Starts a program whose first process is gone without a trace, but for those that were forked from it, when the last one
/// logs; and waits until the first one's ring is.
fn start_and_reap_the_first(scene: &Scene, fork: &str, end: &str) -> Actor {
    let script = format!("init log:1 {fork} line:forked wait log:1 flush line:up wait {end}");
    let mut program = scene.start(script).until("forked");
    wait_for("the first process's end", || program.ended());
    program.go_until("up");
    wait_until("the first process's ring to go", || scene.rings("worker").len() == 1);
    program
}

/// The parents leave at once; only the last child has ever known them.
#[test]
fn a_daemons_parents_raise_no_alarm_and_its_own_death_is_told() {
    skip_unless!(kernel_tells());
    for become_daemon in ["daemon", "fork-twice:0"] {
        for seen in Seen::ALL {
            let scene = Scene::new("daemon", seen);
            let mut first = start_and_reap_the_first(&scene, become_daemon, "send:9");
            let deaths = alarms(&read(scene.path(), "worker"));
            assert_eq!((deaths, crash_files(scene.path()).len()), (0, 0), "{become_daemon} {seen:?}");
            first.go();
            scene.wait_for_the_end_of("worker");
            assert_eq!(scene.deaths_of("worker"), [seen.killed()], "{become_daemon} {seen:?}");
        }
    }
}

#[test]
fn parents_that_leave_with_another_status_or_are_killed_are_deaths_also_for_their_children() {
    skip_unless!(kernel_tells());
    for (fork, logged) in [
        ("fork-twice:3", "exited with status 3 without closing"),
        ("fork-and-kill", "was killed by SIGKILL without closing"),
    ] {
        let scene = Scene::new("parents", Seen::ByNobody);
        let mut first = start_and_reap_the_first(&scene, fork, "");
        first.go();
        scene.wait_for_the_end_of("worker");
        assert_eq!(scene.deaths_of("worker"), [logged], "{fork}");
    }
}

/// A child that has closed every descriptor that it inherited, and opened others in their places, has no witness; it must not
/// take one of those for it.
#[test]
fn a_witness_that_was_closed_is_missed_and_nothing_else_taken_for_it() {
    let scene = Scene::new("closed", Seen::ByNobody);
    let mut first = start_and_reap_the_first(&scene, "fork-twice:0 close-and-open", "");
    first.go();
    scene.wait_for_the_end_of("worker");
    assert_eq!(scene.deaths_of("worker"), ["died without closing"]);
}

/// What takes over may be the only one that saw the last flusher end.
#[test]
fn the_end_of_the_flusher_itself_is_told_by_who_takes_over() {
    skip_unless!(kernel_tells());
    for (end, logged) in [("leave:0", None), ("send:9", Some("was killed by SIGKILL without closing"))] {
        let scene = Scene::new("handed-on", Seen::ByNobody);
        let mut flusher = scene.start(format!("init log:1 flush line:up wait {end}")).until("up");
        let mut host = Actor::start("host", scene.path(), "line:up sleep:300 line:standby wait").until("up");
        host.says("standby");
        flusher.go();
        let _ = flusher.end();
        wait_until("the takeover", || scene.rings("worker").is_empty());
        assert_eq!(scene.deaths_of("worker"), Vec::from_iter(logged), "{end}");
    }
}

/// More processes than the flusher keeps files open of; and with few descriptors, fewer witnesses.
#[test]
fn every_process_has_a_witness_as_far_as_the_limit_of_descriptors_goes() {
    skip_unless!(kernel_tells());
    let scene = Scene::new("many", Seen::ByAFlusher);
    let start = |_| scene.start("init log:1 flush line:up wait").until("up");
    let mut workers: Vec<Actor> = (0..40).map(start).collect();
    workers.iter_mut().for_each(Actor::kill);
    let (lines, _) = scene.told_of("worker");
    let killed = |line: &&Line| line.level == "CRITICAL" && line.message.contains("was killed by SIGKILL");
    assert_eq!((alarms(&lines), lines.iter().filter(killed).count()), (40, 40), "{lines:?}");
}

#[test]
fn a_child_that_logs_and_executes_another_program_raises_no_alarm() {
    for child in [
        "exec-child:/bin/sleep:2",
        "exec-child-closed:/bin/sleep:2",
        "exec-child:/bin/true:",
        "exec-child-closed:/bin/true:",
    ] {
        if child.contains("/bin/true") && !kernel_tells() {
            continue;
        }
        let scene = Scene::new("exec", Seen::ByAFlusher);
        let mut parent = scene.start(format!("init log:1 {child} log:1 flush line:up wait")).until("up");
        wait_until("the child's ring to go", || scene.rings("worker").len() == 1);
        parent.finish();
        let (lines, _) = scene.told_of("worker");
        let logged = texts(&lines);
        assert!(logged.len() == 3 && logged.contains(&"before the exec"), "{child}: {logged:?}");
        assert!(scene.deaths_of("worker").is_empty(), "{child}");
    }
}

/// The program that was executed lives for long enough to be seen, and dies of SIGKILL then: that is none of our deaths.
#[test]
fn an_exec_is_seen_within_half_a_second() {
    for end in ["kill -9 $$", "exit 3"] {
        let scene = Scene::new("exec-seen", Seen::ByAFlusher);
        let file = scene.path().with_extension("sh");
        // Longer than the looks are apart, with room for a slow machine.
        fs::write(&file, format!("sleep 2; {end}\n")).expect("written");
        let exec = format!("exec-child:/bin/sh:{}", file.display());
        let mut parent = scene.start(format!("init log:1 flush {exec} line:up wait")).until("up");
        wait_until("the child's ring", || scene.rings("worker").len() == 2);
        wait_until("the child's ring to go", || scene.rings("worker").len() == 1);
        parent.finish();
        assert!(scene.deaths_of("worker").is_empty(), "{end}");
        fs::remove_file(file).expect("removed");
    }
}

/// The mappings of a program that its user may not read, or that belongs to another user, are not visible.
#[test]
fn an_exec_of_a_program_that_may_not_be_looked_at_raises_no_alarm() {
    let may = as_user(USER, &HANDLER).args(["worker", "/nowhere"]).status();
    if !may.is_ok_and(|status| status.success()) {
        return println!("skipped: this takes root, who may become somebody else who may run {HANDLER}");
    }
    let scratch = Scratch::new("unreadable");
    std::os::unix::fs::chown(&scratch, Some(USER), Some(USER)).expect("given away");
    let program = scratch.with_extension("program");
    fs::copy("/bin/sleep", &program).expect("copied");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o111)).expect("restricted");
    let exec = format!("exec-child:{}:5", program.display());
    let mut command = as_user(USER, &HANDLER);
    command.arg("worker").arg(&scratch).args(format!("init log:1 flush {exec} line:up wait").words());
    let mut parent = Actor::of(command).until("up");
    wait_until("the child's ring", || ring_files(&scratch).len() == 2);
    wait_until("the child's ring to go", || ring_files(&scratch).len() == 1);
    parent.finish();
    let lines = read(&scratch, "worker");
    assert!(lines.iter().all(|line| line.level == "INFO"), "{lines:?}");
    fs::remove_file(program).expect("removed");
}

#[test]
fn an_exec_that_was_announced_is_no_death_and_one_that_failed_is_taken_back() {
    let scene = Scene::new("announced", Seen::ByNobody);
    assert_eq!(scene.run("init-alone log:1 close-exec:/bin/false").code(), Some(1));
    assert!(scene.deaths_of("worker").is_empty());
    let scene = Scene::new("failed", Seen::ByNobody);
    let _ = scene.run("init-alone log:1 close-exec:/nowhere log:1 send:9");
    assert_eq!(scene.deaths_of("worker"), ["died without closing"]);
}

/// A signal that the program survived is not what it ended of.
#[test]
fn where_the_mark_and_the_kernel_disagree_the_kernel_is_right() {
    skip_unless!(kernel_tells());
    let scene = Scene::new("disagree", Seen::ByAFlusher);
    // Its SIGABRT was none of abort(3)'s, but looks like it.
    let mut worker = scene.start("set:6:returns init log:1 flush raise:6 line:up wait").until("up");
    worker.kill();
    assert_eq!(scene.deaths_of("worker"), ["was killed by SIGKILL without closing"]);
}
