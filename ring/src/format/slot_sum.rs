//! The checksum of a slot, formed word by word while the slot is written.
//!
//! Each word goes through one multiplication to 128 bits whose halves are folded into one another, as in wyhash (Wang Yi,
//! <https://github.com/wangyi-fudan/wyhash>). Two lanes take the words in turn, so that the processor need not wait for one
//! multiplication before it begins the next.

/// Odd, half of its bits set: no word is multiplied to something simple.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// What the second lane begins with besides the key.
const SECOND: u64 = 0xd1b5_4a32_d192_ed03;

/// A sum that words are added to.
#[derive(Debug, Clone, Copy)]
pub struct SlotSum {
    next: u64,
    other: u64,
}

impl SlotSum {
    /// The sum of no word, in the lane with this key.
    #[inline(always)]
    #[must_use]
    pub fn new(key: u64) -> SlotSum {
        SlotSum { next: key, other: key ^ SECOND }
    }

    /// Adds the next word.
    #[inline(always)]
    pub fn add(&mut self, word: u64) {
        let mixed = fold(self.next ^ word);
        (self.next, self.other) = (self.other, mixed);
    }

    /// The checksum. The clock is added last, because it is read last: the rest is computed while the processor waits for it.
    #[inline(always)]
    #[must_use]
    pub fn finish(self, clock: u64) -> u64 {
        self.next ^ self.other.rotate_left(32) ^ fold(clock)
    }
}

#[inline(always)]
fn fold(word: u64) -> u64 {
    let product = u128::from(word) * u128::from(FACTOR);
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
        words[..6].copy_from_slice(&head.words());
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
