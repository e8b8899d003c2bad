//! Which records go to the log files, by their target.

use crate::format::level::{self, Level};
use std::fmt;
use std::str::FromStr;

/// Filter directives, in the syntax of `env_logger`: a comma-separated list of `level`, `target=level` and `target`.
///
/// A level alone applies to all targets that no other directive names. A target matches every record whose target starts with
/// it, the longest match applies, and a target alone lets everything of it through. Of what no directive matches only
/// `critical` records are written; only `off` disables those. Levels are named ones, `off`, or numbers. Regular expressions,
/// which `env_logger` takes after a `/`, are refused.
///
/// A word alone that is at most two letters away from a level, `inof` or `dbug`, is refused too, because it would turn off
/// everything else; for a target of that name write `inof=trace`.
///
/// ```
/// # use lastwords_ring::format::{directives::Directives, level::Level};
/// let directives: Directives = "info,hyper=warn,my::mod=trace".parse()?;
/// assert_eq!(directives.level_for("app"), Level::INFO);
/// assert_eq!(directives.level_for("hyper::client"), Level::WARNING);
/// assert_eq!(directives.level_for("my::mod::inner"), Level::TRACE);
/// assert_eq!(directives.to_string(), "info,hyper=warning,my::mod=trace");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// For targets that no directive names.
    default: Level,
    /// Targets and their levels, the longest target first.
    targets: Vec<(String, Level)>,
}

/// The level that lets every record through.
const EVERYTHING: Level = Level::new(0);
/// The level of what no directive matches. Naming a target must not turn off alarms.
const UNNAMED: Level = Level::CRITICAL;

impl Directives {
    /// The finest level at which a record of this target is written.
    #[must_use]
    pub fn level_for(&self, target: &str) -> Level {
        self.decide(target).0
    }

    /// Like [`Directives::level_for`], with the index in [`Directives::targets`] that decides; None if none does.
    #[must_use]
    pub fn decide(&self, target: &str) -> (Level, Option<usize>) {
        let found = self.targets.iter().position(|(prefix, _)| target.starts_with(prefix.as_str()));
        (found.map_or(self.default, |index| self.targets[index].1), found)
    }

    /// The level of targets that no directive names.
    #[must_use]
    pub fn default_level(&self) -> Level {
        self.default
    }

    /// The targets that directives name, with their levels, the longest first.
    pub fn targets(&self) -> impl Iterator<Item = (&str, Level)> {
        self.targets.iter().map(|(target, level)| (target.as_str(), *level))
    }

    /// The finest level of all targets.
    #[must_use]
    pub fn finest(&self) -> Level {
        self.targets.iter().map(|(_, level)| *level).fold(self.default, Level::min)
    }

    /// Whether all targets have the same level.
    #[must_use]
    pub fn is_level(&self) -> bool {
        self.targets.is_empty()
    }
}

impl From<Level> for Directives {
    fn from(level: Level) -> Directives {
        Directives { default: level, targets: Vec::new() }
    }
}

/// A text that is not a list of directives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseDirectivesError {
    message: String,
}

impl fmt::Display for ParseDirectivesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ParseDirectivesError {}

impl FromStr for Directives {
    type Err = ParseDirectivesError;

    fn from_str(text: &str) -> Result<Directives, ParseDirectivesError> {
        Directives::parse(text, UNNAMED)
    }
}

impl Directives {
    /// The directives in a text; `unnamed` is the level of what none of them matches.
    pub fn parse(text: &str, unnamed: Level) -> Result<Directives, ParseDirectivesError> {
        let shown = text.escape_default();
        if text.contains('/') {
            let message = format!("\"{shown}\" found, expected directives without a regular expression after a \"/\"");
            return Err(ParseDirectivesError { message });
        }
        if text.contains(|character: char| character.is_control()) {
            let message = format!("\"{shown}\" found, expected directives without control characters");
            return Err(ParseDirectivesError { message });
        }
        let mut directives = Directives::from(unnamed);
        let mut any = false;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            any = true;
            match part.split_once('=').map(|(target, level)| (target.trim(), level.trim())) {
                Some((target, level)) if !target.is_empty() && !level.contains('=') => {
                    let level = if level.is_empty() { Ok(EVERYTHING) } else { level.parse() };
                    directives.set(target, level.map_err(|error| ParseDirectivesError { message: error.to_string() })?);
                }
                Some(_) => {
                    let message = format!("\"{}\" found in \"{shown}\", expected target=level", part.escape_default());
                    return Err(ParseDirectivesError { message });
                }
                None => match part.parse() {
                    Ok(level) => directives.default = level,
                    Err(_) => match level::likely(part) {
                        Some(likely) => return Err(misspelt(part, likely)),
                        None => directives.set(part, EVERYTHING),
                    },
                },
            }
        }
        let message = "nothing found, expected directives as in \"info,hyper=warn\"".to_owned();
        if any { Ok(directives) } else { Err(ParseDirectivesError { message }) }
    }
}

fn misspelt(word: &str, likely: &str) -> ParseDirectivesError {
    let word = word.escape_default();
    let message = format!("\"{word}\" is not a level; did you mean \"{likely}\"? For the target of that name write \"{word}=trace\"");
    ParseDirectivesError { message }
}

impl Directives {
    /// The advice for a target that is the role's own name, which is not a target of Rust's records unless a crate is called
    /// that.
    #[must_use]
    pub fn names_role(&self, role: &str) -> Option<String> {
        let (_, level) = self.targets.iter().find(|(target, _)| target == role)?;
        let level = Directives::from(*level);
        let role = role.escape_default();
        Some(format!(
            "\"{role}={level}\" is for records with the target {role}, not for all of the role of that name; for those write \"{level}\""
        ))
    }

    fn set(&mut self, target: &str, level: Level) {
        self.targets.retain(|(known, _)| known != target);
        self.targets.push((target.to_owned(), level));
        self.targets.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    }
}

impl fmt::Display for Directives {
    /// Writes directives in a canonical order, so that equal ones give equal text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_level(f, self.default)?;
        let mut targets: Vec<_> = self.targets.iter().collect();
        targets.sort();
        for (target, level) in targets {
            write!(f, ",{target}=")?;
            write_level(f, *level)?;
        }
        Ok(())
    }
}

fn write_level(f: &mut fmt::Formatter<'_>, level: Level) -> fmt::Result {
    match level.name() {
        Some(name) => f.write_str(&name.to_ascii_lowercase()),
        None if level == Level::OFF => f.write_str("off"),
        None => write!(f, "{}", level.number()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn level(directives: &str, target: &str) -> Level {
        directives.parse::<Directives>().expect("directives").level_for(target)
    }

    #[test]
    fn the_longest_matching_target_counts_and_the_last_of_two_alike() {
        let text = "a::b=debug,info,a=warn,a::b::c=off,a=error";
        assert_eq!(level(text, "other"), Level::INFO);
        assert_eq!(level(text, "a"), Level::ERROR);
        assert_eq!(level(text, "a::bc"), Level::DEBUG);
        assert_eq!(level(text, "a::b::c::d"), Level::OFF);
    }

    #[test]
    fn of_what_no_directive_names_only_alarms_are_written_and_a_target_alone_is_let_through() {
        assert_eq!(level("hyper=warn", "app"), Level::CRITICAL);
        assert_eq!(level("hyper", "hyper::client"), Level::new(0));
        assert_eq!(level("hyper=", "hyper::client"), Level::new(0));
        assert_eq!(level(" , 35 ,", "app"), Level::new(35));
        assert_eq!(level("off", "app"), Level::OFF);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_named() {
        for text in ["", " , ", "info/regex", "hyper=loud", "=info", "a=b=c", "a=70000", "a=inof", "info,a\nb=debug"] {
            let error = text.parse::<Directives>().expect_err(text);
            assert!(error.to_string().contains("expected"), "{text}: {error}");
        }
    }

    #[test]
    fn a_misspelt_level_is_no_target_unless_it_is_said_to_be_one() {
        for (text, meant) in [("inof", "info"), ("info,dbug", "debug"), ("hyper=warn, wran", "warn"), ("FATL", "fatal")] {
            let error = text.parse::<Directives>().expect_err(text).to_string();
            let word = text.rsplit([',', ' ']).next().expect("a word");
            assert!(error.contains(&format!("did you mean \"{meant}\"")), "{text}: {error}");
            assert!(error.contains(&format!("write \"{word}=trace\"")), "{text}: {error}");
            assert_eq!(level(&format!("{word}=trace"), word), Level::TRACE);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_means_the_same(
            default in 0u16..60,
            targets in prop::collection::vec(("[a-c]{1,2}(::[a-c]{1,2}){0,2}", 0u16..60), 0..6),
            asked in "[a-c]{1,3}(::[a-c]{1,2}){0,3}",
        ) {
            let mut text = default.to_string();
            targets.iter().for_each(|(target, level)| text += &format!(",{target}={level}"));
            let parsed: Directives = text.parse().expect("directives");
            let again: Directives = parsed.to_string().parse().expect("directives");
            prop_assert_eq!(&again, &parsed);
            let longest = targets.iter().filter(|(target, _)| asked.starts_with(target)).map(|(target, _)| target.len()).max();
            let meant = targets.iter().rfind(|(target, _)| asked.starts_with(target) && Some(target.len()) == longest);
            prop_assert_eq!(parsed.level_for(&asked).number(), meant.map_or(default, |(_, level)| *level));
            prop_assert!(parsed.finest() <= parsed.level_for(&asked));
        }
    }
}
