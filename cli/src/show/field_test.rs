//! What the field of a record is to be.

use super::json_record::Json;
use std::str::FromStr;

/// What a field is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FieldTest {
    Is(String, String),
    IsNot(String, String),
    Has(String, String),
}

impl FromStr for FieldTest {
    type Err = String;

    fn from_str(text: &str) -> Result<FieldTest, String> {
        let wrong = || "expected key=value, key!=value or key~text".to_owned();
        let at = text.find(['=', '~']).ok_or_else(wrong)?;
        let (key, value) = (&text[..at], text[at + 1..].to_owned());
        let test = match (key.strip_suffix('!'), &text[at..=at]) {
            (Some(key), "=") => FieldTest::IsNot(key.to_owned(), value),
            (_, "=") => FieldTest::Is(key.to_owned(), value),
            _ => FieldTest::Has(key.to_owned(), value),
        };
        if key.trim_end_matches('!').is_empty() { Err(wrong()) } else { Ok(test) }
    }
}

impl FieldTest {
    /// Whether the record, or the innermost span with such a field, has it so.
    pub(crate) fn agrees(&self, record: &Json) -> bool {
        let of = |key: &str| {
            let own = record.get("fields").and_then(|fields| fields.get(key));
            let spans = if let Some(Json::Array(spans)) = record.get("spans") { spans.as_slice() } else { &[] };
            own.or_else(|| spans.iter().rev().find_map(|span| span.get("fields")?.get(key))).map(Json::plain)
        };
        match self {
            FieldTest::Is(key, value) => of(key).as_ref() == Some(value),
            FieldTest::IsNot(key, value) => of(key).as_ref() != Some(value),
            FieldTest::Has(key, text) => of(key).is_some_and(|value| value.contains(text.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_compared_as_text() {
        let record =
            Json::parse(br#"{"fields":{"status":500,"path":"/a/b"},"spans":[{"name":"r","fields":{"id":7}}]}"#);
        let record = record.expect("JSON");
        for (test, expected) in [
            ("status=500", true),
            ("status=50", false),
            ("status!=500", false),
            ("other!=1", true),
            ("path~a/", true),
            ("path~c", false),
            ("id=7", true),
            ("path=/a/b", true),
        ] {
            assert_eq!(test.parse::<FieldTest>().expect(test).agrees(&record), expected, "{test}");
        }
        assert!("=1".parse::<FieldTest>().is_err() && "x".parse::<FieldTest>().is_err());
    }
}
