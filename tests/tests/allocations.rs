//! A log call takes no memory: what it puts together, it puts together in a buffer that its thread keeps.
//!
//! An allocation costs more than the rest of the call, and a lock where the allocator has one; and a program that logs
//! because it runs out of memory must not need more of it.
#![allow(unsafe_code)]

use lastwords::Flusher;
use lastwords_tests::actor::{Printed, printed};
use lastwords_tests::scratch::Scratch;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::process::Command;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts for each thread.
struct Counting;

// SAFETY: hands every call on to the system's allocator, whose promises these are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of a hundred calls, after one that registers its place and grows the buffer.
fn allocations(call: impl Fn(u64)) -> u64 {
    call(0);
    let before = ALLOCATIONS.get();
    (0..100).for_each(call);
    ALLOCATIONS.get() - before
}

/// Logs while it is shown, as a signal handler may in the middle of a log call.
struct Logging;

impl std::fmt::Display for Logging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        lastwords::info!("within, {} of {}", 7, "text");
        log::info!("constant text within");
        f.write_str("shown")
    }
}

#[test]
fn no_front_end_allocates_for_a_usual_record() {
    let folder = Scratch::new("allocations");
    lastwords::builder("host").dir(&folder).flusher(Flusher::Never).init().expect("a ring");
    let subscriber = Registry::default().with(lastwords::tracing_layer());
    tracing::subscriber::set_global_default(subscriber).expect("the first");
    let list = [1, 2];
    assert_eq!(allocations(|n| lastwords::info!("message {n}"; user = "ada", n, list = ?list)), 0);
    assert_eq!(allocations(|n| log::info!("message {n}")), 0);
    assert_eq!(allocations(|n| log::info!(user = "ada", n, list:? = list; "message {n}")), 0);
    assert_eq!(allocations(|n| tracing::info!("message {n}")), 0);
    let outer = tracing::info_span!("outer", id = 7).entered();
    let inner = tracing::info_span!("inner", user = "ada").entered();
    assert_eq!(allocations(|n| tracing::info!(user = "ada", n, list = ?list, "message {n}")), 0);
    assert_eq!(allocations(|n| tracing::info!(n, message = "message last")), 0);
    drop((inner, outer));
    assert_eq!(allocations(|n| lastwords::info!("message {n} {}", Logging)), 0, "a record within another");
    let long = "long".repeat(100);
    assert_eq!(allocations(|n| lastwords::info!("message {n} {long}")), 0, "of several slots");
}

#[test]
fn nor_does_any_where_the_clock_is_not_the_processors_counter() {
    let tests = std::env::current_exe().expect("this program");
    let mut again = Command::new(tests);
    again.args(["--exact", "no_front_end_allocates_for_a_usual_record"]).env("LASTWORDS_CLOCK", "boottime");
    let Printed { out, err, status, .. } = printed(&mut again);
    assert!(status.success() && out.contains("1 passed"), "{out}{err}");
}
