//! Programs with the libraries that docs/compatibility.md lists, as their users write them.
//!
//! What works with a logger's own macros on threads of its own making need not work where a runtime moves a task from thread
//! to thread, catches its panics, and handles its signals.

use lastwords_tests::actor::{Actor, Printed, flush_once, flush_rest, printed};
use lastwords_tests::logs::{Line, alarms, crash_files, read, texts};
use lastwords_tests::programs::{SERVER, TRACER};
use lastwords_tests::scratch::Scratch;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;

/// A server and where it listens.
struct Served {
    folder: Scratch,
    server: Actor,
    port: u16,
}

impl Served {
    fn start(name: &str) -> Served {
        let folder = Scratch::new(name);
        let mut command = SERVER.command();
        let mut server = Actor::of(command.arg(&folder).env_remove("RUST_LOG").env_remove("RUST_BACKTRACE"));
        let port = server.line().parse().expect("a port");
        Served { folder, server, port }
    }

    /// What is answered, without its head; empty where the connection ends without an answer.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("written");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned())
    }

    /// Its lines, once none can be added.
    fn lines(&self) -> Vec<Line> {
        flush_rest(&self.folder);
        read(&self.folder, "server")
    }
}

fn count(lines: &[Line], message: &str) -> usize {
    lines.iter().filter(|line| line.message == message).count()
}

#[test]
fn every_answered_request_of_a_killed_axum_server_is_in_the_log_once() {
    let mut served = Served::start("axum-killed");
    let ask = |client: u32| (0..25).map(move |n| format!("{client}-{n}"));
    std::thread::scope(|scope| {
        for client in 0..4 {
            let served = &served;
            scope.spawn(move || {
                ask(client).for_each(|name| assert_eq!(served.get(&format!("/hello/{name}")), format!("hello {name}")));
            });
        }
    });
    served.server.kill();
    let lines = served.lines();
    for name in (0..4).flat_map(ask) {
        assert_eq!(count(&lines, &format!("answered {name}")), 1, "{name}");
        let asked = |line: &&Line| {
            line.message.starts_with("request{id=") && line.message.ends_with(&format!("}}: asked name={name}"))
        };
        assert_eq!(lines.iter().filter(asked).count(), 1, "{name}: its span comes along, whatever thread it is on");
    }
    assert!(lines.iter().any(|line| line.level == "CRITICAL" && line.message.contains("without closing")), "{lines:?}");
    assert_eq!(crash_files(&served.folder).len(), 1);
}

#[test]
fn an_axum_server_that_stops_gracefully_raises_no_alarm() {
    let mut served = Served::start("axum-graceful");
    assert_eq!(served.get("/hello/ada"), "hello ada");
    served.server.signal(Signal::TERM);
    assert!(served.server.end().success());
    let lines = served.lines();
    assert!(texts(&lines).ends_with(&["stopping", "stopped"]), "{lines:?}");
    assert!(alarms(&lines) == 0 && crash_files(&served.folder).is_empty());
}

#[test]
fn a_handler_that_panics_is_a_record_and_the_server_goes_on() {
    let mut served = Served::start("axum-panic");
    assert_eq!(served.get("/panic"), "");
    assert_eq!(served.get("/hello/ada"), "hello ada");
    served.server.signal(Signal::TERM);
    assert!(served.server.end().success());
    let lines = served.lines();
    let alarms = texts(lines.iter().filter(|line| line.level == "CRITICAL"));
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(alarms[0].starts_with("thread 'tokio-r") && alarms[0].ends_with(": a handler's"), "{alarms:?}");
    assert_eq!(count(&lines, "stopped"), 1);
}

#[test]
fn tasks_of_several_runtimes_and_more_blocking_ones_than_lanes_are_all_heard() {
    let mut served = Served::start("runtimes");
    assert_eq!(served.get("/blocking/200"), "200");
    for _ in 0..10 {
        assert_eq!(served.get("/other"), "done");
    }
    served.server.signal(Signal::KILL);
    assert_eq!(served.server.end().signal(), Some(9));
    let lines = served.lines();
    (0..200).for_each(|n| assert_eq!(count(&lines, &format!("blocking {n}")), 1, "{n}"));
    assert_eq!(count(&lines, "from the other runtime"), 10);
}

#[test]
fn env_logger_has_the_facade_where_it_is_left_to_it_and_else_is_told_what_to_do() {
    for (scenario, in_the_ring, heard) in [
        ("env-logger-first", &["[INFO] by the macro"][..], true),
        ("env-logger-second", &["[INFO] by the macro"], true),
        ("env-logger-both", &["[WARNING] by the facade", "[INFO] by the macro"], false),
    ] {
        let folder = Scratch::new(scenario);
        let Printed { status, err: errors, .. } =
            printed(TRACER.command().arg(&folder).arg(scenario).env("RUST_LOG", "info"));
        assert_eq!(status.signal(), Some(9), "{errors}");
        flush_once(&folder);
        let lines = read(&folder, "worker");
        let own = |line: &&Line| !line.message.starts_with("lastwords: ") && line.level != "CRITICAL";
        let lines: Vec<String> =
            lines.iter().filter(own).map(|line| format!("[{}] {}", line.level, line.message)).collect();
        assert_eq!(lines, in_the_ring, "{scenario}");
        assert_eq!(errors.contains("by the facade"), heard, "{scenario}: {errors}");
        assert_eq!(errors.contains("log_facade(false)"), !heard, "{scenario}: {errors}");
    }
}

#[test]
fn the_table_names_the_versions_that_these_tests_are_built_with() {
    let (_, table) = include_str!("../../docs/compatibility.md").split_once("## Rust").expect("a part for Rust");
    let lock = include_str!("../../Cargo.lock");
    let mut seen = 0;
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let (name, version) = (cells.next().expect("a name"), cells.next().expect("a version"));
        let name = name.trim_start_matches("the ").split(' ').next().unwrap_or_default().trim_matches('`');
        let version = version.split(',').next().unwrap_or_default();
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{name} {version}");
        seen += 1;
    }
    assert!(seen >= 10, "{seen} rows");
}
