//! How rotated log files are compressed: a number of the file settings.

use crate::format::choice::ParseChoiceError;
use std::fmt;
use std::str::FromStr;

/// What becomes of a log file once it is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[repr(u64)]
pub enum Compress {
    /// It stays as it is.
    #[default]
    Never = 0,
    /// `host.log.1` becomes `host.log.1.zst`, for `zstdcat` and readers that skip by time.
    Zstd = 1,
}

impl Compress {
    /// The one of this number; a number that is none of them means never.
    #[doc(hidden)]
    #[must_use]
    pub const fn of_number(number: u64) -> Compress {
        if number == 1 { Compress::Zstd } else { Compress::Never }
    }
}

impl FromStr for Compress {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Compress, ParseChoiceError> {
        match text {
            "never" => Ok(Compress::Never),
            "zstd" => Ok(Compress::Zstd),
            _ => Err(ParseChoiceError::new(text, "zstd or never")),
        }
    }
}

impl fmt::Display for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Compress::Zstd { "zstd" } else { "never" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_shown_and_stored() {
        for compress in [Compress::Never, Compress::Zstd] {
            assert_eq!(compress.to_string().parse(), Ok(compress));
            assert_eq!(Compress::of_number(compress as u64), compress);
        }
        let error = "gzip".parse::<Compress>().expect_err("another one");
        assert_eq!(error.to_string(), "\"gzip\" found, expected zstd or never");
    }
}
