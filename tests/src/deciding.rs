//! An earlier handler that takes its time to decide what becomes of a fault, as a virtual machine or a crash reporter does, and what
//! happens on other threads meanwhile.
#![allow(unsafe_code)]

use crate::{faults, handlers};
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The page of the fault that is made good.
static PAGE: AtomicUsize = AtomicUsize::new(0);
/// The handler has the fault that is made good; it has the other one; what that one waits for has happened.
static HAS_FIRST: AtomicBool = AtomicBool::new(false);
static HAS_LAST: AtomicBool = AtomicBool::new(false);
static GOES_ON: AtomicBool = AtomicBool::new(false);
/// The fault that is made good is not before the process ends; the other one ends it without a return of the handler.
static STAYS: AtomicBool = AtomicBool::new(false);
static ENDS_AT_ONCE: AtomicBool = AtomicBool::new(false);

/// Longer than the time between two captures.
const LONG: Duration = Duration::from_millis(1500);

fn wait(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Sets it.
pub fn set_handler() {
    faults::set_handler(libc::SIGSEGV, decide as faults::Handler);
}

extern "C" fn decide(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives the address of the fault.
    let address = unsafe { (*info).si_addr() as usize };
    if address == PAGE.load(Ordering::SeqCst) {
        HAS_FIRST.store(true, Ordering::SeqCst);
        wait(&HAS_LAST);
        while STAYS.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        faults::open_to_writes(address);
    } else if ENDS_AT_ONCE.load(Ordering::SeqCst) {
        HAS_LAST.store(true, Ordering::SeqCst);
        wait(&GOES_ON);
        handlers::restore_default(signal);
        handlers::unblock(signal);
        faults::raise(signal);
    } else {
        HAS_LAST.store(true, Ordering::SeqCst);
        wait(&GOES_ON);
        handlers::restore_default(signal);
    }
}

/// Panics, which is caught, while another thread's crash is in the handler.
pub fn panic_meanwhile(crash: fn()) {
    let thread = thread::spawn(crash);
    wait(&HAS_LAST);
    assert!(panic::catch_unwind(|| panic!("meanwhile")).is_err());
    GOES_ON.store(true, Ordering::SeqCst);
    let _ = thread.join();
}

/// Crashes while another thread's fault is in the handler, which makes that one good first.
pub fn survive_meanwhile(write_to: fn(usize), nowhere: usize) {
    let page = faults::page_to_open();
    PAGE.store(page, Ordering::SeqCst);
    let survivor = thread::spawn(move || {
        write_to(page);
        GOES_ON.store(true, Ordering::SeqCst);
    });
    wait(&HAS_FIRST);
    write_to(nowhere);
    let _ = survivor.join();
}

/// Crashes while another thread's fault is in the handler, and stays there until the process has ended.
pub fn end_meanwhile(write_to: fn(usize), nowhere: usize) {
    STAYS.store(true, Ordering::SeqCst);
    GOES_ON.store(true, Ordering::SeqCst);
    survive_meanwhile(write_to, nowhere);
}

/// The same, but the handler ends the process itself.
pub fn end_at_once_meanwhile(write_to: fn(usize), nowhere: usize) {
    ENDS_AT_ONCE.store(true, Ordering::SeqCst);
    end_meanwhile(write_to, nowhere);
}

/// Crashes, and has the handler end the process itself after others were made good.
pub fn end_at_once_after_a_while(write_to: fn(usize), nowhere: usize) {
    ENDS_AT_ONCE.store(true, Ordering::SeqCst);
    survive_after_a_while(write_to, nowhere);
}

/// Crashes, and has the handler take longer than the time between two captures, while other faults are made good.
pub fn survive_after_a_while(write_to: fn(usize), nowhere: usize) {
    let page = faults::page_to_open();
    PAGE.store(page, Ordering::SeqCst);
    thread::spawn(move || {
        wait(&HAS_LAST);
        thread::sleep(LONG);
        write_to(page);
        GOES_ON.store(true, Ordering::SeqCst);
    });
    write_to(nowhere);
}
