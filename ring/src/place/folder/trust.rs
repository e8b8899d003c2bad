//! Whose a folder may be.

use crate::error::{Error, Result};
use crate::place::open;
use crate::place::owner;
use rustix::fs::{FileType, Mode, Stat};
use std::path::Path;

/// Which owners of a folder are accepted, besides the process's own user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// None: anybody may have created the folder.
    Nobody,
    /// Any user, if the process is root, which acts as that user there.
    Own,
    /// Like `Own`, and a group's folder.
    Group,
}

/// Stat of the folder, without following links.
pub(super) fn look_at(path: &Path) -> Result<Stat> {
    open::look(path).map_err(Error::io("inspect the folder", path))
}

pub(super) fn check(path: &Path, trust: Trust) -> Result<Stat> {
    let found = look_at(path)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => {}
        FileType::Symlink => {
            return Err(Error::folder(path, "it is a symbolic link; name the folder that it leads to"));
        }
        _ => return Err(Error::folder(path, "it is not a folder; name a folder of your own")),
    }
    let (owner, me) = (found.st_uid, rustix::process::geteuid().as_raw());
    if owner == me
        || trust != Trust::Nobody && owner::may_act_as(owner, found.st_gid)
        || trust == Trust::Group && is_of_my_group(&found)
    {
        return Ok(found);
    }
    Err(Error::folder(path, refusal(owner, me, trust, &found)))
}

/// Whether only members of a group of this process's may write in this folder, and its files get that group.
fn is_of_my_group(found: &Stat) -> bool {
    let (mode, own) = (Mode::from_raw_mode(found.st_mode), rustix::process::getegid().as_raw());
    let is_own = found.st_gid == own;
    let is_mine = is_own
        || rustix::process::getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == found.st_gid));
    is_mine && (is_own || mode.contains(Mode::SGID)) && mode.contains(Mode::RWXG) && !mode.contains(Mode::WOTH)
}

fn refusal(owner: u32, me: u32, trust: Trust, found: &Stat) -> String {
    let whose = format!("it belongs to user {owner}, this process runs as user {me}");
    match trust {
        Trust::Nobody => format!("{whose}; name a folder of your own"),
        _ if me == 0 => format!(
            "{whose} and may not act as that user (CAP_SETUID and CAP_SETGID, and a user that this user namespace knows)"
        ),
        Trust::Group => format!(
            "{whose}, and it is not a folder of a group of this process's: group {}, mode {:o}; expected a group that this process is in, and mode 2770 or 2775",
            found.st_gid,
            found.st_mode & 0o7777
        ),
        Trust::Own => format!(
            "{whose}; name a folder of your own, or give it to this user before the start (chown -R {me}), or set up the log after the change of user; a folder of a group's is used with group_folder = true"
        ),
    }
}
