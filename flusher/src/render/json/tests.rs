//! The JSON and the text of a record agree, and both with what was logged.

use super::*;
use crate::render::escape;
use crate::render::line;
use lastwords_ring::format::call_site::CallSite;
use lastwords_ring::format::layout::encoding;
use lastwords_ring::format::placeholder::{COUNT_NONE, Placeholder, value_tag};
use lastwords_ring::format::record::extra_kind;
use lastwords_ring::write::arguments::is_bare;
use lastwords_ring::write::body::BodyWriter;
use lastwords_ring::write::body::FieldWriter;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

const RING: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xff];
const ORIGIN: Origin<'_> =
    Origin { realtime_ns: 1_760_853_347_606_123_456, role: "host", pid: 4157, lane: Some((&RING, 3)) };

fn record(body: &[u8], encoding: u8) -> Record<'_> {
    Record { first: 1, last: 1, clock: 0, message: 1, thread: 4158, call_site: 1, level: Level::INFO, encoding, body }
}

fn line(record: &Record<'_>, site: Option<&Template>) -> String {
    let mut out = Vec::new();
    JsonLines::new(Zone::utc()).record(&mut out, &ORIGIN, record, Some(b"main"), site, None);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn site(format: &str, placeholders: Vec<Placeholder>, names: &[String]) -> Template {
    let fields = names.iter().map(|name| name.as_str().into()).collect();
    let (target, module, file) = ("app::core".into(), "app".into(), "src/x.rs".into());
    let site = CallSite {
        level: 20,
        line: 7,
        target,
        module,
        file,
        format: format.into(),
        placeholders,
        types: Vec::new(),
        fields,
    };
    Template::new(site).expect("fits")
}

#[test]
fn the_line_is_exactly_the_documented_one() {
    let mut outer = b"\x07\0request".to_vec();
    FieldWriter::in_span(&mut outer).u64("id", 7);
    let mut body = b"slow frame".to_vec();
    let encoding = BodyWriter::after_text(&mut body)
        .extra(extra_kind::SPAN, &outer)
        .extra(extra_kind::SPAN, b"\x05\0query")
        .field("camera", value_tag::I32, &3i64.to_le_bytes())
        .finish();
    let expected = concat!(
        r#"{"time":"2025-10-19T05:55:47.606123456+00:00","level":"INFO","level_number":20,"role":"host","pid":4157,"#,
        r#""id":"00010203040506070809aaabacadaeff-3-1","thread":4158,"thread_name":"main","target":"app::core","module":"app","file":"src/x.rs","line":7,"#,
        r#""message":"slow frame","fields":{"camera":3},"spans":[{"name":"request","fields":{"id":7}},{"name":"query"}]}"#,
        "\n"
    );
    assert_eq!(line(&record(&body, encoding), Some(&site("", Vec::new(), &[]))), expected);
}

#[test]
fn what_a_record_does_not_have_is_left_out() {
    let mut body = b"half\xff".to_vec();
    let encoding = BodyWriter::after_text(&mut body)
        .extra(extra_kind::TARGET, b"child")
        .extra(extra_kind::CUT, &9u64.to_le_bytes())
        .finish();
    let mut out = Vec::new();
    let record = Record { level: Level::new(35), ..record(&body, encoding) };
    JsonLines::new(Zone::utc()).record(&mut out, &ORIGIN, &record, None, None, None);
    let rest = r#""id":"00010203040506070809aaabacadaeff-3-1","thread":4158,"target":"child","message":"half\\xff","cut_from":9}"#;
    let head = r#"{"time":"2025-10-19T05:55:47.606123456+00:00","level":"Level 35","level_number":35,"role":"host","pid":4157,"#;
    assert_eq!(String::from_utf8(out).expect("UTF-8"), format!("{head}{rest}\n"));
}

#[test]
fn a_level_has_the_name_that_was_given_as_it_was_given() {
    let shown = |given: Option<&str>| {
        let mut out = Vec::new();
        JsonLines::new(Zone::utc()).record(&mut out, &ORIGIN, &record(b"x", 0), None, None, given);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        let found: Json = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(found["level_number"], 20);
        found["level"].as_str().expect("a string").to_owned()
    };
    assert_eq!(shown(None), "INFO");
    for name in ["NOTICE", "a \"quoted\" ] \\ one\n\u{202e}\u{1b}[31m"] {
        assert_eq!(shown(Some(name)), name);
    }
}

#[test]
fn values_that_nobody_can_read_are_told_as_in_the_text() {
    let record = record(&[value_tag::U64, 0, 0], encoding::VALUES);
    let mut text = Vec::new();
    for site in [None, Some(&site("{}", vec![plain()], &[]))] {
        line::record(&mut text, &record, site);
        let found: Json = serde_json::from_str(&line(&record, site)).expect("JSON");
        assert_eq!(format!("{}\n", found["message"].as_str().expect("a string")), String::from_utf8_lossy(&text));
        text.clear();
    }
}

#[test]
fn a_message_beyond_the_limit_is_cut_and_one_of_just_that_size_is_not() {
    for (length, cut) in [(RENDERED_MAX, None), (RENDERED_MAX + 1, Some(RENDERED_MAX + 1))] {
        let mut body = vec![b'"'; length - 2];
        body.extend_from_slice("é".as_bytes());
        let found: Json = serde_json::from_str(&line(&record(&body, 0), None)).expect("JSON");
        assert_eq!(found.get("cut_from").and_then(Json::as_u64), cut.map(|cut| cut as u64));
        let kept = if cut.is_some() { RENDERED_MAX - 1 } else { length };
        assert_eq!(found["message"].as_str().expect("a string").len(), kept);
    }
}

fn plain() -> Placeholder {
    Placeholder::new(0, 2, 0, ' ', 0, 0, COUNT_NONE, COUNT_NONE)
}

/// A value that was logged, and what is expected of it.
#[derive(Debug, Clone)]
struct Logged {
    tag: u8,
    /// As a front end's field has it.
    bytes: Vec<u8>,
    json: Json,
    text: String,
}

impl Logged {
    fn new(tag: u8, bytes: impl Into<Vec<u8>>, json: Json, text: impl ToString) -> Logged {
        Logged { tag, bytes: bytes.into(), json, text: text.to_string() }
    }

    fn text(text: &str) -> Logged {
        let shown = if is_bare(text.as_bytes()) { text.to_owned() } else { format!("{text:?}") };
        Logged::new(value_tag::STR, text, json!(text), shown)
    }

    fn bytes(bytes: Vec<u8>) -> Logged {
        let (json, text) = (json!(readable(&bytes)), format!("{bytes:?}"));
        Logged::new(value_tag::BYTES, bytes, json, text)
    }

    /// As a list of values has it.
    fn words(&self) -> Vec<u8> {
        let mut words = self.bytes.clone();
        if let value_tag::STR | value_tag::BYTES = self.tag {
            words.splice(0..0, (words.len() as u64).to_le_bytes());
        }
        words.resize(words.len().next_multiple_of(8), 0);
        words
    }

    /// What a reader of the JSON must find in place of `found`. Of two shortest numbers that are equally near a float of 32
    /// bits, serde_json and `std` do not always take the same.
    fn json(&self, found: &Json) -> Json {
        let is_it = |found: f64| Ok(found as f32) == self.text.parse::<f32>();
        let equal = self.tag == value_tag::F32 && found.as_f64().is_some_and(is_it);
        if equal { found.clone() } else { self.json.clone() }
    }
}

/// A number, or its digits where it has more than readers of JSON take.
fn number_or_digits(value: impl TryInto<u64> + TryInto<i64> + ToString + Copy) -> Json {
    let number =
        value.try_into().map(|value: u64| json!(value)).or_else(|_| value.try_into().map(|value: i64| json!(value)));
    number.unwrap_or_else(|_| json!(value.to_string()))
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![vec(any::<char>(), 0..24).prop_map(String::from_iter), "[ -~\n]{0,24}"]
}

/// What a call's fields may be; bytes are none, because they have no `{}`.
fn logged() -> impl Strategy<Value = Logged> {
    let float = |value: f64| if value.is_finite() { json!(value) } else { json!(value.to_string()) };
    prop_oneof![
        any::<u64>().prop_map(|value| Logged::new(value_tag::U64, value.to_le_bytes(), json!(value), value)),
        any::<i64>().prop_map(|value| Logged::new(value_tag::I64, value.to_le_bytes(), json!(value), value)),
        (any::<u128>(), 0..128u32)
            .prop_map(|(value, shift)| value >> shift)
            .prop_map(|value| { Logged::new(value_tag::U128, value.to_le_bytes(), number_or_digits(value), value) }),
        (any::<i128>(), 0..128u32)
            .prop_map(|(value, shift)| value >> shift)
            .prop_map(|value| { Logged::new(value_tag::I128, value.to_le_bytes(), number_or_digits(value), value) }),
        any::<bool>().prop_map(|value| Logged::new(
            value_tag::BOOL,
            u64::from(value).to_le_bytes(),
            json!(value),
            value
        )),
        any::<char>().prop_map(|value| {
            Logged::new(value_tag::CHAR, u64::from(value).to_le_bytes(), json!(value.to_string()), value)
        }),
        any::<u64>()
            .prop_map(f64::from_bits)
            .prop_map(move |value| { Logged::new(value_tag::F64, value.to_bits().to_le_bytes(), float(value), value) }),
        any::<u32>().prop_map(f32::from_bits).prop_map(|value| {
            Logged::new(value_tag::F32, u64::from(value.to_bits()).to_le_bytes(), json!(value.to_string()), value)
        }),
        any_text().prop_map(|value| Logged::text(&value)),
    ]
}

/// The expected JSON and text of a record with this message and these fields.
fn compare(record: &Record<'_>, site: Option<&Template>, message: &str, fields: &[(String, Logged)]) {
    let found: Json = serde_json::from_str(&line(record, site)).expect("JSON");
    assert_eq!(found["message"], message);
    let expected: Map<String, Json> =
        fields.iter().map(|(name, value)| (name.clone(), value.json(&found["fields"][name]))).collect();
    assert_eq!(found.get("fields"), (!fields.is_empty()).then_some(&Json::Object(expected)));
    // Fields of a front end come after the first line, those of a macro at the end.
    let first = if record.has_values() { message.len() } else { message.find('\n').unwrap_or(message.len()) };
    let mut text = message[..first].to_owned();
    for (name, value) in fields {
        // Nothing precedes the first field of a front end's record whose first line is empty.
        text += if text.is_empty() && !record.has_values() { "" } else { " " };
        text += &format!("{name}={}", value.text);
    }
    text += &message[first..];
    let (mut shown, mut escaped) = (Vec::new(), Vec::new());
    line::record(&mut shown, record, site);
    escape::escape(&mut escaped, text.as_bytes());
    assert_eq!(String::from_utf8_lossy(&shown), String::from_utf8_lossy(&escaped) + "\n");
}

proptest! {
    #[test]
    fn the_fields_of_a_front_end_are_in_both_as_they_were_logged(
        message in any_text(),
        values in vec(prop_oneof![9 => logged(), 1 => vec(any::<u8>(), 0..12).prop_map(Logged::bytes)], 0..6),
    ) {
        let fields: Vec<_> = values.into_iter().enumerate().map(|(n, value)| (format!("key{n}"), value)).collect();
        let mut body = message.clone().into_bytes();
        let mut writer = BodyWriter::after_text(&mut body);
        fields.iter().for_each(|(name, value)| _ = writer.field(name, value.tag, &value.bytes));
        let encoding = writer.finish();
        compare(&record(&body, encoding), None, &message, &fields);
    }

    #[test]
    fn the_values_of_a_call_are_in_both_as_they_were_logged(message in any_text(), values in vec(logged(), 0..6)) {
        let fields: Vec<_> = values.into_iter().enumerate().map(|(n, value)| (format!("http.key{n}"), value)).collect();
        let said = Logged::text(&message);
        let all = || std::iter::once(&said).chain(fields.iter().map(|(_, value)| value));
        let mut body: Vec<u8> = all().map(|value| value.tag).collect();
        body.resize(body.len().next_multiple_of(8), 0);
        all().for_each(|value| body.extend_from_slice(&value.words()));
        let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        compare(&record(&body, encoding::VALUES), Some(&site("{}", vec![plain()], &names)), &message, &fields);
    }
}
