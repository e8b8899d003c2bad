//! A program that handles signals itself, or ends in a way of its own, with libraries that programs use for that.
//!
//! `handler ROLE FOLDER [action …]`: the actions up to `init` come before the logger is made. `SIGNAL` is a number. Actions:
//! `init`, `init-alone` (without a flusher), `log:N`, `line:TEXT` (prints it), `wait` (for a line on standard input),
//! `sleep:MS`, `flush`, `ctrl-c` (waits for tokio's), `flag:SIGNAL` (signal-hook), `flagged` (waits until it is set),
//! `set:SIGNAL:HANDLER`, `default:SIGNAL`, `guarded` (a second logger, with the guard), `block:SIGNAL`, `sigwait:SIGNAL`,
//! `signalfd:SIGNAL`, `send:SIGNAL` (to the process), `raise:SIGNAL` (to the thread), `by-default:SIGNAL`, `fault:HOW`,
//! `fault-and-jump`, `exit:STATUS`, `exit-deep`, `leave:STATUS`, `abort`, `quick-exit`, `child-in-this-memory:SIGNAL`,
//! `daemon`, `fork-twice:STATUS`, `fork-and-kill`, `close-and-open` (closes all descriptors and opens files in their places),
//! `exec-child:PROGRAM:ARGUMENT`, `exec-child-closed:PROGRAM:ARGUMENT` (closes all descriptors before it executes),
//! `close-exec:PROGRAM` (prints a line before it executes).

use lastwords_tests::{faults, handlers};
use std::future::{Future, poll_fn};
use std::io::BufRead;
use std::os::unix::process::CommandExt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

struct Program {
    role: String,
    folder: String,
    logged: u64,
    flag: Arc<AtomicBool>,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().expect("a role");
    let folder = arguments.next().expect("a folder");
    let mut program = Program { role, folder, logged: 0, flag: Arc::default() };
    for action in arguments {
        let (name, rest) = action.split_once(':').unwrap_or((&action, ""));
        if !program.wait_or_log(name, rest) && !handle(&program, name, rest) && !end(name, rest) {
            panic!("no action {name}");
        }
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

impl Program {
    fn wait_or_log(&mut self, name: &str, rest: &str) -> bool {
        match name {
            "init" => lastwords::builder(&self.role).dir(&self.folder).init().expect("a logger"),
            "init-alone" => {
                let builder = lastwords::builder(&self.role).dir(&self.folder);
                builder.flusher(lastwords::Flusher::Never).init().expect("a logger");
            }
            "guarded" => {
                let builder = lastwords::builder("guarded").dir(&self.folder);
                let _ = builder.flusher(lastwords::Flusher::Never).sigbus_guard(true).open().expect("a logger");
            }
            "log" => self.log(number(rest)),
            "line" => println!("{rest}"),
            "wait" => _ = std::io::stdin().lock().read_line(&mut String::new()).expect("a line"),
            "sleep" => std::thread::sleep(Duration::from_millis(number(rest))),
            "flush" => lastwords_tests::actor::flush(),
            _ => return false,
        }
        true
    }

    fn log(&mut self, lines: u64) {
        for _ in 0..lines {
            lastwords::info!("line {}", self.logged);
            self.logged += 1;
        }
    }
}

fn handle(program: &Program, name: &str, rest: &str) -> bool {
    match name {
        "ctrl-c" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut signal = pin!(tokio::signal::ctrl_c());
                let mut printed = false;
                let ended = poll_fn(|context| {
                    let polled = signal.as_mut().poll(context);
                    if !std::mem::replace(&mut printed, true) {
                        // Only now is the handler there.
                        println!("up");
                    }
                    polled
                });
                ended.await.expect("a signal");
            });
        }
        "flag" => {
            // Safe: it sets a flag.
            signal_hook::flag::register(number(rest), Arc::clone(&program.flag)).expect("registered");
        }
        "flagged" => {
            while !program.flag.swap(false, Ordering::AcqRel) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        "default" => handlers::restore_default(number(rest)),
        "set" => {
            let (signal, handler) = rest.split_once(':').expect("SIGNAL:HANDLER");
            handlers::set(number(signal), handler);
        }
        "block" => handlers::block(number(rest)),
        "sigwait" => handlers::wait_by_sigwait(number(rest)),
        "signalfd" => handlers::wait_by_signalfd(number(rest)),
        "raise" => handlers::raise(number(rest)),
        "send" => handlers::send(number(rest)),
        "child-in-this-memory" => handlers::child_in_this_memory(number(rest)),
        "fault-and-jump" => handlers::fault_and_jump(),
        _ => return false,
    }
    true
}

fn end(name: &str, rest: &str) -> bool {
    match name {
        "by-default" => handlers::raise_by_default(number(rest)),
        "fault" => faults::act(rest),
        "exit" => std::process::exit(number(rest)),
        "exit-deep" => handlers::exit_deep(20),
        "leave" => handlers::leave(number(rest)),
        "abort" => std::process::abort(),
        "quick-exit" => handlers::exit_quickly(0),
        "daemon" => handlers::become_daemon(),
        "fork-twice" => handlers::fork_twice(number(rest)),
        "fork-and-kill" => handlers::fork_and_kill_the_parent(),
        "close-and-open" => handlers::close_and_open(),
        "exec-child" | "exec-child-closed" => {
            let (program, argument) = rest.split_once(':').expect("PROGRAM:ARGUMENT");
            let work = || {
                lastwords::info!("before the exec");
                if name == "exec-child-closed" {
                    handlers::close_from(3);
                }
            };
            handlers::fork_and_exec(work, program, argument);
        }
        "close-exec" => {
            lastwords::close();
            println!("{}", std::process::Command::new(rest).exec());
            lastwords::reopen();
        }
        _ => return false,
    }
    true
}
