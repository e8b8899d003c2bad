//! A rings folder with rings of an attacker.
//!
//! A ring claims an owner, the process that wrote it, and the files that hold its long messages. A flusher that took a role for
//! a path would write wherever it pointed; one that took a pid for a process to signal would kill any process; one that
//! followed the number of a spill file through a link would print a secret into the log, and remove the file. And a few
//! kilobytes that name one long message again and again would fill the disk with its copies.

use lastwords_ring::format::checksum::checksum;
use lastwords_ring::format::layout::{RingHeader, encoding};
use lastwords_ring::place::spill::{SpillReference, path as spill_path};
use lastwords_tests::actor::{flush_once, printed, run, succeed, tool_at};
use lastwords_tests::files::{make_fifo, name_of, names_in, paths_in};
use lastwords_tests::forge::{self, Forged};
use lastwords_tests::logs::{self, count, files, read};
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use lastwords_tests::watchdog::Watchdog;
use std::fs;
use std::mem::offset_of;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a ring's records may be rendered to, in multiples of the ring with its spill files.
const TIMES: u64 = 64;
/// The longest record, which may be the last one within that, with its head.
const RECORD_MAX: u64 = (16 << 20) + 200;

/// A record that names a spill file.
fn spilled(number: u64, body: &[u8]) -> Forged {
    let reference = SpillReference { number, length: body.len() as u64, checksum: checksum(body), encoding: 0 };
    Forged { lane: 0, ticks: 1, body: reference.to_bytes().to_vec(), call_site: 0, encoding: encoding::SPILLED }
}

#[test]
fn a_role_that_is_a_path_leads_nowhere() {
    let scratch = Scratch::new("role-path");
    let folder = scratch.join("logs");
    let _ = run("host", &folder, "log:1");
    for (number, role) in ["../x", "/tmp/lastwords-x", "..", "a/b", "host\0", "Host"].iter().enumerate() {
        let mut bytes = forge::ring("worker", 3, |_| vec![Forged::text(0, 1, "harm")]);
        let mut field = [0u8; 32];
        field[..role.len()].copy_from_slice(role.as_bytes());
        forge::set_header(&mut bytes, offset_of!(RingHeader, role), &field);
        forge::set_header(&mut bytes, offset_of!(RingHeader, role_length), &(role.len() as u16).to_le_bytes());
        fs::write(folder.join(format!("rings/worker-1-{number}.ring")), bytes).expect("written");
    }
    succeed("host", &folder, "log:1");
    let lines = read(&folder, "host");
    assert_eq!(lines.iter().filter(|line| line.message.contains("its role is")).count(), 6, "{lines:?}");
    assert_eq!(names_in(&scratch), ["logs"]);
    assert_eq!(names_in(&folder), ["host.log", "rings", "time_zone"]);
    assert!(!Path::new("/tmp/lastwords-x.log").exists());
}

#[test]
fn a_pid_in_a_ring_is_never_signalled() {
    let folder = Scratch::new("hostile-pid");
    let _ = run("host", &folder, "log:1");
    let mut bystander = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().expect("sleep starts");
    for (number, pid) in [bystander.id(), 1, 0, u32::MAX, std::process::id()].into_iter().enumerate() {
        let mut bytes = forge::ring("worker", 3, |_| vec![Forged::text(0, 1, &format!("from {number}"))]);
        forge::set_header(&mut bytes, offset_of!(RingHeader, pid), &pid.to_le_bytes());
        fs::write(folder.join(format!("rings/worker-{pid}-ab.ring")), bytes).expect("written");
    }
    flush_once(&folder);
    let lines = read(&folder, "worker");
    assert_eq!(count(&lines, "from "), 5, "{lines:?}");
    assert!(bystander.try_wait().expect("our child").is_none(), "it lives");
    bystander.kill().expect("ours");
    bystander.wait().expect("reaped");
}

#[test]
fn a_spill_number_reads_and_removes_nothing_outside() {
    let scratch = Scratch::new("hostile-spill");
    let folder = scratch.join("logs");
    let (secret, text) = (scratch.join("secret"), "a secret that no log shows".repeat(10));
    fs::write(&secret, &text).expect("written");
    fs::create_dir_all(folder.join("rings")).expect("made");
    let bytes = forge::ring("worker", 3, |_| (1..=4).map(|number| spilled(number, text.as_bytes())).collect());
    let ring = folder.join("rings/worker-1-ab.ring");
    fs::write(&ring, bytes).expect("written");
    std::os::unix::fs::symlink(&secret, spill_path(&ring, 1)).expect("planted");
    make_fifo(spill_path(&ring, 2));
    std::os::unix::fs::symlink(&scratch, spill_path(&ring, 3)).expect("planted");
    let recovered = tool_at("recover", &folder);
    flush_once(&folder);
    let shown = fs::read_to_string(folder.join("worker.log")).expect("there");
    for shown in [&*shown, &*recovered.out] {
        assert!(!shown.contains("secret") && shown.matches("cannot be read").count() == 4, "{shown}");
    }
    assert_eq!(fs::read_to_string(&secret).expect("not removed"), text);
}

#[test]
fn a_ring_whose_name_begins_as_anothers_does_not_cost_that_one_its_long_messages() {
    let folder = Scratch::new("prefix");
    let _ = run("worker", &folder, "flusher=never long:200000 long:300000 kill");
    let ring = forge::ring_files(&folder).remove(0);
    let stem = ring.file_stem().expect("a stem").to_string_lossy().into_owned();
    let harm = forge::ring("aggressor", 3, |_| vec![Forged::text(0, 1, "harm")]);
    let rings = folder.join("rings");
    // Drained and removed before the victim's is read, because the clock of its only record is the oldest.
    for name in ["worker.ring", "worker-.ring", &format!("{stem}.1.ring"), &format!("{stem}..ring")] {
        fs::write(rings.join(name), &harm).expect("written");
    }
    fs::write(rings.join(format!("{stem}.shm")), "").expect("planted");
    flush_once(&folder);
    let lines = read(&folder, "worker");
    for size in [200_000, 300_000] {
        let whole = lines.iter().any(|line| line.message == logs::long_text(size));
        assert!(whole, "the message of {size} bytes is there");
    }
    let aggressor = read(&folder, "aggressor");
    assert_eq!(aggressor.iter().filter(|line| line.message == "harm").count(), 4);
    // The one in shared memory is refused, whenever it would have been found to be gone.
    let refused =
        |line: &logs::Line| line.message.contains(&format!("{stem}.shm")) && line.message.contains("has the name of");
    assert!(lines.iter().chain(&aggressor).any(refused), "{lines:?}");
}

/// The ring's bytes and those of its spill files.
fn size_of_all(folder: &Path) -> u64 {
    let files = paths_in(&folder.join("rings"));
    let own = files.iter().filter(|path| name_of(path).starts_with("worker-"));
    own.map(|path| path.metadata().expect("there").len()).sum()
}

#[test]
fn a_ring_that_names_one_long_message_in_every_record_prints_at_most_64_times_its_size() {
    let _watchdog = Watchdog::new("a recovery", Duration::from_secs(300));
    let folder = Scratch::new("copies");
    fs::create_dir_all(folder.join("rings")).expect("made");
    let ring = folder.join("rings/worker-1-ab.ring");
    let body = logs::long_text(256 << 10);
    fs::write(&ring, forge::ring("worker", 3, |_| vec![spilled(1, body.as_bytes()); 1024])).expect("written");
    fs::write(spill_path(&ring, 1), &body).expect("written");
    let limit = TIMES * size_of_all(&folder) + RECORD_MAX;
    assert!(limit < 1024 * body.len() as u64, "without a limit it would be more");
    for more in ["", "--json"] {
        // A process that may not take much memory.
        let command = format!("ulimit -v 500000; exec {TOOL} recover {more} {}", folder.display());
        let output = printed(Command::new("bash").arg("-c").arg(command));
        assert_eq!(output.code, Some(3), "damage was found: {}", output.err);
        assert!(output.out.len() as u64 <= limit, "{} bytes, at most {limit}", output.out.len());
        assert!(output.out.len() > body.len(), "and the first of them");
        assert!(output.err.contains("left out"), "it says so");
    }
}

#[test]
fn a_dead_ring_whose_records_are_shown_as_far_more_than_they_take_is_drained_to_64_times_its_size() {
    let _watchdog = Watchdog::new("a drain", Duration::from_secs(300));
    let folder = Scratch::new("wide");
    fs::create_dir_all(folder.join("rings")).expect("made");
    fs::write(folder.join("rings/worker-1-ab.ring"), forge::wide_ring()).expect("written");
    let limit = TIMES * size_of_all(&folder);
    assert!(limit < 3 * 1024 * 11_692, "without a limit it would be more");
    let recovered = tool_at("recover", &folder);
    assert!(recovered.out.len() as u64 <= limit + 12_000, "{} bytes, at most {limit}", recovered.out.len());
    flush_once(&folder);
    let drained: u64 = files(&folder, "worker").iter().map(|path| path.metadata().expect("there").len()).sum();
    assert!(drained > limit / 2 && drained <= limit + 15_000, "{drained} bytes, at most {limit}");
    let reported = |line: &&logs::Line| line.message.contains(" left out: what this ring holds would fill more than");
    assert_eq!(read(&folder, "worker").iter().filter(reported).count(), 1);
    assert!(forge::ring_files(&folder).is_empty(), "and then it is removed as every other");
}
