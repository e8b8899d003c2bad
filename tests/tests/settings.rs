//! Where settings come from, which one applies, and what is reported about impossible ones.

use lastwords_tests::actor::{Actor, printed};
use lastwords_tests::logs::{messages, read};
use lastwords_tests::programs::ACTOR;
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};

fn write(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("lastwords.toml");
    fs::create_dir_all(folder).expect("a folder");
    fs::write(&path, text).expect("written");
    path
}

/// What an actor logs.
fn logged(folder: &Path, role: &str, env: &[(&str, &str)], script: &str) -> Vec<String> {
    let mut actor = Actor::start_with(role, folder, script, env);
    assert!(actor.end().success());
    messages(folder, role)
}

#[test]
fn the_builder_comes_before_the_environment_and_that_before_the_file() {
    let folder = Scratch::new("precedence");
    let config = write(&folder, "log = \"debug\"\n[role.quiet]\nlog = \"error\"\n");
    let file = ("LASTWORDS_CONFIG", config.to_str().expect("text"));
    let env = ("LASTWORDS_LOG", "critical");
    assert_eq!(logged(&folder, "file", &[file], "debug:a error:b"), ["a", "b"]);
    assert_eq!(logged(&folder, "quiet", &[file], "debug:a error:b"), ["b"]);
    assert_eq!(logged(&folder, "env", &[file, env], "debug:a error:b"), Vec::<String>::new());
    assert_eq!(logged(&folder, "builder", &[file, env], "level=error debug:a error:b"), ["b"]);
}

#[test]
fn settings_of_every_type_come_from_the_file_and_the_environment() {
    let folder = Scratch::new("types");
    let text = "rotate_size = 4096\nrotate_keep = 2\ntime_zone = \"UTC\"\nfull_policy = \"overwrite\"\nformat = \"both\"\nslots_per_lane = 64\n";
    let config = write(&folder, text);
    let env = [("LASTWORDS_CONFIG", config.to_str().expect("text")), ("LASTWORDS_ROTATE_KEEP", "1")];
    let script = "log:60 flush ".repeat(6);
    let _ = logged(&folder, "host", &env, &script);
    for (name, there) in [("host.log", true), ("host.log.1", true), ("host.log.2", false), ("host.jsonl", true)] {
        assert_eq!(folder.join(name).exists(), there, "{name}");
    }
    let size = fs::metadata(folder.join("host.log.1")).expect("rotated").len();
    assert!(size <= 4096, "{size}");
}

#[test]
fn a_setting_that_cannot_be_is_named_with_its_place() {
    let folder = Scratch::new("wrong-setting");
    let config = write(&folder, "rotate_kep = 3\n");
    let missing = folder.join("none.toml");
    let (misspelt, beyond) = (folder.join("misspelt.toml"), folder.join("beyond.toml"));
    fs::write(&misspelt, "log = \"wran\"\n").expect("written");
    fs::write(&beyond, "rotate_keep = 1000\n").expect("written");
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    for (name, value, parts) in [
        (
            "LASTWORDS_CONFIG",
            text(&config),
            &["unknown setting \"rotate_kep\"", "did you mean \"rotate_keep\"", "lastwords.toml"][..],
        ),
        ("LASTWORDS_CONFIG", text(&missing), &["cannot read the configuration file", "none.toml"]),
        ("LASTWORDS_LANES", "many".to_owned(), &["LASTWORDS_LANES", "\"many\" found"]),
        ("LASTWORDS_CONSOLE", "perhaps".to_owned(), &["LASTWORDS_CONSOLE", "expected true or false"]),
        (
            "LASTWORDS_TIME_ZONE",
            "+9".to_owned(),
            &["LASTWORDS_TIME_ZONE: \"+9\" found", "Europe/Berlin, UTC or +02:00"],
        ),
        ("LASTWORDS_MEMORY", "disk".to_owned(), &["LASTWORDS_MEMORY", "expected file or shared"]),
        ("LASTWORDS_ROTATE_KEEP", "0".to_owned(), &["LASTWORDS_ROTATE_KEEP: 0 found, expected 1 to 100"]),
        ("LASTWORDS_ROTATE_SIZE", "1K".to_owned(), &["LASTWORDS_ROTATE_SIZE: 1024 found, expected at least 4096"]),
        ("LASTWORDS_ROTATE_SIZE", "10T".to_owned(), &["LASTWORDS_ROTATE_SIZE: \"10T\" found", "512K or 10M"]),
        ("LASTWORDS_SLOTS_PER_LANE", "100".to_owned(), &["LASTWORDS_SLOTS_PER_LANE: slots per lane is 100"]),
        ("LASTWORDS_DURABLE", "3600001".to_owned(), &["LASTWORDS_DURABLE: ", "expected at most an hour"]),
        ("LASTWORDS_CRASH_FILES", "10001".to_owned(), &["LASTWORDS_CRASH_FILES: 10001 found"]),
        ("LASTWORDS_CLOCK", "bootime".to_owned(), &["LASTWORDS_CLOCK: \"bootime\" found, expected boottime"]),
        ("LASTWORDS_BACKLOG_MAX", "10T".to_owned(), &["LASTWORDS_BACKLOG_MAX: \"10T\" found", "512K or 10M"]),
        ("LASTWORDS_LOG", "inof".to_owned(), &["LASTWORDS_LOG: ", "did you mean \"info\"?", "\"inof=trace\""]),
        ("LASTWORDS_RING_LEVEL", "dbug".to_owned(), &["LASTWORDS_RING_LEVEL: ", "did you mean \"debug\"?"]),
        ("LASTWORDS_CONFIG", text(&misspelt), &["misspelt.toml", "\"log\"", "did you mean \"warn\"?"]),
        ("LASTWORDS_CONFIG", text(&beyond), &["beyond.toml", "\"rotate_keep\"", "1000 found, expected 1 to 100"]),
    ] {
        let mut actor = Actor::start_with("host", &folder, "log:1", &[(name, &value)]);
        let said = actor.line();
        assert!(parts.iter().all(|part| said.contains(part)), "{name}={value}: {said}");
        assert_eq!(actor.end().code(), Some(7));
    }
    assert_eq!(read(&folder, "host"), []);
}

#[test]
fn the_console_for_development_shows_every_level() {
    let folder = Scratch::new("dev");
    let mut command = ACTOR.acting("host", &folder, "debug:quiet fine:2 log:1");
    let shown = printed(command.env("LASTWORDS_CONSOLE_ALL_LEVELS", "true")).err;
    for part in ["[DEBUG] quiet", "[TRACE] fine 0", "[TRACE] fine 1", "[INFO] line 0"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    assert_eq!(messages(&folder, "host"), ["line 0"]);
}

#[test]
fn a_misspelt_level_of_the_builder_is_refused() {
    let folder = Scratch::new("builder-misspelt");
    let error = lastwords::builder("host").dir(&folder).log("inof").init().expect_err("no level").to_string();
    assert!(error.contains("log: ") && error.contains("did you mean \"info\"?"), "{error}");
    assert_eq!(read(&folder, "host"), []);
}

fn errors(role: &str, folder: &Path, env: &[(&str, &str)], script: &str) -> String {
    let output = printed(ACTOR.acting(role, folder, script).envs(env.iter().copied()));
    assert!(output.status.success(), "{}", output.out);
    output.err
}

#[test]
fn a_variable_that_is_no_setting_is_named_once_with_the_one_that_was_meant() {
    let folder = Scratch::new("unknown-variable");
    let env = [
        ("LASTWORDS_LGO", "debug"),
        ("LASTWORDS_XYZZY", "1"),
        ("LASTWORDS_ROLE", "host"),
        ("LASTWORDS_CLOCK", "boottime"),
    ];
    let said = errors("host", &folder, &env, "log:1 role:second fork:1");
    assert_eq!(
        said.matches("LASTWORDS_LGO is not a setting and is ignored; did you mean LASTWORDS_LOG?").count(),
        1,
        "{said}"
    );
    assert_eq!(said.matches("LASTWORDS_XYZZY is not a setting and is ignored\n").count(), 1, "{said}");
    assert!(!said.contains("LASTWORDS_ROLE") && !said.contains("LASTWORDS_CLOCK"), "{said}");
}

#[test]
fn a_target_that_is_the_roles_name_is_warned_of() {
    let folder = Scratch::new("role-as-target");
    let said = errors("host", &folder, &[("LASTWORDS_LOG", "info,host=debug")], "log:1");
    assert!(said.contains("\"host=debug\"") && said.contains("the role") && said.contains("\"debug\""), "{said}");
    let said = errors("host", &folder, &[("LASTWORDS_LOG", "info,hyper=debug")], "log:1");
    assert_eq!(said, "");
}

#[test]
fn sizes_and_truth_values_are_taken_as_people_write_them() {
    let folder = Scratch::new("as-people-write");
    let env = [
        ("LASTWORDS_ROTATE_SIZE", "4K"),
        ("LASTWORDS_GROUP_FOLDER", "yes"),
        ("LASTWORDS_CONSOLE", "0"),
        ("LASTWORDS_BACKLOG_MAX", "10M"),
    ];
    let script = "log:60 flush ".repeat(3);
    assert_eq!(errors("host", &folder, &env, &script), "");
    assert!(fs::metadata(folder.join("host.log.1")).expect("rotated").len() <= 4096);
}

#[test]
fn alarms_are_off_only_where_that_is_said() {
    for (log, there) in
        [("hyper=warn", true), ("hyper", true), ("critical", true), ("off", false), ("off,hyper=warn", false)]
    {
        let folder = Scratch::new("alarms");
        let found = logged(&folder, "host", &[("LASTWORDS_LOG", log)], "error:a at:critical:b");
        assert_eq!(found, if there { &["b"][..] } else { &[] }, "{log}");
    }
}

#[test]
fn the_variable_of_other_loggers_is_the_last_of_all_sources() {
    let said = "lastwords: what is written is chosen by RUST_LOG: ";
    for (env, expected) in [
        (&[("RUST_LOG", "debug")][..], &["debug", "a", "b"][..]),
        (&[("RUST_LOG", "hyper=trace")], &["info,hyper=trace", "b"]),
        (&[("RUST_LOG", "debug"), ("LASTWORDS_LOG", "error")], &["b"]),
        (&[("RUST_LOG", "inof")], &["b"]),
        (&[("RUST_LOG", "a[span]=debug/regex")], &["b"]),
    ] {
        let folder = Scratch::new("rust-log");
        let found = logged(&folder, "host", env, "debug:a error:b");
        let found: Vec<&str> = found.iter().map(|line| line.strip_prefix(said).unwrap_or(line)).collect();
        assert_eq!(found, expected, "{env:?}");
    }
    let folder = Scratch::new("rust-log-file");
    let file = write(&folder, "log = \"error\"");
    let env = [("RUST_LOG", "debug"), ("LASTWORDS_CONFIG", file.to_str().expect("text"))];
    assert_eq!(logged(&folder, "host", &env, "debug:a error:b"), ["b"], "the file comes before it");
    let folder = Scratch::new("rust-log-builder");
    let found = logged(&folder, "host", &env[..1], "level=ERROR debug:a error:b");
    assert_eq!(found, ["b"], "and so does the builder");
    let folder = Scratch::new("rust-log-wrong");
    let complaint = errors("host", &folder, &[("RUST_LOG", "inof")], "log:1");
    assert!(complaint.contains("RUST_LOG is not heeded") && complaint.contains("\"info\""), "{complaint}");
}
