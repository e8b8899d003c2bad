//! Signals as they arrive, and children as they end: what has no safe interface.

#![allow(unsafe_code)]

use crate::input::ignored_signals;
use crate::run::end::{Ended, Usage};
use rustix::process::Pid;
use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Those that are passed on, besides the real-time ones. The others tell of a fault of this process itself, cannot be caught, or
/// are about its own terminal, children and descriptors.
const PASSED: [c_int; 11] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTSTP,
    libc::SIGCONT,
    libc::SIGWINCH,
    libc::SIGPWR,
];

/// A signal that has arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    pub(crate) signal: c_int,
    /// The kernel has sent it, to all processes of a terminal, and not another process to this one.
    pub(crate) is_of_kernel: bool,
}

impl Arrived {
    /// From the two bytes that [`watch`] gives for each.
    pub(crate) fn from_bytes(bytes: [u8; 2]) -> Arrived {
        Arrived { signal: c_int::from(bytes[0]), is_of_kernel: bytes[1] != 0 }
    }
}

/// From now on each signal gives two bytes to read. One that is ignored, by `nohup` for instance, stays ignored.
///
/// # Errors
/// As sigaction(2) and socketpair(2).
pub(crate) fn watch() -> io::Result<UnixStream> {
    let (arrived, arrives) = UnixStream::pair()?;
    arrives.set_nonblocking(true)?;
    let ignored = ignored_signals();
    let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
    let passed = PASSED.into_iter().chain(real_time).filter(|signal| !ignored.contains(signal));
    for signal in passed.chain([libc::SIGCHLD]) {
        let arrives = arrives.try_clone()?;
        let note = move |info: &libc::siginfo_t| {
            let bytes = [info.si_signo as u8, u8::from(info.si_code > 0)];
            // Where so many are unread that it is full, one more of them tells nothing new.
            let _ = rustix::io::write(&arrives, &bytes);
        };
        // SAFETY: the action only calls write(2), which is async-signal-safe; it allocates nothing, and cannot panic.
        unsafe { signal_hook_registry::register_sigaction(signal, note)? };
    }
    Ok(arrived)
}

/// Sends any signal; it is not an error if the process has just ended.
pub(crate) fn send(process: Pid, signal: c_int) {
    // SAFETY: kill(2) has two numbers as its arguments.
    unsafe { libc::kill(process.as_raw_nonzero().get(), signal) };
}

/// What has become of a child.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Stopped,
    Ended(Ended),
}

/// Takes the news of a child, with its pid: it is stopped, or has ended and is reaped. None if there are none.
pub(crate) fn news() -> Option<(i32, Change)> {
    let (mut status, mut usage) = (0, MaybeUninit::zeroed());
    // SAFETY: both pointers lead to writable memory of the right size.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED, usage.as_mut_ptr()) };
    // SAFETY: zeros are a valid value of this structure of numbers, and the kernel only writes numbers into it.
    let usage: libc::rusage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    let usage = Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        memory_max: usage.ru_maxrss.unsigned_abs() << 10,
        own_memory_max: own_memory_max(),
    };
    let change = if libc::WIFSTOPPED(status) { Change::Stopped } else { Change::Ended(Ended { status, usage }) };
    (pid > 0).then_some((pid, change))
}

/// Bytes of memory that this process has had at most.
fn own_memory_max() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer leads to writable memory of the right size; zeros are a valid value of this structure of numbers.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    usage.ru_maxrss.unsigned_abs() << 10
}
