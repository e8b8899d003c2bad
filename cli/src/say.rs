//! Output to standard output and error, which may be closed, full or unread: `std`'s macros would panic then, in the middle of
//! work on the log.

use crate::exit::ERROR;
use std::fmt;
use std::io::{self, Write};

/// Prints a line to standard error, in one piece.
pub(crate) fn note(line: fmt::Arguments<'_>) {
    let _ = anstream::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Prints a line to standard output.
pub(crate) fn line(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints an error to standard error.
pub(crate) fn error(error: &impl fmt::Display) {
    note(format_args!("{}error:{} {error}", ERROR.render(), ERROR.render_reset()));
}
