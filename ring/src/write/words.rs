//! Bytes as 64-bit words, which is how they are stored in a ring.

/// What takes a body, word by word.
pub trait WordSink {
    /// Takes the next word.
    fn word(&mut self, word: u64);

    /// Takes bytes, filled up with zeros to a whole word.
    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        for_each_word(bytes, |word| self.word(word));
    }
}

impl WordSink for Vec<u8> {
    fn word(&mut self, word: u64) {
        self.extend_from_slice(&word.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
        self.resize(self.len() + words_of(bytes.len()) * 8 - bytes.len(), 0);
    }
}

/// A buffer of fixed size; a word beyond it is dropped.
impl WordSink for std::slice::IterMut<'_, u64> {
    fn word(&mut self, word: u64) {
        if let Some(place) = self.next() {
            *place = word;
        }
    }
}

/// Number of words for so many bytes.
#[inline(always)]
#[must_use]
#[allow(clippy::manual_div_ceil, reason = "no length is near the largest number, and this is half the instructions")]
pub(crate) const fn words_of(bytes: usize) -> usize {
    (bytes + 7) / 8
}

/// Hands over bytes as words, the last one zero-padded.
#[inline(always)]
pub(crate) fn for_each_word(bytes: &[u8], mut put: impl FnMut(u64)) {
    let (whole, rest) = bytes.as_chunks::<8>();
    whole.iter().for_each(|chunk| put(u64::from_le_bytes(*chunk)));
    if !rest.is_empty() {
        put(match bytes.last_chunk::<8>() {
            // The last eight bytes, without those in the word before.
            Some(last) => u64::from_le_bytes(*last) >> (8 * (8 - rest.len())),
            None => short_word(rest),
        });
    }
}

/// Fewer than eight bytes as one word.
#[inline(always)]
fn short_word(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            let (low, high) = (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)));
            low | high << (8 * (bytes.len() - 4))
        }
        _ => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_and_filled_up_with_zeros() {
        let bytes: Vec<u8> = (1..=100).collect();
        for length in 0..=bytes.len() {
            let mut words = Vec::new();
            for_each_word(&bytes[..length], |word| words.push(word));
            let mut expected = bytes[..length].to_vec();
            expected.resize(length.next_multiple_of(8), 0);
            assert_eq!(bytemuck::cast_slice::<u64, u8>(&words), expected, "{length} bytes");
        }
    }
}
