//! The only place that opens files in folders of ours, and that looks at, renames and removes them by name.
//!
//! Everything that is opened here is close-on-exec, follows no symbolic link in its last component, waits for nobody (a FIFO
//! in the place of a file is an error, not a hang), is a regular file where one is asked for, and has none of the numbers
//! of the standard streams: in a process whose standard error somebody closed, the next file that is opened would get its
//! number, and what the program then prints would go into that file.
//!
//! # Folders that are held
//!
//! A log folder and its rings folder are held by a descriptor each ([`hold`]). A path whose parent is a folder that is held
//! is resolved by `openat` and its relatives from that descriptor, so that neither `chroot` nor somebody who exchanges a
//! folder above for a link leads anywhere else. [`refresh`] compares the two now and then: the path counts where it leads
//! to a folder (it was made again), the descriptor where it leads nowhere. Forked children go on with what is held. A process
//! of root does all of this in the name of the folder's owner, see `owner.rs`.
//!
//! Only what is read of the system as a whole at once, in `/proc` for instance, is read by `std`.

use crate::kept::{Identity, Kept, Opened, again_if_lost, is_lost, raise};
use crate::mutant::{self, Mutant};
use crate::owner::{self, Acting};
use crate::own_table;
use crate::sys::hooks::leaked;
use crate::sys::numbers;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RawDir, RenameFlags, Stat, StatFs};
#[cfg(feature = "flusher")]
use rustix::fs::{Timespec, Timestamps};
use rustix::io::Errno;
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::iter;
use std::os::fd::AsRawFd;
#[cfg(feature = "flusher")]
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The highest number of a standard stream.
pub(crate) const STANDARD_ERROR: i32 = 2;
/// Tries to open what is exchanged all the time.
const TRIES: u32 = 8;
/// Bytes of a folder's list that are read at once.
const LIST_BUFFER: usize = 32 << 10;
/// Where the calling thread's descriptors are links.
const OWN_LINKS: &str = "/proc/thread-self/fd";
/// Flags of every file that is opened.
const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// Flags of a folder.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);
/// For this user alone.
pub(crate) const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A folder that is held.
#[derive(Debug)]
pub(crate) struct Held {
    path: PathBuf,
    /// What holds it in the program's table, see `own_table.rs`; null where nothing does, and the path serves. Replaced where the folder was made again; what held the
    /// one before stays open, because another thread may be using it.
    descriptor: AtomicPtr<Kept>,
    /// User and group of the folder, one in each half, where this was a process of root and the folder another user's; else 0.
    owner: AtomicU64,
    before: AtomicPtr<Held>,
    /// How many calls use the descriptor right now.
    users: AtomicU32,
    /// It is held no longer, and off the list.
    released: AtomicBool,
}

/// The descriptor of a folder that is held, during a call that uses it.
#[derive(Debug)]
struct InUse {
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

/// All of them, the newest first. Those that are taken off stay in memory, because another thread may be at them. A list without a lock, which a thread of the process that a child
/// was forked from might have held.
static HELD: AtomicPtr<Held> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    /// What holds them in the calling thread's own table, where it has one.
    static HELD_HERE: RefCell<Vec<(&'static Held, Rc<Kept>)>> = const { RefCell::new(Vec::new()) };
}

/// What leads to a folder that is held, in the calling thread's table, for the very next system call.
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

/// What is held in the program's table, by numbers, which a table that is copied has too.
#[cfg(feature = "flusher")]
pub(crate) fn held_now() -> Vec<(&'static Held, RawFd, Identity)> {
    let kept = held().filter_map(|held| Some((held, leaked(&held.descriptor)?)));
    kept.filter_map(|(held, kept)| Some((held, kept.file().ok()?.as_raw_fd(), kept.identity()))).collect()
}

/// Has the calling thread, whose table is its own, hold a folder by this descriptor.
pub(crate) fn hold_here(held: &'static Held, kept: Kept) -> Rc<Kept> {
    let kept = Rc::new(kept);
    // Where the thread ends already, it holds for the moment.
    let _ = HELD_HERE.try_with(|here| {
        let mut here = here.borrow_mut();
        here.retain(|(other, _)| !ptr::eq(*other, held));
        here.push((held, Rc::clone(&kept)));
    });
    kept
}

fn held() -> impl Iterator<Item = &'static Held> {
    iter::successors(leaked(&HELD), |held| leaked(&held.before))
}

impl Held {
    fn find(path: &Path) -> Option<&'static Held> {
        held().find(|held| held.path == path)
    }

    /// What leads to it, opened again where somebody has closed it; None where it is held no longer.
    fn descriptor(&'static self) -> io::Result<Option<InUse>> {
        self.users.fetch_add(1, Ordering::SeqCst);
        // From here on [`release`] waits for the end of this.
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

    /// What held it last in the calling thread's table.
    fn known(&'static self) -> Option<Handle> {
        if !own_table::is_own() {
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
        if own_table::is_own() {
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
/// As open(2): it is a link, no folder, or may not be read.
pub(crate) fn hold(path: &Path) -> io::Result<()> {
    let held = Held::find(path).unwrap_or_else(|| {
        let (descriptor, before, owner) = (AtomicPtr::default(), AtomicPtr::default(), AtomicU64::new(0));
        let (users, released) = (AtomicU32::new(0), AtomicBool::new(false));
        let held = Held { path: path.to_owned(), descriptor, owner, before, users, released };
        let held: &'static Held = Box::leak(Box::new(held));
        let link = |before| {
            held.before.store(before, Ordering::Relaxed);
            Some(ptr::from_ref(held).cast_mut())
        };
        // Succeeds in the end, because `link` never declines.
        let _ = HELD.fetch_update(Ordering::AcqRel, Ordering::Acquire, link);
        held
    });
    refresh(&held.path).map(drop)
}

/// Longest wait for calls of other threads in a folder that is to be released. Of a forked child's parent such a call may have
/// been in the middle, and ends nowhere; then the descriptor stays.
const RELEASE_MAX: Duration = Duration::from_millis(100);

/// Holds a folder no longer. The caller is the only one who releases at a time.
pub(crate) fn release(path: &Path) {
    let Some(held) = Held::find(path) else { return };
    take_off(held);
    held.released.store(true, Ordering::SeqCst);
    let start = Instant::now();
    while held.users.load(Ordering::SeqCst) > 0 && start.elapsed() < RELEASE_MAX {
        std::thread::sleep(RELEASE_MAX / 1000);
    }
    if held.users.load(Ordering::SeqCst) == 0 {
        leaked(&held.descriptor).inspect(|kept| kept.give_back());
    }
}

/// Takes a folder off the list. What follows it there does so for whoever is at it, too.
fn take_off(gone: &'static Held) {
    let (own, next) = (ptr::from_ref(gone).cast_mut(), gone.before.load(Ordering::Acquire));
    if HELD.compare_exchange(own, next, Ordering::AcqRel, Ordering::Acquire).is_err()
        && let Some(newer) = held().find(|newer| newer.before.load(Ordering::Acquire) == own)
    {
        newer.before.store(next, Ordering::Release);
    }
}

/// Compares what is held with its path. Where that leads to another folder, of the same owner, that one is held from now on.
/// Returns whether it is so.
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

/// Whether this is a process of root, and somebody else could have had the path lead to another folder of root's.
fn may_lead_astray(path: &Path, owner: u32) -> bool {
    let is_roots = owner == 0 && rustix::process::geteuid().is_root();
    is_roots && !mutant::is(Mutant::AstrayFollowed) && !walk(path).is_ok_and(|(_, astray)| astray.is_none())
}

/// Most symbolic links on a path.
const LINKS_MAX: u32 = 40;

/// Opens the folder at an absolute path component by component, without following a link in its last one. Returns the first
/// component whose owner, who is not root, could have chosen where everything behind it leads; None where only root could,
/// or where all that follows belongs to that user.
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
        let next = if absolute { rustix::fs::open("/", component, Mode::empty()) } else { rustix::fs::openat(&at, &name, component, Mode::empty()) }?;
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

/// Whether everybody may change all names in a folder.
fn is_anybodys(found: &Stat) -> bool {
    let mode = Mode::from_raw_mode(found.st_mode);
    FileType::from_raw_mode(found.st_mode) == FileType::Directory && mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX)
}

/// Whether the folder is held, and still has a name somewhere.
pub(crate) fn is_held(path: &Path) -> bool {
    let found = refresh(path).and_then(|_| descriptor_of(Some(path)));
    found.is_ok_and(|folder| folder.is_some_and(|folder| rustix::fs::fstat(folder).is_ok_and(|found| found.st_nlink > 0)))
}

/// Makes what follows happen in the name of this folder's owner, where it is held and this process is root's.
pub(crate) fn acting_in(path: Option<&Path>) -> Option<Acting> {
    let owner = path.and_then(Held::find)?.owner.load(Ordering::Relaxed);
    Acting::begin((owner >> 32) as u32, owner as u32)
}

/// User and group in whose name files are made in this folder; None where that is the process's own.
#[cfg(feature = "flusher")]
pub(crate) fn owner_of(path: &Path) -> Option<(u32, u32)> {
    let owner = Held::find(path)?.owner.load(Ordering::Relaxed);
    (owner != 0).then_some(((owner >> 32) as u32, owner as u32))
}

/// The descriptor of this folder, where it is held.
fn descriptor_of(path: Option<&Path>) -> io::Result<Option<InUse>> {
    path.and_then(Held::find).map_or(Ok(None), Held::descriptor)
}

/// Does something with a path: in the folder that is held, where it is in one, else as it stands.
fn resolve<T>(path: &Path, mut work: impl FnMut(BorrowedFd<'_>, &Path) -> rustix::io::Result<T>) -> io::Result<T> {
    let _acting = acting_in(path.parent());
    again_if_lost(|| {
        Ok(match (descriptor_of(path.parent())?, path.file_name()) {
            (Some(folder), Some(name)) => work(folder.as_fd(), Path::new(name)),
            _ => work(CWD, path),
        }?)
    })
}

/// Opens a folder.
///
/// # Errors
/// As open(2).
pub(crate) fn folder(path: &Path) -> io::Result<Opened> {
    let _acting = acting_in(Some(path));
    again_if_lost(|| match descriptor_of(Some(path))? {
        Some(held) => open_at(held.as_fd(), Path::new("."), FOLDER, Mode::empty()),
        None => open_at(CWD, path, FOLDER, Mode::empty()),
    })
}

/// Opens the root folder under the lowest number that is none of the standard streams', and so of use to whoever it is given
/// back to, also where the limit was lowered since.
///
/// # Errors
/// As open(2).
#[cfg(feature = "flusher")]
pub(crate) fn low() -> io::Result<Opened> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = Opened::new(rustix::fs::open("/", flags, Mode::empty())?)?;
    if opened.as_raw_fd() > STANDARD_ERROR {
        return Ok(opened);
    }
    Opened::new(rustix::io::fcntl_dupfd_cloexec(opened, STANDARD_ERROR + 1)?)
}

/// Opens something, holding the numbers of the standard streams as long as nobody has them, and moves it to a number that the
/// program's own files do not reach for. Another thread that closes what it does not know may have closed the number
/// meanwhile and got it for a file of its own: what was opened is compared with what has the name.
fn open_at(folder: BorrowedFd<'_>, path: &Path, mut flags: OFlags, mode: Mode) -> io::Result<Opened> {
    let _held = hold_standard_streams();
    for _ in 0..TRIES {
        let opened = openat(folder, path, flags | ALWAYS, mode)?;
        match is_what_was_opened(&opened, folder, path, flags) {
            // Not before: what is moved to a higher number is closed under the lower one.
            Ok(true) => return raise(opened),
            // Nothing is closed here: the number may be somebody else's.
            Ok(false) => std::mem::forget(opened),
            Err(error) => {
                std::mem::forget(opened);
                return Err(error);
            }
        }
        if flags.contains(OFlags::EXCL) {
            // It was made, and has the name.
            flags.remove(OFlags::CREATE | OFlags::EXCL);
        }
    }
    Err(io::Error::other("something else takes its name, or its descriptor, all the time"))
}

/// Opens something. What is made has the rights of its owner that are asked for, whatever the umask takes away: a file that its
/// owner may not open again would be of no use to the next process.
fn openat(folder: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<Opened> {
    if !flags.intersects(OFlags::CREATE | OFlags::TMPFILE.difference(OFlags::DIRECTORY)) {
        return Opened::new(rustix::fs::openat(folder, path, flags, mode)?);
    }
    for _ in 0..TRIES {
        if flags.contains(OFlags::CREATE) && !flags.contains(OFlags::EXCL) {
            match rustix::fs::openat(folder, path, flags.difference(OFlags::CREATE), mode) {
                Err(Errno::NOENT) => {}
                found => return Opened::new(found?),
            }
        }
        let only_new = if flags.contains(OFlags::CREATE) { OFlags::EXCL } else { OFlags::empty() };
        match rustix::fs::openat(folder, path, flags | only_new, mode) {
            // Somebody else was faster.
            Err(Errno::EXIST) if !flags.contains(OFlags::EXCL) => {}
            made => {
                let made = Opened::new(made?)?;
                let is = Mode::from_raw_mode(rustix::fs::fstat(&made)?.st_mode);
                if !is.contains(mode & Mode::RWXU)
                    && !mutant::is(Mutant::UmaskObeyed)
                    && is_what_was_opened(&made, folder, path, flags)?
                {
                    rustix::fs::fchmod(made.file()?, is | mode & Mode::RWXU)?;
                }
                return Ok(made);
            }
        }
    }
    Err(Errno::EXIST.into())
}

/// The same for a folder or a FIFO that was just made, which its owner may not be able to open yet. Without `/proc` it stays as
/// it is.
fn give_to_owner(folder: BorrowedFd<'_>, name: &Path, mode: Mode) {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(made) = rustix::fs::openat(folder, name, flags, Mode::empty()) else { return };
    let Ok(made) = Opened::new(made) else { return };
    let Ok(found) = rustix::fs::fstat(&made) else { return };
    let is = Mode::from_raw_mode(found.st_mode);
    if FileType::from_raw_mode(found.st_mode) != FileType::Symlink && !is.contains(mode) && !mutant::is(Mutant::UmaskObeyed) {
        let _ = rustix::fs::chmod(format!("{OWN_LINKS}/{}", made.as_raw_fd()), is | mode);
    }
}

/// Whether a descriptor leads to what has the name. What has none any more was removed since, which every caller has to live
/// with.
fn is_what_was_opened(opened: &Opened, folder: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<bool> {
    let is_made_nameless = flags.contains(OFlags::TMPFILE);
    let named = if is_made_nameless { Err(Errno::NOENT) } else { rustix::fs::statat(folder, path, AtFlags::SYMLINK_NOFOLLOW) };
    // After the name, which may be removed between the two.
    let found = rustix::fs::fstat(opened)?;
    match named {
        Ok(named) => Ok(Identity::of(&named) == opened.identity()),
        Err(Errno::NOENT) => {
            let is_nameless = found.st_nlink == 0 && Identity::of(&found) == opened.identity();
            Ok(is_nameless && !(is_made_nameless && found.st_size > 0))
        }
        // The folder's descriptor is lost, for instance.
        Err(error) => Err(error.into()),
    }
}

/// Takes the numbers of standard streams that are closed.
fn hold_standard_streams() -> Vec<Opened> {
    let mut held = Vec::new();
    while !(0..=STANDARD_ERROR).all(numbers::is_open)
        && let Ok(root) = rustix::fs::stat("/")
        && let Ok(lowest) = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        && let Ok(lowest) = Opened::new(lowest)
    {
        if lowest.identity() == Identity::of(&root) {
            held.push(lowest);
        } else {
            // The number is somebody else's by now.
            std::mem::forget(lowest);
        }
    }
    held
}

/// Opens a regular file; `mode` is what it is made with.
///
/// # Errors
/// As open(2), and if it is no regular file.
pub(crate) fn file(path: &Path, flags: OFlags, mode: Mode) -> io::Result<Opened> {
    let file = resolve_open(path, flags, mode)?;
    match file.identity().kind {
        FileType::RegularFile => Ok(file),
        kind => Err(io::Error::other(format!("it is {}, not a regular file", in_words(kind)))),
    }
}

/// Opens a regular file for reading.
///
/// # Errors
/// As [`file`].
pub(crate) fn to_read(path: &Path) -> io::Result<Opened> {
    file(path, OFlags::RDONLY, Mode::empty())
}

/// Opens a FIFO for reading and writing, so that nobody waits for the other end.
///
/// # Errors
/// As open(2), and if it is no FIFO.
pub(crate) fn fifo(path: &Path) -> io::Result<Opened> {
    let file = resolve_open(path, OFlags::RDWR, Mode::empty())?;
    match file.identity().kind {
        FileType::Fifo => Ok(file),
        kind => Err(io::Error::other(format!("it is {}, not a FIFO", in_words(kind)))),
    }
}

fn resolve_open(path: &Path, flags: OFlags, mode: Mode) -> io::Result<Opened> {
    let _acting = acting_in(path.parent());
    again_if_lost(|| match (descriptor_of(path.parent())?, path.file_name()) {
        (Some(folder), Some(name)) => open_at(folder.as_fd(), Path::new(name), flags, mode),
        _ => open_at(CWD, path, flags, mode),
    })
}

fn in_words(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown kind",
    }
}

/// An empty file without a name in this folder, to be named by [`link`].
///
/// # Errors
/// As open(2); not every file system can.
pub(crate) fn nameless(path: &Path) -> io::Result<Opened> {
    let _acting = acting_in(Some(path));
    let (flags, here) = (OFlags::RDWR | OFlags::TMPFILE, Path::new("."));
    again_if_lost(|| match descriptor_of(Some(path))? {
        Some(held) => open_at(held.as_fd(), here, flags, PRIVATE),
        None => open_at(CWD, path, flags, PRIVATE),
    })
}

/// Gives a nameless file a name, which nothing may have.
///
/// # Errors
/// As linkat(2); without `/proc` it cannot be done.
pub(crate) fn link(file: &File, path: &Path) -> io::Result<()> {
    let from = own_link(file);
    resolve(path, |folder, name| rustix::fs::linkat(CWD, from.as_str(), folder, name, AtFlags::SYMLINK_FOLLOW))
}

/// The link that leads to an open file, in the table of the calling thread.
pub(crate) fn own_link(file: &File) -> String {
    format!("{OWN_LINKS}/{}", file.as_raw_fd())
}

/// Whether there are such links: not without `/proc`.
pub(crate) fn has_own_links() -> bool {
    Path::new(OWN_LINKS).exists()
}

/// What has this name, links not followed.
///
/// # Errors
/// As fstatat(2).
pub(crate) fn look(path: &Path) -> io::Result<Stat> {
    match descriptor_of(Some(path))? {
        Some(held) => Ok(rustix::fs::fstat(held)?),
        None => resolve(path, |folder, name| rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)),
    }
}

/// A symbolic link, and the folder in which it stands.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) link: Stat,
    pub(crate) folder: Stat,
    pub(crate) target: PathBuf,
}

/// The symbolic link that has this name. What is said of it and where it leads are of the same link, whoever exchanges it.
///
/// # Errors
/// As open(2) and readlink(2); EINVAL if it is none.
pub(crate) fn link_at(path: &Path) -> io::Result<Link> {
    let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().ok_or(Errno::INVAL)?);
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let _held = hold_standard_streams();
    let folder = rustix::fs::open(parent, flags | OFlags::DIRECTORY, Mode::empty())?;
    let link = rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    let target = rustix::fs::readlinkat(&link, "", Vec::new())?;
    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
    Ok(Link { link: rustix::fs::fstat(&link)?, folder: rustix::fs::fstat(&folder)?, target })
}

/// The same as [`look`]; None if nothing has the name.
///
/// # Errors
/// As fstatat(2).
pub(crate) fn look_for(path: &Path) -> io::Result<Option<Stat>> {
    match look(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Whether what could not be opened is something of another kind than `wanted`: a link, a folder, a FIFO in the place of a file, a
/// file in that of a FIFO. An error alone does not say so: some file systems give the same for other reasons, once.
pub(crate) fn is_another_kind(path: &Path, wanted: FileType, error: &io::Error) -> bool {
    let may_be = error.kind() == io::ErrorKind::Other
        || matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::AGAIN));
    may_be && look(path).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) != wanted)
}

/// Renames what has this name, so that something else can have it. Returns where it is now.
///
/// # Errors
/// As renameat(2).
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let seconds = crate::clock::realtime_ns() / 1_000_000_000;
    let mut to = path.as_os_str().to_owned();
    to.push(format!(".aside-{seconds}-{}", look(path)?.st_ino));
    let to = PathBuf::from(to);
    rename(path, &to, RenameFlags::empty()).map(|()| to)
}

/// Device and inode of what has this name; None if nothing has.
///
/// # Errors
/// As fstatat(2).
pub(crate) fn identity(path: &Path) -> io::Result<Option<Identity>> {
    Ok(look_for(path)?.as_ref().map(Identity::of))
}

/// Removes a file's name, unless it is gone already.
///
/// # Errors
/// As unlinkat(2).
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match resolve(path, |folder, name| rustix::fs::unlinkat(folder, name, AtFlags::empty())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Renames a file.
///
/// # Errors
/// As renameat2(2); with [`RenameFlags::NOREPLACE`] if something has the name, and not every file system can.
pub(crate) fn rename(from: &Path, to: &Path, flags: RenameFlags) -> io::Result<()> {
    resolve(from, |from_folder, from| {
        let renamed = resolve(to, |to_folder, to| match flags.is_empty() {
            true => rustix::fs::renameat(from_folder, from, to_folder, to),
            false => rustix::fs::renameat_with(from_folder, from, to_folder, to, flags),
        });
        renamed.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    })
}

/// Renames a file to a name that nothing may have, on file systems too that cannot rename so: there it has both names for a
/// moment.
///
/// # Errors
/// As renameat2(2) and linkat(2).
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename(from, to, RenameFlags::NOREPLACE) {
        Err(error) if is_unsupported(&error) => {
            let linked = resolve(from, |from_folder, from| {
                let linked = resolve(to, |to_folder, to| {
                    rustix::fs::linkat(from_folder, from, to_folder, to, AtFlags::empty())
                });
                linked.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            });
            linked.and_then(|()| remove(from))
        }
        done => done,
    }
}

/// Whether an error says that a file system does not know what was asked for.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOTTY))
}

/// Gives a file the time of now.
///
/// # Errors
/// As utimensat(2).
#[cfg(feature = "flusher")]
pub(crate) fn make_young(path: &Path) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    resolve(path, |folder, name| rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW))
}

/// Makes a folder with this mode and group, unless something has its name.
///
/// # Errors
/// As mkdirat(2).
pub(crate) fn make_folder(path: &Path, mode: Mode, group: Option<u32>) -> io::Result<()> {
    let make = |folder: BorrowedFd<'_>, name: &Path| {
        rustix::fs::mkdirat(folder, name, Mode::RWXU).map(|()| give_to_owner(folder, name, Mode::RWXU))
    };
    match resolve(path, make) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        done => done?,
    }
    if mode != Mode::RWXU {
        // Whatever the umask takes away: this was asked for.
        let made = resolve_open(path, FOLDER, Mode::empty())?;
        // Who may not give it to the group is told so where the files are to be given to it.
        let given = group.is_none_or(|group| rustix::fs::fchown(&made, None, Some(Gid::from_raw(group))).is_ok());
        if given {
            let setgid = Mode::from_raw_mode(rustix::fs::fstat(&made)?.st_mode) & Mode::SGID;
            rustix::fs::fchmod(&made, mode | setgid)?;
        }
    }
    Ok(())
}

/// What file system a folder is on.
///
/// # Errors
/// As fstatfs(2).
pub(crate) fn file_system(path: &Path) -> io::Result<StatFs> {
    Ok(rustix::fs::fstatfs(folder(path)?)?)
}

/// Makes a FIFO, unless something has its name.
///
/// # Errors
/// As mknodat(2).
pub(crate) fn make_fifo(path: &Path) -> io::Result<()> {
    let make = |folder: BorrowedFd<'_>, name: &Path| {
        rustix::fs::mknodat(folder, name, FileType::Fifo, PRIVATE, 0).map(|()| give_to_owner(folder, name, PRIVATE))
    };
    match resolve(path, make) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Names of all that is in a folder.
///
/// # Errors
/// As open(2) and readdir(3).
pub(crate) fn list(path: &Path) -> io::Result<Vec<OsString>> {
    names(&*folder(path)?)
}

/// Names of all that is in a folder that is open.
///
/// # Errors
/// As readdir(3).
pub(crate) fn names(folder: &File) -> io::Result<Vec<OsString>> {
    let mut buffer = Vec::with_capacity(LIST_BUFFER);
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_owned().into_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}

/// Names of all that is in the folder of this file, whatever links lead to that folder.
///
/// # Errors
/// As [`list`].
pub(crate) fn list_beside(path: &Path) -> io::Result<Vec<OsString>> {
    list(&path.parent().unwrap_or(Path::new("")).join("."))
}

/// Makes durable what was made, renamed and removed in a folder.
///
/// # Errors
/// As fsync(2).
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::fsync(folder(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_alone_is_no_sign_of_another_kind() {
        let folder = std::env::temp_dir().join(format!("lastwords-another-kind-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("made");
        let path = folder.join("flusher.lock");
        let is_another = |errno: Errno| is_another_kind(&path, FileType::RegularFile, &errno.into());
        let errors = [Errno::AGAIN, Errno::LOOP, Errno::ISDIR, Errno::NXIO];
        assert!(!errors.into_iter().any(is_another), "nothing is there");
        std::fs::write(&path, "pid=1").expect("written");
        assert!(!errors.into_iter().any(is_another), "the file that is wanted is there");
        std::fs::remove_file(&path).and_then(|()| std::os::unix::fs::symlink("elsewhere", &path)).expect("a link");
        assert!(errors.into_iter().all(is_another));
        assert!(!is_another(Errno::IO), "no kind's error");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
