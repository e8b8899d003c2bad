//! Handlers, masks and ends of programs that the library knows nothing of.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// A handler by its name, for `signal`; on the alternate stack, if there is one, where the name ends in `-there`.
///
/// # Panics
/// If there is no handler of that name.
pub fn set(signal: libc::c_int, name: &str) {
    let (name, stack) = name.strip_suffix("-there").map_or((name, 0), |name| (name, libc::SA_ONSTACK));
    let handler: Handler = match name {
        "exits" => exits,
        "exits-normally" => exits_normally,
        "leaves" => leaves,
        "returns" => returns,
        "passes-on" => passes_on,
        "jumps" => jumps,
        other => panic!("no handler {other}"),
    };
    // SAFETY: zeros are a value of sigaction; the handlers here do what is safe in one, or, on purpose, what programs do.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | stack;
        let mut found = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(signal, &raw const action, &raw mut found);
        FOUND.store(found.sa_sigaction, Ordering::Release);
    }
}

/// What handled the signal before [`passes_on`], as a handler with three arguments.
static FOUND: AtomicUsize = AtomicUsize::new(0);

extern "C" fn exits(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    std::process::exit(1);
}

extern "C" fn exits_normally(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: has no preconditions. That of `std` would take the alternate stack away, on which this may run.
    unsafe { libc::exit(0) };
}

extern "C" fn leaves(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: safe in a signal handler.
    unsafe { libc::_exit(1) };
}

extern "C" fn returns(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

extern "C" fn passes_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let found = FOUND.load(Ordering::Acquire);
    if found > libc::SIG_IGN {
        // SAFETY: sigaction said that this is a handler, and those that this program meets take three arguments or fewer.
        let found = unsafe { std::mem::transmute::<usize, Handler>(found) };
        found(signal, info, context);
    }
}

static JUMPED: AtomicBool = AtomicBool::new(false);
static WHERE_TO: AtomicUsize = AtomicUsize::new(0);

extern "C" fn jumps(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    JUMPED.store(true, Ordering::Release);
    // SAFETY: the context is one that `fault_and_jump` has filled and whose frame is still there.
    unsafe { libc::setcontext(WHERE_TO.load(Ordering::Acquire) as *const libc::ucontext_t) };
}

/// Writes to unmapped memory, and goes on here when a handler has left that by `jumps`.
pub fn fault_and_jump() {
    let mut context = Box::new(std::mem::MaybeUninit::<libc::ucontext_t>::zeroed());
    WHERE_TO.store(context.as_mut_ptr() as usize, Ordering::Release);
    // SAFETY: getcontext fills a place of that type. It returns a second time when the handler jumps; what is needed then is in
    // statics.
    unsafe { libc::getcontext(context.as_mut_ptr()) };
    if !JUMPED.load(Ordering::Acquire) {
        crate::faults::act("null");
    }
}

/// Exits from deep within, so that the stack lies over what was there before.
pub fn exit_deep(depth: u32) {
    let frame = std::hint::black_box([0u8; 256]);
    if depth == 0 {
        std::process::exit(0);
    }
    exit_deep(depth - 1);
    std::hint::black_box(frame);
}

/// Blocks the signal for this thread and all that it starts.
pub fn block(signal: libc::c_int) {
    // SAFETY: the set is initialised before it is used.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set_of(signal), std::ptr::null_mut()) };
}

/// Lets it through again in the calling thread.
pub fn unblock(signal: libc::c_int) {
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &set_of(signal), std::ptr::null_mut()) };
}

fn set_of(signal: libc::c_int) -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the set.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        set
    }
}

/// Waits for the blocked signal as sigwait(3) does.
pub fn wait_by_sigwait(signal: libc::c_int) {
    let mut got = 0;
    // SAFETY: both are locals.
    unsafe { libc::sigwait(&set_of(signal), &raw mut got) };
    assert_eq!(got, signal);
}

/// Waits for the blocked signal by a descriptor.
pub fn wait_by_signalfd(signal: libc::c_int) {
    // SAFETY: reads into a local of the size that signalfd(2) asks for.
    unsafe {
        let fd = libc::signalfd(-1, &set_of(signal), libc::SFD_CLOEXEC);
        let mut info = std::mem::zeroed::<libc::signalfd_siginfo>();
        let size = size_of_val(&info);
        assert_eq!(libc::read(fd, (&raw mut info).cast(), size), size as isize);
        assert_eq!(info.ssi_signo, signal.unsigned_abs());
    }
}

/// Sends this process a signal.
pub fn send(signal: libc::c_int) {
    // SAFETY: has no preconditions.
    unsafe { libc::kill(libc::getpid(), signal) };
}

/// Sends this thread a signal.
pub fn raise(signal: libc::c_int) {
    // SAFETY: has no preconditions.
    unsafe { libc::raise(signal) };
}

/// Restores the default action.
pub fn restore_default(signal: libc::c_int) {
    // SAFETY: the default action is a value.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Restores the default action, as everything does that saves a handler and restores it, and raises the signal.
pub fn raise_by_default(signal: libc::c_int) {
    restore_default(signal);
    raise(signal);
}

extern "C" fn die(signal: *mut libc::c_void) -> libc::c_int {
    send(signal as usize as libc::c_int);
    0
}

/// Makes a child that shares this process's memory, as vfork(2) does, and that dies of the signal.
pub fn child_in_this_memory(signal: libc::c_int) {
    let mut stack = vec![0u8; 256 << 10];
    // SAFETY: the child runs on a stack of its own, which is kept until it has ended: CLONE_VFORK waits for that.
    unsafe {
        let top = stack.as_mut_ptr().add(stack.len());
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let pid = libc::clone(die, top.cast(), flags, signal as usize as *mut libc::c_void);
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == signal, "{status:#x}");
    }
}

unsafe extern "C" {
    fn quick_exit(status: libc::c_int) -> !;
}

/// Ends by quick_exit(3).
pub fn exit_quickly(status: libc::c_int) {
    // SAFETY: hooks of quick_exit are those of the library.
    unsafe { quick_exit(status) }
}

/// Ends at once, without running hooks.
pub fn leave(status: libc::c_int) {
    // SAFETY: _exit ends the process and touches nothing.
    unsafe { libc::_exit(status) };
}

/// Becomes a daemon, and keeps its folder and its streams.
pub fn become_daemon() {
    // SAFETY: the child goes on as the only thread, as every daemon does.
    unsafe { libc::daemon(1, 1) };
}

/// Goes on as the child of a child, whose parents leave at once with this status.
pub fn fork_twice(status: libc::c_int) {
    for _ in 0..2 {
        // SAFETY: the child goes on as the only thread.
        if unsafe { libc::fork() } > 0 {
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(status) };
        }
    }
}

/// Goes on as the child of a parent that dies of SIGKILL.
pub fn fork_and_kill_the_parent() {
    // SAFETY: the child goes on as the only thread.
    if unsafe { libc::fork() } > 0 {
        send(libc::SIGKILL);
    }
}

/// Forks a child that does `work` and executes a program; does not wait for it.
pub fn fork_and_exec(work: impl FnOnce(), program: &str, argument: &str) {
    // SAFETY: the child goes on as the only thread.
    if unsafe { libc::fork() } == 0 {
        work();
        let _ = Command::new(program).arg(argument).exec();
    }
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: u32) {
    // SAFETY: that is what the program wants; the library must cope with it.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Closes every descriptor but the standard streams, and opens others that get their numbers.
///
/// # Panics
/// If they cannot be opened.
pub fn close_and_open() {
    close_from(3);
    for _ in 0..64 {
        std::mem::forget(std::fs::File::open("/proc/self/stat").expect("opened"));
    }
}

/// Has the kernel refuse to report to this program, and what it executes, how processes ended, as before Linux 6.15.
pub fn on_an_older_kernel(command: &mut Command) -> &mut Command {
    // SAFETY: prctl is safe between fork and exec.
    unsafe { command.pre_exec(|| if refuse_wait_status() { Ok(()) } else { Err(std::io::Error::last_os_error()) }) }
}

/// `PIDFD_GET_INFO`.
const GET_INFO: u32 = 0xc040_ff0b;

fn refuse_wait_status() -> bool {
    let op = |code: u32, k: u32, yes: u8, no: u8| libc::sock_filter { code: code as u16, jt: yes, jf: no, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let refuse = libc::SECCOMP_RET_ERRNO | libc::ENOTTY.unsigned_abs();
    // The number of the call, then the low half of its second argument.
    let mut filter = [
        op(load, 0, 0, 0),
        op(equal, libc::SYS_ioctl as u32, 0, 3),
        op(load, 24, 0, 0),
        op(equal, GET_INFO, 0, 1),
        op(libc::BPF_RET | libc::BPF_K, refuse, 0, 0),
        op(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is a local that the kernel copies.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    }
}
