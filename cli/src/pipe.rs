//! `lastwords pipe`: each line of standard input becomes a record.

use crate::cli::{Pipe, PipePolicy};
use crate::colour::without_colours;
use crate::exit::Exit;
use crate::guess::guess_level;
use crate::input::{Input, Piece, Until};
use crate::place::variable;
use crate::say;
use lastwords::{Error, Flusher, FullPolicy, Level, Result};
use std::borrow::Cow;
use std::io::{self, Write};

/// Bytes that are kept of what a flusher has not come to, unless the environment sets another value: whole outputs come through
/// here, as fast as they are read.
const BACKLOG_MAX: u64 = 1 << 30;
/// Slots of the lane that the lines go to: as many bytes as an ordinary ring has for its 15 lanes.
const SLOTS: u32 = 16384;
/// One lane for the lines, and the fewest that are shared.
const LANES: u32 = 4;
/// Bytes logged before it is waited for that they are in the log file: at most half of the lane, whatever the lines are.
const AHEAD: usize = 768 << 10;
/// What a line takes besides its text, at most.
const LINE_COST: usize = 192;

pub(crate) fn run(arguments: &Pipe) -> Result<Exit> {
    // Before the log is opened, which does not touch signals that have a handler.
    let mut input = Input::open().map_err(failed)?;
    let role = match &arguments.role {
        Some(role) => Some(role.clone()),
        None => lastwords::__private::role_from_env()?,
    };
    let role = role.unwrap_or_else(|| "worker".to_owned());
    let mut builder = lastwords::builder(role)
        .app(arguments.place.app.as_str())
        .dir(arguments.place.path()?)
        .level(Level::new(0))
        .full_policy(match arguments.full_policy {
            PipePolicy::Wait => FullPolicy::Block,
            PipePolicy::Ring(policy) => policy,
        })
        .slots_per_lane(SLOTS)
        .lanes(LANES)
        .flusher(Flusher::Embedded);
    if variable("LASTWORDS_BACKLOG_MAX").is_none() {
        builder = builder.backlog_max(BACKLOG_MAX);
    }
    builder.init()?;
    let (mut count, mut tee, mut ahead) = (0u64, arguments.tee, 0);
    let (until, patient) = (input.until(), arguments.full_policy == PipePolicy::Wait);
    loop {
        let line = match input.next().map_err(failed)? {
            Piece::Line(line) => line,
            Piece::End => break,
            Piece::Interrupted => return interrupted(),
        };
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let cost = 2 * text.len() + LINE_COST;
        let shown = if arguments.strip_colour { without_colours(text) } else { Cow::Borrowed(text) };
        let level = guess_level(text).unwrap_or(arguments.level);
        if patient && ahead + cost > AHEAD && ahead > 0 {
            wait_for_the_log(&until)?;
            ahead = 0;
        }
        lastwords::record_bytes(level, "pipe", &shown);
        ahead += cost;
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

/// Waits until all that was logged is in the log file: then nothing is overwritten. Ends early on a signal.
fn wait_for_the_log(until: &Until) -> Result<()> {
    let mut reported = false;
    loop {
        match lastwords::flush() {
            Err(Error::FlushTimeout { .. }) if !until.is_over() => {
                if !reported {
                    say::note(format_args!(
                        "lastwords: the log does not keep up; waiting for its flusher, nothing is lost meanwhile"
                    ));
                }
                reported = true;
            }
            Err(Error::FlushTimeout { .. }) | Ok(()) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Ends as by the signal, so that a shell sees that its script was interrupted; what was read is in the ring.
fn interrupted() -> Result<Exit> {
    let _ = lastwords::flush();
    lastwords::close();
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGINT);
    Ok(Exit::Failed)
}
