//! The log folder: where it is, what it contains, and whether it can be trusted.
//!
//! ```text
//! <folder>/host.log, host.log.1 …     what people read
//! <folder>/host.jsonl, host.jsonl.1 … the same for programs, if enabled
//! <folder>/<role>-*.crash.log         what a process left that died without closing its log
//! <folder>/rings.path                where the rings are, if not here
//! <folder>/time_zone                 the zone of the times in all files
//! <folder>/rings/*.ring, *.shm        one per process; .shm stands for a ring in shared memory
//! <folder>/rings/*.<number>.spill     beside a ring: a message too long for it
//! <folder>/rings/*.<lane>-<first>.backlog  beside a ring: overflow of a full lane
//! <folder>/rings/*.attached           beside a ring: its process's own notes for its crash file
//! <folder>/rings/*.capture            beside a ring: where a fatal signal leaves what it interrupted
//! <folder>/rings/<role>.level         the level kept by `lastwords level --keep`
//! <folder>/rings/journal.a, .b        the flusher's journal
//! <folder>/rings/flusher.lock         which process is the flusher
//! <folder>/rings/doorbell             a FIFO that wakes the flusher
//! <folder>/rings/offsets              the offset of the last line in each log file
//! ```

mod network;
mod trust;

pub use network::refuse_network_at;
pub use trust::Trust;

use crate::error::{Error, Result};
use crate::format::role::is_role;
use crate::mutant::{self, Mutant};
use crate::place::access::Access;
use crate::place::clock;
use crate::place::environment::variable;
use crate::place::link;
use crate::place::open;
use crate::place::stderr::complain;
use crate::place::unnamed_file::Nameless;
use rustix::fs::{FileType, Mode, RenameFlags, Stat};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use trust::{check, look_at};

/// Name ending of log files whose lines are JSON.
pub const JSON_ENDING: &str = ".jsonl";
/// Most rotated files of a role that are kept.
pub const ROTATE_KEEP_MAX: u32 = 100;
/// Name ending of ring files.
pub const RING_ENDING: &str = ".ring";

/// Name ending of kept levels.
pub(crate) const LEVEL_ENDING: &str = ".level";

/// A log folder, checked: a real folder that belongs to this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    rings: PathBuf,
}

/// Name ending of the files that represent rings in shared memory.
pub const SHM_ENDING: &str = ".shm";
/// Longest file name.
const NAME_MAX: usize = 255;

/// Whether this is the name of a log file, as in the journal: the role for its text, `<role>.jsonl` for its JSON. Roles contain
/// no dot.
#[must_use]
pub fn is_log_name(name: &str) -> bool {
    is_role(role_of(name))
}

/// The role whose log file has this name.
#[must_use]
pub fn role_of(name: &str) -> &str {
    name.strip_suffix(JSON_ENDING).unwrap_or(name)
}

/// Whether a file of this name is, or represents, a ring; such a name stays within its folder.
#[must_use]
pub fn is_ring_name(name: &str) -> bool {
    let ends = name.ends_with(RING_ENDING) || name.ends_with(SHM_ENDING);
    ends && name.len() <= NAME_MAX && !name.contains(['/', '\0']) && !name.starts_with('.')
}

/// The common prefix of the names of a ring's files; `entry` is the ring's own in its folder.
pub(crate) fn stem(entry: &Path) -> String {
    let name = entry.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(RING_ENDING).or_else(|| name.strip_suffix(SHM_ENDING));
    stem.unwrap_or(&name).to_owned()
}

/// Where named shared memory is.
pub const SHM_FOLDER: &str = "/dev/shm";

/// The shared memory of the ring with this stem.
pub(crate) fn shm_path(stem: &str) -> PathBuf {
    Path::new(SHM_FOLDER).join(format!("lastwords.{stem}"))
}

/// The default folder: the first one of `LOGS_DIRECTORY`, which systemd sets for a service with `LogsDirectory=`, else `<temp
/// dir>/<app>/logs`.
#[must_use]
pub fn default_path(app: &str) -> PathBuf {
    service_path().unwrap_or_else(|| temporary_path(app))
}

/// The folder that the service manager created for the logs of this service; of several, separated by colons, the first.
pub fn service_path() -> Option<PathBuf> {
    let folders = variable("LOGS_DIRECTORY")?;
    let first = folders.as_bytes().split(|byte| *byte == b':').next().filter(|first| !first.is_empty())?;
    Some(PathBuf::from(OsString::from_vec(first.to_vec()))).filter(|path| path.is_absolute())
}

/// `<temp dir>/<app>/logs`.
pub fn temporary_path(app: &str) -> PathBuf {
    let temporary = variable("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    temporary.join(app).join("logs")
}

impl Folder {
    /// Creates the folder if missing, with mode 0700, and checks it.
    ///
    /// # Errors
    /// [`Error::Folder`] if it is a symbolic link, not a folder, or another user's; [`Error::Io`] if it cannot be created.
    pub fn create(path: &Path) -> Result<Folder> {
        let folder = Folder::make_for(path, Trust::Own, Access::default())?;
        folder.refuse_network(false)?;
        Ok(folder)
    }

    /// Like [`Folder::create`], for owners that `trust` accepts; a new folder is readable as `access` says. The rings' location
    /// is checked later, by [`Folder::refuse_network`], when it is known.
    pub fn make_for(path: &Path, trust: Trust, access: Access) -> Result<Folder> {
        // Links in a path that anybody may have created are not followed.
        let path = if trust == Trust::Nobody { absolute(path) } else { resolved(path) }?;
        let found = hold_or_make(&path, trust, access)?;
        let rings = path.join("rings");
        hold_rings(&rings, found)?;
        Ok(Folder { path, rings })
    }

    /// Whether log files here can have the requested access.
    ///
    /// # Errors
    /// [`Error::Setting`] for a group of which the writing user is not a member.
    pub fn check_access(&self, access: Access) -> Result<()> {
        let Some(group) = access.group() else { return Ok(()) };
        let name = format!("access-{}", std::process::id());
        let _acting = open::acting_in(Some(&self.path));
        let made = Nameless::create(&self.path, &name)?;
        made.file().and_then(|file| access.give(file)).map_err(|error| {
            let path = self.path.display();
            let why = format!(
                "files of this user cannot be given to group {group}, which it is not in ({error}); add the user to the group, or \
                 give the folder to it instead, as root: chgrp {group} {path}; chmod g+s {path}"
            );
            Error::setting("file_group", why)
        })
    }

    /// This folder with its rings elsewhere, for instance in memory, in a folder that is created if missing. All processes of the
    /// folder, and its tools, must name the same place.
    ///
    /// # Errors
    /// As [`Folder::create`].
    pub fn with_rings(self, rings: &Path) -> Result<Folder> {
        let rings = resolved(rings)?;
        let _acting = open::acting_in(Some(&self.path));
        hold_rings(&rings, look_at(&self.path)?)?;
        Ok(Folder { rings, ..self })
    }

    /// Like [`Folder::with_rings`], but nothing is created.
    ///
    /// # Errors
    /// As [`Folder::open`]; [`Error::Io`] with [`io::ErrorKind::NotFound`] if there is no such folder.
    pub fn with_existing_rings(self, rings: &Path) -> Result<Folder> {
        let folder = self.with_rings_to_read(rings)?;
        let rings = &folder.rings;
        let _acting = open::acting_in(Some(&folder.path));
        let found = check(rings, Trust::Own)?;
        open::hold(rings).map_err(Error::io("open the folder", rings))?;
        check_owner_of_rings(rings, found, look_at(&folder.path)?)?;
        Ok(folder)
    }

    /// Like [`Folder::with_existing_rings`], whoever the rings belong to, as [`Folder::to_read`].
    ///
    /// # Errors
    /// [`Error::Io`] if it is not a folder, with [`io::ErrorKind::NotFound`] if there is nothing.
    pub fn with_rings_to_read(self, rings: &Path) -> Result<Folder> {
        let rings = resolved(rings)?;
        let (kind, why) = match open::look_for(&rings).map_err(Error::io("inspect the folder of the rings", &rings))? {
            Some(found) if is_folder(found.st_mode) => return Ok(Folder { rings, ..self }),
            Some(_) => (io::ErrorKind::NotADirectory, "it is not a folder"),
            None => (io::ErrorKind::NotFound, "there is no such folder"),
        };
        let source = io::Error::new(kind, format!("{why}; name the one that the processes have, or none"));
        Err(Error::Io { doing: "find the folder of the rings", path: rings, source })
    }

    /// Like [`Folder::create`], for a folder below the temp dir, whose parent anybody may have created.
    ///
    /// # Errors
    /// As [`Folder::create`].
    pub fn make_default(path: &Path, access: Access) -> Result<Folder> {
        if let Some(parent) = path.parent() {
            make(parent, access.way_mode(), None)?;
            check(parent, Trust::Nobody)?;
        }
        Folder::make_for(path, Trust::Nobody, access)
    }

    /// Opens an existing folder of this user's, or of a group's whose rings are this user's. A root tool becomes the folder's
    /// owner first, see `owner`.
    ///
    /// # Errors
    /// As [`Folder::create`].
    pub fn open(path: &Path) -> Result<Folder> {
        let path = resolved(path)?;
        let rings = path.join("rings");
        let me = rustix::process::geteuid().as_raw();
        // The owner of the rings there has opted in to a group's folder.
        let is_mine = open::look(&rings).is_ok_and(|found| found.st_uid == me);
        check(&path, if is_mine { Trust::Group } else { Trust::Own })?;
        open::hold(&path).map_err(Error::io("open the folder", &path))?;
        open::if_there(open::hold(&rings)).map_err(Error::io("open the folder", &rings))?;
        Ok(Folder { path, rings })
    }

    /// An existing folder, whoever it belongs to, for reading alone: what its files and rings say is believed as little as ever,
    /// and who may not read them gets the system's error there.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be found, [`Error::Folder`] if it is not a folder.
    pub fn to_read(path: &Path) -> Result<Folder> {
        let path = resolved(path)?;
        let found = open::look(&path).map_err(Error::io("open the folder", &path))?;
        if !is_folder(found.st_mode) {
            return Err(Error::folder(
                &path,
                "it is not a folder; expected the folder that a program logs to".to_owned(),
            ));
        }
        Ok(Folder { rings: path.join("rings"), path })
    }

    /// Why this process, which may have changed its user since it opened the folder, can no longer use it; None if it can.
    pub fn refusal(&self) -> Option<Error> {
        check(&self.rings, Trust::Own).err().filter(|error| matches!(error, Error::Folder { .. }))
    }

    /// The user and group that own files created here, if those are not the process's own.
    pub fn owner(&self) -> Option<(u32, u32)> {
        open::owner_of(&self.rings)
    }

    /// A folder that holds ring files itself: a copy, the rings folder of a log folder, or rings that are kept elsewhere. For
    /// reading only.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn open_rings(path: &Path) -> Result<Folder> {
        let Folder { path, .. } = Folder::open(path)?;
        Ok(Folder { rings: path.clone(), path })
    }

    /// This folder with its rings at the place noted in the log folder's file `rings.path`. The note applies only if it leads
    /// to a folder of the same owner, so that a reader of another user's logs is not redirected.
    ///
    /// # Errors
    /// [`Error::Folder`] if it leads elsewhere.
    pub fn with_noted_rings(self) -> Result<Folder> {
        let note = self.path.join(RINGS_NOTE);
        let Some(rings) = read_note(&note) else { return Ok(self) };
        let owner = |path: &Path| Some(open::look(path).ok()?.st_uid);
        match (open::look_for(&rings), owner(&self.path)) {
            // In memory, and the machine was rebooted since.
            (Ok(None), _) => Ok(self),
            (Ok(Some(found)), Some(owner)) if found.st_uid == owner && is_folder(found.st_mode) => {
                open::hold(&rings).map_err(Error::io("open the folder", &rings))?;
                Ok(Folder { rings, ..self })
            }
            _ => {
                let why =
                    format!("{} leads to {}, which is not a folder of the same owner", note.display(), rings.display());
                Err(Error::folder(&self.path, why))
            }
        }
    }

    /// Notes in the log folder, for tools, where the rings are: in a file of its own if they are not in the log folder, else
    /// nowhere.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn note_rings(&self) -> Result<()> {
        let note = self.path.join(RINGS_NOTE);
        let (usual, noted) = (self.rings == self.path.join("rings"), read_note(&note));
        if noted.as_deref() == (!usual).then_some(self.rings.as_path()) {
            return Ok(());
        }
        if let Some(noted) = noted.filter(|noted| open::look(noted).is_ok()) {
            let (noted, now) = (noted.display(), self.rings.display());
            complain(format_args!(
                "the rings of {} were in {noted} until now; from now on they are in {now}",
                self.path.display()
            ));
        }
        if usual {
            return open::remove(&note).map_err(Error::io("remove", note));
        }
        let temporary = self.path.join(format!(".{RINGS_NOTE}.{}.new", std::process::id()));
        let text = [self.rings.as_os_str().as_bytes(), b"\n"].concat();
        let named = |_: &File, from: &Path, to: &Path| open::rename(from, to, RenameFlags::empty());
        open::write_whole(&temporary, &note, &text, named).map_err(Error::io("write", note))
    }

    /// Whether a process has ever logged to it: there is a folder of rings.
    #[must_use]
    pub fn is_used(&self) -> bool {
        open::look(&self.rings).is_ok_and(|found| is_folder(found.st_mode))
    }

    /// Checks whether the two folders are still at their paths; if another one of the same owner is there, that one is used
    /// from now on.
    ///
    /// # Errors
    /// [`Error::Io`] if a held folder cannot be inspected.
    pub fn refresh(&self) -> Result<()> {
        for path in [&self.path, &self.rings] {
            open::refresh(path).map_err(Error::io("inspect the folder", path))?;
        }
        Ok(())
    }

    /// Holds the two folders again, if released. If one cannot be opened, its path is used.
    pub fn hold(&self) {
        for path in [&self.path, &self.rings] {
            let _ = open::hold(path);
        }
    }

    /// Releases those of the two folders that are not among `others`.
    pub fn release_beside(&self, others: &[&Folder]) {
        for path in [&self.rings, &self.path] {
            if !others.iter().any(|other| other.path == *path || other.rings == *path) {
                open::release(path);
            }
        }
    }

    /// Whether `path` leads to this folder, by whatever name; a link there only if a logger may follow it.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let Ok(path) = resolved(path) else { return false };
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        path == self.path || real(&path).is_some_and(|path| Some(path) == real(&self.path))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the rings are.
    #[must_use]
    pub fn rings(&self) -> PathBuf {
        self.rings.clone()
    }

    /// The log file of this name, see [`is_log_name`].
    #[must_use]
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.path.join(if name.ends_with(JSON_ENDING) { name.to_owned() } else { format!("{name}.log") })
    }

    /// The flusher's lock file.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.rings().join("flusher.lock")
    }

    /// Makes the folder's names durable, and those of the folders above it.
    ///
    /// # Errors
    /// [`Error::Io`] if one of its own two folders cannot be synced. Folders above may belong to other users.
    pub(crate) fn sync(&self) -> Result<()> {
        sync_names(&self.rings)?;
        sync_names(&self.path)?;
        let above = self.rings.ancestors().skip(1).chain(self.path.ancestors().skip(1));
        above.for_each(|path| drop(sync_names(path)));
        Ok(())
    }

    /// Where the ring of this name is: in the folder, or in shared memory.
    #[must_use]
    pub fn ring_path(&self, name: &str) -> PathBuf {
        match name.strip_suffix(SHM_ENDING) {
            Some(stem) => shm_path(stem),
            None => self.rings().join(name),
        }
    }

    /// The ring whose name differs from this one only in its ending. Both would share spill files and attachment, so the one in
    /// shared memory is then not accepted as a ring: our UUIDs are unique.
    #[must_use]
    pub fn twin(&self, name: &str) -> Option<PathBuf> {
        let twin = self.rings().join(format!("{}{RING_ENDING}", name.strip_suffix(SHM_ENDING)?));
        (open::look(&twin).is_ok() && !mutant::is(Mutant::TwinTrusted)).then_some(twin)
    }

    /// Paths of all rings, sorted by name; empty for a folder without rings.
    ///
    /// # Errors
    /// As readdir(3).
    pub fn ring_files(&self) -> Result<Vec<PathBuf>> {
        Ok(self.ring_names()?.iter().map(|name| self.ring_path(name)).collect())
    }

    /// Names of all rings, sorted: `….ring` for files, `….shm` for shared memory.
    ///
    /// # Errors
    /// As readdir(3).
    pub fn ring_names(&self) -> Result<Vec<String>> {
        let rings = self.rings();
        let names =
            open::if_there(open::list(&rings)).map_err(Error::io("list the rings in", rings))?.unwrap_or_default();
        // Our names are ASCII; anything else is not a ring.
        let mut files: Vec<String> =
            names.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| is_ring_name(name)).collect();
        files.sort();
        Ok(files)
    }
}

/// Age at which the time of a file in the rings folder is refreshed.
const OLD: Duration = Duration::from_secs(3600);

impl Folder {
    /// Refreshes the times of old files in the rings folder: programs that clean up by age (systemd-tmpfiles, tmpwatch) mistake
    /// the files of a service that logs nothing for days for leftovers. Files that cannot be touched stay as they are.
    pub fn keep_young(&self) {
        let is_ours = |name: &str| {
            let endings = [".spill", ".attached", ".capture", LEVEL_ENDING, SHM_ENDING, RING_ENDING];
            matches!(name, "flusher.lock" | "doorbell" | "journal.a" | "journal.b" | "offsets")
                || endings.iter().any(|end| name.ends_with(end))
        };
        let is_old = |path: &Path| {
            let changed = open::look(path).ok().and_then(|found| u64::try_from(found.st_mtime).ok());
            changed
                .is_some_and(|changed| (clock::realtime_ns() / 1_000_000_000).saturating_sub(changed) > OLD.as_secs())
        };
        for name in open::list(&self.rings).unwrap_or_default() {
            let path = self.rings.join(&name);
            if name.to_str().is_some_and(is_ours) && is_old(&path) {
                let _ = open::make_young(&path);
            }
        }
    }
}

/// The file that says where the rings are if they are not in the log folder: an absolute path and a newline.
const RINGS_NOTE: &str = "rings.path";
/// A longer one is not ours.
const NOTE_MAX: u64 = 4097;

fn read_note(note: &Path) -> Option<PathBuf> {
    let mut text = Vec::new();
    open::to_read(note).ok()?.take(NOTE_MAX).read_to_end(&mut text).ok()?;
    let path = PathBuf::from(OsString::from_vec(text.strip_suffix(b"\n")?.to_vec()));
    (path.is_absolute() && !path.as_os_str().as_bytes().contains(&0)).then_some(path)
}

fn is_folder(mode: u32) -> bool {
    FileType::from_raw_mode(mode) == FileType::Directory
}

/// Syncs the folder at `path`: creations, renames and removals in it.
///
/// # Errors
/// [`Error::Io`] as fsync(2).
pub fn sync_names(path: &Path) -> Result<()> {
    if mutant::is(Mutant::FolderUnsynced) {
        return Ok(());
    }
    open::sync_folder(path).map_err(Error::io("sync the folder", path))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(Error::io("find the folder", path))?;
    // Without a trailing slash, which would make the kernel follow a link.
    Ok(path.components().collect())
}

/// The folder that a path means, see [`link::resolve`].
///
/// # Errors
/// As there, and for a relative path without a working directory.
pub(crate) fn resolved(path: &Path) -> Result<PathBuf> {
    link::resolve(&absolute(path)?)
}

/// Holds the folder, created if missing. A folder that is already held and still has a name is not created again: if its path
/// leads nowhere, this process has changed its root since.
fn hold_or_make(path: &Path, trust: Trust, access: Access) -> Result<Stat> {
    if !open::is_held(path) {
        make_way(path, access)?;
        make(path, access.folder_mode(), access.group())?;
        check(path, trust)?;
        open::hold(path).map_err(Error::io("open the folder", path))?;
    }
    check(path, trust)
}

/// Like [`hold_or_make`], for the rings of a log folder. They belong to the one user who writes there.
fn hold_rings(rings: &Path, log_folder: Stat) -> Result<()> {
    let found = hold_or_make(rings, Trust::Own, Access::default())?;
    check_owner_of_rings(rings, found, log_folder)
}

fn check_owner_of_rings(rings: &Path, found: Stat, log_folder: Stat) -> Result<()> {
    let me = rustix::process::geteuid().as_raw();
    if found.st_uid != log_folder.st_uid && (found.st_uid != me || me == 0) {
        let (a, b) = (found.st_uid, log_folder.st_uid);
        return Err(Error::folder(
            rings,
            format!("it belongs to user {a}, and the log folder to user {b}; one user owns both"),
        ));
    }
    Ok(())
}

fn make(path: &Path, mode: Mode, group: Option<u32>) -> Result<()> {
    open::make_folder(path, mode, group).map_err(Error::io("make the folder", path))
}

/// Creates missing parent folders.
fn make_way(path: &Path, access: Access) -> Result<()> {
    let missing = |path: &&Path| matches!(open::look_for(path), Ok(None));
    let mut way: Vec<&Path> = path.ancestors().skip(1).take_while(missing).collect();
    while let Some(path) = way.pop() {
        make(path, access.way_mode(), None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;
    use std::os::linux::fs::MetadataExt;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_made_folder_is_private() {
        let scratch = Scratch::new("private");
        let folder = Folder::create(&scratch.path().join("a/b")).expect("made");
        assert_eq!(fs::metadata(folder.rings()).expect("made").st_mode() & 0o777, 0o700);
        assert_eq!(folder.ring_names().expect("listed"), Vec::<String>::new());
    }

    #[test]
    fn old_files_of_ours_become_young_and_all_others_keep_their_times() {
        let scratch = Scratch::new("young");
        let folder = Folder::create(scratch.path()).expect("made");
        let changed = |name: &str| fs::metadata(folder.rings().join(name)).expect("there").modified().expect("a time");
        let now = std::time::SystemTime::now();
        let (old, fresh) = (now - 2 * OLD, now - OLD / 2);
        for (name, time) in [("doorbell", old), ("host-1-ab.ring", old), ("theirs.txt", old), ("journal.a", fresh)] {
            let file = fs::File::create(folder.rings().join(name)).expect("made");
            file.set_modified(time).expect("set");
        }
        folder.keep_young();
        assert!(changed("doorbell") > fresh && changed("host-1-ab.ring") > fresh);
        assert_eq!((changed("theirs.txt"), changed("journal.a")), (old, fresh));
    }

    #[test]
    fn a_link_and_a_file_are_refused_with_the_reason() {
        let scratch = Scratch::new("refused");
        let path = scratch.path();
        let (open, target) = (path.join("open"), path.join("target"));
        [&open, &target].into_iter().for_each(|folder| fs::create_dir(folder).expect("made"));
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("changed");
        fs::write(path.join("file"), "x").expect("written");
        for name in ["link", "link/"] {
            let _ = std::os::unix::fs::symlink(&target, open.join("link"));
            let link = Folder::create(&open.join(name)).expect_err("a link").to_string();
            assert!(link.contains("symbolic link") && link.contains("others may change names in"), "{link}");
        }
        assert_eq!(fs::read_dir(&target).expect("there").count(), 0);
        let file = Folder::create(&path.join("file")).expect_err("a file").to_string();
        assert!(file.contains("not a folder"), "{file}");
    }

    #[test]
    fn a_log_name_is_a_role_or_its_json_and_leads_to_one_file_each() {
        let folder = Folder { path: "/x".into(), rings: "/x/rings".into() };
        for (name, file) in [("host", "/x/host.log"), ("host.jsonl", "/x/host.jsonl")] {
            assert!(is_log_name(name) && role_of(name) == "host");
            assert_eq!(folder.log_file(name), Path::new(file));
        }
        for name in ["host.log", "host.jsonl.1", ".jsonl", "../x.jsonl", "host.jsonl.jsonl"] {
            assert!(!is_log_name(name), "{name}");
        }
    }

    #[test]
    fn names_stay_within_the_folder() {
        assert!(is_ring_name("host-1-ab.ring") && is_ring_name("host-1-ab.shm"));
        for name in ["../x.ring", "a/b.ring", ".x.ring", "x.log", "x.attached", "", "a\0b.ring"] {
            assert!(!is_ring_name(name), "{name}");
        }
    }
}
