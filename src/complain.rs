//! What cannot be said in a log file: a line on standard error.

use std::fmt;
use std::io::Write;

/// Says it, if that is possible. Standard error may be a file on the full disk that the line is about, or a pipe that
/// nobody reads; that must not end the thread that says so, as `eprintln!` would.
pub(crate) fn complain(text: fmt::Arguments<'_>) {
    let _ = std::io::stderr().write_all(format!("lastwords: {text}\n").as_bytes());
}
