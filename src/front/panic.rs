//! A panic as a record: its message, place, thread, and backtrace.
//!
//! The hook runs at the panic itself, before anything is unwound, on any thread: in the middle of a log call, in a destructor
//! during another panic, in a forked child, in the flusher's own thread. It takes no lock of ours and runs no user code. A hook
//! that panics ends the process: `std` ensures that none is entered again.

use crate::logger::bytes::write_place;
use crate::logger::record::{RecordBody, RecordHead};
use crate::logger::ring_logger::Logger;
use crate::logger::thread;
use crate::process::{ends, loggers};
use lastwords_ring::format::filter::Destination;
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::stderr::{self, complain};
use std::backtrace::Backtrace;
use std::fmt::Write;
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Target of the records.
const TARGET: &str = "panic";

/// Makes panics of this process be recorded, before the present hook runs.
pub(crate) fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    // A panicking thread cannot change the hook.
    if std::thread::panicking() || INSTALLED.swap(true, Ordering::AcqRel) {
        return;
    }
    let earlier = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let hook = InHook::enter();
        if rustix::thread::gettid() == rustix::process::getpid() {
            ends::note_panic_of_main();
        }
        if let Some(logger) = loggers::current()
            && let Some(destination) = logger.filter.admit_target(Level::CRITICAL, TARGET)
        {
            record(logger, destination, info, wanted(hook.is_some()));
        }
        stderr::lend(|| earlier(info));
        if let Some(advice) = crate::front::log_facade::advice(message(info)) {
            complain(format_args!("{advice}"));
        }
    }));
}

fn record(logger: &'static Logger, destination: Destination, info: &PanicHookInfo<'_>, backtrace: Wanted) {
    let head = RecordHead { level: Level::CRITICAL.number(), call_site: 0, destination };
    thread::record(logger, head, &Panic { info, text: describe(info, backtrace) });
}

/// The backtrace of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    None,
    Short,
    Full,
    /// It was requested and cannot be created.
    Lacking,
}

/// What `RUST_BACKTRACE` requests, as of the first panic: a program that catches panics routinely pays for a backtrace no more
/// often than without lastwords. The standard library reads it at the same moment. `possible` is false if neither a backtrace
/// can be created nor, for the same reason, the environment be read.
fn wanted(possible: bool) -> Wanted {
    static KNOWN: OnceLock<Wanted> = OnceLock::new();
    if !possible {
        return if KNOWN.get() == Some(&Wanted::None) { Wanted::None } else { Wanted::Lacking };
    }
    if mutant::is(Mutant::AlwaysBacktrace) {
        return Wanted::Short;
    }
    // Not by `get_or_init`, which would wait for a thread that was in it when this process was forked.
    KNOWN.get().copied().unwrap_or_else(|| {
        let asked = match std::env::var_os("RUST_BACKTRACE") {
            Some(value) if value == "full" => Wanted::Full,
            Some(value) if value != "0" => Wanted::Short,
            _ => Wanted::None,
        };
        let _ = KNOWN.set(asked);
        asked
    })
}

fn describe(info: &PanicHookInfo<'_>, backtrace: Wanted) -> String {
    let thread = std::thread::current();
    let mut text = format!("thread '{}' panicked", thread.name().unwrap_or("<unnamed>"));
    if let Some(location) = info.location() {
        let _ = write!(text, " at {location}");
    }
    let _ = write!(text, ": {}", message(info));
    let _ = match backtrace {
        Wanted::None => Ok(()),
        Wanted::Short => write!(text, "\nstack backtrace:\n{}", short(&Backtrace::force_capture().to_string())),
        Wanted::Full => write!(text, "\nstack backtrace:\n{:#}", Backtrace::force_capture()),
        Wanted::Lacking => text.write_str("\nno backtrace: another thread was at one when this process was forked"),
    };
    text.truncate(text.trim_end().len());
    text
}

/// The calls without those of the standard library and this crate that make a panic, and those that start a thread: the
/// standard library's short backtrace. It finds them by marker functions; if those were stripped, all calls are shown.
fn short(backtrace: &str) -> String {
    // Each call is a line that begins with its number, and its place is in the next one, if known.
    let is_call =
        |line: &&str| line.trim_start().split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    let mut calls: Vec<Vec<&str>> = Vec::new();
    for line in backtrace.lines() {
        match calls.last_mut() {
            Some(call) if !is_call(&line) => call.push(line),
            _ => calls.push(vec![line]),
        }
    }
    let of = |mark: &str| calls.iter().position(|call| call[0].contains(mark));
    let first = of("__rust_end_short_backtrace").map_or(0, |last| last + 1);
    let end = of("__rust_begin_short_backtrace").filter(|end| *end > first).unwrap_or(calls.len());
    let mut text = String::new();
    for (number, call) in calls[first..end].iter().enumerate() {
        let name = call[0].split_once(": ").map_or(call[0], |(_, name)| name);
        let _ = writeln!(text, "{number:4}: {name}");
        call[1..].iter().for_each(|line| _ = writeln!(text, "{line}"));
    }
    text
}

fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let constant = payload.downcast_ref::<&str>().copied();
    constant.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a value that is not text")
}

/// A panic on its way into a record.
struct Panic<'a> {
    info: &'a PanicHookInfo<'a>,
    text: String,
}

impl RecordBody for Panic<'_> {
    fn constant(&self) -> Option<&[u8]> {
        None
    }

    fn write(&self, body: &mut Vec<u8>, _: u32, _: usize) -> u8 {
        body.extend_from_slice(self.text.as_bytes());
        let location = self.info.location();
        write_place(body, TARGET, location.map(|place| place.file()), location.map(|place| place.line()))
    }
}

/// How many threads are in the hook: the process's pid in the high half, because a forked child finds its parent's count here,
/// and the number in the low half.
static IN_HOOK: AtomicU64 = AtomicU64::new(0);

/// A thread in the hook that may request a backtrace. `std` creates them under a lock. A child that was forked while another
/// thread held it would wait for ever.
struct InHook;

impl InHook {
    fn enter() -> Option<InHook> {
        let me = u64::from(std::process::id());
        let count_up = |word: u64| match (word >> 32 == me, word as u32) {
            (false, 1..) => None,
            (false, 0) => Some(me << 32 | 1),
            (true, _) => Some(word + 1),
        };
        IN_HOOK.fetch_update(Ordering::AcqRel, Ordering::Acquire, count_up).ok().map(|_| InHook)
    }
}

impl Drop for InHook {
    fn drop(&mut self) {
        IN_HOOK.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(all(test, feature = "flusher"))]
mod tests {
    use super::*;
    use crate::config::builder::builder;
    use crate::config::flusher_role::Flusher;
    use lastwords_flusher::recover::recovery::Recovery;
    use lastwords_ring::place::folder::Folder;

    #[test]
    fn a_short_backtrace_is_what_lies_between_the_marks() {
        let whole = "   0: lastwords::panic::describe\n             at ./src/panic.rs:90:9\n   1: std::sys::backtrace::__rust_end_short_backtrace::<f>\n   \
             2: core::panicking::panic_fmt\n   3: app::work\n             at ./src/main.rs:7:5\n  \
             4: std::sys::backtrace::__rust_begin_short_backtrace\n   5: clone3\n";
        let expected = "   0: core::panicking::panic_fmt\n   1: app::work\n             at ./src/main.rs:7:5\n";
        assert_eq!(short(whole), expected);
        assert_eq!(short("   0: <unknown>\n   1: <unknown>\n"), "   0: <unknown>\n   1: <unknown>\n");
        assert_eq!(short("disabled backtrace"), "   0: disabled backtrace\n");
    }

    /// The flusher's thread runs no user code, so a panic there is a defect of ours that no other test can have.
    #[test]
    fn the_flushers_own_thread_records_its_panic_and_does_not_wait_for_itself() {
        let path = std::env::temp_dir().join(format!("lastwords-flusher-panic-{}", std::process::id()));
        let log = builder("host").dir(&path).flusher(Flusher::Never).slots_per_lane(8).lanes(3);
        log.init().expect("a ring");
        let flusher = std::thread::Builder::new().name("lastwords".to_owned()).spawn(|| {
            crate::logger::own_thread::mark();
            (0..20).for_each(|n| {
                crate::front::call_site::record_bytes(Level::INFO, "test", format!("line {n}").as_bytes())
            });
            panic!("on purpose");
        });
        assert!(flusher.expect("started").join().is_err());
        let (mut recovery, mut last) = (Recovery::default(), Vec::new());
        recovery.add_folder(&Folder::open(&path).expect("there")).expect("listed");
        let read = recovery.for_each(|found| {
            last = found.thread_name.clone().unwrap_or_default();
            Ok::<u64, crate::Error>(0)
        });
        read.expect("readable");
        std::fs::remove_dir_all(&path).expect("removed");
        assert_eq!(last, b"lastwords", "the last record is its panic");
    }
}
