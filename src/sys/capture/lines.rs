//! The lines of a file of the kernel's, read in pieces without taking memory.

use rustix::fd::BorrowedFd;
use rustix::io::pread;

/// Hands each line to `each`, through this buffer. One that the buffer does not hold ends it.
pub(super) fn for_each(file: BorrowedFd<'_>, text: &mut [u8], mut each: impl FnMut(&[u8])) {
    let (mut offset, mut kept) = (0, 0);
    while let Ok(read @ 1..) = pread(file, &mut text[kept..], offset) {
        offset += read as u64;
        let length = kept + read;
        let mut begin = 0;
        while let Some(end) = text[begin..length].iter().position(|byte| *byte == b'\n') {
            each(&text[begin..begin + end]);
            begin += end + 1;
        }
        text.copy_within(begin..length, 0);
        kept = length - begin;
        if kept == text.len() {
            return;
        }
    }
}
