//! A call site prepared for its records: the format string split at its placeholders, once.

use crate::render::digits::append;
use crate::render::escape::is_plain;
use crate::render::value::{Value, ValueReader};
use lastwords_ring::format::call_site::CallSite;
use lastwords_ring::format::placeholder::Placeholder;
use lastwords_ring::format::record::Record;
use lastwords_ring::write::arguments::{Quoted, is_bare};

/// A call site whose records can be shown.
#[derive(Debug)]
pub struct Template {
    site: CallSite,
    pieces: Vec<Piece>,
    /// What follows the last placeholder.
    tail: Vec<u8>,
    /// Values of a record.
    values: usize,
    /// Nothing in the format string and the fields' names needs to be escaped.
    plain: bool,
}

/// A placeholder and the text before it.
#[derive(Debug)]
struct Piece {
    text: Vec<u8>,
    placeholder: Placeholder,
    bare: bool,
}

impl Template {
    /// Splits the format string; None if the placeholders do not fit it, which never happens for a call site of ours.
    #[must_use]
    pub fn new(site: CallSite) -> Option<Template> {
        let format = &*site.format;
        let (mut pieces, mut from) = (Vec::with_capacity(site.placeholders.len()), 0);
        for placeholder in &site.placeholders {
            let (start, end) = (usize::from(placeholder.start), usize::from(placeholder.end));
            let text = format.get(from..start).filter(|_| end > start && end <= format.len())?;
            let bare = placeholder.is_bare();
            pieces.push(Piece { text: unescape(text), placeholder: *placeholder, bare });
            from = end;
        }
        let tail = unescape(format.get(from..)?);
        let values = site.placeholders.iter().map(Placeholder::values).sum::<usize>() + site.fields.len();
        let plain = is_plain(format.as_bytes()) && site.fields.iter().all(|name| is_plain(name.as_bytes()));
        Some(Template { pieces, tail, values, plain, site })
    }

    /// The call site.
    #[must_use]
    pub fn site(&self) -> &CallSite {
        &self.site
    }

    /// Appends the message of a record of values, and its fields as ` key=value` each, and returns whether nothing in it needs
    /// to be escaped. None if the values do not fit; `out` may hold a part then.
    #[inline]
    pub fn show(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Option<bool> {
        let mut values = self.values_of(record)?;
        let mut plain = self.show_message(&mut values, out)?;
        for name in &self.site.fields {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            plain &= show_field(&values.next()?, out)?;
        }
        Some(plain)
    }

    /// Like [`Template::show`], with the message alone: its fields are returned, by their names.
    pub fn show_apart<'a>(
        &'a self,
        record: &Record<'a>,
        out: &mut Vec<u8>,
    ) -> Option<impl Iterator<Item = (&'a [u8], Value<'a>)> + use<'a>> {
        let mut values = self.values_of(record)?;
        self.show_message(&mut values, out)?;
        let names = self.site.fields.iter().map(|name| name.as_bytes());
        let fields: Vec<_> = names.map(|name| Some((name, values.next()?))).collect::<Option<_>>()?;
        Some(fields.into_iter())
    }

    #[inline]
    fn values_of<'a>(&'a self, record: &Record<'a>) -> Option<ValueReader<'a>> {
        if record.is_untagged() {
            return (self.site.types.len() == self.values)
                .then(|| ValueReader::untagged(&self.site.types, record.text()));
        }
        ValueReader::tagged(record.text(), self.values)
    }

    #[inline]
    fn show_message(&self, values: &mut ValueReader<'_>, out: &mut Vec<u8>) -> Option<bool> {
        let mut plain = self.plain;
        for Piece { text, placeholder, bare } in &self.pieces {
            append(out, text);
            plain &= values.show(placeholder, *bare, out)?;
        }
        append(out, &self.tail);
        Some(plain)
    }
}

/// Appends a field's value, quoted where it could not be distinguished from what is around it, and returns whether nothing in
/// it needs to be escaped.
pub(crate) fn show_field(value: &Value<'_>, out: &mut Vec<u8>) -> Option<bool> {
    match value {
        Value::Str(text) | Value::Formatted(text) | Value::Json(text) if !is_bare(text) => {
            let quoted = Quoted(format_args!("{}", String::from_utf8_lossy(text))).to_string();
            out.extend_from_slice(quoted.as_bytes());
            Some(is_plain(quoted.as_bytes()))
        }
        value => value.show_plainly(out),
    }
}

/// `{{` and `}}` as they are meant.
fn unescape(text: &str) -> Vec<u8> {
    text.replace("{{", "{").replace("}}", "}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lastwords_ring::format::layout::encoding;
    use lastwords_ring::format::level::Level;
    use lastwords_ring::format::placeholder::COUNT_NONE;

    fn site(format: &str, placeholders: Vec<Placeholder>) -> CallSite {
        let text = |text: &str| text.into();
        let (target, module, file, format) = (text(""), text(""), text(""), text(format));
        CallSite {
            level: 20,
            line: 1,
            target,
            module,
            file,
            format,
            placeholders,
            types: vec![0x0b; 2],
            fields: vec!["id".into()],
        }
    }

    fn record(encoding: u8, body: &[u8]) -> Record<'_> {
        let level = Level::INFO;
        Record { first: 1, last: 1, clock: 0, message: 1, thread: 0, call_site: 1, level, encoding, body }
    }

    fn plain(start: u16, end: u16) -> Placeholder {
        Placeholder::new(start, end, 0, ' ', 0, 0, COUNT_NONE, COUNT_NONE)
    }

    #[test]
    fn text_around_values_and_fields_is_put_together() {
        let template = Template::new(site("{{a}} {x}!", vec![plain(6, 9)])).expect("fits");
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        for (encoding, body) in [(encoding::VALUES, words(&[0x0b0b, 7, 9])), (encoding::UNTAGGED, words(&[7, 9]))] {
            let mut out = Vec::new();
            template.show(&record(encoding, &body), &mut out).expect("fits");
            assert_eq!(out, b"{a} 7! id=9");
            for end in 0..body.len() {
                assert_eq!(template.show(&record(encoding, &body[..end]), &mut Vec::new()), None, "truncated to {end}");
            }
        }
    }

    #[test]
    fn untagged_values_are_refused_where_the_entry_states_other_types_than_its_format_takes() {
        for types in [vec![], vec![0x0b], vec![0x0b; 3]] {
            let site = CallSite { types, ..site("{}", vec![plain(0, 2)]) };
            let template = Template::new(site).expect("fits");
            assert_eq!(template.show(&record(encoding::UNTAGGED, &[7; 24]), &mut Vec::new()), None);
        }
    }

    #[test]
    fn placeholders_that_do_not_fit_their_format_are_refused() {
        for places in [vec![plain(0, 20)], vec![plain(3, 3)], vec![plain(4, 6), plain(0, 2)], vec![plain(1, 2)]] {
            assert!(Template::new(site("é{}", places.clone())).is_none(), "{places:?}");
        }
    }
}
