//! A piece of a log: a file, or a part of one, or lines that are in memory.

use lastwords_ring::place::descriptor::Opened;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

/// Where bytes come from.
#[derive(Debug)]
pub(crate) enum Bytes {
    /// A log file.
    File(Opened),
    /// What no file has yet.
    Memory(Vec<u8>),
}

/// A range of them that begins and ends with a record.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    bytes: Rc<Bytes>,
    /// What of it is meant.
    pub(crate) range: Range<u64>,
}

impl Piece {
    pub(crate) fn new(bytes: Bytes, range: Range<u64>) -> Piece {
        Piece { bytes: Rc::new(bytes), range }
    }

    /// Whether no file has it.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(*self.bytes, Bytes::Memory(_))
    }

    /// Reads as much as fits into `buffer`; less only at the end of a file that was cut meanwhile.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &*self.bytes {
            Bytes::File(file) => {
                let (file, mut read) = (file.file()?, 0);
                while read < buffer.len() {
                    match file.read_at(&mut buffer[read..], offset + read as u64)? {
                        0 => break,
                        count => read += count,
                    }
                }
                Ok(read)
            }
            Bytes::Memory(bytes) => {
                let rest = bytes.get(offset as usize..).unwrap_or_default();
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            }
        }
    }
}
