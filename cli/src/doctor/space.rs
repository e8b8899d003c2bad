//! Free space and inodes, against what rings and rotation need.

use super::finding::{Report, State};
use super::folder::Place;
use super::rings::FoundRings;
use lastwords::__private::Requested;
use lastwords_flusher::render::amount::memory;
use lastwords_ring::format::text::escaped_path;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const CHECK: &str = "free space";
/// Below it neither journal nor the smallest ring have room.
const SPACE_MIN: u64 = 1 << 20;
/// Ring, capture, lock, doorbell, two journals, offsets and a log file.
const INODES_MIN: u64 = 8;
/// Those, the usual rotated and crash files, and a few processes more.
const INODES: u64 = 64;

/// Examines where logs and rings are, once where that is the same file system.
pub(super) fn examine(
    place: &Place,
    role: &str,
    found: Option<&FoundRings>,
    requested: Option<&Requested>,
    report: &mut Report,
) {
    let Some(requested) = requested else { return };
    let mut needs = found.map(FoundRings::log_bytes).unwrap_or_default();
    needs.entry(role.to_owned()).or_insert(requested.log_bytes);
    let missing = |(role, most): (&String, &u64)| most.saturating_sub(taken(&place.logs, role));
    let logs = needs.iter().map(missing).fold(0, u64::saturating_add);
    let ring = if requested.is_shared { 0 } else { requested.ring_bytes };
    let device = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
    if device(&place.logs) == device(&place.rings) {
        look(&place.logs, logs.saturating_add(ring), report);
    } else {
        look(&place.logs, logs, report);
        look(&place.rings, ring, report);
    }
}

/// Bytes that a role's log files take already.
fn taken(folder: &Path, role: &str) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_its = |name: &str| name.strip_prefix(role).is_some_and(|rest| rest.starts_with('.'));
    let its = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_its));
    its.filter_map(|entry| entry.metadata().ok())
        .filter(|found| found.is_file())
        .map(|found| found.blocks() * 512)
        .sum()
}

fn look(path: &Path, need: u64, report: &mut Report) {
    let Ok(found) = rustix::fs::statvfs(path) else { return };
    let (free, shown) = (found.f_bavail.saturating_mul(found.f_frsize), escaped_path(path));
    let what = format!("{} free in {shown}; a ring and full log files take up to {} more", memory(free), memory(need));
    let remedy =
        "free some, or lower rotate_size, rotate_keep or slots_per_lane; what finds no room stays in the rings";
    match free {
        _ if free < SPACE_MIN => report.problem(CHECK, what, remedy),
        _ if free < need => report.warning(CHECK, what, remedy),
        _ => report.fine(CHECK, what),
    }
    // btrfs and others count no inodes.
    if found.f_files > 0 && found.f_favail < INODES {
        let state = if found.f_favail < INODES_MIN { State::Problem } else { State::Warning };
        let what = format!("{} inodes free in {shown}, each process and each rotated file takes some", found.f_favail);
        report.add(
            state,
            "free inodes",
            what,
            "remove files there, or name a folder elsewhere (LASTWORDS_DIR, or `dir`)",
        );
    }
}
