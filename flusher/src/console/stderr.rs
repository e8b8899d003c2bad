//! Standard error as a console that never makes its writer wait.
//!
//! ```text
//! [05:55:47] [4157] [INFO] Host process starting up
//! ```
//!
//! Each write first polls standard error: a pipe that nobody reads costs console lines, which are counted, and nothing else.
//! Two processes that share a pipe may both find it writable, and one of them then blocks, so a thread of its own writes, never
//! the caller of a log function.

use crate::render::line;
use crate::render::timestamp::Stamp;
use anstyle::{AnsiColor, Color, Style};
use lastwords_ring::format::level::Level;
use lastwords_ring::sys::ready;
use rustix::event::PollFlags;
use std::time::{Duration, Instant};

/// Longest piece written at once: what a pipe with room takes without blocking.
pub const PIECE: usize = 4096;

/// Standard error, with colours on a terminal only.
#[derive(Debug)]
pub struct Stderr {
    colours: bool,
    /// Lines that were not written and are not yet reported.
    lost: u64,
    /// Until when a write may wait for a reader.
    patience: Option<Instant>,
}

impl Stderr {
    /// Standard error as it is now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "what it is depends on where standard error leads")]
    pub fn new() -> Stderr {
        let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
        Stderr { colours, lost: 0, patience: None }
    }

    /// Standard error without colours, even on a terminal.
    #[must_use]
    pub fn plain() -> Stderr {
        Stderr { colours: false, lost: 0, patience: None }
    }

    /// Appends the prefix of a message. `given` is the process's custom name for the level, if it has one.
    pub fn head(&self, out: &mut Vec<u8>, stamp: &mut Stamp, ns: u64, pid: u32, level: Level, given: Option<&str>) {
        out.push(b'[');
        stamp.time(ns, out);
        out.extend_from_slice(format!("] [{pid}] [").as_bytes());
        let style = if self.colours { style(level) } else { Style::new() };
        out.extend_from_slice(style.render().to_string().as_bytes());
        line::level_name(out, level, given);
        out.extend_from_slice(style.render_reset().to_string().as_bytes());
        out.extend_from_slice(b"] ");
    }

    /// Counts lines that were lost before they came here.
    pub fn lose(&mut self, lines: u64) {
        self.lost += lines;
    }

    /// From now on writes may wait for a reader: these are the last lines.
    pub fn wait_until(&mut self, patience: Instant) {
        self.patience = Some(patience);
    }

    /// Writes `lines` lines if standard error takes them without blocking, and before them how many are missing.
    pub fn write(&mut self, text: &[u8], lines: u64) {
        if !text.is_empty() && (!self.tell_lost() || !self.put(text)) {
            self.lost += lines;
        }
    }

    /// Reports how many lines are missing, if any. False if the report cannot be written.
    pub fn tell_lost(&mut self) -> bool {
        let lost = self.lost;
        let report = || {
            format!("lastwords: {lost} lines are missing on this console, which was not read; the log file has them\n")
        };
        let done = lost == 0 || self.put(report().as_bytes());
        if done {
            self.lost = 0;
        }
        done
    }

    /// Writes all of a text that is at most a piece, or nothing; a longer one may stop between two pieces. Not by
    /// `std`, whose lock would be held for good in a process that was forked meanwhile.
    fn put(&self, text: &[u8]) -> bool {
        let patience = || self.patience.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        text.chunks(PIECE).all(|piece| takes_within(patience()) && write_all(piece))
    }
}

fn style(level: Level) -> Style {
    let colour = match level.number() {
        0..=10 => AnsiColor::Cyan,
        11..=29 => AnsiColor::Green,
        30..=39 => AnsiColor::Yellow,
        40..=49 => AnsiColor::Red,
        50.. => AnsiColor::Magenta,
    };
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

fn write_all(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        match rustix::io::write(std::io::stderr(), rest) {
            Ok(written) if written > 0 => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            _ => return false,
        }
    }
    true
}

/// Whether standard error takes a piece without blocking, as far as that can be known.
#[must_use]
pub fn is_ready() -> bool {
    takes_within(Duration::ZERO)
}

fn takes_within(time: Duration) -> bool {
    ready::is_ready(&std::io::stderr(), PollFlags::OUT, time)
}
