//! All settings of a logger, under one name each: of the builder's method, of the key in a configuration file, and, after
//! `LASTWORDS_` and in capitals, of the environment variable.

use crate::config::{self, Flusher};
use crate::directives::Directives;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::full::FullPolicy;
use crate::level::Level;
use crate::ring::Memory;
use std::env;
use std::fmt::{Debug, Display};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Makes the list, so that each setting is named once.
macro_rules! settings {
    ($($name:ident: $type:ty = $parse:expr,)*) => {
        /// Settings as far as they are given.
        #[derive(Debug, Clone, Default)]
        pub(crate) struct Settings {
            $(pub(crate) $name: Option<$type>,)*
        }

        /// Names of all settings.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        impl Settings {
            /// Takes a setting as text; false if there is none of this name.
            pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<bool, String> {
                match name {
                    $(stringify!($name) => self.$name = Some($parse(text)?),)*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// These, and where they say nothing, the others.
            #[must_use]
            pub(crate) fn or(self, others: Settings) -> Settings {
                Settings { $($name: self.$name.or(others.$name),)* }
            }

            /// The first of these that is given and differs from the same of `others`: its name and both values.
            fn difference(&self, others: &Settings) -> Option<(&'static str, String, String)> {
                $(if let (Some(ours), Some(theirs)) = (&self.$name, &others.$name) && ours != theirs {
                    return Some((stringify!($name), ours.given(), theirs.given()));
                })*
                None
            }
        }
    };
}

settings! {
    app: String = plain,
    dir: PathBuf = path,
    rings: PathBuf = path,
    log: String = directives,
    record: Level = own,
    format: Format = own,
    console: bool = truth,
    dev: bool = truth,
    utc: bool = truth,
    rotate_size: u64 = number,
    rotate_keep: u32 = number,
    durable: Duration = milliseconds,
    crash_files: u32 = number,
    pull: u32 = number,
    full_policy: FullPolicy = own,
    flusher: Flusher = own,
    memory: Memory = own,
    record_size: u32 = number,
    slots_per_lane: u32 = number,
    lanes: u32 = number,
    sigbus_guard: bool = truth,
    log_facade: bool = truth,
    panic_hook: bool = truth,
}

/// What a ring is made with where nothing says otherwise.
fn defaults() -> Settings {
    Settings {
        record: Some(Level::OFF),
        format: Some(Format::default()),
        utc: Some(false),
        rotate_size: Some(config::ROTATE_SIZE_DEFAULT),
        rotate_keep: Some(config::ROTATE_KEEP_DEFAULT),
        durable: Some(Duration::ZERO),
        crash_files: Some(config::CRASH_FILES_DEFAULT),
        pull: Some(0),
        full_policy: Some(FullPolicy::default()),
        flusher: Some(Flusher::default()),
        memory: Some(Memory::default()),
        record_size: Some(config::RECORD_SIZE_DEFAULT),
        slots_per_lane: Some(config::SLOTS_DEFAULT),
        lanes: Some(config::LANES_DEFAULT),
        sigbus_guard: Some(false),
        ..Settings::default()
    }
}

/// A value as it is given as text.
trait Given: Debug {
    fn given(&self) -> String {
        // Names of variants: `DropNewest` is `drop_newest`.
        let text = format!("{self:?}");
        let parts = text.char_indices().flat_map(|(at, c)| {
            let between = (at > 0 && c.is_ascii_uppercase()).then_some('_');
            between.into_iter().chain(c.to_lowercase())
        });
        parts.collect()
    }
}

impl Given for Format {}
impl Given for FullPolicy {}
impl Given for Flusher {}
impl Given for Memory {}
impl Given for bool {}
impl Given for u32 {}
impl Given for u64 {}

impl Given for String {
    fn given(&self) -> String {
        format!("{self:?}")
    }
}

impl Given for PathBuf {
    fn given(&self) -> String {
        format!("{self:?}")
    }
}

impl Given for Duration {
    fn given(&self) -> String {
        self.as_millis().to_string()
    }
}

impl Given for Level {
    fn given(&self) -> String {
        Directives::from(*self).to_string()
    }
}

fn plain(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// Types whose errors say what was found and what was expected.
fn own<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{error}"))
}

fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("\"{}\" found, expected a number", text.escape_default()))
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("\"{}\" found, expected true or false", text.escape_default()))
}

fn directives(text: &str) -> Result<String, String> {
    text.parse::<Directives>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let milliseconds = text.parse().map_err(|_| format!("\"{}\" found, expected milliseconds", text.escape_default()));
    milliseconds.map(Duration::from_millis)
}

impl Settings {
    /// What a logger that exists is asked to be besides what it is: an error if it cannot. `ours` are the settings that it was
    /// made with.
    ///
    /// What a ring is made with stays as long as the process. Place and name of the logger are how it was found, what is
    /// written is said anew, and the rest concerns the process's own logger, not one that is a value.
    pub(crate) fn refuse_others(&self, ours: &Settings) -> Result<()> {
        let asked = Settings {
            app: None,
            dir: None,
            log: None,
            console: None,
            dev: None,
            log_facade: None,
            panic_hook: None,
            ..self.clone()
        };
        let Some((name, asked, has)) = asked.difference(&ours.clone().or(defaults())) else { return Ok(()) };
        let why = format!("{asked} found, but this process logs to the same role and folder with {has} already");
        Err(Error::setting(name, why))
    }

    /// What the environment says. An empty variable says nothing.
    pub(crate) fn from_environment() -> Result<Settings> {
        let mut settings = Settings::default();
        for name in NAMES {
            let variable = format!("LASTWORDS_{}", name.to_ascii_uppercase());
            let Some(value) = env::var_os(&variable).filter(|value| !value.is_empty()) else { continue };
            match (*name, value.to_str()) {
                // A path need not be text.
                ("dir", None) => settings.dir = Some(PathBuf::from(value)),
                ("rings", None) => settings.rings = Some(PathBuf::from(value)),
                (_, None) => return Err(Error::setting(variable, format!("{value:?} found, expected text in UTF-8"))),
                (name, Some(text)) => _ = settings.set(name, text).map_err(|why| Error::setting(variable, why))?,
            }
        }
        Ok(settings)
    }
}
