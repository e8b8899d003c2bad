//! The list of the process's mappings.

use crate::sys::capture::lines;
use lastwords_ring::format::capture_record::bit;
use rustix::fd::BorrowedFd;

/// Room for the longest line: a path of 4 KiB, in which each byte may be shown as four.
pub(super) const TEXT: usize = 18 << 10;

/// A line of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) offset: u64,
    /// As a capture has them.
    pub(super) rights: u32,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) path: &'a [u8],
}

impl Line<'_> {
    pub(super) fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// Hands each line of the list to `each`, through a buffer of `TEXT` bytes.
pub(super) fn for_each(maps: BorrowedFd<'_>, text: &mut [u8; TEXT], mut each: impl FnMut(&Line<'_>)) {
    lines::for_each(maps, text, |line| {
        if let Some(line) = parse(line) {
            each(&line);
        }
    });
}

/// `start-end rwxp offset major:minor inode path`, all but the inode in hexadecimal.
fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut rest = line;
    let mut word = |end: u8| {
        let length = rest.iter().position(|byte| *byte == end).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        rest = after.get(1..).unwrap_or_default();
        word
    };
    let (start, end) = (number(word(b'-'), 16)?, number(word(b' '), 16)?);
    let rights = word(b' ');
    let offset = number(word(b' '), 16)?;
    let (major, minor) = (number(word(b':'), 16)?, number(word(b' '), 16)?);
    let inode = number(word(b' '), 10)?;
    let device = libc::makedev(u32::try_from(major).ok()?, u32::try_from(minor).ok()?);
    let has = |at: usize, letter: u8, bit: u32| if rights.get(at) == Some(&letter) { bit } else { 0 };
    let rights = has(0, b'r', bit::READABLE) | has(1, b'w', bit::WRITABLE) | has(2, b'x', bit::EXECUTABLE);
    let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
    Some(Line { start, end, offset, rights, device, inode, path: &rest[blanks..] })
}

fn number(digits: &[u8], base: u32) -> Option<u64> {
    let add = |sum: u64, digit: &u8| {
        let digit = char::from(*digit).to_digit(base)?;
        sum.checked_mul(base.into())?.checked_add(digit.into())
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_line_is_taken_apart() {
        let line = b"7f00001000-7f00003000 r-xp 0001a000 08:1f 4711                       /a/lib with blanks.so";
        let found = parse(line).expect("a line");
        assert_eq!((found.start, found.end, found.offset), (0x7f_0000_1000, 0x7f_0000_3000, 0x1a000));
        assert_eq!((found.device, found.inode), (libc::makedev(8, 0x1f), 4711));
        assert_eq!((found.rights, found.path), (bit::READABLE | bit::EXECUTABLE, &b"/a/lib with blanks.so"[..]));
        let anonymous = parse(b"7f00001000-7f00003000 rw-p 00000000 00:00 0 ").expect("a line");
        assert_eq!((anonymous.inode, anonymous.path), (0, &b""[..]));
        for wrong in [&b""[..], b"7f-", b"7f 80 rw-p 0 0:0 0", b"x-y rw-p 0 0:0 0", b"fffffffffffffffff-1 rw-p 0 0:0 0"]
        {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn all_lines_of_this_process_are_found() {
        let file = File::open("/proc/self/maps").expect("opened");
        let (mut count, mut own, here) = (0, 0, all_lines_of_this_process_are_found as fn() as usize as u64);
        for_each(file.as_fd(), &mut [0; TEXT], |line| {
            count += 1;
            own += usize::from(line.contains(here) && line.rights & bit::EXECUTABLE != 0);
        });
        assert!(count > 10 && own == 1, "{count} lines, {own} of this code");
    }
}
