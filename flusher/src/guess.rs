//! The level of a line that some other program printed.

use lastwords::Level;

/// Bytes at a line's start within which a level is looked for: room for a time stamp before it.
const LOOK: usize = 64;

const WORDS: [(&str, Level); 13] = [
    ("critical", Level::CRITICAL),
    ("fatal", Level::CRITICAL),
    ("panic", Level::CRITICAL),
    ("error", Level::ERROR),
    ("err", Level::ERROR),
    ("warning", Level::WARNING),
    ("warn", Level::WARNING),
    ("info", Level::INFO),
    ("notice", Level::INFO),
    ("note", Level::INFO),
    ("debug", Level::DEBUG),
    ("verbose", Level::DEBUG),
    ("trace", Level::TRACE),
];

/// Recognises `error: …`, `error[E0425]: …`, `WARNING …`, `[debug] …`, `<warn> …`, also behind a time stamp: words
/// before the level may contain digits and punctuation only.
pub(crate) fn guess_level(line: &[u8]) -> Option<Level> {
    let start = &line[..line.len().min(LOOK)];
    for word in start.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()) {
        let bracketed = matches!(word[0], b'[' | b'<' | b'(');
        let word = without_brackets(word);
        let letters = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (name, rest) = word.split_at(letters);
        let known = WORDS.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        if let Some((_, level)) = known {
            let upper = name.iter().all(u8::is_ascii_uppercase);
            // A plain lower-case word may be prose: "error handling"; a mark or capitals make it a level.
            let marked = rest.first().is_some_and(|mark| b":]>)[|".contains(mark));
            return (upper || marked || bracketed).then_some(*level);
        }
        if letters > 0 && !is_time(word) {
            return None;
        }
    }
    None
}

/// Whether a word may be part of a time stamp: it has digits, and letters only as in `2025-10-19T05:55:47Z`.
fn is_time(word: &[u8]) -> bool {
    word.iter().any(u8::is_ascii_digit) && word.iter().all(|byte| byte.is_ascii_digit() || b"TZ:-+./,]".contains(byte))
}

fn without_brackets(word: &[u8]) -> &[u8] {
    let start = word.iter().position(|byte| !b"[<(".contains(byte)).unwrap_or(word.len());
    &word[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_prefixes_are_recognised() {
        for (line, level) in [
            ("error: could not compile", Level::ERROR),
            ("error[E0425]: cannot find value", Level::ERROR),
            ("warning: unused variable", Level::WARNING),
            ("WARN something", Level::WARNING),
            ("[DEBUG] value", Level::DEBUG),
            ("<info> started", Level::INFO),
            ("2025-10-19T05:55:47Z ERROR db: lost", Level::ERROR),
            ("2025-10-19 05:55:47,123 CRITICAL end", Level::CRITICAL),
            ("[05:55:47] [trace] x", Level::TRACE),
            ("FATAL: no space", Level::CRITICAL),
        ] {
            assert_eq!(guess_level(line.as_bytes()), Some(level), "{line}");
        }
    }

    #[test]
    fn prose_has_no_level() {
        for line in
            ["", "error handling is fun", "   Compiling info v1.0", "note to self", "the error: x", "\u{1f980} x"]
        {
            assert_eq!(guess_level(line.as_bytes()), None, "{line}");
        }
    }
}
