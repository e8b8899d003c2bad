//! Threads beside the one that crashes, one for each way in which a thread can be found.
#![allow(unsafe_code)]

use crate::{faults, handlers};
use std::fmt;
use std::hint::black_box;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// Threads that have come to where they are to be.
static READY: AtomicUsize = AtomicUsize::new(0);
/// Rounds of the threads that spin.
static ROUNDS: AtomicU64 = AtomicU64::new(0);

/// Starts threads that do this, as in `spinning` or `idle*5`, and waits until they do.
///
/// # Panics
/// If it is nothing that is known.
pub fn start(what: &str) {
    let (kind, count) = what.split_once('*').unwrap_or((what, "1"));
    let work: fn() = match kind {
        "idle" => idle,
        "reading" => reading,
        "spinning" => spinning,
        "blocking-signals" => blocking_signals,
        "within-log-call" => within_log_call,
        "deep" => || deep(200),
        "within-vfork" => within_vfork,
        other => panic!("no thread {other}"),
    };
    let count: usize = count.parse().expect("a number");
    let all = READY.load(Ordering::SeqCst) + count;
    for _ in 0..count {
        thread::Builder::new().name(kind.chars().take(15).collect()).spawn(work).expect("a thread");
    }
    while READY.load(Ordering::SeqCst) < all {
        sleep(Duration::from_millis(1));
    }
    // The last steps are within the kernel.
    sleep(Duration::from_millis(20));
}

fn is_there() {
    READY.fetch_add(1, Ordering::SeqCst);
}

#[inline(never)]
fn idle() {
    is_there();
    loop {
        thread::park();
    }
}

#[inline(never)]
fn reading() {
    let (mut near, far) = UnixStream::pair().expect("a pair");
    is_there();
    let _ = near.read(&mut [0]);
    drop(far);
}

#[inline(never)]
fn spinning() {
    is_there();
    loop {
        ROUNDS.fetch_add(1, Ordering::Relaxed);
    }
}

#[inline(never)]
fn blocking_signals() {
    (1..=libc::SIGRTMAX()).for_each(handlers::block);
    reading();
    // Else the call would be the function's last act, which takes its frame.
    std::hint::black_box(());
}

#[inline(never)]
fn within_log_call() {
    lastwords::info!("{}", Waiting);
}

/// Shows itself when the process has ended.
struct Waiting;

impl fmt::Display for Waiting {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        idle();
        Ok(())
    }
}

/// Has a stack of about a KiB for each step.
#[inline(never)]
fn deep(steps: u32) {
    let frame = black_box([steps; 256]);
    if steps > 0 {
        deep(steps - 1)
    } else {
        idle()
    }
    black_box(frame);
}

/// Waits for a child in this memory so that no signal ends that.
#[inline(never)]
fn within_vfork() {
    extern "C" fn child(_: *mut libc::c_void) -> libc::c_int {
        // SAFETY: these are safe in a child that shares the memory, and have no preconditions.
        unsafe {
            libc::close(1);
            libc::close(2);
            libc::usleep(500_000);
            libc::_exit(0);
        }
    }
    let mut stack = vec![0_u128; 4 << 10];
    is_there();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is the child's alone until it has ended, for which this waits.
    unsafe { libc::clone(child, stack.as_mut_ptr_range().end.cast(), flags, std::ptr::null_mut()) };
    idle();
}

/// Says whether the threads that spin go on.
pub fn see_them_spin() {
    let (before, start) = (ROUNDS.load(Ordering::Relaxed), Instant::now());
    let spin = || ROUNDS.load(Ordering::Relaxed) > before + 1000;
    while !spin() && start.elapsed() < Duration::from_secs(10) {
        sleep(Duration::from_millis(1));
    }
    println!("{}", if spin() { "they spin" } else { "they stand still" });
}

/// Uses a signal for something of the program's.
pub fn use_signal(signal: i32) {
    faults::set_handler(signal, note as faults::Handler);
}

extern "C" fn note(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: safe in a signal handler, and the bytes are a constant.
    unsafe { libc::write(1, c"own\n".as_ptr().cast(), 4) };
}
