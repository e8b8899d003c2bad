//! Drains that are killed in the middle.

use crate::programs::DRAINER;
use crate::sys::{Stop, Traced};
use std::path::Path;

/// Runs the helper program `drainer` on `folder` once.
///
/// # Panics
/// If it fails.
pub fn drain(folder: &Path, since: &str) {
    let output = DRAINER.command().arg(folder).arg(since).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Like [`drain`], killed before the drain's system call with number `call`, if it gets that far.
///
/// # Panics
/// If it cannot be traced.
pub fn drain_until(folder: &Path, call: u64) {
    let mut command = DRAINER.command();
    let mut traced = Traced::start(command.arg(folder).arg("all")).expect("started");
    let (mut inside, mut calls) = (false, 0);
    loop {
        match traced.to_system_call().expect("traced") {
            Stop::Entry(number) if number == libc::SYS_getppid as u64 => inside = !inside,
            Stop::Entry(_) if inside && calls == call => return traced.kill().expect("killed"),
            Stop::Entry(_) => calls += u64::from(inside),
            Stop::Ended(_) => return,
            _ => {}
        }
    }
}
