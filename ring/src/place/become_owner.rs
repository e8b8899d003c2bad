//! A root tool becomes the owner of the folders that it works in.

use crate::error::{Error, Result};
use crate::mutant::{self, Mutant};
use crate::place::folder;
use crate::place::open;
use crate::place::owner::is_mapped;
use crate::sys::user::{self, Groups};
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// For a tool that runs as root: makes the process the owner of these log folders, permanently. Must be called before any
/// thread is started and anything in the folders is touched. With a folder of root's it stays root; a path that is missing or
/// not a folder is reported when it is opened.
///
/// # Errors
/// [`Error::Folder`] if the process has no right to become the owner, if the owner is not mapped in this user namespace, if the
/// folders have different owners, and if another user than root could exchange a folder that leads to one of root's.
pub fn become_owner_of(folders: &[PathBuf]) -> Result<()> {
    if !geteuid().is_root() || mutant::is(Mutant::RootStays) {
        return Ok(());
    }
    let mut found: Option<Owner<'_>> = None;
    for path in folders {
        let Some(owner) = Owner::of(path)? else { continue };
        match &found {
            Some(other) if other.uid != owner.uid => {
                let (a, b) = (other.uid, other.path.display());
                let why = format!(
                    "it belongs to user {}, and {b} to user {a}; name folders of one owner at a time",
                    owner.uid
                );
                return Err(Error::folder(path, why));
            }
            _ => found = Some(owner),
        }
    }
    found.map_or(Ok(()), |owner| owner.become_it())
}

/// The user who writes in a log folder.
struct Owner<'a> {
    path: &'a Path,
    uid: u32,
    gid: u32,
}

impl Owner<'_> {
    fn of(path: &Path) -> Result<Option<Owner<'_>>> {
        let look = || Error::io("inspect the folder", path);
        let absolute = match folder::resolved(path) {
            Err(Error::Io { source, .. }) if is_no_folder(&source) => return Ok(None),
            resolved => resolved?,
        };
        let (folder, astray) = match open::walk(&absolute) {
            // The error is reported when the folder is opened.
            Err(error) if is_no_folder(&error) => return Ok(None),
            walked => walked.map_err(look())?,
        };
        let found = rustix::fs::fstat(&folder).map_err(|error| look()(error.into()))?;
        let (uid, gid) = writer(&folder, &found);
        if uid == 0
            && let Some(astray) = astray
        {
            let why = format!(
                "it belongs to root, and the owner of {} could have led there; give the folder to that user, or move it to where only root may change names",
                astray.display()
            );
            return Err(Error::folder(path, why));
        }
        Ok(Some(Owner { path, uid, gid }))
    }

    fn become_it(self) -> Result<()> {
        let Owner { path, uid, gid } = self;
        if uid == 0 {
            return Ok(());
        }
        let refuse = |why: String| Error::folder(path, format!("it belongs to user {uid}, {why}"));
        if !is_mapped(uid) {
            return Err(refuse("whom this user namespace does not know; run this outside of it".to_owned()));
        }
        let groups = user::groups_of(uid).unwrap_or(Groups { primary: gid, all: vec![gid] });
        user::become_user(uid, &groups).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::INVAL) => refuse("who, or whose group, is not mapped in this user namespace; run this outside of it".to_owned()),
            Some(Errno::PERM) => refuse(
                "and this process of root may not become that user (it needs CAP_SETUID and CAP_SETGID); run this as that user".to_owned(),
            ),
            _ => refuse(format!("and this process cannot become that user: {error}")),
        })
    }
}

fn is_no_folder(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The owner of the folder; if that is root, the owner of its rings: in a group's folder those belong to the user who writes.
fn writer(folder: &File, found: &Stat) -> (u32, u32) {
    let rings = rustix::fs::statat(folder, "rings", AtFlags::SYMLINK_NOFOLLOW).ok();
    let rings =
        rings.filter(|rings| found.st_uid == 0 && FileType::from_raw_mode(rings.st_mode) == FileType::Directory);
    rings.map_or((found.st_uid, found.st_gid), |rings| (rings.st_uid, rings.st_gid))
}
