//! What the tool says on standard output and error, which may be closed, full, or read by nobody: `std`'s macros end the process
//! by a panic then, in the middle of what it does for the log.

use std::fmt;
use std::io::{self, Write};

/// Says a line on standard error.
pub(crate) fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Says a line on standard output.
pub(crate) fn line(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
