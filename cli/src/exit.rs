//! The tool's exit statuses, for scripts.

use anstyle::{AnsiColor, Color, Style};

/// Style of the word "error:" on a terminal.
pub(crate) const ERROR: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Red)));

/// The tool's exit statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; there was something to do.
    Done = 0,
    /// There was nothing to do.
    Nothing = 1,
    /// Wrong usage, or an error.
    Failed = 2,
    /// Done as far as possible; damage was found.
    Damaged = 3,
}
