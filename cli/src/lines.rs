//! Bytes that arrive in pieces, cut into lines.

use rustix::io::Errno;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

/// Longest piece of one line in bytes; a longer line is handed over in pieces of this size. A record holds such a piece whole,
/// also where each byte of it is shown by six.
const LINE_MAX: usize = 2 << 20;
/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// What was read and not yet handed over.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were handed over, and up to which no newline is.
    taken: usize,
    searched: usize,
    ended: bool,
}

impl Lines {
    /// The next line with its newline, as a place in [`Lines::bytes`]: the last one perhaps without it, and a very long one in
    /// pieces. None until more was read.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        let newline = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let end = match newline {
            Some(at) => self.searched + at + 1,
            None if self.buffer.len() - self.taken >= LINE_MAX => self.taken + LINE_MAX,
            None if self.ended && self.taken < self.buffer.len() => self.buffer.len(),
            None => {
                self.searched = self.buffer.len();
                return None;
            }
        };
        let line = self.taken..end;
        (self.taken, self.searched) = (end, end);
        Some(line)
    }

    /// The bytes of a line, until more is read.
    pub(crate) fn bytes(&self, line: Range<usize>) -> &[u8] {
        &self.buffer[line]
    }

    /// Whether all that was read has been searched for lines.
    pub(crate) fn is_searched(&self) -> bool {
        self.searched == self.buffer.len()
    }

    /// Whether nothing more will be read.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Nothing more will be read: the rest without a newline is a line too.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Reads once, and returns whether anything came. Ends with the input.
    ///
    /// # Errors
    /// As read(2).
    pub(crate) fn read(&mut self, from: impl AsFd) -> io::Result<bool> {
        self.buffer.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + BUFFER, 0);
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&from, &mut self.buffer[length..]));
        self.buffer.truncate(length + read.unwrap_or(0));
        match read {
            // A closed terminal.
            Ok(0) | Err(Errno::IO) => self.ended = true,
            Ok(_) => return Ok(true),
            // A non-blocking pipe that another process has emptied.
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(false)
    }
}
