//! File names and foreign text, made safe for a terminal.

use std::path::Path;

/// A text on one line, without anything that controls a terminal or changes the text direction: such characters are shown as
/// escapes, `\u{1b}`. Applied to file names and ring contents wherever they are printed.
#[must_use]
pub fn escaped(text: &str) -> String {
    escape(text, |_| false)
}

/// Like [`escaped`], for the name of a file or folder.
#[must_use]
pub fn escaped_path(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

/// JSON with all such characters escaped, `\u202e`; parsing restores them.
#[must_use]
pub fn escaped_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || drives(character) {
            shown += &format!("\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Like [`escaped`], for a message of several lines.
pub(crate) fn escaped_lines(text: &str) -> String {
    escape(text, |character| character == '\n')
}

fn escape(text: &str, kept: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if !kept(character) && (character.is_control() || drives(character)) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Directional marks, embeddings and isolates, line separators, and zero-width characters.
fn drives(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `bytes` in hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_shown_by_its_number() {
        assert_eq!(escaped("a\x1b[2J\nb\u{9b}c\u{202e}d\te"), "a\\u{1b}[2J\\u{a}b\\u{9b}c\\u{202e}d\\u{9}e");
        assert_eq!(escaped("häuser-日本 \"x\" \\"), "häuser-日本 \"x\" \\");
        assert_eq!(escaped_json("{\"a\":\"\u{9b}\u{202e}\"}"), "{\"a\":\"\\u009b\\u202e\"}");
        assert_eq!(escaped_lines("a\nb\r"), "a\nb\\u{d}");
    }
}
