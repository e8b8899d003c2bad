//! Panics in places where a hook may go wrong.

use crate::forking;
use std::fmt;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

/// Name of the thread that stays in the hook.
const SLOW: &str = "slow";

static IN_HOOK: AtomicBool = AtomicBool::new(false);
static LEAVE_HOOK: AtomicBool = AtomicBool::new(false);

/// Sets a hook that a thread named `slow` does not leave before it is released.
pub fn set_slow_hook() {
    let earlier = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some(SLOW) {
            IN_HOOK.store(true, Ordering::Release);
            wait_until(&LEAVE_HOOK);
        }
        earlier(info);
    }));
}

fn wait_until(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Panics as `how` says.
///
/// # Panics
/// That is what it is for.
pub fn act(how: &str) {
    match how {
        "main" => panic!("on purpose {}\nsecond line", 1),
        "value" => caught(|| panic::panic_any(7)),
        "display" => {
            caught(|| lastwords::info!("shown by {}", Failing));
            caught(|| log::info!("shown by {}", Failing));
            let subscriber = Registry::default().with(lastwords::tracing_layer());
            tracing::subscriber::set_global_default(subscriber).expect("the first");
            caught(|| tracing::info!(field = %Failing, "shown"));
            lastwords::info!("the thread logs on");
        }
        "twice" => {
            let _second = PanicsWhenDropped;
            panic!("first");
        }
        "threads" => threads(),
        "children" => forking::children(3, |child| caught(|| panic!("child {child}"))),
        "fork-in-hook" => {
            let slow = named(SLOW, || panic!("slow"));
            wait_until(&IN_HOOK);
            forking::children(1, |_| caught(|| panic!("child")));
            LEAVE_HOOK.store(true, Ordering::Release);
            assert!(slow.join().is_err());
        }
        other => panic!("no panic {other}"),
    }
}

fn caught(what: impl FnOnce() + panic::UnwindSafe) {
    assert!(panic::catch_unwind(what).is_err(), "it panics");
}

fn named(name: &str, body: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(body).expect("started")
}

fn threads() {
    let running: Vec<_> = (0..8).map(|n| named(&format!("thread-{n}"), move || panic!("panic {n}"))).collect();
    running.into_iter().for_each(|thread| assert!(thread.join().is_err()));
}

/// Panics when it is shown.
struct Failing;

impl fmt::Display for Failing {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("within a log call");
    }
}

/// Panics in its destructor.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("second");
    }
}
