//! A JSON line taken apart, with its members in their order, and the text that a text file would have for it.

use lastwords_flusher::render::escape::escape;
use lastwords_ring::write::arguments::Quoted;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::Write;

/// A JSON value whose objects keep their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    Text(String),
    /// Numbers, truth values and null, as they are written.
    Other(serde_json::Value),
}

impl Json {
    /// The line as a value; None if it is none.
    pub(crate) fn parse(line: &[u8]) -> Option<Json> {
        serde_json::from_slice(line).ok()
    }

    /// A member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        self.members().iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The members of an object.
    pub(crate) fn members(&self) -> &[(String, Json)] {
        if let Json::Object(members) = self { members } else { &[] }
    }

    /// A string.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }

    /// As people write it: strings without quotes.
    pub(crate) fn plain(&self) -> String {
        match self {
            Json::Text(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            Json::Other(value) => write!(f, "{value}"),
            Json::Array(values) => {
                f.write_str("[")?;
                for (n, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if n > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Json::Object(members) => {
                f.write_str("{")?;
                for (n, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}{}:{value}", if n > 0 { "," } else { "" }, serde_json::Value::from(name.as_str()))?;
                }
                f.write_str("}")
            }
        }
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Other(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other(serde_json::Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut found = Vec::new();
        while let Some(value) = values.next_element()? {
            found.push(value);
        }
        Ok(Json::Array(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut found = Vec::new();
        while let Some(member) = members.next_entry()? {
            found.push(member);
        }
        Ok(Json::Object(found))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

/// Appends what a text file would have behind the level, without the newline at its end.
pub(crate) fn message(out: &mut Vec<u8>, record: &Json) {
    let mut text = Vec::new();
    let spans: &[Json] = if let Some(Json::Array(spans)) = record.get("spans") { spans } else { &[] };
    for (n, span) in spans.iter().enumerate() {
        text.extend_from_slice(span.get("name").and_then(Json::text).unwrap_or_default().as_bytes());
        if let Some(fields) = span.get("fields").filter(|fields| !fields.members().is_empty()) {
            text.push(b'{');
            show_fields(&mut text, fields, false);
            text.push(b'}');
        }
        text.extend_from_slice(if n + 1 < spans.len() { b":" } else { b": " });
    }
    let said = record.get("message").and_then(Json::text).unwrap_or_default();
    let (first, further) = said.split_at(said.find('\n').unwrap_or(said.len()));
    text.extend_from_slice(first.as_bytes());
    if let Some(fields) = record.get("fields") {
        show_fields(&mut text, fields, !first.is_empty());
    }
    text.extend_from_slice(further.as_bytes());
    if let Some(exception) = record.get("exception").and_then(Json::text) {
        text.push(b'\n');
        text.extend_from_slice(exception.as_bytes());
    }
    if let Some(length) = record.get("cut_from") {
        let _ = write!(text, " [cut; the message had {length} bytes]");
    }
    escape(out, &text);
}

fn show_fields(text: &mut Vec<u8>, fields: &Json, mut space: bool) {
    for (name, value) in fields.members() {
        let _ = write!(text, "{}{}=", if space { " " } else { "" }, Quoted(format_args!("{name}")));
        let _ = match value {
            Json::Text(value) => write!(text, "{}", Quoted(format_args!("{value}"))),
            other => write!(text, "{other}"),
        };
        space = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_reads_as_the_text_line_of_its_record() {
        let line = br#"{"message":"slow answer\nTraceback","fields":{"rows":12,"b":"a b","a":1.5},
            "spans":[{"name":"request","fields":{"id":7}},{"name":"query"}],"exception":"ValueError"}"#;
        let mut out = Vec::new();
        message(&mut out, &Json::parse(line).expect("JSON"));
        let expected = "request{id=7}:query: slow answer rows=12 b=\"a b\" a=1.5\nTraceback\nValueError";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
