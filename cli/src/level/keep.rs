//! Levels for processes of a role that start later.

use super::teller;
use crate::cli;
use crate::say;
use lastwords::{Directives, Error, Level, Result};
use lastwords_ring::format::role::{ROLE_RULE, is_role};
use lastwords_ring::format::text::{escaped, escaped_path};
use lastwords_ring::place::clock::realtime_ns;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::kept_level::{KeptLevel, KeptLevelLock};
use lastwords_ring::read::reader::RingReader;
use serde_json::{Value, json};

/// What is kept for a role, or why that cannot be read.
pub(crate) type OfRole = (String, Result<KeptLevel>);

/// Refuses what conflicts with `--keep`, with the reason.
pub(super) fn check(arguments: &cli::Level) -> Result<()> {
    let refused = |why: &str| Err(Error::Setting { name: "--keep".into(), why: why.to_owned() });
    let example = "expected a role and a level, as in `lastwords level worker debug --keep`";
    if !arguments.keep {
        return Ok(());
    }
    if arguments.time.is_some() {
        return refused("--for ends by itself, what is kept does not until --reset; leave one of them out");
    }
    if arguments.reset {
        return refused("--reset takes back what is kept; leave one of them out");
    }
    match &arguments.target {
        None => refused(&format!("no role; {example}")),
        Some(_) if arguments.directives.is_none() && arguments.ring_level.is_none() => {
            refused(&format!("no level; {example}"))
        }
        Some(target) if !is_role(target) => refused(&format!(
            "\"{}\" is not a role, and processes that start later have only that: {ROLE_RULE}; {example}",
            target.escape_default()
        )),
        Some(_) => Ok(()),
    }
}

/// Keeps it for a role; what is not given stays as it is kept.
pub(super) fn keep(
    folder: &Folder,
    role: &str,
    (log, ring_level): (Option<&Directives>, Option<Level>),
    lock: &KeptLevelLock,
) -> Result<KeptLevel> {
    let earlier = KeptLevel::read(folder, role)?;
    let kept = KeptLevel {
        log: log.cloned().or_else(|| earlier.as_ref()?.log.clone()),
        ring_level: ring_level.or_else(|| earlier?.ring_level),
        user: rustix::process::getuid().as_raw(),
        set_ns: realtime_ns(),
    };
    kept.write(folder, role, lock)?;
    Ok(kept)
}

/// Takes back what is kept for a role, or for all. Returns what it was; an unreadable file is renamed, and that is reported.
pub(super) fn take_back(folder: &Folder, target: Option<&str>, lock: &KeptLevelLock) -> Result<Vec<OfRole>> {
    let found = of(folder, target)?;
    for (role, _) in &found {
        if let Some(path) = KeptLevel::remove(folder, role, lock)? {
            say::note(format_args!("what was kept for {role} cannot be read; it is now {}", escaped_path(&path)));
        }
    }
    Ok(found)
}

/// What is kept for a role, or for all of the folder.
pub(crate) fn of(folder: &Folder, target: Option<&str>) -> Result<Vec<OfRole>> {
    let roles = KeptLevel::roles(folder)?.into_iter().filter(|role| target.is_none_or(|target| role == target));
    // Another process may have taken it back meanwhile.
    let read = |role: String| KeptLevel::read(folder, &role).transpose().map(|kept| (role, kept));
    Ok(roles.filter_map(read).collect())
}

/// Logs for the role what was kept or taken back.
pub(super) fn tell(folder: &Folder, ring: Option<&RingReader>, role: &str, text: &str) {
    let written = match ring {
        Some(ring) => teller::tell(folder, ring, text),
        None => teller::tell_ended(folder, role, text),
    };
    if let Err(error) = written {
        say::note(format_args!("the change applies, but is not logged: {error}"));
    }
}

/// `log debug, ring_level trace`.
pub(crate) fn in_words(kept: &KeptLevel) -> String {
    let log = kept.log.as_ref().map(|log| format!("log {log}"));
    let ring_level = kept.ring_level.map(|ring_level| format!("ring_level {}", Directives::from(ring_level)));
    escaped(&log.into_iter().chain(ring_level).collect::<Vec<_>>().join(", "))
}

/// A line for people.
pub(crate) fn line(role: &str, kept: &KeptLevel) -> String {
    let (words, user) = (in_words(kept), kept.user);
    format!(
        "{role}: processes that start later begin with {words} (kept by user {user}, until `lastwords level {role} --reset`)\n"
    )
}

/// JSON for programs.
pub(crate) fn object(role: &str, kept: &KeptLevel) -> Value {
    json!({
        "role": role,
        "log": kept.log.as_ref().map(ToString::to_string),
        "ring_level": kept.ring_level.map(|ring_level| Directives::from(ring_level).to_string()),
        "user": kept.user,
        "set_ns": kept.set_ns,
    })
}
