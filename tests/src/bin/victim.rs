//! Logs numbered messages from some threads, notes after each call how far it got, and ends as requested.

use lastwords::{Flusher, Memory};
use lastwords_tests::descriptors;
use lastwords_tests::oracle::{Ending, Marks, Trouble, Victim, text};
use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};
use std::sync::Arc;
use std::time::Duration;

/// Pause between two bursts.
const PAUSE: Duration = Duration::from_millis(2);

fn main() {
    // A test that fails must not leave its victims behind.
    set_parent_process_death_signal(Some(Signal::KILL)).expect("prctl");
    let victim = Victim::from_arguments(std::env::args().skip(1));
    let marks = Marks::create(&victim.marks, victim.threads).expect("the marks");
    let mut builder = lastwords::builder(&victim.role);
    if !victim.rings.as_os_str().is_empty() {
        builder = builder.rings(&victim.rings);
    }
    builder
        .memory(if victim.shared_memory { Memory::Shared } else { Memory::default() })
        .dir(&victim.folder)
        .level(lastwords::Level::INFO)
        .record_size(victim.record_size)
        .slots_per_lane(victim.slots)
        // Threads that claim their lanes at the same moment pass over seats that others check.
        .lanes(2 * victim.threads + 2)
        .full_policy(victim.full.parse().expect("a policy"))
        .flusher(if victim.flusher { Flusher::Embedded } else { Flusher::Never })
        .rotate_size(victim.rotate_size)
        .rotate_keep(victim.rotate_keep)
        .durable(Duration::from_millis(victim.durable_ms))
        .init()
        .expect("the logger");
    marks.ready();
    let folder = victim.marks.parent().expect("a folder").to_owned();
    match (victim.trouble, victim.run) {
        (Trouble::Descriptors, run) => _ = std::thread::spawn(move || descriptors::storm(&folder, run)),
        (Trouble::Starved, _) => _ = std::thread::spawn(descriptors::starve),
        (Trouble::None | Trouble::OtherBoot, _) => {}
    }
    let ending = victim.ending;
    let victim = Arc::new(victim);
    let writers: Vec<_> = (0..victim.threads)
        .map(|thread| {
            let victim = Arc::clone(&victim);
            std::thread::spawn(move || write(&victim, marks, thread))
        })
        .collect();
    for writer in writers {
        writer.join().expect("a writer");
    }
    if matches!(ending, Ending::KillItself(_)) {
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

fn write(victim: &Victim, marks: Marks, thread: u32) {
    let count = match victim.ending {
        Ending::WhenKilled => u64::MAX,
        Ending::Exit(count) | Ending::KillItself(count) => count,
    };
    for n in 1..=count {
        let message = text(victim.run, thread, n, victim.longest);
        lastwords::info!("{message}");
        marks.acknowledge(thread, n);
        if victim.burst > 0 && n % victim.burst == 0 {
            std::thread::sleep(PAUSE);
        }
        while marks.braked() {
            std::thread::sleep(PAUSE);
        }
    }
}
