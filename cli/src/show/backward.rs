//! The records of a log, the newest first.

use super::piece::{LastFrame, Piece};
use lastwords_flusher::render::line_time::time_end;
use memchr::memrchr;
use std::io;
use std::ops::Range;

/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Backward {
    pieces: Vec<Piece>,
    json: bool,
    /// What precedes the record, and it.
    buffer: Vec<u8>,
    /// Offset of the first byte of the buffer in the last piece.
    low: u64,
    last_frame: LastFrame,
    record: Range<usize>,
    /// Its piece, and its offset there.
    place: (usize, u64),
}

impl Backward {
    pub(crate) fn new(pieces: Vec<Piece>, json: bool) -> Backward {
        let low = pieces.last().map_or(0, |piece| piece.range.end);
        let place = (pieces.len(), 0);
        Backward { pieces, json, buffer: Vec::new(), low, last_frame: LastFrame::default(), record: 0..0, place }
    }

    /// The record that [`Backward::advance`] has found.
    pub(crate) fn record(&self) -> &[u8] {
        &self.buffer[self.record.clone()]
    }

    /// Number of its piece, and its offset there.
    pub(crate) fn place(&self) -> (usize, u64) {
        self.place
    }

    /// Goes on to the record before; false at the beginning.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        let mut length = self.record.start;
        loop {
            let Some(piece) = self.pieces.last() else { return Ok(false) };
            let begins = self.low <= piece.range.start;
            if let Some(start) = start_of(&self.buffer[..length], self.json, begins) {
                self.record = start..length;
                self.place = (self.pieces.len() - 1, self.low + start as u64);
                return Ok(true);
            }
            if begins {
                self.pieces.pop();
                self.buffer.clear();
                length = 0;
                self.low = self.pieces.last().map_or(0, |piece| piece.range.end);
                continue;
            }
            // As much again as is there, so that a long record is not copied too often.
            let more = (self.low - piece.range.start).min(BUFFER.max(length) as u64) as usize;
            let mut buffer = vec![0; more + length];
            let read = piece.read_at(&mut buffer[..more], self.low - more as u64, &mut self.last_frame)?;
            if read < more {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it was cut while it was read"));
            }
            buffer[more..].copy_from_slice(&self.buffer[..length]);
            self.low -= more as u64;
            (self.buffer, length) = (buffer, length + more);
        }
    }
}

/// Where the last record begins; None if that is not read yet, or there is none.
fn start_of(bytes: &[u8], json: bool, begins: bool) -> Option<usize> {
    let mut end = bytes.len().checked_sub(1)?;
    while let Some(newline) = memrchr(b'\n', &bytes[..end]) {
        if json || time_end(&bytes[newline + 1..]).is_some() {
            return Some(newline + 1);
        }
        end = newline;
    }
    begins.then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::forward::Forward;
    use crate::show::piece::Bytes;

    /// Records with further lines, some long, and a beginning and an end that no flusher wrote.
    fn log(records: usize) -> Vec<u8> {
        let mut text = b"no head\n".to_vec();
        for n in 0..records {
            text.extend_from_slice(format!("2025-10-19 05:55:47.606 [1] [INFO] record {n}\n").as_bytes());
            text.extend_from_slice("  further\n\n".repeat(n % 3).as_bytes());
            text.extend_from_slice(&vec![b'x'; if n % 50 == 0 { 300 << 10 } else { 0 }]);
            text.extend_from_slice(if n % 50 == 0 { b"\n" } else { b"" });
        }
        text.extend_from_slice(b"2025-10-19 05:55:47.606 [1] [INFO] torn");
        text
    }

    fn forward(pieces: &[Piece], only: Option<&str>) -> Vec<Vec<u8>> {
        let only = only.map(|only| regex::bytes::Regex::new(only).expect("an expression"));
        let mut reader = Forward::new(pieces.to_vec(), false, only);
        std::iter::from_fn(|| reader.advance().expect("read").then(|| reader.record().to_vec())).collect()
    }

    #[test]
    fn both_ways_find_the_same_records_and_all_bytes() {
        let (first, second) = (log(100), log(333));
        let piece = |bytes: &[u8]| Piece::new(Bytes::Memory(bytes.to_vec()), 0..bytes.len() as u64);
        let pieces = [piece(&first), piece(&second), piece(b"")];
        let found = forward(&pieces, None);
        assert_eq!(found.len(), 102 + 335);
        assert_eq!(found.concat(), [first, second].concat());
        let mut reader = Backward::new(pieces.to_vec(), false);
        let mut back = Vec::new();
        while reader.advance().expect("read") {
            back.push(reader.record().to_vec());
        }
        back.reverse();
        assert_eq!(back, found);
    }

    #[test]
    fn a_search_finds_whole_records_wherever_the_expression_is_in_them() {
        let bytes = log(3000);
        let pieces = [Piece::new(Bytes::Memory(bytes.clone()), 0..bytes.len() as u64)];
        for only in ["record 77\n", "further", "x\n", "no head", "torn", "record 2999", "nothing like it"] {
            let expected: Vec<Vec<u8>> = forward(&pieces, None)
                .into_iter()
                .filter(|record| regex::bytes::Regex::new(only).expect("an expression").is_match(record))
                .collect();
            assert_eq!(forward(&pieces, Some(only)), expected, "{only}");
        }
    }
}
