//! Signals that mean a death: the ring is marked with the number, and the signal has the effect that it has without us.
//!
//! Each handler is installed before the one that it finds, which it calls with the same arguments: `std` has one for SIGSEGV
//! and SIGBUS that reports a stack overflow, and the program may have others. A handler that the program installs later
//! replaces ours, and may call it (signal-hook does; wasmtime, Go and the JVM do if a fault is not theirs): then the present
//! action is not ours. A signal that is ignored is left alone.
//!
//! | called by | the earlier handler | what happens | the mark |
//! |---|---|---|---|
//! | the kernel | none | the default action, by the faulting instruction itself if there is one | stays |
//! | a later handler, at a real fault | none | the default action is restored, and the fault, if it happens again, ends the process | stays |
//! | a later handler, otherwise | none | nothing: without us that was the default action, which handlers do not call; the later handler continues | is withdrawn |
//! | anybody | ends the process, by `exit` too | that; the exit is not treated as an ordinary one, see `frame.rs` | stays |
//! | anybody | restores the default action and returns, like that of `std` | at a fault, the same fault again; otherwise nothing, and our handler is put back | stays at a fault |
//! | anybody | returns otherwise | the program continues | is withdrawn |
//! | anybody, of an `abort` | returns, or none under a later handler | `abort` then ends the process | stays |
//!
//! A real fault is a SIGSEGV, SIGBUS, SIGILL or SIGFPE raised by the kernel: not one that was sent, nor SIGTRAP or SIGSYS,
//! which do not recur. `abort` is a SIGABRT that a thread sends to itself; a program that raises one in this way, handles it
//! and lives on keeps the mark, which applies only if nothing else reveals how it ended. An earlier handler that leaves by
//! siglongjmp is not noticed either, and keeps the mark in the same way.
//!
//! With `crash_threads` the other threads are stopped where the default action is certain to follow: in the first row, and where a
//! fault that was left to it has recurred. For that our handler is put back at such a fault too.

use crate::sys::action::{action_of, keeping_errno, set_action, set_default};
use crate::sys::alternate_stack;
use crate::sys::capture::{self, Signal};
use crate::sys::frame;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::capture_file::CaptureFile;
use lastwords_ring::place::stderr;
use lastwords_ring::sys::guard::{self, Handler};
use lastwords_ring::sys::hooks;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};

/// The signals. The default action of each ends the process with a core dump.
const FATAL: [libc::c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS, libc::SIGTRAP];

/// What is done at a fatal signal. All of it must be safe in a signal handler.
#[derive(Debug)]
pub(crate) struct Hooks {
    /// Marks the rings; called with the signal's number and the address of a SIGBUS, else 0.
    pub(crate) mark: fn(u32, usize),
    /// Takes the mark back: the program survives.
    pub(crate) unmark: fn(u32, usize),
    /// Where the capture goes, if there is to be one.
    pub(crate) capture_file: fn() -> Option<&'static CaptureFile>,
}

static HOOKS: AtomicPtr<Hooks> = AtomicPtr::new(std::ptr::null_mut());

/// The previous handler of a signal, and its flags. Set before our handler is installed.
#[derive(Debug)]
struct Earlier {
    handler: AtomicUsize,
    flags: AtomicI32,
}

static EARLIER: [Earlier; FATAL.len()] =
    [const { Earlier { handler: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0) } }; FATAL.len()];

/// Installs a handler for each fatal signal, which calls these.
pub(crate) fn on_fatal_signal(hooks: &'static Hooks) {
    HOOKS.store(std::ptr::from_ref(hooks).cast_mut(), Ordering::Release);
    for (signal, earlier) in FATAL.into_iter().zip(&EARLIER) {
        install(signal, earlier);
    }
}

fn install(signal: libc::c_int, earlier: &Earlier) {
    let found = action_of(signal);
    if found.sa_sigaction == libc::SIG_IGN {
        return;
    }
    earlier.handler.store(found.sa_sigaction, Ordering::Relaxed);
    earlier.flags.store(found.sa_flags, Ordering::Release);
    set_handler(signal, found);
}

/// Runs `change`, which installs or removes handlers of other code. Where ours is the first one it is afterwards too, and what was
/// installed has as its predecessor what ours had, never ours: the two would call each other. Meanwhile ours is out of
/// the way, and a crash of another thread has the effect that it has without us.
pub(crate) fn first_before_and_after<T>(change: impl FnOnce() -> T) -> T {
    let is_first = FATAL.map(|signal| action_of(signal).sa_sigaction == our_handler());
    let ours =
        || FATAL.into_iter().zip(&EARLIER).zip(is_first).filter(|(_, is_first)| *is_first).map(|(found, _)| found);
    for (signal, earlier) in ours() {
        let (handler, flags) = (earlier.handler.load(Ordering::Relaxed), earlier.flags.load(Ordering::Acquire));
        set_action(signal, &libc::sigaction { sa_sigaction: handler, sa_flags: flags, ..action_of(signal) });
    }
    let done = change();
    for (signal, earlier) in ours() {
        install(signal, earlier);
    }
    done
}

fn our_handler() -> usize {
    handle as Handler as usize
}

/// Installs our handler in place of `action`, with its mask and flags. If there was no handler, ours runs on the alternate
/// stack if there is one: the other stack may be full.
fn set_handler(signal: libc::c_int, action: libc::sigaction) {
    let asked = libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;
    let flags = if action.sa_sigaction == libc::SIG_DFL { libc::SA_ONSTACK } else { action.sa_flags & asked };
    set_action(signal, &libc::sigaction { sa_sigaction: our_handler(), sa_flags: libc::SA_SIGINFO | flags, ..action });
}

/// Whether the kernel called us, and not a handler that was installed later. The guard's handler is transparent to faults that
/// are not its own.
fn is_called_by_kernel(signal: libc::c_int) -> bool {
    let mut present = action_of(signal).sa_sigaction;
    while let Some(next) = guard::goes_on_to(present) {
        present = next;
    }
    present == our_handler() || mutant::is(Mutant::ChainBlind)
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let (arrival, number) = (Arrival::of(signal, info), signal as u32);
    keeping_errno(|| {
        let Some(hooks) = hooks::leaked(&HOOKS) else { return };
        let is_nested = frame::is_within();
        frame::within(|| {
            (hooks.mark)(number, arrival.address);
            let file = (hooks.capture_file)();
            // SAFETY: the kernel passes a handler with SA_SIGINFO a filled siginfo, which stays until it returns.
            let interrupted = Signal { info: unsafe { &*info }, context, has_earlier: has_earlier(signal), is_nested };
            let taken = file.map(|file| capture::before(file, &interrupted));
            let others = file
                .filter(|file| file.takes_others() && alternate_stack::has_room_for_others())
                .map(|file| || capture::others(file, &interrupted));
            // An earlier handler may print.
            let passed = stderr::lend(|| pass_on(signal, info, context, arrival.is_fault, others));
            let survives = passed && !arrival.is_abort;
            // Another thread that has survived the same signal meanwhile has taken the mark of both back.
            let settle = if survives { hooks.unmark } else { hooks.mark };
            settle(number, arrival.address);
            if let Some((file, taken)) = file.zip(taken) {
                let settle = if survives { capture::survived } else { capture::complete };
                settle(file, &interrupted, taken);
            }
        });
    });
}

/// The kernel's information on a signal.
#[derive(Debug)]
struct Arrival {
    /// The address of a SIGBUS, else 0.
    address: usize,
    /// It recurs when the handler returns.
    is_fault: bool,
    /// It is raised by abort(3).
    is_abort: bool,
}

impl Arrival {
    fn of(signal: libc::c_int, info: *mut libc::siginfo_t) -> Arrival {
        // SAFETY: the kernel passes a handler with SA_SIGINFO a filled siginfo, in which every signal has a code.
        let code = unsafe { (*info).si_code };
        // Signals sent by a process have a code of 0 or less.
        let is_fault = code > 0 && matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE);
        // SAFETY: the union holds a process id if the signal was sent by tgkill, and an address if it is a SIGBUS; getpid has
        // no preconditions.
        let (by_itself, address) = unsafe {
            (
                code == libc::SI_TKILL && (*info).si_pid() == libc::getpid(),
                if signal == libc::SIGBUS { (*info).si_addr() as usize } else { 0 },
            )
        };
        Arrival { address, is_fault, is_abort: signal == libc::SIGABRT && by_itself }
    }
}

/// Whether there was a handler before ours, which may make the signal good.
fn has_earlier(signal: libc::c_int) -> bool {
    earlier_of(signal).is_some_and(|earlier| earlier.handler.load(Ordering::Relaxed) != libc::SIG_DFL)
}

fn earlier_of(signal: libc::c_int) -> Option<&'static Earlier> {
    FATAL.iter().position(|fatal| *fatal == signal).map(|index| &EARLIER[index])
}

/// Does what would happen without us. Returns whether the program survives it.
///
/// Where it is certain that it does not, `others`, which stops the other threads, is run before: not after the default action
/// is restored, with which another thread that crashes ends the process at once. So that it becomes certain, a fault comes back
/// to our handler before it is left to the default action.
fn pass_on(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
    is_fault: bool,
    others: Option<impl FnOnce()>,
) -> bool {
    let Some(earlier) = earlier_of(signal) else { return false };
    let takes_others = others.is_some();
    let handler = earlier.handler.load(Ordering::Relaxed);
    let by_kernel = is_called_by_kernel(signal);
    if handler == libc::SIG_DFL {
        if !by_kernel && !is_fault {
            return true;
        }
        // A later handler may still make a fault good, and process 1 of a pid namespace gets none of its own signals.
        let is_certain = by_kernel && (is_fault || std::process::id() != 1);
        if let Some(others) = others.filter(|_| is_certain) {
            others();
        }
        set_default(signal);
        if !is_fault {
            // SAFETY: raise is safe in a signal handler. The signal arrives as soon as this one has returned.
            unsafe { libc::raise(signal) };
        }
        if is_fault && !by_kernel && takes_others {
            set_handler(signal, action_of(signal));
        }
        return false;
    }
    if by_kernel && earlier.flags.load(Ordering::Acquire) & libc::SA_RESETHAND != 0 {
        set_default(signal);
    }
    if let Some(others) = others.filter(|_| mutant::is(Mutant::SurvivorParked)) {
        others();
    }
    let has_room = takes_others && alternate_stack::has_room_for_handler();
    call_earlier(handler, earlier.flags.load(Ordering::Relaxed), signal, info, context, has_room);
    let left = action_of(signal);
    if left.sa_sigaction != libc::SIG_DFL {
        return true;
    }
    if !is_fault || takes_others {
        earlier.handler.store(libc::SIG_DFL, Ordering::Relaxed);
        set_handler(signal, left);
    }
    !is_fault
}

/// An earlier handler that ends in `abort`, like that of `std`, is spared a second frame on the alternate stack unless
/// `has_room` says that it is of use and fits: SIGABRT, if its handler is ours, has its default action meanwhile.
fn call_earlier(
    handler: usize,
    flags: libc::c_int,
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
    has_room: bool,
) {
    let abort = action_of(libc::SIGABRT);
    let spared = signal != libc::SIGABRT && abort.sa_sigaction == our_handler() && !has_room;
    if spared {
        set_default(libc::SIGABRT);
    }
    // SAFETY: sigaction returned them together.
    unsafe { guard::call_handler(handler, flags, signal, info, context) };
    if spared {
        set_action(libc::SIGABRT, &abort);
    }
}
