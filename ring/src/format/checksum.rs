//! The checksum of everything that a ring holds: XXH3-64 (Y. Collet, <https://xxhash.com>).
//!
//! A slot's checksum covers the slot's words up to the end of its payload, the last one zero-padded and the commit word
//! included, with the lane's key in place of the checksum itself and zero in place of the clock, which is mixed in by
//! [`with_clock`]. The key comes from the ring's UUID and the lane's number, so bytes of another ring, another lane or an
//! earlier lap never pass.

/// The checksum of `bytes`.
#[inline(always)]
#[must_use]
pub fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// The checksum of a slot, from that of its words with zero in place of the clock. The clock is read, and therefore mixed in,
/// last: the rest is computed while the processor waits for it. Multiplication by an odd number maps no two clocks to the same
/// value.
#[inline]
#[must_use]
pub fn with_clock(sum: u64, clock: u64) -> u64 {
    sum ^ clock.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The expected checksum of a whole slot. `used` are its bytes up to the end of its payload's last word; those of checksum and
/// clock are used as scratch space and restored.
///
/// # Panics
/// If there are fewer than 24 bytes.
#[must_use]
pub fn slot_checksum(used: &mut [u8], key: u64) -> u64 {
    let mut kept = [0u8; 16];
    kept.copy_from_slice(&used[8..24]);
    let (_, clock) = kept.split_at(8);
    let clock = clock.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    used[8..16].copy_from_slice(&key.to_le_bytes());
    used[16..24].fill(0);
    let sum = with_clock(checksum(used), clock);
    used[8..24].copy_from_slice(&kept);
    sum
}

/// The key of lane number `lane` in the ring with this UUID.
#[must_use]
pub fn lane_key(uuid: &[u8; 16], lane: u32) -> u64 {
    let mut seed = [0u8; 20];
    seed[..16].copy_from_slice(uuid);
    seed[16..].copy_from_slice(&lane.to_le_bytes());
    checksum(&seed)
}
