//! The columns of a text line, thread, target and place, between its pid and its level.
//!
//! ```text
//! 2025-10-19 05:55:47.606 [4157] (main) <app::core> {src/x.rs:7} [INFO] slow frame
//! ```
//!
//! Each has brackets of its own, so a line says itself which columns it has: behind the pid a default line has the bracket of its
//! level. In a column its closing bracket is escaped, as is a backslash; so it ends at the first closing bracket, and what it was
//! made of comes back. The message begins behind the level, whose bracket is always there, so none is taken for a column.
//!
//! | column | is | where there is none |
//! |---|---|---|
//! | `(…)` | the thread's name, else `#` and its id | `(-)` |
//! | `<…>` | the target | `<->` |
//! | `{…}` | the file, and `:` and the line where that is known | `{-}` |

use crate::render::digits::append_integer;
use crate::render::escape::{is_plain, is_risky, push};
use crate::render::message::Template;
use crate::render::source_place::SourcePlace;
use lastwords_ring::format::columns::Columns;
use lastwords_ring::format::record::Record;

/// Shown for what is not known.
const ABSENT: &[u8] = b"-";
/// The columns, in their order, with their brackets.
const BRACKETS: [(Columns, u8, u8); 3] =
    [(Columns::THREAD, b'(', b')'), (Columns::TARGET, b'<', b'>'), (Columns::PLACE, b'{', b'}')];

/// What the columns of a line are made of; what is empty or 0 is not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct ColumnValues<'a> {
    /// Name of the thread.
    pub thread_name: &'a [u8],
    /// Id of the thread.
    pub thread: u32,
    /// Target of the record.
    pub target: &'a [u8],
    /// File in the source.
    pub file: &'a [u8],
    /// Line there.
    pub line: u32,
}

impl<'a> ColumnValues<'a> {
    /// Of what the flusher itself says.
    pub(crate) const OWN: ColumnValues<'static> =
        ColumnValues { thread_name: b"", thread: 0, target: b"lastwords", file: b"", line: 0 };

    /// Those of a record of this thread and call site.
    #[must_use]
    pub fn of(record: &Record<'a>, thread_name: Option<&'a [u8]>, site: Option<&'a Template>) -> ColumnValues<'a> {
        let SourcePlace { target, file, line, .. } = SourcePlace::of(record, site);
        ColumnValues { thread_name: thread_name.unwrap_or_default(), thread: record.thread, target, file, line }
    }

    /// Appends the columns that are asked for, each with a space behind it.
    pub(crate) fn append(&self, out: &mut Vec<u8>, columns: Columns) {
        for (column, open, close) in BRACKETS {
            if !columns.has(column) {
                continue;
            }
            out.push(open);
            match column {
                Columns::THREAD if self.thread_name.is_empty() && self.thread > 0 => {
                    out.push(b'#');
                    append_integer(out, self.thread);
                }
                Columns::THREAD => append_text(out, self.thread_name, close),
                Columns::TARGET => append_text(out, self.target, close),
                _ => {
                    append_text(out, self.file, close);
                    if !self.file.is_empty() && self.line > 0 {
                        out.push(b':');
                        append_integer(out, self.line);
                    }
                }
            }
            out.extend_from_slice(&[close, b' ']);
        }
    }
}

/// Appends a column's text so that it ends where it ends, and is neither an id nor the sign of an absent one.
fn append_text(out: &mut Vec<u8>, text: &[u8], close: u8) {
    let special = |byte: &u8| matches!(*byte, b'\\' | b':') || *byte == close;
    let begins_special = text.first() == Some(&b'#') || text == ABSENT;
    match text {
        b"" => out.extend_from_slice(ABSENT),
        _ if is_plain(text) && !text.iter().any(special) && !begins_special => out.extend_from_slice(text),
        _ => append_escaped(out, text, close),
    }
}

fn append_escaped(out: &mut Vec<u8>, text: &[u8], close: u8) {
    let is_place = close == b'}';
    let mut first = true;
    let is_absent = text == ABSENT;
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            let by_number = match character {
                '#' | '-' => first && (is_absent || character == '#' && close == b')'),
                ':' => is_place,
                _ => character == char::from(close),
            };
            match character {
                _ if by_number => append_byte(out, character as u8),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\t' => out.extend_from_slice(b"\\t"),
                // The usual escape of these has a bracket.
                _ if is_risky(character) => {
                    character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| append_byte(out, byte))
                }
                _ => push(out, character),
            }
            first = false;
        }
        for byte in chunk.invalid() {
            append_byte(out, *byte);
            first = false;
        }
    }
}

fn append_byte(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
}

/// The columns of a line, taken apart; what it does not have or does not know is empty, or 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundColumns {
    /// Name of the thread.
    pub thread_name: Vec<u8>,
    /// Its id, of a thread without a name.
    pub thread: u32,
    /// Target of the record.
    pub target: Vec<u8>,
    /// File in the source.
    pub file: Vec<u8>,
    /// Line there.
    pub line: u32,
}

impl FoundColumns {
    /// Takes the text between pid and level apart, see [`end_of`].
    #[must_use]
    pub fn parse(text: &[u8]) -> FoundColumns {
        let (mut found, mut rest) = (FoundColumns::default(), text);
        for (column, open, close) in BRACKETS {
            let Some((content, behind)) = split(rest, open, close) else { continue };
            rest = behind;
            if content == ABSENT {
                continue;
            }
            match column {
                Columns::THREAD => match content.strip_prefix(b"#").and_then(number) {
                    Some(id) => found.thread = id,
                    None => found.thread_name = unescaped(content),
                },
                Columns::TARGET => found.target = unescaped(content),
                _ => {
                    let colon = content.iter().rposition(|byte| *byte == b':');
                    let line = colon.and_then(|colon| number(&content[colon + 1..]));
                    let file = if line.is_some() { &content[..colon.unwrap_or(0)] } else { content };
                    (found.file, found.line) = (unescaped(file), line.unwrap_or(0));
                }
            }
        }
        found
    }
}

/// Which columns a text begins with, and where they end.
#[must_use]
pub fn end_of(text: &[u8]) -> (Columns, usize) {
    let (mut columns, mut rest) = (Columns::NONE, text);
    for (column, open, close) in BRACKETS {
        if let Some((_, behind)) = split(rest, open, close) {
            (columns, rest) = (columns | column, behind);
        }
    }
    (columns, text.len() - rest.len())
}

/// The content of a column that the text begins with, and what follows it.
fn split(text: &[u8], open: u8, close: u8) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(&[open])?;
    let end = text.iter().position(|byte| *byte == close || *byte == b'\n')?;
    Some((&text[..end], text[end..].strip_prefix(&[close, b' '])?))
}

fn number(digits: &[u8]) -> Option<u32> {
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What a column's text was made of.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let length = unescape(&mut out, &rest[at + 1..]);
        if length == 0 {
            out.push(b'\\');
        }
        rest = &rest[at + 1 + length..];
    }
    out.extend_from_slice(rest);
    out
}

/// Appends what the escape means whose text behind the backslash begins here, and returns its length; 0 for none of ours.
fn unescape(out: &mut Vec<u8>, text: &[u8]) -> usize {
    let hex = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    match text {
        [b'\\', ..] => out.push(b'\\'),
        [b'n', ..] => out.push(b'\n'),
        [b't', ..] => out.push(b'\t'),
        [b'r', ..] => out.push(b'\r'),
        [b'x', a, b, ..] => {
            let Some(byte) = hex(&[*a, *b]) else { return 0 };
            out.push(byte as u8);
            return 3;
        }
        _ => return 0,
    }
    1
}
