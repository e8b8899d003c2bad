//! Making files look as if the machine had been restarted since they were written.

use lastwords_ring::format::checksum::checksum;
use lastwords_ring::format::layout::RingHeader;
use std::mem::offset_of;

/// A boot that never was.
const OTHER_BOOT: [u8; 16] = [0xb0; 16];
/// Where the journal's head holds the boot, its checksum, and ends.
const JOURNAL: [usize; 3] = [32, 48, 56];

/// Has a ring's header say that it was made in another boot, long ago, and that it does not know whether it is a copy. A header
/// that is not whole stays as it is.
pub fn restart_ring(bytes: &mut [u8]) {
    let (boot, sum) = (offset_of!(RingHeader, boot_id), offset_of!(RingHeader, checksum));
    if bytes.len() >= size_of::<RingHeader>() && word(bytes, sum) == checksum(&bytes[..sum]) {
        bytes[boot..boot + 16].copy_from_slice(&OTHER_BOOT);
        let (created, inode) = (offset_of!(RingHeader, created_ns), offset_of!(RingHeader, inode));
        bytes[created..created + 8].copy_from_slice(&1u64.to_le_bytes());
        bytes[inode..inode + 8].fill(0);
        let new = checksum(&bytes[..sum]);
        bytes[sum..sum + 8].copy_from_slice(&new.to_le_bytes());
    }
}

/// Has a journal's entry say that it was written in another boot. An entry that is not whole stays as it is.
pub fn restart_journal(bytes: &mut [u8]) {
    let [boot, sum, end] = JOURNAL;
    if bytes.len() < end {
        return;
    }
    let length = end as u64 + word(bytes, 16).saturating_add(word(bytes, 24));
    let Some(whole) = usize::try_from(length).ok().and_then(|length| bytes.get_mut(..length)) else { return };
    if word(whole, sum) == journal_checksum(whole) {
        whole[boot..boot + 16].copy_from_slice(&OTHER_BOOT);
        let new = journal_checksum(whole);
        whole[sum..sum + 8].copy_from_slice(&new.to_le_bytes());
    }
}

fn journal_checksum(entry: &[u8]) -> u64 {
    let [_, sum, end] = JOURNAL;
    checksum(&[&entry[8..sum], &entry[end..]].concat())
}

fn word(bytes: &[u8], offset: usize) -> u64 {
    bytes[offset..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word))
}
