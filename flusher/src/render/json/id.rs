//! Which record a line is of: its ring, its lane there, and its sequence in that lane.
//!
//! The three are in the ring, so whoever makes a line of a record writes the same. A consumer that was given a record twice knows
//! it by them.

use crate::render::digits::append_integer;

/// The identity of a record. Shown as `ring-lane-sequence`, the ring's UUID in hexadecimal as in the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordId {
    /// UUID of the ring.
    pub ring: [u8; 16],
    /// Number of the lane in it.
    pub lane: usize,
    /// The record's last sequence in the lane.
    pub sequence: u64,
}

impl RecordId {
    /// Appends it, without quotes.
    pub(crate) fn append(&self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 33];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.ring) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        out.extend_from_slice(&text);
        append_integer(out, self.lane as u64);
        out.push(b'-');
        append_integer(out, self.sequence);
    }
}
