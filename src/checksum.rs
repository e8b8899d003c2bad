//! The checksum of everything that a ring holds: XXH3-64 (Y. Collet, <https://xxhash.com>).
//!
//! A slot's checksum covers the slot's words up to the end of its payload, the last one filled up with zeros and the
//! commit word included, with the lane's key in place of the checksum itself. The key comes from the ring's UUID and the lane's number, so bytes of another
//! ring, another lane or an earlier lap never pass.

/// The checksum of `bytes`.
#[inline]
#[must_use]
pub fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// The key of lane number `lane` in the ring with this UUID.
#[must_use]
pub fn lane_key(uuid: &[u8; 16], lane: u32) -> u64 {
    let mut seed = [0u8; 20];
    seed[..16].copy_from_slice(uuid);
    seed[16..].copy_from_slice(&lane.to_le_bytes());
    checksum(&seed)
}
