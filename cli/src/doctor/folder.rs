//! The log folder and the folder of its rings: whether they are there or can be made, whose they are, and who may write.

use super::finding::Report;
use lastwords::__private::Requested;
use lastwords::{Error, Result};
use lastwords_ring::format::text::escaped_path;
use lastwords_ring::place::folder::Folder;
use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const CHECK: &str = "folder";
const RINGS: &str = "rings folder";
/// What to do about a folder that cannot be the log folder.
pub(super) const ANOTHER: &str = "name a folder of your own (LASTWORDS_DIR, or `dir`)";

/// What to do about a folder that this user may not open.
const AS_OWNER: &str = "use one user for a log folder: run this and the programs as the one whose the rings are";

/// Where logs and rings are or will be.
pub(super) struct Place {
    /// The folder, if it exists.
    pub(super) folder: Option<Folder>,
    /// The log folder, else the nearest one above that exists.
    pub(super) logs: PathBuf,
    /// The folder of the rings, likewise.
    pub(super) rings: PathBuf,
}

/// Examines the folder at `path`, with its rings at `rings`, if those are elsewhere. None if it cannot be a log folder.
pub(super) fn examine(
    path: &Path,
    rings: Option<&Path>,
    requested: Option<&Requested>,
    report: &mut Report,
) -> Option<Place> {
    let folder = match Folder::open(path) {
        Ok(folder) => folder,
        Err(error) if error.is_not_found() => return missing(path, rings, report),
        Err(error) => {
            let forbidden = matches!(&error, Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied);
            report.refused(CHECK, &error, if forbidden { AS_OWNER } else { ANOTHER });
            return None;
        }
    };
    let found = fs::metadata(folder.path()).ok()?;
    if may_write(CHECK, folder.path(), &found, report) {
        let (path, mode) = (escaped_path(folder.path()), found.mode() & 0o7777);
        let me = geteuid().as_raw();
        let whose = if found.uid() == me { "of this user".to_owned() } else { format!("of user {}", found.uid()) };
        report.fine(CHECK, format_args!("{path}, {whose} ({me}), mode {mode:04o}"));
    }
    readers(folder.path(), &found, requested, report);
    group(folder.path(), &found, requested, report);
    let folder = with_rings(folder, rings, report)?;
    // Where they were named, also where that is yet to be made.
    let (logs, rings) = (folder.path().to_owned(), nearest(&rings.map_or_else(|| folder.rings(), Path::to_owned)));
    Some(Place { folder: Some(folder), logs, rings })
}

/// A folder that does not exist: whether it can be made.
fn missing(path: &Path, rings: Option<&Path>, report: &mut Report) -> Option<Place> {
    let above = nearest(path);
    let found = match fs::metadata(&above) {
        Ok(found) if found.is_dir() => found,
        _ => {
            report.problem(
                CHECK,
                format_args!("{} cannot be made: {} is not a folder", escaped_path(path), escaped_path(&above)),
                ANOTHER,
            );
            return None;
        }
    };
    if !may_write(CHECK, &above, &found, report) {
        return None;
    }
    report.fine(
        CHECK,
        format_args!("{} does not exist and will be made, in {}", escaped_path(path), escaped_path(&above)),
    );
    let rings = rings.map_or_else(|| above.clone(), nearest);
    Some(Place { folder: None, logs: above, rings })
}

/// The folder itself, or the first one above that exists.
fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(Path::new("/")).to_owned()
}

/// Whether this user may make files there; if not, that is reported.
fn may_write(check: &'static str, path: &Path, found: &Metadata, report: &mut Report) -> bool {
    let shown = escaped_path(path);
    match rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        Err(Errno::ROFS) => {
            let remedy = "mount it for writing, or name a folder elsewhere (LASTWORDS_DIR, or `dir`)";
            report.problem(check, format_args!("{shown} is on a file system that is mounted read-only"), remedy);
        }
        Err(error) => {
            let (me, mode, owner) = (geteuid().as_raw(), found.mode() & 0o7777, found.uid());
            let remedy = match owner == me {
                true => format!("chmod u+rwx {shown}"),
                false => format!(
                    "make the folder as root and give it to user {me} (install -d -o {me} -m 700), or {ANOTHER}"
                ),
            };
            let why = format!("user {me} may not make files in {shown}, of user {owner}, mode {mode:04o} ({error})");
            report.problem(check, why, remedy);
        }
        Ok(()) => return true,
    }
    false
}

/// Who else may write in the folder, and whether those who may read the files can reach them.
fn readers(path: &Path, found: &Metadata, requested: Option<&Requested>, report: &mut Report) {
    let (shown, mode) = (escaped_path(path), found.mode() & 0o7777);
    if mode & 0o002 != 0 {
        report.warning(
            "rights",
            format_args!("anybody may write in {shown} (mode {mode:04o})"),
            format_args!("chmod o-w {shown}"),
        );
    }
    let files = requested.map_or(0, |requested| requested.file_mode);
    let needed = (files & 0o044) >> 2;
    if mode & needed != needed {
        report.warning(
            "rights",
            format_args!(
                "file_mode {files:04o} lets others read the files, but not reach them in {shown} (mode {mode:04o})"
            ),
            format_args!("chmod {:04o} {shown}", mode | (files & 0o044) | needed),
        );
    }
}

/// Whether this user may give files there to the group that is asked for, as chown(2) decides it.
fn group(path: &Path, found: &Metadata, requested: Option<&Requested>, report: &mut Report) {
    let Some(group) = requested.and_then(|requested| requested.file_group) else { return };
    let gets_it = found.gid() == group && found.mode() & 0o2000 != 0;
    let is_own = getegid().as_raw() == group;
    let is_member = getgroups().is_ok_and(|groups| groups.iter().any(|own| own.as_raw() == group));
    let (shown, me) = (escaped_path(path), geteuid().as_raw());
    if gets_it || is_own || is_member || me == 0 {
        return report.fine("rights", format_args!("files are given to group {group}"));
    }
    report.problem(
        "rights",
        format_args!("file_group is group {group}, in which user {me} is not: init refuses that"),
        format_args!(
            "add the user to the group, or give the folder to it, as root: chgrp {group} {shown}; chmod g+s {shown}"
        ),
    );
}

/// The folder with its rings, which are not made. None if those cannot be used, which is reported.
fn with_rings(folder: Folder, rings: Option<&Path>, report: &mut Report) -> Option<Folder> {
    let is_elsewhere = rings.is_some();
    let folder = match noted(folder, rings) {
        Ok(folder) => folder,
        Err(error) => {
            let remedy = "remove the file rings.path, or name the folder of the rings (LASTWORDS_RINGS)";
            report.refused(RINGS, &error, if is_elsewhere { ANOTHER } else { remedy });
            return None;
        }
    };
    if let Some(error) = folder.refusal() {
        report.refused(RINGS, &error, ANOTHER);
        return None;
    }
    let rings = rings.map_or_else(|| folder.rings(), Path::to_owned);
    let shown = escaped_path(&rings);
    match fs::metadata(&rings) {
        Ok(found) if !may_write(RINGS, &rings, &found, report) => return None,
        Ok(found) if found.mode() & 0o022 != 0 => {
            let mode = found.mode() & 0o7777;
            report.warning(
                RINGS,
                format_args!("others may write in {shown} (mode {mode:04o})"),
                format_args!("chmod 700 {shown}"),
            );
        }
        Ok(_) => report.fine(RINGS, shown),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            report.fine(RINGS, format_args!("{shown} does not exist and will be made"))
        }
        Err(error) => {
            report.problem(RINGS, format_args!("{shown} cannot be inspected: {error}"), ANOTHER);
            return None;
        }
    }
    Some(folder)
}

/// The folder with its rings where they were named, if they are there, else where it says itself.
fn noted(folder: Folder, rings: Option<&Path>) -> Result<Folder, Error> {
    match rings {
        Some(rings) if rings.symlink_metadata().is_ok() => folder.with_existing_rings(rings),
        Some(_) => Ok(folder),
        None => folder.with_noted_rings(),
    }
}
