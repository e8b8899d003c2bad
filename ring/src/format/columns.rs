//! What a text line says of its record besides time, process and level.

use crate::format::alike::alike;
use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

/// The names of all columns, in the order in which a line has them.
const NAMES: [(&str, Columns); 3] =
    [("thread", Columns::THREAD), ("target", Columns::TARGET), ("place", Columns::PLACE)];

/// The columns of a role's text lines: any of thread, target and place in the source.
///
/// A line has them behind the pid, always in this order, each in brackets of its own:
/// `2025-10-19 05:55:47.606 [4157] (main) <app::core> {src/x.rs:7} [INFO] slow frame`.
///
/// ```
/// # use lastwords_ring::format::columns::Columns;
/// let columns: Columns = "place, thread".parse().expect("names of columns");
/// assert_eq!(columns, Columns::THREAD | Columns::PLACE);
/// assert_eq!(columns.to_string(), "thread,place");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Columns(u8);

impl Columns {
    /// None of them.
    pub const NONE: Columns = Columns(0);
    /// The name of the thread, or `#` and its id where it has none.
    pub const THREAD: Columns = Columns(1);
    /// The target of the record.
    pub const TARGET: Columns = Columns(2);
    /// File and line of the call.
    pub const PLACE: Columns = Columns(4);
    /// All of them.
    pub const ALL: Columns = Columns(7);

    /// Whether all of these are among them.
    #[must_use]
    pub const fn has(self, columns: Columns) -> bool {
        self.0 & columns.0 == columns.0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As a number of a ring's file settings.
    pub(crate) const fn number(self) -> u64 {
        self.0 as u64
    }

    /// Those of such a number; bits that mean nothing here are those of a later program.
    pub(crate) const fn of_number(number: u64) -> Columns {
        Columns(number as u8 & Columns::ALL.0)
    }
}

impl BitOr for Columns {
    type Output = Columns;

    fn bitor(self, other: Columns) -> Columns {
        Columns(self.0 | other.0)
    }
}

/// A text that names no columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseColumnsError {
    word: String,
    is_twice: bool,
}

impl fmt::Display for ParseColumnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParseColumnsError { word, is_twice } = self;
        let word = word.escape_default();
        if *is_twice {
            return write!(f, "\"{word}\" found twice, expected each column once");
        }
        write!(f, "\"{word}\" found, expected thread, target and place, separated by commas, or none")?;
        match alike(&self.word, NAMES.iter().map(|(name, _)| *name).chain(["none"])) {
            Some(meant) => write!(f, "; did you mean {meant}?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseColumnsError {}

impl FromStr for Columns {
    type Err = ParseColumnsError;

    fn from_str(text: &str) -> Result<Columns, ParseColumnsError> {
        if matches!(text.trim(), "" | "none") {
            return Ok(Columns::NONE);
        }
        text.split(',').map(str::trim).try_fold(Columns::NONE, |columns, word| {
            let wrong = |is_twice| ParseColumnsError { word: word.to_owned(), is_twice };
            let (_, column) = NAMES.iter().find(|(name, _)| *name == word).ok_or_else(|| wrong(false))?;
            if columns.has(*column) { Err(wrong(true)) } else { Ok(columns | *column) }
        })
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            NAMES.iter().filter(|(_, column)| self.has(*column)).map(|(name, _)| *name).collect();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_read_as_it_is_shown_and_stored() {
        for number in 0..8 {
            let columns = Columns::of_number(number);
            assert_eq!(columns.to_string().parse(), Ok(columns));
            assert_eq!((columns.number(), Columns::of_number(number | 0xf8)), (number, columns));
        }
        assert_eq!("".parse(), Ok(Columns::NONE));
        assert_eq!(" target,thread ".parse(), Ok(Columns::THREAD | Columns::TARGET));
    }

    #[test]
    fn an_error_names_the_word_and_the_one_that_was_meant() {
        let error = |text: &str| text.parse::<Columns>().expect_err(text).to_string();
        let expected = "found, expected thread, target and place, separated by commas, or none";
        assert_eq!(error("thread,tarmget"), format!("\"tarmget\" {expected}; did you mean target?"));
        assert_eq!(error("non"), format!("\"non\" {expected}; did you mean none?"));
        assert_eq!(error("thread;place\n"), format!("\"thread;place\" {expected}"));
        assert_eq!(error("level"), format!("\"level\" {expected}"));
        assert_eq!(error("thread,"), format!("\"\" {expected}"));
        assert_eq!(error("place,place"), "\"place\" found twice, expected each column once");
    }
}
