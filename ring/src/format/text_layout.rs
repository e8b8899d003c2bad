//! How the text lines of a role are laid out: a number of the file settings.

use crate::format::choice::ParseChoiceError;
use crate::format::columns::Columns;
use std::fmt;
use std::str::FromStr;

/// How many digits of the second a text line's time has. Those behind them are cut off, not rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TimeDigits {
    /// Milliseconds.
    #[default]
    Three = 3,
    /// Microseconds.
    Six = 6,
    /// Nanoseconds.
    Nine = 9,
}

impl TimeDigits {
    /// As a number.
    #[doc(hidden)]
    #[must_use]
    pub const fn count(self) -> usize {
        self as usize
    }

    /// That many; None for another number.
    #[doc(hidden)]
    #[must_use]
    pub const fn of(count: usize) -> Option<TimeDigits> {
        match count {
            3 => Some(TimeDigits::Three),
            6 => Some(TimeDigits::Six),
            9 => Some(TimeDigits::Nine),
            _ => None,
        }
    }
}

impl FromStr for TimeDigits {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<TimeDigits, ParseChoiceError> {
        let count = text.trim().parse().ok().and_then(TimeDigits::of);
        count.ok_or_else(|| ParseChoiceError::new(text, "3, 6 or 9"))
    }
}

impl fmt::Display for TimeDigits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.count())
    }
}

/// The layout of a text line. The default is `2025-10-19 05:55:47.606 [4157] [INFO] Host process starting up`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextLayout {
    /// What a line says besides time, process and level.
    pub columns: Columns,
    /// Digits of the second.
    pub digits: TimeDigits,
    /// Whether the time is followed by its offset from UTC.
    pub offset: bool,
}

/// Where the digits are in the number, and the offset.
const DIGITS: u32 = 8;
const OFFSET: u64 = 1 << 16;

impl TextLayout {
    /// As a number of a ring's file settings: the columns in bits 0 to 7, the digits, if there are more than three, in bits 8 to
    /// 15, the offset in bit 16. The default is 0.
    #[must_use]
    pub const fn number(self) -> u64 {
        let digits = match self.digits {
            TimeDigits::Three => 0,
            more => more.count() as u64,
        };
        self.columns.number() | digits << DIGITS | if self.offset { OFFSET } else { 0 }
    }

    /// That of such a number; what means nothing here is of a later program.
    #[must_use]
    pub const fn of_number(number: u64) -> TextLayout {
        let digits = match TimeDigits::of((number >> DIGITS & 0xff) as usize) {
            Some(digits) => digits,
            None => TimeDigits::Three,
        };
        TextLayout { columns: Columns::of_number(number), digits, offset: number & OFFSET != 0 }
    }

    /// Every layout that there is.
    #[must_use]
    pub fn all() -> Vec<TextLayout> {
        let digits = [TimeDigits::Three, TimeDigits::Six, TimeDigits::Nine];
        let of = |number: u64| {
            let digits = digits.iter().flat_map(|digits| [(*digits, false), (*digits, true)]);
            digits.map(move |(digits, offset)| TextLayout { columns: Columns::of_number(number), digits, offset })
        };
        (0..=Columns::ALL.number()).flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_survives_its_number_and_every_number_means_one() {
        let all = TextLayout::all();
        assert_eq!(all.len(), 8 * 3 * 2);
        for layout in all {
            assert_eq!(TextLayout::of_number(layout.number()), layout);
            assert_eq!(layout.digits.to_string().parse(), Ok(layout.digits));
        }
        assert_eq!(TextLayout::default().number(), 0);
        assert_eq!(TextLayout::of_number(u64::MAX).digits, TimeDigits::Three);
        let error = "4".parse::<TimeDigits>().expect_err("not so many");
        assert_eq!(error.to_string(), "\"4\" found, expected 3, 6 or 9");
    }
}
