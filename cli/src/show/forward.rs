//! The records of a log, the oldest first, read with one buffer that moves on.
//!
//! A record is its first line with all that follow up to the next record's. Where only records are wanted that match an
//! expression, whole buffers are searched at once, and lines are told apart only around what was found.

use super::piece::{LastFrame, Piece};
use lastwords_flusher::render::line::RENDERED_MAX;
use lastwords_flusher::render::line_time::{HEAD_SEEN, time_end};
use memchr::{memchr, memrchr};
use regex::bytes::Regex;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;
/// Records that are longer than any flusher makes are taken apart here: of text, and of JSON, where escapes are longer.
const RECORD_MAX: [usize; 2] = [RENDERED_MAX + (1 << 20), 6 * RENDERED_MAX + (1 << 20)];

#[derive(Debug)]
pub(crate) struct Forward {
    pieces: VecDeque<Piece>,
    /// Lines are records of their own.
    json: bool,
    only: Option<Regex>,
    buffer: Vec<u8>,
    filled: usize,
    /// Offset of the next byte to read in the first piece.
    next: u64,
    last_frame: LastFrame,
    record: Range<usize>,
}

impl Forward {
    pub(crate) fn new(pieces: Vec<Piece>, json: bool, only: Option<Regex>) -> Forward {
        let next = pieces.first().map_or(0, |piece| piece.range.start);
        Forward {
            pieces: pieces.into(),
            json,
            only,
            buffer: Vec::new(),
            filled: 0,
            next,
            last_frame: LastFrame::default(),
            record: 0..0,
        }
    }

    /// The record that [`Forward::advance`] has found.
    #[inline]
    pub(crate) fn record(&self) -> &[u8] {
        &self.buffer[self.record.clone()]
    }

    /// Whether it is in a file.
    pub(crate) fn is_in_file(&self) -> bool {
        self.pieces.front().is_some_and(|piece| !piece.is_memory())
    }

    /// Goes on to the next record; false at the end.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        let mut start = self.record.end;
        loop {
            let ended = self.pieces.front().is_none_or(|piece| self.next >= piece.range.end);
            if let Some(only) = &self.only {
                let end = if ended { self.filled } else { last_head(&self.buffer[start..self.filled]) + start };
                match only.find(&self.buffer[start..end]) {
                    Some(found) => start = record_start(&self.buffer[start..end], found.start()) + start,
                    None => start = end,
                }
            }
            if start < self.filled
                && let Some(end) = self.end_of(start, ended)
            {
                self.record = start..end;
                return Ok(true);
            }
            if !ended {
                start = self.fill(start)?;
            } else if self.pieces.pop_front().is_none() {
                self.record = self.filled..self.filled;
                return Ok(false);
            } else {
                (self.filled, start) = (0, 0);
                self.next = self.pieces.front().map_or(0, |piece| piece.range.start);
            }
        }
    }

    fn record_max(&self) -> usize {
        RECORD_MAX[usize::from(self.json)]
    }

    /// Where the record ends that begins here; None if that is not read yet.
    #[inline]
    fn end_of(&self, start: usize, ended: bool) -> Option<usize> {
        let bytes = &self.buffer[..self.filled];
        let mut at = start;
        while let Some(newline) = memchr(b'\n', &bytes[at..]) {
            at += newline + 1;
            if self.json {
                return Some(at);
            }
            if !ended && bytes.len() - at < HEAD_SEEN {
                return None;
            }
            if time_end(&bytes[at..]).is_some() {
                return Some(at);
            }
        }
        (ended || bytes.len() - start >= self.record_max()).then_some(bytes.len())
    }

    /// Reads on behind what begins at `start` and was read; returns where that is now.
    fn fill(&mut self, start: usize) -> io::Result<usize> {
        let most = self.record_max() + BUFFER;
        let Some(piece) = self.pieces.front_mut() else { return Ok(start) };
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        if self.buffer.len() < BUFFER {
            self.buffer.resize(BUFFER, 0);
        } else if self.filled * 2 > self.buffer.len() {
            let length = (self.buffer.len() * 2).min(most);
            self.buffer.reserve_exact(length - self.buffer.len());
            self.buffer.resize(length, 0);
        } else if self.buffer.len() > 4 * BUFFER && self.filled < BUFFER / 2 {
            self.buffer = [&self.buffer[..self.filled], &vec![0; BUFFER - self.filled]].concat();
        }
        let rest = (piece.range.end - self.next).min((self.buffer.len() - self.filled) as u64) as usize;
        let read = piece.read_at(&mut self.buffer[self.filled..self.filled + rest], self.next, &mut self.last_frame)?;
        if read == 0 {
            // It was cut: what was there is gone.
            piece.range.end = self.next;
        }
        self.next += read as u64;
        self.filled += read;
        Ok(0)
    }
}

/// Where the last record begins of which all is there that tells it from a further line.
fn last_head(bytes: &[u8]) -> usize {
    let mut end = bytes.len().saturating_sub(HEAD_SEEN);
    while let Some(newline) = memrchr(b'\n', &bytes[..end]) {
        if time_end(&bytes[newline + 1..]).is_some() {
            return newline + 1;
        }
        end = newline;
    }
    0
}

/// Where the record begins that has this byte.
fn record_start(bytes: &[u8], mut at: usize) -> usize {
    while let Some(newline) = memrchr(b'\n', &bytes[..at]) {
        if time_end(&bytes[newline + 1..]).is_some() {
            return newline + 1;
        }
        at = newline;
    }
    0
}
