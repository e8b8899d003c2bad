//! Fields of a front end on their way into a record, or into a span that contains the record.
//!
//! A field is typed if its front end gives the type, so that a reader can tell the number 7 from the text `7`. Everything else
//! is formatted, directly into its destination. See [`crate::format::record::Field`] for the bytes.

use crate::format::layout::encoding;
use crate::format::record::extra_kind;
use crate::format::placeholder::value_tag;
use crate::write::arguments::append_text;
use std::fmt;

/// Appends fields.
#[derive(Debug)]
pub struct FieldWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Bytes of a field's head that are omitted: within a span its kind, which is the same for all.
    left_out: usize,
}

impl<'a> FieldWriter<'a> {
    /// Continues after the text or the extras of a record.
    pub fn in_record(out: &'a mut Vec<u8>) -> Self {
        FieldWriter { out, left_out: 0 }
    }

    /// Continues after the name or the fields of a span.
    pub fn in_span(out: &'a mut Vec<u8>) -> Self {
        FieldWriter { out, left_out: 1 }
    }

    /// Adds a boolean.
    pub fn bool(&mut self, name: &str, value: bool) {
        self.bytes(name, value_tag::BOOL, &u64::from(value).to_le_bytes());
    }

    /// Adds a character.
    pub fn char(&mut self, name: &str, value: char) {
        self.bytes(name, value_tag::CHAR, &u64::from(value).to_le_bytes());
    }

    /// Adds a number.
    pub fn u64(&mut self, name: &str, value: u64) {
        self.bytes(name, value_tag::U64, &value.to_le_bytes());
    }

    /// Adds a number.
    pub fn i64(&mut self, name: &str, value: i64) {
        self.bytes(name, value_tag::I64, &value.to_le_bytes());
    }

    /// Adds a number.
    pub fn u128(&mut self, name: &str, value: u128) {
        self.bytes(name, value_tag::U128, &value.to_le_bytes());
    }

    /// Adds a number.
    pub fn i128(&mut self, name: &str, value: i128) {
        self.bytes(name, value_tag::I128, &value.to_le_bytes());
    }

    /// Adds a number.
    pub fn f64(&mut self, name: &str, value: f64) {
        self.bytes(name, value_tag::F64, &value.to_bits().to_le_bytes());
    }

    /// Adds text.
    pub fn str(&mut self, name: &str, value: &str) {
        self.bytes(name, value_tag::STR, value.as_bytes());
    }

    /// Adds a value that is already JSON.
    pub fn json(&mut self, name: &str, value: &str) {
        self.bytes(name, value_tag::JSON, value.as_bytes());
    }

    /// Adds a field of any type, its value encoded as in [`crate::format::record::Field`].
    pub fn bytes(&mut self, name: &str, tag: u8, value: &[u8]) {
        self.begin(name, tag, value.len());
        self.out.extend_from_slice(value);
    }

    /// Adds a field whose value is formatted now.
    pub fn formatted(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let start = self.out.len() + 1 - self.left_out;
        self.begin(name, value_tag::FORMATTED, 0);
        append_text(self.out, value);
        let length = (self.out.len() - start - 4) as u32;
        self.out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Everything of a field before its value: kind (1), length (4), tag (1), length of the name (2), name. The numbers are
    /// assembled in a register, because each append checks the buffer's end.
    fn begin(&mut self, name: &str, tag: u8, value_length: usize) {
        let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
        let length = (3 + name.len() + value_length) as u32;
        let (kind, name_length) = (u64::from(extra_kind::FIELD), name.len() as u64);
        let head = kind | u64::from(length) << 8 | u64::from(tag) << 40 | name_length << 48;
        self.out.reserve(8 + name.len() + value_length);
        self.out.extend_from_slice(&head.to_le_bytes()[self.left_out..]);
        self.out.extend_from_slice(name);
    }
}

/// Builds a message's bytes: text, then extras.
#[derive(Debug)]
pub struct BodyWriter<'a> {
    body: &'a mut Vec<u8>,
    text: usize,
}

impl<'a> BodyWriter<'a> {
    /// Continues after the text in `body`.
    pub fn after_text(body: &'a mut Vec<u8>) -> Self {
        let text = body.len();
        BodyWriter { body, text }
    }

    /// Continues after the extras in `body`, whose first `text` bytes are text.
    pub fn after(body: &'a mut Vec<u8>, text: usize) -> Self {
        BodyWriter { body, text }
    }

    /// Adds an extra.
    pub fn extra(&mut self, kind: u8, bytes: &[u8]) -> &mut Self {
        self.body.push(kind);
        self.body.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.body.extend_from_slice(bytes);
        self
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, tag: u8, value: &[u8]) -> &mut Self {
        self.fields().bytes(name, tag, value);
        self
    }

    /// The destination of a front end's fields.
    pub fn fields(&mut self) -> FieldWriter<'_> {
        FieldWriter::in_record(self.body)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::layout::encoding;
    use crate::format::level::Level;
    use crate::format::record::Record;

    #[test]
    fn fields_come_back_with_their_types_and_values() {
        let mut body = b"text".to_vec();
        let mut writer = BodyWriter::after_text(&mut body);
        let mut fields = writer.fields();
        fields.bool("yes", true);
        fields.char("letter", 'ß');
        fields.i64("below", -2);
        fields.u128("wide", 1 << 100);
        fields.formatted("shown", format_args!("{:?}", [1, 2]));
        fields.str("", "");
        let encoding = writer.finish();
        assert_eq!(encoding, encoding::TEXT | encoding::EXTRAS);
        let level = Level::INFO;
        let record =
            Record { first: 1, last: 1, clock: 0, message: 1, thread: 0, call_site: 0, level, encoding, body: &body };
        let found: Vec<_> = record.fields().map(|field| (field.name, *field.tag, field.value.to_vec())).collect();
        let expected = [
            (&b"yes"[..], value_tag::BOOL, 1u64.to_le_bytes().to_vec()),
            (b"letter", value_tag::CHAR, 0xdfu64.to_le_bytes().to_vec()),
            (b"below", value_tag::I64, (-2i64).to_le_bytes().to_vec()),
            (b"wide", value_tag::U128, (1u128 << 100).to_le_bytes().to_vec()),
            (b"shown", value_tag::FORMATTED, b"[1, 2]".to_vec()),
            (b"", value_tag::STR, Vec::new()),
        ];
        assert_eq!((record.text(), found), (&b"text"[..], expected.to_vec()));
    }
}
