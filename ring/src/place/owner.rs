//! In whose name files are made: one user writes in a log folder, its owner.
//!
//! | who | in a folder of another user |
//! |---|---|
//! | a process of an ordinary user | is refused |
//! | a process of root | makes the files there as the folder's owner: each thread for the moment (`Acting`), the flusher's thread as long as it lives (`act_for_good`) |
//! | a tool of root | becomes that user for good, before it touches anything ([`become_owner_of`]) |
//!
//! Otherwise files of root's would stand where the owner can neither write nor remove them, and somebody who exchanges the
//! folder for a link would have root write where only root may. What a thread acts as is its own: the program's other
//! threads stay what they are, and where the program changes its user, all of them follow.

use crate::mutant::{self, Mutant};
use crate::sys::user;
use rustix::process::geteuid;
use std::cell::Cell;

pub use tool::become_owner_of;

/// The user that the kernel shows for owners which this user namespace does not know.
const UNKNOWN_USER: u32 = 65_534;

thread_local! {
    /// The thread acts as somebody else already.
    static ACTS: Cell<bool> = const { Cell::new(false) };
}

/// The calling thread makes files as another user, until this is dropped.
#[derive(Debug)]
pub(crate) struct Acting(());

impl Acting {
    /// Has a thread of root's make files as this user and group. None where there is nothing to change, or no right to.
    pub(crate) fn begin(uid: u32, gid: u32) -> Option<Acting> {
        if uid == 0 || ACTS.get() || !geteuid().is_root() || mutant::is(Mutant::ActsAsRoot) {
            return None;
        }
        let acting = Acting(());
        ACTS.set(true);
        // Where it fails in part, the drop puts all of it back.
        user::act_as(uid, gid).then_some(acting)
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        ACTS.set(false);
        // What the process is now: it may have changed its user meanwhile.
        user::act_as(geteuid().as_raw(), rustix::process::getegid().as_raw());
    }
}

/// Whether a process of root may act as this user.
pub(crate) fn may_act_as(uid: u32, gid: u32) -> bool {
    geteuid().is_root() && (ACTS.get() || Acting::begin(uid, gid).is_some())
}

/// Has the calling thread, which is one of ours, make files as this user to its end.
pub fn act_for_good(uid: u32, gid: u32) {
    if uid != 0 && geteuid().is_root() && !mutant::is(Mutant::ActsAsRoot) {
        // Groups of root's would open what the owner cannot.
        let left = user::leave_groups_but(gid);
        ACTS.set(user::act_as(uid, gid) && left);
    }
}

/// Whether nobody but root, or somebody outside of this user namespace, can be this user.
pub(crate) fn is_above_all(uid: u32) -> bool {
    uid == 0 || (uid == UNKNOWN_USER && !is_mapped(uid))
}

/// Whether this user namespace has a user of this number.
fn is_mapped(uid: u32) -> bool {
    // A kernel without user namespaces has no map, and every number is a user's.
    let Ok(map) = std::fs::read_to_string("/proc/self/uid_map") else { return true };
    let holds = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().filter_map(|number| number.parse::<u64>().ok());
        let (first, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some((first..first + count).contains(&u64::from(uid)))
    };
    map.lines().any(|line| holds(line).unwrap_or(false))
}

mod tool {
    use super::is_mapped;
    use crate::error::{Error, Result};
    use crate::mutant::{self, Mutant};
    use crate::place::folder;
    use crate::place::open;
    use crate::sys::user::{self, Groups};
    use rustix::fs::{AtFlags, FileType, Stat};
    use rustix::io::Errno;
    use rustix::process::geteuid;
    use std::fs::File;
    use std::io;
    use std::path::{Path, PathBuf};

    /// For a tool that runs as root: makes the process the owner of these log folders, for good. To be called before any
    /// thread is started and anything in the folders is touched. A folder of root's leaves it root; a folder that is
    /// missing, or none, is left for whoever opens it to tell.
    ///
    /// # Errors
    /// [`Error::Folder`] where the process has no right to become the owner, where the owner is not mapped in this user
    /// namespace, where the folders have different owners, and where somebody else than root could exchange a folder that
    /// leads to one of root's.
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
            let look = || Error::io("look at the folder", path);
            let absolute = match folder::resolved(path) {
                Err(Error::Io { source, .. }) if is_no_folder(&source) => return Ok(None),
                resolved => resolved?,
            };
            let (folder, astray) = match open::walk(&absolute) {
                // Whoever opens it says what is wrong.
                Err(error) if is_no_folder(&error) => return Ok(None),
                walked => walked.map_err(look())?,
            };
            let found = rustix::fs::fstat(&folder).map_err(|error| look()(error.into()))?;
            let (uid, gid) = writer(&folder, &found);
            if uid == 0
                && let Some(astray) = astray
            {
                let why = format!(
                    "it belongs to root, and whoever owns {} could have led there; give the folder to that user, or move it to where only root may change names",
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

    /// The owner of the folder; where that is root, the owner of its rings: in a folder of a group's those belong to the user
    /// who writes.
    fn writer(folder: &File, found: &Stat) -> (u32, u32) {
        let rings = rustix::fs::statat(folder, "rings", AtFlags::SYMLINK_NOFOLLOW).ok();
        let rings =
            rings.filter(|rings| found.st_uid == 0 && FileType::from_raw_mode(rings.st_mode) == FileType::Directory);
        rings.map_or((found.st_uid, found.st_gid), |rings| (rings.st_uid, rings.st_gid))
    }
}
