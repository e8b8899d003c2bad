//! The lines that the demo logs. Process, thread and number determine a line's whole text, so the checker can compute
//! it anew and notice every byte that is wrong.

use std::fmt;
use std::sync::LazyLock;

/// Length of the text that padding is cut from.
const PADDING_TEXT: u64 = 4096;
/// Bytes that a line takes in its file besides the padding, at most: time, pid, level, words and numbers.
const BESIDES_PADDING: u64 = 96;

static PADDING: LazyLock<String> =
    LazyLock::new(|| (0..PADDING_TEXT).map(|n| char::from(b'a' + (mix(n) % 26) as u8)).collect());

/// A line of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// The process, from 0.
    pub(crate) process: u32,
    /// Its thread, from 0.
    pub(crate) thread: u32,
    /// Number of the thread's line, from 1.
    pub(crate) number: u64,
}

impl Line {
    /// Reads a line's identity. Whether the rest of it is right, only a comparison shows.
    pub(crate) fn parse(message: &str) -> Option<Line> {
        let (process, rest) = message.strip_prefix("demo process ")?.split_once(" thread ")?;
        let (thread, rest) = rest.split_once(" line ")?;
        let (number, _) = rest.split_once(' ')?;
        Some(Line { process: process.parse().ok()?, thread: thread.parse().ok()?, number: number.parse().ok()? })
    }

    /// Bytes that it takes in its file, at most.
    pub(crate) fn size_max(&self) -> u64 {
        BESIDES_PADDING + self.padding().len() as u64
    }

    /// Most lines fit one slot of 128 bytes, every fourth may take three, and every sixteenth eight.
    fn padding(&self) -> &'static str {
        let longest = match self.number % 16 {
            0 => 600,
            4 | 8 | 12 => 200,
            _ => 40,
        };
        let random = mix(u64::from(self.process) << 56 ^ u64::from(self.thread) << 48 ^ self.number);
        let length = random % (longest + 1);
        let start = (random >> 32) % (PADDING_TEXT - length);
        &PADDING[start as usize..(start + length) as usize]
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { process, thread, number } = self;
        write!(f, "demo process {process} thread {thread} line {number} {}", self.padding())
    }
}

/// SplitMix64's finisher: neighbouring numbers give unlike ones.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_it_is_and_any_changed_byte_shows() {
        for number in 1..200 {
            let line = Line { process: 3, thread: 1, number };
            let text = line.to_string();
            assert_eq!(Line::parse(&text), Some(line));
            assert!(text.len() as u64 <= line.size_max());
            for cut in 0..text.len() {
                let same = Line::parse(&text[..cut]).is_some_and(|found| found.to_string() == text[..cut]);
                assert!(!same, "{cut} bytes of {text:?} pass for a line");
            }
        }
    }

    #[test]
    fn other_texts_are_no_lines() {
        for text in ["", "demo process", "demo process 1 thread x line 1 ", "lastwords: 3 records lost"] {
            assert_eq!(Line::parse(text), None, "{text:?}");
        }
    }
}
