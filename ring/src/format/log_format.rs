//! The form in which a process's records are in the log folder.

use crate::format::choice::ParseChoiceError;
use crate::format::layout::ring_flag;
use std::str::FromStr;

/// Which files the flusher writes for a role: text for people, JSON for programs, or both.
///
/// The lines of both carry the same content and guarantees. `<role>.jsonl` has one object a line, described by
/// `docs/log-line.schema.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// `<role>.log`, lines for people.
    #[default]
    Text,
    /// `<role>.jsonl`, an object a line.
    Json,
    /// Both files.
    Both,
}

impl Format {
    /// The bits of a ring's header for it.
    pub(crate) const fn flags(self) -> u32 {
        match self {
            Format::Text => 0,
            Format::Json => ring_flag::JSON | ring_flag::NO_TEXT,
            Format::Both => ring_flag::JSON,
        }
    }

    /// The format that a ring's header requests. Whatever its value, there is a file.
    #[doc(hidden)]
    #[must_use]
    pub const fn of_flags(flags: u32) -> Format {
        match (flags & ring_flag::JSON != 0, flags & ring_flag::NO_TEXT != 0) {
            (false, _) => Format::Text,
            (true, true) => Format::Json,
            (true, false) => Format::Both,
        }
    }
}

impl FromStr for Format {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Format, ParseChoiceError> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            "both" => Ok(Format::Both),
            _ => Err(ParseChoiceError::new(text, "text, json or both")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_survives_the_header_and_every_header_means_one() {
        for format in [Format::Text, Format::Json, Format::Both] {
            assert_eq!(Format::of_flags(format.flags() | ring_flag::SMALLER), format);
        }
        assert_eq!(Format::of_flags(ring_flag::NO_TEXT), Format::Text, "a ring without any file");
    }
}
