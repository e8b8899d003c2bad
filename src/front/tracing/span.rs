//! The encoded form of a span in its records.

use crate::front::tracing::visitor::FieldVisitor;
use tracing_core::span::{Attributes, Record};

/// A span's name and fields, encoded as in [`lastwords_ring::format::record::Span`], kept in the span's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpanBytes(pub(super) Vec<u8>);

/// Values that were recorded for a span, encoded as its fields.
#[derive(Debug)]
pub(super) struct FieldBytes(Vec<u8>);

/// Length of a span's name.
type NameLength = u16;

impl SpanBytes {
    pub(super) fn new(attributes: &Attributes<'_>) -> SpanBytes {
        let name = attributes.metadata().name().as_bytes();
        let name = &name[..name.len().min(usize::from(NameLength::MAX))];
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&(name.len() as NameLength).to_le_bytes());
        bytes.extend_from_slice(name);
        attributes.record(&mut FieldVisitor::in_span(&mut bytes));
        SpanBytes(bytes)
    }

    pub(super) fn of_values(values: &Record<'_>) -> FieldBytes {
        let mut bytes = Vec::new();
        values.record(&mut FieldVisitor::in_span(&mut bytes));
        FieldBytes(bytes)
    }

    /// Adds values: each replaces an earlier one of its name, else is appended.
    pub(super) fn amend(&mut self, FieldBytes(fresh): &FieldBytes) {
        let mut rest = fresh.as_slice();
        while let Some(field) = split_field(&mut rest) {
            match self.place_of(name_in(field)) {
                Some(place) => _ = self.0.splice(place, field.iter().copied()),
                None => self.0.extend_from_slice(field),
            }
        }
    }

    /// The position of the field of this name.
    fn place_of(&self, name: &[u8]) -> Option<std::ops::Range<usize>> {
        let length = self.0.first_chunk().map_or(0, |length| usize::from(NameLength::from_le_bytes(*length)));
        let mut rest = self.0.get(size_of::<NameLength>() + length..)?;
        loop {
            let start = self.0.len() - rest.len();
            let field = split_field(&mut rest)?;
            if name_in(field) == name {
                return Some(start..start + field.len());
            }
        }
    }
}

/// The next field with its length before it.
fn split_field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    let (field, after) = rest.split_at_checked(4 + length)?;
    *rest = after;
    Some(field)
}

fn name_in(field: &[u8]) -> &[u8] {
    lastwords_ring::format::record::Field::decode(&field[4..]).map_or(&[], |field| field.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastwords_ring::format::record::Span;
    use lastwords_ring::write::body::FieldWriter;

    #[test]
    fn a_value_takes_the_place_of_the_earlier_one_of_its_name() {
        let mut bytes = b"\x03\0req".to_vec();
        FieldWriter::in_span(&mut bytes).u64("a", 1);
        FieldWriter::in_span(&mut bytes).str("b", "two");
        let mut span = SpanBytes(bytes);
        let mut fresh = Vec::new();
        FieldWriter::in_span(&mut fresh).str("a", "a longer value");
        FieldWriter::in_span(&mut fresh).u64("c", 3);
        FieldWriter::in_span(&mut fresh).u64("c", 4);
        span.amend(&FieldBytes(fresh));
        let found = Span::decode(&span.0).expect("a span");
        let fields: Vec<_> = found.fields().map(|field| (field.name, field.value)).collect();
        assert_eq!(found.name, b"req");
        assert_eq!(fields, [(&b"a"[..], &b"a longer value"[..]), (b"b", b"two"), (b"c", &4u64.to_le_bytes())]);
    }
}
