//! Threads that end in unexpected places.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Ends the process at once: of all system calls, that is the one that a sandbox must let through.
pub fn end_at_once() -> ! {
    // SAFETY: ends the process and touches nothing.
    unsafe { libc::_exit(0) }
}

unsafe extern "C-unwind" {
    fn pthread_exit(value: *mut libc::c_void) -> !;
}

extern "C-unwind" fn leave(_: libc::c_int) {
    // SAFETY: what it skips in the middle of a log call is what the test is about.
    unsafe { pthread_exit(std::ptr::null_mut()) }
}

extern "C-unwind" fn vanish(_: libc::c_int) {
    // SAFETY: the thread ends without unwinding, as with a C library that does not unwind.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// Runs `work` on a thread and ends that by a signal in the middle of it: with `exit` by pthread_exit(3), with `vanish` without
/// unwinding. Waits for the end.
///
/// # Panics
/// If there is no thread to be had.
pub fn thread_that_leaves(how: &str, work: fn()) {
    static THREAD: AtomicU32 = AtomicU32::new(0);
    let handler = if how == "exit" { leave as *const () } else { vanish as *const () } as usize;
    // SAFETY: zeros are a value of sigaction, and the handler has the signature of one without SA_SIGINFO.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = handler;
        libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
    }
    extern "C-unwind" fn body(work: *mut libc::c_void) -> *mut libc::c_void {
        THREAD.store(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs(), Ordering::Release);
        // SAFETY: the argument is the function that was given.
        let work = unsafe { std::mem::transmute::<*mut libc::c_void, fn()>(work) };
        work();
        std::ptr::null_mut()
    }
    THREAD.store(0, Ordering::Release);
    // SAFETY: the thread gets a function that lives as long as the program; the signal goes to a thread that has not ended.
    unsafe {
        let mut thread = std::mem::zeroed();
        type Body = extern "C" fn(*mut libc::c_void) -> *mut libc::c_void;
        let body = std::mem::transmute::<*const (), Body>(body as *const ());
        assert_eq!(libc::pthread_create(&raw mut thread, std::ptr::null(), body, work as *mut libc::c_void), 0);
        while THREAD.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(if how == "exit" { 4000 } else { 500 }));
        libc::pthread_kill(thread, libc::SIGUSR1);
        let id = THREAD.load(Ordering::Acquire);
        let task = format!("/proc/self/task/{id}");
        while std::path::Path::new(&task).exists() {
            std::thread::sleep(Duration::from_micros(50));
        }
        if how == "exit" {
            libc::pthread_join(thread, std::ptr::null_mut());
        }
    }
}

/// Bytes of this process that are in memory and are its own.
///
/// # Panics
/// Without `/proc`.
#[must_use]
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("there");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("listed");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}
