//! What else is in a log folder: its time zone, kept levels, crash files.

use super::finding::Report;
use lastwords::__private::Requested;
use lastwords_flusher::recover::crash_name::CrashName;
use lastwords_flusher::render::amount::counted;
use lastwords_ring::format::text::escaped_path;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::kept_level::KeptLevel;
use lastwords_ring::place::zone::{Zone, kept};
use std::fs;

const ZONE: &str = "time zone";
const LEVELS: &str = "kept levels";

pub(super) fn examine(folder: &Folder, requested: Option<&Requested>, report: &mut Report) {
    zone(folder, requested, report);
    kept_levels(folder, report);
    let names = fs::read_dir(folder.path()).into_iter().flatten().flatten();
    let crashes = names.filter(|entry| entry.file_name().to_str().and_then(CrashName::parse).is_some()).count() as u64;
    if crashes > 0 {
        let show = format!("lastwords crashes {}", escaped_path(folder.path()));
        report.fine("crash files", format_args!("{}, shown by {show}", counted(crashes, "crash file")));
    }
}

fn zone(folder: &Folder, requested: Option<&Requested>, report: &mut Report) {
    let note = folder.zone_note();
    let text = fs::read_to_string(&note).ok();
    let stored = text.as_deref().and_then(|text| kept::parse(text.strip_suffix('\n')?));
    let asked = requested.and_then(|requested| requested.time_zone.as_deref());
    let is_stored = |asked: &str| stored.as_ref().is_some_and(|(name, _)| name == asked);
    if let Some(Err(why)) = asked.filter(|asked| !is_stored(asked)).map(Zone::named) {
        report.refused(ZONE, &why, "correct time_zone");
    }
    let zone = folder.zone();
    match (text.is_some(), stored) {
        (true, None) => {
            let what = format!("{} cannot be read as a zone", escaped_path(&note));
            report.warning(ZONE, what, "remove it; the next process that starts notes its own zone");
        }
        (_, Some(_)) if !zone.is_known() => {
            let what = format!("{} is unknown here, its last offset is used", zone.name());
            report.warning(ZONE, what, "install tzdata, or set time_zone to UTC or an offset");
        }
        (_, Some(_)) => report.fine(ZONE, format_args!("{}, for all files of the folder", zone.name())),
        (false, None) => report.fine(ZONE, format_args!("none noted yet; this process has {}", zone.name())),
    }
}

fn kept_levels(folder: &Folder, report: &mut Report) {
    let roles = KeptLevel::roles(folder).unwrap_or_default();
    let mut readable = Vec::new();
    for role in roles {
        match KeptLevel::read(folder, &role) {
            Ok(Some(_)) => readable.push(role),
            // Taken back since it was listed.
            Ok(None) => {}
            Err(error) => {
                let reset = format!("lastwords level --dir {} {role} --reset", escaped_path(folder.path()));
                report.warning(LEVELS, error, reset);
            }
        }
    }
    if !readable.is_empty() {
        let count = counted(readable.len() as u64, "role");
        report.fine(LEVELS, format_args!("of {count}, which count more than settings: {}", readable.join(", ")));
    }
}
