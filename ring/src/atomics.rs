//! The atomics that the lane algorithm runs on: the standard library's, or loom's in the model-checking build.

#[cfg(not(loom))]
pub(crate) use crate::cpu::prefetch::prefetch_to_write;
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Memory has no distance in the model.
#[cfg(loom)]
pub(crate) fn prefetch_to_write(_: *const u8) {}

/// Between two SeqCst accesses of one thread, which are ordered already. loom treats them as AcqRel, which are not.
#[inline(always)]
pub(crate) fn stand_for_seq_cst() {
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}
