//! A journal file of any bytes. What is found in one is done: bytes are appended, files renamed and removed.
//!
//! ```text
//! 0   flags, see `flag`
//! 1   the file; with `flag::REPAIR` the length of the changes (2 bytes), the changes, and the bytes of the appends
//! ```

use super::{number, take};
use lastwords_flusher::files::journal::{Change, Entry, HEAD, MAGIC, entry_in};
use lastwords_ring::format::checksum::checksum;

/// Bits of an input's first byte.
pub mod flag {
    /// The head is made for what follows, with its checksum.
    pub const REPAIR: u8 = 1;
}

/// Bytes of the smallest change.
const CHANGE_MIN: usize = 6;

/// Reads the journal that `input` describes.
pub fn run(input: &[u8]) {
    let file = file_of(input);
    if let Some(entry) = entry_in(&file) {
        assert!(entry.bytes.len() + entry.changes.len() * CHANGE_MIN <= file.len(), "more than was there");
        entry.changes.iter().for_each(assert_harmless);
        assert_eq!(entry_in(&file), Some(entry), "the same bytes say the same");
    }
}

/// The entry that `input` describes.
#[must_use]
pub fn entry(input: &[u8]) -> Option<Entry> {
    entry_in(&file_of(input))
}

fn file_of(mut input: &[u8]) -> Vec<u8> {
    let flags = take(&mut input, 1).first().copied().unwrap_or_default();
    if flags & flag::REPAIR == 0 {
        return input.to_vec();
    }
    let changes = number(&mut input).min(input.len());
    let mut file = MAGIC.to_vec();
    for word in [7, changes, input.len() - changes] {
        file.extend_from_slice(&(word as u64).to_le_bytes());
    }
    file.extend_from_slice(&[0; HEAD - 32]);
    file.extend_from_slice(input);
    of_boot(&mut file, [7; 16]);
    file
}

/// Makes a journal file one of this boot, with the checksum for it.
pub fn of_boot(file: &mut [u8], boot_id: [u8; 16]) {
    let (head, rest) = file.split_at_mut(HEAD);
    head[HEAD - 24..HEAD - 8].copy_from_slice(&boot_id);
    let sum = checksum(&[&head[MAGIC.len()..HEAD - 8], rest].concat());
    head[HEAD - 8..].copy_from_slice(&sum.to_le_bytes());
}

/// No name leads out of the folder.
fn assert_harmless(change: &Change) {
    let name = match change {
        Change::Append { log, .. } | Change::Rename { log, .. } | Change::Archived { log, .. } => log,
        Change::Of { role } => role,
        Change::Position { ring, .. } | Change::Remove { ring, .. } | Change::DeathLogged { ring, .. } => ring,
    };
    assert!(!name.contains(['/', '\0']) && !name.starts_with('.') && name.len() < 256, "{change:?}");
}
