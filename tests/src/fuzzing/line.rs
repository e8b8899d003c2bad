//! A record's body and the call site that it names, both of any bytes, shown as a line of text and of JSON.
//!
//! ```text
//! 0   length of the call site's payload (2 bytes)
//! 2   the payload, see `ring/src/format/call_site.rs`
//! …   the body, see `ring/src/write/arguments.rs`
//! ```

use super::{number, take};
use lastwords::Level;
use lastwords_flusher::render::escape::starts_like_a_record;
use lastwords_flusher::render::json::{JsonLines, Origin};
use lastwords_flusher::render::line::{self, RENDERED_MAX};
use lastwords_flusher::render::message::Template;
use lastwords_flusher::render::timestamp::Stamp;
use lastwords_ring::format::call_site::CallSite;
use lastwords_ring::format::layout::encoding;
use lastwords_ring::format::level::LEVEL_NAME_MAX;
use lastwords_ring::format::record::Record;
use lastwords_ring::place::zone::Zone;

/// Room for the head of a record's text, and for the mark that it was truncated.
const AROUND: usize = 256;

/// Shows the record that `input` describes.
pub fn run(mut input: &[u8]) {
    let length = number(&mut input);
    let site = CallSite::decode(take(&mut input, length)).and_then(Template::new);
    for encoding in [encoding::VALUES, encoding::UNTAGGED, encoding::TEXT]
        .into_iter()
        .flat_map(|kind| [kind, kind | encoding::EXTRAS])
    {
        let (level, body) = (Level::new(length as u16), input);
        let record = Record { first: 1, last: 1, clock: 0, message: 1, thread: 0, call_site: 1, level, encoding, body };
        let name = std::str::from_utf8(&body[..body.len().min(LEVEL_NAME_MAX)]).ok();
        show(&record, site.as_ref(), name, 1_760_853_347_606_000_000);
    }
}

/// Shows a record, and makes sure that the line drives no terminal and forges no other line.
pub fn show(record: &Record<'_>, site: Option<&Template>, level_name: Option<&str>, ns: u64) {
    let mut line = Vec::new();
    line::head_of(&mut line, &mut Stamp::new(Zone::utc()), record, ns, 4157, level_name);
    let head = line.len();
    let stamp = std::str::from_utf8(&line).expect("what is no UTF-8 is escaped");
    assert!(stamp.find(char::is_control).is_none() && stamp.matches(']').count() == 2, "{stamp:?}");
    line::record(&mut line, record, site);
    assert!(line.len() <= RENDERED_MAX + AROUND, "{} bytes", line.len());
    let text = std::str::from_utf8(&line[head..]).expect("what is no UTF-8 is escaped");
    let text = text.strip_suffix('\n').expect("a line ends");
    let bad = text.chars().find(|character| character.is_control() && !matches!(character, '\n' | '\t'));
    assert_eq!(bad, None, "a control character in {text:?}");
    let mut further = text.split('\n').skip(1);
    assert!(further.all(|line| !starts_like_a_record(line.as_bytes())), "a forged line in {text:?}");
    show_json(record, site, level_name, ns);
}

/// Like `show`, for JSON: it is one object, whatever the record holds.
fn show_json(record: &Record<'_>, site: Option<&Template>, level_name: Option<&str>, ns: u64) {
    let mut line = Vec::new();
    let origin = Origin { realtime_ns: ns, role: "host", pid: 4157, lane: Some((&[0xff; 16], usize::MAX)) };
    JsonLines::new(Zone::utc()).record(&mut line, &origin, record, Some(b"\xff"), site, level_name);
    let text = std::str::from_utf8(&line).expect("JSON is UTF-8").strip_suffix('\n').expect("a line ends");
    assert_eq!(text.find(char::is_control), None, "a control character in {text:?}");
    let found: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
    assert!(found["message"].is_string() && found["level_number"] == record.level.number(), "{found}");
}
