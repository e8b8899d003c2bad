//! Before and after a fork, and at the end of the process.

use crate::{console, interpreter};
use pyo3::prelude::*;

/// Ends the threads of this module: Python 3.12 and later warn of a fork in a process that has threads.
#[pyfunction]
pub(crate) fn before_fork(py: Python<'_>) {
    let console = console::current();
    py.detach(|| {
        lastwords::flusher_threads::pause();
        console::pause(&console);
    });
}

/// Has them started again as soon as the interpreter has finished the fork: from 3.13 on it checks for threads after this. The
/// main thread does it, or if that waits for something, the next record.
#[pyfunction]
pub(crate) fn after_fork_in_parent() {
    lastwords::flusher_threads::resume_with_next_record();
    interpreter::call_soon(resume);
}

fn resume() {
    lastwords::flusher_threads::resume();
    console::resume();
}

/// Forgets what belongs to the parent. The child's ring is made at its first record.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    lastwords::flusher_threads::resume();
    console::after_fork_in_child();
}

/// Marks in the rings that the process ends in an ordinary way.
#[pyfunction]
pub(crate) fn close() {
    lastwords::close();
}

/// Takes that back, because the process goes on.
#[pyfunction]
pub(crate) fn reopen() {
    lastwords::reopen();
}

/// Distinguishes SIGTERM, SIGINT and SIGHUP from a crash again after the program has restored the default action.
#[pyfunction]
pub(crate) fn watch_signals() {
    lastwords::watch_signals();
}

/// Puts the guard of the rings before the handler of SIGBUS that faulthandler has just installed.
#[pyfunction]
pub(crate) fn sigbus_guard_first() {
    lastwords::sigbus_guard_first();
}

/// Calls `change`, which enables or disables faulthandler, with our handlers of fatal signals out of its way. They come first
/// again afterwards.
#[pyfunction]
pub(crate) fn fatal_signals_first<'py>(change: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    lastwords::fatal_signals_first(|| change.call0())
}
