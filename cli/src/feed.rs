//! Lines of another program become records.

use crate::cli::{Lines, PipePolicy};
use crate::colour::without_colours;
use crate::guess::guess_level;
use crate::place::variable;
use crate::say;
use lastwords::{Builder, Error, Flusher, FullPolicy, Level, Result};
use std::borrow::Cow;

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

/// Logs lines.
#[derive(Debug)]
pub(crate) struct Feed {
    /// It is waited for a log that does not keep up.
    patient: bool,
    strip_colour: bool,
    ahead: usize,
}

impl Feed {
    /// Opens the log of this role.
    ///
    /// # Errors
    /// As `init`.
    pub(crate) fn open(role: &str, arguments: &Lines) -> Result<Feed> {
        let mut builder: Builder = lastwords::builder(role)
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
        let patient = arguments.full_policy == PipePolicy::Wait;
        Ok(Feed { patient, strip_colour: arguments.strip_colour, ahead: 0 })
    }

    /// Logs a line, at this level if it names none itself. Waits for the log where that is to be, until `is_over`.
    ///
    /// # Errors
    /// As `flush`.
    pub(crate) fn log(&mut self, line: &[u8], level: Level, target: &str, is_over: impl Fn() -> bool) -> Result<()> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let cost = 2 * text.len() + LINE_COST;
        let shown = if self.strip_colour { without_colours(text) } else { Cow::Borrowed(text) };
        if self.patient && self.ahead + cost > AHEAD && self.ahead > 0 {
            wait_for_the_log(is_over)?;
            self.ahead = 0;
        }
        lastwords::record_bytes(guess_level(text).unwrap_or(level), target, &shown);
        self.ahead += cost;
        Ok(())
    }
}

/// Waits until all that was logged is in the log file: then nothing is overwritten.
fn wait_for_the_log(is_over: impl Fn() -> bool) -> Result<()> {
    let mut reported = false;
    loop {
        match lastwords::flush() {
            Err(Error::FlushTimeout { .. }) if !is_over() => {
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
