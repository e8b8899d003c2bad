//! The build id of a mapped file, from its bytes in memory: the file itself may have been replaced since.

use std::ops::Range;

/// Bytes at the beginning of a file in which its program headers are, and as a rule its notes.
pub(super) const HEAD: usize = 4 << 10;
/// Longest build id; one by SHA-1 has 20 bytes.
const ID_MAX: usize = 64;
/// How a file for 64 bits, little-endian, begins.
const MAGIC: &[u8] = b"\x7fELF\x02\x01";
/// Bytes of a program header.
const PROGRAM_HEADER: usize = 56;
/// Kinds of program headers: what is loaded, notes.
const LOAD: u32 = 1;
const NOTE: u32 = 4;
/// Headers of notes that are looked at; files have two as a rule.
const PLACES: usize = 4;
/// Bytes of a note before its name, and what follows a build id's sizes: its kind, and its name.
const NOTE_HEAD: usize = 12;
const BUILD_ID: &[u8] = b"\x03\0\0\0GNU\0";

/// Copies memory that may not be there to a buffer; returns how many bytes there were.
type Read = fn(u64, &mut [u8]) -> usize;

/// Headers of notes: where in memory the notes are, and how long. Unused ones have a length of 0.
type Places = [(u64, usize); PLACES];

// Loops by number, here and below: without optimisation iterators take a kilobyte of an alternate stack that may have little.

/// Reads the build id of the file whose beginning is mapped at `base` into `buffer`; says where it is there.
pub(super) fn read(base: u64, buffer: &mut [u8; HEAD], read: Read) -> Option<Range<usize>> {
    let length = read(base, buffer);
    let mut places: Places = [(0, 0); PLACES];
    find_notes(base, &buffer[..length], &mut places)?;
    for (address, size) in &places {
        let begin = address.wrapping_sub(base) as usize;
        if let Some(notes) = buffer[..length].get(begin..begin.saturating_add(*size))
            && let Some(found) = find(notes)
        {
            return Some(begin + found.start..begin + found.end);
        }
    }
    // Hardly ever: the buffer was not large enough.
    for (address, size) in &places {
        if *size > 0 {
            let length = read(*address, &mut buffer[..(*size).min(HEAD)]);
            if let Some(found) = find(&buffer[..length]) {
                return Some(found);
            }
        }
    }
    None
}

/// Finds the headers of notes of a file whose beginning is `head`.
fn find_notes(base: u64, head: &[u8], places: &mut Places) -> Option<()> {
    if !head.starts_with(MAGIC) {
        return None;
    }
    let first = usize::try_from(u64_at(head, 32)?).ok()?;
    let count = u16::from_le_bytes(*head.get(56..)?.first_chunk()?);
    // Where the file is mapped, less where it says that it is to be.
    let (mut moved, mut used) = (None, 0);
    for number in 0..usize::from(count) {
        let Some(header) = head.get(first.checked_add(number * PROGRAM_HEADER)?..) else { break };
        if header.len() < PROGRAM_HEADER {
            break;
        }
        match u32_at(header, 0)? {
            LOAD if moved.is_none() => moved = Some(base.wrapping_sub(u64_at(header, 16)?)),
            NOTE if used < PLACES => {
                places[used] = (u64_at(header, 16)?, usize::try_from(u64_at(header, 40)?).ok()?);
                used += 1;
            }
            _ => {}
        }
    }
    let moved = moved?;
    for place in &mut places[..used] {
        place.0 = place.0.wrapping_add(moved);
    }
    Some(())
}

/// Where in these notes the build id is.
fn find(notes: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    loop {
        let head = notes.get(at..)?;
        let [name, length] = [u32_at(head, 0)? as usize, u32_at(head, 4)? as usize];
        let begin = at + NOTE_HEAD + name.checked_next_multiple_of(4)?;
        if head.get(8..)?.starts_with(BUILD_ID) && (1..=ID_MAX).contains(&length) {
            return (begin + length <= notes.len()).then_some(begin..begin + length);
        }
        at = begin.checked_add(length.checked_next_multiple_of(4)?)?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_id_is_found_behind_other_notes() {
        let other = b"\x04\0\0\0\x05\0\0\0\x01\0\0\0GNU\0fivef\0\0\0";
        let id = b"\x04\0\0\0\x08\0\0\0\x03\0\0\0GNU\0build-id";
        let notes = [&other[..], id].concat();
        assert_eq!(find(&notes).map(|found| &notes[found]), Some(&b"build-id"[..]));
        for length in 0..notes.len() {
            assert_eq!(find(&notes[..length]), None, "{length}");
        }
        let endless = [0xff; 64];
        assert_eq!(find(&endless), None);
        assert_eq!(find(&[0; 64]), None);
    }
}
