//! The file systems of logs and rings.

use super::finding::Report;
use super::folder::Place;
use lastwords::__private::Requested;
use lastwords_ring::format::text::escaped_path;
use lastwords_ring::place::folder::refuse_network_at;
use std::path::Path;

const CHECK: &str = "file system";
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
const OVERLAY: u64 = 0x794c_7630;
const BTRFS: u64 = 0x9123_683e;

/// Those that are met most often; others are named by their number.
const NAMES: [(u64, &str); 9] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (BTRFS, "btrfs"),
    (TMPFS, "tmpfs"),
    (RAMFS, "ramfs"),
    (OVERLAY, "overlay"),
    (0x2fc1_2fc1, "zfs"),
    (0xf2f5_2010, "f2fs"),
    (0x6573_5546, "FUSE"),
];

pub(super) fn examine(place: &Place, requested: Option<&Requested>, report: &mut Report) {
    let is_shared = requested.is_some_and(|requested| requested.is_shared);
    let allow_fuse = requested.is_some_and(|requested| requested.allow_fuse);
    if let Err(error) = refuse_network_at(&place.rings, allow_fuse) {
        report.refused(CHECK, &error, "put the rings on a local disk or in memory (LASTWORDS_RINGS=/dev/shm/logs)");
    }
    let Some(kind) = kind(&place.logs) else { return };
    let (shown, name) = (escaped_path(&place.logs), name(kind));
    match kind {
        TMPFS | RAMFS => {
            report.warning(
                CHECK,
                format_args!("{shown} is in memory ({name}): its log files do not survive a reboot"),
                "name a folder on a disk (LASTWORDS_DIR, or `dir`)",
            );
            if requested.is_some_and(|requested| !requested.durable.is_zero()) {
                report.warning(
                    CHECK,
                    "durable is set, and nothing in memory can be synced",
                    "name a folder on a disk, or leave durable out",
                );
            }
        }
        OVERLAY => report.warning(
            CHECK,
            format_args!("{shown} is in the file system of a container ({name}): it goes away with the container"),
            "put the folder on a volume",
        ),
        BTRFS => report.fine(
            CHECK,
            format_args!("{shown} is on btrfs; rings are marked NOCOW there, and snapshots have them copied once more"),
        ),
        _ => report.fine(CHECK, format_args!("{shown} is on {name}")),
    }
    let rings = self::kind(&place.rings).filter(|rings| *rings != kind && !is_shared);
    if let Some(rings) = rings {
        let lives = if matches!(rings, TMPFS | RAMFS) { ", so they survive every process, but no reboot" } else { "" };
        report.fine(
            CHECK,
            format_args!("the rings in {} are on {}{lives}", escaped_path(&place.rings), self::name(rings)),
        );
    }
}

/// The number of the file system there.
fn kind(path: &Path) -> Option<u64> {
    rustix::fs::statfs(path).ok().map(|found| found.f_type as u64 & 0xffff_ffff)
}

fn name(kind: u64) -> String {
    let known = NAMES.iter().find(|(number, _)| *number == kind);
    known.map_or_else(|| format!("a file system of type {kind:#x}"), |(_, name)| (*name).to_owned())
}
