//! A record as a reader sees it, and what its bytes mean.

use crate::format::layout::encoding;
use crate::format::level::Level;
use crate::format::level::LEVEL_NAME_MAX;

/// What may follow a message's text. Each extra carries its length, so unknown kinds are skipped.
pub mod extra_kind {
    /// Target of a record without call site.
    pub const TARGET: u8 = 1;
    /// Source file of a record without call site.
    pub const FILE: u8 = 2;
    /// Line in that file, 4 bytes.
    pub const LINE: u8 = 3;
    /// The message was truncated; its original length, 8 bytes.
    pub const CUT: u8 = 4;
    /// A field, see [`super::Field`].
    pub const FIELD: u8 = 5;
    /// A span that contains the record, the outermost first, see [`super::Span`].
    pub const SPAN: u8 = 6;
    /// Origin of a record that was relayed, from another process or an earlier time, see [`super::Relayed`].
    pub const RELAYED: u8 = 7;
    /// Where in the text the exception begins, in 4 bytes: after the message and a newline.
    pub const EXCEPTION: u8 = 8;
}


/// A field that its front end named: a tag (see [`crate::format::placeholder::value_tag`]), the name's length in two bytes, the
/// name, and the value to the end: text and bytes as they are, everything else as in a list of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Type of the value.
    pub tag: &'a u8,
    /// Name.
    pub name: &'a [u8],
    /// Value.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// The field in these bytes; None if they are not a field.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Field<'a>> {
        let (tag, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (name, value) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        Some(Field { tag, name, value })
    }
}

/// Time and origin of a record that was relayed before it came to its ring: calendar time in nanoseconds since 1970 (8 bytes),
/// pid (4), and the level's name there, empty if none was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Relayed<'a> {
    /// Calendar time, nanoseconds since 1970.
    pub realtime_ns: u64,
    /// The process that made it.
    pub pid: u32,
    /// Its level's name there.
    pub level_name: Option<&'a str>,
}

impl<'a> Relayed<'a> {
    /// For a record that was made at this time, by the process with this pid.
    #[must_use]
    pub fn new(realtime_ns: u64, pid: u32, level_name: Option<&'a str>) -> Relayed<'a> {
        Relayed { realtime_ns, pid, level_name }
    }

    /// Decodes these bytes; None if they are too few. A name that is not UTF-8, or too long, is ignored.
    #[doc(hidden)]
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Relayed<'a>> {
        let (ns, rest) = bytes.split_first_chunk::<8>()?;
        let (pid, name) = rest.split_first_chunk::<4>()?;
        let level_name = std::str::from_utf8(name).ok().filter(|name| (1..=LEVEL_NAME_MAX).contains(&name.len()));
        Some(Relayed { realtime_ns: u64::from_le_bytes(*ns), pid: u32::from_le_bytes(*pid), level_name })
    }

    /// Its bytes.
    #[doc(hidden)]
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let name = self.level_name.unwrap_or_default();
        [&self.realtime_ns.to_le_bytes()[..], &self.pid.to_le_bytes(), name.as_bytes()].concat()
    }
}

/// A span: its name's length in two bytes, the name, then its fields, each with its length in four bytes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<'a> {
    /// Name.
    pub name: &'a [u8],
    fields: &'a [u8],
}

impl<'a> Span<'a> {
    /// The span in these bytes; None if they are not a span.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Span<'a>> {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (name, fields) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        Some(Span { name, fields })
    }

    /// Its fields, up to the first invalid one.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let mut rest = self.fields;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (bytes, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = after;
            Field::decode(bytes)
        })
    }
}

/// A body's text, and the extras after it.
#[inline]
pub fn split_extras(body: &[u8], encoding: u8) -> (&[u8], &[u8]) {
    if encoding & encoding::EXTRAS == 0 {
        return (body, &[]);
    }
    let split = body.split_last_chunk::<4>().and_then(|(before, length)| {
        let text = before.len().checked_sub(u32::from_le_bytes(*length) as usize)?;
        Some(before.split_at(text))
    });
    split.unwrap_or((body, &[]))
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
    /// The text, and the extras after it. If the length of the extras is impossible, all is text, so nothing is hidden.
    #[inline]
    #[must_use]
    pub fn split(&self) -> (&'a [u8], &'a [u8]) {
        split_extras(self.body, self.encoding)
    }

    /// Whether [`Record::text`] is not text but values for the format string of the call site.
    #[inline]
    #[must_use]
    pub fn has_values(&self) -> bool {
        self.encoding & !encoding::EXTRAS == encoding::VALUES || self.is_untagged()
    }

    /// Whether these values have the types that the call site's entry states, and no tags of their own.
    #[inline]
    #[must_use]
    pub fn is_untagged(&self) -> bool {
        self.encoding & !encoding::EXTRAS == encoding::UNTAGGED
    }

    /// Time and origin, if it was relayed.
    #[inline]
    #[must_use]
    pub fn relayed(&self) -> Option<Relayed<'a>> {
        if self.encoding & encoding::EXTRAS == 0 {
            return None;
        }
        self.extra(extra_kind::RELAYED).and_then(Relayed::decode)
    }

    /// The message, and the exception that follows it in the text.
    #[must_use]
    pub fn message_and_exception(&self) -> (&'a [u8], &'a [u8]) {
        let text = self.text();
        let begins = self.extra(extra_kind::EXCEPTION).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        let apart = begins.and_then(|at| {
            let (before, exception) = text.split_at_checked(at as usize)?;
            Some((before.strip_suffix(b"\n")?, exception))
        });
        apart.unwrap_or((text, &[]))
    }

    /// The message's bytes, without extras.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.split().0
    }

    /// All extras, kind and bytes, up to the first incomplete one.
    pub fn extras(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut rest = self.split().1;
        std::iter::from_fn(move || {
            let (kind, after) = rest.split_first()?;
            let (length, after) = after.split_first_chunk::<4>()?;
            let (bytes, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = after;
            Some((*kind, bytes))
        })
    }

    /// The first extra of this kind.
    #[must_use]
    pub fn extra(&self, kind: u8) -> Option<&'a [u8]> {
        self.extras().find(|(found, _)| *found == kind).map(|(_, bytes)| bytes)
    }

    /// The fields that its front end named. Fields of the macros are named by the call site, and are values of the body.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        self.extras().filter(|(kind, _)| *kind == extra_kind::FIELD).filter_map(|(_, bytes)| Field::decode(bytes))
    }

    /// The spans that contain it, the outermost first.
    pub fn spans(&self) -> impl Iterator<Item = Span<'a>> + use<'a> {
        self.extras().filter(|(kind, _)| *kind == extra_kind::SPAN).filter_map(|(_, bytes)| Span::decode(bytes))
    }

    /// Original length of the message, if it was truncated.
    #[must_use]
    pub fn cut_from(&self) -> Option<u64> {
        self.extra(extra_kind::CUT).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::body::{BodyWriter, FieldWriter};

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
    fn fields_and_spans_come_back_in_their_order() {
        let mut span = vec![3, 0];
        span.extend_from_slice(b"req");
        FieldWriter::in_span(&mut span).u64("id", 7);
        FieldWriter::in_span(&mut span).str("path", "/x");
        let mut body = b"hello".to_vec();
        let encoding = BodyWriter::after_text(&mut body)
            .extra(extra_kind::SPAN, &span)
            .field("user", 2, b"ada")
            .field("", 4, &1u64.to_le_bytes())
            .finish();
        let record = record(&body, encoding);
        assert_eq!(record.text(), b"hello");
        let names: Vec<_> = record.fields().map(|field| (*field.tag, field.name, field.value.len())).collect();
        assert_eq!(names, [(2, &b"user"[..], 3), (4, &b""[..], 8)]);
        let found = record.spans().next().expect("a span");
        let names: Vec<_> = found.fields().map(|field| field.name).collect();
        assert_eq!((found.name, names), (&b"req"[..], vec![&b"id"[..], b"path"]));
        for cut in 0..span.len() {
            let fields = Span::decode(&span[..cut]).map_or(0, |span| span.fields().count());
            assert!(fields < 2, "cut to {cut}");
        }
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
