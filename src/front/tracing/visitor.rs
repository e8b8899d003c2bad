//! Encodes the values of an event or a span, each by its type.

use lastwords_ring::format::placeholder::value_tag;
use lastwords_ring::format::record::extra_kind;
use lastwords_ring::write::arguments::append_text;
use lastwords_ring::write::body::BodyWriter;
use lastwords_ring::write::body::FieldWriter;
use std::error::Error;
use std::fmt;
use tracing_core::Event;
use tracing_core::field::{Field, Visit};

/// Encodes values in one pass, in any order.
#[derive(Debug)]
pub(super) struct FieldVisitor<'a> {
    out: &'a mut Vec<u8>,
    of: Of,
}

/// The source of the values.
#[derive(Debug)]
enum Of {
    /// A span: all are fields.
    Span,
    /// An event: one of them is its message, which ends here.
    Event { text: usize },
    /// An event that `tracing_log` forwarded from a record: some fields are its origin.
    Forwarded { text: usize },
}

/// The role of a value.
enum Part<'a> {
    Message,
    /// An extra of this kind.
    Place(u8),
    /// Already known from the file.
    Nothing,
    Field(&'a str),
}

impl<'a> FieldVisitor<'a> {
    pub(super) fn in_span(out: &'a mut Vec<u8>) -> Self {
        FieldVisitor { out, of: Of::Span }
    }

    /// Appends the event's message, then its fields as extras. Returns where the message ends.
    pub(super) fn visit_event(out: &'a mut Vec<u8>, event: &Event<'_>, forwarded: bool) -> usize {
        let text = out.len();
        let of = if forwarded { Of::Forwarded { text } } else { Of::Event { text } };
        let mut visitor = FieldVisitor { out, of };
        event.record(&mut visitor);
        match visitor.of {
            Of::Event { text } | Of::Forwarded { text } => text,
            Of::Span => 0,
        }
    }

    fn part(&self, field: &Field) -> Part<'static> {
        match (&self.of, field.name()) {
            (Of::Event { .. } | Of::Forwarded { .. }, "message") => Part::Message,
            (Of::Forwarded { .. }, "log.target") => Part::Place(extra_kind::TARGET),
            (Of::Forwarded { .. }, "log.file") => Part::Place(extra_kind::FILE),
            (Of::Forwarded { .. }, "log.line") => Part::Place(extra_kind::LINE),
            (Of::Forwarded { .. }, "log.module_path") => Part::Nothing,
            (_, name) => Part::Field(plain(name)),
        }
    }

    fn fields(&mut self) -> FieldWriter<'_> {
        match self.of {
            Of::Span => FieldWriter::in_span(self.out),
            Of::Event { .. } | Of::Forwarded { .. } => FieldWriter::in_record(self.out),
        }
    }

    /// If fields came first, the message is moved before them.
    fn message(&mut self, message: fmt::Arguments<'_>) {
        let start = self.out.len();
        append_text(self.out, message);
        let length = self.out.len() - start;
        if let Of::Event { text } | Of::Forwarded { text } = &mut self.of {
            self.out[*text..].rotate_right(length);
            *text += length;
        }
    }

    fn place(&mut self, kind: u8, bytes: &[u8]) {
        BodyWriter::after_text(self.out).extra(kind, bytes);
    }

    fn formatted(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        match self.part(field) {
            Part::Message => self.message(value),
            Part::Field(name) => self.fields().formatted(name, value),
            Part::Place(_) | Part::Nothing => {}
        }
    }
}

/// A field's name without the mark of a raw identifier.
fn plain(name: &'static str) -> &'static str {
    name.strip_prefix("r#").unwrap_or(name)
}

macro_rules! typed {
    ($($record:ident, $kind:ident, $type:ty;)*) => {$(
        fn $record(&mut self, field: &Field, value: $type) {
            self.fields().$kind(plain(field.name()), value);
        }
    )*};
}

impl Visit for FieldVisitor<'_> {
    typed! {
        record_bool, bool, bool;
        record_i64, i64, i64;
        record_i128, i128, i128;
        record_u128, u128, u128;
        record_f64, f64, f64;
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match self.part(field) {
            Part::Place(kind) => self.place(kind, &(value as u32).to_le_bytes()),
            _ => self.fields().u64(plain(field.name()), value),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match self.part(field) {
            Part::Message => self.message(format_args!("{value}")),
            Part::Place(kind) => self.place(kind, value.as_bytes()),
            Part::Field(name) => self.fields().str(name, value),
            Part::Nothing => {}
        }
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.fields().bytes(plain(field.name()), value_tag::BYTES, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.formatted(field, format_args!("{}", Chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.formatted(field, format_args!("{value:?}"));
    }
}

/// An error and its sources.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
