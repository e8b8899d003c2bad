//! A lock that survives the end of the thread that holds it.
//!
//! A waiter sleeps on a futex word, so that the flusher and the owner get the processor, and gives up after a limit. The word
//! holds the owner's thread id: a signal handler that interrupted the owner finds its own id there and does not wait for
//! itself.
//!
//! A thread may end while it holds the lock: by `pthread_exit` in a signal handler, or because its runtime ends it (Python's
//! daemon threads). If the C library unwinds, the lock is marked as abandoned; if not, a waiter asks the kernel whether the
//! thread exists, and takes the lock over if it does not. A new thread of the same id knows that it holds nothing.

use crate::mutant::{self, Mutant};
use crate::sys::{futex, process_page};
use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, compiler_fence};
use std::time::{Duration, Instant};

/// Bit of the owner's word: there are waiters. Thread ids are far smaller.
const WAITED_FOR: u32 = 1 << 31;
/// Owner of an abandoned lock. No thread has this id.
const ABANDONED: u32 = WAITED_FOR - 1;
/// Longest sleep before checking again, should a wake-up be lost to a waiter that gave up.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A caller that does not wait asks the kernel about the owner only once in so many failures to get the lock.
const ASK_EACH: u32 = 64;

thread_local! {
    /// How many of these locks the thread holds, or is about to take.
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// A value that threads use one at a time, created at the first use.
#[derive(Debug)]
pub struct ThreadLock<T> {
    /// Thread id of the owner, 0 for none, with [`WAITED_FOR`].
    owner: AtomicU32,
    /// Failures of callers that do not wait.
    refused: AtomicU32,
    /// The value was created completely.
    is_made: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is only reached by the thread whose id `owner` holds, one at a time.
unsafe impl<T: Send> Sync for ThreadLock<T> {}

impl<T> Default for ThreadLock<T> {
    fn default() -> Self {
        let (owner, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        ThreadLock { owner, refused, is_made: AtomicBool::new(false), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }
}

/// How the lock was acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Free,
    /// From an owner that ended while holding it.
    Over,
}

/// Releases the lock; abandons it if the thread ends while holding it.
struct Given<'a> {
    owner: &'a AtomicU32,
    to: u32,
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if self.owner.swap(self.to, Ordering::Release) & WAITED_FOR != 0 {
            futex::wake_one(self.owner);
        }
        compiler_fence(Ordering::SeqCst);
        HELD.set(HELD.get() - 1);
    }
}

impl<T> ThreadLock<T> {
    /// Runs `work` with the value, created by `fresh` at its first use. None if another thread has it until `limit`, or the
    /// calling thread has it already. `work` gets true if the last owner ended in the middle of something.
    pub fn with<R>(
        &self,
        thread: u32,
        limit: Instant,
        fresh: impl FnOnce() -> T,
        work: impl FnOnce(&mut T, bool) -> R,
    ) -> Option<R> {
        let held = HELD.get();
        // Before the lock is taken: a signal handler in between would take it for that of an earlier thread of this id.
        HELD.set(held + 1);
        compiler_fence(Ordering::SeqCst);
        let Some(taken) = self.take(thread, held > 0, limit) else {
            HELD.set(held);
            return None;
        };
        let mut given = Given { owner: &self.owner, to: ABANDONED };
        // SAFETY: `owner` holds the id of this thread, which has no other reference, because it cannot take a lock that it
        // holds; an earlier owner that ended has none any more. The value is initialised once `is_made` is set.
        let value = unsafe {
            let value = &mut *self.value.get();
            if !self.is_made.load(Ordering::Relaxed) {
                value.write(fresh());
                self.is_made.store(true, Ordering::Relaxed);
            }
            value.assume_init_mut()
        };
        let done = work(value, taken == Taken::Over);
        given.to = 0;
        Some(done)
    }

    fn take(&self, thread: u32, holds_any: bool, limit: Instant) -> Option<Taken> {
        // A waiter does not know whether there are others, so it leaves the bit set.
        let (mut mine, mut waited_for) = (thread, 0);
        loop {
            let found = self.owner.load(Ordering::Relaxed);
            let owner = found & !WAITED_FOR;
            // If this thread does not hold it, it belongs to an earlier thread of the same id.
            let is_abandoned = (owner == ABANDONED && !mutant::is(Mutant::LaneLeftDead))
                || (owner == thread && !holds_any && !mutant::is(Mutant::LaneLeftDead))
                || (owner == waited_for && is_gone(owner));
            if owner == 0 || is_abandoned {
                if self.swap(found, mine | found & WAITED_FOR) {
                    return Some(if is_abandoned { Taken::Over } else { Taken::Free });
                }
                continue;
            }
            let now = Instant::now();
            if owner == thread || (now >= limit && !self.is_abandoned(owner)) {
                return None;
            }
            if found & WAITED_FOR == 0 && !self.swap(found, found | WAITED_FOR) {
                continue;
            }
            futex::wait(&self.owner, owner | WAITED_FOR, LOOK_AGAIN.min(limit.saturating_duration_since(now)));
            (mine, waited_for) = (thread | WAITED_FOR, owner);
        }
    }

    /// Whether an owner has ended, for callers that do not wait, or have waited.
    fn is_abandoned(&self, owner: u32) -> bool {
        self.refused.fetch_add(1, Ordering::Relaxed) % ASK_EACH == ASK_EACH - 1 && is_gone(owner)
    }

    fn swap(&self, from: u32, to: u32) -> bool {
        self.owner.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

fn is_gone(thread: u32) -> bool {
    thread != 0 && !mutant::is(Mutant::LaneLeftDead) && has_ended(thread)
}

/// Whether this process has no thread of this id, as far as it may ask.
pub fn has_ended(thread: u32) -> bool {
    let (pid, thread) = (libc::c_long::from(process_page::pid() as i32), libc::c_long::from(thread as i32));
    // SAFETY: signal 0 is not sent; it only checks for the thread.
    let answer = unsafe { libc::syscall(libc::SYS_tgkill, pid, thread, 0) };
    answer != 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}
