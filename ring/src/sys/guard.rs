//! The guard of a process whose own ring raises SIGBUS while it writes.
//!
//! The ring is a mapped file. Where somebody truncates that file, or a file system that copies on write finds no room on a
//! full disk, the next store there raises SIGBUS, and the program dies in the middle of a log call. A handler puts a page of
//! zeros that belongs to this process alone in the place of the page that is gone. What is logged there from then on
//! reaches no file, but the program goes on, and says so once on standard error.
//!
//! The handler does only what is safe in one: loads and stores of atomics, mmap, madvise, getpid, poll, write. A fault
//! anywhere else, and a SIGBUS that is no missing page, goes to whoever handled SIGBUS before.
//!
//! Somebody may install a handler later that takes every SIGBUS for the end, Python's faulthandler for one. [`come_first`]
//! puts the guard before it again, once, by another function: that handler keeps ours for the one before it, and goes back to
//! it when it is done.
//!
//! ```text
//! first(2)  ->  theirs, later  ->  first(1)  ->  theirs, earlier
//! ```

use crate::mutant::{self, Mutant};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// A place that somebody is filling. No process has this pid.
const TAKEN: u32 = u32::MAX;

/// A ring's mapping, as the handler finds it.
#[derive(Debug)]
pub(crate) struct Guarded {
    /// The process that mapped it; 0 for a free place. In a forked child the addresses may belong to something else.
    pid: AtomicU32,
    start: AtomicUsize,
    end: AtomicUsize,
    /// Pages that were replaced.
    pages: AtomicU64,
    /// The next of the list; set before the place is in it.
    next: *const Guarded,
}

// SAFETY: the pointer is to a place that is never freed and never changes, and all else is atomic.
unsafe impl Sync for Guarded {}

/// All places that were ever made, the newest first. None is ever freed, because the handler may be at it.
static GUARDED: AtomicPtr<Guarded> = AtomicPtr::new(ptr::null_mut());

/// Who handled SIGBUS before one of our two handlers, and with which flags. Set before that handler is installed.
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
    b"lastwords: a part of this process's ring is gone: its file was cut by somebody else, or the disk is \
    full; the process goes on, but what it logs from now on may reach no file\n";

impl Guarded {
    /// Whether a page of the ring was replaced: what is stored there reaches no file.
    pub(crate) fn is_hit(&self) -> bool {
        self.pages.load(Ordering::Relaxed) > 0
    }

    /// Guards it no longer: its place is free for another ring.
    pub(crate) fn end(&self) {
        self.pid.store(0, Ordering::Release);
    }

    fn holds(&self, address: usize, process: u32) -> bool {
        self.pid.load(Ordering::Acquire) == process
            && (self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed)).contains(&address)
    }
}

/// All places of the list.
fn places() -> impl Iterator<Item = &'static Guarded> {
    let mut next = GUARDED.load(Ordering::Acquire).cast_const();
    std::iter::from_fn(move || {
        // SAFETY: a pointer of the list is null, or to a place that was leaked and is only changed through atomics. Pairs
        // with the exchange in `add`: who sees a place sees what it was made with.
        let place = unsafe { next.as_ref() }?;
        next = place.next;
        Some(place)
    })
}

/// Guards the mapping of `size` bytes at `start` for as long as this process lives.
pub(crate) fn watch(start: usize, size: usize) -> &'static Guarded {
    let me = std::process::id();
    let free = |place: &&Guarded| {
        let pid = place.pid.load(Ordering::Relaxed);
        // Those of the process that this one was forked from are free.
        pid != me && pid != TAKEN && place.pid.compare_exchange(pid, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    let place = places().find(free).unwrap_or_else(add);
    place.start.store(start, Ordering::Relaxed);
    place.end.store(start + size, Ordering::Relaxed);
    place.pages.store(0, Ordering::Relaxed);
    // Pairs with the load in `holds`: who sees the pid sees the range.
    place.pid.store(me, Ordering::Release);
    // No lock, which a thread of a forked child's parent could have held.
    if !INSTALLED.swap(true, Ordering::AcqRel) {
        PAGE.store(rustix::param::page_size(), Ordering::Relaxed);
        install(0);
    }
    place
}

/// Adds a place to the list, taken.
fn add() -> &'static Guarded {
    let zero = || AtomicUsize::new(0);
    let (pid, pages) = (AtomicU32::new(TAKEN), AtomicU64::new(0));
    let place = Box::leak(Box::new(Guarded { pid, start: zero(), end: zero(), pages, next: ptr::null() }));
    let mut newest = GUARDED.load(Ordering::Relaxed);
    loop {
        place.next = newest;
        match GUARDED.compare_exchange_weak(newest, place, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return place,
            Err(found) => newest = found,
        }
    }
}

/// Puts the guard before a handler that was installed after it, if there is a guard. Not before two different ones: the
/// second may hold the handler that would be put before it for the one to go on to, and the two would call each other.
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
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
        if level == 0 { handle } else { handle_again };
    handler as usize
}

/// Who is asked next by this one, if it is the guard's: its own handler, as it stands among the actions of SIGBUS, is as good
/// as not there for what is none of its own.
pub fn goes_on_to(found: usize) -> Option<usize> {
    let level = (0..2).find(|level| handler(*level) == found)?;
    Some(EARLIER[level].handler.load(Ordering::Relaxed))
}

/// Who handles SIGBUS now.
fn action() -> Option<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction fills the structure that it is given, for which zeros are a value too.
    unsafe { (libc::sigaction(libc::SIGBUS, ptr::null(), action.as_mut_ptr()) == 0).then(|| action.assume_init()) }
}

fn install(level: usize) {
    let Some(mut action) = action() else { return };
    EARLIER[level].handler.store(action.sa_sigaction, Ordering::Relaxed);
    EARLIER[level].flags.store(action.sa_flags, Ordering::Release);
    action.sa_sigaction = handler(level);
    // On the alternate stack where there is one: the previous handler may be the one that reports stack overflows.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler only does what is safe in a signal handler, and its signature is the one that SA_SIGINFO asks for.
    unsafe { libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) };
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    guard(0, signal, info, context);
}

extern "C" fn handle_again(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    guard(1, signal, info, context);
}

fn guard(level: usize, signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO a filled siginfo, and for SIGBUS its address is set.
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

/// Puts a private page of zeros in the place of the one at `address`, if that is a ring's.
fn replace_page(address: usize) -> bool {
    // SAFETY: getpid has no preconditions.
    let me = unsafe { libc::getpid() } as u32;
    let Some(ring) = places().find(|ring| ring.holds(address, me)) else { return false };
    let size = PAGE.load(Ordering::Relaxed);
    let page = address / size * size;
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
    // SAFETY: the page lies within a mapping of ours that is never unmapped and only reached through atomics, for which
    // zeros are a value. Another thread that faults on the same page at the same moment loses what it stored, as all
    // that is stored there is lost.
    unsafe {
        if libc::mmap(page as *mut libc::c_void, size, protection, flags, -1, 0) == libc::MAP_FAILED {
            return false;
        }
        // As the rest of the ring: a forked child has no use for it.
        libc::madvise(page as *mut libc::c_void, size, libc::MADV_DONTFORK);
    }
    let control = ring.start.load(Ordering::Relaxed) + crate::format::layout::PAGE as usize;
    if (page..page + size).contains(&control) {
        // Nothing of this ring can be read any more, so nothing needs to be written: the level is the page's first word.
        // SAFETY: the page was just mapped, and the control page starts with an aligned word that is an atomic.
        unsafe { (*(control as *const AtomicU32)).store(u32::MAX, Ordering::Relaxed) };
    }
    ring.pages.fetch_add(1, Ordering::Relaxed);
    say();
    true
}

/// Says once what happened, unless nobody reads it.
fn say() {
    if SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut ready = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: poll and write are safe in a signal handler, and get a local and a constant of the stated lengths.
    unsafe {
        if libc::poll(&raw mut ready, 1, 0) == 1 && ready.revents & libc::POLLOUT != 0 {
            libc::write(libc::STDERR_FILENO, SAYS.as_ptr().cast(), SAYS.len());
        }
    }
}

/// Has the previous handler do what it would have done.
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
            // SAFETY: zeros are a value of sigaction, and signal and raise are safe in a handler. A fault happens again
            // when the handler returns; a signal that was sent has to be raised again.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if was_sent {
                    libc::raise(signal);
                }
            }
        }
        handler if flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: sigaction said that this is a handler of this signature.
            let handler = unsafe {
                std::mem::transmute::<usize, extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void)>(
                    handler,
                )
            };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: sigaction said that this is a handler of this signature.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
            handler(signal);
        }
    }
}
