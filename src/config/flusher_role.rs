//! Whether a process may be the flusher.

use lastwords_ring::format::choice::ParseChoiceError;
use std::str::FromStr;

/// Whether this process may be the flusher: `embedded` or `never` as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Flusher {
    /// A thread stands by and drains when it is elected. The default; only in programs that are built with the feature
    /// `flusher`.
    #[cfg_attr(feature = "flusher", default)]
    Embedded,
    /// Never; other processes or a `lastwords flush` daemon drain this ring. The default of programs that are built without the
    /// feature `flusher`.
    #[cfg_attr(not(feature = "flusher"), default)]
    Never,
}

impl FromStr for Flusher {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Flusher, ParseChoiceError> {
        match text {
            "embedded" => Ok(Flusher::Embedded),
            "never" => Ok(Flusher::Never),
            _ => Err(ParseChoiceError::new(text, "embedded or never")),
        }
    }
}
