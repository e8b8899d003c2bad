//! The checksum of everything that a ring holds but its slots: XXH3-64 (Y. Collet, <https://xxhash.com>).
//!
//! A slot's checksum is a [`SlotSum`] of the slot's words up to the end of its payload, the last one zero-padded, without
//! checksum and clock; the clock is mixed in at the end. It begins with the lane's key, which comes from the ring's UUID and the
//! lane's number, so bytes of another ring, another lane or an earlier lap never pass.

use crate::format::slot_sum::SlotSum;

/// The checksum of `bytes`.
#[inline(always)]
#[must_use]
pub fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// What the checksum of a whole slot must be. `used` are its bytes up to the end of its payload's last word.
///
/// # Panics
/// If there are fewer than 48 bytes.
#[must_use]
pub fn slot_checksum(used: &[u8], key: u64) -> u64 {
    let (words, _) = used.as_chunks::<8>();
    let [commit, _, clock, message, origin, sizes, body @ ..] = words else { panic!("a slot has a head") };
    let mut sum = SlotSum::of_head(key, [commit, message, origin, sizes].map(|word| u64::from_le_bytes(*word)));
    body.iter().for_each(|word| sum.add(u64::from_le_bytes(*word)));
    sum.finish(u64::from_le_bytes(*clock))
}

/// The key of lane number `lane` in the ring with this UUID.
#[must_use]
pub fn lane_key(uuid: &[u8; 16], lane: u32) -> u64 {
    let mut seed = [0u8; 20];
    seed[..16].copy_from_slice(uuid);
    seed[16..].copy_from_slice(&lane.to_le_bytes());
    checksum(&seed)
}
