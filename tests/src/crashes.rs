//! Ways to crash, one for each thing that may be wrong with a thread when it does, and an allocator that must not be used then.
#![allow(unsafe_code)]

use crate::{deciding, faults};
use std::alloc::{GlobalAlloc, Layout, System};
use std::arch::asm;
use std::fmt;
use std::fs::File;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Exit status of a process that allocated memory within a crash.
pub const ALLOCATED: i32 = 97;
/// Where nothing is, near null.
pub const NULL: u64 = 0x18;
/// An address that no processor of today has: the kernel does not say it.
pub const NOT_CANONICAL: u64 = 0x8000_0000_0000_1000;
/// A stack pointer that leads nowhere.
pub const SMASHED: u64 = 0x4141_4141_4140;

/// Memory may not be taken any more.
static IS_CRASHING: AtomicBool = AtomicBool::new(false);

/// The system's allocator, until the crash begins.
#[derive(Debug)]
pub struct Allocator;

// SAFETY: all is done by the system's allocator, or the process ends.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_CRASHING.load(Ordering::Relaxed) {
            // SAFETY: ends the process.
            unsafe { libc::_exit(ALLOCATED) };
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

/// Crashes as `how` says.
///
/// # Panics
/// If it knows no such way.
pub fn act(how: &str) {
    IS_CRASHING.store(true, Ordering::Relaxed);
    match how {
        "null" => write_to(NULL as usize),
        "not-canonical" => write_to(NOT_CANONICAL as usize),
        "divide" => faults::act("fpe"),
        "illegal" => faults::act("ill"),
        "abort" => std::process::abort(),
        "raise" => faults::raise(libc::SIGSEGV),
        "jump" => jump_to_null(),
        "smashed" => smash_stack_pointer(),
        "overflow" => faults::act("stack"),
        "within-handler" => {
            faults::set_handler(libc::SIGUSR1, crash_again as faults::Handler);
            faults::raise(libc::SIGUSR1);
        }
        "double-free" => free_twice(),
        "within-malloc" => within_malloc(),
        other => act_with_memory(other),
    }
}

/// What takes memory itself on its way to the crash.
fn act_with_memory(how: &str) {
    IS_CRASHING.store(false, Ordering::Relaxed);
    match how {
        "read-only" => {
            let page = faults::map(libc::PROT_READ, -1);
            println!("{page:x}");
            write_to(page);
        }
        "within-log-call" => lastwords::info!("{}", Crashing),
        "overflow-of-thread" => in_small_thread(|| faults::act("stack")),
        "null-in-thread" => in_small_thread(|| write_to(NULL as usize)),
        "null-of-thread" => _ = std::thread::spawn(|| write_to(NULL as usize)).join(),
        "two-at-once" => two_at_once(),
        "panic-meanwhile" => deciding::panic_meanwhile(|| write_to(NULL as usize)),
        "end-meanwhile" => deciding::end_meanwhile(write_to, NULL as usize),
        "end-at-once-meanwhile" => deciding::end_at_once_meanwhile(write_to, NULL as usize),
        "end-at-once-after-a-while" => deciding::end_at_once_after_a_while(write_to, NULL as usize),
        "survivor-after-a-while" => deciding::survive_after_a_while(write_to, NULL as usize),
        "survivor-meanwhile" => deciding::survive_meanwhile(write_to, NULL as usize),
        "no-descriptors" => {
            while let Ok(file) = File::open("/dev/null") {
                let _ = file.into_raw_fd();
            }
            write_to(NULL as usize);
        }
        "closed-descriptors" => {
            crate::handlers::close_from(3);
            write_to(NULL as usize);
        }
        other => panic!("no crash {other}"),
    }
}

/// Has a thread with a stack of 64 KiB log a line and crash.
fn in_small_thread(crash: fn()) {
    let run = move || {
        lastwords::info!("a thread");
        crash();
    };
    let thread = std::thread::Builder::new().name("small".to_owned()).stack_size(64 << 10);
    let _ = thread.spawn(run).expect("a thread").join();
}

/// The handler that was there before ours: makes each fault good by opening the page.
pub fn set_survivor() {
    faults::set_earlier_handlers();
}

/// The handler that was there before ours ends the process by SIGKILL.
pub fn set_killing_handler() {
    faults::set_handler(libc::SIGSEGV, kill as faults::Handler);
}

/// The handler that was there before ours crashes itself.
pub fn set_crashing_handler() {
    faults::set_handler(libc::SIGSEGV, crash_again as faults::Handler);
}

/// Has no handlers from before, not even that of `std`.
pub fn set_no_handlers() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        crate::handlers::restore_default(signal);
    }
}

extern "C" fn kill(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    crate::handlers::send(libc::SIGKILL);
}

extern "C" fn crash_again(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    write_to(NULL as usize + 8);
}

#[inline(never)]
fn write_to(address: usize) {
    // SAFETY: nothing of this program is there: the store ends the process.
    unsafe { asm!("mov byte ptr [{}], 1", in(reg) address) };
}

fn jump_to_null() {
    // SAFETY: nothing is there, so the process ends.
    unsafe { asm!("xor eax, eax", "call rax", out("rax") _) };
}

fn smash_stack_pointer() {
    // SAFETY: the process ends at the push.
    unsafe { asm!("mov rsp, {}", "push rax", in(reg) SMASHED, options(noreturn)) };
}

fn free_twice() {
    // SAFETY: it is not sound, and the C library ends the process for it.
    unsafe {
        let place = std::hint::black_box(libc::malloc(100));
        libc::free(place);
        libc::free(std::hint::black_box(place));
    }
}

/// Has the C library follow a pointer of its own that leads nowhere.
fn within_malloc() {
    const SIZE: usize = 100;
    // SAFETY: it is not sound. The C library's list of freed pieces is damaged in the way that it stores pointers there.
    unsafe {
        let pieces = [libc::malloc(SIZE), libc::malloc(SIZE)];
        pieces.into_iter().for_each(|piece| libc::free(std::hint::black_box(piece)));
        let last = pieces[1].cast::<usize>();
        last.write_volatile(last as usize >> 12 ^ 0x10);
        std::hint::black_box([libc::malloc(SIZE), libc::malloc(SIZE)]);
    }
}

fn two_at_once() {
    let both = Arc::new(AtomicU32::new(0));
    let crash = |both: Arc<AtomicU32>| {
        lastwords::info!("one of two");
        both.fetch_add(1, Ordering::SeqCst);
        while both.load(Ordering::SeqCst) < 2 {
            std::hint::spin_loop();
        }
        write_to(NULL as usize);
    };
    let start = || {
        let both = Arc::clone(&both);
        std::thread::spawn(move || crash(both))
    };
    for thread in [start(), start()] {
        let _ = thread.join();
    }
}

/// Shows itself by crashing.
struct Crashing;

impl fmt::Display for Crashing {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        IS_CRASHING.store(true, Ordering::Relaxed);
        write_to(NULL as usize);
        Ok(())
    }
}

/// Has this many faults made good by an earlier handler; returns how long one took in the fastest of a hundred parts, in
/// nanoseconds.
#[must_use]
pub fn survive(faults: u32) -> u128 {
    let page = faults::page_to_open();
    let part = faults.div_ceil(100);
    let time = |_| {
        let start = std::time::Instant::now();
        for _ in 0..part {
            faults::close_page(page);
            write_to(page);
        }
        start.elapsed().as_nanos() / u128::from(part)
    };
    (0..faults / part).map(time).min().unwrap_or_default()
}
