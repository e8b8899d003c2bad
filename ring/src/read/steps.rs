//! The order of a reader's steps READ:1 to READ:3, whatever it reads the lane's memory by: system calls on the ring's file, or
//! loads under loom, where `tests/loom/lane.rs` runs these functions beside the real writer.

use crate::atomics::{Ordering, fence};
use crate::mutant::{self, Mutant};

/// READ:1. Looks how far a lane has been begun; whatever is copied afterwards is at least as new.
///
/// # Errors
/// What `look` says.
pub fn look_first<T, E>(look: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let seen = look()?;
    fence(Ordering::Acquire);
    Ok(seen)
}

/// READ:2 and READ:3. Copies slots of a lane of so many slots, then looks at `reserved` again. Returns the lowest sequence that was
/// not being overwritten while it was copied: who copied a word of the next lap sees `reserved` raised for that, LANE:A.
///
/// # Errors
/// What `copy` and `reserved` say.
pub fn copy_then_look<E>(
    slots: u64,
    copy: impl FnOnce() -> Result<(), E>,
    reserved: impl FnOnce() -> Result<u64, E>,
) -> Result<u64, E> {
    copy()?;
    // Pairs with LANE:C.
    if !mutant::is(Mutant::NoReadFence) {
        fence(Ordering::Acquire);
    }
    let reserved = reserved()?;
    Ok(if mutant::is(Mutant::NoThirdStep) { 0 } else { reserved.saturating_sub(slots - 1) })
}
