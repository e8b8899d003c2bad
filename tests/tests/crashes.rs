//! What a death by a fatal signal looks like: in the log, in the crash file, and by `lastwords crashes`.

#![cfg(target_arch = "x86_64")]

mod schema;

use lastwords_flusher::crash::modules::Files;
use lastwords_flusher::crash::report::{Reading, Report};
use lastwords_flusher::crash::teller::Teller;
use lastwords_flusher::recover::crash_file::BlackBox;
use lastwords_ring::format::capture::Capture;
use lastwords_ring::place::zone::Zone;
use lastwords_ring::place::{crash_notes, open};
use lastwords_ring::read::capture;
use lastwords_tests::actor::{Actor, Printed, die, flush_once, printed, succeed, tool, tool_at, wait_until};
use lastwords_tests::forge::ring_files;
use lastwords_tests::jsonl;
use lastwords_tests::logs::{crash_files, read};
use lastwords_tests::programs::{ACTOR, CRASHER, TOOL};
use lastwords_tests::scratch::Scratch;
use schema::assert_valid;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Stdio;

fn crashes(arguments: &str, path: &Path) -> Printed {
    tool(format!("crashes {arguments}").replace("PATH", path.to_str().expect("UTF-8")))
}

/// The capture that a process leaves that dies in this way.
fn left(folder: &Path, fault: &str) -> Capture {
    die("worker", folder, format!("flusher=never log:1 {fault}"));
    capture::read(&ring_files(folder)[0]).expect("read").expect("a capture")
}

#[test]
fn the_log_says_why_and_where_a_process_died() {
    let folder = Scratch::new("why");
    die("worker", &folder, "flusher=never log:1 fault:null");
    flush_once(&folder);
    let log = read(&folder, "worker");
    let message = &log.last().expect("a death line").message;
    let lines: Vec<&str> = message.lines().collect();
    assert!(lines[0].contains("died of SIGSEGV") && lines[0].contains("its black box is"), "{message}");
    assert_eq!(lines[1], "    SIGSEGV: write to address 0x8, not mapped, near null");
    let of = |name: &str| lines.iter().position(|line| line.starts_with("    #") && line.contains(name));
    let (fault, main) = (of("faults::write_to").expect("where it was"), of("actor::main").expect("its caller"));
    assert!(fault < main && lines[fault].contains("tests/src/faults.rs:"), "{message}");
    assert!(lines.len() <= 2 + 32 + 1, "{message}");
}

#[test]
fn a_panic_that_ends_the_process_has_its_stack_without_what_the_panic_brought() {
    let folder = Scratch::new("why-panic");
    die("worker", &folder, "flusher=never log:1 panicking:main");
    flush_once(&folder);
    let log = read(&folder, "worker");
    let lines: Vec<&str> = log.last().expect("a death line").message.lines().collect();
    assert!(lines[0].contains("the process ended by a panic"), "{lines:?}");
    assert_eq!(lines[1], "    panic of the main thread");
    assert!(lines[2].starts_with("    #0") && lines[2].contains("panics::act+"), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("actor::main")), "{lines:?}");
    let file = fs::read_to_string(&crash_files(&folder)[0]).expect("a crash file");
    assert!(file.contains("\nsignal       none: a panic\n"), "{file}");
    let list = crashes("PATH", &folder).out;
    assert!(list.contains("panic of the main thread") && list.contains("panics::act"), "{list}");
}

#[test]
fn a_panic_that_was_caught_is_no_cause() {
    for (death, cause) in [("kill", None), ("fault:null", Some("SIGSEGV: write to address 0x8, not mapped, near null"))]
    {
        let folder = Scratch::new("why-caught");
        die("worker", &folder, format!("flusher=never log:1 panicking:value {death}"));
        assert!(ring_files(&folder)[0].with_extension("capture").exists());
        flush_once(&folder);
        let log = read(&folder, "worker");
        let found = log.last().expect("a death line").message.lines().nth(1).map(str::trim_start);
        assert_eq!(found, cause, "{death}");
    }
}

#[test]
fn of_panics_that_follow_each_other_none_is_shown_in_place_of_the_last() {
    let folder = Scratch::new("why-again");
    die("worker", &folder, "flusher=never log:1 panicking:value panicking:main");
    flush_once(&folder);
    let log = read(&folder, "worker");
    let message = &log.last().expect("a death line").message;
    assert!(message.contains("ended by a panic") && message.lines().count() == 1, "{message}");
}

#[test]
fn json_has_the_frames_as_an_array() {
    let folder = Scratch::new("why-json");
    die("worker", &folder, "flusher=never format=json log:1 fault:null");
    flush_once(&folder);
    let lines = jsonl::read(&folder, "worker");
    assert_valid(&lines);
    let death = lines.last().expect("a death line");
    assert_eq!(death["cause"], "SIGSEGV: write to address 0x8, not mapped, near null");
    assert_eq!(death["signal"], "SIGSEGV");
    let crash_file = death["crash_file"].as_str().expect("a name");
    assert!(folder.join(crash_file).is_file(), "{crash_file}");
    assert!(!death["message"].as_str().expect("a message").contains('\n'), "{death}");
    let frames = death["frames"].as_array().expect("frames");
    assert_eq!((&frames[0]["trust"], &frames[0]["frame"]), (&Value::from("context"), &Value::from(0)));
    let function =
        |name: &str| frames.iter().find(|frame| frame["function"].as_str().is_some_and(|found| found.contains(name)));
    let frame = function("write_to").expect("where it was");
    assert!(frame["file"].as_str().expect("a file").ends_with("faults.rs") && frame["line"].is_u64(), "{frame}");
    assert!(function("main").is_some());
}

#[test]
fn what_pythons_own_handler_attached_stands_below_the_frames() {
    let folder = Scratch::new("why-python");
    die("worker", &folder, "flusher=never format=both log:1 fault:null");
    let attached = "Fatal Python error: Segmentation fault\n\n\
                    Thread 0x00007f2d09bff6c0 (most recent call first):\n  File \"w.py\", line 3 in wait\n\n\
                    Current thread 0x00007f2d0a3e2b80 (most recent call first):\n  File \"w.py\", line 27 in die\n";
    fs::write(crash_notes::path(&ring_files(&folder)[0]), attached).expect("written");
    flush_once(&folder);
    let log = read(&folder, "worker");
    let message = &log.last().expect("a death line").message;
    let python = "\n    Python, most recent call first\n         File \"w.py\", line 27 in die";
    assert!(message.contains("\n    #0   ") && message.ends_with(python), "{message}");
    let lines = jsonl::read(&folder, "worker");
    assert_valid(&lines);
    assert_eq!(lines.last().expect("a death line")["python"], json!(["File \"w.py\", line 27 in die"]));
    let [file] = &crash_files(&folder)[..] else { panic!("one crash file") };
    let file = fs::read_to_string(file).expect("read");
    assert!(file.contains("\npython       File \"w.py\", line 27 in die\nregisters"), "{file}");
}

#[test]
fn the_crash_file_has_everything_and_is_listed_and_shown() {
    let folder = Scratch::new("why-file");
    die("worker", &folder, "flusher=never log:3 fault:null");
    flush_once(&folder);
    die("worker", &folder, "flusher=never log:1 abort");
    flush_once(&folder);
    let list = crashes("PATH", &folder);
    assert_eq!(list.code, Some(0), "{list:?}");
    let rows: Vec<&str> = list.out.lines().collect();
    assert_eq!(rows.len(), 3, "{}", list.out);
    assert!(rows[0].starts_with("N  LAST RECORD") && rows[0].contains("CAUSE"), "{}", rows[0]);
    let row = |cause: &str| rows.iter().position(|row| row.contains(cause)).expect("listed");
    let (null, abort) = (row("write to address 0x8"), row("SIGABRT: abort"));
    assert!(rows[null].contains("faults::write_to") && rows[abort].contains("actor::"), "{}", list.out);
    let shown = crashes(&format!("PATH {null}"), &folder);
    for part in [
        "signal       11, code 1",
        "registers    rax 0x",
        "rip 0x",
        "thread       ",
        "stack ends   the outermost frame",
        "module       0x",
        "line 2",
    ] {
        assert!(shown.out.contains(part), "{part} in {}", shown.out);
    }
    let name = rows[null].split_whitespace().last().expect("a name");
    assert_eq!(crashes(&format!("PATH {name}"), &folder).out, shown.out);
    assert_eq!(crashes(&format!("--dir PATH {null}"), &folder).out, shown.out);
    assert_eq!(fs::read_to_string(folder.join(name)).expect("there"), shown.out);
    let all: Value = serde_json::from_str(&crashes("PATH --json", &folder).out).expect("JSON");
    let one: Value = serde_json::from_str(&crashes(&format!("PATH {null} --json"), &folder).out).expect("JSON");
    assert_eq!(all["crashes"][null - 1], one);
    assert_eq!(one["crash_info"]["type"], "SIGSEGV");
    assert_eq!(one["crash_info"]["address"], "0x0000000000000008");
    assert!(one["threads"][0]["frame_count"].as_u64().expect("a count") > 4, "{one}");
}

#[test]
fn what_is_not_there_is_said() {
    let folder = Scratch::new("none");
    let none = crashes("PATH", &folder);
    assert_eq!((none.code, none.out.as_str()), (Some(1), ""), "{none:?}");
    die("worker", &folder, "flusher=never log:1 kill");
    flush_once(&folder);
    let list = crashes("PATH", &folder);
    assert!(list.code == Some(0) && list.out.contains("died without closing"), "{list:?}");
    for wrong in ["0", "2", "worker", "../worker"] {
        let found = crashes(&format!("PATH {wrong}"), &folder);
        assert_eq!(found.code, Some(2), "{wrong}");
        assert!(found.err.contains(wrong) && found.err.contains("expected a number from 1 to 1"), "{}", found.err);
    }
    let file = &crash_files(&folder)[0];
    let found = crashes("--symbolise PATH", file);
    assert!(found.code == Some(2) && found.err.contains("no stack: expected"), "{found:?}");
    fs::remove_file(file).and_then(|()| fs::create_dir(file)).expect("planted");
    assert_eq!(crashes("PATH", &folder).code, Some(3));
    assert_eq!(crashes("PATH", &folder.join("nowhere")).code, Some(2));
}

#[test]
fn a_crash_file_is_found_by_its_path_or_by_a_number_alone_and_what_is_none_is_said_to_be_none() {
    let folder = Scratch::new("crash-path");
    die("worker", &folder, "flusher=never log:1 abort");
    flush_once(&folder);
    let file = crash_files(&folder).remove(0);
    let whole = fs::read_to_string(&file).expect("a crash file");
    assert_eq!(crashes("PATH", &file).out, whole);
    let by_number = printed(TOOL.command().args(["crashes", "1"]).env("LASTWORDS_DIR", &*folder));
    assert_eq!((by_number.code, by_number.out), (Some(0), whole));
    let full = fs::File::options().write(true).open("/dev/full").expect("a full device");
    let lost = TOOL.command().arg("crashes").arg(&file).stdout(full).output().expect("run");
    assert_eq!(lost.status.code(), Some(2), "{lost:?}");
    assert!(String::from_utf8_lossy(&lost.stderr).contains("cannot write standard output"), "{lost:?}");
    fs::write(&file, "something else\n").expect("written");
    let other = crashes("PATH", &folder);
    assert!(other.code == Some(3) && other.err.contains("expected one that begins with"), "{other:?}");
}

#[test]
fn a_crash_file_that_is_cut_is_marked() {
    let folder = Scratch::new("crash-cut");
    die("worker", &folder, "flusher=never log:3 fault:null");
    flush_once(&folder);
    let file = crash_files(&folder).remove(0);
    let whole = fs::read_to_string(&file).expect("a crash file");
    let module = whole.find("\nmodule ").expect("a module");
    let complete = |arguments: &str| {
        let found: Value = serde_json::from_str(&crashes(arguments, &folder).out).expect("JSON");
        found.pointer("/crashes/0/complete").or(found.get("complete")).cloned().expect("said")
    };
    for (length, is_whole) in [(whole.len(), true), (whole.len() - 1, false), (module + 20, false), (40, false)] {
        fs::write(&file, &whole[..length]).expect("cut");
        assert_eq!(complete("PATH --json"), is_whole, "{length}");
        assert_eq!(complete("PATH 1 --json"), is_whole, "{length}");
        let list = crashes("PATH", &folder).out;
        assert_eq!(list.contains("(cut) "), !is_whole, "{length}: {list}");
    }
}

#[test]
fn what_is_lost_on_its_way_to_standard_output_is_an_error_and_a_closed_pipe_is_none() {
    let folder = Scratch::new("lost");
    die("worker", &folder, "flusher=never log:3 fault:null");
    let null = || Stdio::from(fs::File::open("/dev/null").expect("opened for reading alone"));
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").expect("a full device"));
    let commands = ["recover", "recover --json", "recover --black-box", "status", "status --json", "crashes"];
    for words in commands {
        if words == "crashes" {
            flush_once(&folder);
        }
        let run = |to: Stdio| {
            let mut command = TOOL.command();
            let done = command.args(words.split(' ')).arg(folder.path()).stdout(to).output().expect("run");
            (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
        };
        for to in [full(), null()] {
            let (code, err) = run(to);
            assert!(code == Some(2) && err.contains("cannot write standard output"), "{words}: {code:?} {err}");
        }
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (code, err) = run(writer.into());
        assert!(code == Some(0) && !err.contains("error"), "{words}: {code:?} {err}");
    }
}

#[test]
fn a_black_box_of_nothing_is_an_error() {
    let folder = Scratch::new("black-box-none");
    let found = tool_at("recover --black-box", folder.join("nosuch"));
    assert_eq!((found.code, found.out.as_str()), (Some(2), ""), "{found:?}");
    assert!(found.err.contains("nosuch") && found.err.contains("it does not exist; name"), "{found:?}");
}

#[test]
fn a_fault_that_the_process_did_not_end_by_is_told_as_an_earlier_one() {
    let folder = Scratch::new("why-left");
    let mut flusher = Actor::start("host", &folder, "line:up wait").until("up");
    let mut crasher = CRASHER.command();
    let mut crasher = Actor::of({
        crasher.arg(folder.path()).args(["killing", "wait", "null"]);
        crasher
    })
    .until("ready");
    // The flusher knows it by then.
    wait_until("its first line is there", || !read(&folder, "crasher").is_empty());
    crasher.go();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&crasher.end()), Some(libc::SIGKILL));
    wait_until("its death is told", || read(&folder, "crasher").len() > 1);
    flusher.finish();
    let message = &read(&folder, "crasher")[1].message;
    assert!(message.contains("was killed by SIGKILL"), "{message}");
    let earlier = "\n    an earlier signal, which the process may have survived: SIGSEGV: write to address 0x18";
    assert!(message.contains(earlier), "{message}");
}

#[test]
fn a_death_without_a_capture_is_told_as_ever() {
    let folder = Scratch::new("why-not");
    die("worker", &folder, "flusher=never log:1 kill");
    flush_once(&folder);
    let log = read(&folder, "worker");
    assert_eq!(log.last().expect("a death line").message.lines().count(), 1, "{log:?}");
    let file = fs::read_to_string(&crash_files(&folder)[0]).expect("a crash file");
    assert!(!file.contains("\ncause ") && file.contains("\n\n2"), "{file}");
}

#[test]
fn what_a_programs_own_flusher_did_not_read_is_added_later() {
    let folder = Scratch::new("why-later");
    die("worker", &folder, "flusher=never log:1 fault:null");
    // The flusher of this process has no tool to start.
    succeed("host", &folder, "log:1 flush");
    let file = crash_files(&folder).remove(0);
    let before = fs::read_to_string(&file).expect("a crash file");
    let line = |text: &str| text.lines().find(|line| line.contains("write_to+")).map(str::to_owned).expect("named");
    assert!(!line(&before).contains("faults.rs"), "{before}");
    let after = crashes("--symbolise PATH", &file);
    assert_eq!(after.code, Some(0), "{after:?}");
    assert!(line(&after.out).contains("faults.rs:"), "{}", after.out);
    let rest = |text: &str| text.split_once("module       ").map(|(_, rest)| rest.to_owned()).expect("modules");
    let records = |text: &str| rest(text).split_once("\n\n").map(|(_, records)| records.to_owned());
    assert_eq!(records(&after.out), records(&before), "the rest is as it was");
    let json: Value = serde_json::from_str(&crashes("--json --symbolise PATH", &file).out).expect("JSON");
    assert!(json["threads"][0]["frames"].to_string().contains("faults.rs"), "{json}");
    assert!(!after.err.contains("nothing could be added"), "{after:?}");
}

#[test]
fn the_log_says_in_a_word_why_a_program_was_not_read() {
    for (name, change, word) in [("replaced", true, "replaced"), ("unlinked", false, "unreadable")] {
        let folder = Scratch::new(&format!("why-{name}"));
        let program = folder.join("program");
        fs::copy(&*ACTOR, &program).expect("copied");
        let mut worker = std::process::Command::new(&program);
        worker.args([OsStr::new("worker"), folder.as_os_str()]).args([
            "flusher=never",
            "format=both",
            "log:1",
            "fault:null",
        ]);
        assert!(!worker.status().expect("started").success());
        match change {
            true => fs::copy(&*CRASHER, folder.join("other")).and_then(|_| fs::rename(folder.join("other"), &program)),
            false => fs::remove_file(&program),
        }
        .expect("changed");
        flush_once(&folder);
        let message = read(&folder, "worker").pop().expect("a death line").message;
        assert!(
            message.contains("\n    #0   in program+0x") && message.contains(&format!(" ({word})  build id ")),
            "{message}"
        );
        let lines = jsonl::read(&folder, "worker");
        assert_valid(&lines);
        assert_eq!(lines.last().expect("a death line")["frames"][0]["unusable"], word);
    }
}

#[test]
fn that_nothing_can_be_added_is_said_with_the_reason() {
    let folder = Scratch::new("why-nothing");
    let program = folder.join("program");
    fs::copy(&*ACTOR, &program).expect("copied");
    let mut worker = std::process::Command::new(&program);
    worker.args([OsStr::new("worker"), folder.as_os_str()]).args(["flusher=never", "log:1", "fault:null"]);
    assert!(!worker.status().expect("started").success());
    succeed("host", &folder, "log:1 flush");
    let file = crash_files(&folder).remove(0);
    fs::copy("/proc/self/exe", folder.join("other"))
        .and_then(|_| fs::rename(folder.join("other"), &program))
        .expect("replaced");
    // What the system's libraries know is added once.
    let whole = crashes("--symbolise PATH", &file).out;
    fs::write(&file, &whole).expect("written");
    let found = crashes("--symbolise PATH", &file);
    assert!(found.code == Some(1) && found.err.contains("nothing could be added: "), "{found:?}");
    assert!(found.err.contains("program: replaced: build id "), "{}", found.err);
    // What was known stays, and the file now says why there is no more.
    let frames = |text: &str| text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(frames(&found.out), frames(&whole));
    assert!(found.out.contains("/program  (replaced: build id "), "{}", found.out);
}

/// The head of a crash file, as the tool shows it of a ring that is left, with this in place of itself as who makes the report.
fn shown_by(folder: &Path, program: &[&str]) -> String {
    let mut found = BlackBox::open(&ring_files(folder)[0]).expect("a ring");
    found.tell(&Teller::with(program.iter().map(Into::into).collect()));
    let mut out = Vec::new();
    found.write(&mut out, &Zone::local(), Path::new("memory")).expect("written");
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn a_worker_that_fails_costs_what_it_was_to_read_and_nothing_else() {
    let folder = Scratch::new("worker");
    die("worker", &folder, "flusher=never log:1 fault:null");
    let first = |text: &str| text.lines().find(|line| line.starts_with("#0 ")).map(str::to_owned).expect("a frame");
    let good = shown_by(&folder, &[&TOOL]);
    assert!(good.contains("write_to+") && good.contains("faults.rs:") && !good.contains("\nnote "), "{good}");
    let tool = |then: &str| format!("{} symbolise {then}", &*TOOL);
    let (first_alone, half) = (tool("| head -n 1; kill -9 $$"), tool("| head -c 3000"));
    let (and_nonsense, twice) =
        (tool("; echo x"), tool("| { read -r a; read -r b; printf '%s\\n%.99s' \"$b\" \"$b\"; }"));
    let no_file = "no file of the program is read: ";
    let rows: [(&[&str], &str, &str, &str); 12] = [
        (&["/nowhere"], no_file, "No such file", "(not read"),
        (&["false"], no_file, "exit status: 1", "(not read"),
        (&["true"], no_file, "its answer is none", "(not read"),
        (&["yes"], no_file, "it says too much", "(not read"),
        (&["sh", "-c", "echo '{}'; echo '[null]'"], no_file, "its answer is none", "(not read"),
        (&["sh", "-c", "cat /dev/zero"], no_file, "it says too much", "(not read"),
        (&["sh", "-c", "kill -9 $$"], no_file, "SIGKILL", "(not read"),
        (&["sh", "-c", "exec >&-; sleep 100"], no_file, "SIGKILL", "(not read"),
        (&["sh", "-c", &half], no_file, "its answer is none", "(not read"),
        (&["sh", "-c", &first_alone], "debug information is not read: ", "SIGKILL", "write_to+"),
        (&["sh", "-c", &and_nonsense], "debug information is not read: ", "its answer is none", "faults.rs:"),
        (&["sh", "-c", &twice], "debug information is not read: ", "its answer is none", "faults.rs:"),
    ];
    for (program, note, why, shown) in rows {
        let found = shown_by(&folder, program);
        let noted: Vec<&str> = found.lines().filter(|line| line.starts_with("note ")).collect();
        assert!(noted.len() == 1 && noted[0].contains(note) && noted[0].contains(why), "{program:?}: {noted:?}");
        assert!(found.contains(shown), "{program:?}: {shown} in {found}");
        let pc = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
        assert_eq!(pc(&first(&found)), pc(&first(&good)), "{program:?}");
        assert!(found.contains("cause        SIGSEGV: write to address 0x8"), "{program:?}: {found}");
    }
}

#[test]
fn another_user_opens_no_file_of_the_process() {
    let folder = Scratch::new("foreign");
    let capture = left(&folder, "fault:null");
    let report = Report::of(&capture, 1, &Reading { files: Files::Foreign, ..Reading::default() });
    let frame = &report.stacks[0].frames[0];
    let module = &report.modules[frame.module.expect("a module")];
    assert!(frame.symbol.is_none() && module.name() == "actor", "{frame:?}");
    let unusable = report.modules.iter().filter(|module| module.path != b"[vdso]" && module.unusable.is_some());
    assert!(unusable.count() > 0 && report.stacks[0].frames.iter().all(|frame| frame.symbol.is_none()));
    assert!(open::look(Path::new(OsStr::new(&*String::from_utf8_lossy(&module.path)))).is_ok(), "it is there");
    // Whose process it was is whose ring it is.
    let ring = &ring_files(&folder)[0];
    assert!(tool_at("recover --black-box", &folder).out.contains("write_to+"));
    if let Err(error) = std::os::unix::fs::chown(ring, Some(65_534), None) {
        return println!("skipped in part: a file cannot be given away: {error}");
    }
    let shown = tool_at("recover --black-box", &folder).out;
    assert!(shown.contains("\ncause        SIGSEGV"), "{shown}");
    assert!(!shown.contains("write_to"), "{shown}");
}

#[test]
fn a_black_box_of_a_ring_that_is_not_drained_says_why_too() {
    let folder = Scratch::new("why-black-box");
    die("worker", &folder, "flusher=never log:1 fault:null");
    let shown = tool_at("recover --black-box", &folder);
    assert!(shown.out.contains("\ncause        SIGSEGV: write to address 0x8"), "{}", shown.out);
    assert!(shown.out.contains("write_to+"), "{}", shown.out);
}
