//! All settings of a logger, under one name each: of the builder's method, of the key in a configuration file, and, after
//! `LASTWORDS_` and in capitals, of the environment variable.

use crate::config::defaults;
use crate::config::flusher_role::Flusher;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::alike::{PREFIX, alike};
use lastwords_ring::format::columns::Columns;
use lastwords_ring::format::compress::Compress;
use lastwords_ring::format::directives::Directives;
use lastwords_ring::format::file_settings::CRASH_TOTAL_DEFAULT;
use lastwords_ring::format::full_policy::FullPolicy;
use lastwords_ring::format::layout::CRASH_FILES_DEFAULT;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::log_format::Format;
use lastwords_ring::format::rotate_every::RotateEvery;
use lastwords_ring::format::text_layout::TimeDigits;
use lastwords_ring::place::access::FILE_MODE_DEFAULT;
use lastwords_ring::place::capture_file::STACK_DEFAULT;
use lastwords_ring::place::environment;
use lastwords_ring::place::stderr::complain;
use lastwords_ring::place::zone;
use lastwords_ring::write::backlog::BUDGET_DEFAULT;
use lastwords_ring::write::ring::Memory;
use std::borrow::Cow;
use std::env;
use std::fmt::{Debug, Display};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Generates the list, so that each setting is named once: with what reads it from text, what shows it in an error, and its
/// default if that is always the same.
macro_rules! settings {
    ($($name:ident: $type:ty = $parse:expr, $show:expr $(, $default:expr)?;)*) => {
        /// Settings, as far as they are given.
        #[derive(Debug, Clone, Default)]
        pub(crate) struct Settings {
            $(pub(crate) $name: Option<$type>,)*
            /// The sources of settings that were not given to a builder, by name: their errors begin with these.
            origins: Vec<(&'static str, String)>,
        }

        /// Names of all settings.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        impl Settings {
            /// The defaults of a logger.
            fn defaults() -> Settings {
                Settings { $($($name: Some($default),)?)* ..Settings::default() }
            }

            /// Sets a setting from text; false if the name is unknown.
            pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<bool, String> {
                match name {
                    $(stringify!($name) => self.$name = Some($parse(text)?),)*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// These, with the others as fallback.
            #[must_use]
            pub(crate) fn or(mut self, mut others: Settings) -> Settings {
                $(if self.$name.is_none() && others.$name.is_some() {
                    self.$name = others.$name.take();
                    self.origins.extend(others.origins.iter().find(|origin| origin.0 == stringify!($name)).cloned());
                })*
                self
            }

            /// The first of these that differs from its counterpart in `others`: its name and both values.
            fn difference(&self, others: &Settings) -> Option<(&'static str, String, String)> {
                $(if self.$name != others.$name {
                    let name = stringify!($name);
                    let show = |value: &Option<$type>| value.as_ref().map_or_else(|| "none".to_owned(), $show);
                    return Some((name, show(&self.$name), show(&others.$name)));
                })*
                None
            }
        }
    };
}

settings! {
    app: String = plain, quoted;
    dir: PathBuf = path, quoted;
    rings: PathBuf = path, quoted;
    log: String = directives, quoted, Directives::from(Level::INFO).to_string();
    ring_level: Level = own, as_directive, Level::OFF;
    format: Format = own, choice, Format::default();
    columns: Columns = own, ToString::to_string, Columns::NONE;
    time_digits: TimeDigits = own, ToString::to_string, TimeDigits::Three;
    time_offset: bool = truth, ToString::to_string, false;
    console: bool = truth, ToString::to_string, false;
    console_all_levels: bool = truth, ToString::to_string, false;
    time_zone: String = zone, quoted;
    rotate_size: u64 = size, ToString::to_string, defaults::ROTATE_SIZE_DEFAULT;
    rotate_keep: u32 = number, ToString::to_string, defaults::ROTATE_KEEP_DEFAULT;
    compress: Compress = own, ToString::to_string, Compress::Never;
    rotate_every: RotateEvery = own, ToString::to_string, RotateEvery::Never;
    keep_total: u64 = size, ToString::to_string, 0;
    keep_for: Duration = age, in_units, Duration::ZERO;
    durable: Duration = milliseconds, in_milliseconds, Duration::ZERO;
    crash_files: u32 = number, ToString::to_string, CRASH_FILES_DEFAULT;
    crash_total: u64 = size, ToString::to_string, CRASH_TOTAL_DEFAULT;
    crash_capture: bool = truth, ToString::to_string, true;
    crash_stack: u32 = size_u32, ToString::to_string, STACK_DEFAULT;
    crash_threads: bool = truth, ToString::to_string, false;
    context_on_error: u32 = number, ToString::to_string, 0;
    file_mode: u32 = mode, octal, FILE_MODE_DEFAULT;
    file_group: String = plain, quoted;
    group_folder: bool = truth, ToString::to_string, false;
    full_policy: FullPolicy = own, choice, FullPolicy::default();
    backlog_max: u64 = size, ToString::to_string;
    flusher: Flusher = own, choice, Flusher::default();
    memory: Memory = own, choice, Memory::default();
    record_size: u32 = number, ToString::to_string, defaults::RECORD_SIZE_DEFAULT;
    slots_per_lane: u32 = number, ToString::to_string, defaults::SLOTS_DEFAULT;
    lanes: u32 = number, ToString::to_string, defaults::LANES_DEFAULT;
    allow_fuse: bool = truth, ToString::to_string, false;
    sigbus_guard: bool = truth, ToString::to_string, true;
    log_facade: bool = truth, ToString::to_string, true;
    panic_hook: bool = truth, ToString::to_string, true;
}

fn quoted(value: &impl Debug) -> String {
    format!("{value:?}")
}

fn octal(mode: &u32) -> String {
    format!("{mode:04o}")
}

fn in_milliseconds(time: &Duration) -> String {
    time.as_millis().to_string()
}

fn as_directive(level: &Level) -> String {
    Directives::from(*level).to_string()
}

/// The name of a variant as in a setting: `DropNewest` is `drop_newest`.
fn choice(value: &impl Debug) -> String {
    let name = format!("{value:?}");
    let parts = name.char_indices().flat_map(|(at, c)| {
        let between = (at > 0 && c.is_ascii_uppercase()).then_some('_');
        between.into_iter().chain(c.to_lowercase())
    });
    parts.collect()
}

fn plain(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// For types whose errors say what was found and what was expected.
fn own<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// The zone is checked when the folder is known, which may keep one that is unknown here.
fn zone(text: &str) -> Result<String, String> {
    zone::refuse_form(text).map(|()| text.to_owned())
}

fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("\"{}\" found, expected a number", text.escape_default()))
}

/// An octal number, as in chmod(1).
fn mode(text: &str) -> Result<u32, String> {
    let octal = u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8);
    octal.map_err(|_| format!("\"{}\" found, expected an octal mode as in 0640", text.escape_default()))
}

/// A number of bytes, as `10485760`, `10M`, `10 MB` or `10MiB`: all of these are powers of 1024, as for `ulimit` and logrotate.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{}\" found, expected bytes, as in 10485760, 512K or 10M", text.escape_default());
    let (digits, unit) = text.trim().split_at(text.trim().bytes().take_while(u8::is_ascii_digit).count());
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(wrong)
}

/// The same, of which nobody wants 4 GiB.
fn size_u32(text: &str) -> Result<u32, String> {
    size(text).map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX))
}

fn truth(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("\"{}\" found, expected true or false (or yes, no, on, off, 1, 0)", text.escape_default())),
    }
}

fn directives(text: &str) -> Result<String, String> {
    text.parse::<Directives>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let milliseconds = text.parse().map_err(|_| format!("\"{}\" found, expected milliseconds", text.escape_default()));
    milliseconds.map(Duration::from_millis)
}

/// Units of an age and their seconds, the largest first.
const AGE_UNITS: [(&str, u64); 5] = [("w", 7 * 86_400), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// An age with its unit: `30d`, `12h`; 0 for none.
fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{}\" found, expected a time as in 30d, 12h or 90m, or 0 for none", text.escape_default());
    let (digits, unit) = text.trim().split_at(text.trim().bytes().take_while(u8::is_ascii_digit).count());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let known = AGE_UNITS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, seconds)| *seconds);
    let seconds = known.or((number == 0 && unit.is_empty()).then_some(1));
    seconds.and_then(|seconds| number.checked_mul(seconds)).map(Duration::from_secs).ok_or_else(wrong)
}

/// An age in the largest unit that it is a multiple of.
fn in_units(age: &Duration) -> String {
    let seconds = age.as_secs();
    let unit = AGE_UNITS.iter().find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit));
    unit.map_or_else(|| seconds.to_string(), |(name, unit)| format!("{}{name}", seconds / unit))
}

/// A path from environment or configuration file, as resolved when this process first used it: it may have changed its working
/// directory since.
pub(crate) fn as_at_first(path: PathBuf) -> PathBuf {
    static FIRST: OnceLock<Option<PathBuf>> = OnceLock::new();
    match FIRST.get_or_init(|| env::current_dir().ok()) {
        Some(first) => first.join(path),
        None => path,
    }
}

impl Settings {
    /// These with the folders as first resolved, see [`as_at_first`].
    pub(crate) fn with_folders_as_at_first(self) -> Settings {
        Settings { dir: self.dir.map(as_at_first), rings: self.rings.map(as_at_first), ..self }
    }

    /// These with the others' names for the same folders.
    pub(crate) fn with_folders_of(&self, others: &Settings) -> Settings {
        let name = |ours: &Option<PathBuf>, theirs: &Option<PathBuf>| {
            let real = |path: &Option<PathBuf>| path.as_ref().and_then(|path| path.canonicalize().ok());
            let is_same = real(ours).is_some_and(|path| Some(path) == real(theirs));
            if is_same { theirs.clone() } else { ours.clone() }
        };
        Settings { dir: name(&self.dir, &others.dir), rings: name(&self.rings, &others.rings), ..self.clone() }
    }

    /// These, with the defaults as fallback.
    pub(crate) fn or_defaults(self) -> Settings {
        let shared = self.memory == Some(Memory::Shared);
        let backlog_max = if shared { None } else { Some(BUDGET_DEFAULT) };
        self.or(Settings { backlog_max, ..Settings::defaults() })
    }

    /// An error if a logger as a value is requested with settings that it does not have. `ours` are its settings.
    ///
    /// A ring's own settings are permanent. Folder and role are how the logger was found, the filter can be changed, and the
    /// rest concerns the process's own logger, not one that is a value.
    pub(crate) fn refuse_others(&self, ours: &Settings) -> Result<()> {
        let mut ours = ours.clone().or_defaults();
        ours.rings = ours.rings.or_else(|| ours.dir.as_ref().map(|dir| dir.join("rings")));
        let asked = Settings {
            app: None,
            dir: None,
            log: None,
            console: None,
            console_all_levels: None,
            log_facade: None,
            panic_hook: None,
            ..self.with_folders_of(&ours)
        };
        asked.or(ours.clone()).refuse_difference(&ours, "logs to the same role and folder")
    }

    /// An error that names the first setting that differs, and both values.
    pub(crate) fn refuse_difference(&self, ours: &Settings, made: &'static str) -> Result<()> {
        let Some((name, asked, has)) = self.difference(ours) else { return Ok(()) };
        Err(Error::SettingDiffers { name, asked, has, made })
    }

    /// The settings in the environment. An empty variable is treated as unset.
    pub(crate) fn from_environment() -> Result<Settings> {
        if let Some(clock) = environment::variable(CLOCK).filter(|clock| clock != "boottime") {
            return Err(Error::setting(CLOCK, format!("{clock:?} found, expected boottime, or no such variable")));
        }
        let mut settings = Settings::default();
        for name in NAMES {
            let variable = format!("LASTWORDS_{}", name.to_ascii_uppercase());
            let Some(value) = environment::variable(&variable) else { continue };
            match (*name, value.to_str()) {
                // A path need not be UTF-8.
                ("dir", None) => settings.dir = Some(PathBuf::from(value)),
                ("rings", None) => settings.rings = Some(PathBuf::from(value)),
                (_, None) => return Err(Error::setting(variable, format!("{value:?} found, expected text in UTF-8"))),
                (name, Some(text)) => {
                    _ = settings.set(name, text).map_err(|why| Error::setting(variable.clone(), why))?
                }
            }
            settings.origins.push((name, variable));
        }
        Ok(settings.with_folders_as_at_first())
    }

    /// Notes for every setting its source: `origin` of its name.
    #[cfg(feature = "config")]
    pub(crate) fn come_from(&mut self, origin: impl Fn(&str) -> String) {
        self.origins = NAMES.iter().map(|name| (*name, origin(name))).collect();
    }

    /// The prefix of a setting's error: the variable, or file and key, that it comes from, else its own name.
    pub(crate) fn origin(&self, name: &'static str) -> Cow<'static, str> {
        let known = self.origins.iter().find(|(known, _)| *known == name);
        known.map_or(Cow::Borrowed(name), |(_, origin)| Cow::Owned(origin.clone()))
    }
}

/// The variable that selects the clock, see [`crate::clock`].
const CLOCK: &str = "LASTWORDS_CLOCK";
/// Variables of ours that are not settings.
const OTHER_VARIABLES: [&str; 4] = ["LASTWORDS_ROLE", "LASTWORDS_CONFIG", CLOCK, "LASTWORDS_MUTANT"];

/// A variable with our prefix that is not ours, with the one that was probably meant.
pub(crate) type UnknownVariable = (String, Option<String>);

/// Unknown variables with our prefix.
pub(crate) fn unknown_variables() -> Vec<UnknownVariable> {
    let known: Vec<String> = NAMES.iter().map(|name| format!("{PREFIX}{}", name.to_ascii_uppercase())).collect();
    let is_ours = |name: &str| known.iter().any(|known| known == name) || OTHER_VARIABLES.contains(&name);
    let ours = env::vars_os().map(|(variable, _)| variable.to_string_lossy().into_owned());
    let unknown = ours.filter(|variable| variable.starts_with(PREFIX) && !is_ours(variable));
    let with_likely = |variable: String| {
        let all = known.iter().map(String::as_str).chain(OTHER_VARIABLES);
        let likely = alike(&variable, all).map(str::to_owned);
        (variable, likely)
    };
    unknown.map(with_likely).collect()
}

/// Reports unknown variables, once per process: a misspelt setting is not silently ignored.
pub(crate) fn name_unknown_variables() {
    if NAMED.swap(true, Ordering::Relaxed) {
        return;
    }
    for (variable, likely) in unknown_variables() {
        let meant = likely.map_or_else(String::new, |likely| format!("; did you mean {likely}?"));
        complain(format_args!("{} is not a setting and is ignored{meant}", variable.escape_debug()));
    }
}

/// Like [`name_unknown_variables`], for a caller that reports them itself.
pub(crate) fn take_unknown_variables() -> Vec<UnknownVariable> {
    NAMED.store(true, Ordering::Relaxed);
    unknown_variables()
}

/// Whether the unknown variables of this process were reported.
static NAMED: AtomicBool = AtomicBool::new(false);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_truth_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("4096", Some(4096)),
            ("10M", Some(10 << 20)),
            ("10 MiB", Some(10 << 20)),
            ("512k", Some(512 << 10)),
            ("1g", Some(1 << 30)),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
        for text in ["", "M", "10T", "1.5M", "-1", "99999999999G"] {
            assert!(size(text).is_err_and(|why| why.contains("expected bytes, as in")), "{text}");
        }
        for (text, value) in
            [("yes", true), ("On", true), ("1", true), ("TRUE", true), ("no", false), ("off", false), ("0", false)]
        {
            assert_eq!(truth(text), Ok(value), "{text}");
        }
        assert!(truth("2").is_err());
    }

    #[test]
    fn ages_are_read_with_their_units_and_shown_in_the_largest() {
        for (text, seconds, shown) in [
            ("90s", 90, "90s"),
            ("120m", 7200, "2h"),
            ("48h", 172_800, "2d"),
            (" 14 d", 1_209_600, "2w"),
            ("1w", 604_800, "1w"),
            ("0", 0, "0"),
            ("0d", 0, "0"),
        ] {
            let found = age(text);
            assert_eq!(found, Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(found.as_ref().map(in_units).as_deref(), Ok(shown), "{text}");
        }
        for text in ["", "7", "d", "-1d", "1.5h", "7 days", "99999999999999999999d", "18446744073709551615w"] {
            assert!(age(text).is_err_and(|why| why.contains("expected a time as in 30d, 12h or 90m")), "{text}");
        }
    }
}
