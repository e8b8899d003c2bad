//! A symbolic link in the place of a log folder.
//!
//! systemd's `DynamicUser=` creates one (`/var/log/app` leads to `private/app`), administrators create others. It is followed
//! once, when a logger is created or a tool starts; from then on the folder is its target, whatever becomes of the link. It is
//! followed only if no other user can have chosen its target:
//!
//! | what | whose it may be |
//! |---|---|
//! | each link | root's, this user's, or for a process of root's the folder owner's, as whom the process acts there |
//! | the folder that contains it | as above; and no other user may change names there: it is not world-writable, unless it is sticky, and not group-writable, except for a link of root's in a folder of root's (`/var/log` is group-writable on some systems), or for the process's own group, for root that of the folder |

use crate::error::{Error, Result};
use crate::mutant::{self, Mutant};
use crate::place::open::{self, Link};
use crate::place::owner;
use rustix::fs::{FileType, Mode, Stat};
use std::path::{Path, PathBuf};

/// Longest chain of links.
const LINKS_MAX: usize = 40;

/// The folder that a path means: the path itself, or the target of the link there. A missing path is returned as it is, unless
/// a link leads to it.
///
/// # Errors
/// [`Error::Folder`] for a link that other users could redirect, or that leads to nothing.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf> {
    let (mut at, mut links) = (path.to_owned(), Vec::new());
    let found = loop {
        match open::look_for(&at).map_err(Error::io("inspect the folder", &at))? {
            Some(found) if FileType::from_raw_mode(found.st_mode) != FileType::Symlink => break found,
            None if links.is_empty() => return Ok(at),
            None => return Err(refused(path, &at, "but nothing is there; make that folder, or name another one")),
            Some(_) if links.len() == LINKS_MAX => {
                return Err(Error::folder(path, "it is a symbolic link that leads to itself"));
            }
            Some(_) => {}
        }
        let link = open::link_at(&at).map_err(Error::io("follow the symbolic link", &at))?;
        let next = at.parent().unwrap_or(Path::new("/")).join(&link.target);
        links.push((std::mem::replace(&mut at, next), link));
    };
    if links.is_empty() {
        return Ok(at);
    }
    for (place, link) in &links {
        if let Some(why) = distrust(place, link, &found).filter(|_| !mutant::is(Mutant::AnyLinkFollowed)) {
            return Err(refused(path, &at, &why));
        }
    }
    // Its name without links, and without parts that are relative to it.
    std::fs::canonicalize(&at).map_err(Error::io("inspect the folder", &at))
}

fn refused(path: &Path, leads_to: &Path, why: &str) -> Error {
    Error::folder(path, format!("it is a symbolic link to {}, {why}", leads_to.display()))
}

/// Why another user could have chosen the target of a link; None if none could. `folder` is the final target.
fn distrust(place: &Path, link: &Link, folder: &Stat) -> Option<String> {
    let me = rustix::process::geteuid();
    let is_trusted = |uid: u32| {
        owner::is_above_all(uid)
            || uid == me.as_raw()
            || me.is_root() && uid == folder.st_uid && FileType::from_raw_mode(folder.st_mode) == FileType::Directory
    };
    let (place, parent) = (place.display(), place.parent().unwrap_or(Path::new("/")).display());
    let advice = "name the folder that it leads to";
    if !is_trusted(link.link.st_uid) {
        return Some(format!(
            "and {place} belongs to user {}, who could have it lead anywhere; {advice}",
            link.link.st_uid
        ));
    }
    let (whose, mode) = (link.folder.st_uid, Mode::from_raw_mode(link.folder.st_mode));
    let is_roots = owner::is_above_all(link.link.st_uid) && owner::is_above_all(whose);
    let group = link.folder.st_gid;
    let is_own_group = group == rustix::process::getegid().as_raw() || me.is_root() && group == folder.st_gid;
    let by_others = mode.contains(Mode::WOTH) || mode.contains(Mode::WGRP) && !is_roots && !is_own_group;
    if !is_trusted(whose) || by_others && !mode.contains(Mode::SVTX) {
        let mode = mode.as_raw_mode() & 0o7777;
        return Some(format!(
            "and others may change names in {parent} (user {whose}, group {}, mode {mode:04o}); {advice}",
            link.folder.st_gid
        ));
    }
    None
}
