//! All settings of a logger, under one name each: of the builder's method, of the key in a configuration file, and, after
//! `LASTWORDS_` and in capitals, of the environment variable.

use crate::config::Flusher;
use crate::directives::Directives;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::full::FullPolicy;
use crate::level::Level;
use crate::owner::obeys_environment;
use crate::ring::Memory;
use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;
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
    file_mode: u32 = mode,
    file_group: String = plain,
    group_folder: bool = truth,
    full_policy: FullPolicy = own,
    backlog_max: u64 = number,
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

/// An octal number, as chmod(1) takes it.
fn mode(text: &str) -> Result<u32, String> {
    let octal = u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8);
    octal.map_err(|_| format!("\"{}\" found, expected an octal mode as in 0640", text.escape_default()))
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

/// An environment variable of the program's caller; an empty one says nothing. A program that runs with more rights than its
/// caller obeys none: they would say which files it makes and reads with those rights.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty() && obeys_environment())
}

/// A path that environment or configuration file say, as it was meant when this process asked first: it may have changed its
/// working directory since.
pub(crate) fn as_at_first(path: PathBuf) -> PathBuf {
    static FIRST: OnceLock<Option<PathBuf>> = OnceLock::new();
    match FIRST.get_or_init(|| env::current_dir().ok()) {
        Some(first) => first.join(path),
        None => path,
    }
}

impl Settings {
    /// These with the folders as they were meant at first, see [`as_at_first`].
    pub(crate) fn with_folders_as_at_first(self) -> Settings {
        Settings { dir: self.dir.map(as_at_first), rings: self.rings.map(as_at_first), ..self }
    }

    /// What the environment says. An empty variable says nothing.
    pub(crate) fn from_environment() -> Result<Settings> {
        let mut settings = Settings::default();
        for name in NAMES {
            let variable = format!("LASTWORDS_{}", name.to_ascii_uppercase());
            let Some(value) = self::variable(&variable) else { continue };
            match (*name, value.to_str()) {
                // A path need not be text.
                ("dir", None) => settings.dir = Some(PathBuf::from(value)),
                ("rings", None) => settings.rings = Some(PathBuf::from(value)),
                (_, None) => return Err(Error::setting(variable, format!("{value:?} found, expected text in UTF-8"))),
                (name, Some(text)) => _ = settings.set(name, text).map_err(|why| Error::setting(variable, why))?,
            }
        }
        Ok(settings.with_folders_as_at_first())
    }
}
