//! Memory that will be written soon.

/// Asks the processor for exclusive ownership of the cache line of this place. Only a hint.
#[inline]
pub(crate) fn prefetch_to_write(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads no register but the address, writes nothing, and does not fault, whatever the address;
    // processors that lack it execute a no-op.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) place, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
