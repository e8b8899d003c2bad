//! What is not seen from here is not gone.
//!
//! A container has another boot id, another clock, another `/proc`, another `/dev/shm`. From outside, a process in it looks
//! like one of an earlier boot, or like none, or like another one that has its pid. A flusher that believes such evidence
//! removes the ring of a living process, and all that it logs from then on is lost; two that judge each other so take the
//! flusher's lock from each other for as long as both live.

use lastwords_ring::format::layout::RingHeader;
use lastwords_tests::actor::{Actor, flush_rest, kill, printed, run, succeed, tool_at, wait_for, wait_until};
use lastwords_tests::files::{beside_rings, name_of, names_in, paths_in};
use lastwords_tests::forge;
use lastwords_tests::logs::{Line, alarms, assert_numbered, crash_files, numbers, read, read_so_far};
use lastwords_tests::namespaces::unshare;
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::script::Script;
use lastwords_tests::watchdog::Watchdog;
use std::mem::offset_of;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A file with a boot id that no machine has.
fn boot_id(folder: &Scratch) -> PathBuf {
    let file = folder.join("boot_id");
    std::fs::write(&file, "01234567-89ab-cdef-0123-456789abcdef\n").expect("written");
    file
}

/// Asserts that the worker's log has the lines 0 to below `count`, each once, and nothing about machines that stopped, memory
/// that is gone, or deaths.
fn assert_whole(folder: &Path, role: &str, count: usize, what: &str) {
    let lines = read(folder, role);
    assert_numbered(&lines, count, what);
    let false_alarm = |line: &Line| {
        line.level == "CRITICAL"
            || ["machine stopped", "is gone", "CRITICAL"].iter().any(|part| line.message.contains(part))
    };
    assert!(!lines.iter().any(false_alarm), "{what}: {lines:?}");
}

/// Asserts that the worker's log has 30 lines, each once, and one death.
fn assert_died_once(folder: &Path, what: &str) {
    let lines = read_so_far(folder, "worker");
    assert_eq!((numbers(&lines), alarms(&lines)), ((0..30).collect(), 1), "{what}: {lines:?}");
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
            let folder = scratch.join(format!("logs-{number}"));
            let script = format!("{prepare} && exec {ACTOR} worker {} flusher=never {memory}", folder.display());
            let script = script + " log:10 line:up wait log:1000 line:done wait close";
            let Some(command) = unshare(flags, &prepare, &script) else { continue };
            let mut worker = Actor::of(command).until("up");
            // Longer than the second look needs.
            flush_rest(&folder);
            flush_rest(&folder);
            let shown = tool_at("status", &folder).out;
            let what = format!("{name}, {memory}");
            assert!(shown.contains("alive") || shown.contains("cannot be seen from here"), "{what}: {shown}");
            worker.go_until("done");
            flush_rest(&folder);
            assert_whole(&folder, "worker", 1010, &what);
            worker.go();
            assert!(worker.end().success(), "{name}");
            flush_rest(&folder);
            assert_whole(&folder, "worker", 1010, &what);
            assert!(forge::ring_files(&folder).is_empty(), "{what}: drained to the end");
        }
    }
}

#[test]
fn a_process_that_dies_elsewhere_is_told_once_and_its_ring_goes() {
    let _watchdog = Watchdog::new("dying elsewhere", Duration::from_secs(300));
    let scratch = Scratch::new("dies-elsewhere");
    for (number, Elsewhere { name, flags, prepare }) in everywhere(&scratch).into_iter().enumerate() {
        let folder = scratch.join(format!("logs-{number}"));
        let script = format!("{prepare} && {ACTOR} worker {} flusher=never log:30 kill; exit 0", folder.display());
        let Some(command) = unshare(flags, &prepare, &script) else { continue };
        printed(command).ended(0);
        flush_rest(&folder);
        flush_rest(&folder);
        assert_died_once(&folder, name);
        let lines = read(&folder, "worker");
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
        let folder = scratch.join(format!("logs-{number}"));
        let path = folder.display();
        let flush = format!("'run:{TOOL} flush --once {path} 2>/dev/null'");
        let script = format!("{prepare} && {ACTOR} worker {path} flusher=never log:10 {flush} {flush} log:1000");
        let script = format!("{script} {flush} close; exit $?");
        let Some(command) = unshare(flags, prepare, &script) else { continue };
        printed(command).ended(0);
        flush_rest(&folder);
        flush_rest(&folder);
        assert_whole(&folder, "worker", 1010, &format!("{flags:?}"));
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
        let folder = scratch.join(format!("logs-{number}"));
        let path = folder.display();
        // Both in the new namespaces, and a third one out here.
        let [first, second] =
            ["first", "second"].map(|role| format!("{ACTOR} {role} {path} say:up slowly:2000:500 flush"));
        let script = format!("{prepare} && {{ {first} & {second}; wait; }}");
        let Some(command) = unshare(flags, &prepare, &script) else { continue };
        let mut inside = Actor::of(command);
        let mut outside = Actor::start("third", &folder, "slowly:2000:500 flush");
        wait_for("a flusher", || lock_inode(&folder));
        let first = lock_inode(&folder);
        let mut changes = 0;
        while inside.ended().is_none() {
            changes += usize::from(lock_inode(&folder) != first);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(inside.end().success() && outside.end().success(), "{name}");
        assert_eq!(changes, 0, "{name}: nobody took the lock from a living holder");
        flush_rest(&folder);
        for role in ["first", "second", "third"] {
            assert_whole(&folder, role, 2000, name);
        }
    }
}

#[test]
fn shared_memory_that_cannot_be_seen_from_here_is_kept_as_long_as_its_process_may_live() {
    let _watchdog = Watchdog::new("private memory", Duration::from_secs(300));
    let folder = Scratch::new("private-shm");
    let path = folder.to_string_lossy().into_owned();
    let private = "mount -t tmpfs none /dev/shm";
    let flush =
        format!("{private} && {TOOL} flush --once {path}; {TOOL} flush --once {path}; {TOOL} status {path}; exit 0");
    for flags in [&["-m"][..], &["-mpf", "--mount-proc"]] {
        let Some(mut elsewhere) = unshare(flags, private, &flush) else { return };
        let script = "memory=shared flusher=never log:300 line:up wait log:100 line:done wait kill";
        let mut worker = Actor::start("worker", &folder, script).until("up");
        let shown = printed(&mut elsewhere).out;
        assert!(shown.contains("its memory cannot be seen from here"), "{shown}");
        worker.go_until("done");
        flush_rest(&folder);
        assert_whole(&folder, "worker", 400, "drained by a flusher that can");
        worker.go();
        let _ = worker.end();
        let _ = printed(&mut elsewhere);
        assert_eq!(beside_rings(&folder, "shm"), Vec::<PathBuf>::new(), "its process is gone");
        let of_it = |path: &PathBuf| name_of(path).contains(&format!("-{}-", worker.pid()));
        for memory in paths_in(Path::new("/dev/shm")).into_iter().filter(of_it) {
            std::fs::remove_file(memory).expect("what nobody who can see it has drained");
        }
        std::fs::remove_file(folder.join("worker.log")).expect("for the next one");
    }
}

#[test]
fn a_death_is_told_once_by_all_flushers_while_a_child_keeps_the_lock() {
    let _watchdog = Watchdog::new("kept lock", Duration::from_secs(300));
    for memory in ["policy=block", "memory=shared"] {
        let folder = Scratch::new("kept");
        let script = format!("{memory} flusher=never log:30 keeper:600000 kill");
        let mut worker = Actor::start("worker", &folder, &script);
        let child = worker.keeper();
        let _ = worker.end();
        for _ in 0..3 {
            flush_rest(&folder);
            assert_eq!(beside_rings(&folder, "ring").len() + beside_rings(&folder, "shm").len(), 1);
            assert_died_once(&folder, memory);
            assert_eq!(crash_files(&folder).len(), 1);
        }
        // A flusher that stays checks again.
        let mut host = Actor::start("host", &folder, "line:up wait").until("up");
        std::thread::sleep(Duration::from_millis(300));
        kill(child);
        let is_own = |name: &String| name.starts_with("worker-");
        wait_until("the ring's end", || !names_in(&folder.join("rings")).iter().any(is_own));
        host.finish();
        assert_died_once(&folder, memory);
        assert_eq!(crash_files(&folder).len(), 1);
    }
}

#[test]
fn a_machine_stopped_only_where_it_did() {
    let (made, boot) = (offset_of!(RingHeader, created_ns), offset_of!(RingHeader, boot_id));
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
        let _ = run("worker", &folder, "flusher=never log:30 kill");
        let ring = forge::ring_files(&folder).remove(0);
        let mut bytes = std::fs::read(&ring).expect("read");
        forge::set_header(&mut bytes, boot, &id);
        forge::set_header(&mut bytes, made, &u64::to_le_bytes(created));
        if copied {
            std::fs::rename(&ring, folder.join("original")).expect("moved");
        }
        std::fs::write(&ring, bytes).expect("written");
        flush_rest(&folder);
        let what = format!("{id:?}, {created}, {copied}");
        assert_died_once(&folder, &what);
        let logged = read(&folder, "worker").iter().any(|line| line.message.contains("machine stopped"));
        assert_eq!(logged, stopped, "{what}");
    }
}

#[test]
fn a_process_under_qemu_user_keeps_its_own_ring() {
    let qemu = "qemu-x86_64";
    if !cfg!(target_arch = "x86_64")
        || !Command::new(qemu).arg("--version").output().is_ok_and(|output| output.status.success())
    {
        return println!("skipped: {qemu} is not installed, or the programs are of another processor");
    }
    let folder = Scratch::new("qemu");
    let mut command = Command::new(qemu);
    let script = "slowly:400:5000 flush line:up wait";
    command.args([&ACTOR, "worker"]).arg(&folder).args(script.words());
    let mut worker = Actor::of(command).until("up");
    assert_whole(&folder, "worker", 400, "while it lives");
    worker.finish();
    succeed("host", &folder, "log:1");
    assert_whole(&folder, "worker", 400, "after its end");
}
