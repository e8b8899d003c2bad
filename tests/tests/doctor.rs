//! `lastwords doctor` finds what keeps logs from being written or read, says what to do about it, and changes nothing.
//!
//! A check that overlooks what it is for, or that calls a sound folder ill, is worse than none: people stop at "fine". So each
//! situation is made here, and the finding and its remedy are looked for; what cannot be made on a machine is printed.

use lastwords_ring::format::layout::RingHeader;
use lastwords_tests::about::About;
use lastwords_tests::actor::{Actor, Printed, die, flush_once, printed, succeed, tool_at, wait_until};
use lastwords_tests::files::snapshot;
use lastwords_tests::forge::{ring_files, set_header};
use lastwords_tests::loopmount::{Bind, LoopMount};
use lastwords_tests::mounts::Tmpfs;
use lastwords_tests::namespaces::unshare;
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::skip_unless;
use lastwords_tests::users::{GROUP, USER, actor_of, as_user, in_group, is_root, open_folder, owned};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::mem::offset_of;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// State, check, a part of what is found, and a part of the remedy.
type Finding<'a> = (&'a str, &'a str, &'a str, &'a str);

/// All findings of a `lastwords doctor --json`, whose exit status is that of the worst.
#[track_caller]
fn findings(command: &mut Command) -> Vec<Value> {
    let output = printed(command.args(["doctor", "--json"]));
    of_output(&output)
}

#[track_caller]
fn of_output(output: &Printed) -> Vec<Value> {
    let all: Value = serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(output.err, "", "all is in the object");
    let findings = all["findings"].as_array().expect("a list").clone();
    let has = |state: &str| findings.iter().any(|finding| finding["state"] == state);
    let (worst, code) = match () {
        () if has("problem") => ("problem", 3),
        () if has("warning") => ("warning", 1),
        () => ("fine", 0),
    };
    assert_eq!((all["state"].as_str(), output.code), (Some(worst), Some(code)), "{output:?}");
    for finding in &findings {
        assert_eq!(finding["remedy"].is_null(), finding["state"] == "fine", "{finding}");
    }
    findings
}

#[track_caller]
fn assert_found(findings: &[Value], (state, check, found, remedy): Finding<'_>) {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let is_it = |finding: &&Value| {
        finding["state"] == state
            && finding["check"] == check
            && text(finding, "found").contains(found)
            && text(finding, "remedy").contains(remedy)
    };
    assert!(findings.iter().any(|finding| is_it(&finding)), "no {state} {check}: {found} -> {remedy} in {findings:#?}");
}

fn at(folder: &Path) -> Command {
    let mut command = TOOL.command();
    command.env("LASTWORDS_DIR", folder);
    command
}

/// What the doctor finds at a folder.
#[track_caller]
fn doctor(folder: &Path) -> Vec<Value> {
    findings(&mut at(folder))
}

/// A doctor in namespaces of its own, after `before`. None, with the reason printed, where that cannot be had.
fn within(flags: &[&str], before: &str, folder: &Path) -> Option<Command> {
    let script = format!("{before}; exec \"$0\" \"$@\"");
    let mut command = unshare(flags, before, &script)?;
    command.arg(&*TOOL as &str).env("LASTWORDS_DIR", folder);
    Some(command)
}

/// Whether the temporary folder is on a disk; in memory, or in a container's own file system, there is a warning about that.
fn is_on_a_disk(folder: &Path) -> bool {
    let on_disk = doctor(folder).iter().all(|finding| finding["check"] != "file system" || finding["state"] == "fine");
    if !on_disk {
        println!("skipped: {} is not on a disk", folder.display());
    }
    on_disk
}

/// Variables of the environment, without the beginning that all have.
type Variables<'a> = &'a [(&'a str, &'a str)];

#[test]
fn a_healthy_folder_has_no_warning() {
    let folder = Scratch::new("doctor-healthy");
    skip_unless!(is_on_a_disk(&folder));
    let fine = |what: &str, findings: &[Value]| {
        let others: Vec<_> = findings.iter().filter(|finding| finding["state"] != "fine").collect();
        assert!(others.is_empty(), "{what}: {others:#?}");
    };
    fine("not made yet", &doctor(&folder.join("a/b")));
    let logs = folder.join("logs");
    let mut host = Actor::start("host", &logs, "log:100 flush line:up wait").until("up");
    let mut worker = Actor::start("worker", &logs, "log:100 flush line:up wait").until("up");
    let found = doctor(&logs);
    fine("two processes", &found);
    for (check, part) in
        [("flusher", "pid "), ("rings", "2 rings"), ("clock", ""), ("namespaces", ""), ("time zone", "")]
    {
        assert_found(&found, ("fine", check, part, ""));
    }
    for check in
        ["settings", "folder", "rings folder", "file system", "free space", "limits", "shared memory", "core dumps"]
    {
        assert_found(&found, ("fine", check, "", ""));
    }
    worker.finish();
    host.finish();
    fine("both have ended in order", &doctor(&logs));
    let lines = printed(TOOL.command().arg("doctor").arg(&logs));
    assert!(lines.out.lines().all(|line| line.starts_with("fine     ") && line.contains(": ")), "{lines:?}");
    assert!(!lines.out.contains('\x1b'), "colours are for terminals");
}

#[test]
fn settings_that_cannot_be_or_do_nothing_are_named_with_what_to_do() {
    let folder = Scratch::new("doctor-settings");
    let file = folder.join("lastwords.toml");
    fs::write(&file, "rotate_kep = 3\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let (problem, warning) = ("problem", "warning");
    let rows: [(Variables<'_>, &str, &str, &str); 25] = [
        (
            &[("ROTATE_KEP", "3")],
            warning,
            "LASTWORDS_ROTATE_KEP is not a setting",
            "did you mean LASTWORDS_ROTATE_KEEP?",
        ),
        (&[("XYZZY", "3")], warning, "LASTWORDS_XYZZY is not a setting", "unset it"),
        (&[("ROTATE_KEEP", "0")], problem, "LASTWORDS_ROTATE_KEEP: 0 found, expected 1 to 100", "correct it"),
        (&[("LOG", "inof")], problem, "LASTWORDS_LOG: \"inof\" is not a level", "did you mean \"info\"?"),
        (&[("LANES", "2")], problem, "LASTWORDS_LANES: 2 found", "correct it"),
        (&[("FILE_MODE", "0777")], problem, "0777 found, expected 0600", "correct it"),
        (&[("ROLE", "A B")], problem, "LASTWORDS_ROLE: \"A B\" found", "LASTWORDS_ROLE"),
        (&[("CONFIG", file)], problem, "unknown setting \"rotate_kep\"", "did you mean \"rotate_keep\"?"),
        (&[("CONFIG", "/nowhere/x.toml")], problem, "cannot read the configuration file /nowhere/x.toml", "correct it"),
        (
            &[("CRASH_THREADS", "1"), ("CRASH_CAPTURE", "0")],
            warning,
            "LASTWORDS_CRASH_THREADS: ",
            "set crash_capture to true",
        ),
        (&[("CRASH_THREADS", "1"), ("CRASH_FILES", "0")], warning, "LASTWORDS_CRASH_THREADS: ", "raise crash_files"),
        (&[("CONTEXT_ON_ERROR", "9")], warning, "LASTWORDS_CONTEXT_ON_ERROR: ", "set ring_level"),
        (&[("RING_LEVEL", "info"), ("LOG", "debug,a=info")], warning, "LASTWORDS_RING_LEVEL: ", "set ring_level finer"),
        (&[("CONSOLE", "0"), ("CONSOLE_ALL_LEVELS", "1")], warning, "LASTWORDS_CONSOLE: ", "leave one of the two out"),
        (
            &[("FULL_POLICY", "overwrite"), ("BACKLOG_MAX", "1M")],
            warning,
            "LASTWORDS_BACKLOG_MAX: ",
            "leave backlog_max out",
        ),
        (&[("MEMORY", "shared"), ("RINGS", "/dev/shm/x")], warning, "LASTWORDS_RINGS: ", "set memory to file"),
        (&[("FILE_GROUP", "0")], warning, "LASTWORDS_FILE_GROUP: ", "set file_mode to 0640"),
        (
            &[("FILE_GROUP", "no-such-group")],
            problem,
            "\"no-such-group\" found, expected the name or number",
            "correct it",
        ),
        (
            &[("ROTATE_EVERY", "1h"), ("KEEP_FOR", "30m")],
            warning,
            "LASTWORDS_KEEP_FOR: it is shorter than a period",
            "raise keep_for",
        ),
        (
            &[("ROTATE_EVERY", "1d"), ("KEEP_FOR", "23h")],
            warning,
            "LASTWORDS_KEEP_FOR: it is shorter",
            "raise keep_for",
        ),
        (
            &[("ROTATE_EVERY", "1h"), ("ROTATE_KEEP", "10"), ("KEEP_FOR", "11h")],
            warning,
            "LASTWORDS_KEEP_FOR: rotate_keep keeps fewer files",
            "raise rotate_keep",
        ),
        (
            &[("ROTATE_SIZE", "10M"), ("KEEP_TOTAL", "19M")],
            warning,
            "LASTWORDS_KEEP_TOTAL: it has room for the current file alone",
            "raise keep_total",
        ),
        (
            &[("ROTATE_SIZE", "1M"), ("ROTATE_KEEP", "9"), ("KEEP_TOTAL", "10M")],
            warning,
            "LASTWORDS_KEEP_TOTAL: rotate_size and rotate_keep keep less",
            "leave keep_total out",
        ),
        (
            &[("ROTATE_SIZE", "10M"), ("KEEP_TOTAL", "9M")],
            problem,
            "9437184 found, expected 0 for no limit, or at least",
            "",
        ),
        (&[("CRASH_FILES", "0"), ("CRASH_TOTAL", "1M")], warning, "LASTWORDS_CRASH_TOTAL: ", "raise crash_files"),
    ];
    for (variables, state, found, remedy) in rows {
        let _about = About(variables);
        let mut command = at(&folder);
        command.envs(variables.iter().map(|(name, value)| (format!("LASTWORDS_{name}"), value)));
        assert_found(&findings(&mut command), (state, "settings", found, remedy));
    }
    // What contradicts nothing is not called so.
    let sound = [
        ("RING_LEVEL", "debug"),
        ("CONTEXT_ON_ERROR", "9"),
        ("CRASH_THREADS", "1"),
        ("FILE_MODE", "0600"),
        ("BACKLOG_MAX", "1M"),
        ("CONSOLE_ALL_LEVELS", "1"),
        ("CLOCK", "boottime"),
        ("ROTATE_EVERY", "1h"),
        ("ROTATE_SIZE", "1M"),
        ("ROTATE_KEEP", "48"),
        ("KEEP_FOR", "2d"),
        ("KEEP_TOTAL", "2M"),
        ("CRASH_TOTAL", "1M"),
    ];
    let mut command = at(&folder);
    let found = findings(command.envs(sound.map(|(name, value)| (format!("LASTWORDS_{name}"), value))));
    assert_found(&found, ("fine", "settings", "accepted by init", ""));
    assert_found(&found, ("fine", "clock", "LASTWORDS_CLOCK", ""));
}

#[test]
fn it_is_said_what_becomes_of_the_variable_of_other_loggers() {
    let folder = Scratch::new("doctor-rust-log");
    let with = |variables: &[(&str, &str)]| findings(at(&folder).envs(variables.iter().copied()));
    let heeded = with(&[("RUST_LOG", "debug,hyper=warn")]);
    assert_found(&heeded, ("fine", "settings", "RUST_LOG says what is written: debug,hyper=warn", ""));
    assert_found(&heeded, ("fine", "settings", "accepted by init", ""));
    let overruled = with(&[("RUST_LOG", "debug"), ("LASTWORDS_LOG", "info")]);
    let what = "RUST_LOG is not heeded, because LASTWORDS_LOG says what is written";
    assert_found(&overruled, ("warning", "settings", what, "unset RUST_LOG"));
    let refused = with(&[("RUST_LOG", "hyper=loud")]);
    assert_found(&refused, ("warning", "settings", "RUST_LOG is not heeded: \"loud\" is not a level", "correct it"));
    for found in [overruled, refused] {
        assert!(!found.iter().any(|finding| finding.to_string().contains("accepted by init")), "{found:#?}");
    }
    // What it says is examined as what a setting says.
    let idle = with(&[("RUST_LOG", "trace"), ("LASTWORDS_RING_LEVEL", "debug")]);
    assert_found(&idle, ("warning", "settings", "LASTWORDS_RING_LEVEL: ", "set ring_level finer"));
    let file = folder.join("lastwords.toml");
    fs::write(&file, "log = \"info\"\n").expect("written");
    let by_file = with(&[("RUST_LOG", "debug"), ("LASTWORDS_CONFIG", file.to_str().expect("UTF-8"))]);
    assert_found(&by_file, ("warning", "settings", "RUST_LOG is not heeded, because ", "unset RUST_LOG"));
}

#[test]
fn a_group_that_files_cannot_be_given_to_is_named_with_what_to_do() {
    skip_unless!(is_root());
    let (_scratch, logs) = open_folder("doctor-group");
    owned(&logs, USER, USER, 0o750);
    let asked = |tool: &mut Command| {
        tool.env("LASTWORDS_DIR", &logs).envs([("LASTWORDS_FILE_MODE", "0640"), ("LASTWORDS_FILE_GROUP", "61300")]);
        findings(tool)
    };
    let found = asked(&mut as_user(USER, &*TOOL as &str));
    assert_found(&found, ("problem", "rights", "in which user 61234 is not: init refuses that", "chgrp 61300 "));
    let mut actor = actor_of(USER, "host", &logs, "file-mode=640 file-group=61300 log:1");
    assert!(actor.line().starts_with("init failed: file_group"), "it does");
    assert_found(&asked(&mut in_group(USER, &*TOOL as &str)), ("fine", "rights", "given to group 61300", ""));
    // The folder's group alone gives new files nothing.
    owned(&logs, USER, GROUP, 0o750);
    let found = asked(&mut as_user(USER, &*TOOL as &str));
    assert_found(&found, ("problem", "rights", "in which user 61234 is not", "chmod g+s "));
    // As the remedy says.
    owned(&logs, USER, GROUP, 0o2750);
    assert_found(&asked(&mut as_user(USER, &*TOOL as &str)), ("fine", "rights", "given to group 61300", ""));
    let mut actor = actor_of(USER, "host", &logs, "file-mode=640 file-group=61300 log:1 flush line:done");
    actor.says("done");
}

#[test]
fn a_roles_own_table_is_what_is_examined() {
    let folder = Scratch::new("doctor-role");
    let file = folder.join("lastwords.toml");
    fs::write(&file, "[role.audit]\ncontext_on_error = 9\n").expect("written");
    let mut worker = at(&folder);
    assert_found(&findings(worker.env("LASTWORDS_CONFIG", &file)), ("fine", "settings", "", ""));
    let output = printed(at(&folder).env("LASTWORDS_CONFIG", &file).args(["doctor", "--json", "--role", "audit"]));
    assert_found(
        &of_output(&output),
        ("warning", "settings", "\"context_on_error\": there are no ring-only", "set ring_level"),
    );
}

#[test]
fn a_folder_that_cannot_be_one_is_named_with_what_to_do() {
    let scratch = Scratch::new("doctor-folder");
    let (file, link, open) = (scratch.join("file"), scratch.join("link"), scratch.join("open"));
    fs::write(&file, "x").expect("written");
    symlink(scratch.join("nothing"), &link).expect("linked");
    fs::create_dir(&open).expect("made");
    fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("changed");
    assert_found(&doctor(&file), ("problem", "folder", "it is not a folder", "name a folder of your own"));
    assert_found(&doctor(&file.join("below")), ("problem", "folder", "folder", "name a folder"));
    assert_found(&doctor(&link), ("problem", "folder", "nothing is there", "make that folder"));
    assert_found(&doctor(&open), ("warning", "rights", "anybody may write", "chmod o-w"));
    fs::set_permissions(&open, Permissions::from_mode(0o700)).expect("changed");
    let readable = findings(at(&open).env("LASTWORDS_FILE_MODE", "0640"));
    assert_found(&readable, ("warning", "rights", "file_mode 0640", "chmod 0750"));
}

#[test]
fn a_folder_of_rings_that_cannot_be_one_is_named_with_what_to_do() {
    let scratch = Scratch::new("doctor-rings-folder");
    let (logs, file, away) = (scratch.join("logs"), scratch.join("file"), scratch.join("away"));
    succeed("host", &logs, "log:1 flush");
    fs::write(&file, "x").expect("written");
    let named = |rings: &Path| findings(at(&logs).env("LASTWORDS_RINGS", rings));
    assert_found(&named(&away), ("fine", "rings folder", "will be made", ""));
    assert!(!away.exists(), "it is not made by a look");
    assert_found(
        &named(&file),
        ("problem", "rings folder", "it is not a folder", "name the one that the processes have"),
    );
    fs::set_permissions(logs.join("rings"), Permissions::from_mode(0o777)).expect("changed");
    assert_found(&doctor(&logs), ("warning", "rings folder", "others may write", "chmod 700"));
    fs::write(logs.join("rings.path"), format!("{}\n", file.display())).expect("written");
    assert_found(&doctor(&logs), ("problem", "rings folder", "rings.path leads to", "rings.path"));
}

#[test]
fn folders_of_other_users_are_told_apart() {
    skip_unless!(is_root());
    let (scratch, logs) = open_folder("doctor-users");
    let by = |folder: &Path| findings(as_user(USER, &*TOOL as &str).env("LASTWORDS_DIR", folder));
    owned(&logs, 0, 0, 0o755);
    assert_found(&by(&logs), ("problem", "folder", "it belongs to user 0", "name a folder of your own"));
    assert_found(&by(&scratch.join("new")), ("problem", "folder", "may not make files", "install -d -o 61234"));
    owned(&logs, USER, USER, 0o500);
    assert_found(&by(&logs), ("problem", "folder", "may not make files", "chmod u+rwx"));
    owned(&logs, USER, USER, 0o700);
    assert_found(&by(&logs), ("fine", "folder", "of this user (61234)", ""));
    // Root becomes that user.
    let before = snapshot(&scratch);
    assert_found(&doctor(&logs), ("fine", "folder", "of this user (61234)", ""));
    assert_eq!(snapshot(&scratch), before);
    owned(&logs.join("rings"), 0, 0, 0o700);
    assert_found(&by(&logs), ("problem", "folder", "rings: Permission denied", "one user for a log folder"));
}

#[test]
fn file_systems_are_told_apart() {
    if let Some(memory) = Tmpfs::mount("size=200m") {
        assert_found(&doctor(memory.path()), ("warning", "file system", "do not survive a reboot", "on a disk"));
        let durable = findings(at(memory.path()).env("LASTWORDS_DURABLE", "100"));
        assert_found(&durable, ("warning", "file system", "durable is set", "leave durable out"));
        memory.remount("ro");
        assert_found(&doctor(memory.path()), ("problem", "folder", "mounted read-only", "mount it for writing"));
    }
    let scratch = Scratch::new("doctor-fuse");
    match Bind::new(&scratch) {
        Ok(bind) => {
            assert_found(&doctor(bind.path()), ("problem", "file system", "it is on FUSE", "allow_fuse"));
            let allowed = findings(at(bind.path()).env("LASTWORDS_ALLOW_FUSE", "1"));
            assert_found(&allowed, ("fine", "file system", "on FUSE", ""));
        }
        Err(why) => println!("skipped: {why}"),
    }
    match LoopMount::with("btrfs", 128 << 20, &Scratch::new("doctor-btrfs")) {
        Ok(btrfs) => assert_found(&doctor(btrfs.path()), ("fine", "file system", "btrfs", "")),
        Err(why) => println!("skipped: {why}"),
    }
    let place = Scratch::new("doctor-overlay");
    let disk = place.display();
    let mount = format!(
        "mkdir -p {disk}/u {disk}/w {disk}/m && mount -t tmpfs none {disk}/w && mkdir {disk}/w/u {disk}/w/w && \
         mount -t overlay -o lowerdir={disk}/u,upperdir={disk}/w/u,workdir={disk}/w/w none {disk}/m"
    );
    if let Some(mut command) = within(&["-m"], &mount, &place.join("m")) {
        assert_found(
            &findings(&mut command),
            ("warning", "file system", "goes away with the container", "on a volume"),
        );
    }
    let memory = Scratch::within(Path::new("/dev/shm"), "doctor-rings");
    let elsewhere = findings(at(&place).env("LASTWORDS_RINGS", memory.path()));
    assert_found(&elsewhere, ("fine", "file system", "survive every process, but no reboot", ""));
}

#[test]
fn too_little_room_is_named_with_what_to_do() {
    if let Some(small) = Tmpfs::mount("size=16m") {
        assert_found(&doctor(small.path()), ("warning", "free space", "16 MiB free", "lower rotate_size"));
        let less = [("LASTWORDS_ROTATE_SIZE", "1M"), ("LASTWORDS_ROTATE_KEEP", "2")];
        assert_found(&findings(at(small.path()).envs(less)), ("fine", "free space", "16 MiB free", ""));
        small.remount("size=512k");
        assert_found(&doctor(small.path()), ("problem", "free space", "512 KiB free", "lower rotate_size"));
    }
    // Rings that are elsewhere need their room there.
    if let Some(small) = Tmpfs::mount("size=2m") {
        let folder = Scratch::new("doctor-room");
        let (rings, shown) = (small.path().join("rings"), small.path().display().to_string());
        let elsewhere = findings(at(&folder).env("LASTWORDS_RINGS", &rings));
        assert_found(&elsewhere, ("warning", "free space", &format!(" free in {shown};"), "slots_per_lane"));
    }
    for (inodes, state) in [(40, "warning"), (4, "problem")] {
        if let Some(few) = Tmpfs::mount(&format!("size=200m,nr_inodes={inodes}")) {
            assert_found(&doctor(few.path()), (state, "free inodes", "inodes free", "remove files"));
        }
    }
}

#[test]
fn limits_that_are_too_low_are_named_with_what_to_do() {
    let folder = Scratch::new("doctor-limits");
    let limited = |limit: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\""), &TOOL]).env("LASTWORDS_DIR", folder.path());
        findings(&mut command)
    };
    assert_found(&limited("-f 100"), ("warning", "limits", "flushes only from 1 MiB on", "ulimit -f unlimited"));
    assert_found(&limited("-f 4000"), ("warning", "limits", "rings are made smaller", "ulimit -f unlimited"));
    assert_found(&limited("-n 32"), ("warning", "limits", "32 files may be open", "ulimit -n 1024"));
    assert_found(&limited("-v 200000"), ("warning", "limits", "of address space", "ulimit -v unlimited"));
    assert_found(&limited("-c 0"), ("fine", "limits", "", ""));
}

#[test]
fn the_machine_is_examined_as_a_process_sees_it() {
    let folder = Scratch::new("doctor-machine");
    let mut rows: Vec<(&[&str], &str, Finding<'_>)> = vec![
        (
            &["-m"],
            "mount -t tmpfs -o size=1m none /dev/shm",
            ("warning", "shared memory", "is made smaller", "--shm-size"),
        ),
        // The whole of /dev, because nothing of it can be removed.
        (
            &["-m"],
            "mount -t tmpfs none /dev",
            ("problem", "shared memory", "there is no /dev/shm", "or set memory to file"),
        ),
        (&["-m"], "umount -l /proc", ("warning", "namespaces", "/proc cannot be read", "mount /proc")),
        (&["-pf", "--mount-proc"], "true", ("fine", "namespaces", "of its own", "")),
    ];
    let pattern = folder.join("pattern");
    fs::write(&pattern, "|/usr/lib/handler %p\n").expect("written");
    let cores = format!("mount --bind {} /proc/sys/kernel/core_pattern", pattern.display());
    rows.push((&["-m"], &cores, ("fine", "core dumps", "go to the program /usr/lib/handler", "")));
    let source = folder.join("source");
    fs::write(&source, "hpet\n").expect("written");
    const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let clock = format!("mount --bind {} {CLOCK}", source.display());
    rows.push((&["-m"], &clock, ("warning", "clock", "clock source is hpet", "dmesg")));
    for (flags, before, expected) in rows {
        let _about = About(before);
        if let Some(mut command) = within(flags, before, &folder) {
            assert_found(&findings(command.env("LASTWORDS_MEMORY", "shared")), expected);
        }
    }
    let first = fs::metadata("/proc/self/ns/pid").expect("there").ino() == 0xefff_fffc;
    let expected = if first { "the pid namespace of the machine" } else { "a pid namespace of its own" };
    assert_found(&doctor(&folder), ("fine", "namespaces", expected, ""));
    let has_counter = fs::read_to_string(CLOCK).is_ok_and(|source| source.trim() == "tsc");
    if !has_counter {
        return println!("skipped: the kernel of this machine does not keep time by the counter");
    }
    let _host = Actor::start("host", &folder, "log:1 flush line:up wait").until("up");
    if let Some(mut command) = within(&["-m"], &clock, &folder) {
        assert_found(&findings(&mut command), ("warning", "clock", "left for hpet", "start that process again"));
    }
}

#[test]
fn a_flusher_that_does_not_flush_is_named_with_what_to_do() {
    let folder = Scratch::new("doctor-flusher");
    let mut alone = Actor::start("worker", &folder, "flusher=never log:7 line:up wait").until("up");
    let found = doctor(&folder);
    assert_found(&found, ("warning", "flusher", "none, while 1 process logs", "lastwords flush "));
    assert_found(&found, ("warning", "flusher", "7 records", "drains for all"));
    assert!(!found.iter().any(|finding| finding["check"] == "ended processes"), "it lives: {found:#?}");
    alone.kill();
    let before = snapshot(&folder);
    assert_found(
        &doctor(&folder),
        ("warning", "ended processes", "1 ring of ended processes, 7 records", "lastwords flush --once "),
    );
    assert_eq!(snapshot(&folder), before, "it is a look");
    flush_once(&folder);
    // A flusher that was killed, with all of its own records written: its lock file still names it, its death is to be logged.
    let _ = die("worker", &folder, "log:2 flush kill");
    let found = doctor(&folder);
    assert_found(&found, ("fine", "flusher", "none, and no process that logs", ""));
    let ended = "1 ring of ended processes, 0 records to come";
    assert_found(&found, ("warning", "ended processes", ended, "lastwords flush --once "));
    flush_once(&folder);

    let host = Actor::start("host", &folder, "log:1 flush line:up wait").until("up");
    host.stop();
    let mut ended = Actor::start("worker", &folder, "log:4 line:up wait").until("up");
    ended.kill();
    let what = "1 ring of ended processes, 4 records to come";
    assert_found(&doctor(&folder), ("fine", "ended processes", what, ""));
    let _worker = Actor::start("worker", &folder, "log:9 line:up wait").until("up");
    let stopped = doctor(&folder);
    assert_found(&stopped, ("problem", "flusher", "is stopped (T)", "kill -CONT"));
    wait_until("the lag", || {
        doctor(&folder).iter().any(|finding| finding.to_string().contains(" s behind with worker"))
    });
    assert_found(&doctor(&folder), ("warning", "flusher", "behind with worker", "log less"));
    let lock = folder.join("rings/flusher.lock");
    let text = fs::read_to_string(&lock).expect("read");
    fs::write(&lock, text.replace(" version=3 ", " version=9 ")).expect("written");
    assert_found(&doctor(&folder), ("warning", "flusher", "reads rings of format 9", "end the older"));
}

#[test]
fn a_flusher_that_could_run_and_makes_no_pass_is_named_with_what_to_do() {
    let folder = Scratch::new("doctor-heartbeat");
    let host = Actor::start("host", &folder, "log:1 flush line:up wait").until("up");
    let lock = folder.join("rings/flusher.lock");
    let expected = format!("pid {}, no pass for ", host.pid());
    // Its own heartbeat, twice a second, may come between.
    wait_until("the finding", || {
        let text = fs::read_to_string(&lock).expect("read");
        let (before, rest) = text.split_once("beat=").expect("a heartbeat");
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        fs::write(&lock, format!("{before}beat={:0digits$}{}", 1, &rest[digits..])).expect("written");
        let found = doctor(&folder);
        found.iter().any(|finding| {
            let text = finding.to_string();
            text.contains(&expected) && text.contains("it is busy") && text.contains("nice value")
        })
    });
}

#[test]
fn rings_with_losses_or_damage_are_named_with_what_to_do() {
    let folder = Scratch::new("doctor-rings");
    let _ = die("lossy", &folder, "flusher=never policy=overwrite slots=8 log:100 kill");
    assert_found(&doctor(&folder), ("warning", "losses", "records of lossy", "full_policy = block"));
    let ring = fs::read(ring_files(&folder).remove(0)).expect("read");
    fs::write(folder.join("rings/garbage-1-ab.ring"), "no ring").expect("written");
    let mut other = ring.clone();
    set_header(&mut other, offset_of!(RingHeader, version), &9u32.to_le_bytes());
    fs::write(folder.join("rings/other-1-ab.ring"), other).expect("written");
    let found = doctor(&folder);
    assert_found(&found, ("problem", "rings", "garbage-1-ab.ring is not a readable ring", "lastwords recover FILE"));
    assert_found(&found, ("problem", "rings", "format version is 9", "the version that wrote it"));
    assert_found(&found, ("fine", "rings", "1 ring that", ""));

    let logs = folder.join("living");
    let script = "flusher=never slots=8 policy=drop_newest backlog=100000 log:2000 line:up wait";
    let _kept = Actor::start_with("kept", &logs, script, &[("LASTWORDS_LOG", "info,hypre=debug")]).until("up");
    let found = doctor(&logs);
    assert_found(&found, ("warning", "backlog", "beside its ring", "see to the flusher"));
    assert_found(&found, ("warning", "settings", "has matched hypre=debug", "correct the target"));
    let shared = folder.join("shared");
    let _shared = Actor::start("host", &shared, "memory=shared log:1 flush line:up wait").until("up");
    if let Some(mut command) = within(&["-m"], "mount -t tmpfs none /dev/shm", &shared) {
        assert_found(&findings(&mut command), ("warning", "rings", "cannot be seen from here", "share one /dev/shm"));
    }
    if let Some(small) = Tmpfs::mount("size=5m") {
        let mut actor = Actor::start("host", small.path(), "log:1 flush line:up wait").until("up");
        assert_found(&doctor(small.path()), ("warning", "rings", "no room for more", "free space"));
        actor.kill();
    }
}

#[test]
fn what_else_is_in_the_folder_is_counted_and_checked() {
    let folder = Scratch::new("doctor-contents");
    let _ = die("worker", &folder, "flusher=never log:5 kill");
    flush_once(&folder);
    assert_found(&doctor(&folder), ("fine", "crash files", "1 crash file", ""));
    for role in ["host", "worker"] {
        let kept = printed(TOOL.command().args(["level", role, "debug", "--keep", "--dir"]).arg(&folder));
        kept.ended(0);
    }
    assert_found(
        &doctor(&folder),
        ("fine", "kept levels", "of 2 roles, which count more than settings: host, worker", ""),
    );
    fs::write(folder.join("rings/host.level"), "damaged").expect("written");
    assert_found(&doctor(&folder), ("warning", "kept levels", "host", "host --reset"));
    for (note, expected) in [
        ("Mars/Olympus +09:00\n", ("warning", "time zone", "Mars/Olympus is unknown here", "install tzdata")),
        ("nonsense\n", ("warning", "time zone", "cannot be read as a zone", "remove it")),
    ] {
        fs::write(folder.join("time_zone"), note).expect("written");
        let before = snapshot(&folder);
        assert_found(&doctor(&folder), expected);
        assert_eq!(snapshot(&folder), before, "it is a look");
    }
    let asked = findings(at(&folder).env("LASTWORDS_TIME_ZONE", "Europe/Belrin"));
    assert_found(&asked, ("problem", "time zone", "Europe/Belrin", "Europe/Berlin"));
}

#[test]
fn the_tool_says_how_it_is_used() {
    let help = tool_at("doctor", "--help");
    help.ended(0);
    assert!(
        help.out.contains("Exit status: 0 all is fine, 1 there are warnings, 2 wrong usage, 3 there are problems"),
        "{help:?}"
    );
    tool_at("doctor --nonsense", ".").ended(2);
}

#[test]
fn the_room_that_log_files_take_is_no_more_than_they_may_have() {
    let folder = Scratch::new("doctor-total");
    let most = |variables: &[(&str, &str)]| {
        let found = findings(at(&folder).env("LASTWORDS_ROTATE_KEEP", "10").envs(variables.iter().copied()));
        let space = found.into_iter().find(|finding| finding["check"] == "free space").expect("looked at");
        let text = space["found"].as_str().expect("text").to_owned();
        text.split("up to ").nth(1).expect("a size").to_owned()
    };
    let (all, bounded) = (most(&[]), most(&[("LASTWORDS_KEEP_TOTAL", "20M")]));
    assert!(
        all.starts_with("11") && bounded.starts_with("27"),
        "eleven files of 10 MiB, or 20 MiB, and a ring of 7.8: {all}, {bounded}"
    );
}
