//! The end of this process: marked in its rings, after a last drain.

use crate::logger::flush_wait::FLUSH_MAX;
use crate::logger::ring_logger::Logger;
#[cfg(feature = "flusher")]
use crate::process::logger_cell::ring_doorbells;
use crate::process::logger_cell::{LoggerCell, cells, own_loggers};
#[cfg(feature = "flusher")]
use crate::process::{console_thread, flusher_thread};
use crate::sys::capture::panic;
use crate::sys::{fatal, frame, signals};
use lastwords_ring::format::layout::closed;
use lastwords_ring::mutant::{self, Mutant};
#[cfg(feature = "flusher")]
use lastwords_ring::place::{ancestors, stderr};
use lastwords_ring::sys::{hooks, process_page};
use lastwords_ring::write::ring::Ring;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Exit status of a Rust program whose main thread's panic was not caught.
const PANICKED: c_int = 101;

static AT_FATAL_SIGNAL: fatal::Hooks = fatal::Hooks {
    mark: |signal, address| rings_but(address).for_each(|ring| ring.mark_fatal(signal)),
    unmark: |signal, address| rings_but(address).for_each(|ring| ring.unmark_fatal(signal)),
    // One is enough, whatever other loggers the process has.
    capture_file: || own_loggers().find_map(Logger::capture_file),
};

/// Makes the rings of this process record its end, once. Before the first ring is created: the SIGBUS guard must come after, to
/// be called first.
pub(crate) fn watch() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::AcqRel) {
        fatal::on_fatal_signal(&AT_FATAL_SIGNAL);
        hooks::at_fork(before_fork);
        hooks::at_exit(at_exit);
        hooks::at_quick_exit_do(at_quick_exit);
        signals::on_ordinary_end(
            |signal| own_loggers().for_each(|logger| logger.ring().mark_signal(signal)),
            |signal| own_loggers().for_each(|logger| logger.ring().unmark_signal(signal)),
        );
    }
}

/// Notes that the main thread panics, which may be caught, and where.
pub(crate) fn note_panic_of_main() {
    process_page::page().inspect(|page| page.main_panicked.store(1, Ordering::Relaxed));
    if let Some(file) = own_loggers().find_map(Logger::capture_file) {
        panic::of_main_thread(file);
    }
}

/// Whether a process that exits with this status does so because its main thread panicked.
fn is_panic(status: c_int) -> bool {
    let main_panicked = process_page::page().is_some_and(|page| page.main_panicked.load(Ordering::Relaxed) == 1);
    status == PANICKED && main_panicked && !mutant::is(Mutant::PanicIsExit)
}

/// Lets a child learn how this process ended, which it may be the only one to be asked.
extern "C" fn before_fork() {
    #[cfg(feature = "flusher")]
    if let Some(logger) = own_loggers().next() {
        ancestors::keep_own(logger.ring().header().start_time);
    }
}

/// The rings of this very process except the one that contains the address, whose page is the missing one.
fn rings_but(address: usize) -> impl Iterator<Item = &'static Ring> {
    own_loggers().map(Logger::ring).filter(move |ring| !ring.holds(address))
}

extern "C" fn at_quick_exit() {
    at_exit(0, std::ptr::null_mut());
}

extern "C" fn at_exit(status: c_int, _: *mut c_void) {
    cells().for_each(LoggerCell::report_missed);
    if frame::is_within() && !mutant::is(Mutant::HandlerExits) {
        // The handler of a fatal signal ends the process: that is a death, and its stack is small.
        return;
    }
    let how = if is_panic(status) { closed::PANIC } else { closed::EXIT };
    own_loggers().for_each(|logger| logger.ring().close(how, 0));
    let start = Instant::now();
    for logger in own_loggers().filter(|_| !mutant::is(Mutant::NoExitFlush)) {
        // The flusher has two seconds for all of them; after that the ring stays, and the next drain takes it.
        let _ = logger.flush(FLUSH_MAX.saturating_sub(start.elapsed()));
    }
    #[cfg(feature = "flusher")]
    {
        flusher_thread::end();
        ring_doorbells();
        flusher_thread::wait_for_end(FLUSH_MAX.saturating_sub(start.elapsed()));
        stderr::print_pending();
        console_thread::finish();
    }
}
