//! Output to standard output and error, which may be closed, full or unread: `std`'s macros would panic then, in the middle of
//! work on the log.

use crate::exit::ERROR;
use lastwords::{Error, Result};
use std::fmt;
use std::io::{self, Write};

/// What standard output is called in errors.
pub(crate) const STANDARD_OUTPUT: &str = "standard output";

/// Standard output. That of `std` takes one that is not open for writing for a success.
#[derive(Debug)]
pub(crate) struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether standard output still has a reader, after writing to it; one that has gone, as `head` does, wants no more.
///
/// # Errors
/// What was written is lost for another reason.
pub(crate) fn has_reader(written: io::Result<()>) -> Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(source) if source.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(source) => Err(Error::Io { doing: "write", path: STANDARD_OUTPUT.into(), source }),
    }
}

/// Prints bytes to standard output.
///
/// # Errors
/// They are lost; not if nobody reads them any more.
pub(crate) fn print(bytes: &[u8]) -> Result<()> {
    has_reader(Output.write_all(bytes)).map(|_| ())
}

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
