//! The tool's exit statuses, for scripts.

use anstyle::{AnsiColor, Color, Style};

/// Style of the word "error:" on a terminal.
pub(crate) const ERROR: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Red)));

/// The tool's exit statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; there was something to do.
    Done,
    /// There was nothing to do.
    Nothing,
    /// Wrong usage, or an error.
    Failed,
    /// Done as far as possible; damage was found.
    Damaged,
    /// That of a program which was run.
    Of(u8),
}

impl Exit {
    /// As the shell sees it.
    pub(crate) fn status(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Nothing => 1,
            Exit::Failed => 2,
            Exit::Damaged => 3,
            Exit::Of(status) => status,
        }
    }
}
