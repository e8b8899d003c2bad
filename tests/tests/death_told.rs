//! Who makes the report of a crash may take its time, fail, or be ended, and the log suffers from none of it.
//!
//! The report of a large program takes seconds. A flusher that waits for it writes nothing meanwhile, and a producer whose ring runs
//! full waits too, or loses records: one process's crash becomes that of all. And a report is asked for before anything of the death
//! is written, so whoever dies or stops meanwhile leaves the death to the next, which must tell it once.

#![cfg(target_arch = "x86_64")]

use lastwords_flusher::crash::teller::Teller;
use lastwords_flusher::flusher::{Election, Flusher};
use lastwords_ring::place::clock::realtime_ns;
use lastwords_ring::place::folder::Folder;
use lastwords_tests::actor::{Actor, die, flush_once, wait_until};
use lastwords_tests::logs::{crash_files, read};
use lastwords_tests::programs::{ACTOR, DRAINER, TOOL};
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A crash with a capture.
const CRASH: &str = "flusher=never log:1 fault:null";

/// A process that makes reports once the test lets it, and says before that it has begun.
struct Slow {
    scratch: Scratch,
}

impl Slow {
    fn new(name: &str) -> Slow {
        Slow { scratch: Scratch::new(name) }
    }

    fn program(&self) -> Vec<String> {
        let folder = self.scratch.display();
        let script = format!(
            "cd '{folder}'; echo $$ >>pids; while [ ! -e go ]; do sleep 0.02; done; exec '{}' symbolise",
            &*TOOL
        );
        ["sh", "-c", &script].map(str::to_owned).to_vec()
    }

    /// The pids of those that were started.
    fn pids(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.scratch.join("pids")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| line.trim().parse().expect("a pid")).collect()
    }

    fn wait_until_begun(&self) {
        wait_until("a report is begun", || !self.pids().is_empty());
    }

    fn go(&self) {
        fs::write(self.scratch.join("go"), "").expect("written");
    }

    /// None is left, not even as a zombie of this process.
    fn assert_gone(&self) {
        for pid in self.pids() {
            wait_until("the process that made a report is gone", || !Path::new(&format!("/proc/{pid}")).exists());
        }
    }
}

/// A flusher in a thread of this process.
struct Flushing {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flushing {
    fn start(folder: &Path, program: &[String]) -> Flushing {
        let stop = Arc::new(AtomicBool::new(false));
        let (folder, teller) = (folder.to_owned(), Teller::with(program.iter().map(Into::into).collect()));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let folder = Folder::open(&folder).expect("the folder");
            let Ok(Election::Won(mut flusher)) = Flusher::elect(&folder, realtime_ns()) else { panic!("elected") };
            flusher.set_teller(teller);
            flusher.run(|| stopped.load(Ordering::Relaxed));
        });
        Flushing { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("an orderly end");
    }
}

/// The messages that tell deaths of workers.
fn deaths(folder: &Path) -> Vec<String> {
    let lines = read(folder, "worker").into_iter().map(|line| line.message);
    lines.filter(|message| message.contains("died of SIGSEGV")).collect()
}

fn assert_told(deaths: &[String], count: usize) {
    assert_eq!(deaths.len(), count, "{deaths:?}");
    for message in deaths {
        let lines: Vec<&str> = message.lines().collect();
        assert!(lines[1].contains("SIGSEGV: write to address 0x8") && lines[2].contains("#0 "), "{message}");
        assert!(message.contains("write_to") && message.contains("faults.rs:"), "{message}");
    }
}

#[test]
fn lines_of_others_go_on_while_a_report_is_made() {
    let (folder, slow) = (Scratch::new("told-meanwhile"), Slow::new("told-meanwhile-by"));
    die("worker", &folder, CRASH);
    let flushing = Flushing::start(&folder, &slow.program());
    slow.wait_until_begun();
    // Of its own role, of another one, and with a death that takes no report.
    let mut fellow = Actor::start("worker", &folder, "flusher=never log:5 line:up wait").until("up");
    die("other", &folder, "flusher=never log:3 kill");
    wait_until("the lines of the other role", || read(&folder, "other").len() == 4);
    wait_until("the lines of the same role", || read(&folder, "worker").len() >= 6);
    assert_told(&deaths(&folder), 0);
    slow.go();
    wait_until("the death", || !deaths(&folder).is_empty());
    fellow.finish();
    flushing.stop();
    assert_told(&deaths(&folder), 1);
    assert_eq!((slow.pids().len(), crash_files(&folder).len()), (1, 2));
    slow.assert_gone();
}

#[test]
fn each_of_twenty_deaths_at_once_is_told_once_with_its_stack() {
    let folder = Scratch::new("told-twenty");
    let crash = || ACTOR.acting("worker", &folder, CRASH).stderr(Stdio::null()).spawn().expect("started");
    let mut dying: Vec<_> = (0..20).map(|_| crash()).collect();
    dying.iter_mut().for_each(|child| assert!(!child.wait().expect("ended").success()));
    let flushing = Flushing::start(&folder, &[TOOL.to_owned()]);
    wait_until("all deaths", || deaths(&folder).len() >= 20);
    flushing.stop();
    assert_told(&deaths(&folder), 20);
    assert!(fs::read_dir(folder.join("rings")).expect("listed").all(|entry| {
        let name = entry.expect("listed").file_name();
        !name.to_string_lossy().starts_with("worker")
    }));
}

#[test]
fn a_few_reports_are_made_at_a_time() {
    let (folder, slow) = (Scratch::new("told-few"), Slow::new("told-few-by"));
    (0..5).for_each(|_| _ = die("worker", &folder, CRASH));
    let flushing = Flushing::start(&folder, &slow.program());
    wait_until("two reports", || slow.pids().len() == 2);
    die("other", &folder, "flusher=never log:3 kill");
    wait_until("a later death without a report", || read(&folder, "other").len() == 4);
    assert_eq!(slow.pids().len(), 2);
    slow.go();
    wait_until("all deaths", || deaths(&folder).len() == 5);
    flushing.stop();
    assert_told(&deaths(&folder), 5);
    assert_eq!(slow.pids().len(), 5);
}

#[test]
fn a_report_that_takes_too_long_costs_its_files_and_is_told_all_the_same() {
    let (folder, slow) = (Scratch::new("told-never"), Slow::new("told-never-by"));
    die("worker", &folder, CRASH);
    let flushing = Flushing::start(&folder, &slow.program());
    wait_until("the death", || !deaths(&folder).is_empty());
    flushing.stop();
    let told = deaths(&folder);
    assert!(told.len() == 1 && told[0].contains("SIGSEGV: write to address 0x8"), "{told:?}");
    assert!(told[0].contains("#0   in actor+0x") && told[0].contains(" (not read)"), "{told:?}");
    let file = fs::read_to_string(&crash_files(&folder)[0]).expect("a crash file");
    assert!(file.contains("note         no file of the program is read: it takes longer than 15 s\n"), "{file}");
    slow.assert_gone();
}

#[test]
fn a_flusher_that_is_killed_meanwhile_leaves_the_death_to_the_next() {
    let (folder, slow) = (Scratch::new("told-killed"), Slow::new("told-killed-by"));
    die("worker", &folder, CRASH);
    let mut flusher = DRAINER.command();
    let mut flusher = flusher.arg(folder.path()).args(["now", "on"]).args(slow.program()).spawn().expect("started");
    slow.wait_until_begun();
    flusher.kill().and_then(|()| flusher.wait()).expect("killed");
    assert_told(&deaths(&folder), 0);
    flush_once(&folder);
    assert_told(&deaths(&folder), 1);
    // What it had started finds nobody to answer, and nothing more is told.
    slow.go();
    slow.assert_gone();
    assert_told(&deaths(&folder), 1);
}

#[test]
fn a_flusher_that_is_stopped_meanwhile_leaves_the_death_to_the_next_and_no_process() {
    let (folder, slow) = (Scratch::new("told-stopped"), Slow::new("told-stopped-by"));
    (0..3).for_each(|_| _ = die("worker", &folder, CRASH));
    let flushing = Flushing::start(&folder, &slow.program());
    wait_until("two reports", || slow.pids().len() == 2);
    flushing.stop();
    slow.assert_gone();
    assert_told(&deaths(&folder), 0);
    assert_eq!(read(&folder, "worker").len(), 3, "the lines themselves are there");
    flush_once(&folder);
    assert_told(&deaths(&folder), 3);
}

#[test]
fn a_process_that_makes_a_report_ends_with_who_asked_for_it() {
    // Its request never comes to an end: the pipe stays open here.
    let script = format!("exec 3<&0; '{}' symbolise <&3 & echo $!; wait", &*TOOL);
    let mut asking = Command::new("sh");
    let asking = asking.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut asking = asking.expect("started");
    let _open = asking.stdin.take();
    let mut said = BufReader::new(asking.stdout.take().expect("piped"));
    let mut pid = String::new();
    said.read_line(&mut pid).expect("a pid");
    let of = Path::new("/proc").join(pid.trim());
    // What it limits itself to comes after that.
    let limits = || fs::read_to_string(of.join("limits")).unwrap_or_default();
    let has_limit = |line: &str| line.starts_with("Max file size") && line.split_whitespace().nth(3) == Some("0");
    wait_until("it has begun", || limits().lines().any(has_limit));
    asking.kill().and_then(|()| asking.wait()).expect("killed");
    wait_until("it is gone", || !of.exists());
}
