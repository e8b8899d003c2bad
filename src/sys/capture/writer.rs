//! Writes a capture's records, each so that it is whole or not there, by plain system calls.

use lastwords_ring::format::capture_record::{HEADER, MAGIC, RECORD_HEAD, VERSION};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::{pwrite, pwritev};
use std::io::IoSlice;

/// Room that only the last record may use.
const LAST: u64 = 64;
/// What ends a capture: the head of no record.
const NONE: [u8; RECORD_HEAD] = [0; RECORD_HEAD];
/// A piece of memory that is mapped or unmapped as a whole.
const PAGE: usize = 4096;

/// Appends records to a capture.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    file: BorrowedFd<'a>,
    /// Where the next record begins.
    at: u64,
    /// Bytes of the file that may be written.
    limit: u64,
}

impl<'a> Writer<'a> {
    /// Begins a capture in place of whatever was in the file. None if it cannot be written.
    pub(super) fn begin(file: BorrowedFd<'a>, limit: u64) -> Option<Writer<'a>> {
        let mut head = [0; HEADER + RECORD_HEAD];
        head[..MAGIC.len()].copy_from_slice(&MAGIC);
        head[MAGIC.len()..][..4].copy_from_slice(&VERSION.to_le_bytes());
        (pwrite(file, &head, 0).ok()? == head.len()).then_some(Writer::at(file, HEADER as u64, limit))
    }

    /// Goes on with a capture whose last record ends at `at`.
    pub(super) fn at(file: BorrowedFd<'a>, at: u64, limit: u64) -> Writer<'a> {
        Writer { file, at, limit }
    }

    /// Where the next record begins.
    pub(super) fn end(&self) -> u64 {
        self.at
    }

    /// Takes back a capture: the process lives on.
    pub(super) fn void(file: BorrowedFd<'_>) {
        let _ = pwrite(file, &[0; HEADER + RECORD_HEAD], 0);
    }

    /// Overwrites what a void capture has left up to `end`.
    #[cfg(feature = "flusher")]
    pub(super) fn zero(file: BorrowedFd<'_>, end: u64) {
        for at in (0..end).step_by(PAGE) {
            let length = (end - at).min(PAGE as u64) as usize;
            let _ = pwrite(file, &[0; PAGE][..length], at);
        }
    }

    /// Bytes of payload for which there is room.
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.at + LAST + 2 * RECORD_HEAD as u64) as usize
    }

    /// Appends a record, if there is room for it.
    pub(super) fn record(&mut self, kind: u32, payload: &[u8]) {
        if payload.len() <= self.room() {
            self.write(kind, payload);
        }
    }

    /// Appends the last record, for which there is always room in a file that has its size.
    pub(super) fn last(&mut self, kind: u32, payload: &[u8]) {
        if self.at + LAST <= self.limit {
            self.write(kind, payload);
        }
    }

    fn write(&mut self, kind: u32, payload: &[u8]) {
        let parts = [IoSlice::new(payload), IoSlice::new(&NONE)];
        let length = payload.len() + RECORD_HEAD;
        if pwritev(self.file, &parts, self.at + RECORD_HEAD as u64).is_ok_and(|written| written == length) {
            self.finish(kind, payload.len());
        }
    }

    /// Appends a record of an address and up to `length` bytes of memory from there. What is not mapped ends it. Returns how
    /// many bytes there were; a record without any is not written.
    pub(super) fn memory(&mut self, kind: u32, start: u64, length: usize) -> usize {
        let begin = self.at + (RECORD_HEAD + size_of::<u64>()) as u64;
        let length = length.min(self.room().saturating_sub(size_of::<u64>()));
        let copied = copy(self.file, start as usize, length, begin);
        if copied > 0
            && pwrite(self.file, &NONE, begin + copied as u64) == Ok(RECORD_HEAD)
            && pwrite(self.file, &start.to_le_bytes(), begin - size_of::<u64>() as u64) == Ok(size_of::<u64>())
        {
            self.finish(kind, size_of::<u64>() + copied);
        }
        copied
    }

    /// Writes the head of a record whose payload is there.
    fn finish(&mut self, kind: u32, length: usize) {
        let mut head = NONE;
        head[..4].copy_from_slice(&kind.to_le_bytes());
        head[4..].copy_from_slice(&(length as u32).to_le_bytes());
        if pwrite(self.file, &head, self.at) == Ok(RECORD_HEAD) {
            self.at += (RECORD_HEAD + length) as u64;
        }
    }
}

/// Writes the memory from `start` on to the file at `offset`, up to what is not mapped.
fn copy(file: BorrowedFd<'_>, start: usize, length: usize, offset: u64) -> usize {
    let mut done = 0;
    while done < length {
        let address = start.wrapping_add(done);
        // A range that reaches beyond the program's addresses is refused as a whole.
        let written = match write_memory(file, address, length - done, offset + done as u64) {
            0 => write_memory(file, address, (PAGE - address % PAGE).min(length - done), offset + done as u64),
            written => written,
        };
        if written == 0 {
            break;
        }
        done += written;
    }
    done
}

fn write_memory(file: BorrowedFd<'_>, address: usize, length: usize, offset: u64) -> usize {
    // SAFETY: the kernel reads the memory, and answers EFAULT where there is none.
    let written =
        unsafe { libc::pwrite(file.as_raw_fd(), address as *const libc::c_void, length, offset as libc::off_t) };
    usize::try_from(written).unwrap_or(0)
}
