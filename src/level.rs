//! Severity of a record.

use std::fmt;
use std::str::FromStr;

/// Severity of a record: a number on Python's scale, so that custom levels fit between the named ones. A process can name
/// them, see [`crate::name_level`]; what is parsed and displayed here has the standard names alone.
///
/// ```
/// use lastwords::Level;
/// assert!(Level::ERROR > Level::INFO);
/// assert_eq!("warning".parse::<Level>(), Ok(Level::WARNING));
/// assert_eq!(Level::new(35).to_string(), "Level 35");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u16);

const NAMES: [(Level, &str); 6] = [
    (Level::TRACE, "TRACE"),
    (Level::DEBUG, "DEBUG"),
    (Level::INFO, "INFO"),
    (Level::WARNING, "WARNING"),
    (Level::ERROR, "ERROR"),
    (Level::CRITICAL, "CRITICAL"),
];

impl Level {
    /// The finest named level, 5.
    pub const TRACE: Level = Level(5);
    /// Level 10.
    pub const DEBUG: Level = Level(10);
    /// Level 20.
    pub const INFO: Level = Level(20);
    /// Level 30.
    pub const WARNING: Level = Level(30);
    /// Level 40. Records of this level and above wake the flusher at once.
    pub const ERROR: Level = Level(40);
    /// Level 50.
    pub const CRITICAL: Level = Level(50);
    /// Above every record: a filter at this level lets nothing through.
    pub const OFF: Level = Level(u16::MAX);

    /// The level with this number.
    #[must_use]
    pub const fn new(number: u16) -> Level {
        Level(number)
    }

    /// The level's number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The name, for the six named levels.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(level, _)| *level == self).map(|(_, name)| *name)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "Level {}", self.0),
        }
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Level({})", self.0)
    }
}

/// A text that names no level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseLevelError {
    found: String,
}

impl fmt::Display for ParseLevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is no level; expected trace, debug, info, warning, error, critical, off, or a number up to 65535",
            self.found.escape_default()
        )
    }
}

impl std::error::Error for ParseLevelError {}

impl FromStr for Level {
    type Err = ParseLevelError;

    /// Accepts the names in any case, `warn` and `fatal` as people write them, `off`, and numbers.
    fn from_str(text: &str) -> Result<Level, ParseLevelError> {
        let lower = text.trim().to_ascii_lowercase();
        let alias = match lower.as_str() {
            "warn" => Some(Level::WARNING),
            "fatal" => Some(Level::CRITICAL),
            "off" => Some(Level::OFF),
            _ => None,
        };
        alias
            .or_else(|| NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(&lower)).map(|(level, _)| *level))
            .or_else(|| lower.parse().ok().map(Level))
            .ok_or_else(|| ParseLevelError { found: text.to_owned() })
    }
}

impl From<log::Level> for Level {
    fn from(level: log::Level) -> Level {
        match level {
            log::Level::Error => Level::ERROR,
            log::Level::Warn => Level::WARNING,
            log::Level::Info => Level::INFO,
            log::Level::Debug => Level::DEBUG,
            log::Level::Trace => Level::TRACE,
        }
    }
}

#[cfg(feature = "tracing")]
impl From<tracing_core::Level> for Level {
    fn from(level: tracing_core::Level) -> Level {
        match level {
            tracing_core::Level::ERROR => Level::ERROR,
            tracing_core::Level::WARN => Level::WARNING,
            tracing_core::Level::INFO => Level::INFO,
            tracing_core::Level::DEBUG => Level::DEBUG,
            tracing_core::Level::TRACE => Level::TRACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_survive_a_round_trip() {
        for (level, name) in NAMES {
            assert_eq!(name.parse::<Level>(), Ok(level));
            assert_eq!(level.number().to_string().parse::<Level>(), Ok(level));
            assert_eq!(level.to_string(), name);
        }
    }

    #[test]
    fn an_unknown_name_says_what_was_expected() {
        let error = "loud".parse::<Level>().expect_err("no such level");
        assert!(error.to_string().contains("\"loud\"") && error.to_string().contains("critical"), "{error}");
    }
}
