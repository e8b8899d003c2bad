//! `lastwords pipe`: each line of standard input becomes a record.

use crate::cli::Pipe;
use crate::exit::Exit;
use crate::guess::guess_level;
use lastwords::{Error, Level, Result};
use std::io::{self, BufRead, Read, Write};

/// Longest piece of one line in bytes; a longer line is logged in pieces of this size.
const LINE_MAX: u64 = 16 << 20;
/// Bytes that are kept of what a flusher has not come to, unless the environment says otherwise: whole outputs come through
/// here, as fast as they are read.
const BACKLOG_MAX: u64 = 1 << 30;
/// Standard input is read in pieces of this size.
const BUFFER: usize = 64 << 10;

pub(crate) fn run(arguments: &Pipe) -> Result<Exit> {
    let mut builder = lastwords::builder(arguments.role.as_str())
        .app(arguments.place.app.as_str())
        .dir(arguments.place.path())
        .level(Level::new(0));
    if std::env::var_os("LASTWORDS_BACKLOG_MAX").is_none() {
        builder = builder.backlog_max(BACKLOG_MAX);
    }
    builder.init()?;
    let mut input = io::BufReader::with_capacity(BUFFER, io::stdin().lock());
    let failed = |source| Error::Io { doing: "read", path: "standard input".into(), source };
    let (mut line, mut count, mut tee) = (Vec::new(), 0u64, arguments.tee);
    loop {
        line.clear();
        if input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        lastwords::record_bytes(guess_level(text).unwrap_or(arguments.level), "pipe", text);
        count += 1;
        // Whoever reads our output may leave; the log goes on.
        tee = tee && io::stdout().write_all(&line).is_ok();
    }
    lastwords::flush()?;
    Ok(if count > 0 { Exit::Done } else { Exit::Nothing })
}
