//! A piece of a log: a file, or a part of one, or lines that are in memory.

use lastwords_flusher::files::archive::Archive;
use lastwords_flusher::recover::snapshot::Content;
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
    /// A compressed one, whose text is meant.
    Archive(Archive),
    /// What no file has yet.
    Memory(Vec<u8>),
}

impl From<Content> for Bytes {
    fn from(content: Content) -> Bytes {
        match content {
            Content::Plain(file) => Bytes::File(file),
            Content::Archive(archive) => Bytes::Archive(archive),
        }
    }
}

/// A range of them that begins and ends with a record.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    bytes: Rc<Bytes>,
    /// What of it is meant.
    pub(crate) range: Range<u64>,
}

/// The frame of an archive that was read last: each who reads keeps one, however many archives there are.
#[derive(Debug, Default)]
pub(crate) struct LastFrame {
    of: Option<(Rc<Bytes>, usize)>,
    text: Vec<u8>,
}

impl Piece {
    pub(crate) fn new(bytes: Bytes, range: Range<u64>) -> Piece {
        Piece { bytes: Rc::new(bytes), range }
    }

    /// Another part of the same bytes.
    pub(crate) fn part(&self, range: Range<u64>) -> Piece {
        Piece { bytes: Rc::clone(&self.bytes), range }
    }

    /// Whether no file has it.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(*self.bytes, Bytes::Memory(_))
    }

    /// The archive that it is of.
    pub(crate) fn archive(&self) -> Option<&Archive> {
        if let Bytes::Archive(archive) = &*self.bytes { Some(archive) } else { None }
    }

    /// Reads as much as fits into `buffer`; less only at the end of a file that was cut meanwhile.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64, last: &mut LastFrame) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            let (rest, at) = (&mut buffer[read..], offset + read as u64);
            let count = match &*self.bytes {
                Bytes::File(file) => file.file()?.read_at(rest, at)?,
                Bytes::Archive(archive) => copy(last.at(&self.bytes, archive, at)?, rest),
                Bytes::Memory(bytes) => copy(bytes.get(at as usize..).unwrap_or_default(), rest),
            };
            if count == 0 {
                break;
            }
            read += count;
        }
        Ok(read)
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let length = from.len().min(to.len());
    to[..length].copy_from_slice(&from[..length]);
    length
}

impl LastFrame {
    /// The text from `offset` to the end of the frame that has it; none at the end of the archive.
    fn at(&mut self, bytes: &Rc<Bytes>, archive: &Archive, offset: u64) -> io::Result<&[u8]> {
        let Some(number) = archive.frame_at(offset) else { return Ok(&[]) };
        let frame = &archive.frames()[number];
        let is_known = self.of.as_ref().is_some_and(|(of, known)| Rc::ptr_eq(of, bytes) && *known == number);
        if !is_known {
            self.of = None;
            self.text = archive.read(frame).map_err(io::Error::other)?;
            self.of = Some((Rc::clone(bytes), number));
        }
        Ok(&self.text[(offset - frame.start) as usize..])
    }
}
