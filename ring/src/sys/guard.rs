//! Protects a process from SIGBUS while it writes to its own ring.
//!
//! The ring is a mapped file. If that file is truncated, or a copy-on-write file system finds no room on a full disk, the next
//! store there raises SIGBUS, and the program dies in the middle of a log call. A handler replaces the missing page by a
//! private page of zeros. What is logged there from then on reaches no file, but the program continues, after one message on
//! standard error.
//!
//! The handler uses only what is safe in one: loads and stores of atomics, mmap, madvise, getpid, poll, write. A fault anywhere
//! else, and a SIGBUS that is not a missing page, goes to the previous SIGBUS handler.
//!
//! A handler that is installed later may treat every SIGBUS as fatal, Python's faulthandler for one. [`come_first`] puts the
//! guard before it again, once, by another function: that handler keeps ours as its predecessor, and chains to it when it is
//! done.
//!
//! ```text
//! first(2)  ->  theirs, later  ->  first(1)  ->  theirs, earlier
//! ```

use crate::mutant::{self, Mutant};
use crate::sys::leaked_list::LeakedList;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// A place that is being filled. No process has this pid.
const TAKEN: u32 = u32::MAX;

/// A ring's mapping, for the handler.
#[derive(Debug)]
pub(crate) struct Guarded {
    /// The process that mapped it; 0 for a free place. In a forked child the addresses may belong to something else.
    pid: AtomicU32,
    start: AtomicUsize,
    end: AtomicUsize,
    /// Pages that were replaced.
    pages: AtomicU64,
}

/// All places ever created.
static GUARDED: LeakedList<Guarded> = LeakedList::new();

/// A handler with SA_SIGINFO.
pub type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// The SIGBUS handler before one of our two handlers, and its flags. Set before that handler is installed.
#[derive(Debug)]
struct Earlier {
    handler: AtomicUsize,
    flags: AtomicI32,
}

static EARLIER: [Earlier; 2] =
    [const { Earlier { handler: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0) } }; 2];
static INSTALLED: AtomicBool = AtomicBool::new(false);
/// Bytes of a page of this machine.
static PAGE: AtomicUsize = AtomicUsize::new(4096);
static SAID: AtomicBool = AtomicBool::new(false);
const SAYS: &[u8] =
    b"lastwords: a part of this process's ring is gone: its file was truncated externally, or the disk is \
    full; the process goes on, but what it logs from now on may reach no file\n";

impl Guarded {
    /// Whether a page of the ring was replaced: what is stored there reaches no file.
    pub(crate) fn is_hit(&self) -> bool {
        self.pages.load(Ordering::Relaxed) > 0
    }

    /// Ends the protection: its place is free for another ring.
    pub(crate) fn end(&self) {
        self.pid.store(0, Ordering::Release);
    }

    fn holds(&self, address: usize, process: u32) -> bool {
        self.pid.load(Ordering::Acquire) == process
            && (self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed)).contains(&address)
    }
}

/// Protects the mapping of `size` bytes at `start` for the lifetime of this process.
pub(crate) fn watch(start: usize, size: usize) -> &'static Guarded {
    let me = std::process::id();
    let free = |place: &&Guarded| {
        let pid = place.pid.load(Ordering::Relaxed);
        // Places of a parent process are free.
        pid != me && pid != TAKEN && place.pid.compare_exchange(pid, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    let place = GUARDED.newest_first().find(free).unwrap_or_else(add);
    place.start.store(start, Ordering::Relaxed);
    place.end.store(start + size, Ordering::Relaxed);
    place.pages.store(0, Ordering::Relaxed);
    // Pairs with the load in `holds`: a visible pid implies a visible range.
    place.pid.store(me, Ordering::Release);
    // Not a lock, which in a forked child a thread of the parent could have held.
    if !INSTALLED.swap(true, Ordering::AcqRel) {
        PAGE.store(rustix::param::page_size(), Ordering::Relaxed);
        install(0);
    }
    place
}

/// Adds a place to the list, already taken.
fn add() -> &'static Guarded {
    let zero = || AtomicUsize::new(0);
    let (pid, pages) = (AtomicU32::new(TAKEN), AtomicU64::new(0));
    GUARDED.add(Guarded { pid, start: zero(), end: zero(), pages })
}

/// Puts the guard before a handler that was installed after it, if there is a guard. Not before two different ones: the second
/// may have the first as its predecessor, and the two would call each other.
pub fn come_first() {
    if !INSTALLED.load(Ordering::Acquire) || mutant::is(Mutant::GuardLast) {
        return;
    }
    let Some(found) = action() else { return };
    let known = EARLIER[1].handler.load(Ordering::Relaxed);
    let ours = (0..2).any(|level| found.sa_sigaction == handler(level));
    if !ours && (known == libc::SIG_DFL || known == found.sa_sigaction) && found.sa_sigaction > libc::SIG_IGN {
        install(1);
    }
}

fn handler(level: usize) -> usize {
    let handler: Handler = if level == 0 { handle } else { handle_again };
    handler as usize
}

/// The handler that is asked next, if this one is the guard's: the guard's own handler, as registered for SIGBUS, is
/// transparent to faults outside its rings.
pub fn goes_on_to(found: usize) -> Option<usize> {
    let level = (0..2).find(|level| handler(*level) == found)?;
    Some(EARLIER[level].handler.load(Ordering::Relaxed))
}

/// The present SIGBUS handler.
fn action() -> Option<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction fills the structure passed to it, for which zeros are valid too.
    unsafe { (libc::sigaction(libc::SIGBUS, ptr::null(), action.as_mut_ptr()) == 0).then(|| action.assume_init()) }
}

fn install(level: usize) {
    let Some(mut action) = action() else { return };
    EARLIER[level].handler.store(action.sa_sigaction, Ordering::Relaxed);
    EARLIER[level].flags.store(action.sa_flags, Ordering::Release);
    action.sa_sigaction = handler(level);
    // On the alternate stack if there is one: the previous handler may be the one that reports stack overflows.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler only does what is safe in a signal handler, and has the signature that SA_SIGINFO requires.
    unsafe { libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) };
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    guard(0, signal, info, context);
}

extern "C" fn handle_again(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    guard(1, signal, info, context);
}

fn guard(level: usize, signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a handler with SA_SIGINFO a filled siginfo, and for SIGBUS its address is set.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    // SAFETY: the calling thread's own errno, which the interrupted code may be about to read.
    let errno = unsafe { *libc::__errno_location() };
    let done = code == libc::BUS_ADRERR && replace_page(address);
    if !done {
        pass_on(&EARLIER[level], signal, code, info, context);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Replaces the page at `address` by a private page of zeros, if it is a ring's.
fn replace_page(address: usize) -> bool {
    // SAFETY: getpid has no preconditions.
    let me = unsafe { libc::getpid() } as u32;
    let Some(ring) = GUARDED.newest_first().find(|ring| ring.holds(address, me)) else { return false };
    let size = PAGE.load(Ordering::Relaxed);
    let page = address / size * size;
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
    // SAFETY: the page is within a mapping of ours that is never unmapped and only reached through atomics, for which zeros are
    // valid. Another thread that faults on the same page at the same moment loses its store, like everything that is stored
    // there.
    unsafe {
        if libc::mmap(page as *mut libc::c_void, size, protection, flags, -1, 0) == libc::MAP_FAILED {
            return false;
        }
        // Like the rest of the ring: a forked child has no use for it.
        libc::madvise(page as *mut libc::c_void, size, libc::MADV_DONTFORK);
    }
    let control = ring.start.load(Ordering::Relaxed) + crate::format::layout::PAGE as usize;
    if (page..page + size).contains(&control) {
        // Nothing of this ring can be read any more, so nothing needs to be written: the level is the page's first word.
        // SAFETY: the page was just mapped, and the control page starts with an aligned word that is an atomic.
        unsafe { (*(control as *const AtomicU32)).store(u32::MAX, Ordering::Relaxed) };
    }
    ring.pages.fetch_add(1, Ordering::Relaxed);
    report();
    true
}

/// Reports once what happened, unless nobody reads it.
fn report() {
    if SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut ready = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: poll and write are safe in a signal handler, and get a local and a constant of the given lengths.
    unsafe {
        if libc::poll(&raw mut ready, 1, 0) == 1 && ready.revents & libc::POLLOUT != 0 {
            libc::write(libc::STDERR_FILENO, SAYS.as_ptr().cast(), SAYS.len());
        }
    }
}

/// Does what the previous handler would have done.
fn pass_on(
    earlier: &Earlier,
    signal: libc::c_int,
    code: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let (previous, flags) = (earlier.handler.load(Ordering::Relaxed), earlier.flags.load(Ordering::Acquire));
    let was_sent = code <= 0;
    match previous {
        libc::SIG_IGN if was_sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: zeros are valid for sigaction, and signal and raise are safe in a handler. A fault recurs when the
            // handler returns; a signal that was sent must be raised again.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if was_sent {
                    libc::raise(signal);
                }
            }
        }
        // SAFETY: sigaction returned them together.
        handler => unsafe { call_handler(handler, flags, signal, info, context) },
    }
}

/// Calls a signal handler of other code.
///
/// # Safety
/// `handler` and `flags` are those of a sigaction(2) that has a handler.
#[inline]
pub unsafe fn call_handler(
    handler: usize,
    flags: libc::c_int,
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    if flags & libc::SA_SIGINFO != 0 {
        // SAFETY: according to the flags, this is a handler of this signature.
        let handler = unsafe { std::mem::transmute::<usize, Handler>(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: according to the flags, this is a handler of this signature.
        let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
        handler(signal);
    }
}
