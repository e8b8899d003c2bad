//! Strings of a JSON line.
//!
//! A JSON reader gets the characters that were logged. Those that would drive a terminal showing the file are written by their
//! numbers, as control characters are anyway. Bytes that are not UTF-8 cannot be in JSON; they are written as in the text,
//! `\xff`.

use crate::render::escape::{is_plain, is_risky};
use std::borrow::Cow;
use std::io::Write;

/// Appends `bytes` as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let (start, text) = (out.len(), readable(bytes));
    // A vector takes everything that is written to it.
    let _ = serde_json::to_writer(&mut *out, text.as_ref());
    if !is_plain(&out[start..]) {
        escape_risky(out, start);
    }
}

/// Appends what claims to be JSON: as it is where it is one value in one line, else as a string.
pub(crate) fn json(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    let value = std::str::from_utf8(bytes).ok().filter(|text| !text.contains(|c: char| c < ' '));
    if value.is_none_or(|text| serde_json::from_str::<serde_json::Value>(text).is_err()) {
        return string(out, bytes);
    }
    out.extend_from_slice(bytes);
    if !is_plain(bytes) {
        // Characters beyond ASCII are in strings alone.
        escape_risky(out, start);
    }
}

/// The text, with bytes that are not UTF-8 as `\xff`.
#[must_use]
pub fn readable(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text.into()
}

/// Writes the characters of the string from `start` on that drive a terminal by their numbers.
fn escape_risky(out: &mut Vec<u8>, start: usize) {
    let text = String::from_utf8_lossy(&out[start..]);
    if !text.contains(is_risky) {
        return;
    }
    let text = text.into_owned();
    out.truncate(start);
    for character in text.chars() {
        if is_risky(character) {
            let _ = write!(out, "\\u{:04x}", character as u32);
        } else {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_claims_to_be_json_is_checked() {
        let shown = |text: &str| {
            let mut out = Vec::new();
            json(&mut out, text.as_bytes());
            String::from_utf8(out).expect("UTF-8")
        };
        for value in ["null", "[1,{\"a\":null}]", "\"text\"", "-1.5e3", "{}", "12345678901234567890123"] {
            assert_eq!(shown(value), value);
        }
        assert_eq!(shown("{\"a\":\"\u{202e}b\u{7f}\"}"), "{\"a\":\"\\u202eb\\u007f\"}");
        for hostile in
            ["", "nul", "1}", "{\"a\":1},\"level\":\"x\"", "[1,\n2]", "NaN", "\u{202e}", "[1", "1 2", &"[".repeat(5000)]
        {
            let found: serde_json::Value = serde_json::from_str(&shown(hostile)).expect("a string");
            assert_eq!(found.as_str(), Some(hostile));
        }
    }

    fn written(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        string(&mut out, bytes);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn what_drives_a_terminal_stands_there_by_its_number() {
        assert_eq!(
            written("a\u{9b}b\u{202e}c\u{2028}d\u{7f}\u{1b}[31m".as_bytes()),
            r#""a\u009bb\u202ec\u2028d\u007f\u001b[31m""#
        );
        assert_eq!(written("größer 日本 🦀 \"x\"\n".as_bytes()), r#""größer 日本 🦀 \"x\"\n""#);
        assert_eq!(written(b"not \xff UTF-8 \xc3"), r#""not \\xff UTF-8 \\xc3""#);
    }

    proptest! {
        #[test]
        fn a_string_is_read_as_it_was_written(characters in proptest::collection::vec(any::<char>(), 0..40)) {
            let text = String::from_iter(characters);
            let json = written(text.as_bytes());
            prop_assert_eq!(&serde_json::from_str::<String>(&json).expect("JSON"), &text);
            prop_assert!(!json.contains(is_risky) && !json.contains(|c: char| c.is_control()), "{}", json);
        }

        #[test]
        fn any_bytes_make_a_string(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&written(&bytes)).expect("JSON"), readable(&bytes));
        }
    }
}
