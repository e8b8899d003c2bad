//! What the user sees while the demo runs: a line a step on standard error, and on a terminal a running count.

use anstyle::{AnsiColor, Color, Style};
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

const TIME: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Cyan)));
/// Goes to the line's start and clears the line.
const CLEAR: &str = "\r\x1b[K";

/// The demo's voice.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    terminal: bool,
}

impl Progress {
    pub(crate) fn start() -> Progress {
        Progress { start: Instant::now(), terminal: io::stderr().is_terminal() }
    }

    /// Prints what happens now.
    pub(crate) fn step(&self, text: &str) {
        let clear = if self.terminal { CLEAR } else { "" };
        let (style, reset) = (TIME.render(), TIME.render_reset());
        let seconds = self.start.elapsed().as_secs_f64();
        // An unread standard error does not stop the demo.
        let _ = writeln!(anstream::stderr(), "{clear}{style}{seconds:5.1} s{reset}  {text}");
    }

    /// Shows a count that will be overwritten.
    pub(crate) fn count(&self, text: &str) {
        if self.terminal {
            let seconds = self.start.elapsed().as_secs_f64();
            let mut out = io::stderr();
            let _ = write!(out, "{CLEAR}{seconds:5.1} s  {text}").and_then(|()| out.flush());
        }
    }
}

/// A number with commas between groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
