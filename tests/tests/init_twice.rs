//! A program's own tests: each begins with `init`, in one process, on threads that run at once.
//!
//! A logger that can be initialised once makes every test but the first fail, and a program that works around that with a
//! `Once` no longer notices that a test wanted other settings and got those of whichever was first.

use lastwords::{Builder, Flusher, Level};
use lastwords_tests::scratch::Scratch;
use std::path::PathBuf;
use std::sync::{Barrier, OnceLock};

/// One folder for all tests of this program.
fn folder() -> PathBuf {
    static FOLDER: OnceLock<Scratch> = OnceLock::new();
    FOLDER.get_or_init(|| Scratch::new("init-twice")).path().to_owned()
}

fn settings() -> Builder {
    lastwords::builder("host").dir(folder()).flusher(Flusher::Never).level(Level::DEBUG)
}

#[test]
fn one_test() {
    settings().init().expect("the first, or the same");
    lastwords::info!("one");
}

#[test]
fn another_test() {
    settings().init_tracing().expect("the first, or the same");
    settings().init_tracing().expect("the same");
    tracing::info!("another");
}

#[test]
fn many_threads_at_once_get_one_logger() {
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                together.wait();
                settings().init().expect("the first, or the same");
                log::info!("a thread");
            });
        }
    });
    let role = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("host"));
    let rings = std::fs::read_dir(folder().join("rings")).expect("listed").flatten().map(|entry| entry.path());
    assert_eq!(rings.filter(|path| path.extension().is_some_and(|ending| ending == "ring")).filter(role).count(), 1);
}

#[test]
fn what_says_the_same_in_other_words_is_the_same() {
    settings().init().expect("the first, or the same");
    let parent = folder();
    let around = parent.join("..").join(parent.file_name().expect("a name"));
    settings()
        .dir(around)
        .rotate_keep(5)
        .log(" debug ")
        .file_mode(0o600)
        .rings(folder().join("rings"))
        .init()
        .expect("the same");
}

#[test]
fn other_settings_are_refused_with_both_values() {
    settings().init().expect("the first, or the same");
    let elsewhere = folder().join("elsewhere");
    let (here, there) = (folder().display().to_string(), elsewhere.display().to_string());
    let cases: [(Builder, &[&str]); 9] = [
        (
            lastwords::builder("worker").dir(folder()).flusher(Flusher::Never).level(Level::DEBUG),
            &["role: ", "\"worker\"", "\"host\""],
        ),
        (settings().dir(&elsewhere), &["dir: ", &there, &here]),
        (settings().level(Level::INFO), &["log: ", "\"info\"", "\"debug\""]),
        (settings().flusher(Flusher::Embedded), &["flusher: ", "embedded", "never"]),
        (settings().rotate_keep(3), &["rotate_keep: ", "3", "5"]),
        (settings().file_mode(0o640), &["file_mode: ", "0640", "0600"]),
        (settings().sigbus_guard(false), &["sigbus_guard: ", "false", "true"]),
        (settings().console(true), &["console: ", "true", "false"]),
        (settings().log_facade(false), &["log_facade: ", "false", "true"]),
    ];
    for (builder, parts) in cases {
        let error = builder.init().expect_err("other settings").to_string();
        assert!(error.starts_with(parts[0]) && parts.iter().all(|part| error.contains(part)), "{parts:?}: {error}");
        assert!(error.contains("but this process was initialised with"), "{error}");
    }
    assert!(!elsewhere.exists(), "nothing is made of what is refused");
}
