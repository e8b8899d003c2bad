//! Callback for changes of the filter of the process's own logger.

use crate::logger::ring_logger::Logger;
use crate::process::logger_cell::MAIN;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The callback.
static CALLED: OnceLock<fn(&'static Logger)> = OnceLock::new();

/// Registers `called`, to be called with the process's own logger, from its first filter on.
pub(crate) fn call(called: fn(&'static Logger)) {
    let _ = CALLED.set(called);
}

/// Calls it, if the filter has changed since the last call.
pub(crate) fn follow() {
    static FOLLOWED: AtomicU64 = AtomicU64::new(0);
    let Some((logger, called)) = MAIN.made_here().zip(CALLED.get()) else { return };
    let key = logger.filter.key();
    if FOLLOWED.swap(key, Ordering::AcqRel) != key {
        called(logger);
    }
}
