//! The error for a text that is not one of a few words.

use std::fmt;

/// A text that is not one of the words that a setting accepts.
///
/// ```
/// # use lastwords_ring::format::log_format::Format;
/// let error = "xml".parse::<Format>().expect_err("no such format");
/// assert_eq!(error.to_string(), "\"xml\" found, expected text, json or both");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseChoiceError {
    found: String,
    expected: &'static str,
}

impl ParseChoiceError {
    /// The error of a text where one of `expected` should be: `embedded or never`.
    #[doc(hidden)]
    #[must_use]
    pub fn new(found: &str, expected: &'static str) -> ParseChoiceError {
        ParseChoiceError { found: found.to_owned(), expected }
    }
}

impl fmt::Display for ParseChoiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" found, expected {}", self.found.escape_default(), self.expected)
    }
}

impl std::error::Error for ParseChoiceError {}
