//! Folders that are held.
//!
//! A log folder and its rings folder are held by a descriptor each ([`hold`]). A path whose parent is a held folder is resolved
//! by `openat` and its relatives from that descriptor, so that neither `chroot` nor replacing a folder above by a link
//! redirects it. `refresh` compares the two now and then: the path applies if it leads to a folder (it was created again), the
//! descriptor if it leads nowhere. Forked children keep using held folders. A root process does all of this in the name of the
//! folder's owner, see `place/owner.rs`.

use super::at::{FOLDER, open_at};
use crate::mutant::{self, Mutant};
use crate::place::descriptor::{Identity, Kept, Opened, again_if_lost, is_lost};
use crate::place::owner::{self, Acting};
use crate::sys::hooks::leaked;
use crate::sys::leaked_list::LeakedList;
use crate::sys::numbers;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A folder that is held.
#[derive(Debug)]
pub(crate) struct Held {
    path: PathBuf,
    /// Its descriptor in the program's table, see `own_table.rs`; null if there is none, and the path is used. Replaced if the
    /// folder was created again; the old descriptor stays open, because another thread may be using it.
    descriptor: AtomicPtr<Kept>,
    /// User and group of the folder, one in each half, if the process was root and the folder another user's; else 0.
    owner: AtomicU64,
    /// How many calls use the descriptor right now.
    users: AtomicU32,
    /// It is released, and off the list.
    released: AtomicBool,
}

/// The descriptor of a held folder, during a call that uses it.
#[derive(Debug)]
pub(super) struct InUse {
    held: &'static Held,
    handle: Handle,
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.held.users.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AsFd for InUse {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// All of them but the released ones.
static HELD: LeakedList<Held> = LeakedList::new();

thread_local! {
    /// Their descriptors in the calling thread's own table, if it has one.
    static HELD_HERE: RefCell<Vec<(&'static Held, Rc<Kept>)>> = const { RefCell::new(Vec::new()) };
}

/// A descriptor of a held folder in the calling thread's table, for the next system call only.
#[derive(Debug)]
enum Handle {
    Shared(&'static Kept),
    Here(Rc<Kept>),
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Handle::Shared(kept) => kept.as_known(),
            Handle::Here(kept) => kept.as_known(),
        }
    }
}

impl Handle {
    fn ask(&self) -> io::Result<&File> {
        match self {
            Handle::Shared(kept) => kept.file(),
            Handle::Here(kept) => kept.file(),
        }
    }
}

/// Held folders in the program's table, by number, which is the same in a copied table.
pub(crate) fn held_now() -> Vec<(&'static Held, RawFd, Identity)> {
    let kept = HELD.newest_first().filter_map(|held| Some((held, leaked(&held.descriptor)?)));
    kept.filter_map(|(held, kept)| Some((held, kept.file().ok()?.as_raw_fd(), kept.identity()))).collect()
}

/// Registers a descriptor of a held folder for the calling thread, whose table is its own.
pub(crate) fn hold_here(held: &'static Held, kept: Kept) -> Rc<Kept> {
    let kept = Rc::new(kept);
    // A thread that is already ending holds it only for this call.
    let _ = HELD_HERE.try_with(|here| {
        let mut here = here.borrow_mut();
        here.retain(|(other, _)| !ptr::eq(*other, held));
        here.push((held, Rc::clone(&kept)));
    });
    kept
}

impl Held {
    fn find(path: &Path) -> Option<&'static Held> {
        HELD.newest_first().find(|held| held.path == path)
    }

    /// Its descriptor, opened again if other code has closed it; None if the folder was released.
    fn descriptor(&'static self) -> io::Result<Option<InUse>> {
        self.users.fetch_add(1, Ordering::SeqCst);
        // From here on [`release`] waits for the end of this call.
        let opened = if self.released.load(Ordering::SeqCst) { Ok(None) } else { self.handle().map(Some) };
        match opened {
            Ok(Some(handle)) => Ok(Some(InUse { held: self, handle })),
            other => {
                self.users.fetch_sub(1, Ordering::SeqCst);
                other.map(|_| None)
            }
        }
    }

    fn handle(&'static self) -> io::Result<Handle> {
        if let Some(handle) = self.known() {
            match handle.ask() {
                Ok(_) => return Ok(handle),
                Err(error) if !is_lost(&error) => return Err(error),
                Err(_) => {}
            }
        }
        let handle = self.open()?;
        handle.ask()?;
        Ok(handle)
    }

    /// Its last descriptor in the calling thread's table.
    fn known(&'static self) -> Option<Handle> {
        if !numbers::is_own_table() {
            return leaked(&self.descriptor).map(Handle::Shared);
        }
        let here = |here: &RefCell<Vec<(&Held, Rc<Kept>)>>| {
            let here = here.borrow();
            here.iter().find(|(held, _)| ptr::eq(*held, self)).map(|(_, kept)| Handle::Here(Rc::clone(kept)))
        };
        HELD_HERE.try_with(here).ok()?
    }

    fn open(&'static self) -> io::Result<Handle> {
        let opened = match (descriptor_of(self.path.parent())?, self.path.file_name()) {
            (Some(parent), Some(name)) => {
                let _acting = acting_in(self.path.parent());
                open_at(parent.as_fd(), Path::new(name), FOLDER, Mode::empty())?
            }
            _ => again_if_lost(|| open_at(CWD, &self.path, FOLDER, Mode::empty()))?,
        };
        let found = rustix::fs::fstat(&opened)?;
        let foreign = found.st_uid != 0 && rustix::process::geteuid().is_root();
        let owner = u64::from(found.st_uid) << 32 | u64::from(found.st_gid);
        self.owner.store(if foreign { owner } else { 0 }, Ordering::Relaxed);
        let kept = Kept::for_children_too(opened)?;
        if numbers::is_own_table() {
            return Ok(Handle::Here(hold_here(self, kept)));
        }
        let kept: &'static Kept = Box::leak(Box::new(kept));
        self.descriptor.store(ptr::from_ref(kept).cast_mut(), Ordering::Release);
        Ok(Handle::Shared(kept))
    }
}

/// Holds the folder at this absolute path from now on.
///
/// # Errors
/// As open(2): it is a link, is not a folder, or may not be read.
pub fn hold(path: &Path) -> io::Result<()> {
    let held = Held::find(path).unwrap_or_else(|| {
        let (descriptor, owner) = (AtomicPtr::default(), AtomicU64::new(0));
        let (users, released) = (AtomicU32::new(0), AtomicBool::new(false));
        HELD.add(Held { path: path.to_owned(), descriptor, owner, users, released })
    });
    refresh(&held.path).map(drop)
}

/// Longest wait for calls of other threads in a folder that is to be released. In a forked child such a call may have been
/// inherited from a parent's thread, and never ends; then the descriptor stays.
const RELEASE_MAX: Duration = Duration::from_millis(100);

/// Releases a folder. Calls must be serialised.
pub(crate) fn release(path: &Path) {
    let Some(held) = Held::find(path) else { return };
    HELD.take_off(held);
    held.released.store(true, Ordering::SeqCst);
    let start = Instant::now();
    while held.users.load(Ordering::SeqCst) > 0 && start.elapsed() < RELEASE_MAX {
        std::thread::sleep(RELEASE_MAX / 1000);
    }
    if held.users.load(Ordering::SeqCst) == 0 {
        leaked(&held.descriptor).inspect(|kept| kept.give_back());
    }
}

/// The folders that are held now.
#[must_use]
pub fn held_folders() -> Vec<PathBuf> {
    HELD.newest_first().map(|held| held.path.clone()).collect()
}

/// Releases all folders but these: for a caller whose attempt failed after holding some.
pub fn release_others(kept: &[PathBuf]) {
    HELD.newest_first().filter(|held| !kept.contains(&held.path)).for_each(|held| release(&held.path));
}

/// Compares a held folder with its path. If the path leads to another folder, of the same owner, that one is held from now on.
/// Returns whether it was replaced.
///
/// # Errors
/// As fstat(2).
pub(crate) fn refresh(path: &Path) -> io::Result<bool> {
    let Some(held) = Held::find(path) else { return Ok(false) };
    let Some(descriptor) = held.descriptor()? else { return Ok(false) };
    let known = rustix::fs::fstat(&descriptor)?;
    drop(descriptor);
    let Ok(found) = resolve(path, |folder, name| rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)) else {
        return Ok(false);
    };
    let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory && found.st_uid == known.st_uid;
    if is_folder && Identity::of(&found) != Identity::of(&known) && !may_lead_astray(path, found.st_uid) {
        held.open()?;
        return Ok(true);
    }
    Ok(false)
}

/// Whether this process is root, and another user could have redirected the path to another folder of root's.
fn may_lead_astray(path: &Path, owner: u32) -> bool {
    let is_roots = owner == 0 && rustix::process::geteuid().is_root();
    is_roots && !mutant::is(Mutant::AstrayFollowed) && !walk(path).is_ok_and(|(_, astray)| astray.is_none())
}

/// Most symbolic links on a path.
const LINKS_MAX: u32 = 40;

/// Opens the folder at an absolute path component by component, without following a link in its last one. Returns the first
/// component whose owner, other than root, could have chosen where everything after it leads; None if only root could, or if
/// all that follows belongs to that user.
///
/// # Errors
/// As open(2).
pub(crate) fn walk(path: &Path) -> io::Result<(Opened, Option<PathBuf>)> {
    let component = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut rest: Vec<OsString> = path.iter().rev().map(OsString::from).collect();
    let (mut at, mut way) = (rustix::fs::open("/", component | OFlags::DIRECTORY, Mode::empty())?, PathBuf::from("/"));
    let (mut others, mut links) = (None, 0);
    while let Some(name) = rest.pop() {
        let absolute = name == "/";
        let next = if absolute {
            rustix::fs::open("/", component, Mode::empty())
        } else {
            rustix::fs::openat(&at, &name, component, Mode::empty())
        }?;
        let found = rustix::fs::fstat(&next)?;
        way.push(&name);
        let kind = FileType::from_raw_mode(found.st_mode);
        if !owner::is_above_all(found.st_uid) || is_anybodys(&found) && !rest.is_empty() {
            others.get_or_insert_with(|| way.clone());
        }
        match kind {
            FileType::Symlink if !rest.is_empty() && links < LINKS_MAX => {
                links += 1;
                let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
                rest.extend(Path::new(&OsString::from_vec(target.into_bytes())).iter().rev().map(OsString::from));
                way.pop();
            }
            FileType::Directory => at = next,
            FileType::Symlink => return Err(Errno::LOOP.into()),
            _ => return Err(Errno::NOTDIR.into()),
        }
    }
    Ok((Opened::new(at)?, others))
}

/// Whether any user may change all names in a folder.
fn is_anybodys(found: &Stat) -> bool {
    let mode = Mode::from_raw_mode(found.st_mode);
    FileType::from_raw_mode(found.st_mode) == FileType::Directory
        && mode.contains(Mode::WOTH)
        && !mode.contains(Mode::SVTX)
}

/// Whether the folder is held, and still has a name.
pub(crate) fn is_held(path: &Path) -> bool {
    let found = refresh(path).and_then(|_| descriptor_of(Some(path)));
    found.is_ok_and(|folder| {
        folder.is_some_and(|folder| rustix::fs::fstat(folder).is_ok_and(|found| found.st_nlink > 0))
    })
}

/// Makes the thread act in the name of this folder's owner, if the folder is held and this process is root's.
pub(crate) fn acting_in(path: Option<&Path>) -> Option<Acting> {
    let owner = path.and_then(Held::find)?.owner.load(Ordering::Relaxed);
    Acting::begin((owner >> 32) as u32, owner as u32)
}

/// User and group that own files created in this folder; None if those are the process's own.
pub(crate) fn owner_of(path: &Path) -> Option<(u32, u32)> {
    let owner = Held::find(path)?.owner.load(Ordering::Relaxed);
    (owner != 0).then_some(((owner >> 32) as u32, owner as u32))
}

/// The descriptor of this folder, if it is held.
pub(super) fn descriptor_of(path: Option<&Path>) -> io::Result<Option<InUse>> {
    path.and_then(Held::find).map_or(Ok(None), Held::descriptor)
}

/// Runs `work` with a path: relative to its held folder if there is one, else as it is.
pub(super) fn resolve<T>(
    path: &Path,
    mut work: impl FnMut(BorrowedFd<'_>, &Path) -> rustix::io::Result<T>,
) -> io::Result<T> {
    let _acting = acting_in(path.parent());
    again_if_lost(|| {
        Ok(match (descriptor_of(path.parent())?, path.file_name()) {
            (Some(folder), Some(name)) => work(folder.as_fd(), Path::new(name)),
            _ => work(CWD, path),
        }?)
    })
}
