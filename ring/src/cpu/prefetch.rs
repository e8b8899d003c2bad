//! Memory that will be written soon.

use std::sync::atomic::AtomicU64;

/// Asks the processor for exclusive ownership of the word's cache line. Only a hint.
#[inline]
pub(crate) fn prefetch_to_write(word: *const AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads no register but the address, writes nothing, and does not fault, whatever the address;
    // processors that lack it execute a no-op.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) word, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}
