//! One process of a measurement, as the benchmark starts it: it makes its ring, says `ready`, waits for a line, works, reports
//! what it found, prints `done`, and stays until its input ends. So all members log at the same time, and none takes the
//! flusher away from another by leaving early.

use super::burst::{Burst, bursts, catch_up};
use super::case::{Case, Work};
use lastwords::{Flusher, FullPolicy};
use lastwords_ring::place::clock;
use lastwords_ring::read::reader::RingReader;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Barrier, Mutex};

/// The last argument of the formatted line, 16 bytes.
const NAME: &str = "NVIDIA RTX 4090x";
/// Precedes the filler of a message of a given length: the line's number in 8 digits, and a space.
const NUMBER: usize = 9;

/// Runs one member.
pub(crate) fn run(case: Case, folder: &Path) {
    let before = peak();
    let drained = case.is_drained();
    lastwords::builder("growth")
        .dir(folder)
        .record_size(case.record)
        .slots_per_lane(case.slots)
        .lanes(case.lanes)
        .full_policy(if case.work == Work::Fits { FullPolicy::DropNewest } else { FullPolicy::Block })
        .flusher(if drained { Flusher::Embedded } else { Flusher::Never })
        .rotate_keep(100)
        .init()
        .expect("a ring");
    say("ready");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).expect("the benchmark's word");
    if go.is_empty() {
        return;
    }
    if case.message == 0 {
        work(&case, |n| lastwords::info!("frame {} took {} ms on {}", n, n as f64 * 0.25, NAME));
    } else {
        let filler = "x".repeat(case.message as usize - NUMBER);
        work(&case, |n| lastwords::info!("{:08} {}", n, filler));
    }
    say(&format!("memory {before} {}", peak()));
    if !drained {
        tell_ring(&case, folder);
    }
    say("done");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn work(case: &Case, call: impl Fn(u64) + Sync) {
    let start = clock::boottime_ns();
    let found = Mutex::new(Vec::new());
    let all = Barrier::new(case.threads as usize);
    std::thread::scope(|scope| {
        for _ in 0..case.threads {
            scope.spawn(|| match case.work {
                Work::Append => {
                    let bursts = bursts(case, &all, &call);
                    found.lock().expect("sound").extend(bursts);
                }
                Work::Drain => drain(case, &call),
                Work::Memory | Work::Fits => {
                    (0..case.lines_per_thread()).for_each(&call);
                    // A thread that ends gives its lane to the next one, and fewer lanes would be in use.
                    all.wait();
                }
            });
        }
    });
    say(&format!("span {start} {}", clock::boottime_ns()));
    for Burst { cpu, wall } in found.into_inner().expect("sound") {
        say(&format!("burst {cpu} {wall}"));
    }
}

/// Logs flat out, or in bursts of which each waits for the last of its lines.
fn drain(case: &Case, call: &impl Fn(u64)) {
    let (lines, burst) = (case.lines_per_thread(), u64::from(case.burst));
    let mut done = 0;
    while done < lines {
        let end = if burst == 0 { lines } else { lines.min(done + burst) };
        (done..end).for_each(call);
        done = end;
        catch_up();
    }
}

/// Reports the ring's size, and how many of the lines found room.
fn tell_ring(case: &Case, folder: &Path) {
    let path = ring_in(&folder.join("rings"));
    let size = path.metadata().expect("the ring").len();
    let (reader, mut lanes) = (RingReader::open(&path).expect("a ring"), Vec::new());
    reader.lanes(&mut Vec::new(), &mut lanes).expect("its lanes");
    let dropped: u64 = lanes.iter().map(|lane| lane.dropped).sum();
    say(&format!("ring {size} {}", case.lines() - dropped));
}

fn ring_in(rings: &Path) -> PathBuf {
    let entries = std::fs::read_dir(rings).expect("listed").filter_map(Result::ok).map(|entry| entry.path());
    entries.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "ring")).expect("a ring's file")
}

/// Most memory that this process has had in use, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process's status");
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    kilobytes.and_then(|number| number.parse::<u64>().ok()).expect("a VmHWM line") * 1024
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).expect("the benchmark listens");
}
