//! Where zones are found: the system's data, and the sources of this process's zone.
//!
//! Zones that were found are kept as long as the process lives, because it may change its root to one without such data.

use super::{Zone, is_name};
use crate::format::alike::alike;
use crate::format::text::escaped;
use crate::mutant::{self, Mutant};
use crate::place::environment::is_obeyed;
use crate::place::stderr::complain;
use crate::sys::hooks::leaked;
use crate::sys::leaked_list::LeakedList;
use jiff::tz::TimeZone;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Folders of the system's data.
const FOLDERS: [&str; 4] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
/// Precedes the name of a zone in a path.
const BEFORE_NAME: &str = "zoneinfo/";
/// The zone of the system.
const SYSTEM: &str = "/etc/localtime";
/// A larger file is not a zone; the largest one has 4 KiB.
const FILE_MAX: u64 = 1 << 20;
/// Folders that contain all zones again.
const AGAIN: [&str; 2] = ["posix", "right"];

/// The zones that were found.
static FOUND: LeakedList<Zone> = LeakedList::new();
/// The zone of this process, once requested.
static LOCAL: AtomicPtr<Zone> = AtomicPtr::new(ptr::null_mut());

/// The zone of this name, which may be any text; None if unknown here.
pub(super) fn by_name(name: &str) -> Option<Zone> {
    if name == super::UTC {
        return Some(Zone::utc());
    }
    let data = is_name(name).then(|| FOLDERS.iter().find_map(|folder| read(&Path::new(folder).join(name)))).flatten();
    let zone = data.and_then(|data| zone(name, TimeZone::tzif(name, &data).ok()?));
    match (zone, found(name)) {
        (Some(zone), None) => Some(FOUND.add(zone).clone()),
        (zone, found) => zone.or_else(|| found.cloned()),
    }
}

/// The zone of this name, or of these rules, as in `TZ`.
pub(super) fn by_name_or_rules(text: &str) -> Option<Zone> {
    by_name(text).or_else(|| by_rules(text))
}

/// The zone of these rules, in POSIX syntax.
fn by_rules(rules: &str) -> Option<Zone> {
    let is_short = rules.len() <= super::NAME_MAX && rules.bytes().all(|byte| byte.is_ascii_graphic());
    is_short.then(|| zone(rules, TimeZone::posix(rules).ok()?)).flatten()
}

fn zone(name: &str, rules: TimeZone) -> Option<Zone> {
    Some(Zone { name: name.to_owned(), rules, is_known: true })
}

fn found(name: &str) -> Option<&'static Zone> {
    FOUND.newest_first().find(|zone| zone.name == name && !mutant::is(Mutant::ZoneLost))
}

/// A file of the system's data.
fn read(path: &Path) -> Option<Vec<u8>> {
    if !fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= FILE_MAX) {
        return None;
    }
    let mut data = Vec::new();
    File::open(path).ok()?.take(FILE_MAX).read_to_end(&mut data).ok()?;
    Some(data)
}

impl Zone {
    /// The zone of this process: its `TZ` variable, else `/etc/localtime`, else UTC. Read once, because the process may change
    /// its root and its environment later.
    #[must_use]
    pub fn local() -> Zone {
        if let Some(zone) = leaked(&LOCAL) {
            return zone.clone();
        }
        let zone: &'static Zone = Box::leak(Box::new(look()));
        let place = ptr::from_ref(zone).cast_mut();
        let _ = LOCAL.compare_exchange(ptr::null_mut(), place, Ordering::AcqRel, Ordering::Acquire);
        leaked(&LOCAL).unwrap_or(zone).clone()
    }
}

fn look() -> Zone {
    // An empty variable has a meaning.
    let value = std::env::var_os("TZ").filter(|_| is_obeyed());
    let Some(value) = value else { return system().unwrap_or_else(Zone::utc) };
    let value = value.to_string_lossy();
    let text = value.strip_prefix(':').unwrap_or(&value);
    let name = text.rsplit_once(BEFORE_NAME).filter(|_| text.starts_with('/')).map_or(text, |(_, name)| name);
    // Consistent with the system's programs.
    by_name_or_rules(if name.is_empty() { super::UTC } else { name }).unwrap_or_else(|| {
        let shown: String = text.chars().take(super::NAME_MAX).collect();
        complain(format_args!("TZ={}: no such time zone here; times are in UTC", escaped(&shown)));
        Zone::utc()
    })
}

/// The zone of the system: by name, if its file is a link to that of a zone, else by the rules at the file's end.
fn system() -> Option<Zone> {
    let link = fs::read_link(SYSTEM).ok();
    let name =
        link.as_deref().and_then(Path::to_str).and_then(|link| link.rsplit_once(BEFORE_NAME)).map(|(_, name)| name);
    name.and_then(by_name).or_else(|| by_file(&read(Path::new(SYSTEM))?))
}

/// The zone in these data, named by the rules at their end. Without those its rules have ended.
fn by_file(data: &[u8]) -> Option<Zone> {
    let rules = data.strip_suffix(b"\n").and_then(|data| data.rsplit(|byte| *byte == b'\n').next());
    by_rules(std::str::from_utf8(rules?).ok()?)
}

/// The error for an unknown name.
pub(super) fn unknown(name: &str) -> String {
    let mut names = Vec::new();
    for folder in FOLDERS.map(Path::new) {
        list(folder, folder, &mut names);
    }
    if names.is_empty() {
        return format!(
            "\"{name}\" found, but this system has no time zone data ({} is missing or empty); install them (tzdata), or name \
             an offset as in +09:00, or UTC",
            FOLDERS[0]
        );
    }
    names.push(super::UTC.to_owned());
    names.sort();
    let city = |known: &&str| known.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(name));
    let all = || names.iter().map(String::as_str);
    let meant = all()
        .find(|known| known.eq_ignore_ascii_case(name))
        .or_else(|| all().find(city))
        .or_else(|| alike(name, all()));
    let meant = meant
        .map_or("expected a name as in Europe/Berlin, UTC, or an offset as in +02:00".to_owned(), |known| {
            format!("did you mean \"{known}\"?")
        });
    format!("\"{name}\" is not a time zone that this system knows; {meant}")
}

/// Names of all zones below a folder of the system's data.
fn list(top: &Path, folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(name) = path.strip_prefix(top).ok().and_then(Path::to_str).filter(|name| is_name(name)) else {
            continue;
        };
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() && !AGAIN.contains(&name) => list(top, &path, names),
            Ok(found) if found.is_file() && name.starts_with(|first: char| first.is_ascii_uppercase()) => {
                names.push(name.to_owned());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_a_variable_and_of_a_file_are_a_zone() {
        let summer = 1_752_904_547;
        for (rules, offset) in [("JST-9", 32_400), ("<+0330>-3:30", 12_600), ("CET-1CEST,M3.5.0,M10.5.0/3", 7200)] {
            assert_eq!(by_name_or_rules(rules).map(|zone| zone.offset(summer)), Some(offset), "{rules}");
            let file = format!("TZif2 of anybody\n{rules}\n");
            assert_eq!(by_file(file.as_bytes()).map(|zone| zone.offset(summer)), Some(offset), "{rules}");
        }
        assert!(
            by_name_or_rules("Nowhere/Atall").is_none()
                && by_name_or_rules("../../etc/passwd").is_none()
                && by_file(b"").is_none()
        );
        assert!(by_name_or_rules(&"JST-9".repeat(100)).is_none());
    }

    #[test]
    fn a_name_that_is_none_brings_the_one_that_was_meant() {
        if !Path::new(FOLDERS[0]).join("Europe/Berlin").exists() {
            println!("skipped: no time zone data here");
            return;
        }
        for (name, meant) in [
            ("Europe/Berln", "Europe/Berlin"),
            ("europe/berlin", "Europe/Berlin"),
            ("Tokyo", "Asia/Tokyo"),
            ("utc", "UTC"),
        ] {
            let why = Zone::named(name).expect_err(name);
            assert!(why.contains(&format!("did you mean \"{meant}\"?")), "{name}: {why}");
        }
    }
}
