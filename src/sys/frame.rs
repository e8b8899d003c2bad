//! Whether code runs within our handler of a fatal signal: an exit there is not an ordinary one.
//!
//! The handler records the address of its frame for its thread, and two words in that frame. If siglongjmp leaves the handler,
//! nothing cleans up, so the address alone proves nothing: the caller must be deeper on the same stack, and the words must
//! still be there.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// Threads that are in a handler at once, or have left one by siglongjmp. Beyond that the last place is shared.
const PLACES: usize = 16;
/// Greatest distance from the frame to the caller. No stack is larger.
const DEPTH_MAX: usize = 1 << 30;
/// The first word of a frame; the second one is the frame's address, xored with it.
const WORD: usize = 0x1a57_ba5e_f4a3_e000;

#[derive(Debug)]
struct Place {
    /// The thread's id, 0 for a free place.
    thread: AtomicI32,
    /// Address of the frame, 0 for none.
    frame: AtomicUsize,
}

static FRAMES: [Place; PLACES] = [const { Place { thread: AtomicI32::new(0), frame: AtomicUsize::new(0) } }; PLACES];

/// Runs `work` in a frame that [`is_within`] finds. Safe in a signal handler.
pub(crate) fn within<T>(work: impl FnOnce() -> T) -> T {
    let words = [const { AtomicUsize::new(0) }; 2];
    let address = words.as_ptr() as usize;
    words[0].store(WORD, Ordering::Relaxed);
    words[1].store(WORD ^ address, Ordering::Relaxed);
    let place = claim();
    let before = place.frame.swap(address, Ordering::AcqRel);
    let done = work();
    place.frame.store(before, Ordering::Release);
    if before == 0 {
        place.thread.store(0, Ordering::Release);
    }
    words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    std::hint::black_box(&words);
    done
}

/// The calling thread's place. A leftover of an ended thread is harmless to the next one with its id, whose stack holds no such
/// words.
fn claim() -> &'static Place {
    let me = thread();
    let free = |place: &&Place| place.thread.compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    let own = FRAMES.iter().find(|place| place.thread.load(Ordering::Acquire) == me);
    own.or_else(|| FRAMES.iter().find(free)).unwrap_or_else(|| {
        let last = &FRAMES[PLACES - 1];
        last.thread.store(me, Ordering::Release);
        last
    })
}

/// Whether the caller runs within [`within`], at any depth.
pub(crate) fn is_within() -> bool {
    let me = thread();
    let Some(place) = FRAMES.iter().find(|place| place.thread.load(Ordering::Acquire) == me) else { return false };
    let frame = place.frame.load(Ordering::Acquire);
    let local = AtomicUsize::new(0);
    let here = std::hint::black_box(&raw const local) as usize;
    let alternate = alternate_stack();
    let on_one_stack = alternate.contains(&frame) == alternate.contains(&here);
    let deeper = frame > here && frame - here < DEPTH_MAX;
    on_one_stack && deeper && read(frame) == Some([WORD, WORD ^ frame])
}

fn thread() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Where the calling thread's alternate stack is, empty if it has none.
fn alternate_stack() -> std::ops::Range<usize> {
    let mut stack = std::mem::MaybeUninit::<libc::stack_t>::zeroed();
    // SAFETY: sigaltstack fills the structure passed to it, for which zeros are valid too.
    let stack = unsafe {
        libc::sigaltstack(std::ptr::null(), stack.as_mut_ptr());
        stack.assume_init()
    };
    let start = stack.ss_sp as usize;
    if stack.ss_flags & libc::SS_DISABLE != 0 { 0..0 } else { start..start.saturating_add(stack.ss_size) }
}

/// The words at an address that may be unmapped by now.
fn read(address: usize) -> Option<[usize; 2]> {
    let mut words = [0usize; 2];
    let local = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: size_of_val(&words) };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: size_of_val(&words) };
    // SAFETY: the kernel copies to a local of the given length, and answers EFAULT if there is nothing to copy.
    let copied = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    (copied == size_of_val(&words) as isize).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn deeper(depth: u32) -> bool {
        let padding = std::hint::black_box([depth; 64]);
        if depth == 0 { is_within() } else { deeper(depth - 1) && padding[0] == depth }
    }

    #[test]
    fn code_is_within_while_the_frame_is_there_and_not_after() {
        assert!(!is_within());
        assert!(within(|| deeper(0) && deeper(100)));
        assert!(!is_within() && !deeper(100));
        assert!(within(|| within(|| deeper(3)) && deeper(3)), "the outer one counts again when the inner one is left");
        let thread = within(|| std::thread::spawn(|| deeper(3)).join().expect("ended"));
        assert!(!thread, "another thread is not");
    }

    #[test]
    fn a_frame_that_was_left_without_a_word_does_not_count() {
        // As siglongjmp leaves it: the place is still taken, and the stack above is reused.
        let me = claim();
        let words = [const { AtomicUsize::new(0) }; 2];
        me.frame.store(words.as_ptr() as usize, Ordering::Release);
        assert!(!deeper(3), "the words are not there");
        me.frame.store(8, Ordering::Release);
        assert!(!deeper(3), "an address below");
        me.frame.store(usize::MAX - 4096, Ordering::Release);
        assert!(!deeper(3), "an address of nobody");
        me.frame.store(0, Ordering::Release);
        me.thread.store(0, Ordering::Release);
    }
}
