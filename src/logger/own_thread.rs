//! Threads of lastwords itself, which flush or print: they never wait for the flusher.

use std::cell::Cell;

thread_local! {
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Marks the calling thread as one of them.
#[cfg(feature = "flusher")]
pub(crate) fn mark() {
    IS_OWN.set(true);
}

/// Whether the calling thread is one of them.
pub(crate) fn is_own() -> bool {
    IS_OWN.get()
}
