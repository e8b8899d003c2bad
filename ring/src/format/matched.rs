//! Which directives of a ring's filter have decided about any record yet, so that `lastwords status` can name those that have
//! not: a misspelt target shows nowhere else.
//!
//! A call site asks the filter once and caches the answer. If a directive decides then, its bit is set in the control page: bit
//! `n` is for the `n`-th of [`Directives::targets`], 48 of them a word, with the low half of the filter's generation above
//! them, so that nothing has to be cleared when the filter changes. Tools also read the targets of the call-site table, which
//! has those of front ends that ask a filter of their own.
//!
//! [`Directives::targets`]: crate::format::directives::Directives::targets

use crate::format::layout::MATCHED_WORDS;
use crate::mutant::{self, Mutant};
use std::sync::atomic::{AtomicU64, Ordering};

/// Directives per word.
const BITS: usize = 48;

/// Notes that directive `index` of the filter of this generation has decided about a record.
pub fn note(words: &[AtomicU64; MATCHED_WORDS], generation: u32, index: usize) {
    let Some(word) = words.get(index / BITS).filter(|_| !mutant::is(Mutant::MatchUnnoted)) else { return };
    let (generation, bit) = (generation as u16, 1 << (index % BITS));
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        let age = generation.wrapping_sub(generation_of(seen)) as i16;
        let noted = match age {
            0 => seen | bit,
            // Left by an earlier filter.
            1.. => u64::from(generation) << BITS | bit,
            // This thread still asked an earlier filter.
            _ => return,
        };
        if noted == seen {
            return;
        }
        match word.compare_exchange_weak(seen, noted, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(found) => seen = found,
        }
    }
}

/// Whether these words say that the directive has decided. Unknown, so true, beyond the last bit.
pub(crate) fn is_noted(words: &[u64; MATCHED_WORDS], generation: u32, index: usize) -> bool {
    let Some(word) = words.get(index / BITS) else { return true };
    generation_of(*word) == generation as u16 && word >> (index % BITS) & 1 == 1
}

fn generation_of(word: u64) -> u16 {
    (word >> BITS) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_for_its_directive_and_generation_alone() {
        let words: [AtomicU64; MATCHED_WORDS] = Default::default();
        let noted = |generation| {
            let read = std::array::from_fn(|n| words[n].load(Ordering::Relaxed));
            (0..MATCHED_WORDS * BITS).filter(|index| is_noted(&read, generation, *index)).collect::<Vec<_>>()
        };
        assert!(noted(1).is_empty());
        [0, 47, 48, 191, 500].into_iter().for_each(|index| note(&words, 1, index));
        assert_eq!(noted(1), [0, 47, 48, 191]);
        assert!(noted(2).is_empty());
        note(&words, 2, 5);
        // From a thread that still asked an earlier filter.
        note(&words, 1, 6);
        assert_eq!((noted(1), noted(2)), (vec![48, 191], vec![5]));
        note(&words, 0x1_0001, 7);
        assert_eq!(noted(0x1_0001), [48, 191], "the low halves of generations so far apart are not told apart");
        note(&words, 0x7fff, 7);
        assert_eq!(noted(0x7fff), [7]);
    }
}
