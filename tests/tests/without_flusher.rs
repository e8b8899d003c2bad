//! Programs that are built without the flusher (`default-features = false`) refuse what they could only ignore.

use lastwords_tests::actor::{printed, succeed, tool_at};
use lastwords_tests::files::names_in;
use lastwords_tests::logs::read;
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Logs a line to the folder that is named first, with the builder set by the other arguments.
const PROGRAM: &str = r#"
use lastwords::Flusher;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut builder = lastwords::builder("worker").dir(arguments.next().expect("a folder"));
    for argument in arguments {
        builder = match argument.as_str() {
            "console" => builder.console(true),
            "all" => builder.console_all_levels(true),
            "embedded" => builder.flusher(Flusher::Embedded),
            "zstd" => builder.compress(lastwords::Compress::Zstd),
            "quiet" => builder.console(false).console_all_levels(false).flusher(Flusher::Never),
            other => panic!("no setting {other}"),
        };
    }
    match builder.init() {
        Ok(()) => lastwords::info!("logged"),
        Err(error) => println!("{error}"),
    }
}
"#;

/// Builds the program with these features of the library alone.
fn build(name: &str, features: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the library's folder");
    fs::create_dir_all(package.join("src")).expect("made");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies.lastwords]\npath = {library:?}\n\
         default-features = false\nfeatures = [{features}]\n"
    );
    fs::write(package.join("Cargo.toml"), manifest).expect("written");
    fs::write(package.join("src/main.rs"), PROGRAM).expect("written");
    // The versions of everything else are those that the suite was built with.
    fs::copy(library.join("Cargo.lock"), package.join("Cargo.lock")).expect("copied");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("without-flusher");
    let output = printed(
        Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline", "--manifest-path"])
            .arg(package.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target),
    );
    assert!(output.status.success(), "{}", output.err);
    target.join("debug").join(name)
}

fn stdout_of(program: &Path, folder: &Path, builder: &[&str], env: &[(&str, &str)]) -> String {
    let mut command = Command::new(program);
    command.arg(folder).args(builder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LASTWORDS_")) {
        command.env_remove(name);
    }
    let output = printed(command.envs(env.iter().copied()));
    assert!(output.status.success(), "{}", output.err);
    output.out
}

#[test]
fn what_a_program_without_the_flusher_cannot_honour_is_refused_with_setting_and_remedy() {
    let folder = Scratch::new("without-flusher");
    let plain = build("without-features", "");
    let configured = build("with-config", "\"config\"");
    let remedy = "without the feature \"flusher\" of lastwords";
    let toml = |text: &str| {
        let path = folder.join("lastwords.toml");
        fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    for (setting, value, argument) in
        [("console", "true", "console"), ("console_all_levels", "true", "all"), ("flusher", "embedded", "embedded")]
    {
        let variable = format!("LASTWORDS_{}", setting.to_ascii_uppercase());
        let quoted =
            if setting == "flusher" { format!("{setting} = {value:?}\n") } else { format!("{setting} = {value}\n") };
        for (place, text) in [
            (setting.to_owned(), stdout_of(&plain, &folder, &[argument], &[])),
            (variable.clone(), stdout_of(&plain, &folder, &[], &[(&variable, value)])),
            (format!("\"{setting}\""), stdout_of(&configured, &folder, &[], &[("LASTWORDS_CONFIG", &toml(&quoted))])),
            (
                format!("\"{setting}\""),
                stdout_of(
                    &configured,
                    &folder,
                    &[],
                    &[("LASTWORDS_CONFIG", &toml(&format!("[role.worker]\n{quoted}")))],
                ),
            ),
        ] {
            assert!(
                text.contains(&format!("{place}: {value} found, but "))
                    && text.contains(remedy)
                    && text.contains("leave"),
                "{place}: {text}"
            );
        }
    }
    // Nothing reads the file there.
    let text = stdout_of(&plain, &folder, &[], &[("LASTWORDS_CONFIG", &toml("rotate_keep = 3\n"))]);
    assert!(
        text.starts_with("LASTWORDS_CONFIG: ") && text.contains("without the feature \"config\" of lastwords"),
        "{text}"
    );
    assert!(!folder.join("rings").exists(), "nothing is made");
    // Settings that the flusher honours, and those that ask for nothing, are taken; the builder comes first as ever.
    let env = [
        ("LASTWORDS_FLUSHER", "never"),
        ("LASTWORDS_CONSOLE", "false"),
        ("LASTWORDS_ROTATE_KEEP", "2"),
        ("LASTWORDS_ROTATE_SIZE", "1M"),
        ("LASTWORDS_FORMAT", "both"),
        ("LASTWORDS_FILE_MODE", "0640"),
        ("LASTWORDS_DURABLE", "1000"),
        ("LASTWORDS_CRASH_FILES", "1"),
        ("LASTWORDS_RING_LEVEL", "debug"),
    ];
    let overruled = [("LASTWORDS_CONSOLE", "true"), ("LASTWORDS_FLUSHER", "embedded")];
    assert_eq!(stdout_of(&plain, &folder, &["quiet"], &overruled), "");
    assert_eq!(stdout_of(&plain, &folder, &[], &env), "");
    assert!(tool_at("flush --once", &folder).status.success());
    assert_eq!(read(&folder, "worker").iter().filter(|line| line.message == "logged").count(), 2);
    assert!(folder.join("worker.jsonl").exists());
}

#[test]
fn a_program_that_flushes_without_zstd_refuses_compression_and_says_why_it_leaves_others_files() {
    let folder = Scratch::new("without-zstd");
    let program = build("without-zstd", "\"flusher\"");
    for (place, text) in [
        ("compress", stdout_of(&program, &folder, &["zstd"], &[])),
        ("LASTWORDS_COMPRESS", stdout_of(&program, &folder, &[], &[("LASTWORDS_COMPRESS", "zstd")])),
    ] {
        let expected =
            format!("{place}: zstd found, but this program is built without the feature \"zstd\" of lastwords; ");
        assert!(text.contains(&expected) && text.contains("lastwords flush"), "{text}");
    }
    assert!(!folder.join("rings").exists(), "nothing is made");
    // What another process asks for, it leaves undone and says so once; whoever flushes next does it.
    for _ in 0..2 {
        let settings = "flusher=never rotate=4096 keep=50 compress=zstd";
        succeed("worker", &folder, format!("{settings} log:100"));
    }
    assert_eq!(stdout_of(&program, &folder, &["embedded"], &[("LASTWORDS_ROTATE_SIZE", "4096")]), "");
    let why = "rotated files stay as they are, although their process asks for compression";
    let files: Vec<String> = names_in(&folder).into_iter().filter(|name| name.starts_with("worker.log")).collect();
    assert!(files.len() > 2 && !files.iter().any(|name| name.ends_with(".zst")), "{files:?}");
    let text: String = files.iter().map(|name| fs::read_to_string(folder.join(name)).expect("read")).collect();
    assert_eq!(text.matches(why).count(), 1, "{text}");
    // What this one has not asked for it may do: it flushes nothing itself.
    assert_eq!(stdout_of(&program, &folder, &["zstd", "quiet"], &[]), "");
    assert!(tool_at("flush --once", &folder).status.success());
    assert!(names_in(&folder).iter().any(|name| name == "worker.log.1.zst"), "{:?}", names_in(&folder));
}
