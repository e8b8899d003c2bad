//! The configuration file that `LASTWORDS_CONFIG` names.
//!
//! ```toml
//! log = "info,hyper=warn"
//! rotate_keep = 10
//!
//! [role.worker]
//! ring_level = "trace"
//! ```

use crate::config::settings::{NAMES, Settings, as_at_first};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::alike::alike;
use lastwords_ring::place::environment::variable;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The environment variable.
const VARIABLE: &str = "LASTWORDS_CONFIG";
/// The table with one table for each role.
const ROLE: &str = "role";

/// The configuration file's settings for a process of this role: those in the role's table come before the rest.
pub(crate) fn settings(role: &str) -> Result<Settings> {
    let Some(path) = variable(VARIABLE).map(PathBuf::from).map(as_at_first) else {
        return Ok(Settings::default());
    };
    let text = std::fs::read_to_string(&path).map_err(Error::io("read the configuration file", &path))?;
    let mut settings = parse(&text, role).map_err(|why| refused(&path, &why))?;
    settings.come_from(|name| format!("{VARIABLE}: {}: \"{name}\"", path.display()));
    Ok(settings.with_folders_as_at_first())
}

fn refused(path: &Path, why: &str) -> Error {
    Error::setting(VARIABLE, format!("{}: {}", path.display(), why.trim_end()))
}

fn parse(text: &str, role: &str) -> Result<Settings, String> {
    let mut table: Table = text.parse().map_err(|error| place_of(text, &error))?;
    let mut own = Settings::default();
    match table.remove(ROLE) {
        None => {}
        Some(Value::Table(roles)) => {
            for (name, settings) in roles {
                let Value::Table(settings) = settings else {
                    return Err(format!("\"role.{name}\" is not a table, expected [role.{name}] with settings below"));
                };
                // Those of other roles too, so that a mistake shows in every process that reads the file.
                let settings = take(&settings, &format!("role.{name}."))?;
                if name == role {
                    own = settings;
                }
            }
        }
        Some(_) => return Err("\"role\" is not a table, expected [role.NAME] with settings below".to_owned()),
    }
    Ok(own.or(take(&table, "")?))
}

/// Place and kind of the error, without the text: users who may not read the file may see the error.
fn place_of(text: &str, error: &toml::de::Error) -> String {
    let what = error.message();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return what.to_owned() };
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {}, column {column}: {what}", before.matches('\n').count() + 1)
}

fn take(table: &Table, prefix: &str) -> Result<Settings, String> {
    let mut settings = Settings::default();
    for (name, value) in table {
        let text = match value {
            Value::String(text) => text.clone(),
            // 640 cannot be distinguished from 0o640, which is 416.
            Value::Integer(_) if name == "file_mode" => {
                return Err(format!("\"{prefix}{name}\" is an integer, expected text as in \"0640\""));
            }
            Value::Integer(number) => number.to_string(),
            Value::Boolean(value) => value.to_string(),
            other => {
                let kind = other.type_str();
                return Err(format!(
                    "\"{prefix}{name}\" is of type {kind}, expected text, an integer or a truth value"
                ));
            }
        };
        match settings.set(name, &text) {
            Ok(true) => {}
            Ok(false) => return Err(format!("unknown setting \"{prefix}{name}\"; {}", suggest(name))),
            Err(why) => return Err(format!("\"{prefix}{name}\": {why}")),
        }
    }
    Ok(settings)
}

/// The setting that an unknown name was probably meant to be.
pub(crate) fn suggest(name: &str) -> String {
    if name == "utc" {
        return "write time_zone = \"UTC\"".to_owned();
    }
    match alike(name, NAMES.iter().copied()) {
        Some(known) => format!("did you mean \"{known}\"?"),
        None => format!("expected one of {}", NAMES.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastwords_ring::format::level::Level;

    #[test]
    fn a_roles_own_settings_come_before_those_of_all() {
        let text = "log = \"warn\"\nrotate_keep = 9\ntime_zone = \"UTC\"\n[role.worker]\nlog = \"debug\"\nring_level = \"trace\"\n";
        let worker = parse(text, "worker").expect("settings");
        assert_eq!((worker.log.as_deref(), worker.ring_level), (Some("debug"), Some(Level::TRACE)));
        assert_eq!((worker.rotate_keep, worker.time_zone.as_deref(), worker.lanes), (Some(9), Some("UTC"), None));
        let host = parse(text, "host").expect("settings");
        assert_eq!((host.log.as_deref(), host.ring_level), (Some("warn"), None));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        for (text, parts) in [
            ("rotate_kep = 3", &["unknown setting \"rotate_kep\"", "did you mean \"rotate_keep\"?"][..]),
            ("[role.w]\nlgo = \"info\"", &["\"role.w.lgo\"", "did you mean \"log\"?"]),
            ("zzz = 1", &["expected one of app, dir,"]),
            ("lanes = \"many\"", &["\"lanes\"", "\"many\" found"]),
            ("lanes = 1.5", &["\"lanes\" is of type float"]),
            ("log = \"a=loud\"", &["\"log\"", "\"loud\" is not a level"]),
            ("role = 3", &["\"role\" is not a table"]),
            ("[role]\nworker = 3", &["\"role.worker\" is not a table"]),
            ("file_mode = 0o640", &["\"file_mode\" is an integer", "\"0640\""]),
            ("file_mode = \"rw\"", &["\"rw\" found, expected an octal mode"]),
            ("console = true\nlog = ", &["line 2, column 7: "]),
        ] {
            let why = parse(text, "worker").map(|_| ()).expect_err(text);
            assert!(parts.iter().all(|part| why.contains(part)), "{text}: {why}");
        }
    }

    #[test]
    fn an_error_shows_nothing_of_the_file() {
        for text in [
            "root:$6$secret:19000:0:99999:7:::\n",
            "a = \"secret\nb",
            "[secret",
            "x = secret",
            "a = 1\na = \"secret\"",
            "\u{0}secret",
        ] {
            let why = parse(text, "worker").map(|_| ()).expect_err(text);
            assert!(!why.contains("secret") && why.contains("line "), "{text:?}: {why}");
        }
    }
}
