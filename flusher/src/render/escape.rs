//! What could drive a terminal or forge a record is escaped.

use crate::render::line_time::time_end;

/// Appends `text` with everything escaped that could drive a terminal or forge a record.
#[inline]
pub fn escape(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        escape_slowly(out, text);
    }
}

/// Whether nothing in `text` needs to be escaped. Without an early exit, so that it is done many bytes at a time.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    text.iter().fold(true, |plain, byte| plain & (0x20..0x7f).contains(byte))
}

#[cold]
fn escape_slowly(out: &mut Vec<u8>, text: &[u8]) {
    for (n, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if n > 0 {
            out.push(b'\n');
            if starts_like_a_record(line) {
                out.push(b'\t');
            }
        }
        for chunk in line.utf8_chunks() {
            for character in chunk.valid().chars() {
                push(out, character);
            }
            for byte in chunk.invalid() {
                out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
            }
        }
    }
}

/// Appends a character, escaped where it is risky or a control.
pub(crate) fn push(out: &mut Vec<u8>, character: char) {
    match character {
        '\t' | ' '..='~' => out.push(character as u8),
        '\r' => out.extend_from_slice(b"\\r"),
        '\0'..='\u{1f}' | '\u{7f}' => out.extend_from_slice(format!("\\x{:02x}", character as u32).as_bytes()),
        _ if is_risky(character) => out.extend_from_slice(format!("\\u{{{:x}}}", character as u32).as_bytes()),
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Whether this is one of the controls beyond ASCII's first: DEL, C1, those that have what follows read in another order, and
/// the separators that some tools take for a line's end. The marks U+200E and U+200F, which Arabic and Hebrew text needs, are
/// not: each acts as an invisible letter and moves only its neighbours.
pub(crate) fn is_risky(character: char) -> bool {
    matches!(
        character,
        '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// Whether a line starts as a record does, in a file of whatever layout or on a console: `2025-10-19 05:55:47.606 [`.
#[must_use]
pub fn starts_like_a_record(line: &[u8]) -> bool {
    const OF_A_CONSOLE: &[u8] = b"[00:00:00] [";
    let agrees = |(form, byte): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { form == byte };
    let is_of_a_console = line.len() >= OF_A_CONSOLE.len() && OF_A_CONSOLE.iter().zip(line).all(agrees);
    is_of_a_console || time_end(line).is_some()
}
