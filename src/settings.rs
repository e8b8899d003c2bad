//! All settings of a logger, under one name each: of the builder's method, of the key in a configuration file, and, after
//! `LASTWORDS_` and in capitals, of the environment variable.

use crate::config::Flusher;
use crate::directives::Directives;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::full::FullPolicy;
use crate::level::Level;
use crate::ring::Memory;
use std::env;
use std::fmt::Display;
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
    allow_fuse: bool = truth,
    sigbus_guard: bool = truth,
    log_facade: bool = truth,
    panic_hook: bool = truth,
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
