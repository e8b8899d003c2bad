//! A record of a front end whose fields and spans are in the record itself, as text.
//!
//! ```text
//! request{id=7}:query: slow answer rows=12 table=users
//! ```

use crate::render::message::show_field;
use crate::render::value::Value;
use lastwords_ring::format::record::{Field, Record, extra_kind};
use lastwords_ring::write::arguments::Quoted;
use std::io::Write;

/// Whether the record has fields or spans of its own.
pub(crate) fn has_any(record: &Record<'_>) -> bool {
    record.extras().any(|(kind, _)| matches!(kind, extra_kind::FIELD | extra_kind::SPAN))
}

/// Spans, message and fields, not yet escaped. Fields come after the message's first line: what follows it may be a traceback.
pub fn compose(record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(record.body.len() + 64);
    let mut spans = record.spans().peekable();
    while let Some(span) = spans.next() {
        out.extend_from_slice(span.name);
        let mut fields = span.fields().peekable();
        if fields.peek().is_some() {
            out.push(b'{');
            for (n, field) in fields.enumerate() {
                out.extend_from_slice(if n > 0 { b" " } else { b"" });
                show(&field, &mut out);
            }
            out.push(b'}');
        }
        out.extend_from_slice(if spans.peek().is_some() { b":" } else { b": " });
    }
    let start = out.len();
    let text = record.text();
    let (first, further) = text.split_at(text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len()));
    out.extend_from_slice(first);
    for field in record.fields() {
        // A record of fields alone has no text to separate them from.
        if out.len() > start {
            out.push(b' ');
        }
        show(&field, &mut out);
    }
    out.extend_from_slice(further);
    out
}

/// Appends `key=value`.
fn show(field: &Field<'_>, out: &mut Vec<u8>) {
    let _ = write!(out, "{}=", Quoted(format_args!("{}", String::from_utf8_lossy(field.name))));
    let start = out.len();
    if Value::of(field).and_then(|value| show_field(&value, out)).is_none() {
        out.truncate(start);
        let _ = write!(out, "{:?}", field.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastwords_ring::format::level::Level;
    use lastwords_ring::format::placeholder::value_tag;
    use lastwords_ring::write::body::BodyWriter;
    use lastwords_ring::write::body::FieldWriter;

    fn record(encoding: u8, body: &[u8]) -> Record<'_> {
        let level = Level::INFO;
        Record { first: 1, last: 1, clock: 0, message: 1, thread: 0, call_site: 0, level, encoding, body }
    }

    #[test]
    fn spans_stand_before_the_message_and_fields_after_it() {
        let mut outer = vec![7, 0];
        outer.extend_from_slice(b"request");
        FieldWriter::in_span(&mut outer).u64("id", 7);
        FieldWriter::in_span(&mut outer).str("path", "/a b");
        let mut body = b"slow".to_vec();
        let encoding = BodyWriter::after_text(&mut body)
            .extra(extra_kind::SPAN, &outer)
            .extra(extra_kind::SPAN, b"\x05\0query")
            .field("rows", value_tag::I32, &(-12i64).to_le_bytes())
            .field("a key", value_tag::F64, &1.5f64.to_bits().to_le_bytes())
            .field("raw", value_tag::BYTES, b"\x01\x02")
            .field("cut", value_tag::U64, b"\x01")
            .finish();
        let record = record(encoding, &body);
        assert!(has_any(&record));
        let text = String::from_utf8(compose(&record)).expect("text");
        let expected = r#"request{id=7 path="/a b"}:query: slow rows=-12 "a key"=1.5 raw=[1, 2] cut=[1]"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn fields_stand_behind_the_first_line() {
        let mut body = b"failed\nTraceback\nValueError".to_vec();
        let encoding = BodyWriter::after_text(&mut body).field("a", value_tag::BOOL, &1u64.to_le_bytes()).finish();
        let record = record(encoding, &body);
        assert_eq!(compose(&record), b"failed a=true\nTraceback\nValueError");
    }

    #[test]
    fn fields_without_a_message_start_the_line() {
        let mut body = Vec::new();
        let encoding = BodyWriter::after_text(&mut body).field("a", value_tag::BOOL, &1u64.to_le_bytes()).finish();
        let record = record(encoding, &body);
        assert_eq!(compose(&record), b"a=true");
    }
}
