//! Signals that others handle as well: what our handler does depends on its caller, and a mark is never believed of a process
//! that lives on.
//!
//! Libraries that handle signals call the handler that they find. One of ours that raises its signal again, or restores the
//! default action, takes the program's own shutdown from it: it spins for ever, or dies of what it handles. And a mark "ended in
//! an ordinary way" that stays in a living process hides its crash.

use lastwords_tests::actor::{Actor, tool_at};
use lastwords_tests::ends::{Scene, Seen};
use lastwords_tests::programs::HANDLER;
use lastwords_tests::script::Script;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Starts a program that logs a line, makes ready as `script` says and prints "up" then.
fn start(scene: &Scene, seen: Seen, before: &str, script: &str) -> Actor {
    let flush = if seen == Seen::ByAFlusher { "flush" } else { "" };
    scene.start(format!("{before} {} log:1 {flush} {script}", seen.init())).until("up")
}

/// Whether `lastwords status` shows the process as alive.
fn is_alive(scene: &Scene, pid: u32) -> bool {
    let text = tool_at("status --json --dir", scene.path()).out;
    let found: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let rings = found["rings"].as_array().expect("rings");
    rings.iter().any(|ring| ring["pid"] == pid && ring["state"] == "alive")
}

/// The program gets the signal, handles it in its own way, goes on, and is alive for all observers. Then it is killed, which is
/// a death like any other, or it ends as it likes.
fn goes_on(name: &str, signal: Signal, before: &str, script: &str) {
    for seen in Seen::ALL {
        for kill in [true, false] {
            let scene = Scene::new(name, seen);
            let mut program = start(&scene, seen, before, &format!("{script} line:caught wait log:1"));
            program.signal(signal);
            assert_eq!(program.line(), "caught", "{name}");
            assert!(is_alive(&scene, program.pid()), "{name}");
            if kill {
                program.kill();
                assert_eq!(scene.deaths_of("worker"), [seen.killed()], "{name} {seen:?}");
            } else {
                program.go();
                assert!(program.end().success(), "{name}");
                let (lines, _) = scene.told_of("worker");
                assert_eq!(lines.len(), 2, "{name}: {lines:?}");
                assert!(scene.deaths_of("worker").is_empty(), "{name}");
            }
        }
    }
}

#[test]
fn ctrl_c_of_tokio_returns() {
    goes_on("tokio", Signal::INT, "", "ctrl-c");
}

const ORDINARY: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::HUP];

#[test]
fn a_flag_of_signal_hook_is_set_and_the_program_goes_on() {
    for signal in ORDINARY {
        goes_on("hook", signal, "", &format!("flag:{} line:up flagged", signal.as_raw()));
    }
}

#[test]
fn a_fatal_signal_that_signal_hook_handles_is_survived() {
    for signal in [Signal::TRAP, Signal::ABORT, Signal::BUS, Signal::SYS] {
        goes_on("hook-fatal", signal, "", &format!("flag:{} line:up flagged", signal.as_raw()));
    }
}

#[test]
fn the_same_with_the_guard_of_sigbus_between_them() {
    goes_on("guarded-bus", Signal::BUS, "", "guarded flag:7 line:up flagged");
}

#[test]
fn programs_that_wait_for_signals_get_them() {
    for signal in ORDINARY {
        for wait in ["sigwait", "signalfd"] {
            let number = signal.as_raw();
            goes_on(wait, signal, &format!("block:{number}"), &format!("line:up {wait}:{number}"));
        }
    }
}

#[test]
fn a_handler_that_passes_a_signal_on_as_it_found_it_gets_it_back() {
    for signal in [Signal::TERM, Signal::SEGV, Signal::FPE, Signal::ILL] {
        // What `std` does about a SIGSEGV that was sent is not ours to change, so its handler is none here.
        let (before, number) = (if signal == Signal::SEGV { "default:11" } else { "" }, signal.as_raw());
        goes_on("passes-on", signal, before, &format!("set:{number}:passes-on send:{number} line:up sleep:50"));
    }
}

#[test]
fn a_handler_that_passes_a_fault_on_is_not_asked_again_for_ever() {
    for (fault, signal, name) in
        [("null", libc::SIGSEGV, "SIGSEGV"), ("bus", libc::SIGBUS, "SIGBUS"), ("ill", libc::SIGILL, "SIGILL")]
    {
        for (seen, before) in [(Seen::ByNobody, "default"), (Seen::ByAFlusher, "default"), (Seen::ByNobody, "line")] {
            let scene = Scene::new("fault-passed-on", seen);
            // With and without the handler of `std`, which restores the default action.
            let script = format!("{before}:{signal} {} log:1 set:{signal}:passes-on fault:{fault}", seen.init());
            let status = scene.run(script);
            assert_eq!(status.signal(), Some(signal), "{name}");
            assert_eq!(scene.deaths_of("worker"), [format!("died of {name} without closing")]);
        }
    }
}

#[test]
fn nobody_handles_it_and_the_end_is_ordinary() {
    for seen in Seen::ALL {
        for signal in ORDINARY {
            let scene = Scene::new("unhandled", seen);
            let mut program = start(&scene, seen, "", "line:up wait");
            program.signal(signal);
            assert_eq!(program.end().signal(), Some(signal.as_raw()), "the parent sees the signal");
            assert!(scene.deaths_of("worker").is_empty(), "{signal:?} {seen:?}");
        }
    }
}

#[test]
fn an_ordinary_signal_in_the_middle_of_log_calls_of_many_threads_ends_the_process_once() {
    for _ in 0..5 {
        let scene = Scene::new("two-signals", Seen::ByNobody);
        let mut program = start(&scene, Seen::ByNobody, "", "line:up log:100000000");
        for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::TERM] {
            program.signal(signal);
        }
        assert!(program.end().signal().is_some());
        assert!(scene.deaths_of("worker").is_empty());
    }
}

#[test]
fn a_child_that_shares_its_parents_memory_marks_none_of_its_rings() {
    for signal in ["15", "2", "1", "6"] {
        goes_on("vfork", Signal::WINCH, "", &format!("child-in-this-memory:{signal} line:up sleep:50"));
    }
}

#[test]
fn process_1_of_a_container_ignores_an_ordinary_signal_and_its_later_death_is_told() {
    for (way, logged) in [("kill", "died without closing"), ("fault:null", "died of SIGSEGV without closing")] {
        let scene = Scene::new("pid-1", Seen::ByNobody);
        let script = format!("init-alone log:1 send:15 send:2 send:1 log:1 line:up wait {way}");
        let may = Command::new("unshare").args(["-Urpf", "--mount-proc", "true"]).status();
        if !may.is_ok_and(|status| status.success()) {
            return println!("skipped: no pid namespace may be made here");
        }
        let mut command = Command::new("unshare");
        command.args(["-Urpf", "--mount-proc", &HANDLER, "worker"]).arg(scene.path()).args(script.words());
        let mut unshare = Actor::of(command).until("up");
        if way == "kill" {
            // Nobody within the namespace can kill its process 1.
            let children = format!("/proc/{0}/task/{0}/children", unshare.pid());
            let inner = std::fs::read_to_string(children).expect("children");
            let inner = inner.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("one child");
            rustix::process::kill_process(inner, Signal::KILL).expect("killed");
        } else {
            unshare.go();
        }
        let _ = unshare.end();
        assert_eq!(scene.deaths_of("worker"), [logged], "{way}");
    }
}

#[test]
fn a_handler_of_a_fatal_signal_that_exits_makes_no_ordinary_end() {
    for seen in Seen::ALL {
        for handler in ["exits", "exits-normally", "exits-normally-there", "leaves", "leaves-there"] {
            for (signal, fault, name) in [(11, "fault:null", "SIGSEGV"), (8, "fault:fpe", "SIGFPE")] {
                let scene = Scene::new("exits", seen);
                let status = scene.run(format!("set:{signal}:{handler} {} log:1 {fault}", seen.init()));
                assert!(status.code().is_some(), "{status}");
                let told = format!("died of {name} without closing");
                assert_eq!(scene.deaths_of("worker"), [told], "{handler} {seen:?}");
            }
        }
    }
}

#[cfg(all(target_env = "gnu", target_arch = "x86_64"))]
#[test]
fn a_handler_of_a_fatal_signal_that_was_left_by_a_jump_spoils_no_later_exit() {
    for seen in Seen::ALL {
        for (exit, set) in
            [("exit:0", "set:11:jumps"), ("exit-deep", "set:11:jumps-there"), ("quick-exit", "set:11:jumps")]
        {
            let scene = Scene::new("jumps", seen);
            let status = scene.run([set, seen.init(), "log:1", "fault-and-jump", "log:1", exit]);
            assert_eq!(status.code(), Some(0), "{exit}");
            assert!(scene.deaths_of("worker").is_empty(), "{exit} {seen:?}");
        }
    }
}

#[test]
fn abort_is_named_although_a_handler_returned() {
    for seen in Seen::ALL {
        for (before, after) in [("set:6:returns", ""), ("", "flag:6"), ("", "set:6:passes-on")] {
            let scene = Scene::new("abort", seen);
            let script = format!("{before} {} {after} log:1 abort", seen.init());
            assert_eq!(scene.run(&script).signal(), Some(libc::SIGABRT));
            assert_eq!(scene.deaths_of("worker"), ["died of SIGABRT without closing"], "{script:?} {seen:?}");
        }
    }
}
