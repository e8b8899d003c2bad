//! Slot states: the rule by which a slot's bytes prove themselves.

use crate::format::checksum::slot_checksum;
use crate::format::layout::{SLOT_HEAD, SlotHead, slot_state};
use crate::mutant::{self, Mutant};

/// What the decoder finds where it expects a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// Whole.
    Committed,
    /// Being written.
    Busy,
    /// Given up.
    Aborted,
    /// Holds an older sequence, or nothing.
    Stale,
    /// Holds a later sequence.
    Overrun,
    /// Its bytes do not match its checksum.
    Corrupt,
}

/// The validity rule: the state of the slot in `bytes`, where `sequence` is expected. `bytes` is one slot.
#[must_use]
pub fn classify(bytes: &[u8], sequence: u64, key: u64) -> SlotState {
    let commit = read_word(bytes, 0);
    match (commit >> 2).cmp(&sequence) {
        std::cmp::Ordering::Less => return SlotState::Stale,
        std::cmp::Ordering::Greater => return SlotState::Overrun,
        std::cmp::Ordering::Equal => {}
    }
    match commit & 3 {
        slot_state::BUSY => SlotState::Busy,
        slot_state::ABORTED => SlotState::Aborted,
        slot_state::VALID if is_whole(bytes, key) => SlotState::Committed,
        _ => SlotState::Corrupt,
    }
}

fn is_whole(bytes: &[u8], key: u64) -> bool {
    let length = usize::from(u16::from_le_bytes([bytes[40], bytes[41]]));
    let used = SLOT_HEAD + length.next_multiple_of(8);
    if used > bytes.len() {
        return false;
    }
    slot_checksum(&bytes[..used], key) == read_word(bytes, 8) || mutant::is(Mutant::SlotUnchecked)
}

/// The head of the slot that begins `slot`.
pub(crate) fn head_of(slot: &[u8]) -> SlotHead {
    bytemuck::pod_read_unaligned(&slot[..SLOT_HEAD])
}

/// The word at this offset; 0 beyond the end.
pub(crate) fn read_word(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk::<8>()).map_or(0, |word| u64::from_le_bytes(*word))
}
