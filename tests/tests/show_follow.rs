//! `lastwords show -f` and `--cursor-file`: going on where the last look ended.
//!
//! What follows a log by its name loses lines at a rotation, and what follows the file never comes to the next one. What is in
//! the rings comes to the files later, and must not be shown again then.

use lastwords_tests::actor::{Actor, die, flush_once, printed, succeed, wait_until};
use lastwords_tests::oracle::Random;
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A `show -f` that runs, and what it has shown.
struct Following {
    child: Child,
    text: Arc<Mutex<Vec<u8>>>,
}

impl Following {
    fn start(folder: &Path, arguments: &[&str]) -> Following {
        let mut command = TOOL.command();
        command.args(["show", "-f", "-o", "cat"]).args(arguments).arg(folder).stdout(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let (mut out, text) = (child.stdout.take().expect("piped"), Arc::new(Mutex::new(Vec::new())));
        let shared = Arc::clone(&text);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut buffer) {
                shared.lock().expect("not poisoned").extend_from_slice(&buffer[..count]);
            }
        });
        Following { child, text }
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.text.lock().expect("not poisoned").clone()).expect("UTF-8");
        text.lines().filter(|line| !line.starts_with("lastwords: ")).map(str::to_owned).collect()
    }

    /// Waits until so many lines are there, and a while for one too many.
    #[track_caller]
    fn shows(&self, expected: &[String]) {
        wait_until(&format!("{} lines, there are {:?}", expected.len(), self.lines()), || {
            self.lines().len() >= expected.len()
        });
        assert_eq!(self.lines(), expected);
    }

    /// Long enough for two rounds.
    fn pause(&self) {
        std::thread::sleep(Duration::from_millis(300));
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn record(n: usize) -> String {
    format!("2025-10-19 05:55:47.{:03} [1] [INFO] line {n}\n", n % 1000)
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("opened");
    file.write_all(text.as_bytes()).expect("written");
}

#[test]
fn it_follows_across_a_folder_that_appears_rotations_cut_and_replaced_files() {
    let scratch = Scratch::new("follow-files");
    let folder = scratch.join("logs");
    let following = Following::start(&folder, &[]);
    following.pause();
    let (log, mut expected) = (folder.join("host.log"), Vec::new());
    let mut more = |text: &dyn Fn(&str)| {
        let n = expected.len();
        text(&record(n));
        expected.push(format!("line {n}"));
        following.shows(&expected);
    };
    fs::create_dir_all(folder.join("rings")).expect("made");
    more(&|line| append(&log, line));
    more(&|line| append(&log, line));
    // A rotation, with lines in both files since the last look.
    fs::rename(&log, folder.join("host.log.1")).expect("renamed");
    more(&|line| append(&log, line));
    fs::rename(folder.join("host.log.1"), folder.join("host.log.2")).expect("renamed");
    fs::rename(&log, folder.join("host.log.1")).expect("renamed");
    more(&|line| append(&folder.join("host.log.1"), line));
    more(&|line| append(&log, line));
    // Cut, as copytruncate does it, and written anew.
    fs::copy(&log, folder.join("host.log.bak")).expect("copied");
    more(&|line| fs::write(&log, line).expect("written"));
    // Cut to nothing first.
    fs::write(&log, "").expect("cut");
    following.pause();
    more(&|line| append(&log, line));
    // Replaced.
    more(&|line| {
        fs::write(folder.join("new"), line).expect("written");
        fs::rename(folder.join("new"), &log).expect("replaced");
    });
    // A role that appears later, and half a line that is completed.
    more(&|line| append(&folder.join("worker.log"), line));
    append(&log, &record(8)[..30]);
    following.pause();
    more(&|line| append(&log, &line[30..]));
    // The folder goes and comes again.
    fs::remove_dir_all(&folder).expect("removed");
    following.pause();
    fs::create_dir_all(&folder).expect("made");
    more(&|line| append(&log, line));
}

#[test]
fn it_follows_what_nobody_drains_and_does_not_repeat_it_when_it_is_drained() {
    for format in ["text", "json", "both"] {
        let scratch = Scratch::new("follow-rings");
        let folder = scratch.join("logs");
        let format = format!("format={format}");
        succeed("host", &folder, format!("{format} log:2 flush"));
        let following = Following::start(&folder, &[]);
        // Nobody flushes.
        let mut quiet = Actor::start("host", &folder, format!("{format} flusher=never log:3 wait log:2 wait"));
        let names = |numbers: &[usize]| numbers.iter().map(|n| format!("line {n}")).collect::<Vec<_>>();
        following.shows(&names(&[0, 1, 0, 1, 2]));
        quiet.go();
        following.shows(&names(&[0, 1, 0, 1, 2, 3, 4]));
        quiet.kill();
        let _ = quiet.end();
        flush_once(&folder);
        succeed("host", &folder, format!("{format} log:1 flush"));
        following.shows(&names(&[0, 1, 0, 1, 2, 3, 4, 0]));
        following.pause();
        following.shows(&names(&[0, 1, 0, 1, 2, 3, 4, 0]));
    }
}

#[test]
fn it_follows_from_one_flusher_to_the_next() {
    let scratch = Scratch::new("follow-flushers");
    let folder = scratch.join("logs");
    let following = Following::start(&folder, &[]);
    let mut expected = BTreeMap::new();
    for round in 0..6 {
        let script = format!("rotate=4096 keep=100 say:round-{round} slowly:40:2000 kill");
        let _ = die("host", &folder, &script);
        *expected.entry(format!("round-{round}")).or_insert(0) += 1;
        (0..40).for_each(|n| *expected.entry(format!("line {n}")).or_insert(0) += 1);
    }
    let counted = || {
        let mut found = BTreeMap::new();
        following.lines().into_iter().for_each(|line| *found.entry(line).or_insert(0) += 1);
        found
    };
    wait_until("all lines", || counted().values().sum::<i32>() >= expected.values().sum());
    flush_once(&folder);
    following.pause();
    assert_eq!(counted(), expected);
}

#[test]
fn it_begins_with_the_last_records_where_that_is_asked_for() {
    let scratch = Scratch::new("follow-lines");
    let folder = scratch.join("logs");
    fs::create_dir_all(&folder).expect("made");
    (0..10).for_each(|n| append(&folder.join("host.log"), &record(n)));
    let (last, picked) = (Following::start(&folder, &["-n", "2"]), Following::start(&folder, &["-g", "line [15]"]));
    last.shows(&["line 8".to_owned(), "line 9".to_owned()]);
    picked.shows(&["line 1".to_owned(), "line 5".to_owned()]);
    append(&folder.join("host.log"), &(record(10) + &record(15)));
    last.shows(&["line 8", "line 9", "line 10", "line 15"].map(str::to_owned));
    picked.shows(&["line 1", "line 5", "line 10", "line 15"].map(str::to_owned));
}

fn with_cursor(folder: &Path, cursor: &Path) -> Command {
    let mut command = TOOL.command();
    command.args(["show", "-o", "cat", "--cursor-file"]).arg(cursor).arg(folder);
    command
}

#[test]
fn a_cursor_goes_on_where_the_last_output_ended() {
    let scratch = Scratch::new("cursor");
    let (folder, cursor) = (scratch.join("logs"), scratch.join("cursor"));
    succeed("host", &folder, "log:3 flush");
    let look = || printed(with_cursor(&folder, &cursor));
    assert_eq!(look().out, "line 0\nline 1\nline 2\n");
    assert_eq!((look().out, look().code), (String::new(), Some(1)));
    // In a ring alone, and then in a file: of a text record it is not known that it was shown.
    let _ = die("host", &folder, "flusher=never log:2 kill");
    assert_eq!(look().out, "line 0\nline 1\n");
    assert_eq!(look().out, "");
    let log = folder.join("host.log");
    // Rotated, and a copy in its place, as an archive would be.
    fs::rename(&log, folder.join("host.log.1")).expect("renamed");
    append(&log, &record(7));
    assert_eq!(look().out, "line 7\n");
    append(&folder.join("host.log.1"), &record(8).repeat(10));
    assert_eq!(look().out, "line 8\n".repeat(10));
    fs::copy(folder.join("host.log.1"), folder.join("copy")).expect("copied");
    fs::rename(folder.join("copy"), folder.join("host.log.1")).expect("replaced");
    assert_eq!(look().out, "");
    fs::write(&cursor, "nonsense").expect("written");
    let found = look();
    assert_eq!((found.code, found.err.contains("holds no cursor")), (Some(2), true), "{found:?}");
    // What was not printed is not noted.
    fs::remove_file(&cursor).expect("removed");
    let mut child = with_cursor(&folder, &cursor).stdout(Stdio::piped()).spawn().expect("started");
    drop(child.stdout.take());
    let _ = child.wait();
    assert_eq!(look().out.lines().count(), 3 + 1 + 10 + 2);
}

#[test]
fn a_file_that_was_cut_is_shown_from_its_beginning() {
    let scratch = Scratch::new("cursor-cut");
    let lines: Vec<String> = (0..20).map(|n| format!("2025-10-19 05:55:47.{n:03} [1] [INFO] line {n:02}\n")).collect();
    let length = lines[0].len() as u64;
    // Within the first bytes, by which a file is known, and behind them.
    for left in [1, 3, 12, 19] {
        let (folder, cursor) = (scratch.join(format!("logs-{left}")), scratch.join(format!("cursor-{left}")));
        fs::create_dir_all(&folder).expect("made");
        let log = folder.join("host.log");
        fs::write(&log, lines.concat()).expect("written");
        assert_eq!(printed(with_cursor(&folder, &cursor)).out.lines().count(), lines.len());
        fs::File::options().write(true).open(&log).and_then(|file| file.set_len(left * length)).expect("cut");
        let shown = printed(with_cursor(&folder, &cursor)).out;
        let expected: String = (0..left).map(|n| format!("line {n:02}\n")).collect();
        assert_eq!(shown, expected, "{left} lines are left");
        assert_eq!(printed(with_cursor(&folder, &cursor)).out, "", "once");
    }
}

#[test]
fn a_kill_at_any_moment_costs_a_cursor_no_record() {
    let scratch = Scratch::new("cursor-kills");
    let (folder, cursor) = (scratch.join("logs"), scratch.join("cursor"));
    fs::create_dir_all(&folder).expect("made");
    let log = folder.join("host.log");
    let mut random = Random::from_env("LASTWORDS_SHOW_SEED");
    let (mut written, mut seen, mut doubled) = (0usize, BTreeMap::<String, u32>::new(), 0);
    let mut take = |out: &[u8]| {
        let text = String::from_utf8_lossy(out);
        // The last line may be half.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().for_each(|line| *seen.entry(line.to_owned()).or_default() += 1);
    };
    for _ in 0..200 {
        for _ in 0..random.below(40) {
            append(&log, &record(written));
            written += 1;
        }
        if random.below(10) == 0 && written > 0 {
            let number = fs::read_dir(&folder).expect("listed").count();
            (1..number).rev().for_each(|n| {
                let name = |n: usize| folder.join(format!("host.log.{n}"));
                let _ = fs::rename(name(n), name(n + 1));
            });
            fs::rename(&log, folder.join("host.log.1")).expect("rotated");
            append(&log, &record(written));
            written += 1;
        }
        let mut child = with_cursor(&folder, &cursor).stdout(Stdio::piped()).spawn().expect("started");
        std::thread::sleep(Duration::from_micros(random.below(8000)));
        child.kill().expect("killed");
        take(&child.wait_with_output().expect("ended").stdout);
    }
    take(&with_cursor(&folder, &cursor).output().expect("ended").stdout);
    let expected: Vec<String> = (0..written).map(|n| format!("line {n}")).collect();
    let missing: Vec<&String> = expected.iter().filter(|line| !seen.contains_key(*line)).collect();
    assert_eq!(missing, Vec::<&String>::new());
    doubled += seen.values().filter(|count| **count > 1).count();
    println!("{written} records, {doubled} of them more than once");
}
