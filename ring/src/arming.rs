//! How a sleeping flusher is guaranteed to be woken: both ends of the `armed` word.
//!
//! | end | first | then |
//! |---|---|---|
//! | the flusher | stores `armed` | checks the slots once more |
//! | a producer | swaps its slot to BUSY (LANE:B) | checks `armed` |
//!
//! Each stores before it checks, in an order that all agree on (Dekker's argument): either the flusher sees the slot, or the
//! producer sees `armed` and rings the doorbell.

use crate::atomics::{AtomicU32, Ordering, fence, stand_for_seq_cst};
use crate::mutant::{self, Mutant};

/// The flusher's end: arms by `arm`, then checks once more and returns the result of `look`. None if it could not arm.
pub fn arm_then_look<C, T>(
    context: &mut C,
    arm: impl FnOnce(&mut C) -> bool,
    look: impl FnOnce(&mut C) -> T,
) -> Option<T> {
    let armed = arm(context);
    // A processor may let loads pass an earlier store; the system calls by which rings are written and read do not promise
    // otherwise.
    if !mutant::is(Mutant::ArmUnfenced) {
        fence(Ordering::SeqCst);
    }
    armed.then(|| look(context))
}

/// The producer's end, after an append: what the flusher has requested, 0 for nothing.
#[inline(always)]
#[must_use]
pub fn asked_after_append(armed: &AtomicU32) -> u32 {
    stand_for_seq_cst();
    armed.load(Ordering::SeqCst)
}

/// Takes the flusher's request: true for the one producer that is to ring.
#[must_use]
pub fn take_request(armed: &AtomicU32) -> bool {
    armed.swap(0, Ordering::SeqCst) != 0
}
