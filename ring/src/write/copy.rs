//! Bytes as 64-bit words, which is how they are stored in a ring.

/// Words that are copied without a loop.
const UNROLLED: usize = 4;

/// Number of words for so many bytes.
#[inline(always)]
#[must_use]
#[allow(clippy::manual_div_ceil, reason = "no length is near the largest number, and this is half the instructions")]
pub(crate) const fn words_of(bytes: usize) -> usize {
    (bytes + 7) / 8
}

/// Copies bytes into words, the last one zero-padded. `words` has exactly the length that the bytes need.
#[inline(always)]
pub(crate) fn copy_words(words: &mut [u64], bytes: &[u8]) {
    let Some(tail) = bytes.last_chunk::<8>() else {
        return words.iter_mut().for_each(|word| *word = short_word(bytes));
    };
    let Some((last, full)) = words.split_last_mut() else { return };
    // The last eight bytes, except those in the word before.
    let unused = 8 * words_of(bytes.len()) - bytes.len();
    *last = u64::from_le_bytes(*tail) >> (8 * unused);
    let (chunks, _) = bytes.as_chunks::<8>();
    // Most strings are so short that setting up a loop, or calling memcpy, would take longer than the copy.
    for index in 0..UNROLLED {
        let (Some(word), Some(chunk)) = (full.get_mut(index), chunks.get(index)) else { return };
        *word = u64::from_le_bytes(*chunk);
    }
    for (word, chunk) in full[UNROLLED..].iter_mut().zip(&chunks[UNROLLED..]) {
        *word = u64::from_le_bytes(*chunk);
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
            let mut words = vec![u64::MAX; length.div_ceil(8)];
            copy_words(&mut words, &bytes[..length]);
            let mut expected = bytes[..length].to_vec();
            expected.resize(length.next_multiple_of(8), 0);
            assert_eq!(bytemuck::cast_slice::<u64, u8>(&words), expected, "{length} bytes");
        }
    }
}
