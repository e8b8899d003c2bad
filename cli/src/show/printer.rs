//! Picks records out of a timeline and prints them, with those around them where that is asked for.

use super::arguments::Show;
use super::deaths::Windows;
use super::output::Output;
use super::pager::Sink;
use super::role_log::Record;
use super::select::Select;
use super::timeline::Timeline;
use std::collections::VecDeque;
use std::io::{self, Write};

/// Bytes that are written at once.
const BUFFER: usize = 64 << 10;
/// Between records that do not follow each other.
const GAP: &[u8] = b"--\n";

/// What can stop it.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A log cannot be read.
    Read(io::Error),
    /// Nobody reads on, as after `head`.
    Closed,
    /// Standard output cannot be written.
    Write(io::Error),
}

/// How many records around each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around {
    pub(crate) before: usize,
    pub(crate) after: usize,
}

impl Around {
    pub(crate) fn of(show: &Show) -> Option<Around> {
        let asked = [show.context, show.before, show.after];
        let around = Around {
            before: show.before.or(show.context).unwrap_or(0),
            after: show.after.or(show.context).unwrap_or(0),
        };
        asked.iter().any(Option::is_some).then_some(around)
    }
}

/// Prints records.
#[derive(Debug)]
pub(crate) struct Printer {
    pub(crate) select: Select,
    around: Option<Around>,
    /// Only these, of those that are looked at.
    pub(crate) windows: Option<Windows>,
    output: Output,
    sink: Sink,
    buffer: Vec<u8>,
    /// Records before the next one that is wanted.
    before: VecDeque<Vec<u8>>,
    /// How many more are to be shown after the last one.
    after: usize,
    /// Some were left out since the last one that was shown.
    gap: bool,
    /// How many were asked for and found.
    pub(crate) found: u64,
}

impl Printer {
    pub(crate) fn new(select: Select, around: Option<Around>, output: Output, sink: Sink) -> Printer {
        Printer {
            select,
            around,
            windows: None,
            output,
            sink,
            buffer: Vec::with_capacity(2 * BUFFER),
            before: VecDeque::new(),
            after: 0,
            gap: false,
            found: 0,
        }
    }

    /// Prints what is wanted of a timeline, at most so many; `skip` says what is not to be looked at.
    ///
    /// # Errors
    /// See [`Stop`].
    pub(crate) fn all(
        &mut self,
        timeline: &mut Timeline,
        most: Option<u64>,
        mut skip: impl FnMut(&Timeline) -> bool,
    ) -> Result<(), Stop> {
        let everything = self.select.is_everything() && self.windows.is_none();
        let mut left = most.unwrap_or(u64::MAX);
        while left > 0 && timeline.advance().map_err(Stop::Read)? {
            if skip(timeline) {
                continue;
            }
            let record = timeline.record();
            if everything {
                self.output.record(&mut self.buffer, &record);
                self.found += 1;
                left -= 1;
            } else if self.select.is_in_scope(&record) {
                left -= u64::from(self.one(&record));
            }
            if self.buffer.len() >= BUFFER {
                self.write()?;
            }
        }
        Ok(())
    }

    /// Prints a record if it is wanted, or near to one; returns whether it is wanted.
    fn one(&mut self, record: &Record<'_>) -> bool {
        let in_window = self.windows.as_mut().map(Windows::has_next);
        let wanted = in_window != Some(false) && self.select.is_wanted(record);
        let around = self.around.or(in_window.map(|_| Around::default()));
        let Some(Around { before, after }) = around else {
            if wanted {
                self.output.record(&mut self.buffer, record);
            }
            self.found += u64::from(wanted);
            return wanted;
        };
        if wanted {
            if self.gap && self.found > 0 {
                self.buffer.extend_from_slice(GAP);
            }
            self.before.drain(..).for_each(|text| self.buffer.extend_from_slice(&text));
            self.output.record(&mut self.buffer, record);
            (self.after, self.gap) = (after, false);
            self.found += 1;
        } else if self.after > 0 {
            self.output.record(&mut self.buffer, record);
            self.after -= 1;
        } else if before == 0 {
            self.gap = true;
        } else {
            let mut text = if self.before.len() < before {
                Vec::new()
            } else {
                self.gap = true;
                self.before.pop_front().unwrap_or_default()
            };
            text.clear();
            self.output.record(&mut text, record);
            self.before.push_back(text);
        }
        wanted
    }

    fn write(&mut self) -> Result<(), Stop> {
        let written = self.sink.write_all(&self.buffer);
        self.buffer.clear();
        self.buffer.shrink_to(2 * BUFFER);
        written.map_err(stop)
    }

    /// Writes what is there so far.
    ///
    /// # Errors
    /// See [`Stop`].
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        self.write()?;
        self.sink.flush().map_err(stop)
    }

    /// Waits for the pager.
    pub(crate) fn finish(self) {
        self.sink.finish();
    }
}

fn stop(error: io::Error) -> Stop {
    if error.kind() == io::ErrorKind::BrokenPipe { Stop::Closed } else { Stop::Write(error) }
}
