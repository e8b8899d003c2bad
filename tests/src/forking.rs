//! What only the C library can do to a process: fork without exec, handlers, limits.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Forks `count` children at once; each does `work` and ends by exit(3). Waits for all of them.
///
/// # Panics
/// If a child does not end with status 0.
pub fn children(count: u64, work: impl Fn(u64)) {
    let mut pids = Vec::new();
    for child in 0..count {
        // SAFETY: the child runs code of this program that takes no lock which another thread could have held: the
        // point of the test is that the library copes with exactly this.
        match unsafe { libc::fork() } {
            0 => {
                work(child);
                std::process::exit(0);
            }
            pid => pids.push(pid),
        }
    }
    for pid in pids {
        let mut status = 0;
        // SAFETY: waits for a child of this process; the status is a local.
        let ended = unsafe { libc::waitpid(pid, &mut status, 0) };
        assert!(ended == pid && status == 0, "child {pid} ended with {status}");
    }
}

/// Forks a child, which returns. The parent waits for it and leaves by `_exit` with its status.
pub fn in_child() {
    // SAFETY: as in `children`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        return;
    }
    let mut status = 0;
    // SAFETY: waits for a child of this process; the status is a local. _exit runs no hooks.
    unsafe {
        libc::waitpid(pid, &mut status, 0);
        libc::_exit(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 1 });
    }
}

/// Forks a child that only says "asleep" and sleeps, and does not wait for it.
pub fn sleeper(time: std::time::Duration) {
    // SAFETY: the child calls write, sleep and _exit only.
    if unsafe { libc::fork() } == 0 {
        // SAFETY: the bytes are a constant.
        unsafe { libc::write(1, c"asleep\n".as_ptr().cast(), 7) };
        std::thread::sleep(time);
        // SAFETY: ends the child at once, without running hooks.
        unsafe { libc::_exit(0) };
    }
}

/// Starts a child that shares the memory of this process and inherits its descriptors, as the first half of a vfork(2) that
/// never comes to its exec: whatever becomes of this process, its locks stay held as long as the child lives.
///
/// # Panics
/// If it cannot be started.
pub fn keeper(time: std::time::Duration) {
    extern "C" fn keep(time: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the argument is the leaked time below. The calls are system calls that change no memory but their own.
        unsafe {
            libc::syscall(libc::SYS_nanosleep, time, 0);
            libc::syscall(libc::SYS_exit_group, 0);
        }
        0
    }
    let seconds = time.as_secs() as libc::time_t;
    let time = Box::leak(Box::new(libc::timespec { tv_sec: seconds, tv_nsec: time.subsec_nanos().into() }));
    let stack = Box::leak(vec![0u128; 4096].into_boxed_slice());
    // SAFETY: the child runs on the upper end of a stack of its own, which is never freed, and touches nothing else.
    let child = unsafe {
        libc::clone(keep, stack.as_mut_ptr_range().end.cast(), libc::CLONE_VM | libc::SIGCHLD, (&raw mut *time).cast())
    };
    assert!(child > 0, "{}", std::io::Error::last_os_error());
    println!("kept by {child}");
}

/// Ends the process at once, without running hooks.
pub fn leave() -> ! {
    // SAFETY: _exit ends the process and touches nothing.
    unsafe { libc::_exit(3) }
}

/// Replaces the program by another actor, whose arguments are in `arguments`, separated by spaces.
///
/// # Panics
/// If it cannot.
pub fn exec(arguments: &str) {
    let program = std::env::current_exe().expect("this program");
    let error = std::process::Command::new(program).args(arguments.split(' ')).exec();
    panic!("exec failed: {error}");
}

static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn handler(_: libc::c_int) {
    lastwords::info!("handler {}", HANDLED.fetch_add(1, Ordering::Relaxed));
}

/// Logs `count` lines while another thread keeps interrupting this one with a signal whose handler logs too.
pub fn log_from_handler(count: u64) {
    // SAFETY: the handler calls the library, whose promise under test is that this is allowed.
    unsafe { libc::signal(libc::SIGUSR1, handler as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    // SAFETY: the calling thread's own id.
    let me = unsafe { libc::pthread_self() };
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while done.load(Ordering::Acquire) == 0 {
                // SAFETY: the interrupted thread outlives the scope.
                unsafe { libc::pthread_kill(me, libc::SIGUSR1) };
                std::thread::sleep(std::time::Duration::from_micros(50));
            }
        });
        (0..count).for_each(|n| lastwords::info!("interrupted {n}"));
        done.store(1, Ordering::Release);
    });
    lastwords::info!("handled {}", HANDLED.load(Ordering::Relaxed));
}

/// Limits the size of files that this process may write.
pub fn limit_file_size(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the limit is a local that the call reads.
    unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) };
}

extern "C" fn end_at_bus(_: libc::c_int) {
    // SAFETY: _exit is safe in a signal handler.
    unsafe { libc::_exit(77) };
}

/// Handles SIGBUS by ending with status 77.
pub fn handle_bus() {
    // SAFETY: the handler does what is safe in one.
    unsafe { libc::signal(libc::SIGBUS, end_at_bus as extern "C" fn(libc::c_int) as libc::sighandler_t) };
}

static BEFORE: std::sync::OnceLock<libc::sigaction> = std::sync::OnceLock::new();

/// Handles SIGBUS from now on as Python's faulthandler does: it goes back to the handler before it and raises the signal again.
/// Then has the guard come first.
///
/// # Panics
/// If it cannot be installed.
pub fn handle_bus_as_the_end() {
    let mut before = std::mem::MaybeUninit::zeroed();
    // SAFETY: sigaction fills the structure that it is given, and the handler does what is safe in one.
    let before = unsafe {
        assert_eq!(libc::sigaction(libc::SIGBUS, std::ptr::null(), before.as_mut_ptr()), 0);
        before.assume_init()
    };
    BEFORE.set(before).expect("once");
    let handler = give_way as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: as above; the mask and the restorer are those of a handler that is installed.
    unsafe {
        libc::sigaction(
            libc::SIGBUS,
            &libc::sigaction { sa_sigaction: handler, sa_flags: 0, ..before },
            std::ptr::null_mut(),
        )
    };
    lastwords::sigbus_guard_first();
}

extern "C" fn give_way(signal: libc::c_int) {
    let Some(before) = BEFORE.get() else { return };
    // SAFETY: sigaction and raise are safe in a handler.
    unsafe {
        libc::sigaction(signal, before, std::ptr::null_mut());
        libc::raise(signal);
    }
}

/// Reads behind the end of a mapped file.
///
/// # Panics
/// If the file cannot be made.
pub fn touch_nothing() {
    let path = std::env::temp_dir().join(format!("lastwords-empty-{}", std::process::id()));
    let words = crate::sys::map_words(&path, 8).expect("mapped");
    std::fs::File::options().write(true).open(&path).and_then(|file| file.set_len(0)).expect("cut");
    let _ = std::fs::remove_file(&path);
    words[0].load(Ordering::Relaxed);
}
