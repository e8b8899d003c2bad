//! A record as a reader sees it, and what its bytes mean.

use crate::layout::encoding;
use crate::level::Level;

/// What may follow a message's text. Each extra carries its length, so unknown kinds are skipped.
pub mod extra_kind {
    /// Target of a record without call site.
    pub const TARGET: u8 = 1;
    /// Source file of a record without call site.
    pub const FILE: u8 = 2;
    /// Line in that file, 4 bytes.
    pub const LINE: u8 = 3;
    /// The message was cut; its length before, 8 bytes.
    pub const CUT: u8 = 4;
}

/// Builds a message's bytes: text, then extras.
#[derive(Debug)]
pub struct BodyWriter<'a> {
    body: &'a mut Vec<u8>,
    text: usize,
}

impl<'a> BodyWriter<'a> {
    /// Goes on after the text that `body` holds.
    pub fn after_text(body: &'a mut Vec<u8>) -> Self {
        let text = body.len();
        BodyWriter { body, text }
    }

    /// Adds an extra.
    pub fn extra(&mut self, kind: u8, bytes: &[u8]) -> &mut Self {
        self.body.push(kind);
        self.body.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.body.extend_from_slice(bytes);
        self
    }

    /// Ends the body and returns its encoding.
    pub fn finish(&mut self) -> u8 {
        let extras = self.body.len() - self.text;
        if extras == 0 {
            return encoding::TEXT;
        }
        self.body.extend_from_slice(&(extras as u32).to_le_bytes());
        encoding::TEXT | encoding::EXTRAS
    }
}

/// A whole record, its bytes borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// First sequence in its lane.
    pub first: u64,
    /// Last sequence, which is `first` for a record of one slot.
    pub last: u64,
    /// Raw clock.
    pub clock: u64,
    /// Number of the message in its lane, from 1.
    pub message: u64,
    /// Thread id.
    pub thread: u32,
    /// Call site's id, or 0.
    pub call_site: u32,
    /// Severity.
    pub level: Level,
    /// How `body` is encoded.
    pub encoding: u8,
    /// Text and extras.
    pub body: &'a [u8],
}

impl<'a> Record<'a> {
    /// The text, and the extras after it. Extras whose length cannot be are taken for text, so nothing is hidden.
    #[inline]
    #[must_use]
    pub fn split(&self) -> (&'a [u8], &'a [u8]) {
        if self.encoding & encoding::EXTRAS == 0 {
            return (self.body, &[]);
        }
        let split = self.body.split_last_chunk::<4>().and_then(|(before, length)| {
            let text = before.len().checked_sub(u32::from_le_bytes(*length) as usize)?;
            Some(before.split_at(text))
        });
        split.unwrap_or((self.body, &[]))
    }

    /// Whether [`Record::text`] is not text but values for the format string of the call site.
    #[inline]
    #[must_use]
    pub fn has_values(&self) -> bool {
        self.encoding & !encoding::EXTRAS == encoding::VALUES
    }

    /// The message's bytes, without extras.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.split().0
    }

    /// The first extra of this kind.
    #[must_use]
    pub fn extra(&self, kind: u8) -> Option<&'a [u8]> {
        let mut rest = self.split().1;
        while let Some((found, after)) = rest.split_first() {
            let (length, after) = after.split_first_chunk::<4>()?;
            let (bytes, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            if *found == kind {
                return Some(bytes);
            }
            rest = after;
        }
        None
    }

    /// Length of the message before it was cut, if it was.
    #[must_use]
    pub fn cut_from(&self) -> Option<u64> {
        self.extra(extra_kind::CUT).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(body: &[u8], encoding: u8) -> Record<'_> {
        Record { first: 1, last: 1, clock: 0, message: 1, thread: 0, call_site: 0, level: Level::INFO, encoding, body }
    }

    #[test]
    fn extras_come_back_and_unknown_kinds_are_skipped() {
        let mut body = b"hello".to_vec();
        let encoding = BodyWriter::after_text(&mut body)
            .extra(200, b"from a later version")
            .extra(extra_kind::TARGET, b"app::core")
            .extra(extra_kind::CUT, &77u64.to_le_bytes())
            .finish();
        let record = record(&body, encoding);
        assert_eq!(record.text(), b"hello");
        assert_eq!(record.extra(extra_kind::TARGET), Some(&b"app::core"[..]));
        assert_eq!(record.cut_from(), Some(77));
        assert_eq!(record.extra(extra_kind::FILE), None);
    }

    #[test]
    fn a_length_that_cannot_be_leaves_all_bytes_as_text() {
        for body in [&b"abc\xff\xff\xff\xff"[..], b"ab", b""] {
            let record = record(body, encoding::EXTRAS);
            assert_eq!(record.text(), body);
            assert_eq!(record.extra(1), None);
        }
    }
}
