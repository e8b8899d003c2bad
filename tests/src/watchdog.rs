//! A watchdog, so that a deadlock ends a test instead of holding the whole suite.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// Aborts the program unless it is dropped in time.
#[derive(Debug)]
pub struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    /// Gives the test called `name` that long.
    #[must_use]
    pub fn new(name: &'static str, limit: Duration) -> Watchdog {
        let (alive, ended) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{name} hangs: not done after {} s", limit.as_secs());
                std::process::abort();
            }
        });
        Watchdog { _alive: alive }
    }
}
