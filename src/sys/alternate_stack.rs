//! The stack on which a handler runs: of a thread that has none of its own, a stack overflow would leave nothing.
//!
//! `std` gives its threads one, but only room for its own short handler, and other runtimes' threads have none. What a program
//! set that is large enough stays. Ours is taken away when the thread gives back its lanes, which is after `std` has taken away
//! its own.

use std::ptr;

/// What our handler takes at most, with those that it calls, beyond the frame that the kernel makes. By measurement ours takes
/// 5.2 KiB in a debug build, and 6.9 KiB where it captures other threads.
const NEED: usize = 12 << 10;
/// What it takes to capture other threads: less than this by measurement.
const NEED_OF_OTHERS: usize = if cfg!(debug_assertions) { 8 << 10 } else { 4 << 10 };
/// What ours has beyond that frame: the handlers of others are not measured.
const SIZE: usize = 32 << 10;
/// Below it, so that an overflow is a fault and not damage.
const GUARD: usize = 4 << 10;

/// A stack that this thread's handlers run on, until it is dropped.
#[derive(Debug)]
pub(crate) struct AlternateStack {
    start: usize,
    size: usize,
}

impl AlternateStack {
    /// Gives the calling thread one, if it has none that is large enough. None also where it runs on it at this moment, and
    /// where there is no memory.
    pub(crate) fn install() -> Option<AlternateStack> {
        let frame = frame_size();
        let found = present();
        let is_enough = found.ss_flags & libc::SS_DISABLE == 0 && found.ss_size >= frame + NEED;
        if is_enough || found.ss_flags & libc::SS_ONSTACK != 0 {
            return None;
        }
        let stack = AlternateStack::map((frame + SIZE).next_multiple_of(4096))?;
        set(stack.start + GUARD, stack.size - GUARD, 0).then_some(stack)
    }

    fn map(size: usize) -> Option<AlternateStack> {
        let whole = size + GUARD;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, of which nobody knows.
        let start = unsafe { libc::mmap(ptr::null_mut(), whole, libc::PROT_NONE, flags | libc::MAP_NORESERVE, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        let stack = AlternateStack { start: start as usize, size: whole };
        let above = (stack.start + GUARD) as *mut libc::c_void;
        // SAFETY: it takes the place of a part of the mapping that was just made.
        let made =
            unsafe { libc::mmap(above, size, libc::PROT_READ | libc::PROT_WRITE, flags | libc::MAP_FIXED, -1, 0) };
        (made == above).then_some(stack)
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let is_ours = present().ss_sp as usize == self.start + GUARD;
        if is_ours && !set(0, 0, libc::SS_DISABLE) {
            // The thread runs on it.
            return;
        }
        // SAFETY: the mapping was made here, and the kernel does not put a handler there any more.
        unsafe { libc::munmap(self.start as *mut libc::c_void, self.size) };
    }
}

/// Whether a handler that runs on it at this moment leaves room for another one.
pub(crate) fn has_room_for_handler() -> bool {
    has_room(frame_size() + NEED)
}

/// Whether it leaves room to capture other threads.
pub(crate) fn has_room_for_others() -> bool {
    has_room(NEED_OF_OTHERS)
}

fn has_room(size: usize) -> bool {
    let (stack, local) = (present(), 0_u8);
    let below = (std::hint::black_box(&raw const local) as usize).saturating_sub(stack.ss_sp as usize);
    stack.ss_flags & libc::SS_ONSTACK == 0 || below >= size
}

/// The calling thread's alternate stack.
fn present() -> libc::stack_t {
    let mut stack = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: the kernel fills the local.
    unsafe { libc::sigaltstack(ptr::null(), &raw mut stack) };
    stack
}

fn set(start: usize, size: usize, flags: libc::c_int) -> bool {
    let stack = libc::stack_t { ss_sp: start as *mut libc::c_void, ss_flags: flags, ss_size: size };
    // SAFETY: the memory is mapped until the stack is taken away again, see `drop`.
    unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) == 0 }
}

/// What the kernel itself puts on it: the registers of this processor.
fn frame_size() -> usize {
    // SAFETY: reads what the kernel passed to the program at its start; 0 if it did not.
    let said = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    said.max(libc::MINSIGSTKSZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_one_once_and_loses_it() {
        let ended = std::thread::spawn(|| {
            let before = present();
            let stack = AlternateStack::install().expect("that of std is too small");
            let ours = present();
            assert_eq!((ours.ss_sp as usize, ours.ss_flags), (stack.start + GUARD, 0));
            assert!(ours.ss_size >= frame_size() + SIZE && ours.ss_size > before.ss_size);
            assert!(AlternateStack::install().is_none(), "it is large enough");
            drop(stack);
            assert_eq!(present().ss_flags, libc::SS_DISABLE);
        });
        ended.join().expect("no assertion failed");
    }

    #[test]
    fn that_of_the_program_stays() {
        let ended = std::thread::spawn(|| {
            let theirs = AlternateStack::install().expect("that of std is too small");
            // Somebody else's, as far as ours knows.
            let (start, size) = (theirs.start + GUARD, theirs.size - GUARD);
            assert!(AlternateStack::install().is_none());
            let ours = AlternateStack::map(4096).expect("memory");
            drop(ours);
            assert_eq!((present().ss_sp as usize, present().ss_size), (start, size));
        });
        ended.join().expect("no assertion failed");
    }
}
