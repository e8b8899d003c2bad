//! The order of a reader's steps READ:1 to READ:3, for any means of reading the lane's memory: system calls on the ring's file,
//! or loads under loom, where `tests/loom/lane.rs` runs these functions beside the real writer.

use crate::atomics::{Ordering, fence};
use crate::mutant::{self, Mutant};

/// READ:1. Reads how far a lane has been begun; whatever is copied afterwards is at least as new.
///
/// # Errors
/// Those of `look`.
pub fn look_first<T, E>(look: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let seen = look()?;
    fence(Ordering::Acquire);
    Ok(seen)
}

/// READ:2 and READ:3. Copies slots of a lane of so many slots, then reads `reserved` again. Returns the lowest sequence that
/// was not being overwritten while it was copied: a copied word of the next lap implies that `reserved` is seen raised for it,
/// LANE:A.
///
/// # Errors
/// Those of `copy` and `reserved`.
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
