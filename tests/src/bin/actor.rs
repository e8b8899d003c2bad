//! A program that logs as its arguments say, for tests of what users see.
//!
//! `actor ROLE FOLDER [setting=value …] [action …]`
//!
//! Settings: `backlog` (bytes), `policy`, `slots`, `lanes`, `record`, `rotate`, `keep`, `keep-total`, `keep-for` (seconds), `rotate-every`, `compress`, `crash-total`, `console`, `flusher=never`, `level`, `memory=shared`, `rings`,
//! `durable` (milliseconds), `file-mode`, `file-group`, `group-folder`, `format`, `guard`, `crash-files`, `context`, `panics` (`off`, or `slow` for an earlier hook that takes its time), `handlers=earlier`.
//! Actions: `log:N` (lines `line 0` … `line N-1`, going on where the last one stopped), `say:TEXT`, `long:BYTES`, `longs:N:BYTES`, `debug:TEXT`,
//! `error:TEXT`, `facade:TEXT`, `each:TEXT` (at every level, by macro, with target `noisy::inner`, and by the facade), `fine:N` (N lines at TRACE), `mixed:T:N` (T threads with
//! N lines at INFO and as many at TRACE),
//! `name:LEVEL:NAME` (names a level), `at:LEVEL:TEXT` (a line at that level), `set-log:DIRECTIVES`, `max-level` (prints the facade's), `die-of-panic:TEXT`, `samples` (one record of each kind), `threads:T:N` (each thread its own lines), `slowly:N:US` (as `log`, with a pause after each), `storm:N` (forks while threads log),
//! `attach:TEXT` (to the crash file), `fork-attach:N` (N children attach notes of their own), `attach-in-handler:TEXT` (in the
//! handler of a SIGSEGV), `event:TEXT` (as a front end in another language), `pause` (ends the library's threads), `resume`,
//! `count-threads` (prints how many there are), `close`, `leave` (by _exit), `named-thread:NAME`, `flush`, `line` (prints a line on standard
//! output, for the test to wait for), `wait` (for a line on standard input), `exit`, `abort`, `kill` (by SIGKILL),
//! `run:COMMAND` (by the shell, and waits for it), `keeper:MS` (a child that keeps all that the process has open and mapped, for so long), `sleep:MS`, `grow:MIB` (memory that it uses, and five threads, for good), `burn:MS` (processor time), `panicking:HOW`, `fault:HOW`, `roles:N` (N further roles log a line each), `flush-roles:N`, `mark` (a system call of which a tracer knows where it is), `fork:N` and `fork-log:N` (N children log lines of their own, or go on as `log` does), `bus` (reads
//! behind the end of a mapped file), `later:bus` (handles SIGBUS as the end, behind the guard), `loggers:N` (opens as many more), `loggers-log:N`
//! (as many lines to each of them), `close-own` (closes the process's logger), `close-all:A-B`, `close-range:A-B`, `open-own:N:FOLDER`, `dup-over:A-B`, `no-cloexec`,
//! `become:UID` (groups, group and user, for good), `sandbox` (a seccomp filter), `chroot:FOLDER`, `chdir:FOLDER`,
//! `close-every:MS:FOLDER` (a thread that closes all below 1024 and opens files there), `take-all` (every descriptor there is), `one-table` (a
//! filter refuses the flusher's thread a table of its own), `no-getfd` (a filter kills for pidfd_getfd), `descriptors:N` (the limit), `check-own`, `write-to:FD:TEXT`, `in-child`: see `descriptors.rs`, `hold-files:TIMES:MS` (a thread opens all files that the process may open, 100 more than it has, so
//! many times, for so long and with as long a pause, and prints "held" at the end), `grab-files:TIMES:MS` (takes what is given back meanwhile as well), `fork-starved:WHAT` (see there), `disk:BYTES` (limits the
//! size of files), `room` (gives back what `before:no-threads` took). At the end main returns. `before:bus` is done before the logger is made: it handles
//! SIGBUS itself; so is `before:close:A-B`, and with `before:` every action that does not log.

use lastwords::event::Event;
use lastwords::{Builder, Flusher, Format, FullPolicy, Level, Memory};
use lastwords_tests::logs::long_text;
use lastwords_tests::{descriptors, faults, forking, panics, privileges, samples, sandbox};
use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit};
use std::fmt::Debug;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Barrier;
use std::time::Duration;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().expect("a role");
    let folder = arguments.next().expect("a folder");
    let mut builder = lastwords::builder(role);
    if folder != "default" {
        builder = builder.dir(folder);
    }
    let mut actions = Vec::new();
    for argument in arguments {
        match argument.split_once('=') {
            Some((name, value)) if !argument.contains(':') => builder = set(builder, name, value),
            _ if argument == "before:bus" => forking::handle_bus(),
            _ if argument.starts_with("before:close:") => close(&argument["before:close:".len()..], false),
            _ if argument == "before:facade" => log::set_logger(&OTHER).expect("free"),
            _ if argument == "before:no-threads" => limit_memory(Some(1 << 20)),
            _ if argument.starts_with("before:") => act(&argument["before:".len()..], &mut 0),
            _ => actions.push(argument),
        }
    }
    if let Err(error) = builder.init() {
        println!("init failed: {error}");
        let free = log::set_logger(&OTHER).is_ok();
        println!("the facade is {}", if free { "free" } else { "taken" });
        std::process::exit(7);
    }
    let mut count = 0;
    for action in actions {
        act(&action, &mut count);
    }
}

/// A logger of the facade that is not ours.
struct Other;

static OTHER: Other = Other;

impl log::Log for Other {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        false
    }

    fn log(&self, _: &log::Record<'_>) {}

    fn flush(&self) {}
}

fn set(builder: Builder, name: &str, value: &str) -> Builder {
    let number = || parsed(value);
    match name {
        "policy" => builder.full_policy(parsed::<FullPolicy>(value)),
        "slots" => builder.slots_per_lane(number()),
        "lanes" => builder.lanes(number()),
        "record" => builder.record_size(number()),
        "rotate" => builder.rotate_size(parsed(value)),
        "keep" => builder.rotate_keep(number()),
        "columns" => builder.columns(parsed(value)),
        "time-digits" => builder.time_digits(parsed(value)),
        "time-offset" => builder.time_offset(value == "true"),
        "rotate-every" => builder.rotate_every(parsed(value)),
        "compress" => builder.compress(parsed(value)),
        "keep-total" => builder.keep_total(parsed(value)),
        "keep-for" => builder.keep_for(Duration::from_secs(parsed(value))),
        "memory" => builder.memory(Memory::Shared),
        "rings" => builder.rings(value),
        "backlog" => builder.backlog_max(parsed(value)),
        "console" => builder.console(true),
        "file-mode" => builder.file_mode(u32::from_str_radix(value, 8).expect("a mode")),
        "file-group" => builder.file_group(value),
        "group-folder" => builder.group_folder(true),
        "flusher" => builder.flusher(Flusher::Never),
        "durable" => builder.durable(Duration::from_millis(parsed(value))),
        "capture" => builder.crash_capture(value == "true"),
        "crash-files" => builder.crash_files(number()),
        "crash-total" => builder.crash_total(parsed(value)),
        "context" => builder.context_on_error(number()),
        "handlers" => {
            faults::set_earlier_handlers();
            builder
        }
        "panics" if value == "off" => builder.panic_hook(false),
        "panics" => {
            panics::set_slow_hook();
            builder
        }
        "format" => builder.format(parsed::<Format>(value)),
        "guard" => builder.sigbus_guard(value == "true"),
        "fuse" => builder.allow_fuse(value == "true"),
        "level" => builder.level(parsed::<Level>(value)),
        other => panic!("no setting {other}"),
    }
}

/// What an action or a setting is given, as the type that it takes.
fn parsed<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a value of this kind")
}

/// Two of them, with this sign between them.
fn two<A: FromStr<Err: Debug>, B: FromStr<Err: Debug>>(text: &str, between: char) -> (A, B) {
    let (first, second) = text.split_once(between).expect("two values");
    (parsed(first), parsed(second))
}

/// Closes descriptors, `FIRST-LAST`.
fn close(range: &str, at_once: bool) {
    let (first, last) = two(range, '-');
    descriptors::close(first, last, at_once);
}

fn act(action: &str, count: &mut u64) {
    let (name, rest) = action.split_once(':').unwrap_or((action, ""));
    match name {
        "log" => log(parsed(rest), count),
        "say" => lastwords::info!("{rest}"),
        "longs" => {
            let (count, bytes): (u64, usize) = two(rest, ':');
            let text = long_text(bytes);
            (0..count).for_each(|_| lastwords::info!("{text}"));
        }
        "long" => lastwords::info!("{}", long_text(parsed(rest))),
        "debug" => lastwords::debug!("{rest}"),
        "error" => lastwords::error!("{rest}"),
        "facade" => log::info!("{rest}"),
        "each" => each_level(rest),
        "name" => at_level(rest, lastwords::name_level),
        "at" => at_level(rest, |level, text| lastwords::record_bytes(level, "at", text.as_bytes())),
        "fine" => (0..parsed(rest)).for_each(|n: u64| lastwords::trace!("fine {n}")),
        "mixed" => mixed_threads(rest),
        "set-log" => lastwords::set_log(rest).expect("directives"),
        "max-level" => println!("{}", log::max_level()),
        "die-of-panic" => panic!("{rest}"),
        "samples" => samples::all(),
        "threads" => threads(rest),
        "slowly" => slowly(rest, count),
        "storm" => storm(parsed(rest)),
        "flush" => lastwords_tests::actor::flush(),
        "line" => println!("{rest}"),
        "wait" => {
            std::io::stdin().lock().read_line(&mut String::new()).expect("a line");
        }
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        "kill" => {
            kill_process(getpid(), Signal::KILL).expect("killed");
        }
        "sleep" => std::thread::sleep(Duration::from_millis(parsed(rest))),
        "grow" => grow(parsed(rest)),
        "burn" => burn(Duration::from_millis(parsed(rest))),
        "mark" => _ = rustix::process::getppid(),
        "role" => second_role(rest),
        "roles" => roles(parsed(rest), |role| lastwords::info!(logger: role, "a line")),
        // As a front end does at the end, one after the other.
        "flush-roles" => roles(parsed(rest), |role| _ = role.flush()),
        // A role that finds its folder by itself, as the first one did.
        "role-anew" => lastwords::info!(logger: lastwords::builder(rest).open().expect("a ring"), "anew"),
        "fork" => forking::children(parsed(rest), |child| {
            (0..20).for_each(|n| lastwords::info!("child {child} line {n}"));
        }),
        "fork-log" => forking::children(parsed(rest), |_| log(5, &mut count.clone())),
        "keeper" => forking::keeper(Duration::from_millis(parsed(rest))),
        "run" => run(rest),
        "sleeper" => forking::sleeper(Duration::from_millis(parsed(rest))),
        "exec" => forking::exec(rest),
        "nested" => lastwords::info!("outer {}", Nested),
        "tls" => std::thread::spawn(|| LATE.with(|_| lastwords::info!("early"))).join().expect("ended"),
        "panic" => panic_with_drop(),
        "attach" => attach(rest),
        "event" => event(rest),
        "pause" => lastwords::flusher_threads::pause(),
        "resume" => lastwords::flusher_threads::resume_with_next_record(),
        "count-threads" => println!("{}", std::fs::read_dir("/proc/self/task").expect("listed").count()),
        "close" => lastwords::close(),
        "leave" => forking::leave(),
        "named-thread" => named_thread(rest),
        "attach-in-handler" => faults::attach_in_handler(attachment(), rest.to_owned()),
        "fork-attach" => {
            forking::children(parsed(rest), |child| attach(&format!("notes of child {child}\n")));
        }
        "fault" => faults::act(rest),
        "panicking" => panics::act(rest),
        "handler" => forking::log_from_handler(parsed(rest)),
        "exiting" => log_while_exiting(),
        "bus" => forking::touch_nothing(),
        "close-all" => close(rest, false),
        "close-range" => close(rest, true),
        "open-own" => {
            let (count, folder): (_, PathBuf) = two(rest, ':');
            descriptors::open_own(&folder, count);
        }
        "dup-over" => {
            let (first, last) = two(rest, '-');
            descriptors::dup_own_over(first, last);
        }
        "close-every" => {
            let (pause, folder): (_, PathBuf) = two(rest, ':');
            std::thread::spawn(move || descriptors::close_every(Duration::from_millis(pause), &folder));
        }
        "take-all" => descriptors::take_all(),
        "no-cloexec" => descriptors::clear_close_on_exec(),
        "descriptors" => descriptors::limit(parsed(rest)),
        "check-own" => println!("{}", descriptors::check_own()),
        "write-to" => {
            let (fd, text): (_, String) = two(rest, ':');
            println!("{}", descriptors::write_to(fd, text.as_bytes()));
        }
        // A child that goes on with the actions that follow, while its parent waits for it and leaves.
        "in-child" => forking::in_child(),
        "hold-files" => hold_files(rest, false),
        "grab-files" => hold_files(rest, true),
        "fork-starved" => forking::children(1, |_| starved(rest)),
        "room" => limit_memory(None),
        "become" => privileges::become_user(parsed(rest)),
        "one-table" => sandbox::refuse_own_table(),
        "no-getfd" => sandbox::kill_for_getfd(),
        "sandbox" => sandbox::enter(rest),
        "chroot" => privileges::change_root(rest),
        "chdir" => std::env::set_current_dir(rest).expect("changed"),
        "later" => forking::handle_bus_as_the_end(),
        "loggers" => open_loggers(parsed(rest)),
        // Its own logger, which only `init` has opened as well.
        "close-own" => {
            let own = own_log();
            own.close().expect("one of two");
            // Without a flusher it says that nothing is drained yet.
            let _ = own.close();
        }
        "loggers-log" => log_to_all(parsed(rest)),
        "disk" => forking::limit_file_size(parsed(rest)),
        other => panic!("no action {other}"),
    }
}

/// The file for the notes of this process's own logger, which a second one of its role and folder is.
fn attachment() -> std::fs::File {
    // A forked child has no logger yet that could say where its folder is.
    own_log().attachment().expect("opened")
}

/// The process's logger, as a value.
fn own_log() -> lastwords::Log {
    let mut arguments = std::env::args().skip(1);
    let (role, folder) = (arguments.next().expect("a role"), arguments.next().expect("a folder"));
    lastwords::builder(role).dir(folder).open().expect("the same logger")
}

/// Records as a front end in another language does.
fn event(text: &str) {
    let _ = own_log().record(&Event::new(Level::INFO, "actor", text.as_bytes()));
}

fn named_thread(name: &str) {
    let name = name.to_owned();
    let body = move || {
        lastwords::name_thread(&name);
        lastwords::info!("from a thread that another runtime has named");
    };
    std::thread::spawn(body).join().expect("ended");
}

fn attach(text: &str) {
    attachment().write_all(text.as_bytes()).expect("written");
}

fn log(lines: u64, count: &mut u64) {
    for _ in 0..lines {
        lastwords::info!("line {count}");
        *count += 1;
    }
}

fn at_level(rest: &str, act: impl FnOnce(Level, &str)) {
    let (level, text): (_, String) = two(rest, ':');
    act(level, &text);
}

/// A line of every level, by the macros with two targets and by the facade.
fn each_level(text: &str) {
    for level in [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARNING, Level::ERROR, Level::CRITICAL] {
        lastwords::record_bytes(level, "bytes", format!("bytes {text} {level}").as_bytes());
    }
    lastwords::trace!("own {text} TRACE");
    lastwords::debug!("own {text} DEBUG");
    lastwords::info!("own {text} INFO");
    lastwords::error!("own {text} ERROR");
    lastwords::trace!(target: "noisy::inner", "noisy {text} TRACE");
    lastwords::info!(target: "noisy::inner", "noisy {text} INFO");
    lastwords::error!(target: "noisy::inner", "noisy {text} ERROR");
    log::trace!("facade {text} TRACE");
    log::debug!("facade {text} DEBUG");
    log::info!("facade {text} INFO");
    log::debug!(target: "noisy", "noisy facade {text} DEBUG");
    log::error!(target: "noisy", "noisy facade {text} ERROR");
}

/// Logs while it is being formatted for a log call.
struct Nested;

impl std::fmt::Display for Nested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        lastwords::info!("inner {}", 1);
        f.write_str("done")
    }
}

/// Logs when its thread's locals are destroyed, and when it is dropped by a panic.
struct Late(&'static str);

impl Drop for Late {
    fn drop(&mut self) {
        lastwords::info!("{}", self.0);
    }
}

thread_local! {
    static LATE: Late = const { Late("late") };
}

fn panic_with_drop() {
    let thread = std::thread::spawn(|| {
        let _late = Late("dropped by a panic");
        panic!("on purpose");
    });
    assert!(thread.join().is_err());
}

/// In a forked child: makes its ring impossible for a while, in which it logs `child 0` … `child 19`, then logs on to 69. What is
/// lacking is `files`, `memory`, or `room:FOLDER` or `inodes:FOLDER`, of which the folder's file system is full then; with
/// `-still` behind it to the very end.
fn starved(what: &str) {
    let (what, folder) = what.split_once(':').unwrap_or((what, ""));
    let (what, still) = what.strip_suffix("-still").map_or((what, false), |what| (what, true));
    let folder = std::path::Path::new(folder);
    let set = |on: bool| match what {
        "files" => limit_files(on),
        "memory" => limit_memory(on.then_some(0)),
        "room" | "inodes" if !on => {
            (0..10_000).for_each(|n| _ = std::fs::remove_file(folder.join(format!("filler-{n}"))))
        }
        "room" => _ = std::fs::write(folder.join("filler-0"), vec![1; 64 << 20]),
        "inodes" => _ = (0..10_000).find(|n| std::fs::File::create(folder.join(format!("filler-{n}"))).is_err()),
        other => panic!("no lack of {other}"),
    };
    set(true);
    let log = |n: u32| {
        lastwords::info!("child {n}");
        std::thread::sleep(Duration::from_millis(2));
    };
    (0..20).for_each(log);
    if !still {
        set(false);
        (20..70).for_each(log);
    }
}

fn limit(resource: Resource, current: Option<u64>, maximum: Option<u64>) {
    setrlimit(resource, Rlimit { current, maximum }).expect("limited");
}

/// No descriptor but the standard streams', or as many as ever.
fn limit_files(on: bool) {
    let hard = getrlimit(Resource::Nofile).maximum;
    limit(Resource::Nofile, if on { Some(3) } else { hard }, hard);
}

/// At most so many bytes of address space more than there are.
fn limit_memory(more: Option<u64>) {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("its size");
    let pages: u64 = statm.split(' ').next().and_then(|pages| pages.parse().ok()).expect("pages");
    let hard = getrlimit(Resource::As).maximum;
    let current = more.map_or(hard, |more| Some(pages * 4096 + more));
    limit(Resource::As, current, hard);
}

/// Takes all descriptors that this process may have, again and again.
fn hold_files(rest: &str, again: bool) {
    let (times, pause): (u32, _) = two(rest, ':');
    let pause = Duration::from_millis(pause);
    let open = std::fs::read_dir("/proc/self/fd").expect("listed").count() as u64;
    limit(Resource::Nofile, Some(open + 100), Some(open + 100));
    std::thread::spawn(move || {
        for round in 0..times {
            if round > 0 {
                std::thread::sleep(pause);
            }
            let mut held = Vec::new();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                held.push(file);
            }
            let start = std::time::Instant::now();
            while start.elapsed() < pause {
                if again {
                    held.extend(std::fs::File::open("/dev/null"));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        println!("held");
    });
}

/// Threads that go on logging while main returns.
fn log_while_exiting() {
    for thread in 0..4 {
        std::thread::spawn(move || (0..u64::MAX).for_each(|n| lastwords::info!("exiting {thread} line {n}")));
    }
    std::thread::sleep(Duration::from_millis(20));
}

/// Further loggers of this process, each with a ring of its own.
static LOGGERS: std::sync::Mutex<Vec<lastwords::Log>> = std::sync::Mutex::new(Vec::new());

fn open_loggers(count: usize) {
    let folder = lastwords::folder().expect("a folder");
    let open = |n| {
        lastwords::builder(format!("more-{n}")).dir(&folder).flusher(Flusher::Never).lanes(3).slots_per_lane(64).open()
    };
    LOGGERS.lock().expect("no panic").extend((0..count).map(|n| open(n).expect("a logger")));
}

fn log_to_all(count: u64) {
    for log in LOGGERS.lock().expect("no panic").iter().copied() {
        (0..count).for_each(|n| lastwords::info!(logger: log, "more {n}"));
    }
}

fn slowly(rest: &str, count: &mut u64) {
    let (lines, pause): (u64, _) = two(rest, ':');
    for _ in 0..lines {
        log(1, count);
        std::thread::sleep(Duration::from_micros(pause));
    }
}

/// Forks children while four threads log, each of them in the middle of something when a child is made.
fn storm(children: u64) {
    static DONE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let work = |thread: u64| {
        move || {
            let mut n = 0;
            while !DONE.load(std::sync::atomic::Ordering::Acquire) || n < 200 {
                lastwords::info!("thread {thread} line {n}");
                n += 1;
                std::thread::sleep(Duration::from_micros(200));
            }
            lastwords::info!("thread {thread} wrote {n}");
        }
    };
    let threads: Vec<_> = (0..4).map(|thread| std::thread::spawn(work(thread))).collect();
    forking::children(children, |child| (0..20).for_each(|n| lastwords::info!("child {child} line {n}")));
    DONE.store(true, std::sync::atomic::Ordering::Release);
    threads.into_iter().for_each(|thread| thread.join().expect("ended"));
}

/// Runs a command beside itself, in its own namespaces.
fn run(command: &str) {
    let mut child = std::process::Command::new("sh").args(["-c", command]).stdout(std::process::Stdio::null()).spawn();
    let _ = child.as_mut().expect("the shell starts").wait().expect("its own child");
}

fn second_role(role: &str) {
    let folder = lastwords::folder().expect("initialised");
    let open = || lastwords::builder(role).dir(&folder).open().expect("a second ring");
    let (first, same) = (open(), open());
    for n in 0..100 {
        lastwords::info!(logger: first, "second {n}");
        lastwords::info!("main {n}");
        lastwords::info!(logger: same, "again {n}");
    }
    first.flush().expect("flushed");
}

fn roles(count: usize, act: impl Fn(lastwords::Log)) {
    let folder = lastwords::folder().expect("initialised");
    (0..count).for_each(|n| act(lastwords::builder(format!("role{n}")).dir(&folder).open().expect("a ring")));
}

/// Threads with lines for the file and, between them, for the ring alone: two at a time, which have their first lanes
/// before either asks for its second one, then one, which finds the lanes of both, and so on.
fn mixed_threads(rest: &str) {
    let (threads, lines): (u64, u64) = two(rest, ':');
    let work = |thread: u64, together: &Barrier| {
        lastwords::info!("thread {thread} line 0");
        together.wait();
        for n in 1..lines {
            lastwords::trace!("fine {thread} {n}");
            lastwords::info!("thread {thread} line {n}");
        }
    };
    let mut next = 0;
    while next < threads {
        let wanted = if next % 3 == 0 { 2 } else { 1 };
        let count = wanted.min(threads - next);
        let together = Barrier::new(count as usize);
        std::thread::scope(|scope| {
            (next..next + count).for_each(|thread| {
                _ = scope.spawn({
                    let together = &together;
                    move || work(thread, together)
                })
            });
        });
        next += count;
    }
}

fn grow(mib: usize) {
    std::mem::forget(vec![1u8; mib << 20]);
    (0..5).for_each(|_| _ = std::thread::spawn(std::thread::park));
}

/// Uses the processor for so long.
fn burn(time: Duration) {
    let used =
        || Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime)).expect("a time");
    let start = used();
    while used() - start < time {}
}

fn threads(rest: &str) {
    let (threads, lines): (u64, u64) = two(rest, ':');
    let work = |thread: u64| move || (0..lines).for_each(|n| lastwords::info!("thread {thread} line {n}"));
    let running: Vec<_> = (0..threads).map(|n| std::thread::spawn(work(n))).collect();
    running.into_iter().for_each(|thread| thread.join().expect("ended"));
}
