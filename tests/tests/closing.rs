//! A logger that is closed gives back what it has: descriptors, its ring, the thread of its folder. What was logged before is in
//! the file, what is logged later is nowhere, and threads that are in the middle of a call are none the worse for it.

use lastwords::event::Event;
use lastwords::{Builder, Error, Flusher, Format, Level, Log, Memory};
use lastwords_tests::actor::{run, succeed, tool_at};
use lastwords_tests::descriptors::of_process_within;
use lastwords_tests::files::names_in;
use lastwords_tests::logs::{crash_files, messages, missing, read};
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::Duration;

/// They count the threads of this process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn builder(folder: &Path) -> Builder {
    lastwords::builder("worker").dir(folder).slots_per_lane(256)
}

/// What this process has of a folder.
fn had_of(folder: &Path) -> Vec<String> {
    let descriptors = of_process_within(std::process::id(), folder).into_iter().map(|path| path.display().to_string());
    let maps = fs::read_to_string("/proc/self/maps").expect("readable");
    let mapped = maps.lines().filter(|line| line.contains(&*folder.to_string_lossy())).map(str::to_owned);
    descriptors.chain(mapped).collect()
}

/// Rings and what belongs to them.
fn ring_files(folder: &Path) -> Vec<String> {
    names_in(&folder.join("rings"))
        .into_iter()
        .filter(|name| name.starts_with("worker-") || name.starts_with("other-"))
        .collect()
}

fn threads_of_ours() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("readable").flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.map(name).filter(|name| name.starts_with("lastwords")).count()
}

fn log_lines(log: Log, from: u64, to: u64) {
    (from..to).for_each(|n| lastwords::info!(logger: log, "line {n}"));
}

#[test]
fn a_closed_logger_gives_back_descriptors_ring_and_thread() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for memory in [Memory::File, Memory::Shared] {
        let folder = Scratch::new("closed");
        let log = builder(&folder).memory(memory).open().expect("opened");
        let long = "x".repeat(100_000);
        lastwords::info!(logger: log, "{long}");
        log_lines(log, 0, 5000);
        std::thread::scope(|scope| _ = scope.spawn(|| log_lines(log, 5000, 6000)));
        assert!(!had_of(&folder).is_empty() && threads_of_ours() > 0);
        log.close().expect("drained");
        assert_eq!(missing(&read(&folder, "worker"), "line ", 6000), 0, "{memory:?}");
        assert_eq!(had_of(&folder), Vec::<String>::new(), "{memory:?}");
        assert_eq!(ring_files(&folder), Vec::<String>::new(), "{memory:?}");
        assert_eq!(threads_of_ours(), 0, "{memory:?}");
        // Whatever is done with it now does nothing.
        assert!(log.is_closed());
        lastwords::info!(logger: log, "too late");
        log.record_bytes(Level::ERROR, "x", b"too late");
        log.name_level(Level::INFO, "LATE");
        log.close().expect("closed already");
        log.flush().expect("nothing to wait for");
        log.set_log("debug").expect("nothing to change");
        assert!(log.folder().is_none() && log.attachment().is_err());
        // Another one of the same role and folder, with other settings.
        let again = builder(&folder).memory(memory).format(Format::Json).open().expect("opened again");
        lastwords::info!(logger: log, "too late");
        lastwords::info!(logger: again, "line {}", 6000);
        again.close().expect("drained");
        assert!(fs::read_to_string(folder.join("worker.jsonl")).expect("there").contains("line 6000"));
        assert!(read(&folder, "worker").iter().all(|line| !line.message.contains("too late")));
        assert_eq!((had_of(&folder), threads_of_ours()), (Vec::new(), 0), "{memory:?}");
        assert!(crash_files(&folder).is_empty());
    }
}

#[test]
fn more_loggers_one_after_the_other_than_a_process_may_have_at_a_time() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Scratch::new("many");
    let first = builder(&folder.join("kept")).open().expect("opened");
    for n in 0..600_u32 {
        let own = folder.join(n.to_string());
        let log = builder(&own).open().expect("opened");
        lastwords::info!(logger: log, "job {n}");
        log.close().expect("drained");
        assert!(fs::read_to_string(own.join("worker.log")).expect("there").contains(&format!("job {n}")));
        lastwords::info!(logger: first, "line {n}");
    }
    assert_eq!(threads_of_ours(), 1);
    first.close().expect("drained");
    assert_eq!(missing(&read(&folder.join("kept"), "worker"), "line ", 600), 0);
    assert_eq!(had_of(&folder), Vec::<String>::new());
}

#[test]
fn threads_that_log_while_it_is_closed_lose_nothing_that_was_logged_before() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    const THREADS: u64 = 6;
    for round in 0..40 {
        let folder = Scratch::new("in-flight");
        // Fewer lanes than threads, so that overflow lanes are in use, and full ones.
        let log = builder(&folder).slots_per_lane(64).lanes(4).open().expect("opened");
        let (stop, begun) = (AtomicBool::new(false), Barrier::new(THREADS as usize + 1));
        let before: Vec<AtomicU64> = (0..THREADS).map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|scope| {
            for (thread, count) in before.iter().enumerate() {
                let (stop, begun) = (&stop, &begun);
                scope.spawn(move || {
                    for n in 0.. {
                        lastwords::info!(logger: log, "thread {thread} line {n}");
                        if !log.is_closed() {
                            count.store(n + 1, Ordering::SeqCst);
                        } else if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        if n == 0 {
                            begun.wait();
                        }
                    }
                });
            }
            begun.wait();
            std::thread::sleep(std::time::Duration::from_millis(round % 5));
            log.close().expect("drained");
            stop.store(true, Ordering::Relaxed);
        });
        let lines = read(&folder, "worker");
        for (thread, count) in before.iter().enumerate() {
            let prefix = format!("thread {thread} line ");
            let found: Vec<u64> =
                lines.iter().filter_map(|line| line.message.strip_prefix(&*prefix)?.parse().ok()).collect();
            assert!(
                found.iter().copied().eq(0..found.len() as u64),
                "round {round}, thread {thread}: a gap, or out of order"
            );
            assert!(
                found.len() as u64 >= count.load(Ordering::SeqCst),
                "round {round}, thread {thread}: {} of {count:?}",
                found.len()
            );
        }
        assert_eq!((had_of(&folder), ring_files(&folder)), (Vec::new(), Vec::new()), "round {round}");
        assert!(crash_files(&folder).is_empty());
    }
}

/// Records numbered events until one is refused, and returns how many were not.
fn events_until_closed(log: Log, thread: usize) -> usize {
    let accepted = |n: &usize| {
        let text = format!("thread {thread} event {n}");
        log.record(&Event::new(Level::INFO, "test", text.as_bytes()))
    };
    (0..).find(|n| !accepted(n)).expect("it is closed one day")
}

#[test]
fn an_event_that_was_not_refused_is_in_the_log_however_close_the_end_of_the_logger_was() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for round in 0..30 {
        let folder = Scratch::new("closed-events");
        // So small that the threads wait for room again and again.
        let log = builder(&folder).slots_per_lane(64).rotate_size(1 << 30).open().expect("opened");
        let accepted: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || events_until_closed(log, thread))).collect();
            std::thread::sleep(Duration::from_millis(5));
            log.close().expect("drained");
            threads.into_iter().map(|thread| thread.join().expect("ended")).collect()
        });
        let lines = read(&folder, "worker");
        for (thread, accepted) in accepted.into_iter().enumerate() {
            let prefix = format!("thread {thread} event ");
            assert_eq!(missing(&lines, &prefix, accepted), 0, "round {round}");
            assert_eq!(
                lines.iter().filter(|line| line.message.starts_with(&prefix)).count(),
                accepted,
                "round {round}: no more"
            );
        }
    }
}

#[test]
fn the_last_of_several_closes_and_other_roles_of_the_folder_go_on() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Scratch::new("shared");
    let other = lastwords::builder("other").dir(&folder).open().expect("opened");
    let (one, two) = (builder(&folder).open().expect("opened"), builder(&folder).open().expect("found"));
    assert!(
        matches!(builder(&folder).rotate_keep(1).open(), Err(Error::SettingDiffers { name: "rotate_keep", .. })),
        "it has other settings"
    );
    one.close().expect("nothing to wait for");
    lastwords::info!(logger: two, "line 0");
    lastwords::info!(logger: one, "line 1");
    two.close().expect("drained");
    assert!(one.is_closed() && !other.is_closed());
    lastwords::info!(logger: other, "goes on");
    other.flush().expect("a thread is still there");
    assert_eq!((read(&folder, "worker").len(), threads_of_ours()), (2, 1));
    other.close().expect("drained");
    assert_eq!((read(&folder, "other").len(), threads_of_ours()), (1, 0));
    assert_eq!(had_of(&folder), Vec::<String>::new());
}

#[test]
fn threads_that_open_the_same_at_once_get_one_ring() {
    const THREADS: usize = 8;
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for round in 0..20 {
        let folder = Scratch::new("at-once");
        let together = Barrier::new(THREADS);
        let open = |thread: usize| {
            together.wait();
            let log = builder(&folder).open().expect("made, or found");
            lastwords::info!(logger: log, "line {thread}");
            log
        };
        let logs: Vec<Log> = std::thread::scope(|scope| {
            let open = &open;
            let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || open(thread))).collect();
            threads.into_iter().map(|thread| thread.join().expect("ended")).collect()
        });
        let rings = ring_files(&folder).into_iter().filter(|name| name.ends_with(".ring"));
        assert_eq!(rings.count(), 1, "round {round}");
        let (last, others) = logs.split_last().expect("there are some");
        others.iter().for_each(|log| log.close().expect("nothing to wait for"));
        assert!(!last.is_closed(), "round {round}: each open counts");
        last.close().expect("drained");
        let mut lines = messages(&folder, "worker");
        lines.sort();
        assert!(lines.into_iter().eq((0..THREADS).map(|thread| format!("line {thread}"))), "round {round}");
        assert_eq!((had_of(&folder), threads_of_ours()), (Vec::new(), 0), "round {round}");
    }
}

#[test]
fn an_open_or_init_that_fails_leaves_no_descriptor_ring_or_thread() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Scratch::new("failed-open");
    let builder = || builder(&folder);
    let wrong: [fn(Builder) -> Builder; 4] = [
        |builder| builder.rotate_size(1),
        |builder| builder.lanes(1),
        |builder| builder.file_group("no such group"),
        |builder| builder.time_zone("Nowhere/Else"),
    ];
    for wrong in wrong {
        for error in [wrong(builder()).init().err(), wrong(builder()).open().err()] {
            assert!(matches!(error, Some(Error::Setting { .. })), "{error:?}");
        }
    }
    assert!(matches!(lastwords::builder("a/b").dir(&folder).open(), Err(Error::Setting { .. })));
    let no_rings = folder.join("no-rings");
    fs::DirBuilder::new().mode(0o700).create(&no_rings).expect("made");
    fs::write(no_rings.join("rings"), "no folder").expect("written");
    assert!(matches!(lastwords::builder("worker").dir(&no_rings).open(), Err(Error::Folder { .. })));
    // The last thing that `init` needs is taken.
    log::set_logger(&Nobody).expect("the facade is free, whatever has failed");
    assert!(matches!(builder().init(), Err(Error::FacadeTaken)));
    assert_eq!((had_of(&folder), threads_of_ours()), (Vec::new(), 0));
    assert_eq!(ring_files(&folder), Vec::<String>::new());
    // One that is refused for what another has is none of the other's.
    let log = builder().open().expect("opened");
    assert!(builder().rotate_keep(1).open().is_err());
    lastwords::info!(logger: log, "line 0");
    log.close().expect("drained");
    assert_eq!(missing(&read(&folder, "worker"), "line ", 1), 0);
    assert_eq!((had_of(&folder), threads_of_ours()), (Vec::new(), 0));
    assert!(crash_files(&folder).is_empty());
}

/// Another logger of the `log` facade.
struct Nobody;

impl log::Log for Nobody {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        false
    }

    fn log(&self, _: &log::Record<'_>) {}

    fn flush(&self) {}
}

#[test]
fn without_a_flusher_the_ring_waits_for_one_and_is_no_alarm() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for memory in [Memory::File, Memory::Shared] {
        let folder = Scratch::new("nobody");
        let log = builder(&folder).memory(memory).flusher(Flusher::Never).open().expect("opened");
        log_lines(log, 0, 100);
        assert!(matches!(log.close(), Err(Error::FlushTimeout { .. })));
        assert_eq!(had_of(&folder), Vec::<String>::new());
        assert_eq!(ring_files(&folder).len(), 1);
        let flushed = tool_at("flush --once", &folder);
        assert_eq!(flushed.code, Some(0), "{flushed:?}");
        let lines = read(&folder, "worker");
        assert_eq!((missing(&lines, "line ", 100), lines.len()), (0, 100));
        assert!(ring_files(&folder).is_empty() && crash_files(&folder).is_empty());
    }
}

#[test]
fn a_forked_child_closes_its_own_and_the_parents_goes_on() {
    for script in [
        // One that has logged, one that has not.
        &["log:10", "close", "in-child", "log:5", "close-own", "log:5"][..],
        &["log:10", "flush", "close", "in-child", "close-own", "log:5"],
    ] {
        let folder = Scratch::new("child");
        let pid = succeed("worker", &folder, script);
        // The parent leaves by _exit, so that its ring stays; the child's is gone.
        let rings = ring_files(&folder);
        assert!(rings.iter().all(|name| name.starts_with(&format!("worker-{pid}-"))), "{script:?}: {rings:?}");
        let flushed = tool_at("flush --once", &folder);
        assert_eq!(flushed.code, Some(0), "{flushed:?}");
        let lines = read(&folder, "worker");
        let expected = if script.contains(&"flush") { 10 } else { 15 };
        assert_eq!((lines.len(), missing(&lines, "line ", expected)), (expected, 0), "{script:?}: {lines:?}");
        assert!(ring_files(&folder).is_empty() && crash_files(&folder).is_empty());
    }
}

#[test]
fn a_process_that_has_closed_its_logger_dies_without_an_alarm_of_that() {
    let folder = Scratch::new("dies-later");
    let _ = run("worker", &folder, "flusher=never log:5 close-own kill");
    let flushed = tool_at("flush --once", &folder);
    assert_eq!(flushed.code, Some(0), "{flushed:?}");
    let lines = read(&folder, "worker");
    assert_eq!((missing(&lines, "line ", 5), lines.len()), (0, 5), "{lines:?}");
    assert!(ring_files(&folder).is_empty() && crash_files(&folder).is_empty());
}
