//! How large a ring may be where there is little room: others will come, and each gets a share.

use crate::error::{Error, Result};
use crate::format::geometry::Geometry;
use crate::format::layout::{RingHeader, ring_flag};
use crate::place::open;
use crate::sys::fsize;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::Path;

/// A ring of the requested size leaves others as much room as it takes.
const WHOLE_SHARE: u64 = 2;

/// If there is no room for that, it takes at most this share of the free space.
const SMALLER_SHARE: u64 = 8;

/// The size to try first. One that cannot be had is not attempted: it would take the space of others until it fails.
///
/// # Errors
/// [`Error::FileSizeLimit`] for a limit below the smallest ring.
pub(super) fn first(wanted: Geometry, place: &Path) -> Result<Geometry> {
    let allowed = within_file_size_limit(wanted)?;
    let fits = allowed.file_size() <= free_space(place) / WHOLE_SHARE;
    Ok(if fits { allowed } else { share(allowed, place) })
}

/// This size, or the largest smaller one that is no more than its share of the free space.
pub(super) fn share(size: Geometry, place: &Path) -> Geometry {
    size.within(free_space(place) / SMALLER_SHARE)
}

/// Fails as a full disk does if a ring has taken more than its share: others were made at the same moment, and each saw the
/// space that all of them have taken now. The smallest has no share.
pub(super) fn leave_for_others(file: &File, geometry: Geometry, header: &RingHeader) -> io::Result<()> {
    if geometry.smaller().is_none() {
        return Ok(());
    }
    let share = if header.flags & ring_flag::SMALLER == 0 { WHOLE_SHARE } else { SMALLER_SHARE };
    let left = rustix::fs::fstatvfs(file).map_or(u64::MAX, |found| found.f_bfree.saturating_mul(found.f_frsize));
    if geometry.file_size() <= left / (share - 1) { Ok(()) } else { Err(Errno::NOSPC.into()) }
}

/// The ring size that the file size limit allows: fallocate(2) beyond it would kill the process by SIGXFSZ.
fn within_file_size_limit(wanted: Geometry) -> Result<Geometry> {
    let limit = fsize::limit();
    let found = wanted.within(limit);
    if found.file_size() <= limit {
        return Ok(found);
    }
    let smallest = found.file_size();
    let why = format!("the smallest ring takes {smallest}; raise it");
    Err(Error::FileSizeLimit { limit, why })
}

/// Bytes that are free in this folder; no limit if unknown.
fn free_space(place: &Path) -> u64 {
    open::file_system(place).map_or(u64::MAX, |found| found.f_bfree.saturating_mul(found.f_frsize as u64))
}
