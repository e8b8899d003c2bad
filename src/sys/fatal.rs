//! Signals that mean a death: the ring is marked with the number, and the signal does what it does without us.
//!
//! Each handler is put before the one that it finds, which it calls with the same arguments: `std` has one for SIGSEGV and
//! SIGBUS that tells a stack overflow, and the program may have others. A handler that the program installs later takes our
//! place. A signal that is ignored is left alone.
//!
//! | the earlier handler | what happens | the mark |
//! |---|---|---|
//! | none | the default action, by the faulting instruction itself where there is one | stays |
//! | ends the process | that | stays |
//! | restores the default action and returns, as that of `std` does | at a fault, the same fault again; otherwise nothing, and our handler is put back | stays at a fault |
//! | returns otherwise | the program goes on | is taken back |

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};

/// The signals. The default action of each ends the process with a core dump.
const FATAL: [libc::c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS, libc::SIGTRAP];

/// What is called with the signal's number and the address of a SIGBUS, else 0; must be safe in a signal handler.
type Mark = fn(u32, usize);
type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

static MARK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static UNMARK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Who handled a signal before, and with which flags. Set before our handler is installed.
#[derive(Debug)]
struct Earlier {
    handler: AtomicUsize,
    flags: AtomicI32,
}

static EARLIER: [Earlier; FATAL.len()] =
    [const { Earlier { handler: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0) } }; FATAL.len()];

/// Has `mark` called at each fatal signal, and `unmark` where the program survives it.
pub(crate) fn on_fatal_signal(mark: Mark, unmark: Mark) {
    MARK.store(mark as *mut (), Ordering::Release);
    UNMARK.store(unmark as *mut (), Ordering::Release);
    for (signal, earlier) in FATAL.into_iter().zip(&EARLIER) {
        let found = action_of(signal);
        if found.sa_sigaction == libc::SIG_IGN {
            continue;
        }
        earlier.handler.store(found.sa_sigaction, Ordering::Relaxed);
        earlier.flags.store(found.sa_flags, Ordering::Release);
        set_handler(signal, found);
    }
}

fn our_handler() -> usize {
    handle as Handler as usize
}

/// Installs our handler, with the mask of `action`. It runs on the alternate stack where there is one, because the earlier
/// one may be there to tell that the other stack is full.
fn set_handler(signal: libc::c_int, action: libc::sigaction) {
    let flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    set_action(signal, &libc::sigaction { sa_sigaction: our_handler(), sa_flags: flags, ..action });
}

fn action_of(signal: libc::c_int) -> libc::sigaction {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction is safe in a signal handler and fills the structure that it is given, for which zeros, the default
    // action, are a value too.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    }
}

fn set_action(signal: libc::c_int, action: &libc::sigaction) {
    // SAFETY: sigaction is safe in a signal handler. The handler in `action` is ours, whose signature is the one that its
    // flags ask for, the default, or one that sigaction itself has told.
    unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) };
}

/// Restores the default action and returns what was there.
fn set_default(signal: libc::c_int) -> libc::sigaction {
    let found = action_of(signal);
    set_action(signal, &libc::sigaction { sa_sigaction: libc::SIG_DFL, sa_flags: 0, ..found });
    found
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the calling thread's own errno, which the interrupted code may be about to read.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: the kernel hands a handler with SA_SIGINFO a filled siginfo, in which every signal has a code, and SIGBUS an
    // address.
    let (code, address) = unsafe { ((*info).si_code, if signal == libc::SIGBUS { (*info).si_addr() as usize } else { 0 }) };
    // What a process sends has a code of 0 or less. Only these faults happen again when the handler returns.
    let is_fault = code > 0 && matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE);
    call(&MARK, signal, address);
    if pass_on(signal, info, context, is_fault) {
        call(&UNMARK, signal, address);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

fn call(place: &AtomicPtr<()>, signal: libc::c_int, address: usize) {
    let mark = place.load(Ordering::Acquire);
    if !mark.is_null() {
        // SAFETY: the pointer was stored from a function of this type, which is as large as a data pointer on every Linux
        // target.
        let mark = unsafe { std::mem::transmute::<*mut (), Mark>(mark) };
        mark(signal as u32, address);
    }
}

/// Has done what would be done without us. Returns whether the program survives it.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void, is_fault: bool) -> bool {
    let Some(earlier) = FATAL.iter().position(|fatal| *fatal == signal).map(|index| &EARLIER[index]) else { return false };
    let handler = earlier.handler.load(Ordering::Relaxed);
    if handler == libc::SIG_DFL {
        set_default(signal);
        if !is_fault {
            // SAFETY: raise is safe in a signal handler. The signal arrives as soon as this one has returned.
            unsafe { libc::raise(signal) };
        }
        return false;
    }
    if earlier.flags.load(Ordering::Acquire) & libc::SA_RESETHAND != 0 {
        set_default(signal);
    }
    call_earlier(handler, earlier.flags.load(Ordering::Relaxed), signal, info, context);
    let left = action_of(signal);
    if left.sa_sigaction != libc::SIG_DFL {
        return true;
    }
    if !is_fault {
        earlier.handler.store(libc::SIG_DFL, Ordering::Relaxed);
        set_handler(signal, left);
    }
    !is_fault
}

/// An earlier handler that ends in `abort`, as that of `std` does, is spared a second frame on the alternate stack, for
/// which there may be no room: SIGABRT, where its handler is ours, has its default action meanwhile.
fn call_earlier(
    handler: usize,
    flags: libc::c_int,
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let abort = action_of(libc::SIGABRT);
    let spared = signal != libc::SIGABRT && abort.sa_sigaction == our_handler();
    if spared {
        set_default(libc::SIGABRT);
    }
    if flags & libc::SA_SIGINFO != 0 {
        // SAFETY: sigaction said that this is a handler of this signature.
        let handler = unsafe { std::mem::transmute::<usize, Handler>(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: sigaction said that this is a handler of this signature.
        let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
        handler(signal);
    }
    if spared {
        set_action(libc::SIGABRT, &abort);
    }
}
