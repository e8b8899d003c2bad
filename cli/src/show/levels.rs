//! Ranges of levels, as people name them.

use lastwords_ring::format::level::Level;
use std::str::FromStr;

/// A level as it was given.
#[derive(Debug, Clone)]
enum Bound {
    Level(Level),
    /// One that only the processes know.
    Name(String),
}

/// A range of levels.
#[derive(Debug, Clone)]
pub(crate) struct Levels {
    low: Option<Bound>,
    high: Option<Bound>,
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Levels, String> {
        let bound = |text: &str| match text.parse::<Level>() {
            Ok(level) => Ok(Some(Bound::Level(level))),
            Err(_) if text.is_empty() => Ok(None),
            // Processes name levels as they like.
            Err(_) => Ok::<_, String>(Some(Bound::Name(text.to_owned()))),
        };
        let (low, high) = text.split_once("..").map_or((text, ""), |(low, high)| (low, high.trim_start_matches('=')));
        let levels = Levels { low: bound(low)?, high: bound(high)? };
        if levels.low.is_none() && levels.high.is_none() {
            return Err("expected a level, or a range as in debug..warning".to_owned());
        }
        Ok(levels)
    }
}

impl Levels {
    /// Replaces names by the levels that processes gave them to.
    ///
    /// # Errors
    /// For a name that nobody gave.
    pub(crate) fn resolve(&mut self, known: &[(String, Level)]) -> Result<(), String> {
        for bound in [&mut self.low, &mut self.high].into_iter().flatten() {
            let Bound::Name(name) = bound else { continue };
            let found = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            *bound = Bound::Level(found.map(|(_, level)| *level).ok_or_else(|| {
                let error = name.parse::<Level>().err().map(|error| error.to_string()).unwrap_or_default();
                format!("{error}, or a name that a process of the folder gave to a level; give its number")
            })?);
        }
        Ok(())
    }

    /// Whether a record of this level is in the range.
    pub(crate) fn has(&self, level: Option<Level>) -> bool {
        // Nobody knows where a name belongs that is in a text file alone: rather too much than too little.
        let Some(level) = level else { return true };
        let at = |bound: &Option<Bound>| if let Some(Bound::Level(level)) = bound { Some(*level) } else { None };
        at(&self.low).is_none_or(|low| low <= level) && at(&self.high).is_none_or(|high| level <= high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ranges_of_names_and_numbers() {
        let has = |text: &str, number| text.parse::<Levels>().expect(text).has(Some(Level::new(number)));
        assert!(has("warning", 30) && has("warning", 50) && !has("warning", 29));
        assert!(has("debug..info", 10) && has("debug..info", 20) && !has("debug..info", 21) && !has("debug..info", 9));
        assert!(has("..info", 1) && !has("..info", 30) && has("35..", 35) && !has("35", 34));
        let mut named: Levels = "notice".parse().expect("a name");
        assert!(named.clone().resolve(&[]).is_err());
        named.resolve(&[("NOTICE".to_owned(), Level::new(25))]).expect("known");
        assert!(named.has(Some(Level::new(25))) && !named.has(Some(Level::new(24))) && named.has(None));
        assert!("".parse::<Levels>().is_err() && "..".parse::<Levels>().is_err());
    }
}
