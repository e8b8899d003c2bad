//! `lastwords pipe`: each line of standard input becomes a record.

use crate::cli::Pipe;
use crate::exit::Exit;
use crate::feed::Feed;
use crate::input::{Input, Piece};
use lastwords::{Error, Result};
use std::io::{self, Write};

pub(crate) fn run(arguments: &Pipe) -> Result<Exit> {
    // Before the log is opened, which does not touch signals that have a handler.
    let mut input = Input::open().map_err(failed)?;
    let role = match &arguments.lines.role {
        Some(role) => Some(role.clone()),
        None => lastwords::__private::role_from_env()?,
    };
    let mut feed = Feed::open(role.as_deref().unwrap_or("worker"), &arguments.lines)?;
    let (mut count, mut tee, until) = (0u64, arguments.lines.tee, input.until());
    loop {
        let line = match input.next().map_err(failed)? {
            Piece::Line(line) => line,
            Piece::End => break,
            Piece::Interrupted => return interrupted(),
        };
        feed.log(line, arguments.lines.level, "pipe", || until.is_over())?;
        count += 1;
        // The reader of our output may leave; the log goes on.
        tee = tee && io::stdout().write_all(line).is_ok();
    }
    lastwords::flush()?;
    Ok(if count > 0 { Exit::Done } else { Exit::Nothing })
}

fn failed(source: io::Error) -> Error {
    Error::Io { doing: "read", path: "standard input".into(), source }
}

/// Ends as by the signal, so that a shell sees that its script was interrupted; what was read is in the ring.
fn interrupted() -> Result<Exit> {
    let _ = lastwords::flush();
    lastwords::close();
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGINT);
    Ok(Exit::Failed)
}
