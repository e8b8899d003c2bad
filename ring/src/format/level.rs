//! Severity of a record.

use std::fmt;
use std::str::FromStr;

/// Longest custom level name in bytes; longer ones are truncated.
pub const LEVEL_NAME_MAX: usize = 64;

/// Severity of a record: a number on Python's scale, so that custom levels fit between the named ones. A process can name them,
/// see `name_level`; parsing and display here use only the standard names.
///
/// ```
/// # use lastwords_ring::format::level::Level;
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

/// What levels may be called in text, besides numbers.
const WORDS: [&str; 9] = ["trace", "debug", "info", "warning", "warn", "error", "critical", "fatal", "off"];
/// Level names of other programs, with the level that is meant.
const FOREIGN: [(&str, &str); 14] = [
    ("all", "trace"),
    ("finest", "trace"),
    ("fine", "debug"),
    ("verbose", "debug"),
    ("notice", "info"),
    ("severe", "error"),
    ("crit", "critical"),
    ("alert", "critical"),
    ("emerg", "critical"),
    ("emergency", "critical"),
    ("panic", "critical"),
    ("none", "off"),
    ("quiet", "off"),
    ("silent", "off"),
];
/// A word within this many insertions, deletions, substitutions and transpositions of a level is taken for a misspelt one.
const EDITS_MAX: usize = 2;

/// The level that an unknown word was probably meant to be.
pub(crate) fn likely(word: &str) -> Option<&'static str> {
    let lower = word.trim().to_ascii_lowercase();
    if let Some((_, meant)) = FOREIGN.iter().find(|(foreign, _)| *foreign == lower) {
        return Some(meant);
    }
    let distances = WORDS.iter().map(|known| (strsim::osa_distance(&lower, known), *known));
    // Of two equally near the longer one: a word that lacks two letters of a short one has nothing in common with it.
    let nearest = distances.min_by_key(|(distance, known)| (*distance, usize::MAX - known.len()))?;
    (nearest.0 <= EDITS_MAX).then_some(nearest.1)
}

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

/// A text that is not a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseLevelError {
    found: String,
}

impl fmt::Display for ParseLevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not a level; ", self.found.escape_default())?;
        if let Some(likely) = likely(&self.found) {
            write!(f, "did you mean \"{likely}\"? ")?;
        }
        f.write_str("expected trace, debug, info, warning, error, critical, off, or a number up to 65535")
    }
}

impl std::error::Error for ParseLevelError {}

impl FromStr for Level {
    type Err = ParseLevelError;

    /// Accepts the names in any case, the common `warn` and `fatal`, `off`, and numbers.
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

#[cfg(feature = "log")]
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

    #[test]
    fn a_word_within_two_edits_of_a_level_is_taken_for_it() {
        for (word, meant) in [
            ("inof", Some("info")),
            ("dbug", Some("debug")),
            ("wran", Some("warn")),
            ("Inf", Some("info")),
            ("errror", Some("error")),
            ("critcal", Some("critical")),
            ("verbose", Some("debug")),
            ("none", Some("off")),
            ("hyper", None),
            ("my::module", None),
            ("worker", None),
        ] {
            assert_eq!(likely(word), meant, "{word}");
        }
        let error = "wran".parse::<Level>().expect_err("no level").to_string();
        assert!(error.contains("did you mean \"warn\"?"), "{error}");
    }
}
