//! Logs some messages, slowly enough to be inspected between any two instructions: `stepper FOLDER MARKS COUNT POLICY
//! [KIND]`.
//!
//! It stops itself (SIGSTOP) before the first message that is worth stepping through, and again after the last one. The
//! kinds are those of `steps.rs`, the plain one without a name.

use lastwords::Flusher;
use lastwords_tests::oracle::Marks;
use lastwords_tests::steps::Kind;
use rustix::process::{Signal, getpid, kill_process};
use std::path::PathBuf;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("four arguments");
    let (folder, marks) = (PathBuf::from(next()), PathBuf::from(next()));
    let (count, policy) = (next().parse::<u64>().expect("a number"), next());
    let kind = arguments.next().map_or(Kind::Plain, |name| Kind::named(&name));
    let marks = Marks::create(&marks, 1).expect("the marks");
    lastwords::builder("stepper")
        .dir(folder)
        .level(lastwords::Level::INFO)
        .record_size(128)
        .slots_per_lane(8)
        .lanes(3)
        .full_policy(policy.parse().expect("a policy"))
        .flusher(Flusher::Never)
        .init()
        .expect("the logger");
    // Rendered before, so that the steps are the logger's and not the test's.
    let messages: Vec<String> = (1..=count).map(|n| kind.message(n)).collect();
    for (n, message) in (1..).zip(&messages) {
        if n == kind.unstepped() + 1 {
            let _ = kill_process(getpid(), Signal::STOP);
        }
        match kind {
            Kind::Sites => log_from_its_own_site(n, message),
            Kind::Reused if n <= kind.unstepped() => log_from_its_own_thread(n, message),
            _ => lastwords::info!("{message}"),
        }
        marks.acknowledge(0, n);
    }
    let _ = kill_process(getpid(), Signal::STOP);
}

/// The thread has ended, and given its lane back, when this returns.
fn log_from_its_own_thread(n: u64, message: &str) {
    let message = message.to_owned();
    let thread = std::thread::Builder::new().name(format!("earlier {n}"));
    let thread = thread.spawn(move || lastwords::info!("{message}")).expect("a thread");
    thread.join().expect("logged");
}

fn log_from_its_own_site(n: u64, message: &str) {
    macro_rules! sites {
        ($($site:literal)+) => {
            match n {
                $($site => lastwords::info!(target: concat!("site ", $site), "{message}"),)+
                _ => panic!("no site {n}"),
            }
        };
    }
    sites!(1 2 3 4 5 6 7 8);
}
