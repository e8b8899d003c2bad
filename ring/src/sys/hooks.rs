//! Hooks of the C library: at exit, around fork, and the signal mask of our own threads.

use crate::mutant::{self, Mutant};
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

/// A hook that gets the exit status, if available, and an unused pointer.
pub(crate) type ExitHook = extern "C" fn(c_int, *mut c_void);

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    fn on_exit(hook: ExitHook, argument: *mut c_void) -> c_int;
}

/// Registers `hook` for a normal exit: return from main, or exit(3).
#[cfg(target_env = "gnu")]
pub fn at_exit(hook: ExitHook) {
    // SAFETY: on_exit, of glibc, only stores the pointer; the hook is a plain function that lives as long as the program.
    unsafe { on_exit(hook, std::ptr::null_mut()) };
}

/// Like the glibc version, with a C library that does not provide the exit status.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn at_exit(hook: ExitHook) {
    static HOOK: std::sync::OnceLock<ExitHook> = std::sync::OnceLock::new();
    extern "C" fn run() {
        HOOK.get().inspect(|hook| hook(0, std::ptr::null_mut()));
    }
    let _ = HOOK.set(hook);
    // SAFETY: atexit only stores the pointer; the hook is a plain function that lives as long as the program.
    unsafe { libc::atexit(run) };
}

/// Limit of this process's descriptors; None if unknown: a sandbox may refuse the question, on which the safe API would panic.
pub fn descriptors_max() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills the local passed to it.
    let answer = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (answer == 0).then_some(limit.rlim_cur)
}

/// Closes a descriptor that other code may have closed at this very moment: `std` aborts a debug build for that.
pub fn close(fd: OwnedFd) {
    // SAFETY: the caller owns the descriptor and has just verified that it still is what it was opened for.
    unsafe { libc::close(fd.into_raw_fd()) };
}

/// Closes a descriptor whose owner stays, and verifies it before each use.
pub(crate) fn close_kept(fd: RawFd) {
    // SAFETY: the caller has just verified it, so no other file is closed.
    unsafe { libc::close(fd) };
}

unsafe extern "C" {
    fn at_quick_exit(hook: extern "C" fn()) -> c_int;
}

/// Registers `hook` for quick_exit(3).
pub fn at_quick_exit_do(hook: extern "C" fn()) {
    // SAFETY: at_quick_exit only stores the pointer; the hook is a plain function that lives as long as the program.
    unsafe { at_quick_exit(hook) };
}

/// Most descriptors that a forked child closes: those of rings, and of the processes that a flusher watches.
const INHERITED_MAX: usize = 4096;
/// A free place of [`INHERITED`], and one that is being filled.
const FREE: RawFd = -1;
const TAKEN: RawFd = -2;

/// A descriptor that a forked child closes at once, so that it does not keep the parent's locks and files.
#[derive(Debug)]
struct Inherited {
    fd: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

static INHERITED: [Inherited; INHERITED_MAX] =
    [const { Inherited { fd: AtomicI32::new(FREE), device: AtomicU64::new(0), inode: AtomicU64::new(0) } };
        INHERITED_MAX];

extern "C" fn close_inherited() {
    for place in &INHERITED {
        let fd = place.fd.swap(FREE, Ordering::Acquire);
        // Our objects in the child are never used or dropped.
        close_if_ours(fd, (place.device.load(Ordering::Relaxed), place.inode.load(Ordering::Relaxed)));
    }
}

/// A descriptor of ours by its number, if that still refers to what it was opened for.
pub(crate) fn borrow_if_ours(fd: RawFd, (device, inode): (u64, u64)) -> Option<BorrowedFd<'static>> {
    // SAFETY: a number that is not negative, and that refers to what was opened here, which no other code has a reason to
    // close.
    (fd >= 0 && is_still(fd, device, inode)).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Closes a descriptor of ours by its number, if that still refers to what it was opened for. Allowed after fork.
pub(crate) fn close_if_ours(fd: RawFd, (device, inode): (u64, u64)) {
    if fd >= 0 && is_still(fd, device, inode) {
        // SAFETY: the file was opened here, and only the caller knows the number.
        unsafe { libc::close(fd) };
    }
}

/// Whether the number refers to what it was opened for. The program may have closed it and reused it.
fn is_still(fd: RawFd, device: u64, inode: u64) -> bool {
    let mut found = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: fstat, which is allowed after fork, fills the structure passed to it, for which zeros are valid too.
    let found = unsafe {
        if libc::fstat(fd, found.as_mut_ptr()) != 0 {
            return false;
        }
        found.assume_init()
    };
    (found.st_dev, found.st_ino) == (device, inode)
}

/// Registers `before` to be called before each fork, and makes forked children close inherited descriptors, see
/// `close_in_child`.
pub fn at_fork(before: extern "C" fn()) {
    // SAFETY: pthread_atfork only stores the pointers; the hook of the child calls close(2), which is allowed after fork.
    unsafe { libc::pthread_atfork(Some(before), None, Some(close_inherited)) };
}

/// The target of a place, which is null or a leaked box.
pub fn leaked<T>(place: &'static AtomicPtr<T>) -> Option<&'static T> {
    // SAFETY: the places of the registry and of its lists are null or hold pointers made from `&'static` references.
    unsafe { place.load(Ordering::Acquire).as_ref() }
}

/// Lists a descriptor for closing in forked children. Returns its place, None if the list is full.
pub(crate) fn close_in_child(fd: RawFd, (device, inode): (u64, u64)) -> Option<usize> {
    let is_free = |place: &Inherited| {
        place.fd.load(Ordering::Relaxed) == FREE
            && place.fd.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
    };
    let free = INHERITED.iter().position(is_free)?;
    let place = &INHERITED[free];
    place.device.store(device, Ordering::Relaxed);
    place.inode.store(inode, Ordering::Relaxed);
    // Pairs with the swap in the child: a visible descriptor implies a visible identity.
    place.fd.store(fd, Ordering::Release);
    Some(free)
}

/// Takes a descriptor off that list after it was closed.
pub(crate) fn forget_in_child(place: usize) {
    INHERITED[place].fd.store(FREE, Ordering::Release);
}

/// Detaches the calling thread, which is one of ours, from the settings of the thread that started it: all signals are blocked,
/// so that no handler of the program ever runs there, and it is not a real-time thread, which would take a processor from the
/// program's own.
pub fn settle_thread() {
    block_signals();
    let normal = libc::sched_param { sched_priority: 0 };
    // SAFETY: both concern the calling thread; the parameter is a local that outlives the call. Giving up a priority is always
    // allowed.
    unsafe {
        let policy = libc::sched_getscheduler(0) & !libc::SCHED_RESET_ON_FORK;
        if [libc::SCHED_FIFO, libc::SCHED_RR].contains(&policy) && !mutant::is(Mutant::RealTimeKept) {
            libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const normal);
        }
    }
}

fn block_signals() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigfillset initialises the set before pthread_sigmask reads it.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}
