//! When log files are rotated besides their size: a number of the file settings.

use crate::format::choice::ParseChoiceError;
use std::fmt;
use std::str::FromStr;

/// At which boundaries of the log folder's time a log file is rotated, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[repr(u64)]
pub enum RotateEvery {
    /// At none.
    #[default]
    Never = 0,
    /// At each full hour.
    Hour = 1,
    /// At each midnight.
    Day = 2,
}

impl RotateEvery {
    /// The one of this number; a number that is none of them means never.
    #[doc(hidden)]
    #[must_use]
    pub const fn of_number(number: u64) -> RotateEvery {
        match number {
            1 => RotateEvery::Hour,
            2 => RotateEvery::Day,
            _ => RotateEvery::Never,
        }
    }
}

impl FromStr for RotateEvery {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<RotateEvery, ParseChoiceError> {
        match text {
            "never" => Ok(RotateEvery::Never),
            "1h" => Ok(RotateEvery::Hour),
            "1d" => Ok(RotateEvery::Day),
            _ => Err(ParseChoiceError::new(text, "1h, 1d or never")),
        }
    }
}

impl fmt::Display for RotateEvery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RotateEvery::Never => "never",
            RotateEvery::Hour => "1h",
            RotateEvery::Day => "1d",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_shown_and_stored() {
        for every in [RotateEvery::Never, RotateEvery::Hour, RotateEvery::Day] {
            assert_eq!(every.to_string().parse(), Ok(every));
            assert_eq!(RotateEvery::of_number(every as u64), every);
        }
        assert_eq!(RotateEvery::of_number(7), RotateEvery::Never);
        let error = "2h".parse::<RotateEvery>().expect_err("no such period");
        assert_eq!(error.to_string(), "\"2h\" found, expected 1h, 1d or never");
    }
}
