//! The checksum of a slot, formed word by word while the slot is written.
//!
//! A multiplication to 128 bits whose halves are folded into one another, as in wyhash (Wang Yi,
//! <https://github.com/wangyi-fudan/wyhash>), takes two words of the head, or one of the body. Two sums take the body's words in
//! turn, so that the processor need not wait for one multiplication before it begins the next.

/// Odd, half of its bits set: no word is multiplied to something simple.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// What the number of the message is masked with. No number is that large, so neither factor of the first product is 0 for all
/// of a ring's records, and the commit word always counts.
const MESSAGE_MASK: u64 = 0xd1b5_4a32_d192_ed03;
/// What the sizes are masked with; its kind of slot does not exist.
const SIZES_MASK: u64 = 0xdbe6_d5d5_fe4c_ce2f;
/// Bits by which the key is rotated for the origin.
const KEY_TURN: u32 = 23;

/// A sum that the words of a body are added to.
#[derive(Debug, Clone, Copy)]
pub struct SlotSum {
    next: u64,
    other: u64,
}

impl SlotSum {
    /// The sum of a slot's head, in the lane with this key: of its commit word, the number of its message, its origin and its
    /// sizes.
    #[inline(always)]
    #[must_use]
    pub fn of_head(key: u64, [commit, message, origin, sizes]: [u64; 4]) -> SlotSum {
        SlotSum {
            next: fold(key ^ commit, MESSAGE_MASK ^ message),
            other: fold(key.rotate_left(KEY_TURN) ^ origin, SIZES_MASK ^ sizes),
        }
    }

    /// Adds the next word of the body.
    #[inline(always)]
    pub fn add(&mut self, word: u64) {
        let mixed = fold(self.next ^ word, FACTOR);
        (self.next, self.other) = (self.other, mixed);
    }

    /// The checksum. The clock is added last, because it is read last: the rest is computed while the processor waits for it.
    #[inline(always)]
    #[must_use]
    pub fn finish(self, clock: u64) -> u64 {
        self.next ^ self.other.rotate_left(32) ^ fold(clock, FACTOR)
    }
}

/// The two halves of the product, one added to the other.
#[inline(always)]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::format::checksum::slot_checksum;
    use crate::format::layout::{SlotHead, commit_word, slot_kind, slot_state};

    const WORDS: usize = 12;

    /// The slot of a record with three arguments and a string of 16 bytes, as the lane has it in a lap.
    fn slot(lap: u64, text: &[u8; 16]) -> [u64; WORDS] {
        let head = SlotHead {
            commit: commit_word(1 + lap * 4096, slot_state::VALID),
            checksum: 0,
            clock: 1_000_000_007 + lap * 40_960,
            message: 1 + lap * 4096,
            call_site: 77,
            thread: 4157,
            length: 48,
            level: 20,
            slots: 1,
            kind: slot_kind::FIRST,
            encoding: 1,
        };
        let (first, second) = text.split_at(8);
        let text = [first, second].map(|half| half.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        let mut words = [0; WORDS];
        words[..6].copy_from_slice(&bytemuck::cast::<SlotHead, [u64; 6]>(head));
        words[6..].copy_from_slice(&[0x0c_0b_09, lap, 16.6f64.to_bits() ^ lap << 63, 16, text[0], text[1]]);
        words[1] = slot_checksum(bytemuck::cast_slice(&words), KEY);
        words
    }

    const KEY: u64 = 0x0123_4567_89ab_cdef;

    fn is_whole(words: &[u64; WORDS]) -> bool {
        slot_checksum(bytemuck::cast_slice(words), KEY) == words[1]
    }

    #[test]
    fn no_flipped_bit_and_no_two_pass() {
        let whole = slot(3, b"sixteen bytes ok");
        assert!(is_whole(&whole));
        let bits = WORDS * 64;
        for first in 0..bits {
            let mut one = whole;
            one[first / 64] ^= 1 << (first % 64);
            assert!(!is_whole(&one), "bit {first}");
            for second in first + 1..bits {
                let mut two = one;
                two[second / 64] ^= 1 << (second % 64);
                assert!(!is_whole(&two), "bits {first} and {second}");
            }
        }
    }

    /// What a power loss may leave: each word of a slot is of the one lap or of the other.
    #[test]
    fn no_mixture_of_two_laps_passes() {
        let texts: [&[u8; 16]; 3] = [b"sixteen bytes ok", b"sixteen bytes no", b"another text now"];
        for (lap, other) in [(0, 1), (1, 2), (0, 2), (1, 1 << 20), (7, 1 << 40)] {
            for (old, new) in
                texts.iter().flat_map(|old| texts.iter().map(move |new| (slot(lap, old), slot(other, new))))
            {
                for mask in 0..1u32 << WORDS {
                    let mixed = std::array::from_fn(|word| if mask >> word & 1 == 1 { new[word] } else { old[word] });
                    assert!(
                        !is_whole(&mixed) || mixed == old || mixed == new,
                        "laps {lap} and {other}, words {mask:b}"
                    );
                }
            }
        }
    }
}
