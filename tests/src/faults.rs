//! Deaths by signals that a processor or the kernel sends, and handlers that get in their way.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a page, or a part of one.
const PAGE: usize = 4096;

/// A page that cannot be written to before its handler has run.
static PAGE_TO_OPEN: AtomicUsize = AtomicUsize::new(0);

/// Dies as `how` says, or survives.
///
/// # Panics
/// If it knows no such way.
pub fn act(how: &str) {
    match how {
        "null" => write_to(8),
        "bus" => write_to(map(libc::PROT_READ | libc::PROT_WRITE, empty_file())),
        // SAFETY: there is nothing to keep: the instruction ends the process.
        #[cfg(target_arch = "x86_64")]
        "ill" => unsafe { std::arch::asm!("ud2") },
        // SAFETY: raises SIGTRAP and changes nothing else.
        #[cfg(target_arch = "x86_64")]
        "trap" => unsafe { std::arch::asm!("int3") },
        // SAFETY: there is nothing to keep: the instruction divides by zero, which ends the process.
        #[cfg(target_arch = "x86_64")]
        "fpe" => unsafe { std::arch::asm!("div {0:e}", in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _) },
        "sys" => raise(libc::SIGSYS),
        "stack" => _ = deeper(0),
        "stack-of-thread" => _ = std::thread::spawn(|| deeper(0)).join(),
        "own-handler" => set_handler(libc::SIGSEGV, leave as Handler),
        "survive" => {
            write_to(page_to_open());
            raise(libc::SIGFPE);
        }
        other => panic!("no fault {other}"),
    }
}

/// Sets handlers as a program may have them before it logs: one that makes good what caused a SIGSEGV, and one that does
/// nothing about a SIGFPE.
pub fn set_earlier_handlers() {
    set_handler(libc::SIGSEGV, open_page as Handler);
    set_handler(libc::SIGFPE, ignore as Handler);
}

/// What [`write_notes`] writes, where to, and what handled the signal before.
static NOTES: OnceLock<(File, String, libc::sigaction)> = OnceLock::new();

/// Has the handler of a SIGSEGV write `text` to `file` and then leave the signal to the previous handler, as Python's
/// faulthandler does.
pub fn attach_in_handler(file: File, text: String) {
    // SAFETY: zeros are a value of sigaction; the call fills it in and changes nothing.
    let earlier = unsafe {
        let mut earlier = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(libc::SIGSEGV, std::ptr::null(), &mut earlier);
        earlier
    };
    let _ = NOTES.set((file, text, earlier));
    set_handler(libc::SIGSEGV, write_notes as Handler);
}

extern "C" fn write_notes(signal: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let Some((file, text, earlier)) = NOTES.get() else { return };
    // SAFETY: both are safe in a signal handler; text and action live as long as the program. The fault happens again as
    // soon as this returns.
    unsafe {
        libc::write(file.as_raw_fd(), text.as_ptr().cast(), text.len());
        libc::sigaction(signal, earlier, std::ptr::null_mut());
    }
}

/// A handler.
pub type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// Sets the handler of a signal.
pub fn set_handler(signal: libc::c_int, handler: Handler) {
    // SAFETY: zeros are a value of sigaction, and the handlers here only do what is safe in one.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

extern "C" fn leave(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: both are safe in a signal handler, and the bytes are a constant.
    unsafe {
        libc::write(1, c"own\n".as_ptr().cast(), 4);
        libc::_exit(5);
    }
}

extern "C" fn open_page(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let page = PAGE_TO_OPEN.load(Ordering::Acquire);
    // SAFETY: the kernel gives the address of the fault.
    let address = unsafe { (*info).si_addr() as usize };
    if address != page {
        // SAFETY: safe in a signal handler.
        unsafe { libc::_exit(6) };
    }
    open_to_writes(page);
}

/// Makes a page one that can be written to. Safe in a signal handler.
pub fn open_to_writes(page: usize) {
    // SAFETY: the page is one that was mapped for this.
    unsafe { libc::mprotect(page as *mut libc::c_void, PAGE, libc::PROT_READ | libc::PROT_WRITE) };
}

/// A page that cannot be written to before its handler has run.
#[must_use]
pub fn page_to_open() -> usize {
    let page = map(libc::PROT_NONE, -1);
    PAGE_TO_OPEN.store(page, Ordering::Release);
    page
}

/// Makes a page one that cannot be written to again.
pub fn close_page(page: usize) {
    // SAFETY: the page is one that was mapped for this.
    unsafe { libc::mprotect(page as *mut libc::c_void, PAGE, libc::PROT_NONE) };
}

/// Has one SIGSEGV made good, and after that the default action.
pub fn set_handler_for_once() {
    // SAFETY: zeros are a value of sigaction, and the handler does what is safe in one.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = open_page as Handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND;
        libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut());
    }
}

/// The handler that was there before the one of [`set_later_handler`].
static EARLIER: AtomicUsize = AtomicUsize::new(0);

/// Sets a handler that calls the one that it finds, as programs have them, and makes a fault good if it is of a page to open.
pub fn set_later_handler() {
    // SAFETY: zeros are a value of sigaction; the call fills it in and changes nothing.
    let earlier = unsafe {
        let mut earlier = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(libc::SIGSEGV, std::ptr::null(), &mut earlier);
        earlier
    };
    EARLIER.store(earlier.sa_sigaction, Ordering::Release);
    set_handler(libc::SIGSEGV, call_earlier as Handler);
}

extern "C" fn call_earlier(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: ours was found there, which is a handler of this kind.
    let earlier = unsafe { std::mem::transmute::<usize, Handler>(EARLIER.load(Ordering::Acquire)) };
    earlier(signal, info, context);
    // SAFETY: the kernel gives the address of the fault.
    if unsafe { (*info).si_addr() as usize } == PAGE_TO_OPEN.load(Ordering::Acquire) {
        open_page(signal, info, context);
    }
}

extern "C" fn ignore(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

fn write_to(address: usize) {
    // SAFETY: nothing of this program is there: the store ends the process, unless a handler makes the place a page.
    unsafe { (address as *mut u8).write_volatile(1) };
}

/// Raises a signal in the calling thread.
pub fn raise(signal: libc::c_int) {
    // SAFETY: has no preconditions.
    unsafe { libc::raise(signal) };
}

/// A page of the file, or of no file.
#[must_use]
pub fn map(protection: libc::c_int, fd: libc::c_int) -> usize {
    let flags = if fd < 0 { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS } else { libc::MAP_SHARED };
    // SAFETY: a mapping at a place of the kernel's choice touches nothing else.
    unsafe { libc::mmap(std::ptr::null_mut(), PAGE, protection, flags, fd, 0) as usize }
}

/// Maps the first page of this program as code so many times. No two of them are one mapping: the file does not go on in the next.
///
/// # Panics
/// If the program's file cannot be opened.
pub fn map_own_code(times: usize) {
    let file = std::fs::File::open("/proc/self/exe").expect("opened");
    for _ in 0..times {
        assert_ne!(map(libc::PROT_READ | libc::PROT_EXEC, std::os::fd::AsRawFd::as_raw_fd(&file)), usize::MAX);
    }
}

fn empty_file() -> libc::c_int {
    // SAFETY: the name is a constant.
    unsafe { libc::memfd_create(c"empty".as_ptr(), 0) }
}

/// Needs more stack than there is.
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    deeper(depth + 1) + std::hint::black_box(frame)[1]
}
