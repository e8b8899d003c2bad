//! What is listed in a capture: put together in a buffer, of which each fill is a record.

use crate::sys::capture::writer::Writer;

/// Entries that are not written yet.
#[derive(Debug)]
pub(super) struct List<'a> {
    kind: u32,
    buffer: &'a mut [u8],
    length: usize,
}

impl<'a> List<'a> {
    pub(super) fn new(kind: u32, buffer: &'a mut [u8]) -> List<'a> {
        List { kind, buffer, length: 0 }
    }

    /// Adds an entry of several parts; one that no buffer takes is left out.
    pub(super) fn add(&mut self, writer: &mut Writer<'_>, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > self.buffer.len() - self.length {
            self.flush(writer);
        }
        if length <= self.buffer.len() {
            for part in parts {
                self.buffer[self.length..][..part.len()].copy_from_slice(part);
                self.length += part.len();
            }
        }
    }

    pub(super) fn flush(&mut self, writer: &mut Writer<'_>) {
        if self.length > 0 {
            writer.record(self.kind, &self.buffer[..self.length]);
            self.length = 0;
        }
    }
}
