//! A program that logs as its arguments say, for tests of what users see.
//!
//! `actor ROLE FOLDER [setting=value …] [action …]`
//!
//! Settings: `policy`, `slots`, `lanes`, `record`, `rotate`, `keep`, `console`, `flusher=never`, `level`.
//! Actions: `log:N` (lines `line 0` … `line N-1`, going on where the last one stopped), `say:TEXT`, `long:BYTES`, `debug:TEXT`,
//! `error:TEXT`, `facade:TEXT`, `threads:T:N` (each thread its own lines), `flush`, `line` (prints a line on standard
//! output, for the test to wait for), `wait` (for a line on standard input), `exit`, `abort`, `kill` (by SIGKILL),
//! `sleep:MS`. At the end main returns.

use lastwords::{Builder, Flusher, FullPolicy, Level};
use std::io::BufRead;
use std::time::Duration;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().expect("a role");
    let mut builder = lastwords::builder(role).folder(arguments.next().expect("a folder"));
    let mut actions = Vec::new();
    for argument in arguments {
        match argument.split_once('=') {
            Some((name, value)) if !argument.contains(':') => builder = set(builder, name, value),
            _ => actions.push(argument),
        }
    }
    if let Err(error) = builder.init() {
        println!("init failed: {error}");
        std::process::exit(7);
    }
    let mut count = 0;
    for action in actions {
        act(&action, &mut count);
    }
}

fn set(builder: Builder, name: &str, value: &str) -> Builder {
    let number = || value.parse().expect("a number");
    match name {
        "policy" => builder.full_policy(value.parse::<FullPolicy>().expect("a policy")),
        "slots" => builder.slots_per_lane(number()),
        "lanes" => builder.lanes(number()),
        "record" => builder.record_size(number()),
        "rotate" => builder.rotate_size(value.parse().expect("a size")),
        "keep" => builder.rotate_keep(number()),
        "console" => builder.console(true),
        "flusher" => builder.flusher(Flusher::Never),
        "level" => builder.level(value.parse::<Level>().expect("a level")),
        other => panic!("no setting {other}"),
    }
}

fn act(action: &str, count: &mut u64) {
    let (name, rest) = action.split_once(':').unwrap_or((action, ""));
    match name {
        "log" => {
            for _ in 0..rest.parse::<u64>().expect("a number") {
                lastwords::info!("line {count}");
                *count += 1;
            }
        }
        "say" => lastwords::info!("{rest}"),
        "long" => lastwords::info!("{}", long_text(rest.parse().expect("bytes"))),
        "debug" => lastwords::debug!("{rest}"),
        "error" => lastwords::error!("{rest}"),
        "facade" => log::info!("{rest}"),
        "threads" => threads(rest),
        "flush" => lastwords::flush().expect("flushed"),
        "line" => println!("{rest}"),
        "wait" => {
            std::io::stdin().lock().read_line(&mut String::new()).expect("a line");
        }
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        "kill" => {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).expect("killed")
        }
        "sleep" => std::thread::sleep(Duration::from_millis(rest.parse().expect("milliseconds"))),
        other => panic!("no action {other}"),
    }
}

/// The same text that the test computes: numbers, so that a part in the wrong place is seen.
fn long_text(bytes: usize) -> String {
    lastwords_tests::logs::long_text(bytes)
}

fn threads(rest: &str) {
    let (threads, lines) = rest.split_once(':').expect("T:N");
    let lines: u64 = lines.parse().expect("a number");
    let work = |thread: u64| move || (0..lines).for_each(|n| lastwords::info!("thread {thread} line {n}"));
    let running: Vec<_> = (0..threads.parse().expect("a number")).map(|n| std::thread::spawn(work(n))).collect();
    running.into_iter().for_each(|thread| thread.join().expect("ended"));
}
