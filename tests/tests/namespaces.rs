//! What is not seen from here is not gone.
//!
//! A container has another boot id, another clock, another `/proc`, another `/dev/shm`. From outside, a process in it looks
//! like one of an earlier boot, or like none, or like another one that has its pid. A flusher that believes such evidence
//! removes the ring of a living process, and all that it logs from then on is lost; two that judge each other so take the
//! flusher's lock from each other for as long as both live.

use lastwords_tests::actor::{Actor, run, tool, wait_for};
use lastwords_tests::forge;
use lastwords_tests::logs::{Line, crash_files, numbers, read, read_so_far};
use lastwords_tests::namespaces::unshare;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
const TOOL: &str = env!("CARGO_BIN_EXE_lastwords-cli");

/// A file with a boot id that no machine has.
fn boot_id(folder: &Scratch) -> PathBuf {
    let file = folder.path().join("boot_id");
    std::fs::write(&file, "01234567-89ab-cdef-0123-456789abcdef\n").expect("written");
    file
}

fn deaths(lines: &[Line]) -> usize {
    lines.iter().filter(|line| line.level == "CRITICAL").count()
}

/// What the flusher said about machines that stopped, and memory that is gone.
fn alarms(lines: &[Line]) -> Vec<&str> {
    let false_ones = ["machine stopped", "is gone", "CRITICAL"];
    let texts = lines.iter().map(|line| (line.level.as_str(), line.message.as_str()));
    texts
        .filter(|(level, text)| *level == "CRITICAL" || false_ones.iter().any(|part| text.contains(part)))
        .map(|(_, text)| text)
        .collect()
}

fn flush_once(folder: &Path) {
    let _ = tool(TOOL, &["flush", "--once", &folder.to_string_lossy()]);
}

fn status(folder: &Path) -> String {
    String::from_utf8(tool(TOOL, &["status", &folder.to_string_lossy()]).stdout).expect("UTF-8")
}

/// How an actor is started in namespaces that `flags` make, after `prepare`, in a folder with further settings.
struct Elsewhere {
    name: &'static str,
    flags: &'static [&'static str],
    prepare: String,
}

/// Every namespace, and the mounts that make a process look strange, one by one and together.
fn everywhere(scratch: &Scratch) -> Vec<Elsewhere> {
    let boot = format!("mount --bind {} /proc/sys/kernel/random/boot_id", boot_id(scratch).display());
    let no_proc = "mount -t tmpfs none /proc".to_owned();
    let new = |name, flags, prepare: &str| Elsewhere { name, flags, prepare: prepare.to_owned() };
    vec![
        new("boot id", &["-m"], &boot),
        new("time", &["-Tf", "--boottime", "1000000"], "true"),
        new("time, by its clock", &["-Tf", "--boottime", "1000000"], "export LASTWORDS_CLOCK=boottime"),
        new("user and time", &["-UrTf", "--boottime", "1000000"], "true"),
        new("user", &["-Ur"], "true"),
        new("ipc", &["-i"], "true"),
        new("pid, the outer /proc", &["-pf"], "true"),
        new("pid", &["-pf", "--mount-proc"], "true"),
        new("user, pid", &["-Urpf", "--mount-proc"], "true"),
        new("no /proc", &["-m"], &no_proc),
        new("pid, no /proc", &["-pfm"], &no_proc),
        new("all", &["-UrpfTi", "--mount-proc", "--boottime", "-5"], &boot),
    ]
}

#[test]
fn a_living_process_keeps_its_ring_wherever_it_lives() {
    let _watchdog = Watchdog::new("living elsewhere", Duration::from_secs(300));
    for memory in ["memory=shared", "policy=block"] {
        let scratch = Scratch::new("elsewhere");
        for (number, Elsewhere { name, flags, prepare }) in everywhere(&scratch).into_iter().enumerate() {
            let folder = scratch.path().join(format!("logs-{number}"));
            let script = format!(
                "{prepare} && exec {ACTOR} worker {} flusher=never {memory} log:10 line:up wait log:1000 line:done wait close",
                folder.display()
            );
            let Some(mut command) = unshare(flags, &prepare, &script) else { continue };
            let mut worker = Actor::of(&mut command);
            assert_eq!(worker.line(), "up", "{name}");
            // Longer than the second look needs.
            flush_once(&folder);
            flush_once(&folder);
            let printed = status(&folder);
            assert!(
                printed.contains("alive") || printed.contains("cannot be seen from here"),
                "{name}, {memory}: {printed}"
            );
            worker.go();
            assert_eq!(worker.line(), "done", "{name}");
            flush_once(&folder);
            let lines = read(&folder, "worker");
            assert_eq!(numbers(&lines).len(), 1010, "{name}, {memory}: {lines:?}");
            assert_eq!(alarms(&lines), Vec::<&str>::new(), "{name}, {memory}");
            worker.go();
            assert!(worker.end().success(), "{name}");
            flush_once(&folder);
            let lines = read(&folder, "worker");
            assert_eq!(numbers(&lines), (0..1010).collect::<Vec<_>>(), "{name}, {memory}");
            assert_eq!(alarms(&lines), Vec::<&str>::new(), "{name}, {memory}");
            assert!(forge::ring_files(&folder).is_empty(), "{name}, {memory}: drained to the end");
        }
    }
}

#[test]
fn a_process_that_dies_elsewhere_is_told_once_and_its_ring_goes() {
    let _watchdog = Watchdog::new("dying elsewhere", Duration::from_secs(300));
    let scratch = Scratch::new("dies-elsewhere");
    for (number, Elsewhere { name, flags, prepare }) in everywhere(&scratch).into_iter().enumerate() {
        let folder = scratch.path().join(format!("logs-{number}"));
        let script = format!("{prepare} && {ACTOR} worker {} flusher=never log:30 kill; exit 0", folder.display());
        let Some(mut command) = unshare(flags, &prepare, &script) else { continue };
        assert!(command.output().expect("run").status.success(), "{name}");
        flush_once(&folder);
        flush_once(&folder);
        let lines = read(&folder, "worker");
        assert_eq!((numbers(&lines), deaths(&lines)), ((0..30).collect(), 1), "{name}: {lines:?}");
        assert!(!lines.iter().any(|line| line.message.contains("machine stopped")), "{name}: {lines:?}");
        assert!(forge::ring_files(&folder).is_empty(), "{name}");
    }
}

#[test]
fn a_flusher_beside_a_process_without_its_own_proc_leaves_it_alone() {
    let scratch = Scratch::new("foreign-proc");
    let boot = format!("mount --bind {} /proc/sys/kernel/random/boot_id", boot_id(&scratch).display());
    let views: [(&[&str], &str); 4] = [
        (&["-pf"], "true"),
        (&["-pfm"], "mount -t tmpfs none /proc"),
        (&["-pfm", "--mount-proc"], &boot),
        // The /proc of a namespace beside its own.
        (
            &["-pfm"],
            "unshare -pfm sh -c 'mount -t proc proc /proc && sleep 60' & sleep 0.5; mount -t proc proc /mnt; true",
        ),
    ];
    for (number, (flags, prepare)) in views.into_iter().enumerate() {
        let folder = scratch.path().join(format!("logs-{number}"));
        let path = folder.display();
        let flush = format!("'run:{TOOL} flush --once {path} 2>/dev/null'");
        let script = format!(
            "{prepare} && {ACTOR} worker {path} flusher=never log:10 {flush} {flush} log:1000 {flush} close; exit $?"
        );
        let Some(mut command) = unshare(flags, prepare, &script) else { continue };
        let output = command.output().expect("run");
        assert!(output.status.success(), "{flags:?}: {output:?}");
        flush_once(&folder);
        flush_once(&folder);
        let lines = read(&folder, "worker");
        assert_eq!(numbers(&lines), (0..1010).collect::<Vec<_>>(), "{flags:?}");
        assert_eq!(alarms(&lines), Vec::<&str>::new(), "{flags:?}");
    }
}

fn lock_inode(folder: &Path) -> Option<u64> {
    std::fs::metadata(folder.join("rings/flusher.lock")).ok().map(|found| found.ino())
}

#[test]
fn processes_that_cannot_see_each_other_have_one_flusher_at_a_time() {
    let _watchdog = Watchdog::new("one flusher", Duration::from_secs(300));
    let scratch = Scratch::new("one-flusher");
    for (number, Elsewhere { name, flags, prepare }) in everywhere(&scratch).into_iter().enumerate() {
        let folder = scratch.path().join(format!("logs-{number}"));
        let path = folder.display();
        // Both in the new namespaces, and a third one out here.
        let script = format!(
            "{prepare} && {{ {ACTOR} first {path} say:up slowly:2000:500 flush & {ACTOR} second {path} say:up slowly:2000:500 flush; wait; }}"
        );
        let Some(mut command) = unshare(flags, &prepare, &script) else { continue };
        let mut inside = Actor::of(&mut command);
        let mut outside = Actor::start(ACTOR, "third", &folder, &["slowly:2000:500", "flush"]);
        wait_for("a flusher", || lock_inode(&folder));
        let first = lock_inode(&folder);
        let mut changes = 0;
        while inside.ended().is_none() {
            changes += usize::from(lock_inode(&folder) != first);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(inside.end().success() && outside.end().success(), "{name}");
        assert_eq!(changes, 0, "{name}: nobody took the lock from a living holder");
        flush_once(&folder);
        for role in ["first", "second", "third"] {
            let lines = read(&folder, role);
            assert_eq!(numbers(&lines), (0..2000).collect::<Vec<_>>(), "{name}");
            assert_eq!(alarms(&lines), Vec::<&str>::new(), "{name}");
        }
    }
}

#[test]
fn shared_memory_that_cannot_be_seen_from_here_is_kept_as_long_as_its_process_may_live() {
    let _watchdog = Watchdog::new("private memory", Duration::from_secs(300));
    let folder = Scratch::new("private-shm");
    let path = folder.path().to_string_lossy().into_owned();
    let private = "mount -t tmpfs none /dev/shm";
    let flush =
        format!("{private} && {TOOL} flush --once {path}; {TOOL} flush --once {path}; {TOOL} status {path}; exit 0");
    for flags in [&["-m"][..], &["-mpf", "--mount-proc"]] {
        let Some(mut elsewhere) = unshare(flags, private, &flush) else { return };
        let script =
            ["memory=shared", "flusher=never", "log:300", "line:up", "wait", "log:100", "line:done", "wait", "kill"];
        let mut worker = Actor::start(ACTOR, "worker", folder.path(), &script);
        worker.line();
        let output = elsewhere.output().expect("run");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains("its memory cannot be seen from here"), "{printed}");
        worker.go();
        worker.line();
        flush_once(folder.path());
        let lines = read(folder.path(), "worker");
        assert_eq!(numbers(&lines), (0..400).collect::<Vec<_>>(), "drained by a flusher that can");
        assert_eq!(alarms(&lines), Vec::<&str>::new());
        worker.go();
        let _ = worker.end();
        let _ = elsewhere.output().expect("run");
        let entries = std::fs::read_dir(folder.path().join("rings")).expect("listed").filter_map(Result::ok);
        let left: Vec<_> = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".shm")).collect();
        assert!(left.is_empty(), "its process is gone: {left:?}");
        let names = std::fs::read_dir("/dev/shm").expect("listed").filter_map(Result::ok);
        for memory in names.filter(|name| name.file_name().to_string_lossy().contains(&format!("-{}-", worker.pid()))) {
            std::fs::remove_file(memory.path()).expect("what nobody who can see it has drained");
        }
        std::fs::remove_file(folder.path().join("worker.log")).expect("for the next one");
    }
}

#[test]
fn a_death_is_told_once_by_all_flushers_while_a_child_keeps_the_lock() {
    let _watchdog = Watchdog::new("kept lock", Duration::from_secs(300));
    for memory in ["policy=block", "memory=shared"] {
        let folder = Scratch::new("kept");
        let script = [memory, "flusher=never", "log:30", "keeper:600000", "kill"];
        let mut worker = Actor::start(ACTOR, "worker", folder.path(), &script);
        let printed = worker.line();
        let child: i32 = printed.strip_prefix("kept by ").expect("its pid").parse().expect("a number");
        let _ = worker.end();
        for _ in 0..3 {
            flush_once(folder.path());
            assert_eq!(
                std::fs::read_dir(folder.path().join("rings"))
                    .expect("listed")
                    .filter_map(Result::ok)
                    .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "ring" || ending == "shm"))
                    .count(),
                1
            );
            let lines = read(folder.path(), "worker");
            assert_eq!((numbers(&lines), deaths(&lines)), ((0..30).collect(), 1), "{lines:?}");
            assert_eq!(crash_files(folder.path()).len(), 1);
        }
        // A flusher that stays checks again.
        let mut host = Actor::start(ACTOR, "host", folder.path(), &["line:up", "wait"]);
        host.line();
        std::thread::sleep(Duration::from_millis(300));
        let keeper = rustix::process::Pid::from_raw(child).expect("a pid");
        rustix::process::kill_process(keeper, rustix::process::Signal::KILL).expect("the keeper of this test");
        wait_for("the ring's end", || {
            let entries = std::fs::read_dir(folder.path().join("rings")).expect("listed").filter_map(Result::ok);
            let rings = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("worker-"));
            (rings.count() == 0).then_some(())
        });
        host.finish();
        let lines = read_so_far(folder.path(), "worker");
        assert_eq!((numbers(&lines), deaths(&lines)), ((0..30).collect(), 1), "{lines:?}");
        assert_eq!(crash_files(folder.path()).len(), 1);
    }
}

#[test]
fn a_machine_stopped_only_where_it_did() {
    let made = std::mem::offset_of!(lastwords_ring::format::layout::RingHeader, created_ns);
    let boot = std::mem::offset_of!(lastwords_ring::format::layout::RingHeader, boot_id);
    let now = lastwords_ring::place::clock::realtime_ns();
    // Boot id, when the ring was made, whether it is a copy; and whether the machine stopped.
    let rows = [
        ([7; 16], 1, false, true),
        ([7; 16], 1, true, false),
        ([7; 16], now, false, false),
        ([0; 16], 1, false, false),
        (lastwords_ring::place::process::boot_id(), 1, false, false),
    ];
    for (id, created, copied, stopped) in rows {
        let folder = Scratch::new("stopped");
        let _ = run(ACTOR, "worker", folder.path(), &["flusher=never", "log:30", "kill"]);
        let ring = forge::ring_files(folder.path()).remove(0);
        let mut bytes = std::fs::read(&ring).expect("read");
        forge::set_header(&mut bytes, boot, &id);
        forge::set_header(&mut bytes, made, &u64::to_le_bytes(created));
        if copied {
            std::fs::rename(&ring, folder.path().join("original")).expect("moved");
        }
        std::fs::write(&ring, bytes).expect("written");
        flush_once(folder.path());
        let lines = read(folder.path(), "worker");
        assert_eq!((numbers(&lines), deaths(&lines)), ((0..30).collect(), 1), "{lines:?}");
        let logged = lines.iter().any(|line| line.message.contains("machine stopped"));
        assert_eq!(logged, stopped, "{id:?}, {created}, {copied}: {lines:?}");
    }
}

#[test]
fn a_process_under_qemu_user_keeps_its_own_ring() {
    let qemu = "qemu-x86_64";
    if !cfg!(target_arch = "x86_64")
        || !Command::new(qemu).arg("--version").output().is_ok_and(|output| output.status.success())
    {
        println!("skipped: {qemu} is not installed, or the programs are of another processor");
        return;
    }
    let folder = Scratch::new("qemu");
    let mut command = Command::new(qemu);
    command.arg(ACTOR).args([
        "worker",
        &folder.path().to_string_lossy(),
        "slowly:400:5000",
        "flush",
        "line:up",
        "wait",
    ]);
    let mut worker = Actor::of(&mut command).until("up");
    let lines = read(folder.path(), "worker");
    assert_eq!(numbers(&lines), (0..400).collect::<Vec<_>>());
    assert_eq!(alarms(&lines), Vec::<&str>::new());
    worker.finish();
    let (_, status) = run(ACTOR, "host", folder.path(), &["log:1"]);
    assert!(status.success());
    assert_eq!(alarms(&read(folder.path(), "worker")), Vec::<&str>::new());
}
